//! What is measured: sections, and in each the configurations that are compared.

use clap::ValueEnum;
use serde::Serialize;

/// A part of the trial, as `--only` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Files that were never read, on a slow disk: how many requests a second.
    Cold,
    /// Cached files beside that cold traffic: how long they take.
    Mixed,
    /// The same on a disk that takes four times as many reads at once: no contender reaches its limit.
    Deep,
    /// What cold and mixed measure, for other servers than lighttpd and nginx. Its runs are recorded as theirs.
    Servers,
    /// Files that were never read, on a disk that answers in microseconds.
    Fast,
    /// Files that were never read, on this machine's own disk, one worker per core.
    Local,
    /// Everything cached: CPU time per request.
    Cpu,
    /// Everything cached: system calls per request.
    Syscalls,
    /// Descriptors and memory before and after cold traffic.
    Flat,
    /// Large files that were never read, on the slow disk: how many megabytes a second.
    Bodies,
    /// Cached files beside that traffic: how long they take.
    BodiesMixed,
    /// Large files, cached: CPU time per megabyte.
    BodiesCpu,
    /// What `bodies` measures, on this machine's own disk.
    BodiesLocal,
    /// What `cold` measures, with overlayfs over the slow disk.
    Overlay,
    /// What `cold` measures, on a FUSE file system that takes as long for every request.
    Fuse,
    /// What `mixed` measures, while the cold files' FUSE daemon is stopped in the middle of requests.
    Hung,
    /// 10,000 requests of all kinds, resets in the middle included: is every answer right?
    Faults,
}

impl Section {
    /// As it is written in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Mixed => "mixed",
            Self::Deep => "deep",
            Self::Servers => "servers",
            Self::Fast => "fast",
            Self::Local => "local",
            Self::Cpu => "cpu",
            Self::Syscalls => "syscalls",
            Self::Flat => "flat",
            Self::Bodies => "bodies",
            Self::BodiesMixed => "bodies-mixed",
            Self::BodiesCpu => "bodies-cpu",
            Self::BodiesLocal => "bodies-local",
            Self::Overlay => "overlay",
            Self::Fuse => "fuse",
            Self::Hung => "hung",
            Self::Faults => "faults",
        }
    }
}

/// A server program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// lighttpd.
    Lighttpd,
    /// nginx.
    Nginx,
    /// nginx with `sendfile off`: bodies by `pread` and `writev`.
    NginxPread,
    /// merecat, thttpd's maintained descendant: `poll`, bodies from mapped files.
    Merecat,
    /// webfs: `select`.
    Webfs,
    /// h2o, one thread: `epoll`.
    H2o,
    /// `demo-servers/asyncio_files.py`: `epoll`.
    Asyncio,
    /// `demo-servers/selectors_files.py`: `epoll`.
    Selectors,
    /// `demo-servers/lazy`, one of the servers that the paper compares. No section of the trial is about them.
    Lazy(Strategy),
}

/// How a server of `demo-servers/lazy` keeps from waiting for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Sockets are non-blocking, files block.
    NbB,
    /// Files by POSIX AIO.
    NbAio,
    /// Files by helper processes.
    NbAmped,
    /// Files by LAIO.
    NbLaio,
    /// Sockets and files by LAIO.
    LaioLaio,
    /// Files by LAIO, and the loop is libevent's.
    Libevent,
}

impl Strategy {
    /// Those of `lazy-files`, as its command line calls them.
    pub fn name(self) -> &'static str {
        match self {
            Self::NbB => "nb-b",
            Self::NbAio => "nb-aio",
            Self::NbAmped => "nb-amped",
            Self::NbLaio => "nb-laio",
            Self::LaioLaio => "laio-laio",
            Self::Libevent => "libevent-laio",
        }
    }
}

impl Program {
    /// Those that every section but `servers` is about.
    pub const MAIN: [Self; 2] = [Self::Lighttpd, Self::Nginx];

    /// Those of the section `servers`.
    pub const OTHERS: [Self; 5] = [
        Self::Merecat,
        Self::Webfs,
        Self::H2o,
        Self::Asyncio,
        Self::Selectors,
    ];

    /// Those of the sections about bodies, each with its own way of sending them.
    pub const OF_BODIES: [Self; 4] = [Self::Lighttpd, Self::Nginx, Self::NginxPread, Self::Merecat];

    /// All.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::MAIN
            .into_iter()
            .chain([Self::NginxPread])
            .chain(Self::OTHERS)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lighttpd => "lighttpd",
            Self::Nginx => "nginx",
            Self::NginxPread => "nginx-pread",
            Self::Merecat => "merecat",
            Self::Webfs => "webfs",
            Self::H2o => "h2o",
            Self::Asyncio => "asyncio",
            Self::Selectors => "selectors",
            Self::Lazy(strategy) => strategy.name(),
        }
    }

    /// Can it have several workers? The others are run as the one process that they are.
    fn has_workers(self) -> bool {
        matches!(self, Self::Nginx | Self::NginxPread)
    }

    /// The command that runs it.
    pub fn command(self) -> &'static str {
        match self {
            Self::NginxPread => "nginx",
            Self::Webfs => "webfsd",
            // They are written for the system's own.
            Self::Asyncio | Self::Selectors => "/usr/bin/python3",
            Self::Lazy(Strategy::Libevent) => "lazy-files-libevent",
            Self::Lazy(_) => "lazy-files",
            Self::Lighttpd | Self::Nginx | Self::Merecat | Self::H2o => self.name(),
        }
    }
}

