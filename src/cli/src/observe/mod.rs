//! What blocks the event loops of a program, and whether the gate would help: an observation of one that is started here, or
//! of one that runs.

mod children;
mod facts;
mod figures;
mod html;
mod options;
mod program;
mod stacks;
mod text;
mod verdict;
mod watched;

use crate::process::{select, Kernel};
use crate::report::Style;
use crate::{run, FAILED};
use anyhow::{ensure, Context, Result};
use facts::Facts;
pub use options::{time, Observe};
use program::Program;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::ffi::OsString;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use watched::Watched;

/// How often a process is looked at: what happens after the last look is lost where it ends by a signal.
const EVERY: Duration = Duration::from_millis(100);

/// How long a program has for its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Observes; returns the exit status.
pub fn observe(observe: &Observe) -> Result<u8> {
    let interrupts = Interrupts::watch()?;
    let (watched, status) = match observe.report {
        Some(time) => (running(&observe.words, time, &interrupts)?, 0),
        None => started(observe, &interrupts)?,
    };
    let mut facts = Facts::of(watched);
    for each in &mut facts {
        each.verdict = verdict::of(each);
    }
    if facts.is_empty() {
        // What `laio run` refuses it tells itself.
        if !(run::FAILED..=127).contains(&status) {
            eprintln!("laio: nothing was observed: no process with the library was seen");
        }
        return Ok(if status == 0 { FAILED } else { status });
    }
    show(observe, &facts)?;
    Ok(status)
}

fn show(observe: &Observe, facts: &[Facts]) -> Result<()> {
    if let Some(path) = &observe.html {
        let page = html::page(facts)?;
        fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let text = match (observe.json, observe.folded) {
        (true, _) => {
            let each = facts.iter().map(serde_json::to_string_pretty);
            let each = each.collect::<Result<Vec<_>, _>>()?;
            each.iter().map(|text| format!("{text}\n")).collect()
        }
        (_, true) => facts.iter().map(Facts::folded).collect(),
        _ => {
            let style = Style::of_output();
            let each: Vec<_> = facts.iter().map(|facts| text::text(facts, style)).collect();
            each.join("\n")
        }
    };
    crate::print(text)
}

/// Starts a program and observes it, and all that it starts, until that has ended or somebody has seen enough. Returns
/// the program's exit status as well, where it has ended by itself.
fn started(observe: &Observe, interrupts: &Interrupts) -> Result<(Vec<Watched>, u8)> {
    let began = Instant::now();
    let mut program = Program::start(observe)?;
    let until = observe.time.map(|time| Instant::now() + time);
    let mut watched = Watch::default();
    let mut ends = None;
    loop {
        let runs = program.processes();
        watched.look(&runs);
        if runs.is_empty() {
            break;
        }
        let is_over = until.is_some_and(|until| Instant::now() >= until);
        if ends.is_none() && (is_over || interrupts.count() > 0) {
            // What is typed at the terminal goes to all of its processes: they may end by themselves.
            if interrupts.is_typed() && !is_over {
                sleep(EVERY * 5);
            }
            program.end(&runs);
            ends = Some((Instant::now() + PATIENCE, interrupts.count()));
        }
        if ends.is_some_and(|(end, count)| Instant::now() > end || interrupts.count() > count) {
            eprintln!("laio: the program runs on: it has been told to end (SIGTERM)");
            break;
        }
        sleep(EVERY);
    }
    let status = match ends {
        None => program.status().unwrap_or(0),
        Some(_) => 0,
    };
    let mut watched = watched.0;
    for each in &mut watched {
        each.take_last(program.last_words(each.kernel.0));
    }
    // Those that have ended before they were seen.
    let user = rustix::process::geteuid().as_raw();
    for pid in program.speakers() {
        let words = program.last_words(pid).filter(|(_, owner)| *owner == user);
        let is_known = watched.iter().any(|each| each.kernel.0 == pid);
        if let (Some((snapshot, _)), false) = (words, is_known) {
            watched.push(Watched::from_words(snapshot, began));
        }
    }
    program.clean_up();
    Ok((watched, status))
}

/// Observes processes that run for so long.
fn running(words: &[OsString], time: Duration, interrupts: &Interrupts) -> Result<Vec<Watched>> {
    let words: Vec<_> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let chosen = select(&words)?;
    chosen.complain()?;
    let each = chosen.attached.into_iter();
    let mut watched: Vec<_> = each.filter_map(Watched::from_now).collect();
    ensure!(!watched.is_empty(), "the process has ended");
    let end = Instant::now() + time;
    while Instant::now() < end && interrupts.count() == 0 {
        sleep(EVERY.min(end.saturating_duration_since(Instant::now())));
        let looks = watched.iter_mut().map(Watched::look);
        if !looks.fold(false, |any, lives| any | lives) {
            break;
        }
    }
    Ok(watched)
}

/// Processes that come and go.
#[derive(Debug, Default)]
struct Watch(Vec<Watched>);

impl Watch {
    fn look(&mut self, runs: &[u32]) {
        for pid in runs {
            let known = self.0.iter_mut().find(|it| it.is(*pid));
            let is_known = known.is_some_and(Watched::look);
            if !is_known {
                self.0.extend(Watched::from_start(Kernel(*pid)));
            }
        }
    }
}

/// How often somebody has said that it is enough: by SIGINT, and by SIGTERM.
struct Interrupts([Arc<AtomicUsize>; 2]);

impl Interrupts {
    fn watch() -> Result<Interrupts> {
        let counts = Interrupts(Default::default());
        for (signal, count) in [SIGINT, SIGTERM].into_iter().zip(&counts.0) {
            let count = Arc::clone(count);
            // SAFETY: the handler adds to a number and does nothing else.
            unsafe {
                signal_hook::low_level::register(signal, move || {
                    count.fetch_add(1, Relaxed);
                })?;
            }
        }
        Ok(counts)
    }

    fn count(&self) -> usize {
        self.0.iter().map(|count| count.load(Relaxed)).sum()
    }

    fn is_typed(&self) -> bool {
        self.0[0].load(Relaxed) > 0
    }
}
