//! Tests of what strangers can do to what is learnt: requests and operations in any order, as [`crate::recent`] and
//! [`crate::rules`] meet them.

mod served;

use crate::predictions::{Depth, Prediction, Predictions};
use crate::recent::Recent;
use crate::recognise::{decode_target, Http, Recogniser, Request, MAX_PIPELINED};
use crate::rules::Rules;
use proptest::prelude::*;

const ROOT: &str = "/srv/www";

/// A request of the host whose clients are the victims, and what its server touches for it.
fn victim() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        "(/[a-d]{1,2}){1,3}".prop_map(|target| (target.clone(), format!("{ROOT}{target}"))),
        "(/[a-d]{1,2}){0,2}/"
            .prop_map(|target| (target.clone(), format!("{ROOT}{target}index.html"))),
    ]
}

/// What a stranger does, in one iteration.
#[derive(Clone, Debug)]
struct Forgery {
    /// Of the victims' host, or of another one.
    host: u64,
    /// What is understood of what it asks for.
    target: String,
    /// The path that the server touches meanwhile, for a request that nobody knows of.
    path: String,
    /// Whether it is known that something was not understood.
    noticed: bool,
    /// Whether the server touches the right path, too.
    served: bool,
}

fn forgery() -> impl Strategy<Value = Forgery> {
    let target = "(/[a-d]{1,2}){1,3}/?";
    // Much in common, so that most of them teach something.
    let directory = prop_oneof![Just("/srv/www/a".to_owned()), "(/[a-d]{1,2}){1,2}"];
    let suffix = prop_oneof![Just(String::new()), "[.]gz|index[.]html|/x"];
    (
        0..3u64,
        target,
        any::<u8>(),
        directory,
        suffix,
        any::<[bool; 2]>(),
    )
        .prop_map(
            |(host, target, cut, directory, suffix, [noticed, served])| {
                let slashes: Vec<usize> = target.match_indices('/').map(|(at, _)| at).collect();
                let tail = &target[slashes[usize::from(cut) % slashes.len()]..];
                let path = format!("{directory}{tail}{suffix}");
                Forgery {
                    host,
                    target,
                    path,
                    noticed,
                    served,
                }
            },
        )
}

/// The host of the victims, where bytes name it.
const HOST: &str = "victim.example";

/// Bytes that a stranger sends: requests as servers take them, or do not take them, and what is none.
fn odd_bytes() -> impl Strategy<Value = Vec<u8>> {
    let target = "(/[a-d]{1,2}){1,3}/?";
    let form = (0..8usize, target).prop_map(|(form, target)| match form {
        0 => format!("//{HOST}{target}"),
        1 => format!("http://{HOST}{target}"),
        2 => format!("http://other.example:80{target}"),
        3 => format!("/%2e{target}?{target}"),
        4 => format!("{target}#{target}"),
        5 => format!("{target}%2f..{target}"),
        _ => target,
    });
    let of = |choices: &'static [&'static str]| prop::sample::select(choices);
    let line = (
        of(&["", "", "\r\n", "\n", "\r\n\r\n", "\r", " ", "\0"]),
        of(&[
            "GET", "GET", "GET", "HEAD", "POST", "PUT", "get", "GETS", "OPTIONS",
        ]),
        of(&[" ", " ", " ", "  ", "\t"]),
        form,
        of(&[
            " HTTP/1.1",
            " HTTP/1.1",
            " HTTP/1.0",
            " HTTP/9.9",
            "  HTTP/1.1",
            "",
        ]),
    );
    let header = of(&[
        "Host: victim.example",
        "Host: victim.example",
        "host:other.example",
        "Host : victim.example",
        "Host:",
        "X: y",
        "X: y\r\n folded",
        "no header",
        "Content-Length: 60",
        "Transfer-Encoding: chunked",
        "Range: bytes=0-0",
        "If-None-Match: *",
        "Expect: 100-continue",
        "\0: x",
    ]);
    let request = (
        line,
        prop::collection::vec(header, 0..4),
        of(&["\r\n", "\r\n", "\n", "\r"]),
    );
    let text = request.prop_map(|((before, method, space, target, version), headers, end)| {
        let headers: String = headers
            .iter()
            .map(|header| format!("{header}{end}"))
            .collect();
        format!("{before}{method}{space}{target}{version}{end}{headers}{end}")
    });
    // What follows may be a body, or the next request; all may be cut anywhere.
    (
        prop::collection::vec(text, 1..4),
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(texts, cut, is_cut)| {
            let mut bytes = texts.concat().into_bytes();
            if is_cut {
                bytes.truncate(cut.index(bytes.len()) + 1);
            }
            bytes
        })
}

