//! The settings as options of a command, and what is wrong with those in an environment.

use clap::{Arg, ArgMatches};
use laio_core::config::{Config, Kind, Setting, SETTINGS};
use laio_core::escape::Escaped;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

/// Variables of the project's own tests, which are no settings.
const TESTS: &str = "LAIO_TEST_";

/// The heading of the options in the help.
const HEADING: &str = "Settings (each stands for the environment variable named)";

/// An option for each setting.
pub fn options() -> impl Iterator<Item = Arg> {
    SETTINGS.iter().map(|setting| {
        let name = match setting.kind {
            Kind::Choice(words) => words.join("|"),
            Kind::Number(_, _, unit) => format!("{unit:?}").to_uppercase(),
            Kind::Text(_) => "TEXT".to_owned(),
        };
        Arg::new(setting.name)
            .long(setting.option())
            .value_name(match &*name {
                "THINGS" => "NUMBER".to_owned(),
                "BYTES" => "SIZE".to_owned(),
                "MILLISECONDS" | "MICROSECONDS" => "TIME".to_owned(),
                _ => name,
            })
            .help(help(setting))
            .help_heading(HEADING)
            .value_parser(|value: &str| check(setting, value))
    })
}

/// One line for the help; the manual has the whole.
fn help(setting: &Setting) -> String {
    let meaning = setting
        .meaning
        .replace(" ([security](../SECURITY.md))", "")
        .replace('`', "");
    let end = meaning.find(". ").map_or(meaning.len(), |end| end + 1);
    let default = match setting.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    format!("{}: {}{default}", setting.name, &meaning[..end])
}

fn check(setting: &Setting, value: &str) -> Result<String, String> {
    match setting.accepts(value) {
        true => Ok(value.to_owned()),
        false => Err(format!(
            "it takes {}{}",
            plain(setting),
            did_you_mean(nearest_word(setting, value))
        )),
    }
}

fn plain(setting: &Setting) -> String {
    setting.kind.describe().replace('`', "")
}

/// The variables that a command line sets.
pub fn chosen(matches: &ArgMatches) -> Vec<(&'static str, String)> {
    let chosen = SETTINGS.iter().filter_map(|setting| {
        let value = matches.get_one::<String>(setting.name)?;
        Some((setting.name, value.clone()))
    });
    chosen.collect()
}

/// Something in an environment that means nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The variable.
    pub name: OsString,
    /// Whether the library would say the same.
    pub is_told_twice: bool,
    /// A line for whoever set it.
    pub text: String,
}

/// What is wrong with an environment.
pub fn mistakes(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<Mistake> {
    let ours = variables.filter(|(name, _)| {
        let name = name.as_bytes();
        (name == b"LAIO" || name.starts_with(b"LAIO_")) && !name.starts_with(TESTS.as_bytes())
    });
    let mut found: Vec<_> = ours
        .filter_map(|(name, value)| mistake(&name, &value))
        .collect();
    found.sort_by(|one, other| one.text.cmp(&other.text));
    found
}

fn mistake(name: &OsString, value: &OsString) -> Option<Mistake> {
    let shown = Escaped(name.as_bytes()).to_string();
    let Some(setting) = SETTINGS.iter().find(|setting| setting.name == shown) else {
        let renamed = Config::renamed(|old| old == shown).next();
        let is_told_twice = renamed.is_some();
        let text = match renamed {
            Some(line) => line.trim_start_matches("liblaio: ").to_owned(),
            None => format!(
                "{shown} is no setting{}",
                did_you_mean(nearest_name(&shown))
            ),
        };
        return Some(Mistake {
            name: name.clone(),
            is_told_twice,
            text,
        });
    };
    let value = value.to_string_lossy();
    if value.is_empty() || setting.accepts(&value) {
        return None;
    }
    let nearest = did_you_mean(nearest_word(setting, &value));
    Some(Mistake {
        name: name.clone(),
        is_told_twice: true,
        text: format!(
            "{shown}={value:?} is not understood: it takes {}{nearest}; the default is used",
            plain(setting)
        ),
    })
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}

fn nearest_name(name: &str) -> Option<&'static str> {
    nearest(name, SETTINGS.iter().map(|setting| setting.name))
}

fn nearest_word(setting: &Setting, value: &str) -> Option<&'static str> {
    match setting.kind {
        Kind::Choice(words) => nearest(value, words.iter().copied()),
        _ => None,
    }
}

/// The nearest, if it is near.
pub fn nearest<'w>(word: &str, others: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    // What all names begin with makes none of them near.
    let plain = |word: &str| word.trim_start_matches("LAIO_").to_lowercase();
    let word = plain(word);
    let distance = |other: &str| strsim::osa_distance(&word, &plain(other));
    let nearest = others.map(|other| (distance(other), other)).min()?;
    (nearest.0 <= 1 + word.chars().count() / 5).then_some(nearest.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        mistakes(variables)
            .into_iter()
            .map(|mistake| mistake.text)
            .collect()
    }

    #[test]
    fn typos_are_told_with_the_nearest() {
        assert_eq!(
            said(&[
                ("LAIO_WINDWO", "1M"),
                ("LAIO_TEST_LIBRARY", "x"),
                ("PATH", "/bin")
            ]),
            ["LAIO_WINDWO is no setting; did you mean LAIO_WINDOW?"]
        );
        assert_eq!(
            said(&[("LAIO_COMPLETELY_ELSE", "")]),
            ["LAIO_COMPLETELY_ELSE is no setting"]
        );
        assert_eq!(
            said(&[("LAIO_QUIET_MS", "5")]),
            ["LAIO_QUIET_MS is no setting: it is called LAIO_ARMED_MS"]
        );
        let text = &said(&[("LAIO", "obsreve")])[0];
        assert!(text.contains("did you mean observe?"), "{text}");
        let text = &said(&[("LAIO_WINDOW", "1Q")])[0];
        assert!(
            text.contains("LAIO_WINDOW=\"1Q\"") && text.contains("256K"),
            "{text}"
        );
        assert_eq!(
            said(&[("LAIO_WINDOW", "1M"), ("LAIO", ""), ("LAIO_MAP", "/=/srv")]),
            [""; 0]
        );
    }

    #[test]
    fn the_help_of_an_option_is_one_line_of_plain_text() {
        for setting in SETTINGS {
            let help = help(setting);
            assert!(
                !help.contains(['`', '[', '\n']) || help.contains("[default"),
                "{help}"
            );
        }
    }
}
