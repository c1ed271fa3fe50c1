//! What will this handler do? Rules learnt from what the server did before.
//!
//! A rule says: a target under this prefix makes the server touch that path. It is learnt by laying
//! a request's target beside the path of an operation that followed it (`/d1/f.html` beside
//! `/srv/www/d1/f.html`), and it only ever leads to *warming*: a wrong rule costs a little disk time
//! and its own standing, never an answer.

use crate::predictions::{Depth, Predictions, MAX_PATH, MAX_PREDICTIONS};
use crate::recognise::{Request, MAX_TARGET};
use arrayvec::ArrayVec;

/// Most rules of one event loop.
const MAX_RULES: usize = 96;

const MAX_PREFIX: usize = 128;
const MAX_DIRECTORY: usize = 256;
const MAX_SUFFIX: usize = 64;

/// Votes at which hits and misses are halved, so that a rule's past does not outvote its present.
const MAX_VOTES: u32 = 64;

/// Names a rule until it is evicted; afterwards votes in its name are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleId {
    index: u16,
    serial: u32,
}

/// How a target becomes a path: `directory + rest of the target + suffix`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    /// 0 for every host.
    host: u64,
    /// What the target begins with; ends in `/`.
    prefix: ArrayVec<u8, MAX_PREFIX>,
    /// Whether it is for targets that end in `/`, or for those that do not.
    directory_target: bool,
    /// Whether the target's last component is left out (a companion: `.htpasswd`).
    trim: bool,
    /// What follows: an index name, `.gz`, a companion's name, or nothing.
    suffix: ArrayVec<u8, MAX_SUFFIX>,
}

#[derive(Clone, Debug)]
struct Rule {
    shape: Shape,
    /// What the prefix is replaced by; ends in `/`, or is empty for the working directory.
    directory: ArrayVec<u8, MAX_DIRECTORY>,
    depth: Depth,
    hits: u32,
    misses: u32,
    pinned: bool,
    serial: u32,
}

impl Rule {
    fn trusted(&self) -> bool {
        self.pinned || self.hits * 4 >= self.misses
    }

    fn vote(&mut self, hit: bool) {
        *(if hit {
            &mut self.hits
        } else {
            &mut self.misses
        }) += 1;
        if self.hits + self.misses > MAX_VOTES {
            self.hits /= 2;
            self.misses /= 2;
        }
    }

    /// What a target contributes to the path, or nothing where the rule is not for it.
    fn rest<'t>(&self, target: &'t [u8]) -> Option<&'t [u8]> {
        if self.shape.directory_target != target.ends_with(b"/") {
            return None;
        }
        let rest = target.strip_prefix(self.shape.prefix.as_slice())?;
        Some(if self.shape.trim {
            up_to_last_slash(rest)
        } else {
            rest
        })
    }

    /// Adds what this rule predicts to a list, where there is room.
    fn predict(&self, request: &Request, rule: RuleId, into: &mut Predictions) {
        let Some(rest) = self.rest(&request.target) else {
            return;
        };
        // The answer to HEAD carries no data.
        let no_body = !request.wants_body && self.depth == Depth::Data;
        let depth = if no_body { Depth::Name } else { self.depth };
        let parts = [self.directory.as_slice(), rest, &self.shape.suffix];
        into.compose(parts, depth, request.offset, rule);
    }
}

/// How a target and a path may be alike, the least convincing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The path is beside what the target names.
    Companion,
    /// The target's name goes on in the path.
    Suffix,
    /// The path ends as the target does.
    Whole,
}

/// What laying a target beside a path shows.
struct Laid<'p> {
    shape: Shape,
    directory: &'p [u8],
    /// How much they have in common.
    tail: usize,
}

/// What an operation teaches if a certain request was the reason for it.
#[derive(Clone, Debug)]
pub struct Lesson<'p> {
    shape: Shape,
    directory: &'p [u8],
    depth: Depth,
    host: u64,
    likeness: (Kind, usize),
}

