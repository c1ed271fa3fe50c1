//! Which of a program's calls the library sees.

use crate::report::{Level, Report};
use crate::target::{Libraries, Target};
use laio_core::symbols::ROWS;

/// The operations in which an event loop waits.
const WAITS: &[&str] = &["epoll_wait", "poll", "select"];
/// Those that wait for a file to be read.
const FILES: &[&str] = &[
    "open", "opendir", "readdir", "stat", "pread", "sendfile", "splice", "mmap",
];
/// Those that are timed and never held back.
const TIMED: &[&str] = &[
    "fsync",
    "truncate",
    "rename",
    "unlink",
    "link",
    "mkdir",
    "getaddrinfo",
];

/// Names that may wait and pass by the hooks.
const UNSEEN: &[&str] = &[
    "fread",
    "fread_unlocked",
    "fgets",
    "getline",
    "getdelim",
    "realpath",
    "realpath_chk",
    "scandir",
    "scandir64",
    "glob",
    "glob64",
    "nftw",
    "nftw64",
    "fts_read",
    "copy_file_range",
    "sendmmsg",
    "recvmmsg",
    "vmsplice",
    "aio_read",
    "aio_read64",
    "lio_listio",
    "gethostbyname",
    "getnameinfo",
    "fflush",
    "fwrite",
    "name_to_handle_at",
];

/// Whether a program is an event-driven server, by its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// Something else decides, which this is.
    Depends(&'static str),
}

/// Tells what is seen and what is not.
pub fn look(report: &mut Report, target: &Target, libraries: &Libraries) -> Serves {
    let level = match target.is_interpreter() {
        true => Level::Note,
        false => Level::Warn,
    };
    let waits = found(target, libraries, WAITS);
    match &waits {
        Some(waits) => report.ok(format!("waits in {waits}: requests can be held back there")),
        None => report.add(
            level,
            "waits neither in epoll_wait nor in poll nor in select",
            "",
        ),
    }
    let accepts = found(target, libraries, &["accept"]);
    match &accepts {
        Some(accepts) => report.ok(format!("accepts clients by {accepts}")),
        None => report.add(level, "accepts no clients", ""),
    }
    if waits.is_none() || accepts.is_none() {
        return match target.is_interpreter() {
            true => Serves::Depends(
                "the modules that its script loads: laio doctor tells while it runs",
            ),
            false => Serves::No,
        };
    }
    match found(target, libraries, FILES) {
        Some(files) => report.ok(format!("file calls that are seen: {files}")),
        None => report.add(
            Level::Warn,
            "opens and reads no files by calls that are seen",
            "",
        ),
    }
    if let Some(timed) = found(target, libraries, TIMED) {
        report.note(format!("timed and not held back: {timed}"));
    }
    let unseen = UNSEEN
        .iter()
        .filter(|name| target.elf.imports.contains(**name));
    let unseen: Vec<_> = unseen.copied().collect();
    if !unseen.is_empty() {
        report.note(format!(
            "not seen, as without the library: {}",
            unseen.join(" ")
        ));
    }
    match io_uring(report, target, libraries) {
        true => {
            Serves::Depends("its libuv, which may use io_uring: laio doctor tells while it runs")
        }
        false => Serves::Yes,
    }
}

/// The names by which a program reaches operations: its own, or else those of the first library that does.
fn found(target: &Target, libraries: &Libraries, operations: &[&str]) -> Option<String> {
    let rows = ROWS
        .iter()
        .filter(|row| operations.contains(&row.operation));
    let names: Vec<_> = rows.flat_map(|row| row.names).copied().collect();
    let own: Vec<_> = names
        .iter()
        .filter(|name| target.elf.imports.contains(**name))
        .copied()
        .collect();
    if !own.is_empty() {
        return Some(own.join(" "));
    }
    libraries.found.iter().find_map(|(library, _, elf)| {
        let theirs: Vec<_> = names
            .iter()
            .filter(|name| elf.imports.contains(**name))
            .copied()
            .collect();
        (!theirs.is_empty()).then(|| format!("{} (in {library})", theirs.join(" ")))
    })
}

/// Tells of io_uring, and whether connections may be registered by it.
fn io_uring(report: &mut Report, target: &Target, libraries: &Libraries) -> bool {
    let has_libuv = |elf: &crate::target::Elf| elf.mentions.contains(&"UV_USE_IO_URING");
    let by_libuv = has_libuv(&target.elf) || libraries.found.iter().any(|(.., elf)| has_libuv(elf));
    if by_libuv {
        report.add(
            Level::Warn,
            "has libuv with io_uring: from libuv 1.49 on connections are registered by it, which no hook \
             sees, so nothing is held back",
            "none, but an older libuv",
        );
    } else if let Some(library) = libraries.named("liburing.so") {
        report.add(
            Level::Warn,
            format!("uses io_uring ({library}): what is done by it is not seen"),
            "where the server has a switch for it, use epoll",
        );
    }
    by_libuv
}
