//! Many sites, users and names, of which no two share a directory.

use super::*;
use crate::recent::Recent;
use crate::recognise::{Http, Recogniser};

/// A loop that serves requests.
#[derive(Default)]
struct World {
    recent: Recent,
    rules: Rules,
    predictions: Predictions,
}

impl World {
    /// Asks for a target, whose server then opens a path: whether that was predicted.
    fn serves(&mut self, host: &str, target: &str, path: &str) -> bool {
        self.recent.new_iteration();
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut request = Request::default();
        Http.recognise(head.as_bytes(), &mut request).unwrap();
        self.rules.predict(&request, &mut self.predictions);
        self.recent
            .remember(&request, &self.predictions, &mut self.rules);
        let is_right = self.predictions.iter().any(|it| it.path == path.as_bytes());
        let hash = crate::hash(path.as_bytes());
        self.recent
            .attribute(path.as_bytes(), hash, Depth::Data, &mut self.rules);
        is_right
    }

    /// The same for some of them: how many were not predicted.
    fn missed(&mut self, asked: impl IntoIterator<Item = (String, String, String)>) -> usize {
        let asked = asked.into_iter();
        let right = asked.map(|(host, target, path)| self.serves(&host, &target, &path));
        right.filter(|right| !right).count()
    }
}

/// A number that looks like a hash.
fn digits(number: u64) -> String {
    format!("{:016x}", crate::hash(&number.to_ne_bytes()))
}

#[test]
fn hosts_have_a_directory_each() {
    let roots: [fn(u64) -> [String; 2]; 5] = [
        |n| [format!("h{n}.test"), format!("/srv/h{n}.test")],
        |n| [format!("www.h{n}.test"), format!("/srv/h{n}.test/htdocs")],
        |n| [format!("u{n}.test"), format!("/home/u{n}/public_html")],
        |n| [format!("h{n}.test"), format!("/srv/site{n}/www")],
        |n| [format!("H{n}.test:8080"), format!("./vhosts/h{n}.test")],
    ];
    for root in roots {
        let mut world = World::default();
        let ask = |number: u64, name: &str| {
            let [host, directory] = root(number);
            (host, format!("/d/{name}"), format!("{directory}/d/{name}"))
        };
        let first = world.missed((0..200).map(|number| ask(number, "a")));
        let second = world.missed((0..200).map(|number| ask(number, "b")));
        assert!(
            first <= 3 && second == 0,
            "{first}, {second}: {:?}",
            root(1)
        );
    }
}

#[test]
fn hosts_whose_directories_have_nothing_to_do_with_them_have_a_rule_each() {
    let mut world = World::default();
    let ask = |number: u64, name: &str| {
        let directory = digits(number);
        let path = format!("/srv/{directory}/{name}");
        (format!("h{number}.test"), format!("/{name}"), path)
    };
    world.missed((0..1000).map(|number| ask(number, "a")));
    let second = world.missed((0..1000).map(|number| ask(number, "b")));
    assert_eq!(second, 0);
}

#[test]
fn users_have_a_directory_each() {
    let ways: [fn(&str, &str) -> [String; 2]; 3] = [
        |user, name| {
            [
                format!("/~{user}/{name}"),
                format!("/home/{user}/public_html/{name}"),
            ]
        },
        |user, name| {
            [
                format!("/users/{user}/{name}"),
                format!("/srv/{}/{user}/www/{name}", &user[..1]),
            ]
        },
        |user, name| {
            [
                format!("/{user}/files/{name}"),
                format!("/data/{user}.d/{name}"),
            ]
        },
    ];
    for way in ways {
        let mut world = World::default();
        let ask = |number: u64, name: &str| {
            let user = format!("{}{number}", ["ann", "bob", "zoe"][number as usize % 3]);
            let [target, path] = way(&user, name);
            ("h".to_owned(), target, path)
        };
        let first = world.missed((0..200).map(|number| ask(number, "a.html")));
        let second = world.missed((0..200).map(|number| ask(number, "b.html")));
        assert!(first <= 4 && second == 0, "{first}, {second}");
    }
}

