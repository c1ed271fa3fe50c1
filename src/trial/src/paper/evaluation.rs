//! What all parts of the evaluation use: options, tools, servers, disks, and the place for results.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::options::Options;
use super::plan::{Contender, Part};
use super::results::{figure, Load, Results};
use super::{lines, workload};
use crate::disks::{is_root, Disk, Kind};
use crate::files::FileSet;
use crate::plan::Program;
use crate::progress::Progress;
use crate::servers::{process, Server, Tools};
use crate::{machine, tools};

/// What all parts use.
pub struct Paper {
    pub(super) options: Options,
    pub(super) tools: Tools,
    pub(super) results: Results,
    pub(super) progress: Progress,
    pub(super) scripts: PathBuf,
    pub(super) work: TempDir,
}

impl Paper {
    pub(super) fn new(options: Options) -> Result<Self> {
        let work = tempfile::Builder::new()
            .prefix("laio-paper-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&options.work)
            .with_context(|| format!("cannot make a directory in {}", options.work.display()))?;
        let mut paper = Self {
            tools: tools::find(options.library.as_deref(), None, work.path())?,
            results: Results::default(),
            progress: Progress::new(),
            scripts: tools::scripts()?,
            options,
            work,
        };
        paper.tools.programs = paper.copy_servers()?;
        process::raise_descriptor_limit()?;
        if paper.tools.library.is_none() {
            paper.note("liblaio.so is not built (cargo build --release): nothing can be measured");
        }
        for contender in Contender::ALL {
            let program = contender.server().program;
            if !paper.tools.programs.contains_key(&program) {
                let command = program.command();
                paper.note(format!(
                    "{command} is not built: {} was not run",
                    contender.name()
                ));
            }
        }
        if let Some(note) = machine::busy_note()? {
            paper.note(note);
        }
        match lines::count(&paper.tools.demo_servers.join("lazy")) {
            Ok(lines) => paper.results.lines = lines,
            Err(error) => paper.note(format!("lines were not counted: {error:#}")),
        }
        Ok(paper)
    }

    /// The servers of `demo-servers/lazy`, copied: whoever builds meanwhile does not change what is measured.
    fn copy_servers(&self) -> Result<BTreeMap<Program, PathBuf>> {
        let built = match &self.options.servers {
            Some(directory) => directory.clone(),
            None => {
                let target = tools::target()?.unwrap_or_else(|| "target".into());
                target.join("demo-servers")
            }
        };
        let mut copies = BTreeMap::new();
        for contender in Contender::ALL {
            let program = contender.server().program;
            let file = built.join(program.command());
            if file.exists() {
                let copy = self.work.path().join(program.command());
                fs::copy(&file, &copy)
                    .with_context(|| format!("cannot copy {}", file.display()))?;
                copies.insert(program, copy);
            }
        }
        Ok(copies)
    }

    pub(super) fn make_disk(&self, kind: Kind, parts: &[Part]) -> Result<Disk<FileSet>> {
        let kind = if is_root() { kind } else { Kind::Local };
        let directories = match parts.iter().any(|part| part.is_disk_bound()) {
            true => self.options.large.max(self.options.small),
            false => self.options.small,
        };
        let files = workload::files(directories);
        let (work, delay) = (self.work.path(), &self.options.delay);
        Disk::make(kind, work, &self.scripts, delay, files)
    }

    /// The files of a part: those of the set that fits into memory are the first of all.
    pub(super) fn set(&self, part: Part) -> FileSet {
        workload::files(match part.is_disk_bound() {
            true => self.options.large,
            false => self.options.small,
        })
    }

    /// The servers that can be run here.
    pub(super) fn contenders(&self) -> Vec<Contender> {
        let mut all = Contender::ALL.to_vec();
        all.retain(|contender| {
            let program = contender.server().program;
            self.tools.programs.contains_key(&program)
                && self.options.wants_server(contender.name())
        });
        all
    }

    /// The servers in the order of one round, each of which begins with another one.
    pub(super) fn order(&self, round: u32) -> Vec<Contender> {
        let mut order = self.contenders();
        if !order.is_empty() {
            let first = round as usize % order.len();
            order.rotate_left(first);
        }
        order
    }

    pub(super) fn start(&self, contender: Contender, disk: &Disk<FileSet>) -> Result<Server> {
        let work: &Path = self.work.path();
        Server::start(contender.server(), disk.docroot(), work, &self.tools)
    }

    pub(super) fn announce(&self, part: Part, what: &str, round: u32) {
        let (part, of) = (part.name(), self.options.rounds(part));
        self.progress
            .say(&format!("{part} {}/{of}  {what}", round + 1));
    }

    pub(super) fn record(&mut self, load: Load) {
        let figure = |name| load.figures.get(name).copied().unwrap_or(0.0);
        let mut line = format!(
            "{:<11} {:>2}  {:<14} {:>4} clients {:>7.0} Mbit/s {:>7.0} req/s  mean {:.2} ms, p99 {:.1} ms",
            load.part.name(),
            load.round + 1,
            load.server,
            load.clients,
            figure(figure::MBITS),
            figure(figure::RATE),
            figure(figure::MEAN),
            figure(figure::P99),
        );
        for (how, count) in &load.failures {
            line.push_str(&format!(", FAILED {count}: {how}"));
        }
        self.progress.print(&line);
        self.results.loads.push(load);
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.results.note(note);
    }

    pub(super) fn step(&self) {
        self.progress.step();
    }
}
