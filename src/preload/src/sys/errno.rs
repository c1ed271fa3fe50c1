//! `errno` is the application's.

/// Restores `errno` when it goes out of scope: whatever the library calls meanwhile leaves no trace.
pub struct Guard(libc::c_int);

impl Guard {
    /// Notes the present value.
    pub fn new() -> Guard {
        Guard(get())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        set(self.0);
    }
}

/// Whether it has this value.
pub fn is(errno: libc::c_int) -> bool {
    get() == errno
}

/// The present value.
pub fn get() -> libc::c_int {
    // SAFETY: the C library hands out a valid pointer to this thread's errno.
    unsafe { *libc::__errno_location() }
}

/// Sets `errno`, as a system call that fails would.
pub fn set(errno: libc::c_int) {
    // SAFETY: the C library hands out a valid pointer to this thread's errno.
    unsafe { *libc::__errno_location() = errno };
}
