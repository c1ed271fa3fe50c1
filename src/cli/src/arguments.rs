//! What the command understands.

use crate::{man, observe, settings};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Keep event-driven servers responsive while files are cold: run them, check them, watch them.
#[derive(Debug, Parser)]
#[command(name = "laio", version, subcommand_value_name = "COMMAND")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program with liblaio.so preloaded, beside whatever LD_PRELOAD names already.
    #[command(override_usage = "laio run [OPTION]... -- PROGRAM [ARGUMENT]...")]
    Run(Run),
    /// Have systemd start a service with the library from now on.
    Enable(Enable),
    /// Have systemd start services without the library again.
    Disable(Disable),
    /// Look whether the library can help a program, before it runs.
    Check {
        /// The program: a name on the path, or a file.
        program: OsString,
        /// Its configuration, where it is not in the usual place (nginx, lighttpd).
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Find out what blocks a program's event loops, and whether the library would help: nothing is held back.
    #[command(
        override_usage = "laio observe [OPTION]... -- PROGRAM [ARGUMENT]...\n       laio observe [OPTION]... --report TIME [NAME|PID]..."
    )]
    Observe(Observe),
    /// Look whether the library can do its work in processes that run.
    Doctor {
        /// Processes, by number or name; by default all that have the library.
        #[arg(value_name = "NAME|PID")]
        processes: Vec<String>,
    },
    /// Print what running processes have counted.
    Stats {
        /// Processes, by number or name; by default all that have the library.
        #[arg(value_name = "NAME|PID")]
        processes: Vec<String>,
        /// As JSON: one object for each process.
        #[arg(long)]
        json: bool,
        /// Again and again, every so many seconds: what happens in a second.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
            value_parser = clap::value_parser!(u64).range(1..=3600))]
        watch: Option<u64>,
        /// Into this directory, as JSON: a file `PROGRAM-PID.json` for each process, replaced as a whole; with --watch again and
        /// again, until all have ended.
        #[arg(long, value_name = "DIRECTORY")]
        into: Option<PathBuf>,
    },
    /// Watch running processes on a live screen.
    Top {
        /// Processes, by number or name; by default all that have the library.
        #[arg(value_name = "NAME|PID")]
        processes: Vec<String>,
        /// How often the screen changes, in seconds.
        #[arg(long, value_name = "SECONDS", default_value = "1",
            value_parser = clap::value_parser!(u64).range(1..=60))]
        every: u64,
    },
    /// Export the counters for monitoring, as OpenMetrics text.
    Export {
        /// Processes, by number or name; by default all that have the library.
        #[arg(value_name = "NAME|PID")]
        processes: Vec<String>,
        /// Into a file, which is replaced as a whole: for a textfile collector.
        #[arg(long, value_name = "FILE", conflicts_with = "listen")]
        file: Option<PathBuf>,
        /// Write the file again and again, every so many seconds.
        #[arg(long, value_name = "SECONDS", requires = "file",
            value_parser = clap::value_parser!(u64).range(1..=86400))]
        every: Option<u64>,
        /// To whoever asks at http://ADDRESS/metrics, such as 127.0.0.1:9464; a loopback address.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
    },
    /// Print what each counter means.
    Counters {
        /// As Markdown.
        #[arg(long)]
        markdown: bool,
        /// The JSON that they are written in, as a JSON Schema.
        #[arg(long, conflicts_with = "markdown")]
        schema: bool,
    },
    /// Print the settings, as a Markdown table.
    Config,
    /// Print the intercepted symbols, one a line.
    Symbols {
        /// As a Markdown table, with what happens there.
        #[arg(long)]
        markdown: bool,
    },
    /// Print completions for a shell.
    Completions {
        /// Which.
        shell: clap_complete::Shell,
    },
    /// Print a manual page, in roff.
    #[command(hide = true)]
    Man {
        /// Which.
        page: man::Page,
    },
}

