//! What became of a prediction.

use crate::predictions::RuleId;

/// What became of one rule's prediction for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The rule.
    pub rule: RuleId,
    /// Whether the handler touched the path.
    pub came_true: bool,
    /// Whether the rule was made of this very request, which counts already.
    pub is_new: bool,
}
