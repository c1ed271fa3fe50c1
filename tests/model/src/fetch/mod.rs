//! The library's helpers, whose work is nothing.

library!(pub completion, "../../../../src/preload/src/fetch/completion.rs");
library!(pub pool, "../../../../src/preload/src/fetch/pool/mod.rs");

pub mod job {
    //! A job of which only the gate and the charge matter.
    use super::pins::Pins;
    use crate::gate::inflight::Charge;
    use crate::sys::kernel;
    use laio_core::links::Links;
    use laio_core::stats::Counters;
    use laio_core::warmth::WarmTable;
    use std::ops::Range;

    #[derive(Debug, Default)]
    pub struct Job {
        pub gate: Option<(i32, u32)>,
        pub held: Option<u8>,
        pub owners: u32,
        pub charge: Option<Charge>,
        pub read: u64,
        /// The connection whose request's files are to be brought in.
        pub paths: Option<Files>,
        /// The connection whose body is.
        pub part: Option<i32>,
        pub memory: Option<Range<usize>>,
        /// Of nobody's.
        pub key: Option<()>,
    }

    impl Job {
        pub fn clear(&mut self) {
            *self = Job::default();
        }
    }

    /// What the request of a connection wants.
    #[derive(Debug)]
    pub struct Files(pub i32);

    impl Files {
        pub fn directory(&self) -> &[u8] {
            b"/"
        }

        pub fn key(&self, _: u64) -> u64 {
            1
        }
    }

    pub struct Worker<'p>(&'p Pins);

    impl<'p> Worker<'p> {
        pub fn new(
            _: &'static Counters,
            pins: &'p Pins,
            _: &'p WarmTable,
            _: &'p Links,
        ) -> Worker<'p> {
            Worker(pins)
        }

        pub fn unless_replaced<'a>(
            &self,
            files: &'a Files,
            _: &Option<Files>,
            _: u64,
        ) -> &'a Files {
            files
        }

        pub fn warm(&mut self, files: &Files, _: u64, left: &mut u64) -> bool {
            kernel::bring_in(files.0);
            *left = 0;
            true
        }

        pub fn fetch(&mut self, fd: &i32) -> u64 {
            kernel::bring_in(*fd);
            0
        }

        pub fn read_key(&self, _: &()) {}

        pub fn populate(&self, _: Range<usize>) -> u64 {
            0
        }
    }
}

pub mod pins {
    //! Nothing is kept.
    use std::time::Duration;

    pub const HELD: Duration = Duration::from_millis(500);

    #[derive(Debug, Default)]
    pub struct Pins(());

    impl Pins {
        pub fn set_most(&self, _: usize, _: u32) {}

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
