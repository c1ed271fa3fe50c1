//! The programs that a unit starts.

use super::root::Root;
use super::unit::Unit;
use super::words;
use std::path::{Path, PathBuf};

/// Where systemd looks for a program without a path.
const PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// A line of `ExecStart=`.
#[derive(Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program, as the service finds it.
    pub program: PathBuf,
    /// What comes behind it.
    pub arguments: Vec<String>,
}

impl CommandLine {
    /// All of a unit.
    pub fn all(unit: &Unit, root: &Root) -> Vec<CommandLine> {
        let lines = unit.values("ExecStart");
        lines
            .into_iter()
            .filter_map(|line| CommandLine::parse(line, root))
            .collect()
    }

    fn parse(line: &str, root: &Root) -> Option<CommandLine> {
        let plain = line.trim_start_matches(['-', '@', ':', '+', '!', '|']);
        let prefixes = &line[..line.len() - plain.len()];
        let mut words = words::split(plain).into_iter();
        let program = PathBuf::from(words.next()?);
        if prefixes.contains('@') {
            // What it is told that its name is.
            words.next();
        }
        let program = match program.is_absolute() {
            true => program,
            false => {
                let places = PATH.map(|directory| Path::new(directory).join(&program));
                let found = places.into_iter().find(|file| root.resolve(file).is_ok());
                found.unwrap_or(program)
            }
        };
        Some(CommandLine {
            program,
            arguments: words.collect(),
        })
    }

    /// Its name without a directory.
    pub fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// What stands behind an option.
    pub fn behind(&self, option: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|word| word == option)?;
        self.arguments.get(at + 1).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_names_are_understood() {
        let root = Root::new(None).unwrap();
        let parse = |line| CommandLine::parse(line, &root).unwrap();
        let nginx = parse("-/usr/sbin/nginx -g 'daemon on;' -c /x");
        assert_eq!(nginx.program, Path::new("/usr/sbin/nginx"));
        assert_eq!(nginx.behind("-c"), Some("/x"));
        assert_eq!(nginx.behind("-x"), None);
        let named = parse("@!/bin/a b c");
        assert_eq!((&*named.name(), &*named.arguments[0]), ("a", "c"));
        assert!(parse("sh -c x").program.is_absolute());
        assert_eq!(CommandLine::parse("-", &root), None);
    }
}
