//! What was observed of a program, processes of one name together.

use super::figures;
use super::stacks::{Map, Names};
use super::watched::Watched;
use crate::process::Standing;
use laio_core::stats::{Blocked, CallSum, Directory, Observation};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// Rows of each list.
const ROWS: usize = 32;

/// A share of the time from which on it is worth a thought.
const MIND: f64 = 0.001;

/// What was observed of a program. It is written in JSON as it stands.
#[derive(Debug, Serialize)]
pub struct Facts {
    /// Its name.
    pub program: String,
    /// Its processes that have an event loop, or all.
    pub pids: Vec<u32>,
    /// What the first of them calls itself.
    pub role: Option<String>,
    /// Whether the library held requests back meanwhile, and how many.
    pub is_on: bool,
    pub held_back: u64,
    /// For how long, in nanoseconds, and how many event loops.
    pub time_ns: u64,
    pub loops: usize,
    /// Nanoseconds of all loops together.
    pub loop_time_ns: u64,
    /// How often and how long they were blocked.
    pub stalls: u64,
    pub blocked_ns: u64,
    /// Nanoseconds of that which the gate would have taken away.
    pub gateable_ns: u64,
    /// Events that became ready meanwhile.
    pub waited: Option<Waited>,
    /// By call, directory, and file.
    pub calls: Vec<CallSum>,
    pub directories: Vec<Directory>,
    pub files: Vec<Blocked>,
    /// The worst.
    pub worst: Vec<Named>,
    /// Whose calls blocked.
    pub stacks: Vec<Stack>,
    /// Stalls and iterations by how long they took.
    pub times: Vec<u64>,
    pub iterations: Vec<u64>,
    /// Files of data that are mapped.
    pub mapped: Vec<String>,
    /// What it comes to.
    pub verdict: Verdict,
    #[serde(skip)]
    pub standing: Option<Standing>,
}

/// What it comes to.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// One word for programs: `enable`, `partly`, `useless`, `leave_off`, `on`, `not_observed`.
    pub word: &'static str,
    /// A line for people.
    pub text: String,
}

/// Events that became ready while a loop was blocked.
#[derive(Debug, Serialize)]
pub struct Waited {
    /// How many.
    pub events: u64,
    /// Nanoseconds that half of them and nearly all waited at most.
    pub p50_ns: u64,
    pub p99_ns: u64,
}

/// One of the worst.
#[derive(Debug, Serialize)]
pub struct Named {
    pub call: String,
    pub path: String,
    pub target: String,
    pub ns: u64,
    /// Functions, the outermost first.
    pub stack: Vec<String>,
}

/// One way to a call that blocked.
#[derive(Debug, Serialize)]
pub struct Stack {
    pub call: String,
    pub count: u64,
    pub ns: u64,
    /// Functions, the outermost first.
    pub functions: Vec<String>,
}

impl Facts {
    /// Of each program that has the library, those with event loops first.
    pub fn of(watched: Vec<Watched>) -> Vec<Facts> {
        let mut groups: Vec<Vec<Watched>> = Vec::new();
        for each in watched {
            match groups
                .iter_mut()
                .find(|group| group[0].program == each.program)
            {
                Some(group) => group.push(each),
                None => groups.push(vec![each]),
            }
        }
        let mut facts: Vec<_> = groups.into_iter().map(Facts::of_one).collect();
        // What never served anybody is of interest only where nothing else is.
        if facts.iter().any(|facts| facts.loops > 0) {
            facts.retain(|facts| facts.loops > 0);
        }
        facts
    }

