//! Runs the tests of one binary: each in its own process and process group, with its own time limit.
//!
//! `libtest-mimic` gives the command line that `cargo test` and `cargo nextest` expect. A test's body runs in a copy of
//! the test binary that leads a process group, so that a hung server, or one that outlived its test, ends with it.

use crate::{cold, library, mounts, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const INNER: &str = "LAIO_TEST_INNER";
const SCRATCH: &str = "LAIO_TEST_SCRATCH";
const SKIPPED: i32 = 77;

/// What a test cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// User id 0: mounts, device nodes, servers that drop privileges.
    Root,
    /// A disk with a fixed latency (`scripts/slow-disk`): needs root, FUSE and loop devices.
    SlowDisk,
    /// A command, and the Debian package that has it.
    Command(&'static str, &'static str),
    /// A command that no Debian package has, or that is installed by other ways.
    Program(&'static str),
    /// merecat, which cannot be installed beside other packages (`scripts/install-merecat`).
    Merecat,
    /// libevent's headers, and make.
    Libevent,
    /// A Debian package that has no command.
    Package(&'static str),
    /// uvloop 0.22 or newer, in an environment of its own (`scripts/install-uvloop`).
    Uvloop,
}

/// One test: a name, what it needs, how long it may take, and what it does.
pub struct Test {
    name: String,
    limit: Duration,
    needs: Vec<Need>,
    body: Box<dyn FnOnce() -> Result + Send>,
}

impl Test {
    /// A test with a limit of one minute.
    pub fn new(name: impl Into<String>, body: impl FnOnce() -> Result + Send + 'static) -> Self {
        Self {
            name: name.into(),
            limit: Duration::from_secs(60),
            needs: Vec::new(),
            body: Box::new(body),
        }
    }

    /// Adds something that the test cannot do without.
    pub fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// Another time limit than a minute.
    pub fn limit(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }
}

/// The error that makes a running test count as skipped.
#[derive(Debug)]
struct Skip(String);

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "skipped, because {}", self.0)
    }
}

impl std::error::Error for Skip {}

/// Ends the running test as skipped, with the reason ("skipped, because …").
pub fn skip<T>(because: impl Into<String>) -> Result<T> {
    Err(Skip(because.into()).into())
}

