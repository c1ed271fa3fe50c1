//! What a configuration tells.

use std::path::PathBuf;

/// What a configuration tells of its server.
#[derive(Debug, Default)]
pub struct Configured {
    /// Directories with documents.
    pub roots: Vec<PathBuf>,
    /// A library for TLS that it loads itself: its name, and whether its keys can be had.
    pub tls: Option<(String, bool)>,
}
