//! Which program this is, and what it has been told.

use super::process;
use laio_core::config::{file_of, Config, Mode};
use laio_core::stats::{Block, State, SECTION};
use libc::c_char;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::OnceLock;

/// The counters of this process, in a section of their own: `laio stats` finds them there.
#[link_section = ".laio.stats"]
pub static STATS: Block = Block::new();

const _: () = assert!(matches!(SECTION.as_bytes(), b".laio.stats"));

static CONFIG: OnceLock<Config> = OnceLock::new();
static MODE: AtomicU8 = AtomicU8::new(DORMANT);
static FILTERED: AtomicBool = AtomicBool::new(false);

/// Whether this process has ever accepted a connection: before, no thread is of interest.
pub static SERVES: AtomicBool = AtomicBool::new(false);

const DORMANT: u8 = 0;
const AWAKE: u8 = 1;

/// Whether the library acts in this process at all.
#[inline]
pub fn awake() -> bool {
    MODE.load(Relaxed) == AWAKE
}

/// Whether what this thread calls is of interest.
#[inline]
pub fn acts_here() -> bool {
    awake() && !process::is_aside()
}

/// The settings; before start-up there are none.
pub fn config() -> Option<&'static Config> {
    CONFIG.get()
}

/// From now on hooks take their lanes, unless the settings say otherwise. The program was `started_as` this.
pub fn wake(config: Config, started_as: &[u8]) {
    let acts = may_act(&config, started_as);
    STATS.process.is(match config.mode {
        Mode::Off => State::Off,
        _ if !acts => State::NotMeant,
        mode => acting(mode),
    });
    let _ = CONFIG.set(config);
    process::remember_pid();
    if acts {
        MODE.store(AWAKE, Relaxed);
    }
}

fn acting(mode: Mode) -> State {
    match mode {
        Mode::Observe => State::Observe,
        Mode::On | Mode::Off => State::On,
    }
}

/// The executable's file name; where there is no `/proc`, that of what the kernel was told to execute.
pub fn name() -> String {
    String::from_utf8_lossy(file_name(&executable())).into_owned()
}

fn executable() -> Vec<u8> {
    match rustix::fs::readlink("/proc/self/exe", Vec::new()) {
        Ok(link) => link.into_bytes(),
        Err(_) => executed(),
    }
}

/// The path that the kernel was told to execute.
fn executed() -> Vec<u8> {
    // SAFETY: it is null, or a text that the kernel has put above the stack of the first thread.
    unsafe { text(libc::getauxval(libc::AT_EXECFN) as *const c_char) }
}

/// A text of the C library's or the kernel's.
///
/// # Safety
/// The pointer is null, or leads to a text that ends and that nobody changes meanwhile.
pub unsafe fn text(start: *const c_char) -> Vec<u8> {
    if start.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(start) }.to_bytes().to_vec()
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// Whether a list names this program: by a path, or by a file name, of its executable or of that by which it was started.
/// The two differ where a program is a link to another (`redis-server` to `redis-check-rdb`).
fn is_meant(only: &[String], started_as: &[u8]) -> bool {
    if only.is_empty() {
        return true;
    }
    let names = [executable(), executed(), started_as.to_vec()];
    let matches = |item: &String| {
        let item = item.as_bytes();
        let is_path = item.contains(&b'/');
        let is_it = |path: &Vec<u8>| item == if is_path { path } else { file_name(path) };
        names.iter().any(is_it)
    };
    only.iter().any(matches)
}

/// Whether the library is to act in this program. Where `LAIO_ONLY` keeps it out, that is told once in a line of
/// processes: those that this one starts find in their environment that it was told, by a comma at the end of the list.
fn may_act(config: &Config, started_as: &[u8]) -> bool {
    if config.mode == Mode::Off {
        return false;
    }
    let is_meant = is_meant(&config.only, started_as);
    if !config.only.is_empty() {
        let is_news = mark_as_told();
        if !is_meant && is_news {
            let shown = |text: &[u8]| String::from_utf8_lossy(text).escape_debug().to_string();
            super::log::complain(&format!(
                "liblaio: LAIO_ONLY={} keeps the library out of {} (started as {})\n",
                config.only.join(","),
                shown(&executable()),
                shown(started_as)
            ));
        }
    }
    is_meant
}

/// Ends the list in the environment with a comma; tells whether it had none.
#[cold]
fn mark_as_told() -> bool {
    // SAFETY: the C library's list of pointers, null at its end; the constructors of a process run one after the other.
    // A program with other threads, which has loaded the library later, changes its environment at its own risk as well.
    unsafe {
        let mut place = environ;
        while !place.is_null() && !(*place).is_null() {
            let entry = CStr::from_ptr(*place).to_bytes();
            if entry.starts_with(b"LAIO_ONLY=") {
                if entry.ends_with(b",") {
                    return false;
                }
                let Ok(marked) = CString::new([entry, b","].concat()) else {
                    return true;
                };
                // Not by `setenv`, which would take memory of the application's.
                *place = marked.into_raw();
                return true;
            }
            place = place.add(1);
        }
    }
    true
}

extern "C" {
    static mut environ: *mut *mut c_char;
}

/// From here on every hook passes through, those of signal handlers included. Tells whether they did not
/// before; only then are there counters to write.
pub fn sleep() -> bool {
    let was_awake = MODE.swap(DORMANT, Relaxed) == AWAKE;
    if let Some(config) = config().filter(|_| was_awake) {
        write_stats(config);
        STATS.process.is(State::Asleep);
    }
    was_awake
}

/// The same without counters, which are another process's.
pub fn lie_down() {
    STATS.process.is(State::GaveUp);
    MODE.store(DORMANT, Relaxed);
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
    STATS
        .process
        .is(config().map_or(State::On, |config| acting(config.mode)));
    MODE.store(AWAKE, Relaxed);
}

/// Writes the counters where the settings say, if they say so.
fn write_stats(config: &Config) {
    let Some(pattern) = &config.stats else { return };
    let pid = process::pid();
    let mode = if config.mode == Mode::Observe {
        "observe"
    } else {
        "on"
    };
    let snapshot = STATS.snapshot(pid, &name(), mode);
    let path = file_of(pattern, pid);
    let written = serde_json::to_vec_pretty(&snapshot)
        .map_err(std::io::Error::from)
        .and_then(|json| write_whole(&path, &json));
    if let Err(error) = written {
        super::log::complain(&format!(
            "liblaio: LAIO_STATS: cannot write {path}: {error}\n"
        ));
    }
}

/// By raw system calls: our own hooks see nothing of it. Only into a file that is this user's own by all appearances: a
/// name in a directory that others may write to can be theirs, and lead anywhere.
fn write_whole(path: &str, bytes: &[u8]) -> std::io::Result<()> {
    use rustix::fs::{fstat, ftruncate, FileType, Mode, OFlags};
    use rustix::process::geteuid;
    let flags = OFlags::CREATE
        | OFlags::WRONLY
        | OFlags::CLOEXEC
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?;
    let status = fstat(&file)?;
    let is_own = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
        && status.st_uid == geteuid().as_raw()
        && status.st_nlink == 1;
    if !is_own {
        return Err(std::io::Error::other(
            "it is no regular file of this user's with one name",
        ));
    }
    ftruncate(&file, 0)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}
