//! Real servers, in the foreground, on a free port of 127.0.0.1, ended by process id.

use crate::identity::Identity;
use crate::library::{self, Preload};
use crate::machine::{ending, is_root, wait_within};
use crate::needs::find_command;
use crate::stats::Stats;
use crate::Result;
use anyhow::{bail, Context as _};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub use crate::kind::{Demo, Kind};

/// What is different from the stock configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Lines for lighttpd's or h2o's configuration, or for nginx's `http` block.
    pub http: String,
    /// Lines for nginx's `server` block.
    pub server: String,
    /// More of what nginx and h2o listen with: words for the one, a line for the other.
    pub listen: String,
    /// nginx's number of workers; 0 means 1.
    pub workers: usize,
    /// How many connections each of them may have; 0 means 2048.
    pub connections: usize,
    /// What it speaks TLS with; without any it does not.
    pub identities: Vec<Identity>,
    /// Whether nginx speaks HTTP/2 there: by TLS, too; in the clear, nothing else. Others do so anyway.
    pub http2: bool,
}

/// A running server.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its own directory: configuration, logs.
    pub dir: PathBuf,
    stats: PathBuf,
}

/// How a server ended, and what it left behind.
pub struct Ended {
    /// Exit status or signal.
    pub ending: String,
    /// What it wrote to its standard error and its error log.
    pub log: String,
    /// The counters, when it ran under the library.
    pub stats: Option<Stats>,
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// The configuration file's text, with the documents at `root`.
fn configuration(kind: Kind, config: &Config, root: &Path, dir: &Path, port: u16) -> String {
    let (root, dir) = (root.display(), dir.display());
    let Config {
        http,
        server,
        listen,
        workers,
        connections,
        identities,
        http2,
    } = config;
    // Another virtual host listens where this server does.
    let http = http.replace("LISTEN", &port.to_string());
    let sendfile = if http.contains("sendfile") {
        ""
    } else {
        "sendfile on;"
    };
    let has_module = http.contains("mod_gnutls") || http.contains("mod_openssl");
    let tls = tls_configuration(kind, identities, has_module);
    match kind {
        Kind::Lighttpd => {
            // Debian starts lighttpd as root and has it drop to www-data.
            let user = if is_root() {
                "server.username = \"www-data\"\nserver.groupname = \"www-data\"\n"
            } else {
                ""
            };
            format!(
                "server.bind = \"127.0.0.1\"\nserver.port = {port}\nserver.document-root = \"{root}\"\n\
                 server.errorlog = \"{dir}/error.log\"\nserver.pid-file = \"{dir}/pid\"\n\
                 server.max-keep-alive-requests = 100000\nserver.upload-dirs = ( \"{dir}\" )\n{user}\
                 index-file.names = ( \"index.html\" )\nmimetype.assign = ( \".html\" => \"text/html\" )\n{http}\n{tls}"
            )
        }
        Kind::Nginx => format!(
            "daemon off;\nworker_processes {};\npid {dir}/pid;\nerror_log {dir}/error.log info;\n\
             events {{ worker_connections {}; }}\nhttp {{\n {sendfile} tcp_nopush on; access_log off;\n\
             types {{ text/html html; }}\n keepalive_requests 100000;\n client_body_temp_path {dir}/body;\n\
             proxy_temp_path {dir}/proxy;\n fastcgi_temp_path {dir}/fastcgi;\n uwsgi_temp_path {dir}/uwsgi;\n\
             scgi_temp_path {dir}/scgi;\n {tls} {http}\n server {{ listen 127.0.0.1:{port}{} {listen} default_server; root {root};\n\
             {server}\n }}\n}}\n",
            (*workers).max(1),
            if *connections == 0 { 2048 } else { *connections },
            match (identities.is_empty(), http2) {
                (true, false) => "",
                (true, true) => " http2",
                (false, false) => " ssl",
                (false, true) => " ssl http2",
            },
        ),
        Kind::Merecat => format!("hostname = \"127.0.0.1\"\nport = {port}\n"),
        Kind::H2o => format!(
            "{http}listen:\n  host: 127.0.0.1\n  port: {port}\n{listen}{tls}num-threads: 1\nhosts:\n  default:\n    paths:\n      /:\n        \
             file.dir: {root}\n        file.dirlisting: ON\n"
        ),
        _ => String::new(),
    }
}

/// The lines that have a server speak TLS.
fn tls_configuration(kind: Kind, identities: &[Identity], has_module: bool) -> String {
    let module = match has_module {
        true => "",
        false => "server.modules += ( \"mod_openssl\" )\n",
    };
    let each = |lines: fn(&Identity) -> String| identities.iter().map(lines).collect::<String>();
    match kind {
        Kind::Nginx => each(|it| {
            let (certificate, key) = (it.certificate.display(), it.key.display());
            format!("ssl_certificate {certificate}; ssl_certificate_key {key};\n")
        }),
        _ if identities.is_empty() => String::new(),
        Kind::Lighttpd => format!(
            "{module}ssl.engine = \"enable\"\nssl.pemfile = \"{}\"\n",
            identities[0].both.display()
        ),
        Kind::H2o => format!(
            "  ssl:\n    certificate-file: {}\n    key-file: {}\n    minimum-version: TLSv1.2\n",
            identities[0].certificate.display(),
            identities[0].key.display()
        ),
        _ => String::new(),
    }
}

impl Server {
    /// Starts a server and waits until it accepts connections.
    pub fn start(kind: Kind, config: &Config, root: &Path, preload: &Preload) -> Result<Self> {
        let command = |preload: &Preload, program: &Path| preload.command(program);
        Self::start_with(kind, config, root, preload, command)
    }

