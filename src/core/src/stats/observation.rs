//! What was observed, as it is written in JSON.

use super::names::Call;
use super::observed::*;
use super::texts::PATH;
use crate::escape::Escaped;
use serde::{Deserialize, Serialize};

/// The sums of one call.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct CallSum {
    /// Its plain name.
    pub call: String,
    /// How often it blocked.
    pub count: u64,
    /// Nanoseconds in all.
    pub total_ns: u64,
    /// Nanoseconds of the longest.
    pub max_ns: u64,
    /// How often a request explained it, so that the gate would have held that back.
    pub gateable: u64,
    /// Nanoseconds of those.
    pub gateable_ns: u64,
}

/// The sums of one directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Directory {
    /// Its path, of four names at most.
    pub path: String,
    /// How often something below it blocked.
    pub count: u64,
    /// Nanoseconds in all, at the most.
    pub total_ns: u64,
    /// Nanoseconds of the longest.
    pub max_ns: u64,
    /// Nanoseconds of the sum that may have been of other directories.
    pub inherited_ns: u64,
}

/// One of the worst.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Worst {
    /// When it was over, in milliseconds of the monotonic clock.
    pub at_ms: u64,
    /// How long it took.
    pub ns: u64,
    /// The call's plain name.
    pub call: String,
    /// The path, or the host name.
    pub path: String,
    /// What the request asked for that explains it; empty for none.
    pub target: String,
    /// Who called, by address, the innermost first.
    pub stack: Vec<u64>,
}

/// The sums of one stack.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct StackSum {
    /// The call that blocked.
    pub call: String,
    /// How often.
    pub count: u64,
    /// Nanoseconds in all, at the most.
    pub total_ns: u64,
    /// Nanoseconds of the sum that may have been of other stacks.
    pub inherited_ns: u64,
    /// Who called, by address, the innermost first.
    pub stack: Vec<u64>,
}

/// What was observed in a process so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Observation {
    /// All that blocked, by call; the heaviest first.
    pub calls: Vec<CallSum>,
    /// The same by how long it took: class `n` is below 2ⁿ nanoseconds.
    pub times: Vec<u64>,
    /// Iterations of event loops in such classes; none unless the process observes.
    pub iterations: Vec<u64>,
    /// Events that became ready while a loop was blocked, in classes of how long it was; likewise.
    pub waited: Vec<u64>,
    /// The heaviest directories.
    pub directories: Vec<Directory>,
    /// The worst of late.
    pub worst: Vec<Worst>,
    /// The heaviest stacks; none unless the process observes.
    pub stacks: Vec<StackSum>,
}

