//! A process that gives up rights while it serves: the library's threads must not keep what the process has given up.
//! Proven from a trace of their system calls.

use anyhow::{bail, Context as _};
use laio_tests::program::{compile, same_with_and_without, Build};
use laio_tests::trace::{Call, Trace};
use laio_tests::{run, skip, Need, Preload, Result, Test};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// What the library does after a restriction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// Starts other threads, which are as restricted as the loop.
    StartsAnew,
    /// Nothing.
    Sleeps,
}

fn has_landlock() -> bool {
    const VERSION: libc::c_uint = 1;
    // SAFETY: asks for the version; no memory is touched.
    unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0,
            VERSION,
        ) > 0
    }
}

fn helpers(calls: &[Call]) -> BTreeSet<u32> {
    let named = calls.iter().filter(|call| call.comm.starts_with("laio-"));
    named.map(|call| call.tid).collect()
}

fn restricted(how: &str, afterwards: Afterwards) -> Result {
    if how == "landlock" && !has_landlock() {
        return skip("this kernel has no Landlock");
    }
    let program = compile("restricted", Build::Program)?;
    same_with_and_without(&program, &["engaged", how])?;

    let options = ["-f", "-Y", "-qq", "-e", "signal=none"];
    let calls = Trace::of(&program, &["engaged", how], &Preload::on()?, &options)?.calls;
    let mark = calls.iter().position(|call| call.name == "getppid");
    let (before, after) = calls.split_at(mark.context("no mark in the trace")?);
    let unrestricted = helpers(before);
    if unrestricted.is_empty() {
        return skip("nothing is cold on this file system, so that there were no helpers");
    }
    if let Some(call) = after.iter().find(|call| unrestricted.contains(&call.tid)) {
        bail!("a thread of before is still there: {call:?}");
    }
    let new = helpers(after);
    let opened = |call: &&Call| new.contains(&call.tid) && call.name == "openat2";
    let opens = after.iter().filter(opened).count();
    match afterwards {
        Afterwards::StartsAnew if opens == 0 => bail!("no request was held back afterwards"),
        Afterwards::Sleeps if !new.is_empty() => bail!("threads were started behind a filter"),
        _ => Ok(()),
    }
}

fn main() -> ExitCode {
    use Afterwards::{Sleeps, StartsAnew};
    let ways = [
        // Without these, a server that has locked itself in could be made to read by a thread that is not.
        ("landlock", StartsAnew),
        ("capabilities", StartsAnew),
        ("raw_user", StartsAnew),
        ("file_system_user", StartsAnew),
        ("root_of_its_own", StartsAnew),
        ("mount_namespace", StartsAnew),
        ("entered", StartsAnew),
        // Without these, a call that only a process with one thread can make would fail.
        ("user_namespace", StartsAnew),
        ("raw_user_namespace", StartsAnew),
        // Without it, readiness would be given back in a table that the server has left.
        ("descriptor_table", StartsAnew),
        // Without these, a call of the library's that the filter does not know would end the server.
        ("filter", Sleeps),
        ("filter_by_number", Sleeps),
        ("filter_for_all", Sleeps),
        ("filter_by_raw_prctl", Sleeps),
        // Without it, asking for a feature could put the library to sleep.
        ("asked", StartsAnew),
        // Without it, threads could be dismissed from under a loop that hands them work.
        ("by_another_thread", StartsAnew),
    ];
    let mut tests: Vec<Test> = ways
        .into_iter()
        .map(|(how, afterwards)| {
            Test::new(how, move || restricted(how, afterwards))
                .needs(Need::Root)
                .needs(Need::Command("strace", "strace"))
        })
        .collect();
    for how in [
        // Without it, a child that restricts itself could send its parent's threads away, or put it to sleep.
        "in_a_child",
        // Without it, threads that come and go could miss each other.
        "again_and_again",
        // Without it, two loops that send each other's threads away could wait for each other.
        "all_at_once",
    ] {
        tests.push(Test::new(how, move || {
            same_with_and_without(&compile("restricted", Build::Program)?, &["engaged", how])
        }));
    }
    run(tests)
}
