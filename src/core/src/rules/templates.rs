//! The templates of one event loop: what is learnt from several sites, users or names holds for the next.
//!
//! They predict beside the rules and never instead of them, so that a wrong one, such as a stranger may bring about, costs a look at
//! a name, and its own standing.

use super::lesson::Lesson;
use super::template::{Said, Taught, Template};
use super::votes::Votes;
use crate::predictions::{Depth, Predictions, RuleId};
use crate::recognise::{Request, Span};

/// Most templates of one event loop.
const MAX_TEMPLATES: usize = 16;

/// Lessons that are kept to be laid beside the next.
const MAX_TAUGHT: usize = 8;

/// Templates that one lesson may bring about, and such as are not proven that predict for one request.
const AT_ONCE: usize = 4;

/// Where the numbers of these begin.
pub(super) const FIRST: u16 = 0x4000;

#[derive(Debug)]
struct Entry {
    template: Template,
    depth: Depth,
    votes: Votes,
    serial: u32,
}

/// The templates of one event loop.
#[derive(Debug)]
pub struct Templates {
    all: Vec<Entry>,
    /// The oldest is where the next goes.
    taught: Vec<Taught>,
    next: usize,
    /// One that is being made.
    made: Box<Template>,
    serial: u32,
}

impl Default for Templates {
    fn default() -> Templates {
        Templates {
            all: Vec::with_capacity(MAX_TEMPLATES),
            taught: (0..MAX_TAUGHT).map(|_| Taught::default()).collect(),
            next: 0,
            made: Box::default(),
            serial: 0,
        }
    }
}

impl Templates {
    /// Whether a rule is one of these.
    pub fn is_one(id: RuleId) -> bool {
        (FIRST..2 * FIRST).contains(&id.index)
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Another number after each that is learnt.
    pub fn version(&self) -> u32 {
        self.serial
    }

    fn get_mut(&mut self, id: RuleId) -> Option<&mut Entry> {
        let place = usize::from(id.index.checked_sub(FIRST)?);
        let entry = self.all.get_mut(place);
        entry.filter(|entry| entry.serial == id.serial)
    }

    /// Whether one is proven.
    pub fn is_proven(&self, id: RuleId) -> bool {
        let place = usize::from(id.index.saturating_sub(FIRST));
        let entry = self.all.get(place).filter(|it| it.serial == id.serial);
        entry.is_some_and(|entry| entry.votes.are_proof())
    }

    /// Adds what they predict for a request: first those that are proven.
    pub fn predict(&self, request: &Request, wanted: (bool, Span, bool), into: &mut Predictions) {
        if self.all.is_empty() {
            return;
        }
        request.text.with_host(|host| {
            let target = &request.target;
            self.predict_said(request, Said { host, target }, wanted, into);
        });
    }

    fn predict_said(
        &self,
        request: &Request,
        said: Said<'_>,
        (for_data, span, yields): (bool, Span, bool),
        into: &mut Predictions,
    ) {
        let all = (FIRST..).zip(&self.all);
        let proven = all.clone().filter(|(_, it)| it.votes.are_proof());
        let others = all.filter(|(_, it)| !it.votes.are_proof() && it.votes.are_trusted());
        for (index, entry) in proven.chain(others.take(AT_ONCE)) {
            let no_body = !for_data && entry.depth == Depth::Data;
            let depth = if no_body { Depth::Name } else { entry.depth };
            let id = RuleId {
                index,
                serial: entry.serial,
            };
            let _ = entry
                .template
                .predict((request, said), (depth, span, yields), id, into);
        }
    }

    /// A prediction came true, or did not.
    pub fn judge(&mut self, id: RuleId, came_true: bool) {
        if let Some(entry) = self.get_mut(id) {
            entry.votes.count(came_true);
        }
    }

    /// A predicted path was touched at this depth, perhaps a deeper look than known.
    pub fn confirm(&mut self, id: RuleId, depth: Depth) {
        if let Some(entry) = self.get_mut(id) {
            entry.depth = entry.depth.max(depth);
        }
    }

    /// Lays a lesson that no rule knew beside the last ones.
    #[inline(never)]
    pub fn learn(&mut self, request: &Request, lesson: &Lesson<'_>) {
        let newest = self.next;
        self.next = (newest + 1) % MAX_TAUGHT;
        if let Some(oldest) = self.taught.get_mut(newest) {
            oldest.set(request, lesson);
        }
        let mut left = AT_ONCE;
        for age in 1..MAX_TAUGHT {
            let place = (newest + MAX_TAUGHT - age) % MAX_TAUGHT;
            let (Some(one), Some(other)) = (self.taught.get(newest), self.taught.get(place)) else {
                return;
            };
            if one.is_empty() || other.is_empty() || left == 0 {
                continue;
            }
            if self.made.set(one, other).is_some() {
                self.add(lesson.depth);
                left -= 1;
            }
        }
    }

    /// Adds the one that was made.
    #[inline(never)]
    fn add(&mut self, depth: Depth) {
        let made = &*self.made;
        if let Some(entry) = self.all.iter_mut().find(|it| it.template == *made) {
            entry.votes.count(true);
            entry.depth = entry.depth.max(depth);
            return;
        }
        self.serial = self.serial.wrapping_add(1);
        let fresh = Entry {
            template: made.clone(),
            depth,
            votes: Votes::new(),
            serial: self.serial,
        };
        if self.all.len() < MAX_TEMPLATES {
            self.all.push(fresh);
            return;
        }
        // The one that was right the least often gives way, but not one that is proven.
        let others = self.all.iter_mut().filter(|it| !it.votes.are_proof());
        let weakest = |it: &&mut Entry| (it.votes.are_trusted(), it.votes.hits, it.serial);
        if let Some(weakest) = others.min_by_key(weakest) {
            *weakest = fresh;
        }
    }
}
