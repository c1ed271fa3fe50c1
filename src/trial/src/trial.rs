//! The whole trial: which sections run, on which disks, and what they share.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, Context, Result};
use tempfile::TempDir;

use crate::disks::{is_root, Disk, Kind, Sets};
use crate::machine;
use crate::opaque::Place;
use crate::options::Options;
use crate::plan::{configurations, Configuration, Part, Program, Scheme, Section, ServerSpec};
use crate::progress::Progress;
use crate::results::{Failed, Results, Run};
use crate::sections;
use crate::servers::{process, Server, Tools};
use crate::tools;

/// The slow disk's limit, generously: files that one second may need.
const SLOW_FILES_PER_SECOND: u32 = 2200;

/// Files on the other disks: a run ends when they are used up.
const DEEP_FILES_PER_SECOND: u32 = 8000;
const FAST_FILES: u32 = 30_000;
const LOCAL_FILES: u32 = 45_000;

/// Large files that the slow disk reads in a second, generously.
const LARGE_PER_SECOND: u32 = 120;

/// How long a machine takes to come to rest before a load.
const REST: Duration = Duration::from_millis(300);

/// What all sections use.
pub struct Trial {
    /// What was asked for.
    pub options: Options,
    /// The library and its command.
    pub tools: Tools,
    /// What was measured.
    pub results: Results,
    /// How many files a server may have open.
    pub descriptors: u64,
    progress: Progress,
    scripts: PathBuf,
    work: TempDir,
}

