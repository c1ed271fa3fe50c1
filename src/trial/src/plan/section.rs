//! The parts of the trial.

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
    /// The same for nginx with `proxy_cache`, all of whose answers are cached. Its runs are recorded as theirs.
    Caches,
    /// What mixed measures, for servers that leave their files to a pool of threads. Its runs are recorded as theirs.
    Pools,
    /// What bodies-mixed measures, for servers that read a whole file before they send it. Its runs are recorded as theirs.
    Readers,
    /// What bodies measures, for servers that read a part of a file and send it later. Its runs are recorded as theirs.
    Senders,
    /// What cold, mixed, bodies, cpu and syscalls measure, over TLS 1.3, and armed and handshakes. Its runs are recorded as theirs.
    Tls,
    /// What cold, mixed, bodies and cpu measure, over HTTP/2, and cold-clear, own, armed and page. Its runs are recorded as theirs.
    Http2,
    /// What `cold` measures, over HTTP/2 in clear text. A part of `http2`; its runs are recorded as those of `cold`.
    #[value(skip)]
    ColdClear,
    /// A cached file, asked for at once with seven that were never read and behind them, on one connection: how long it takes. A part of
    /// `http2`.
    #[value(skip)]
    Own,
    /// A browser loads a page of images that were never read: how long it takes. A part of `http2`.
    #[value(skip)]
    Page,
    /// Files that were never read, on a disk that answers in microseconds.
    Fast,
    /// Files that were never read, on this machine's own disk, one worker per core.
    Local,
    /// Everything cached: CPU time per request.
    Cpu,
    /// What `cpu` measures, while the loop looks at each request: something was cold a moment ago. A part of `tls` and `http2`.
    #[value(skip)]
    Armed,
    /// Everything cached, each request on a connection of its own: full handshakes a second. A part of `tls`.
    #[value(skip)]
    Handshakes,
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

/// One measurement of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The section that it belongs to: this says which configurations are compared.
    pub of: Section,
    /// What is measured. Runs are recorded as this: what a figure means does not depend on the server.
    pub section: Section,
}

impl Section {
    /// What `tls` consists of.
    pub const OF_TLS: [Self; 7] = [
        Self::Cold,
        Self::Mixed,
        Self::Bodies,
        Self::Handshakes,
        Self::Cpu,
        Self::Armed,
        Self::Syscalls,
    ];

    /// What `http2` consists of.
    pub const OF_HTTP2: [Self; 8] = [
        Self::Cold,
        Self::ColdClear,
        Self::Mixed,
        Self::Own,
        Self::Bodies,
        Self::Cpu,
        Self::Armed,
        Self::Page,
    ];

    /// All that `--part` can name.
    pub fn named_parts() -> impl Iterator<Item = Self> {
        let also = |part: &Self| !Self::OF_TLS.contains(part);
        let of_http2 = Self::OF_HTTP2.into_iter().filter(also);
        Self::OF_TLS.into_iter().chain(of_http2)
    }

    /// What it consists of; most sections are one measurement, their own.
    pub fn parts(self) -> Vec<Part> {
        let sections = match self {
            Self::Servers | Self::Caches => &[Self::Cold, Self::Mixed][..],
            Self::Pools => &[Self::Mixed],
            Self::Readers => &[Self::BodiesMixed],
            Self::Senders => &[Self::Bodies],
            Self::Tls => &Self::OF_TLS,
            Self::Http2 => &Self::OF_HTTP2,
            _ => &[self],
        };
        let part = |section: &Self| Part {
            of: self,
            section: *section,
        };
        sections.iter().map(part).collect()
    }

    /// As it is written in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Mixed => "mixed",
            Self::Deep => "deep",
            Self::Servers => "servers",
            Self::Caches => "caches",
            Self::Pools => "pools",
            Self::Readers => "readers",
            Self::Senders => "senders",
            Self::Tls => "tls",
            Self::Http2 => "http2",
            Self::ColdClear => "cold-clear",
            Self::Own => "own",
            Self::Page => "page",
            Self::Fast => "fast",
            Self::Local => "local",
            Self::Cpu => "cpu",
            Self::Armed => "armed",
            Self::Handshakes => "handshakes",
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
