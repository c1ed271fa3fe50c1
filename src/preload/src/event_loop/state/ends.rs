//! Where what is read of a client may end: behind each record, or in the clear anywhere.

/// Records of which it is kept where they end; further ones count as one.
const MOST: usize = 64;

/// Where records end: in the bytes that they hold together, and in those that were sent.
#[derive(Debug)]
pub struct Ends {
    records: Vec<(usize, usize)>,
    are_anywhere: bool,
}

impl Default for Ends {
    fn default() -> Ends {
        Ends {
            records: Vec::with_capacity(MOST),
            are_anywhere: false,
        }
    }
}

impl Ends {
    /// There are no records yet.
    pub fn clear(&mut self) {
        self.records.clear();
        self.are_anywhere = false;
    }

    /// There are none: it is in the clear.
    pub fn are_anywhere(&mut self) {
        self.are_anywhere = true;
    }

    /// A record ends there.
    pub fn push(&mut self, held: usize, sent: usize) {
        if self.records.len() < MOST {
            self.records.push((held, sent));
        }
    }

    /// The last end at or before so many bytes that are held. Behind those that are kept there is none.
    pub fn before(&self, held: usize) -> (usize, usize) {
        if self.are_anywhere {
            return (held, held);
        }
        let last = self.records.iter().rev().find(|(end, _)| *end <= held);
        last.copied().unwrap_or_default()
    }
}
