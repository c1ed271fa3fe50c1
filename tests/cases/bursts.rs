//! Many clients whose requests come at once: when nothing has ever been cold and there are no helpers, and where all is in memory.

use anyhow::bail;
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::library::fresh_dir;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::process::ExitCode;
use std::time::Duration;

const CLIENTS: usize = 40;
const LENGTH: usize = 10_000;

fn name(number: usize) -> String {
    format!("f{number}.html")
}

/// Asks for one file each, over these connections, or over others where there are none.
fn send<C>(clients: &mut Vec<Connection>, connect: impl Fn() -> C) -> Result
where
    C: Iterator<Item = Result<Connection>>,
{
    if clients.is_empty() {
        *clients = connect().collect::<Result<_>>()?;
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&request("GET", &format!("/{}", name(number)), "h", ""))?;
    }
    Ok(())
}

fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_none_or(|(_, state)| state.starts_with('T'))
}

/// Stops a server while something is done, so that one turn brings it all.
fn while_stopped<T>(serving: &[u32], act: impl FnOnce() -> T) -> T {
    let signal = |signal| {
        // SAFETY: a signal to processes that this test has started.
        serving.iter().for_each(|&pid| unsafe {
            libc::kill(pid as i32, signal);
        });
    };
    signal(libc::SIGSTOP);
    // A stop takes a moment to arrive.
    while !serving.iter().all(|&pid| is_stopped(pid)) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let done = act();
    signal(libc::SIGCONT);
    done
}

fn receive(clients: &mut [Connection]) -> Result {
    for (number, client) in clients.iter_mut().enumerate() {
        let response = client.response(false)?;
        if response.status != 200 || response.body != docroot::content(&name(number), LENGTH) {
            bail!(
                "{}: status {}, or it differs",
                name(number),
                response.status
            );
        }
    }
    Ok(())
}

/// One turn brings them all: the server is stopped while they arrive, before it has had any client or when it has
/// accepted these.
fn burst(kind: Kind, has_accepted: bool) -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    (0..CLIENTS).try_for_each(|n| docroot::write(&root, &name(n), LENGTH))?;
    disk.chill()?;
    let config = Config::default();
    let preload = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
    let server = match has_accepted {
        true => Server::start(kind, &config, &root, &preload)?,
        false => Server::start_untouched(kind, &config, &root, &preload)?,
    };
    let serving = server.settled(kind, &config)?;
    let connect = || (0..CLIENTS).map(|_| Connection::open(server.address));
    let mut clients: Vec<_> = match has_accepted {
        true => connect().collect::<Result<_>>()?,
        false => Vec::new(),
    };
    // It waits.
    std::thread::sleep(Duration::from_millis(500));
    while_stopped(&serving, || send(&mut clients, connect))?;
    receive(&mut clients)?;
    let stats = Stats::of(&serving)?;
    // The first one stalls by its name, and by its data; what they share is a directory's block or two. Two are told of
    // at once.
    let stalls = stats.stalls();
    println!("{stalls} stalls\n{stats}");
    if stalls > 6 || stats.gated() < CLIENTS as u64 / 2 {
        bail!("the turn went on although it stalled\n{stats}");
    }
    Ok(())
}

/// Many more in one turn than requests are remembered, again and again, and all is in memory: each file is asked about once or twice.
fn in_memory(kind: Kind) -> Result {
    const CLIENTS: usize = 240;
    const ROUNDS: usize = 12;
    let root = fresh_dir("documents")?;
    (0..CLIENTS).try_for_each(|n| docroot::write(&root, &name(n), LENGTH))?;
    let config = Config::default();
    let rule = format!("/={}/", root.display());
    let preload = Preload::on()?
        .with("LAIO_MAP", rule)
        .with("LAIO_BREAK_EVEN_US", "0");
    let server = Server::start(kind, &config, &root, &preload)?;
    let serving = server.settled(kind, &config)?;
    let connect = || (0..CLIENTS).map(|_| Connection::open(server.address));
    let mut clients = connect().collect::<Result<_>>()?;
    for _ in 0..ROUNDS {
        while_stopped(&serving, || send(&mut clients, connect))?;
        receive(&mut clients)?;
        // What helpers have brought in is known for two seconds.
        std::thread::sleep(Duration::from_millis(400));
    }
    let stats = Stats::of(&serving)?;
    let (probes, repeated) = (stats.sum("/jobs/probes"), stats.sum("/reasons/repeated"));
    println!("{probes} probes, {repeated} repeated\n{stats}");
    if probes as usize > 3 * CLIENTS / 2 || (repeated as usize) < ROUNDS / 2 * CLIENTS {
        bail!("files that are served all the time are asked about again and again: {probes} times\n{stats}");
    }
    Ok(())
}

fn main() -> ExitCode {
    // Without these, a server that is started while its clients wait would serve them one disk read after the other.
    let kinds = [
        Kind::Nginx,
        Kind::Lighttpd,
        Kind::H2o,
        Kind::Webfs,
        Kind::Selectors("poll"),
        Kind::Selectors("select"),
        Kind::Selectors("epoll"),
    ];
    let mut tests = Vec::new();
    for kind in kinds {
        for (name, has_accepted) in [("at once", false), ("of clients that wait", true)] {
            tests.push(
                Test::new(format!("burst {name}: {kind:?}"), move || {
                    burst(kind, has_accepted)
                })
                .needs(Need::SlowDisk)
                .needs(kind.need())
                .limit(60),
            );
        }
    }
    for kind in [Kind::Nginx, Kind::Lighttpd, Kind::H2o] {
        tests.push(
            Test::new(format!("burst in memory: {kind:?}"), move || {
                in_memory(kind)
            })
            .needs(kind.need())
            .limit(60),
        );
    }
    run(tests)
}
