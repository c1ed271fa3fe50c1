//! Values that are made when they are first needed, are seen by all threads without a lock, and are never freed.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::*};

/// A place for one value of a process. The child of a fork leaves it behind and makes its own.
#[derive(Debug)]
pub struct Published<T>(AtomicPtr<T>);

impl<T> Published<T> {
    /// An empty place.
    pub const fn new() -> Published<T> {
        Published(AtomicPtr::new(null_mut()))
    }

    /// What was published here.
    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: what was once published is never freed.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    /// Publishes a value, unless another thread was first: then that one's.
    pub fn publish(&self, new: Box<T>) -> &'static T {
        let new = Box::into_raw(new);
        match self.0.compare_exchange(null_mut(), new, AcqRel, Acquire) {
            // SAFETY: published just now, and never freed.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: this one was never published, and the other is never freed.
                unsafe {
                    drop(Box::from_raw(new));
                    &*other
                }
            }
        }
    }

    /// Empties the place, after a fork. The value stays where it is: its locks may be held for ever.
    pub fn leave_behind(&self) -> Option<&'static T> {
        // SAFETY: as above.
        unsafe { self.0.swap(null_mut(), AcqRel).as_ref() }
    }
}
