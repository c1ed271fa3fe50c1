//! Servers whose application names the file that they send (`X-Accel-Redirect`, `X-Sendfile`): the client's target tells nothing, the answer
//! of the application does. Stalls are counted with help and without, and all bodies compared.

use anyhow::{ensure, Context as _};
use laio_tests::backend::{Backend, Protocol, Respond};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

const FILES: usize = 160;
const LENGTH: usize = 6_000;
/// Further files that are larger than what is brought in with an answer.
const LARGE: usize = 4;
const LARGE_LENGTH: usize = 1_500_000;
/// Requests that are under way at once.
const AT_ONCE: usize = 8;

/// How a server and its application agree on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// nginx, `X-Accel-Redirect`, a connection for each request.
    Accel,
    /// The same over connections that stay.
    KeptAccel,
    /// The same, and the application speaks FastCGI.
    FastCgiAccel,
    /// lighttpd, `X-Sendfile` by FastCGI.
    Sendfile,
}

impl Way {
    fn kind(self) -> Kind {
        match self {
            Way::Sendfile => Kind::Lighttpd,
            _ => Kind::Nginx,
        }
    }

    fn protocol(self) -> Protocol {
        match self {
            Way::Accel | Way::KeptAccel => Protocol::Http,
            Way::FastCgiAccel | Way::Sendfile => Protocol::FastCgi,
        }
    }

    fn configured(self, root: &Path, application: &Backend) -> Config {
        let (root, port) = (root.display(), application.address.port());
        let passed = match self {
            Way::Accel => format!("proxy_pass http://127.0.0.1:{port};"),
            Way::KeptAccel => {
                "proxy_pass http://application; proxy_http_version 1.1; proxy_set_header Connection \"\";"
                    .to_owned()
            }
            _ => format!("fastcgi_pass 127.0.0.1:{port}; fastcgi_param REQUEST_URI $request_uri;"),
        };
        let mut config = Config::default();
        if self == Way::Sendfile {
            config.http = format!(
                "server.modules += ( \"mod_fastcgi\" )\nfastcgi.server = ( \"/d/\" => (( \"host\" => \"127.0.0.1\", \
                 \"port\" => {port}, \"check-local\" => \"disable\", \"x-sendfile\" => \"enable\", \
                 \"x-sendfile-docroot\" => ( \"{root}/\" ) )) )\n"
            );
        } else {
            config.http =
                format!("upstream application {{ server 127.0.0.1:{port}; keepalive 16; }}\n");
            config.server = format!(
                "location / {{ {passed} }}\nlocation /protected/ {{ internal; alias {root}/files/; }}"
            );
        }
        config
    }
}

/// The file of a number, in one of some directories.
fn file(number: usize) -> (String, usize) {
    let length = if number < FILES { LENGTH } else { LARGE_LENGTH };
    (format!("{}/file {number}.bin", number % 7), length)
}

/// Says nothing of the file.
fn target(number: usize) -> String {
    let id = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("/d/{id:016x}")
}

fn named(way: Way, root: &Path) -> Respond {
    let root = root.display().to_string();
    Arc::new(move |asked: &str, _: &str| {
        let number = (0..FILES + LARGE).find(|number| asked == target(*number));
        let head = number.map(|number| {
            let (name, _) = file(number);
            let escaped = name.replace(' ', "%20");
            match way {
                Way::Sendfile => format!("X-Sendfile: {root}/files/{escaped}\r\n"),
                _ => format!("X-Accel-Redirect: /protected/{escaped}\r\n"),
            }
        });
        (head.unwrap_or_default(), Vec::new())
    })
}

/// Asks for all of these, some at a time.
fn ask(lines: &mut [Connection], numbers: &[usize]) -> Result {
    for some in numbers.chunks(lines.len()) {
        for (line, number) in lines.iter_mut().zip(some) {
            line.send(&request("GET", &target(*number), "h", ""))?;
        }
        for (line, number) in lines.iter_mut().zip(some) {
            let answer = line.response(false)?;
            let (name, length) = file(*number);
            let is_right = answer.body == docroot::content(&format!("files/{name}"), length);
            ensure!(answer.status == 200 && is_right, "{name}: it differs");
        }
    }
    Ok(())
}

struct Site {
    disk: SlowDisk,
    server: Server,
    serving: Vec<u32>,
    _application: Backend,
}

