//! Real servers: started in the foreground with a configuration of their own, measured from outside, and ended.

mod config;
mod identity;
pub mod process;
pub mod stats;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::interrupt;
use crate::load::Transport;
use crate::plan::{Program, Scheme, ServerSpec, Strategy};
pub use identity::Identity;
use process::Usage;
use stats::Stats;

/// How long a server may take to answer its first connection, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is measured with: the library and the command that reads its counters.
#[derive(Clone, Debug)]
pub struct Tools {
    /// `liblaio.so`; without it only stock servers run.
    pub library: Option<PathBuf>,
    /// The `laio` command; without it stalls are not counted.
    pub laio: Option<PathBuf>,
    /// The server programs that there are.
    pub programs: BTreeMap<Program, PathBuf>,
    /// Where h2load is, if it is here.
    pub h2load: Option<PathBuf>,
    /// Where a headless Chromium is, if one is here.
    pub chromium: Option<PathBuf>,
    /// Where the servers in Python are.
    pub demo_servers: PathBuf,
    /// Who they are over TLS.
    pub identity: Identity,
}

/// Debian's lighttpd has its TLS in a package of its own.
const LIGHTTPD_TLS: &str = "/usr/lib/lighttpd/mod_openssl.so";

impl Tools {
    /// Can this be run here?
    pub fn has(&self, program: Program, scheme: Scheme) -> bool {
        let needs_module = program == Program::Lighttpd && scheme.is_over_tls();
        let speaks_it = !needs_module || Path::new(LIGHTTPD_TLS).exists();
        let mut modules = program.modules().iter();
        speaks_it
            && self.programs.contains_key(&program)
            && modules.all(|it| Path::new(it).exists())
    }

    /// In clear text, or by this over TLS.
    fn transport(&self, scheme: Scheme, over_tls: &Transport) -> Transport {
        match scheme.is_over_tls() {
            true => over_tls.clone(),
            false => Transport::Plain,
        }
    }
}

/// A running server.
pub struct Server {
    spec: ServerSpec,
    child: Child,
    address: SocketAddr,
    transport: Transport,
    http2: Transport,
    workers: Vec<i32>,
    directory: PathBuf,
    laio: Option<PathBuf>,
}

