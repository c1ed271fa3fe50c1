//! One connection: what is read of it, and the keys to what is not read yet.

use super::follow::{Follower, Piece, Place};
use super::keys::{Keys, Secret};
use super::suite::Version;
use super::{header, Content, HEADER};
use core::ops::Range;
use zeroize::Zeroize;

/// How many records of a handshake may have been read before the library tells of their secret: it reads ahead.
const AHEAD: u64 = 16;

/// Why a client cannot be understood, for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroize)]
#[repr(u8)]
pub enum Reason {
    /// It can.
    #[default]
    None = 0,
    /// The library has told no secret of it.
    NoKeys,
    /// A cipher suite or a version that is not known here.
    Suite,
    /// Another protocol than HTTP/1.x was agreed upon.
    Protocol,
    /// The count of its records is not known, or it has agreed upon new keys.
    Lost,
    /// A record does not open.
    Tag,
}

/// What came of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It holds bytes of the application's, which stand there in it.
    Data(Range<usize>),
    /// It is the library's own.
    Other,
    /// Its keys have not come yet.
    TooEarly,
    /// It cannot be opened, nor what follows.
    Never(Reason),
}

/// Keys, and the place of the first record that they are for.
#[derive(Clone, Debug, Default, Zeroize)]
struct Epoch {
    keys: Keys,
    first: u64,
}

/// What is known of one connection. All zero is one of which nothing was read.
#[derive(Clone, Debug, Default, Zeroize)]
pub struct Session {
    reading: Follower,
    /// Whether a secret has come.
    has_secret: bool,
    reason: Reason,
    /// Of the newest keys.
    secret: Secret,
    /// Version 1.3: the application's records that were read when it came.
    came_at: u64,
    /// Whether the place of the first record of the newest keys is known.
    is_anchored: bool,
    /// The newest keys, and those before them.
    epoch: Epoch,
    before: Epoch,
}

impl Session {
    /// The application has read `count` bytes, and these are the first of them.
    #[inline]
    pub fn read(&mut self, bytes: &[u8], count: usize, seen: impl FnMut(Piece<'_>)) {
        self.reading.read(bytes, count, seen);
        if self.reading.is_lost() {
            self.give_up(Reason::Lost);
        } else if !self.has_secret && self.reading.place().application > AHEAD {
            self.give_up(Reason::NoKeys);
        }
    }

    /// What was read of it.
    pub fn reading(&self) -> &Follower {
        &self.reading
    }

    /// The library has told its secret, or the next one after a `KeyUpdate`.
    pub fn learn(&mut self, secret: Secret) {
        if self.reason != Reason::None {
            return;
        }
        if self.has_secret && secret.version() == Version::Tls12 {
            return self.give_up(Reason::Lost);
        }
        self.has_secret = true;
        self.secret = secret;
        self.came_at = self.reading.place().application;
        self.is_anchored = false;
        self.before = core::mem::take(&mut self.epoch);
    }

    /// It is not to be understood.
    pub fn give_up(&mut self, reason: Reason) {
        if self.reason == Reason::None {
            self.reason = reason;
            self.secret.zeroize();
            self.epoch.zeroize();
            self.before.zeroize();
        }
    }

    /// Why it cannot be understood; `Reason::None` where it can, or may be.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Bytes that a record's body has more than what it holds, unless it is padded.
    pub fn overhead(&self) -> usize {
        self.secret.overhead()
    }

    /// Opens the record at `place`, header and all, where it stands. What follows is at `place` then, if it is not too early.
    pub fn open(&mut self, place: &mut Place, record: &mut [u8]) -> Opened {
        let opened = self.try_to_open(place, record);
        if let Opened::Never(reason) = opened {
            self.give_up(reason);
        }
        opened
    }

    /// The same with a record that was read before, and may be of the handshake.
    pub fn open_past(&mut self, mut place: Place, record: &mut [u8]) -> Option<Range<usize>> {
        match self.try_to_open(&mut place, record) {
            Opened::Data(range) => Some(range),
            _ => None,
        }
    }

    fn try_to_open(&mut self, place: &mut Place, record: &mut [u8]) -> Opened {
        if self.reason != Reason::None {
            return Opened::Never(self.reason);
        }
        let Some((head, body)) = record.split_first_chunk_mut::<HEADER>() else {
            return Opened::Never(Reason::Lost);
        };
        let Some((content, length)) = header(head) else {
            return Opened::Never(Reason::Lost);
        };
        if length != body.len() {
            return Opened::Never(Reason::Lost);
        }
        let here = *place;
        *place = here.after(content);
        if content != Content::Application {
            return Opened::Other;
        }
        if !self.has_secret {
            *place = here;
            return Opened::TooEarly;
        }
        let opened = match self.secret.version() {
            Version::Tls12 if here.changes != 1 => return Opened::Never(Reason::Lost),
            Version::Tls12 => {
                self.derive();
                self.epoch.keys.open(here.since_change, head, body)
            }
            Version::Tls13 => self.open_13(here.application, head, body),
        };
        match opened {
            Some((Content::Application, range)) => {
                Opened::Data(HEADER + range.start..HEADER + range.end)
            }
            Some((Content::Handshake, range)) => {
                self.read_handshake(here.application, body, range);
                Opened::Other
            }
            Some(_) => Opened::Other,
            None => Opened::Never(Reason::Tag),
        }
    }

    fn derive(&mut self) {
        if !self.epoch.keys.is_set {
            if let Some(random) = self.reading.random() {
                self.epoch.keys = self.secret.keys(random);
            }
        }
    }

    /// A message of the handshake that comes after it: is it a `KeyUpdate`?
    fn read_handshake(&mut self, place: u64, body: &[u8], range: Range<usize>) {
        const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];
        let is_update = body
            .get(range)
            .is_some_and(|it| it.starts_with(&KEY_UPDATE));
        // One that is looked at again has been acted on.
        if is_update && place >= self.epoch.first {
            self.update(place + 1);
        }
    }

