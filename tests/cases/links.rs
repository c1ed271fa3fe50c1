//! Sites of symbolic links: such as say their whole names, lead out of the site, or climb. Files behind them are brought in once the server was
//! seen to go there, and nothing else is. Stalls are counted with help and without, and all bodies compared.

use anyhow::ensure;
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;

const FILES: usize = 80;
const LENGTH: usize = 6_000;
const AT_ONCE: usize = 8;

/// What the links are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Each file is one, by its whole name, to another directory of the site.
    WithinSite,
    /// Each file is one to a place outside.
    FilesOut,
    /// The same by a relative name.
    FilesClimb,
    /// A directory is one to a place outside.
    DirectoryOut,
    /// A link to a link.
    Twice,
}

/// Writes the site, and returns the files that are asked for with the targets that they have.
fn write(way: Way, disk: &Path) -> Result<Vec<(String, String)>> {
    let site = disk.join("site");
    fs::create_dir_all(site.join("links"))?;
    let mut all = Vec::new();
    for number in 0..FILES {
        let name = format!("f{number}.bin");
        let place = match way {
            Way::WithinSite => format!("site/store/{}/{name}", number % 3),
            _ => format!("store/{}/{name}", number % 3),
        };
        docroot::write(disk, &place, LENGTH)?;
        let link = site.join("links").join(&name);
        let whole = disk.join(&place);
        match way {
            Way::WithinSite | Way::FilesOut => symlink(whole, link)?,
            Way::FilesClimb => symlink(Path::new("../..").join(&place), link)?,
            Way::Twice => {
                let middle = disk.join("middle").join(&name);
                fs::create_dir_all(disk.join("middle"))?;
                symlink(whole, &middle)?;
                symlink(middle, link)?;
            }
            Way::DirectoryOut => {}
        }
        let target = match way {
            Way::DirectoryOut => format!("/now/{}/{name}", number % 3),
            _ => format!("/links/{name}"),
        };
        all.push((place, target));
    }
    if way == Way::DirectoryOut {
        symlink(disk.join("store"), site.join("now"))?;
    }
    // Where nobody has ever gone, and a link to it.
    docroot::write(disk, "elsewhere/x.bin", LENGTH)?;
    symlink(
        disk.join("elsewhere/x.bin"),
        site.join("links/elsewhere.bin"),
    )?;
    Ok(all)
}

fn ask(lines: &mut [Connection], all: &[(String, String)]) -> Result {
    for some in all.chunks(lines.len()) {
        for (line, (_, target)) in lines.iter_mut().zip(some) {
            line.send(&request("GET", target, "h", ""))?;
        }
        for (line, (place, target)) in lines.iter_mut().zip(some) {
            let answer = line.response(false)?;
            let is_right = answer.body == docroot::content(place, LENGTH);
            ensure!(answer.status == 200 && is_right, "{target}: it differs");
        }
    }
    Ok(())
}

fn visited(kind: Kind, way: Way, mode: &str) -> Result<(u64, Stats)> {
    let disk = SlowDisk::up()?;
    let all = write(way, &disk.root())?;
    let preload = Preload::mode(mode)?.with("LAIO_BREAK_EVEN_US", "0");
    let config = Config::default();
    let server = Server::start(kind, &config, &disk.root().join("site"), &preload)?;
    let serving = server.settled(kind, &config)?;
    disk.chill()?;
    let open = |_| Connection::open(server.address);
    let mut lines = (0..AT_ONCE).map(open).collect::<Result<Vec<_>>>()?;
    ask(&mut lines, &all)?;
    let stats = Stats::of(&serving)?;
    println!("{mode}: {} stalls", stats.stalls());
    Ok((stats.stalls(), stats))
}

fn followed(kind: Kind, way: Way) -> Result {
    let (without, _) = visited(kind, way, "observe")?;
    let (with, stats) = visited(kind, way, "on")?;
    ensure!(without >= FILES as u64, "{without} stalls without help");
    ensure!(
        with <= FILES as u64 / 3,
        "{with} stalls, {without} without help\n{stats}"
    );
    Ok(())
}

/// A server that does not follow links: nothing behind one is read.
fn not_followed() -> Result {
    let disk = SlowDisk::up()?;
    let all = write(Way::FilesOut, &disk.root())?;
    let site = disk.root().join("site");
    for number in 0..FILES {
        docroot::write(&site, &format!("plain/p{number}.bin"), LENGTH)?;
    }
    let preload = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
    let config = Config {
        server: "location /links/ { disable_symlinks on; }".into(),
        ..Config::default()
    };
    let server = Server::start(Kind::Nginx, &config, &site, &preload)?;
    let serving = server.settled(Kind::Nginx, &config)?;
    disk.chill()?;
    let mut line = Connection::open(server.address)?;
    let mut ask = |target: &str| -> Result<u16> {
        line.send(&request("GET", target, "h", ""))?;
        Ok(line.response(false)?.status)
    };
    for (number, (_, target)) in all.iter().enumerate() {
        let plain = ask(&format!("/plain/p{number}.bin"))?;
        let linked = ask(target)?;
        ensure!((plain, linked) == (200, 403), "{number}: {plain}, {linked}");
    }
    let stats = Stats::of(&serving)?;
    let read = stats.sum("/jobs/bytes");
    let most = (FILES * (LENGTH + 4096)) as u64;
    ensure!(
        stats.gated() > 0 && read <= most,
        "{read} bytes were read, and there are {most}\n{stats}"
    );
    // What lies behind the links is not in memory.
    for (place, _) in &all {
        let path = disk.root().join(place);
        ensure!(!is_in_memory(&path)?, "{place} was read");
    }
    Ok(())
}

/// Whether the first page of a file is in memory.
fn is_in_memory(path: &Path) -> Result<bool> {
    use std::os::fd::AsRawFd as _;
    let file = fs::File::open(path)?;
    let mut byte = [0u8; 1];
    let vector = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    // SAFETY: one byte of room, for the length of the call.
    let count = unsafe { libc::preadv2(file.as_raw_fd(), &vector, 1, 0, libc::RWF_NOWAIT) };
    Ok(count == 1)
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for kind in [Kind::Nginx, Kind::Lighttpd] {
        for way in [
            Way::WithinSite,
            Way::FilesOut,
            Way::FilesClimb,
            Way::DirectoryOut,
            Way::Twice,
        ] {
            // Without it, each file behind such a link stalls.
            let body = move || followed(kind, way);
            let test = Test::new(format!("{way:?}: {kind:?}"), body);
            tests.push(test.needs(Need::SlowDisk).needs(kind.need()).limit(120));
        }
    }
    // Without it, a stranger could have files read to which the server does not go.
    let test = Test::new("links that are not followed", not_followed);
    tests.push(
        test.needs(Need::SlowDisk)
            .needs(Kind::Nginx.need())
            .limit(120),
    );
    run(tests)
}
