//! The switches: off means off, `LAIO_ONLY` means only, observing changes nothing, and the counters tell what it did.

use anyhow::{bail, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::library::{self, fresh_dir, threads};
use laio_tests::program::{compile, observe, Build};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::trace::Trace;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode};

const LENGTH: usize = 5000;

fn name(number: usize) -> String {
    format!("f{number}.html")
}

/// Serves `count` files of a cold document root with lighttpd, one after the other over one connection, and hands the
/// running server to `look` before it ends.
fn lighttpd(
    preload: &Preload,
    count: usize,
    look: impl Fn(&Server) -> Result,
) -> Result<laio_tests::server::Ended> {
    let disk = SlowDisk::up()?;
    for number in 0..count {
        docroot::write(&disk.root(), &name(number), LENGTH)?;
    }
    disk.chill()?;
    let server = Server::start(Kind::Lighttpd, &Config::default(), &disk.root(), preload)?;
    get(server.address, count)?;
    look(&server)?;
    let pid = server.pid();
    server.stop(pid, libc::SIGTERM)
}

fn get(address: SocketAddr, count: usize) -> Result {
    let mut connection = Connection::open(address)?;
    for number in 0..count {
        connection.send(&request("GET", &format!("/{}", name(number)), "h", ""))?;
        let response = connection.response(false)?;
        if response.body != docroot::content(&name(number), LENGTH) {
            bail!("{}: another body", name(number));
        }
    }
    Ok(())
}

fn no_helpers(server: &Server) -> Result {
    let threads = threads(server.pid())?;
    if threads.len() != 1 {
        bail!("threads: {threads:?}");
    }
    Ok(())
}

fn off() -> Result {
    let ended = lighttpd(&Preload::mode("off")?, 60, no_helpers)?;
    // A library that is off may write no counters at all; those that it writes are zero.
    if let Some(stats) = ended.stats {
        if stats.straight() + stats.gated() + stats.stalls() + stats.jobs() > 0 {
            bail!("something was counted\n{stats}");
        }
    }
    Ok(())
}

fn observing() -> Result {
    let ended = lighttpd(&Preload::mode("observe")?, 100, |_| Ok(()))?;
    let stats = ended.stats.context("no counters were written")?;
    if stats.gated() > 0 || stats.jobs() > 0 {
        bail!("observing held a request back\n{stats}");
    }
    if stats.stalls() == 0 {
        bail!("one hundred cold files, and no stall was counted\n{stats}");
    }
    Ok(())
}

fn acting() -> Result {
    let ended = lighttpd(&Preload::on()?, 100, |server| {
        let threads = threads(server.pid())?;
        if !threads.iter().any(|(_, name)| name.starts_with("laio-")) {
            bail!("no helper is there, or it has no name: {threads:?}");
        }
        Ok(())
    })?;
    let stats = ended.stats.context("no counters were written")?;
    if stats.gated() == 0 {
        bail!("no request was held back\n{stats}");
    }
    let file = &stats.files[0];
    if file["program"] != "lighttpd" || file["mode"] != "on" {
        bail!("who wrote this? {stats}");
    }
    Ok(())
}

fn only(list: &str, acts: bool) -> Result {
    let ended = lighttpd(&Preload::on()?.with("LAIO_ONLY", list), 100, |_| Ok(()))?;
    let gated = ended.stats.as_ref().map_or(0, Stats::gated);
    if (gated > 0) != acts {
        bail!("LAIO_ONLY={list}: {gated} requests were held back");
    }
    Ok(())
}

/// A value that means nothing is reported, and everything works.
fn nonsense() -> Result {
    let preload = Preload::on()?
        .with("LAIO_THREADS", "many")
        .with("LAIO_WINDOW", "-5")
        .with("LAIO_WARM_MS", "18446744073709551616")
        .with("LAIO_ARMED_MS", "")
        .with("LAIO_MAP", "nonsense")
        .with("LAIO_LOG", "warn");
    let ended = lighttpd(&preload, 60, |_| Ok(()))?;
    for variable in ["LAIO_THREADS", "LAIO_WINDOW", "LAIO_WARM_MS"] {
        let times = ended.log.matches(variable).count();
        if times != 1 {
            bail!("{variable} was reported {times} times\n{}", ended.log);
        }
    }
    Ok(())
}

