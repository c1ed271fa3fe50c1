//! Real servers confined as service managers and container runtimes confine them: all answers are right, nobody is killed,
//! the library helps as far as it may, and says once where it may not.

use anyhow::{ensure, Context as _};
use laio_tests::cold_site::ColdSite;
use laio_tests::library::fresh_dir;
use laio_tests::sandbox::{sandboxed, system_service, Refusal};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::test::scratch;
use laio_tests::{library, run, Need, Preload, Result, Test};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode};

/// A nobody.
const NOBODY: u32 = 65534;

/// Somebody without any process.
const LONER: u32 = 64999;

/// How a server is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `SystemCallFilter=@system-service`.
    SystemService(Refusal),
    /// The same, `User=nobody`, and `SystemCallFilter=~@privileged @resources`.
    Unprivileged(Refusal),
    /// A container with the runtimes' default profile and capabilities.
    Container,
    /// Other settings that a careful unit has.
    Unit,
    /// Namespaces of its own, and a `/proc` that is not there.
    WithoutProc,
    /// One that is empty.
    EmptyProc,
    /// The one of the namespace that it was made in.
    OuterProc,
    /// One of a namespace that is none of its own.
    ForeignProc,
    /// No other thread can be made.
    NoThreads,
    /// There are few descriptors.
    FewDescriptors,
    /// There are few addresses.
    LittleMemory,
}

impl Place {
    /// What has to be said there.
    fn says(self) -> Option<&'static str> {
        match self {
            Place::WithoutProc | Place::EmptyProc | Place::ForeignProc => Some("there is no /proc"),
            _ => None,
        }
    }

    /// Whether requests are held back there, and bodies.
    fn is_helped(self) -> bool {
        self != Place::NoThreads
    }

    fn needs(self) -> &'static [Need] {
        const BWRAP: Need = Need::Command("bwrap", "bubblewrap");
        const SECCOMP: Need = Need::Package("python3-seccomp");
        match self {
            Place::Container => &[
                BWRAP,
                SECCOMP,
                Need::Package("golang-github-containers-common"),
            ],
            Place::Unit => &[BWRAP, SECCOMP],
            Place::WithoutProc | Place::EmptyProc | Place::OuterProc | Place::ForeignProc => {
                &[BWRAP]
            }
            _ => &[],
        }
    }

    /// A command that runs the program there.
    fn command(self, preload: &Preload, program: &Path, documents: &Path) -> Result<Command> {
        let all = |what: &[&str]| what.iter().map(Into::into).collect::<Vec<OsString>>();
        let filtered = |refusal, with_privileges| {
            let allowed = system_service(with_privileges);
            let user = (!with_privileges).then_some(NOBODY);
            sandboxed(preload, program, refusal, ["allow", &allowed], user)
        };
        let mut line = match self {
            Place::SystemService(refusal) => return filtered(refusal, true),
            Place::Unprivileged(refusal) => return filtered(refusal, false),
            Place::Container => {
                let profile = "/usr/share/containers/seccomp.json";
                let mut line = bwrap(documents, Some(&["container", profile]))?;
                line.extend(all(&["--proc", "/proc", "--cap-drop", "ALL"]));
                for capability in CAPABILITIES.split_whitespace() {
                    line.extend(all(&["--cap-add", capability]));
                }
                line
            }
            Place::Unit => {
                let mut line = bwrap(documents, Some(&["unit"]))?;
                line.extend(all(&["--proc", "/proc", "--"]));
                line.extend(user(NOBODY));
                line
            }
            Place::WithoutProc => bwrap(documents, None)?,
            Place::EmptyProc => {
                let mut line = bwrap(documents, None)?;
                line.extend(all(&["--tmpfs", "/proc"]));
                line
            }
            Place::OuterProc => {
                let mut line = bwrap(documents, None)?;
                line.extend(all(&["--ro-bind", "/proc", "/proc"]));
                line
            }
            Place::ForeignProc => {
                let others = fresh_dir("proc")?;
                // Other tests' disks would be in use as long as this lasts.
                let script = "for at in $(cut -d' ' -f2 /proc/mounts | grep '/laio-slow\\.'); do
                                  [ \"$at\" = \"$1\" ] || umount -l \"$at\"
                              done
                              shift
                              unshare --pid --fork mount -t proc proc \"$0\" && exec \"$@\"";
                let mut line = all(&["unshare", "--mount", "sh", "-c", script]);
                line.extend([others.clone().into(), documents.into()]);
                line.extend(bwrap(documents, None)?);
                line.extend([OsString::from("--ro-bind"), others.into(), "/proc".into()]);
                line
            }
            Place::NoThreads => {
                let mut line = user(LONER);
                line.extend(all(&["prlimit", "--nproc=1"]));
                line
            }
            Place::FewDescriptors => {
                let mut line = user(NOBODY);
                line.extend(all(&["prlimit", "--nofile=100"]));
                line
            }
            Place::LittleMemory => all(&["prlimit", "--as=100000000"]),
        };
        line.push("env".into());
        if !preload.libraries.is_empty() {
            line.push(format!("LD_PRELOAD={}", preload.ld_preload()).into());
        }
        let mut command = Preload::stock().command(Path::new(&line[0]));
        command.args(&line[1..]).arg(program);
        command.envs(&preload.variables);
        Ok(command)
    }
}

