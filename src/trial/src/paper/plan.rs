//! What is measured: parts, and the servers that are compared in most of them.

use clap::ValueEnum;
use serde::Serialize;

use crate::disks::Kind;
use crate::plan::{Program, Scheme, ServerSpec, Strategy};

/// A part of the evaluation, as `--only` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What one read costs, in four ways.
    Operations,
    /// Servers of a set of files that fits into memory and is there.
    Memory,
    /// The same, but nothing is in memory yet.
    MemoryCold,
    /// Servers of a set of files that is far larger than their memory, on a slow disk, when the memory is full.
    Disk,
    /// The same, but nothing is in memory yet.
    DiskCold,
    /// What `disk` measures, on a disk that takes four times as many reads at once.
    Deep,
}

impl Part {
    /// Those about servers.
    pub const OF_SERVERS: [Self; 5] = [
        Self::Memory,
        Self::Disk,
        Self::Deep,
        Self::MemoryCold,
        Self::DiskCold,
    ];

    /// As it is written in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Memory => "memory",
            Self::MemoryCold => "memory-cold",
            Self::Disk => "disk",
            Self::DiskCold => "disk-cold",
            Self::Deep => "deep",
        }
    }

    /// What its tables and pictures are headed with.
    pub fn title(self) -> &'static str {
        match self {
            Self::Operations => "one read",
            Self::Memory => "in memory",
            Self::MemoryCold => "in memory, cold start",
            Self::Disk => "disk-bound",
            Self::DiskCold => "disk-bound, cold start",
            Self::Deep => "disk-bound, deep disk",
        }
    }

    /// The disk that the files are on.
    pub fn disk(self) -> Kind {
        match self {
            Self::Deep => Kind::Deep,
            _ => Kind::Slow,
        }
    }

    /// Has a server less memory than there are files?
    pub fn is_disk_bound(self) -> bool {
        matches!(self, Self::Disk | Self::DiskCold | Self::Deep)
    }

    /// Does every load begin with nothing in memory?
    pub fn is_cold(self) -> bool {
        matches!(self, Self::MemoryCold | Self::DiskCold)
    }
}

/// One of the servers that are compared: a line of every table and picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contender {
    /// What runs.
    pub strategy: Strategy,
    /// With the library's hooks, as if it were preloaded?
    pub hooks: bool,
}

impl Contender {
    /// All, those without LAIO first.
    pub const ALL: [Self; 7] = [
        Self::plain(Strategy::NbB),
        Self::plain(Strategy::NbAio),
        Self::plain(Strategy::NbAmped),
        Self::plain(Strategy::NbLaio),
        Self::plain(Strategy::LaioLaio),
        Self::plain(Strategy::Libevent),
        Self {
            strategy: Strategy::NbB,
            hooks: true,
        },
    ];

    /// A server as it is.
    pub const fn plain(strategy: Strategy) -> Self {
        Self {
            strategy,
            hooks: false,
        }
    }

    /// As it is written in tables and files.
    pub fn name(self) -> &'static str {
        match self.hooks {
            false => self.strategy.name(),
            true => "nb-b + hooks",
        }
    }

    /// Does it wait for no disk thanks to LAIO?
    pub fn is_lazy(self) -> bool {
        let by_calls = matches!(
            self.strategy,
            Strategy::NbLaio | Strategy::LaioLaio | Strategy::Libevent
        );
        self.hooks || by_calls
    }

    /// The server that is started.
    pub fn server(self) -> ServerSpec {
        ServerSpec {
            program: Program::Lazy(self.strategy),
            scheme: Scheme::Http,
            preload: self.hooks,
            workers: 1,
            aio_threads: false,
            reuseport: false,
        }
    }
}
