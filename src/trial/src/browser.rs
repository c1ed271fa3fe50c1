//! A page of images and a headless Chromium that loads it.
//!
//! The page itself says how it went: its script writes what the browser measured (Navigation Timing, Resource Timing) into the
//! document, and the browser prints that.

use std::fs::{self, File};
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

use crate::client_program::ClientProgram;
use crate::shuffle::Shuffle;

/// Images of the page.
pub const IMAGES: u32 = 100;

/// Their width in pixels of three bytes; with these heights they are 20 to 60 KB long.
const WIDTH: u32 = 100;
const HEIGHTS: std::ops::Range<u32> = 67..200;

/// The page's directory beneath the docroot.
const DIRECTORY: &str = "page";

/// Longer than any load.
const PATIENCE: Duration = Duration::from_secs(60);

/// It writes its figures between these.
const MARKS: [&str; 2] = ["<pre id=\"load\">", "</pre>"];

const SCRIPT: &str = r#"
addEventListener("load", () => {
  const [page] = performance.getEntriesByType("navigation");
  const resources = performance.getEntriesByType("resource");
  const figures = {
    load_ms: page.loadEventStart,
    protocols: [...new Set([page, ...resources].map((entry) => entry.nextHopProtocol))],
    shown: [...document.images].filter((image) => image.naturalWidth > 0).length,
    images: resources.map((entry) => [entry.startTime, entry.responseStart, entry.responseEnd]),
  };
  const out = document.createElement("pre");
  out.id = "load";
  out.textContent = JSON.stringify(figures);
  document.body.append(out);
});
"#;

/// What came of a load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PageLoad {
    /// From the navigation's start until the load event, in milliseconds.
    pub load_ms: f64,
    /// The protocols by which anything came, by their ALPN identifiers.
    pub protocols: Vec<String>,
    /// Images that could be shown.
    pub shown: u32,
    /// For each image when it was asked for, when its answer began and when it ended, in milliseconds from the navigation's start.
    pub images: Vec<[f64; 3]>,
}

/// Writes the page and its images into a docroot.
pub fn create_page(docroot: &Path) -> Result<()> {
    let directory = docroot.join(DIRECTORY);
    fs::create_dir_all(&directory).context("cannot make the page's directory")?;
    // No icon, which the browser would ask for by itself.
    let mut page = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<link rel=\"icon\" href=\"data:,\">\n<script>{SCRIPT}</script>\n<body>\n"
    );
    for number in 0..IMAGES {
        let name = format!("{number:03}.png");
        write_image(&directory.join(&name), number)
            .with_context(|| format!("cannot write {name}"))?;
        page.push_str(&format!("<img src=\"{name}\" alt=\"\">\n"));
    }
    fs::write(directory.join("index.html"), page).context("cannot write the page")?;
    nix::unistd::sync();
    Ok(())
}

/// Random pixels, which cannot be made shorter.
fn write_image(path: &Path, number: u32) -> Result<()> {
    let mut random = Shuffle::new(u64::from(number));
    let height = HEIGHTS.start + random.below(HEIGHTS.end - HEIGHTS.start);
    let pixels: Vec<u8> = (0..WIDTH * height * 3)
        .map(|_| random.next() as u8)
        .collect();
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), WIDTH, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    Ok(writer.finish()?)
}

/// Has a headless Chromium load the page from a server, over TLS.
pub fn load_page(chromium: &Path, server: SocketAddr) -> Result<PageLoad> {
    let url = format!("https://{server}/{DIRECTORY}/index.html");
    let directory = tempfile::tempdir().context("cannot make a directory for Chromium")?;
    let file = |name| -> PathBuf { directory.path().join(name) };
    let mut command = Command::new(chromium);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-dev-shm-usage", "--disable-background-networking"])
        .args(["--no-first-run", "--no-proxy-server"])
        // Whatever else it may want, it does not leave this machine.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        // Nobody vouches for the certificate.
        .arg("--ignore-certificate-errors")
        // Nothing is kept from a load to the next.
        .arg(format!("--user-data-dir={}", file("profile").display()))
        .arg("--dump-dom")
        .arg(url);
    let document =
        ClientProgram::start(command, file("document"))?.finish(Instant::now() + PATIENCE)?;
    parse(&document.context("Chromium does not end")?)
}

fn parse(document: &str) -> Result<PageLoad> {
    let figures = document
        .split_once(MARKS[0])
        .and_then(|(_, rest)| rest.split_once(MARKS[1]));
    let (figures, _) = figures.context("the page did not say how long it took")?;
    let load: PageLoad = serde_json::from_str(figures).context("the page said something else")?;
    let protocols = load.protocols.join(", ");
    ensure!(protocols == "h2", "the page came by {protocols}, not by h2");
    Ok(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page that came by another protocol would pass for one by HTTP/2.
    #[test]
    fn only_a_load_by_http2_counts() {
        let says = |protocols: &str| {
            parse(&format!(
                "<body><pre id=\"load\">{{\"load_ms\":12.5,\"protocols\":{protocols},\"shown\":1,\
                 \"images\":[[1,2,3.5]]}}</pre></body>"
            ))
        };
        let load = says("[\"h2\"]").unwrap();
        assert_eq!((load.load_ms, load.images), (12.5, vec![[1.0, 2.0, 3.5]]));
        assert!(says("[\"h2\",\"http/1.1\"]").is_err());
        assert!(parse("<body></body>").is_err());
    }

    /// Images that are all alike, or that a browser cannot show, would not be the page that was meant.
    #[test]
    fn images_can_be_shown() {
        let docroot = tempfile::tempdir().unwrap();
        create_page(docroot.path()).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..IMAGES {
            let file = docroot.path().join(format!("{DIRECTORY}/{number:03}.png"));
            let length = fs::metadata(&file).unwrap().len();
            assert!((20_000..61_000).contains(&length), "{length}");
            let decoder = png::Decoder::new(std::io::BufReader::new(File::open(file).unwrap()));
            let mut image = decoder.read_info().unwrap();
            let mut pixels = vec![0; image.output_buffer_size().unwrap()];
            image.next_frame(&mut pixels).unwrap();
            assert!(seen.insert(pixels));
        }
    }
}
