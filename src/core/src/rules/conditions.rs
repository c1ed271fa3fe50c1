//! Whether requests with a condition are answered with data, and those of clients that take codings with plain files.

use super::table::Rules;
use crate::recognise::{Codings, Request};

/// For how many conditional requests data is expected after a handler has read for one.
const UNMET: u32 = 64;

impl Rules {
    /// A handler has waited for data, perhaps because a condition was not met: for a while conditional requests are
    /// taken for plain ones. Otherwise a client could have every cold file stall by a condition that it makes up.
    pub fn expect_data_for_conditions(&mut self) {
        self.unmet = UNMET;
    }

    /// A handler has waited for a plain file beside which there is a coded one that the client would have taken: for a while both are
    /// brought in.
    pub fn expect_plain_files(&mut self) {
        self.plain = UNMET;
    }

    /// Whether a coded file is sent in the place of a plain one, as far as is known.
    pub(super) fn yields_to_coded(&mut self, request: &Request) -> bool {
        let yields = self.plain == 0;
        let may_be_coded = request.codings != Codings::default();
        self.plain -= u32::from(may_be_coded && !yields);
        yields
    }

    /// A conditional request was predicted for.
    pub fn count_condition(&mut self) {
        self.unmet = self.unmet.saturating_sub(1);
    }
}
