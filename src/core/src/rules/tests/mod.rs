//! Tests of what is learnt and predicted; what strangers can do to it is in `crate::strangers`.

mod codings;
mod templates;

use super::outcome::Outcome;
use super::table::*;
use super::votes::PROVEN;
use crate::paths::{climbs, from_here, without_last_slash, MAX_PATH};
use crate::predictions::{Depth, Prediction, Predictions};
use crate::recognise::{decode_target, Request};
use arrayvec::ArrayVec;
use proptest::prelude::*;

fn request(host: u64, target: &str) -> Request {
    let mut request = Request {
        host,
        wants_body: true,
        ..Request::default()
    };
    decode_target(target.as_bytes(), &mut request.target).unwrap();
    request
}

fn learn(rules: &mut Rules, target: &str, path: &str) -> Option<Outcome> {
    teach(rules, &request(0, target), path, Depth::Data)
}

fn teach(rules: &mut Rules, request: &Request, path: &str, depth: Depth) -> Option<Outcome> {
    let lesson = rules.lesson(request, path.as_bytes(), depth)?;
    rules.learn(request, lesson)
}

/// As often as this the rule's prediction came true, or did not, and nothing else happened.
fn vote(rules: &mut Rules, outcome: Outcome, came_true: bool, times: u32) {
    for _ in 0..times {
        let is_new = false;
        let outcome = Outcome {
            came_true,
            is_new,
            ..outcome
        };
        rules.judge(&[outcome], true);
    }
}

fn predicted(rules: &mut Rules, host: u64, target: &str) -> Vec<String> {
    let mut predictions = Predictions::default();
    rules.predict(&request(host, target), &mut predictions);
    let path = |p: Prediction<'_>| String::from_utf8(p.path.to_vec()).unwrap();
    predictions.iter().map(path).collect()
}

#[test]
fn a_document_root() {
    let mut rules = Rules::default();
    learn(&mut rules, "/d1/f.html", "/srv/www/d1/f.html").unwrap();
    let mut predictions = Predictions::default();
    rules.predict(&request(0, "/d1/g.html"), &mut predictions);
    let said = predictions.iter().next().unwrap();
    assert_eq!(
        (said.path, said.directory()),
        (&b"/srv/www/d1/g.html"[..], &b"/srv/www/"[..])
    );
    assert_eq!(
        predicted(&mut rules, 0, "/x/y/z.png"),
        ["/srv/www/x/y/z.png"]
    );
    assert!(predicted(&mut rules, 0, "/x/").is_empty());
}

#[test]
fn a_document_root_that_is_the_working_directory() {
    for (target, path) in [("/f.html", "f.html"), ("/d1/f.html", "d1/f.html")] {
        let mut rules = Rules::default();
        let mut room = ArrayVec::new();
        let path = from_here(path.as_bytes(), &mut room);
        learn(&mut rules, target, std::str::from_utf8(path).unwrap()).unwrap();
        assert_eq!(predicted(&mut rules, 0, "/x/y.png"), ["./x/y.png"]);
    }
    for path in ["/srv/f", "./f", ""] {
        let mut room = ArrayVec::new();
        assert_eq!(from_here(path.as_bytes(), &mut room), path.as_bytes());
    }
    let long = [b'x'; MAX_PATH];
    assert_eq!(from_here(&long, &mut ArrayVec::new()), long);
}

#[test]
fn an_alias_beats_the_root_below_its_prefix() {
    let mut rules = Rules::default();
    let root = learn(&mut rules, "/a.html", "/srv/www/a.html").unwrap();
    let alias = learn(&mut rules, "/img/x.png", "/data/images/x.png").unwrap();
    assert_eq!(predicted(&mut rules, 0, "/b.html"), ["/srv/www/b.html"]);
    // Until it is proven, the other one stays.
    assert_eq!(
        predicted(&mut rules, 0, "/img/y.png"),
        ["/srv/www/img/y.png", "/data/images/y.png"]
    );
    vote(&mut rules, alias, true, PROVEN);
    assert_eq!(
        predicted(&mut rules, 0, "/img/y.png"),
        ["/data/images/y.png"]
    );
    vote(&mut rules, root, true, PROVEN);
    assert_eq!(
        predicted(&mut rules, 0, "/img/y.png"),
        ["/data/images/y.png"]
    );
}

