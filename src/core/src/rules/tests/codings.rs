//! Files that lie beside others, coded.

use super::*;
use crate::recent::Recent;
use crate::recognise::{Codings, Span};

/// A loop that serves files, where a server looks for a coded one first if the client takes that.
#[derive(Default)]
struct World {
    recent: Recent,
    rules: Rules,
    predictions: Predictions,
}

fn get(target: &str, codings: Codings) -> Request {
    Request {
        codings,
        ..request(0, target)
    }
}

impl World {
    /// What is predicted for a request: each path, and whether that is for the place of another one.
    fn predicted(&mut self, target: &str, codings: Codings) -> Vec<(String, bool)> {
        self.rules
            .predict(&get(target, codings), &mut self.predictions);
        let path = |p: Prediction<'_>| {
            let path = String::from_utf8(p.path.to_vec()).unwrap();
            (path, p.stands_for != 0)
        };
        self.predictions.iter().map(path).collect()
    }

    fn serves(&mut self, target: &str, codings: Codings, opened: &[&str]) {
        self.recent.new_iteration();
        self.predicted(target, codings);
        let request = get(target, codings);
        self.recent
            .remember(&request, &self.predictions, &mut self.rules);
        for path in opened {
            let hash = crate::hash(path.as_bytes());
            self.recent
                .attribute(path.as_bytes(), hash, Depth::Data, &mut self.rules);
        }
    }
}

const NONE: Codings = Codings::from_bits(0);

/// Without it, clients that take a coding silence the rule for plain files, or have both files read.
#[test]
fn each_client_has_what_it_takes() {
    let gzip = Codings::of(b"gzip");
    let mut world = World::default();
    for number in 0..200 {
        let target = format!("/f{number}");
        let (plain, coded) = (format!("/srv/f{number}"), format!("/srv/f{number}.gz"));
        match number % 10 {
            0 => world.serves(&target, NONE, &[&plain]),
            // It is not there coded.
            1 => world.serves(&target, gzip, &[&coded, &plain]),
            _ => world.serves(&target, gzip, &[&coded]),
        }
    }
    let plain = ("/srv/x".to_string(), false);
    assert_eq!(world.predicted("/x", NONE), std::slice::from_ref(&plain));
    let mut both = world.predicted("/x", gzip);
    both.sort();
    assert_eq!(both, [plain.clone(), ("/srv/x.gz".into(), true)]);
    // Nobody knows what this one takes, so both may be wanted.
    let mut both = world.predicted("/x", Codings::UNKNOWN);
    both.sort();
    assert_eq!(both, [plain, ("/srv/x.gz".into(), false)]);
    let all = [NONE, gzip, Codings::UNKNOWN].map(|codings| {
        world.predicted("/x", codings);
        world.rules.are_proven(&world.predictions)
    });
    assert_eq!(all, [true; 3]);
}

#[test]
fn some_servers_send_coded_files_to_all() {
    let mut world = World::default();
    for number in 0..40 {
        let codings = if number % 2 == 0 {
            NONE
        } else {
            Codings::of(b"gzip")
        };
        let (target, file) = (format!("/f{number}"), format!("/srv/f{number}.gz"));
        world.serves(&target, codings, &[&file]);
    }
    for codings in [NONE, Codings::of(b"gzip"), Codings::UNKNOWN] {
        let paths: Vec<String> = world
            .predicted("/x", codings)
            .into_iter()
            .map(|it| it.0)
            .collect();
        assert_eq!(paths, ["/srv/x.gz"]);
    }
}

/// Without it, a server that sends a plain file where there is a coded one would stall each time.
#[test]
fn what_is_read_all_the_same_is_expected_for_a_while() {
    let gzip = Codings::of(b"gzip");
    let mut world = World::default();
    world.serves("/a", gzip, &["/srv/a.gz", "/srv/a"]);
    let yields = |world: &mut World| world.predicted("/x", gzip).iter().any(|it| it.1);
    assert!(yields(&mut world));
    world.rules.expect_plain_files();
    let count = (0..1000).take_while(|_| !yields(&mut world)).count();
    assert_eq!(count, 64);
}

#[test]
fn what_is_asked_for_by_its_coded_name_is_a_file_like_others() {
    let mut world = World::default();
    world.serves("/a.gz", NONE, &["/srv/a.gz"]);
    assert_eq!(world.predicted("/b", NONE), [("/srv/b".to_string(), false)]);
}

#[test]
fn each_part_that_is_asked_for_is_predicted() {
    let mut rules = Rules::default();
    learn(&mut rules, "/a", "/srv/a").unwrap();
    let mut predictions = Predictions::default();
    let ranges = crate::recognise::Ranges::of(b"bytes=0-9,5000000-5000009,-10");
    let request = Request {
        ranges,
        ..request(0, "/b")
    };
    let spans = |rules: &mut Rules, predictions: &mut Predictions| -> Vec<Span> {
        rules.predict(&request, predictions);
        predictions.iter().map(|it| it.span).collect()
    };
    assert_eq!(
        spans(&mut rules, &mut predictions),
        ranges.iter().collect::<Vec<_>>()
    );
    // A server that sends the whole file was seen.
    rules.expect_data_for_conditions();
    assert_eq!(
        spans(&mut rules, &mut predictions),
        [Span::From(0), Span::Part(5_000_000, 10), Span::Last(10)]
    );
}
