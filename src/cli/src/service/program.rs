//! Whether the library can be loaded into what a unit starts.

use super::command_line::CommandLine;
use super::root::Root;
use super::unit::Unit;
use crate::check::servers::nginx;
use crate::report::{Level, Report};
use crate::target::{obstacles, Starter, Target};
use anyhow::{bail, Context as _, Result};
use std::ffi::OsStr;
use std::path::Path;

/// Programs that start others.
const STARTERS: [&str; 9] = [
    "sh",
    "bash",
    "dash",
    "env",
    "start-stop-daemon",
    "runuser",
    "setpriv",
    "su",
    "sudo",
];

/// Programs whose server runs in a container, with an environment of its own.
const RUNTIMES: [&str; 3] = ["docker", "podman", "lxc-start"];

/// Looks at each; returns those that the library can be loaded into.
pub fn look(report: &mut Report, unit: &Unit, root: &Root) -> Vec<Target> {
    let lines = CommandLine::all(unit, root);
    if lines.is_empty() {
        report.add(Level::Fail, "the unit starts no program (ExecStart=)", "");
    }
    let mut loadable: Vec<Target> = Vec::new();
    for line in lines {
        let name = line.name();
        if RUNTIMES.contains(&&*name) {
            report.add(
                Level::Fail,
                format!(
                    "{name} starts the server in a container, which has an environment of its own"
                ),
                "preload the library there: docs/containers.md",
            );
        } else if let Some(target) = look_at(report, &line, unit, root) {
            loadable.push(target);
        }
    }
    loadable
}

fn look_at(report: &mut Report, line: &CommandLine, unit: &Unit, root: &Root) -> Option<Target> {
    let shown = line.program.display();
    if shown.to_string().contains('%') {
        report.note(format!("{shown} has a specifier: not checked"));
        return None;
    }
    let target = match inspect(&line.program, root) {
        Ok(target) => target,
        Err(error) => {
            report.add(Level::Fail, format!("{shown}: {error:#}"), "");
            return None;
        }
    };
    let user = unit.value("User");
    let group = unit.value("Group").or(user);
    let starter = Starter {
        user: match user {
            None => 0,
            // Whoever it is, not root.
            Some(user) => root.user(user).unwrap_or(u32::MAX),
        },
        group: group.is_none().then_some(0),
        gains_rights: !unit.is("NoNewPrivileges") && !unit.is("DynamicUser"),
        has: &|path| root.resolve(path).is_ok(),
    };
    let obstacles = obstacles(&target, starter);
    for obstacle in &obstacles {
        report.add(
            Level::Fail,
            format!("{shown}: {obstacle}"),
            obstacle.remedy(),
        );
    }
    if !obstacles.is_empty() {
        return None;
    }
    report.ok(format!("{shown}: the library can be loaded"));
    let name = line.name();
    if target.is_shell_script() || STARTERS.contains(&&*name) {
        report.note(format!(
            "{name} may start another program, with the library: check that one (laio check)"
        ));
    }
    Some(target)
}

fn inspect(program: &Path, root: &Root) -> Result<Target> {
    let file = root.resolve(program).context("there is no such program")?;
    Target::inspect_by(&file, &|name: &OsStr| {
        let name = Path::new(name);
        let places = ["", "/usr/local/bin", "/usr/bin", "/bin"];
        let places = &places[usize::from(!name.is_absolute())..];
        let mut files = places.iter().map(|place| Path::new(place).join(name));
        match files.find_map(|file| root.resolve(&file).ok()) {
            Some(file) => Ok(file),
            None => bail!("the script's interpreter {} is not there", name.display()),
        }
    })
}

/// nginx clears its environment for a new binary (SIGUSR2), but for what its configuration names.
pub fn look_at_nginx(report: &mut Report, unit: &Unit, root: &Root, variables: &[String]) {
    let lines = CommandLine::all(unit, root);
    let Some(line) = lines.iter().find(|line| line.name() == "nginx") else {
        return;
    };
    let config = Path::new(line.behind("-c").unwrap_or("/etc/nginx/nginx.conf"));
    let kept = root
        .resolve(config)
        .and_then(|file| nginx::kept_variables(&file));
    let kept = match kept {
        Ok(kept) => kept,
        Err(error) => {
            let text = format!("{} cannot be read: {error}", config.display());
            return report.add(Level::Warn, text, "");
        }
    };
    let missing: Vec<_> = variables
        .iter()
        .filter(|name| !kept.contains(name))
        .collect();
    if missing.is_empty() {
        return report.ok("nginx hands the library's variables to a new binary (SIGUSR2)");
    }
    let lines: Vec<_> = missing.iter().map(|name| format!("env {name};")).collect();
    report.add(
        Level::Warn,
        "nginx clears its environment when a new binary is started (SIGUSR2, which Debian's package does when \
         it is upgraded): that one runs without the library until the service is restarted",
        format!("at the top of {}: {}", config.display(), lines.join(" ")),
    );
}
