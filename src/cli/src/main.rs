//! `laio`: run a server under liblaio, look whether it can help, watch what it does.

mod arguments;
mod check;
mod doctor;
mod export;
mod files;
mod format;
mod man;
mod observe;
mod process;
mod report;
mod run;
mod service;
mod settings;
mod stats;
mod target;
mod top;

use anyhow::Result;
use arguments::Command;
use export::Destination;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// The exit status where the command cannot do what it was asked, or was not understood.
const FAILED: u8 = 3;

fn main() -> ExitCode {
    let is_run = std::env::args_os().nth(1).is_some_and(|word| word == "run");
    let failed = if is_run { run::FAILED } else { FAILED };
    let arguments = match arguments::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failed } else { 0 });
        }
    };
    ExitCode::from(act(arguments.command).unwrap_or_else(|error| {
        eprintln!("laio: {error:#}");
        failed
    }))
}

/// Does what was asked; returns the exit status.
fn act(command: Command) -> Result<u8> {
    match command {
        Command::Run(arguments::Run {
            library,
            force,
            program,
            settings,
        }) => {
            let program = &program;
            return run::run(run::Run {
                library,
                force,
                settings,
                program,
            });
        }
        Command::Enable(chosen) => {
            return service::enable(service::Enable {
                service: &chosen.service,
                root: chosen.root.as_deref(),
                library: chosen.library,
                settings: chosen.settings,
                force: chosen.force,
                now: chosen.now,
                dry_run: chosen.dry_run,
            });
        }
        Command::Disable(arguments::Disable {
            services,
            now,
            root,
        }) => return service::disable(&services, root.as_deref(), now),
        Command::Check { program, config } => {
            let report = check::check(&program, config.as_deref());
            print(report.text(report::Style::of_output()))?;
            return Ok(report.status());
        }
        Command::Doctor { processes } => return doctor::doctor(&processes),
        Command::Observe(options) => return observe::observe(&options.into()),
        Command::Stats {
            processes,
            json,
            watch,
            into,
        } => {
            let every = watch.map(Duration::from_secs);
            return match into {
                Some(directory) => stats::dump(&processes, &directory, every),
                None => stats::stats(&processes, json, every),
            };
        }
        Command::Top { processes, every } => {
            return top::top(&processes, Duration::from_secs(every));
        }
        Command::Export {
            processes,
            file,
            every,
            listen,
        } => {
            let destination = match (file, listen) {
                (Some(file), _) => Destination::File(file, every.map(Duration::from_secs)),
                (None, Some(address)) => Destination::Port(address),
                (None, None) => Destination::Output,
            };
            return export::export(&processes, destination);
        }
        Command::Counters { schema: true, .. } => print(stats::schema::document())?,
        Command::Counters { markdown: true, .. } => print(stats::counters::markdown())?,
        Command::Counters { .. } => {
            print(stats::counters::text(report::Style::of_output().width))?;
        }
        Command::Config => print(laio_core::config::markdown())?,
        Command::Symbols { markdown: true } => print(laio_core::symbols::markdown())?,
        Command::Symbols { markdown: false } => {
            let names = laio_core::symbols::names().map(|name| format!("{name}\n"));
            print(names.collect::<String>())?;
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut arguments::command(), "laio", &mut script);
            print(script)?;
        }
        Command::Man { page } => print(man::page(page, arguments::command())?)?,
    }
    Ok(0)
}

/// Writes to the standard output. Who reads it may have seen enough.
fn print(text: impl AsRef<[u8]>) -> Result<()> {
    print_on(text).map(|_| ())
}

/// The same; tells whether anybody reads on.
fn print_on(text: impl AsRef<[u8]>) -> Result<bool> {
    let mut output = std::io::stdout();
    match output
        .write_all(text.as_ref())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        result => Ok(result.map(|()| true)?),
    }
}
