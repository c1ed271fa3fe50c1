use super::*;
use crate::predictions::Depth;
use crate::recognise::Http;
use crate::reports::Report;
use proptest::prelude::*;

fn predict(rules: &mut Rules, target: &str) -> (Request, Predictions) {
    let mut request = Request::default();
    let head = format!("GET {target} HTTP/1.1\r\n\r\n");
    Http.recognise(head.as_bytes(), &mut request).unwrap();
    let mut predictions = Predictions::default();
    rules.predict(&request, &mut predictions);
    (request, predictions)
}

fn first(predictions: &Predictions) -> &[u8] {
    predictions.iter().next().unwrap().path
}

fn touch(recent: &mut Recent, rules: &mut Rules, path: &[u8]) -> bool {
    let attribution = recent.attribute(path, crate::hash(path), Depth::Data, rules);
    attribution == Attribution::Explained
}

#[test]
fn bytes_are_parsed_only_when_something_stalls() {
    let (mut recent, mut rules) = (Recent::default(), Rules::default());
    recent.keep_bytes(b"GET /a HTTP/1.1\r\n\r\n", &mut rules);
    assert!(!touch(&mut recent, &mut rules, b"/srv/a"));
    recent.recognise(&Http, |_| None);
    assert!(touch(&mut recent, &mut rules, b"/srv/a"));
    assert_eq!(first(&predict(&mut rules, "/b").1), b"/srv/b");
}

/// Without it, a handler in Tornado was three looks at an empty set away from its request.
#[test]
fn steps_of_a_handler_are_one_turn_as_long_as_nothing_else_is_told() {
    for (steps, apart, found) in [(20, 0, true), (4, 1, true), (40, 1, false), (3, 5, false)] {
        let (mut recent, mut rules) = (Recent::default(), Rules::default());
        recent.is_at(1000);
        recent.new_iteration();
        let (request, predictions) = predict(&mut rules, "/a");
        recent.remember(&request, &predictions, &mut rules);
        for step in 1..=steps {
            recent.is_at(1000 + step * apart);
            recent.goes_on_without_events();
        }
        let is_its = touch(&mut recent, &mut rules, b"/srv/a");
        assert_eq!(is_its, found, "after {steps} steps, {apart} ms each");
    }
}

#[test]
fn an_operation_may_come_two_turns_later_but_not_three() {
    for (turns, found) in [(0, true), (2, true), (3, false)] {
        let (mut recent, mut rules) = (Recent::default(), Rules::default());
        let (request, predictions) = predict(&mut rules, "/a");
        recent.remember(&request, &predictions, &mut rules);
        (0..turns).for_each(|_| recent.new_iteration());
        assert_eq!(
            touch(&mut recent, &mut rules, b"/srv/a"),
            found,
            "after {turns} turns"
        );
    }
}

#[test]
fn the_matching_request_is_found_among_several() {
    let (mut recent, mut rules) = (Recent::default(), Rules::default());
    for target in ["/one/x", "/two/y"] {
        let (request, predictions) = predict(&mut rules, target);
        recent.remember(&request, &predictions, &mut rules);
    }
    assert!(touch(&mut recent, &mut rules, b"/srv/one/x"));
    assert_eq!(first(&predict(&mut rules, "/q").1), b"/srv/q");
}

/// Requests that are looked at together, and handled in that order or another one, some of them many iterations later.
#[test]
fn an_operation_is_its_requests_in_whatever_order_they_are_handled() {
    for step in [1, 5, 99] {
        let (mut recent, mut rules) = (Recent::default(), Rules::default());
        assert!(rules.pin(b"/", b"/srv/"));
        for number in 0..100 {
            let (request, predictions) = predict(&mut rules, &format!("/f{number}"));
            recent.remember_of_many(&request, &predictions, &mut rules);
        }
        for number in (0..100).map(|number| number * step % 101 % 100) {
            assert!(touch(
                &mut recent,
                &mut rules,
                format!("/srv/f{number}").as_bytes()
            ));
            (number % 7 == 0).then(|| recent.new_iteration());
        }
        // All are there, each touched.
        let touched = recent
            .entries
            .iter()
            .filter(|entry| entry.touched == Touched::Yes);
        assert!(touched.count() >= 99);
    }
}

/// Without it, the ring would be large for servers that have a few requests in reach, or forget what a client has asked for at once.
#[test]
fn there_is_room_for_what_is_in_reach() {
    let (mut recent, mut rules) = (Recent::default(), Rules::default());
    let (request, predictions) = predict(&mut rules, "/x");
    for _ in 0..200 {
        recent.remember(&request, &predictions, &mut rules);
        recent.new_iteration();
    }
    assert_eq!(recent.entries.len(), RECENT);
    for _ in 0..200 {
        recent.remember_of_many(&request, &predictions, &mut rules);
    }
    assert_eq!((recent.entries.len(), recent.order.len()), (MOST, MOST));
}

