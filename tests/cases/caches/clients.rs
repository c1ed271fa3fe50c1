//! Clients that speak TLS or HTTP/2.

use crate::site::{visit_by, Ask, Plan, Served, Site};
use crate::{check_held_back, LOCATION, ZONE};
use anyhow::ensure;
use laio_tests::backend::Protocol;
use laio_tests::http::Connection;
use laio_tests::http2::{Client as Http2, Request, Settings};
use laio_tests::identity::{Identity, Key};
use laio_tests::library::fresh_dir;
use laio_tests::tls::{Client, Suite, Version, Wishes};
use laio_tests::{Preload, Result};

const CACHED: usize = 120;

fn ask(number: usize) -> Ask {
    Ask::get(format!("/d{}/f{number}.html?q={number}", number % 3))
}

/// A site whose answers are cached for clients of `https` or `http`, and a visit of such clients when all is cold.
fn case(
    is_sealed: bool,
    is_http2: bool,
    visit: impl Fn(&Served, &[Ask], &Site, &str) -> Result,
) -> Result {
    let plan = Plan {
        protocol: Protocol::Http,
        http: format!("ssl_protocols TLSv1.2 TLSv1.3;\n{ZONE}"),
        server: format!("{LOCATION} proxy_cache_key $scheme://$host$request_uri;\n"),
        ask,
    };
    let mut site = Site::up(&plan)?;
    if is_sealed {
        let dir = fresh_dir("identities")?;
        site.config.identities = vec![Identity::make(&dir, Key::Ecdsa)?];
    }
    site.config.http2 = is_http2;
    let cached: Vec<Ask> = (0..CACHED).map(ask).collect();
    let served = site.serve(&Preload::stock())?;
    visit(&served, &cached, &site, "MISS")?;
    served.end()?;
    site.chill()?;
    let before = site.backend.asked();
    let served = site.serve(&Preload::on()?.with("LAIO_BREAK_EVEN_US", "0"))?;
    visit(&served, &cached, &site, "HIT")?;
    ensure!(
        site.backend.asked() == before,
        "the application was asked for what is cached"
    );
    let stats = served.stats()?;
    check_held_back(&stats, CACHED)?;
    served.end()?;
    println!("{stats}");
    Ok(())
}

fn client(site: &Site, protocols: &'static [&'static str]) -> Result<Client> {
    let wishes = Wishes {
        protocols,
        ..Wishes::plain(Version::Tls13, Suite::Aes128)
    };
    Client::new(&site.config.identities.iter().collect::<Vec<_>>(), &wishes)
}

pub fn tls() -> Result {
    case(true, false, |served, asks, site, wanted| {
        let client = client(site, &[])?;
        let open = || client.connect(served.address());
        visit_by(asks, open, |ask, connection| {
            let it = ask.send(connection)?;
            ask.check(it.status, &it.body, it.header("x-cache"), wanted)
        })
    })
}

fn visit_frames(
    asks: &[Ask],
    wanted: &str,
    open: impl Fn() -> Result<Connection> + Sync,
) -> Result {
    let open = || Http2::connect(open()?, &Settings::default());
    visit_by(asks, open, |ask, client| {
        let mut request = Request::get(&ask.target);
        request.authority = ask.host.into();
        let stream = client.ask(&request)?;
        let it = client.answer(stream)?;
        ask.check(it.status, &it.body, it.header("x-cache"), wanted)
    })
}

pub fn http2() -> Result {
    case(true, true, |served, asks, site, wanted| {
        let client = client(site, &["h2"])?;
        visit_frames(asks, wanted, || client.connect(served.address()))
    })
}

pub fn http2_in_the_clear() -> Result {
    case(false, true, |served, asks, _, wanted| {
        visit_frames(asks, wanted, || Connection::open(served.address()))
    })
}
