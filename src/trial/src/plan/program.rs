//! The server programs.

use serde::Serialize;

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
    /// nginx with `proxy_cache`: its files are named by the hash of what was asked for.
    NginxCache,
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
    /// `demo-servers/node_files.js`: files by a pool of four threads.
    Node,
    /// `demo-servers/express_files.js`: the same pool.
    Express,
    /// `demo-servers/aiohttp_files.py`: files are opened by a pool of some threads.
    Aiohttp,
    /// `demo-servers/starlette_files.py`: files by a pool of forty threads.
    Starlette,
    /// `demo-servers/tornado_files.py`, which hashes a file before it sends it.
    Tornado,
    /// `demo-servers/node_whole_files.js`: each file by one `readFileSync`.
    NodeWhole,
    /// `demo-servers/asyncio_whole_files.py`: each file by one `read`.
    AsyncioWhole,
    /// nginx with `gzip on`: each file in one turn.
    NginxGzip,
    /// `demo-servers/twisted_files.py`: bodies sent in a later iteration than they are read.
    Twisted,
    /// lighttpd that reads files and writes them.
    LighttpdWritev,
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

    /// Those of the section `pools`.
    pub const OF_POOLS: [Self; 4] = [Self::Node, Self::Express, Self::Aiohttp, Self::Starlette];

    /// Those of the section `readers`.
    pub const READERS: [Self; 4] = [
        Self::Tornado,
        Self::NodeWhole,
        Self::AsyncioWhole,
        Self::NginxGzip,
    ];

    /// Those of the section `senders`.
    pub const SENDERS: [Self; 2] = [Self::Twisted, Self::LighttpdWritev];

    /// Those of the section `tls`.
    pub const OVER_TLS: [Self; 4] = [Self::Lighttpd, Self::Nginx, Self::H2o, Self::Asyncio];

    /// Those of the section `http2`.
    pub const OVER_HTTP2: [Self; 3] = [Self::Lighttpd, Self::Nginx, Self::H2o];

    /// Those that speak HTTP/2 in clear text and HTTP/1.1 on the same port.
    pub const OVER_H2C: [Self; 2] = [Self::Lighttpd, Self::H2o];

    /// Those of the sections about bodies, each with its own way of sending them.
    pub const OF_BODIES: [Self; 4] = [Self::Lighttpd, Self::Nginx, Self::NginxPread, Self::Merecat];

    /// All.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::MAIN
            .into_iter()
            .chain([Self::NginxPread, Self::NginxCache])
            .chain(Self::OTHERS)
            .chain(Self::OF_POOLS)
            .chain(Self::READERS)
            .chain(Self::SENDERS)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lighttpd => "lighttpd",
            Self::Nginx => "nginx",
            Self::NginxPread => "nginx-pread",
            Self::NginxCache => "nginx-cache",
            Self::Merecat => "merecat",
            Self::Webfs => "webfs",
            Self::H2o => "h2o",
            Self::Asyncio => "asyncio",
            Self::Selectors => "selectors",
            Self::Node => "node",
            Self::Express => "express",
            Self::Aiohttp => "aiohttp",
            Self::Starlette => "starlette",
            Self::Tornado => "tornado",
            Self::NodeWhole => "node-whole",
            Self::AsyncioWhole => "asyncio-whole",
            Self::NginxGzip => "nginx-gzip",
            Self::Twisted => "twisted",
            Self::LighttpdWritev => "lighttpd-writev",
            Self::Lazy(strategy) => strategy.name(),
        }
    }

    /// Can it have several workers? The others are run as the one process that they are.
    pub(super) fn has_workers(self) -> bool {
        self.is_nginx()
    }

    /// Is it nginx, however it is configured?
    pub fn is_nginx(self) -> bool {
        matches!(
            self,
            Self::Nginx | Self::NginxPread | Self::NginxCache | Self::NginxGzip
        )
    }

    /// How often cached files are asked for beside cold ones: requests per second on each connection. A framework in an
    /// interpreter has no processor left for more beside what the disk gives, and what waits for that is not to be measured.
    pub fn cached_rate(self) -> u32 {
        match self {
            Self::Express | Self::Aiohttp | Self::Starlette => 10,
            _ => 100,
        }
    }

    /// The command that runs it.
    pub fn command(self) -> &'static str {
        match self {
            Self::NginxPread | Self::NginxCache | Self::NginxGzip => "nginx",
            Self::LighttpdWritev => "lighttpd",
            Self::Webfs => "webfsd",
            // They are written for the system's own.
            Self::Asyncio
            | Self::Selectors
            | Self::Aiohttp
            | Self::Starlette
            | Self::Tornado
            | Self::AsyncioWhole
            | Self::Twisted => "/usr/bin/python3",
            Self::Node | Self::NodeWhole | Self::Express => "node",
            Self::Lazy(Strategy::Libevent) => "lazy-files-libevent",
            Self::Lazy(_) => "lazy-files",
            Self::Lighttpd | Self::Nginx | Self::Merecat | Self::H2o => self.name(),
        }
    }

    /// The script of `demo-servers` that the command runs.
    pub fn script(self) -> Option<&'static str> {
        match self {
            Self::Asyncio => Some("asyncio_files.py"),
            Self::Selectors => Some("selectors_files.py"),
            Self::Node => Some("node_files.js"),
            Self::Express => Some("express_files.js"),
            Self::Aiohttp => Some("aiohttp_files.py"),
            Self::Starlette => Some("starlette_files.py"),
            Self::Tornado => Some("tornado_files.py"),
            Self::NodeWhole => Some("node_whole_files.js"),
            Self::AsyncioWhole => Some("asyncio_whole_files.py"),
            Self::Twisted => Some("twisted_files.py"),
            _ => None,
        }
    }

    /// What Debian's packages bring that the script cannot do without.
    pub fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Express => &["/usr/share/nodejs/express"],
            Self::Tornado => &["/usr/lib/python3/dist-packages/tornado"],
            Self::Twisted => &["/usr/lib/python3/dist-packages/twisted"],
            Self::Aiohttp => &["/usr/lib/python3/dist-packages/aiohttp"],
            Self::Starlette => &[
                "/usr/lib/python3/dist-packages/starlette",
                "/usr/lib/python3/dist-packages/uvicorn",
            ],
            _ => &[],
        }
    }
}