/// A test binary's `main`.
pub fn run(tests: Vec<Test>) -> ExitCode {
    if let Ok(name) = std::env::var(INNER) {
        return inner(&name, tests);
    }
    let arguments = Arguments::from_args();
    let trials = tests.into_iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(test: Test) -> Trial {
    // Known before anything runs: the reason is part of the name that the runner shows as ignored.
    let hopeless = test.needs.iter().find_map(|need| out_of_reach(*need));
    let (name, limit, needs) = (test.name.clone(), test.limit, test.needs);
    let trial = Trial::ignorable_test(test.name, move || outer(&name, limit, &needs));
    match hopeless {
        Some(reason) => trial
            .with_kind(format!("skipped, because {reason}"))
            .with_ignored_flag(true),
        None => trial,
    }
}

/// Whether this process is root.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Where a command is: on the path, with the commands for administrators, or unpacked beside what was built.
pub fn find_command(command: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').chain(["/usr/sbin", "/sbin"]);
    let built = [
        library::unpacked(),
        library::demo_servers(),
        library::python_with_uvloop(),
    ];
    let mut places = places.map(PathBuf::from).chain(built);
    places.find_map(|dir| Some(dir.join(command)).filter(|file| file.is_file()))
}

fn out_of_reach(need: Need) -> Option<String> {
    match need {
        Need::Root if !is_root() => Some("it needs root".into()),
        Need::SlowDisk if !is_root() => Some("the slow disk needs root".into()),
        Need::SlowDisk if !Path::new("/dev/fuse").exists() => {
            Some("the slow disk needs FUSE and there is no dev fuse".into())
        }
        Need::Command(command, package) if find_command(command).is_none() && !is_root() => Some(
            format!("{command} is missing and installing {package} needs root"),
        ),
        Need::Program(command) if find_command(command).is_none() => {
            Some(format!("{command} is not on the PATH"))
        }
        Need::Libevent if !has_libevent() && !is_root() => {
            Some("libevent is missing and installing libevent-dev needs root".into())
        }
        Need::Package(package) if !is_root() && !has_package(package) => {
            Some(format!("installing {package} needs root"))
        }
        _ => None,
    }
}

/// What the slow disk is made with, and where it comes from.
const SLOW_DISK: [(&str, &str); 4] = [
    ("nbdkit", "nbdkit"),
    ("nbdfuse", "libnbd-bin"),
    ("fusermount3", "fuse3"),
    ("mkfs.ext4", "e2fsprogs"),
];

/// Installs what is missing; an error is the reason to skip.
fn provide(need: Need) -> Result<(), String> {
    match need {
        Need::Root | Need::Program(_) => Ok(()),
        Need::Command(command, package) => install(command, package),
        Need::SlowDisk => SLOW_DISK
            .iter()
            .try_for_each(|(command, package)| install(command, package)),
        Need::Libevent => {
            install("make", "make")?;
            install_unless(has_libevent, "libevent", "libevent-dev")
        }
        Need::Package(package) => install_unless(|| has_package(package), package, package),
        Need::Uvloop => {
            let _guard = install_lock()?;
            let script = library::workspace().join("scripts/install-uvloop");
            let output = Command::new(script).stdin(Stdio::null()).output();
            match output {
                Ok(output) if output.status.success() => Ok(()),
                _ => Err("uvloop 0.22 cannot be had".into()),
            }
        }
        Need::Merecat => {
            let _guard = install_lock()?;
            let script = library::workspace().join("scripts/install-merecat");
            let _ = Command::new(script).stdin(Stdio::null()).output();
            match find_command("merecat") {
                Some(_) => Ok(()),
                None => Err("merecat is missing and could not be unpacked".into()),
            }
        }
    }
}

/// One test at a time installs something.
fn install_lock() -> Result<FileLock, String> {
    let lock = library::work_dir().join("install.lock");
    FileLock::take(&lock).map_err(|e| format!("{}: {e}", lock.display()))
}

fn has_package(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status}", package]);
    query.output().is_ok_and(|o| o.stdout == b"installed")
}

fn has_libevent() -> bool {
    Path::new("/usr/include/event2/event.h").exists()
}

fn install(command: &str, package: &str) -> Result<(), String> {
    install_unless(|| find_command(command).is_some(), command, package)
}

fn install_unless(is_there: impl Fn() -> bool, what: &str, package: &str) -> Result<(), String> {
    if is_there() {
        return Ok(());
    }
    let _guard = install_lock()?;
    let apt_get = |arguments: &[&str]| {
        let command = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output();
        command.is_ok_and(|output| output.status.success())
    };
    let arguments = [
        "install",
        "-y",
        "--no-install-recommends",
        "--no-remove",
        package,
    ];
    // The list of packages may be older than the package.
    if is_there() || apt_get(&arguments) || (apt_get(&["update"]) && apt_get(&arguments)) {
        return Ok(());
    }
    Err(format!(
        "{what} is missing and {package} could not be installed"
    ))
}

/// An exclusive `flock` for as long as it lives.
pub struct FileLock(#[allow(dead_code)] File);

impl FileLock {
    /// Waits for the lock on `path`, which is created when it is missing.
    pub fn take(path: &Path) -> std::io::Result<Self> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        // SAFETY: the descriptor is open, and the call touches no memory of ours.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Self(file))
    }
}

