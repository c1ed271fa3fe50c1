//! The trial: drives real servers over cold files, stock and with liblaio preloaded, and prints one table.
//!
//! `scripts/trial` installs what it needs, builds it and starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    laio_trial::trial()
}
