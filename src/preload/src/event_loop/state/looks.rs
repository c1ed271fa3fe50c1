//! What a loop has before its eyes: the bytes of a look, the requests in them, and the beginnings of those that were cut.
//!
//! The memory is made once, so that no hook needs a large frame.

use super::ends::Ends;
use crate::fetch::job::Job;
use laio_core::http2;
use laio_core::predictions::Predictions;
use laio_core::recognise::Request;
use laio_core::tls;
use std::collections::VecDeque;

/// How much of what a client sent is looked at.
pub const LOOK: usize = 4096;

/// Connections whose request line was cut in the middle, remembered at once.
const PARTIALS: usize = 16;

/// How much of what a client sent by TLS or HTTP/2 is looked at: the longest record, and what may follow it.
pub const SEALED: usize = tls::LONGEST + LOOK;

/// Requests of one client that are held back together at most: as many as a client of HTTP/2 is commonly allowed to have open.
pub const MOST_COLD: usize = 128;

/// What a look at a connection that speaks TLS or HTTP/2 has found, as long as nothing else is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Bytes of requests: in [`Looks::bytes`], or of HTTP/2 in [`Looks::sealed`].
    pub length: usize,
    /// Further ones, for which there was no room.
    pub unseen: usize,
    /// Bytes of the connection whose requests these are.
    pub judged: usize,
    /// Of HTTP/2, there are requests among them.
    pub asks: bool,
    /// There are others behind them.
    pub is_cut: bool,
    /// That is all that was there.
    pub is_all: bool,
}

/// The first part of something that was cut in the middle: a request line, or a record.
#[derive(Debug)]
struct Partial {
    fd: i32,
    bytes: Vec<u8>,
}

/// No descriptor.
const NONE: i32 = -1;

impl Partial {
    fn none() -> Partial {
        let bytes = Vec::new();
        Partial { fd: NONE, bytes }
    }
}

/// The bytes, and what was made of them.
#[derive(Debug)]
pub struct Looks {
    /// What is looked at.
    pub bytes: Box<[u8; LOOK]>,
    /// The request that was found last.
    pub request: Box<Request>,
    /// What its handler will touch.
    pub predictions: Box<Predictions>,
    partials: Vec<Partial>,
    /// Where requests are found to be cold: their jobs, and the streams that they are on.
    pub cold: VecDeque<(u32, Box<Job>)>,
    /// What is looked at of TLS, opened where it stands, and of HTTP/2.
    pub sealed: Box<[u8]>,
    /// Where the records in that end.
    pub ends: Ends,
    /// The frames of the client that is looked at, up to where that has come.
    pub frames: http2::Connection,
    records: Vec<Partial>,
    /// What was found in that.
    pub seen: Seen,
    /// The connection that speaks TLS and was read last.
    pub last_sealed: i32,
    /// How often a file operation has stalled.
    pub stalls: u32,
}

impl Default for Looks {
    fn default() -> Looks {
        Looks {
            bytes: Box::new([0; LOOK]),
            request: new_request(),
            predictions: new_predictions(),
            partials: Vec::with_capacity(PARTIALS),
            cold: VecDeque::with_capacity(MOST_COLD),
            ends: Ends::default(),
            frames: http2::Connection::new(),
            // Made where it lies: the stack may be small.
            sealed: vec![0; SEALED].into_boxed_slice(),
            records: (0..PARTIALS).map(|_| Partial::none()).collect(),
            seen: Seen::default(),
            last_sealed: NONE,
            stalls: 0,
        }
    }
}

/// Made apart from all else, for it is large and the stack may be small.
#[inline(never)]
pub fn new_request() -> Box<Request> {
    Box::default()
}

/// The same.
#[inline(never)]
fn new_predictions() -> Box<Predictions> {
    Box::default()
}

/// Keeps more of what was kept of a connection, or begins to. False where there is no memory for it.
fn keep_more(list: &mut [Partial], fd: i32, bytes: &[u8]) -> bool {
    let place = |number| list.iter().position(|partial| partial.fd == number);
    let index = place(fd).or_else(|| place(NONE)).unwrap_or(0);
    let Some(partial) = list.get_mut(index) else {
        return false;
    };
    if partial.fd != fd {
        partial.fd = fd;
        partial.bytes.clear();
    }
    let has_room = partial.bytes.try_reserve(bytes.len()).is_ok();
    if has_room {
        partial.bytes.extend_from_slice(bytes);
    }
    has_room
}

impl Looks {
    /// A request on this stream is cold. Its job comes back where there are too many.
    pub fn has_cold(&mut self, stream: u32, job: Box<Job>) -> Option<Box<Job>> {
        if self.cold.len() == MOST_COLD {
            return Some(job);
        }
        self.cold.push_back((stream, job));
        None
    }

    /// Copies what was read, as far as there is room; returns how much.
    pub fn show(&mut self, bytes: &[u8]) -> usize {
        let length = bytes.len().min(LOOK);
        if let (Some(place), Some(bytes)) = (self.bytes.get_mut(..length), bytes.get(..length)) {
            place.copy_from_slice(bytes);
        }
        length
    }

    /// Leaves out the first bytes of what is looked at, and returns how many it are then.
    pub fn leave_out(&mut self, first: usize, length: usize) -> usize {
        self.bytes.copy_within(first..length, 0);
        length - first
    }

    /// The first bytes of what is looked at.
    pub fn shown(&self, length: usize) -> &[u8] {
        self.bytes.get(..length).unwrap_or(&self.bytes[..])
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

    /// Puts the first part of a record, of so many bytes, in front of what will be looked at. False where it was not kept.
    pub fn begin_record(&mut self, fd: i32, length: usize) -> bool {
        let partial = self.records.iter().find(|partial| partial.fd == fd);
        let bytes = partial.map_or(&[][..], |partial| &partial.bytes);
        let place = self.sealed.get_mut(..length);
        match place.filter(|place| place.len() == bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }

    /// The application has read these bytes, of which nobody knew what they are; `within` tells how much of the last record in
    /// them was read by now, all of which is kept.
    pub fn keep_record(&mut self, fd: i32, bytes: &[u8], within: usize) {
        let begins_here = bytes.len().checked_sub(within);
        if begins_here.is_some() {
            self.drop_record(fd);
        }
        let part = bytes.get(begins_here.unwrap_or(0)..).unwrap_or_default();
        if within > 0 && !keep_more(&mut self.records, fd, part) {
            self.drop_record(fd);
        }
    }

    /// Its memory is used again.
    fn drop_record(&mut self, fd: i32) {
        if let Some(partial) = self.records.iter_mut().find(|partial| partial.fd == fd) {
            partial.fd = NONE;
            partial.bytes.clear();
        }
    }

    /// How long what was looked at is, with the part that was put in front of it.
    pub fn joined(&self, fd: i32, length: usize) -> usize {
        let partial = self.partials.iter().find(|partial| partial.fd == fd);
        (partial.map_or(0, |partial| partial.bytes.len()) + length).min(LOOK)
    }

    /// What was kept of this connection has become whole, or is of no use.
    pub fn drop_part(&mut self, fd: i32) {
        self.partials.retain(|partial| partial.fd != fd);
    }
}
