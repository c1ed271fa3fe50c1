//! The command line, and how long each part takes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::Parser;

use crate::plan::{Part, Section};

/// Drives real servers over files that were never read, stock and with liblaio preloaded, and prints one table.
///
/// All configurations of a section take turns in every round; what is printed are medians over the rounds.
#[derive(Clone, Debug, Parser)]
#[command(name = "laio-trial", version)]
pub struct Options {
    /// About 17 minutes, one round of each: a look, not a measurement.
    #[arg(long)]
    pub quick: bool,

    /// Only this section (may be given several times).
    #[arg(long, value_name = "SECTION", value_enum)]
    pub only: Vec<Section>,

    /// Only this part of the sections `tls` and `http2` (may be given several times).
    #[arg(long, value_name = "PART", requires = "only", value_parser = named_part())]
    pub part: Vec<Section>,

    /// Only configurations whose name contains this, such as "laio" or "nginx floor" (may be given several times).
    #[arg(long, value_name = "TEXT")]
    pub just: Vec<String>,

    /// Rounds of the sections that are not about CPU time or counts [default: 5, cold, deep, bodies, bodies-mixed and hung 3,
    /// servers, caches, pools, tls, http2, overlay and fuse 2; quick: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,

    /// Seconds that a server is under load in one run [default: 5; quick: 2].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=25))]
    pub seconds: Option<u32>,

    /// Pairs of the sections cpu and bodies-cpu, and of the parts cpu, armed and handshakes of tls and http2 [default: 32; quick: 12].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub pairs: Option<u32>,

    /// What one read takes on the slow disk, and one request of FUSE.
    #[arg(long, default_value = "5ms")]
    pub delay: String,

    /// The library to preload [default: liblaio.so beside this program].
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,

    /// The command that reads its counters [default: laio beside this program].
    #[arg(long, value_name = "FILE")]
    pub laio: Option<PathBuf>,

    /// Where trial.json, latency.svg and page.svg go [default: trial/ in cargo's target directory].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Where disks, files and the servers' directories are made; removed at the end. For the section `local` it should
    /// be on the disk that is meant.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub work: PathBuf,

    /// Does nothing but show files at this place by FUSE: the trial starts itself so.
    #[arg(long, value_name = "DIR", hide = true)]
    pub serve: Option<PathBuf>,
}

impl Options {
    /// Is this section wanted?
    pub fn wants(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }

    /// What is wanted of it.
    pub fn parts(&self, section: Section) -> Vec<Part> {
        let mut parts = section.parts();
        parts.retain(|part| {
            let has_parts = matches!(part.of, Section::Tls | Section::Http2);
            let all = !has_parts || self.part.is_empty();
            self.wants(section) && (all || self.part.contains(&part.section))
        });
        parts
    }

    /// Is this configuration wanted?
    pub fn wants_configuration(&self, name: &str) -> bool {
        self.just.is_empty() || self.just.iter().any(|text| name.contains(text.as_str()))
    }

    /// How often each configuration of a part runs.
    pub fn rounds(&self, part: Part) -> u32 {
        match part.section {
            Section::Cpu | Section::BodiesCpu | Section::Armed | Section::Handshakes => {
                self.pairs.unwrap_or(if self.quick { 12 } else { 32 })
            }
            Section::Syscalls | Section::Flat | Section::Faults => 1,
            _ if self.rounds.is_some() => self.rounds.unwrap_or(1),
            _ if self.quick => 1,
            Section::Page => 5,
            _ if part.of != part.section => 2,
            Section::Cold
            | Section::Deep
            | Section::Bodies
            | Section::BodiesMixed
            | Section::Hung => 3,
            Section::Mixed | Section::Fast | Section::Local | Section::BodiesLocal => 5,
            // Overlay and fuse, and what is a part of others only.
            _ => 2,
        }
    }

    /// The delay as a time; it is written as nbdkit reads it, "5ms" or "0.005".
    pub fn delay(&self) -> Result<Duration> {
        let (number, unit) = match self.delay.strip_suffix("ms") {
            Some(milliseconds) => (milliseconds, 1e-3),
            None => (self.delay.as_str(), 1.0),
        };
        let number: f64 = number
            .parse()
            .with_context(|| format!("{} is no time", self.delay))?;
        Duration::try_from_secs_f64(number * unit)
            .with_context(|| format!("{} is no time", self.delay))
    }

    /// How long one run's load lasts.
    pub fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.quick { 2 } else { 5 })
    }
}

fn named_part() -> impl TypedValueParser<Value = Section> {
    let names = Section::named_parts().map(Section::name);
    PossibleValuesParser::new(names).try_map(|given| {
        let mut all = Section::named_parts();
        all.find(|part| part.name() == given).context("no part")
    })
}