#[test]
fn index_files_companions_and_siblings() {
    let mut rules = Rules::default();
    learn(&mut rules, "/", "/srv/www/index.html").unwrap();
    assert_eq!(
        predicted(&mut rules, 0, "/sub/"),
        ["/srv/www/sub/index.html"]
    );
    learn(&mut rules, "/a.css", "/srv/www/a.css").unwrap();
    learn(&mut rules, "/a.css", "/srv/www/a.css.gz").unwrap();
    learn(&mut rules, "/a.css", "/srv/www/.htpasswd").unwrap();
    assert_eq!(
        predicted(&mut rules, 0, "/d/b.css"),
        [
            "/srv/www/d/b.css",
            "/srv/www/d/b.css.gz",
            "/srv/www/d/.htpasswd"
        ]
    );
}

#[test]
fn listings() {
    for (target, path) in [
        ("/a/b/", "/srv/www/a/b"),
        ("/", "/srv/www"),
        ("/", "/srv/www/"),
    ] {
        let mut rules = Rules::default();
        teach(&mut rules, &request(0, target), path, Depth::Listing).unwrap();
        assert_eq!(predicted(&mut rules, 0, "/c/"), ["/srv/www/c"]);
        assert_eq!(predicted(&mut rules, 0, "/"), ["/srv/www"]);
    }
}

#[test]
fn unrelated_files_teach_nothing() {
    let mut rules = Rules::default();
    learn(&mut rules, "/d1/f.html", "/srv/www/d1/f.html").unwrap();
    assert!(learn(&mut rules, "/f.html", "/etc/localtime").is_none());
    assert!(learn(&mut rules, "/d1/f.html", "/etc/mime.types").is_none());
}

#[test]
fn virtual_hosts_part_ways() {
    let mut rules = Rules::default();
    let [one, two] = [(1, "/srv/one/a"), (2, "/srv/two/a")]
        .map(|(host, path)| teach(&mut rules, &request(host, "/a"), path, Depth::Data));
    // Both are taught again and again, and that makes no further rules.
    for (host, path) in [(1, "/srv/one/c"), (2, "/srv/two/c")] {
        let again = teach(&mut rules, &request(host, "/c"), path, Depth::Data).unwrap();
        assert!(!again.is_new);
    }
    assert_eq!(predicted(&mut rules, 2, "/b"), ["/srv/one/b", "/srv/two/b"]);
    vote(&mut rules, one.unwrap(), true, PROVEN);
    vote(&mut rules, two.unwrap(), true, PROVEN);
    assert_eq!(predicted(&mut rules, 1, "/b"), ["/srv/one/b"]);
    assert_eq!(predicted(&mut rules, 2, "/b"), ["/srv/two/b"]);
    assert_eq!(predicted(&mut rules, 3, "/b"), ["/srv/one/b"]);
}

#[test]
fn a_relative_document_root() {
    let mut rules = Rules::default();
    learn(&mut rules, "/d/f", "./d/f").unwrap();
    assert_eq!(predicted(&mut rules, 0, "/e/g"), ["./e/g"]);
}

#[test]
fn a_rule_that_stops_being_right_loses_its_vote() {
    let mut rules = Rules::default();
    let said = learn(&mut rules, "/a", "/srv/a").unwrap();
    vote(&mut rules, said, false, 12);
    assert!(predicted(&mut rules, 0, "/b").is_empty());
    learn(&mut rules, "/b", "/new/b").unwrap();
    assert_eq!(predicted(&mut rules, 0, "/c"), ["/new/c"]);
    // Its place is another rule's by now.
    vote(&mut rules, said, true, 1);
    assert_eq!(predicted(&mut rules, 0, "/c"), ["/new/c"]);
}

/// Without it, a narrow rule that is wrong kept the right one silent until it had missed four times as often as it
/// had been right.
#[test]
fn a_rule_that_stands_in_the_way_of_a_right_one_steps_aside() {
    let mut rules = Rules::default();
    let root = learn(&mut rules, "/a", "/srv/a").unwrap();
    let alias = learn(&mut rules, "/img/x", "/data/x").unwrap();
    vote(&mut rules, root, true, 20);
    vote(&mut rules, alias, true, 40);
    assert_eq!(predicted(&mut rules, 0, "/img/y"), ["/data/y"]);
    for _ in 0..3 {
        let missed = Outcome {
            came_true: false,
            ..alias
        };
        let right = Outcome {
            is_new: false,
            ..root
        };
        rules.judge(&[missed, right], true);
    }
    assert_eq!(
        predicted(&mut rules, 0, "/img/y"),
        ["/srv/img/y", "/data/y"]
    );
}

