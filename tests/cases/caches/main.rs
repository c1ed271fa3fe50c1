//! nginx's caches on a slow disk: what is cached and cold is held back, what is not goes to the application, and every answer
//! is compared.

mod clients;
mod requests;
mod site;

use anyhow::{ensure, Context as _};
use laio_tests::backend::Protocol;
use laio_tests::stats::Stats;
use laio_tests::{run, Need, Preload, Result, Test};
use site::{Ask, Plan, Site};
use std::process::ExitCode;

/// What is cached, and what is asked for beside that.
const CACHED: usize = 160;
const OTHERS: usize = 40;

/// A cache of the usual kind.
const ZONE: &str =
    "proxy_cache_path @DISK@/cache levels=1:2 keys_zone=a:1m use_temp_path=off; proxy_cache_valid 200 1h;\n";
const LOCATION: &str = "location / { proxy_pass http://@BACKEND@; proxy_cache a; }\n";

/// A plan for `proxy_cache`.
fn proxy(http: &str, server: &str, ask: fn(usize) -> Ask) -> Plan {
    Plan {
        protocol: Protocol::Http,
        http: http.into(),
        server: server.into(),
        ask,
    }
}

fn plain(number: usize) -> Ask {
    Ask::get(format!("/d{}/f{number}.html", number % 3))
}

fn with_query(number: usize) -> Ask {
    let query = ["?a=1&b=%20", "", "?q"][number % 3];
    Ask::get(format!("/d/f{number}.html{query}"))
}

fn escaped(number: usize) -> Ask {
    Ask::get(format!("/%64%20e/f{number}%2B.html"))
}

fn of_hosts(number: usize) -> Ask {
    Ask {
        host: ["main.test", "Other.test:80"][number % 2],
        ..with_query(number)
    }
}

fn in_two_parts(number: usize) -> Ask {
    Ask::get(format!("/{}/f{number}.html", ["one", "two"][number % 2]))
}

/// The application is asked for something else than the client asks for.
fn below_images(number: usize) -> Ask {
    Ask {
        asked: Some(format!("/other/f{number}.html?w={number}")),
        ..Ask::get(format!("/img/f{number}.html?w={number}"))
    }
}

fn by_cookie(number: usize) -> Ask {
    let kind = ["en", "de", "pt-BR"][number % 3];
    Ask {
        more: format!("Cookie: s=1; lang={kind}\r\n"),
        kind: kind.into(),
        ..plain(number / 2)
    }
}

fn by_header(number: usize) -> Ask {
    let kind = ["en", "de", "pt-BR"][number % 3];
    Ask {
        more: format!("Accept-Language: {kind}\r\n"),
        kind: kind.into(),
        ..plain(number / 2)
    }
}

/// What was held back: nearly all of what was cold, and nothing was read for nothing.
fn check_held_back(stats: &Stats, cold: usize) -> Result {
    let (gated, stalls) = (stats.gated() as usize, stats.stalls() as usize);
    ensure!(
        gated >= cold * 3 / 4 && stalls <= cold / 2,
        "{gated} of {cold} were held back, and there were {stalls} stalls\n{stats}"
    );
    ensure!(
        stats.sum("/jobs/cache_keys") > 0,
        "no key was read\n{stats}"
    );
    Ok(())
}

/// Hits that are cold, and misses beside hits.
fn case(plan: &Plan) -> Result {
    let site = Site::up(plan)?;
    let all: Vec<Ask> = (0..CACHED + OTHERS).map(plan.ask).collect();
    let (cached, others) = all.split_at(CACHED);
    site.fill(cached)?;
    let before = site.backend.asked();
    let served = site.serve(&Preload::on()?.with("LAIO_BREAK_EVEN_US", "0"))?;
    served.visit(cached, "HIT").context("cached")?;
    let stats = served.stats()?;
    check_held_back(&stats, CACHED)?;
    ensure!(
        site.backend.asked() == before,
        "the application was asked for what is cached"
    );
    served.visit(others, "MISS").context("not cached")?;
    ensure!(
        site.backend.asked() - before == OTHERS,
        "the application was asked {} times for {OTHERS}",
        site.backend.asked() - before
    );
    served.visit(others, "HIT").context("cached just now")?;
    let stats = served.stats()?;
    served.end()?;
    println!("{stats}");
    Ok(())
}

