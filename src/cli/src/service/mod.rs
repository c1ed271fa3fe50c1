//! Services of systemd: the library for good, and away again.

mod command_line;
mod drop_in;
mod environment;
mod filter;
mod program;
mod root;
mod sandbox;
mod unit;
mod words;

use crate::report::{Level, Report, Style};
use crate::run;
use anyhow::{bail, ensure, Context as _, Result};
use drop_in::Written;
use laio_core::config::Unit as Quantity;
use root::Root;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use unit::Unit;

/// What to start with the library, and how.
#[derive(Debug)]
pub struct Enable<'e> {
    /// The service.
    pub service: &'e str,
    /// Where its file system begins, where that is not this machine's.
    pub root: Option<&'e Path>,
    /// The library, as the service finds it.
    pub library: Option<PathBuf>,
    /// Variables of the library.
    pub settings: Vec<(&'static str, String)>,
    /// Whether to go on where the library cannot act.
    pub force: bool,
    /// Whether to restart the service.
    pub now: bool,
    /// Whether to show only what would be written.
    pub dry_run: bool,
}

/// Helpers of an event loop, unless a setting says otherwise.
const HELPERS: u64 = 64;

/// Writes the drop-in; returns the exit status.
pub fn enable(enable: Enable<'_>) -> Result<u8> {
    let root = open(enable.root)?;
    ensure!(
        !enable.now || root.is_here(),
        "--now: nothing runs beneath --root that could be restarted"
    );
    let unit = Unit::read(&root, &unit::full_name(enable.service)?)?;
    drop_in::look(&root, &unit.name)?;
    let library = library(&root, enable.library)?;
    let mut settings = enable.settings;
    let is_set = |name| environment::variables(&unit).any(|(set, _)| set == name);
    if !is_set("LAIO_LOG") && settings.iter().all(|(name, _)| *name != "LAIO_LOG") {
        // Into the journal: one line when it begins, and the stalls.
        settings.push(("LAIO_LOG", "info".to_owned()));
    }
    let control = settings
        .iter()
        .find(|(_, value)| value.contains(char::is_control));
    if let Some((name, _)) = control {
        bail!("{name} has a character that a unit file cannot have");
    }
    let mut report = Report::about(format!("{} ({})", unit.name, unit.file.display()));
    let lines = look(&mut report, &unit, &root, &library, &settings);
    crate::print(report.text(Style::of_output()))?;
    if report.worst() == Level::Fail && !enable.force {
        say("  refused: nothing was written. To write it all the same: --force")?;
        return Ok(report.status());
    }
    let path = drop_in::path(&unit.name);
    let text = drop_in::text(&lines);
    if enable.dry_run {
        crate::print(format!("  would write {}:\n\n{text}", path.display()))?;
        return Ok(0);
    }
    let said = match drop_in::write(&root, &unit.name, &text)? {
        Written::New => "written",
        Written::Changed => "written anew",
        Written::Same => "is as it should be: nothing was changed",
    };
    say(&format!("  {} {said}", path.display()))?;
    follow(&root, &unit.name, enable.now)?;
    say(&format!("  off again: laio disable {}", short(&unit.name)))?;
    Ok(0)
}

