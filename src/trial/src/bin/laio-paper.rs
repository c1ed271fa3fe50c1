//! The paper's evaluation, repeated on this machine: tables, pictures, and its claims beside what came out.
//!
//! `scripts/paper` installs what it needs, builds it and starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    laio_trial::paper()
}
