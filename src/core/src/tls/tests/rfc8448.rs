//! The traces of RFC 8448, sections 3 to 7.

use super::*;

/// What a client sends in one of the traces.
struct Trace {
    title: &'static str,
    secret: String,
    /// What each record is, and the record.
    records: Vec<(&'static str, Vec<u8>)>,
}

impl Trace {
    fn all() -> Vec<Trace> {
        let mut traces: Vec<Trace> = Vec::new();
        let mut name = "";
        for line in include_str!("rfc8448.txt").lines() {
            if let Some(title) = line.strip_prefix('[') {
                traces.push(Trace {
                    title,
                    secret: String::new(),
                    records: Vec::new(),
                });
            } else if let (Some(digits), Some(trace)) =
                (line.strip_prefix("    "), traces.last_mut())
            {
                match name {
                    "secret" => trace.secret += digits,
                    _ => trace.records.last_mut().unwrap().1.extend(bytes(digits)),
                }
            } else if !line.is_empty() && !line.starts_with('#') {
                name = line;
                if name != "secret" {
                    traces.last_mut().unwrap().records.push((name, Vec::new()));
                }
            }
        }
        traces
    }

    fn bytes(&self) -> Vec<u8> {
        self.records.iter().flat_map(|it| it.1.clone()).collect()
    }

    fn random(&self) -> [u8; 32] {
        self.records[0].1[HEADER + 6..][..32].try_into().unwrap()
    }

    fn secret(&self) -> Secret {
        let random = hex(&self.random());
        let line = format!("CLIENT_TRAFFIC_SECRET_0 {random} {}", self.secret);
        secret_of_line(&line, Suite::Aes128Gcm)
    }
}

/// What is opened of a trace by a session that has read so many records when it is told, and looks at those from `from` on.
fn open_trace(trace: &Trace, told_after: usize, from: usize) -> Vec<(Opened, Vec<u8>)> {
    let mut session = Session::default();
    let mut places = vec![Place::default()];
    for (_, record) in &trace.records {
        let place = *places.last().unwrap();
        places.push(place.after(Content::of(record[0])));
    }
    for (_, record) in &trace.records[..told_after] {
        session.read(record, record.len(), |_| {});
    }
    session.learn(trace.secret());
    let mut place = places[from];
    let look = |(_, record): &(_, Vec<u8>)| open(&mut session, &mut place, record);
    let opened = trace.records[from..].iter().map(look).collect();
    assert_eq!(place, places[trace.records.len()]);
    opened
}

#[test]
fn the_random_number_and_the_places_are_found() {
    for trace in Trace::all() {
        let mut follower = Follower::default();
        let bytes = trace.bytes();
        follower.read(&bytes, bytes.len(), |_| {});
        assert_eq!(follower.random(), Some(&trace.random()), "{}", trace.title);
        let sealed = trace.records.iter().filter(|it| it.1[0] == 23).count();
        assert_eq!(follower.place().application, sealed as u64);
        let changes = trace.records.iter().filter(|it| it.0 == "change").count();
        assert_eq!(follower.place().changes, changes as u32);
        assert!(!follower.is_lost() && follower.within() == 0);
    }
}

/// Whenever the secret comes: before the last records of the handshake, behind them, or when all has been read.
#[test]
fn what_the_application_sends_is_opened_whenever_the_secret_comes() {
    let data: Vec<u8> = (0..0x32).collect();
    for trace in Trace::all() {
        for told_after in 1..=trace.records.len() {
            for from in 1..trace.records.len() {
                let opened = open_trace(&trace, told_after, from);
                for ((name, _), opened) in trace.records[from..].iter().zip(opened) {
                    let (title, is_data) = (trace.title, *name == "data");
                    assert_eq!(
                        matches!(opened.0, Opened::Data(_)),
                        is_data,
                        "{title} {name}"
                    );
                    assert!(is_data || opened.0 == Opened::Other, "{title} {name}");
                    assert!(!is_data || opened.1 == data, "{title} {name}");
                }
            }
        }
    }
}

/// Without it, an alert might be taken for nothing that opens, and only the count of records would tell.
#[test]
fn an_alert_proves_the_keys() {
    for trace in Trace::all() {
        let (_, alert) = trace.records.last().unwrap();
        let first = trace.records.iter().rposition(|it| it.0 == "handshake");
        let sequence = trace.records.len() - 2 - first.unwrap();
        let keys = trace.secret().keys(&trace.random());
        let (head, body) = alert.split_first_chunk().unwrap();
        let mut copy = body.to_vec();
        let opened = keys.open(sequence as u64, head, &mut copy);
        assert_eq!(opened, Some((Content::Alert, 0..2)), "{}", trace.title);
        assert_eq!(&copy[..2], [1, 0], "close_notify");
        let mut copy = body.to_vec();
        assert_eq!(keys.open(sequence as u64 + 1, head, &mut copy), None);
        assert_eq!(copy, body);
    }
}

/// A record with another secret's is never opened, and is left as it is.
#[test]
fn the_secret_of_another_trace_opens_nothing() {
    let traces = Trace::all();
    let mut session = Session::default();
    let bytes = traces[0].bytes();
    session.read(&bytes, bytes.len(), |_| {});
    session.learn(traces[1].secret());
    let mut place = session.reading().place();
    for (_, record) in traces[0].records[1..].iter().cycle().take(64) {
        let (opened, _) = open(&mut session, &mut place, record);
        assert!(!matches!(opened, Opened::Data(_)));
    }
    assert_eq!(session.reason(), Reason::Tag);
}
