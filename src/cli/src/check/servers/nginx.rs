//! nginx.

use super::timers::short_timer;
use super::tokens::{included, read, words};

use crate::check::configured::Configured;
use crate::report::{Level, Report};
use std::io::Result;
use std::path::{Path, PathBuf};

/// A directive, with the names of the blocks around it.
struct Directive {
    context: Vec<String>,
    words: Vec<String>,
}

/// Looks at a configuration with all that it includes.
pub fn look(report: &mut Report, path: &Path) -> Result<Configured> {
    let mut all = Vec::new();
    directives(path, path, &mut Vec::new(), &mut all, &mut 0)?;
    let named = |name: &'static str| {
        let of = all.iter().filter(move |each| each.words[0] == name);
        of.map(|each| &each.words[1..])
    };
    environment(report, &all);
    if let Some(size) = named("directio")
        .find_map(|words| words.first())
        .filter(|size| *size != "off")
    {
        report.add(
            Level::Warn,
            format!("directio {size}: files of that size bypass memory, so nginx waits for the disk itself"),
            "directio off",
        );
    }
    if named("aio").any(|words| {
        words
            .first()
            .is_some_and(|word| word.starts_with("threads"))
    }) {
        report.note("aio threads: nginx reads bodies in threads of its own; the library takes opens and stats");
    }
    let connections = named("worker_connections").find_map(|words| words.first()?.parse().ok());
    let connections: u64 = connections.unwrap_or(512);
    if connections < 1024 {
        report.add(
            Level::Warn,
            format!(
                "worker_connections is {connections}: with more than {} connections open to a worker \
                 nothing is held back",
                connections / 2
            ),
            "worker_connections at more than twice the number of clients, such as 4096",
        );
    }
    for name in ["client_header_timeout", "keepalive_timeout"] {
        let shortest = named(name)
            .filter_map(|words| seconds(words.first()?))
            .min();
        short_timer(report, name, shortest.unwrap_or(60));
    }
    if named("listen").any(|words| words.iter().any(|word| word == "quic")) {
        report.note("HTTP/3 (quic): requests that come by it are served as without the library");
    }
    Ok(Configured {
        roots: roots(&all),
        tls: None,
    })
}

/// The variables that a new binary finds in its environment, by a configuration file with all that it includes.
pub fn kept_variables(path: &Path) -> Result<Vec<String>> {
    let mut all = Vec::new();
    directives(path, path, &mut Vec::new(), &mut all, &mut 0)?;
    Ok(kept(&all).map(str::to_owned).collect())
}

fn kept(all: &[Directive]) -> impl Iterator<Item = &str> {
    let main = all.iter().filter(|each| each.context.is_empty());
    let env = main.filter(|each| each.words[0] == "env");
    env.filter_map(|each| each.words.get(1)?.split('=').next())
}

/// What a new binary finds in its environment.
fn environment(report: &mut Report, all: &[Directive]) {
    let names: Vec<_> = kept(all).collect();
    if names.contains(&"LD_PRELOAD") {
        report.ok("env LD_PRELOAD: the library stays when a new binary is started (SIGUSR2)");
    } else {
        report.add(
            Level::Warn,
            "there is no `env LD_PRELOAD;`: nginx clears its environment, so after an upgrade in place \
             (SIGUSR2) the new binary runs without the library",
            "at the top of nginx.conf: env LD_PRELOAD; and such a line for each LAIO variable that is set",
        );
    }
}

fn roots(all: &[Directive]) -> Vec<PathBuf> {
    let named = all
        .iter()
        .filter(|each| ["root", "alias"].contains(&&*each.words[0]));
    let paths = named
        .filter_map(|each| each.words.get(1))
        .filter(|path| !path.contains('$'));
    let mut roots: Vec<_> = paths
        .filter(|path| path.starts_with('/'))
        .map(PathBuf::from)
        .collect();
    roots.sort();
    roots.dedup();
    roots
}

/// `30s`, `1m`, `75`.
fn seconds(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "" | "s" => Some(number),
        "m" => Some(60 * number),
        "h" => Some(3600 * number),
        _ => None,
    }
}

/// Reads a file's directives; what it includes is beside the main file.
fn directives(
    path: &Path,
    main: &Path,
    context: &mut Vec<String>,
    into: &mut Vec<Directive>,
    files: &mut usize,
) -> Result<()> {
    let depth = context.len();
    let mut current: Vec<String> = Vec::new();
    for word in words(&read(path, files)?, ";{}") {
        match &*word {
            ";" | "{" if current.is_empty() => {}
            ";" => {
                let words = std::mem::take(&mut current);
                if words[0] == "include" {
                    for file in words
                        .get(1)
                        .map_or_else(Vec::new, |name| included(name, main))
                    {
                        directives(&file, main, context, into, files)?;
                    }
                } else {
                    let context = context.clone();
                    into.push(Directive { context, words });
                }
            }
            "{" => context.push(std::mem::take(&mut current).swap_remove(0)),
            "}" => {
                current.clear();
                context.pop();
            }
            _ => current.push(word),
        }
    }
    context.truncate(depth);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> (Report, Configured) {
        let file =
            std::env::temp_dir().join(format!("laio-nginx-{}-{:p}", std::process::id(), text));
        std::fs::write(&file, text).unwrap();
        let mut report = Report::default();
        let configured = look(&mut report, &file).unwrap();
        std::fs::remove_file(&file).unwrap();
        (report, configured)
    }

    #[test]
    fn pitfalls_are_found() {
        let (report, configured) = said(
            "events { worker_connections 768; }\nhttp { directio 4m; keepalive_timeout 10s;\n\
             server { listen 443 quic; root /srv/www; location /x/ { alias '/srv/x/'; } } }",
        );
        let warnings: Vec<_> = report
            .of(Level::Warn)
            .map(|each| each.text.clone())
            .collect();
        assert!(warnings[0].contains("env LD_PRELOAD"), "{warnings:?}");
        assert!(warnings[1].contains("directio 4m"), "{warnings:?}");
        assert!(warnings[2].contains("384 connections"), "{warnings:?}");
        assert_eq!(report.of(Level::Note).count(), 2);
        assert_eq!(configured.roots, ["/srv/www", "/srv/x/"].map(PathBuf::from));
    }

    #[test]
    fn a_good_configuration_is_left_alone() {
        let (report, _) =
            said("env LD_PRELOAD;\nevents { worker_connections 4096; }\nhttp { directio off; }");
        assert_eq!(report.worst(), Level::Ok);
        let (report, _) = said("http { env LD_PRELOAD; } }");
        assert_eq!(report.worst(), Level::Warn);
    }
}
