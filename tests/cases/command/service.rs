//! `laio enable` and `disable`, on trees of units made here. No systemd runs: what it would make of the drop-in is
//! asked of `systemd-analyze`.

use super::run::make;
use super::said::{keep, laio, said};
use anyhow::ensure;
use laio_tests::test::scratch;
use laio_tests::Result;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const DROP_IN: &str = "etc/systemd/system/server.service.d/laio.conf";

/// Where the command names the tree by its whole path.
const PLACE: &[(&str, &str)] = &[(r"/\S*/root\b", "ROOT")];

fn root() -> PathBuf {
    scratch().join("root")
}

fn write(path: &str, text: &str) -> Result {
    let path = root().join(path);
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    Ok(fs::write(path, text)?)
}

/// A tree with the library, and a program of this kind as `/usr/sbin/NAME`.
fn tree(kind: &str, name: &str) -> Result {
    make(kind)?;
    for file in [
        "usr/lib/liblaio.so",
        "lib64/ld-linux-x86-64.so.2",
        "lib/ld-linux-aarch64.so.1",
    ] {
        write(file, "")?;
    }
    let program = format!("usr/sbin/{name}");
    write(&program, "")?;
    fs::copy(scratch().join(kind), root().join(&program))?;
    Ok(())
}

fn unit(name: &str, service: &str) -> Result {
    write(
        &format!("usr/lib/systemd/system/{name}.service"),
        &format!("[Unit]\nDescription=a server\n[Service]\n{service}\n"),
    )
}

/// What a command line says, and the drop-in that is there afterwards.
fn shown(words: &[&str]) -> Result<String> {
    let mut line = [&words[..1], &["--root", "./root"], &words[1..]].concat();
    if words[0] == "enable" && !words.contains(&"--library") {
        line.extend(["--library", "/usr/lib/liblaio.so"]);
    }
    let answer = said(&mut laio(&line)?)?;
    Ok(format!("$ laio {}\n{}\n", words.join(" "), answer.text()))
}

fn drop_in() -> String {
    match fs::read_to_string(root().join(DROP_IN)) {
        Ok(text) => format!("{DROP_IN}:\n{text}\n"),
        Err(_) => format!("{DROP_IN}: none\n\n"),
    }
}

/// A service that has something preloaded already: on, on again, otherwise, off, off again.
pub fn enabled() -> Result {
    tree("plain", "server")?;
    unit(
        "server",
        "Environment=A=b \"LD_PRELOAD=/usr/lib/%p.so:/other.so\"\nExecStart=/usr/sbin/server -x\n\
         ProtectSystem=strict\nMemoryDenyWriteExecute=yes\nSystemCallFilter=@system-service\nLimitNOFILE=1024\n",
    )?;
    let mut all = String::new();
    let stats = ["--stats", "/run/laio-server/%p.json"];
    for words in [
        &["enable", "server", "--dry-run"][..],
        &[
            "enable",
            "server",
            "--window",
            "1M",
            stats[0],
            stats[1],
            "--map",
            "/a/=/srv/b c",
        ],
        &[
            "enable",
            "server.service",
            "--window",
            "1M",
            stats[0],
            stats[1],
            "--map",
            "/a/=/srv/b c",
        ],
        &["enable", "server", "--log", "off"],
        &["disable", "server"],
        &["disable", "server"],
    ] {
        all += &shown(words)?;
        all += &drop_in();
    }
    ensure!(
        !root().join(DROP_IN).parent().is_some_and(Path::exists),
        "its directory is left behind"
    );
    keep("enable", &all, PLACE);
    Ok(())
}

/// What systemd itself says of a unit with the drop-in.
pub fn verified() -> Result {
    tree("plain", "server")?;
    unit("server", "ExecStart=/usr/sbin/server")?;
    let words = [
        "--stats",
        "/run/laio-server/%p.json",
        "--map",
        "/a/=/srv/b \"c\" \\d,/e/=/f",
    ];
    shown(&[&["enable", "server"], &words[..]].concat())?;
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--recursive-errors=no", "--man=no", "--root"])
        .arg(root())
        .arg(root().join("usr/lib/systemd/system/server.service"))
        .output()?;
    let said = String::from_utf8_lossy(&verify.stderr);
    ensure!(!said.contains("laio.conf"), "{said}");
    Ok(())
}

