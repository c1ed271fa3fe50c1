//! Whether requests with a condition are answered with data.

use super::table::Rules;

/// For how many conditional requests data is expected after a handler has read for one.
const UNMET: u32 = 64;

impl Rules {
    /// A handler has waited for data, perhaps because a condition was not met: for a while conditional requests are
    /// taken for plain ones. Otherwise a client could have every cold file stall by a condition that it makes up.
    pub fn expect_data_for_conditions(&mut self) {
        self.unmet = UNMET;
    }

    /// A conditional request was predicted for.
    pub fn count_condition(&mut self) {
        self.unmet = self.unmet.saturating_sub(1);
    }
}