fn main() -> ExitCode {
    let one = |key: &str| format!("{LOCATION} proxy_cache_key {key};\n");
    let zone = |more: &str| ZONE.replace("levels=1:2", more);
    let two = "proxy_cache_path @DISK@/one levels=1:2 keys_zone=a:1m use_temp_path=off; \
               proxy_cache_path @DISK@/two levels=2 keys_zone=b:1m; proxy_cache_valid 200 1h;\n";
    let two_locations = "location /one/ { proxy_pass http://@BACKEND@; proxy_cache a; }\n\
                         location /two/ { proxy_pass http://@BACKEND@; proxy_cache b; proxy_cache_key $host$uri; }\n";
    let kind = |variable: &str| {
        format!(
            "{} proxy_set_header X-Kind \"{variable}\";\n",
            one(&format!("\"$host$request_uri|{variable}\""))
        )
    };
    let replaced = "location /img/ { proxy_pass http://@BACKEND@/other/; proxy_cache a; }\n";
    let other = |protocol, name: &str, parameters: &str| {
        Plan {
        protocol,
        http: ZONE.replace("proxy_cache", &format!("{name}_cache")),
        server: format!(
            "location / {{ {name}_pass @BACKEND@; {name}_cache a; {name}_cache_key $scheme$request_method$host$request_uri;\n\
             {name}_param REQUEST_URI $request_uri; {parameters} }}\n"
        ),
        ask: of_hosts,
    }
    };
    let plans = [
        // Without these, the ways in which nginx lays out its caches would be known by luck.
        ("levels 1:2", proxy(ZONE, LOCATION, with_query)),
        (
            "levels 2:2:1",
            proxy(&zone("levels=2:2:1"), LOCATION, plain),
        ),
        ("no levels", proxy(&zone(""), LOCATION, plain)),
        (
            "a temporary path elsewhere",
            proxy(&ZONE.replace("use_temp_path=off", ""), LOCATION, plain),
        ),
        ("two zones", proxy(two, two_locations, in_two_parts)),
        // Without these, only the usual key would be known.
        (
            "the proxied host",
            proxy(ZONE, &one("$scheme$proxy_host$request_uri"), with_query),
        ),
        (
            "the host",
            proxy(ZONE, &one("$host$uri$is_args$args"), of_hosts),
        ),
        (
            "the host with its port",
            proxy(ZONE, &one("\"$http_host $request_uri\""), of_hosts),
        ),
        ("a decoded path", proxy(ZONE, &one("$host$uri"), escaped)),
        ("an escaped path", proxy(ZONE, LOCATION, escaped)),
        ("a cookie", proxy(ZONE, &kind("$cookie_lang"), by_cookie)),
        (
            "a header",
            proxy(ZONE, &kind("$http_accept_language"), by_header),
        ),
        (
            "a path that is replaced",
            proxy(ZONE, replaced, below_images),
        ),
        // Without these, caches of other modules would be taken for others.
        ("FastCGI", other(Protocol::FastCgi, "fastcgi", "")),
        ("uwsgi", other(Protocol::Uwsgi, "uwsgi", "")),
    ];
    let mut tests: Vec<Test> = plans
        .into_iter()
        .map(|(name, plan)| Test::new(name, move || case(&plan)))
        .collect();
    tests.extend([
        // Without it, what is cached would only be known of clients that speak in the clear.
        Test::new("TLS", clients::tls),
        Test::new("HTTP/2", clients::http2),
        Test::new("HTTP/2 in the clear", clients::http2_in_the_clear),
        // Without it, requests for a part of a file, or for none of it, would wait for its header.
        Test::new("ranges, conditions and HEAD", requests::parts),
        // Without it, files that are named otherwise since would be looked up for ever, or not at all.
        Test::new("a key that changes", requests::changed_key),
        // Without it, a request that is not cached could wait, or be asked for twice.
        Test::new("nothing is cached", requests::nothing_cached),
    ]);
    let needed = |test: Test| {
        test.needs(Need::SlowDisk)
            .needs(Need::Command("nginx", "nginx-light"))
            .limit(120)
    };
    run(tests.into_iter().map(needed).collect())
}
