//! Where in the records of a client the application reads: by their headers alone.

use super::record::{header, Content, HEADER};
use zeroize::Zeroize;

/// The message that a client begins with.
const CLIENT_HELLO: u8 = 1;

/// The part of it before the random number: type, length and version.
const BEFORE_RANDOM: usize = 6;

/// The part of it up to the number's end.
const HELLO: usize = BEFORE_RANDOM + 32;

/// The body of a `KeyUpdate` of version 1.3: four bytes and one, the content's type, the tag.
const KEY_UPDATE: usize = 22;

/// In the place of how much of the hello was read: it is not known, and never will be.
const NO_HELLO: u8 = u8::MAX;

/// How many records that may be a `KeyUpdate` are remembered.
pub(super) const UPDATES: usize = 4;

/// A record's place in the order of a client's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroize)]
pub struct Place {
    /// Records of application data before it.
    pub application: u64,
    /// Records since the client's last `ChangeCipherSpec`.
    pub since_change: u64,
    /// How many of these there were.
    pub changes: u32,
}

impl Place {
    /// The place of the record that follows one with this content.
    pub fn after(mut self, content: Content) -> Place {
        match content {
            Content::ChangeCipherSpec => {
                self.changes = self.changes.saturating_add(1);
                self.since_change = 0;
            }
            _ => self.since_change += u64::from(self.changes > 0),
        }
        self.application += u64::from(content == Content::Application);
        self
    }
}

/// A part of a record's body that was read.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// What the record is said to hold.
    pub content: Content,
    /// Its place.
    pub place: Place,
    /// Its header.
    pub header: [u8; HEADER],
    /// Where in the body the part begins.
    pub at: usize,
    /// Bytes of the whole body.
    pub length: usize,
    /// The part.
    pub bytes: &'a [u8],
}

/// What is known of the records that were read of one connection. All zero is a connection of which nothing was read.
#[derive(Clone, Debug, Default, Zeroize)]
pub struct Follower {
    header: [u8; HEADER],
    /// Bytes of a header that were read; all of them while its body is.
    have: u8,
    /// Bytes of the body that were read, and how many there are.
    at: u16,
    length: u16,
    /// The record that is read, or the next one.
    place: Place,
    is_lost: bool,
    /// The client's random number, as far as it was read, and how much of the hello was.
    random: [u8; 32],
    hello: u8,
    /// Places of records of application data, counted from one, that may have been a `KeyUpdate`; the newest first.
    updates: [u64; UPDATES],
}

impl Follower {
    /// The application has read `count` bytes, and these are the first of them. `seen` is shown each part of a record's body.
    #[inline]
    pub fn read(&mut self, mut bytes: &[u8], count: usize, mut seen: impl FnMut(Piece<'_>)) {
        let unseen = count.saturating_sub(bytes.len());
        while !bytes.is_empty() && !self.is_lost {
            let have = usize::from(self.have);
            if have < HEADER {
                let taken = bytes.len().min(HEADER - have);
                self.header[have..have + taken].copy_from_slice(&bytes[..taken]);
                self.have += taken as u8;
                bytes = &bytes[taken..];
                if usize::from(self.have) == HEADER {
                    self.begin();
                }
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.left()));
            bytes = rest;
            let piece = Piece {
                content: self.content(),
                place: self.place,
                header: self.header,
                at: usize::from(self.at),
                length: usize::from(self.length),
                bytes: part,
            };
            self.keep_random(&piece);
            seen(piece);
            self.advance(part.len());
        }
        if unseen > 0 && usize::from(self.hello) < HELLO {
            self.hello = NO_HELLO;
        }
        match unseen {
            0 => {}
            // Of a record whose header is known the rest need not be seen.
            _ if usize::from(self.have) == HEADER && unseen <= self.left() => self.advance(unseen),
            _ => self.is_lost = true,
        }
    }

    fn content(&self) -> Content {
        Content::of(self.header[0])
    }

    fn left(&self) -> usize {
        usize::from(self.length - self.at)
    }

    /// A header is whole.
    fn begin(&mut self) {
        match header(&self.header) {
            Some((_, length)) => {
                (self.at, self.length) = (0, length as u16);
                self.advance(0);
            }
            None => self.is_lost = true,
        }
    }

    /// So much of the body was read.
    fn advance(&mut self, count: usize) {
        self.at += count as u16;
        if self.at < self.length {
            return;
        }
        let content = self.content();
        if content == Content::Application && usize::from(self.length) == KEY_UPDATE {
            self.updates.rotate_right(1);
            self.updates[0] = self.place.application + 1;
        }
        self.place = self.place.after(content);
        (self.have, self.at, self.length) = (0, 0, 0);
    }

    /// Keeps the random number out of the client's first message, whose records may be short.
    fn keep_random(&mut self, piece: &Piece<'_>) {
        let have = usize::from(self.hello);
        if have >= HELLO {
            return;
        }
        let begins = have > 0 || piece.bytes.first() == Some(&CLIENT_HELLO);
        if !begins || piece.content != Content::Handshake {
            self.hello = NO_HELLO;
            return;
        }
        let taken = piece.bytes.len().min(HELLO - have);
        for (at, byte) in (have..have + taken).zip(piece.bytes) {
            if let Some(place) = at.checked_sub(BEFORE_RANDOM) {
                self.random[place] = *byte;
            }
        }
        self.hello += taken as u8;
    }

    /// The random number of the client, once it was read. A second hello (after a `HelloRetryRequest`) has the same.
    pub fn random(&self) -> Option<&[u8; 32]> {
        (usize::from(self.hello) == HELLO).then_some(&self.random)
    }

    /// The place of the record that the next byte is of.
    pub fn place(&self) -> Place {
        self.place
    }

    /// How many bytes of that record were read, its header included.
    pub fn within(&self) -> usize {
        usize::from(self.have) + usize::from(self.at)
    }

    /// How many bytes of that record are left, where its header was read.
    pub fn rest(&self) -> Option<usize> {
        (usize::from(self.have) == HEADER).then(|| self.left())
    }

    /// Whether the count was lost: something was read that was not seen, or is no record.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Records of application data behind which there may be other keys, the newest first.
    pub(super) fn after_updates(&self) -> impl Iterator<Item = u64> + '_ {
        self.updates.iter().copied().filter(|&place| place > 0)
    }
}
