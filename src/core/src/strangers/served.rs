//! What a stranger does behind requests that were served.

use super::*;

/// Which of some forgeries comes, whether twice, and what a victim asks for after one that has asked for the same.
type Round = (usize, bool, &'static str);

/// Found by chance. Without it, what a stranger had touched behind a victim's request counted as that one's own: a rule of the
/// stranger's was proven by it, or excused from having been wrong.
#[test]
fn what_is_touched_behind_a_request_that_was_served_proves_nothing() {
    let forged = |target: &str, path: &str, noticed| Forgery {
        host: 0,
        target: target.into(),
        path: path.into(),
        noticed,
        served: false,
    };
    let served = |target: &str| {
        let name = if target.ends_with('/') {
            "index.html"
        } else {
            ""
        };
        (target.to_owned(), format!("{ROOT}{target}{name}"))
    };
    let index = "/srv/www/a/b/index.html";
    let cases: [([Forgery; 2], &[Round]); 2] = [
        (
            [forged("/b/", index, true), forged("/c/b/", index, false)],
            &[
                (0, false, "/a"),
                (0, true, "/a"),
                (0, true, "/a"),
                (1, true, "/a"),
                (0, false, "/a"),
                (1, false, "/a"),
                (0, false, "/a"),
                (0, false, "/a"),
                (0, false, "/a"),
                (1, false, "/a"),
                (0, false, "/a"),
                (0, false, "/"),
                (1, false, "/d/da"),
                (1, true, "/c/b"),
                (1, true, "/a/a/b"),
            ],
        ),
        (
            [
                forged("/a/b/", "/srv/www/a/", false),
                forged("/d/a", "/srv/www/a/a", false),
            ],
            &[
                (1, true, "/a"),
                (1, true, "/b"),
                (0, false, "/a"),
                (1, true, "/"),
                (0, false, "/a"),
                (1, true, "/b"),
                (0, false, "/a"),
                (0, false, "/a"),
                (0, false, "/a"),
                (0, false, "/a"),
                (1, true, "/a"),
            ],
        ),
    ];
    for (forgeries, rounds) in cases {
        let mut world = learnt(&[]);
        for &(which, twice, other) in rounds {
            let forgery = &forgeries[which];
            (0..1 + usize::from(twice)).for_each(|_| world.suffers(forgery));
            for victim in [forgery.target.as_str(), other].map(served) {
                assert!(world.serves(&victim), "{victim:?} with {:?}", world.rules);
            }
        }
    }
}
