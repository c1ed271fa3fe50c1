//! A client's end of a connection: opens streams, reads frames, puts answers together, and keeps the accounts of both windows.

use super::answer::Answer;
use super::frames::{self, Frame};
use super::request::{Coding, Framing, Request};
use super::settings::{Settings, WINDOW};
use crate::http::{request, Connection};
use crate::Result;
use anyhow::{anyhow, bail, ensure, Context as _};
use httlib_hpack::{Decoder, Encoder};
use std::collections::BTreeMap;

/// The largest payload of a frame where nothing else is said (section 4.2).
const FRAME: usize = 16_384;

/// A client's end of a connection.
pub struct Client {
    /// The connection: bytes that are sent there are the test's own affair.
    pub line: Connection,
    scheme: &'static str,
    settings: Settings,
    encoder: Encoder<'static>,
    decoder: Decoder<'static>,
    next: u32,
    answers: BTreeMap<u32, Answer>,
    /// A header block that goes on: its stream, whether the stream ends with it, what there is of it.
    block: Option<(u32, bool, Vec<u8>)>,
    /// How many streams the server allows at once; unknown before its settings.
    allowed: Option<u32>,
    /// What may still be sent: on the connection, on a new stream, on streams that have a body.
    room: i64,
    room_of_new: i64,
    rooms: BTreeMap<u32, i64>,
    pongs: usize,
    goaway: Option<u32>,
}

impl Client {
    /// A client that has sent nothing yet, and what it has to send first.
    pub fn new(mut line: Connection, settings: &Settings) -> (Self, Vec<u8>) {
        let scheme = match line.sealed() {
            Ok(_) => "https",
            Err(_) => "http",
        };
        let client = Self {
            line,
            scheme,
            settings: settings.clone(),
            encoder: Encoder::default(),
            decoder: Decoder::default(),
            next: 1,
            answers: BTreeMap::new(),
            block: None,
            allowed: None,
            room: WINDOW.into(),
            room_of_new: WINDOW.into(),
            rooms: BTreeMap::new(),
            pongs: 0,
            goaway: None,
        };
        let first = frames::settings(&settings.pairs());
        (client, [frames::PREFACE, &*first].concat())
    }

    /// A client that has sent its preface and its settings.
    pub fn connect(line: Connection, settings: &Settings) -> Result<Self> {
        let (mut client, first) = Self::new(line, settings);
        client.send(&first)?;
        Ok(client)
    }

    /// A client whose first request goes by HTTP/1.1 and asks to go on with HTTP/2 (RFC 7540, section 3.2); stream 1 has its answer.
    pub fn upgrade(
        line: Connection,
        settings: &Settings,
        method: &str,
        path: &str,
    ) -> Result<Self> {
        let (mut client, first) = Self::new(line, settings);
        let more = settings.upgrade();
        client.send(&request(method, path, "localhost", &more))?;
        let answer = client.line.head()?;
        ensure!(
            answer.status == 101,
            "the server does not change the protocol: {answer:?}"
        );
        client.send(&first)?;
        client.next = 3;
        client.answers.insert(1, Answer::default());
        Ok(client)
    }

    /// Sends bytes: as they are, or sealed, in one record where they fit into one.
    pub fn send(&mut self, bytes: &[u8]) -> Result {
        self.line.send(bytes)
    }

    /// Opens a stream: its number, and what is to be sent.
    pub fn open(&mut self, request: &Request) -> Result<(u32, Vec<u8>)> {
        let stream = self.next;
        self.next += 2;
        let fields = request.list(self.scheme);
        let block = request.coding.block(&mut self.encoder, &fields)?;
        self.answers.insert(stream, Answer::default());
        if !request.ends {
            self.rooms.insert(stream, self.room_of_new);
        }
        let bytes = request.framing.frames(stream, &block, request.ends);
        Ok((stream, bytes))
    }

    /// Opens a stream, and sends the request.
    pub fn ask(&mut self, request: &Request) -> Result<u32> {
        let (stream, bytes) = self.open(request)?;
        self.send(&bytes)?;
        Ok(stream)
    }

