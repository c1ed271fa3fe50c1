//! A service's unit: its file and its drop-ins, found where systemd looks for them (`systemd.unit`(5)).

use super::drop_in;
use super::root::Root;
use anyhow::{bail, ensure, Context as _, Result};
use std::collections::BTreeMap;
use std::fs::read_dir;
use std::path::{Path, PathBuf};

/// Directories of units; what an earlier one has hides the same name in a later one.
const DIRECTORIES: [&str; 9] = [
    "/etc/systemd/system",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// A line of the section `[Service]`.
#[derive(Debug)]
struct Line {
    key: String,
    value: String,
    file: PathBuf,
    /// Whether it takes effect after this command's own drop-in.
    is_later: bool,
}

/// What systemd would read for a service, but for this command's own drop-in.
#[derive(Debug, Default)]
pub struct Unit {
    /// Its name, with `.service`.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    lines: Vec<Line>,
}

impl Unit {
    /// Finds and reads it.
    pub fn read(root: &Root, name: &str) -> Result<Unit> {
        let (file, name) = find(root, name)?;
        let mut unit = Unit {
            name,
            file,
            ..Unit::default()
        };
        let text = root.read(&unit.file)?.context("it has gone")?;
        unit.add(&text, &unit.file.clone(), false);
        for (file_name, path) in drop_ins(root, &unit.name) {
            let text = root
                .read(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?
                .unwrap_or_default();
            if !(file_name == drop_in::FILE && drop_in::is_ours(&text)) {
                unit.add(&text, &path, *file_name > *drop_in::FILE);
            }
        }
        Ok(unit)
    }

    fn add(&mut self, text: &str, file: &Path, is_later: bool) {
        let mut is_service = false;
        let mut joined = String::new();
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with(['#', ';']) || (line.is_empty() && joined.is_empty()) {
                continue;
            }
            if let Some(begun) = line.strip_suffix('\\') {
                joined += begun;
                joined.push(' ');
                continue;
            }
            let whole = std::mem::take(&mut joined) + line;
            if whole.starts_with('[') {
                is_service = whole == "[Service]";
            } else if let (Some((key, value)), true) = (whole.split_once('='), is_service) {
                self.lines.push(Line {
                    key: key.trim().to_owned(),
                    value: value.trim().to_owned(),
                    file: file.to_owned(),
                    is_later,
                });
            }
        }
    }

    fn of<'u, 'k>(
        &'u self,
        key: &'k str,
    ) -> impl DoubleEndedIterator<Item = &'u Line> + use<'u, 'k> {
        self.lines.iter().filter(move |line| line.key == key)
    }

    /// The value of a setting that has one; nothing where it is not set, or set to nothing.
    pub fn value(&self, key: &str) -> Option<&str> {
        let last = self.of(key).next_back()?;
        Some(&*last.value).filter(|value| !value.is_empty())
    }

    /// The values of a setting that has several: an empty one takes back those before it.
    pub fn values(&self, key: &str) -> Vec<&str> {
        let lines: Vec<_> = self.of(key).collect();
        let begin = lines.iter().rposition(|line| line.value.is_empty());
        let lines = &lines[begin.map_or(0, |empty| empty + 1)..];
        lines.iter().map(|line| &*line.value).collect()
    }

    /// The words of all its values.
    pub fn words(&self, key: &str) -> Vec<String> {
        let values = self.values(key);
        values.into_iter().flat_map(super::words::split).collect()
    }

    /// A setting that is yes or no.
    pub fn is(&self, key: &str) -> bool {
        let value = self.value(key).unwrap_or_default().to_lowercase();
        ["1", "yes", "y", "true", "t", "on"].contains(&&*value)
    }

    /// The file of a line that takes effect after this command's drop-in, and has a value of this kind.
    pub fn later(&self, key: &str, is_it: impl Fn(&str) -> bool) -> Option<&Path> {
        let mut later = self.of(key).filter(|line| line.is_later);
        later
            .find(|line| is_it(&line.value))
            .map(|line| &*line.file)
    }
}

/// The name with its ending, where it can be that of a service.
pub fn full_name(name: &str) -> Result<String> {
    let full = match name.rsplit_once('.') {
        Some((_, "service")) => name.to_owned(),
        Some((_, ending @ ("socket" | "target" | "timer" | "mount" | "slice"))) => {
            bail!("{name} is a {ending}: name the service")
        }
        _ => format!("{name}.service"),
    };
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || ":-_.\\@".contains(letter);
    ensure!(
        full.chars().all(allowed) && full.len() <= 255 && !full.starts_with('.'),
        "{name:?} is no name of a service"
    );
    Ok(full)
}

