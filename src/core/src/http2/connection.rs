//! The frames of one connection, in the order in which the client sends them.

use super::frame::{is_chain, Frame, Kind, HEADER, PREFACE};
use super::head::Outcome;
use super::hpack;
use super::table::Table;
use crate::recognise::{Request, Unrecognised};

/// The longest header block that comes in parts and is decoded; servers refuse longer ones.
const MAX_BLOCK: usize = 16 * 1024;

/// Memory for parts of header blocks that a connection keeps for the next one.
const KEPT: usize = 512;

/// What came of a part of what a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The head of a request is complete.
    Request {
        /// The stream that it is on.
        stream: u32,
    },
    /// A request that is none to predict for, or of which that is not known.
    NotUnderstood {
        /// The stream that it is on.
        stream: u32,
        /// [`Unrecognised::Foreign`]: another method, or the method or the path are not known.
        /// [`Unrecognised::Refused`]: its target, or a server would refuse it.
        reason: Unrecognised,
    },
    /// The client takes a request back.
    Reset {
        /// The stream that it was on.
        stream: u32,
    },
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nobody knows.
    Lost,
    /// So many bytes of the preface were read.
    Preface(u8),
    /// So many bytes of a frame's header were read.
    Header(u8),
    /// So many bytes of a frame's payload were not read.
    Payload(u32),
}

/// What is known of what a client has sent.
///
/// A copy has all that; where there is no memory for it, it knows less. `clone_from` uses the memory that is there.
#[derive(Debug)]
pub struct Connection {
    place: Place,
    /// The frame's header, as far as it was read.
    header: [u8; HEADER],
    /// The parts of a header block that were read, and the stream that the block is on; 0 where the next frame begins one.
    block: Vec<u8>,
    open: u32,
    /// Whether the block is too long.
    is_dropped: bool,
    /// The highest stream that a request was seen on.
    highest: u32,
    table: Table,
}

impl Default for Connection {
    fn default() -> Connection {
        Connection::new()
    }
}

impl Connection {
    /// One of which the first byte comes next. It allocates nothing.
    pub const fn new() -> Connection {
        Connection {
            place: Place::Preface(0),
            header: [0; HEADER],
            block: Vec::new(),
            open: 0,
            is_dropped: false,
            highest: 0,
            table: Table::new(),
        }
    }

    /// One of which an unknown part has been read.
    pub fn late() -> Connection {
        let mut connection = Connection::new();
        connection.lose();
        connection
    }

    /// Something was read that was not seen: it is out of step, and all that was added to the compression's table is unknown.
    pub fn lose(&mut self) {
        self.begin(Place::Lost);
    }

    fn begin(&mut self, place: Place) {
        self.place = place;
        self.table.forget();
        self.block.clear();
        (self.open, self.is_dropped, self.highest) = (0, false, 0);
    }

    /// Whether it is known which bytes are a frame.
    pub fn is_in_step(&self) -> bool {
        self.place != Place::Lost
    }

    /// Whether it is in step and the next byte is the first of a frame, or of the preface.
    #[cfg(test)]
    pub(super) fn is_between_frames(&self) -> bool {
        matches!(self.place, Place::Preface(0) | Place::Header(0))
    }

    /// The client has sent these bytes, which are the next ones: what the first of them that tell of anything tell, and they are
    /// taken. The request is what was passed, if it is one. Nothing once all of them are taken.
    ///
    /// Where it is out of step, they are the content of one record: they are skipped, unless they begin with the preface or
    /// are nothing but whole frames.
    pub fn next(&mut self, bytes: &mut &[u8], request: &mut Request) -> Option<Event> {
        if self.place == Place::Lost {
            if bytes.starts_with(&PREFACE) {
                self.begin(Place::Preface(0));
            } else if is_chain(bytes) {
                self.begin(Place::Header(0));
            }
        }
        while !bytes.is_empty() && self.place != Place::Lost {
            let (taken, event) = self.step(bytes, request).unwrap_or_else(|hpack::Broken| {
                self.lose();
                (bytes.len(), None)
            });
            *bytes = bytes.get(taken..).unwrap_or_default();
            if event.is_some() {
                return event;
            }
        }
        *bytes = &[];
        None
    }

    /// The same, of all of them. `seen` is told what came of them, each time with the request if it is one.
    pub fn read(
        &mut self,
        mut bytes: &[u8],
        request: &mut Request,
        mut seen: impl FnMut(Event, &Request),
    ) {
        while let Some(event) = self.next(&mut bytes, request) {
            seen(event, request);
        }
    }

