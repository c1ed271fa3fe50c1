//! Random programs with and without the library: everything that they can observe but time is equal.
//!
//! `tests/programs/interpreter.c` runs them, and says what "equal" means. `LAIO_FUZZ_CASES` is how many are run
//! (`scripts/fuzz` sets it); `LAIO_FUZZ_PROGRAM` names a file with one to run instead, again and again.

use anyhow::{bail, Context as _};
use laio_tests::cold::{drop_pages, SlowDisk};
use laio_tests::library::{fresh_dir, work_dir};
use laio_tests::program::{compare, compile, in_memory, Build, Observed};
use laio_tests::random::{self, Program};
use laio_tests::runner::{ending, scratch};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, skip, Preload, Result, Test};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many programs the ordinary tests run.
const CASES: u32 = 400;

/// How many of them are run at one place before it asks for more.
const PORTION: u32 = 20;

/// How often a program that may fail is run: what a helper does at the same time is not the same every time.
const ATTEMPTS: u32 = 20;

/// A directory in which programs are run, one after another.
struct Place {
    name: String,
    dir: PathBuf,
    documents: PathBuf,
    program: PathBuf,
    on: Preload,
    counted: Cell<Counted>,
}

/// What the library did in all the cases of one place, or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    cases: u64,
    with_gates: u64,
    gates: u64,
}

impl Place {
    /// `disk` is a directory for the documents.
    fn new(name: &str, disk: &Path) -> Result<Self> {
        let dir = fresh_dir(name)?;
        if in_memory(disk) {
            return skip("the tests are on a file system in memory, where nothing is ever cold");
        }
        let documents = disk.join(format!("documents-{name}"));
        for number in 0..6 {
            let name = format!("f{number}.html");
            docroot::write(&documents, &name, 40_000)?;
            // Pages that are not on the disk yet cannot be dropped.
            drop_pages(&documents.join(name))?;
        }
        fs::create_dir(dir.join("stats"))?;
        let on = Preload::on()?
            .with("LAIO_MAP", format!("/={}", documents.display()))
            .with("LAIO_BREAK_EVEN_US", "0")
            .with("LAIO_WARM_MS", "0")
            .with("LAIO_STATS", dir.join("stats/laio.json"));
        let program = compile("interpreter", Build::Program)?;
        Ok(Self {
            dir,
            name: name.to_owned(),
            documents,
            program,
            on,
            counted: Cell::default(),
        })
    }

    /// Runs a program's text once, under one preload.
    fn observe(&self, text: &str, preload: &Preload, mode: &str) -> Result<Observed> {
        let source = self.dir.join("program");
        fs::write(&source, text)?;
        let output = preload
            .command(&self.program)
            .args([mode, "early"])
            .arg(&self.documents)
            .current_dir(&self.dir)
            .stdin(File::open(&source)?)
            .output()
            .with_context(|| self.program.display().to_string())?;
        Ok(Observed {
            stdout: output.stdout,
            stderr: output.stderr,
            ending: ending(output.status),
        })
    }

    /// Runs a program with the library, and then without; an error tells what differs.
    fn check(&self, text: &str) -> Result {
        let other = self.observe(text, &self.on, "record")?;
        let stock = self.observe(text, &Preload::stock(), "replay")?;
        let mut counted = self.counted.get();
        let gates = Stats::read(&self.dir.join("stats"))
            .with_context(|| String::from_utf8_lossy(&other.stdout).into_owned())?
            .gated();
        counted.cases += 1;
        counted.gates += gates;
        counted.with_gates += u64::from(gates > 0);
        self.counted.set(counted);
        compare(&stock, &other, &self.on)?;
        let said = String::from_utf8_lossy(&other.stdout);
        if let Some(wrong) = said.lines().find(|line| line.starts_with('!')) {
            bail!("both runs: {wrong}");
        }
        if stock.ending != "exit status 0" {
            bail!(
                "both runs: {}\n{}",
                stock.ending,
                String::from_utf8_lossy(&stock.stderr)
            );
        }
        Ok(())
    }