/// Units whose restrictions are in the way, each as it says.
pub fn restricted() -> Result {
    tree("plain", "server")?;
    write(
        "etc/default/server",
        "# A comment\nLD_PRELOAD=\"/a.so\"\nLAIO_WINDWO=1M\n",
    )?;
    let start = "ExecStart=/usr/sbin/server\n";
    let mut all = String::new();
    for service in [
        "SystemCallFilter=@basic-io @network-io @io-event @file-system @process",
        "SystemCallFilter=@system-service\nSystemCallFilter=~@process:EPERM statx\nSystemCallErrorNumber=ENOSYS",
        "SystemCallFilter=~@process @privileged",
        "RootDirectory=/srv/jail",
        "RootDirectory=/srv/jail\nBindReadOnlyPaths=/usr/lib/liblaio.so",
        "NoExecPaths=/\nExecPaths=/usr/sbin/server",
        "InaccessiblePaths=-/usr/lib",
        "UnsetEnvironment=LD_PRELOAD",
        "EnvironmentFile=-/etc/default/server",
        "TasksMax=16\nLimitNOFILE=65536",
        "LimitNOFILE=65536\nUser=web\nEnvironment=LAIO=obsreve",
    ] {
        unit("server", &format!("{start}{service}"))?;
        all += &format!("{service}\n{}", shown(&["enable", "server", "--dry-run"])?);
    }
    unit(
        "server",
        &format!("{start}ProtectSystem=strict\nPrivateTmp=yes"),
    )?;
    for stats in [
        "/var/log/%p.json",
        "/tmp/%p.json",
        "/run/laio/all.json",
        "%p",
    ] {
        all += &shown(&["enable", "server", "--dry-run", "--stats", stats])?;
    }
    write(
        "etc/systemd/system/server.service.d/z.conf",
        "[Service]\nEnvironment=LD_PRELOAD=/b.so\n",
    )?;
    all += &shown(&["enable", "server", "--dry-run"])?;
    keep("enable in sandboxes", &all, PLACE);
    Ok(())
}

/// What the library cannot be loaded into, and what is no service.
pub fn refused() -> Result {
    tree("static", "server")?;
    tree("plain", "docker")?;
    unit("server", "ExecStart=/usr/sbin/server")?;
    unit("contained", "ExecStart=/usr/sbin/docker run x")?;
    unit("empty", "Type=oneshot")?;
    unit("gone", "ExecStart=/usr/sbin/gone")?;
    unit("hidden", "ExecStart=/usr/sbin/docker")?;
    let units = root().join("etc/systemd/system");
    fs::create_dir_all(&units)?;
    symlink("/dev/null", units.join("hidden.service"))?;
    let mut all = String::new();
    for words in [
        &["enable", "server"][..],
        &["enable", "contained"],
        &["enable", "empty"],
        &["enable", "gone"],
        &["enable", "hidden"],
        &["enable", "none"],
        &["enable", "server.socket"],
        &["enable", "../server"],
        &["enable", "server", "--now"],
        &["enable", "server", "--window", "1Q"],
        &["enable", "server", "--library", "/none.so"],
        &["disable", "server", "--now"],
        &["disable"],
    ] {
        all += &shown(words)?;
    }
    all += &drop_in();
    all += &shown(&["enable", "server", "--force"])?;
    all += &drop_in();
    keep("enable refused", &all, PLACE);
    Ok(())
}

/// A file that somebody else has written stays as it is, whatever is asked.
pub fn others() -> Result {
    tree("plain", "server")?;
    unit("server", "ExecStart=/usr/sbin/server")?;
    write(DROP_IN, "[Service]\nNice=5\n")?;
    let mut all = String::new();
    for words in [&["enable", "server", "--force"][..], &["disable", "server"]] {
        all += &shown(words)?;
        all += &drop_in();
    }
    fs::remove_file(root().join(DROP_IN))?;
    symlink("/etc/passwd", root().join(DROP_IN))?;
    all += &shown(&["enable", "server"])?;
    let is_link = root().join(DROP_IN).symlink_metadata()?.is_symlink();
    ensure!(is_link, "the link is gone");
    fs::remove_file(root().join(DROP_IN))?;
    write(
        "etc/systemd/system/server.service.d/a.conf",
        "[Service]\nNice=5\n",
    )?;
    shown(&["enable", "server"])?;
    shown(&["disable", "server"])?;
    let left: Vec<_> = fs::read_dir(root().join("etc/systemd/system/server.service.d"))?.collect();
    ensure!(left.len() == 1, "another drop-in was touched: {left:?}");
    keep("enable beside others", &all, PLACE);
    Ok(())
}

/// nginx, whose environment does not reach a new binary, by its own name and by an alias.
pub fn nginx() -> Result {
    tree("plain", "nginx")?;
    unit(
        "nginx",
        "Type=forking\nExecStart=/usr/sbin/nginx -c /etc/n.conf -g 'daemon on;'\nLimitNOFILE=9000",
    )?;
    let alias = root().join("etc/systemd/system/web.service");
    write("etc/systemd/system/none", "")?;
    symlink("/usr/lib/systemd/system/nginx.service", alias)?;
    let mut all = String::new();
    for config in ["user www;\n", "env LD_PRELOAD;\nenv LAIO_LOG;\n"] {
        write("etc/n.conf", config)?;
        all += &shown(&["enable", "web"])?;
    }
    all += &shown(&["disable", "web"])?;
    keep("enable nginx", &all, PLACE);
    Ok(())
}
