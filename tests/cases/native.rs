//! The interface of the paper, `include/laio.h`: what it promises, and a program that is linked with an installed library.

use anyhow::{bail, Context as _};
use laio_tests::library::{self, fresh_dir};
use laio_tests::program::{compile, observe, Build, Observed};
use laio_tests::{run, Need, Preload, Result, Test};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

/// A moment of a program, with hooks and without.
fn moment(program: &str, name: &str) -> Result {
    let program = compile(program, Build::Program)?;
    // Where no hook acts, nobody sees that the process gives up a right.
    let modes = if name == "rights" {
        &["on"][..]
    } else {
        &["on", "off"]
    };
    for mode in modes {
        kept(&observe(&program, &[name], &Preload::mode(mode)?)?)
            .with_context(|| format!("LAIO={mode}"))?;
    }
    Ok(())
}

fn kept(observed: &Observed) -> Result {
    if observed.ending != "exit status 0" || observed.stdout != b"kept\n" {
        bail!(
            "{}: {}{}",
            observed.ending,
            String::from_utf8_lossy(&observed.stdout),
            String::from_utf8_lossy(&observed.stderr)
        );
    }
    Ok(())
}

/// Runs a command to its end and returns what it says.
fn said(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{:?}", command.get_program()))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `scripts/install` installs, found by `pkg-config`, linked by the compiler, in C and as C++ takes the header.
fn installed() -> Result {
    let prefix = fresh_dir("installed")?;
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    said(Command::new(top.join("scripts/install")).arg(&prefix))?;
    let flags = said(
        Command::new("pkg-config")
            .args(["--cflags", "--libs", "laio"])
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")),
    )?;
    let source = prefix.join("linked.c");
    std::fs::write(
        &source,
        "#include <laio.h>\n#include <stdio.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n\
         int main(void) { return laio_syscall(SYS_getpid) == getpid() && laio_pending() == 0 && puts(\"kept\") >= 0 ? 0 : 1; }\n",
    )?;
    for language in [["-xc", "-std=c99"], ["-xc++", "-std=c++17"]] {
        let program = prefix.join("linked");
        said(
            Command::new("cc")
                .args(language)
                .args([
                    "-D_DEFAULT_SOURCE",
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                    "-pedantic",
                ])
                .arg(&source)
                .arg("-o")
                .arg(&program)
                .args(flags.split_whitespace()),
        )?;
        let mut preload = Preload::stock();
        preload.name = "linked".into();
        let preload = preload.with("LD_LIBRARY_PATH", prefix.join("lib"));
        kept(&observe(&program, &[], &preload)?)?;
    }
    let command = prefix.join("bin/laio");
    let ran = said(Command::new(command).args(["run", "--", "/bin/echo", "kept"]))?;
    if ran != "kept\n" {
        bail!("laio run: {ran}");
    }
    let installed = prefix.join("lib/liblaio.so").canonicalize()?;
    if library::path()? == installed {
        bail!("the library that was installed is the one under test");
    }
    // A program has it mapped: it is replaced, and not written over.
    let before = File::open(&installed)?.metadata()?;
    std::fs::hard_link(&installed, prefix.join("mapped"))?;
    said(Command::new(top.join("scripts/install")).arg(&prefix))?;
    let [now, mapped] = [installed, prefix.join("mapped")].map(std::fs::metadata);
    let (now, mapped) = (now?, mapped?);
    if now.ino() == before.ino() || (mapped.ino(), mapped.mtime()) != (before.ino(), before.mtime())
    {
        bail!("the library was written over");
    }
    said(
        Command::new(top.join("scripts/install"))
            .arg("--uninstall")
            .arg(&prefix),
    )?;
    let left = said(Command::new("find").arg(&prefix).args(["-name", "*laio*"]))?;
    if !left.is_empty() {
        bail!("left behind: {left}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let operations = [
        // Without it, a wrong argument could be taken for something else, or a call that ends the program be made.
        "errors",
        // Without it, a program that runs out of descriptors could lose an operation.
        "nothing",
        // Without it, an operation that was given up could complete twice, or never.
        "cancellation",
        // Without it, the bytes of one write could come into the middle of another's.
        "order",
        // Without it, an event loop could miss a completion, wake for none, or not see a signal.
        "waiting",
        // Without it, calls that wait for ever could keep all others waiting.
        "endless",
    ];
    let processes = [
        // Without it, a child could take its parent's completions, or wait for helpers that it does not have.
        "children",
        // Without it, one of many operations from several threads could complete twice, or never.
        "threads",
        // Without it, a helper could keep rights that its process has given up.
        "rights",
        // Without it, a helper that starts another one could wait for whoever sends it away, and that one for it.
        "dismissed",
        // Without it, a completion could be written into a file of the program's that has the number of what it closed.
        "all_closed",
    ];
    let mut tests = Vec::new();
    for (program, moments) in [
        ("native_operations", &operations[..]),
        ("native_processes", &processes[..]),
    ] {
        for &name in moments {
            let run = move || moment(program, name);
            tests.push(Test::new(format!("native {name}"), run));
        }
    }
    // Without it, nobody could build a program with what is installed.
    tests.push(
        Test::new("native installed", installed)
            .limit(300)
            .needs(Need::Command("pkg-config", "pkg-config"))
            .needs(Need::Command("c++", "g++")),
    );
    run(tests)
}