/// What container runtimes leave to a container.
const CAPABILITIES: &str = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_NET_BIND_SERVICE CAP_SETFCAP CAP_SETGID \
    CAP_SETPCAP CAP_SETUID CAP_SYS_CHROOT";

/// What comes before a command that is to run as this user.
fn user(number: u32) -> Vec<OsString> {
    let number = number.to_string();
    let line = [
        "setpriv",
        "--reuid",
        &number,
        "--regid",
        &number,
        "--clear-groups",
    ];
    line.iter().map(Into::into).collect()
}

/// Namespaces of its own, nothing to be written but for a private `/tmp` and the test's own directory, and this filter.
fn bwrap(documents: &Path, filter: Option<&[&str]>) -> Result<Vec<OsString>> {
    let mut line: Vec<OsString> = Vec::new();
    if let Some(arguments) = filter {
        let file = fresh_dir("filter")?.join("code");
        let made = Command::new("/usr/bin/python3")
            .arg(library::workspace().join("tests/programs/filters.py"))
            .args(arguments)
            .stdout(File::create(&file)?)
            .output()?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "filters.py: {said}");
        line.extend(["sh", "-c", "exec \"$@\" 9<\"$0\""].map(Into::into));
        line.push(file.into());
    }
    let fixed =
        "bwrap --die-with-parent --unshare-pid --unshare-ipc --unshare-uts --dev /dev --tmpfs /tmp";
    line.extend(fixed.split_whitespace().map(Into::into));
    // Else nobody but root could go through them. The workspace may be below `/tmp` itself.
    let workspace = library::workspace();
    let of_tmp = |path: &&Path| path.starts_with("/tmp");
    let mut directories: Vec<_> = workspace.ancestors().filter(of_tmp).collect();
    directories.reverse();
    directories.extend(documents.parent());
    for directory in &directories {
        line.extend(["--dir".into(), directory.as_os_str().into()]);
    }
    let mut show = |how: &str, from: &Path, at: &Path| {
        line.extend([how.into(), from.into(), at.into()]);
    };
    for entry in fs::read_dir("/")? {
        let path = entry?.path();
        if let Ok(target) = fs::read_link(&path) {
            show("--symlink", &target, &path);
        } else if path.is_dir() && !["/dev", "/proc", "/tmp"].map(Path::new).contains(&&*path) {
            show("--ro-bind", &path, &path);
        }
    }
    if workspace.starts_with("/tmp") {
        show("--ro-bind", &workspace, &workspace);
    }
    show("--ro-bind", documents, documents);
    show("--bind", &scratch(), &scratch());
    show("--ro-bind", &library::path()?, &library::path()?);
    if filter.is_some() {
        line.extend(["--seccomp", "9"].map(Into::into));
    }
    Ok(line)
}

