//! `errno` is the application's.

/// Restores `errno` when it goes out of scope: whatever the library calls meanwhile leaves no trace.
pub struct Kept(libc::c_int);

impl Kept {
    /// Notes the present value.
    pub fn new() -> Kept {
        // SAFETY: the C library hands out a valid pointer to this thread's errno.
        Kept(unsafe { *libc::__errno_location() })
    }

    /// Whether the value that is kept is this one.
    pub fn is(&self, errno: libc::c_int) -> bool {
        self.0 == errno
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        set(self.0);
    }
}

/// Sets `errno`, as a system call that fails would.
pub fn set(errno: libc::c_int) {
    // SAFETY: the C library hands out a valid pointer to this thread's errno.
    unsafe { *libc::__errno_location() = errno };
}
