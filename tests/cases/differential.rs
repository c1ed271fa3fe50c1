//! Random programs with and without the library: everything that they can observe but time is equal.
//!
//! `tests/programs/interpreter.c` runs them, and says what "equal" means. `LAIO_FUZZ_CASES` is how many are run
//! (`scripts/fuzz` sets it); `LAIO_FUZZ_PROGRAM` names a file with one to run instead, again and again.

use anyhow::{bail, Context as _};
use laio_tests::cold::{drop_pages, SlowDisk};
use laio_tests::library::{fresh_dir, work_dir};
use laio_tests::machine::ending;
use laio_tests::program::{compare, compile, in_memory, Build, Observed};
use laio_tests::random;
use laio_tests::stats::Stats;
use laio_tests::test::scratch;
use laio_tests::{docroot, run, skip, Preload, Result, Test};
use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::TestRunner;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many programs the ordinary tests run.
const CASES: u32 = 400;

/// How many of them are run at one place before it asks for more.
const PORTION: u32 = 20;

/// How often a program that may fail is run: what a helper does at the same time is not the same every time.
const ATTEMPTS: u32 = 20;

/// How many of them have been kept.
static KEPT: AtomicU32 = AtomicU32::new(0);

/// How long a failing program is made smaller.
const SHRINKING: Duration = Duration::from_secs(60);

/// How many failures there are of each kind.
type Kinds = Mutex<BTreeMap<String, u32>>;

/// What is wrong, without the numbers: the line with an exclamation mark, or the words of the first that differ.
fn kind_of(error: &str) -> String {
    let first = |start: &str| error.lines().find(|line| line.starts_with(start));
    let words = |line: Option<&str>| {
        let words = line
            .unwrap_or_default()
            .split(|c: char| !c.is_ascii_alphabetic());
        let words: Vec<_> = words.filter(|word| word.len() > 2).collect();
        words.join(" ")
    };
    first("! ").map_or_else(
        || format!("{} / {}", words(first("  - ")), words(first("  + "))),
        |line| words(Some(line)),
    )
}

/// A directory in which programs are run, one after another.
struct Place {
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
    /// Calls that answered `EAGAIN` after a wait had reported that they would not.
    spurious: u64,
    /// Writes that may not be refused or cut, and were.
    refused: u64,
    failures: u64,
}

impl Counted {
    fn add(&mut self, other: Counted) {
        self.cases += other.cases;
        self.with_gates += other.with_gates;
        self.gates += other.gates;
        self.spurious += other.spurious;
        self.refused += other.refused;
        self.failures += other.failures;
    }
}

/// How the library is loaded (`LAIO_FUZZ_LIBRARY`): it acts, or it is off. Off, nothing is wrong but the comparison.
fn mode() -> String {
    std::env::var("LAIO_FUZZ_LIBRARY").unwrap_or_else(|_| "on".into())
}

