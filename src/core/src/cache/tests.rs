//! Tests of what keys teach: by the keys that nginx makes by its own variables.

use super::file::{digits, CacheFile};
use super::{key_in, Caches, Learnt};
use crate::predictions::Predictions;
use crate::recognise::{Http, Recogniser, Request};
use md5::{Digest, Md5};

pub(super) fn request(line: &str, headers: &str) -> Request {
    let mut request = Request::default();
    let head = format!("{line} HTTP/1.1\r\n{headers}\r\n");
    Http.recognise(head.as_bytes(), &mut request).unwrap();
    request
}

pub(super) fn get(host: &str, target: &str) -> Request {
    request(&format!("GET {target}"), &format!("Host: {host}\r\n"))
}

fn name(key: &str) -> String {
    let mut sum = Md5::new();
    sum.update(key);
    String::from_utf8(digits(sum).to_vec()).unwrap()
}

/// Where a cache of `levels=1:2` keeps it.
pub(super) fn path(key: &str) -> String {
    let name = name(key);
    format!("/var/cache/a/{}/{}/{name}", &name[31..], &name[29..31])
}

/// The server opens the file with this key, for one of these requests.
fn learn_in(caches: &mut Caches, path: &str, key: &str, requests: &[Request]) -> Learnt {
    let file = CacheFile::of(path.as_bytes()).unwrap();
    caches.learn(&file, key.as_bytes(), requests.iter())
}

pub(super) fn learn(caches: &mut Caches, key: &str, request: &Request) -> Learnt {
    learn_in(caches, &path(key), key, std::slice::from_ref(request))
}

fn predicted(caches: &mut Caches, request: &Request) -> Vec<String> {
    let mut predictions = Predictions::default();
    caches.predict(request, (true, true), &mut predictions);
    let text = |path: &[u8]| String::from_utf8(path.to_vec()).unwrap();
    predictions.iter().map(|it| text(it.path)).collect()
}

/// As a request that is served: is its file predicted, and which is opened?
pub(super) fn serve(caches: &mut Caches, request: &Request, path: &str) -> bool {
    let mut predictions = Predictions::default();
    caches.predict(request, (true, true), &mut predictions);
    let right = predictions.iter().find(|it| it.path == path.as_bytes());
    if let Some(it) = right {
        caches.came_true(it.rule, request);
    }
    right.is_some()
}

#[test]
fn files_and_levels() {
    let name = "b7f54b2df7773722d382f4809d65029c";
    for (above, levels, directory) in [
        ("/k/", &[][..], "/k/"),
        ("/cache/c/29/", &[1, 2], "/cache/"),
        ("/cache/9c/02/65/", &[2, 2, 2], "/cache/"),
        ("/cache/c/9/", &[1, 1], "/cache/"),
        ("/cache/9c/", &[2], "/cache/"),
        ("/x/29/", &[], "/x/29/"),
        ("./c/29/", &[1, 2], "./"),
        ("/a/b/d/c/29/", &[1, 2], "/a/b/d/"),
    ] {
        let path = format!("{above}{name}");
        let file = CacheFile::of(path.as_bytes()).unwrap();
        assert_eq!(file.levels.as_slice(), levels, "{path}");
        assert_eq!(file.directory, directory.as_bytes(), "{path}");
    }
    for path in [
        "/c/B7F54B2DF7773722D382F4809D65029C",
        "/c/b7f54b2df7773722d382f4809d65029c.0000000001",
        "/c/b7f54b2df7773722d382f4809d65029",
        "b7f54b2df7773722d382f4809d65029c",
        "",
    ] {
        assert_eq!(CacheFile::of(path.as_bytes()), None, "{path}");
    }
}

/// Without it, whatever stands in a file would be taken for its key.
#[test]
fn a_key_is_that_of_its_file() {
    let key = "http://backend/a?b";
    let file = format!("\x05\0\0KEY: none\0\nKEY: {key}\nHTTP/1.1 200 OK\r\n");
    let own = name(key);
    assert_eq!(
        key_in(file.as_bytes(), own.as_bytes()),
        Some(key.as_bytes())
    );
    assert_eq!(key_in(file.as_bytes(), name("x").as_bytes()), None);
    assert_eq!(key_in(&file.as_bytes()[..20], own.as_bytes()), None);
}