    fn of_one(mut group: Vec<Watched>) -> Facts {
        let serves = |each: &Watched| each.loops > 0 || !each.observed().is_empty();
        if group.iter().any(serves) {
            group.retain(serves);
        }
        let mut names = Names::default();
        let mut observed = Observation::default();
        let (mut files, mut worst, mut stacks, mut mapped) = (vec![], vec![], vec![], vec![]);
        let (mut loops, mut loop_time, mut held_back) = (0, Duration::ZERO, 0);
        for each in &group {
            let its = each.observed();
            for sum in &its.stacks {
                let functions = names.of(each.kernel.0, &each.maps, &sum.stack);
                add_stack(
                    &mut stacks,
                    sum.call.clone(),
                    sum.count,
                    sum.total_ns,
                    functions,
                );
            }
            worst.extend(each.worst.iter().map(|worst| Named {
                call: worst.call.clone(),
                path: worst.path.clone(),
                target: worst.target.clone(),
                ns: worst.ns,
                stack: names.of(each.kernel.0, &each.maps, &worst.stack),
            }));
            if its.calls.iter().any(|sum| sum.call == "page_fault") {
                mapped.extend(Map::data(&each.maps));
            }
            let counted = each.counted();
            let lists = [&counted.stalls, &counted.ungated_calls];
            lists.iter().for_each(|list| add_files(&mut files, list));
            let its_loops = match serves(each) {
                true => each.loops.max(1),
                false => 0,
            };
            loops += its_loops;
            loop_time += each.time() * u32::try_from(its_loops).unwrap_or(u32::MAX);
            let lanes = ["request_gate", "body_gate"].map(|lane| counted.lanes.get(lane).copied());
            held_back += lanes.into_iter().flatten().sum::<u64>();
            observed.add(its);
        }
        let (stalls, blocked_ns) = observed.blocked();
        let gateable_ns = observed.calls.iter().map(|sum| sum.gateable_ns).sum();
        files.sort_by_key(|file: &Blocked| std::cmp::Reverse(file.total_us));
        worst.sort_by_key(|worst| std::cmp::Reverse(worst.ns));
        stacks.sort_by_key(|stack: &Stack| std::cmp::Reverse(stack.ns));
        mapped.sort();
        mapped.dedup();
        files.truncate(ROWS);
        worst.truncate(ROWS);
        let events = observed.waited.iter().sum();
        let wait = |share| figures::wait(&observed.waited, share);
        let first = &group[0];
        let time = group.iter().map(Watched::time).max().unwrap_or_default();
        Facts {
            program: first.program.clone(),
            pids: group.iter().map(|each| each.kernel.0).collect(),
            role: first.role.clone(),
            is_on: first.snapshot.mode == "on",
            held_back,
            time_ns: nanoseconds(time),
            loops,
            loop_time_ns: nanoseconds(loop_time),
            stalls,
            blocked_ns,
            gateable_ns,
            waited: wait(0.5).zip(wait(0.99)).map(|(p50_ns, p99_ns)| Waited {
                events,
                p50_ns,
                p99_ns,
            }),
            calls: observed.calls,
            directories: observed.directories,
            files,
            worst,
            stacks,
            times: observed.times,
            iterations: observed.iterations,
            mapped,
            verdict: Verdict::default(),
            standing: Some(Standing::of(&first.snapshot)),
        }
    }

    /// The share of the time in which its loops were blocked.
    pub fn share(&self) -> f64 {
        (self.blocked_ns as f64 / self.loop_time_ns.max(1) as f64).min(1.0)
    }

    /// The same if the gate had been there.
    pub fn share_left(&self) -> f64 {
        self.share() * (1.0 - part(self.gateable_ns, self.blocked_ns))
    }

    /// Whether it was blocked for so long that somebody would mind.
    pub fn is_blocked(&self) -> bool {
        self.share() >= MIND
    }

    /// Stacks as tools for flame graphs read them, by microseconds. What has no stack is told by its call and its file.
    pub fn folded(&self) -> String {
        let mut text = String::new();
        let plain = |name: &str| name.replace([';', '\n'], ":");
        for stack in &self.stacks {
            let _ = write!(text, "{}", plain(&self.program));
            for function in &stack.functions {
                let _ = write!(text, ";{}", plain(function));
            }
            let _ = writeln!(text, ";[{}] {}", stack.call, stack.ns / 1000);
        }
        for sum in &self.calls {
            let stacks = self.stacks.iter().filter(|stack| stack.call == sum.call);
            let known: u64 = stacks.map(|stack| stack.ns).sum();
            let rest = sum.total_ns.saturating_sub(known) / 1000;
            if rest > 0 {
                let _ = writeln!(text, "{};[{}] {rest}", plain(&self.program), sum.call);
            }
        }
        text
    }
}

/// A part of a whole; of nothing, nothing.
pub fn part(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn add_stack(all: &mut Vec<Stack>, call: String, count: u64, ns: u64, functions: Vec<String>) {
    let mut same = all.iter_mut();
    match same.find(|stack| stack.call == call && stack.functions == functions) {
        Some(stack) => {
            stack.count += count;
            stack.ns = stack.ns.saturating_add(ns);
        }
        None => all.push(Stack {
            call,
            count,
            ns,
            functions,
        }),
    }
}

fn add_files(all: &mut Vec<Blocked>, list: &[Blocked]) {
    for row in list {
        let mut same = all.iter_mut();
        match same.find(|file| file.call == row.call && file.path == row.path) {
            Some(file) => {
                file.count = file.count.saturating_add(row.count);
                file.total_us = file.total_us.saturating_add(row.total_us);
                file.max_us = file.max_us.max(row.max_us);
            }
            None => all.push(row.clone()),
        }
    }
}