/// Without it, the document root's rule lost its vote by the requests of a host that has a root of its own.
#[test]
fn a_narrower_rule_excuses_a_broader_one() {
    let mut rules = Rules::default();
    let all = teach(&mut rules, &request(1, "/a"), "/srv/one/a", Depth::Data).unwrap();
    let host = teach(&mut rules, &request(2, "/a"), "/srv/two/a", Depth::Data).unwrap();
    for _ in 0..100 {
        let missed = Outcome {
            came_true: false,
            ..all
        };
        rules.judge(&[missed, host], true);
    }
    assert_eq!(predicted(&mut rules, 1, "/b"), ["/srv/one/b"]);
    // The other way round it is charged, since nothing else can end a wrong rule.
    for _ in 0..100 {
        let missed = Outcome {
            came_true: false,
            ..host
        };
        rules.judge(&[missed, all], true);
    }
    assert_eq!(predicted(&mut rules, 2, "/b"), ["/srv/one/b"]);
}

#[test]
fn depth_follows_the_deepest_look() {
    let mut rules = Rules::default();
    let request = request(0, "/a");
    let rule = teach(&mut rules, &request, "/srv/a", Depth::Name).unwrap();
    let mut predictions = Predictions::default();
    let mut depth = |rules: &mut Rules, request: &Request| {
        rules.predict(request, &mut predictions);
        predictions.iter().next().unwrap().depth
    };
    assert_eq!(depth(&mut rules, &request), Depth::Name);
    rules.confirm(rule.rule, Depth::Data);
    assert_eq!(depth(&mut rules, &request), Depth::Data);
    let head = Request {
        wants_body: false,
        ..request.clone()
    };
    let conditional = Request {
        conditional: true,
        ..request
    };
    // Neither is held against the rule when the handler opens the file all the same.
    rules.confirm(rule.rule, Depth::Data);
    for request in [&head, &conditional] {
        assert_eq!(depth(&mut rules, request), Depth::Name);
    }
}

#[test]
fn pinned_rules_stay() {
    let mut rules = Rules::default();
    assert!(rules.pin(b"/img/", b"/data/images"));
    assert!(!rules.pin(b"/img", b"/data"));
    for n in 0..2 * MAX_RULES {
        learn(&mut rules, &format!("/p{n}/f"), &format!("/q{n}/f"));
    }
    assert_eq!(predicted(&mut rules, 0, "/img/x"), ["/data/images/x"]);
}

proptest! {
    /// What was learnt from one pair is predicted again for that pair, whatever the bytes.
    #[test]
    fn a_lesson_is_repeated(
        directory in "(/[a-z]{1,3}){1,3}", tail in "(/[a-c.]{1,3}){1,3}/?", suffix in "[a-z.]{0,4}",
    ) {
        let path = format!("{directory}{tail}{suffix}");
        prop_assume!(!climbs(tail.as_bytes()) && !climbs(path.as_bytes()));
        let mut rules = Rules::default();
        if learn(&mut rules, &tail, &path).is_some() {
            let path = String::from_utf8(without_last_slash(path.as_bytes()).to_vec()).unwrap();
            prop_assert!(predicted(&mut rules, 0, &tail).contains(&path));
        } else {
            prop_assert!(false, "nothing learnt from {} and {}", tail, path);
        }
    }

    /// A prediction stays beneath the learnt directory: what follows it never climbs.
    #[test]
    fn predictions_never_climb(
        lessons in prop::collection::vec(("(/[ab.]{1,2}){1,3}/?", "(/[ab.]{1,2}){1,4}"), 1..20),
        target in "(/[ab.]{1,2}){1,3}/?",
    ) {
        prop_assume!(!climbs(target.as_bytes()));
        let mut rules = Rules::default();
        for (target, path) in &lessons {
            if !climbs(target.as_bytes()) {
                learn(&mut rules, target, path);
            }
        }
        let mut predictions = Predictions::default();
        rules.predict(&request(0, &target), &mut predictions);
        for p in predictions.iter() {
            prop_assert!(!climbs(&p.path[p.root..]));
        }
    }
}
