//! Programs with other allocators, preloaded before or after the library or linked, and with sanitizers: same output, exit
//! status and errno, and real servers answer all that they are asked.

use anyhow::{ensure, Context as _};
use laio_tests::cold_site::ColdSite;
use laio_tests::library::{fresh_dir, work_dir, workspace};
use laio_tests::program::{compare, compile, in_memory, observe_command, Build, Observed};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::test::scratch;
use laio_tests::{run, skip, Need, Preload, Result, Test};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// A library that has `malloc`, and its package.
#[derive(Clone, Copy)]
struct Allocator(&'static str, &'static str);

const ALLOCATORS: [Allocator; 5] = [
    Allocator("libjemalloc.so.2", "libjemalloc2"),
    Allocator("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    Allocator("libtcmalloc.so.4", "libgoogle-perftools4"),
    Allocator("libtcmalloc_debug.so.4", "libgoogle-perftools4"),
    Allocator("libmimalloc.so.2", "libmimalloc2.0"),
];

/// What compilers call a sanitizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sanitizer {
    Address,
    Thread,
}

/// Where the compiler finds a library.
fn library(name: &str) -> Result<PathBuf> {
    let output = Command::new("cc")
        .arg(format!("-print-file-name={name}"))
        .output()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end());
    path.canonicalize()
        .with_context(|| format!("{name} is not there"))
}

/// Compiles a program in another way than the rest of the tests do.
fn build(name: &str, flags: &[&str]) -> Result<PathBuf> {
    let program = scratch().join(name);
    let compiled = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-g", "-w", "-pthread", "-o"])
        .arg(&program)
        .arg(workspace().join(format!("tests/programs/{name}.c")))
        .args(flags)
        .arg("-ldl")
        .output()?;
    let said = String::from_utf8_lossy(&compiled.stderr);
    ensure!(compiled.status.success(), "{name} {flags:?}: {said}");
    Ok(program)
}

fn observed(
    preload: &Preload,
    program: &Path,
    more: Option<&Path>,
    options: &[(&str, &str)],
) -> Result<Observed> {
    let mut command = preload.command(program);
    command.arg("engaged").args(more);
    command.envs(options.iter().copied());
    observe_command(&fresh_dir("work")?, command)
}

/// With the library in each of these ways a program does what it does with nothing but the first.
fn same(
    program: &Path,
    more: Option<&Path>,
    stock: &Preload,
    ways: &[Preload],
    options: &[(&str, &str)],
) -> Result {
    let expected = observed(stock, program, more, options)?;
    let said = String::from_utf8_lossy(&expected.stderr);
    ensure!(
        expected.ending == "exit status 0",
        "the program itself: {} {said}",
        expected.ending
    );
    for way in ways {
        let stats = fresh_dir("stats")?;
        let preload = way.clone().with("LAIO_STATS", stats.join("laio-%p.json"));
        let order: Vec<_> = preload.libraries.iter().map(|l| l.display()).collect();
        let with = observed(&preload, program, more, options)?;
        compare(&expected, &with, &preload).with_context(|| format!("preloaded: {order:?}"))?;
        let stats = Stats::read(&stats)?;
        ensure!(
            stats.gated() > 0 || in_memory(&work_dir()),
            "{order:?}: nothing was held back\n{stats}"
        );
    }
    Ok(())
}

/// A program with this allocator.
fn program_with(allocator: Allocator, name: &str) -> Result {
    let file = library(allocator.0)?;
    let tls_library = compile("tls_library", Build::Library)?;
    let more = (name == "tls_libraries").then_some(&*tls_library);
    let stock = Preload::stock().with_library(&file, true);
    let on = Preload::on()?;
    let both = [true, false].map(|before| on.clone().with_library(&file, before));
    same(&compile(name, Build::Program)?, more, &stock, &both, &[])?;
    let linked = build(name, &["-Wl,--no-as-needed", &file.to_string_lossy()])?;
    same(&linked, more, &Preload::stock(), &[on], &[]).context("linked")
}

