//! One rule: what it predicts, and how often it was right.

use super::shape::{Shape, MAX_DIRECTORY};
use super::votes::Votes;
use crate::paths::up_to_last_slash;
use crate::predictions::{Depth, Predictions, RuleId};
use crate::recognise::{Codings, Request, Span};
use arrayvec::ArrayVec;
use core::cmp::Reverse;

#[derive(Clone, Debug)]
pub struct Rule {
    pub shape: Shape,
    /// What the prefix is replaced by; ends in `/`, or is empty for the working directory.
    pub directory: ArrayVec<u8, MAX_DIRECTORY>,
    pub depth: Depth,
    pub votes: Votes,
    pub pinned: bool,
    pub id: RuleId,
}

impl Rule {
    /// Whether it predicts at all.
    pub fn trusted(&self) -> bool {
        self.pinned || self.votes.are_trusted()
    }

    /// Whether it may predict instead of others.
    pub fn proven(&self) -> bool {
        self.pinned || self.votes.are_proof()
    }

    /// What it knows about, the narrower the greater: one host, a long prefix, and one coding.
    pub fn rank(&self) -> (bool, usize, bool) {
        let is_coded = self.shape.coding.is_some();
        (self.shape.host != 0, self.shape.prefix.len(), is_coded)
    }

    /// Whether what another one predicts for a target is the same file, coded.
    pub fn is_coded_by(&self, other: &Rule) -> bool {
        let kind = |rule: &Rule| (rule.shape.directory_target, rule.shape.trim);
        let coding = other.shape.coding.filter(|_| kind(self) == kind(other));
        coding.is_some_and(|coding| {
            other.shape.suffix.strip_suffix(coding.suffix()) == Some(&self.shape.suffix)
        })
    }

    /// How often it was right; of equals, the older comes first.
    pub fn standing(&self) -> (i64, Reverse<u32>) {
        self.votes.standing(self.id.serial)
    }

    /// Whether both predict the same kind of path for a target, so that one of them should suffice.
    pub fn is_rival_of(&self, other: &Shape) -> bool {
        let kind = |shape: &Shape| (shape.directory_target, shape.trim);
        kind(&self.shape) == kind(other) && self.shape.suffix == other.suffix
    }

    /// Whether it predicts anything for this request.
    pub fn speaks_for(&self, request: &Request) -> bool {
        let for_host = self.shape.host == 0 || self.shape.host == request.host;
        self.is_for(request.codings)
            && for_host
            && self.trusted()
            && self.rest(&request.target).is_some()
    }

    /// Whether a client takes what it is for.
    fn is_for(&self, codings: Codings) -> bool {
        self.shape.coding.is_none_or(|coding| codings.have(coding))
    }

    /// What a target contributes to the path, or nothing where the rule is not for it.
    pub fn rest<'t>(&self, target: &'t [u8]) -> Option<&'t [u8]> {
        if self.shape.directory_target != target.ends_with(b"/") {
            return None;
        }
        let rest = target.strip_prefix(self.shape.prefix.as_slice())?;
        Some(if self.shape.trim {
            up_to_last_slash(rest)
        } else {
            rest
        })
    }

    /// Adds what this rule predicts to a list, where there is room.
    pub fn predict(
        &self,
        request: &Request,
        (for_data, span, yields): (bool, Span, bool),
        into: &mut Predictions,
    ) {
        let Some(rest) = self.rest(&request.target) else {
            return;
        };
        // What most likely sends no data must not make anybody read it.
        let no_body = !for_data && self.depth == Depth::Data;
        let depth = if no_body { Depth::Name } else { self.depth };
        let parts = [self.directory.as_slice(), rest, &self.shape.suffix];
        let coding = self.shape.coding;
        let coding = coding.filter(|it| yields && request.codings.surely_have(*it));
        into.compose(&parts, self.directory.len(), (depth, span), coding, self.id);
    }
}
