//! Files that are opened together with a page and lie nowhere that its target tells: what it includes (SSI), what sub-requests add.
//!
//! Each is learnt for one target, from a stall in the turn in which the page's own file was opened. One that stalls with a second
//! target of the same directory and kind is taken for all of them. Paths are the server's own: nothing of them comes from a client.

use super::votes::Votes;
use crate::paths::up_to_last_slash;
use crate::predictions::{Depth, Predictions, RuleId};
use crate::recognise::{Request, Span};
use arrayvec::ArrayVec;
use core::hash::Hasher;

/// Most companions of one event loop: some 180 KiB.
const MOST: usize = 512;

/// Those of one target, or of one kind of targets, at most.
const OF_ONE: usize = 4;

/// Longest path of one.
const MAX_LENGTH: usize = 256;

/// Where the numbers of these begin and end.
const FIRST: u16 = 0x2000;
const END: u16 = FIRST + MOST as u16;

#[derive(Debug)]
struct Companion {
    path: ArrayVec<u8, MAX_LENGTH>,
    depth: Depth,
    votes: Votes,
    serial: u32,
    /// Of a kind of targets: the one that has taught it, as long as that is the only one.
    only: Option<u64>,
}

/// The companions of one event loop.
#[derive(Debug, Default)]
pub struct Companions {
    /// Whose they are: the number of a target, or of a kind of targets.
    owners: Vec<u64>,
    all: Vec<Companion>,
    serial: u32,
}

/// The number of a target.
fn of_target(request: &Request) -> u64 {
    crate::hash(&request.target) ^ request.host
}

/// The number of all targets in its directory whose names end alike.
fn of_kind(request: &Request) -> u64 {
    let target = request.target.as_slice();
    let directory = up_to_last_slash(target);
    let name = &target[directory.len()..];
    let ending = memchr::memrchr(b'.', name).map_or(&b""[..], |dot| &name[dot..]);
    let mut hasher = crate::hasher();
    hasher.write(directory);
    hasher.write_u64(request.host);
    hasher.write(ending);
    hasher.finish()
}

impl Companions {
    /// Whether a rule is one of these.
    pub fn is_one(id: RuleId) -> bool {
        (FIRST..END).contains(&id.index)
    }

    /// Another number after each that is learnt.
    pub fn version(&self) -> u32 {
        self.serial
    }

    fn get_mut(&mut self, id: RuleId) -> Option<&mut Companion> {
        let place = usize::from(id.index.checked_sub(FIRST)?);
        self.all.get_mut(place).filter(|it| it.serial == id.serial)
    }

    /// Whether one is proven.
    pub fn is_proven(&self, id: RuleId) -> bool {
        let place = usize::from(id.index.saturating_sub(FIRST));
        let it = self.all.get(place).filter(|it| it.serial == id.serial);
        it.is_some_and(|it| it.votes.are_proof())
    }

