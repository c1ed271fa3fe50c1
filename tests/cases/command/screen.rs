//! `laio top` in a real terminal.

use super::live::{ask, serve};
use super::said::{keep, laio, said};
use anyhow::{bail, ensure, Context as _};
use laio_tests::http::{request, Connection};
use laio_tests::identity::{Identity, Key};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::test::scratch;
use laio_tests::tls::{self, Suite, Version, Wishes};
use laio_tests::{docroot, http2, library, Preload, Result};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A terminal of 80 columns and 24 rows, with a server of tmux's own.
struct Terminal(String);

impl Terminal {
    /// Runs a shell's command line there; the terminal stays when that has ended.
    fn run(line: &str) -> Result<Terminal> {
        // Another one's server may be about to end.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let socket = scratch().join(format!("tmux{}", NUMBER.fetch_add(1, Relaxed)));
        let terminal = Terminal(socket.to_string_lossy().into_owned());
        let line = format!("{line}; echo \"ended with $?\"; sleep 60");
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            &line,
        ])?;
        Ok(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Result<String> {
        let mut tmux = Command::new("tmux");
        tmux.args(["-S", &self.0])
            .args(words)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX");
        let output = tmux.output().context("tmux")?;
        ensure!(
            output.status.success(),
            "tmux: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    fn keys(&self, keys: &str) -> Result {
        self.tmux(&["send-keys", keys]).map(|_| ())
    }

    /// The screen, once it shows this.
    fn shows(&self, part: &str) -> Result<String> {
        self.shows_while(part, &mut || Ok(()))
    }

    /// The same, while something happens again and again.
    fn shows_while(&self, part: &str, act: &mut dyn FnMut() -> Result) -> Result<String> {
        let begin = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"])?;
            if screen.contains(part) {
                return Ok(screen);
            }
            if begin.elapsed() > Duration::from_secs(15) {
                bail!("{part:?} does not appear:\n{screen}");
            }
            act()?;
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

fn opened(pid: u32) -> Result<Terminal> {
    let command = library::command()?;
    Terminal::run(&format!("{} top {pid}", command.display()))
}

/// The screen while a server works, keys, and an end that leaves the terminal as it was.
pub fn top() -> Result {
    let server = serve(Kind::Lighttpd, &Preload::on()?)?;
    let pid = server.pid();
    let terminal = opened(pid)?;
    terminal.shows(&format!("lighttpd {pid}"))?;
    ask(server.address)?;
    let screen = terminal.shows("armed")?;
    keep(
        "top",
        &screen,
        &[
            (r"lighttpd \d+ *", "lighttpd PID "),
            (r"(armed|disarmed)[ 0-9.,%\-a-z]+", "STATE AND NUMBERS"),
            (
                r"(?s)recent stalls\n.*\nq quit",
                "recent stalls\nSTALLS\nq quit",
            ),
        ],
    );
    terminal.keys("p")?;
    terminal.shows("paused")?;
    terminal.keys("s")?;
    terminal.keys("q")?;
    let screen = terminal.shows("ended with 0")?;
    ensure!(
        !screen.contains("laio top"),
        "the screen was left as it was:\n{screen}"
    );
    server.stop(pid, libc::SIGTERM).map(|_| ())
}

/// What clients speak: by TLS all of them, then HTTP/2 as well.
pub fn shares() -> Result {
    let root = scratch().join("www");
    docroot::write(&root, "f.bin", 3000)?;
    let identity = Identity::make(&library::fresh_dir("identities")?, Key::Ecdsa)?;
    let config = Config {
        identities: vec![identity.clone()],
        http2: true,
        ..Config::default()
    };
    let server = Server::start(Kind::Nginx, &config, &root, &Preload::on()?)?;
    let worker = *server.children()?.first().context("no worker")?;
    let terminal = opened(worker)?;
    let by = |protocols| -> Result<Connection> {
        let wishes = Wishes {
            protocols,
            ..Wishes::plain(Version::Tls12, Suite::Aes128)
        };
        tls::Client::new(&[&identity], &wishes)?.connect(server.address)
    };
    let mut plain = by(&["http/1.1"])?;
    let mut ask = || -> Result {
        plain.send(&request("GET", "/f.bin", "h", ""))?;
        let answer = plain.response(false)?;
        ensure!(answer.body == docroot::content("f.bin", 3000));
        Ok(())
    };
    terminal.shows_while(" 100   0\n", &mut ask)?;
    let mut frames = http2::Client::connect(by(&["h2"])?, &http2::Settings::default())?;
    let mut ask = || -> Result {
        let stream = frames.ask(&http2::Request::get("/f.bin"))?;
        let answer = frames.answer(stream)?;
        ensure!(answer.body == docroot::content("f.bin", 3000));
        Ok(())
    };
    terminal.shows_while(" 100 100\n", &mut ask)?;
    terminal.keys("q")?;
    terminal.shows("ended with 0")?;
    let master = server.pid();
    server.stop(master, libc::SIGTERM).map(|_| ())
}

/// The process ends, and the screen with it; a signal leaves the terminal as it was, too.
pub fn ends() -> Result {
    let server = serve(Kind::Lighttpd, &Preload::on()?)?;
    let pid = server.pid();
    let terminal = opened(pid)?;
    terminal.shows(&format!("lighttpd {pid}"))?;
    let shell = terminal.tmux(&["display-message", "-p", "#{pane_pid}"])?;
    let shell: u32 = shell.trim().parse()?;
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
    let child = children.split_whitespace().next().context("no child")?;
    // SAFETY: a child of the terminal's shell, which was just seen to run.
    unsafe { libc::kill(child.parse()?, libc::SIGTERM) };
    let screen = terminal.shows("ended with 0")?;
    ensure!(
        !screen.contains("laio top"),
        "the screen was left as it was:\n{screen}"
    );
    drop(terminal);
    let terminal = opened(pid)?;
    terminal.shows(&format!("lighttpd {pid}"))?;
    server.stop(pid, libc::SIGTERM)?;
    terminal.shows(&format!("lighttpd {pid} has ended"))?;
    terminal.shows("ended with 0")?;
    Ok(())
}

/// The terminal goes, and tells nobody: whoever reads it finds an end, again and again.
pub fn terminal_goes() -> Result {
    let server = serve(Kind::Lighttpd, &Preload::on()?)?;
    let pid = server.pid();
    let line = format!(
        "trap '' HUP; exec {} top {pid}",
        library::command()?.display()
    );
    let terminal = Terminal::run(&line)?;
    terminal.shows(&format!("lighttpd {pid}"))?;
    let screen: u32 = terminal
        .tmux(&["display-message", "-p", "#{pane_pid}"])?
        .trim()
        .parse()?;
    drop(terminal);
    let begin = Instant::now();
    while is_alive(screen) {
        ensure!(
            begin.elapsed() < Duration::from_secs(15),
            "it goes on without a terminal"
        );
        sleep(Duration::from_millis(50));
    }
    server.stop(pid, libc::SIGTERM).map(|_| ())
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, state)| !state.starts_with('Z'))
}

/// Where there is none, it says what to use instead.
pub fn no_terminal() -> Result {
    let answer = said(&mut laio(&["top"])?)?;
    ensure!(answer.status == 3, "{}", answer.text());
    keep("top without a terminal", &answer.text(), &[]);
    Ok(())
}
