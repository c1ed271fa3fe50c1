//! When the next request is sent, and for which file: closed loop or open loop.

use std::time::{Duration, Instant};

use super::request::Request;
use crate::files::FileSet;

/// What a connection without a request does next.
pub enum At {
    /// Sends this now. Its latency counts from `due`, which may be past: a late request waited for the one before it.
    Now {
        /// What is asked.
        request: Request,
        /// When it should have been sent.
        due: Instant,
    },
    /// Waits.
    Later(Instant),
    /// Nothing more.
    Never,
}

/// Says what each connection asks next.
pub trait Source {
    /// All connections are there: the clock starts.
    fn begin(&mut self, now: Instant);

    /// The next thing to do for a connection that has no request outstanding.
    fn next(&mut self, connection: usize, now: Instant) -> At;
}

/// Closed loop: every connection sends its next request as soon as the one before is answered, until the requests or the
/// time have run out.
pub struct Closed<I> {
    requests: I,
    limit: Option<Duration>,
    until: Option<Instant>,
}

impl<I: Iterator<Item = Request>> Closed<I> {
    /// All `requests`, or as many as there is time for.
    pub fn new(requests: I, limit: Option<Duration>) -> Self {
        Self {
            requests,
            limit,
            until: None,
        }
    }
}

impl<I: Iterator<Item = Request>> Source for Closed<I> {
    fn begin(&mut self, now: Instant) {
        self.until = self.limit.map(|limit| now + limit);
    }

    fn next(&mut self, _: usize, now: Instant) -> At {
        if self.until.is_some_and(|until| now >= until) {
            return At::Never;
        }
        self.requests
            .next()
            .map_or(At::Never, |request| At::Now { request, due: now })
    }
}

/// Open loop: every connection has a timetable that no answer changes. A request that could not be sent in time, because
/// the one before was not yet answered, is sent late and its waiting counts: a user does not wait less because others do.
pub struct Open<'a> {
    set: &'a FileSet,
    start: Instant,
    interval: Duration,
    per_connection: u32,
    connections: u32,
    sent: Vec<u32>,
}

impl<'a> Open<'a> {
    /// On each connection `per_second` requests for `time`, the connections' timetables evenly staggered.
    pub fn new(set: &'a FileSet, connections: usize, per_second: u32, time: Duration) -> Self {
        Self {
            set,
            start: Instant::now(),
            interval: Duration::from_secs(1) / per_second,
            per_connection: (time.as_secs_f64() * f64::from(per_second)) as u32,
            connections: connections as u32,
            sent: vec![0; connections],
        }
    }
}

impl Source for Open<'_> {
    fn begin(&mut self, now: Instant) {
        self.start = now;
    }

    fn next(&mut self, connection: usize, now: Instant) -> At {
        let count = self.sent[connection];
        if count == self.per_connection {
            return At::Never;
        }
        let stagger = self.interval * connection as u32 / self.connections;
        let due = self.start + self.interval * count + stagger;
        if due > now {
            return At::Later(due);
        }
        self.sent[connection] += 1;
        let request = Request::whole(self.set.file(count * self.connections + connection as u32));
        At::Now { request, due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Sizes;

    /// Coordinated omission: without this, a server that stops for a second would look a second better than it is.
    #[test]
    fn a_late_request_is_still_due_when_it_was() {
        let set = FileSet::new("x", 0..10, Sizes::All(1));
        let mut open = Open::new(&set, 2, 10, Duration::from_secs(1));
        let late = open.start + Duration::from_millis(550);
        let mut dues = Vec::new();
        while let At::Now { due, .. } = open.next(0, late) {
            dues.push((due - open.start).as_millis());
        }
        assert_eq!(dues, [0, 100, 200, 300, 400, 500]);
        assert!(
            matches!(open.next(0, late), At::Later(at) if at == open.start + Duration::from_millis(600))
        );
        assert!(
            matches!(open.next(1, open.start), At::Later(at) if at == open.start + Duration::from_millis(50))
        );
    }
}