    /// From this place on the client encrypts by the next keys.
    fn update(&mut self, first: u64) {
        self.secret = self.secret.next();
        self.before = core::mem::take(&mut self.epoch);
        self.epoch.first = first;
        self.derive();
    }

    fn open_13(
        &mut self,
        place: u64,
        head: &[u8; HEADER],
        body: &mut [u8],
    ) -> Option<(Content, Range<usize>)> {
        self.derive();
        if !self.is_anchored {
            return self.search(place, head, body);
        }
        if place < self.epoch.first {
            let sequence = place.checked_sub(self.before.first)?;
            return self.before.keys.open(sequence, head, body);
        }
        let opened = self.epoch.keys.open(place - self.epoch.first, head, body);
        opened.or_else(|| self.search_updates(place, head, body))
    }

    /// Finds the first record of keys that have just come: one of those that were read before they came, or the next.
    #[cold]
    fn search(
        &mut self,
        place: u64,
        head: &[u8; HEADER],
        body: &mut [u8],
    ) -> Option<(Content, Range<usize>)> {
        let newest = self.came_at.min(place);
        for first in (newest.saturating_sub(AHEAD)..=newest).rev() {
            let opened = self.epoch.keys.open(place - first, head, body);
            if opened.is_some() {
                self.epoch.first = first;
                self.is_anchored = true;
                return opened;
            }
        }
        self.search_updates(place, head, body)
    }

    /// Finds the keys behind a `KeyUpdate` that was read while nobody looked.
    #[cold]
    fn search_updates(
        &mut self,
        place: u64,
        head: &[u8; HEADER],
        body: &mut [u8],
    ) -> Option<(Content, Range<usize>)> {
        let random = *self.reading.random()?;
        let mut secret = self.secret.clone();
        for _ in self.reading.after_updates() {
            secret = secret.next();
            let keys = secret.keys(&random);
            let may_be =
                |&first: &u64| first <= place && (!self.is_anchored || first > self.epoch.first);
            for first in self.reading.after_updates().filter(may_be) {
                let opened = keys.open(place - first, head, body);
                if opened.is_some() {
                    self.secret = secret;
                    self.epoch = Epoch { keys, first };
                    self.is_anchored = true;
                    return opened;
                }
            }
        }
        None
    }
}
