//! `laio check`: programs of every kind, and the configurations of servers.

use super::run::make;
use super::said::{keep, laio, said};
use laio_tests::test::scratch;
use laio_tests::Result;
use std::fs;

/// The lists of calls differ with the versions of servers.
const LISTS: &[(&str, &str)] = &[
    (
        r"(accepts clients by|calls that are seen:|not held back:|without the library:) .*",
        "$1 CALLS",
    ),
    (r"(libssl\.so)\.[0-9.]+", "$1.N"),
];

/// Programs that cannot be helped, each with the reason.
pub fn programs() -> Result {
    let mut all = String::new();
    for kind in ["static", "musl", "aarch64"] {
        make(kind)?;
        all += &format!(
            "$ laio check ./{kind}\n{}\n",
            said(&mut laio(&["check", &format!("./{kind}")])?)?.text()
        );
    }
    fs::write(scratch().join("plain"), "text\n")?;
    fs::write(scratch().join("script"), "#!/bin/sh\nexec nginx\n")?;
    for file in ["plain", "script"] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(scratch().join(file), fs::Permissions::from_mode(0o755))?;
    }
    for program in ["./plain", "./missing", "no-such-program", "./script", "cat"] {
        let answer = said(&mut laio(&["check", program])?)?;
        all += &format!("$ laio check {program}\n{}\n", answer.text());
    }
    keep(
        "check programs",
        &all,
        &[
            ("/bin/(dash|bash)", "/bin/SHELL"),
            ("/usr/bin/SHELL", "/bin/SHELL"),
            ("/usr/bin/cat", "/bin/cat"),
        ],
    );
    Ok(())
}

/// nginx with a configuration that has its pitfalls, and with one that has not.
pub fn nginx() -> Result {
    fs::create_dir(scratch().join("sites"))?;
    let site = "server { listen 80; listen 443 quic; root /proc; }\n";
    fs::write(scratch().join("sites/one.conf"), site)?;
    let bad = "events { worker_connections 512; }\nhttp { directio 4m; aio threads; keepalive_timeout 20s;\n\
               include sites/*.conf; }\n";
    fs::write(scratch().join("bad.conf"), bad)?;
    let good =
        "env LD_PRELOAD;\nevents { worker_connections 4096; }\nhttp { server { root /proc; } }\n";
    fs::write(scratch().join("good.conf"), good)?;
    let mut all = String::new();
    for file in ["./bad.conf", "./good.conf", "./none.conf"] {
        let answer = said(&mut laio(&["check", "nginx", "-c", file])?)?;
        all += &format!("$ laio check nginx -c {file}\n{}\n", answer.unbroken());
    }
    keep("check nginx", &all, LISTS);
    Ok(())
}

/// lighttpd with GnuTLS, and with OpenSSL.
pub fn lighttpd() -> Result {
    let bad = "server.document-root = \"/proc\"\nserver.modules = ( \"mod_gnutls\" )\nserver.max-fds = 1024\n\
               server.max-read-idle = 30\n";
    fs::write(scratch().join("bad.conf"), bad)?;
    let good = "server.modules += ( \"mod_openssl\" )\nserver.stat-cache-engine = \"disable\"\n";
    fs::write(scratch().join("good.conf"), good)?;
    let mut all = String::new();
    for file in ["./bad.conf", "./good.conf"] {
        let answer = said(&mut laio(&["check", "lighttpd", "--config", file])?)?;
        all += &format!(
            "$ laio check lighttpd --config {file}\n{}\n",
            answer.unbroken()
        );
    }
    keep("check lighttpd", &all, LISTS);
    Ok(())
}
