//! What is known of some servers: how their configurations get in the way.

mod lighttpd;
pub mod nginx;
mod timers;
mod tokens;

use super::configured::Configured;
use super::disk;
use crate::format;
use crate::report::{Level, Report};
use crate::target::Target;
use std::path::{Path, PathBuf};

/// Directories that are looked at, at most.
const MOST_ROOTS: usize = 8;

/// Reads a configuration and tells of it.
type Reader = fn(&mut Report, &Path) -> std::io::Result<Configured>;

/// Looks at a server's configuration.
pub fn look(report: &mut Report, target: &Target, config: Option<&Path>) -> Configured {
    let (default, read): (&str, Reader) = match &*target.name() {
        "nginx" | "openresty" | "angie" => ("/etc/nginx/nginx.conf", nginx::look),
        "lighttpd" | "lighttpd-angel" => ("/etc/lighttpd/lighttpd.conf", lighttpd::look),
        other => {
            general(report, other);
            if config.is_some() {
                report.note(format!(
                    "the configuration of {other} is not understood, and was not read"
                ));
            }
            return Configured::default();
        }
    };
    let path = config.map_or_else(|| PathBuf::from(default), Path::to_owned);
    if config.is_none() && !path.exists() {
        report.note("no configuration was looked at: name it with -c");
        return Configured::default();
    }
    match read(report, &path) {
        Ok(configured) => {
            report.ok(format!("configuration read: {}", format::path(&path)));
            for root in configured.roots.iter().take(MOST_ROOTS) {
                disk::look(report, root);
            }
            configured
        }
        Err(error) => {
            report.add(
                Level::Warn,
                format!(
                    "the configuration {} cannot be read: {error}",
                    format::path(&path)
                ),
                "name another one with -c",
            );
            Configured::default()
        }
    }
}

/// Servers without a configuration that matters.
fn general(report: &mut Report, name: &str) {
    match name {
        "apache2" | "httpd" => report.note(
            "Apache reads files in its worker threads, not in an event loop: there is little to win",
        ),
        "redis-server" | "valkey-server" => report.note(
            "Redis serves from memory. What blocks it are writes and fsync, which are timed and not held \
             back: LAIO=observe shows them",
        ),
        _ => {}
    }
}