impl Site {
    fn up(way: Way, mode: &str) -> Result<Site> {
        let disk = SlowDisk::up()?;
        for number in 0..FILES + LARGE {
            let (name, length) = file(number);
            docroot::write(&disk.root(), &format!("files/{name}"), length)?;
        }
        let application = Backend::listen_with(way.protocol(), named(way, &disk.root()))?;
        let config = way.configured(&disk.root(), &application);
        let preload = Preload::mode(mode)?.with("LAIO_BREAK_EVEN_US", "0");
        let server = Server::start(way.kind(), &config, &disk.root(), &preload)?;
        let serving = server.settled(way.kind(), &config)?;
        disk.chill()?;
        Ok(Site {
            disk,
            server,
            serving,
            _application: application,
        })
    }

    fn lines(&self) -> Result<Vec<Connection>> {
        let open = |_| Connection::open(self.server.address);
        (0..AT_ONCE).map(open).collect()
    }
}

fn served(way: Way) -> Result {
    let all: Vec<usize> = (0..FILES).collect();
    let site = Site::up(way, "observe")?;
    ask(&mut site.lines()?, &all)?;
    let without = Stats::of(&site.serving)?.stalls();
    drop(site);
    let site = Site::up(way, "on")?;
    let mut lines = site.lines()?;
    ask(&mut lines, &all)?;
    let stats = Stats::of(&site.serving)?;
    println!(
        "{} of {FILES} answers held back; {} stalls, {without} without help",
        stats.gated(),
        stats.stalls()
    );
    ensure!(without >= FILES as u64, "{without} stalls without help");
    ensure!(
        stats.stalls() <= 40 && stats.gated() >= FILES as u64 * 3 / 4,
        "{} stalls\n{stats}",
        stats.stalls()
    );
    // Bodies of several windows: those are the clients' connections' concern.
    let large: Vec<usize> = (FILES..FILES + LARGE).collect();
    ask(&mut lines, &large)?;
    let after = Stats::of(&site.serving)?;
    let stalls = after.stalls() - stats.stalls();
    ensure!(stalls <= 2 * LARGE as u64, "{stalls} stalls\n{after}");
    // And again, from memory.
    ask(&mut lines, &all)?;
    let last = Stats::of(&site.serving)?;
    ensure!(last.stalls() <= after.stalls() + 4, "{last}");
    Ok(())
}

/// A client that says what an application would say, and asks for what it must not have: nothing is read for it.
fn hostile() -> Result {
    let site = Site::up(Way::Accel, "on")?;
    let mut lines = site.lines()?;
    // The library knows how an application names files.
    ask(&mut lines, &(0..FILES / 2).collect::<Vec<_>>())?;
    let before = Stats::of(&site.serving)?;
    ensure!(before.gated() > 0, "nothing was learnt\n{before}");
    for number in FILES / 2..FILES {
        let (name, _) = file(number);
        let name = name.replace(' ', "%20");
        // As an answer, as a request with such headers, and by the name that is the server's own business.
        let line = &mut lines[0];
        let header = format!("X-Accel-Redirect: /protected/{name}\r\n");
        line.send(&request("GET", &format!("/protected/{name}"), "h", &header))?;
        let status = line.response(false)?.status;
        ensure!(status == 404, "{name}: status {status}");
        let mut other = Connection::open(site.server.address)?;
        other.send(format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 0\r\n\r\n").as_bytes())?;
        let refused = other.response(false)?.status;
        ensure!(refused == 400, "{name}: status {refused}");
    }
    let after = Stats::of(&site.serving)?;
    ensure!(
        after.gated() == before.gated() && after.jobs() == before.jobs(),
        "something was held back\n{after}"
    );
    let read = after.sum("/jobs/bytes") - before.sum("/jobs/bytes");
    ensure!(read == 0, "{read} bytes were read\n{before}\n{after}");
    // And what is behind is cold still: the application's answers are held back.
    ask(&mut lines, &(FILES / 2..FILES).collect::<Vec<_>>())?;
    let last = Stats::of(&site.serving)?;
    let gated = last.gated() - after.gated();
    ensure!(gated >= FILES as u64 / 3, "{gated} held back\n{last}");
    site.disk.chill().context("chill")
}

fn main() -> ExitCode {
    let ways = [Way::Accel, Way::KeptAccel, Way::FastCgiAccel, Way::Sendfile];
    let test = |name: String, way: Way, body: Box<dyn Fn() -> Result + Send>| {
        let test = Test::new(name, body).needs(Need::SlowDisk);
        test.needs(way.kind().need()).limit(120)
    };
    // Without these, each file behind an application stalls.
    let served = ways.map(|way| test(format!("{way:?}"), way, Box::new(move || served(way))));
    let mut tests = Vec::from(served);
    // Without it, a stranger could have files read that he must not have.
    tests.push(test("hostile".into(), Way::Accel, Box::new(hostile)));
    run(tests)
}
