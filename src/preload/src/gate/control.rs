//! What the gate asks of the kernel.

use crate::sys::kernel;
use laio_core::gate::Controls;

/// Carries out what the gate's state machine decided. A failure means that the application has
/// changed the registration by ways that no hook sees; it then has what it asked for. What could not be removed is not
/// added: it is not there, and the number may be another instance's.
pub fn carry_out(fd: i32, controls: Controls) {
    for control in controls {
        let done = kernel::epoll_ctl(
            control.instance,
            control.operation,
            fd,
            control.events,
            control.data,
        );
        if done.is_err() {
            break;
        }
    }
}

/// Whether a descriptor has `O_NONBLOCK`.
pub fn is_nonblocking(fd: i32) -> bool {
    kernel::flags(fd).is_ok_and(|flags| flags & libc::O_NONBLOCK != 0)
}

/// Whether a call on a descriptor may be answered with `EAGAIN`: it has `O_NONBLOCK`, and no signal tells of its readiness.
pub fn may_be_refused(fd: i32) -> bool {
    let flags = kernel::flags(fd).unwrap_or(0);
    flags & (libc::O_NONBLOCK | libc::O_ASYNC) == libc::O_NONBLOCK
}
