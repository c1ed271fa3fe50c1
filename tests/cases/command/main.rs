//! The command as whoever runs it sees it: what it says where all is well and where it is not, and how it ends. What it
//! says is kept in `snapshots`; after a change, `INSTA_UPDATE=always` writes them anew.

mod check;
mod dumps;
mod hang;
mod live;
mod observe;
mod run;
mod said;
mod screen;
mod service;

use laio_tests::{Need, Test};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut tests = Vec::new();
    // Without these, a program would run without the library, and nobody be told why.
    for kind in run::KINDS {
        let test = Test::new(format!("{kind} is refused"), move || run::refused(kind));
        tests.push(match *kind {
            "set-user-id" => test.needs(Need::Root),
            "capabilities" => test
                .needs(Need::Root)
                .needs(Need::Command("setcap", "libcap2-bin")),
            _ => test,
        });
    }
    let nginx = Need::Command("nginx", "nginx-light");
    let lighttpd = Need::Command("lighttpd", "lighttpd");
    let tmux = Need::Command("tmux", "tmux");
    tests.extend([
        // Without it, scripts would take a missing program for one that failed.
        Test::new("statuses are those of shells", run::statuses),
        // Without it, an option, or a typo, would be without effect, and nobody be told.
        Test::new("settings", run::settings),
        Test::new("what is not understood", run::misunderstood),
        Test::new("check of programs", check::programs),
        Test::new("check of nginx", check::nginx).needs(nginx),
        Test::new("check of lighttpd", check::lighttpd).needs(lighttpd),
        Test::new("nginx while it runs", live::nginx).needs(nginx),
        Test::new("lighttpd while it runs", live::lighttpd).needs(lighttpd),
        Test::new("processes that cannot be read", live::unreadable),
        Test::new("what is held back while a disk hangs", hang::held)
            .needs(Need::Root)
            .needs(lighttpd),
        Test::new("a program that is left alone", live::inactive).needs(lighttpd),
        Test::new("numbers on a port and in a file", live::exported).needs(lighttpd),
        // Without it, who reads the counters by their schema could find other ones.
        Test::new("counters in files, as their schema says", dumps::files)
            .needs(lighttpd)
            .needs(nginx),
        // Without these, a service would not start any more, or somebody's own file be lost.
        Test::new("enable", service::enabled).needs(Need::Root),
        Test::new("enable as systemd reads it", service::verified)
            .needs(Need::Root)
            .needs(Need::Command("systemd-analyze", "systemd")),
        Test::new("enable in sandboxes", service::restricted).needs(Need::Root),
        Test::new("enable refused", service::refused).needs(Need::Root),
        Test::new("enable beside others", service::others).needs(Need::Root),
        Test::new("enable nginx", service::nginx).needs(Need::Root),
        // Without these, a report would not be understood, or a program in a pipeline.
        Test::new("what is not observed", observe::nothing),
        Test::new("a report in each form", observe::running).needs(lighttpd),
        Test::new("top", screen::top).needs(lighttpd).needs(tmux),
        // Without it, the shares of protocols on the screen could be of something else.
        Test::new("top of clients by TLS and HTTP/2", screen::shares)
            .needs(nginx)
            .needs(Need::Command("openssl", "openssl"))
            .needs(tmux),
        Test::new("top ends with its process", screen::ends)
            .needs(lighttpd)
            .needs(tmux),
        Test::new("top ends with its terminal", screen::terminal_goes)
            .needs(lighttpd)
            .needs(tmux),
        Test::new("top without a terminal", screen::no_terminal),
    ]);
    laio_tests::run(tests)
}
