//! The dangerous moments: hooks called early, late, in handlers, in children, on small stacks; and everything that a
//! server may do to a connection while its request is held back.

use anyhow::bail;
use laio_tests::cold::SlowDisk;
use laio_tests::library::fresh_dir;
use laio_tests::program::{compare, compile, observe, same_with_and_without, Build};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::path::Path;
use std::process::ExitCode;

/// A program that is compared with and without the library, in both states.
fn both_states(name: &'static str) -> Vec<Test> {
    ["idle", "engaged"]
        .into_iter()
        .map(|state| {
            Test::new(format!("{name} {state}"), move || {
                same_with_and_without(&compile(name, Build::Program)?, &[state])
            })
        })
        .collect()
}

/// The same where the library only observes, which takes more of a stack than to act.
fn observed(program: &Path, state: &str) -> Result {
    let preload = Preload::mode("observe")?;
    let stock = observe(program, &[state], &Preload::stock())?;
    compare(&stock, &observe(program, &[state], &preload)?, &preload)
}

/// A handler may jump out of the library's own allocation. From then on the library does nothing, and writes no counters: then once
/// more.
fn jumps(state: &'static str) -> Result {
    const TIMES: usize = 6;
    let program = compile("jumps", Build::Program)?;
    let run = || same_with_and_without(&program, &[state]);
    let wrote = |result: &Result| {
        let error = result.as_ref().err().map(|error| format!("{error:#}"));
        !error.is_some_and(|text| text.contains("no process wrote its counters"))
    };
    let mut runs = std::iter::repeat_with(run).take(TIMES - 1);
    runs.find(wrote).unwrap_or_else(run)
}

/// Another preloaded library whose constructors and destructors make calls, before liblaio in the list and after it.
fn with_another_library(before: bool, state: &str) -> Result {
    let program = compile("early_or_late", Build::Program)?;
    let other = compile("early", Build::Library)?;
    let arguments = [state];
    let stock = observe(
        &program,
        &arguments,
        &Preload::stock().with_library(&other, false),
    )?;
    if !String::from_utf8_lossy(&stock.stdout).starts_with("preinit")
        || stock.ending != "exit status 0"
    {
        bail!(
            "the program itself: {}\n{}",
            stock.ending,
            String::from_utf8_lossy(&stock.stderr)
        );
    }
    for mode in ["on", "off", "observe"] {
        let preload = Preload::mode(mode)?.with_library(&other, before);
        compare(&stock, &observe(&program, &arguments, &preload)?, &preload)?;
    }
    Ok(())
}

/// A library that comes with dlopen and goes with dlclose.
fn loaded_later(state: &str) -> Result {
    let program = compile("loaded_later", Build::Program)?;
    let other = compile("early", Build::Library)?;
    let arguments = [state];
    let stock = observe(
        &program,
        &arguments,
        &Preload::stock().with("LATE_LIBRARY", &other),
    )?;
    for mode in ["on", "off", "observe"] {
        let preload = Preload::mode(mode)?.with("LATE_LIBRARY", &other);
        compare(&stock, &observe(&program, &arguments, &preload)?, &preload)?;
    }
    Ok(())
}

/// What happens to a connection while its request is held back, on a disk where holding back lasts.
fn while_gated(program: &str, moment: &str, way: &str) -> Result {
    const FILES: usize = 120;
    let program = compile(program, Build::Program)?;
    let disk = SlowDisk::up()?;
    let documents = disk.root().join("documents");
    for number in 0..FILES {
        docroot::write(&documents, &format!("moment-{number}.html"), 6000)?;
    }
    docroot::write(&documents, "body.html", 3_000_000)?;
    let run = |preload: &Preload| -> Result<_> {
        disk.chill()?;
        let path = documents.to_string_lossy().into_owned();
        let observed = observe(&program, &["idle", &path, moment, "0", way], preload)?;
        let gated = std::fs::read_to_string(laio_tests::test::scratch().join("work/gated"))
            .unwrap_or_default();
        Ok((observed, gated.trim() == "1"))
    };
    let (stock, _) = run(&Preload::stock())?;
    if stock.ending != "exit status 0" {
        bail!(
            "the program itself: {}\n{}",
            stock.ending,
            String::from_utf8_lossy(&stock.stderr)
        );
    }
    let stats = fresh_dir("stats")?;
    let preload = Preload::on()?.with("LAIO_STATS", stats.join("laio-%p.json"));
    let (observed, gated) = run(&preload)?;
    let counted = read_if_any(&stats);
    compare(&stock, &observed, &preload)
        .map_err(|e| e.context(format!("gated: {gated}, {counted}")))?;
    if !gated {
        bail!("the request was not held back, so that this moment was not tested; the counters: {counted}");
    }
    Ok(())
}

