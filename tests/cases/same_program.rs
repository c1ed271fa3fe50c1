//! The same program with and without the library: one C program per hook family, compared byte for byte.

use laio_tests::program::{compile, same_with_and_without, Build};
use laio_tests::{run, Test};
use std::process::ExitCode;

/// One program, once as a process that never met an event loop and once as an event loop that has served cold files.
fn program(name: &'static str) -> Vec<Test> {
    let mut tests = Vec::new();
    for (suffix, build) in [("", Build::Program), (" fortified", Build::Fortified)] {
        for state in ["idle", "engaged"] {
            tests.push(Test::new(format!("{name} {state}{suffix}"), move || {
                same_with_and_without(&compile(name, build)?, &[state])
            }));
        }
    }
    tests
}

fn main() -> ExitCode {
    let tests = [
        // Without it, an open under one of eleven names could return another number, flag, mode or errno, or a mode that
        // was garbage could reach the kernel.
        "open_family",
        // Without it, a stat under one of its eighteen names could fill another buffer or answer another errno.
        "stat_family",
        // Without it, a listing could lose entries, or a directory stream could lose its descriptor.
        "directory_family",
        // Without it, a read could move a position, fill beyond its end, or swallow a fortified overflow check.
        "read_family",
        // Without it, bytes, flags, ancillary data or the end of a stream could be lost on a socket that was looked at.
        "receive_family",
        // Without it, sendfile could answer another count, offset or errno.
        "send_family",
        // Without it, a body could be cut, repeated or left hanging in one kind of registration, when its file or mapping changes
        // under way, or when its client resets; and a blocking socket could take less than all.
        "bodies",
        // Without it, of several bodies on one connection a piece could be lost or repeated, or all could hang on one of them.
        "interleaved",
        // Without it, the library's own descriptors could show up in the application's numbers.
        "descriptor_family",
        // Without it, an accepted socket could have other flags, or its address could be lost.
        "accept_family",
        // Without it, epoll could report other events, data or errors for what is never gated.
        "epoll_family",
        // Without it, a wait could end early, miss a signal, or leave another signal mask behind.
        "epoll_signals",
        // Without it, a refused call could answer EAGAIN, write to nowhere, or lose a request, where something is held back.
        "bad_arguments",
        // Without it, select could refuse what the kernel passes over, once the descriptor table has grown.
        "beyond_table",
        // Without it, a message could be cut in two.
        "seqpacket",
        // Without it, a process that has given up the processor's tick counter could be killed.
        "ticks",
        // Without these, poll or select could report another count, event, set, time or error for what is never gated.
        "poll_family",
        "select_family",
        // Without it, a wait in poll or select could end early, miss a signal, or leave another signal mask behind.
        "poll_signals",
        // Without it, a held-back request could be lost in one of the kinds of registration.
        "epoll_loops",
        // Without it, a request or a body could be lost, or a count be wrong, in a loop that waits in poll or select.
        "poll_loops",
        // Without it, a write, a sync or a change of length could answer another count, position or errno, or read what the
        // kernel would not.
        "write_family",
        // Without it, a call by `laio_syscall` could answer something else than by `syscall`, at once or in the end.
        "native_family",
        // Without it, a rename, link or removal could answer another errno, or read a path that the kernel did not.
        "name_family",
        // Without it, a look-up of a name could answer something else.
        "resolver_family",
    ];
    run(tests.into_iter().flat_map(program).collect())
}
