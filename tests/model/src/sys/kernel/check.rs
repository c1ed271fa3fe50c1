//! What the application must be told, and what must hold when all is quiet.

use super::*;

/// The application is handed these events, of those that were reported to the library.
pub fn deliver(reported: &mut Vec<Reported>, events: u32, data: u64) {
    let is_its = |r: &Reported| r.data == data && events & !r.events == 0;
    let is_same = |r: &Reported| r.data == data && events == r.events;
    let same = reported.iter().rposition(is_same);
    let Some(at) = same.or_else(|| reported.iter().rposition(is_its)) else {
        panic!("{events:x} of {data} was not reported: {reported:?}");
    };
    let Reported {
        instance,
        epoll,
        fd,
        file,
        generation,
        edges,
        ..
    } = reported.remove(at);
    trace(("delivered", fd, events, generation), true);
    KERNEL.with_borrow_mut(|kernel| {
        kernel.leave(fd, file);
        let edges_now = kernel.edges(file);
        let alias = kernel.is_alias(epoll, instance, fd, file);
        if alias {
            kernel.handled.insert(file);
        }
        let handled = kernel.handled.contains(&file);
        let Kind::Epoll(epoll) = &mut kernel.files[epoll].kind else {
            return;
        };
        let is_its =
            |r: &&mut Registration| r.fd == fd && r.file == file && r.generation == generation;
        let Some(asked) = epoll.asked.iter_mut().find(is_its) else {
            return;
        };
        let more = events & !(asked.events | ERR | HUP);
        assert_eq!(more, 0, "{asked:?} reports {events:x}");
        if asked.disarmed && asked.late > 0 {
            asked.late -= 1;
        } else {
            assert!(!asked.disarmed || handled, "{asked:x?} reports once more");
        }
        asked.disarmed = asked.events & ONESHOT != 0;
        if edges == edges_now {
            asked.due &= !events;
        }
    });
}

/// The wait has ended, and these were not handed out.
pub fn end_wait(reported: &[Reported]) {
    KERNEL.with_borrow_mut(|kernel| {
        reported.iter().for_each(|r| kernel.leave(r.fd, r.file));
    });
}

/// All is quiet: each registration must be as the application asked for it, and nothing that is due may be missing.
pub fn check() {
    look(|kernel| {
        for file in &kernel.files {
            let Kind::Epoll(epoll) = &file.kind else {
                continue;
            };
            if epoll.ours {
                continue;
            }
            assert_eq!(epoll.real.len(), epoll.asked.len());
            for asked in &epoll.asked {
                let is_its = |r: &&Registration| (r.fd, r.file) == (asked.fd, asked.file);
                let real = epoll.real.iter().find(is_its).unwrap();
                // Of what has reported the application owes the next step. A report of what was asked for before may be taken for one
                // of this.
                let is_used_up = asked.disarmed || asked.events & ONESHOT != 0 && asked.late > 0;
                let events = if is_used_up {
                    asked.events
                } else {
                    real.events
                };
                assert_eq!(
                    (events, real.data),
                    (asked.events, asked.data),
                    "masked for ever: {real:x?} {asked:x?}"
                );
                if kernel.file(asked.fd) != Ok(asked.file) {
                    // Its number was closed while its report was on its way: nobody can tell that from one that was handed out.
                    continue;
                }
                let handled = kernel.handled.contains(&asked.file) && asked.disarmed;
                let more = handled || asked.disarmed && asked.late > 0;
                assert!(
                    real.disarmed == asked.disarmed || more,
                    "a one-shot interest: {real:x?} {asked:x?}"
                );
                let owed = kernel.ready(asked.file) & asked.events & asked.due;
                let is_lost =
                    asked.events & EDGE != 0 && !asked.disarmed && owed != 0 && real.due == 0;
                assert!(!is_lost, "an edge is lost: {owed:x} of {asked:x?}");
            }
        }
    });
}

/// How a number is registered by the application: instance, events, cookie, of each number that the instance has.
pub fn asked(fd: i32) -> Vec<(i32, u32, u64)> {
    look(|kernel| {
        let Ok(file) = kernel.file(fd) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (number, of) in kernel.numbers.iter().enumerate() {
            let Some(Kind::Epoll(epoll)) = of.map(|of| &kernel.files[of].kind) else {
                continue;
            };
            let its = epoll.asked.iter().filter(|r| (r.fd, r.file) == (fd, file));
            found.extend(its.map(|r| (number as i32, r.events, r.data)));
        }
        found
    })
}
