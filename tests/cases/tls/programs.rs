//! Programs that speak TLS by OpenSSL, run with and without the library.

use anyhow::{bail, ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::library::fresh_dir;
use laio_tests::program::{compare, compile, observe, same_with_and_without, Build};
use laio_tests::stats::Stats;
use laio_tests::{docroot, Preload, Result};

/// What happens in `openssl_moments.c`, and whether a request is held back in it.
pub const MOMENTS: [(&str, bool); 26] = [
    ("whole", true),
    ("byte_by_byte", true),
    ("read_ahead", true),
    ("several", true),
    ("reset_by_client", true),
    ("reset_behind", false),
    ("bad_record", false),
    ("bad_behind", false),
    ("half_a_record", true),
    ("closed", true),
    ("shut_down", true),
    ("reused", true),
    ("reused_in_the_clear", true),
    ("served_by_child", true),
    ("forked", true),
    ("memory", true),
    ("context_freed", true),
    ("by_name", true),
    ("new_keys", true),
    ("again", true),
    ("padded", true),
    ("peeked", true),
    ("half_closed", true),
    ("outgoing", true),
    ("handed_over", true),
    ("threads", true),
];

/// More documents than a run asks for.
const ASKED: usize = 30;

/// How the server waits.
const WAYS: [&str; 4] = ["epoll", "epoll-edge", "poll", "select"];

/// One moment, in both versions and in each way to wait.
pub fn moment(name: &str, is_held: bool) -> Result {
    let program = compile("openssl_moments", Build::Openssl)?;
    let disk = SlowDisk::up()?;
    let documents = disk.root().join("documents");
    for number in 0..8 * ASKED {
        docroot::write(&documents, &format!("moment-{number}.html"), 6000)?;
    }
    let path = documents.to_string_lossy().into_owned();
    let by_epoll = ["outgoing", "served_by_child", "handed_over", "threads"].contains(&name);
    disk.chill()?;
    let mut first = 0;
    for version in ["1.2", "1.3"] {
        for way in WAYS {
            if by_epoll && !way.starts_with("epoll") {
                continue;
            }
            let number = first.to_string();
            first += ASKED;
            let arguments = [&*path, name, version, way, &number];
            let run = |preload: &Preload| -> Result<_> {
                let observed = observe(&program, &arguments, preload)?;
                let gated = laio_tests::test::scratch().join("work/gated");
                let gated = std::fs::read_to_string(gated).unwrap_or_default();
                Ok((observed, gated.trim() == "1"))
            };
            let stats = fresh_dir("stats")?;
            let preload = Preload::on()?
                .with("LAIO_MAP", format!("/={path}/"))
                .with("LAIO_STATS", stats.join("laio-%p.json"));
            let (observed, gated) = run(&preload)?;
            // In memory it does what it does on the disk.
            let (stock, _) = run(&Preload::stock())?;
            ensure!(
                stock.ending == "exit status 0",
                "the program itself: {}\n{}{}",
                stock.ending,
                String::from_utf8_lossy(&stock.stdout),
                String::from_utf8_lossy(&stock.stderr)
            );
            let stats = Stats::read(&stats).map_or_else(|e| e.to_string(), |it| it.to_string());
            let context = || format!("{version}, {way}, gated: {gated}\n{stats}");
            compare(&stock, &observed, &preload).with_context(context)?;
            if is_held && !gated {
                bail!(
                    "no request was held back, so that this was not tested: {}",
                    context()
                );
            }
        }
    }
    Ok(())
}

/// Contexts, and key log callbacks of the program's own.
pub fn contexts(state: &str) -> Result {
    same_with_and_without(&compile("openssl_contexts", Build::Openssl)?, &[state])
}

/// Where in a process' memory a client's secret and key are: in guarded memory while its connection lives, and nowhere else, in no
/// child, and not afterwards. Stacks are left alone: an unoptimised library leaves copies there.
pub fn secrets(suite: &str) -> Result {
    let program = compile("openssl_secrets", Build::Openssl)?;
    let disk = SlowDisk::up()?;
    let documents = disk.root().join("documents");
    for number in 0..8 {
        docroot::write(&documents, &format!("moment-{number}.html"), 6000)?;
    }
    disk.chill()?;
    let path = documents.to_string_lossy().into_owned();
    let preload = Preload::on()?.with("LAIO_MAP", format!("/={path}/"));
    let observed = observe(&program, &[&path, suite], &preload)?;
    let said = String::from_utf8_lossy(&observed.stdout).into_owned();
    print!("{said}");
    ensure!(
        observed.ending == "exit status 0" && said.lines().count() == 6,
        "{}\n{}",
        observed.ending,
        String::from_utf8_lossy(&observed.stderr)
    );
    for line in said.lines() {
        let is_guarded = !line.contains("guarded 0,");
        ensure!(
            is_guarded == line.starts_with("alive") && line.contains("unnamed 0, own 0,"),
            "{line}"
        );
    }
    Ok(())
}
