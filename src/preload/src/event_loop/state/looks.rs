//! What a loop has before its eyes: the bytes of a look, the requests in them, and the beginnings of those that were cut.
//!
//! The memory is made once, so that no hook needs a large frame.

use laio_core::predictions::Predictions;
use laio_core::recognise::Request;

/// How much of what a client sent is looked at.
pub const LOOK: usize = 4096;

/// Connections whose request line was cut in the middle, remembered at once.
const PARTIALS: usize = 16;

/// The first part of a request line that was cut in the middle.
#[derive(Debug)]
struct Partial {
    fd: i32,
    bytes: Vec<u8>,
}

/// The bytes, and what was made of them.
#[derive(Debug)]
pub struct Looks {
    /// What is looked at.
    pub bytes: Box<[u8; LOOK]>,
    /// The request that was found last.
    pub request: Request,
    /// What its handler will touch.
    pub predictions: Predictions,
    partials: Vec<Partial>,
}

impl Default for Looks {
    fn default() -> Looks {
        Looks {
            bytes: Box::new([0; LOOK]),
            request: Request::default(),
            predictions: Predictions::default(),
            partials: Vec::with_capacity(PARTIALS),
        }
    }
}

impl Looks {
    /// Copies what was read, as far as there is room; returns how much.
    pub fn show(&mut self, bytes: &[u8]) -> usize {
        let length = bytes.len().min(LOOK);
        if let (Some(place), Some(bytes)) = (self.bytes.get_mut(..length), bytes.get(..length)) {
            place.copy_from_slice(bytes);
        }
        length
    }

    /// Puts the part that was kept in front of what was looked at; returns the length of both.
    pub fn join(&mut self, fd: i32, length: usize) -> usize {
        let Some(partial) = self.partials.iter().find(|partial| partial.fd == fd) else {
            return length;
        };
        let first = &partial.bytes;
        let whole = (first.len() + length).min(LOOK);
        self.bytes.copy_within(..whole - first.len(), first.len());
        if let Some(place) = self.bytes.get_mut(..first.len()) {
            place.copy_from_slice(first);
        }
        whole
    }

    /// Keeps a copy of a request line's beginning.
    pub fn keep(&mut self, fd: i32, at: usize, length: usize) {
        let bytes = self.bytes.get(at..length).unwrap_or_default();
        // Of this number's last owner, or the first come.
        let old = self.partials.iter().position(|partial| partial.fd == fd);
        if let Some(index) = old.or((self.partials.len() == PARTIALS).then_some(0)) {
            self.partials.swap_remove(index);
        }
        self.partials.push(Partial {
            fd,
            bytes: bytes.to_vec(),
        });
    }

    /// What was kept of this connection has become whole, or is of no use.
    pub fn drop_part(&mut self, fd: i32) {
        self.partials.retain(|partial| partial.fd != fd);
    }
}