/// What users have is not looked for when others are asked for, which would silence it.
#[test]
fn users_are_marked() {
    let mut world = World::default();
    let ask = |number: u64| {
        let user = format!("u{number}");
        let path = format!("/home/{user}/public_html/x");
        ("h".to_owned(), format!("/~{user}/x"), path)
    };
    world.missed((0..4).map(ask));
    for number in 0..100 {
        world.serves(
            "h",
            &format!("/d{number}/x"),
            &format!("/srv/www/d{number}/x"),
        );
        assert!(number == 0 || world.predictions.len() == 1);
    }
    assert_eq!(world.missed((4..50).map(ask)), 0);
}

/// The directory of a user who asks for no file: an index file's, and a listing's.
#[test]
fn users_have_indexes() {
    let mut world = World::default();
    let ask = |number: u64| {
        let path = format!("/home/u{number}/public_html/index.html");
        ("h".to_owned(), format!("/~u{number}/"), path)
    };
    assert!(world.missed((0..50).map(ask)) <= 3);
}

#[test]
fn names_are_spread_over_directories() {
    let ways: [fn(&str) -> [String; 2]; 4] = [
        |name| {
            [
                format!("/img/{name}.jpg"),
                format!("/data/{}/{}/{name}.jpg", &name[..2], &name[2..4]),
            ]
        },
        |name| [format!("/{name}"), format!("/data/{}/{name}", &name[14..])],
        |name| {
            [
                format!("/i/{name}"),
                format!("/data/{}/{name}.webp", &name[..1]),
            ]
        },
        |name| [format!("/t/x/{name}.gz"), format!("/data/{name}/{name}.gz")],
    ];
    for way in ways {
        let mut world = World::default();
        let missed = world.missed((0..1010).map(|number| {
            let [target, path] = way(&digits(number));
            ("h".to_owned(), target, path)
        }));
        // In the first two the first directory may be the same by chance.
        assert!(missed <= 10, "{missed} with {:?}", way("0123456789abcdef"));
    }
}

#[test]
fn tokens_lead_nowhere() {
    let mut world = World::default();
    let missed = world.missed((0..1000).map(|number| {
        let target = format!("/dl/{}/{number}/f{number}.iso", digits(number));
        ("h".to_owned(), target, format!("/srv/files/f{number}.iso"))
    }));
    assert!(missed <= 3, "{missed}");
}

/// What is wrong falls silent, and does not keep the right rule from being known.
#[test]
fn a_template_that_was_found_by_chance_falls_silent() {
    let mut world = World::default();
    // Two aliases that seem to have a blank in common, and a root.
    for name in ["a", "b"] {
        world.serves("h", &format!("/{name}/x"), &format!("/data/{name}0/x"));
    }
    let ask = |number: u64| {
        let target = format!("/d{}/f{number}", number % 7);
        let path = format!("/srv/www{target}");
        ("h".to_owned(), target, path)
    };
    assert!(world.missed((0..100).map(ask)) <= 1);
    world.missed((100..110).map(ask));
    assert_eq!(world.predictions.len(), 1, "{:?}", world.predictions);
}

/// Nobody is led out of what two lessons had in common.
#[test]
fn blanks_are_filled_with_names_only() {
    let mut world = World::default();
    for number in 0..20 {
        let host = format!("h{number}.test");
        world.serves(&host, "/f", &format!("/srv/{host}/f"));
    }
    for host in ["..", "a/b", "/", ".", ""] {
        world.serves(host, "/f", "/srv/www/f");
        for it in world.predictions.iter() {
            let rest = &it.path[it.root..];
            assert!(
                it.path.starts_with(b"/srv/") && !climbs(rest),
                "{host}: {it:?}"
            );
        }
    }
    world.serves("h30.test", "/f", "");
    let said = world.predictions.iter().last().unwrap();
    assert_eq!(said.directory(), b"/srv/");
}
