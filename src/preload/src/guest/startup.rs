//! The beginning and the end of the library in a process.
//!
//! Every program that inherits `LD_PRELOAD` comes through here, so it does little: it resolves the
//! names that it stands in for, reads the environment and leaves. No thread, no descriptor and no
//! table is made before a thread that waits in `epoll_wait` has accepted a connection.

use super::{clock, errno, fork, log, program, stacks};
use laio_core::config::Config;

#[used]
#[link_section = ".init_array"]
static START: extern "C" fn() = start;

#[used]
#[link_section = ".fini_array"]
static END: extern "C" fn() = end;

extern "C" fn start() {
    // SAFETY: this is the first that runs of the library, and nothing has been allocated.
    unsafe { dlmalloc::enable_alloc_after_fork() };
    let _kept = errno::Kept::new();
    crate::hooks::resolve();
    stacks::measure();
    let (config, rejected) = Config::read(|name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    });
    rejected
        .iter()
        .for_each(|rejected| log::complain(&format!("{rejected}\n")));
    if let Some(filter) = &config.log {
        log::start(filter);
    }
    program::wake(config);
    if program::awake() {
        clock::TickRate::begin();
        crate::event_loop::prepare();
        fork::watch();
    }
}

extern "C" fn end() {
    program::sleep();
}
