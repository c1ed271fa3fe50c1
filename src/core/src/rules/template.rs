//! Rules with blanks: `/~{1}/` → `/home/{1}/public_html/`, where the host and parts of the target stand.
//!
//! A blank is found where two lessons differ. What differs in the targets alone may be anything; what differs in the directories must
//! be a part of what the client has said, at the same place both times.

use super::lesson::Lesson;
use super::shape::{MAX_DIRECTORY, MAX_PREFIX, MAX_SUFFIX};
use crate::paths::up_to_last_slash;
use crate::predictions::{Depth, Predictions, RuleId};
use crate::recognise::{Coding, Request, Span};
use arrayvec::ArrayVec;

/// Components of a prefix, parts of a directory, and bytes of a host or a component that are told apart, at most.
const MAX_COMPONENTS: usize = 8;
const MAX_PARTS: usize = 12;
const MAX_WORD: usize = 128;

/// Bytes of a target that are kept of a lesson.
const MAX_TAUGHT: usize = 256;

/// What a client has said, of which parts may stand in a path. A host that it has not named is empty.
#[derive(Clone, Copy)]
pub struct Said<'r> {
    pub host: &'r [u8],
    pub target: &'r [u8],
}

impl<'r> Said<'r> {
    fn word(self, origin: Origin) -> Option<&'r [u8]> {
        let mut components = self.target.split(|&byte| byte == b'/').skip(1);
        let word = match origin {
            Origin::Host => Some(self.host),
            Origin::Component(number) => components.nth(usize::from(number)),
            Origin::Name => components.last(),
        };
        word.filter(|word| !word.is_empty() && word.len() <= MAX_WORD)
    }
}

/// Which word of a client's a blank is filled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The host, in lower case, without its port.
    Host,
    /// One of the target's components, counted from its beginning.
    Component(u8),
    /// The last of them.
    Name,
}

/// How far a blank goes in its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    OfWord,
    /// The first dot.
    Dot,
    After(u8),
}

/// A blank: a part of one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Blank {
    origin: Origin,
    start: u8,
    end: End,
}

impl Blank {
    /// What it is filled with.
    fn of<'s>(&self, said: Said<'s>) -> Option<&'s [u8]> {
        let rest = said.word(self.origin)?.get(usize::from(self.start)..)?;
        let part = match self.end {
            End::OfWord => Some(rest),
            End::Dot => memchr::memchr(b'.', rest).map(|dot| &rest[..dot]),
            End::After(length) => rest.get(..usize::from(length)),
        };
        // What a client calls its host may have a slash.
        part.filter(|part| !part.is_empty() && !part.contains(&b'/'))
    }

    /// The blank that is filled with `one` by what one client has said, and with `other` by another; the same word of both.
    fn between(
        origin: Origin,
        (one, said): (&[u8], Said<'_>),
        (other, said_other): (&[u8], Said<'_>),
    ) -> Option<Blank> {
        let (word, other_word) = (said.word(origin)?, said_other.word(origin)?);
        memchr::memmem::find_iter(word, one).find_map(|start| {
            let after = word.get(start..)?.strip_prefix(one)?;
            let other_after = other_word.get(start..)?.strip_prefix(other)?;
            let has_dot = one.contains(&b'.') || other.contains(&b'.');
            let are_dots = after.first() == Some(&b'.') && other_after.first() == Some(&b'.');
            let end = if after.is_empty() && other_after.is_empty() {
                End::OfWord
            } else if are_dots && !has_dot {
                End::Dot
            } else if one.len() == other.len() {
                End::After(one.len() as u8)
            } else {
                return None;
            };
            let start = start as u8;
            Some(Blank { origin, start, end })
        })
    }
}

/// One part of a directory. Literal bytes stand in the template's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Literal(u16, u16),
    Blank(Blank),
}

/// A component of a prefix: what it begins with, which stands in the template's text, and whether that is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Component {
    literal: (u16, u16),
    is_whole: bool,
}

/// What was learnt from one operation, to be laid beside another one. It is large: written where it lies.
#[derive(Clone, Debug, Default)]
pub struct Taught {
    host: u64,
    host_name: ArrayVec<u8, MAX_WORD>,
    target: ArrayVec<u8, MAX_TAUGHT>,
    /// 0 where there is nothing.
    prefix: usize,
    directory: ArrayVec<u8, MAX_DIRECTORY>,
    suffix: ArrayVec<u8, MAX_SUFFIX>,
    kind: (bool, bool, Option<Coding>),
}