/// Each line: how keys are made, of a request's `target` (with `query`), host `H`, and whatever else it says.
#[test]
fn templates_of_common_configurations() {
    type Make = fn(&str, &str, &str) -> String;
    let makes: [(&str, Make); 10] = [
        ("no proxy_cache_key", |_, uri, query| {
            format!("http://b:80{uri}{query}")
        }),
        ("$scheme$proxy_host$request_uri", |_, uri, query| {
            format!("httpb{uri}{query}")
        }),
        (
            "$scheme$request_method$host$request_uri",
            |host, uri, query| format!("httpGET{host}{uri}{query}"),
        ),
        ("$scheme://$host$request_uri", |host, uri, query| {
            format!("http://{host}{uri}{query}")
        }),
        ("$host$uri", |host, uri, _| format!("{host}{uri}")),
        ("$uri$is_args$args", |_, uri, query| format!("{uri}{query}")),
        ("$request_uri|$host", |host, uri, query| {
            format!("{uri}{query}|{host}")
        }),
        ("$uri", |_, uri, _| uri.to_owned()),
        ("$host:$request_method:$uri:$args", |host, uri, query| {
            format!("{host}:GET:{uri}:{}", query.strip_prefix('?').unwrap_or(""))
        }),
        ("$host$request_uri $cookie_user", |host, uri, query| {
            format!("{host}{uri}{query} ")
        }),
    ];
    for (template, make) in makes {
        let mut caches = Caches::default();
        let mut stalls = 0;
        let all = (0..60).map(|number| {
            let host = ["www.example.org", "other.example"][number % 2];
            let uri = format!("/d{}/f{number}.html", number % 3);
            let query = ["", "?a=1&b=2", "?q=x"][number % 3];
            (host, uri, query)
        });
        for (host, uri, query) in all {
            let request = get(host, &format!("{uri}{query}"));
            let key = make(host, &uri, query);
            if !serve(&mut caches, &request, &path(&key)) {
                stalls += 1;
                assert_ne!(learn(&mut caches, &key, &request), Learnt::Nothing);
            }
        }
        assert!(stalls <= 4, "{template}: {stalls} stalls, {caches:?}");
    }
}

/// `proxy_pass http://b/other/` puts something else in the place of the location's prefix.
#[test]
fn a_prefix_that_is_replaced() {
    let mut caches = Caches::default();
    learn(
        &mut caches,
        "http://b/other/x.jpg?w=1",
        &get("h", "/img/x.jpg?w=1"),
    );
    let right = [path("http://b/other/sub/y.jpg")];
    assert_eq!(predicted(&mut caches, &get("h", "/img/sub/y.jpg")), right);
    assert!(predicted(&mut caches, &get("h", "/pages/y.jpg")).is_empty());
    assert!(predicted(&mut caches, &get("h", "/imgs/y.jpg")).is_empty());
}

#[test]
fn escaped_targets() {
    let mut caches = Caches::default();
    learn(&mut caches, "b/a b/c", &get("h", "/a%20b/c"));
    assert_eq!(predicted(&mut caches, &get("h", "/d%2fe")), [path("b/d/e")]);
    let mut caches = Caches::default();
    learn(&mut caches, "b/a%20b/c", &get("h", "/a%20b/c"));
    assert_eq!(
        predicted(&mut caches, &get("h", "/d%2fe")),
        [path("b/d%2fe")]
    );
}

#[test]
fn schemes() {
    for (key, is_own) in [("http://h.example/", true), ("http://backend/", false)] {
        let mut caches = Caches::default();
        learn(&mut caches, &format!("{key}x"), &get("h.example", "/x"));
        let mut secure = get("h.example", "/y");
        secure.is_secure = true;
        let scheme = if is_own { "https" } else { "http" };
        let key = key.strip_prefix("http").unwrap();
        assert_eq!(
            predicted(&mut caches, &secure),
            [path(&format!("{scheme}{key}y"))]
        );
    }
}

/// What a cookie or a header contributes is known once two requests differ in it.
#[test]
fn cookies_and_headers() {
    for name in ["Cookie: a=b; lang=", "Accept-Language: "] {
        let mut caches = Caches::default();
        let of = |lang: &str, target: &str| {
            request(
                &format!("GET {target}"),
                &format!("Host: h.example\r\n{name}{lang}\r\n"),
            )
        };
        let key = |lang: &str, target: &str| format!("h.example{target}|{lang}");
        learn(&mut caches, &key("en", "/x"), &of("en", "/x"));
        learn(&mut caches, &key("de", "/x"), &of("de", "/x"));
        for (number, lang) in ["fr", "en", "de", "it", "pt-BR", "en"].iter().enumerate() {
            let target = format!("/d{number}/y");
            let right = path(&key(lang, &target));
            assert!(
                serve(&mut caches, &of(lang, &target), &right),
                "{name} {lang}"
            );
        }
    }
}

