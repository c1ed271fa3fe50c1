//! What one read costs in four ways: `scripts/bench/operations` measures it, and this reads what it prints.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};

use super::results::Operation;

/// The ways in which an operation is done, in the order of the tables.
pub const WAYS: [&str; 4] = ["plain", "laio", "aio", "uring"];

/// Runs the script for so many rounds, with its file in `directory`. Returns what it measured and what it had to say.
pub fn measure(
    scripts: &Path,
    library: &Path,
    rounds: u32,
    directory: &Path,
) -> Result<(Vec<Operation>, Vec<String>)> {
    let script = scripts.join("bench/operations");
    let output = Command::new("bash")
        .arg(&script)
        .args(["--lines", &rounds.to_string()])
        .arg(directory)
        .env("LAIO_LIBRARY", library)
        .stdin(Stdio::null())
        // Ctrl-C is for us: the script ends by itself soon.
        .process_group(0)
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{} failed: {}",
        script.display(),
        messages.trim()
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let operations = text
        .lines()
        .map(|line| parse(line).with_context(|| format!("{} printed: {line}", script.display())));
    let of_its_own = messages
        .lines()
        .filter(|line| line.starts_with("operations: "));
    let notes = of_its_own.map(str::to_owned).collect();
    Ok((operations.collect::<Result<_>>()?, notes))
}

/// A line of: operation, bytes, way, round, wall and CPU time.
fn parse(line: &str) -> Option<Operation> {
    let mut words = line.split_whitespace();
    let operation = Operation {
        operation: words.next()?.to_owned(),
        bytes: words.next()?.parse().ok()?,
        way: words.next()?.to_owned(),
        round: words.next()?.parse().ok()?,
        wall: words.next()?.parse().ok()?,
        cpu: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A figure taken for another would be a false claim.
    #[test]
    fn a_line_is_an_operation() {
        let operation = parse("cached   4096 laio     2        310.5        300.1").unwrap();
        assert_eq!(operation.operation, "cached");
        assert_eq!((operation.bytes, operation.round), (4096, 2));
        assert_eq!((operation.wall, operation.cpu), (310.5, 300.1));
        assert_eq!(parse("cached 4096 laio 2 310.5"), None);
        assert_eq!(parse("cached 4096 laio 2 310.5 300.1 more"), None);
    }
}
