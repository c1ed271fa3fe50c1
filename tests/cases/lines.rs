//! Protocols in which one line names a file: FTP's `RETR`, Gopher. Such a line is held back until its file is in memory, once a file that one
//! has named has stalled. Stalls are counted with help and without, and all bytes compared.

use anyhow::{ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::server::{Config, Demo, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

const FILES: usize = 80;
const LENGTH: usize = 40_000;
const AT_ONCE: usize = 4;

const FTP: Kind = Kind::Demo(Demo {
    command: "/usr/bin/python3",
    package: "python3-pyftpdlib",
    file: "-B @DEMO@/ftp_files.py",
});

const GOPHER: Kind = Kind::Demo(Demo {
    command: "/usr/bin/python3",
    package: "python3",
    file: "-B @DEMO@/gopher_files.py",
});

fn name(number: usize) -> String {
    format!("pub/{}/f{number}.bin", number % 3)
}

/// A client of FTP, logged in.
struct Session(BufReader<TcpStream>);

impl Session {
    fn open(address: SocketAddr) -> Result<Session> {
        let mut session = Session(BufReader::new(TcpStream::connect(address)?));
        session.answer("220")?;
        session.say("USER anonymous", "331")?;
        session.say("PASS x", "230")?;
        session.say("TYPE I", "200")?;
        Ok(session)
    }

    fn answer(&mut self, code: &str) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        ensure!(line.starts_with(code), "{code} was expected: {line}");
        Ok(line)
    }

    fn say(&mut self, line: &str, code: &str) -> Result<String> {
        self.0
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())?;
        self.answer(code)
    }

    fn retrieve(&mut self, name: &str) -> Result<Vec<u8>> {
        let line = self.say("EPSV", "229")?;
        let port = line.split('|').nth(3).context("no port")?.parse::<u16>()?;
        let mut data = TcpStream::connect(("127.0.0.1", port))?;
        self.say(&format!("RETR {name}"), "1")?;
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes)?;
        self.answer("226")?;
        Ok(bytes)
    }
}

fn by_ftp(address: SocketAddr, client: usize) -> Result {
    let mut session = Session::open(address)?;
    let mut directory = None;
    for number in (client..FILES).step_by(AT_ONCE) {
        // By its whole name, or from where the client has gone.
        let name = name(number);
        let (place, file) = name.rsplit_once('/').context("no directory")?;
        let asked = if client.is_multiple_of(2) {
            format!("/{name}")
        } else {
            if directory != Some(number % 3) {
                session.say(&format!("CWD /{place}"), "250")?;
                directory = Some(number % 3);
            }
            file.to_owned()
        };
        let bytes = session.retrieve(&asked)?;
        ensure!(
            bytes == docroot::content(&name, LENGTH),
            "{name}: it differs"
        );
    }
    Ok(())
}

fn by_gopher(address: SocketAddr, client: usize) -> Result {
    for number in (client..FILES).step_by(AT_ONCE) {
        let name = name(number);
        let slash = if client.is_multiple_of(2) { "/" } else { "" };
        let mut connection = TcpStream::connect(address)?;
        connection.write_all(format!("{slash}{name}\r\n").as_bytes())?;
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes)?;
        ensure!(
            bytes == docroot::content(&name, LENGTH),
            "{name}: it differs"
        );
    }
    Ok(())
}

fn visited(kind: Kind, client: fn(SocketAddr, usize) -> Result, mode: &str) -> Result<Stats> {
    let disk = SlowDisk::up()?;
    for number in 0..FILES {
        docroot::write(&disk.root(), &name(number), LENGTH)?;
    }
    let preload = Preload::mode(mode)?.with("LAIO_BREAK_EVEN_US", "0");
    let config = Config::default();
    let server = Server::start(kind, &config, &disk.root(), &preload)?;
    let serving = server.settled(kind, &config)?;
    disk.chill()?;
    let address = server.address;
    std::thread::scope(|scope| {
        let start = |number| scope.spawn(move || client(address, number));
        let clients: Vec<_> = (0..AT_ONCE).map(start).collect();
        let joined = clients.into_iter().map(|it| it.join().expect("a client"));
        joined.collect::<Result<()>>()
    })?;
    let stats = Stats::of(&serving)?;
    println!(
        "{mode}: {} stalls, {} held back",
        stats.stalls(),
        stats.gated()
    );
    Ok(stats)
}

fn served(kind: Kind, client: fn(SocketAddr, usize) -> Result) -> Result {
    let without = visited(kind, client, "observe")?.stalls();
    let stats = visited(kind, client, "on")?;
    ensure!(without >= FILES as u64, "{without} stalls without help");
    ensure!(
        stats.stalls() <= without / 5 && stats.gated() >= FILES as u64 / 2,
        "{} stalls, {without} without help\n{stats}",
        stats.stalls()
    );
    Ok(())
}

/// A stranger who sends such lines to a server of HTTP: they lead to nothing.
fn hostile() -> Result {
    let disk = SlowDisk::up()?;
    for number in 0..FILES {
        docroot::write(&disk.root(), &name(number), LENGTH)?;
    }
    let preload = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
    let config = Config::default();
    let server = Server::start(Kind::Nginx, &config, &disk.root(), &preload)?;
    let serving = server.settled(Kind::Nginx, &config)?;
    disk.chill()?;
    let mut line = Connection::open(server.address)?;
    let mut last = Stats::default();
    for number in 0..FILES {
        let mut stranger = Connection::open(server.address)?;
        stranger.send(format!("RETR /{}\r\n", name((number + 1) % FILES)).as_bytes())?;
        if number.is_multiple_of(2) {
            line.send(&request("GET", &format!("/{}", name(number)), "h", ""))?;
            let answer = line.response(false)?;
            let is_right = answer.body == docroot::content(&name(number), LENGTH);
            ensure!(answer.status == 200 && is_right, "{number}: it differs");
        }
        let _ = stranger.response(false);
        last = Stats::of(&serving)?;
    }
    let asked = FILES as u64 / 2;
    ensure!(
        last.gated() <= asked && last.gated() + last.stalls() >= asked,
        "{} held back\n{last}",
        last.gated()
    );
    Ok(())
}

fn main() -> ExitCode {
    type Client = fn(SocketAddr, usize) -> Result;
    let servers: [(&str, Kind, Client); 2] = [("FTP", FTP, by_ftp), ("Gopher", GOPHER, by_gopher)];
    let mut tests = Vec::from(servers.map(|(name, kind, client)| {
        // Without it, each file stalls: no request of HTTP names it.
        Test::new(name, move || served(kind, client))
            .needs(Need::SlowDisk)
            .needs(kind.need())
            .limit(120)
    }));
    // Without it, a stranger's line would have files read, or teach what is wrong.
    let test = Test::new("lines to nginx", hostile);
    tests.push(
        test.needs(Need::SlowDisk)
            .needs(Kind::Nginx.need())
            .limit(120),
    );
    run(tests)
}
