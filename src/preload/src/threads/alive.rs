//! Whether a thread has left the process.

use crate::sys::refusals;
use rustix::io::Errno;

/// Whether a thread of this process is still there.
pub fn is_alive(thread: i32) -> bool {
    let process = rustix::process::getpid().as_raw_nonzero().get();
    let [number, process, thread] = [libc::SYS_tgkill as usize, process as usize, thread as usize];
    // SAFETY: the null signal is sent to nobody; only its result is of interest.
    let result = unsafe { syscalls::raw::syscall3(number, process, thread, 0) } as i32;
    if result >= 0 {
        return true;
    }
    let error = Errno::from_raw_os_error(-result);
    refusals::TGKILL.failed(error);
    // Where nobody may ask it is taken to be there.
    error != Errno::SRCH
}