    /// Reads some of these bytes: how many, and what came of them.
    fn step(
        &mut self,
        bytes: &[u8],
        request: &mut Request,
    ) -> Result<(usize, Option<Event>), hpack::Broken> {
        match self.place {
            Place::Lost => Err(hpack::Broken),
            Place::Preface(have) => {
                let left = &PREFACE[usize::from(have)..];
                let count = left.len().min(bytes.len());
                if left[..count] != bytes[..count] {
                    return Err(hpack::Broken);
                }
                self.place = match count == left.len() {
                    true => Place::Header(0),
                    false => Place::Preface(have + count as u8),
                };
                Ok((count, None))
            }
            Place::Header(have) => {
                let left = &mut self.header[usize::from(have)..];
                let count = left.len().min(bytes.len());
                left[..count].copy_from_slice(&bytes[..count]);
                if usize::from(have) + count < HEADER {
                    self.place = Place::Header(have + count as u8);
                    return Ok((count, None));
                }
                let frame = Frame::parse(&self.header);
                if !frame.is_right(self.open) {
                    return Err(hpack::Broken);
                }
                self.place = Place::Payload(frame.length);
                match frame.length {
                    0 => Ok((count, self.finish(&frame, &[], request)?)),
                    _ => Ok((count, None)),
                }
            }
            Place::Payload(left) => {
                let frame = Frame::parse(&self.header);
                let count = bytes.len().min(left as usize);
                let part = &bytes[..count];
                let is_whole = count == frame.length as usize;
                // A block that is there as a whole is read where it lies.
                let in_place = is_whole && frame.kind == Kind::Headers && frame.ends_block();
                if frame.has_block() && !in_place {
                    self.collect(part);
                }
                self.place = Place::Payload(left - count as u32);
                let event = match left as usize == count {
                    true => {
                        let payload = if in_place { part } else { &[] };
                        self.finish(&frame, payload, request)?
                    }
                    false => None,
                };
                Ok((count, event))
            }
        }
    }

    /// Keeps a part of a header block.
    fn collect(&mut self, part: &[u8]) {
        let is_too_long = self.block.len() + part.len() > MAX_BLOCK;
        if is_too_long || self.is_dropped || self.block.try_reserve(part.len()).is_err() {
            self.is_dropped = true;
            return;
        }
        self.block.extend_from_slice(part);
    }

    /// A frame is complete; its payload is the one that is passed, or was kept if it is needed.
    fn finish(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        request: &mut Request,
    ) -> Result<Option<Event>, hpack::Broken> {
        self.place = Place::Header(0);
        let stream = frame.stream;
        match frame.kind {
            Kind::Reset if stream % 2 == 1 => return Ok(Some(Event::Reset { stream })),
            Kind::Headers if payload.is_empty() && !self.is_dropped => {
                let (begin, end) = frame.block(&self.block).ok_or(hpack::Broken)?;
                self.block.truncate(end);
                self.block.drain(..begin);
            }
            Kind::Headers | Kind::Continuation => {}
            _ => return Ok(None),
        }
        if !frame.ends_block() {
            self.open = stream;
            return Ok(None);
        }
        self.open = 0;
        let block = core::mem::take(&mut self.block);
        let head = if core::mem::take(&mut self.is_dropped) {
            None
        } else if payload.is_empty() {
            Some(hpack::decode(&block, &mut self.table, request)?)
        } else {
            let (begin, end) = frame.block(payload).ok_or(hpack::Broken)?;
            Some(hpack::decode(
                &payload[begin..end],
                &mut self.table,
                request,
            )?)
        };
        self.keep(block);
        let outcome = match head {
            Some(head) => head.finish(request),
            None => {
                self.table.forget();
                Outcome::Either
            }
        };
        Ok(self.event(stream, outcome))
    }

    /// The memory of a block serves the next one, unless it is much.
    fn keep(&mut self, mut block: Vec<u8>) {
        if block.capacity() <= KEPT {
            block.clear();
            self.block = block;
        }
    }

    fn event(&mut self, stream: u32, outcome: Outcome) -> Option<Event> {
        let is_new = stream > self.highest;
        let reason = match outcome {
            Outcome::Trailers => return None,
            // Requests are on higher streams than all before (RFC 9113, 5.1.1).
            Outcome::Either if !is_new => return None,
            Outcome::Either => Some(Unrecognised::Foreign),
            Outcome::NotUnderstood(reason) => Some(reason),
            Outcome::Request => None,
        };
        self.highest = self.highest.max(stream);
        Some(match reason {
            Some(reason) => Event::NotUnderstood { stream, reason },
            None => Event::Request { stream },
        })
    }
}

impl Clone for Connection {
    fn clone(&self) -> Connection {
        let mut connection = Connection::new();
        connection.clone_from(self);
        connection
    }

    fn clone_from(&mut self, source: &Connection) {
        self.place = source.place;
        self.header = source.header;
        self.open = source.open;
        self.is_dropped = source.is_dropped;
        self.highest = source.highest;
        self.table.clone_from(&source.table);
        self.block.clear();
        self.collect(&source.block);
    }
}
