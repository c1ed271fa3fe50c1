//! What a library tells: the secrets of a connection, a line for each.

use super::contexts::own_callback_of;
use super::library::{numbered, Callback, KeyLog, MOST};
use crate::event_loop;
use crate::gate::sessions;
use crate::sys::{errno, program};
use laio_core::tls::{Label, Line, Reason, Secret, Suite, Version};
use libc::{c_char, c_void};
use std::ffi::CStr;

/// A callback for each library, which tells whose it is.
static CALLBACKS: [Callback; MOST] = [told::<0>, told::<1>, told::<2>, told::<3>];

/// The callback for the library with this number.
pub fn callback(number: usize) -> Option<Callback> {
    CALLBACKS.get(number).copied()
}

/// Whether it is one of these.
pub fn is_ours(callback: Callback) -> bool {
    CALLBACKS
        .iter()
        .any(|&ours| ours as usize == callback as usize)
}

unsafe extern "C" fn told<const LIBRARY: usize>(connection: *const c_void, line: *const c_char) {
    let Some(log) = numbered(LIBRARY).and_then(|library| library.log) else {
        return;
    };
    if program::acts_here() && !line.is_null() {
        let _errno = errno::Guard::new();
        // SAFETY: the library passes a string that ends, and its own connection.
        unsafe { take(&log, connection, CStr::from_ptr(line).to_bytes()) };
    }
    if let Some(own) = own_callback_of(&log, connection) {
        // SAFETY: the program's own callback, with what it would have been called with.
        unsafe { own(connection, line) };
    }
}

/// Hands a client's secret to its connection.
///
/// # Safety
/// The connection is the library's.
unsafe fn take(log: &KeyLog, connection: *const c_void, line: &[u8]) {
    // SAFETY: the library's own functions and connection, here and below.
    if unsafe { (log.is_server)(connection) } == 0 {
        return;
    }
    let Some(line) = Line::parse(line) else {
        return;
    };
    // SAFETY: as above.
    let agreed = unsafe { agreed(log, connection, &line) };
    let by_http2 = matches!(agreed, Ok((_, Protocol::Http2)));
    let last = event_loop::last_sealed();
    sessions::learn(&line.random, last, by_http2, |session| match agreed {
        Ok((secret, _)) => session.learn(secret),
        Err(reason) => session.give_up(reason),
    });
}

/// What is spoken by TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// By the name that was agreed upon; no name where nothing was. Nothing where that is not understood.
    fn named(name: &[u8]) -> Option<Protocol> {
        match name {
            b"" | b"http/1.1" | b"http/1.0" => Some(Protocol::Http1),
            b"h2" => Some(Protocol::Http2).filter(|_| program::config().is_some_and(|it| it.http2)),
            _ => None,
        }
    }
}

/// # Safety
/// As for [`take`].
unsafe fn agreed(
    log: &KeyLog,
    connection: *const c_void,
    line: &Line,
) -> Result<(Secret, Protocol), Reason> {
    let mut protocol = (std::ptr::null(), 0);
    // SAFETY: the caller's promise, and room for the answers.
    let (version, suite, name) = unsafe {
        (log.protocol)(connection, &mut protocol.0, &mut protocol.1);
        let name = match protocol {
            (name, length) if !name.is_null() => std::slice::from_raw_parts(name, length as usize),
            _ => &[],
        };
        let cipher = (log.cipher)(connection);
        let number = if cipher.is_null() {
            0
        } else {
            (log.number)(cipher)
        };
        ((log.version)(connection), Suite::of(number as u16), name)
    };
    let spoken = Protocol::named(name).ok_or(Reason::Protocol)?;
    let suite = suite.ok_or(Reason::Suite)?;
    let secret = match (Version::of(version as u16), line.label) {
        (Some(Version::Tls13), Label::ClientTraffic) => Secret::tls13(suite, line.secret()),
        (Some(Version::Tls12), Label::Master) => {
            let mut random = [0; 32];
            // SAFETY: as above.
            let length =
                unsafe { (log.server_random)(connection, random.as_mut_ptr(), random.len()) };
            Secret::tls12(suite, line.secret(), random).filter(|_| length == random.len())
        }
        _ => None,
    };
    let secret = secret.ok_or(Reason::Suite)?;
    Ok((secret, spoken))
}