/// How a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// As it comes.
    Stock,
    /// With nginx's thread pool.
    AioThreads,
    /// With sixteen workers.
    Workers16,
    /// As it comes, liblaio preloaded.
    Laio,
    /// As it comes, while another, preloaded process serves the cold traffic: what is left is the machine's own noise.
    Floor,
}

impl Variant {
    /// As it is written in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::AioThreads => "aio threads",
            Self::Workers16 => "16 workers",
            Self::Laio => "laio",
            Self::Floor => "floor",
        }
    }
}

/// A program in a variant: one line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Configuration {
    /// What runs.
    pub program: Program,
    /// How.
    pub variant: Variant,
}

/// One server process and its workers.
#[derive(Clone, Copy, Debug)]
pub struct ServerSpec {
    /// What runs.
    pub program: Program,
    /// Is the library preloaded?
    pub preload: bool,
    /// Worker processes; lighttpd has one.
    pub workers: u32,
    /// Does nginx use its thread pool?
    pub aio_threads: bool,
    /// Does each of nginx' workers listen on a socket of its own?
    pub reuseport: bool,
}

impl Configuration {
    const fn new(program: Program, variant: Variant) -> Self {
        Self { program, variant }
    }

    /// Does it need the library?
    pub fn needs_library(self) -> bool {
        matches!(self.variant, Variant::Laio | Variant::Floor)
    }

    /// The server for the cold traffic, and for all traffic where there is one server. `workers` is what a stock server
    /// has.
    pub fn server(self, workers: u32) -> ServerSpec {
        ServerSpec {
            program: self.program,
            preload: self.needs_library(),
            workers: match self.variant {
                Variant::Workers16 => 16,
                _ if self.program.has_workers() => workers,
                _ => 1,
            },
            aio_threads: self.variant == Variant::AioThreads,
            // Where everybody has several workers: one that takes all connections from a shared socket would be measured.
            reuseport: workers > 1,
        }
    }

    /// The second server, which has the cached traffic for itself.
    pub fn neighbour(self) -> Option<ServerSpec> {
        (self.variant == Variant::Floor).then_some(ServerSpec {
            program: self.program,
            preload: false,
            workers: 1,
            aio_threads: false,
            reuseport: false,
        })
    }

    /// As it is written in tables.
    pub fn name(self) -> String {
        format!("{} {}", self.program.name(), self.variant.name())
    }
}

/// The configurations that a section compares.
pub fn configurations(section: Section) -> Vec<Configuration> {
    use Program::{Lighttpd, Merecat, Nginx, NginxPread};
    use Variant::{AioThreads, Floor, Laio, Stock, Workers16};
    let of = |program, variants: &[Variant]| -> Vec<Configuration> {
        variants
            .iter()
            .map(|variant| Configuration::new(program, *variant))
            .collect()
    };
    match section {
        Section::Cold => [
            of(Lighttpd, &[Stock, Laio]),
            of(Nginx, &[Stock, Laio, AioThreads, Workers16]),
        ]
        .concat(),
        Section::Mixed => [
            of(Lighttpd, &[Stock, Laio, Floor]),
            of(Nginx, &[Stock, AioThreads, Workers16, Laio, Floor]),
        ]
        .concat(),
        Section::Deep => of(Nginx, &[AioThreads, Workers16, Laio, Floor]),
        Section::Servers => Program::OTHERS
            .into_iter()
            .flat_map(|program| of(program, &[Stock, Laio, Floor]))
            .collect(),
        Section::Fast | Section::Cpu | Section::Syscalls | Section::Overlay | Section::Fuse => {
            [of(Lighttpd, &[Stock, Laio]), of(Nginx, &[Stock, Laio])].concat()
        }
        Section::Bodies | Section::BodiesLocal => [
            of(Lighttpd, &[Stock, Laio]),
            of(Nginx, &[Stock, Laio, AioThreads, Workers16]),
            of(NginxPread, &[Stock, Laio, AioThreads, Workers16]),
            of(Merecat, &[Stock, Laio]),
        ]
        .concat(),
        // Not merecat: it sums up each mapping, and sleeps for a second where a client takes no more.
        Section::BodiesMixed => [Lighttpd, Nginx, NginxPread]
            .into_iter()
            .flat_map(|program| of(program, &[Laio, Floor]))
            .collect(),
        Section::BodiesCpu => [Lighttpd, Nginx, NginxPread]
            .into_iter()
            .flat_map(|program| of(program, &[Stock, Laio]))
            .collect(),
        Section::Hung => of(Nginx, &[Stock, Laio, Floor]),
        Section::Local => of(Nginx, &[Stock, AioThreads, Laio]),
        Section::Flat | Section::Faults => [of(Lighttpd, &[Laio]), of(Nginx, &[Laio])].concat(),
    }
}
