//! A conversation as an event loop sees it: read in any parts, looked at before or after, with a secret that comes at any time.

use super::follow::lengths;
use super::peer::{talk, Act, Talk, Way, KINDS};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::rc::Rc;

/// One who follows a conversation.
pub struct Observer<'a> {
    talk: &'a Talk,
    bytes: Rc<[u8]>,
    /// Where each record ends, and its place.
    ends: Vec<usize>,
    places: Vec<Place>,
    pub session: Session,
    /// Bytes that were read.
    pub at: usize,
    /// The secret comes when so many were.
    pub told_at: usize,
    is_told: bool,
    /// Records that were read, and not opened yet: their places, and as much as was shown of them.
    kept: Vec<(Place, Vec<u8>)>,
    /// Records with bytes of the application's that were opened.
    pub found: Vec<usize>,
}

impl<'a> Observer<'a> {
    pub fn of(talk: &'a Talk) -> Observer<'a> {
        let end = |end: &mut usize, it: &peer::Sent| {
            *end += it.record.len();
            Some(*end)
        };
        Observer {
            talk,
            bytes: talk.bytes().into(),
            ends: talk.sent.iter().scan(0, end).collect(),
            places: talk.places(),
            session: Session::default(),
            at: 0,
            told_at: talk.told_at,
            is_told: false,
            kept: Vec::new(),
            found: Vec::new(),
        }
    }

    pub fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The application reads so many bytes, of which it is shown all.
    pub fn read(&mut self, count: usize) {
        let part = &self.bytes[self.at..][..count.min(self.bytes.len() - self.at)];
        let kept = &mut self.kept;
        self.session.read(part, part.len(), |piece| {
            if piece.at == 0 {
                kept.push((piece.place, piece.header.to_vec()));
            }
            kept.last_mut().unwrap().1.extend(piece.bytes);
        });
        self.at += part.len();
        if self.at >= self.told_at && !self.is_told {
            self.is_told = true;
            assert_eq!(self.session.reading().random(), Some(&self.talk.random));
            self.session.learn(self.talk.secret.clone());
        }
    }

    /// Opens what waits in the socket, as far as it is peeked at, and checks all of it.
    pub fn look(&mut self, peeked: usize) {
        let begin = self.at - self.session.reading().within();
        let end = self.bytes.len().min(self.at + peeked);
        let mut place = self.session.reading().place();
        let bytes = self.bytes.clone();
        for record in records(&bytes[begin..end]) {
            if !self.open(&mut place, record) {
                break;
            }
        }
    }

    /// Opens what was read since the last time.
    pub fn look_back(&mut self) {
        if !self.is_told {
            return;
        }
        let is_whole = |record: &[u8]| records(record).len() == 1;
        for (mut place, record) in core::mem::take(&mut self.kept) {
            if is_whole(&record) {
                assert!(self.open(&mut place, &record));
            } else {
                self.kept.push((place, record));
            }
        }
    }

    /// Opens a record, and checks what comes of it; whether its keys have come.
    fn open(&mut self, place: &mut Place, record: &[u8]) -> bool {
        let is_it = |number: &usize| {
            self.places[*number] == *place && self.talk.sent[*number].record == record
        };
        let number = (0..self.places.len())
            .find(is_it)
            .expect("a record that was sent");
        let expected = &self.talk.sent[number].plain;
        match open(&mut self.session, place, record) {
            (Opened::TooEarly, _) if !self.is_told => {
                assert_eq!(*place, self.places[number]);
                return false;
            }
            (Opened::Data(_), plain) => {
                assert_eq!(Some(plain), *expected, "record {number}");
                self.found.push(number);
            }
            (Opened::Other, _) => assert!(expected.is_none(), "record {number}"),
            (opened, _) => panic!("{opened:?} of record {number}"),
        }
        let next = self.places.get(number + 1);
        assert!(next.is_none_or(|next| next == place));
        true
    }

    /// The records with bytes of the application's that end behind this byte.
    pub fn data_after(&self, at: usize) -> Vec<usize> {
        let is_data =
            |number: &usize| self.talk.sent[*number].plain.is_some() && self.ends[*number] > at;
        (0..self.ends.len()).filter(is_data).collect()
    }
}

/// A conversation of any kind. Records that may be a `KeyUpdate` are not more than are remembered.
pub fn conversation() -> impl Strategy<Value = Talk> {
    let ways = vec![
        Way::Plain,
        Way::ClientCertificates,
        Way::Resumed,
        Way::EarlyData,
        Way::Retry,
    ];
    let act = prop_oneof![
        4 => (1_usize..600).prop_map(Act::Write),
        2 => Just(Act::Update),
        1 => Just(Act::Write(5)),
        1 => Just(Act::Write(1 << 14)),
    ];
    let ways = prop::sample::select(ways);
    (0..KINDS.len(), ways, vec(act, 0..9)).prop_map(|(kind, way, mut acts)| {
        let is_13 = KINDS[kind].0 == Version::Tls13;
        let mut left = 4;
        for act in &mut acts {
            let is_update = matches!(act, Act::Update);
            if is_update || matches!(act, Act::Write(5)) {
                left -= 1;
            }
            if left < 0 || is_update && !is_13 {
                *act = Act::Write(6);
            }
        }
        acts.insert(0, Act::Write(100));
        let way = match way {
            Way::EarlyData if !is_13 => Way::Resumed,
            Way::Retry if !is_13 => Way::Plain,
            way => way,
        };
        talk(kind, way, &acts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Without it, a request would be seen late, wrong or not at all by how the library reads.
    #[test]
    fn all_is_found_in_order_whatever_parts_it_is_read_in_and_whenever_the_secret_comes(
        talk in conversation(),
        lengths in lengths(),
        late in any::<prop::sample::Index>(),
    ) {
        let mut observer = Observer::of(&talk);
        observer.told_at += late.index(observer.bytes.len() - observer.told_at + 1);
        for length in lengths.iter().cycle() {
            observer.read(*length);
            observer.look_back();
            if observer.is_done() {
                break;
            }
        }
        prop_assert_eq!(&observer.found, &observer.data_after(0));
        prop_assert_eq!(observer.session.reason(), Reason::None);
    }

    /// Looks come before some of the reads, see a part of what is there, and see it again until it is read.
    #[test]
    fn a_look_opens_all_that_waits_whatever_was_read_unseen_before(
        talk in conversation(),
        lengths in lengths(),
        late in any::<prop::sample::Index>(),
        looks in vec((any::<bool>(), 0_usize..40_000), 1..8),
    ) {
        let mut observer = Observer::of(&talk);
        observer.told_at += late.index(observer.bytes.len() - observer.told_at + 1);
        let turns = lengths.iter().cycle().zip(looks.iter().cycle());
        for (length, (looks, peeked)) in turns {
            if *looks {
                observer.look(*peeked);
            }
            observer.read(*length);
            if observer.is_done() {
                break;
            }
        }
        prop_assert_eq!(observer.session.reason(), Reason::None);
    }

    /// A loop that looks before it reads anything finds all that comes with the secret, or behind it.
    #[test]
    fn who_always_looks_before_it_reads_finds_all_behind_the_secret(
        talk in conversation(),
        lengths in lengths(),
    ) {
        let mut observer = Observer::of(&talk);
        let mut told_at = None;
        for length in lengths.iter().cycle() {
            observer.look(*length);
            observer.read(*length);
            if observer.is_told && told_at.is_none() {
                told_at = Some(observer.at);
            }
            if observer.is_done() {
                break;
            }
        }
        let mut found = observer.found.clone();
        found.dedup();
        prop_assert_eq!(found, observer.data_after(told_at.unwrap()));
    }
}

/// Every version and suite, in every way, told at the first moment and at the last.
#[test]
fn every_kind_of_conversation_is_understood() {
    let acts = [
        Act::Write(78),
        Act::Write(1),
        Act::Write(1 << 14),
        Act::Write(5),
        Act::Write(300),
    ];
    let everywhere = [Way::Plain, Way::ClientCertificates, Way::Resumed];
    let of_13 = [Way::EarlyData, Way::Retry];
    for (kind, (version, ..)) in KINDS.into_iter().enumerate() {
        let is_13 = version == Version::Tls13;
        for way in everywhere
            .into_iter()
            .chain(of_13)
            .filter(|way| is_13 || !of_13.contains(way))
        {
            let talk = talk(kind, way, &acts);
            let sealed_before = talk.first();
            assert_eq!(
                sealed_before > 1,
                matches!(way, Way::ClientCertificates | Way::EarlyData) && is_13
            );
            for told_at in [talk.told_at, talk.bytes().len()] {
                let mut observer = Observer::of(&talk);
                observer.told_at = told_at;
                observer.read(usize::MAX);
                observer.look_back();
                assert_eq!(observer.found.len(), acts.len(), "{kind} {way:?}");
            }
            let mut observer = Observer::of(&talk);
            observer.read(observer.told_at);
            for _ in 0..3 {
                // The same again and again, until it is read.
                observer.look(usize::MAX / 2);
            }
            assert_eq!(observer.found.len(), 3 * acts.len(), "{kind} {way:?}");
        }
    }
}
