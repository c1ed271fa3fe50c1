//! The paper's evaluation, repeated: which parts run, on which disks, and what they share.
//!
//! Elmeleegy, Chanda, Cox and Zwaenepoel measured what one read costs with LAIO and with POSIX AIO, and how much web servers
//! send that differ in nothing but how they keep from waiting for the disk. `docs/paper.md` has what came of it.

mod evaluation;
mod limit;
mod lines;
mod measure;
mod operations;
mod options;
mod plan;
mod report;
mod results;
mod workload;

use anyhow::{Context, Result};
use clap::Parser;

use crate::disks::{is_root, Disk, Kind};
use crate::files::FileSet;
use crate::{interrupt, tools};
use evaluation::Paper;
use limit::Limit;
use options::Options;
use plan::Part;

/// Measures everything that was asked for and reports it.
pub fn run() -> Result<()> {
    let options = Options::parse();
    interrupt::install()?;
    let out = tools::out(options.out.as_deref(), "paper")?;
    let mut paper = Paper::new(options)?;
    paper.run()?;
    report::write(&paper, &out)
}

impl Paper {
    fn run(&mut self) -> Result<()> {
        let parts = self.parts();
        let steps = parts.iter().map(|part| match part {
            Part::Operations => 1,
            _ => self.options.rounds(*part) * self.contenders().len() as u32,
        });
        self.progress.start(steps.sum());
        for kind in [Kind::Slow, Kind::Deep] {
            let wanted: Vec<Part> = parts
                .iter()
                .copied()
                .filter(|part| part.disk() == kind)
                .collect();
            if wanted.is_empty() {
                continue;
            }
            self.progress.say("making the disk and its files");
            let disk = self.make_disk(kind, &wanted)?;
            for part in wanted {
                self.run_part(part, &disk)
                    .with_context(|| format!("part {}", part.name()))?;
            }
        }
        self.progress.finish();
        Ok(())
    }

    /// The parts that are wanted and can be run here.
    fn parts(&mut self) -> Vec<Part> {
        let mut parts = vec![Part::Operations];
        parts.extend(Part::OF_SERVERS);
        parts.retain(|part| self.options.wants(*part));
        if self.tools.library.is_none() {
            return Vec::new();
        }
        if !is_root() {
            self.note(
                "not root: no slow disk and no limit on memory, so nothing disk-bound; what is cold is on the local disk, \
                 with its pages dropped",
            );
            parts.retain(|part| !part.is_disk_bound());
        } else if let Err(error) = Limit::new(self.options.memory << 20) {
            self.note(format!("nothing disk-bound was run: {error:#}"));
            parts.retain(|part| !part.is_disk_bound());
        }
        parts
    }

    fn run_part(&mut self, part: Part, disk: &Disk<FileSet>) -> Result<()> {
        if part != Part::Operations {
            return measure::run(self, part, disk);
        }
        let Some(library) = self.tools.library.clone() else {
            return Ok(());
        };
        self.progress.say("what one read costs");
        let rounds = self.options.rounds(part);
        let (operations, notes) =
            operations::measure(&self.scripts, &library, rounds, disk.docroot())?;
        self.results.operations = operations;
        notes.into_iter().for_each(|note| self.note(note));
        self.step();
        Ok(())
    }
}
