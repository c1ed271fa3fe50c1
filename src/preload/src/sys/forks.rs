//! Who is told of a `fork`: the room that knows all others says what is to be done (`lifecycle`), and whoever has something
//! to lose asks for it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::OnceLock;

/// What is done at a `fork`.
#[derive(Clone, Copy, Debug)]
pub struct Handlers {
    /// Before it.
    pub before: extern "C" fn(),
    /// After it, in the process that has called it.
    pub in_parent: extern "C" fn(),
    /// After it, in the child.
    pub in_child: extern "C" fn(),
}

static HANDLERS: OnceLock<Handlers> = OnceLock::new();

/// Says what is to be done, at start-up.
pub fn register(handlers: Handlers) {
    let _ = HANDLERS.set(handlers);
}

/// From now on it is done at every `fork`.
///
/// Children made by `vfork`, `_Fork` or a raw `clone` are not announced to anybody; for them
/// [`super::process::is_same_process`] is asked wherever it matters.
pub fn watch() {
    static IS_WATCHED: AtomicBool = AtomicBool::new(false);
    if IS_WATCHED.swap(true, Relaxed) {
        return;
    }
    if let Some(handlers) = HANDLERS.get() {
        let Handlers {
            before,
            in_parent,
            in_child,
        } = *handlers;
        // SAFETY: the handlers live as long as the library, which is never unloaded, and the child's does nothing
        // that is not allowed in the child of a process with several threads.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
}
