//! What clients do beside asking and waiting: they give up streams and connections, and leave no room for what they have asked for.

use crate::site::{check, get, receive, visit, visit_all, Served, Site, COLD, LINES};
use anyhow::{ensure, Context as _};
use laio_tests::http2::frames::{self, CANCEL};
use laio_tests::http2::{Client, Settings};
use laio_tests::server::Kind;
use laio_tests::Result;
use std::time::Duration;

/// How many streams every server allows.
const STREAMS: usize = 8;

/// Long enough for a server to have begun with what it was asked for.
const PAUSE: Duration = Duration::from_millis(3);

/// Asks for so many cold documents in one write: streams and numbers.
fn ask(served: &Served, client: &mut Client, count: usize) -> Result<Vec<(u32, usize)>> {
    let mut asked = Vec::new();
    let mut bytes = Vec::new();
    for number in served.colds(count)? {
        let (stream, frames) = client.open(&get(COLD, number))?;
        bytes.extend(frames);
        asked.push((stream, number));
    }
    client.send(&bytes)?;
    Ok(asked)
}

fn receive_all(client: &mut Client, asked: &[(u32, usize)]) -> Result {
    asked.iter().try_for_each(|(stream, number)| {
        let answer = client.answer(*stream)?;
        check(COLD, *number, &answer)
    })
}

/// Streams that end right behind their beginning, in the same write.
fn reset_at_once(served: &Served) -> Result {
    let mut client = served.connect()?;
    for _ in 0..3 {
        let mut bytes = Vec::new();
        let mut asked = Vec::new();
        for (at, number) in served.colds(6)?.enumerate() {
            let (stream, frames) = client.open(&get(COLD, number))?;
            bytes.extend(frames);
            if at % 2 == 0 {
                bytes.extend(frames::reset(stream, CANCEL));
            } else {
                asked.push((stream, number));
            }
        }
        client.send(&bytes)?;
        receive_all(&mut client, &asked)?;
    }
    visit(&mut client, COLD, served.cold()?)
}

/// Streams that end while they are held back, or answered.
fn reset_later(served: &Served) -> Result {
    let mut client = served.connect()?;
    for round in 0..4 {
        let asked = ask(served, &mut client, STREAMS)?;
        std::thread::sleep(PAUSE * round);
        let (given_up, kept) = asked.split_at(STREAMS / 2);
        for (stream, _) in given_up {
            client.cancel(*stream)?;
        }
        receive_all(&mut client, kept)?;
    }
    // All of them, and nothing else.
    let asked = ask(served, &mut client, STREAMS)?;
    for (stream, _) in asked {
        client.cancel(stream)?;
    }
    visit(&mut client, COLD, served.cold()?)
}

/// How a connection ends while requests are held back.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The client says so, and waits for what it has asked for.
    Goaway,
    /// It sends nothing more, and waits.
    HalfClosed,
    /// It goes.
    Closed,
    /// It goes by a reset.
    Reset,
    /// In the middle of a frame.
    Within,
}

const ENDS: [End; 5] = [
    End::Goaway,
    End::HalfClosed,
    End::Closed,
    End::Reset,
    End::Within,
];

/// What is complete then is right; how much of it comes may differ from one run to the next.
fn ends(served: &Served, end: End, pause: Duration) -> Result {
    let mut client = served.connect()?;
    visit(&mut client, COLD, served.cold()?)?;
    let asked = ask(served, &mut client, 4)?;
    std::thread::sleep(pause);
    match end {
        End::Goaway => client.send(&frames::goaway(0))?,
        End::HalfClosed => client.line.finish_sending()?,
        End::Closed => {}
        End::Reset => return client.line.reset(),
        End::Within => {
            let (_, bytes) = client.open(&get(COLD, served.cold()?))?;
            client.send(&bytes[..20])?;
        }
    }
    if matches!(end, End::Goaway | End::HalfClosed) {
        for (stream, number) in asked {
            match client.answer(stream) {
                Ok(answer) if answer.reset.is_none() => check(COLD, number, &answer)?,
                _ => return Ok(()),
            }
        }
    }
    Ok(())
}

/// A client that leaves no room, and gives some again and again.
fn little_room(served: &Served) -> Result {
    let settings = Settings {
        window: 100,
        extends: false,
    };
    let mut client = served.connect_with(&settings)?;
    let asked = ask(served, &mut client, 4)?;
    for increment in [1, 99, 1000, 3000, 100_000] {
        std::thread::sleep(PAUSE);
        for (stream, _) in &asked {
            client.send(&frames::window_update(*stream, increment))?;
        }
    }
    receive_all(&mut client, &asked)
}

/// More than a connection's window, and nothing is given until it is used up.
fn no_room(served: &Served) -> Result {
    let settings = Settings {
        window: 1 << 20,
        extends: false,
    };
    let mut client = served.connect_with(&settings)?;
    let asked = ask(served, &mut client, STREAMS)?;
    let mut is_given = false;
    while asked.iter().any(|(stream, _)| {
        let answer = client.so_far(*stream);
        answer.is_some_and(|it| !it.ended)
    }) {
        let more = client.step()?;
        ensure!(more, "the server ended the connection");
        let received: usize = asked
            .iter()
            .filter_map(|(stream, _)| client.so_far(*stream))
            .map(|it| it.body.len())
            .sum();
        if received == 65_535 && !is_given {
            is_given = true;
            std::thread::sleep(PAUSE);
            client.send(&frames::window_update(0, 1 << 20))?;
        }
    }
    ensure!(is_given, "the window was not used up");
    receive_all(&mut client, &asked)
}

/// A hundred streams whose windows are a part of a document.
fn many_windows(served: &Served) -> Result {
    let settings = Settings {
        window: served.window(1000),
        extends: true,
    };
    let mut client = served.connect_with(&settings)?;
    let numbers = served.colds(100)?;
    visit_all(&mut client, COLD, numbers, 100, |n| get(COLD, n))
}

/// More streams than the server allows: it refuses some, or takes them later.
fn too_many(served: &Served) -> Result {
    let mut client = served.connect()?;
    let allowed = client.allowed()?;
    let asked = ask(served, &mut client, (allowed + 4).min(140))?;
    for (stream, number) in asked {
        let Ok(answer) = client.answer(stream) else {
            // It may end the connection as well.
            return Ok(());
        };
        if answer.reset.is_none() {
            check(COLD, number, &answer)?;
        }
    }
    Ok(())
}

fn all(served: &Served) -> Result {
    reset_at_once(served).context("streams that end at once")?;
    reset_later(served).context("streams that end later")?;
    for end in ENDS {
        for pause in [Duration::ZERO, PAUSE] {
            ends(served, end, pause).with_context(|| format!("{end:?} after {pause:?}"))?;
        }
    }
    little_room(served).context("little room")?;
    no_room(served).context("no room")?;
    many_windows(served).context("many windows")?;
    too_many(served).context("too many streams")?;
    // Nobody else is the worse for it.
    let mut client = served.connect()?;
    let number = served.cold()?;
    let stream = client.ask(&get(COLD, number))?;
    receive(&mut client, stream, COLD, number).context("afterwards")
}

/// All of it on one server.
pub fn that_give_up(kind: Kind) -> Result {
    let site = Site::up()?;
    site.same(kind, &LINES, &[site.pinned()?], 20, all)
}
