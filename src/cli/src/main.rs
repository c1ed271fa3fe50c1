//! `laio`: run a server under liblaio, read a process's counters, print the tables.

mod image;
mod man;
mod memory;
mod run;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

/// Run a server under liblaio, read its counters, print its tables.
#[derive(Parser)]
#[command(name = "laio", version, subcommand_value_name = "COMMAND")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a program with liblaio.so preloaded, beside whatever LD_PRELOAD names already.
    #[command(override_usage = "laio run [--library FILE] -- PROGRAM [ARGUMENT]...")]
    Run {
        /// The library; by default the one beside this command, or in ../lib.
        #[arg(long, value_name = "FILE")]
        library: Option<PathBuf>,
        /// The program and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
    /// Print the counters of a running process as JSON. Needs the right to trace it.
    Stats {
        /// The process.
        pid: u32,
    },
    /// Print the settings, as a Markdown table.
    Config,
    /// Print the intercepted symbols, one a line.
    Symbols {
        /// As a Markdown table, with what happens there.
        #[arg(long)]
        markdown: bool,
    },
    /// Print a manual page, in roff.
    #[command(hide = true)]
    Man {
        /// Which.
        page: man::Page,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Run { library, program } => run::run(library, &program)?,
        Command::Stats { pid } => {
            let counters = serde_json::to_string_pretty(&memory::snapshot(pid)?)?;
            print(format!("{counters}\n"))?;
        }
        Command::Config => print(laio_core::config::markdown())?,
        Command::Symbols { markdown: true } => print(laio_core::symbols::markdown())?,
        Command::Symbols { markdown: false } => {
            let names = laio_core::symbols::names().map(|name| format!("{name}\n"));
            print(names.collect::<String>())?;
        }
        Command::Man { page } => print(man::page(page, Arguments::command())?)?,
    }
    Ok(())
}

/// Writes to the standard output. Who reads it may have seen enough.
fn print(text: impl AsRef<[u8]>) -> Result<()> {
    match std::io::stdout().write_all(text.as_ref()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