/// Whatever the tuning, the answers are right.
fn extremes() -> Result {
    for (variable, value) in [
        ("LAIO_THREADS", "1"),
        ("LAIO_WINDOW", "4096"),
        ("LAIO_WARM_MS", "0"),
        ("LAIO_ARMED_MS", "0"),
        ("LAIO_MAP", "/=/nowhere/"),
        ("LAIO_LOG", "trace"),
    ] {
        let preload = Preload::on()?.with(variable, value);
        lighttpd(&preload, 40, |_| Ok(())).with_context(|| format!("{variable}={value}"))?;
    }
    Ok(())
}

/// The system calls between two marks (`getppid`), names and results, of a program that serves files.
fn calls_between_marks(preload: &Preload, program: &Path, state: &str) -> Result<Vec<String>> {
    let options = ["-f", "-qq", "-e", "signal=none"];
    let calls = Trace::of(program, &[state], preload, &options)?.calls;
    let marks: Vec<_> = (0..calls.len())
        .filter(|i| calls[*i].name == "getppid")
        .collect();
    let [first, .., last] = marks[..] else {
        bail!("no marks in the trace")
    };
    Ok(calls[first + 1..last]
        .iter()
        .map(|c| format!("{} = {}", c.name, c.result))
        .collect())
}

/// With everything cached and nothing ever cold, and with the switch off: the very same calls as without the library.
fn same_calls(mode: &str) -> Result {
    let program = compile("marked", Build::Program)?;
    let stock = calls_between_marks(&Preload::stock(), &program, "idle")?;
    if stock.len() < 100 {
        bail!("only {} calls between the marks", stock.len());
    }
    let with = calls_between_marks(&Preload::mode(mode)?, &program, "idle")?;
    for (number, (a, b)) in stock.iter().zip(&with).enumerate() {
        if a != b {
            bail!("call {number}: stock {a}, LAIO={mode} {b}");
        }
    }
    if stock.len() != with.len() {
        bail!(
            "stock makes {} calls, LAIO={mode} {}",
            stock.len(),
            with.len()
        );
    }
    Ok(())
}

/// An event loop on which nothing is cold makes the very same calls as without the library, but for the loop's memory, and
/// questions where a call took long: has it waited (`getrusage`), and where for half a millisecond, for a disk that counts no
/// blocks (`statfs`)? Under a tracer each takes long; the library soon asks seldom.
fn warm_loop_pays_nothing(state: &str) -> Result {
    // `marked` serves this many requests between the marks.
    const REQUESTS: usize = 200;
    let program = compile("marked", Build::Program)?;
    let stock = calls_between_marks(&Preload::stock(), &program, state)?;
    let (own, with): (Vec<_>, Vec<_>) = calls_between_marks(&Preload::on()?, &program, state)?
        .into_iter()
        .partition(|call| {
            [
                "getrusage ",
                "statfs ",
                "fstatfs ",
                "mmap ",
                "munmap ",
                "sigaltstack ",
                "rt_sigprocmask ",
            ]
            .iter()
            .any(|own| call.starts_with(own))
        });
    if with.len() != stock.len() {
        let differs = with.iter().zip(&stock).find(|(a, b)| a != b);
        bail!(
            "{REQUESTS} cached requests take {} calls, and {} without the library: {differs:?}",
            with.len(),
            stock.len()
        );
    }
    if own.len() > REQUESTS / 4 {
        bail!(
            "{REQUESTS} cached requests, and {} calls of the library's own",
            own.len()
        );
    }
    Ok(())
}