/// A loop that has just begun.
#[derive(Default)]
struct World {
    recent: Recent,
    rules: Rules,
    predictions: Predictions,
}

impl World {
    fn reads(&mut self, host: u64, target: &str) {
        self.recent.new_iteration();
        let mut request = Request {
            host,
            wants_body: true,
            ..Request::default()
        };
        decode_target(target.as_bytes(), &mut request.target).unwrap();
        self.rules.predict(&request, &mut self.predictions);
        self.recent
            .remember(&request, &self.predictions, &mut self.rules);
    }

    /// A look at what a client has sent, as the loop takes it.
    fn looks_at(&mut self, bytes: &[u8]) {
        self.recent.new_iteration();
        let mut request = Request::default();
        let mut at = 0;
        for _ in 0..MAX_PIPELINED {
            if at == bytes.len() {
                return;
            }
            match Http.recognise(&bytes[at..], &mut request) {
                Ok(taken) => at += taken,
                Err(_) => return self.recent.has_not_understood(),
            }
            self.rules.predict(&request, &mut self.predictions);
            self.recent
                .remember(&request, &self.predictions, &mut self.rules);
            if request.has_body {
                return self.recent.has_not_understood();
            }
        }
    }

    fn touches(&mut self, path: &str) {
        let hash = crate::hash(path.as_bytes());
        self.recent
            .attribute(path.as_bytes(), hash, Depth::Data, &mut self.rules);
    }

    /// Serves a victim, and says whether its file was predicted.
    fn serves(&mut self, (target, path): &(String, String)) -> bool {
        self.reads(1, target);
        let is_right = self
            .predictions
            .iter()
            .any(|it| it.path == path.as_bytes() && it.depth == Depth::Data);
        self.touches(path);
        is_right
    }

    fn suffers(&mut self, forgery: &Forgery) {
        self.reads(forgery.host, &forgery.target);
        if forgery.noticed {
            self.recent.has_not_understood();
        }
        if forgery.served {
            self.touches(&format!("{ROOT}{}", forgery.target));
        }
        self.touches(&forgery.path);
    }
}

/// Some victims, for whom the rules are learnt: one of each kind is the least.
fn learnt(before: &[(String, String)]) -> World {
    let mut world = World::default();
    for (target, path) in [("/a", "/srv/www/a"), ("/", "/srv/www/index.html")] {
        for _ in 0..2 {
            world.serves(&(target.to_owned(), path.to_owned()));
        }
    }
    for victim in before {
        world.serves(victim);
    }
    world
}

proptest! {
    /// Without it, one request could teach a rule that outranks the right one for the victim's host, replaces it, or
    /// silences it.
    #[test]
    fn a_few_forgeries_never_cost_a_victim_its_prediction(
        before in prop::collection::vec(victim(), 0..40),
        forgeries in prop::collection::vec(forgery(), 1..7),
        repeated in any::<bool>(),
        after in prop::collection::vec(victim(), 1..60),
        places in prop::collection::vec(any::<prop::sample::Index>(), 7),
    ) {
        let mut world = learnt(&before);
        let forgeries: Vec<&Forgery> = if repeated {
            forgeries.iter().map(|_| &forgeries[0]).collect()
        } else {
            forgeries.iter().collect()
        };
        for (number, victim) in after.iter().enumerate() {
            for (forgery, place) in forgeries.iter().zip(&places) {
                if place.index(after.len()) == number {
                    world.suffers(forgery);
                }
            }
            prop_assert!(world.serves(victim), "{victim:?} with {:?}", world.rules);
        }
    }

    /// The same for whatever bytes a stranger sends, and whatever the server makes of them.
    #[test]
    fn odd_bytes_never_cost_a_victim_its_prediction(
        before in prop::collection::vec(victim(), 0..40),
        strangers in prop::collection::vec((odd_bytes(), forgery()), 1..7),
        after in prop::collection::vec(victim(), 1..60),
        places in prop::collection::vec(any::<prop::sample::Index>(), 7),
    ) {
        let mut world = learnt(&before);
        for (number, victim) in after.iter().enumerate() {
            for ((bytes, forgery), place) in strangers.iter().zip(&places) {
                if place.index(after.len()) == number {
                    world.looks_at(bytes);
                    if forgery.served {
                        world.touches(&format!("{ROOT}{}", forgery.target));
                    }
                    world.touches(&forgery.path);
                }
            }
            let head = format!("GET {} HTTP/1.1\r\nHost: {HOST}\r\n\r\n", victim.0);
            world.looks_at(head.as_bytes());
            let predicted = |it: Prediction<'_>| {
                let depth = if it.span.length().is_none() { Depth::Data } else { Depth::Name };
                it.path == victim.1.as_bytes() && it.depth == depth
            };
            prop_assert!(world.predictions.iter().any(predicted), "{victim:?} with {:?}", world.rules);
            world.touches(&victim.1);
        }
    }

    /// Each forgery is repeated up to once before a victim asks for the same. Without it, a stranger who goes on and
    /// on could do in the long run what it cannot do at once.
    #[test]
    fn nor_do_many_where_victims_come_between(
        forgeries in prop::collection::vec(forgery(), 1..4),
        rounds in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), victim()), 1..200),
    ) {
        let mut world = learnt(&[]);
        for (which, twice, other) in rounds {
            let forgery = which.get(&forgeries);
            world.suffers(forgery);
            if twice {
                world.suffers(forgery);
            }
            let name = if forgery.target.ends_with('/') { "index.html" } else { "" };
            let same = (forgery.target.clone(), format!("{ROOT}{}{name}", forgery.target));
            for victim in [same, other] {
                prop_assert!(world.serves(&victim), "{victim:?} with {:?}", world.rules);
            }
        }
    }

    /// What strangers have done before the first victim comes must not keep the right rules from being learnt. Without
    /// it, a stranger who is the first to come could have a server stall for ever.
    #[test]
    fn rules_are_learnt_in_spite_of_forgeries(
        forgeries in prop::collection::vec(forgery(), 0..30),
        victims in prop::collection::vec(victim(), 60),
    ) {
        let mut world = World::default();
        forgeries.iter().for_each(|forgery| world.suffers(forgery));
        let right = victims.iter().map(|victim| world.serves(victim));
        let wrong = right.filter(|right| !right).count();
        prop_assert!(wrong < 30, "{wrong} of 60 with {:?}", world.rules);
        for victim in &victims {
            prop_assert!(world.serves(victim), "{victim:?} with {:?}", world.rules);
        }
    }
}

