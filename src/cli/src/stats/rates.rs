//! What happens in a second: the difference of two moments.

use crate::process::{Attached, Standing};
use laio_core::stats::{LoopNow, Snapshot};
use std::time::{Duration, Instant};

/// A process at a moment.
#[derive(Debug)]
pub struct Sample {
    at: Instant,
    /// Its counters.
    pub snapshot: Snapshot,
    /// Helpers that run.
    pub helpers: usize,
}

impl Sample {
    /// Takes one; nothing where the process has ended.
    pub fn of(attached: &Attached) -> Option<Sample> {
        Some(Sample {
            at: Instant::now(),
            snapshot: attached.read()?,
            helpers: attached.kernel.helpers(),
        })
    }
}

/// What one loop, or all of a process, does in a second.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// The loop; nothing for the whole process.
    pub number: Option<u64>,
    /// How it stands.
    pub standing: Standing,
    /// Requests.
    pub requests: f64,
    /// Requests and parts of bodies that were held back.
    pub cold: f64,
    /// Connections that are held back now.
    pub held: u64,
    /// How long the oldest of them has been.
    pub oldest: Duration,
    /// File operations that blocked.
    pub stalls: f64,
    /// The share of the time in which they did, and others that are not held back.
    pub blocked: f64,
    /// Reads of clients that brought something.
    pub reads: f64,
    /// Those of clients that speak TLS.
    pub by_tls: f64,
    /// Those of clients that speak HTTP/2.
    pub by_http2: f64,
}

impl Rates {
    /// Of the whole process, and of each of its loops where there are several.
    pub fn between(before: &Sample, after: &Sample) -> Vec<Rates> {
        let seconds = after.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let loops = &after.snapshot.published.loops;
        let each = loops.iter().map(|now| {
            let earlier = before.snapshot.published.loops.iter();
            let earlier = earlier.into_iter().find(|then| then.number == now.number);
            let standing = Standing::with(&after.snapshot, now.armed);
            Rates::of_loop(earlier, now, standing, seconds)
        });
        let each: Vec<_> = each.collect();
        let sum = |of: fn(&Rates) -> f64| each.iter().map(of).sum::<f64>();
        let whole = Rates {
            number: None,
            standing: Standing::of(&after.snapshot),
            requests: sum(|each| each.requests),
            cold: sum(|each| each.cold),
            held: each.iter().map(|each| each.held).sum(),
            oldest: each
                .iter()
                .map(|each| each.oldest)
                .max()
                .unwrap_or_default(),
            stalls: sum(|each| each.stalls),
            blocked: sum(|each| each.blocked) / each.len().max(1) as f64,
            reads: sum(|each| each.reads),
            by_tls: sum(|each| each.by_tls),
            by_http2: sum(|each| each.by_http2),
        };
        match each.len() {
            0 | 1 => vec![whole],
            _ => [whole].into_iter().chain(each).collect(),
        }
    }

    fn of_loop(before: Option<&LoopNow>, now: &LoopNow, standing: Standing, seconds: f64) -> Rates {
        let none = LoopNow::default();
        let before = before.unwrap_or(&none);
        // A number is another loop's where the first has ended.
        let since = |of: fn(&LoopNow) -> u64| of(now).saturating_sub(of(before)) as f64 / seconds;
        Rates {
            number: Some(now.number),
            standing,
            requests: since(|each| each.requests),
            cold: since(|each| each.request_gate + each.body_gate),
            held: now.held,
            oldest: Duration::from_millis(now.oldest_ms),
            stalls: since(|each| each.stalls),
            blocked: (since(|each| each.stall_time_ns + each.ungated_time_ns) / 1e9).min(1.0),
            reads: since(|each| each.reads),
            by_tls: since(|each| each.tls_reads),
            by_http2: since(|each| each.http2_reads),
        }
    }

    /// The share of one of those among all reads; nothing where nothing was read.
    pub fn share_of_reads(&self, part: f64) -> Option<f64> {
        (self.reads > 0.0).then(|| part / self.reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, loops: &[(u64, u64, u64)]) -> Sample {
        let mut snapshot = Snapshot::default();
        snapshot.published.state = "on".to_owned();
        for (number, requests, stalls) in loops {
            snapshot.published.loops.push(LoopNow {
                number: *number,
                requests: *requests,
                stalls: *stalls,
                stall_time_ns: stalls * 100_000_000,
                reads: *requests,
                tls_reads: requests / 2,
                ..LoopNow::default()
            });
        }
        Sample {
            at,
            snapshot,
            helpers: 0,
        }
    }

    #[test]
    fn rates_are_by_second_and_by_loop() {
        let begin = Instant::now();
        let end = begin + Duration::from_secs(2);
        let before = sample(begin, &[(0, 10, 0)]);
        let one = Rates::between(&before, &sample(end, &[(0, 30, 4)]));
        assert_eq!((one.len(), one[0].requests, one[0].stalls), (1, 10.0, 2.0));
        assert_eq!((one[0].blocked, one[0].standing), (0.2, Standing::Disarmed));
        let shares = [one[0].by_tls, one[0].by_http2].map(|part| one[0].share_of_reads(part));
        assert_eq!(shares, [Some(0.5), Some(0.0)]);
        let two = Rates::between(&before, &sample(end, &[(0, 10, 0), (1, 8, 0)]));
        assert_eq!(
            (two.len(), two[0].requests, two[2].number),
            (3, 4.0, Some(1))
        );
        let none = Rates::between(&before, &sample(end, &[]));
        assert_eq!(
            (none[0].standing, none[0].blocked),
            (Standing::Waiting, 0.0)
        );
        assert_eq!(none[0].share_of_reads(0.0), None);
    }
}