/// `laio stats --json PID` for a live process.
fn live_statistics() -> Result {
    lighttpd(&Preload::on()?, 100, |server| {
        let output = Command::new(library::command()?)
            .args(["stats", "--json"])
            .arg(server.pid().to_string())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || !text.contains("request_gate") {
            bail!(
                "{}: {text}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    })
    .map(|_| ())
}

/// The counters at exit, where the process ends in other ways than `return` from `main`, and where they cannot be written.
fn statistics_file() -> Result {
    let program = compile("early_or_late", Build::Program)?;
    let dir = fresh_dir("stats")?;
    observe(
        &program,
        &["engaged"],
        &Preload::on()?.with("LAIO_STATS", dir.join("laio-%p.json")),
    )?;
    let stats = Stats::read(&dir)?;
    for file in &stats.files {
        if file["pid"].as_u64().is_none() || file["stalls"].as_array().is_none() {
            bail!("a part of the counters is missing: {file}");
        }
    }
    let nowhere = Preload::on()?.with("LAIO_STATS", "/nowhere/laio-%p.json");
    let stock = observe(&program, &["engaged"], &Preload::stock())?;
    let with = observe(&program, &["engaged"], &nowhere)?;
    if stock.stdout != with.stdout || stock.ending != with.ending {
        bail!(
            "a file that cannot be written changed the program: {}",
            with.ending
        );
    }
    Ok(())
}

/// A loop that writes through to a slow disk: counted with its path, beside the stalls and not as one.
fn ungated_calls(mode: &str) -> Result {
    let program = compile("ungated_calls", Build::Program)?;
    let disk = SlowDisk::up()?;
    let dir = fresh_dir("stats")?;
    let preload = Preload::mode(mode)?.with("LAIO_STATS", dir.join("laio-%p.json"));
    let root = disk.root().to_string_lossy().into_owned();
    let ended = observe(&program, &[&root], &preload)?;
    if ended.ending != "exit status 0" {
        bail!(
            "{}\n{}",
            ended.ending,
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    let stats = Stats::read(&dir)?;
    let file = &stats.files[0];
    let journal = format!("{root}/journal");
    let rows = |list: &str| file[list].as_array().cloned().unwrap_or_default();
    let is_sync =
        |row: &serde_json::Value| row["call"] == "fsync" && row["path"] == journal.as_str();
    if !rows("ungated_calls").iter().any(is_sync) {
        bail!("no fsync of {journal} among the ungated calls\n{stats}");
    }
    let count = stats.sum("/lanes/ungated_call");
    if count == 0 || stats.sum("/ungated_time_ns") == 0 {
        bail!("ungated calls were listed and not counted\n{stats}");
    }
    if rows("stalls")
        .iter()
        .any(|row| row["path"] == journal.as_str())
    {
        bail!("a write was taken for a stall\n{stats}");
    }
    Ok(())
}

fn main() -> ExitCode {
    run(vec![
        // Without it, the kill switch could still gate, count, or start threads.
        Test::new("off: no thread, no count", off).needs(Need::SlowDisk),
        // Without it, off could still cost a system call.
        Test::new("off: the same system calls", || same_calls("off"))
            .needs(Need::Command("strace", "strace")),
        // Without it, a program that is no event loop could pay for being one.
        Test::new("idle: the same system calls", || same_calls("on"))
            .needs(Need::Command("strace", "strace")),
        // Without it, a server on which everything is cached could pay for looking at requests.
        Test::new("warm loop: no system call more", || {
            warm_loop_pays_nothing("loop")
        })
        .needs(Need::Command("strace", "strace")),
        Test::new("warm loop in select: no system call more", || {
            warm_loop_pays_nothing("select")
        })
        .needs(Need::Command("strace", "strace")),
        // Without it, measuring could change what is measured.
        Test::new("observe: counts, and holds nothing back", observing).needs(Need::SlowDisk),
        // Without it, the comparisons above could pass because the library never acts.
        Test::new("on: acts, with named helpers", acting).needs(Need::SlowDisk),
        // Without these, the library could act in programs that were not meant, such as CGI programs.
        Test::new("LAIO_ONLY names another program", || {
            only("nginx,redis-server", false)
        })
        .needs(Need::SlowDisk),
        Test::new("LAIO_ONLY names this program", || {
            only("nginx,lighttpd", true)
        })
        .needs(Need::SlowDisk),
        // Without it, a typing error could end a server, or be passed over in silence.
        Test::new("values that mean nothing", nonsense).needs(Need::SlowDisk),
        // Without it, a tuning that nobody tried could end in a wrong answer.
        Test::new("extreme values", extremes).needs(Need::SlowDisk),
        // Without it, nobody could look into a server that runs.
        Test::new("statistics of a live process", live_statistics).needs(Need::SlowDisk),
        // Without these, a server that waits for its own writes could look as if nothing held it up, or as if the library
        // had failed.
        Test::new("ungated calls are shown", || ungated_calls("on")).needs(Need::SlowDisk),
        Test::new("ungated calls are shown by observing", || {
            ungated_calls("observe")
        })
        .needs(Need::SlowDisk),
        // Without it, the counters could be lost at exit, or failing to write them could do harm.
        Test::new("statistics file", statistics_file),
    ])
}
