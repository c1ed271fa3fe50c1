//! Findings for a person: one a line, each with how grave it is and what to do.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// Something does not work as well as it could.
    Warn,
    /// The library cannot act.
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Level::Ok => "\x1b[32m",
            Level::Note => "\x1b[36m",
            Level::Warn => "\x1b[33m",
            Level::Fail => "\x1b[31;1m",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do about it; empty for nothing.
    pub remedy: String,
}

/// Findings in the order in which they are shown.
#[derive(Debug, Default)]
pub struct Report {
    /// What they are about.
    pub title: String,
    findings: Vec<Finding>,
    /// The last line.
    pub verdict: String,
}

impl Report {
    /// Nothing was found yet.
    pub fn about(title: impl Into<String>) -> Report {
        Report {
            title: title.into(),
            ..Report::default()
        }
    }

    /// Adds a finding.
    pub fn add(&mut self, level: Level, text: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding {
            level,
            text: text.into(),
            remedy: remedy.into(),
        });
    }

    /// Something is as it should be.
    pub fn ok(&mut self, text: impl Into<String>) {
        self.add(Level::Ok, text, "");
    }

    /// Something is good to know.
    pub fn note(&mut self, text: impl Into<String>) {
        self.add(Level::Note, text, "");
    }

    /// The gravest of all.
    pub fn worst(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Ok)
    }

    /// Those of a level.
    pub fn of(&self, level: Level) -> impl Iterator<Item = &Finding> {
        let of = move |finding: &&Finding| finding.level == level;
        self.findings.iter().filter(of)
    }

    /// The exit status that says the worst: 0 for nothing to do, 1 for a warning, 2 for a failure.
    pub fn status(&self) -> u8 {
        match self.worst() {
            Level::Ok | Level::Note => 0,
            Level::Warn => 1,
            Level::Fail => 2,
        }
    }

    /// The report as text of this width.
    pub fn text(&self, style: Style) -> String {
        let mut text = format!("{}\n", style.bold(&self.title));
        for finding in &self.findings {
            let word = format!("{:<6}", finding.level.word());
            let word = style.paint(finding.level.colour(), &word);
            let _ = write!(text, "  {word}");
            wrap(&mut text, &finding.text, "        ", style.width, 8);
            if !finding.remedy.is_empty() {
                text.push_str("        > ");
                wrap(&mut text, &finding.remedy, "          ", style.width, 10);
            }
        }
        if !self.verdict.is_empty() {
            text.push_str("  ");
            wrap(&mut text, &self.verdict, "  ", style.width, 2);
        }
        text
    }
}

/// Writes words, and begins a new line with `indent` where the next one does not fit; the first line has been begun.
pub fn wrap(into: &mut String, words: &str, indent: &str, width: usize, begun: usize) {
    let mut column = begun;
    for (number, word) in words.split(' ').enumerate() {
        let length = word.chars().count();
        if number > 0 && column + 1 + length > width {
            into.push('\n');
            into.push_str(indent);
            column = indent.len();
        } else if number > 0 {
            into.push(' ');
            column += 1;
        }
        into.push_str(word);
        column += length;
    }
    into.push('\n');
}

/// How text is written for whoever reads it.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
    /// Columns.
    pub width: usize,
}

impl Style {
    /// That of the standard output: colours on a terminal, unless `NO_COLOR` is set.
    pub fn of_output() -> Style {
        let terminal = std::io::stdout().is_terminal();
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let size = ratatui::crossterm::terminal::size()
            .ok()
            .filter(|_| terminal);
        Style {
            colour: terminal && !forbidden,
            width: size.map_or(80, |(columns, _)| usize::from(columns).clamp(40, 100)),
        }
    }

    /// Without colours, of so many columns.
    pub fn plain(width: usize) -> Style {
        Style {
            colour: false,
            width,
        }
    }

    /// Text in a colour.
    pub fn paint(self, colour: &str, text: &str) -> String {
        match self.colour {
            true => format!("{colour}{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// Bold text.
    pub fn bold(self, text: &str) -> String {
        self.paint("\x1b[1m", text)
    }

    /// Text that steps back.
    pub fn dim(self, text: &str) -> String {
        self.paint("\x1b[2m", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides() {
        let mut report = Report::about("x");
        assert_eq!(report.status(), 0);
        report.note("n");
        assert_eq!(report.status(), 0);
        report.add(Level::Fail, "f", "r");
        report.add(Level::Warn, "w", "r");
        assert_eq!((report.status(), report.of(Level::Warn).count()), (2, 1));
    }

    /// Without it, a terminal of 80 columns would break lines in the middle of words.
    #[test]
    fn no_line_is_wider_than_it_may_be() {
        let style = Style {
            colour: false,
            width: 40,
        };
        let mut report = Report::about("program");
        report.add(
            Level::Warn,
            "words ".repeat(30).trim(),
            "more of them ".repeat(9).trim(),
        );
        report.verdict = "and so on ".repeat(9);
        let text = report.text(style);
        assert!(
            text.lines().all(|line| line.chars().count() <= 40),
            "{text}"
        );
        assert!(text.contains("\n        > more"), "{text}");
    }
}
