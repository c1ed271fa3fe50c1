//! What a library owes its host: its threads' memory, its programs' names, files that it writes, rights that it must not use.

use anyhow::{ensure, Context as _};
use laio_tests::library::{self, fresh_dir};
use laio_tests::program::{
    compare, compile, in_memory, observe, observe_command, observe_in, same_with_and_without,
    Build, Observed,
};
use laio_tests::stats::Stats;
use laio_tests::{run, Need, Preload, Result, Test};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{symlink, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

fn engaged(name: &'static str) -> Test {
    Test::new(name, move || {
        same_with_and_without(&compile(name, Build::Program)?, &["engaged"])
    })
}

/// How often the library asks where a thread-local variable is: that may allocate.
fn asks_for_no_variable() -> Result {
    let program = compile("sandboxed_loop", Build::Program)?;
    let counts = compile("tls_calls", Build::Library)?;
    let work = fresh_dir("work")?;
    let preload = Preload::on()?.with_library(&counts, true);
    let observed = observe_in(&work, &program, &["engaged"], &preload)?;
    ensure!(
        observed.ending == "exit status 0",
        "{}\n{}",
        observed.ending,
        String::from_utf8_lossy(&observed.stderr)
    );
    let calls = fs::read_to_string(work.join("tls_calls"))?;
    ensure!(calls == "0\n", "__tls_get_addr was called: {calls}");
    Ok(())
}

/// Hooks that are called on the library's own threads by a library that has nothing to do with it.
fn foreign_calls() -> Result {
    let program = compile("sandboxed_loop", Build::Program)?;
    let foreign = compile("foreign_calls", Build::Library)?;
    for is_before in [true, false] {
        let work = fresh_dir("work")?;
        let stock = Preload::stock().with_library(&foreign, true);
        let stock = observe_in(&work, &program, &["engaged"], &stock)?;
        let work = fresh_dir("work")?;
        let stats = fresh_dir("stats")?;
        let preload = Preload::on()?
            .with_library(&foreign, is_before)
            .with("LAIO_STATS", stats.join("laio-%p.json"));
        let with = observe_in(&work, &program, &["engaged"], &preload)?;
        compare(&stock, &with, &preload).with_context(|| format!("before: {is_before}"))?;
        let calls = fs::read_to_string(work.join("foreign_calls"))?;
        let stats = Stats::read(&stats)?;
        // On a file system in memory nothing is ever cold.
        let has_acted = !calls.starts_with("0 ") && stats.gated() > 5;
        ensure!(has_acted || in_memory(&work), "{calls}{stats}");
        ensure!(calls.ends_with(" pipe: 1\n"), "{calls}");
    }
    Ok(())
}

/// Reports that nobody reads, and children meanwhile.
fn logged_children() -> Result {
    let program = compile("logged_children", Build::Program)?;
    for preload in [Preload::stock(), Preload::on()?.with("LAIO_LOG", "debug")] {
        let observed = observe(&program, &["idle"], &preload)?;
        ensure!(
            observed.stdout
                == b"children that ended: 5\nnobody reads: the thread has ended\n\
                     nobody can read: still here\n",
            "{}: {} {}",
            preload.name,
            observed.ending,
            String::from_utf8_lossy(&observed.stdout)
        );
    }
    Ok(())
}

/// What is reported where standard error is a socket: nothing, unless it is that of systemd's journal.
fn journal() -> Result {
    let program = compile("sandboxed_loop", Build::Program)?;
    for (log, is_journal) in [("info", true), ("info", false), ("off", true), ("", true)] {
        let (ours, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let status = fs::metadata(format!("/proc/self/fd/{}", theirs.as_raw_fd()))?;
        let (device, inode) = (status.dev(), status.ino());
        let number = if is_journal { inode } else { inode + 1 };
        let preload = Preload::on()?
            .with("LAIO_LOG", log)
            .with("JOURNAL_STREAM", format!("{device}:{number}"));
        let mut command = preload.command(&program);
        command
            .arg("engaged")
            .current_dir(fresh_dir("work")?)
            .stdout(Stdio::null());
        let ended = command.stderr(theirs).status()?;
        drop(command);
        let mut said = String::new();
        (&ours).read_to_string(&mut said)?;
        let line = "holds back cold requests in sandboxed_loop (TLS on, HTTP/2 on)\n";
        let lines = said.matches(line).count();
        let expected = usize::from(log == "info" && is_journal);
        ensure!(
            ended.success() && lines == expected && (expected > 0 || said.is_empty()),
            "LAIO_LOG={log}, a journal: {is_journal}: {ended}\n{said}"
        );
    }
    Ok(())
}

/// Whether the linker was told that the library stays.
fn never_unloaded() -> Result {
    let output = Command::new("readelf")
        .arg("-dW")
        .arg(library::path()?)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains("NODELETE"), "{said}");
    Ok(())
}

/// A program under valgrind, which shows it another auxiliary vector than the kernel's own.
fn under_valgrind() -> Result {
    let file = library::workspace().join("README.md");
    let output = Command::new("valgrind")
        .args(["--quiet", "--error-exitcode=9", "cat"])
        .arg(&file)
        .env("LD_PRELOAD", library::path()?)
        .output()?;
    ensure!(
        output.status.success() && output.stdout == fs::read(&file)?,
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Compiles a program that is linked with the library, and finds it where it is.
fn linked(name: &str, into: &Path) -> Result<PathBuf> {
    let library = library::path()?;
    let directory = library.parent().unwrap_or(Path::new("/"));
    let source = library::workspace().join(format!("tests/programs/{name}.c"));
    let program = into.join(name);
    let compiled = Command::new("cc")
        .args(["-std=gnu11", "-O2", "-pthread", "-Wl,--no-as-needed", "-o"])
        .arg(&program)
        .arg(source)
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", directory.display()))
        .output()?;
    ensure!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    Ok(program)
}

/// A program with more rights than whoever starts it: no setting is read, no file is written, nothing acts.
fn secure_execution() -> Result {
    let bin = fresh_dir("bin")?;
    let program = linked("secure", &bin)?;
    let run = |secure: bool| -> Result<(Observed, usize)> {
        if secure {
            const NOBODY: u32 = 65534;
            std::os::unix::fs::chown(&program, Some(NOBODY), Some(NOBODY))?;
            fs::set_permissions(&program, fs::Permissions::from_mode(0o6755))?;
        }
        let stats = fresh_dir("stats")?;
        let preload = Preload::linked("on")
            .with("LAIO_STATS", stats.join("laio-%p.json"))
            .with("LAIO_THREADS", "nonsense")
            .with("LAIO_ONLY", "nobody,secure")
            .with("LAIO_LOG", "trace");
        let observed = observe(&program, &["idle"], &preload)?;
        Ok((observed, fs::read_dir(stats)?.count()))
    };
    let (plain, written) = run(false)?;
    ensure!(
        plain.stdout == b"secure: 0\nstill serving\n" && written == 1 && !plain.stderr.is_empty(),
        "the program itself: {} {written}\n{}",
        plain.ending,
        String::from_utf8_lossy(&plain.stderr)
    );
    let (secure, written) = run(true)?;
    ensure!(
        secure.stdout == b"secure: 1\nstill serving\n",
        "{} {}",
        secure.ending,
        String::from_utf8_lossy(&secure.stdout)
    );
    ensure!(
        secure.stderr.is_empty() && written == 0,
        "{written} files, and {}",
        String::from_utf8_lossy(&secure.stderr)
    );
    Ok(())
}

/// Where the counters are to be written stands something that is not the user's own.
fn files_of_others() -> Result {
    let program = compile("early_or_late", Build::Program)?;
    let dir = fresh_dir("files")?;
    let victim = dir.join("victim");
    type Make = fn(&Path, &Path) -> Result;
    let obstacles: [(&str, Make); 4] = [
        ("a symbolic link", |place, victim| {
            Ok(symlink(victim, place)?)
        }),
        ("a second name", |place, victim| {
            Ok(fs::hard_link(victim, place)?)
        }),
        ("another user's file", |place, victim| {
            fs::copy(victim, place)?;
            Ok(std::os::unix::fs::chown(place, Some(65534), None)?)
        }),
        ("a pipe", |place, _| {
            let made = Command::new("mkfifo").arg(place).status()?;
            ensure!(made.success(), "mkfifo");
            Ok(())
        }),
    ];
    for (what, make) in obstacles {
        fs::write(&victim, "precious")?;
        let mut before = None;
        let (place, output) = engaged_after(&program, &dir, |place| {
            make(place, &victim)?;
            before = Some(fs::symlink_metadata(place)?);
            Ok(())
        })?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && said.contains("LAIO_STATS: cannot write"),
            "{what}: {}, {said}",
            output.status
        );
        let same = |it: fs::Metadata| (it.ino(), it.len());
        ensure!(
            before.map(same) == Some(same(fs::symlink_metadata(&place)?))
                && fs::read(&victim)? == b"precious",
            "{what} was written to"
        );
        fs::remove_file(&place)?;
    }
    // What is there and the user's own is written anew, the longer rest of it included.
    let rest = |place: &Path| Ok(fs::write(place, vec![b' '; 1 << 20])?);
    let (place, _) = engaged_after(&program, &dir, rest)?;
    let counters: serde_json::Value = serde_json::from_slice(&fs::read(&place)?)?;
    ensure!(counters["pid"].is_u64(), "{counters}");
    Ok(())
}

/// Runs a program that will write its counters to a file in `dir`, and has that made before. The name has its process's number.
fn engaged_after(
    program: &Path,
    dir: &Path,
    make: impl FnOnce(&Path) -> Result,
) -> Result<(PathBuf, Output)> {
    let mut shell = Preload::stock().command(Path::new("sh"));
    let line = r#"read -r _ && exec env LD_PRELOAD="$1" LAIO_STATS="$2" "$0" engaged"#;
    let mut child = shell
        .args(["-c", line])
        .arg(program)
        .arg(Preload::on()?.ld_preload())
        .arg(dir.join("counters.json"))
        .current_dir(fresh_dir("work")?)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let place = dir.join(format!("counters-{}.json", child.id()));
    make(&place)?;
    let mut line = child.stdin.take().context("no standard input")?;
    line.write_all(b"\n")?;
    drop(line);
    Ok((place, child.wait_with_output()?))
}

/// How a program is started, whether `LAIO_ONLY` means it, and what is said.
fn only(without_proc: bool) -> Result {
    let program = compile("early_or_late", Build::Program)?;
    let dir = fresh_dir("names")?;
    let link = dir.join("link-to-it");
    symlink(&program, &link)?;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let (real, linked) = (path(&program), path(&link));
    for (list, started, name, is_meant) in [
        ("early_or_late".to_owned(), &real, None, true),
        ("link-to-it".to_owned(), &linked, None, true),
        // Which needs `/proc`.
        ("early_or_late".to_owned(), &linked, None, !without_proc),
        (linked.clone(), &linked, None, true),
        (real.clone(), &real, None, true),
        (real.clone(), &linked, None, !without_proc),
        ("other, worker".to_owned(), &real, Some("worker"), true),
        ("worker".to_owned(), &real, Some("/some/worker"), true),
        ("/other/early_or_late".to_owned(), &real, None, false),
        ("late".to_owned(), &linked, None, false),
    ] {
        let stats = fresh_dir("stats")?;
        let preload = Preload::on()?
            .with("LAIO_ONLY", &list)
            .with("LAIO_STATS", stats.join("laio-%p.json"));
        let mut command = Preload::stock().command(Path::new("unshare"));
        let hide = if without_proc {
            "mount -t tmpfs none /proc; "
        } else {
            ""
        };
        let name = name.unwrap_or(started);
        // The second one has been told, and says nothing.
        let start = format!(
            "(LD_PRELOAD={} exec -a {name} {started} idle)",
            preload.ld_preload()
        );
        command.args(["-m", "bash", "-c", &format!("{hide}{start}")]);
        command.envs(&preload.variables);
        let observed = observe_command(&fresh_dir("work")?, command)?;
        let said = String::from_utf8_lossy(&observed.stderr).into_owned();
        let context = || format!("LAIO_ONLY={list}, {started} as {name}: {said:?}");
        ensure!(observed.ending == "exit status 0", "{}", context());
        let acts = fs::read_dir(&stats)?.count() > 0;
        ensure!(acts == is_meant, "acts: {acts}. {}", context());
        let lines = said
            .lines()
            .filter(|line| line.contains("keeps the library out of"));
        // Its children have been told.
        ensure!(lines.count() == usize::from(!is_meant), "{}", context());
    }
    Ok(())
}

/// A shell that is kept out says so; what it starts does not say it again.
fn said_once() -> Result {
    let preload = Preload::on()?.with("LAIO_ONLY", "nginx");
    let mut command = preload.command(Path::new("/bin/sh"));
    command.args(["-c", "/bin/true; /bin/echo done; sh -c /bin/true"]);
    let observed = observe_command(&fresh_dir("work")?, command)?;
    let said = String::from_utf8_lossy(&observed.stderr).into_owned();
    let count = said
        .matches("LAIO_ONLY=nginx keeps the library out of")
        .count();
    ensure!(count == 1 && observed.stdout == b"done\n", "{said:?}");
    let quiet = Preload::mode("off")?.with("LAIO_ONLY", "nginx");
    let observed = observe(Path::new("/bin/true"), &[], &quiet)?;
    ensure!(observed.stderr.is_empty(), "off, and it speaks");
    Ok(())
}

/// Without the cap on what it holds, for what the library keeps of files that are gone.
fn busy_pins() -> Result {
    let program = compile("busy_pins", Build::Program)?;
    same_with_and_without(&program, &["engaged"]).context("a deleted file is held")
}

fn main() -> ExitCode {
    run(vec![
        // Without it, no program that has the library could be looked at by valgrind.
        Test::new("under valgrind", under_valgrind).needs(Need::Command("valgrind", "valgrind")),
        // Without these, a helper could write beyond its stack in a program with many thread-local variables.
        engaged("tls_stack"),
        engaged("tls_stack_large"),
        // Without it, a hook could enter the program's `malloc` in the middle of that.
        Test::new(
            "no thread-local variable is asked for",
            asks_for_no_variable,
        ),
        // Without it, what closes a file on a helper could lose the request of a connection with that number.
        Test::new("foreign calls on helpers", foreign_calls),
        // Without it, an argument or a variable could be lost where a process becomes another program.
        engaged("exec_family"),
        Test::new("exec_family idle", || {
            same_with_and_without(&compile("exec_family", Build::Program)?, &["idle"])
        }),
        // Without it, a child could wait for ever for a lock that was held over its parent's fork.
        Test::new("logged_children", logged_children),
        // Without it, a service would say nothing, or a connection get lines that are none of its protocol.
        Test::new("journal", journal),
        // Without it, `dlclose` could take the code from under the library's threads.
        Test::new("never unloaded", never_unloaded).needs(Need::Command("readelf", "binutils")),
        // Without it, whoever starts a program with more rights could have it write files.
        Test::new("secure execution", secure_execution).needs(Need::Root),
        // Without it, a name in a directory of others could lead the counters over any file.
        Test::new("files of others", files_of_others).needs(Need::Root),
        // Without these, the library could stay out of a program that is started by another name, without a word.
        Test::new("names", || only(false)).needs(Need::Root),
        Test::new("names without proc", || only(true)).needs(Need::Root),
        Test::new("kept out is said once", said_once),
        // Without it, what a loop closes could stay open in the table that it has left, and a request be held back for ever.
        engaged("unshare_table"),
        // Without it, the space of a deleted file could stay taken as long as a server is busy.
        Test::new("busy_pins", busy_pins),
    ])
}