impl Place {
    /// `disk` is a directory for the documents, `window` how much of one is brought in at once.
    fn new(name: &str, disk: &Path, window: &str) -> Result<Self> {
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
        let on = Preload::mode(&mode())?
            .with("LAIO_MAP", format!("/={}", documents.display()))
            .with("LAIO_BREAK_EVEN_US", "0")
            .with("LAIO_WARM_MS", "0")
            .with("LAIO_WINDOW", window)
            .with("LAIO_STATS", dir.join("stats/laio.json"));
        let program = compile("interpreter", Build::Program)?;
        Ok(Self {
            dir,
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
        // Else a process that died without writing them would seem to have the counters of the one before.
        let counters = self.dir.join("stats");
        fs::remove_dir_all(&counters)?;
        fs::create_dir(&counters)?;
        let other = self.observe(text, &self.on, "record")?;
        let said = String::from_utf8_lossy(&other.stdout);
        let count = |what: &str| said.lines().filter(|line| line.starts_with(what)).count() as u64;
        let gates = Stats::read(&counters).map(|stats| stats.gated());
        let mut counted = Counted {
            cases: 1,
            gates: *gates.as_ref().unwrap_or(&0),
            spurious: count("! spurious"),
            refused: count("! refused"),
            ..Counted::default()
        };
        counted.with_gates = u64::from(counted.gates > 0);
        let mut all = self.counted.get();
        all.add(counted);
        self.counted.set(all);
        let wrong: Vec<_> = said.lines().filter(|line| line.starts_with('!')).collect();
        if !wrong.is_empty() {
            bail!("with the library:\n{}", wrong.join("\n"));
        }
        let stock = self.observe(text, &Preload::stock(), "replay")?;
        compare(&stock, &other, &self.on)?;
        if stock.ending != "exit status 0" {
            bail!(
                "both runs: {}\n{}",
                stock.ending,
                String::from_utf8_lossy(&stock.stderr)
            );
        }
        if mode() != "off" {
            gates.with_context(|| said.into_owned())?;
        }
        Ok(())
    }

    /// Runs so many random programs; returns the first of each kind of failure that no other place has had before, made
    /// as small as it can be in a minute.
    fn fuzz(&self, cases: u32, kinds: &Kinds) -> Result<Vec<anyhow::Error>> {
        let mut failures = Vec::new();
        for _ in 0..cases {
            let tree = random::program().new_tree(&mut TestRunner::default());
            let mut tree = tree.map_err(|reason| anyhow::anyhow!("{reason}"))?;
            let text = tree.current().to_string();
            let Err(error) = self.check(&text) else {
                continue;
            };
            let error = format!("{error:#}");
            let mut counted = self.counted.get();
            counted.failures += 1;
            let is_new = kinds.lock().is_ok_and(|mut kinds| {
                let count = kinds.entry(kind_of(&error)).or_default();
                *count += 1;
                *count == 1
            });
            if is_new {
                failures.push(self.shrink(&mut tree, &error)?);
            }
            // Attempts at smaller ones are no cases.
            self.counted.set(counted);
        }
        Ok(failures)
    }

    /// Makes a failing program smaller; returns its text with what is wrong, which is also kept in a file.
    fn shrink(
        &self,
        tree: &mut impl ValueTree<Value = random::Program>,
        error: &str,
    ) -> Result<anyhow::Error> {
        let begin = Instant::now();
        let kind = kind_of(error);
        // Another failure is not a smaller one.
        let failure_of = |text: &str| {
            let error = format!("{:#}", self.check(text).err()?);
            (kind_of(&error) == kind).then(|| format!("{text}\n{error}"))
        };
        let first = tree.current().to_string();
        let mut failure = format!("{first}\n{error}");
        let always = (0..3).all(|_| failure_of(&first).is_some());
        let attempts = if always { 2 } else { ATTEMPTS };
        let mut fails = true;
        while begin.elapsed() < SHRINKING {
            let goes_on = if fails {
                tree.simplify()
            } else {
                tree.complicate()
            };
            if !goes_on {
                break;
            }
            let text = tree.current().to_string();
            let smaller = (0..attempts).find_map(|_| failure_of(&text));
            fails = smaller.is_some();
            failure = smaller.unwrap_or(failure);
        }
        let number = KEPT.fetch_add(1, Relaxed);
        let kept = work_dir().join(format!("differential-{number}.txt"));
        fs::write(&kept, &failure)?;
        Ok(anyhow::anyhow!(
            "this program shows a difference (again by scripts/fuzz --program {}):\n{failure}",
            kept.display()
        ))
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
        // Windows that a document does not fit into, and such that it does.
        .map(|(number, disk)| {
            let window = if number % 2 == 0 { "262144" } else { "8192" };
            Place::new(&format!("place-{number}"), disk, window)
        })
        .collect::<Result<_>>()?;
    let left = AtomicU32::new(cases);
    let kinds = &Kinds::default();
    let run = |place: Place| -> Result<_> {
        let portion = || {
            let taken =
                left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(PORTION)));
            taken.map_or(0, |left| left.min(PORTION))
        };
        let mut failures = Vec::new();
        while let cases @ 1.. = portion() {
            failures.extend(place.fuzz(cases, kinds)?);
        }
        Ok((failures, place.counted.get()))
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
        let outcome = outcome.map_err(|_| anyhow::anyhow!("a worker panicked"))?;
        let (of_place, counted) = outcome?;
        all.add(counted);
        failures.extend(of_place);
    }
    println!(
        "{} programs run, {} requests held back in {} of them, {} EAGAIN after reported readiness, {} writes refused \
         that may not be, {} failures",
        all.cases, all.gates, all.with_gates, all.spurious, all.refused, all.failures
    );
    for (kind, count) in kinds.lock().iter().flat_map(|kinds| kinds.iter()) {
        println!("  {count} of the failures: {kind}");
    }
    for failure in failures.iter().skip(1) {
        println!("{failure:#}\n");
    }
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure);
    }
    if mode() == "on" && all.with_gates * 4 < all.cases {
        bail!("requests were held back in too few programs: this tested little");
    }
    Ok(())
}

/// One program, again and again.
fn one_program(path: &str) -> Result {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    let slow = SlowDisk::up()?;
    for (name, disk, window) in [
        ("fast", scratch(), "262144"),
        ("slow", slow.root(), "262144"),
        ("slow-windows", slow.root(), "8192"),
    ] {
        let place = Place::new(name, &disk, window)?;
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