    fn places(&self, owner: u64) -> impl Iterator<Item = usize> + '_ {
        let owners = self.owners.iter().enumerate();
        owners.filter_map(move |(place, &it)| (it == owner).then_some(place))
    }

    /// Adds those of a request whose answer is sent.
    pub fn predict(&self, request: &Request, into: &mut Predictions) {
        if self.all.is_empty() {
            return;
        }
        for owner in [of_target(request), of_kind(request)] {
            for place in self.places(owner) {
                let Some(it) = self.all.get(place) else {
                    continue;
                };
                if it.only.is_some() || !it.votes.are_trusted() {
                    continue;
                }
                let (directory, name) = it.path.split_at(up_to_last_slash(&it.path).len());
                let rule = RuleId {
                    index: FIRST + place as u16,
                    serial: it.serial,
                };
                let whole = (it.depth, Span::From(0));
                into.compose(&[directory, name], directory.len(), whole, None, rule);
            }
        }
    }

    /// A file has stalled in the turn in which this request's own was opened. Returns what predicts it for the same target.
    pub fn learn(&mut self, request: &Request, path: &[u8], depth: Depth) -> Option<RuleId> {
        let path = ArrayVec::<u8, MAX_LENGTH>::try_from(path).ok()?;
        let target = of_target(request);
        let _ = self.add(of_kind(request), &path, depth, Some(target));
        self.add(target, &path, depth, None)
    }

    fn add(
        &mut self,
        owner: u64,
        path: &ArrayVec<u8, MAX_LENGTH>,
        depth: Depth,
        only: Option<u64>,
    ) -> Option<RuleId> {
        let is_it = |place: &usize| self.all.get(*place).is_some_and(|it| it.path == *path);
        let known = self.places(owner).find(is_it);
        let place = known.or_else(|| self.place_for(owner))?;
        match (known, self.all.get_mut(place)) {
            (Some(_), Some(it)) => {
                it.depth = it.depth.max(depth);
                it.votes.count(true);
                if it.only.is_some() && it.only != only {
                    it.only = None;
                    self.serial = self.serial.wrapping_add(1);
                }
            }
            (_, old) => {
                self.serial = self.serial.wrapping_add(1);
                let fresh = Companion {
                    path: path.clone(),
                    depth,
                    votes: Votes::new(),
                    serial: self.serial,
                    only,
                };
                match (self.owners.get_mut(place), old) {
                    (Some(its_owner), Some(it)) => (*its_owner, *it) = (owner, fresh),
                    _ => {
                        self.owners.push(owner);
                        self.all.push(fresh);
                    }
                }
            }
        }
        Some(RuleId {
            index: FIRST + place as u16,
            serial: self.all.get(place)?.serial,
        })
    }

    /// Where a new one goes. The one that was right the least often gives way.
    fn place_for(&mut self, owner: u64) -> Option<usize> {
        let weakest = |place: &usize| {
            let it = self.all.get(*place);
            it.map(|it| (it.votes.are_trusted(), it.votes.hits, it.serial))
        };
        if self.places(owner).count() >= OF_ONE {
            return self.places(owner).min_by_key(weakest);
        }
        if self.all.len() < MOST {
            let has_room = self.all.try_reserve(1).is_ok() && self.owners.try_reserve(1).is_ok();
            return has_room.then_some(self.all.len());
        }
        (0..self.all.len()).min_by_key(weakest)
    }

    /// A prediction came true, or did not.
    pub fn judge(&mut self, id: RuleId, came_true: bool) {
        if let Some(it) = self.get_mut(id) {
            it.votes.count(came_true);
        }
    }

    /// A predicted path was touched at this depth, perhaps a deeper look than known.
    pub fn confirm(&mut self, id: RuleId, depth: Depth) {
        if let Some(it) = self.get_mut(id) {
            it.depth = it.depth.max(depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognise::{Http, Recogniser};

    fn request(target: &str) -> Request {
        let mut request = Request::default();
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        Http.recognise(head.as_bytes(), &mut request).unwrap();
        request
    }

    fn predicted(companions: &Companions, target: &str) -> Vec<(String, RuleId)> {
        let mut predictions = Predictions::default();
        companions.predict(&request(target), &mut predictions);
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        predictions
            .iter()
            .map(|it| (text(it.path), it.rule))
            .collect()
    }

    fn paths(companions: &Companions, target: &str) -> Vec<String> {
        predicted(companions, target)
            .into_iter()
            .map(|it| it.0)
            .collect()
    }

    #[test]
    fn of_a_target_and_of_a_kind() {
        let mut companions = Companions::default();
        let mut learn = |target: &str, path: &str| {
            let id = companions.learn(&request(target), path.as_bytes(), Depth::Data);
            assert!(Companions::is_one(id.unwrap()));
        };
        learn("/a/x.shtml", "/srv/parts/x.html");
        learn("/a/x.shtml", "/srv/parts/head.html");
        assert_eq!(
            paths(&companions, "/a/x.shtml"),
            ["/srv/parts/x.html", "/srv/parts/head.html"]
        );
        assert!(
            paths(&companions, "/a/y.shtml").is_empty(),
            "one target is none"
        );
        let mut learn = |target: &str, path: &str| {
            companions.learn(&request(target), path.as_bytes(), Depth::Data)
        };
        learn("/a/y.shtml", "/srv/parts/y.html");
        learn("/a/y.shtml", "/srv/parts/head.html");
        assert_eq!(paths(&companions, "/a/z.shtml"), ["/srv/parts/head.html"]);
        assert!(paths(&companions, "/a/z.html").is_empty());
        assert!(paths(&companions, "/b/z.shtml").is_empty());
    }

    /// Without it, a page that does not include a file any more would have it read for ever.
    #[test]
    fn what_is_wrong_falls_silent() {
        let mut companions = Companions::default();
        let id = companions.learn(&request("/x"), b"/srv/part", Depth::Data);
        let id = id.unwrap();
        for _ in 0..20 {
            companions.judge(id, false);
        }
        assert!(paths(&companions, "/x").is_empty());
        assert_eq!(
            companions.learn(&request("/x"), b"/srv/part", Depth::Data),
            Some(id)
        );
        (0..8).for_each(|_| companions.judge(id, true));
        assert_eq!(predicted(&companions, "/x"), [("/srv/part".into(), id)]);
    }

    #[test]
    fn there_are_not_more_than_that() {
        let mut companions = Companions::default();
        for number in 0..2 * MOST {
            let path = format!("/srv/{number}");
            companions.learn(
                &request(&format!("/x{}", number / 8)),
                path.as_bytes(),
                Depth::Data,
            );
        }
        assert_eq!(companions.all.len(), MOST);
        let last = format!("/x{}", (2 * MOST - 1) / 8);
        assert_eq!(paths(&companions, &last).len(), OF_ONE);
        let long = [b'/'; MAX_LENGTH + 1];
        assert_eq!(companions.learn(&request("/x"), &long, Depth::Data), None);
    }
}
