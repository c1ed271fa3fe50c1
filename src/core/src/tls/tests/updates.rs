//! New keys in the middle of a conversation (`KeyUpdate`, RFC 8446, 4.6.3).

use super::looks::Observer;
use super::peer::{talk, Act, Talk, Way};
use super::*;

/// Requests with so many updates in a row before each.
fn updating(kind: usize, rows: &[usize]) -> Talk {
    let row = |row: &usize| [vec![Act::Update; *row], vec![Act::Write(90)]].concat();
    let acts: Vec<Act> = [vec![Act::Write(90)], rows.iter().flat_map(row).collect()].concat();
    talk(kind, Way::Plain, &acts)
}

fn length(talk: &Talk, number: usize) -> usize {
    talk.sent[number].record.len()
}

#[test]
fn keys_are_found_behind_updates_that_nobody_looked_at() {
    for kind in 0..3 {
        for updates in 1..=4 {
            let talk = updating(kind, &[updates]);
            let mut observer = Observer::of(&talk);
            let last = length(&talk, talk.sent.len() - 1);
            observer.read(talk.bytes().len() - last);
            observer.look(last);
            assert_eq!(observer.found, [talk.sent.len() - 1], "{updates} updates");
        }
    }
}

/// As before, where something was opened first, and updates come in several reads.
#[test]
fn keys_are_found_behind_updates_while_nobody_looks_for_a_time() {
    for kind in 0..3 {
        let talk = updating(kind, &[2, 2, 1, 4, 0, 3]);
        let mut observer = Observer::of(&talk);
        observer.read(talk.told_at);
        for number in 0..talk.sent.len() {
            if observer.at > talk.sent[..number].iter().map(|it| it.record.len()).sum() {
                continue;
            }
            if talk.sent[number].plain.is_some() {
                observer.look(length(&talk, number));
                assert_eq!(observer.found.last(), Some(&number));
            }
            observer.read(length(&talk, number));
        }
        assert_eq!(observer.found.len(), 7);
    }
}

/// Without it, a client could have many updates waiting, and would be lost at the second look.
#[test]
fn many_updates_that_wait_are_looked_at_again_and_again() {
    for kind in 0..3 {
        let talk = updating(kind, &[1, 10, 3, 0, 7]);
        let mut observer = Observer::of(&talk);
        observer.read(talk.told_at);
        while !observer.is_done() {
            observer.found.clear();
            observer.look(usize::MAX / 2);
            assert_eq!(observer.found, observer.data_after(observer.at));
            observer.read(37);
        }
        assert_eq!(observer.session.reason(), Reason::None);
    }
}

/// Updates whose keys were found by a look, and others that were read before the next.
#[test]
fn looks_and_reads_unseen_take_turns() {
    for every in 2..6 {
        let talk = updating(0, &[1; 12]);
        let mut observer = Observer::of(&talk);
        observer.read(talk.told_at);
        let mut turn = 0;
        while !observer.is_done() {
            if turn % every == 0 {
                observer.look(200);
            }
            turn += 1;
            observer.read(61);
        }
        assert!(observer.found.len() > 12 / every, "every {every}");
    }
}

/// Records that are as long as an update cost nothing, and hide none that comes with them.
#[test]
fn records_as_long_as_an_update_are_told_apart_from_it() {
    let five = || Act::Write(5);
    let acts = [five(), five(), five(), Act::Update, five(), Act::Write(80)];
    let talk = talk(0, Way::Plain, &acts);
    let last = length(&talk, talk.sent.len() - 1);
    let mut observer = Observer::of(&talk);
    observer.read(talk.bytes().len() - last);
    observer.look(last);
    assert_eq!(observer.found.len(), 1);
    let mut observer = Observer::of(&talk);
    observer.read(usize::MAX);
    observer.look_back();
    assert_eq!(observer.found.len(), 5);
}

/// What is not remembered is lost, and says so.
#[test]
fn too_many_updates_that_nobody_looked_at_are_given_up() {
    let talk = updating(1, &[5]);
    let mut session = talk.session();
    let bytes = talk.bytes();
    let last = &talk.sent.last().unwrap().record;
    let unseen = &bytes[talk.told_at..bytes.len() - last.len()];
    // Something is opened before: the keys are known to be the right ones.
    let first = talk.sent.iter().position(|it| it.plain.is_some()).unwrap();
    let mut place = talk.places()[first];
    let (opened, _) = open(&mut session, &mut place, &talk.sent[first].record);
    assert!(matches!(opened, Opened::Data(_)));
    session.read(unseen, unseen.len(), |_| {});
    let mut place = session.reading().place();
    assert_eq!(
        open(&mut session, &mut place, last).0,
        Opened::Never(Reason::Tag)
    );
    // Where the library tells the next secret, it is understood.
    let mut session = talk.session();
    session.read(unseen, unseen.len(), |_| {});
    let told = (0..5).fold(talk.secret.clone(), |it, _| it.next());
    session.learn(told);
    let mut place = session.reading().place();
    assert!(matches!(
        open(&mut session, &mut place, last).0,
        Opened::Data(_)
    ));
}

/// A library tells them when it has read the update: before a look finds the keys, or long after.
#[test]
fn secrets_of_updates_may_be_told_as_well() {
    for peeked in [0, 120, 240, 2000] {
        for kind in 0..3 {
            let talk = updating(kind, &[1, 3, 0, 2]);
            let mut observer = Observer::of(&talk);
            observer.read(talk.told_at);
            let mut secret = talk.secret.clone();
            let mut is_established = false;
            for (sent, place) in talk.sent.iter().zip(talk.places()) {
                if observer.session.reading().place() != place {
                    continue;
                }
                observer.look(peeked);
                observer.read(sent.record.len());
                if sent.plain.is_some() {
                    is_established = true;
                } else if is_established {
                    secret = secret.next();
                    observer.session.learn(secret.clone());
                    observer.session.learn(secret.clone());
                }
            }
            observer.found.dedup();
            assert!(observer.is_done());
            assert_eq!(observer.found.is_empty(), peeked == 0);
            assert_eq!(observer.session.reason(), Reason::None);
        }
    }
}

/// What was kept while nobody looked is opened in any order, by keys of now, of before, or not at all.
#[test]
fn what_was_read_long_ago_gives_nobody_up() {
    for kind in 0..6 {
        let talk = match kind {
            0..3 => updating(kind, &[0, 1, 2, 0, 1]),
            _ => talk(kind, Way::Plain, &vec![Act::Write(90); 6]),
        };
        let last = talk.sent.len() - 1;
        for is_backward in [false, true] {
            let mut session = talk.session();
            let unread = length(&talk, last);
            let rest = &talk.bytes()[talk.told_at..];
            session.read(&rest[..rest.len() - unread], rest.len() - unread, |_| {});
            let mut opened = 0;
            for turn in 0..last {
                let number = if is_backward { last - 1 - turn } else { turn };
                let mut record = talk.sent[number].record.clone();
                let range = session.open_past(talk.places()[number], &mut record);
                if let Some(range) = range.filter(|range| !range.is_empty()) {
                    opened += 1;
                    assert_eq!(Some(&record[range]), talk.sent[number].plain.as_deref());
                }
            }
            // By older keys than those of now nothing is opened.
            assert!(opened == 5 || is_backward && kind < 3, "{opened}");
            let mut place = session.reading().place();
            let (now, _) = open(&mut session, &mut place, &talk.sent[last].record);
            assert!(matches!(now, Opened::Data(_)), "{now:?}");
        }
    }
}
