//! The file servers of `demo-servers/lazy`: each strategy, and the one on libevent, is driven cold and warm over real sockets, by
//! clients of every kind, while files change and while descriptors run out. All bodies are right and nothing is left behind.

mod trouble;
mod ways;

use anyhow::{ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection, Response};
use laio_tests::library::{descriptors, fresh_dir};
use laio_tests::machine::ending;
use laio_tests::server::Kind;
use laio_tests::site::Site;
use laio_tests::stats::Stats;
use laio_tests::workload::{same_answers, Mixture};
use laio_tests::{demo, docroot, run, Need, Preload, Result, Test};
use std::fs;
use std::net::TcpListener;
use std::process::{Command, ExitCode};
use trouble::{changes, exhaustion, helper_dies};
use ways::*;

/// Everything that clients do, while everything is cold, and once more.
fn mixture(way: Way) -> Result {
    let site = Site { documents: 1_500 };
    let mixture = Mixture::new(site, 1_500, way.kind.abilities());
    let disk = SlowDisk::up()?;
    site.write(&disk.root())?;
    let late = |number: usize| format!("late/f{number}.html");
    for number in 0..40 {
        docroot::write(&disk.root().join("main"), &late(number), 20_000)?;
    }
    disk.chill()?;
    let server = way.start(&disk.root().join("main"))?;
    let pid = server.pid();
    let before = descriptors(pid)?;
    let cold = mixture.run(server.address, 64).context("cold")?;
    // The library has a few of its own once it was needed.
    descriptors_at_most(pid, before + CACHE + 8)?;
    let after = descriptors(pid)?;
    let warm = mixture.run(server.address, 64).context("warm")?;
    descriptors_at_most(pid, after)?;
    let port = server.address.port();
    same_answers((&cold, port), (&warm, port))?;
    if way.kind == Kind::Lazy("nb-b") && way.hooks {
        let stats = Stats::of(&[pid])?;
        ensure!(
            stats.gated() > 0,
            "no request was held back: this tested nothing\n{stats}"
        );
    }
    // It ends while files are on their way, too.
    let mut waiting = Vec::new();
    for number in 0..40 {
        let mut connection = Connection::open(server.address)?;
        connection.send(&request("GET", &format!("/{}", late(number)), "h", ""))?;
        waiting.push(connection);
    }
    stop(server)
}

