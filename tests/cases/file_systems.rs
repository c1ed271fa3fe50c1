//! Documents on file systems that cannot say whether a read would wait, on one that hangs, and on a disk that fails.

use anyhow::{bail, Context as _};
use laio_tests::cold::{drop_pages, SlowDisk};
use laio_tests::http::{request, Connection, Response};
use laio_tests::library::fresh_dir;
use laio_tests::mounts::{FuseFiles, Mount};
use laio_tests::program::{compile, observe, Build};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

const LENGTH: usize = 100_000;
const FILES: usize = 40;

fn name(number: usize) -> String {
    format!("f{number}.html")
}

fn write(root: &Path) -> Result {
    (0..FILES).try_for_each(|n| docroot::write(root, &name(n), LENGTH))
}

fn ask(connection: &mut Connection, directory: &str, number: usize) -> Result {
    connection.send(&request(
        "GET",
        &format!("/{directory}{}", name(number)),
        "h",
        "",
    ))
}

fn check(response: &Response, number: usize) -> Result {
    if response.status != 200 || response.body != docroot::content(&name(number), LENGTH) {
        bail!(
            "{}: status {}, {} bytes, and they differ",
            name(number),
            response.status,
            response.body.len()
        );
    }
    Ok(())
}

/// One file after the other, each over a connection of its own.
fn fetch(address: SocketAddr, directory: &str, files: impl Iterator<Item = usize>) -> Result {
    for number in files {
        let mut connection = Connection::open(address)?;
        ask(&mut connection, directory, number)?;
        let response = connection.response(false).context(directory.to_owned())?;
        check(&response, number)?;
    }
    Ok(())
}

/// A server with the library that gates whatever is cold, from the first request.
fn start(kind: Kind, root: &Path, threads: usize) -> Result<Server> {
    let http = match kind {
        // Its cache of what files are asks for that anew whenever it likes.
        Kind::Lighttpd => "server.stat-cache-engine = \"disable\"\n",
        _ => "",
    };
    start_with(kind, root, threads, http)
}

fn start_with(kind: Kind, root: &Path, threads: usize, http: &str) -> Result<Server> {
    let preload = Preload::on()?
        .with("LAIO_MAP", format!("/={}/", root.display()))
        .with("LAIO_BREAK_EVEN_US", "0")
        .with("LAIO_THREADS", threads.to_string());
    let config = Config {
        http: http.into(),
        ..Config::default()
    };
    let server = Server::start(kind, &config, root, &preload)?;
    server.settled(kind, &config)?;
    Ok(server)
}

fn counted(server: &Server, kind: Kind) -> Result<Stats> {
    Stats::of(&server.serving(kind)?)
}

/// One part of the site hangs while requests for it are under way; the rest is served meanwhile, cold files too.
fn hung(kind: Kind, threads: usize) -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    write(&root)?;
    fs::create_dir(root.join("hung"))?;
    let source = fresh_dir("source")?;
    write(&source)?;
    disk.chill()?;
    // lighttpd keeps files open for a while: to close them would be its own wait.
    let option = match kind {
        Kind::Lighttpd => "",
        _ => "flush",
    };
    let files = FuseFiles::mount(&source, &root.join("hung"), option)?;
    let server = start(kind, &root, threads)?;
    fetch(server.address, "", 0..10)?;
    fetch(server.address, "hung/", 0..10)?;
    files.signal(libc::SIGSTOP);
    // Helpers have nothing to do for longer than they hold on to files: not even that may wait for the server.
    std::thread::sleep(Duration::from_millis(2500));
    let mut waiting = Vec::new();
    for number in 20..23 {
        let mut connection = Connection::open(server.address)?;
        ask(&mut connection, "hung/", number)?;
        waiting.push((number, connection));
    }
    fetch(server.address, "", 0..FILES)
        .with_context(|| format!("beside a file system that hangs\n{:?}", server.dir))?;
    files.signal(libc::SIGCONT);
    for (number, connection) in &mut waiting {
        check(&connection.response(false)?, *number)?;
    }
    fetch(server.address, "hung/", 0..FILES)?;
    let stats = counted(&server, kind)?;
    if stats.gated() < 40 {
        bail!("too few requests were held back\n{stats}");
    }
    Ok(())
}

