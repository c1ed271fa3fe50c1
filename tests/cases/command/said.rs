//! What a command says, without what differs from run to run.

use anyhow::Context as _;
use laio_tests::library;
use laio_tests::test::scratch;
use laio_tests::Result;
use std::process::{Command, Stdio};

/// The command, in the test's directory: paths that are relative to it are the same everywhere.
pub fn laio(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(library::command()?);
    command
        .args(arguments)
        .current_dir(scratch())
        .stdin(Stdio::null());
    // Of the environment only what a program needs: settings of whoever runs the tests would be told.
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Ok(command)
}

/// How it ended, and what it said.
pub struct Said {
    /// Its exit status; of a signal, -1.
    pub status: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Runs it to its end.
pub fn said(command: &mut Command) -> Result<Said> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    Ok(Said {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

impl Said {
    /// All of it.
    pub fn text(&self) -> String {
        let Said { status, out, err } = self;
        let err = match &**err {
            "" => String::new(),
            err => format!("standard error:\n{err}"),
        };
        format!("{out}{err}exit status {status}\n")
    }

    /// The same with findings on one line each: where they are broken depends on the lengths of paths.
    pub fn unbroken(&self) -> String {
        let text = self.text().replace("\n          ", " ");
        let lines = text.split("\n        ").collect::<Vec<_>>();
        let joined = lines.join(" ");
        joined.replace(" > ", "\n        > ")
    }
}

/// Compares with what is kept, after the test's own replacements.
pub fn keep(name: &str, text: &str, filters: &[(&str, &str)]) {
    let common = [
        (r"(/[^\s/]+)+/liblaio\.so", "LIBRARY"),
        (r"liblaio \d+\.\d+\.\d+", "liblaio VERSION"),
        (r"LIBRARY \d+\.\d+\.\d+", "LIBRARY VERSION"),
    ];
    let filters: Vec<_> = common.iter().chain(filters).copied().collect();
    insta::with_settings!({
        filters => filters,
        prepend_module_to_snapshot => false,
        omit_expression => true,
        snapshot_path => "snapshots",
    }, {
        insta::assert_snapshot!(name, text);
    });
}
