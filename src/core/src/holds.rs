//! Requests that are held back for long: when a part of one is handed out, and when it is let through.
//!
//! A server whose request is held back has not read it, and takes the connection for idle. So a request that is held
//! for a second is handed out in parts, a byte each, as if it came slowly: the server has begun a request then, and
//! each part is activity. The last byte is not handed out before the files are there.
//!
//! Some timers go on all the same: until a request has begun, or until it is whole. A loop that waits for a while only
//! has set one. When such a wait ends by its time, whoever has been silent for a second may be the one whose time
//! is over: a kept connection gets its first byte, any other its whole request, before the loop looks at its timers. It then
//! waits for the disk as it would alone. A loop that waits for the same time again and again, and was woken by it twice,
//! has a clock, not a timer.
//!
//! A timer may also end while a handler runs, for long if that waits for the disk. The loop waits for no time then, or for what was left by
//! a clock that it had read before (nginx reads it once an iteration), and looks at its timers as soon as it is told of
//! anything. So the end of a wait is also compared with the time at which the loop had last come back, and what it asked for.
//!
//! All times are milliseconds of one clock.

/// How long a request is held before its first part is handed out. No server's timer for an idle connection is
/// shorter.
const PATIENCE: u64 = 1000;

/// How often a further part is: lighttpd's 5 s are the shortest default of those that count from the last byte.
const PACE: u64 = 2000;

/// Nor is a timer for an idle connection shorter than this: one that was heard of since is not over.
const IDLE: u64 = 900;

/// Nor is one for a request, from `accept` or its first byte on.
const UNFINISHED: u64 = 1900;

/// What is to be done with a request that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet.
    Hold,
    /// A part is handed out.
    Part,
    /// All of it is: the server waits for the disk.
    Through,
}

/// What a part is to a server that is given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// A request has begun.
    OfRequest,
    /// Activity, which keeps only those timers from being over that count from the last byte: it is of a TLS record, or a frame of HTTP/2.
    OfFrame,
    /// A broken whole: what a proxy says in front of a request is taken for all that it says.
    None,
}

/// One request that is held back.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    /// The connection.
    pub fd: i32,
    /// Its gate's ticket.
    pub ticket: u32,
    /// Since when.
    since: u64,
    /// When something is to be done next.
    due: u64,
    /// When the server had last heard of the connection.
    heard: u64,
    /// It has read a request from it before.
    kept: bool,
    /// Bytes that can be handed out, the last one excepted.
    left: u64,
    /// What they are.
    parts: Parts,
    /// When the first was.
    begun: Option<u64>,
}

impl Hold {
    /// A request of `length` bytes is held back from `now` on. The server has last `heard` of the connection at that time,
    /// and has read something from it before if it is `kept`.
    pub fn begin(fd: i32, ticket: u32, length: usize, now: u64, heard: u64, kept: bool) -> Hold {
        Hold {
            fd,
            ticket,
            since: now,
            due: now + PATIENCE,
            heard,
            kept,
            left: (length as u64).saturating_sub(1),
            parts: Parts::OfRequest,
            begun: None,
        }
    }

    /// The same, where a part is no beginning of a request.
    pub fn in_parts(self, parts: Parts) -> Hold {
        Hold { parts, ..self }
    }

    fn hand_out(&mut self, now: u64) -> Step {
        if self.left == 0 {
            return Step::Through;
        }
        self.left -= 1;
        self.begun.get_or_insert(now);
        self.due = now + PACE;
        Step::Part
    }

    /// What is due `now`; the server `has_timers`, and a request is held for `longest` at most.
    pub fn step(&mut self, now: u64, has_timers: bool, longest: u64) -> Step {
        if now >= self.since.saturating_add(longest) {
            return Step::Through;
        }
        if now < self.due {
            return Step::Hold;
        }
        if !has_timers || self.parts == Parts::None {
            self.due = now + PACE;
            return Step::Hold;
        }
        self.hand_out(now)
    }

