//! The settings: one table from which parsing, the documentation and `laio config` are made.

mod unit;

pub use unit::Unit;

use core::fmt::Write as _;

/// What the library does with a call that would block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: every call is the application's own.
    Off,
    /// Measure and report stalls, hold nothing back.
    Observe,
    /// Hold back readiness until the files are in memory.
    On,
}

/// The settings of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `LAIO`
    pub mode: Mode,
    /// `LAIO_ONLY`: names or paths of programs to act in; empty for all.
    pub only: Vec<String>,
    /// `LAIO_LOG`: an `env_logger` filter.
    pub log: Option<String>,
    /// `LAIO_STATS`: where the counters are written at exit, as [`file_of`] says.
    pub stats: Option<String>,
    /// `LAIO_MAP`: pinned rules, target prefix and directory.
    pub map: Vec<(String, String)>,
    /// `LAIO_TLS`: whether clients that speak TLS are looked at.
    pub tls: bool,
    /// `LAIO_HTTP2`: whether clients that speak HTTP/2 are looked at.
    pub http2: bool,
    /// `LAIO_THREADS`: most helper threads of one event loop.
    pub threads: u64,
    /// `LAIO_WINDOW`: bytes of a file that are brought in before a request is let through.
    pub window: u64,
    /// `LAIO_INFLIGHT`: bytes that are read ahead for a connection at most.
    pub inflight: u64,
    /// `LAIO_INFLIGHT_ADDRESS`: the same for all connections of one address.
    pub inflight_address: u64,
    /// `LAIO_WARM_MS`: how long a path that was seen in memory is taken to be there.
    pub warm_ms: u64,
    /// `LAIO_ARMED_MS`: how long after the last cold file requests are still looked at.
    pub armed_ms: u64,
    /// `LAIO_LONGEST_HOLD_MS`: how long a request is held back at most.
    pub longest_hold_ms: u64,
    /// `LAIO_BREAK_EVEN_US`: a device that answers faster than this is not worth a gate.
    pub break_even_us: u64,
}

/// The type of a setting, with its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number in this range, both ends included, of this.
    Number(u64, u64, Unit),
    /// Any text.
    Text(&'static str),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// Its type and range.
    pub kind: Kind,
    /// The value when it is not set; empty for none.
    pub default: &'static str,
    /// One sentence for the documentation.
    pub meaning: &'static str,
    apply: fn(&mut Config, &str) -> bool,
}

