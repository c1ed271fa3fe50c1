//! The library's helpers, whose work is nothing.

library!(pub pool, "../../../../src/preload/src/engine/pool.rs");

pub mod crew {
    //! Threads that main waits for.
    use super::pool::Pool;
    use shuttle::thread::{self, JoinHandle};
    use std::cell::RefCell;
    use std::ffi::CStr;
    use std::sync::Arc;

    thread_local! {
        static THREADS: RefCell<Vec<JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
    }

    /// Nobody is sent away.
    pub struct Stay;

    pub fn admit(_: &Arc<Pool>) -> Stay {
        Stay
    }

    pub fn hold() -> Stay {
        Stay
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

pub mod job {
    //! A job of which only the gate matters.
    use super::pins::Pins;
    use crate::guest::kernel;
    use laio_core::predictions::Prediction;
    use laio_core::stats::Counters;
    use laio_core::warmth::WarmTable;
    use std::ops::Range;

    #[derive(Debug, Default)]
    pub struct Job {
        pub gate: Option<(i32, u32)>,
        pub submitted: u64,
        pub paths: Option<Prediction<'static>>,
        /// The connection whose files are to be brought in.
        pub part: Option<i32>,
        pub memory: Option<Range<usize>>,
    }

    impl Job {
        pub fn clear(&mut self) {
            *self = Job::default();
        }
    }

    pub struct Worker<'p>(&'p Pins);

    impl<'p> Worker<'p> {
        pub fn new(_: &'static Counters, pins: &'p Pins, _: &'p WarmTable) -> Worker<'p> {
            Worker(pins)
        }

        pub fn warm(&mut self, _: &Prediction<'_>, _: u64) {}

        pub fn fetch(&mut self, fd: &i32) {
            kernel::bring_in(*fd);
        }

        pub fn populate(&self, _: Range<usize>) {}
    }
}

pub mod pins {
    //! Nothing is kept.
    use std::time::Duration;

    pub const HELD: Duration = Duration::from_millis(500);

    #[derive(Debug, Default)]
    pub struct Pins(());

    impl Pins {
        pub fn set_most(&self, _: u32) {}

        pub fn is_any(&self) -> bool {
            false
        }

        pub fn may_wait(&self) -> bool {
            false
        }

        pub fn expire(&self) {}

        pub fn release(&self) {}
    }
}