/// Without it, nothing would be learnt from the first stall of a client that has spoken HTTP/2 by TLS before.
#[test]
fn many_requests_in_one_record_are_found() {
    let (mut recent, mut rules) = (Recent::default(), Rules::default());
    let frame = |stream: u8, name: &[u8]| {
        // `:method: GET`, `:scheme: https`, and a literal `:path`.
        let block = [&[0x82, 0x87, 0x04, name.len() as u8], name].concat();
        let head = [0, 0, block.len() as u8, 1, 5, 0, 0, 0, stream];
        [&head[..], &block].concat()
    };
    let plain = [frame(1, b"/one"), frame(3, b"/two")].concat();
    let connection = OpenFile { fd: 7, owners: 1 };
    let piece = Piece {
        content: crate::tls::Content::Application,
        place: crate::tls::Place::default(),
        header: [23, 3, 3, 0, plain.len() as u8],
        at: 0,
        length: plain.len(),
        bytes: &plain,
    };
    recent.keep_sealed(connection, &piece, true);
    recent.recognise(&Http, |_| Some(HEADER..HEADER + plain.len()));
    assert!(touch(&mut recent, &mut rules, b"/srv/one"));
    assert!(touch(&mut recent, &mut rules, b"/srv/two"));
}

proptest! {
    /// Requests of one iteration, handled in any order: nobody's file is taken for another one's
    /// companion, or for an index file.
    #[test]
    fn a_file_is_laid_beside_the_request_that_asks_for_it(
        targets in prop::collection::btree_set("/(d/)?[a-c]{0,2}(\\.gz)?", 2..6),
        handled in any::<[prop::sample::Index; 8]>(),
    ) {
        let (mut recent, mut rules) = (Recent::default(), Rules::default());
        rules.pin(b"/", b"/srv/www");
        let files: Vec<&String> = targets.iter().filter(|t| !t.ends_with('/')).collect();
        for target in &targets {
            recent.keep_bytes(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes(), &mut rules);
        }
        recent.recognise(&Http, |_| None);
        for index in handled.iter().filter(|_| !files.is_empty()) {
            touch(&mut recent, &mut rules, format!("/srv/www{}", index.get(&files)).as_bytes());
        }
        for other in ["/other", "/d/other", "/"] {
            prop_assert!(predict(&mut rules, other).1.len() <= 1, "{:?}", rules);
        }
    }
}

#[test]
fn a_server_that_answers_from_its_own_cache_is_not_held_against_a_rule() {
    let (mut recent, mut rules) = (Recent::default(), Rules::default());
    let (request, predictions) = predict(&mut rules, "/a");
    recent.remember(&request, &predictions, &mut rules);
    touch(&mut recent, &mut rules, b"/srv/a");
    for _ in 0..100 {
        let (request, predictions) = predict(&mut rules, "/a");
        recent.remember(&request, &predictions, &mut rules);
    }
    assert_eq!(predict(&mut rules, "/b").1.len(), 1);
}

#[test]
fn a_wrong_prediction_is_held_against_its_rule() {
    let (mut recent, mut rules) = (Recent::default(), Rules::default());
    let (request, predictions) = predict(&mut rules, "/a");
    recent.remember(&request, &predictions, &mut rules);
    touch(&mut recent, &mut rules, b"/srv/a");
    touch(&mut recent, &mut rules, b"/srv/a.gz");
    assert_eq!(predict(&mut rules, "/b").1.len(), 2);
    for _ in 0..40 {
        recent.new_iteration();
        let (request, predictions) = predict(&mut rules, "/c");
        recent.remember(&request, &predictions, &mut rules);
        touch(&mut recent, &mut rules, b"/srv/c");
    }
    assert_eq!(predict(&mut rules, "/b").1.len(), 1);
}

#[test]
fn only_requests_that_were_understood_and_stalls_teach() {
    let (mut recent, mut rules) = (Recent::default(), Rules::default());
    recent.keep_bytes(b"GET /a HTTP/1.1\r\n\r\n", &mut rules);
    recent.newest_is(5);
    assert!(!recent.learns());
    assert_eq!(recent.names().collect::<Vec<_>>(), [5]);
    recent.has_stalled();
    assert!(recent.learns());
    (0..REACH).for_each(|_| recent.new_iteration());
    assert!(!recent.learns() && recent.names().next().is_none());
    let (request, predictions) = predict(&mut rules, "/b");
    recent.remember(&request, &predictions, &mut rules);
    assert!(recent.learns() && recent.names().next().is_none());
}