impl Taught {
    /// Nothing is left where one of its parts is too long.
    pub fn set(&mut self, request: &Request, lesson: &Lesson<'_>) {
        let shape = &lesson.shape;
        self.host = request.host;
        self.host_name.clear();
        self.target.clear();
        self.directory.clear();
        self.suffix.clone_from(&shape.suffix);
        self.kind = (shape.directory_target, shape.trim, shape.coding);
        request.text.with_host(|host| {
            let _ = self.host_name.try_extend_from_slice(host);
        });
        let target = self.target.try_extend_from_slice(&request.target);
        let directory = self.directory.try_extend_from_slice(lesson.directory);
        let is_whole = target.is_ok() && directory.is_ok();
        self.prefix = if is_whole { shape.prefix.len() } else { 0 };
    }

    pub fn is_empty(&self) -> bool {
        self.prefix == 0
    }

    fn said(&self) -> Said<'_> {
        Said {
            host: &self.host_name,
            target: &self.target,
        }
    }

    /// The components of its prefix.
    fn prefix(&self) -> impl Iterator<Item = &[u8]> {
        let prefix = self.target.get(1..self.prefix).unwrap_or_default();
        prefix
            .split(|&byte| byte == b'/')
            .take_while(|component| !component.is_empty())
    }

    /// Those of its directory, which ends in a slash or not.
    fn directory(&self) -> impl Iterator<Item = &[u8]> {
        let directory = self.directory.strip_suffix(b"/").unwrap_or(&self.directory);
        directory.split(|&byte| byte == b'/')
    }
}

/// How targets become paths. It is large: made where it lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// The host, where it is for one only.
    host: Option<u64>,
    /// Each component of the prefix.
    prefix: ArrayVec<Component, MAX_COMPONENTS>,
    directory: ArrayVec<Part, MAX_PARTS>,
    /// What does not change.
    text: ArrayVec<u8, { MAX_PREFIX + MAX_DIRECTORY }>,
    directory_target: bool,
    trim: bool,
    suffix: ArrayVec<u8, MAX_SUFFIX>,
    /// What a client must take for this.
    coding: Option<Coding>,
}

impl Template {
    /// Becomes what two lessons have in common; nothing where they have not enough, or say the same.
    pub fn set(&mut self, one: &Taught, other: &Taught) -> Option<()> {
        let template = self;
        if one.kind != other.kind || one.suffix != other.suffix {
            return None;
        }
        template.host = (one.host == other.host).then_some(one.host);
        template.prefix.clear();
        template.directory.clear();
        template.text.clear();
        (template.directory_target, template.trim, template.coding) = one.kind;
        template.suffix.clone_from(&one.suffix);
        if one.prefix().count() != other.prefix().count() {
            return None;
        }
        for (component, other) in one.prefix().zip(other.prefix()) {
            let is_whole = component == other;
            let begins_with = match is_whole {
                true => component,
                false => mark(component, other),
            };
            let literal = template.write(begins_with)?;
            let component = Component { literal, is_whole };
            template.prefix.try_push(component).ok()?;
        }
        if one.directory().count() != other.directory().count() {
            return None;
        }
        for (component, component_of_other) in one.directory().zip(other.directory()) {
            if component == component_of_other {
                template.add(component)?;
            } else {
                let pair = (component, component_of_other);
                template.add_blank(pair, (one, other))?;
            }
            template.add(b"/")?;
        }
        let is_blank = |part: &Part| matches!(part, Part::Blank(_));
        let is_open = |component: &Component| !component.is_whole;
        let has_blanks =
            template.prefix.iter().any(is_open) || template.directory.iter().any(is_blank);
        has_blanks.then_some(())
    }

    fn write(&mut self, bytes: &[u8]) -> Option<(u16, u16)> {
        let start = self.text.len() as u16;
        self.text.try_extend_from_slice(bytes).ok()?;
        Some((start, self.text.len() as u16))
    }

    fn text(&self, (start, end): (u16, u16)) -> &[u8] {
        let range = usize::from(start)..usize::from(end);
        self.text.get(range).unwrap_or_default()
    }

    /// Literal bytes of the directory.
    fn add(&mut self, bytes: &[u8]) -> Option<()> {
        let (start, end) = self.write(bytes)?;
        match self.directory.last_mut() {
            Some(Part::Literal(_, last)) => *last = end,
            _ => self.directory.try_push(Part::Literal(start, end)).ok()?,
        }
        Some(())
    }