/// Every setting, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "LAIO",
        kind: Kind::Choice(&["on", "off", "observe"]),
        default: "on",
        meaning: "`on` holds back readiness, `observe` only measures and reports what blocks, `off` leaves every call alone.",
        apply: |config, value| {
            config.mode = match value {
                "on" => Mode::On,
                "off" => Mode::Off,
                "observe" => Mode::Observe,
                _ => return false,
            };
            true
        },
    },
    Setting {
        name: "LAIO_ONLY",
        kind: Kind::Text("names or paths of programs, separated by commas"),
        default: "",
        meaning: "Act only in programs that have one of these file names, or paths: their executable, or what they were started as. Where it keeps the library out, that is said once on standard error; a comma at the end of the list tells the programs that are started from there that it was said.",
        apply: |config, value| {
            config.only = list(value).map(str::to_owned).collect();
            true
        },
    },
    Setting {
        name: "LAIO_LOG",
        kind: Kind::Text("an env_logger filter, such as `info` or `laio=debug`"),
        default: "",
        meaning: "What is reported on standard error: `info` when a process has its first event loop and, at most once a second, of a stall; `debug` of each; `off` of nothing, not even of settings and calls that are refused. `laio run` and `laio enable` set `info` where nothing is set.",
        apply: |config, value| {
            config.log = some(value);
            true
        },
    },
    Setting {
        name: "LAIO_STATS",
        kind: Kind::Text("a file name"),
        default: "",
        meaning: "Where the counters are written as JSON when the process exits, a file for each process: `%p` becomes the process id, and in a name without it `stats.json` becomes `stats-PID.json`. At any other time, and at an interval, `laio stats --into DIRECTORY` writes them.",
        apply: |config, value| {
            config.stats = some(value);
            true
        },
    },
    Setting {
        name: "LAIO_MAP",
        kind: Kind::Text("`/prefix/=/directory`, separated by commas"),
        default: "",
        meaning: "Pinned rules: targets under the prefix are files under the directory, known before the first request.",
        apply: |config, value| {
            let pairs = list(value).map(|pair| {
                let (prefix, directory) = pair.split_once('=')?;
                let whole = prefix.starts_with('/') && prefix.ends_with('/') && !directory.is_empty();
                whole.then(|| (prefix.to_owned(), directory.to_owned()))
            });
            match pairs.collect() {
                Some(map) => {
                    config.map = map;
                    true
                }
                None => false,
            }
        },
    },
    Setting {
        name: "LAIO_HTTP2",
        kind: Kind::Choice(&["on", "off"]),
        default: "on",
        meaning: "Whether requests that come by HTTP/2 are looked at, by TLS and in the clear.",
        apply: |config, value| {
            config.http2 = value == "on";
            config.http2 || value == "off"
        },
    },
    Setting {
        name: "LAIO_TLS",
        kind: Kind::Choice(&["on", "off"]),
        default: "on",
        meaning: "Whether requests that come by TLS are looked at: with the keys that the program's own OpenSSL tells ([security](../SECURITY.md)).",
        apply: |config, value| {
            config.tls = value == "on";
            config.tls || value == "off"
        },
    },
    Setting {
        name: "LAIO_THREADS",
        kind: Kind::Number(1, 1024, Unit::Things),
        default: "64",
        meaning: "Most helper threads of one event loop, and of `laio_syscall`; they start when they are first needed and leave when idle.",
        apply: |config, value| number(&mut config.threads, value, Unit::Things),
    },
    Setting {
        name: "LAIO_WINDOW",
        kind: Kind::Number(4096, 1 << 30, Unit::Bytes),
        default: "256K",
        meaning: "Bytes of a file that are brought into memory before its request is let through.",
        apply: |config, value| number(&mut config.window, value, Unit::Bytes),
    },
    Setting {
        name: "LAIO_INFLIGHT",
        kind: Kind::Number(4096, 1 << 30, Unit::Bytes),
        default: "8M",
        meaning: "Bytes that are read ahead for one connection at most, and of which no answer has used anything yet. What is beyond goes as without the library.",
        apply: |config, value| number(&mut config.inflight, value, Unit::Bytes),
    },
    Setting {
        name: "LAIO_INFLIGHT_ADDRESS",
        kind: Kind::Number(4096, crate::inflight::MOST, Unit::Bytes),
        default: "1G",
        meaning: "The same for all connections of one address (of IPv6, one network of 64 bits; all of Unix sockets) in one process. Half of what was read for clients that went away is forgotten every 8 s. Behind a proxy all clients have one address; without one, 64 times `LAIO_WINDOW` is plenty.",
        apply: |config, value| number(&mut config.inflight_address, value, Unit::Bytes),
    },
    Setting {
        name: "LAIO_WARM_MS",
        kind: Kind::Number(0, 3_600_000, Unit::Milliseconds),
        default: "2s",
        meaning: "How long a path that was seen in memory is taken to be there still, to begin with: up to sixteen times as long where each was there when it was asked for again.",
        apply: |config, value| number(&mut config.warm_ms, value, Unit::Milliseconds),
    },
    Setting {
        name: "LAIO_ARMED_MS",
        kind: Kind::Number(0, 86_400_000, Unit::Milliseconds),
        default: "60s",
        meaning: "How long after the last cold file requests are still looked at; then not until the next stall.",
        apply: |config, value| number(&mut config.armed_ms, value, Unit::Milliseconds),
    },
    Setting {
        name: "LAIO_LONGEST_HOLD_MS",
        kind: Kind::Number(1, 3_600_000, Unit::Milliseconds),
        default: "50s",
        meaning: "How long a request is held back at most: then the server waits for the disk itself. Should be less than the server's timers for a request, which are 60 s and more by default.",
        apply: |config, value| number(&mut config.longest_hold_ms, value, Unit::Milliseconds),
    },
    Setting {
        name: "LAIO_BREAK_EVEN_US",
        kind: Kind::Number(0, 1_000_000, Unit::Microseconds),
        default: "10us",
        meaning: "A device that answers a cold request within this time is waited for: a gate would cost more.",
        apply: |config, value| number(&mut config.break_even_us, value, Unit::Microseconds),
    },
];

/// A value that was not taken, for one line on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The variable.
    pub name: &'static str,
    /// What it was set to.
    pub value: String,
    /// What it accepts.
    pub accepts: String,
}