    /// Trailers, which end a stream.
    pub fn trailers(&mut self, stream: u32, fields: &[(&str, &str)]) -> Result<Vec<u8>> {
        let block = Coding::BROWSER.block(&mut self.encoder, fields)?;
        Ok(Framing::default().frames(stream, &block, true))
    }

    /// Sends a part of a request's body in frames of this size, as the server gives room for it. A stream that the server has ended
    /// takes no more.
    pub fn send_body(&mut self, stream: u32, bytes: &[u8], size: usize, ends: bool) -> Result {
        let mut rest = bytes;
        loop {
            let room = self.room.min(self.rooms.get(&stream).copied().unwrap_or(0));
            let length = rest.len().min(size).min(FRAME).min(room.max(0) as usize);
            let (piece, left) = rest.split_at(length);
            if length > 0 || rest.is_empty() {
                self.send(&frames::data(stream, piece, ends && left.is_empty()))?;
                self.room -= length as i64;
                *self.rooms.entry(stream).or_default() -= length as i64;
                rest = left;
            } else if !self.step()? {
                bail!("the connection ended in the middle of a request");
            }
            let has_ended = self.answers.get(&stream).is_none_or(|it| it.ended);
            if rest.is_empty() || has_ended {
                return Ok(());
            }
        }
    }

    /// Gives up a stream: what still comes of it is left out.
    pub fn cancel(&mut self, stream: u32) -> Result {
        self.forget(stream);
        self.send(&frames::reset(stream, frames::CANCEL))
    }

    /// Leaves out what still comes of a stream.
    pub fn forget(&mut self, stream: u32) {
        self.answers.remove(&stream);
        self.rooms.remove(&stream);
    }

    /// How many streams the server allows at once, which it has said now.
    pub fn allowed(&mut self) -> Result<usize> {
        loop {
            match self.allowed {
                Some(allowed) => return Ok(allowed as usize),
                None => ensure!(self.step()?, "the server ended the connection"),
            }
        }
    }

    /// Waits until the server has read all that was sent, by a question of its own.
    pub fn ping(&mut self) -> Result {
        let wanted = self.pongs + 1;
        self.send(&frames::ping(7))?;
        while self.pongs < wanted {
            ensure!(self.step()?, "the server ended the connection");
        }
        Ok(())
    }

    /// The last stream that the server has promised to answer, when it has said that the connection ends.
    pub fn goaway(&self) -> Option<u32> {
        self.goaway
    }

    /// What has come of a stream's answer so far.
    pub fn so_far(&self, stream: u32) -> Option<&Answer> {
        self.answers.get(&stream)
    }

    /// Reads until the answer is complete.
    pub fn answer(&mut self, stream: u32) -> Result<Answer> {
        loop {
            match self.answers.get(&stream) {
                Some(answer) if answer.ended => {}
                Some(answer) => {
                    let length = answer.body.len();
                    let more = self.step().with_context(|| format!("stream {stream}"))?;
                    ensure!(more, "stream {stream}: the end after {length} bytes");
                    continue;
                }
                None => bail!("stream {stream} is not open"),
            }
            self.rooms.remove(&stream);
            return Ok(self.answers.remove(&stream).unwrap_or_default());
        }
    }

    /// Reads until any answer is complete.
    pub fn any_answer(&mut self) -> Result<(u32, Answer)> {
        loop {
            let mut answers = self.answers.iter();
            if let Some(stream) = answers.find(|(_, it)| it.ended).map(|(it, _)| *it) {
                return Ok((stream, self.answer(stream)?));
            }
            ensure!(self.step()?, "the server ended the connection");
        }
    }

