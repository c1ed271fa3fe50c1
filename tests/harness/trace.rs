//! Reads what `strace -f -Y -y` wrote: which thread made which call, with which result.

use crate::library::{fresh_dir, Preload};
use crate::test::scratch;
use crate::Result;
use anyhow::bail;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One finished system call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The thread.
    pub tid: u32,
    /// The thread's name when the call began, where the tracer knew it.
    pub comm: String,
    /// The call's name.
    pub name: String,
    /// Everything between the parentheses.
    pub arguments: String,
    /// Everything after `= `.
    pub result: String,
}

impl Call {
    /// The path that `-y` shows for a descriptor that the call returned.
    pub fn opened(&self) -> Option<&str> {
        let (number, rest) = self.result.split_once('<')?;
        number.parse::<u32>().ok()?;
        rest.rsplit_once('>').map(|(path, _)| path)
    }

    /// The first argument in double quotes: the path that was asked for.
    pub fn path(&self) -> Option<&str> {
        self.arguments.split('"').nth(1)
    }

    /// The path that `-y` shows for the first argument, a descriptor.
    pub fn directory(&self) -> Option<&str> {
        let first = self.arguments.split(", ").next()?;
        first
            .split_once('<')
            .and_then(|(_, rest)| rest.strip_suffix('>'))
    }
}

/// All calls of a trace, in the order in which they ended.
pub struct Trace {
    /// The calls.
    pub calls: Vec<Call>,
    /// Threads that another thread of the same process started (`CLONE_THREAD`).
    pub threads: BTreeSet<u32>,
}

impl Trace {
    /// Runs a program in a fresh directory under `strace` with `options`, to its end.
    pub fn of(
        program: &Path,
        arguments: &[&str],
        preload: &Preload,
        options: &[&str],
    ) -> Result<Self> {
        let output = scratch().join("trace");
        let ended = preload
            .traced(program, options, &output)
            .args(arguments)
            .current_dir(fresh_dir("work")?)
            .output()?;
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            bail!("{}: {said}", ended.status);
        }
        Self::read(&output)
    }

    /// Reads a trace.
    pub fn read(path: &Path) -> Result<Self> {
        let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
        let mut unfinished: BTreeMap<u32, String> = BTreeMap::new();
        let mut trace = Self {
            calls: Vec::new(),
            threads: BTreeSet::new(),
        };
        for line in text.lines() {
            let Some((who, what)) = line.split_once(' ') else {
                continue;
            };
            let (tid, comm) = match who.split_once('<') {
                Some((tid, comm)) => (tid, comm.trim_end_matches('>')),
                None => (who, ""),
            };
            let Ok(tid) = tid.parse::<u32>() else {
                continue;
            };
            let what = what.trim_start();
            if let Some(start) = what.strip_suffix("<unfinished ...>") {
                unfinished.insert(tid, start.trim_end().to_owned());
                continue;
            }
            let whole = match what
                .strip_prefix("<... ")
                .and_then(|w| w.split_once(" resumed>"))
            {
                Some((_, rest)) => {
                    let mut start = unfinished.remove(&tid).unwrap_or_default();
                    if start.ends_with(',') {
                        start.push(' ');
                    }
                    start + rest.trim_start()
                }
                None => what.to_owned(),
            };
            trace.add(tid, comm, &whole);
        }
        Ok(trace)
    }

    fn add(&mut self, tid: u32, comm: &str, whole: &str) {
        let Some((name, rest)) = whole.split_once('(') else {
            return;
        };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else {
            return;
        };
        let arguments = arguments.trim_end().strip_suffix(')').unwrap_or(arguments);
        if name.starts_with("clone") && arguments.contains("CLONE_THREAD") {
            let number = result
                .split(|c: char| !c.is_ascii_digit())
                .next()
                .unwrap_or("");
            if let Ok(thread) = number.parse() {
                self.threads.insert(thread);
            }
        }
        self.calls.push(Call {
            tid,
            comm: comm.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            result: result.to_owned(),
        });
    }

    /// Threads that were called `laio-…` at some time, or that a single-threaded server cannot have started itself.
    pub fn helpers(&self) -> BTreeSet<u32> {
        let named = self
            .calls
            .iter()
            .filter(|c| c.comm.starts_with("laio-"))
            .map(|c| c.tid);
        named.chain(self.threads.iter().copied()).collect()
    }
}