impl Trial {
    /// Nothing measured yet.
    pub fn new(options: Options) -> Result<Self> {
        let work = tempfile::Builder::new()
            .prefix("laio-trial-")
            // The servers' workers run as another user.
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&options.work)
            .with_context(|| format!("cannot make a directory in {}", options.work.display()))?;
        let tools = tools::find(
            options.library.as_deref(),
            options.laio.as_deref(),
            work.path(),
        )?;
        let mut results = Results::default();
        if tools.library.is_none() {
            results.note(
                "liblaio.so is not built (cargo build --release): only stock servers were run",
            );
        } else if tools.laio.is_none() {
            results.note("the laio command is not built: stalls were not counted");
        }
        for program in Program::all() {
            if !tools.programs.contains_key(&program) {
                let command = program.command();
                results.note(format!(
                    "there is no {command} here: {} was not run",
                    program.name()
                ));
            } else if Program::OVER_TLS.contains(&program) && !tools.has(program, Scheme::Https) {
                let name = program.name();
                results.note(format!(
                    "{name} has no TLS module here: it was not run over TLS"
                ));
            }
        }
        results.slow_disk = is_root();
        if !results.slow_disk {
            results.note(
                "not root: the local disk stands in for the slow one (the marks for that one are left out), with its \
                 files' pages dropped before every run and their names and inodes still cached; no sections deep, overlay, \
                 fuse, hung and fast",
            );
        }
        if let Some(note) = machine::busy_note()? {
            results.note(note);
        }
        Ok(Self {
            descriptors: process::raise_descriptor_limit()?,
            progress: Progress::new(),
            scripts: tools::scripts()?,
            options,
            tools,
            results,
            work,
        })
    }

    /// Runs all sections that are wanted.
    pub fn run(&mut self) -> Result<()> {
        let steps = SECTIONS
            .iter()
            .map(|(section, _)| self.steps(*section))
            .sum();
        self.progress.start(steps);
        // One disk at a time, and each only while it is needed.
        for kind in [Kind::Slow, Kind::Deep, Kind::Fast, Kind::Local] {
            let wanted: Vec<Section> = SECTIONS
                .iter()
                .filter(|(section, on)| *on == kind && self.steps(*section) > 0)
                .map(|(section, _)| *section)
                .collect();
            if wanted.is_empty() {
                continue;
            }
            self.progress.say("making the disk and its files");
            let disk = self.make_disk(kind);
            for section in wanted {
                for part in self.options.parts(section) {
                    if let Some(missing) = sections::http2::missing(part, &self.tools) {
                        let name = part.section.name();
                        self.results.note(format!(
                            "there is no {missing} here: {name} over HTTP/2 was not measured"
                        ));
                    }
                    let ran = match &disk {
                        Ok(disk) => self.run_part(part, disk),
                        Err(error) => Err(anyhow!("{error:#}")),
                    };
                    self.outlive(section, None, 0, ran)?;
                }
            }
        }
        self.progress.finish();
        Ok(())
    }

    fn run_part(&mut self, part: Part, disk: &Disk) -> Result<()> {
        if part.of == Section::Caches && !self.configurations(part).is_empty() {
            sections::caches::fill(self, disk)?;
        }
        match part.section {
            Section::Cold | Section::ColdClear | Section::Fast | Section::Local => {
                sections::cold::run(self, part, disk)
            }
            Section::Mixed | Section::Deep | Section::BodiesMixed => {
                sections::mixed::run(self, part, disk)
            }
            Section::Overlay | Section::Fuse | Section::Hung => {
                // Kernels and containers differ in what they can mount.
                if let Err(error) = Place::of(part.section, disk, &self.options) {
                    crate::interrupt::check()?;
                    let name = part.section.name();
                    self.results
                        .note(format!("section {name} was left out: {error:#}"));
                    return Ok(());
                }
                match part.section {
                    Section::Hung => sections::mixed::run(self, part, disk),
                    _ => sections::cold::run(self, part, disk),
                }
            }
            Section::Bodies | Section::BodiesLocal => sections::bodies::run(self, part, disk),
            Section::Cpu | Section::BodiesCpu | Section::Armed | Section::Handshakes => {
                sections::cpu::run(self, part, disk)
            }
            Section::Own => sections::own::run(self, part, disk),
            Section::Page => sections::page::run(self, part, disk),
            Section::Syscalls => sections::syscalls::run(self, part, disk),
            Section::Flat => sections::flat::run(self, part, disk),
            Section::Faults => sections::faults::run(self, part, disk),
            // They are their parts.
            Section::Servers
            | Section::Caches
            | Section::Pools
            | Section::Readers
            | Section::Senders
            | Section::Tls
            | Section::Http2 => Ok(()),
        }
    }

    fn make_disk(&self, kind: Kind) -> Result<Disk> {
        let kind = if is_root() { kind } else { Kind::Local };
        let cold = match kind {
            Kind::Slow => (self.options.seconds() + 1) * SLOW_FILES_PER_SECOND,
            Kind::Deep => (self.options.seconds() + 1) * DEEP_FILES_PER_SECOND,
            Kind::Fast => FAST_FILES,
            Kind::Local => LOCAL_FILES,
        };
        let workers = sections::workers(Section::BodiesLocal);
        let of_bodies = sections::LEARNING * workers + sections::bodies::FILES;
        let large = match kind {
            Kind::Slow
                if self.options.wants(Section::BodiesMixed)
                    || self.options.wants(Section::Readers) =>
            {
                sections::LEARNING + sections::bodies::seconds(&self.options) * LARGE_PER_SECOND
            }
            _ => of_bodies,
        };
        Disk::make(
            kind,
            self.work.path(),
            &self.scripts,
            &self.options.delay,
            Sets::new(cold, large),
        )
    }

    /// The configurations of a part that can be run here.
    pub fn configurations(&self, part: Part) -> Vec<Configuration> {
        let mut all = configurations(part);
        let can_be_measured = sections::http2::missing(part, &self.tools).is_none();
        all.retain(|configuration| {
            can_be_measured
                && (self.tools.library.is_some() || !configuration.needs_library())
                && self.tools.has(configuration.program, configuration.scheme)
                && self.options.wants_configuration(&configuration.name())
        });
        all
    }

    /// The configurations in the order of one round. Each round begins with another one, so that none is always the first
    /// after a pause or always follows the same neighbour's heat.
    pub fn order(&self, part: Part, round: u32) -> Vec<Configuration> {
        let mut order = self.configurations(part);
        if !order.is_empty() {
            let first = round as usize % order.len();
            order.rotate_left(first);
        }
        order
    }

    fn steps(&self, section: Section) -> u32 {
        let needs_root = matches!(
            section,
            Section::Deep | Section::Fast | Section::Overlay | Section::Fuse | Section::Hung
        );
        if needs_root && !is_root() {
            return 0;
        }
        let of = |part| self.options.rounds(part) * self.configurations(part).len() as u32;
        self.options.parts(section).into_iter().map(of).sum()
    }

    /// Starts a server for the disk's files.
    pub fn start(&self, spec: ServerSpec, disk: &Disk) -> Result<Server> {
        self.start_at(spec, disk.docroot())
    }

    /// Starts a server for the files of a docroot.
    pub fn start_at(&self, spec: ServerSpec, docroot: &Path) -> Result<Server> {
        Server::start(spec, docroot, self.work.path(), &self.tools)
    }

    /// Reads the library's counters where there are any; where they cannot be read, says so once and goes on.
    pub fn stats(&mut self, server: &Server) -> Option<crate::servers::stats::Stats> {
        match server.stats()? {
            Ok(stats) => Some(stats),
            Err(error) => {
                self.results
                    .note(format!("stalls were not counted: {error:#}"));
                None
            }
        }
    }

    /// The same before a load. Then the machine comes to rest, whoever is measured: the command that reads the counters may
    /// have come from the very disk that the load is to find idle.
    pub fn stats_before(&mut self, server: &Server) -> Option<crate::servers::stats::Stats> {
        let stats = self.stats(server);
        thread::sleep(REST);
        stats
    }

    /// Says what is done before anything runs.
    pub fn say_what(&self, what: &str) {
        self.progress.say(what);
    }

    /// Says what is running now.
    pub fn announce(&self, part: Part, configuration: Configuration, round: u32) {
        let of = self.options.rounds(part);
        self.progress.say(&format!(
            "{} {}/{of}  {}",
            part.section.name(),
            round + 1,
            configuration.name()
        ));
    }

    /// Goes on after a run that failed, or a whole section, and remembers it: the others' figures are wanted all the same.
    /// An interrupt is not outlived.
    pub fn outlive(
        &mut self,
        section: Section,
        configuration: Option<Configuration>,
        round: u32,
        run: Result<()>,
    ) -> Result<()> {
        let Err(error) = run else { return Ok(()) };
        crate::interrupt::check()?;
        let failed = Failed {
            section,
            configuration,
            round,
            why: format!("{error:#}"),
        };
        self.progress.step();
        self.progress.print(&failed.to_string());
        self.results.failed.push(failed);
        Ok(())
    }

    /// Takes a finished run in that is one of many.
    pub fn record_quietly(&mut self, run: Run) {
        self.progress.step();
        self.results.runs.push(run);
    }

    /// Takes a finished run in.
    pub fn record(&mut self, run: Run, summary: &str) {
        self.say(run.section, run.round + 1, run.configuration, summary);
        self.record_quietly(run);
    }

    /// Prints a line about a configuration.
    pub fn say(&self, section: Section, round: u32, configuration: Configuration, what: &str) {
        let (section, configuration) = (section.name(), configuration.name());
        self.progress.print(&format!(
            "{section:<8} {round:>2}  {configuration:<20} {what}"
        ));
    }
}

/// All sections, and the disk that each needs.
const SECTIONS: [(Section, Kind); 23] = [
    (Section::Cold, Kind::Slow),
    (Section::Mixed, Kind::Slow),
    (Section::Servers, Kind::Slow),
    (Section::Caches, Kind::Slow),
    (Section::Pools, Kind::Slow),
    (Section::Readers, Kind::Slow),
    (Section::Senders, Kind::Slow),
    (Section::Tls, Kind::Slow),
    (Section::Http2, Kind::Slow),
    (Section::Bodies, Kind::Slow),
    (Section::BodiesMixed, Kind::Slow),
    (Section::BodiesCpu, Kind::Slow),
    (Section::Overlay, Kind::Slow),
    (Section::Fuse, Kind::Slow),
    (Section::Hung, Kind::Slow),
    (Section::Flat, Kind::Slow),
    (Section::Faults, Kind::Slow),
    (Section::Cpu, Kind::Slow),
    (Section::Syscalls, Kind::Slow),
    (Section::Deep, Kind::Deep),
    (Section::Fast, Kind::Fast),
    (Section::Local, Kind::Local),
    (Section::BodiesLocal, Kind::Local),
];
