//! A C file server in every kind of registration and every way to read, driven cold over real sockets: all bodies right,
//! and the gate really used.

use anyhow::{bail, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{is_reset, request, Connection};
use laio_tests::library::{descriptors, fresh_dir};
use laio_tests::machine::{ending, wait_within};
use laio_tests::program::{compile, Build};
use laio_tests::stats::Stats;
use laio_tests::test::scratch;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, ChildStdout, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LENGTH: usize = 12_000;
const FILES: usize = 500;
const CONNECTIONS: usize = 16;

struct Served {
    child: Child,
    address: SocketAddr,
    _output: BufReader<ChildStdout>,
}

impl Served {
    fn start(root: &Path, options: &[&str], preload: &Preload) -> Result<Self> {
        let program = compile("file_server", Build::Program)?;
        let mut child = preload
            .command(&program)
            .arg(root)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(scratch().join("server.err"))?)
            .spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut port = String::new();
        output.read_line(&mut port)?;
        let port: u16 = port.trim().parse().context("the server's port")?;
        Ok(Self {
            child,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            _output: output,
        })
    }

    fn stop(mut self) -> Result {
        // SAFETY: a child of ours that was not reaped.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        let status = wait_within(&mut self.child, Duration::from_secs(20), false);
        let said = std::fs::read_to_string(scratch().join("server.err")).unwrap_or_default();
        match status.map(ending).as_deref() {
            Some("exit status 0") => Ok(()),
            Some(other) => bail!("the server ended with {other}\n{said}"),
            None => bail!("the server did not end on SIGTERM\n{said}"),
        }
    }
}

fn name(number: usize) -> String {
    format!("d{}/f{number}.html", number % 5)
}

/// Asks for each file of the range once, over several connections at once, in iterations of one and of three pipelined
/// requests. With `forgiving`, a connection that the server ended is opened anew: a server with chaos ends some.
fn drive(address: SocketAddr, files: Range<usize>, forgiving: bool) -> Result {
    let next = AtomicUsize::new(files.start);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| -> Result {
                    let mut connection = Connection::open(address)?;
                    loop {
                        let count = [1, 1, 1, 3][next.load(Ordering::Relaxed) % 4];
                        let first = next.fetch_add(count, Ordering::Relaxed);
                        let wanted: Vec<usize> = (first..first + count)
                            .filter(|n| files.contains(n))
                            .collect();
                        if wanted.is_empty() {
                            return Ok(());
                        }
                        while !ask(&mut connection, &wanted, forgiving)? {
                            connection = Connection::open(address)?;
                        }
                    }
                })
            })
            .collect();
        for client in clients {
            client
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        Ok(())
    })
}

/// False when the server ended the connection, which only chaos may do.
fn ask(connection: &mut Connection, wanted: &[usize], forgiving: bool) -> Result<bool> {
    let bytes: Vec<u8> = wanted
        .iter()
        .flat_map(|n| request("GET", &format!("/{}", name(*n)), "h", ""))
        .collect();
    match connection.send(&bytes) {
        Err(e) if forgiving && is_reset(&e) => return Ok(false),
        other => other?,
    }
    for number in wanted {
        let Some(response) = connection.response_if_any(false)? else {
            if forgiving {
                return Ok(false);
            }
            bail!(
                "the server ended the connection before it answered {}",
                name(*number)
            );
        };
        if response.status != 200 || response.body != docroot::content(&name(*number), LENGTH) {
            bail!(
                "{}: status {}, {} bytes, and they differ",
                name(*number),
                response.status,
                response.body.len()
            );
        }
    }
    Ok(true)
}

/// The requests that are not for a file, over one connection.
fn odds_and_ends(address: SocketAddr) -> Result {
    let mut connection = Connection::open(address)?;
    for target in ["/gone", "/d0/gone.html", "/d0"] {
        connection.send(&request("GET", target, "h", ""))?;
        let response = connection.response(false)?;
        if response.status != 404 || response.body != b"not here\n" {
            bail!("{target}: {response:?}");
        }
    }
    connection.send(&request("HEAD", &format!("/{}", name(0)), "h", ""))?;
    let response = connection.response(true)?;
    if response.header("content-length") != Some(&LENGTH.to_string()) {
        bail!("HEAD: {response:?}");
    }
    connection.dribble(&request(
        "GET",
        &format!("/{}", name(1)),
        "h",
        "X-Long: yes\r\n",
    ))?;
    if connection.response(false)?.body != docroot::content(&name(1), LENGTH) {
        bail!("a request that came byte by byte was answered with another body");
    }
    Ok(())
}