    /// Reads a frame and does what it says; false at the end of the connection.
    pub fn step(&mut self) -> Result<bool> {
        let Some(header) = self.line.take_if_any(9)? else {
            return Ok(false);
        };
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let frame = Frame {
            kind: header[3],
            flags: header[4],
            stream: u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]),
            payload: self.line.take(length as usize)?,
        };
        ensure!(
            self.block.is_none() || frame.kind == frames::CONTINUATION,
            "a header block is interrupted by {frame:?}"
        );
        self.follow(&frame)?;
        Ok(true)
    }

    fn follow(&mut self, frame: &Frame) -> Result {
        let ends = frame.has(frames::END_STREAM);
        let content = frame.content().context("padding that does not fit")?;
        match frame.kind {
            frames::DATA => self.data(frame, content, ends),
            frames::HEADERS => self.block = Some((frame.stream, ends, content.to_vec())),
            frames::CONTINUATION => match &mut self.block {
                Some((stream, _, block)) if *stream == frame.stream => block.extend(content),
                _ => bail!("CONTINUATION of nothing"),
            },
            frames::RST_STREAM => {
                if let Some(answer) = self.answers.get_mut(&frame.stream) {
                    // A server that does not want the rest of a request may end a stream whose answer is complete (section 8.1).
                    if !answer.ended {
                        answer.reset = Some(frame.number(0));
                        answer.ended = true;
                    }
                }
            }
            frames::SETTINGS if !frame.has(frames::ACK) => self.server_settings(frame),
            frames::PING if frame.has(frames::ACK) => self.pongs += 1,
            frames::PING => {
                self.answer_quietly(&frames::frame(frames::PING, frames::ACK, 0, content));
            }
            frames::GOAWAY => self.goaway = Some(frame.number(0)),
            frames::WINDOW_UPDATE => {
                let increment = i64::from(frame.number(0));
                match frame.stream {
                    0 => self.room += increment,
                    stream => *self.rooms.entry(stream).or_default() += increment,
                }
            }
            frames::PUSH_PROMISE => bail!("a push, which is not allowed"),
            _ => {}
        }
        let is_block = matches!(frame.kind, frames::HEADERS | frames::CONTINUATION);
        match is_block && frame.has(frames::END_HEADERS) {
            true => self.fields(),
            false => Ok(()),
        }
    }

    fn data(&mut self, frame: &Frame, content: &[u8], ends: bool) {
        if let Some(answer) = self.answers.get_mut(&frame.stream) {
            answer.body.extend_from_slice(content);
            answer.ended |= ends;
        }
        let length = frame.payload.len() as u32;
        if self.settings.extends && length > 0 {
            let mut updates = frames::window_update(0, length);
            if !ends && self.answers.contains_key(&frame.stream) {
                updates.extend(frames::window_update(frame.stream, length));
            }
            self.answer_quietly(&updates);
        }
    }

    fn fields(&mut self) -> Result {
        let Some((stream, ends, mut block)) = self.block.take() else {
            return Ok(());
        };
        let mut fields = Vec::new();
        let decoded = self.decoder.decode(&mut block, &mut fields);
        decoded.map_err(|e| anyhow!("HPACK: {e:?}"))?;
        let Some(answer) = self.answers.get_mut(&stream) else {
            return Ok(());
        };
        answer.ended |= ends;
        for (name, value, _) in fields {
            let name = String::from_utf8_lossy(&name).into_owned();
            let value = String::from_utf8_lossy(&value).into_owned();
            match &*name {
                ":status" => answer.status = value.parse()?,
                _ => answer.headers.push((name, value)),
            }
        }
        Ok(())
    }

    fn server_settings(&mut self, frame: &Frame) {
        // Without a word there is no limit (section 6.5.2).
        let mut allowed = self.allowed.unwrap_or(u32::MAX);
        for pair in frame.payload.chunks_exact(6) {
            let value = u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]);
            match u16::from_be_bytes([pair[0], pair[1]]) {
                frames::MAX_CONCURRENT_STREAMS => allowed = value,
                frames::INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.room_of_new;
                    self.room_of_new += change;
                    self.rooms.values_mut().for_each(|room| *room += change);
                }
                _ => {}
            }
        }
        self.allowed = Some(allowed);
        self.answer_quietly(&frames::frame(frames::SETTINGS, frames::ACK, 0, &[]));
    }

    /// Sends what a frame makes necessary. A server that has gone needs none, and what it has sent before can still be read.
    fn answer_quietly(&mut self, bytes: &[u8]) {
        let _ = self.send(bytes);
    }
}