/// An iteration in which something was not understood teaches only the obvious, and nothing where a rule speaks already.
/// Without it, the files of requests that nobody understands would become rules for those that everybody does.
#[test]
fn what_was_not_understood_teaches_nothing() {
    let mut world = World::default();
    // Not the obvious: an alias, an index.
    for (target, path) in [("/img/x", "/data/x"), ("/", "/srv/www/index.html")] {
        world.reads(1, target);
        world.recent.has_not_understood();
        world.touches(path);
        assert!(world.rules.is_empty(), "{path}");
    }
    // The whole target, and nothing is known: a server whose every iteration has other clients learns as well.
    world.reads(1, "/x");
    world.recent.has_not_understood();
    world.touches("/srv/www/x");
    assert!(world.serves(&("/y".to_owned(), "/srv/www/y".to_owned())));
    // Something is known.
    world.reads(1, "/x");
    world.recent.has_not_understood();
    world.touches("/srv/www/sub/x");
    world.reads(1, "/z");
    assert_eq!(world.predictions.len(), 1);
    // Three turns later nothing of it is left.
    for _ in 0..3 {
        world.recent.new_iteration();
    }
    world.reads(1, "/x");
    world.touches("/srv/www/sub/x");
    world.reads(1, "/z");
    assert_eq!(world.predictions.len(), 2);
}

/// Without the first, 1.7 KB of requests that are answered "not modified" have 40 MB read. Without the second, a
/// client has every cold file stall by a condition that is never met.
#[test]
fn conditional_requests_are_for_names_until_a_handler_reads() {
    let mut world = learnt(&[]);
    let head = b"GET /b HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"1\"\r\n\r\n";
    let mut request = Request::default();
    Http.recognise(head, &mut request).unwrap();
    let depth = |world: &mut World| {
        world.recent.new_iteration();
        world.rules.predict(&request, &mut world.predictions);
        world
            .recent
            .remember(&request, &world.predictions, &mut world.rules);
        world.predictions.iter().next().map(|it| it.depth)
    };
    for _ in 0..100 {
        assert_eq!(depth(&mut world), Some(Depth::Name));
        // The server opens the file, and is none the worse for it.
        world.touches("/srv/www/b");
    }
    world.recent.waited_for_data(&mut world.rules);
    for _ in 0..64 {
        assert_eq!(depth(&mut world), Some(Depth::Data));
    }
    assert_eq!(depth(&mut world), Some(Depth::Name));
    // What stalls for plain requests changes nothing.
    (0..3).for_each(|_| world.recent.new_iteration());
    world.serves(&("/a".to_owned(), "/srv/www/a".to_owned()));
    world.recent.waited_for_data(&mut world.rules);
    assert_eq!(depth(&mut world), Some(Depth::Name));
}
