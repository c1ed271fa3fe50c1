//! Connections that come through a proxy, which says in front of each where it is from (the PROXY protocol): what the client asks for
//! behind that is understood, in the clear and by TLS.

use anyhow::ensure;
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::identity::{Identity, Key};
use laio_tests::library::fresh_dir;
use laio_tests::mounts::FuseFiles;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::tls::{shake, Client, Suite, Version, Wishes};
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

const FILES: usize = 48;
const LENGTH: usize = 10_000;

/// What a proxy says, in both versions where the server knows both: of the second with and without an identifier of the connection.
fn headers(kind: Kind) -> Vec<Vec<u8>> {
    let binary = |command: u8, family: u8, rest: &[u8]| {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([0x20 | command, family]);
        header.extend((rest.len() as u16).to_be_bytes());
        header.extend(rest);
        header
    };
    let addresses = [192, 0, 2, 1, 198, 51, 100, 1, 200, 1, 1, 187];
    let unique_id = [&[5, 0, 30][..], &[b'x'; 30]].concat();
    let mut headers = vec![
        b"PROXY TCP4 192.0.2.1 198.51.100.1 51201 443\r\n".to_vec(),
        b"PROXY TCP6 2001:db8::1 2001:db8::2 51201 443\r\n".to_vec(),
        binary(1, 0x11, &addresses),
        binary(1, 0x11, &[&addresses[..], &unique_id].concat()),
    ];
    if kind == Kind::H2o {
        headers.truncate(2);
    }
    headers
}

