//! Where rules stand, by host and prefix: a request asks for those of its own prefixes, and there may be thousands of others.

/// Numbers of hosts and prefixes, each with the place of a rule, in order.
#[derive(Debug, Default)]
pub struct Index(Vec<(u64, u16)>);

/// The number of a host and a prefix. Two may have the same.
pub fn key(host: u64, prefix: &[u8]) -> u64 {
    crate::hash(prefix) ^ host.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Index {
    pub fn with_capacity(capacity: usize) -> Index {
        Index(Vec::with_capacity(capacity))
    }

    /// A rule stands there from now on; false where there is no memory for it.
    pub fn add(&mut self, key: u64, place: u16) -> bool {
        let has_room = self.0.try_reserve(1).is_ok();
        if has_room {
            let at = self.0.partition_point(|entry| *entry < (key, place));
            self.0.insert(at, (key, place));
        }
        has_room
    }

    pub fn remove(&mut self, key: u64, place: u16) {
        if let Ok(at) = self.0.binary_search(&(key, place)) {
            self.0.remove(at);
        }
    }

    /// Where those of a host and a prefix stand.
    pub fn places(&self, key: u64) -> impl Iterator<Item = usize> + '_ {
        let first = self.0.partition_point(|&(other, _)| other < key);
        let rest = self.0.get(first..).unwrap_or_default().iter();
        rest.take_while(move |&&(other, _)| other == key)
            .map(|&(_, place)| usize::from(place))
    }
}

/// What a target begins with, up to each of its slashes: the prefixes that a rule for it may have.
pub fn prefixes(target: &[u8], longest: usize) -> impl Iterator<Item = &[u8]> {
    let slashes = memchr::memchr_iter(b'/', target).take_while(move |&at| at < longest);
    slashes.map(|at| &target[..=at])
}