    /// Starts a server and waits until it listens: it has not had a client yet.
    pub fn start_untouched(
        kind: Kind,
        config: &Config,
        root: &Path,
        preload: &Preload,
    ) -> Result<Self> {
        let command = |preload: &Preload, program: &Path| preload.command(program);
        Self::start_until(is_listened_at, kind, config, root, preload, command)
    }

    /// Starts a server with a command of the caller's, which may put a tracer before it.
    pub fn start_with(
        kind: Kind,
        config: &Config,
        root: &Path,
        preload: &Preload,
        command: impl Fn(&Preload, &Path) -> Command,
    ) -> Result<Self> {
        let accepts = |address| TcpStream::connect(address).is_ok();
        Self::start_until(accepts, kind, config, root, preload, command)
    }

    fn start_until(
        is_ready: impl Fn(SocketAddr) -> bool,
        kind: Kind,
        config: &Config,
        root: &Path,
        preload: &Preload,
        command: impl Fn(&Preload, &Path) -> Command,
    ) -> Result<Self> {
        let dir = library::fresh_dir("server")?;
        let port = free_port()?;
        // The last server's processes may still be writing theirs.
        let stats = library::fresh_dir(&format!("stats-{port}"))?;
        let file = dir.join("server.conf");
        fs::write(&file, configuration(kind, config, root, &dir, port))?;
        let mut preload = preload.clone();
        if !preload.is_stock() {
            preload = preload.with("LAIO_STATS", stats.join("laio-%p.json"));
        }
        let program = find_command(kind.command()).with_context(|| format!("{kind:?}"))?;
        let mut command = command(&preload, &program);
        for argument in kind.arguments().split_whitespace() {
            let argument = argument
                .replace("@CONF@", &file.to_string_lossy())
                .replace("@RUN@", &dir.to_string_lossy())
                .replace("@ROOT@", &root.to_string_lossy())
                .replace(
                    "@DEMO@",
                    &library::workspace().join("demo-servers").to_string_lossy(),
                )
                .replace("@PORT@", &port.to_string());
            command.arg(argument);
        }
        if let (Kind::Asyncio | Kind::Hypercorn | Kind::Selectors(_), [identity, ..]) =
            (kind, &*config.identities)
        {
            command.arg("--certificate").arg(&identity.both);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(dir.join("stdout"))?)
            .stderr(File::create(dir.join("stderr"))?)
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self {
            child,
            address,
            dir,
            stats,
        };
        while !is_ready(address) {
            if let Some(status) = server.child.try_wait()? {
                bail!(
                    "the server did not start: {}\n{}",
                    ending(status),
                    server.log()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// The process that was started.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its children: nginx's workers, or the tracer's program.
    pub fn children(&self) -> Result<Vec<u32>> {
        let pid = self.pid();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        list.split_whitespace().map(|n| Ok(n.parse()?)).collect()
    }

    /// The processes that serve requests.
    pub fn serving(&self, kind: Kind) -> Result<Vec<u32>> {
        match kind {
            // Those that look after its caches serve nobody.
            Kind::Nginx => Ok(self.children()?.into_iter().filter(is_worker).collect()),
            _ => Ok(vec![self.pid()]),
        }
    }

    /// The processes that serve requests, once they are all there and have opened what they need.
    pub fn settled(&self, kind: Kind, config: &Config) -> Result<Vec<u32>> {
        let wanted = if kind == Kind::Nginx {
            config.workers.max(1)
        } else {
            1
        };
        let (mut last, mut same) = (Vec::new(), 0);
        for _ in 0..500 {
            let serving = self.serving(kind)?;
            let now: Vec<_> = serving
                .iter()
                .map(|pid| (*pid, library::descriptors(*pid).unwrap_or(0)))
                .collect();
            same = if now == last { same + 1 } else { 0 };
            if serving.len() == wanted && same == 10 {
                return Ok(serving);
            }
            last = now;
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("the server's {wanted} processes did not settle: {last:?}")
    }

    fn log(&self) -> String {
        let mut text = String::new();
        for name in ["stdout", "stderr", "error.log"] {
            text += &String::from_utf8_lossy(&fs::read(self.dir.join(name)).unwrap_or_default());
        }
        text
    }

    /// Sends a signal to `pid`, and waits for the server to end.
    pub fn stop(mut self, pid: u32, signal: i32) -> Result<Ended> {
        // SAFETY: the process is a child of ours, or of it, and was not reaped: the number is still its own.
        unsafe { libc::kill(pid as libc::pid_t, signal) };
        let status = wait_within(&mut self.child, Duration::from_secs(20), false);
        let log = self.log();
        let Some(status) = status else {
            bail!("the server was still there 20 s after signal {signal}\n{log}");
        };
        // h2o leaves without a word; its child, which writes counters, ends a moment later.
        let mut wrote = false;
        for _ in 0..50 {
            let files = fs::read_dir(&self.stats)?
                .map(|file| Ok(file?.metadata()?.len()))
                .collect::<std::io::Result<Vec<_>>>()?;
            wrote = !files.is_empty() && !files.contains(&0);
            if wrote {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let stats = if wrote {
            Some(Stats::read(&self.stats)?)
        } else {
            None
        };
        Ok(Ended {
            ending: ending(status),
            log,
            stats,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers end with the test's process group.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn is_worker(pid: &u32) -> bool {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.starts_with("nginx: worker ")
}

/// Whether anybody listens there, without a connection to it.
fn is_listened_at(address: SocketAddr) -> bool {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let here = format!(":{:04X} 00000000:0000 0A", address.port());
    table.lines().any(|line| line.contains(&here))
}