impl Lesson<'_> {
    /// Whether the request explains the path better than another one does.
    pub fn is_better_than(&self, other: &Lesson<'_>) -> bool {
        self.likeness > other.likeness
    }
}

/// The rules of one event loop.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    next_serial: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            rules: Vec::with_capacity(MAX_RULES),
            next_serial: 0,
        }
    }
}

impl Rules {
    /// Whether anything can be predicted at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Adds a rule from the configuration: targets under `prefix` are files under `directory`.
    ///
    /// Returns false where it does not fit (a prefix without its slashes, too long, too many).
    pub fn pin(&mut self, prefix: &[u8], directory: &[u8]) -> bool {
        let shape = shape(0, prefix, false, false, b"");
        let directory = ArrayVec::<u8, MAX_DIRECTORY>::try_from(directory);
        let (Some(shape), Ok(mut directory)) = (shape, directory) else {
            return false;
        };
        let whole = directory.last() == Some(&b'/') || directory.try_push(b'/').is_ok();
        whole
            && prefix.ends_with(b"/")
            && self.insert(shape, &directory, Depth::Data, true).is_some()
    }

    /// Predicts what the handler of `request` will touch, best rule of each kind.
    ///
    /// A rule for the request's host beats one for every host, a longer prefix a shorter one.
    pub fn predict(&self, request: &Request, into: &mut Predictions) {
        into.clear();
        let mut chosen = ArrayVec::<usize, MAX_PREDICTIONS>::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let for_host = rule.shape.host == 0 || rule.shape.host == request.host;
            if !for_host || !rule.trusted() || rule.rest(&request.target).is_none() {
                continue;
            }
            let rank = |rule: &Rule| (rule.shape.host != 0, rule.shape.prefix.len());
            let rival = chosen.iter_mut().find(|other| {
                let other = &self.rules[**other].shape;
                other.trim == rule.shape.trim && other.suffix == rule.shape.suffix
            });
            match rival {
                Some(other) if rank(&self.rules[*other]) < rank(rule) => *other = index,
                Some(_) => {}
                // Beyond the bound the first come stay: they are the older, better proven ones.
                None => drop(chosen.try_push(index)),
            }
        }
        for index in chosen {
            let id = RuleId {
                index: index as u16,
                serial: self.rules[index].serial,
            };
            self.rules[index].predict(request, id, into);
        }
    }

    /// Counts for or against a rule: did the handler touch the path that it predicted?
    pub fn vote(&mut self, id: RuleId, hit: bool) {
        if let Some(rule) = self.rules.get_mut(id.index as usize) {
            if rule.serial == id.serial {
                rule.vote(hit);
            }
        }
    }

    /// A predicted path was touched at this depth: a hit, and perhaps a deeper look than known.
    pub fn confirm(&mut self, id: RuleId, depth: Depth) {
        self.vote(id, true);
        if let Some(rule) = self.rules.get_mut(id.index as usize) {
            if rule.serial == id.serial {
                rule.depth = rule.depth.max(depth);
            }
        }
    }

    /// What an operation on `path` teaches if `request` was the reason for it; nothing where the two
    /// have nothing to do with each other.
    pub fn lesson<'p>(
        &self,
        request: &Request,
        path: &'p [u8],
        depth: Depth,
    ) -> Option<Lesson<'p>> {
        let target = request.target.as_slice();
        let path = without_last_slash(path);
        let suffix = || self.lay_suffix_beside(target, path);
        let (kind, laid) = if let Some(laid) = self.lay_beside(target, path, b"", false) {
            (Kind::Whole, laid)
        } else if let Some(laid) = lay_root_beside(target, path, depth).or_else(suffix) {
            (Kind::Suffix, laid)
        } else {
            (Kind::Companion, self.lay_companion_beside(target, path)?)
        };
        Some(Lesson {
            shape: laid.shape,
            directory: laid.directory,
            depth,
            host: request.host,
            likeness: (kind, laid.tail),
        })
    }

    /// Learns it: returns the rule that would have predicted the path.
    pub fn learn(&mut self, lesson: Lesson<'_>) -> Option<RuleId> {
        let Lesson {
            mut shape,
            directory,
            depth,
            host,
            ..
        } = lesson;
        let mut directory = ArrayVec::<u8, MAX_DIRECTORY>::try_from(directory).ok()?;
        if !directory.ends_with(b"/") {
            directory.try_push(b'/').ok()?;
        }
        // For every host, or, where another host's rule stands there, for this one.
        let taken = self
            .rules
            .iter()
            .any(|rule| rule.shape == shape && rule.directory != directory && rule.hits > 0);
        if taken && host != 0 {
            shape.host = host;
        }
        self.insert(shape, &directory, depth, false)
    }

    /// `/d1/f` beside `/srv/www/d1/f`, `/d1/` beside `/srv/www/d1`: the longest common tail, cut at a
    /// `/`.
    fn lay_beside<'p>(
        &self,
        target: &[u8],
        path: &'p [u8],
        suffix: &[u8],
        trim: bool,
    ) -> Option<Laid<'p>> {
        let rest = if trim {
            up_to_last_slash(target)
        } else {
            target
        };
        let rest = if path.ends_with(b"/") {
            rest
        } else {
            without_last_slash(rest)
        };
        let base = path;
        let tail = common_tail(rest, base);
        if tail == 0 {
            return None;
        }
        // Both sides keep the slash at which they were cut.
        let prefix = &rest[..rest.len() - tail + 1];
        let directory = &base[..base.len() - tail + 1];
        let shape = shape(0, prefix, target.ends_with(b"/"), trim, suffix)?;
        Some(Laid {
            shape,
            directory,
            tail,
        })
    }

    /// `/d1/f` beside `/srv/www/d1/f.gz`, `/d1/` beside `/srv/www/d1/index.html`.
    fn lay_suffix_beside<'p>(&self, target: &[u8], path: &'p [u8]) -> Option<Laid<'p>> {
        let name = &target[up_to_last_slash(target).len()..];
        let base = up_to_last_slash(path);
        let suffix = path[base.len()..].strip_prefix(name)?;
        if suffix.is_empty() {
            return None;
        }
        let base = &path[..path.len() - suffix.len()];
        self.lay_beside(target, base, suffix, false)
    }

    /// `/d1/f` beside `/srv/www/d1/.htpasswd`. Any two paths share a directory's final slash, so
    /// more is asked for: a common component, or a known rule that maps this directory there.
    fn lay_companion_beside<'p>(&self, target: &[u8], path: &'p [u8]) -> Option<Laid<'p>> {
        let base = up_to_last_slash(path);
        let suffix = &path[base.len()..];
        let directory_of_target = up_to_last_slash(target);
        let laid = self.lay_beside(target, base, suffix, true)?;
        let more_than_a_slash = common_tail(directory_of_target, base) > 1;
        let known = || {
            self.rules.iter().any(|rule| {
                !rule.shape.trim
                    && directory_of_target.strip_prefix(rule.shape.prefix.as_slice())
                        == base.strip_prefix(rule.directory.as_slice())
                    && base.starts_with(&rule.directory)
            })
        };
        (!suffix.is_empty() && (more_than_a_slash || known())).then_some(laid)
    }

    fn insert(
        &mut self,
        shape: Shape,
        directory: &[u8],
        depth: Depth,
        pinned: bool,
    ) -> Option<RuleId> {
        let directory = ArrayVec::try_from(directory).ok()?;
        self.next_serial = self.next_serial.wrapping_add(1);
        let serial = self.next_serial;
        if let Some(index) = self.rules.iter().position(|rule| rule.shape == shape) {
            let rule = &mut self.rules[index];
            if rule.directory == directory {
                rule.vote(true);
                rule.depth = rule.depth.max(depth);
            } else if rule.pinned {
                return None;
            } else {
                *rule = Rule {
                    shape,
                    directory,
                    depth,
                    hits: 1,
                    misses: 0,
                    pinned,
                    serial,
                };
            }
            let serial = rule.serial;
            return Some(RuleId {
                index: index as u16,
                serial,
            });
        }
        let rule = Rule {
            shape,
            directory,
            depth,
            hits: 1,
            misses: 0,
            pinned,
            serial,
        };
        let index = if self.rules.len() < MAX_RULES {
            self.rules.push(rule);
            self.rules.len() - 1
        } else {
            // The one that was right the least often gives way.
            let weakest = |(_, rule): &(usize, &Rule)| (rule.trusted(), rule.hits, rule.serial);
            let rivals = self
                .rules
                .iter()
                .enumerate()
                .filter(|(_, rule)| !rule.pinned);
            let (index, _) = rivals.min_by_key(weakest)?;
            self.rules[index] = rule;
            index
        };
        Some(RuleId {
            index: index as u16,
            serial,
        })
    }
}

