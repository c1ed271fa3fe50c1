//! The library's own threads.

library!(pub executor, "../../../../src/preload/src/threads/executor.rs");

pub mod registry {
    //! Threads that the end of an execution waits for.
    use shuttle::thread::{self, JoinHandle};
    use std::cell::RefCell;
    use std::ffi::CStr;
    use std::sync::Arc;

    thread_local! {
        static THREADS: RefCell<Vec<JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
    }

    pub trait Employer: Send + Sync {
        fn dismiss(&self) -> bool;

        fn are_gone(&self);
    }

    /// Nobody is sent away.
    pub struct Permission;

    pub fn admit<E: Employer + 'static>(_: &Arc<E>) -> Permission {
        Permission
    }

    pub fn hold() -> Permission {
        Permission
    }

    pub fn spawn(
        name: &'static CStr,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), rustix::io::Errno> {
        let name = name.to_string_lossy().into_owned();
        let thread = thread::Builder::new().name(name).spawn(run).unwrap();
        THREADS.with_borrow_mut(|threads| threads.push(thread));
        Ok(())
    }

    /// Waits until all have left.
    pub fn wait() {
        while let Some(thread) = THREADS.with_borrow_mut(Vec::pop) {
            thread.join().unwrap();
        }
    }

    pub fn begin() {
        THREADS.with_borrow_mut(Vec::clear);
    }
}
