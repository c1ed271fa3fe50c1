//! Programs and the ways in which they are run.

use serde::Serialize;

use super::program::Program;

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

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// In clear text.
    #[default]
    Http,
    /// Over TLS 1.3.
    Https,
    /// HTTP/2 over TLS.
    Http2,
    /// HTTP/2 in clear text, by prior knowledge.
    H2c,
}

impl Scheme {
    /// Is it over TLS?
    pub fn is_over_tls(self) -> bool {
        matches!(self, Self::Https | Self::Http2)
    }

    /// Is it HTTP/2?
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::H2c)
    }

    /// What follows the program's name in tables.
    fn suffix(self) -> &'static str {
        match self {
            Self::Http => "",
            Self::Https => " tls",
            Self::Http2 => " http2",
            Self::H2c => " h2c",
        }
    }
}

/// A program in a variant, over a scheme: one line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Configuration {
    /// What runs.
    pub program: Program,
    /// How it is spoken to.
    pub scheme: Scheme,
    /// How it runs.
    pub variant: Variant,
}

/// One server process and its workers.
#[derive(Clone, Copy, Debug)]
pub struct ServerSpec {
    /// What runs.
    pub program: Program,
    /// How it is spoken to.
    pub scheme: Scheme,
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
    /// In clear text.
    pub const fn new(program: Program, variant: Variant) -> Self {
        Self {
            program,
            scheme: Scheme::Http,
            variant,
        }
    }

    /// The same over another scheme.
    pub const fn over(self, scheme: Scheme) -> Self {
        Self { scheme, ..self }
    }

    /// The same program over the same scheme in another variant.
    pub const fn variant(self, variant: Variant) -> Self {
        Self { variant, ..self }
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
            scheme: self.scheme,
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
            scheme: self.scheme,
            preload: false,
            workers: 1,
            aio_threads: false,
            reuseport: false,
        })
    }

    /// As it is written in tables.
    pub fn name(self) -> String {
        format!("{} {}", self.server_name(), self.variant.name())
    }

    /// The same without the variant.
    pub fn server_name(self) -> String {
        format!("{}{}", self.program.name(), self.scheme.suffix())
    }
}
