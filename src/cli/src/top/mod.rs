//! A live screen: what each process and each of its event loops does.

mod model;
mod view;

use crate::process::select;
use anyhow::{ensure, Result};
use model::Model;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a key or a signal waits at most.
const PATIENCE: Duration = Duration::from_millis(200);

/// Shows the processes until they have ended, or somebody has seen enough.
pub fn top(wanted: &[String], every: Duration) -> Result<u8> {
    let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    ensure!(
        is_terminal,
        "laio top needs a terminal; without one: laio stats --watch"
    );
    let chosen = select(wanted)?;
    if chosen.attached.is_empty() {
        chosen.complain()?;
    }
    let mut model = Model::new(wanted, chosen, every);
    let ended = Arc::new(AtomicBool::new(false));
    // A terminal that has gone needs nothing put back: by SIGHUP it just ends.
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    let mut terminal = ratatui::try_init()?;
    let result = show(&mut terminal, &mut model, &ended);
    ratatui::restore();
    result?;
    if model.is_over() {
        crate::print(format!("{}\n", model.farewell()))?;
    }
    Ok(0)
}

fn show(terminal: &mut DefaultTerminal, model: &mut Model<'_>, ended: &AtomicBool) -> Result<()> {
    let mut next = Instant::now();
    while !ended.load(Relaxed) {
        let now = Instant::now();
        if now >= next {
            model.update();
            next = now + model.every;
        }
        if model.is_over() {
            break;
        }
        terminal.draw(|frame| view::draw(frame, model))?;
        let wait = next.saturating_duration_since(Instant::now());
        if is_key_waiting(wait, ended)? && !handle(event::read()?, model) {
            break;
        }
    }
    Ok(())
}

/// Waits for a key, and looks at signals meanwhile.
fn is_key_waiting(time: Duration, ended: &AtomicBool) -> Result<bool> {
    let until = Instant::now() + time;
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        wait(rest.min(PATIENCE))?;
        // Keys, and changes of the terminal's size.
        if event::poll(Duration::ZERO)? {
            return Ok(true);
        }
        if rest.is_zero() || ended.load(Relaxed) {
            return Ok(false);
        }
    }
}

/// Waits until something is typed, or for so long. Fails where the terminal is none any more: whoever reads it then is told of
/// its end again and again, and `event::poll` would never come back.
fn wait(time: Duration) -> Result<()> {
    let mut terminal = libc::pollfd {
        fd: libc::STDIN_FILENO,
        events: libc::POLLIN,
        revents: 0,
    };
    let milliseconds = libc::c_int::try_from(time.as_millis())?;
    // SAFETY: one entry, which this function owns.
    let count = unsafe { libc::poll(&raw mut terminal, 1, milliseconds) };
    let has_gone = terminal.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0;
    ensure!(count <= 0 || !has_gone, "the terminal has gone");
    Ok(())
}

/// Acts on a key; tells whether to go on.
fn handle(event: Event, model: &mut Model<'_>) -> bool {
    let Event::Key(key) = event else { return true };
    if key.kind == KeyEventKind::Release {
        return true;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('p' | ' ') => model.is_paused = !model.is_paused,
        KeyCode::Char('s' | '>') | KeyCode::Right => model.sort = model.sort.next(),
        KeyCode::Char('<') | KeyCode::Left => model.sort = model.sort.previous(),
        KeyCode::Char('r') => model.is_reversed = !model.is_reversed,
        KeyCode::Char('l') => model.shows_loops = !model.shows_loops,
        KeyCode::Char('+') => model.every = (model.every / 2).max(Duration::from_millis(250)),
        KeyCode::Char('-') => model.every = (model.every * 2).min(Duration::from_secs(60)),
        _ => {}
    }
    true
}