impl Observation {
    /// Reads the words of an [`Observed`]. They may be anything: another process's memory.
    pub(super) fn decode(words: &[u64]) -> Observation {
        let mut rest = words;
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at_checked(count).unwrap_or((&[], rest));
            rest = left;
            taken
        };
        let calls = take(Call::NAMES.len() * CALL_ROW);
        let times = [take(CLASSES), take(CLASSES), take(CLASSES)].map(<[u64]>::to_vec);
        let directories = take(DIRECTORIES * DIRECTORY_ROW);
        let worst = take(WORST * WORST_ROW);
        let stacks = take(STACKS * STACK_ROW);
        let [times, iterations, waited] = times;
        let calls = calls.chunks_exact(CALL_ROW).zip(Call::NAMES);
        let calls = calls.map(|(row, name)| CallSum {
            call: name.to_owned(),
            count: row[0],
            total_ns: row[1],
            max_ns: row[2],
            gateable: row[3],
            gateable_ns: row[4],
        });
        let directories = directories
            .chunks_exact(DIRECTORY_ROW)
            .map(|row| Directory {
                count: row[0],
                total_ns: row[1],
                max_ns: row[2],
                inherited_ns: row[3],
                path: text(&row[5..], row[4] as usize),
            });
        let worst = worst.chunks_exact(WORST_ROW).map(|row| {
            let [call, path, target, depth] = unpack(row[2]);
            let (texts, addresses) = row[3..].split_at((PATH + TARGET) / 8);
            let (path_words, target_words) = texts.split_at(PATH / 8);
            Worst {
                at_ms: row[0],
                ns: row[1],
                call: Call::name_of(call),
                path: text(path_words, path),
                target: text(target_words, target),
                stack: addresses[..depth.min(FRAMES)].to_vec(),
            }
        });
        let stacks = stacks.chunks_exact(STACK_ROW).map(|row| {
            let [call, depth, ..] = unpack(row[3]);
            StackSum {
                count: row[0],
                total_ns: row[1],
                inherited_ns: row[2],
                call: Call::name_of(call),
                stack: row[4..][..depth.min(FRAMES)].to_vec(),
            }
        });
        let mut observation = Observation {
            calls: calls.filter(|row| row.count > 0).collect(),
            times,
            iterations,
            waited,
            directories: directories.filter(|row| row.count > 0).collect(),
            worst: worst.filter(|row| row.ns > 0).collect(),
            stacks: stacks.filter(|row| row.count > 0).collect(),
        };
        observation.sort();
        observation
    }

    fn sort(&mut self) {
        use core::cmp::Reverse;
        self.calls.sort_by_key(|row| Reverse(row.total_ns));
        self.directories.sort_by_key(|row| {
            Reverse((row.total_ns.saturating_sub(row.inherited_ns), row.total_ns))
        });
        self.worst.sort_by_key(|row| Reverse(row.ns));
        self.stacks.sort_by_key(|row| Reverse(row.total_ns));
    }

    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.iterations.iter().all(|count| *count == 0)
    }

    /// How often something blocked, and how many nanoseconds.
    pub fn blocked(&self) -> (u64, u64) {
        self.calls.iter().fold((0, 0), |(count, time), row| {
            (
                count.saturating_add(row.count),
                time.saturating_add(row.total_ns),
            )
        })
    }

    /// What was observed since `before`, an earlier moment by the monotonic clock's milliseconds. A maximum stays that of the
    /// process's whole life.
    pub fn since(mut self, before: &Observation, moment: u64) -> Observation {
        let less = u64::saturating_sub;
        for row in &mut self.calls {
            let Some(old) = before.calls.iter().find(|old| old.call == row.call) else {
                continue;
            };
            row.count = less(row.count, old.count);
            row.total_ns = less(row.total_ns, old.total_ns);
            row.gateable = less(row.gateable, old.gateable);
            row.gateable_ns = less(row.gateable_ns, old.gateable_ns);
        }
        for row in &mut self.directories {
            let Some(old) = before.directories.iter().find(|old| old.path == row.path) else {
                continue;
            };
            // Where it has given way meanwhile and come again, what it inherited is no less than what it had.
            let since = old.total_ns.max(row.inherited_ns);
            row.total_ns = less(row.total_ns, since);
            row.count = less(
                row.count,
                if row.count >= old.count { old.count } else { 0 },
            );
            row.inherited_ns = 0;
        }
        for row in &mut self.stacks {
            let same = |old: &&StackSum| old.call == row.call && old.stack == row.stack;
            let Some(old) = before.stacks.iter().find(same) else {
                continue;
            };
            row.total_ns = less(row.total_ns, old.total_ns.max(row.inherited_ns));
            row.count = less(
                row.count,
                if row.count >= old.count { old.count } else { 0 },
            );
            row.inherited_ns = 0;
        }
        let classes = [
            (&mut self.times, &before.times),
            (&mut self.iterations, &before.iterations),
            (&mut self.waited, &before.waited),
        ];
        for (now, then) in classes {
            let pairs = now.iter_mut().zip(then);
            pairs.for_each(|(count, old)| *count = less(*count, *old));
        }
        self.calls.retain(|row| row.count > 0);
        self.directories.retain(|row| row.count > 0);
        self.stacks.retain(|row| row.count > 0);
        self.worst.retain(|row| row.at_ms >= moment);
        self.sort();
        self
    }

    /// Adds another process's of the same program, and keeps as many rows as there are.
    pub fn add(&mut self, other: Observation) {
        for row in other.calls {
            match self.calls.iter_mut().find(|sum| sum.call == row.call) {
                Some(sum) => {
                    sum.count = sum.count.saturating_add(row.count);
                    sum.total_ns = sum.total_ns.saturating_add(row.total_ns);
                    sum.max_ns = sum.max_ns.max(row.max_ns);
                    sum.gateable = sum.gateable.saturating_add(row.gateable);
                    sum.gateable_ns = sum.gateable_ns.saturating_add(row.gateable_ns);
                }
                None => self.calls.push(row),
            }
        }
        for row in other.directories {
            match self.directories.iter_mut().find(|sum| sum.path == row.path) {
                Some(sum) => {
                    sum.count = sum.count.saturating_add(row.count);
                    sum.total_ns = sum.total_ns.saturating_add(row.total_ns);
                    sum.inherited_ns = sum.inherited_ns.saturating_add(row.inherited_ns);
                    sum.max_ns = sum.max_ns.max(row.max_ns);
                }
                None => self.directories.push(row),
            }
        }
        self.worst.extend(other.worst);
        self.stacks.extend(other.stacks);
        let classes = [
            (&mut self.times, other.times),
            (&mut self.iterations, other.iterations),
            (&mut self.waited, other.waited),
        ];
        for (sum, more) in classes {
            sum.resize(sum.len().max(more.len()), 0);
            let pairs = sum.iter_mut().zip(more);
            pairs.for_each(|(count, more)| *count = count.saturating_add(more));
        }
        self.sort();
    }
}

/// The first bytes of words, fit for a terminal.
fn text(words: &[u64], length: usize) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Escaped(&bytes[..length.min(bytes.len())]).to_string()
}
