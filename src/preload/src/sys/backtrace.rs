//! Who has called: the addresses to which the calls of this thread return.
//!
//! By the unwinder that C++ and Rust programs unwind with, and its tables of every library; a frame pointer is not needed.
//! It takes no memory. It ends where a table says so, and where there is none: at code that was compiled while the
//! program ran.

use super::{address, handler};
use std::ffi::{c_int, c_void};

extern "C" {
    fn _Unwind_Backtrace(
        visit: extern "C" fn(*const c_void, *mut c_void) -> c_int,
        place: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *const c_void) -> usize;
}

/// Goes on with the next frame, and does not.
const GO_ON: c_int = 0;
const STOP: c_int = 4;

struct Taken<'r> {
    room: &'r mut [u64],
    count: usize,
}

/// The innermost callers, the library's own first, as many as there is room for. None in a signal handler, which may have
/// interrupted the dynamic linker, whose lock is taken here; and none but on the main thread's stack: the unwinder takes some KiB of it, and
/// may find no end of a coroutine's.
pub fn take(room: &mut [u64]) -> &[u64] {
    if !address::has_room() || handler::may_be_running() {
        return &[];
    }
    let mut taken = Taken { room, count: 0 };
    // SAFETY: `visit` is given a frame that lives as long as its call, and `taken`, which outlives this one.
    unsafe { _Unwind_Backtrace(visit, (&raw mut taken).cast()) };
    let Taken { room, count } = taken;
    room.get(..count).unwrap_or_default()
}

extern "C" fn visit(context: *const c_void, taken: *mut c_void) -> c_int {
    // SAFETY: what `take` has passed, which nobody else uses meanwhile.
    let taken = unsafe { &mut *taken.cast::<Taken<'_>>() };
    // SAFETY: the unwinder's own, for the length of this call.
    let address = unsafe { _Unwind_GetIP(context) };
    match taken.room.get_mut(taken.count) {
        Some(place) if address != 0 => *place = address as u64,
        _ => return STOP,
    }
    taken.count += 1;
    GO_ON
}
