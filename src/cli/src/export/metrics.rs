//! The counters in the format of OpenMetrics.

use crate::process::{Kernel, Standing};
use anyhow::Result;
use laio_core::stats::{LoopNow, Snapshot, STALL_BOUNDS};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::Error;
use std::time::Duration;

/// A process as it is exported.
#[derive(Debug)]
pub struct Exported {
    /// The process.
    pub kernel: Kernel,
    /// Its program.
    pub program: String,
    /// Its counters.
    pub snapshot: Snapshot,
}

/// The text of these processes.
pub fn text(processes: Vec<Exported>) -> Result<String> {
    let mut registry = Registry::with_prefix("liblaio");
    registry.register_collector(Box::new(Processes(processes)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Processes(Vec<Exported>);

type Labels = Vec<(&'static str, String)>;

impl Exported {
    fn labels(&self) -> Labels {
        let role = self.kernel.role().unwrap_or_default();
        vec![
            ("program", self.program.clone()),
            ("pid", self.kernel.0.to_string()),
            ("role", role),
        ]
    }

    fn with(&self, more: [(&'static str, String); 2]) -> Labels {
        let plain = more.into_iter().filter(|(name, _)| !name.is_empty());
        self.labels().into_iter().chain(plain).collect()
    }

    fn sum(&self, of: fn(&LoopNow) -> u64) -> u64 {
        self.snapshot.published.loops.iter().map(of).sum()
    }
}

impl Collector for Processes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut out = Out(&mut encoder, &self.0);
        out.gauge("processes", "Processes that run with the library.")?;
        out.info()?;
        out.state()?;
        out.gauges(
            "uptime",
            "How long the process has run.",
            Some(Unit::Seconds),
            |each| each.kernel.uptime().map_or(0.0, |up| up.as_secs_f64()),
        )?;
        out.gauges(
            "event_loops",
            "Event loops that have had a client.",
            None,
            |each| each.snapshot.published.loops.len() as f64,
        )?;
        out.gauges(
            "held_connections",
            "Connections that are held back now.",
            None,
            |each| each.sum(|each| each.held) as f64,
        )?;
        out.gauges(
            "oldest_held",
            "How long the oldest of them has been, to the second.",
            Some(Unit::Seconds),
            |each| {
                let oldest = each
                    .snapshot
                    .published
                    .loops
                    .iter()
                    .map(|each| each.oldest_ms)
                    .max();
                Duration::from_millis(oldest.unwrap_or(0)).as_secs_f64()
            },
        )?;
        out.gauges("helpers", "Helper threads that run now.", None, |each| {
            each.kernel.helpers() as f64
        })?;
        out.gauges("rules", "Rules that were learnt.", None, |each| {
            each.sum(|each| each.rules) as f64
        })?;
        out.counters("requests", "Requests that were seen.", None, |each| {
            each.sum(|each| each.requests) as f64
        })?;
        out.histogram()?;
        out.counters(
            "ungated",
            "Time that event loops were blocked in what is not held back.",
            Some(Unit::Seconds),
            |each| each.snapshot.ungated_time_ns as f64 / 1e9,
        )?;
        out.events()
    }
}

struct Out<'o, 'e>(&'o mut DescriptorEncoder<'e>, &'o [Exported]);

impl Out<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str) -> Result<(), Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&(self.1.len() as i64))
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        of: impl Fn(&Exported) -> f64,
    ) -> Result<(), Error> {
        let mut metric = self
            .0
            .encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for each in self.1 {
            metric
                .encode_family(&each.labels())?
                .encode_gauge(&of(each))?;
        }
        Ok(())
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        of: impl Fn(&Exported) -> f64,
    ) -> Result<(), Error> {
        let mut metric =
            self.0
                .encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        for each in self.1 {
            let labels = each.labels();
            let mut family = metric.encode_family(&labels)?;
            family.encode_counter::<NoLabelSet, _, f64>(&of(each), None)?;
        }
        Ok(())
    }

    fn info(&mut self) -> Result<(), Error> {
        let help = "The library's version in each process.";
        let mut metric = self
            .0
            .encode_descriptor("library", help, None, MetricType::Info)?;
        for each in self.1 {
            let version = each.snapshot.published.library.clone();
            metric.encode_info(&each.with([("version", version), ("", String::new())]))?;
        }
        Ok(())
    }

    /// How each process stands: 1 for the state that it is in.
    fn state(&mut self) -> Result<(), Error> {
        let help = "How the process stands: armed, disarmed, observing, waiting or inactive.";
        let mut metric = self
            .0
            .encode_descriptor("state", help, None, MetricType::Gauge)?;
        for each in self.1 {
            let standing = Standing::of(&each.snapshot);
            let reason = match standing {
                Standing::Inactive(why) => why,
                _ => "",
            };
            let labels = each.with([
                ("state", standing.word().to_owned()),
                ("reason", reason.to_owned()),
            ]);
            metric.encode_family(&labels)?.encode_gauge(&1i64)?;
        }
        Ok(())
    }

    fn histogram(&mut self) -> Result<(), Error> {
        let help = "How long file operations blocked event loops.";
        let unit = Unit::Seconds;
        let mut metric =
            self.0
                .encode_descriptor("stall", help, Some(&unit), MetricType::Histogram)?;
        for each in self.1 {
            let (sum, count, buckets) = stalls(&each.snapshot);
            let labels = each.labels();
            let mut family = metric.encode_family(&labels)?;
            family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    /// Every counter but those of time, which have metrics of their own.
    fn events(&mut self) -> Result<(), Error> {
        let help = "Every counter, by group and name: docs/counters.md says what each means.";
        let mut metric = self
            .0
            .encode_descriptor("events", help, None, MetricType::Counter)?;
        for each in self.1 {
            let Snapshot {
                lanes,
                reasons,
                tls,
                http2,
                jobs,
                ..
            } = &each.snapshot;
            let groups = [
                ("lanes", lanes),
                ("reasons", reasons),
                ("tls", tls),
                ("http2", http2),
                ("jobs", jobs),
            ];
            for (group, counters) in groups {
                for (name, count) in counters {
                    let labels = each.with([("group", group.to_owned()), ("name", name.clone())]);
                    let mut family = metric.encode_family(&labels)?;
                    family.encode_counter::<NoLabelSet, _, f64>(count, None)?;
                }
            }
        }
        Ok(())
    }
}

/// Sum, count, and how many in each class, as the encoder takes them.
fn stalls(snapshot: &Snapshot) -> (f64, u64, Vec<(f64, u64)>) {
    let bounds = STALL_BOUNDS.iter().map(|bound| *bound as f64 / 1e6);
    let counts = &snapshot.published.stall_times;
    let buckets = bounds.chain([f64::INFINITY]).zip(counts.iter().copied());
    let sum = snapshot.stall_time_ns as f64 / 1e9;
    (sum, counts.iter().sum(), buckets.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without it, what a collector refuses, or takes for something else, would be seen when it is needed.
    #[test]
    fn the_text_is_openmetrics() {
        let mut snapshot = Snapshot::default();
        snapshot.published.state = "on".into();
        snapshot.published.library = "1.2.3".into();
        snapshot.published.stall_times = vec![1; STALL_BOUNDS.len() + 1];
        snapshot.stall_time_ns = 1_500_000_000;
        snapshot.lanes.insert("stall".into(), 15);
        snapshot.published.loops.push(LoopNow {
            held: 3,
            oldest_ms: 2000,
            ..LoopNow::default()
        });
        let program = "a\"b".to_owned();
        let text = text(vec![Exported {
            kernel: Kernel(u32::MAX),
            program,
            snapshot,
        }])
        .unwrap();
        let labels = "program=\"a\\\"b\",pid=\"4294967295\",role=\"\"";
        for line in [
            "# TYPE liblaio_stall_seconds histogram".to_owned(),
            "# UNIT liblaio_stall_seconds seconds".to_owned(),
            format!("liblaio_stall_seconds_sum{{{labels}}} 1.5"),
            format!("liblaio_stall_seconds_count{{{labels}}} 15"),
            format!("liblaio_stall_seconds_bucket{{le=\"0.0001\",{labels}}} 1"),
            format!("liblaio_stall_seconds_bucket{{le=\"+Inf\",{labels}}} 15"),
            format!("liblaio_held_connections{{{labels}}} 3.0"),
            format!("liblaio_oldest_held_seconds{{{labels}}} 2.0"),
            format!("liblaio_events_total{{{labels},group=\"lanes\",name=\"stall\"}} 15"),
            format!("liblaio_state{{{labels},state=\"disarmed\",reason=\"\"}} 1"),
            "liblaio_processes 1".to_owned(),
            "# EOF".to_owned(),
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n\n{text}");
        }
    }
}
