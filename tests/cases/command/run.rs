//! `laio run`: what it refuses, what it tells, and how it ends.

use super::said::{keep, laio, said};
use anyhow::{bail, ensure};
use laio_tests::library;

use laio_tests::test::scratch;
use laio_tests::{skip, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::{chown, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that the library cannot be loaded into.
pub const KINDS: &[&str] = &[
    "static",
    "static-pie",
    "musl",
    "aarch64",
    "set-user-id",
    "capabilities",
];

/// Nobody in particular.
const NOBODY: u32 = 65534;

/// Compiles `answers.c` with these options.
fn linked(name: &str, options: &[&str]) -> Result<PathBuf> {
    let source = library::workspace().join("tests/programs/answers.c");
    let program = scratch().join(name);
    let status = Command::new("cc")
        .args(options)
        .arg("-o")
        .arg(&program)
        .arg(source)
        .status()?;
    if !status.success() {
        return skip(format!("no program can be linked with {options:?}"));
    }
    Ok(program)
}

/// A program of this kind, in the test's directory.
pub fn make(kind: &str) -> Result {
    let program = match kind {
        "static" => linked(kind, &["-static"])?,
        "static-pie" => linked(kind, &["-static-pie"])?,
        "musl" => linked(kind, &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"])?,
        _ => linked(kind, &[])?,
    };
    match kind {
        "aarch64" => {
            let mut bytes = fs::read(&program)?;
            let machine: u16 = if cfg!(target_arch = "aarch64") {
                62
            } else {
                183
            };
            bytes[18..20].copy_from_slice(&machine.to_le_bytes());
            fs::write(&program, bytes)?;
        }
        "set-user-id" => {
            chown(&program, Some(NOBODY), None)?;
            fs::set_permissions(&program, Permissions::from_mode(0o4755))?;
        }
        "capabilities" => {
            let status = Command::new("setcap")
                .arg("cap_net_bind_service=ep")
                .arg(&program)
                .status()?;
            if !status.success() {
                return skip("the file system keeps no capabilities");
            }
        }
        _ => {}
    }
    Ok(())
}

/// A kind of program is refused with the reason, and runs all the same where that is asked for.
pub fn refused(kind: &str) -> Result {
    make(kind)?;
    let library = library::path()?;
    let library = library.to_string_lossy();
    let program = format!("./{kind}");
    let force = ["run", "--library", &library, "--force", "--", &program];
    let plain = ["run", "--library", &library, "--", &program];
    if kind == "capabilities" {
        // Who is root has them already.
        let root = said(&mut laio(&plain)?)?;
        ensure!(root.status == 7, "as root: {}", root.text());
        let user = as_nobody(&plain)?;
        keep(&format!("run {kind}"), &user, &[]);
        return Ok(());
    }
    let refused = said(&mut laio(&plain)?)?;
    keep(&format!("run {kind}"), &refused.text(), &[]);
    let forced = said(&mut laio(&force)?)?;
    match kind {
        // It cannot run here at all.
        "musl" | "aarch64" => ensure!([126, 127].contains(&forced.status), "{}", forced.text()),
        _ => ensure!(forced.status == 7, "--force: {}", forced.text()),
    }
    Ok(())
}

/// Runs the command as another user, from a directory that everybody may read.
fn as_nobody(arguments: &[&str]) -> Result<String> {
    let public = tempfile::Builder::new()
        .prefix("laio-")
        .tempdir_in("/tmp")?;
    fs::set_permissions(public.path(), Permissions::from_mode(0o755))?;
    let command = public.path().join("laio");
    fs::copy(library::command()?, &command)?;
    let copied = Command::new("cp")
        .arg("--preserve=all")
        .arg(scratch().join("capabilities"))
        .arg(public.path())
        .status()?;
    ensure!(copied.success(), "cp");
    let mut user = Command::new("setpriv");
    user.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    user.arg(&command)
        .args(arguments)
        .current_dir(public.path());
    user.env_clear().env("PATH", "/usr/bin:/bin");
    Ok(said(&mut user)?.text())
}

/// The statuses of shells, where there is no such program, where it may not be executed, and where it runs.
pub fn statuses() -> Result {
    let library = library::path()?;
    let library = library.to_string_lossy();
    let answers = linked("answers", &[])?;
    fs::write(scratch().join("plain"), "text\n")?;
    fs::write(scratch().join("script"), "#!/bin/sh\nexit 9\n")?;
    fs::set_permissions(scratch().join("script"), Permissions::from_mode(0o755))?;
    fs::write(scratch().join("bare"), "exit 8\n")?;
    fs::set_permissions(scratch().join("bare"), Permissions::from_mode(0o755))?;
    fs::create_dir(scratch().join("directory"))?;
    let mut all = String::new();
    for (program, status) in [
        ("./answers", 7),
        ("./script", 9),
        ("./bare", 8),
        ("./missing", 127),
        ("no-such-program", 127),
        ("./plain", 126),
        ("./directory", 126),
    ] {
        let run = said(&mut laio(&["run", "--library", &library, "--", program])?)?;
        ensure!(run.status == status, "{program}: {}", run.text());
        all += &format!("{program}: {}", run.text());
    }
    keep("run statuses", &all, &[]);
    let absent = said(&mut laio(&[
        "run",
        "--library",
        "./none.so",
        "--",
        "./answers",
    ])?)?;
    ensure!(absent.status == 125, "{}", absent.text());
    keep("run without the library", &absent.text(), &[]);
    loaded(&answers)
}

/// It is the library that runs in the program.
fn loaded(_: &Path) -> Result {
    let library = library::path()?;
    let shown = library.to_string_lossy().into_owned();
    let maps = said(&mut laio(&[
        "run",
        "--library",
        &shown,
        "--",
        "cat",
        "/proc/self/maps",
    ])?)?;
    ensure!(
        maps.out.contains(&shown),
        "it was not loaded: {}",
        maps.text()
    );
    Ok(())
}

/// Options become variables; typos are told.
pub fn settings() -> Result {
    let library = library::path()?;
    let library = library.to_string_lossy();
    let run = ["run", "--library", &library];
    let words = [
        &run[..],
        &[
            "--window", "1M", "--armed", "2m", "--mode", "observe", "--", "env",
        ],
    ]
    .concat();
    let run_with = said(
        laio(&words)?
            .env("LAIO_WINDOW", "much")
            .env("LAIO_TLS", "off"),
    )?;
    let mut ours: Vec<_> = run_with
        .out
        .lines()
        .filter(|line| line.starts_with("LAIO"))
        .collect();
    ours.sort_unstable();
    let expected = [
        "LAIO=observe",
        "LAIO_ARMED_MS=2m",
        "LAIO_LOG=info",
        "LAIO_TLS=off",
        "LAIO_WINDOW=1M",
    ];
    if ours != expected || !run_with.err.is_empty() {
        bail!("{ours:?}: {}", run_with.text());
    }
    let words = [&run[..], &["--", "true"]].concat();
    let mut mistaken = laio(&words)?;
    mistaken
        .env("LAIO", "onn")
        .env("LAIO_WINDWO", "1M")
        .env("LAIO_WINDOW", "1MB");
    mistaken.env("LAIO_QUIET_MS", "5").env("LAIO_ELSE", "1");
    let told = said(&mut mistaken)?;
    ensure!(told.status == 0, "{}", told.text());
    keep("run with typos", &told.text(), &[]);
    Ok(())
}

/// What the command does not understand, and its help.
pub fn misunderstood() -> Result {
    let mut all = String::new();
    for (words, status) in [
        (&["run", "--window", "1Q", "--", "true"][..], 125),
        (&["run", "--widnow", "1M", "--", "true"], 125),
        (&["run"], 125),
        (&["chekc"], 3),
        (&["check"], 3),
        (&["stats", "--watch=0"], 3),
        (&["export", "--every", "5"], 3),
        (&["export", "--listen", "0.0.0.0:9464"], 3),
    ] {
        let answer = said(&mut laio(words)?)?;
        ensure!(answer.status == status, "{words:?}: {}", answer.text());
        all += &format!("$ laio {}\n{}\n", words.join(" "), answer.text());
    }
    keep("misunderstood", &all, &[]);
    let help = said(&mut laio(&["--help"])?)?;
    keep("help", &help.text(), &[]);
    let help = said(laio(&["run", "--help"])?.env("COLUMNS", "80"))?;
    keep("help of run", &help.text(), &[]);
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&mut laio(&["completions", shell])?)?;
        ensure!(
            script.status == 0 && script.out.contains("doctor"),
            "{shell}"
        );
    }
    Ok(())
}
