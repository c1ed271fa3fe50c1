//! A server's configuration, from the templates in `demo-servers/`.
//!
//! A line that begins with `@TLS@` is for servers that speak TLS, one with `@CACHE@` for those that cache another one's answers, and
//! one with `@FILES@` for those that do not, one with `@GZIP@` for those that code what they send, and one with `@WRITEV@` for those that
//! read files.

use std::path::Path;

use crate::plan::{Program, Scheme, ServerSpec};

const NGINX: &str = include_str!("../../../../demo-servers/nginx.conf.in");
const LIGHTTPD: &str = include_str!("../../../../demo-servers/lighttpd.conf.in");
const H2O: &str = include_str!("../../../../demo-servers/h2o.conf.in");
const MERECAT: &str = include_str!("../../../../demo-servers/merecat.conf.in");

const TLS: &str = "@TLS@";
const CACHE: &str = "@CACHE@";
const FILES: &str = "@FILES@";
const GZIP: &str = "@GZIP@";
const WRITEV: &str = "@WRITEV@";

/// The configuration's text; none for a server that has its command line only.
pub fn render(
    spec: ServerSpec,
    docroot: &Path,
    run: &Path,
    port: u16,
    identity: &Path,
) -> Option<String> {
    let template = match spec.program {
        program if program.is_nginx() => NGINX,
        Program::Lighttpd | Program::LighttpdWritev => LIGHTTPD,
        Program::H2o => H2O,
        Program::Merecat => MERECAT,
        _ => return None,
    };
    let (extra_main, extra_http) = match spec.aio_threads {
        true => (
            "thread_pool default threads=32 max_queue=65536;",
            "aio threads;",
        ),
        false => ("", ""),
    };
    let sendfile = match spec.program {
        Program::NginxPread => "off",
        _ => "on",
    };
    let reuseport = match spec.reuseport {
        true => " reuseport",
        false => "",
    };
    // The others speak HTTP/2 without being told.
    let speaks = match spec.scheme {
        Scheme::Http => "",
        Scheme::Https => " ssl",
        Scheme::Http2 => " ssl http2",
        Scheme::H2c => " http2",
    };
    let is_gzip = spec.program == Program::NginxGzip;
    let by_writev = spec.program == Program::LighttpdWritev;
    let caches = spec.program == Program::NginxCache;
    let conditions = [
        (TLS, spec.scheme.is_over_tls()),
        (CACHE, caches),
        (FILES, !caches),
        (GZIP, is_gzip),
        (WRITEV, by_writev),
    ];
    let wanted = |line: &&str| {
        let mut all = conditions.iter();
        all.all(|(mark, is_met)| *is_met || !line.starts_with(mark))
    };
    let lines: Vec<&str> = template.lines().filter(wanted).collect();
    let text = lines
        .join("\n")
        .replace(TLS, "")
        .replace(CACHE, "")
        .replace(FILES, "")
        .replace(GZIP, "")
        .replace(WRITEV, "")
        .replace(
            "@ANSWERS@",
            &docroot.with_file_name("cache").to_string_lossy(),
        )
        .replace("@SPEAKS@", speaks)
        .replace("@IDENTITY@", &identity.to_string_lossy())
        .replace("@REUSEPORT@", reuseport)
        .replace("@SENDFILE@", sendfile)
        .replace("@WORKERS@", &spec.workers.to_string())
        .replace("@EXTRA_MAIN@", extra_main)
        .replace("@EXTRA_HTTP@", extra_http)
        .replace("@PORT@", &port.to_string())
        .replace("@RUN@", &run.to_string_lossy())
        .replace("@DOCROOT@", &docroot.to_string_lossy());
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that nobody fills in would reach the server as a file name.
    #[test]
    fn every_name_is_filled_in() {
        use Scheme::{H2c, Http, Http2, Https};
        let schemes = [Http, Https, Http2, H2c].into_iter();
        for (program, scheme) in
            Program::all().flat_map(|program| schemes.clone().map(move |scheme| (program, scheme)))
        {
            let spec = ServerSpec {
                program,
                scheme,
                preload: false,
                workers: 3,
                aio_threads: true,
                reuseport: true,
            };
            let Some(text) = render(
                spec,
                Path::new("/d"),
                Path::new("/r"),
                8080,
                Path::new("/i"),
            ) else {
                continue;
            };
            let directives = text
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'));
            assert!(directives.clone().all(|line| !line.contains('@')));
            assert!(directives.clone().any(|line| line.contains("8080")));
        }
    }
}