/// Looks at all of it; returns the drop-in's lines.
fn look(
    report: &mut Report,
    unit: &Unit,
    root: &Root,
    library: &Path,
    settings: &[(&'static str, String)],
) -> Vec<String> {
    let setting = |name| {
        settings
            .iter()
            .find(|(set, _)| *set == name)
            .map(|(_, value)| &**value)
    };
    let helpers = setting("LAIO_THREADS").and_then(|value| Quantity::Things.parse(value));
    let targets = program::look(report, unit, root);
    let mut lines = environment::lines(unit, library, settings);
    environment::look(report, unit, root, library, settings);
    lines.extend(sandbox::library(report, unit, library));
    sandbox::calls(report, unit);
    lines.extend(sandbox::limits(
        report,
        unit,
        &targets,
        helpers.unwrap_or(HELPERS),
    ));
    if let Some(path) = setting("LAIO_STATS") {
        lines.extend(sandbox::statistics(report, unit, path));
    }
    let names = settings.iter().map(|(name, _)| *name);
    let names: Vec<_> = ["LD_PRELOAD"]
        .into_iter()
        .chain(names)
        .map(str::to_owned)
        .collect();
    program::look_at_nginx(report, unit, root, &names);
    owner(report, root, library);
    lines
}

/// Whoever may change the library is whoever runs the service.
fn owner(report: &mut Report, root: &Root, library: &Path) {
    let status = root.resolve(library).and_then(|file| file.metadata());
    if status.is_ok_and(|status| status.uid() != 0 || status.mode() & 0o022 != 0) {
        report.add(
            Level::Warn,
            format!(
                "{} can be changed by others than root, and so can what the service does",
                library.display()
            ),
            "install it as root: a package, or scripts/install",
        );
    }
}

/// Removes the drop-ins; returns the exit status.
pub fn disable(services: &[String], root: Option<&Path>, now: bool) -> Result<u8> {
    let root = open(root)?;
    ensure!(
        !now || root.is_here(),
        "--now: nothing runs beneath --root that could be restarted"
    );
    for service in services {
        disable_one(&root, service, now)?;
    }
    Ok(0)
}

fn disable_one(root: &Root, service: &str, now: bool) -> Result<()> {
    let named = unit::full_name(service)?;
    // By its own name, where this is another one; a service that is gone has its drop-in still.
    let name = Unit::read(root, &named).map_or(named, |unit| unit.name);
    let path = drop_in::path(&name);
    match drop_in::remove(root, &name)? {
        false => say(&format!(
            "{name} is not enabled: there is no {}",
            path.display()
        ))?,
        true => {
            say(&format!("{name}\n  {} removed", path.display()))?;
            follow(root, &name, now)?;
        }
    }
    Ok(())
}

fn open(root: Option<&Path>) -> Result<Root> {
    Root::new(root).with_context(|| format!("--root {}", root.unwrap_or(Path::new("/")).display()))
}

/// What makes a change take effect: says it, or does it.
fn follow(root: &Root, name: &str, now: bool) -> Result<()> {
    if !root.is_here() {
        return Ok(());
    }
    let name = short(name);
    if !now {
        say(&format!(
            "  next: systemctl daemon-reload && systemctl restart {name}"
        ))?;
        return Ok(());
    }
    for words in [&["daemon-reload"][..], &["restart", name]] {
        let line = format!("systemctl {}", words.join(" "));
        let status = Command::new("systemctl").args(words).status();
        let status = status.with_context(|| format!("cannot run {line}"))?;
        ensure!(
            status.success(),
            "{line}: {status}; journalctl -u {name} may say why"
        );
        say(&format!("  done: {line}"))?;
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    crate::print(format!("{line}\n"))
}

/// A service as people call it.
fn short(name: &str) -> &str {
    name.strip_suffix(".service").unwrap_or(name)
}

/// The library, by a name that stays when it is replaced by a newer one: links at its end are not followed.
fn library(root: &Root, named: Option<PathBuf>) -> Result<PathBuf> {
    let library = match named {
        Some(named) if root.is_here() => std::path::absolute(named)?,
        Some(named) => named,
        None => run::beside_this_command()?,
    };
    let name = library.file_name().context("the library has no name")?;
    let directory = library.parent().unwrap_or(Path::new("/"));
    let library = match directory.canonicalize() {
        Ok(directory) if root.is_here() => directory.join(name),
        _ => library.clone(),
    };
    ensure!(
        library.is_absolute(),
        "--library: the service needs a whole path, from / on"
    );
    let file = root.resolve(&library);
    let file = file.with_context(|| match root.is_here() {
        true => format!("the library {} is not there", library.display()),
        false => format!(
            "beneath --root there is no {}: install the library there, and name it as it is called there by --library",
            library.display()
        ),
    })?;
    if root.is_here() {
        run::check(&file, file.as_os_str())?;
    }
    Ok(library)
}
