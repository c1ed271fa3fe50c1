//! What is learnt of files that no target tells, and of what is no target.

use super::outcome::Outcome;
use super::table::Rules;
use crate::predictions::Depth;
use crate::recognise::Request;

impl Rules {
    /// Learns that a file which its target does not tell is opened together with the one of this request.
    #[inline(never)]
    pub fn learn_companion(
        &mut self,
        request: &Request,
        path: &[u8],
        depth: Depth,
    ) -> Option<Outcome> {
        let rule = self.companions.learn(request, path, depth)?;
        Some(Outcome {
            rule,
            came_true: true,
            is_new: true,
        })
    }

    /// Whether anything is known of what clients of HTTP ask for.
    pub fn serve_requests(&self) -> bool {
        let mut prefixes = self.rules.iter().map(|rule| &rule.shape.prefix);
        prefixes.any(|prefix| prefix.starts_with(b"/"))
    }
}
