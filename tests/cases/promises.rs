//! What an application may count on: a call that was reported ready succeeds, the first write of an answer is taken, and so is
//! memory that did not come from a file. Programs that treat the contrary as the end of a connection are run with and without
//! the library, on a disk where requests are held back for a while.

use anyhow::bail;
use laio_tests::cold::SlowDisk;
use laio_tests::library::fresh_dir;
use laio_tests::program::{compare, compile, observe, Build, Observed};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Documents on a slow disk.
struct Documents {
    disk: SlowDisk,
    root: PathBuf,
}

impl Documents {
    fn write(count: usize, length: usize) -> Result<Self> {
        let disk = SlowDisk::up()?;
        let root = disk.root().join("documents");
        (0..count).try_for_each(|n| docroot::write(&root, &format!("f{n}.html"), length))?;
        Ok(Self { disk, root })
    }

    /// Runs a program over them, all of them cold. The counters are those of a run with the library.
    fn observe(
        &self,
        program: &Path,
        arguments: &[&str],
        preload: &Preload,
    ) -> Result<(Observed, Option<Stats>)> {
        self.disk.chill()?;
        let root = self.root.to_string_lossy().into_owned();
        let arguments: Vec<_> = std::iter::once(&*root)
            .chain(arguments.iter().copied())
            .collect();
        if preload.is_stock() {
            return Ok((observe(program, &arguments, preload)?, None));
        }
        let stats = fresh_dir("stats")?;
        let preload = preload
            .clone()
            .with("LAIO_STATS", stats.join("laio-%p.json"));
        let observed = observe(program, &arguments, &preload)?;
        Ok((observed, Some(Stats::read(&stats)?)))
    }

    /// Compares a program with and without the library: with a rule that is known from the beginning, and with one that is learnt.
    /// The counters must show what was to be tested; they know whether the rule was `pinned`.
    fn compare(
        &self,
        program: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
        tested: impl Fn(&Stats, bool) -> bool,
    ) -> Result {
        let program = compile(program, Build::Program)?;
        let (stock, _) = self.observe(&program, arguments, &Preload::stock())?;
        if stock.ending != "exit status 0" {
            bail!(
                "the program itself: {}\n{}{}",
                stock.ending,
                String::from_utf8_lossy(&stock.stdout),
                String::from_utf8_lossy(&stock.stderr)
            );
        }
        let mut learnt = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
        for (name, value) in settings {
            learnt = learnt.with(name, value);
        }
        learnt.name = "the library, with what it learns".into();
        let mut pinned = learnt
            .clone()
            .with("LAIO_MAP", format!("/={}/", self.root.display()));
        pinned.name = "the library, with a pinned rule".into();
        for (preload, is_pinned) in [(pinned, true), (learnt, false)] {
            let (observed, stats) = self.observe(&program, arguments, &preload)?;
            let stats = stats.unwrap_or_default();
            compare(&stock, &observed, &preload).map_err(|e| e.context(format!("{stats}")))?;
            if !tested(&stats, is_pinned) {
                bail!("{}: this tested nothing\n{stats}", preload.name);
            }
            println!("{}: {stats}", preload.name);
        }
        print!("{}", String::from_utf8_lossy(&stock.stdout));
        Ok(())
    }
}

/// Several clients of a server that closes a connection whose reading brings nothing although it was reported ready.
fn reported_ready(way: &str) -> Result {
    let documents = Documents::write(100, 6000)?;
    let tested = |stats: &Stats, _| stats.gated() >= 20;
    documents.compare("reported_ready", &[way, "0"], &[], tested)
}

/// Several clients of a server that counts on each transfer that was reported possible.
fn reported_writable(way: &str) -> Result {
    let documents = Documents::write(12, 1_500_000)?;
    let tested = |stats: &Stats, _| stats.gated() > 0 && stats.sum("/lanes/body_gate") > 0;
    // A server that maps files has sixteen windows brought in at once.
    let settings = [("LAIO_WINDOW", "16384")];
    documents.compare("reported_writable", &[way], &settings, tested)
}

/// A server that counts on its writes.
fn writes(
    what: &str,
    count: usize,
    length: usize,
    window: &str,
    settings: &[(&str, &str)],
) -> Result {
    let documents = Documents::write(count, length.max(600_000))?;
    let length = length.to_string();
    let settings: Vec<_> = settings
        .iter()
        .copied()
        .chain([("LAIO_WINDOW", window)])
        .collect();
    // One answer is over before anything is learnt of it.
    let tested = |stats: &Stats, pinned: bool| !pinned || stats.gated() > 0;
    documents.compare("first_writes", &[what, &length], &settings, tested)
}

/// A loop whose registrations are made by io_uring.
fn registered_by_ring() -> Result {
    let documents = Documents::write(60, 6000)?;
    // To hold nothing back is right here as well.
    documents.compare("ring_registered", &[], &[], |_, _| true)
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for way in [
        "epoll",
        "epoll-edge",
        "epoll-oneshot",
        "poll",
        "ppoll",
        "select",
        "pselect",
    ] {
        // Without these, servers that take a read without a byte for the end of a connection would lose requests: EventMachine
        // and what is built on it, CPython's asyncore, waitress.
        tests.push(
            Test::new(format!("reported ready: {way}"), move || {
                reported_ready(way)
            })
            .needs(Need::SlowDisk)
            .limit(120),
        );
        // Without these, a wait could report room for a body whose next bytes are not there: the transfer would be refused.
        tests.push(
            Test::new(format!("reported writable: {way}"), move || {
                reported_writable(way)
            })
            .needs(Need::SlowDisk)
            .limit(120),
        );
    }
    let mut writing = |name: &'static str, body: fn() -> Result| {
        tests.push(Test::new(name, body).needs(Need::SlowDisk).limit(120));
    };
    // Without it, a server that gives up an answer whose first write is refused would drop it, as nginx's image filter does.
    writing("first write of an answer", || {
        writes("first", 22, 600_000, "65536", &[])
    });
    // Without it, what a server has made itself would be taken for the bytes of the file that it has read before.
    writing("memory that is not the file's", || {
        writes("other", 22, 600_000, "65536", &[])
    });
    // Without these, a body that is sent in small pieces would be deferred at each of them.
    writing("bodies in small pieces", || {
        writes("pieces", 22, 48 * 1024, "262144", &[("LAIO_WARM_MS", "0")])
    });
    writing("a long body in small pieces", || {
        writes("pieces", 1, 1_200_000, "262144", &[("LAIO_WARM_MS", "0")])
    });
    // Without it, a loop like that of libuv would spin while a request is held back.
    writing("registered by io_uring", registered_by_ring);
    run(tests)
}
