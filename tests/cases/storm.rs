//! Programs and real servers in a storm of signals, whose handler makes every call that handlers may make, at any moment.
//!
//! A program in the storm without the library is compared with the same in the storm with it. `LAIO_STORM` is how many signals
//! each of them gets, with the library; without it, each is run twice. `LAIO_STORM_LOG` is a file to which signals and runs are added.

use anyhow::{bail, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::library::{check_loaded, fresh_dir};
use laio_tests::program::{compare, compile, in_memory, observe, Build};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::storm::{Storm, Way};
use laio_tests::tally::{ask_for, Documents};
use laio_tests::{run, Need, Preload, Result, Test};
use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;

/// These show the same in the storm as without it, and so can be compared.
const PROGRAMS: &[&str] = &[
    "accept_family",
    "bad_arguments",
    "beyond_table",
    "children",
    "descriptor_family",
    "directory_family",
    "epoll_family",
    "epoll_loops",
    "exec_self",
    "in_handlers",
    "many_descriptors",
    "name_family",
    "open_family",
    "poll_family",
    "read_family",
    "receive_family",
    "resolver_family",
    "select_family",
    "send_family",
    "seqpacket",
    "stat_family",
    "write_family",
];

/// The first ways are those of a run by `scripts/test`.
const WAYS: [Way; 4] = [
    Way {
        before: true,
        rough: false,
    },
    Way {
        before: false,
        rough: true,
    },
    Way {
        before: false,
        rough: false,
    },
    Way {
        before: true,
        rough: true,
    },
];

/// How many signals each program and server is to get.
fn wanted() -> u64 {
    let wanted = std::env::var("LAIO_STORM");
    wanted.map_or(0, |wanted| wanted.parse().unwrap_or(0))
}

/// Runs until the storm has brought enough signals, in each way in turn, and twice at least.
fn until_enough(storm: &Storm, name: &str, mut round: impl FnMut(Way) -> Result) -> Result {
    let mut rounds = 0;
    for way in WAYS.into_iter().cycle() {
        if rounds >= 2 && storm.signals()? >= wanted() {
            break;
        }
        round(way)?;
        rounds += 1;
    }
    let signals = storm.signals()?;
    if signals == 0 {
        bail!("no signal has come");
    }
    // What a test that passes prints is not shown.
    if let Some(log) = std::env::var_os("LAIO_STORM_LOG") {
        let mut log = OpenOptions::new().append(true).open(log)?;
        log.write_all(format!("{signals} {rounds} {name}\n").as_bytes())?;
    }
    Ok(())
}

fn program(name: &str, state: &str) -> Result {
    let program = compile(name, Build::Program)?;
    let alone = Storm::new()?;
    let stock = observe(&program, &[state], &alone.over(&Preload::stock(), WAYS[0]))?;
    if stock.ending != "exit status 0" {
        bail!(
            "the program itself fails in the storm: {}\n{}",
            stock.ending,
            String::from_utf8_lossy(&stock.stderr)
        );
    }
    alone.signals()?;
    let storm = Storm::new()?;
    let stats = fresh_dir("stats")?;
    until_enough(&storm, &format!("{name} {state}"), |way| {
        let preload = storm.over(&Preload::on()?, way);
        let preload = preload.with("LAIO_STATS", stats.join("laio-%p.json"));
        compare(&stock, &observe(&program, &[state], &preload)?, &preload)?;
        storm.signals().map(drop)
    })?;
    if state == "engaged" && !in_memory(&stats) && Stats::read(&stats)?.gated() == 0 {
        bail!("no request was held back: this tested nothing");
    }
    Ok(())
}

const CLIENTS: usize = 32;
const DOCUMENTS: Documents = Documents {
    directory: "",
    count: 300,
    length: 20_000,
};

fn server(kind: Kind) -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    DOCUMENTS.write(&root)?;
    let config = Config::default();
    let gated = Cell::new(0);
    let serve = |preload: &Preload| -> Result {
        // Ruby's `main` reaches for the end of its stack, where no handler has room.
        let is_ruby = matches!(kind, Kind::Thin | Kind::EventMachine(_));
        let preload = &if is_ruby {
            Storm::later(preload)
        } else {
            preload.clone()
        };
        disk.chill()?;
        let server = Server::start(kind, &config, &root, preload)?;
        let serving = server.settled(kind, &config)?;
        if preload.libraries.len() > 1 {
            serving.iter().try_for_each(|pid| check_loaded(*pid))?;
        }
        if is_ruby {
            Storm::begin(&serving);
        }
        let half = DOCUMENTS.count / 2;
        // Connections that stay, and connections that do not.
        let kept = ask_for(DOCUMENTS, 0..half, server.address, CLIENTS, 20);
        kept.all_right(half).context("kept connections")?;
        let fresh = ask_for(DOCUMENTS, half..2 * half, server.address, CLIENTS, 1);
        fresh.all_right(half).context("fresh connections")?;
        if preload.libraries.len() > 1 {
            gated.set(gated.get() + Stats::of(&serving)?.gated());
        }
        Ok(())
    };
    let alone = Storm::new()?;
    serve(&alone.over(&Preload::stock(), WAYS[0])).context("in the storm without the library")?;
    let storm = Storm::new()?;
    until_enough(&storm, &format!("{kind:?}"), |way| {
        let mut preload = storm.over(&Preload::on()?, way);
        if !way.before {
            // The handler's waits count as the loop's, and a slow program has too many between a request and its file to learn.
            preload = preload.with("LAIO_MAP", format!("/={}/", root.display()));
        }
        serve(&preload).with_context(|| preload.name.clone())?;
        storm.signals().map(drop)
    })?;
    if gated.get() == 0 {
        bail!("no request was held back: this tested nothing");
    }
    Ok(())
}

fn main() -> ExitCode {
    let limit = if wanted() > 0 { 3600 } else { 120 };
    let programs = PROGRAMS.iter().flat_map(|name| {
        ["idle", "engaged"].map(|state| {
            // Without these, a handler at a moment that nobody has thought of could wait for ever, or change what its program does.
            Test::new(format!("{name} {state}"), move || program(name, state)).limit(limit)
        })
    });
    let kinds = [
        Kind::Lighttpd,
        Kind::Nginx,
        Kind::H2o,
        Kind::Merecat,
        Kind::Webfs,
        Kind::Asyncio,
        Kind::Selectors("poll"),
        Kind::EventMachine("--epoll"),
        Kind::Thin,
        Kind::Asyncore("--poll"),
        Kind::Tornado,
    ];
    let servers = kinds.into_iter().map(|kind| {
        // Without these, a real server could lose an answer, or hang.
        Test::new(format!("{kind:?}"), move || server(kind))
            .needs(Need::SlowDisk)
            .needs(kind.need())
            .limit(limit)
    });
    run(programs.chain(servers).collect())
}
