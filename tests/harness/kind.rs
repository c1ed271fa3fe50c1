//! Real servers: how each is started, where it comes from, and what it cannot be asked for.

use crate::ask::Abilities;
use crate::test::Need;

/// A program of `demo-servers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demo {
    /// What runs it.
    pub command: &'static str,
    /// The Debian package without which it does not run.
    pub package: &'static str,
    /// Its file, and what stands before that; the names between `@` are filled in.
    pub file: &'static str,
}

/// A server program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// lighttpd, one process.
    Lighttpd,
    /// nginx, a master and its workers.
    Nginx,
    /// merecat: `poll`, bodies from mapped files.
    Merecat,
    /// thttpd, which merecat comes from.
    Thttpd,
    /// darkhttpd: `select`.
    Darkhttpd,
    /// webfs: `select`.
    Webfs,
    /// h2o, one event loop: `epoll`.
    H2o,
    /// `demo-servers/asyncio_files.py`: `epoll`.
    Asyncio,
    /// `demo-servers/hypercorn_files.py`, on asyncio, which speaks HTTP/2, too: `epoll`.
    Hypercorn,
    /// `demo-servers/selectors_files.py`, which waits as it is told.
    Selectors(&'static str),
    /// `demo-servers/lazy`, with one of its strategies. To be built (`demo::build`).
    Lazy(&'static str),
    /// The same on libevent.
    LazyLibevent,
    /// `demo-servers/eventmachine_files.rb`, which waits in `select` unless it is told `--epoll`.
    EventMachine(&'static str),
    /// thin, which is built on EventMachine: `epoll`, Rack's own application for files.
    Thin,
    /// `demo-servers/asyncore_files.py`, which waits in `select` unless it is told `--poll`.
    Asyncore(&'static str),
    /// `demo-servers/waitress_files.py`: `select` in one thread, files in others.
    Waitress,
    /// `demo-servers/tornado_files.py`: `epoll`.
    Tornado,
    /// One of `demo-servers` that is needed in one place only.
    Demo(Demo),
    /// `demo-servers/twisted_files.py`: `epoll`, bodies sent in a later iteration than they are read.
    Twisted,
    /// `demo-servers/uvloop_files.py`: `epoll`, registered by io_uring.
    Uvloop,
    /// `demo-servers/node_files.js`: `epoll`, files in four other threads.
    Node,
    /// `demo-servers/node_whole_files.js`, which reads files whole: in its own thread, or `--pool`.
    NodeWhole(&'static str),
    /// `demo-servers/asyncio_whole_files.py`, which reads files whole as it is told.
    AsyncioWhole(&'static str),
    /// `demo-servers/express_files.js`: the same as `Node`.
    Express,
    /// `demo-servers/aiohttp_files.py`: `epoll`, files are opened in other threads.
    Aiohttp,
    /// `demo-servers/starlette_files.py`: `epoll`, files in forty other threads.
    Starlette,
}

impl Kind {
    /// The command that runs it.
    pub fn command(self) -> &'static str {
        match self {
            Kind::Lighttpd => "lighttpd",
            Kind::Nginx => "nginx",
            Kind::Merecat => "merecat",
            Kind::Thttpd => "thttpd",
            Kind::Darkhttpd => "darkhttpd",
            Kind::Webfs => "webfsd",
            Kind::H2o => "h2o",
            // They are written for the system's own.
            Kind::Asyncio
            | Kind::AsyncioWhole(_)
            | Kind::Hypercorn
            | Kind::Selectors(_)
            | Kind::Asyncore(_)
            | Kind::Waitress
            | Kind::Tornado
            | Kind::Twisted
            | Kind::Aiohttp
            | Kind::Starlette => "/usr/bin/python3",
            Kind::Demo(demo) => demo.command,
            Kind::Node | Kind::NodeWhole(_) | Kind::Express => "node",
            Kind::EventMachine(_) => "/usr/bin/ruby",
            Kind::Thin => "thin",
            Kind::Uvloop => "python3-with-uvloop",
            Kind::Lazy(_) => "lazy-files",
            Kind::LazyLibevent => "lazy-files-libevent",
        }
    }

    /// Where the command comes from.
    pub fn need(self) -> Need {
        match self {
            Kind::Lighttpd => Need::Command(self.command(), "lighttpd"),
            Kind::Nginx => Need::Command(self.command(), "nginx-light"),
            Kind::Merecat => Need::Merecat,
            Kind::Thttpd | Kind::Darkhttpd => Need::Program(self.command()),
            Kind::Webfs => Need::Command(self.command(), "webfs"),
            Kind::H2o => Need::Command(self.command(), "h2o"),
            Kind::Asyncio | Kind::AsyncioWhole(_) | Kind::Selectors(_) | Kind::Asyncore(_) => {
                Need::Command(self.command(), "python3")
            }
            Kind::Demo(demo) => Need::Package(demo.package),
            Kind::Hypercorn => Need::Package("python3-hypercorn"),
            Kind::EventMachine(_) => Need::Package("ruby-eventmachine"),
            Kind::Thin => Need::Package("thin"),
            Kind::Waitress => Need::Package("python3-waitress"),
            Kind::Tornado => Need::Package("python3-tornado"),
            Kind::Twisted => Need::Package("python3-twisted"),
            Kind::Uvloop => Need::Uvloop,
            Kind::Node | Kind::NodeWhole(_) => Need::Command(self.command(), "nodejs"),
            // It needs a node as well, which may be another than Debian's.
            Kind::Express => Need::Package("node-express"),
            Kind::Aiohttp => Need::Package("python3-aiohttp"),
            // And `python3-uvicorn`.
            Kind::Starlette => Need::Package("python3-starlette"),
            Kind::Lazy(_) => Need::Command("make", "make"),
            Kind::LazyLibevent => Need::Libevent,
        }
    }

    /// What it can be asked for.
    pub fn abilities(self) -> Abilities {
        let all = Abilities::ALL;
        let other = Abilities {
            aliases: false,
            ..all
        };
        match self {
            Kind::Lighttpd | Kind::Nginx => all,
            Kind::H2o => other,
            Kind::Webfs => Abilities {
                empty_documents: false,
                unfinished: 302,
                ..other
            },
            Kind::Merecat | Kind::Thttpd => Abilities {
                pipelines: false,
                suffix_ranges: false,
                unfinished: 302,
                ..other
            },
            Kind::Darkhttpd => Abilities {
                pipelines: false,
                ..other
            },
            Kind::Twisted => other,
            Kind::Lazy(_) | Kind::LazyLibevent => Abilities {
                listing: 404,
                ..other
            },
            Kind::Tornado => Abilities {
                listing: 404,
                ..other
            },
            Kind::Asyncio
            | Kind::Demo(_)
            | Kind::AsyncioWhole(_)
            | Kind::NodeWhole(_)
            | Kind::Hypercorn
            | Kind::Selectors(_)
            | Kind::EventMachine(_)
            | Kind::Thin
            | Kind::Asyncore(_)
            | Kind::Waitress
            | Kind::Uvloop
            | Kind::Node
            | Kind::Express
            | Kind::Aiohttp
            | Kind::Starlette => Abilities {
                ranges: false,
                listing: 404,
                unfinished: 404,
                ..other
            },
        }
    }

    /// What follows the command; the names between `@` are filled in.
    pub(crate) fn arguments(self) -> String {
        match self {
            Kind::Lighttpd => "-D -f @CONF@".into(),
            Kind::Nginx => "-p @RUN@ -e @RUN@/error.log -c @CONF@".into(),
            Kind::Merecat => "-n -f @CONF@ -P @RUN@/pid @ROOT@".into(),
            Kind::Thttpd => "-D -h 127.0.0.1 -p @PORT@ -d @ROOT@ -i @RUN@/pid -l /dev/null".into(),
            Kind::Darkhttpd => "@ROOT@ --addr 127.0.0.1 --port @PORT@".into(),
            // More connections than its 32, fewer than the 1024 descriptors at which it aborts.
            Kind::Webfs => "-F -4 -i 127.0.0.1 -p @PORT@ -r @ROOT@ -f index.html -n localhost -c 512 -m /dev/null".into(),
            Kind::H2o => "-c @CONF@".into(),
            Kind::Asyncio => "-B @DEMO@/asyncio_files.py --port @PORT@ --root @ROOT@".into(),
            Kind::Demo(Demo { file, .. }) => {
                format!("{file} --port @PORT@ --root @ROOT@")
            }
            Kind::Hypercorn => "-B @DEMO@/hypercorn_files.py --port @PORT@ --root @ROOT@".into(),
            Kind::Selectors(how) => {
                format!("-B @DEMO@/selectors_files.py --port @PORT@ --root @ROOT@ --selector {how}")
            }
            // Fewer than the documents, and than the descriptors that a test may leave it.
            Kind::Lazy(strategy) => {
                format!("--strategy {strategy} --port @PORT@ --root @ROOT@ --cache 20 --helpers 8")
            }
            Kind::EventMachine(how) => {
                format!("@DEMO@/eventmachine_files.rb --port @PORT@ --root @ROOT@ {how}")
            }
            Kind::Thin => "start -A file -c @ROOT@ -a 127.0.0.1 -p @PORT@ -e production".into(),
            Kind::Asyncore(how) => {
                format!("-B @DEMO@/asyncore_files.py --port @PORT@ --root @ROOT@ {how}")
            }
            Kind::Waitress => "-B @DEMO@/waitress_files.py --port @PORT@ --root @ROOT@".into(),
            Kind::Tornado => "-B @DEMO@/tornado_files.py --port @PORT@ --root @ROOT@".into(),
            Kind::Twisted => "-B @DEMO@/twisted_files.py --port @PORT@ --root @ROOT@".into(),
            Kind::Uvloop => "-B @DEMO@/uvloop_files.py --port @PORT@ --root @ROOT@".into(),
            Kind::Node => "@DEMO@/node_files.js --port @PORT@ --root @ROOT@".into(),
            Kind::NodeWhole(how) => {
                format!("@DEMO@/node_whole_files.js --port @PORT@ --root @ROOT@ {how}")
            }
            Kind::AsyncioWhole(how) => {
                format!("-B @DEMO@/asyncio_whole_files.py --port @PORT@ --root @ROOT@ {how}")
            }
            Kind::Express => "@DEMO@/express_files.js --port @PORT@ --root @ROOT@".into(),
            Kind::Aiohttp => "-B @DEMO@/aiohttp_files.py --port @PORT@ --root @ROOT@".into(),
            Kind::Starlette => "-B @DEMO@/starlette_files.py --port @PORT@ --root @ROOT@".into(),
            Kind::LazyLibevent => "--port @PORT@ --root @ROOT@ --cache 20".into(),
        }
    }
}
