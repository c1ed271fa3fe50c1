//! The caches of one event loop's server, as far as they are known.

use super::file::{path_of, CacheFile, Levels, Name};
use super::lesson::{by_header, lesson};
use super::scopes::{Answers, Scopes};
use super::template::Template;
use crate::predictions::{Depth, Predictions, RuleId};
use crate::recognise::{Request, Span};
use arrayvec::ArrayVec;
use core::cmp::Reverse;

/// Most rules. Each is for one cache and one way in which keys are made.
const MAX_RULES: usize = 32;

/// Numbers of rules from here on are of caches.
const FIRST: u16 = 0x8000;

/// A rule that was wrong so often, one time after the other, is silent until it is right again.
const MOST_WRONG: u8 = 4;

/// After so many predictions of which none came true, most requests are for what is not cached: few are looked up.
const MOST_IN_VAIN: u32 = 1024;
const SAMPLE: u32 = 16;

/// Of an answer without a body, and of a range far behind, only the beginning of the file is read.
const HEAD: u64 = 1;

/// What a file has before the answer's body, most often.
const BEFORE_BODY: u64 = 4096;

/// A range that begins so far behind is left to the gate of bodies.
const FAR: u64 = 128 * 1024;

#[derive(Clone, Debug)]
struct Rule {
    directory: ArrayVec<u8, 256>,
    levels: Levels,
    template: Template,
    serial: u32,
    hits: u32,
    /// How often it was wrong since it was right.
    wrong: u8,
    /// Predictions since one came true.
    in_vain: u32,
}

impl Rule {
    fn is_silent(&self) -> bool {
        self.wrong >= MOST_WRONG
    }

    fn is_of(&self, file: &CacheFile<'_>) -> bool {
        self.directory.as_slice() == file.directory && self.levels == file.levels
    }

    fn was_right(&mut self) {
        self.hits = self.hits.saturating_add(1);
        (self.wrong, self.in_vain) = (0, 0);
    }
}

/// What came of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// A new rule.
    New,
    /// What is known predicts this file.
    Known,
    /// No request explains it.
    Nothing,
}

/// The rules of one event loop for its server's caches.
///
/// A key that has its file's name for its sum is the file's own, so what is learnt of a file needs no proof but that it is
/// the right one of the ways in which the key may be made of its request. Strangers choose what they ask for, and so can
/// bring about a wrong one; it predicts beside the right one then, and is silent after a few mistakes.
#[derive(Debug)]
pub struct Caches {
    rules: Vec<Rule>,
    /// Their places, in the order in which they are asked: what is made of more of a request knows better, and so does what
    /// was learnt later, when the others were wrong.
    order: ArrayVec<u8, MAX_RULES>,
    scopes: Scopes,
    next_serial: u32,
    sampled: u32,
    /// What a lesson makes, and what a header makes of that: the stack may be small.
    made: Box<[Template; 2]>,
}

impl Default for Caches {
    fn default() -> Caches {
        Caches {
            rules: Vec::with_capacity(MAX_RULES),
            order: ArrayVec::new(),
            scopes: Scopes::default(),
            next_serial: 0,
            sampled: 0,
            made: Box::default(),
        }
    }
}

impl Caches {
    /// Whether nothing was learnt.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule is one of these.
    pub fn is_one(id: RuleId) -> bool {
        id.index >= FIRST
    }

    /// Adds the files that may answer a request. `for_data` tells that the answer has a body, `by_range` that it has no more of
    /// the file than was asked for.
    pub fn predict(
        &mut self,
        request: &Request,
        (for_data, by_range): (bool, bool),
        into: &mut Predictions,
    ) {
        if self.rules.is_empty() {
            return;
        }
        let only = match self.scopes.get(request) {
            Some(Answers::None) => return,
            Some(Answers::Rule(serial)) => Some(serial),
            Some(Answers::Several) | None => None,
        };
        // The file's own header is read in any case.
        let (start, length) = request.ranges.hull();
        let behind = start.saturating_add(BEFORE_BODY);
        let length = match start {
            _ if !for_data => Some(HEAD),
            _ if !by_range => None,
            0..FAR => length.map(|length| behind.saturating_add(length)),
            _ => Some(HEAD),
        };
        self.sampled = self.sampled.wrapping_add(1);
        let is_sample = self.sampled.is_multiple_of(SAMPLE);
        for place in &self.order {
            let Some(rule) = self.rules.get_mut(usize::from(*place)) else {
                continue;
            };
            let is_asked = only.is_none_or(|serial| rule.serial == serial);
            if !is_asked || rule.is_silent() || rule.in_vain >= MOST_IN_VAIN && !is_sample {
                continue;
            }
            let Some(name) = rule.template.name(request) else {
                continue;
            };
            rule.in_vain = rule.in_vain.saturating_add(1);
            let id = RuleId {
                index: FIRST + u16::from(*place),
                serial: rule.serial,
            };
            let path = path_of(&name, &rule.levels);
            let parts = [rule.directory.as_slice(), &path];
            let root = rule.directory.len();
            let span = length.map_or(Span::From(0), |length| Span::Part(0, length));
            into.compose(&parts, root, (Depth::Data, span), None, id);
        }
    }

    fn get_mut(&mut self, id: RuleId) -> Option<&mut Rule> {
        let place = usize::from(id.index.checked_sub(FIRST)?);
        let rule = self.rules.get_mut(place);
        rule.filter(|rule| rule.serial == id.serial)
    }

