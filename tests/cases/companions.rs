//! Pages that are made of several files: what a page includes, or has added by a sub-request, is brought in with it. Stalls are counted with
//! help and without, and all bodies compared.

use anyhow::ensure;
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

const PAGES: usize = 40;
const AT_ONCE: usize = 4;

/// How pages are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// nginx, includes.
    NginxSsi,
    /// nginx, a file before each page and one behind.
    NginxAddition,
    /// lighttpd, includes.
    LighttpdSsi,
}

impl Way {
    fn kind(self) -> Kind {
        match self {
            Way::LighttpdSsi => Kind::Lighttpd,
            _ => Kind::Nginx,
        }
    }

    fn need(self) -> Need {
        match self {
            // Of Debian's nginx, not all have this.
            Way::NginxAddition => Need::Package("nginx"),
            _ => self.kind().need(),
        }
    }

    fn config(self) -> Config {
        let mut config = Config::default();
        match self {
            Way::NginxSsi => config.server = "ssi on; ssi_types *;".into(),
            Way::NginxAddition => {
                config.server = "location /pages/ { add_before_body /parts/head.html; \
                                 add_after_body /parts/foot.html; addition_types *; }"
                    .into();
            }
            Way::LighttpdSsi => {
                config.http =
                    "server.modules += ( \"mod_ssi\" )\nssi.extension = ( \".html\" )\n".into();
            }
        }
        config
    }

    /// The parts of a page, in their order; nothing stands for what it says itself.
    fn parts(self, number: usize) -> Vec<Option<String>> {
        let part = |name: &str| Some(format!("parts/{name}.html"));
        let own = part(&format!("of{number}"));
        match self {
            Way::NginxAddition => vec![part("head"), None, part("foot")],
            _ => vec![part("head"), None, own, part("foot")],
        }
    }
}

fn said(number: usize) -> String {
    format!("<p>page {number}</p>\n")
}

/// Writes the site.
fn write(way: Way, root: &Path) -> Result {
    fs::create_dir_all(root.join("pages"))?;
    for number in 0..PAGES {
        let mut page = String::new();
        for part in way.parts(number) {
            match part {
                None => page += &said(number),
                Some(part) => {
                    docroot::write(root, &part, 5_000)?;
                    if way != Way::NginxAddition {
                        page += &format!("<!--#include virtual=\"/{part}\" -->");
                    }
                }
            }
        }
        fs::write(root.join(format!("pages/p{number}.html")), page)?;
    }
    Ok(())
}

fn ask(way: Way, lines: &mut [Connection]) -> Result {
    let numbers: Vec<usize> = (0..PAGES).collect();
    for some in numbers.chunks(lines.len()) {
        for (line, number) in lines.iter_mut().zip(some) {
            let target = format!("/pages/p{number}.html");
            line.send(&request("GET", &target, "h", ""))?;
        }
        for (line, &number) in lines.iter_mut().zip(some) {
            let answer = line.response(false)?;
            let parts = way.parts(number).into_iter().map(|part| match part {
                None => said(number).into_bytes(),
                Some(part) => docroot::content(&part, 5_000),
            });
            let whole: Vec<u8> = parts.flatten().collect();
            ensure!(
                answer.status == 200 && answer.body == whole,
                "page {number}: status {}, {} bytes instead of {}",
                answer.status,
                answer.body.len(),
                whole.len()
            );
        }
    }
    Ok(())
}

/// Visits the whole site twice, cold each time: how many stalls there are.
fn visited(way: Way, mode: &str) -> Result<[u64; 2]> {
    let disk = SlowDisk::up()?;
    write(way, &disk.root())?;
    let preload = Preload::mode(mode)?.with("LAIO_BREAK_EVEN_US", "0");
    let config = way.config();
    let server = Server::start(way.kind(), &config, &disk.root(), &preload)?;
    let serving = server.settled(way.kind(), &config)?;
    let open = |_| Connection::open(server.address);
    let mut lines = (0..AT_ONCE).map(open).collect::<Result<Vec<_>>>()?;
    let mut stalls = [0; 2];
    for (round, stalls) in stalls.iter_mut().enumerate() {
        if let Some(seconds) = (round > 0 && way == Way::LighttpdSsi).then_some(3) {
            // What it has kept open it reads no more.
            std::thread::sleep(std::time::Duration::from_secs(seconds));
        }
        disk.chill()?;
        let before = Stats::of(&serving)?;
        ask(way, &mut lines)?;
        let after = Stats::of(&serving)?;
        *stalls = after.stalls() - before.stalls();
        println!("{mode}, round {round}: {stalls} stalls\n{after}");
    }
    Ok(stalls)
}

fn main() -> ExitCode {
    let ways = [Way::NginxSsi, Way::NginxAddition, Way::LighttpdSsi];
    let tests = ways.map(|way| {
        // Without it, each page stalls for what it includes, however often it was asked for.
        let body = move || {
            let without = visited(way, "observe")?;
            let with = visited(way, "on")?;
            ensure!(
                without[1] >= PAGES as u64,
                "{without:?} stalls without help"
            );
            ensure!(
                with[1] <= PAGES as u64 / 5,
                "{with:?} stalls, {without:?} without help"
            );
            Ok(())
        };
        Test::new(format!("{way:?}"), body)
            .needs(Need::SlowDisk)
            .needs(way.need())
            .limit(120)
    });
    run(tests.into())
}
