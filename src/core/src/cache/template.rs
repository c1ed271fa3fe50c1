//! How a key is made of a request.

use super::file::{digits, Name};
use crate::recognise::Request;
use arrayvec::ArrayVec;
use md5::{Digest, Md5};

/// Parts of a template at the most, and bytes of what is the same for all requests.
const MAX_PARTS: usize = 12;
const MAX_LITERALS: usize = 256;
const MAX_PREFIX: usize = 128;

/// A part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The same for all: this range of the template's literals.
    Literal(u16, u16),
    /// `$scheme`
    Scheme,
    /// `$request_method`
    Method,
    /// `$host`
    Host,
    /// `$http_host`
    HostAndPort,
    /// `$request_uri`, behind the prefix
    Target,
    /// The same without its query.
    Path,
    /// `$uri`
    DecodedPath,
    /// `$is_args$args`
    Query,
    /// `$args`
    Arguments,
    /// `$http_…`: the hash of its name, in lower case
    Header(u64),
    /// `$cookie_…`
    Cookie(u64),
    /// `$arg_…`
    Argument(u64),
}

/// How a key is made of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    /// What the target begins with and is left out of the key; it ends before a slash.
    pub prefix: ArrayVec<u8, MAX_PREFIX>,
    literals: ArrayVec<u8, MAX_LITERALS>,
    parts: ArrayVec<Part, MAX_PARTS>,
}

/// The hash under which a header or a cookie is known.
pub(super) fn hash_name(name: &[u8]) -> u64 {
    let mut lower = ArrayVec::<u8, 64>::new();
    for byte in name.iter().take(lower.capacity()) {
        // As nginx names its variables.
        lower.push(match byte {
            b'-' => b'_',
            byte => byte.to_ascii_lowercase(),
        });
    }
    crate::hash(&lower)
}

impl Template {
    /// Makes it one without parts, for targets that begin so.
    pub fn begin(&mut self, prefix: &[u8]) -> Option<()> {
        self.prefix.clear();
        self.literals.clear();
        self.parts.clear();
        self.prefix.try_extend_from_slice(prefix).ok()
    }

    /// Appends a part that is no literal; nothing where there is no room.
    pub fn push(&mut self, part: Part) -> Option<()> {
        self.parts.try_push(part).ok()
    }

    /// Appends what is the same for all.
    pub fn push_literal(&mut self, text: &[u8]) -> Option<()> {
        if text.is_empty() {
            return Some(());
        }
        let start = self.literals.len() as u16;
        self.literals.try_extend_from_slice(text).ok()?;
        let end = self.literals.len() as u16;
        match self.parts.last_mut() {
            Some(Part::Literal(_, last)) if *last == start => *last = end,
            _ => self.push(Part::Literal(start, end))?,
        }
        Some(())
    }

    /// Appends a part of another template.
    pub fn push_of(&mut self, other: &Template, part: Part) -> Option<()> {
        match part {
            Part::Literal(start, end) => self.push_literal(other.literal(start, end)),
            part => self.push(part),
        }
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub fn literal(&self, start: u16, end: u16) -> &[u8] {
        let range = usize::from(start)..usize::from(end);
        self.literals.get(range).unwrap_or_default()
    }

    /// What a target contributes.
    fn behind_prefix<'t>(&self, target: &'t [u8]) -> Option<&'t [u8]> {
        let rest = target.strip_prefix(self.prefix.as_slice())?;
        rest.starts_with(b"/").then_some(rest)
    }

    /// Makes the key of a request, part by part; nothing where not all of it is known, or the template is not for it.
    pub fn make(&self, request: &Request, mut add: impl FnMut(&[u8])) -> Option<()> {
        let text = &request.text;
        for part in &self.parts {
            match *part {
                Part::Literal(start, end) => add(self.literal(start, end)),
                Part::Scheme => add(scheme(request)),
                Part::Method => add(method(request)),
                Part::Host => add(&text.host()?),
                Part::HostAndPort => add(text.host_and_port()?),
                Part::Target => add(self.behind_prefix(text.target()?)?),
                Part::Path => add(self.behind_prefix(text.path_and_query()?.0)?),
                Part::DecodedPath => add(self.behind_prefix(&request.target)?),
                Part::Query => add(match text.path_and_query()?.1 {
                    b"?" => b"",
                    query => query,
                }),
                Part::Arguments => add(text.path_and_query()?.1.get(1..).unwrap_or_default()),
                Part::Header(name) => add(named(text.headers()?, name)),
                Part::Cookie(name) => add(named(text.cookies()?, name)),
                Part::Argument(name) => add(named(text.arguments()?, name)),
            }
        }
        Some(())
    }

    /// The name of a request's file.
    pub fn name(&self, request: &Request) -> Option<Name> {
        let mut sum = Md5::new();
        self.make(request, |part| sum.update(part))?;
        Some(digits(sum))
    }
}

pub(super) fn scheme(request: &Request) -> &'static [u8] {
    match request.is_secure {
        true => b"https",
        false => b"http",
    }
}

pub(super) fn method(request: &Request) -> &'static [u8] {
    match request.wants_body {
        true => b"GET",
        false => b"HEAD",
    }
}

/// The first value of this name; what is not there is empty.
fn named<'t>(mut all: impl Iterator<Item = (&'t [u8], &'t [u8])>, wanted: u64) -> &'t [u8] {
    all.find(|(name, _)| hash_name(name) == wanted)
        .map_or(b"", |(_, value)| value)
}
