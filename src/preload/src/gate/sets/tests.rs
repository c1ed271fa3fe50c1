//! What the kernel is shown of a set, and what the application finds in its own afterwards. The real call is played by the
//! tests; that it is played rightly is compared with the kernel in `tests/cases`.

use super::*;
use laio_core::gate::{IN, OUT};
use libc::{c_int, fd_set, pollfd, timespec};
use std::ptr::null_mut;

const NO_TIME: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

fn entry(fd: c_int, events: u32) -> pollfd {
    pollfd {
        fd,
        events: events as i16,
        revents: 0,
    }
}

/// Number 5 is held back from being read.
fn held(fd: c_int) -> u32 {
    if fd == 5 {
        IN
    } else {
        0
    }
}

#[test]
fn a_poll_is_shown_without_what_is_held_back() {
    let mut theirs = [entry(4, IN), entry(5, IN | OUT), entry(-1, IN)];
    let mut shown = Vec::new();
    let mut room = Room::default();
    let first = theirs.as_mut_ptr();
    let wait = |set: *mut pollfd, count, _: *const timespec| {
        // SAFETY: the copy, which has as many entries.
        let set = unsafe { std::slice::from_raw_parts_mut(set, count as usize) };
        shown.extend(set.iter().map(|entry| (entry.fd, entry.events as u32)));
        for (entry, results) in set.iter_mut().zip([IN, OUT, 0, IN]) {
            entry.revents = results as i16;
        }
        3
    };
    let mut set = PollSet::new(first, 3, wait).unwrap();
    assert!(set.take(&mut room, false, held));
    assert!(set.contains(-1) && !set.contains(9) && set.is_held(held));
    assert!(set.show(held, Some(9)), "something is left out");
    assert_eq!(set.wait(&NO_TIME), 3);
    assert!(set.has_woken(9));
    let handed_out = |fd, events| if fd == 4 { 0 } else { events };
    assert_eq!(set.admit(Some(9), handed_out), 1);
    assert!(set.is_held(|fd| if fd == 4 { IN } else { 0 }));
    set.report(Some(9), 1);
    set.give_back(&mut room);
    assert_eq!(shown, [(4, IN), (5, OUT), (-1, IN), (9, IN)]);
    let theirs = theirs.map(|entry| (entry.events as u32, entry.revents as u32));
    assert_eq!(theirs, [(IN, 0), (IN | OUT, OUT), (IN, 0)]);
}

#[test]
fn a_poll_without_anything_held_back_is_the_applications_own() {
    let mut theirs = [entry(4, IN), entry(5, OUT)];
    let mut room = Room::default();
    let first = theirs.as_mut_ptr();
    let mut set = PollSet::new(first, 2, |_, _, _: *const timespec| 0).unwrap();
    assert!(!set.take(&mut room, false, held), "5 may be written to");
    assert!(set.take(&mut room, true, held), "all sets are wanted");
    assert!(!set.show(held, None));
    set.give_back(&mut room);
    let nowhere = 8 as *mut pollfd;
    let mut set = PollSet::new(nowhere, 2, |_, _, _: *const timespec| 0).unwrap();
    assert!(!set.take(&mut room, true, held), "it cannot be read");
}

fn set_of(members: &[c_int]) -> [u64; 16] {
    let mut words = [0; 16];
    for fd in members {
        words[*fd as usize / 64] |= 1 << (fd % 64);
    }
    words
}

#[test]
fn a_select_is_shown_without_what_is_held_back() {
    let (mut reads, mut writes) = (set_of(&[4, 5, 70]), set_of(&[5]));
    let mut room = Room::default();
    let sets: [*mut fd_set; 3] = [
        reads.as_mut_ptr().cast(),
        writes.as_mut_ptr().cast(),
        null_mut(),
    ];
    let mut asked = Vec::new();
    let wait = |count: c_int, sets: [*mut fd_set; 3], _: *const timespec| {
        // SAFETY: the copies, which have two words each, since 70 is a member.
        asked.push((count, unsafe {
            sets[0].cast::<[u64; 2]>().read_unaligned()
        }));
        3
    };
    let mut set = SelectSet::new(71, sets, |count, _| count, wait).unwrap();
    assert!(set.take(&mut room, false, held));
    assert!(set.contains(70) && !set.contains(71));
    assert!(set.show(held, Some(80)));
    assert_eq!(set.wait(&NO_TIME), 3);
    assert!(set.has_woken(80), "nobody has taken it out");
    let handed_out = |fd, events| if fd == 70 { 0 } else { events };
    assert_eq!(set.admit(Some(80), handed_out), 2);
    set.report(Some(80), 2);
    set.give_back(&mut room);
    let shown = set_of(&[4, 70, 80]);
    assert_eq!(asked, [(81, [shown[0], shown[1]])]);
    assert_eq!(reads, set_of(&[4]), "5 is held back, 70 is not handed out");
    assert_eq!(writes, set_of(&[5]));
}

/// Without it, `select` would refuse a member for which the table has room only because of the library.
#[test]
fn members_beyond_the_table_are_not_shown() {
    let within = |count: c_int, end: c_int| if end > 64 { 64 } else { count };
    for (members, shown) in [(&[4, 70][..], 64), (&[4, 63], 128)] {
        let mut reads = set_of(members);
        let sets = [reads.as_mut_ptr().cast(), null_mut(), null_mut()];
        let wait = |count: c_int, _: [*mut fd_set; 3], _: *const timespec| count;
        let mut set = SelectSet::new(128, sets, within, wait).unwrap();
        assert!(set.take(&mut Room::default(), true, |_| 0));
        set.show(|_| 0, None);
        assert_eq!(set.wait(&NO_TIME), shown);
        assert_eq!(
            set.admit(None, |_, events| events),
            1 + c_int::from(shown > 64)
        );
        set.report(None, 1);
        assert_eq!(reads, set_of(members), "what lies beyond stays");
    }
}

/// Without it, a member beyond the count would be waited for.
#[test]
fn what_the_count_leaves_out_is_no_member() {
    let mut reads = set_of(&[4, 5, 63]);
    let sets = [reads.as_mut_ptr().cast(), null_mut(), null_mut()];
    assert_eq!(readable(5, sets), 1);
    assert_eq!(readable(64, sets), 3);
    let mut set = SelectSet::new(5, sets, |count, _| count, |_, _, _: *const timespec| 0).unwrap();
    assert!(!set.take(&mut Room::default(), false, held));
}
