//! Runs the tests of one binary: each in its own process and process group, with its own time limit.
//!
//! `libtest-mimic` gives the command line that `cargo test` and `cargo nextest` expect. A test's body runs in a copy of
//! the test binary that leads a process group, so that a hung server, or one that outlived its test, ends with it.

use crate::machine::wait_within;
use crate::needs::{out_of_reach, provide};
use crate::test::{Need, Skip, Test, SCRATCH};
use crate::{cold, library, mounts};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

const INNER: &str = "LAIO_TEST_INNER";
const SKIPPED: i32 = 77;

/// A test binary's `main`.
pub fn run(tests: Vec<Test>) -> ExitCode {
    if let Ok(name) = std::env::var(INNER) {
        return inner(&name, tests);
    }
    let arguments = Arguments::from_args();
    let trials = tests.into_iter().map(trial).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(test: Test) -> Trial {
    // Known before anything runs: the reason is part of the name that the runner shows as ignored.
    let hopeless = test.needs.iter().find_map(|need| out_of_reach(*need));
    let (name, limit, needs) = (test.name.clone(), test.limit, test.needs);
    let trial = Trial::ignorable_test(test.name, move || outer(&name, limit, &needs));
    match hopeless {
        Some(reason) => trial
            .with_kind(format!("skipped, because {reason}"))
            .with_ignored_flag(true),
        None => trial,
    }
}

/// Removes what earlier runs of this test kept because they failed.
fn remove_stale(runs: &Path, file_name: &str) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((test, pid)) = name.rsplit_once('.') {
            if test == file_name && !Path::new("/proc").join(pid).exists() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// In the test runner's process: starts the test, waits at most for its limit, and ends whatever is left of it.
fn outer(name: &str, limit: Duration, needs: &[Need]) -> Result<Completion, Failed> {
    let failed = |what: String| Failed::from(what);
    for need in needs {
        if let Err(reason) = provide(*need) {
            return Ok(Completion::ignored_with(format!(
                "skipped, because {reason}"
            )));
        }
    }
    let program = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
    let binary = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let binary = binary.split('-').next().unwrap_or("");
    let file_name: String = format!("{binary}-{name}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let runs = library::work_dir().join("run");
    remove_stale(&runs, &file_name);
    let scratch = runs.join(format!("{file_name}.{}", std::process::id()));
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).map_err(|e| failed(format!("{}: {e}", scratch.display())))?;
    let output = scratch.join("output.txt");
    let log = File::create(&output).map_err(|e| failed(format!("{}: {e}", output.display())))?;
    let log_too = log.try_clone().map_err(|e| failed(e.to_string()))?;
    let mut child = Command::new(program)
        .env(INNER, name)
        .env(SCRATCH, &scratch)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        .process_group(0)
        .spawn()
        .map_err(|e| failed(format!("the test could not be started: {e}")))?;
    let ended = wait_within(&mut child, limit, true);
    mounts::clean_up_after(&scratch);
    cold::clean_up_after(&scratch);
    let said = fs::read(&output).map(|b| String::from_utf8_lossy(&b).into_owned());
    let said = said.unwrap_or_default();
    let Some(status) = ended else {
        return Err(failed(format!(
            "still running after {} s, its time limit\n{said}\n(kept: {})",
            limit.as_secs(),
            scratch.display()
        )));
    };
    match status.code() {
        Some(0) => {
            print!("{said}");
            let _ = fs::remove_dir_all(&scratch);
            Ok(Completion::Completed)
        }
        Some(SKIPPED) => {
            let _ = fs::remove_dir_all(&scratch);
            let reason = said.lines().last().unwrap_or("it said so").to_owned();
            println!("{reason}");
            Ok(Completion::ignored_with(reason))
        }
        _ => Err(failed(format!(
            "{said}\n{status}\n{}(kept: {})",
            last_words(&scratch),
            scratch.display()
        ))),
    }
}

/// How much of a log is worth showing.
const LAST_WORDS: usize = 4000;

/// The ends of what the test's servers and programs have written to their logs.
fn last_words(scratch: &Path) -> String {
    let directories = fs::read_dir(scratch).into_iter().flatten().flatten();
    let logs = directories
        .flat_map(|directory| ["stderr", "error.log"].map(|name| directory.path().join(name)));
    logs.filter_map(|log| {
        let bytes = fs::read(&log).ok().filter(|bytes| !bytes.is_empty())?;
        let end = &bytes[bytes.len().saturating_sub(LAST_WORDS)..];
        Some(format!(
            "{}:\n{}\n",
            log.display(),
            String::from_utf8_lossy(end)
        ))
    })
    .collect()
}

/// In the test's own process.
fn inner(name: &str, tests: Vec<Test>) -> ExitCode {
    let Some(test) = tests.into_iter().find(|test| test.name == name) else {
        eprintln!("no test is called {name}");
        return ExitCode::FAILURE;
    };
    match (test.body)() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Skip>() => {
            println!("{error}");
            ExitCode::from(SKIPPED as u8)
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}