/// Requests that a browser would not send, and what they are answered.
fn requests(way: Way) -> Result {
    let root = fresh_dir("documents")?;
    docroot::write(&root, "a.html", 5_000)?;
    docroot::write(&root, "d/index.html", 3_000)?;
    let fifo = std::ffi::CString::new(root.join("fifo").to_string_lossy().as_bytes())?;
    // SAFETY: the path is NUL-terminated and lives across the call.
    ensure!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o666) } == 0, "mkfifo");
    let server = way.start(&root)?;
    let a = docroot::content("a.html", 5_000);
    let cases: &[(&str, &[u16])] = &[
        ("GET /a.html HTTP/1.1\r\n\r\nGET /gone HTTP/1.1\r\n\r\nGET /a.html HTTP/1.1\r\n\r\n", &[200, 404, 200]),
        ("GET /a.html HTTP/1.1\n\nGET /%61.html?query HTTP/1.1\r\nX: y\n\r\n", &[200, 200]),
        ("GET http://h/a.html HTTP/1.1\r\nHost: h\r\n\r\nGET //d//index.html HTTP/1.1\r\n\r\n", &[200, 200]),
        ("GET /d HTTP/1.1\r\n\r\nGET /d/ HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", &[301, 200, 404]),
        ("GET /a.html/ HTTP/1.1\r\n\r\nGET /fifo HTTP/1.1\r\n\r\n", &[404, 403]),
        ("GET /../a.html HTTP/1.1\r\n\r\nGET /d/%2e%2e/a.html HTTP/1.1\r\n\r\nGET /d/.. HTTP/1.1\r\n\r\n", &[403, 403, 403]),
        ("GET /a.html%00 HTTP/1.1\r\n\r\n", &[400]),
        ("GET /a%zz HTTP/1.1\r\n\r\n", &[400]),
        ("GET /a% HTTP/1.1\r\n\r\n", &[400]),
        ("GET a.html HTTP/1.1\r\n\r\n", &[400]),
        ("nonsense\r\n\r\n", &[400]),
        ("GET /a.html HTTP/2.0\r\n\r\n", &[505]),
        ("POST /a.html HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /", &[405]),
        ("GET /a.html HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /", &[413]),
        ("GET /a.html HTTP/1.0\r\n\r\n", &[200]),
        ("GET /a.html HTTP/1.1\r\nConnection: close\r\n\r\n", &[200]),
        ("GET /a.html HTTP/1.1\r\nRange: bytes=9999-\r\n\r\nGET /a.html HTTP/1.1\r\nRange: bytes=0-1,3-4\r\n\r\n", &[416, 200]),
        ("GET /a.html HTTP/1.1\r\nRange: bytes=-0\r\n\r\nGET /a.html HTTP/1.1\r\nRange: bytes=5-2\r\n\r\n", &[416, 200]),
    ];
    for (bytes, statuses) in cases {
        let mut connection = Connection::open(server.address)?;
        connection.send(bytes.as_bytes())?;
        let mut closes = false;
        for status in *statuses {
            let response = connection
                .response(false)
                .with_context(|| format!("{bytes:?}"))?;
            ensure!(
                response.status == *status,
                "{bytes:?}: {response:?} instead of {status}"
            );
            if *status == 200 && response.body.len() == a.len() {
                ensure!(response.body == a, "{bytes:?}: another body");
            }
            closes = response.closes();
        }
        if closes {
            ensure!(
                connection.rest().is_empty(),
                "{bytes:?}: more than an answer"
            );
        } else {
            ensure!(
                get(&mut connection, "/a.html")?.body == a,
                "{bytes:?}: the connection is spoilt"
            );
        }
    }
    let mut connection = Connection::open(server.address)?;
    let location = get(&mut connection, "//d")?;
    ensure!(location.header("location") == Some("/d/"), "{location:?}");
    connection.send(&request("HEAD", "/a.html", "h", ""))?;
    let head = connection.response(true)?;
    ensure!(
        head.header("content-length") == Some("5000")
            && head.header("content-type") == Some("text/html"),
        "{head:?}"
    );
    connection.send(&request("GET", "/a.html", "h", "Range: bytes=10-19\r\n"))?;
    let part = connection.response(false)?;
    ensure!(
        part.status == 206
            && part.body == a[10..20]
            && part.header("content-range") == Some("bytes 10-19/5000"),
        "{part:?}"
    );
    connection.send(&request(
        "GET",
        "/a.html",
        "h",
        &format!("X: {}\r\n", "x".repeat(9000)),
    ))?;
    ensure!(connection.response(false)?.status == 431, "a head of 9 KB");
    stop(server)
}

/// Clients that do not read what they asked for, and clients that go away, harm nobody else.
fn clients(way: Way) -> Result {
    let root = fresh_dir("documents")?;
    docroot::write(&root, "large.bin", LARGE)?;
    for number in 0..10 {
        docroot::write(&root, &format!("s{number}.html"), 3_000 + number)?;
    }
    let large = docroot::content("large.bin", LARGE);
    let server = way.start(&root)?;
    let pid = server.pid();
    get(&mut Connection::open(server.address)?, "/s0.html")?;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut connection = Connection::open(server.address)?;
        connection.send(&request("GET", "/large.bin", "h", ""))?;
        connection.taste(1)?;
        slow.push(connection);
    }
    let mut connection = Connection::open(server.address)?;
    for number in 0..200 {
        let number = number % 10;
        let body = get(&mut connection, &format!("/s{number}.html"))?.body;
        ensure!(
            body == docroot::content(&format!("s{number}.html"), 3_000 + number),
            "s{number}.html"
        );
    }
    let with_slow = descriptors(pid)?;
    for number in 0..200 {
        let mut leaving = Connection::open(server.address)?;
        let bytes = request("GET", ["/large.bin", "/s3.html"][number % 2], "h", "");
        leaving.send(&bytes[..bytes.len() - number % 3])?;
        if number % 4 == 0 {
            leaving.send(&bytes.repeat(5))?;
        }
        match number % 5 {
            0 => leaving.reset()?,
            1 => leaving.finish_sending()?,
            _ => {}
        }
    }
    // They have all gone.
    descriptors_at_most(pid, with_slow)?;
    for mut connection in slow {
        ensure!(
            connection.response(false)?.body == large,
            "a slow client has another body"
        );
    }
    ensure!(
        get(&mut connection, "/large.bin")?.body == large,
        "large.bin"
    );
    stop(server)
}