    /// A component of the directory that differs: a blank, perhaps with something before it and behind it.
    fn add_blank(&mut self, (one, other): (&[u8], &[u8]), of: (&Taught, &Taught)) -> Option<()> {
        let (said, said_other) = (of.0.said(), of.1.said());
        let origins = |prefix: usize| {
            let components = (0..MAX_COMPONENTS as u8).map(Origin::Component);
            let (of_prefix, others) = (components.clone().take(prefix), components.skip(prefix));
            core::iter::once(Origin::Host)
                .chain(of_prefix)
                .chain([Origin::Name])
                .chain(others)
        };
        let same = |(a, b): &(&u8, &u8)| a == b;
        let before = one.iter().zip(other).take_while(same).count();
        let behind = one
            .iter()
            .rev()
            .zip(other.iter().rev())
            .take_while(same)
            .count();
        for first in 0..=before {
            for last in 0..=behind {
                let part = |word: &[u8]| -> Option<core::ops::Range<usize>> {
                    let end = word.len().checked_sub(last)?;
                    (first < end).then_some(first..end)
                };
                let (Some(part_of_one), Some(part_of_other)) = (part(one), part(other)) else {
                    break;
                };
                let found = origins(of.0.prefix().count()).find_map(|origin| {
                    let one = (&one[part_of_one.clone()], said);
                    let other = (&other[part_of_other.clone()], said_other);
                    Blank::between(origin, one, other)
                });
                if let Some(blank) = found {
                    self.add_if_any(&one[..first])?;
                    self.directory.try_push(Part::Blank(blank)).ok()?;
                    return self.add_if_any(&one[one.len() - last..]);
                }
            }
        }
        None
    }

    fn add_if_any(&mut self, bytes: &[u8]) -> Option<()> {
        match bytes.is_empty() {
            true => Some(()),
            false => self.add(bytes),
        }
    }

    /// What is left of a target that it is for.
    fn rest<'t>(&self, request: &'t Request) -> Option<&'t [u8]> {
        if self.host.is_some_and(|host| host != request.host) {
            return None;
        }
        if self.coding.is_some_and(|it| !request.codings.have(it)) {
            return None;
        }
        let target = request.target.as_slice();
        if self.directory_target != target.ends_with(b"/") {
            return None;
        }
        let mut rest = target.strip_prefix(b"/")?;
        for component in &self.prefix {
            let slash = memchr::memchr(b'/', rest)?;
            let after = rest[..slash].strip_prefix(self.text(component.literal))?;
            let is_it = after.is_empty() == component.is_whole;
            if !is_it {
                return None;
            }
            rest = &rest[slash + 1..];
        }
        Some(match self.trim {
            true => up_to_last_slash(rest),
            false => rest,
        })
    }

    /// Adds what this predicts to a list, where there is room.
    pub fn predict(
        &self,
        (request, said): (&Request, Said<'_>),
        (depth, span, yields): (Depth, Span, bool),
        id: RuleId,
        into: &mut Predictions,
    ) -> Option<()> {
        let rest = self.rest(request)?;
        let mut parts = ArrayVec::<&[u8], { MAX_PARTS + 2 }>::new();
        // What a client has said must not lead out of what goes before.
        let (mut root, mut length_of_path) = (None, 0);
        for part in &self.directory {
            let bytes = match part {
                Part::Literal(start, end) => self.text((*start, *end)),
                Part::Blank(blank) => {
                    let before = parts.last().copied().unwrap_or_default();
                    let beside = before.len() - up_to_last_slash(before).len();
                    root.get_or_insert(length_of_path - beside);
                    blank.of(said)?
                }
            };
            length_of_path += bytes.len();
            parts.try_push(bytes).ok()?;
        }
        let root = root.unwrap_or(length_of_path);
        parts.try_push(rest).ok()?;
        parts.try_push(&self.suffix).ok()?;
        let coding = self.coding;
        let coding = coding.filter(|it| yields && request.codings.surely_have(*it));
        into.compose(&parts, root, (depth, span), coding, id);
        Some(())
    }
}

/// What marks both words as being of a kind, such as the `~` before a user's name: what they begin with up to the last sign that is
/// neither a letter nor a digit.
fn mark<'w>(word: &'w [u8], other: &[u8]) -> &'w [u8] {
    let same = word.iter().zip(other).take_while(|(a, b)| a == b).count();
    let word = &word[..same];
    let sign = word.iter().rposition(|byte| byte.is_ascii_punctuation());
    &word[..sign.map_or(0, |at| at + 1)]
}