/// Files that have been served for a while are taken out of memory, as by a kernel that is short of it.
fn taken_away() -> Result {
    const KIND: Kind = Kind::Nginx;
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    write(&root)?;
    disk.chill()?;
    // It reads what it sends: nothing looks at that again where it is sent.
    let server = start_with(KIND, &root, 64, "sendfile off;\n")?;
    fetch(server.address, "", 0..FILES)?;
    // All are taken to be in memory for longer than this.
    std::thread::sleep(Duration::from_millis(500));
    let before = counted(&server, KIND)?;
    for number in 0..FILES {
        drop_pages(&root.join(name(number)))?;
    }
    fetch(server.address, "", 0..FILES)?;
    let after = counted(&server, KIND)?;
    // The first tells: several reads, of which some find what the kernel has read ahead.
    let (gated, stalls) = (
        after.gated() - before.gated(),
        after.stalls() - before.stalls(),
    );
    if !(1..=4).contains(&stalls) || gated + 1 < FILES as u64 {
        bail!("{gated} requests were held back\n{before}\n{after}");
    }
    Ok(())
}

/// A site on a file system that `mount` makes of a directory of documents.
fn opaque<M>(
    kind: Kind,
    mount: impl Fn(&Path, &Path) -> Result<M>,
    verdict: impl Fn(&Stats) -> bool,
) -> Result {
    let source = fresh_dir("source")?;
    write(&source)?;
    for number in 0..FILES {
        drop_pages(&source.join(name(number)))?;
    }
    let root = fresh_dir("site")?.join("root");
    let _mounted = mount(&source, &root)?;
    let server = start(kind, &root, 64)?;
    fetch(server.address, "", 0..FILES)?;
    let stats = counted(&server, kind)?;
    if !verdict(&stats) {
        bail!("{stats}");
    }
    println!("{stats}");
    Ok(())
}

fn overlay(source: &Path, root: &Path) -> Result<Mount> {
    let options = format!(
        "lowerdir={}:{}",
        source.display(),
        fresh_dir("empty")?.display()
    );
    Mount::new("overlay", Path::new("overlay"), root, &options)
}

fn tmpfs(_: &Path, root: &Path) -> Result<Mount> {
    let mount = Mount::new("tmpfs", Path::new("tmpfs"), root, "size=64m")?;
    write(root)?;
    Ok(mount)
}

fn squashfs(source: &Path, root: &Path) -> Result<Mount> {
    let image = source.with_extension("squashfs");
    let made = Command::new("mksquashfs")
        .args([source, &image])
        .args(["-quiet", "-no-progress"])
        .output()?;
    if !made.status.success() {
        bail!("{}", String::from_utf8_lossy(&made.stderr));
    }
    Mount::new("squashfs", &image, root, "loop")
}

/// What a disk that fails in the middle of a body is answered with: what arrives, and what the server writes to its log.
fn failing(
    kind: Kind,
    disk: &SlowDisk,
    preload: &Preload,
) -> Result<(Vec<u8>, usize, Option<u64>)> {
    let root = disk.root().join("documents");
    disk.heal()?;
    disk.chill()?;
    let server = Server::start(kind, &Config::default(), &root, preload)?;
    server.settled(kind, &Config::default())?;
    fetch(server.address, "", 0..10)?;
    let status = fs::read(root.join("large.bin"))?.len();
    drop_pages(&root.join("large.bin"))?;
    // The beginning is in memory, name and inode too: the failure comes under way.
    let mut start = vec![0; 65536];
    std::io::Read::read_exact(&mut fs::File::open(root.join("large.bin"))?, &mut start)?;
    disk.fail()?;
    let mut connection = Connection::open(server.address)?;
    connection.send(&request("GET", "/large.bin", "h", "Connection: close\r\n"))?;
    let arrived = connection.rest();
    let jobs = |server: &Server| -> Result<Option<u64>> {
        match preload.is_stock() {
            true => Ok(None),
            false => Ok(Some(counted(server, kind)?.jobs())),
        }
    };
    let before = jobs(&server)?;
    std::thread::sleep(Duration::from_millis(500));
    let after = jobs(&server)?;
    if before != after {
        bail!("jobs go on after the failure: {before:?}, {after:?}");
    }
    disk.heal()?;
    fetch(server.address, "", 20..30).context("after the disk was healed")?;
    let pid = server.pid();
    let log = server.stop(pid, libc::SIGTERM)?.log;
    let errors = log.matches("Input/output error").count();
    if arrived.len() > status {
        bail!("all of the body arrived: nothing failed");
    }
    Ok((arrived, errors, after))
}

