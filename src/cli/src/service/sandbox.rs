//! What a unit's own restrictions do to the library (`systemd.exec`(5)), and what the drop-in needs because of them.

use super::filter::{self, Refusal};
use super::unit::Unit;
use super::words::{literal, quoted};
use crate::report::{Level, Report};
use crate::target::Target;
use std::path::Path;

/// Descriptors that a server should be able to have: each cold file takes one.
const ENOUGH_FILES: u64 = 4096;

/// What the unit has where it says nothing is 1,024, and 524,288 for who asks for more.
const MORE_FILES: &str = "LimitNOFILE=8192:524288";

/// Looks whether the library's file can be mapped; returns lines for the drop-in.
pub fn library(report: &mut Report, unit: &Unit, library: &Path) -> Vec<String> {
    let shown = library.display();
    let is_bound = ["BindPaths", "BindReadOnlyPaths"].iter().any(|key| {
        let words = unit.words(key);
        words.iter().any(|word| {
            let word = word.trim_start_matches('-');
            let place = word.split(':').nth(1).unwrap_or(word);
            library.starts_with(place)
        })
    });
    let covered = [
        ("InaccessiblePaths", unit.words("InaccessiblePaths")),
        ("TemporaryFileSystem", unit.words("TemporaryFileSystem")),
        (
            "PrivateTmp",
            on(unit.is("PrivateTmp"), &["/tmp", "/var/tmp"]),
        ),
        (
            "ProtectHome",
            on(hides_home(unit), &["/home", "/root", "/run/user"]),
        ),
        (
            "RootDirectory",
            on(unit.value("RootDirectory").is_some(), &["/"]),
        ),
        ("RootImage", on(unit.value("RootImage").is_some(), &["/"])),
    ];
    for (key, directories) in &covered {
        if is_beneath(library, directories) && !is_bound {
            report.add(
                Level::Fail,
                format!("{key}= keeps {shown} out of the service's sight: it would start without the library"),
                match key.starts_with("Root") {
                    true => format!("a copy for that system, and BindReadOnlyPaths=COPY:{shown}"),
                    false => "install the library elsewhere, such as in /usr/local/lib".to_owned(),
                },
            );
        }
    }
    let forbidden = is_beneath(library, &unit.words("NoExecPaths"));
    match forbidden && !is_beneath(library, &unit.words("ExecPaths")) {
        true => {
            report.note(format!(
                "NoExecPaths=: the drop-in allows {shown} by ExecPaths="
            ));
            vec![format!(
                "ExecPaths={}",
                quoted(&literal(&shown.to_string()))
            )]
        }
        false => Vec::new(),
    }
}

fn on(is_on: bool, directories: &[&str]) -> Vec<String> {
    let directories = directories.iter().filter(|_| is_on);
    directories.map(ToString::to_string).collect()
}

fn hides_home(unit: &Unit) -> bool {
    unit.is("ProtectHome") || unit.value("ProtectHome") == Some("tmpfs")
}

/// Whether a path is in one of these directories, as units name them.
fn is_beneath(path: &Path, directories: &[String]) -> bool {
    directories.iter().any(|directory| {
        let plain = directory.trim_start_matches(['-', '+']);
        path.starts_with(plain.split(':').next().unwrap_or(plain))
    })
}

/// Looks at the filter of system calls.
pub fn calls(report: &mut Report, unit: &Unit) {
    let Some(refused) = filter::refused(unit) else {
        return;
    };
    let of = |refusal| {
        let of = refused.iter().filter(move |(_, how)| *how == refusal);
        of.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
    };
    let (killed, failing) = (of(Refusal::Kill), of(Refusal::Error));
    if !killed.is_empty() {
        report.add(
            Level::Fail,
            format!("SystemCallFilter= would end the service at calls of the library's: {killed}"),
            format!("systemctl edit {}: SystemCallFilter={killed}", unit.name),
        );
    }
    if !failing.is_empty() {
        report.add(
            Level::Warn,
            format!("SystemCallFilter= refuses calls of the library's: {failing}; part of it will not work"),
            format!("systemctl edit {}: SystemCallFilter={failing}", unit.name),
        );
    }
    if refused.is_empty() {
        report.ok("SystemCallFilter= lets the library's calls through");
    }
}