/// Where helpers start without a stall, by a pinned rule.
fn pinned(name: &str) -> Result {
    let program = compile(name, Build::Program)?;
    let stock = observe(&program, &[], &Preload::stock())?;
    let preload = Preload::on()?.with("LAIO_MAP", "/=/nowhere/");
    compare(&stock, &observe(&program, &[], &preload)?, &preload)
}

fn read_if_any(dir: &Path) -> String {
    Stats::read(dir).map_or_else(|e| e.to_string(), |s| s.to_string())
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    // Without it, a hook before the constructors or after exit began would find a library that is not ready, or no more.
    tests.extend(both_states("early_or_late"));
    // Without it, a handler that interrupts a hook could deadlock on the library's locks, or corrupt its state.
    tests.extend(both_states("in_handlers"));
    // Without it, a handler could wait for the lock of a connection that its own thread holds.
    tests.extend(both_states("handler_calls"));
    // Without it, what a handler has jumped out of could stay locked for ever, or a request be held back for ever.
    for state in ["idle", "engaged"] {
        tests.push(Test::new(format!("jumps {state}"), move || jumps(state)));
    }
    // Without it, a wait in a handler that has interrupted `malloc` could start threads in the middle of that.
    tests.push(Test::new("handler_polls", || pinned("handler_polls")));
    // Without it, a child could wait for helpers that only its parent has, or a vfork child could undo what its parent
    // knows.
    tests.extend(both_states("children"));
    // Without it, a descriptor of the library's could live on in a program that the process becomes.
    tests.extend(both_states("exec_self"));
    // Without it, a large local in a hook would overflow the small stacks that some programs give their threads.
    tests.extend(both_states("small_stacks"));
    for state in ["idle", "engaged"] {
        tests.push(Test::new(
            format!("small_stacks observed {state}"),
            move || observed(&compile("small_stacks", Build::Program)?, state),
        ));
    }
    // Without it, the forced unwinding of a cancelled thread could abort in a Rust frame of a hook.
    tests.extend(both_states("cancelled"));
    // Without it, a table by descriptor could be too short, or a close of everything could close what helpers use.
    tests.extend(both_states("many_descriptors"));
    for state in ["idle", "engaged"] {
        for before in [false, true] {
            let order = if before { "before" } else { "after" };
            // Without it, the library could depend on its place among other interposers.
            tests.push(Test::new(
                format!("another library {order} it, {state}"),
                move || with_another_library(before, state),
            ));
        }
        // Without it, dlopen and dlclose could meet a lock that a hook holds, or a stale pointer.
        tests.push(Test::new(format!("loaded_later {state}"), move || {
            loaded_later(state)
        }));
    }
    // Without it, a helper's copy of the descriptor table could keep open for a moment what the program has closed.
    tests.push(Test::new("released", || pinned("released")));
    // Without it, a loop that starts its threads in a `select` could have that refused for a number beyond the table.
    tests.push(Test::new("beyond_table", || pinned("beyond_table")));
    for part in ["identity", "jail", "filtered", "own_table"] {
        // Without it, helpers could keep the user that the process gave up, or the loop could hang once calls are denied.
        tests.push(
            Test::new(format!("sandboxed {part}"), move || {
                same_with_and_without(&compile("sandboxed", Build::Program)?, &["engaged", part])
            })
            .needs(Need::Root),
        );
    }
    tests.extend(while_gated_in_epoll());
    tests.extend(while_gated_in_poll());
    run(tests)
}

