//! What strangers can do to what is learnt of caches.

use super::tests::{get, learn, path, request, serve};
use super::{Caches, Learnt};
use crate::recognise::Request;
use proptest::prelude::*;

/// A stranger's request, and the key of its file: the server makes both as it always does.
fn stranger() -> impl Strategy<Value = Request> {
    let target = prop_oneof![
        "(/[a-c:?=]{0,3}){1,4}",
        Just("/http://b/x".to_owned()),
        Just("/x?http://b".to_owned())
    ];
    let header = prop_oneof![
        "X: [a-c]{1,3}",
        Just("X: http://b".to_owned()),
        Just("X: http".to_owned()),
        Just("Cookie: a=b; b=http://b/".to_owned())
    ];
    let host = prop_oneof![
        "[a-c]{1,3}",
        Just("http".to_owned()),
        Just("://b".to_owned())
    ];
    (target, header, host).prop_map(|(target, header, host)| {
        request(
            &format!("GET {target}"),
            &format!("Host: {host}\r\n{header}\r\n"),
        )
    })
}

proptest! {
    /// Without it, what some clients ask for could have the requests of all others stall for ever.
    #[test]
    fn strangers_do_not_keep_the_right_template_from_being_learnt(
        before in prop::collection::vec((stranger(), any::<bool>()), 0..30),
        between in prop::collection::vec(stranger(), 40),
    ) {
        let mut caches = Caches::default();
        let key_of = |request: &Request| {
            let target = request.text.target().unwrap_or_default();
            format!("http://b{}", String::from_utf8_lossy(target))
        };
        let mut serve_or_learn = |request: &Request| {
            let key = key_of(request);
            let is_right = serve(&mut caches, request, &path(&key));
            if !is_right {
                learn(&mut caches, &key, request);
            }
            is_right
        };
        for (request, twice) in &before {
            serve_or_learn(request);
            if *twice {
                serve_or_learn(request);
            }
        }
        let mut stalls = 0;
        for (number, stranger) in between.iter().enumerate() {
            let victim = get("victim.example", &format!("/d/f{number}.html"));
            stalls += usize::from(!serve_or_learn(&victim));
            serve_or_learn(stranger);
        }
        prop_assert!(stalls <= 4, "{stalls} stalls");
    }
}

proptest! {
    /// A key that teaches anything is predicted for its own request from then on.
    #[test]
    fn what_is_learnt_is_right_for_its_own_request(
        requests in prop::collection::vec((stranger(), "[a-c:/?= ]{0,9}", "[a-c:/?= ]{0,9}", any::<[bool; 2]>()), 1..12),
    ) {
        let mut caches = Caches::default();
        for (request, before, behind, [whole, host]) in &requests {
            let target = request.text.target().filter(|_| *whole).unwrap_or(&request.target);
            let name = if *host { request.text.host().unwrap_or_default() } else { Default::default() };
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let key = format!("{before}{}{}{behind}", text(&name), text(target));
            if learn(&mut caches, &key, request) != Learnt::Nothing {
                prop_assert!(serve(&mut caches, request, &path(&key)), "{key}");
            }
        }
    }
}
