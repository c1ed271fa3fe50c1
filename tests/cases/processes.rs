//! Several loops, several processes, waits that no hook sees, and limits that are reached: each with and without the
//! library, on the disk at hand, where a request is held back for a moment, and on a slow one, where it lasts.

use anyhow::bail;
use laio_tests::cold::SlowDisk;
use laio_tests::library::fresh_dir;
use laio_tests::program::{compare, compile, observe_in, same_with_and_without, Build};
use laio_tests::stats::Stats;
use laio_tests::{run, Need, Preload, Result, Test};
use std::process::ExitCode;

fn on_a_slow_disk(name: &str) -> Result {
    let program = compile(name, Build::Program)?;
    let disk = SlowDisk::up()?;
    let stats = fresh_dir("stats")?;
    let run = |directory: &str, preload: &Preload| {
        let directory = disk.root().join(directory);
        std::fs::create_dir(&directory)?;
        observe_in(&directory, &program, &["engaged"], preload)
    };
    let stock = run("stock", &Preload::stock())?;
    let preload = Preload::on()?.with("LAIO_STATS", stats.join("laio-%p.json"));
    compare(&stock, &run("with", &preload)?, &preload)?;
    let stats = Stats::read(&stats)?;
    if stock.ending != "exit status 0" || stats.gated() == 0 {
        bail!("{}, and {} requests held back", stock.ending, stats.gated());
    }
    Ok(())
}

fn main() -> ExitCode {
    let programs = [
        // Without it, loops could mix up each other's connections, or one that moves or is copied could be lost between them.
        "several_loops",
        // Without it, a connection that another process has as well could be lost between the two.
        "several_processes",
        // Without it, a wake-up could be lost where the library sees only one half of registering and waiting.
        "raw_waits",
        // Without it, workers, CGI programs and daemons could wait for threads of another process.
        "workers",
    ];
    let mut tests = Vec::new();
    for name in programs {
        for state in ["idle", "engaged"] {
            tests.push(Test::new(format!("{name} {state}"), move || {
                same_with_and_without(&compile(name, Build::Program)?, &[state])
            }));
        }
        let slow = Test::new(format!("{name} on a slow disk"), move || {
            on_a_slow_disk(name)
        });
        tests.push(slow.needs(Need::SlowDisk).limit(90));
    }
    for part in [
        // Without these, a look at a file could take the last descriptor, or keep it.
        "descriptors_before",
        "descriptors_after",
        // Without these, a request could wait for threads that cannot be had.
        "threads_before",
        "threads_after",
        // Without these, a process that is short of memory could be ended by an allocation of ours.
        "memory_before",
        "memory_after",
    ] {
        let limited = Test::new(part, move || {
            same_with_and_without(&compile("limits", Build::Program)?, &["engaged", part])
        });
        tests.push(limited.needs(Need::Root).limit(120));
    }
    run(tests)
}
