//! The beginning and the end of the library in a process.
//!
//! Every program that inherits `LD_PRELOAD` comes through here, so it does little: it resolves the
//! names that it stands in for, reads the environment and leaves. No thread, no descriptor and no
//! table is made before a thread that waits in `epoll_wait` has accepted a connection.

use super::fork;
use crate::gate::sessions;
use crate::sys::{clock, errno, forks, handler, log, process, program};
use crate::threads::{stacks, thread};
use crate::{event_loop, hooks};
use laio_core::config::{Config, Rejected, Setting, SETTINGS};
use laio_core::stats::State;
use libc::{c_char, c_int};

/// What the C library passes to a constructor: `main`'s arguments.
type Start = extern "C" fn(c_int, *const *const c_char);

#[used]
#[link_section = ".init_array"]
static START: Start = start;

#[used]
#[link_section = ".fini_array"]
static END: extern "C" fn() = end;

extern "C" fn start(count: c_int, arguments: *const *const c_char) {
    let _errno = errno::Guard::new();
    // A name is looked for under a lock, which a signal handler that calls the same function would wait for.
    let unblocked = thread::block_signals();
    hooks::resolve();
    thread::restore_signals(&unblocked);
    stacks::measure();
    forks::register(fork::HANDLERS);
    // A program that has more rights than whoever started it takes no orders from the environment, and is left alone.
    // SAFETY: asks the C library for a number.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        program::STATS.process.is(State::Secure);
        return;
    }
    let (config, rejected) = Config::read(variable);
    publish(&rejected);
    if let Some(filter) = &config.log {
        log::start(filter);
    }
    if let Some(stream) = variable("JOURNAL_STREAM") {
        log::remember_journal(&stream);
    }
    rejected
        .iter()
        .for_each(|rejected| log::complain(&format!("{rejected}\n")));
    Config::renamed(|name| std::env::var_os(name).is_some())
        .for_each(|line| log::complain(&format!("{line}\n")));
    program::wake(config, &first(count, arguments));
    if program::awake() {
        clock::TickRate::begin();
        handler::remember_mask();
        handler::set_recovery(event_loop::recover);
        event_loop::prepare();
        forks::watch();
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Shows whoever looks at this process what it was told: nginx writes over its environment.
fn publish(rejected: &[Rejected]) {
    for Setting { name, .. } in SETTINGS {
        let value = variable(name).filter(|value| !value.is_empty());
        let Some(value) = value.filter(|_| rejected.iter().all(|it| it.name != *name)) else {
            continue;
        };
        program::STATS
            .process
            .settings
            .add_line(&format!("{name}={value}"));
    }
}

/// The name by which the program was started, as far as is told.
fn first(count: c_int, arguments: *const *const c_char) -> Vec<u8> {
    if count < 1 || arguments.is_null() {
        return Vec::new();
    }
    // SAFETY: `main`'s arguments, of which there is one at least.
    unsafe { program::text(*arguments) }
}

extern "C" fn end() {
    program::sleep();
    // A `vfork` child has its parent's.
    if !process::is_aside() {
        sessions::wipe_all();
    }
}
