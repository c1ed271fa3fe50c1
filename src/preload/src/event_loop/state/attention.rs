//! Whether a loop looks at requests before they are read.

/// Two times, in milliseconds.
#[derive(Debug)]
pub struct Attention {
    /// Until when requests are looked at.
    until: u64,
    /// Until when no path is taken to be in memory for long.
    doubtful_until: u64,
}

impl Attention {
    /// Until this time to begin with.
    pub fn until(until: u64) -> Attention {
        Attention {
            until,
            doubtful_until: 0,
        }
    }

    /// Whether requests are looked at.
    pub fn is_paid(&self, now: u64) -> bool {
        now < self.until
    }

    /// Something was cold: it is paid until then.
    pub fn stays(&mut self, until: u64) {
        self.until = until;
    }

    /// A read has stalled although this loop looks at what it is asked for: memory may be taken from
    /// files that are in use.
    pub fn doubt(&mut self) {
        self.doubtful_until = self.until;
    }

    /// Whether one has lately.
    pub fn doubts(&self, now: u64) -> bool {
        now < self.doubtful_until
    }
}
