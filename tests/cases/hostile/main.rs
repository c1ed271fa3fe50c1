//! Targets from strangers: whatever they name, the helpers touch nothing outside of the document root, never open what
//! is not a regular file, and resolve every name beneath a directory. Proven from a trace of their system calls.

mod site;

use anyhow::{bail, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::library::fresh_dir;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::trace::{Call, Trace};
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use site::*;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitCode;

/// The first bytes of whatever the server says, and then no more of that connection.
fn throw(address: SocketAddr, bytes: &[u8]) -> Result {
    let mut connection = Connection::open(address)?;
    // The server may refuse before all was sent.
    if connection.send(bytes).is_ok() {
        let _ = connection.finish_sending();
        let _ = connection.taste(1);
    }
    Ok(())
}

fn ask(address: SocketAddr, number: usize) -> Result {
    let mut connection = Connection::open(address)?;
    connection.send(&request(
        "GET",
        &format!("/{}", good(number)),
        "h",
        "Connection: close\r\n",
    ))?;
    let response = connection.response(false)?;
    if response.status != 200 || response.body != docroot::content(&good(number), 3000) {
        bail!(
            "{}: status {}, or another body",
            good(number),
            response.status
        );
    }
    Ok(())
}

/// Calls that take a path, or a descriptor and a path.
const PATH_CALLS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "chdir",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "truncate",
    "chmod",
    "fchmodat",
    "chown",
    "fchownat",
    "execve",
    "mknod",
    "mknodat",
    "utimensat",
    "getxattr",
    "lgetxattr",
    "statfs",
];

/// The directories outside of the document root from which the server itself has opened files, by way of links in that.
fn followed(trace: &Trace, helpers: &BTreeSet<u32>, documents: &str) -> BTreeSet<String> {
    let by_server = |call: &&Call| !helpers.contains(&call.tid) && call.name != "openat2";
    let opened = trace.calls.iter().filter(by_server).filter_map(|call| {
        let _asked = call.path()?.strip_prefix(documents)?;
        let (directory, _) = call.opened()?.rsplit_once('/')?;
        Some(directory.to_owned())
    });
    let outside = |directory: &String| !directory.starts_with(documents);
    opened.filter(outside).collect()
}

