//! Which library speaks TLS for a program, and whether it tells its keys.

use super::configured::Configured;
use crate::report::{Level, Report};
use crate::target::{Libraries, Target};

/// Libraries that cannot be asked.
const OTHERS: &[(&str, &str)] = &[
    ("libgnutls.so", "GnuTLS"),
    ("libmbedtls.so", "mbed TLS"),
    ("libwolfssl.so", "wolfSSL"),
    ("libssl3.so", "NSS"),
];

const REMEDY: &str =
    "a build with OpenSSL as a shared library, or a proxy that speaks TLS in front";

/// Tells of it.
pub fn look(report: &mut Report, target: &Target, libraries: &Libraries, config: Configured) {
    if let Some((name, can_be_had)) = config.tls {
        return tell(report, &name, can_be_had);
    }
    let own = libraries
        .named("libssl.so.3")
        .or(libraries.named("libssl.so.1.1"));
    if let Some(name) = own {
        return tell(report, &format!("OpenSSL ({name})"), true);
    }
    if let Some(name) = libraries.named("libssl.so") {
        return tell(report, &format!("an OpenSSL before 1.1.1 ({name})"), false);
    }
    let elf = &target.elf;
    if elf.mentions.contains(&"BoringSSL") {
        return tell(report, "BoringSSL, linked statically", false);
    }
    if elf.exports.contains("SSL_CTX_new") || elf.mentions.contains(&"OpenSSL 3.") {
        return tell(report, "OpenSSL, linked statically", false);
    }
    match OTHERS.iter().find_map(|(file, name)| libraries.named(file).map(|file| (name, file))) {
        Some((name, file)) => tell(report, &format!("{name} ({file})"), false),
        None => report.note(
            "no TLS library is linked. Where a module loads OpenSSL as a shared library, its keys can be had",
        ),
    }
}

fn tell(report: &mut Report, library: &str, can_be_had: bool) {
    match can_be_had {
        true => report.ok(format!(
            "TLS by {library}: its keys can be had, so HTTPS is held back as well"
        )),
        false => report.add(
            Level::Warn,
            format!("TLS by {library}: its keys cannot be had, so requests by HTTPS pass through"),
            REMEDY,
        ),
    }
}