impl Server {
    /// Starts a server on a free port, with a new directory beneath `work` for what it writes.
    pub fn start(spec: ServerSpec, docroot: &Path, work: &Path, tools: &Tools) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(
                spec.program
                    .command()
                    .rsplit('/')
                    .next()
                    .unwrap_or_default(),
            )
            .tempdir_in(work)
            .context("cannot make a directory for the server")?
            .keep();
        // Its workers run as another user and write here.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o1777))?;
        let address = free_address()?;
        let (mut command, preloaded) = command(spec, docroot, &directory, address, tools)?;
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", spec.program.name()))?;
        let laio = preloaded.is_some().then(|| tools.laio.clone()).flatten();
        let mut server = Self {
            spec,
            child,
            address,
            transport: tools.transport(spec.scheme, &tools.identity.client),
            http2: tools.transport(spec.scheme, &tools.identity.http2_client),
            workers: Vec::new(),
            directory,
            laio,
        };
        server.wait_until_serving()?;
        if let Some(library) = preloaded {
            server.check_preloaded(&library)?;
        }
        Ok(server)
    }

    fn wait_until_serving(&mut self) -> Result<()> {
        let limit = Instant::now() + PATIENCE;
        loop {
            self.check_alive()?;
            self.workers = self.find_workers();
            if self.workers.len() == self.spec.workers as usize
                && TcpStream::connect(self.address).is_ok()
            {
                return Ok(());
            }
            if Instant::now() > limit {
                bail!(
                    "{} does not answer: {}",
                    self.spec.program.name(),
                    self.log()
                );
            }
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The processes that serve: nginx's children, the others themselves.
    fn find_workers(&self) -> Vec<i32> {
        let main = self.child.id() as i32;
        match self.spec.program {
            program if program.is_nginx() => process::nginx_workers(main),
            _ => vec![main],
        }
    }

    /// The dynamic linker only warns about a library that it cannot load, and a stock server would be measured.
    fn check_preloaded(&self, library: &Path) -> Result<()> {
        for worker in &self.workers {
            ensure!(
                process::has_mapped(*worker, library)?,
                "{} runs without {}: {}",
                self.spec.program.name(),
                library.display(),
                self.log()
            );
        }
        Ok(())
    }

    /// An error once the server has ended or lost a worker: the rest would be measured on another process.
    pub fn check_alive(&mut self) -> Result<()> {
        let name = self.spec.program.name();
        if let Some(status) = self.child.try_wait()? {
            bail!("{name} ended ({status}): {}", self.log());
        }
        let there = self.find_workers();
        if !self.workers.iter().all(|worker| there.contains(worker)) {
            bail!("{name} lost a worker: {}", self.log());
        }
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does it code what it sends?
    pub fn codes(&self) -> bool {
        self.spec.program == Program::NginxGzip
    }

    /// What it was started to speak.
    pub fn scheme(&self) -> Scheme {
        self.spec.scheme
    }

    /// How HTTP/1.1 is spoken with it.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// How HTTP/2 is.
    pub fn http2_transport(&self) -> &Transport {
        &self.http2
    }

    /// The processes that serve.
    pub fn workers(&self) -> &[i32] {
        &self.workers
    }

    /// CPU time of all workers so far, system and user.
    pub fn cpu_time(&self) -> Result<Duration> {
        self.workers
            .iter()
            .map(|worker| process::cpu_time(*worker))
            .sum()
    }

    /// Descriptors and memory of all workers.
    pub fn usage(&self) -> Result<Usage> {
        self.workers
            .iter()
            .try_fold(Usage::default(), |sum, worker| {
                Ok(sum + process::usage(*worker)?)
            })
    }

    /// The library's counters, summed over all workers; none for a stock server.
    pub fn stats(&self) -> Option<Result<Stats>> {
        let laio = self.laio.as_deref()?;
        let each = self.workers.iter().map(|worker| stats::read(laio, *worker));
        Some(each.sum())
    }

    /// The end of its error log, for a message.
    fn log(&self) -> String {
        let text: String = ["output.log", "error.log"]
            .iter()
            .filter_map(|name| fs::read_to_string(self.directory.join(name)).ok())
            .collect();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        match lines.is_empty() {
            true => "it logged nothing".into(),
            false => lines.into_iter().rev().collect::<Vec<_>>().join(" | "),
        }
    }

    /// What it logged that a server at peace does not: nginx's alerts and worse, everything that the others do not say when
    /// they start and end.
    fn complaints(&self) -> Vec<String> {
        let read = |name| fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        let log = match self.spec.program {
            Program::Lighttpd | Program::LighttpdWritev | Program::H2o => read("error.log"),
            program if program.is_nginx() => read("error.log"),
            _ => read("output.log"),
        };
        let says = |line: &str, words: &[&str]| words.iter().any(|word| line.contains(word));
        let serious = |line: &&str| match self.spec.program {
            program if program.is_nginx() => says(line, &["[alert]", "[emerg]", "[crit]"]),
            Program::Lighttpd | Program::LighttpdWritev => {
                !says(line, &["server started", "server stopped"])
            }
            Program::H2o => !says(line, &["[INFO]", "is ready to serve", "shutting down"]),
            Program::Merecat => !says(line, &["starting on", "Started as root", "Exiting due"]),
            Program::Lazy(_) => !says(line, &[" at 127.0.0.1 port "]),
            _ => true,
        };
        log.lines().filter(serious).map(str::to_owned).collect()
    }

    /// Ends it and waits for its end; what it complained about.
    pub fn stop(mut self) -> Result<Vec<String>> {
        self.check_alive()?;
        self.end();
        Ok(self.complaints())
    }

    fn end(&mut self) {
        let pid = Pid::from_raw(self.child.id() as i32);
        let limit = Instant::now() + PATIENCE;
        let mut signalled = false;
        while let Ok(None) = self.child.try_wait() {
            if !signalled {
                signalled = kill(pid, Signal::SIGTERM).is_ok();
            }
            if Instant::now() > limit {
                // Workers first: without their parent nobody would end them.
                for worker in &self.workers {
                    let _ = kill(Pid::from_raw(*worker), Signal::SIGKILL);
                }
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The command that starts it, and the library that it preloads.
fn command(
    spec: ServerSpec,
    docroot: &Path,
    directory: &Path,
    address: SocketAddr,
    tools: &Tools,
) -> Result<(Command, Option<PathBuf>)> {
    let path = directory.join("server.conf");
    let port = address.port();
    let identity = &tools.identity.file;
    if let Some(text) = config::render(spec, docroot, directory, port, identity) {
        fs::write(&path, text)?;
    }
    let output = File::create(directory.join("output.log"))?;
    let program = tools.programs.get(&spec.program);
    let mut command = Command::new(program.context("it is not installed")?);
    if let Some(script) = spec.program.script() {
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(tools.demo_servers.join(script));
        command.arg(format!("--port={port}"));
        command.arg("--root").arg(docroot);
        if spec.scheme.is_over_tls() {
            command.arg("--certificate").arg(identity);
        }
    }
    match spec.program {
        program if program.is_nginx() => _ = command.arg("-c").arg(&path).arg("-p").arg(directory),
        Program::Lighttpd | Program::LighttpdWritev => _ = command.arg("-D").arg("-f").arg(&path),
        Program::H2o => _ = command.arg("-c").arg(&path),
        Program::Merecat => {
            command.arg("-n").arg("-f").arg(&path);
            command.arg("-P").arg(directory.join("pid")).arg(docroot);
        }
        Program::Webfs => {
            // More connections than its 32, fewer than the 1024 descriptors at which it aborts.
            command.args([
                "-F",
                "-4",
                "-i",
                "127.0.0.1",
                "-n",
                "localhost",
                "-c",
                "512",
            ]);
            command.args(["-m", "/dev/null", "-p", &port.to_string(), "-r"]);
            command.arg(docroot);
        }
        Program::Lazy(strategy) => {
            if strategy != Strategy::Libevent {
                command.args(["--strategy", strategy.name()]);
            }
            command.args(["--port", &port.to_string(), "--root"]);
            command.arg(docroot);
            // They are linked with the library, whose hooks are another way than theirs.
            if !spec.preload {
                command.env("LAIO", "off");
            }
            if let Some(directory) = tools.library.as_deref().and_then(Path::parent) {
                command.env("LD_LIBRARY_PATH", directory);
            }
        }
        _ => {}
    }
    // A process group of its own: Ctrl-C is for us, and we end the servers in order.
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0);
    command.env_remove("LD_PRELOAD");
    let library = match spec.preload {
        true => tools.library.clone(),
        false => None,
    };
    if let Some(library) = &library {
        command.env("LD_PRELOAD", library);
        if std::env::var_os("LAIO_STATS").is_none() {
            command.env("LAIO_STATS", directory.join("laio-%p.json"));
        }
    }
    Ok((command, library))
}

/// A port of the loopback interface that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}
