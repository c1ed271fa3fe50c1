//! What is done when a thread ends.
//!
//! By a key of the C library's. Those that are made early have their values in each thread's own descriptor, so
//! that no memory is asked for when one is set, as it is for a destructor of the standard library's.

use libc::{c_void, pthread_key_t};
use std::sync::atomic::{AtomicU32, Ordering::*};

type Destructor = unsafe extern "C" fn(*mut c_void);

/// Something that threads own, and what frees it.
pub struct AtEnd {
    destructor: Destructor,
    /// The key plus one; zero where there is none.
    key: AtomicU32,
}

impl AtEnd {
    /// To be prepared before it is used.
    pub const fn new(destructor: Destructor) -> AtEnd {
        AtEnd {
            destructor,
            key: AtomicU32::new(0),
        }
    }

    /// Makes the key. Once, before there is a second thread.
    pub fn prepare(&self) {
        let mut key: pthread_key_t = 0;
        // SAFETY: the key is owned here, and the destructor is never unloaded.
        if unsafe { libc::pthread_key_create(&raw mut key, Some(self.destructor)) } == 0 {
            self.key.store(key.wrapping_add(1), Release);
        }
    }

    /// This thread owns `what`, or nothing where it is null; false where its end would not be noticed.
    pub fn give(&self, what: *mut c_void) -> bool {
        let Some(key) = self.key.load(Acquire).checked_sub(1) else {
            return false;
        };
        // SAFETY: the key is there, and is never deleted.
        unsafe { libc::pthread_setspecific(key, what) == 0 }
    }
}