/// The process of the server itself, behind those that make its place.
fn innermost(mut pid: u32) -> Result<u32> {
    loop {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"))?;
        if !matches!(name.trim_end(), "sh" | "bwrap" | "unshare") {
            return Ok(pid);
        }
        pid = *children(pid)?.first().context("the server is not there")?;
    }
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    list.split_whitespace().map(|n| Ok(n.parse()?)).collect()
}

/// Cold files, small and large.
fn serves(kind: Kind, place: Place) -> Result {
    let site = ColdSite::up()?;
    site.chill()?;
    let root = site.root();
    let command = |preload: &Preload, program: &Path| {
        place
            .command(preload, program, &root)
            .unwrap_or_else(|error| {
                eprintln!("{error:#}");
                Command::new("false")
            })
    };
    let config = Config::default();
    let server = Server::start_with(kind, &config, &root, &Preload::on()?, command)?;
    site.visit(server.address)?;
    let pid = innermost(server.pid())?;
    // It is there still.
    let serving = match kind {
        Kind::Nginx => children(pid)?,
        _ => vec![pid],
    };
    let stats = Stats::of(&serving)?;
    let signal = match kind {
        Kind::Asyncio => libc::SIGINT,
        _ => libc::SIGTERM,
    };
    let log = server.stop(pid, signal)?.log;
    ensure!(!log.contains("exited on signal"), "{log}");
    let said: Vec<_> = log
        .lines()
        .filter(|line| line.starts_with("liblaio"))
        .collect();
    let is_said = match place.says() {
        Some(text) => matches!(said[..], [line] if line.contains(text)),
        None => said.is_empty(),
    };
    ensure!(is_said, "said: {said:?}\n{log}");
    let held = (stats.gated() > 0, stats.sum("/lanes/body_gate") > 0);
    // asyncio sends a body while its connection is registered nowhere.
    let has_bodies = kind != Kind::Asyncio;
    let expected = (place.is_helped(), place.is_helped() && has_bodies);
    ensure!(held == expected, "held back: {held:?}\n{stats}");
    let are_refused = stats.sum("/jobs/paths_refused") > 0;
    ensure!(
        are_refused == place.says().is_some(),
        "helpers were refused: {are_refused}\n{stats}"
    );
    Ok(())
}

fn main() -> ExitCode {
    use Kind::{Asyncio, H2o, Lighttpd, Nginx};
    const EPERM: Refusal = Refusal::Errno(libc::EPERM);
    let tests = [
        // Without these, a server could be killed for a call of the library's, or its answers be others where one is refused.
        (
            Place::SystemService(Refusal::Kill),
            &[Nginx, Lighttpd, H2o, Asyncio][..],
        ),
        (Place::SystemService(EPERM), &[Nginx, Lighttpd]),
        (
            Place::Unprivileged(Refusal::Kill),
            &[Nginx, Lighttpd, H2o, Asyncio],
        ),
        (Place::Unprivileged(EPERM), &[Nginx, Lighttpd]),
        (Place::Container, &[Nginx, Lighttpd, H2o, Asyncio]),
        // Without it, memory that is to be executed, a call that makes a namespace, or a place to write could be wanted.
        (Place::Unit, &[Nginx, Lighttpd, H2o, Asyncio]),
        // Without these, a body could hang, or another process's files be taken for the server's.
        (Place::WithoutProc, &[Nginx]),
        (Place::EmptyProc, &[Nginx, Lighttpd]),
        (Place::OuterProc, &[Nginx, Lighttpd]),
        (Place::ForeignProc, &[Nginx]),
        // Without these, a server that has just what it needs could lack it.
        (Place::NoThreads, &[Lighttpd]),
        (Place::FewDescriptors, &[Nginx, Lighttpd]),
        (Place::LittleMemory, &[Nginx, Lighttpd]),
    ];
    let tests = tests.into_iter().flat_map(|(place, kinds)| {
        kinds.iter().map(move |&kind| {
            let name = match kind {
                Asyncio => "asyncio",
                _ => kind.command(),
            };
            let test = Test::new(format!("{name}, {place:?}"), move || serves(kind, place));
            let needs = [Need::Root, kind.need(), Need::SlowDisk];
            let needs = needs.iter().chain(place.needs());
            needs.fold(test, |test, need| test.needs(*need))
        })
    });
    run(tests.collect())
}