/// Each program, and its moments.
type Programs<'a> = &'a [(&'static str, &'a [&'static str])];

/// What a server that waits in `epoll_wait` may do while its request is held back.
fn while_gated_in_epoll() -> Vec<Test> {
    let programs: Programs = &[
        (
            "gated_connections",
            &[
                // Without these, a result that comes late could reach a descriptor that means something else by now.
                "closed",
                "reused",
                "dup2_over",
                "moved",
                "all_closed",
                // Without these, a client that leaves could be held on to for ever.
                "reset_by_client",
                "half_closed",
                // Without these, a server that does not wait, or changes to blocking, would never see its request.
                "spinning",
                "made_blocking",
                "made_blocking_by_ioctl",
                "looked_at",
                // Without these, bytes that arrive while the gate is closed could be forgotten: no second edge comes for them.
                "more_arrives",
                "by_bytes",
                // Without it, a lock on a file could outlive the server's having it open.
                "lock_released",
            ],
        ),
        (
            "gated_registrations",
            &[
                // Without these, an interest that the server changes while it is masked could be lost, or come back wrong.
                "deleted_and_added",
                "modified",
                "refused",
                "not_interested",
                "instance_closed",
                "second_instance",
                "instance_renamed",
                "instance_by_alias",
                // Without it, two threads could be told of one event that the application has asked for once.
                "one_event_by_alias",
                "one_event_by_message",
                // Without it, what a signal handler has asked for could be replaced by what was asked for before.
                "changed_in_handler",
            ],
        ),
        (
            "gated_processes",
            &[
                // Without these, a child could wait for a gate that only its parent's helpers can open.
                "forked",
                "served_by_child",
                // Without these, a read could be refused that a child or another thread was told would succeed.
                "waited_for_by_child",
                "waited_for_by_thread",
                // Without these, a request could wait for threads that have left before the process gave up a right.
                "restricted",
                "restricted_beside",
                "filtered",
                // Without these, a request could be held back for ever from the program that a server becomes, or from the
                // server itself where it does not.
                "executed",
                "executed_with_a_list",
                "execution_refused",
                // Without it, what the child of a vfork closes could be forgotten by its parent.
                "vforked",
            ],
        ),
        (
            "gated_waits",
            &[
                // Without it, giving readiness back could need a number that is not to be had.
                "no_number_left",
                // Without it, a server that waits in ways that no hook sees would not be told.
                "signalled",
                // Without these, a wait could return early, late or for nothing while gates open.
                "timeouts",
                "interrupted",
                "many_at_once",
            ],
        ),
    ];
    let mut tests = Vec::new();
    for &(program, moments) in programs {
        for &moment in moments {
            let name = format!("while gated: {moment}");
            let test = Test::new(name, move || while_gated(program, moment, "epoll"));
            tests.push(test.needs(Need::SlowDisk));
        }
    }
    tests
}

/// The same of one that waits in `poll` or `select`, in each way.
fn while_gated_in_poll() -> Vec<Test> {
    let programs: Programs = &[
        (
            "poll_gated_connections",
            &[
                // Without it, a request that is held back could stay so.
                "waited_for",
                // Without these, a result that comes late could reach a descriptor that means something else by now.
                "closed",
                "reused",
                "dup2_over",
                "moved",
                "doubled",
                // Without these, a client that leaves could be held on to, or its end be missed.
                "reset_by_client",
                "half_closed",
                "shut_down",
                "more_arrives",
                // Without these, a loop could spin on, or sleep over, what another one holds back.
                "by_another_thread",
                "taken_beside",
                // Without it, a wait could sleep although the next part of a body is there.
                "body",
            ],
        ),
        (
            "poll_gated_arguments",
            &[
                // Without these, what the kernel refuses could end the process, or what it ignores be refused.
                "bad_arguments",
                "stale_numbers",
                // Without it, what another thread opens meanwhile could be closed as if it were the library's.
                "numbers_taken",
            ],
        ),
        (
            "poll_gated_interrupted",
            &[
                // Without it, a signal could end no wait.
                "interrupted",
                // Without these, a descriptor of the library's could stay where its wait was left by another way.
                "jumped_out",
                "forked_in_handler",
                "forked_all_the_time",
                "cancelled",
                "cancelled_at_once",
            ],
        ),
    ];
    let mut tests = Vec::new();
    for &(program, moments) in programs {
        for &moment in moments {
            for way in ["poll", "ppoll", "select", "pselect"] {
                let name = format!("while gated in {way}: {moment}");
                let test = Test::new(name, move || while_gated(program, moment, way));
                tests.push(test.needs(Need::SlowDisk));
            }
        }
    }
    tests
}