/// Removes what earlier runs of this test kept because they failed.
fn remove_stale(runs: &Path, file_name: &str) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((test, pid)) = name.rsplit_once('.') {
            if test == file_name && !Path::new("/proc").join(pid).exists() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// In the test runner's process: starts the test, waits at most for its limit, and ends whatever is left of it.
fn outer(name: &str, limit: Duration, needs: &[Need]) -> Result<Completion, Failed> {
    let failed = |what: String| Failed::from(what);
    for need in needs {
        if let Err(reason) = provide(*need) {
            return Ok(Completion::ignored_with(format!(
                "skipped, because {reason}"
            )));
        }
    }
    let program = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
    let binary = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let binary = binary.split('-').next().unwrap_or("");
    let file_name: String = format!("{binary}-{name}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let runs = library::work_dir().join("run");
    remove_stale(&runs, &file_name);
    let scratch = runs.join(format!("{file_name}.{}", std::process::id()));
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).map_err(|e| failed(format!("{}: {e}", scratch.display())))?;
    let output = scratch.join("output.txt");
    let log = File::create(&output).map_err(|e| failed(format!("{}: {e}", output.display())))?;
    let log_too = log.try_clone().map_err(|e| failed(e.to_string()))?;
    let mut child = Command::new(program)
        .env(INNER, name)
        .env(SCRATCH, &scratch)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .process_group(0)
        .spawn()
        .map_err(|e| failed(format!("the test could not be started: {e}")))?;
    let ended = wait_within(&mut child, limit, true);
    mounts::clean_up_after(&scratch);
    cold::clean_up_after(&scratch);
    let said = fs::read(&output).map(|b| String::from_utf8_lossy(&b).into_owned());
    let said = said.unwrap_or_default();
    let Some(status) = ended else {
        return Err(failed(format!(
            "still running after {} s, its time limit\n{said}\n(kept: {})",
            limit.as_secs(),
            scratch.display()
        )));
    };
    match status.code() {
        Some(0) => {
            print!("{said}");
            let _ = fs::remove_dir_all(&scratch);
            Ok(Completion::Completed)
        }
        Some(SKIPPED) => {
            let _ = fs::remove_dir_all(&scratch);
            let reason = said.lines().last().unwrap_or("it said so").to_owned();
            println!("{reason}");
            Ok(Completion::ignored_with(reason))
        }
        _ => Err(failed(format!(
            "{said}\n{status}\n(kept: {})",
            scratch.display()
        ))),
    }
}

/// In the test's own process.
fn inner(name: &str, tests: Vec<Test>) -> ExitCode {
    let Some(test) = tests.into_iter().find(|test| test.name == name) else {
        eprintln!("no test is called {name}");
        return ExitCode::FAILURE;
    };
    match (test.body)() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Skip>() => {
            println!("{error}");
            ExitCode::from(SKIPPED as u8)
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The directory of the running test: empty when it starts, removed when it passed.
pub fn scratch() -> PathBuf {
    PathBuf::from(std::env::var_os(SCRATCH).expect("called from a test's body"))
}

/// Waits for `child` within `limit`; `None` when it had to be killed. With `group`, what is left of its process group
/// is killed too, before the leader is reaped and its number becomes free.
pub fn wait_within(child: &mut Child, limit: Duration, group: bool) -> Option<ExitStatus> {
    let pid = child.id() as libc::pid_t;
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    let mut in_time = true;
    while !has_ended(pid) {
        if Instant::now() >= deadline {
            in_time = false;
            break;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    // SAFETY: `child` is not reaped yet, so its number still names it, and its group where it leads one.
    unsafe {
        if group {
            libc::kill(-pid, libc::SIGKILL);
        } else if !in_time {
            libc::kill(pid, libc::SIGKILL);
        }
    }
    let status = child.wait().ok();
    status.filter(|_| in_time)
}

/// Whether a child of ours has ended, without reaping it.
fn has_ended(pid: libc::pid_t) -> bool {
    // SAFETY: `info` is a valid siginfo_t for the kernel to fill; all-zero is a valid value of it.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let result = libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, flags);
        result != 0 || info.si_pid() == pid
    }
}

/// How a process ended, in words that two runs can be compared by.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => format!("killed by signal {signal}"),
        _ => "ended".into(),
    }
}
