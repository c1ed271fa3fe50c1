//! A browser, which loads a page of cold images.

use crate::site::{all_recognised, all_understood, Line, Served, Site};
use anyhow::{ensure, Context as _};
use laio_tests::library::fresh_dir;
use laio_tests::server::Kind;
use laio_tests::{docroot, Result};
use std::path::Path;
use std::process::Command;

/// The browser.
pub const BROWSER: &str = "chromium-headless-shell";

/// How many images the page has, and how long each is.
const IMAGES: usize = 100;
const LENGTH: usize = 9000;

/// An image of one pixel; what follows it in a file is no part of it.
const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\
    \x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\
    \x00\x00\x00\x0a\x49\x44\x41\x54\x78\x9c\x63\x60\x00\x00\x00\x02\x00\x01\x48\xaf\xa4\x71\x00\x00\x00\
    \x00\x49\x45\x4e\x44\xae\x42\x60\x82";

/// Writes the page, whose script says how many images have come when all is there.
fn write(root: &Path) -> Result {
    let directory = root.join("page");
    std::fs::create_dir_all(&directory)?;
    let mut page = String::from("<!doctype html><title>images</title>\n");
    for number in 0..IMAGES {
        let name = format!("i{number}.png");
        page += &format!("<img src=\"{name}\">\n");
        let image = [PIXEL, &*docroot::content(&name, LENGTH)].concat();
        std::fs::write(directory.join(name), image)?;
    }
    page += "<script>addEventListener('load', () => {\n\
             const loaded = [...document.images].filter((it) => it.naturalWidth == 1).length;\n\
             document.body.dataset.loaded = loaded;\n});</script>\n";
    std::fs::write(directory.join("page.html"), page)?;
    Ok(())
}

fn load(served: &Served) -> Result {
    let home = fresh_dir("browser")?;
    let mut browser = Command::new(BROWSER);
    browser
        .args([
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--ignore-certificate-errors",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", home.display()))
        .arg(format!("https://{}/page/page.html", served.server.address))
        .env("HOME", &home);
    let output = browser.output().context(BROWSER)?;
    let page = String::from_utf8_lossy(&output.stdout);
    ensure!(
        page.contains(&format!("data-loaded=\"{IMAGES}\"")),
        "{}\n{}\n{}",
        output.status,
        page.lines().last().unwrap_or_default(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The page from one server.
pub fn page(kind: Kind) -> Result {
    let site = Site::up()?;
    write(&site.root())?;
    let served = site.serve(kind, Line::Tls, &site.pinned()?)?;
    let loaded = load(&served);
    let stats = served.stats()?;
    loaded.with_context(|| format!("{stats}"))?;
    all_understood(&stats, 5)?;
    all_recognised(&stats, IMAGES as u64)?;
    println!("{} held back", stats.gated());
    Ok(())
}