/// What is wrong with a helper's call, if anything. It may go where the server has `followed` a link.
fn objection(call: &Call, documents: &str, followed: &BTreeSet<String>) -> Option<String> {
    if !PATH_CALLS.contains(&call.name.as_str()) {
        return None;
    }
    // Where pages are sent that only have to be read, and what a disk reads ahead: the helpers' own names.
    let own = |path: &str| path == "/dev/null" || path.starts_with("/sys/class/bdi/");
    if ["open", "openat", "newfstatat"].contains(&call.name.as_str())
        && call.path().is_some_and(own)
        && !call.arguments.contains("O_RDWR")
    {
        return None;
    }
    let beneath = |directory: &str, path: &str| {
        let rest = path.strip_prefix(directory);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let inside =
        |path: &str| beneath(documents, path) || followed.iter().any(|it| beneath(it, path));
    // A body's file, which the server itself has open: by its number, first without touching it.
    let path = call.path().unwrap_or("");
    let is_the_servers = call.name.starts_with("open")
        && (path.starts_with("/proc/self/fd/") && call.arguments.contains("O_PATH")
            || path.starts_with("/proc/thread-self/fd/"));
    if let Some(opened) = call.opened() {
        // `-y` shows a FIFO and a device by path too, a socket or an anonymous file by another form.
        if !inside(opened) && !is_the_servers {
            return Some("opened something outside of the document root".into());
        }
        let name = opened.rsplit('/').next().unwrap_or("");
        let special = name.starts_with("fifo") || name.starts_with("device");
        if special && !call.arguments.contains("O_PATH") {
            return Some("opened what is not a regular file".into());
        }
    }
    match call.name.as_str() {
        "openat" | "open" if is_the_servers => None,
        // Whether the call, or a flag of it, is allowed at all: it names nothing.
        "openat2" if call.arguments.starts_with("-1, NULL, ") || path.is_empty() => None,
        "openat2" => {
            let absolute = path.starts_with('/');
            let learnt = call.arguments.contains("O_DIRECTORY")
                || call.arguments.contains("RESOLVE_NO_SYMLINKS")
                    && path.split('/').all(|part| part != "..");
            if absolute && !(inside(path) && learnt) {
                return Some("an absolute name that leads out of the learnt directory".into());
            }
            if !absolute && !call.arguments.contains("RESOLVE_BENEATH") {
                return Some("a name from a request, not resolved beneath a directory".into());
            }
            if !absolute && !call.directory().is_some_and(inside) {
                return Some("resolved from a directory outside of the document root".into());
            }
            None
        }
        // A listing's entry: one component, not followed, and not the way up.
        "newfstatat"
            if call.arguments.contains("AT_SYMLINK_NOFOLLOW")
                && call.directory().is_some_and(inside)
                && call
                    .path()
                    .is_some_and(|name| !name.contains('/') && name != "..") =>
        {
            None
        }
        // The text of a link, and where a directory is.
        "readlinkat" if path.is_empty() && call.directory().is_some_and(inside) => None,
        "readlinkat" if path.starts_with("/proc/thread-self/fd/") => None,
        // On the descriptor itself, without a name.
        "newfstatat" | "statx" if call.arguments.contains("AT_EMPTY_PATH") => None,
        "openat" | "open" => {
            let path = call.path().unwrap_or("");
            let directory = call.arguments.contains("O_DIRECTORY") && inside(path);
            (!directory).then(|| "a name that openat2 should have resolved".into())
        }
        _ => Some("a call by name that helpers have no need of".into()),
    }
}

fn case(kind: Kind) -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root();
    write_site(&root)?;
    let documents = root.join("documents");
    disk.chill()?;
    let traces = fresh_dir("traces")?.join("trace");
    let config = match kind {
        Kind::Lighttpd => Config {
            http: "server.follow-symlink = \"enable\"\nserver.modules = ( \"mod_dirlisting\" )\n\
                   dir-listing.activate = \"enable\"\n"
                .into(),
            ..Config::default()
        },
        _ => Config {
            server: "autoindex on;\n".into(),
            ..Config::default()
        },
    };
    let options = [
        "-f",
        "-Y",
        "-y",
        "-qq",
        "-s",
        "200",
        "-e",
        "trace=%file,%process,openat2,pread64,preadv2,read",
    ];
    let server = Server::start_with(
        kind,
        &config,
        &documents,
        &Preload::on()?,
        |preload, program| preload.traced(program, &options, &traces),
    )?;
    let traced = *server
        .children()?
        .first()
        .context("the tracer runs nothing")?;
    // Cold requests teach the rules; then the hostile ones come between more of them.
    for number in 0..40 {
        ask(server.address, number)?;
    }
    let mut next = 40;
    for round in 0..4 {
        for (i, bytes) in hostile(round).iter().enumerate() {
            throw(server.address, bytes)?;
            if i % 8 == 0 && next < GOOD {
                ask(server.address, next)?;
                next += 1;
            }
        }
    }
    for number in next..GOOD {
        ask(server.address, number)?;
    }
    let ended = server.stop(traced, libc::SIGTERM)?;
    let Some(stats) = ended.stats else {
        bail!(
            "the server did not write its counters: {}\n{}",
            ended.ending,
            ended.log
        );
    };
    examine(&Trace::read(&traces)?, &documents.to_string_lossy(), &stats)
}

fn examine(trace: &Trace, documents: &str, stats: &Stats) -> Result {
    let helpers = trace.helpers();
    if helpers.is_empty() || stats.gated() == 0 {
        bail!(
            "{} helpers, and no request held back: this tested nothing\n{stats}",
            helpers.len()
        );
    }
    let followed = followed(trace, &helpers, documents);
    let mut opened = 0;
    let mut wrong = Vec::new();
    for call in &trace.calls {
        let by_helper = helpers.contains(&call.tid);
        // lighttpd and nginx never call openat2: in their own thread it is the library that does.
        if !by_helper && call.name != "openat2" {
            continue;
        }
        opened += usize::from(by_helper && call.opened().is_some());
        if let Some(reason) = objection(call, documents, &followed) {
            wrong.push(format!(
                "{reason}: {} {} {}({}) = {}",
                call.tid, call.comm, call.name, call.arguments, call.result
            ));
        }
    }
    if opened == 0 {
        bail!("the helpers opened nothing: this tested nothing\n{stats}");
    }
    if !wrong.is_empty() {
        let shown: Vec<_> = wrong.iter().take(20).cloned().collect();
        bail!(
            "{} calls that must not be:\n{}\n{stats}",
            wrong.len(),
            shown.join("\n")
        );
    }
    println!(
        "{opened} files and directories opened by {} helpers",
        helpers.len()
    );
    Ok(())
}

fn main() -> ExitCode {
    // Without these, a stranger could have the library read a secret, hang on a FIFO, or poke a device.
    let cases = [
        ("lighttpd", Kind::Lighttpd, "lighttpd"),
        ("nginx", Kind::Nginx, "nginx-light"),
    ];
    run(cases
        .into_iter()
        .map(|(name, kind, package)| {
            Test::new(name, move || case(kind))
                .needs(Need::SlowDisk)
                .needs(Need::Command("strace", "strace"))
                .needs(Need::Command(name, package))
                .limit(120)
        })
        .collect())
}
