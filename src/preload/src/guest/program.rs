//! Which program this is, and what it has been told.

use super::local::{place, Local};
use laio_core::config::{Config, Mode};
use laio_core::stats::{Block, SECTION};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU8, Ordering::Relaxed};
use std::sync::OnceLock;

/// The counters of this process, in a section of their own: `laio stats` finds them there.
#[link_section = ".laio.stats"]
pub static STATS: Block = Block::new();

const _: () = assert!(matches!(SECTION.as_bytes(), b".laio.stats"));

static CONFIG: OnceLock<Config> = OnceLock::new();
static MODE: AtomicU8 = AtomicU8::new(DORMANT);
static PID: AtomicU32 = AtomicU32::new(0);
static FILTERED: AtomicBool = AtomicBool::new(false);

/// Whether this process has ever accepted a connection: before, no thread is of interest.
pub static SERVES: AtomicBool = AtomicBool::new(false);

const DORMANT: u8 = 0;
const AWAKE: u8 = 1;

/// Whether the library acts in this process at all.
#[inline]
pub fn awake() -> bool {
    MODE.load(Relaxed) == AWAKE && !(VFORKED.get() && crate::hooks::is_vfork_child())
}

/// Whether this thread has called `vfork`, as far as its parent has not noticed that it is back.
static VFORKED: Local<Cell<bool>> = Local::at(place::VFORKED);

/// The thread is not the child of a `vfork`.
pub fn has_returned_from_vfork() {
    VFORKED.set(false);
}

/// The settings; before start-up there are none.
pub fn config() -> Option<&'static Config> {
    CONFIG.get()
}

/// From now on hooks take their lanes, unless the settings say otherwise.
pub fn wake(config: Config) {
    let acts = config.mode != Mode::Off && is_meant(&config.only);
    let _ = CONFIG.set(config);
    remember_pid();
    if acts {
        MODE.store(AWAKE, Relaxed);
    }
}

/// Notes that this process is the one whose threads and descriptors are known.
pub fn remember_pid() {
    PID.store(current_pid(), Relaxed);
}

/// Whether this is still the process that [`remember_pid`] noted: a child made by `vfork`, `_Fork`
/// or a raw `clone` shares or copies our memory, but has none of our threads.
pub fn is_same_process() -> bool {
    PID.load(Relaxed) == current_pid()
}

/// This process's number.
pub fn pid() -> u32 {
    current_pid()
}

fn current_pid() -> u32 {
    rustix::process::getpid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs()
}

fn is_meant(only: &[String]) -> bool {
    only.is_empty() || only.contains(&name())
}

/// The executable's file name.
pub fn name() -> String {
    let link = rustix::fs::readlink("/proc/self/exe", Vec::new()).unwrap_or_default();
    let path = link.to_string_lossy();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// From here on every hook goes straight, those of signal handlers included. Tells whether they did not
/// before; only then are there counters to write.
pub fn sleep() -> bool {
    let was_awake = MODE.swap(DORMANT, Relaxed) == AWAKE;
    if let Some(config) = config().filter(|_| was_awake) {
        write_stats(config);
    }
    was_awake
}

/// Whether a filter of the application's forbids the library to make calls of its own.
#[inline]
pub fn is_filtered() -> bool {
    FILTERED.load(Relaxed)
}

/// Notes whether there is such a filter.
pub fn set_filtered(filtered: bool) {
    FILTERED.store(filtered, Relaxed);
}

/// What made the library [`sleep`] did not happen.
pub fn wake_again() {
    MODE.store(AWAKE, Relaxed);
}

/// Writes the counters where the settings say, if they say so.
fn write_stats(config: &Config) {
    let Some(pattern) = &config.stats else { return };
    let pid = current_pid();
    let mode = if config.mode == Mode::Observe {
        "observe"
    } else {
        "on"
    };
    let snapshot = STATS.snapshot(pid, &name(), mode);
    let path = pattern.replace("%p", &pid.to_string());
    let written = serde_json::to_vec_pretty(&snapshot)
        .map_err(std::io::Error::from)
        .and_then(|json| write_whole(&path, &json));
    if let Err(error) = written {
        super::log::complain(&format!(
            "liblaio: LAIO_STATS: cannot write {path}: {error}\n"
        ));
    }
}

/// By raw system calls: our own hooks see nothing of it.
fn write_whole(path: &str, bytes: &[u8]) -> std::io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}