    /// A timer of the server's is over `now`.
    pub fn timer_is_over(&mut self, now: u64) -> Step {
        let begins = self.parts == Parts::OfRequest;
        let begun = self.begun.filter(|_| begins);
        let (from, least) = match (self.kept, begun) {
            (true, None) => (self.heard, IDLE),
            (true, Some(begun)) => (begun, UNFINISHED),
            (false, _) => (self.heard, UNFINISHED),
        };
        if now.saturating_sub(from) < least {
            Step::Hold
        } else if self.kept && self.begun.is_none() && begins {
            self.hand_out(now)
        } else {
            Step::Through
        }
    }

    /// When something is to be done with it, unless that is told otherwise before.
    pub fn due(&self, longest: u64) -> u64 {
        self.due.min(self.since.saturating_add(longest))
    }
}

/// The clock of a server is another, and as coarse: its timer is taken to be over so much before its time.
const EARLY: u64 = 2;

/// What the times for which a loop waits tell of its timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timers {
    /// When its next timer is over, if that is known and was not told yet, and how long it waits for that.
    next: Option<(u64, u64)>,
    /// It has waited for a limited time.
    limited: bool,
    /// How long the last wait was that has ended by its time, if the loop has asked for no other since.
    expired: u64,
    /// The time of a clock: the loop waits for no other, and two waits have ended by it.
    clock: u64,
}

impl Timers {
    /// The loop waits, for so long at most, and has come back from a wait before `since` then.
    pub fn waits(&mut self, time: Option<u64>, since: u64) {
        if time == Some(0) {
            return;
        }
        self.next = time.map(|time| (since.saturating_add(time), time));
        self.limited = time.is_some();
        if time != Some(self.clock) {
            self.clock = 0;
        }
        if time != Some(self.expired) {
            self.expired = 0;
        }
    }

    /// Whether it has any.
    pub fn are_there(&self) -> bool {
        self.limited
    }

    /// A wait has ended `now`, by its `time` if it was that: whether a timer may be over, and not just a clock has ticked.
    pub fn ended(&mut self, time: Option<u64>, now: u64) -> bool {
        let by_time = self.ended_by(time);
        // What has ended by the same time before may be a clock.
        let may_be_clock = |time| time == self.clock || time == self.expired;
        let is_late = |(end, time)| now.saturating_add(EARLY) >= end && !may_be_clock(time);
        let over = by_time || self.next.is_some_and(is_late);
        if over {
            self.next = None;
        }
        over
    }