/// What to run, and how.
#[derive(Debug, Args)]
pub struct Run {
    /// The library; by default the one beside this command, or in ../lib.
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
    /// Run the program even where the library cannot be loaded into it.
    #[arg(long)]
    pub force: bool,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true)]
    pub program: Vec<OsString>,
    /// The settings among the options.
    #[arg(skip)]
    pub settings: Vec<(&'static str, String)>,
}

/// Which service is started with the library, and how.
#[derive(Debug, Args)]
pub struct Enable {
    /// The service, such as nginx.
    pub service: String,
    /// The library; by default the one beside this command, or in ../lib.
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
    /// Write it even where the library cannot act in the service.
    #[arg(long)]
    pub force: bool,
    /// Restart the service.
    #[arg(long)]
    pub now: bool,
    /// Show what would be written, and write nothing.
    #[arg(long, conflicts_with = "now")]
    pub dry_run: bool,
    /// The services are those of an image in this directory.
    #[arg(long, value_name = "DIRECTORY")]
    pub root: Option<PathBuf>,
    /// The settings among the options.
    #[arg(skip)]
    pub settings: Vec<(&'static str, String)>,
}

/// Which services are started without the library.
#[derive(Debug, Args)]
pub struct Disable {
    /// The services.
    #[arg(required = true, value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Restart them.
    #[arg(long)]
    pub now: bool,
    /// The services are those of an image in this directory.
    #[arg(long, value_name = "DIRECTORY")]
    pub root: Option<PathBuf>,
}

/// What to observe, and how to show it.
#[derive(Debug, Args)]
pub struct Observe {
    /// Stop the program after so long, such as 30s or 10m, and print the report.
    #[arg(long = "for", value_name = "TIME", value_parser = observe::time)]
    pub time: Option<Duration>,
    /// Look at processes that run with the library, for so long.
    #[arg(long, value_name = "TIME", value_parser = observe::time, conflicts_with_all = ["time", "library"])]
    pub report: Option<Duration>,
    /// As JSON: one object for each program.
    #[arg(long, conflicts_with = "folded")]
    pub json: bool,
    /// As folded stacks, in microseconds, for tools that draw flame graphs.
    #[arg(long)]
    pub folded: bool,
    /// Write a page with pictures as well, which needs no other file.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The library; by default the one beside this command, or in ../lib.
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
    /// The program and its arguments; with --report the processes, by number or name.
    #[arg(
        value_name = "PROGRAM|PID",
        required_unless_present = "report",
        trailing_var_arg = true
    )]
    pub words: Vec<OsString>,
}

impl From<Observe> for observe::Observe {
    fn from(options: Observe) -> observe::Observe {
        let Observe {
            time,
            report,
            json,
            folded,
            html,
            library,
            words,
        } = options;
        observe::Observe {
            library,
            time,
            report,
            json,
            folded,
            html,
            words,
        }
    }
}

/// All commands with their options, those that the table of settings makes among them.
pub fn command() -> clap::Command {
    Arguments::command().mut_subcommands(|each| match each.get_name() {
        "run" | "enable" => each.args(settings::options()),
        _ => each,
    })
}

/// Reads a command line.
pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(words)?;
    let mut arguments =
        Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let chosen = match matches.subcommand() {
        Some(("run" | "enable", matches)) => settings::chosen(matches),
        _ => Vec::new(),
    };
    match &mut arguments.command {
        Command::Run(run) => run.settings = chosen,
        Command::Enable(enable) => enable.settings = chosen,
        _ => {}
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn settings_are_taken_in_front_of_the_program_only() {
        let words = "laio run --window 1M --mode observe -- server --window 2M";
        let arguments = parse(words.split(' ').map(OsString::from)).unwrap();
        let Command::Run(run) = arguments.command else {
            panic!("{arguments:?}");
        };
        let settings = [
            ("LAIO", "observe".to_owned()),
            ("LAIO_WINDOW", "1M".to_owned()),
        ];
        assert_eq!(run.settings, settings);
        assert_eq!(run.program, ["server", "--window", "2M"]);
        let bad = parse("laio run --window 1Q -- x".split(' ').map(OsString::from));
        let said = bad.unwrap_err().to_string();
        assert!(said.contains("it takes bytes from 4K to 1G"), "{said}");
    }
}
