//! Whether the library can help a program, found out before that runs.

mod calls;
mod configured;
pub mod disk;
pub mod servers;
mod tls;

use crate::report::{Level, Report};
use crate::target::{
    find, has_capabilities, is_set_id, obstacles, Libraries, Missing, Starter, Target,
};
use calls::Serves;
use std::ffi::OsStr;
use std::path::Path;

/// Looks at a program, and at its configuration where it is known.
pub fn check(program: &OsStr, config: Option<&Path>) -> Report {
    let path = match find(program) {
        Ok(path) => path,
        // It is checked, not run: that nobody has it on the path is no matter.
        Err(Missing::NotFound(_, Some(path))) => path,
        Err(missing) => {
            let mut report = Report::about(program.to_string_lossy());
            report.add(Level::Fail, missing.to_string(), "");
            report.verdict = CANNOT.into();
            return report;
        }
    };
    let target = match Target::inspect(&path) {
        Ok(target) => target,
        Err(error) => {
            let mut report = Report::about(path.display().to_string());
            report.add(Level::Fail, format!("{error:#}"), "");
            report.verdict = CANNOT.into();
            return report;
        }
    };
    let mut report = Report::about(title(&target));
    loading(&mut report, &target);
    if report.worst() == Level::Fail {
        report.verdict = CANNOT.into();
        return report;
    }
    let libraries = match Libraries::of(&target) {
        Ok(libraries) => libraries,
        Err(error) => {
            report.add(
                Level::Warn,
                format!("its libraries are not known: {error:#}"),
                "",
            );
            Libraries::default()
        }
    };
    for missing in &libraries.missing {
        report.add(
            Level::Fail,
            format!("its library {missing} is not there: it cannot start"),
            "install the package that has it",
        );
    }
    if target.is_shell_script() {
        report.note("a shell script may start another program: check that one");
    }
    let serves = calls::look(&mut report, &target, &libraries);
    if serves != Serves::No {
        let config = servers::look(&mut report, &target, config);
        tls::look(&mut report, &target, &libraries, config);
    }
    report.verdict = match serves {
        Serves::No if target.is_shell_script() => {
            "verdict: check the program that the script starts".into()
        }
        _ => verdict(&report, serves),
    };
    report
}

const CANNOT: &str = "verdict: the library cannot act in it";

fn verdict(report: &Report, serves: Serves) -> String {
    if let (Serves::Depends(on), true) = (serves, report.worst() < Level::Fail) {
        return format!("verdict: it depends on {on}");
    }
    match (report.worst(), report.of(Level::Warn).count()) {
        (Level::Fail, _) => CANNOT.into(),
        _ if serves == Serves::No => {
            "verdict: no event-driven server: the library does nothing in it".into()
        }
        (_, 0) => "verdict: the library can act in it".into(),
        (_, 1) => "verdict: the library can act in it; one thing to look at".into(),
        (_, warnings) => {
            format!("verdict: the library can act in it; {warnings} things to look at")
        }
    }
}

fn title(target: &Target) -> String {
    match target.is_script() {
        true => format!(
            "{}: a script, run by {}",
            target.path.display(),
            target.image.display()
        ),
        false => target.path.display().to_string(),
    }
}

/// Whether it can be loaded at all.
fn loading(report: &mut Report, target: &Target) {
    let obstacles = obstacles(target, Starter::this_process());
    for obstacle in &obstacles {
        report.add(Level::Fail, obstacle.to_string(), obstacle.remedy());
    }
    if obstacles.is_empty() {
        let processor = &target.elf.processor;
        report.ok(format!(
            "the library can be loaded: linked dynamically, for {processor} and glibc"
        ));
        if is_set_id(&target.image) {
            report.add(
                Level::Warn,
                "it is set-user-ID or set-group-ID: where another user starts it, the dynamic linker ignores \
                 LD_PRELOAD",
                "start it as the user whose rights it needs, without the bit",
            );
        }
        if has_capabilities(&target.image) {
            report.add(
                Level::Warn,
                "its file has capabilities: where another user than root starts it, the dynamic linker \
                 ignores LD_PRELOAD",
                "give the rights by the service manager instead (systemd: AmbientCapabilities=)",
            );
        }
    }
}