    /// Runs so many random programs; an error has the smallest that fails.
    fn fuzz(&self, cases: u32) -> Result {
        let config = Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 3000,
            ..Config::default()
        };
        let attempts = Cell::new(1);
        let last = RefCell::new(String::new());
        let outcome = TestRunner::new(config).run(&random::program(), |program: Program| {
            let text = program.to_string();
            for _ in 0..attempts.get() {
                self.check(&text).map_err(|error| {
                    attempts.set(ATTEMPTS);
                    *last.borrow_mut() = format!("{text}\n{error:#}");
                    TestCaseError::fail("")
                })?;
            }
            Ok(())
        });
        if outcome.is_err() {
            let failure = last.into_inner();
            let kept = work_dir().join(format!("differential-{}.txt", self.name));
            fs::write(&kept, &failure)?;
            bail!(
                "this program shows a difference (again by scripts/fuzz --program {}):\n{failure}",
                kept.display()
            );
        }
        Ok(())
    }
}

/// Random programs: on the disk under the tests, where a gate is closed for some steps, and on a slow one where there can
/// be one, where it is closed for all of them. There most of a run is waiting, so several take place at once.
fn random_programs(cases: u32) -> Result {
    let slow = SlowDisk::up().map_err(|error| println!("only on this disk: {error}"));
    let mut disks = vec![scratch(); 2];
    disks.extend(slow.iter().flat_map(|disk| vec![disk.root(); 4]));
    let places: Vec<_> = disks
        .iter()
        .enumerate()
        .map(|(number, disk)| Place::new(&format!("place-{number}"), disk))
        .collect::<Result<_>>()?;
    let left = AtomicU32::new(cases);
    let run = |place: Place| {
        let portion = || {
            let taken =
                left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(PORTION)));
            taken.map_or(0, |left| left.min(PORTION))
        };
        let mut outcome = Ok(());
        while let (Ok(()), cases @ 1..) = (&outcome, portion()) {
            outcome = place.fuzz(cases);
        }
        (outcome, place.counted.get())
    };
    let run = &run;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = places
            .into_iter()
            .map(|place| scope.spawn(move || run(place)))
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let (mut all, mut failures) = (Counted::default(), Vec::new());
    for outcome in outcomes {
        let (result, counted) = outcome.map_err(|_| anyhow::anyhow!("a worker panicked"))?;
        all.cases += counted.cases;
        all.with_gates += counted.with_gates;
        all.gates += counted.gates;
        failures.extend(result.err());
    }
    println!(
        "{} programs run, {} requests held back in {} of them, {} failures",
        all.cases,
        all.gates,
        all.with_gates,
        failures.len()
    );
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure);
    }
    if all.with_gates * 4 < all.cases {
        bail!("requests were held back in too few programs: this tested little");
    }
    Ok(())
}

/// One program, again and again.
fn one_program(path: &str) -> Result {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    let slow = SlowDisk::up()?;
    for (name, disk) in [("fast", scratch()), ("slow", slow.root())] {
        let place = Place::new(name, &disk)?;
        for attempt in 1..=50 {
            let outcome = place.check(&text);
            outcome.with_context(|| format!("attempt {attempt} on a {name} disk"))?;
        }
        println!("{name} disk: no difference, {:?}", place.counted.get());
    }
    Ok(())
}

fn main() -> ExitCode {
    let cases = std::env::var("LAIO_FUZZ_CASES").map_or(Ok(CASES), |cases| cases.parse());
    let Ok(cases) = cases else {
        eprintln!("LAIO_FUZZ_CASES is not a number");
        return ExitCode::FAILURE;
    };
    let limit = 60 + u64::from(cases) / 4;
    let test = match std::env::var("LAIO_FUZZ_PROGRAM") {
        Ok(path) => Test::new("one program", move || one_program(&path)),
        // Without it, what a program can observe would be compared only in the situations that somebody thought of.
        Err(_) => Test::new("random programs", move || random_programs(cases)),
    };
    run(vec![test.limit(limit)])
}