const LIGHTTPD: &str = "\
server.modules += ( \"mod_extforward\" )
extforward.forwarder = ( \"127.0.0.1\" => \"trust\" )
extforward.hap-PROXY = \"enable\"
";

const LIGHTTPD_TLS: &str = "\
server.modules += ( \"mod_openssl\", \"mod_extforward\" )
extforward.forwarder = ( \"127.0.0.1\" => \"trust\" )
extforward.hap-PROXY = \"enable\"
";

/// How the header and what follows it come.
#[derive(Clone, Copy)]
enum Way {
    Together,
    /// The header first, and the rest when the server has had time to read it.
    Apart,
}

fn name(number: usize) -> String {
    format!("f{number}.html")
}

fn configured(kind: Kind, by_tls: bool) -> Result<(Config, Option<Client>)> {
    let identity = by_tls
        .then(|| Identity::make(&fresh_dir("identity")?, Key::Ecdsa))
        .transpose()?;
    let client = identity
        .as_ref()
        .map(|it| Client::new(&[it], &Wishes::plain(Version::Tls13, Suite::Aes128)))
        .transpose()?;
    let (listen, http) = match kind {
        Kind::Nginx => (" proxy_protocol", "ssl_protocols TLSv1.2 TLSv1.3;"),
        Kind::H2o => ("  proxy-protocol: ON\n", ""),
        // What a proxy says is read before a handshake by the module that is loaded last.
        _ if by_tls => ("", LIGHTTPD_TLS),
        _ => ("", LIGHTTPD),
    };
    let config = Config {
        listen: listen.into(),
        http: http.into(),
        identities: identity.into_iter().collect(),
        ..Config::default()
    };
    Ok((config, client))
}

/// A connection through a proxy, with a request on it.
fn ask(
    address: SocketAddr,
    client: Option<&Client>,
    header: &[u8],
    way: Way,
    target: &str,
) -> Result<Connection> {
    let asked = request("GET", target, "h", "");
    let mut connection = match client {
        Some(client) => client.dial(address)?,
        None => Connection::open(address)?,
    };
    let mut first = header.to_vec();
    if let Way::Apart = way {
        connection.send_raw(&std::mem::take(&mut first))?;
        std::thread::sleep(Duration::from_millis(20));
    }
    if client.is_some() {
        let hello = connection.sealed()?.pending()?;
        connection.send_raw(&[&first[..], &hello].concat())?;
        let last = shake(&mut connection)?;
        connection.send_raw(&last)?;
        connection.send(&asked)?;
    } else {
        connection.send_raw(&[&first[..], &asked].concat())?;
    }
    Ok(connection)
}

/// Cold documents, each over a fresh connection and a second one over the same.
fn cold(kind: Kind, by_tls: bool, way: Way) -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    for number in 0..2 * FILES {
        docroot::write(&root, &name(number), LENGTH)?;
    }
    let (config, client) = configured(kind, by_tls)?;
    let preload = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
    let server = Server::start(kind, &config, &root, &preload)?;
    let serving = server.settled(kind, &config)?;
    disk.chill()?;
    let headers = headers(kind);
    for number in 0..FILES {
        let header = &headers[number % headers.len()];
        let (first, second) = (name(2 * number), name(2 * number + 1));
        let target = format!("/{first}");
        let mut connection = ask(server.address, client.as_ref(), header, way, &target)?;
        for (is_last, name) in [(false, first), (true, second)] {
            let answer = connection.response(false)?;
            ensure!(
                answer.status == 200 && answer.body == docroot::content(&name, LENGTH),
                "{name}: status {}, or it differs",
                answer.status
            );
            if !is_last {
                let next = format!("/f{}.html", 2 * number + 1);
                connection.send(&request("GET", &next, "h", ""))?;
            }
        }
    }
    let stats = Stats::of(&serving)?;
    // The first few teach.
    let gated = stats.gated() as usize;
    ensure!(
        gated >= 2 * FILES - 8 && stats.sum("/reasons/foreign") == 0,
        "{gated} of {} cold requests were held back\n{stats}",
        2 * FILES
    );
    Ok(())
}

/// Documents whose file system hangs for longer than it takes until a part of a request is handed out: what a proxy says is not.
fn hung(kind: Kind) -> Result {
    const CLIENTS: usize = 4;
    let root = fresh_dir("site")?;
    let source = fresh_dir("source")?;
    for number in 0..=CLIENTS {
        docroot::write(&source, &name(number), LENGTH)?;
    }
    let files = FuseFiles::mount(&source, &root.join("hung"), "")?;
    let (config, _) = configured(kind, false)?;
    let preload = Preload::on()?
        .with("LAIO_MAP", format!("/={}/", root.display()))
        .with("LAIO_BREAK_EVEN_US", "0");
    let server = Server::start(kind, &config, &root, &preload)?;
    let serving = server.settled(kind, &config)?;
    let headers = headers(kind);
    let ask = |number: usize| {
        let header = &headers[number % headers.len()];
        let target = format!("/hung/{}", name(number));
        ask(server.address, None, header, Way::Together, &target)
    };
    let receive = |connection: &mut Connection, number: usize| {
        let answer = connection.response(false)?;
        let is_right = answer.body == docroot::content(&name(number), LENGTH);
        ensure!(answer.status == 200 && is_right, "{number}: it differs");
        Ok(())
    };
    receive(&mut ask(0)?, 0)?;
    // What the kernel knows of the file system's names lasts for a second.
    std::thread::sleep(Duration::from_millis(1500));
    files.signal(libc::SIGSTOP);
    let mut clients = (1..=CLIENTS).map(ask).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(Duration::from_secs(4));
    files.signal(libc::SIGCONT);
    for (number, connection) in (1..).zip(&mut clients) {
        receive(connection, number)?;
    }
    let stats = Stats::of(&serving)?;
    let (gated, parts) = (stats.gated() as usize, stats.sum("/reasons/parts"));
    // lighttpd reads what its proxy says by itself, and then parts of the request.
    let in_parts = parts > 0 && kind != Kind::Lighttpd;
    ensure!(gated >= CLIENTS && !in_parts, "{gated} held back\n{stats}");
    Ok(())
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for kind in [Kind::Nginx, Kind::Lighttpd, Kind::H2o] {
        for by_tls in [false, true] {
            for (how, way) in [("together", Way::Together), ("apart", Way::Apart)] {
                let protocol = if by_tls { "TLS" } else { "clear" };
                // Without it, a server behind a proxy would have no help, or be sent a part of what its proxy says.
                let test = Test::new(format!("{protocol}, {how}: {kind:?}"), move || {
                    cold(kind, by_tls, way)
                });
                let mut test = test.needs(Need::SlowDisk).needs(kind.need());
                if by_tls {
                    test = test.needs(Need::Command("openssl", "openssl"));
                    if kind == Kind::Lighttpd {
                        test = test.needs(Need::Package("lighttpd-mod-openssl"));
                    }
                }
                tests.push(test);
            }
        }
    }
    for kind in [Kind::Nginx, Kind::Lighttpd, Kind::H2o] {
        // Without it, a connection through a proxy would be closed when its request has been held back for a second.
        let test = Test::new(format!("a hang: {kind:?}"), move || hung(kind));
        tests.push(test.needs(Need::Root).needs(kind.need()));
    }
    run(tests)
}