impl core::fmt::Display for Rejected {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (name, value, accepts) = (self.name, &self.value, &self.accepts);
        write!(
            f,
            "liblaio: {name}={value:?} is not {accepts}; the default is used"
        )
    }
}

impl Setting {
    /// Takes a value; tells whether it is one of those that are accepted.
    fn take(&self, config: &mut Config, value: &str) -> bool {
        let in_range = match self.kind {
            Kind::Number(least, most, unit) => {
                let number = unit.parse(value);
                number.is_some_and(|number| (least..=most).contains(&number))
            }
            _ => true,
        };
        in_range && (self.apply)(config, value)
    }

    /// Whether a value is accepted.
    pub fn accepts(&self, value: &str) -> bool {
        self.take(&mut Config::default(), value)
    }

    /// Its name as an option of a command: `window` for `LAIO_WINDOW`, `warm` for `LAIO_WARM_MS`.
    pub fn option(&self) -> String {
        let name = self.name.strip_prefix("LAIO_").unwrap_or("mode");
        let name = name.strip_suffix("_MS").unwrap_or(name);
        let name = name.strip_suffix("_US").unwrap_or(name);
        name.to_lowercase().replace('_', "-")
    }
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Config {
            mode: Mode::On,
            only: Vec::new(),
            log: None,
            stats: None,
            map: Vec::new(),
            tls: true,
            http2: true,
            threads: 0,
            window: 0,
            inflight: 0,
            inflight_address: 0,
            warm_ms: 0,
            armed_ms: 0,
            longest_hold_ms: 0,
            break_even_us: 0,
        };
        for setting in SETTINGS {
            (setting.apply)(&mut config, setting.default);
        }
        config
    }
}

impl Config {
    /// Reads the settings through `lookup` (a variable's name to its value). A bad value leaves the
    /// default in place and is reported; an empty one counts as not set.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> (Config, Vec<Rejected>) {
        let mut config = Config::default();
        let mut rejected = Vec::new();
        for setting in SETTINGS {
            let Some(value) = lookup(setting.name).filter(|value| !value.is_empty()) else {
                continue;
            };
            if !setting.take(&mut config, &value) {
                let accepts = setting.kind.describe();
                rejected.push(Rejected {
                    name: setting.name,
                    value,
                    accepts,
                });
            }
        }
        (config, rejected)
    }

    /// Settings that are called otherwise now, and are not taken by their old names: a line on standard error for each.
    pub fn renamed(lookup: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
        let found = RENAMED.iter().filter(move |(old, _)| lookup(old));
        found.map(|(old, new)| format!("liblaio: {old} is no setting: it is called {new}"))
    }
}

/// Old names of settings, and what they are called now.
const RENAMED: [(&str, &str); 1] = [("LAIO_QUIET_MS", "LAIO_ARMED_MS")];

impl Kind {
    /// What values there are, in words.
    pub fn describe(&self) -> String {
        match self {
            Kind::Choice(words) => words.join(" | "),
            Kind::Number(least, most, unit) => unit.describe(*least, *most),
            Kind::Text(what) => (*what).to_owned(),
        }
    }
}

/// The file into which a process writes its counters: `%p` becomes its number, which otherwise stands before the name's ending.
pub fn file_of(pattern: &str, pid: u32) -> String {
    if pattern.contains("%p") {
        return pattern.replace("%p", &pid.to_string());
    }
    let name = pattern.rfind('/').map_or(0, |slash| slash + 1);
    let (directory, name) = pattern.split_at(name);
    match name.rsplit_once('.') {
        _ if name.is_empty() => format!("{directory}{pid}.json"),
        Some((stem, ending)) if !stem.is_empty() => format!("{directory}{stem}-{pid}.{ending}"),
        _ => format!("{directory}{name}-{pid}"),
    }
}

/// The documentation of all settings, as a Markdown table.
pub fn markdown() -> String {
    let mut page = String::from("| variable | values | default | meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let (name, meaning) = (setting.name, setting.meaning);
        let default = match setting.default {
            "" => "–".to_owned(),
            default => format!("`{default}`"),
        };
        let values = setting.kind.describe().replace('|', "\\|");
        let _ = writeln!(page, "| `{name}` | {values} | {default} | {meaning} |");
    }
    page
}

fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn some(value: &str) -> Option<String> {
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

fn number(into: &mut u64, value: &str, unit: Unit) -> bool {
    let number = unit.parse(value);
    *into = number.unwrap_or(*into);
    number.is_some()
}

#[cfg(test)]
mod tests;