    /// A file that was predicted for a request was opened.
    pub fn came_true(&mut self, id: RuleId, request: &Request) {
        let Some(rule) = self.get_mut(id) else {
            return;
        };
        rule.was_right();
        let serial = rule.serial;
        self.scopes.set(request, Answers::Rule(serial));
    }

    /// A request was answered by other files: where no cache is known to answer its kind, none is asked any more.
    pub fn was_answered_otherwise(&mut self, request: &Request) {
        if self.scopes.of_part(request).is_none() {
            self.scopes.set(request, Answers::None);
        }
    }

    /// Something has stalled: rules that were in vain may have been right, and their files open already.
    pub fn has_stalled(&mut self) {
        self.rules.iter_mut().for_each(|rule| rule.in_vain = 0);
    }

    /// A file was opened, for one of these requests, and has this key.
    pub fn learn<'r>(
        &mut self,
        file: &CacheFile<'_>,
        key: &[u8],
        requests: impl Iterator<Item = &'r Request> + Clone,
    ) -> Learnt {
        let mut most = 0;
        for request in requests.clone() {
            let likeness = lesson(key, request, &mut self.made[0]);
            most = most.max(likeness.unwrap_or(0));
        }
        let (Some(name), 1..) = (file.digits(), most) else {
            return Learnt::Nothing;
        };
        // Of those that have as much in common with the key, one for which it is what it should be; else the newest.
        let (mut known, mut explained, mut newest) = (None, None, None);
        for request in requests {
            if lesson(key, request, &mut self.made[0]) != Some(most) {
                continue;
            }
            newest = newest.or(Some(request));
            if self.is_known(file, &name, request) {
                known = Some(request);
                break;
            }
            if explained.is_none() && self.explain_by_header(file, &name, request) {
                explained = Some(request);
            }
        }
        let Some(request) = known.or(explained).or(newest) else {
            return Learnt::Nothing;
        };
        let (serial, learnt) = match self.judge(file, &name, request) {
            Some(serial) => (Some(serial), Learnt::Known),
            None => (self.insert(file, &name, request, key), Learnt::New),
        };
        let Some(serial) = serial else {
            return Learnt::Nothing;
        };
        self.scopes.set(request, Answers::Rule(serial));
        learnt
    }

    /// Whether a rule has a request's file be this one.
    fn is_known(&self, file: &CacheFile<'_>, name: &Name, request: &Request) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.is_of(file));
        rules.any(|rule| rule.template.name(request) == Some(*name))
    }

    /// Counts for and against the rules that say something of a request whose file this is. Tells which is right.
    fn judge(&mut self, file: &CacheFile<'_>, name: &Name, request: &Request) -> Option<u32> {
        let asked = self.scopes.get(request);
        let mut right = None;
        for rule in &mut self.rules {
            let is_asked = asked.is_none_or(|asked| asked == Answers::Rule(rule.serial));
            match rule.template.name(request) {
                Some(said) if said == *name && rule.is_of(file) => {
                    rule.was_right();
                    let rank = (rule.template.parts().len(), rule.serial);
                    right = right.max(Some(rank));
                }
                // In another cache it may be right for other parts of the site.
                Some(_) if is_asked && rule.is_of(file) => {
                    rule.wrong = rule.wrong.saturating_add(1)
                }
                _ => {}
            }
        }
        right.map(|(_, serial)| serial)
    }

    /// Whether a header explains in what the lesson differs from what is known of the cache.
    fn explain_by_header(&mut self, file: &CacheFile<'_>, name: &Name, request: &Request) -> bool {
        let [lesson, template] = &mut *self.made;
        let mut known = self.rules.iter().filter(|rule| rule.is_of(file));
        known.any(|rule| {
            by_header(&rule.template, lesson, request, template).is_some()
                && template.name(request) == Some(*name)
        })
    }

    fn insert(
        &mut self,
        file: &CacheFile<'_>,
        name: &Name,
        request: &Request,
        key: &[u8],
    ) -> Option<u32> {
        lesson(key, request, &mut self.made[0])?;
        let is_explained = self.explain_by_header(file, name, request);
        let template = &self.made[usize::from(is_explained)];
        if template.name(request) != Some(*name) {
            return None;
        }
        let directory = ArrayVec::try_from(file.directory).ok()?;
        self.next_serial = self.next_serial.wrapping_add(1);
        let rule = Rule {
            directory,
            levels: file.levels.clone(),
            template: template.clone(),
            serial: self.next_serial,
            hits: 1,
            wrong: 0,
            in_vain: 0,
        };
        let serial = rule.serial;
        match self.place() {
            Some(place) => *place = rule,
            None => self.rules.push(rule),
        }
        let rules = &self.rules;
        self.order = (0..rules.len() as u8).collect();
        self.order.sort_unstable_by_key(|place| {
            let rule = &rules[usize::from(*place)];
            Reverse((rule.template.parts().len(), rule.serial))
        });
        Some(serial)
    }

    /// Whose place a new rule takes where there is no room: of one that is silent, or was right the least often.
    fn place(&mut self) -> Option<&mut Rule> {
        if self.rules.len() < MAX_RULES {
            return None;
        }
        self.rules
            .iter_mut()
            .min_by_key(|rule| (!rule.is_silent(), rule.hits, rule.serial))
    }
}
