//! Random programs for `tests/programs/interpreter.c`, as text: a step a line, a word and up to three numbers.

use proptest::collection::vec;
use proptest::prelude::*;

/// A program's text, and its parts: the strategy makes it smaller by leaving parts out and numbers smaller.
#[derive(Clone)]
pub struct Program(Vec<Vec<Step>>);

#[derive(Clone, Debug)]
struct Step(&'static str, [u8; 3]);

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .iter()
            .flatten()
            .try_for_each(|Step(word, [a, b, c])| writeln!(f, "{word} {a} {b} {c}"))
    }
}

/// The text: what a failure shows.
impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What there is, and how often.
const WORDS: &[(u32, &str)] = &[
    (4, "connect"),
    (1, "packets"),
    (12, "request"),
    (2, "warm"),
    (4, "part"),
    (2, "hello"),
    (2, "finish"),
    (2, "leave"),
    (1, "got"),
    (6, "accept"),
    (3, "nonblock"),
    (10, "add"),
    (8, "mod"),
    (4, "del"),
    (12, "wait"),
    (4, "poll"),
    (4, "select"),
    (1, "bad_wait"),
    (20, "read"),
    (2, "bad_read"),
    (3, "receive"),
    (5, "serve"),
    (2, "write"),
    (2, "answer"),
    (2, "stream"),
    (2, "bad_write"),
    (1, "mark"),
    (2, "look"),
    (2, "open"),
    (2, "stat"),
    (2, "file"),
    (2, "sendfile"),
    (1, "splice"),
    (4, "dup"),
    (3, "dup2"),
    (4, "close"),
    (1, "close_range"),
    (2, "pass"),
    (1, "shutdown"),
    (1, "pipe"),
    (1, "pour"),
    (1, "drink"),
    (1, "instance"),
    (3, "pause"),
    (1, "cold"),
];

fn numbers() -> impl Strategy<Value = [u8; 3]> {
    (0..12u8, 0..12u8, 0..64u8).prop_map(|(a, b, c)| [a, b, c])
}

fn word() -> impl Strategy<Value = &'static str> {
    proptest::strategy::Union::new_weighted(
        WORDS
            .iter()
            .map(|&(weight, word)| (weight, Just(word)))
            .collect(),
    )
}

fn step() -> impl Strategy<Value = Step> {
    (word(), numbers()).prop_map(|(word, numbers)| Step(word, numbers))
}

/// A connection as a server takes it: non-blocking and registered.
fn taken() -> impl Strategy<Value = Vec<Step>> {
    (numbers(), numbers()).prop_map(|(accept, add)| {
        vec![
            Step("connect", [0; 3]),
            Step("accept", [1 + accept[0] % 2, 0, 0]),
            Step("add", add),
        ]
    })
}

/// A request for a cold file, and the read at which its gate closes.
fn asked() -> impl Strategy<Value = Vec<Step>> {
    (numbers(), numbers()).prop_map(|(request, read)| {
        vec![
            Step("request", request),
            Step("read", [read[0], read[1] % 5, 0]),
        ]
    })
}

/// A cold file, sent as a body.
fn sent() -> impl Strategy<Value = Vec<Step>> {
    (numbers(), numbers()).prop_map(|(open, sendfile)| {
        vec![
            Step("open", [open[0], 0, 0]),
            Step("cold", [open[0], 0, 0]),
            Step("sendfile", sendfile),
        ]
    })
}

/// A request for a cold file, a wait that may tell of it, and a read: a server that waits before it reads.
fn told() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![3 => Just("wait"), 1 => Just("poll"), 1 => Just("select")];
    (numbers(), wait, numbers(), numbers()).prop_map(|(request, wait, told, read)| {
        vec![
            Step("request", request),
            Step(wait, told),
            Step("read", [request[0], read[1], read[2]]),
        ]
    })
}

/// Clients in packets: accepted, registered, and asking.
fn packets() -> impl Strategy<Value = Vec<Step>> {
    (numbers(), numbers()).prop_map(|(add, request)| {
        vec![
            Step("packets", [0; 3]),
            Step("accept", [1, 8, 0]),
            Step("add", add),
            Step("request", request),
        ]
    })
}

/// A child that does some steps and exits; one of a few without the processor's tick counter.
fn forked() -> impl Strategy<Value = Vec<Step>> {
    (vec(step(), 1..6), 0..4u8).prop_map(|(mut steps, ticks)| {
        if ticks == 0 {
            steps.insert(0, Step("ticks", [0; 3]));
        }
        let count = steps.len() as u8;
        [Step("fork", [count, 0, 0])]
            .into_iter()
            .chain(steps)
            .collect()
    })
}

/// Any program.
pub fn program() -> impl Strategy<Value = Program> {
    let part = prop_oneof![
        20 => step().prop_map(|step| vec![step]),
        3 => taken(),
        3 => asked(),
        3 => told(),
        1 => packets(),
        1 => sent(),
        1 => forked(),
    ];
    vec(part, 1..50).prop_map(Program)
}
