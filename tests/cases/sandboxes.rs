//! What the library calls itself: it is within what a service may call, and what a filter refuses is done without, and said
//! once.

use anyhow::{ensure, Context as _};
use laio_tests::library::fresh_dir;
use laio_tests::program::{compare, compile, observe_command, Build, Observed};
use laio_tests::sandbox::{names, numbers, sandboxed, Refusal, SYSTEM_SERVICE};
use laio_tests::trace::Trace;
use laio_tests::{run, skip, Need, Preload, Result, Test};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

/// The library's threads call nothing else, whatever they are asked for.
fn threads_call_what_is_allowed() -> Result {
    let program = compile("sandboxed_loop", Build::Program)?;
    let options = ["-f", "-Y", "-qq", "-e", "signal=none"];
    let calls = Trace::of(&program, &["engaged"], &Preload::on()?, &options)?.calls;
    let ours = calls.iter().filter(|call| call.comm.starts_with("laio-"));
    let made: BTreeSet<&str> = ours.map(|call| call.name.as_str()).collect();
    if made.is_empty() {
        return skip("nothing is cold on this file system, so that there were no helpers");
    }
    let allowed = names(SYSTEM_SERVICE);
    // The tracer has no name for a call that the end of the process has interrupted.
    let others: Vec<_> = made
        .difference(&allowed)
        .filter(|name| **name != "???")
        .collect();
    ensure!(others.is_empty(), "not in @system-service: {others:?}");
    ensure!(made.contains("openat2"), "helpers did nothing: {made:?}");
    Ok(())
}

/// The program behind a filter that refuses one call, with the library or without.
fn refused(denied: &str, errno: i32, preload: &Preload) -> Result<Observed> {
    let program = compile("sandboxed_loop", Build::Program)?;
    let mut command = sandboxed(
        preload,
        &program,
        Refusal::Errno(errno),
        ["deny", denied],
        None,
    )?;
    command.arg("engaged");
    observe_command(&fresh_dir("work")?, command)
}

/// One call of the library's is refused: same answers, and one line about it, if anything is lost by that.
fn without(call: &str, says: bool) -> Result {
    let number = numbers([call]);
    if number.is_empty() {
        return skip(format!("there is no {call} on this machine"));
    }
    for errno in [libc::EPERM, libc::ENOSYS] {
        // Where there is no new kind of `clone`, the C library takes the old one.
        let says = says && (call != "clone3" || errno == libc::EPERM);
        denied(&number, errno, says.then_some("is refused"))
            .with_context(|| format!("{call} is refused by {errno}"))?;
    }
    Ok(())
}

/// A kernel that has a call of the library's, and does not know a flag of it.
fn flag_unknown(call: &str, condition: &str, errno: i32, said: Option<&str>) -> Result {
    denied(&(numbers([call]) + condition), errno, said)
}

/// The program with and without, where some calls answer with this errno: same answers, and either one line or none.
fn denied(list: &str, errno: i32, says: Option<&str>) -> Result {
    let stock = refused(list, errno, &Preload::stock())?;
    let preload = Preload::on()?;
    let with = refused(list, errno, &preload)?;
    let said = String::from_utf8_lossy(&with.stderr).into_owned();
    let (ours, rest): (Vec<_>, Vec<_>) =
        said.lines().partition(|line| line.starts_with("liblaio: "));
    let is_right = match (says, &ours[..]) {
        (Some(wanted), [line]) => line.contains(wanted),
        (None, []) => true,
        _ => false,
    };
    ensure!(is_right, "{says:?} and not {said:?}");
    let rest: String = rest.iter().map(|line| format!("{line}\n")).collect();
    let with = Observed {
        stderr: rest.into_bytes(),
        ..with
    };
    compare(&stock, &with, &preload)
}

/// A container without `/proc`, or with an empty one: everything works, and what does not is said once.
fn without_proc() -> Result {
    let program = compile("sandboxed_loop", Build::Program)?;
    let run = |preload: &Preload| -> Result<Observed> {
        let mut command = Preload::stock().command(Path::new("unshare"));
        command.args(["-m", "sh", "-c"]);
        command.arg("mount -t tmpfs none /proc && LD_PRELOAD=$SANDBOX_PRELOAD exec \"$0\" engaged");
        command.arg(&program).envs(&preload.variables);
        command.env("SANDBOX_PRELOAD", preload.ld_preload());
        observe_command(&fresh_dir("work")?, command)
    };
    let stock = run(&Preload::stock())?;
    ensure!(
        stock.ending == "exit status 0",
        "the program itself: {}\n{}",
        stock.ending,
        String::from_utf8_lossy(&stock.stderr)
    );
    let preload = Preload::on()?;
    let with = run(&preload)?;
    let said = String::from_utf8_lossy(&with.stderr).into_owned();
    let lines: Vec<_> = said.lines().collect();
    ensure!(
        matches!(lines[..], [line] if line.contains("there is no /proc")),
        "{said:?}"
    );
    let with = Observed {
        stderr: Vec::new(),
        ..with
    };
    compare(&stock, &with, &preload)
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    // Without it, a call that the servers of `confined_servers.rs` do not lead to could be outside of the set.
    tests.push(
        Test::new("threads call what is allowed", threads_call_what_is_allowed)
            .needs(Need::Command("strace", "strace")),
    );
    // Without these, a sandbox could change answers, or take the library's effect away without a word.
    for (call, says) in [
        ("openat2", true),
        ("preadv2", true),
        ("statx", true),
        ("close_range", true),
        ("getrusage", true),
        ("madvise", true),
        ("fstatfs", true),
        ("sendfile", true),
        ("dup3", true),
        ("fcntl", true),
        ("prctl", true),
        ("clone3", true),
        // Nothing is lost, or the program itself is refused it just there.
        ("clone", false),
        ("statfs", false),
        ("prlimit64", false),
        ("rt_sigprocmask", false),
        ("pidfd_open", false),
        ("pidfd_getfd", false),
        ("readlink", false),
        ("readlinkat", false),
        ("getpid", false),
        ("gettid", false),
        ("sched_yield", false),
        ("nanosleep", false),
        ("clock_nanosleep", false),
        ("getsockopt", false),
        ("setsockopt", false),
        ("fstat", false),
        ("ppoll", false),
        ("munmap", false),
        ("ftruncate", false),
        ("geteuid", false),
        ("set_robust_list", false),
        ("rseq", false),
    ] {
        let test = Test::new(format!("{call} refused"), move || without(call, says));
        tests.push(test);
    }
    // Without these, the same could happen on a kernel that is older than a flag. What `openat2` is asked for lies in
    // memory, where a filter cannot look.
    for (call, condition, errno, said) in [
        (
            "openat2",
            "",
            libc::EINVAL,
            Some("RESOLVE_CACHED is unknown"),
        ),
        (
            "madvise",
            ":2:22",
            libc::EINVAL,
            Some("MADV_POPULATE_READ is unknown"),
        ),
        // As a file system answers that cannot say what is in memory.
        ("preadv2", ":5:8", libc::EOPNOTSUPP, None),
    ] {
        let name = format!("{call}{condition} unknown to the kernel");
        tests.push(Test::new(name, move || {
            flag_unknown(call, condition, errno, said)
        }));
    }
    // Without it, a body could hang, or not be helped without a word, where a container has no `/proc`.
    tests.push(Test::new("without proc", without_proc).needs(Need::Root));
    run(tests)
}
