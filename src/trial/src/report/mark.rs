//! A figure that decides, and what it must be.

use serde::Serialize;

use crate::plan::Section;

/// Which side of a mark is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Good {
    /// The larger the better.
    AtLeast,
    /// The smaller the better.
    AtMost,
}

/// One figure and its marks.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Where it was measured.
    pub section: Section,
    /// What it is.
    pub figure: String,
    /// The figure; for a ratio of rates or latencies, that of the medians in the table.
    pub value: f64,
    /// The same ratio within each round.
    pub rounds: Vec<f64>,
    /// What it must be.
    #[serde(flatten)]
    pub mark: Mark,
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Mark {
    /// Which side is good.
    pub good: Good,
    /// What it must be.
    pub must: f64,
    /// What is hoped for beyond that.
    pub hopes: Option<f64>,
}

impl Good {
    /// As it is written before a mark.
    pub fn sign(self) -> &'static str {
        match self {
            Self::AtLeast => "≥",
            Self::AtMost => "≤",
        }
    }
}

impl Mark {
    /// Is a figure what it must be?
    pub fn is_met_by(&self, value: f64) -> bool {
        match self.good {
            Good::AtLeast => value >= self.must,
            Good::AtMost => value <= self.must,
        }
    }
}

impl Verdict {
    /// Is it what it must be?
    pub fn is_met(&self) -> bool {
        self.mark.is_met_by(self.value)
    }
}

/// A mark for what should be large.
pub fn at_least(must: f64, hopes: Option<f64>) -> Mark {
    Mark {
        good: Good::AtLeast,
        must,
        hopes,
    }
}

/// A mark for what should be small.
pub fn at_most(must: f64, hopes: Option<f64>) -> Mark {
    Mark {
        good: Good::AtMost,
        must,
        hopes,
    }
}