/// Without it, a rule would lose the votes of all requests that are followed by repeated ones.
#[test]
fn bytes_that_are_kept_have_the_entry_that_gives_way_judged() {
    let (mut recent, mut rules) = (Recent::default(), Rules::default());
    recent.keep_bytes(b"GET /a HTTP/1.1\r\n\r\n", &mut rules);
    recent.recognise(&Http, |_| None);
    assert!(touch(&mut recent, &mut rules, b"/srv/a"));
    for number in 0..20 {
        let (request, predictions) = predict(&mut rules, &format!("/{number}"));
        assert_eq!(rules.are_proven(&predictions), number >= 7, "{number}");
        recent.remember(&request, &predictions, &mut rules);
        touch(&mut recent, &mut rules, format!("/srv/{number}").as_bytes());
        for _ in 0..RECENT {
            recent.new_iteration();
            recent.keep_bytes(b"GET /x HTTP/1.1\r\n\r\n", &mut rules);
        }
    }
}

/// What another thread has done on a path that it has found slow.
fn report(path: &str, began: u64) -> Report {
    let mut report = Report {
        depth: Depth::Data,
        began,
        ..Report::default()
    };
    report.path.try_extend_from_slice(path.as_bytes()).unwrap();
    report
}

fn hear(recent: &mut Recent, rules: &mut Rules, path: &str, began: u64) -> Attribution {
    recent.attribute_report(&report(path, began), rules, &Http, |_| None)
}

/// Without it, what a pool of threads does would be laid beside requests that came later, or that were answered long ago.
#[test]
fn another_threads_operation_is_a_requests_that_was_read_before_it() {
    use Attribution::{Explained, Unexplained};
    for (began, found) in [
        (999, Unexplained),
        (1000, Explained),
        (3000, Explained),
        (3001, Unexplained),
    ] {
        let (mut recent, mut rules) = (Recent::default(), Rules::default());
        recent.is_at(1000);
        recent.keep_bytes(b"GET /a HTTP/1.1\r\n\r\n", &mut rules);
        (0..20).for_each(|_| recent.new_iteration());
        assert_eq!(
            hear(&mut recent, &mut rules, "/srv/a", began),
            found,
            "{began}"
        );
        let predicted = predict(&mut rules, "/b")
            .1
            .iter()
            .any(|it| it.path == b"/srv/b");
        assert_eq!(predicted, found == Explained);
    }
}

/// Many more requests are in reach of another thread's operation than of one of the loop's own.
#[test]
fn another_threads_operation_teaches_no_companion_and_nothing_beside_what_was_not_understood() {
    let (mut recent, mut rules) = (Recent::default(), Rules::default());
    recent.is_at(1000);
    recent.keep_bytes(b"GET /d/a HTTP/1.1\r\n\r\n", &mut rules);
    hear(&mut recent, &mut rules, "/srv/d/.htaccess", 1001);
    assert!(rules.is_empty());
    // An alias is not the obvious.
    recent.has_not_understood();
    hear(&mut recent, &mut rules, "/data/a", 1001);
    assert!(rules.is_empty());
    hear(&mut recent, &mut rules, "/srv/d/a", 1001);
    assert_eq!(first(&predict(&mut rules, "/b").1), b"/srv/b");
}

/// Without it, requests that wait for a pool of threads would be forgotten before their turn there.
#[test]
fn there_is_room_for_what_other_threads_may_do() {
    let (mut recent, mut rules) = (Recent::default(), Rules::default());
    recent.is_at(1000);
    let fill = |recent: &mut Recent, rules: &mut Rules| {
        for number in 0..100 {
            recent.new_iteration();
            recent.new_iteration();
            recent.keep_bytes(format!("GET /{number} HTTP/1.1\r\n\r\n").as_bytes(), rules);
        }
    };
    fill(&mut recent, &mut rules);
    assert_eq!(recent.entries.len(), RECENT);
    hear(&mut recent, &mut rules, "/other", 1000);
    fill(&mut recent, &mut rules);
    assert_eq!(
        hear(&mut recent, &mut rules, "/srv/3", 1000),
        Attribution::Explained
    );
}

/// Without it, a rule whose files other threads touch, and find in memory, would never be proven.
#[test]
fn what_other_threads_touch_proves_a_rule() {
    static AWAITED: Awaited = Awaited::new();
    let (mut recent, mut rules) = (Recent::beside(&AWAITED), Rules::default());
    recent.is_at(1000);
    recent.keep_bytes(b"GET /a HTTP/1.1\r\n\r\n", &mut rules);
    hear(&mut recent, &mut rules, "/srv/a", 1000);
    for number in 0..RECENT + 10 {
        // What was asked for before is out of reach.
        (0..REACH).for_each(|_| recent.new_iteration());
        recent.is_at(1000 + 2100 * number as u64);
        let (request, predictions) = predict(&mut rules, &format!("/{number}"));
        let is_proven = rules.are_proven(&predictions);
        recent.remember(&request, &predictions, &mut rules);
        assert!(AWAITED.is_any());
        let path = format!("/srv/{number}");
        AWAITED.touch(crate::hash(path.as_bytes()), Depth::Data);
        assert_eq!(is_proven, number >= RECENT + 7, "{number}");
    }
    let (_, predictions) = predict(&mut rules, "/z");
    assert!(rules.are_proven(&predictions));
    drop(recent);
    assert!(!AWAITED.is_any());
}
