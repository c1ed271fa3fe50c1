//! Progress on the terminal: a bar with what runs now, and a line for every run that is done.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// The bar; without a terminal there are only the lines.
pub struct Progress(ProgressBar);

impl Progress {
    /// Not yet shown.
    pub fn new() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Shows it, for so many steps.
    pub fn start(&mut self, steps: u32) {
        self.0 = ProgressBar::new(u64::from(steps));
        if let Ok(style) =
            ProgressStyle::with_template("{bar:24} {pos}/{len} runs, {elapsed}  {msg}")
        {
            self.0.set_style(style);
        }
    }

    /// What runs now.
    pub fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    /// One step is done.
    pub fn step(&self) {
        self.0.inc(1);
    }

    /// A line above the bar.
    pub fn print(&self, line: &str) {
        // Whoever read the lines may have gone; the figures are still wanted.
        let _ = self.0.suspend(|| writeln!(io::stdout(), "{line}"));
    }

    /// All are.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