/// Many connections that say nothing stay, and are served when they do.
fn crowd(way: Way) -> Result {
    let root = fresh_dir("documents")?;
    docroot::write(&root, "a.html", 9_000)?;
    let a = docroot::content("a.html", 9_000);
    let server = way.start(&root)?;
    let pid = server.pid();
    let before = descriptors(pid)?;
    let connections: Result<Vec<_>> = (0..400).map(|_| Connection::open(server.address)).collect();
    let mut connections = connections?;
    for _ in 0..3 {
        for connection in &mut connections {
            connection.send(&request("GET", "/a.html", "h", ""))?;
        }
        for connection in &mut connections {
            ensure!(connection.response(false)?.body == a, "another body");
        }
    }
    drop(connections);
    descriptors_at_most(pid, before + CACHE + 8)?;
    stop(server)
}

/// What is wrong with the command line is said, in one line that names it.
fn arguments() -> Result {
    demo::build()?;
    let root = fresh_dir("documents")?;
    let root = root.to_string_lossy();
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let good = ["--strategy", "nb-b", "--port", "0", "--root", &root];
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--strategy", "magic"], 1, "magic"),
        (&["--port", "65536"], 1, "65536"),
        (&["--port", "80x"], 1, "80x"),
        (&["--port", &port], 1, &port),
        (&["--root", "/nowhere"], 1, "/nowhere"),
        (&["--address", "example"], 1, "example"),
        (&["--cache", "-1"], 1, "--cache"),
        (&["--helpers", "0"], 1, "--helpers"),
        (&["--colour"], 2, "colour"),
        (&["more"], 2, "more"),
    ];
    let program = laio_tests::library::demo_servers().join("lazy-files");
    let run = |arguments: &[&str]| -> Result<(String, String)> {
        let mut command = Preload::linked("off").command(&program);
        let output = command.args(arguments).output()?;
        Ok((
            ending(output.status),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    };
    for (more, status, named) in cases {
        let (ended, said) = run(&[&good, *more].concat())?;
        ensure!(
            ended == format!("exit status {status}")
                && said.lines().next().is_some_and(|l| l.contains(named)),
            "{more:?}: {ended}\n{said}"
        );
    }
    let (ended, said) = run(&["--port", "0"])?;
    ensure!(
        ended == "exit status 2" && said.contains("--strategy is missing"),
        "{ended}\n{said}"
    );
    let help = Command::new(&program).arg("--help").output()?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for way in WAYS {
        if let Kind::Lazy(strategy) = way.kind {
            ensure!(help.contains(strategy), "{strategy} is not in\n{help}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for way in WAYS {
        let add = |what: &str, body: fn(Way) -> Result| {
            let name = format!("{}: {what}", way.name);
            Test::new(name, move || body(way))
                .needs(way.kind.need())
                .limit(120)
        };
        // Without it, a strategy could answer with another file, or a part of one, where something has to be waited for.
        tests.push(add("mixture", mixture).needs(Need::SlowDisk));
        // Without it, a file outside of the root could be had, or one client's odd request could spoil the next one.
        tests.push(add("requests", requests));
        // Without it, clients that do not read could block the others, and those that go could leave something behind.
        tests.push(add("clients", clients));
        // Without it, connections could be forgotten where there are many.
        tests.push(add("crowd", crowd));
        // Without it, the cache could go on with files that are no more, or a body could be shorter than was said.
        tests.push(add("changes", changes));
        // Without it, a server could spin, end or hang where descriptors run out.
        tests.push(add("exhaustion", exhaustion));
    }
    let make = || Need::Command("make", "make");
    // Without it, requests could wait for ever for a helper that is no more.
    tests.push(Test::new("nb-amped: a helper dies", helper_dies).needs(make()));
    // Without it, a wrong option could be taken for another one.
    tests.push(Test::new("arguments", arguments).needs(make()));
    run(tests)
}
