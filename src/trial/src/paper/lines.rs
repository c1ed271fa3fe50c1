//! How much code a server takes: lines of C that are neither blank nor only comment.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::plan::Strategy;

/// The files that are only of one server, beside those that all share.
const OWN: [(Strategy, &[&str]); 2] = [
    (Strategy::NbLaio, &["nb_laio.c", "lazy.c", "lazy.h"]),
    (Strategy::NbAmped, &["nb_amped.c"]),
];

/// The lines of a server.
#[derive(Clone, Debug, Serialize)]
pub struct Lines {
    /// Its name.
    pub server: &'static str,
    /// Which files are only its own.
    pub files: &'static [&'static str],
    /// How many lines of code are in them.
    pub lines: usize,
}

/// Counts the lines of all servers of [`OWN`].
pub fn count(sources: &Path) -> Result<Vec<Lines>> {
    let of_file = |name: &&str| -> Result<usize> {
        let path = sources.join(name);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(lines_of_code(&text))
    };
    let of_server = |(strategy, files): (Strategy, &'static [&'static str])| {
        Ok(Lines {
            server: strategy.name(),
            files,
            lines: files.iter().map(of_file).sum::<Result<_>>()?,
        })
    };
    OWN.into_iter().map(of_server).collect()
}

/// Lines that something is left of when comments and white space are taken away.
fn lines_of_code(text: &str) -> usize {
    let without = without_comments(text);
    without
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count()
}

/// C without its comments; their line ends stay.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    // Inside of a literal, what begins and ends it.
    let mut quote = None;
    while let Some(next) = rest.chars().next() {
        let mut taken = next.len_utf8();
        if let Some(end) = quote {
            if next == '\\' {
                taken += rest[1..].chars().next().map_or(0, char::len_utf8);
            } else if next == end {
                quote = None;
            }
        } else if next == '"' || next == '\'' {
            quote = Some(next);
        } else if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
            continue;
        } else if rest.starts_with("/*") {
            let end = rest[2..].find("*/").map_or(rest.len(), |end| end + 4);
            code.extend(rest[..end].chars().filter(|char| *char == '\n'));
            rest = &rest[end..];
            continue;
        }
        code.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever explains more must not look longer.
    #[test]
    fn comments_and_blank_lines_do_not_count() {
        let text = "/* What this\n * is for. */\n#include <a.h> // why\n\n// only this\nint f(void)\n{\n\treturn 1; /* one\n\t*/\n}\n";
        assert_eq!(lines_of_code(text), 5);
    }

    /// A mark inside a string begins no comment, and a quoted quote ends no string.
    #[test]
    fn literals_are_code() {
        let text = "const char *a = \"/* no\\\" comment\";\nchar b = '\"'; // yes\n\"//\"\n";
        assert_eq!(lines_of_code(text), 3);
        assert!(without_comments(text).contains("no\\\" comment\";"));
        assert!(!without_comments(text).contains("yes"));
    }
}
