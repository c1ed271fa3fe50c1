use super::*;
use crate::recognise::Span::{From, Last, Part};

const WINDOW: u64 = 256 * 1024;

fn of(span: Span, coding: Option<Coding>, name: &[u8]) -> Predictions {
    let mut predictions = Predictions::default();
    let (part, rule) = ((Depth::Data, span), RuleId::default());
    predictions.compose(&[b"/srv/", name], 5, part, coding, rule);
    predictions
}

fn keys(span: Span) -> (u64, u64, u64) {
    let predictions = of(span, None, b"x");
    let it = predictions.iter().next().unwrap();
    (it.wanted(WINDOW), it.key(WINDOW), it.window_key(WINDOW))
}

/// Without it, a request for one byte would have the whole window taken to be in memory, and the next one stall.
#[test]
fn a_part_of_a_window_is_no_proof_of_the_whole() {
    let (wanted, whole, window) = keys(From(0));
    assert_eq!((wanted, whole), (WINDOW, window));
    assert_eq!(keys(Part(0, WINDOW)), (WINDOW, whole, whole));
    assert_eq!(keys(Part(0, u64::MAX)), (WINDOW, whole, whole));
    let (wanted, part, window) = keys(Part(0, 1));
    assert_eq!((wanted, window), (LEAST, whole));
    assert_ne!(part, whole);
    // Nor of another part.
    assert_ne!(keys(Part(4096, 1)).1, part);
    assert_ne!(keys(Part(0, LEAST + 1)).1, part);
    assert_eq!(keys(Part(0, 2)).1, part);
    // Where the end is nobody knows.
    let (wanted, last, window) = keys(Last(100_000));
    assert_eq!((wanted, window), (100_000, last));
    assert!(![whole, part, keys(Last(100_001)).1].contains(&last));
    assert_eq!(keys(Last(u64::MAX)).0, WINDOW);
}

#[test]
fn each_part_is_one() {
    let mut predictions = of(Part(0, 100), None, b"x");
    let rule = RuleId::default();
    predictions.compose(
        &[b"/srv/", b"y"],
        5,
        (Depth::Name, Part(0, 100)),
        None,
        rule,
    );
    predictions.add_parts([Part(5_000_000, 100), Last(7)].into_iter());
    let spans: Vec<_> = predictions.iter().map(|it| (it.path, it.span)).collect();
    let x = b"/srv/x".as_slice();
    assert_eq!(spans[0], (x, Part(0, 100)));
    assert_eq!(spans[1], (b"/srv/y".as_slice(), From(0)));
    assert_eq!(spans[2..], [(x, Part(5_000_000, 100)), (x, Last(7))]);
    assert_eq!(predictions.paths().count(), 2);
    (0..9).for_each(|_| predictions.add_parts([Last(7)].into_iter()));
    assert_eq!(predictions.len(), MAX_PREDICTIONS);
}

#[test]
fn ends_are_read_where_handlers_do() {
    let of_rule = |_: RuleId| (1, 512 << 10);
    let mut predictions = of(From(0), None, b"x");
    predictions.widen(WINDOW, of_rule);
    let wanted: Vec<_> = predictions
        .iter()
        .map(|it| (it.span, it.wanted(WINDOW)))
        .collect();
    let tail = (Last(512 << 10), 512 << 10);
    assert_eq!(wanted, [(From(0), 2 * WINDOW), tail]);
    let mut ranged = of(Part(5, 6), None, b"x");
    ranged.widen(WINDOW, of_rule);
    assert_eq!(ranged.len(), 1);
}

#[test]
fn what_is_coded_stands_for_the_plain_file() {
    let mut predictions = of(From(0), None, b"x");
    let rule = RuleId::default();
    let part = (Depth::Data, From(0));
    predictions.compose(&[b"/srv/", b"x.gz"], 5, part, Some(Coding::Gzip), rule);
    let first = predictions.coded_first().next().unwrap();
    assert_eq!(first.path, b"/srv/x.gz");
    let plain = predictions.iter().next().unwrap();
    assert!(predictions.has_stand_in(&plain) && !predictions.has_stand_in(&first));
    assert!(!predictions.has_stand_in(&plain.of_name()));
    let alone = of(From(0), None, b"x.gz");
    assert_eq!(alone.iter().next().unwrap().stands_for, 0);
    let other = of(From(0), None, b"y");
    assert!(!predictions.has_stand_in(&other.iter().next().unwrap()));
}
