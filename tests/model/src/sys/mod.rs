//! What the library's files find below them: their own helpers, or models.

library!(pub address, "../../../../src/preload/src/sys/address.rs");
library!(pub errno, "../../../../src/preload/src/sys/errno.rs");
library!(pub frame, "../../../../src/preload/src/sys/frame.rs");
library!(pub handler, "../../../../src/preload/src/sys/handler.rs");
pub mod kernel;
pub mod local;
pub mod lock;
pub mod mask;
pub mod memory;
pub mod signals;
pub mod sync;

pub mod clock {
    //! Time passes where somebody has waited for it.
    use std::cell::Cell;
    use std::time::Duration;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    pub fn begin() {
        NOW.set(1_000_000_000_000);
    }

    pub fn pass(time: Duration) {
        NOW.set(NOW.get() + time.as_nanos() as u64);
    }

    pub fn nanoseconds() -> u64 {
        NOW.get()
    }

    pub fn milliseconds() -> u64 {
        NOW.get() / 1_000_000
    }
}

pub mod usage {
    //! Nobody sleeps.
    pub struct Usage {
        pub sleeps: i64,
    }

    pub fn usage() -> Usage {
        Usage { sleeps: 0 }
    }
}

pub mod log {
    //! Nobody reads it.
    pub fn complain(_: &str) {}
}

pub mod process {
    //! There is one.
    pub fn pid() -> u32 {
        1
    }

    pub fn is_same_process() -> bool {
        true
    }
}

pub mod program {
    //! A program that serves, and is helped.
    use laio_core::config::Config;
    use laio_core::stats::Block;
    use std::sync::atomic::AtomicBool;

    pub static SERVES: AtomicBool = AtomicBool::new(false);
    pub static STATS: Block = Block::new();

    /// It has none.
    pub fn config() -> Option<&'static Config> {
        None
    }
}

pub mod descriptors {
    //! Its descriptor table, which is small.
    pub const CHUNK: usize = 8;
    pub const CHUNKS: usize = 3;

    pub fn seen(_: i32) {}

    pub fn wanted() -> Option<i32> {
        None
    }

    pub fn make_room(_: i32) {}

    pub fn limit() -> u32 {
        1024
    }

    pub fn leave_table(_: u32) -> bool {
        true
    }
}

pub mod refusals {
    //! Nothing is refused.
    pub struct Refusable;

    impl Refusable {
        pub fn failed(&self, error: rustix::io::Errno) {
            panic!("the kernel refuses: {error}");
        }
    }

    pub static EPOLL_CREATE1: Refusable = Refusable;
    pub static CLONE: Refusable = Refusable;

    pub fn look() {}

    /// Nobody was refused anything.
    pub fn tell() {}
}
