//! The environment that a unit gives to its service: what is preloaded already, and what takes effect after the drop-in.

use super::drop_in;
use super::root::Root;
use super::unit::Unit;
use super::words::{literal, quoted, split};
use crate::report::{Level, Report};
use crate::settings;
use std::path::Path;

const PRELOAD: &str = "LD_PRELOAD";

/// Lines for the drop-in: the library in front of what is preloaded already, and the settings.
pub fn lines(unit: &Unit, library: &Path, settings: &[(&str, String)]) -> Vec<String> {
    let mut preload = literal(&library.to_string_lossy());
    let before = variables(unit).filter(|(name, _)| name == PRELOAD).last();
    if let Some((_, before)) = before.filter(|(_, before)| !before.is_empty()) {
        preload = format!("{preload}:{before}");
    }
    let mut lines = vec![line(PRELOAD, &preload)];
    lines.extend(
        settings
            .iter()
            .map(|(name, value)| line(name, &literal(value))),
    );
    lines
}

fn line(name: &str, value: &str) -> String {
    format!("Environment={}", quoted(&format!("{name}={value}")))
}

/// The variables that the unit sets itself; values have their specifiers.
pub fn variables(unit: &Unit) -> impl Iterator<Item = (String, String)> {
    let words = unit.words("Environment").into_iter();
    words.filter_map(|word| pair(&word))
}

fn pair(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

/// Looks for what undoes the drop-in, and for typos.
pub fn look(
    report: &mut Report,
    unit: &Unit,
    root: &Root,
    library: &Path,
    settings: &[(&str, String)],
) {
    if let Some((_, before)) = variables(unit).filter(|(name, _)| name == PRELOAD).last() {
        report.ok(format!("LD_PRELOAD={before}, which the unit sets, is kept"));
    }
    let preloads = |value: &str| {
        split(value)
            .iter()
            .any(|word| word.starts_with("LD_PRELOAD="))
    };
    if let Some(file) = unit.later("Environment", preloads) {
        report.add(
            Level::Fail,
            format!(
                "{} comes after {} and sets LD_PRELOAD anew",
                file.display(),
                drop_in::FILE
            ),
            "take it out there: the drop-in keeps what other files of the unit preload",
        );
    }
    if unit
        .words("UnsetEnvironment")
        .iter()
        .any(|word| word.split('=').next() == Some(PRELOAD))
    {
        report.add(
            Level::Fail,
            "UnsetEnvironment= takes LD_PRELOAD away",
            "take it out of the unit",
        );
    }
    let mut all: Vec<_> = variables(unit).collect();
    for file in unit.values("EnvironmentFile") {
        let path = file.trim_start_matches('-');
        let text = root
            .read(Path::new(path))
            .ok()
            .flatten()
            .unwrap_or_default();
        let found: Vec<_> = text.lines().filter_map(file_line).collect();
        for (name, value) in &found {
            let is_chosen = settings.iter().any(|(chosen, _)| name == chosen);
            if name == PRELOAD {
                report.add(
                    Level::Fail,
                    format!("{path} sets LD_PRELOAD, and an EnvironmentFile= has the last word"),
                    format!("write it there: LD_PRELOAD={}:{value}", library.display()),
                );
            } else if is_chosen {
                report.add(
                    Level::Warn,
                    format!(
                        "{path} sets {name}={value}, and an EnvironmentFile= has the last word"
                    ),
                    "change it there",
                );
            }
        }
        all.extend(found);
    }
    let all = all
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()));
    for mistake in settings::mistakes(all) {
        report.add(Level::Warn, mistake.text, "");
    }
}

/// A line of an environment file, without its quotation marks.
fn file_line(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let (name, value) = line
        .split_once('=')
        .filter(|_| !line.starts_with(['#', ';']))?;
    let value = split(value).join(" ");
    Some((name.trim().to_owned(), value))
}
