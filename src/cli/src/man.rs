//! The manual pages: options from the command's own definition, the environment from the table of settings.

use clap::{Command, ValueEnum};
use clap_mangen::Man;
use laio_core::config::{Setting, SETTINGS};
use roff::{bold, roman, Inline, Roff};
use std::io::{Result, Write as _};

/// The pages there are.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Page {
    /// `laio(1)`
    Laio,
    /// `liblaio(7)`
    Liblaio,
}

/// A page's source; `command` is what `laio` understands.
pub fn page(page: Page, command: Command) -> Result<Vec<u8>> {
    match page {
        Page::Laio => laio(command),
        Page::Liblaio => liblaio(),
    }
}

fn laio(command: Command) -> Result<Vec<u8>> {
    let mut command = command.disable_help_subcommand(true);
    command = command.mut_subcommands(|each| each.disable_help_flag(true));
    command.build();
    let man = Man::new(command.clone());
    let mut out = Vec::new();
    write_title(&mut out, "LAIO", 1)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_options_section(&mut out)?;
    Roff::new()
        .control("SH", ["COMMANDS"])
        .to_writer(&mut out)?;
    for each in command.get_subcommands().filter(|each| !each.is_hide_set()) {
        write_part(&mut out, each)?;
    }
    let mut rest = Roff::new();
    items(
        &mut rest,
        "EXAMPLES",
        &[
            (
                "laio run -- nginx -g 'daemon off;'",
                "A server in which no client waits for another one's cold files.",
            ),
            (
                "laio check nginx",
                "Whether the library could help nginx, and what would be in the way.",
            ),
            (
                "laio observe --for 10m -- lighttpd -D -f lighttpd.conf",
                "The server as it is for ten minutes; then what has blocked it, and whether the library would help.",
            ),
            (
                "laio observe --report 30s nginx",
                "The same of workers that run with the library, in the next half minute.",
            ),
            (
                "laio enable nginx --now",
                "Have systemd start nginx with the library from now on. Off again: laio disable nginx --now",
            ),
            (
                "laio doctor nginx",
                "Whether the library can do its work in the workers that run.",
            ),
            (
                "laio stats --watch nginx",
                "What they do in a second, every two seconds.",
            ),
        ],
    );
    section(&mut rest, "EXIT STATUS", &[
        "The program takes the place of `laio run`, and so its exit status is the program's; 127 where there is no such \
         program, 126 where it cannot be executed, and 125 where `laio` itself fails, or refuses to run it.",
        "`laio enable` ends with 2 where it refuses; `laio check` and `laio doctor` say the worst that they found: 0 where all is well, 1 for a warning, 2 where the \
         library cannot act. All commands end with 3 where they cannot do what they were asked, or do not understand it.",
    ]);
    section(
        &mut rest,
        "SEE ALSO",
        &["`liblaio`(7), `ld.so`(8), `systemd.unit`(5)"],
    );
    rest.to_writer(&mut out)?;
    Ok(out)
}

/// One of several commands: what `clap_mangen` writes as sections is one part of a section here.
fn write_part(out: &mut Vec<u8>, command: &Command) -> Result<()> {
    let man = Man::new(command.clone());
    let mut sections = Vec::new();
    man.render_synopsis_section(&mut sections)?;
    Roff::new().control("PP", []).to_writer(&mut sections)?;
    man.render_description_section(&mut sections)?;
    man.render_options_section(&mut sections)?;
    let mut heading = Roff::new();
    heading.control("SS", [command.get_name()]).to_writer(out)?;
    let lines = sections.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b".SH"))
        .try_for_each(|line| out.write_all(line))
}