/// A program that was built with this sanitizer.
fn sanitized(sanitizer: Sanitizer, name: &str) -> Result {
    let (flag, file) = match sanitizer {
        Sanitizer::Address => ("-fsanitize=address", "libasan.so"),
        Sanitizer::Thread => ("-fsanitize=thread", "libtsan.so"),
    };
    let program = build(name, &[flag])?;
    let options = [
        // It wants to be the first library.
        ("ASAN_OPTIONS", "verify_asan_link_order=0"),
        // It does not see how the library's threads agree; and a child of a process with threads is to have threads.
        (
            "TSAN_OPTIONS",
            "ignore_noninstrumented_modules=1 die_after_fork=0",
        ),
    ];
    let on = Preload::on()?;
    let ways = [on.clone().with_library(&library(file)?, true), on];
    let empty = Preload::stock();
    if let Ok(Observed { ending, stderr, .. }) = observed(&empty, &program, None, &options) {
        let said = String::from_utf8_lossy(&stderr).into_owned();
        if ending != "exit status 0" && said.contains("unexpected memory mapping") {
            return skip("ThreadSanitizer does not start on this kernel");
        }
    }
    same(&program, None, &empty, &ways, &options)
}

/// A real server with this allocator, on cold documents.
fn serves(kind: Kind, allocator: Allocator) -> Result {
    let file = library(allocator.0)?;
    let site = ColdSite::up()?;
    let config = Config::default();
    for before in [true, false] {
        site.chill()?;
        let preload = Preload::on()?.with_library(&file, before);
        let server = Server::start(kind, &config, &site.root(), &preload)?;
        let context = || format!("the allocator is before the library: {before}");
        site.visit(server.address).with_context(context)?;
        let serving = server.settled(kind, &config)?;
        let stats = Stats::of(&serving)?;
        ensure!(
            stats.gated() > 0,
            "{}: nothing was held back\n{stats}",
            context()
        );
        for pid in &serving {
            let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
            ensure!(
                maps.contains(&*file.to_string_lossy()),
                "{} is not loaded",
                file.display()
            );
        }
        let master = server.pid();
        let log = server.stop(master, libc::SIGINT)?.log;
        ensure!(!log.contains("exited on signal"), "{log}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for allocator in ALLOCATORS {
        let Allocator(file, package) = allocator;
        let name = file.split('.').next().unwrap_or(file);
        // Those that do most of their own are tried with most.
        let is_peculiar = matches!(name, "libjemalloc" | "libtcmalloc_debug" | "libmimalloc");
        // Without these, a hook that is called in the middle of an allocator could enter it once more; children could hang in
        // a lock of it; what it does on a helper could reach the program; and a variable of ours that it allocates could be
        // used after it was moved.
        let all = ["sandboxed_loop", "tls_libraries", "in_handlers", "children"];
        for &program in all.iter().take(if is_peculiar { 4 } else { 1 }) {
            let test = Test::new(format!("{program} with {name}"), move || {
                program_with(allocator, program)
            });
            tests.push(test.needs(Need::Package(package)));
        }
        // Without these, that would be known of small programs only.
        let all = [Kind::Nginx, Kind::Lighttpd, Kind::Asyncio];
        for &kind in all.iter().take(if is_peculiar { 3 } else { 2 }) {
            let test = Test::new(format!("{kind:?} with {name}"), move || {
                serves(kind, allocator)
            });
            let needs = [Need::Package(package), kind.need(), Need::SlowDisk];
            tests.push(needs.into_iter().fold(test, Test::needs));
        }
    }
    // Without these, a program could not be looked at by a sanitizer while it has the library.
    for sanitizer in [Sanitizer::Address, Sanitizer::Thread] {
        for program in ["sandboxed_loop", "in_handlers"] {
            let name = format!("{program} with {sanitizer:?}Sanitizer");
            tests.push(Test::new(name, move || sanitized(sanitizer, program)));
        }
    }
    run(tests)
}