/// The document root itself: nothing of its path stands in the target.
fn lay_root_beside<'p>(target: &[u8], path: &'p [u8], depth: Depth) -> Option<Laid<'p>> {
    if target != b"/" || depth != Depth::Listing {
        return None;
    }
    Some(Laid {
        shape: shape(0, target, true, false, b"")?,
        directory: path,
        tail: 0,
    })
}

fn shape(
    host: u64,
    prefix: &[u8],
    directory_target: bool,
    trim: bool,
    suffix: &[u8],
) -> Option<Shape> {
    Some(Shape {
        host,
        prefix: ArrayVec::try_from(prefix).ok()?,
        directory_target,
        trim,
        suffix: ArrayVec::try_from(suffix).ok()?,
    })
}

/// A path without the slash at its end, as rules and hashes know it; the root stays what it is.
pub fn without_last_slash(path: &[u8]) -> &[u8] {
    match path.strip_suffix(b"/") {
        Some(rest) if !rest.is_empty() => rest,
        _ => path,
    }
}

/// Everything up to and including the last slash; nothing where there is none.
fn up_to_last_slash(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(b"", |slash| &path[..=slash])
}

/// A path as rules want it: one that is relative to the working directory begins with `./`, so that it has a slash
/// at which it can be cut. `room` holds it, where it has to be written anew; a longer one stays as it is.
pub fn from_here<'p>(path: &'p [u8], room: &'p mut ArrayVec<u8, MAX_PATH>) -> &'p [u8] {
    const HERE: &[u8] = b"./";
    if path.is_empty() || path.starts_with(b"/") || path.starts_with(HERE) {
        return path;
    }
    let written = room
        .try_extend_from_slice(HERE)
        .and_then(|()| room.try_extend_from_slice(path));
    if written.is_ok() {
        room
    } else {
        path
    }
}