fn liblaio() -> Result<Vec<u8>> {
    let mut page = Roff::new();
    section(
        &mut page,
        "NAME",
        &["liblaio - lazy asynchronous I/O for unmodified event-driven servers"],
    );
    section(
        &mut page,
        "SYNOPSIS",
        &["`LD_PRELOAD=/path/to/liblaio.so` `server` ..."],
    );
    section(&mut page, "DESCRIPTION", &[
        "A single-threaded event-driven server stops serving everyone while one request waits for the disk. \
         `liblaio.so` holds that request back until the files that its handler will touch are in memory, while all \
         other clients are served. Nothing is configured: it learns from what the server does.",
        "It looks at a request before the server is told of it, predicts which files will be opened, and asks the \
         kernel whether they are in memory. If not, the connection's readiness is withheld, the server's wait goes on, \
         and a helper thread brings the files in. Large bodies are held back in the same way, window by window. What was \
         reported ready succeeds. No result is faked and no byte is held.",
        "What was not predicted blocks as it always did, and is counted as a stall. Writes are never held back; those \
         that block are counted as ungated calls. `laio stats` shows both.",
    ]);
    section(&mut page, "ENVIRONMENT", &[
        "Read once when the process starts. A value that is not understood is reported once on standard error, with the \
         values that are, and the default is used.",
    ]);
    for Setting {
        name,
        kind,
        default,
        meaning,
        ..
    } in SETTINGS
    {
        page.control("TP", []);
        page.text(marked(&format!("`{name}`: {}", kind.describe())));
        let default = match *default {
            "" => String::new(),
            default => format!(" The default is `{default}`."),
        };
        page.text(marked(&format!("{meaning}{default}")));
    }
    section(&mut page, "NOTES", &[
        "It helps programs that are linked dynamically against glibc, wait in `epoll_wait`(2), `poll`(2) or `select`(2), \
         and speak HTTP/1.x or HTTP/2, in the clear or by an OpenSSL that is a shared library. HTTP/3, `io_uring` and writes \
         to the disk are served as without it.",
        "Behind a `seccomp`(2) filter of the program's own it does nothing.",
    ]);
    section(
        &mut page,
        "SEE ALSO",
        &["`laio`(1), `laio_syscall`(3), `ld.so`(8), `epoll`(7)"],
    );
    let mut out = Vec::new();
    write_title(&mut out, "LIBLAIO", 7)?;
    page.to_writer(&mut out)?;
    Ok(out)
}

/// By hand, for the date is left empty: `roff` would leave it out, and the version take its place.
fn write_title(out: &mut Vec<u8>, title: &str, section: u8) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, ".TH {title} {section} \"\" \"liblaio {version}\"")
}

fn section(page: &mut Roff, title: &str, paragraphs: &[&str]) {
    page.control("SH", [title]);
    for (number, paragraph) in paragraphs.iter().enumerate() {
        if number > 0 {
            page.control("PP", []);
        }
        page.text(marked(paragraph));
    }
}

fn items(page: &mut Roff, title: &str, items: &[(&str, &str)]) {
    page.control("SH", [title]);
    for (item, meaning) in items {
        page.control("TP", []);
        page.text([bold(*item)]);
        page.text(marked(meaning));
    }
}

/// Text in which what stands between backticks is bold.
fn marked(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts
        .map(|(number, part)| {
            if number % 2 == 0 {
                roman(part)
            } else {
                bold(part)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_what_the_tables_say() {
        let pages = [
            (Page::Laio, include_str!("../../../docs/man/laio.1")),
            (Page::Liblaio, include_str!("../../../docs/man/liblaio.7")),
        ];
        for (which, checked_in) in pages {
            let made = page(which, crate::arguments::command()).unwrap();
            assert!(made == checked_in.as_bytes(), "run scripts/generate-docs");
        }
    }

    /// Without it, a function of the interface, or a new version, could be missing from its manual.
    #[test]
    fn the_interface_has_its_page() {
        let page = include_str!("../../../docs/man/laio_syscall.3");
        let header = include_str!("../../../include/laio.h");
        assert!(page.contains(concat!("\"liblaio ", env!("CARGO_PKG_VERSION"), "\"")));
        let declared = header
            .lines()
            .filter(|line| line.ends_with(");") && !line.starts_with(" *"));
        let names = declared.filter_map(|line| line.split('(').next()?.split(' ').next_back());
        let names: Vec<_> = names.filter(|name| name.starts_with("laio_")).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        for name in names {
            assert!(page.contains(&format!(".BR {name} ()")), "{name}");
        }
    }
}
