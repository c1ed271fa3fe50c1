//! An answer, as far as it has come.

use super::frames;

/// What has come of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code; 0 while there is none.
    pub status: u16,
    /// Header fields in order, trailers included.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether this is all.
    pub ended: bool,
    /// The error that the server has ended the stream with.
    pub reset: Option<u32>,
}

impl Answer {
    /// The first field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        fields.find(|(n, _)| n == name).map(|(_, v)| &**v)
    }

    /// Whether the server has not begun with it, and it may be asked for again.
    pub fn is_refused(&self) -> bool {
        self.reset == Some(frames::REFUSED_STREAM)
    }
}