/// Length of the longest common tail of both that begins with a `/`.
fn common_tail(one: &[u8], other: &[u8]) -> usize {
    let pairs = one.iter().rev().zip(other.iter().rev());
    let same = pairs.take_while(|(a, b)| a == b).count();
    let tail = &one[one.len() - same..];
    memchr::memchr(b'/', tail).map_or(0, |slash| tail.len() - slash)
}

const _: () = assert!(MAX_TARGET <= MAX_PATH && MAX_RULES <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictions::Prediction;
    use crate::recognise::climbs;
    use crate::recognise::decode_target;
    use proptest::prelude::*;

    fn request(host: u64, target: &str) -> Request {
        let mut request = Request {
            host,
            wants_body: true,
            ..Request::default()
        };
        decode_target(target.as_bytes(), &mut request.target).unwrap();
        request
    }

    fn learn(rules: &mut Rules, target: &str, path: &str) -> Option<RuleId> {
        teach(rules, &request(0, target), path, Depth::Data)
    }

    fn teach(rules: &mut Rules, request: &Request, path: &str, depth: Depth) -> Option<RuleId> {
        let lesson = rules.lesson(request, path.as_bytes(), depth)?;
        rules.learn(lesson)
    }

    fn predicted(rules: &Rules, host: u64, target: &str) -> Vec<String> {
        let mut predictions = Predictions::default();
        rules.predict(&request(host, target), &mut predictions);
        let path = |p: Prediction<'_>| String::from_utf8(p.path.to_vec()).unwrap();
        predictions.iter().map(path).collect()
    }

    #[test]
    fn a_document_root() {
        let mut rules = Rules::default();
        learn(&mut rules, "/d1/f.html", "/srv/www/d1/f.html").unwrap();
        let mut predictions = Predictions::default();
        rules.predict(&request(0, "/d1/g.html"), &mut predictions);
        let said = predictions.iter().next().unwrap();
        assert_eq!(
            (said.path, said.directory()),
            (&b"/srv/www/d1/g.html"[..], &b"/srv/www/"[..])
        );
        assert_eq!(predicted(&rules, 0, "/x/y/z.png"), ["/srv/www/x/y/z.png"]);
        assert!(predicted(&rules, 0, "/x/").is_empty());
    }

    #[test]
    fn a_document_root_that_is_the_working_directory() {
        for (target, path) in [("/f.html", "f.html"), ("/d1/f.html", "d1/f.html")] {
            let mut rules = Rules::default();
            let mut room = ArrayVec::new();
            let path = from_here(path.as_bytes(), &mut room);
            learn(&mut rules, target, std::str::from_utf8(path).unwrap()).unwrap();
            assert_eq!(predicted(&rules, 0, "/x/y.png"), ["./x/y.png"]);
        }
        for path in ["/srv/f", "./f", ""] {
            let mut room = ArrayVec::new();
            assert_eq!(from_here(path.as_bytes(), &mut room), path.as_bytes());
        }
        let long = [b'x'; MAX_PATH];
        assert_eq!(from_here(&long, &mut ArrayVec::new()), long);
    }

    #[test]
    fn an_alias_beats_the_root_below_its_prefix() {
        let mut rules = Rules::default();
        learn(&mut rules, "/a.html", "/srv/www/a.html").unwrap();
        learn(&mut rules, "/img/x.png", "/data/images/x.png").unwrap();
        assert_eq!(predicted(&rules, 0, "/img/y.png"), ["/data/images/y.png"]);
        assert_eq!(predicted(&rules, 0, "/b.html"), ["/srv/www/b.html"]);
    }

    #[test]
    fn index_files_companions_and_siblings() {
        let mut rules = Rules::default();
        learn(&mut rules, "/", "/srv/www/index.html").unwrap();
        assert_eq!(predicted(&rules, 0, "/sub/"), ["/srv/www/sub/index.html"]);
        learn(&mut rules, "/a.css", "/srv/www/a.css").unwrap();
        learn(&mut rules, "/a.css", "/srv/www/a.css.gz").unwrap();
        learn(&mut rules, "/a.css", "/srv/www/.htpasswd").unwrap();
        assert_eq!(
            predicted(&rules, 0, "/d/b.css"),
            [
                "/srv/www/d/b.css",
                "/srv/www/d/b.css.gz",
                "/srv/www/d/.htpasswd"
            ]
        );
    }

    #[test]
    fn listings() {
        for (target, path) in [
            ("/a/b/", "/srv/www/a/b"),
            ("/", "/srv/www"),
            ("/", "/srv/www/"),
        ] {
            let mut rules = Rules::default();
            teach(&mut rules, &request(0, target), path, Depth::Listing).unwrap();
            assert_eq!(predicted(&rules, 0, "/c/"), ["/srv/www/c"]);
            assert_eq!(predicted(&rules, 0, "/"), ["/srv/www"]);
        }
    }

    #[test]
    fn unrelated_files_teach_nothing() {
        let mut rules = Rules::default();
        learn(&mut rules, "/d1/f.html", "/srv/www/d1/f.html").unwrap();
        assert!(learn(&mut rules, "/f.html", "/etc/localtime").is_none());
        assert!(learn(&mut rules, "/d1/f.html", "/etc/mime.types").is_none());
    }

    #[test]
    fn virtual_hosts_part_ways() {
        let mut rules = Rules::default();
        for _ in 0..2 {
            teach(&mut rules, &request(1, "/a"), "/srv/one/a", Depth::Data).unwrap();
            teach(&mut rules, &request(2, "/a"), "/srv/two/a", Depth::Data).unwrap();
        }
        assert_eq!(predicted(&rules, 1, "/b"), ["/srv/one/b"]);
        assert_eq!(predicted(&rules, 2, "/b"), ["/srv/two/b"]);
        assert_eq!(predicted(&rules, 3, "/b"), ["/srv/one/b"]);
    }

    #[test]
    fn a_relative_document_root() {
        let mut rules = Rules::default();
        learn(&mut rules, "/d/f", "./d/f").unwrap();
        assert_eq!(predicted(&rules, 0, "/e/g"), ["./e/g"]);
    }

    #[test]
    fn a_rule_that_stops_being_right_loses_its_vote() {
        let mut rules = Rules::default();
        let said = learn(&mut rules, "/a", "/srv/a").unwrap();
        for _ in 0..10 {
            rules.vote(said, false);
        }
        assert!(predicted(&rules, 0, "/b").is_empty());
        learn(&mut rules, "/b", "/new/b").unwrap();
        assert_eq!(predicted(&rules, 0, "/c"), ["/new/c"]);
        rules.vote(said, true);
        assert_eq!(predicted(&rules, 0, "/c"), ["/new/c"]);
    }

    #[test]
    fn depth_follows_the_deepest_look() {
        let mut rules = Rules::default();
        let request = request(0, "/a");
        let rule = teach(&mut rules, &request, "/srv/a", Depth::Name).unwrap();
        let mut predictions = Predictions::default();
        let mut depth = |rules: &Rules, request: &Request| {
            rules.predict(request, &mut predictions);
            predictions.iter().next().unwrap().depth
        };
        assert_eq!(depth(&rules, &request), Depth::Name);
        rules.confirm(rule, Depth::Data);
        assert_eq!(depth(&rules, &request), Depth::Data);
        assert_eq!(
            depth(
                &rules,
                &Request {
                    wants_body: false,
                    ..request
                }
            ),
            Depth::Name
        );
    }

    #[test]
    fn pinned_rules_stay() {
        let mut rules = Rules::default();
        assert!(rules.pin(b"/img/", b"/data/images"));
        assert!(!rules.pin(b"/img", b"/data"));
        for n in 0..2 * MAX_RULES {
            learn(&mut rules, &format!("/p{n}/f"), &format!("/q{n}/f"));
        }
        assert_eq!(predicted(&rules, 0, "/img/x"), ["/data/images/x"]);
    }

    proptest! {
        /// What was learnt from one pair is predicted again for that pair, whatever the bytes.
        #[test]
        fn a_lesson_is_repeated(
            directory in "(/[a-z]{1,3}){1,3}", tail in "(/[a-c.]{1,3}){1,3}/?", suffix in "[a-z.]{0,4}",
        ) {
            let path = format!("{directory}{tail}{suffix}");
            prop_assume!(!climbs(tail.as_bytes()) && !climbs(path.as_bytes()));
            let mut rules = Rules::default();
            if learn(&mut rules, &tail, &path).is_some() {
                let path = String::from_utf8(without_last_slash(path.as_bytes()).to_vec()).unwrap();
                prop_assert!(predicted(&rules, 0, &tail).contains(&path));
            } else {
                prop_assert!(false, "nothing learnt from {} and {}", tail, path);
            }
        }

        /// A prediction stays beneath the learnt directory: what follows it never climbs.
        #[test]
        fn predictions_never_climb(
            lessons in prop::collection::vec(("(/[ab.]{1,2}){1,3}/?", "(/[ab.]{1,2}){1,4}"), 1..20),
            target in "(/[ab.]{1,2}){1,3}/?",
        ) {
            prop_assume!(!climbs(target.as_bytes()));
            let mut rules = Rules::default();
            for (target, path) in &lessons {
                if !climbs(target.as_bytes()) {
                    learn(&mut rules, target, path);
                }
            }
            let mut predictions = Predictions::default();
            rules.predict(&request(0, &target), &mut predictions);
            for p in predictions.iter() {
                prop_assert!(!climbs(&p.path[p.root..]));
            }
        }
    }
}
