//! One connection: what is read of it, and the keys to what is not read yet.

use super::follow::{Follower, Piece, Place, UPDATES};
use super::keys::{Keys, Secret};
use super::record::{header, Content, HEADER};
use super::suite::Version;
use core::iter::successors;
use core::ops::Range;
use zeroize::{DefaultIsZeroes, Zeroize};

/// How far from the first record of a secret the application may be when it is told: some libraries tell it before the last records
/// of the handshake come, and some read ahead.
const AHEAD: u64 = 16;

/// Why a client cannot be understood, for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

impl DefaultIsZeroes for Reason {}

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

/// A secret, its keys, and the place of the first record that they are for.
#[derive(Clone, Debug, Default, Zeroize)]
struct Epoch {
    secret: Secret,
    keys: Keys,
    /// Until it is known, the first one that it may be.
    first: u64,
    is_anchored: bool,
}

/// What is known of one connection. All zero is one of which nothing was read.
#[derive(Clone, Debug, Default, Zeroize)]
pub struct Session {
    reading: Follower,
    /// Whether a secret has come.
    has_secret: bool,
    reason: Reason,
    /// Whether that was counted.
    is_counted: bool,
    /// Version 1.3: the application's records that were read when it came.
    came_at: u64,
    /// Of what is read next, and of what was opened last, which may be further on. They are the same while the place of the first
    /// record is not known.
    read: Epoch,
    epoch: Epoch,
}

/// A record that came before those of the keys: it is not opened.
const OF_BEFORE: Option<(Content, Range<usize>)> = Some((Content::None, 0..0));

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
        let is_known =
            self.has_secret && (secret == self.read.secret || secret == self.epoch.secret);
        if self.reason != Reason::None || is_known {
            return;
        }
        if self.has_secret && secret.version() == Version::Tls12 {
            return self.give_up(Reason::Lost);
        }
        // A `KeyUpdate` may have been opened before the library has read it, and others behind it.
        let mut later = successors(Some(secret.next()), |it| Some(it.next())).take(UPDATES);
        let is_behind = self.has_secret && later.any(|it| it == self.epoch.secret);
        self.has_secret = true;
        self.came_at = self.reading.place().application;
        self.read = Epoch {
            secret,
            first: self.came_at.saturating_sub(AHEAD),
            ..Epoch::default()
        };
        if !is_behind {
            self.epoch = self.read.clone();
        }
    }

    /// It is not to be understood.
    pub fn give_up(&mut self, reason: Reason) {
        if self.reason == Reason::None {
            self.reason = reason;
            self.read.zeroize();
            self.epoch.zeroize();
        }
    }

    /// Why it cannot be understood; `Reason::None` where it can, or may be.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The same, once: for who counts, whoever has found it.
    pub fn reason_to_count(&mut self) -> Option<Reason> {
        let is_new = self.reason != Reason::None && !self.is_counted;
        self.is_counted |= is_new;
        is_new.then_some(self.reason)
    }

    /// Bytes that a record's body has more than what it holds, unless it is padded.
    pub fn overhead(&self) -> usize {
        self.epoch.secret.overhead()
    }

    /// Opens the record at `place`, header and all, where it stands. What follows is at `place` then, if it is not too early.
    pub fn open(&mut self, place: &mut Place, record: &mut [u8]) -> Opened {
        let opened = self.try_to_open(place, record);
        if let Opened::Never(reason) = opened {
            self.give_up(reason);
        }
        opened
    }

    /// The same with a record that was read before. It holds no bytes of the application's where it is the library's own.
    pub fn open_past(&mut self, mut place: Place, record: &mut [u8]) -> Option<Range<usize>> {
        match self.try_to_open(&mut place, record) {
            Opened::Data(range) => Some(range),
            Opened::Other => Some(0..0),
            Opened::TooEarly | Opened::Never(_) => None,
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
        let opened = match self.epoch.secret.version() {
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
                self.epoch.keys = self.epoch.secret.keys(random);
            }
        }
    }

    /// Messages of the handshake that come after it. From a `KeyUpdate` on the client encrypts by the next keys: it ends its record.
    fn read_handshake(&mut self, place: u64, body: &[u8], range: Range<usize>) {
        const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];
        let last = body.get(range).and_then(<[u8]>::last_chunk::<5>);
        if last.is_some_and(|it| it.starts_with(&KEY_UPDATE)) {
            self.epoch = Epoch {
                secret: self.epoch.secret.next(),
                keys: Keys::default(),
                first: place + 1,
                is_anchored: true,
            };
        }
    }

    /// Whether the record at this place is one of those that were opened last, or is looked at again.
    fn choose(&mut self, place: u64) {
        if self.read.first >= self.epoch.first {
            return;
        }
        if self.reading.place().application >= self.epoch.first {
            self.read = self.epoch.clone();
        } else if place < self.epoch.first {
            self.epoch = self.read.clone();
        }
    }

    fn open_13(
        &mut self,
        place: u64,
        head: &[u8; HEADER],
        body: &mut [u8],
    ) -> Option<(Content, Range<usize>)> {
        self.choose(place);
        self.derive();
        let Epoch {
            first, is_anchored, ..
        } = self.epoch;
        if place < first {
            return OF_BEFORE;
        }
        let last = self.came_at + AHEAD;
        let newest = if is_anchored { first } else { place.min(last) };
        for first in (first..=newest).rev() {
            let opened = self.epoch.keys.open(place - first, head, body);
            if opened.is_some() {
                if !is_anchored {
                    self.set_first(first, true);
                }
                return opened;
            }
        }
        let opened = self.search_updates(place, head, body);
        if opened.is_some() || is_anchored || place >= last {
            return opened;
        }
        // The handshake is not over. Its records have other keys.
        self.set_first(place + 1, false);
        OF_BEFORE
    }

    fn set_first(&mut self, first: u64, is_anchored: bool) {
        (self.epoch.first, self.epoch.is_anchored) = (first, is_anchored);
        self.read = self.epoch.clone();
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
        let oldest = self.epoch.first;
        let may_be = |first: &u64| (oldest + 1..=place).contains(first);
        let mut secret = self.epoch.secret.clone();
        for _ in self.reading.after_updates() {
            secret = secret.next();
            let keys = secret.keys(&random);
            for first in self.reading.after_updates().filter(may_be) {
                let opened = keys.open(place - first, head, body);
                if opened.is_some() {
                    self.epoch = Epoch {
                        secret,
                        keys,
                        first,
                        is_anchored: true,
                    };
                    self.read = self.epoch.clone();
                    return opened;
                }
            }
        }
        None
    }
}
