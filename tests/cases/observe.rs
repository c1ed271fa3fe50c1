//! What `laio observe` finds is what was there: stalls of each kind that are put into a program, and none of calls that are
//! fast; and what real servers wait for, with the right verdict.

use anyhow::{ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::program::{compile, Build};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::test::scratch;
use laio_tests::{docroot, library, run, Need, Preload, Result, Test};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// How many stalls of each kind are put in.
const EACH: u64 = 100;

/// A resolver that takes its time: another loopback address, so that one that is there is left alone.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 1);

fn main() -> ExitCode {
    run(vec![
        // Without these, somebody would look for what blocks a program in the wrong place, or be told that nothing does.
        Test::new("stalls that were put in are found and named", injected)
            .needs(Need::Root)
            .needs(Need::SlowDisk)
            .limit(300),
        Test::new("fast calls are no stalls", fast).limit(120),
        server(Kind::Nginx),
        server(Kind::Lighttpd),
        server(Kind::Tornado),
        Test::new("node", node)
            .needs(Need::SlowDisk)
            .needs(Need::Command("node", "nodejs"))
            .limit(180),
        Test::new("redis", redis)
            .needs(Need::SlowDisk)
            .needs(Need::Command("redis-server", "redis-server"))
            .limit(180),
    ])
}

fn server(kind: Kind) -> Test {
    Test::new(format!("{kind:?}"), move || serve(kind))
        .needs(Need::SlowDisk)
        .needs(kind.need())
        .limit(180)
}

/// The program that does what it is told, under `laio observe`.
struct Injected {
    child: Child,
    connection: BufReader<TcpStream>,
}

impl Injected {
    fn start(prefix: &str) -> Result<Injected> {
        let program = compile("injected", Build::Program)?;
        let observe = format!(
            "exec {} observe --json --library {} -- {}",
            library::command()?.display(),
            library::path()?.display(),
            program.display()
        );
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", &format!("{prefix}{observe}")])
            .current_dir(scratch())
            .stdout(Stdio::piped())
            .spawn()?;
        let port = scratch().join("port");
        for _ in 0..600 {
            if port.exists() {
                break;
            }
            sleep(Duration::from_millis(50));
        }
        let port: u16 = fs::read_to_string(port)
            .context("it does not listen")?
            .trim()
            .parse()?;
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        connection.set_nodelay(true)?;
        Ok(Injected {
            child,
            connection: BufReader::new(connection),
        })
    }

    /// Has it do something; returns whether it has slept, and how many page faults have read something.
    fn act(&mut self, operation: &str, path: &str) -> Result<(u64, u64)> {
        // No line that names a file, with its tab: with one the gate could help.
        let line = format!("{operation}\t{path}\n");
        self.connection.get_mut().write_all(line.as_bytes())?;
        let mut line = String::new();
        self.connection.read_line(&mut line)?;
        let (slept, faults) = line.trim().split_once(' ').context("it has ended")?;
        Ok((slept.parse()?, faults.parse()?))
    }

    /// Ends it; returns what was found.
    fn end(self) -> Result<Value> {
        drop(self.connection);
        found(self.child)
    }
}

/// What was found, when the observer has ended.
fn found(observer: Child) -> Result<Value> {
    let output = observer.wait_with_output()?;
    ensure!(output.status.success(), "it failed: {:?}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Tells an observer that it is enough.
fn interrupt(observer: &Child) {
    // SAFETY: a number, of a child that was not waited for.
    unsafe { libc::kill(observer.id().cast_signed(), libc::SIGTERM) };
}

fn sum(facts: &Value, call: &str) -> u64 {
    let calls = facts["calls"].as_array().into_iter().flatten();
    let mut those = calls.filter(|sum| sum["call"] == call);
    those
        .next()
        .and_then(|sum| sum["count"].as_u64())
        .unwrap_or(0)
}

fn injected() -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root();
    fs::write(root.join("large"), vec![7; 64 << 20])?;
    for number in 0..EACH {
        for kind in ["open", "stat"] {
            // Each in a directory of its own: their inodes are in other blocks.
            let directory = root.join(format!("{kind}/{number}"));
            fs::create_dir_all(&directory)?;
            fs::write(directory.join("file"), "x")?;
        }
    }
    disk.chill()?;
    let _resolver = slow_resolver()?;
    fs::write(
        scratch().join("resolv.conf"),
        format!("nameserver {RESOLVER}\noptions timeout:2\n"),
    )?;
    let mount = "mount --bind resolv.conf /etc/resolv.conf && ";
    let mut program = Injected::start(mount)?;
    let at = |path: &str| root.join(path).display().to_string();
    program.act("prepare", &at("large"))?;
    let mut expected = Vec::new();
    for kind in [
        "open",
        "stat",
        "pread",
        "page_fault",
        "fsync",
        "getaddrinfo",
        "elsewhere",
    ] {
        let mut stalls = 0;
        for number in 0..EACH {
            let path = match kind {
                "open" | "stat" => at(&format!("{kind}/{number}/file")),
                "fsync" => at("changed"),
                "getaddrinfo" => format!("host{number}.example."),
                _ => String::new(),
            };
            let (slept, faults) = program.act(kind, &path)?;
            stalls += if kind == "page_fault" { faults } else { slept };
        }
        expected.push((kind, stalls));
    }
    let facts = program.end()?;
    let mut failed = Vec::new();
    for (kind, stalls) in expected {
        let found = sum(&facts, kind);
        println!("{kind}: {found} found of {stalls} injected");
        // What `prepare` and the first `fsync` open is there as well.
        let most = stalls + if kind == "open" { 2 } else { 0 };
        if stalls < EACH * 9 / 10 || found * 100 < stalls * 99 || found > most {
            failed.push(format!("{kind}: {found} of {stalls}"));
        }
    }
    ensure!(failed.is_empty(), "{failed:?}: {facts:#}");
    let named = |call: &str| {
        let files = facts["files"].as_array().into_iter().flatten();
        let mut those = files.filter(|file| file["call"] == call);
        those
            .next()
            .and_then(|file| file["path"].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    ensure!(named("pread") == at("large"), "{facts:#}");
    ensure!(named("fsync") == at("changed"), "{facts:#}");
    ensure!(named("getaddrinfo").ends_with(".example."), "{facts:#}");
    ensure!(
        facts["mapped"] == serde_json::json!([at("large")]),
        "{facts:#}"
    );
    let stacks = facts["stacks"].as_array().context("no stacks")?;
    let is_named = |stack: &Value| {
        stack["call"] == "fsync" && stack["functions"].to_string().contains("\"serve\"")
    };
    ensure!(stacks.iter().any(is_named), "{facts:#}");
    ensure!(
        facts["verdict"]["word"] == "useless",
        "{}",
        facts["verdict"]
    );
    Ok(())
}

/// Answers each question after some 20 ms: there is no such name.
fn slow_resolver() -> Result<std::thread::JoinHandle<()>> {
    let socket = UdpSocket::bind((RESOLVER, 53))?;
    Ok(std::thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut message) {
            sleep(Duration::from_millis(20));
            message[2..4].copy_from_slice(&[0x81, 0x83]);
            let _ = socket.send_to(&message[..length], client);
        }
    }))
}

/// A million calls that find everything in memory, beside a program that wants the processor as well.
fn fast() -> Result {
    let mut program = Injected::start("")?;
    let mut other = Command::new("sh")
        .args(["-c", "while :; do :; done"])
        .spawn()?;
    let acted = (0..1000).try_for_each(|_| program.act("fast", "").map(|_| ()));
    other.kill()?;
    other.wait()?;
    acted?;
    let facts = program.end()?;
    println!("false stalls: {}, in 10^6 calls", facts["stalls"]);
    ensure!(
        facts["stalls"] == 0 && facts["verdict"]["word"] == "leave_off",
        "{facts:#}"
    );
    Ok(())
}

/// Cold documents, so few that each has its row in the lists.
const DOCUMENTS: usize = 15;

fn documents(disk: &SlowDisk) -> Result<PathBuf> {
    let root = disk.root().join("documents");
    (0..DOCUMENTS).try_for_each(|n| docroot::write(&root, &format!("f{n}.bin"), 60_000))?;
    disk.chill()?;
    Ok(root)
}

/// Asks for each document once.
fn ask(address: SocketAddr) -> Result {
    let mut connection = Connection::open(address)?;
    for number in 0..DOCUMENTS {
        let name = format!("f{number}.bin");
        connection.send(&request("GET", &format!("/{name}"), "h", ""))?;
        let answer = connection.response(false)?;
        ensure!(
            answer.body == docroot::content(&name, 60_000),
            "{name}: another body"
        );
    }
    Ok(())
}

/// Each document is named, nothing else of them is, and the gate would help, as the verdict says.
fn all_are_named(facts: &Value, root: &Path) -> Result {
    let files = facts["files"].as_array().context("no files")?;
    let named = |number: &usize| {
        let path = root.join(format!("f{number}.bin")).display().to_string();
        files.iter().any(|file| file["path"] == path)
    };
    let found = (0..DOCUMENTS).filter(named).count();
    println!(
        "{found} documents named of {DOCUMENTS}, {} stalls",
        facts["stalls"]
    );
    ensure!(found == DOCUMENTS, "{facts:#}");
    ensure!(facts["verdict"]["word"] == "enable", "{facts:#}");
    let worst = &facts["worst"][0];
    let target = worst["target"].as_str().unwrap_or_default();
    ensure!(target.ends_with(".bin"), "{facts:#}");
    Ok(())
}

/// A server that runs already.
fn serve(kind: Kind) -> Result {
    let disk = SlowDisk::up()?;
    let root = documents(&disk)?;
    let server = Server::start(kind, &Config::default(), &root, &Preload::mode("observe")?)?;
    let pids = server.settled(kind, &Config::default())?;
    let mut observer = Command::new(library::command()?);
    observer.args(["observe", "--json", "--report", "100s"]);
    observer.args(pids.iter().map(u32::to_string));
    let observer = observer.stdout(Stdio::piped()).spawn()?;
    // It has to have begun.
    sleep(Duration::from_millis(1500));
    ask(server.address)?;
    sleep(Duration::from_millis(300));
    interrupt(&observer);
    all_are_named(&found(observer)?, &root)?;
    let pid = server.pid();
    server.stop(pid, libc::SIGTERM).map(|_| ())
}

/// A program under `laio observe`.
fn observed(program: &[&str]) -> Result<Child> {
    let child = Command::new(library::command()?)
        .args(["observe", "--json", "--library"])
        .arg(library::path()?)
        .arg("--")
        .args(program)
        .current_dir(scratch())
        .stdout(Stdio::piped())
        .spawn()?;
    Ok(child)
}

/// Waits until something listens there.
fn connected(port: u16) -> Result<TcpStream> {
    let address = (Ipv4Addr::LOCALHOST, port);
    let tries = (0..600).find_map(|_| {
        sleep(Duration::from_millis(50));
        TcpStream::connect(address).ok()
    });
    tries.context("it does not listen")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Node, whose handler reads files as a whole, at once.
fn node() -> Result {
    let disk = SlowDisk::up()?;
    let root = documents(&disk)?;
    let port = free_port()?;
    let script = format!(
        "require('http').createServer((request, answer) => answer.end(require('fs').readFileSync({:?} + request.url)))\
         .listen({port}, '127.0.0.1')",
        root.display().to_string()
    );
    let observer = observed(&["node", "-e", &script])?;
    drop(connected(port)?);
    ask((Ipv4Addr::LOCALHOST, port).into())?;
    interrupt(&observer);
    all_are_named(&found(observer)?, &root)
}

/// Redis, which syncs its log for each change: that cannot be helped.
fn redis() -> Result {
    let disk = SlowDisk::up()?;
    let directory = disk.root().display().to_string();
    let port = free_port()?;
    let options = format!(
        "--port {port} --bind 127.0.0.1 --dir {directory} --appendonly yes --appendfsync always --save  --logfile log"
    );
    let words: Vec<_> = ["redis-server"]
        .into_iter()
        .chain(options.split(' '))
        .collect();
    let observer = observed(&words)?;
    let mut connection = connected(port)?;
    let mut answer = [0; 5];
    for number in 0..EACH {
        let key = format!("{number:03}");
        write!(connection, "*3\r\n$3\r\nSET\r\n$3\r\n{key}\r\n$1\r\nx\r\n")?;
        connection.read_exact(&mut answer)?;
        ensure!(&answer == b"+OK\r\n", "{answer:?}");
    }
    interrupt(&observer);
    let facts = found(observer)?;
    let syncs = sum(&facts, "fsync");
    println!("fsync: {syncs} found, {EACH} changes");
    ensure!(syncs * 100 >= EACH * 99, "{facts:#}");
    let verdict = facts["verdict"]["text"].as_str().unwrap_or_default();
    ensure!(facts["program"] == "redis-server", "{facts:#}");
    ensure!(
        verdict.starts_with("would not help") && verdict.contains(".aof"),
        "{facts:#}"
    );
    Ok(())
}