    fn ended_by(&mut self, time: Option<u64>) -> bool {
        let Some(time) = time.filter(|time| *time > 0) else {
            return false;
        };
        if time == self.expired {
            self.clock = time;
        }
        self.expired = time;
        time != self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: u64 = 50_000;

    #[test]
    fn a_long_hold_is_handed_out_byte_by_byte_and_never_whole() {
        let mut hold = Hold::begin(3, 1, 18, 0, 0, true);
        let mut parts = Vec::new();
        let mut through = None;
        for now in 0..60_000 {
            match hold.step(now, true, u64::MAX) {
                Step::Hold => {}
                Step::Part => parts.push(now),
                Step::Through => {
                    through = Some(now);
                    break;
                }
            }
        }
        assert_eq!(parts.first(), Some(&1000));
        assert_eq!(parts.len(), 17, "all but the last byte");
        assert!(parts.windows(2).all(|pair| pair[1] - pair[0] == PACE));
        assert_eq!(through, Some(35_000));
    }

    #[test]
    fn the_longest_hold_is_a_bound() {
        let mut hold = Hold::begin(3, 1, 1000, 0, 0, true);
        let end = (0..100_000).find(|&now| hold.step(now, true, LONGEST) == Step::Through);
        assert_eq!(end, Some(LONGEST));
        let mut hold = Hold::begin(3, 1, 1000, 0, 0, true);
        assert!(hold.due(500) == 500 && hold.step(500, false, 500) == Step::Through);
    }

    /// Without it, nginx would be given one byte of what its proxy says, and close the connection.
    #[test]
    fn what_must_not_come_in_parts_is_held_as_a_whole() {
        let mut hold = Hold::begin(3, 1, 100, 0, 0, false).in_parts(Parts::None);
        assert!((0..LONGEST).all(|now| hold.step(now, true, LONGEST) == Step::Hold));
        assert_eq!(hold.timer_is_over(UNFINISHED), Step::Through);
        assert_eq!(hold.step(LONGEST, true, LONGEST), Step::Through);
    }

    /// A server that has no timers may be one that takes the first bytes for the whole request.
    #[test]
    fn a_server_without_timers_gets_no_parts() {
        let mut hold = Hold::begin(3, 1, 1000, 0, 0, true);
        assert!((0..LONGEST).all(|now| hold.step(now, false, LONGEST) == Step::Hold));
    }

    #[test]
    fn whose_timer_may_be_over_is_not_held() {
        // Fresh: its time goes on until the request is whole.
        let mut hold = Hold::begin(3, 1, 100, 1900, 0, false);
        assert_eq!(hold.timer_is_over(1000), Step::Hold);
        assert_eq!(hold.timer_is_over(2000), Step::Through);
        // Kept: its time is over unless a request begins, and begins anew with that.
        let mut hold = Hold::begin(3, 1, 100, 1900, 0, true);
        assert_eq!(hold.timer_is_over(2000), Step::Part);
        assert_eq!(hold.timer_is_over(2010), Step::Hold);
        assert_eq!(hold.timer_is_over(4000), Step::Through);
    }

    #[test]
    fn a_clock_is_no_timer() {
        let mut timers = Timers::default();
        timers.waits(None, 0);
        assert!(!timers.are_there());
        timers.waits(Some(1000), 0);
        timers.waits(Some(0), 0);
        assert!(timers.are_there());
        let mut tick = |second: u64| {
            timers.waits(Some(1000), second * 1000);
            timers.ended(Some(1000), second * 1000 + 1000)
        };
        let over: Vec<bool> = (0..4).map(&mut tick).collect();
        assert_eq!(over, [true, false, false, false]);
        // It ticks on after the loop had something to do, or was busy for long.
        assert!(!timers.ended(None, 4000));
        timers.waits(Some(1000), 4000);
        assert!(!timers.ended(Some(1000), 5000));
        timers.waits(Some(1000), 5000);
        assert!(!timers.ended(None, 8000));
        let mut young = Timers::default();
        young.waits(Some(1000), 0);
        assert!(young.ended(Some(1000), 1000));
        young.waits(Some(1000), 1000);
        assert!(!young.ended(None, 3000), "it has ticked once");
        // Timers are waited for as long as it is until the next one.
        timers.waits(Some(1700), 8000);
        timers.waits(Some(1000), 8700);
        assert!(!timers.ended(None, 9000) && timers.ended(Some(1000), 9700));
        assert!(!timers.ended(Some(0), 9700));
    }

    /// Without it, nginx that had waited for the disk ended whatever was held back, as soon as it was told of something else.
    #[test]
    fn a_timer_may_end_while_a_handler_runs() {
        let mut timers = Timers::default();
        // Of the two seconds until then one is over, by the loop's clock.
        timers.waits(Some(1000), 1000);
        assert!(!timers.ended(None, 1010));
        // A handler takes three; the loop has not looked at its clock since.
        timers.waits(Some(990), 1010);
        assert!(timers.ended(None, 4010), "told of another connection");
        assert!(!timers.ended(None, 4011), "once");
        // It looks at its clock: there is nothing to wait for.
        timers.waits(Some(500), 4011);
        assert!(!timers.ended(None, 4012));
        timers.waits(Some(0), 4012);
        assert!(timers.ended(Some(0), 4700));
        // Runtimes wait for no time between two steps of a handler.
        timers.waits(Some(0), 4700);
        assert!(!timers.ended(Some(0), 4800));
        timers.waits(Some(5000), 4800);
        timers.waits(Some(0), 4801);
        assert!(!timers.ended(Some(0), 4802));
    }
}
