//! lighttpd.

use super::timers::short_timer;
use super::tokens::{included, read, words};

use crate::check::configured::Configured;
use crate::report::{Level, Report};
use std::io::Result;
use std::path::{Path, PathBuf};

/// Modules for TLS, by library, and whether its keys can be had.
const TLS: [(&str, &str, bool); 5] = [
    ("mod_openssl", "OpenSSL (mod_openssl)", true),
    ("mod_gnutls", "GnuTLS (mod_gnutls)", false),
    ("mod_mbedtls", "mbed TLS (mod_mbedtls)", false),
    ("mod_nss", "NSS (mod_nss)", false),
    ("mod_wolfssl", "wolfSSL (mod_wolfssl)", false),
];

/// Looks at a configuration with all that it includes.
pub fn look(report: &mut Report, path: &Path) -> Result<Configured> {
    let mut all = Vec::new();
    collect(path, path, &mut all, &mut 0)?;
    let value = |name: &str| {
        let at = all
            .windows(3)
            .rposition(|words| words[0] == name && words[1] == "=")?;
        Some(all[at + 2].as_str())
    };
    match value("server.stat-cache-engine") {
        Some("disable") => {}
        engine => report.note(format!(
            "stat cache ({}): keeps files open for some seconds, so the limit of descriptors has to fit the \
             new rate of cold files; on a disk that may hang, server.stat-cache-engine = \"disable\"",
            engine.unwrap_or("on by default")
        )),
    }
    let descriptors = value("server.max-fds").and_then(|number| number.parse::<u64>().ok());
    if let Some(descriptors) = descriptors.filter(|number| *number < 4096) {
        report.add(
            Level::Warn,
            format!("server.max-fds is {descriptors}: cold files come twenty times as fast with the library"),
            "server.max-fds = 16384",
        );
    }
    for name in ["server.max-read-idle", "server.max-keep-alive-idle"] {
        let seconds = value(name).and_then(|number| number.parse().ok());
        short_timer(report, name, seconds.unwrap_or(60));
    }
    let mut roots: Vec<PathBuf> = all
        .windows(3)
        .filter(|words| words[0] == "server.document-root" && words[2].starts_with('/'))
        .map(|words| PathBuf::from(&words[2]))
        .collect();
    roots.sort();
    roots.dedup();
    let module = TLS
        .iter()
        .find(|(module, ..)| all.iter().any(|word| word == module));
    Ok(Configured {
        roots,
        tls: module.map(|(_, name, can_be_had)| ((*name).to_owned(), *can_be_had)),
    })
}

/// All words of a file and of those that it includes.
fn collect(path: &Path, main: &Path, into: &mut Vec<String>, files: &mut usize) -> Result<()> {
    let mut all = words(&read(path, files)?, "=(){},+").into_iter();
    while let Some(word) = all.next() {
        if word != "include" {
            into.push(word);
            continue;
        }
        for file in all
            .next()
            .map_or_else(Vec::new, |name| included(&name, main))
        {
            collect(&file, main, into, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pitfalls_are_found() {
        let dir = std::env::temp_dir().join(format!("laio-lighttpd-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let text = "server.modules = ( \"mod_access\" )\nserver.document-root = \"/srv/www\"\n\
                    include \"more/*.conf\"\nserver.max-fds = 1024 # few\n";
        let main = dir.join("lighttpd.conf");
        std::fs::write(&main, text).unwrap();
        std::fs::create_dir(dir.join("more")).unwrap();
        let tls = "server.modules += ( \"mod_gnutls\" )\nserver.stat-cache-engine = \"disable\"\n";
        std::fs::write(dir.join("more/tls.conf"), tls).unwrap();
        let mut report = Report::default();
        let configured = look(&mut report, &main).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(
            configured.tls,
            Some(("GnuTLS (mod_gnutls)".to_owned(), false))
        );
        assert_eq!(configured.roots, [PathBuf::from("/srv/www")]);
        assert_eq!(
            (
                report.of(Level::Warn).count(),
                report.of(Level::Note).count()
            ),
            (1, 0)
        );
    }
}
