//! Memory that an execution leaves to the next one.

use std::alloc::{alloc_zeroed, Layout};
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Block {
    memory: *mut u8,
    layout: Layout,
    used: bool,
}

// SAFETY: nobody else has its memory.
unsafe impl Send for Block {}

static BLOCKS: Mutex<Vec<Block>> = Mutex::new(Vec::new());

fn blocks() -> MutexGuard<'static, Vec<Block>> {
    BLOCKS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn map(bytes: usize) -> Option<*mut c_void> {
    let layout = Layout::from_size_align(bytes, 64).ok()?;
    let mut blocks = blocks();
    let is_free = |block: &&mut Block| block.layout == layout && !block.used;
    if let Some(block) = blocks.iter_mut().find(is_free) {
        block.used = true;
        return Some(block.memory.cast());
    }
    // SAFETY: nobody maps nothing.
    let memory = unsafe { alloc_zeroed(layout) };
    let used = true;
    blocks.push(Block {
        memory,
        layout,
        used,
    });
    Some(memory.cast())
}

/// Nobody forks.
pub fn map_for_secrets(bytes: usize) -> Option<*mut c_void> {
    map(bytes)
}

/// # Safety
/// As for the real one.
pub unsafe fn unmap(memory: *mut c_void, _: usize) {
    let mut blocks = blocks();
    let its = |block: &&mut Block| block.memory.cast() == memory;
    blocks.iter_mut().filter(its).for_each(Block::clear);
}

impl Block {
    fn clear(&mut self) {
        // SAFETY: it is so large, and nobody uses what is in it.
        unsafe { self.memory.write_bytes(0, self.layout.size()) };
        self.used = false;
    }
}

/// No thread of the last execution is left, and its chunks are not used any more; its cookies' levels are, empty, and no
/// chunk is as large as one of them.
pub fn begin() {
    blocks().iter_mut().for_each(Block::clear);
}

pub fn is_to_be_had(_: usize) -> bool {
    true
}

pub fn set_cushion_aside() {}