fn broken(kind: Kind) -> Result {
    const LARGE: usize = 8_000_000;
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    write(&root)?;
    docroot::write(&root, "large.bin", LARGE)?;
    let stock = failing(kind, &disk, &Preload::stock())?;
    let preload = Preload::on()?.with("LAIO_MAP", format!("/={}/", root.display()));
    let on = failing(kind, &disk, &preload)?;
    let body = |bytes: &[u8]| -> Result<Vec<u8>> {
        let at = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        Ok(bytes[at.context("no header")? + 4..].to_vec())
    };
    let status = |bytes: &[u8]| bytes.split(|b| *b == b'\r').next().map(<[u8]>::to_vec);
    if status(&stock.0) != status(&on.0) || stock.1 != on.1 {
        bail!(
            "stock: {:?}, {} errors; with the library: {:?}, {} errors",
            status(&stock.0),
            stock.1,
            status(&on.0),
            on.1
        );
    }
    for (run, arrived) in [("stock", &stock.0), ("preloaded", &on.0)] {
        let body = body(arrived)?;
        if !docroot::content("large.bin", LARGE).starts_with(&body) {
            bail!("{run}: {} bytes, and they differ", body.len());
        }
        println!("{run}: {} bytes before the end", body.len());
    }
    println!("{} errors in the log, {:?} jobs", on.1, on.2);
    Ok(())
}

/// A file system that is asked, and answers late, what an open file is like: each such question is a stall.
fn attributes() -> Result {
    const QUESTIONS: u64 = 5 * 4;
    let program = compile("attributes", Build::Program)?;
    let (source, root) = (fresh_dir("source")?, fresh_dir("root")?);
    docroot::write(&source, "file", 5000)?;
    let _mount = FuseFiles::mount(&source, &root, "slow")?;
    let file = root.join("file").to_string_lossy().into_owned();
    let dir = fresh_dir("stats")?;
    let preload = Preload::on()?.with("LAIO_STATS", dir.join("laio-%p.json"));
    let ended = observe(&program, &[&file], &preload)?;
    if ended.ending != "exit status 0" {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        bail!("{}\n{said}", ended.ending);
    }
    let stats = Stats::read(&dir)?;
    let rows = stats.files[0]["stalls"].as_array().cloned();
    let mut rows = rows.unwrap_or_default().into_iter();
    let row = rows.find(|row| row["call"] == "stat" && row["path"] == file.as_str());
    let count = row.and_then(|row| row["count"].as_u64()).unwrap_or(0);
    if count < QUESTIONS {
        bail!("{count} of {QUESTIONS} were taken for stalls\n{stats}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    // Without it, a server that NFS or FUSE keeps waiting in fstat would have no stall to show for it.
    tests.push(Test::new("fstat waits for FUSE", attributes).needs(Need::Root));
    // Without it, each file that the kernel took pages of would stall everybody, if it was in memory a second ago.
    tests.push(
        Test::new("taken out of memory: nginx", taken_away)
            .needs(Need::SlowDisk)
            .needs(Kind::Nginx.need())
            .limit(120),
    );
    for kind in [Kind::Nginx, Kind::Lighttpd] {
        for threads in [64, 4] {
            // Without these, one disk that hangs could freeze a server that has others: by a question to its file system on the
            // loop's thread, or by helpers that are all stuck.
            tests.push(
                Test::new(format!("hung: {kind:?}, {threads} helpers"), move || {
                    hung(kind, threads)
                })
                .needs(Need::SlowDisk)
                .needs(kind.need())
                .limit(120),
            );
        }
        // Without it, a failing disk could be asked again and again, or its error be lost.
        tests.push(
            Test::new(format!("failing disk: {kind:?}"), move || broken(kind))
                .needs(Need::SlowDisk)
                .needs(kind.need())
                .limit(120),
        );
        // Without these, a file that a helper has just brought in could be held back a second time, or not at all.
        // The first, too: what was pinned is known when the server has accepted its first client.
        let each = |stats: &Stats| stats.gated() >= FILES as u64;
        let once = move |stats: &Stats| each(stats) && stats.sum("/lanes/body_gate") <= 1;
        // The first file tells what the file system is; from then on nothing is asked.
        let none = |stats: &Stats| stats.gated() <= 1 && stats.sum("/lanes/body_gate") == 0;
        let on = |name: &str, body: Box<dyn FnOnce() -> Result + Send>| {
            Test::new(format!("on {name}: {kind:?}"), body)
                .needs(Need::Root)
                .needs(kind.need())
        };
        tests.push(on(
            "overlayfs",
            Box::new(move || opaque(kind, overlay, once)),
        ));
        tests.push(on("tmpfs", Box::new(move || opaque(kind, tmpfs, none))));
        tests.push(
            on("squashfs", Box::new(move || opaque(kind, squashfs, once)))
                .needs(Need::Command("mksquashfs", "squashfs-tools")),
        );
        for option in ["", "keep", "flush"] {
            let mount = move |source: &Path, root: &Path| FuseFiles::mount(source, root, option);
            let name = format!("FUSE {option}");
            let body = Box::new(move || opaque(kind, mount, each));
            tests.push(on(name.trim_end(), body));
        }
    }
    run(tests)
}