fn case(options: &[&str]) -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    for number in 0..FILES {
        docroot::write(&root, &name(number), LENGTH)?;
    }
    let chaotic = options.iter().any(|o| o.starts_with("chaos="));
    let forgiving = chaotic && !options.contains(&"chaos=move");

    disk.chill()?;
    let stock = Served::start(&root, options, &Preload::stock())?;
    drive(stock.address, 0..60, forgiving).context("without the library")?;
    if !chaotic {
        odds_and_ends(stock.address).context("without the library")?;
    }
    stock.stop().context("without the library")?;

    disk.chill()?;
    let dir = fresh_dir("stats")?;
    let preload = Preload::on()?.with("LAIO_STATS", dir.join("laio-%p.json"));
    let served = Served::start(&root, options, &preload)?;
    laio_tests::library::check_loaded(served.child.id())?;
    if options.contains(&"loops=threads") || options.contains(&"signals=waiting") {
        // These loops have a signal blocked for good: each begins to be helped after 64 waits.
        for _ in 0..100 {
            drive(served.address, 0..4, forgiving)?;
        }
    }
    let quiet = descriptors(served.child.id())?;
    drive(served.address, 0..FILES, forgiving)?;
    if !chaotic {
        odds_and_ends(served.address)?;
    }
    // The clients have gone; the server may need an iteration to notice.
    let mut after = descriptors(served.child.id())?;
    for _ in 0..200 {
        if after <= quiet + 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        after = descriptors(served.child.id())?;
    }
    served.stop()?;
    let stats = Stats::read(&dir)?;
    // Two more at most: the instances of epoll that a loop makes when it starts.
    if after > quiet + 2 {
        bail!("{quiet} descriptors before, {after} afterwards\n{stats}");
    }
    // A connection in two instances may pass through: there is no one wait that its readiness could be kept from.
    if !options.contains(&"loops=both") && (stats.gated() == 0 || stats.jobs() == 0) {
        bail!("no request was held back: this tested nothing\n{stats}");
    }
    Ok(())
}

/// Everything cached from the start, on the local disk: right bodies, with nothing to hold back.
fn warm() -> Result {
    let root = fresh_dir("documents")?;
    for number in 0..FILES {
        docroot::write(&root, &name(number), LENGTH)?;
    }
    let dir = fresh_dir("stats")?;
    let preload = Preload::on()?.with("LAIO_STATS", dir.join("laio-%p.json"));
    let served = Served::start(&root, &[], &preload)?;
    drive(served.address, 0..FILES, false)?;
    odds_and_ends(served.address)?;
    served.stop()?;
    let stats = Stats::read(&dir)?;
    if stats.straight() == 0 {
        bail!("the lanes were not counted\n{stats}");
    }
    // On a busy machine a call may stall all the same; from then on requests are looked at.
    if stats.gated() > 0 && stats.stalls() == 0 {
        bail!("warm files were held back\n{stats}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let cases: &'static [&'static [&'static str]] = &[
        // Without these, a request could be lost or answered twice in one kind of registration.
        &["mode=level"],
        &["mode=edge"],
        &["mode=oneshot"],
        &["mode=exclusive"],
        &["mode=edge", "maxevents=1"],
        // Without these, one way to take a request could bypass the gate, or take bytes that were only looked at.
        &["read=recv", "send=writev"],
        &["read=recvfrom", "mode=edge"],
        &["read=readv", "mode=oneshot"],
        &["read=recvmsg", "mode=edge", "send=sendfile"],
        &["read=read_chk", "maxevents=1"],
        &["read=recv_chk", "mode=exclusive", "send=sendfile"],
        // Without these, a connection that is read before it is registered anywhere could wait for ever.
        &["first=read", "mode=level"],
        &["first=read", "mode=edge"],
        &["first=read", "mode=exclusive", "read=recv"],
        // Without these, readiness could be reported to another instance, or thread, than the one that waits.
        &["loops=two"],
        &["loops=nested", "mode=edge"],
        &["loops=both"],
        &["loops=threads", "mode=edge"],
        &["wait=epoll_pwait"],
        &["wait=epoll_pwait2", "mode=oneshot"],
        // Without these, a loop that lets signals through only while it waits could be taken for a handler for ever.
        &["wait=epoll_pwait", "signals=waiting"],
        &["wait=epoll_pwait2", "signals=waiting", "mode=edge"],
        // Without these, a job's result could open the gate of another connection that has the number by now.
        &["chaos=close", "mode=edge"],
        &["chaos=close", "mode=level", "first=read"],
        &["chaos=move", "mode=level"],
        &["chaos=move", "mode=edge"],
        &["chaos=over", "mode=edge"],
        &["chaos=over", "mode=oneshot"],
    ];
    let mut tests: Vec<Test> = cases
        .iter()
        .map(|options| {
            Test::new(format!("cold: {}", options.join(" ")), move || {
                case(options)
            })
            .needs(Need::SlowDisk)
        })
        .collect();
    // Without it, warm requests could pay for what only cold ones need.
    tests.push(Test::new("warm", warm));
    run(tests)
}