/// Looks at limits; returns lines for the drop-in.
pub fn limits(report: &mut Report, unit: &Unit, targets: &[Target], helpers: u64) -> Vec<String> {
    if unit.is("MemoryDenyWriteExecute") {
        report.ok("MemoryDenyWriteExecute=: the library has no memory of that kind");
    }
    for key in ["TasksMax", "LimitNPROC"] {
        let most = unit.value(key).and_then(number);
        if let Some(most) = most.filter(|most| *most < 2 * helpers) {
            report.add(
                Level::Warn,
                format!("{key}={most}: helpers are threads of the service, up to {helpers} for each event loop"),
                format!("{key}={}, or --threads with fewer", 8 * helpers),
            );
        }
    }
    match unit.value("LimitNOFILE") {
        Some(value) => {
            let most = value.split(':').next().and_then(number);
            if most.is_some_and(|most| most < ENOUGH_FILES) {
                report.add(
                    Level::Warn,
                    format!("LimitNOFILE={value}: cold files come much faster with the library, and each takes one"),
                    format!("LimitNOFILE={} or more", 2 * ENOUGH_FILES),
                );
            }
            Vec::new()
        }
        None if targets.is_empty() => Vec::new(),
        None => more_files(report, targets),
    }
}

/// A program that calls `select` has no use for numbers above 1,023.
fn more_files(report: &mut Report, targets: &[Target]) -> Vec<String> {
    let calls = |names: &[&str]| {
        let mut elfs = targets.iter().map(|target| &target.elf);
        elfs.any(|elf| names.iter().any(|name| elf.imports.contains(*name)))
    };
    let has_select = calls(&["select", "pselect", "__fdelt_chk"]);
    match has_select || !calls(&["epoll_wait", "epoll_pwait", "poll", "ppoll", "__poll_chk"]) {
        true => {
            report.note(
                "LimitNOFILE= is not set: 1,024 descriptors unless the program raises that itself. Cold files \
                 take one each",
            );
            Vec::new()
        }
        false => {
            report.note(format!(
                "the drop-in sets {MORE_FILES}: cold files take a descriptor each"
            ));
            vec![MORE_FILES.to_owned()]
        }
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// Looks whether the counters can be written where `LAIO_STATS` says; returns lines for the drop-in.
pub fn statistics(report: &mut Report, unit: &Unit, path: &str) -> Vec<String> {
    let Some(directory) = Path::new(path)
        .parent()
        .filter(|parent| parent.is_absolute())
    else {
        report.add(
            Level::Warn,
            format!("LAIO_STATS={path} is no absolute path: it begins where the service works"),
            "",
        );
        return Vec::new();
    };
    let name = match directory.strip_prefix("/run") {
        Ok(name) if name.components().count() == 1 => name.to_string_lossy().into_owned(),
        _ => {
            writable(report, unit, path, directory);
            return Vec::new();
        }
    };
    let own = unit.words("RuntimeDirectory");
    let mut lines = Vec::new();
    if !own.contains(&name) {
        report.note(format!("the drop-in sets RuntimeDirectory={name}"));
        lines.push(format!("RuntimeDirectory={}", quoted(&literal(&name))));
        if unit.value("User").is_none()
            && own.is_empty()
            && unit.value("RuntimeDirectoryMode").is_none()
        {
            // Its workers may have given up being root. As in /tmp each removes its own files only, and the library writes into no other's.
            lines.push("RuntimeDirectoryMode=1777".to_owned());
        }
    }
    if unit.value("RuntimeDirectoryPreserve").is_none() {
        // They are written when the service ends, which is when the directory would go.
        lines.push("RuntimeDirectoryPreserve=yes".to_owned());
    }
    lines
}

fn writable(report: &mut Report, unit: &Unit, path: &str, directory: &Path) {
    let protected = match unit.value("ProtectSystem") {
        Some("strict") => &["/"][..],
        Some("full") => &["/usr", "/boot", "/efi", "/etc"],
        _ if unit.is("ProtectSystem") => &["/usr", "/boot", "/efi"],
        _ => &[],
    };
    let mut protected = on(true, protected);
    let home = unit
        .value("ProtectHome")
        .is_some_and(|value| value != "no" && value != "false");
    protected.extend(on(home, &["/home", "/root", "/run/user"]));
    protected.extend(unit.words("ReadOnlyPaths"));
    let mut allowed = unit.words("ReadWritePaths");
    allowed.extend(on(unit.is("PrivateTmp"), &["/tmp", "/var/tmp"]));
    for (key, parent) in [
        ("StateDirectory", "/var/lib"),
        ("CacheDirectory", "/var/cache"),
        ("LogsDirectory", "/var/log"),
        ("RuntimeDirectory", "/run"),
    ] {
        let names = unit.words(key);
        allowed.extend(names.iter().map(|name| format!("{parent}/{name}")));
    }
    if is_beneath(directory, &protected) && !is_beneath(directory, &allowed) {
        report.add(
            Level::Warn,
            format!("LAIO_STATS={path}: the service may not write there (ProtectSystem=, ProtectHome=, ReadOnlyPaths=)"),
            format!("a directory of its own: --stats /run/laio-{}/%p.json", unit.name.trim_end_matches(".service")),
        );
    } else if unit.is("PrivateTmp") && is_beneath(directory, &on(true, &["/tmp", "/var/tmp"])) {
        report.note(format!(
            "LAIO_STATS={path}: PrivateTmp= hides that from others"
        ));
    }
}