/// `name@.service`, of `name@instance.service`.
fn template(name: &str) -> Option<String> {
    let (name, instance) = name.strip_suffix(".service")?.split_once('@')?;
    (!instance.is_empty()).then(|| format!("{name}@.service"))
}

/// The unit's file, and its name: another one where this is an alias.
fn find(root: &Root, name: &str) -> Result<(PathBuf, String)> {
    let names = [Some(name.to_owned()), template(name)];
    for candidate in names.iter().flatten() {
        for directory in DIRECTORIES {
            let path = Path::new(directory).join(candidate);
            let link = root.join(&path);
            if link.symlink_metadata().is_err() {
                continue;
            }
            let is_masked = link
                .read_link()
                .is_ok_and(|to| to == Path::new("/dev/null"));
            ensure!(
                !is_masked && root.read(&path)?.is_none_or(|text| !text.is_empty()),
                "{name} is masked ({}): systemd does not start it\nTo change that: systemctl unmask {name}",
                path.display()
            );
            let Ok(file) = root.resolve(&path) else {
                bail!("{} is a link to nothing", path.display());
            };
            let file = root.inside(&file);
            let target = file.file_name().unwrap_or_default().to_string_lossy();
            let is_alias = candidate == name && target.ends_with(".service") && target != name;
            let is_alias = is_alias && Some(&*target) != template(name).as_deref();
            let name = if is_alias { &target } else { name };
            return Ok((file.clone(), name.to_owned()));
        }
    }
    let place = match root.is_here() {
        true => String::new(),
        false => format!(" beneath {}", root.join(Path::new("/")).display()),
    };
    bail!("there is no unit {name}{place}: systemctl list-unit-files --type=service has the names")
}

/// The drop-ins of a unit, by file name, which is the order in which they take effect.
fn drop_ins(root: &Root, name: &str) -> BTreeMap<String, PathBuf> {
    let mut names = vec![name.to_owned()];
    names.extend(template(name));
    let base = name.strip_suffix(".service").unwrap_or(name);
    let dashes = base.match_indices('-').map(|(at, _)| at).rev();
    names.extend(dashes.map(|at| format!("{}-.service", &base[..at])));
    names.push("service".into());
    let mut found = BTreeMap::new();
    for name in names {
        for directory in DIRECTORIES {
            let directory = Path::new(directory).join(format!("{name}.d"));
            let entries = root.resolve(&directory).and_then(read_dir);
            for entry in entries.into_iter().flatten().flatten() {
                let file_name = entry.file_name().to_string_lossy().into_owned();
                if file_name.ends_with(".conf") {
                    let path = directory.join(&file_name);
                    found.entry(file_name).or_insert(path);
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> Unit {
        let mut unit = Unit::default();
        unit.add(text, Path::new("/unit"), false);
        unit
    }

    #[test]
    fn lines_are_joined_and_taken_back() {
        let unit = unit(
            "[Unit]\nExecStart=no\n[Service]\n# ExecStart=no\nExecStart=/bin/a \\\n# between\n  b\n\
             ReadWritePaths=/a\nReadWritePaths=\nReadWritePaths=/b /c\nReadWritePaths=/d\nPrivateTmp=yes\nUser=web\nUser=\n",
        );
        assert_eq!(unit.words("ExecStart"), ["/bin/a", "b"]);
        assert_eq!(unit.words("ReadWritePaths"), ["/b", "/c", "/d"]);
        assert!(unit.is("PrivateTmp") && !unit.is("PrivateDevices"));
        assert_eq!(unit.value("User"), None);
    }

    #[test]
    fn names_are_those_of_services() {
        assert_eq!(full_name("nginx").unwrap(), "nginx.service");
        assert_eq!(full_name("php8.2-fpm").unwrap(), "php8.2-fpm.service");
        assert_eq!(full_name("a@b.service").unwrap(), "a@b.service");
        for bad in ["nginx.socket", "../x", "a b", "", ".service"] {
            assert!(full_name(bad).is_err(), "{bad}");
        }
        assert_eq!(template("a@b.service").as_deref(), Some("a@.service"));
        assert_eq!(template("a@.service"), None);
    }
}