/// Of many requests the one that the key is made of teaches.
#[test]
fn the_right_one_of_many_requests() {
    let targets = ["/", "/a", "/d/a", "/d/a?b", "/e/d/a?b", "/b"];
    let requests = targets.map(|target| get("h.example", target));
    let mut caches = Caches::default();
    let key = "http://b/e/d/a?b";
    assert_eq!(
        learn_in(&mut caches, &path(key), key, &requests),
        Learnt::New
    );
    for target in ["/", "/x?y"] {
        let right = [path(&format!("http://b{target}"))];
        assert_eq!(predicted(&mut caches, &get("h", target)), right);
    }
    let key = "http://b/somewhere/else";
    assert_eq!(
        learn_in(&mut caches, &path(key), key, &requests),
        Learnt::Nothing
    );
}

/// Two caches, each for a part of the site. Without it, each request would be looked up in both.
#[test]
fn several_caches() {
    let mut caches = Caches::default();
    let path = |part: &str, key: &str| format!("/cache-{part}/{}", name(key));
    for round in 0..4 {
        for part in ["a", "b"] {
            let request = get("h", &format!("/{part}/{round}"));
            let key = format!("http://{part}.test/{part}/{round}");
            let right = path(part, &key);
            if round == 0 {
                learn_in(&mut caches, &right, &key, &[request]);
            } else {
                assert_eq!(predicted(&mut caches, &request), [&right[..]]);
                assert!(serve(&mut caches, &request, &right));
            }
        }
    }
    // What is known of one site is asked first elsewhere in it; of another, and where there are several, all are.
    assert_eq!(predicted(&mut caches, &get("other", "/a/x")).len(), 2);
    assert_eq!(predicted(&mut caches, &get("h", "/c/x")).len(), 2);
    // One that no cache answers.
    caches.was_answered_otherwise(&get("h", "/c/x"));
    assert!(predicted(&mut caches, &get("h", "/c/y")).is_empty());
    // Of the first part one answer came from elsewhere, too: it is still looked up.
    caches.was_answered_otherwise(&get("h", "/a/x"));
    assert_eq!(predicted(&mut caches, &get("h", "/a/y")).len(), 1);
}

/// Without it, the files that a server names otherwise since would be looked up for ever.
#[test]
fn a_template_that_is_wrong_falls_silent() {
    let mut caches = Caches::default();
    let of = |number: usize| get("h", &format!("/{number}"));
    learn(&mut caches, "http://old/0", &of(0));
    for number in 1..9 {
        assert!(serve(
            &mut caches,
            &of(number),
            &path(&format!("http://old/{number}"))
        ));
    }
    let mut wrong = 0;
    for number in 9..30 {
        let right = path(&format!("http://new/{number}"));
        if !serve(&mut caches, &of(number), &right) {
            learn(&mut caches, &format!("http://new/{number}"), &of(number));
        }
        let all = predicted(&mut caches, &of(number));
        wrong += all.iter().filter(|path| **path != right).count();
    }
    assert_eq!(wrong, 0);
    // It comes back, and speaks at once.
    learn(&mut caches, "http://old/7", &of(7));
    assert!(predicted(&mut caches, &of(8)).contains(&path("http://old/8")));
}

/// Without it, a site whose answers are not cached would have each request wait for a look-up.
#[test]
fn what_is_never_there_is_seldom_looked_up() {
    let mut caches = Caches::default();
    let of = |number: usize| get("h", &format!("/{number}"));
    learn(&mut caches, "http://b/0", &of(0));
    let count = |caches: &mut Caches, range: core::ops::Range<usize>| {
        range
            .filter(|number| !predicted(caches, &of(*number)).is_empty())
            .count()
    };
    assert_eq!(count(&mut caches, 0..1024), 1024);
    assert_eq!(count(&mut caches, 0..1600), 100);
    // Something is cached again.
    while !serve(&mut caches, &of(1), &path("http://b/1")) {}
    assert_eq!(count(&mut caches, 0..100), 100);
}

#[test]
fn only_the_beginning_is_read_where_that_will_do() {
    let mut caches = Caches::default();
    learn(&mut caches, "http://b/0", &get("h", "/0"));
    let mut length = |request: &Request, for_data| {
        let mut predictions = Predictions::default();
        caches.predict(request, (for_data, true), &mut predictions);
        let it = predictions.iter().next().unwrap();
        assert_eq!(it.span.start(0), 0, "the header stands there");
        it.span.length()
    };
    assert_eq!(length(&get("h", "/1"), true), None);
    assert_eq!(length(&get("h", "/1"), false), Some(1));
    let ranged = request("GET /1", "Host: h\r\nRange: bytes=100-199\r\n");
    assert_eq!(length(&ranged, true), Some(4296));
    let far = request("GET /1", "Host: h\r\nRange: bytes=1000000-\r\n");
    assert_eq!(length(&far, true), Some(1));
}
