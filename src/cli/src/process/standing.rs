//! How a process stands, in words.

use laio_core::stats::Snapshot;

/// How a process, or one of its loops, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It looks at requests.
    Armed,
    /// Nothing was cold lately.
    Disarmed,
    /// It measures only.
    Observing,
    /// No loop has served a client yet.
    Waiting,
    /// It does nothing, for this reason.
    Inactive(&'static str),
}

impl Standing {
    /// That of a process.
    pub fn of(snapshot: &Snapshot) -> Standing {
        let armed = snapshot.published.loops.iter().any(|each| each.armed);
        Standing::with(snapshot, armed)
    }

    /// The same of one of its loops.
    pub fn with(snapshot: &Snapshot, armed: bool) -> Standing {
        match &*snapshot.published.state {
            "on" if snapshot.published.loops.is_empty() => Standing::Waiting,
            "on" if armed => Standing::Armed,
            "on" => Standing::Disarmed,
            "observe" => Standing::Observing,
            "off" => Standing::Inactive("LAIO=off"),
            "not_meant" => Standing::Inactive("LAIO_ONLY names others"),
            "secure" => Standing::Inactive("secure execution"),
            "asleep" => Standing::Inactive("seccomp filter of its own"),
            "gave_up" => Standing::Inactive("gave up: see the log"),
            _ => Standing::Inactive("has not started"),
        }
    }

    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Armed => "armed",
            Standing::Disarmed => "disarmed",
            Standing::Observing => "observing",
            Standing::Waiting => "waiting",
            Standing::Inactive(_) => "inactive",
        }
    }

    /// What it means.
    pub fn meaning(self) -> String {
        match self {
            Standing::Armed => "armed: looks at each request, for something was cold lately".into(),
            Standing::Disarmed => "disarmed: nothing was cold lately".into(),
            Standing::Observing => "observing: measures, and holds nothing back".into(),
            Standing::Waiting => "waiting: no event loop has had a client yet".into(),
            Standing::Inactive(why) => format!("inactive: {why}"),
        }
    }
}
