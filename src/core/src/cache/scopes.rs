//! Which cache answers which part of a site: so that a request is looked up in one, where a server has several.

use crate::recognise::Request;

/// How many parts of sites are told apart.
const SCOPES: usize = 256;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// The rule with this serial number.
    Rule(u32),
    /// Several, each for a part of it.
    Several,
    /// No cache.
    None,
}

/// What is known of sites, by their host, and of parts of them, by the target's first component.
#[derive(Clone, Debug)]
pub(super) struct Scopes(Box<[Option<(u64, Answers)>]>);

impl Default for Scopes {
    fn default() -> Scopes {
        // Made where it lies: the stack may be small.
        Scopes(vec![None; SCOPES].into_boxed_slice())
    }
}

/// The keys of a request's site, and of the part of it.
fn keys(request: &Request) -> (u64, u64) {
    let path = request.target.get(1..).unwrap_or_default();
    let end = memchr::memchr(b'/', path).map_or(0, |end| end + 1);
    let part = crate::hash(path.get(..end).unwrap_or_default());
    (!request.host, part ^ request.host.rotate_left(1))
}

impl Scopes {
    fn of(&self, key: u64) -> Option<Answers> {
        let place = self.0.get(key as usize % SCOPES)?;
        place.filter(|(of, _)| *of == key).map(|(_, who)| who)
    }

    fn place(&mut self, key: u64, who: Answers) {
        if let Some(place) = self.0.get_mut(key as usize % SCOPES) {
            *place = Some((key, who));
        }
    }

    /// What is known of the part that a request is for, whatever is known of the site.
    pub fn of_part(&self, request: &Request) -> Option<Answers> {
        self.of(keys(request).1)
    }

    /// Who answers a request, as far as is known.
    pub fn get(&self, request: &Request) -> Option<Answers> {
        let (site, part) = keys(request);
        self.of(part).or_else(|| {
            let of_site = self.of(site);
            of_site.filter(|who| *who != Answers::Several)
        })
    }

    pub fn set(&mut self, request: &Request, who: Answers) {
        let (site, part) = keys(request);
        self.place(part, who);
        if matches!(who, Answers::Rule(_)) {
            let of_site = self.of(site).filter(|old| *old != who);
            self.place(site, of_site.map_or(who, |_| Answers::Several));
        }
    }
}
