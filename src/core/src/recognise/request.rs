//! What a client asks for, as far as it decides which file is read.

use super::codings::Codings;
use super::ranges::{Ranges, Span};
use super::text::{Text, MAX_TARGET};
use crate::paths::climbs;
use arrayvec::ArrayVec;
use core::hash::Hasher;

/// Most requests recognised in one look at a connection (pipelining).
pub const MAX_PIPELINED: usize = 8;

/// What the target begins with that is made of a line of another protocol; then comes the verb. No target of HTTP does.
pub(super) const LINE: u8 = b'|';

/// A decoded target, fit to be appended to a directory.
pub type Target = ArrayVec<u8, MAX_TARGET>;

/// What a client asks for, as far as it decides which file is read. It is large: `clone_from` copies only what is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The percent-decoded path: begins with `/`, holds no NUL and no `..` component. Where no client of HTTP has said it, a sign stands
    /// before the first slash.
    pub target: Target,
    /// Hash of the lower-case host name without its port; 0 where the client named none.
    pub host: u64,
    /// The parts of the file that are asked for.
    pub ranges: Ranges,
    /// The codings in which the client takes a file that lies beside the plain one.
    pub codings: Codings,
    /// Whether the answer carries the file's bytes (`GET`) or only its metadata (`HEAD`).
    pub wants_body: bool,
    /// Whether the head announces a body: what follows it is not a request.
    pub has_body: bool,
    /// Whether a header asks for the bytes only if the file has changed, or not changed. Most often the
    /// answer has none of them.
    pub conditional: bool,
    /// Whether it came by TLS. A recogniser does not know.
    pub is_secure: bool,
    /// What it says, byte for byte.
    pub text: Text,
}

impl Clone for Request {
    fn clone(&self) -> Request {
        let mut request = Request::default();
        request.clone_from(self);
        request
    }

    fn clone_from(&mut self, source: &Request) {
        let Request {
            target,
            host,
            ranges,
            codings,
            wants_body,
            has_body,
            conditional,
            is_secure,
            text,
        } = self;
        target.clone_from(&source.target);
        text.clone_from(&source.text);
        (*host, *ranges, *codings) = (source.host, source.ranges, source.codings);
        (*wants_body, *has_body) = (source.wants_body, source.has_body);
        (*conditional, *is_secure) = (source.conditional, source.is_secure);
    }
}

impl Request {
    /// A number that all requests have which ask for the same.
    pub fn key(&self) -> u64 {
        let mut hasher = crate::hasher();
        hasher.write(&self.target);
        // As it was sent, with its query: a cache's file may be named by that.
        hasher.write(self.text.target().unwrap_or_default());
        hasher.write_u64(self.host);
        for span in self.ranges.iter() {
            hasher.write_u8(matches!(span, Span::Last(_)).into());
            hasher.write_u64(span.start(u64::MAX));
            // No range is so long.
            hasher.write_u64(span.length().unwrap_or(u64::MAX));
        }
        hasher.write_u8(self.codings.bits());
        let flags = [
            self.wants_body,
            self.has_body,
            self.conditional,
            self.is_secure,
        ];
        flags.iter().for_each(|&flag| hasher.write_u8(flag.into()));
        hasher.finish()
    }

    /// All of a plain file is asked for, by what is no request of HTTP.
    pub(crate) fn asks_for_all(&mut self) {
        self.host = 0;
        (self.ranges, self.codings) = (Ranges::default(), Codings::UNKNOWN);
        (self.wants_body, self.has_body) = (true, false);
        (self.conditional, self.is_secure) = (false, false);
        self.text.clear();
    }

    /// Whether a client of HTTP has said it.
    pub fn is_of_client(&self) -> bool {
        self.target.first() == Some(&b'/')
    }

    /// Whether it is a line of another protocol.
    pub fn is_line(&self) -> bool {
        self.target.first() == Some(&LINE)
    }

    /// Whether the handler may read less than it does for a plain request: nothing, unless a condition is met, or a range. Or
    /// the server knows neither.
    pub fn may_want_less(&self) -> bool {
        self.conditional || self.ranges.are_less()
    }
}

/// Why bytes at hand hold no request to predict for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrecognised {
    /// The beginning of a request whose target is not complete yet.
    Partial,
    /// Not a request of this protocol, or one that reads no file (another method, `*`).
    Foreign,
    /// A target that could lead out of the document root, holds a NUL or is too long.
    Refused,
}

/// One protocol's way to say which file is wanted.
pub trait Recogniser {
    /// Reads the request at the start of `bytes` into `request` and returns how many bytes its
    /// head takes (all of them where the head is not complete yet but the target is).
    ///
    /// # Errors
    /// [`Unrecognised`] says why there is none; `request` is unspecified then.
    fn recognise(&self, bytes: &[u8], request: &mut Request) -> Result<usize, Unrecognised>;
}

/// Appends the decoded form of a request target's path to `target`.
///
/// Decoded once, as servers do: `%252e` stays `%2e`.
///
/// # Errors
/// [`Unrecognised::Refused`] for NUL, a `..` component, a path that does not begin with `/`, or one
/// longer than [`MAX_TARGET`].
pub fn decode_target(raw: &[u8], target: &mut Target) -> Result<(), Unrecognised> {
    decode_target_of(raw.iter().copied(), target)
}

/// [`decode_target`] of bytes that are made one by one.
pub(crate) fn decode_target_of(
    mut raw: impl Iterator<Item = u8> + Clone,
    target: &mut Target,
) -> Result<(), Unrecognised> {
    target.clear();
    while let Some(byte) = raw.next() {
        let byte = match byte {
            // A percent sign that no two digits follow stands for itself.
            b'%' => escaped(&mut raw).unwrap_or(byte),
            _ => byte,
        };
        if byte == 0 || target.try_push(byte).is_err() {
            return Err(Unrecognised::Refused);
        }
    }
    if climbs(target) || target.first() != Some(&b'/') {
        return Err(Unrecognised::Refused);
    }
    Ok(())
}

/// The byte that the next two digits stand for; where they are none, nothing is taken.
fn escaped<Bytes: Iterator<Item = u8> + Clone>(raw: &mut Bytes) -> Option<u8> {
    let mut ahead = raw.clone();
    let mut digit = || char::from(ahead.next()?).to_digit(16);
    let byte = (digit()? << 4 | digit()?) as u8;
    *raw = ahead;
    Some(byte)
}
