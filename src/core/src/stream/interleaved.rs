//! Several bodies on one connection, in all orders of reads and writes.

use super::*;
use proptest::prelude::*;

fn file(number: usize) -> OpenFile {
    OpenFile {
        fd: 10 + number as i32,
        owners: 1,
    }
}

fn source(number: usize, range: Range<u64>) -> Source {
    let file = file(number);
    Source { file, range }
}

fn read(number: usize, from: u64, range: Range<u64>) -> Read {
    let next = source(number, range);
    Read { from, next }
}

/// What is expected of each file, the last one first.
fn expected(stream: &Stream) -> Vec<Source> {
    stream.next_reads().collect()
}

#[test]
fn each_file_has_its_own_window() {
    let mut stream = Stream::default();
    for number in 0..3 {
        assert_eq!(stream.begin(file(number), 0, 0, 50), 0);
        stream.has_read(&read(number, 0, 0..10));
        assert_eq!(stream.ask(0, 10, 3000), Some(0..10));
    }
    for number in 0..3 {
        stream.begin(file(number), 0, 0, 50);
        assert_eq!(stream.ask(0, 10, 3000), Some(10..30));
        stream.waits_for(file(number), 5..50);
    }
    for number in 0..3 {
        assert_eq!(stream.begin(file(number), 0, 0, 50), 50);
        assert_eq!(stream.ask(50, 10, 15), Some(50..55), "its share");
    }
    assert_eq!(expected(&stream).len(), 3);
}

/// Without it, a body whose stream's window is closed would hold back the others.
#[test]
fn a_file_that_is_not_read_any_more_is_not_waited_for() {
    let mut stream = Stream::default();
    stream.has_read(&read(0, 0, 0..10));
    stream.has_read(&read(1, 0, 0..10));
    stream.has_sent(LATELY);
    stream.has_read(&read(1, 5, 10..20));
    assert_eq!(expected(&stream), [source(1, 10..20), source(0, 0..10)]);
    stream.has_sent(1);
    assert_eq!(expected(&stream), [source(1, 10..20)]);
    assert!(stream.goes_on(file(0), 5), "the window opens again");
    stream.has_read(&read(0, 5, 5..15));
    assert_eq!(expected(&stream), [source(0, 5..15), source(1, 10..20)]);
}

#[test]
fn the_file_that_was_read_longest_ago_is_forgotten() {
    let mut stream = Stream::default();
    for number in 0..SOURCES {
        stream.has_read(&read(number, 0, 0..10));
        stream.has_sent(1);
    }
    stream.has_read(&read(0, 0, 0..10));
    stream.has_sent(1);
    stream.has_read(&read(SOURCES, 0, 0..10));
    let left = expected(&stream);
    assert_eq!(left.len(), SOURCES);
    assert!(!left.contains(&source(1, 0..10)));
    assert!(left.contains(&source(0, 0..10)));
}

#[test]
fn the_body_of_the_next_answer_is_the_only_one() {
    let mut stream = Stream::default();
    stream.begin(file(0), 0, 0, 50);
    stream.has_read(&read(0, 0, 0..10));
    stream.ask(0, 10, 1000);
    stream.has_sent(TURN);
    stream.expects_nothing();
    assert!(expected(&stream).is_empty());
    stream.begin(file(1), 0, 0, 50);
    stream.has_read(&read(1, 0, 0..10));
    assert!(!stream.was_cold() && stream.credit == TURN);
    assert_eq!(expected(&stream), [source(1, 0..10)]);
    stream.has_closed(file(1));
    assert!(expected(&stream).is_empty());
}

#[test]
fn several_bodies_give_way_as_one() {
    let mut stream = Stream::default();
    for number in 0..2 {
        stream.begin(file(number), 0, 0, 50);
        stream.has_read(&read(number, 0, 0..10));
    }
    stream.has_sent(TURN);
    assert!(!stream.gives_way(true, false), "all is in memory");
    stream.ask(0, 10, 1000);
    stream.begin(file(0), 0, 0, 50);
    assert!(stream.gives_way(true, false) && !stream.gives_way(true, false));
    assert!(stream.waits_its_turn());
}

/// One thing that a server does.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Reads so many buffers of a body.
    Read(usize, u64),
    /// Writes to one of the two connections.
    Write(usize),
    Wait,
}

const BODIES: usize = 8;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..BODIES, 1..4_u64).prop_map(|(body, buffers)| Step::Read(body, buffers)),
        3 => (0..2_usize).prop_map(Step::Write),
        1 => Just(Step::Wait),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// Bodies with even numbers are sent on one connection, the others on another one. Once a body has begun, its next part is
    /// expected there, whatever is read and written in between, and no connection expects another one's.
    #[test]
    fn what_is_read_next_is_expected(steps in steps(), buffer in 1..40_000_u64) {
        let mut streams = [Stream::default(), Stream::default()];
        let mut reads = NextRead::default();
        let mut places = [0; BODIES];
        let reads_on = |reads: &mut NextRead, streams: &mut [Stream; 2], body: usize, place: &mut u64| {
            let range = *place..*place + buffer;
            let (next, reader) = reads.has_read(file(body), range.clone());
            let known = reader.and_then(|reader| streams.get_mut(reader as usize));
            if let Some(stream) = known.filter(|stream| stream.goes_on(file(body), range.start)) {
                stream.has_read(&next);
                reads.was_for(reader.unwrap());
            }
            *place = range.end;
        };
        let write = |reads: &mut NextRead, streams: &mut [Stream; 2], to: usize| {
            let stream = &mut streams[to];
            let taken = reads.take(to as i32, |file, from| stream.goes_on(file, from));
            for next in taken {
                stream.has_read(&next);
            }
        };
        // Each begins with a write of its own.
        for (body, place) in places.iter_mut().enumerate() {
            reads_on(&mut reads, &mut streams, body, place);
            write(&mut reads, &mut streams, body % 2);
        }
        for step in steps {
            match step {
                Step::Read(body, buffers) => {
                    for _ in 0..buffers {
                        reads_on(&mut reads, &mut streams, body, &mut places[body]);
                    }
                }
                Step::Write(to) => write(&mut reads, &mut streams, to),
                Step::Wait => reads.forget(),
            }
            for (body, &place) in places.iter().enumerate() {
                prop_assert!(streams[body % 2].goes_on(file(body), place));
                prop_assert!(!streams[1 - body % 2].next_reads().any(|next| next.file == file(body)));
            }
        }
    }
}
