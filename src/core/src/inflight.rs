//! Bytes that are read ahead for clients and that no answer has used yet: bounded by connection, and by the client's
//! address.
//!
//! What is asked of helpers is charged before, to an [`Account`] of the connection and to a place in a table of
//! [`Addresses`]. What they did not read, and what was read when something of the answer is sent, is taken off
//! again. What was read for a client that goes away stays on its address, which forgets half of what it has every
//! [`FORGETS`] milliseconds: also what nobody takes off, by whatever accident.

use core::net::{IpAddr, Ipv6Addr};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Addresses that are told apart; a power of two. Those that want the same place share it.
const PLACES: usize = 4096;

/// How often a place forgets half of what it has, in milliseconds; a power of two.
pub const FORGETS: u64 = 1 << FORGETS_BITS;
const FORGETS_BITS: u32 = 13;

/// Bits of a place that hold bytes; the rest hold the time.
const BYTES_BITS: u32 = 40;
const BYTES: u64 = (1 << BYTES_BITS) - 1;

/// Most bytes that an address may be allowed.
pub const MOST: u64 = 1 << (BYTES_BITS - 1);

/// What a client's address is known by; never 0. A `seed` that strangers do not know keeps them from choosing whose place
/// they share.
///
/// One host has all addresses of an IPv6 network of 64 bits. No address is that of the clients of a Unix socket.
pub fn client(seed: u64, address: Option<IpAddr>) -> u64 {
    let mut name = [0; 17];
    let (kind, bytes) = name.split_at_mut(1);
    let mut put = |number: u8, from: &[u8]| {
        kind[0] = number;
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..8 + from.len()].copy_from_slice(from);
    };
    let of_six = |six: Ipv6Addr| six.to_ipv4_mapped().map_or(IpAddr::V6(six), IpAddr::V4);
    let address = address.map(|address| match address {
        IpAddr::V6(six) => of_six(six),
        four => four,
    });
    match address {
        None => put(0, &[]),
        Some(IpAddr::V4(four)) => put(4, &four.octets()),
        Some(IpAddr::V6(six)) => put(6, &six.octets()[..8]),
    }
    crate::hash(&name).max(1)
}

/// What each address has in flight. Times are milliseconds of any one clock.
#[derive(Debug)]
pub struct Addresses([AtomicU64; PLACES]);

impl Addresses {
    /// Nothing is in flight.
    #[allow(clippy::new_without_default)] // It is a static's initial value; there is no other use.
    pub const fn new() -> Addresses {
        Addresses([const { AtomicU64::new(0) }; PLACES])
    }

    /// Charges `bytes` to a [`client`]; false, and nothing is charged, where that would be more than `most`.
    pub fn charge(&self, client: u64, bytes: u64, most: u64, now: u64) -> bool {
        self.change(client, now, |there| {
            let sum = there.saturating_add(bytes);
            (sum <= most.min(MOST)).then_some(sum)
        })
    }

    /// Takes `bytes` off again.
    pub fn settle(&self, client: u64, bytes: u64, now: u64) {
        self.change(client, now, |there| Some(there.saturating_sub(bytes)));
    }

    /// What a client has in flight.
    pub fn of(&self, client: u64, now: u64) -> u64 {
        left(self.place(client).load(Relaxed), now)
    }

    fn place(&self, client: u64) -> &AtomicU64 {
        &self.0[client as usize & (PLACES - 1)]
    }

    fn change(&self, client: u64, now: u64, to: impl Fn(u64) -> Option<u64>) -> bool {
        let changed = |word: u64| Some(to(left(word, now))? | (period(now) << BYTES_BITS));
        self.place(client)
            .fetch_update(Relaxed, Relaxed, changed)
            .is_ok()
    }
}

/// The part of a time that a place keeps. It wraps after four years.
fn period(now: u64) -> u64 {
    (now >> FORGETS_BITS) & (u64::MAX >> BYTES_BITS)
}

/// What is left by `now`.
fn left(word: u64, now: u64) -> u64 {
    let age = period(now).wrapping_sub(word >> BYTES_BITS) & (u64::MAX >> BYTES_BITS);
    // Another thread's clock may be a moment ahead.
    let age = if age > u64::MAX >> (BYTES_BITS + 1) {
        0
    } else {
        age
    };
    (word & BYTES).checked_shr(age.min(63) as u32).unwrap_or(0)
}

/// What one connection has in flight. Only one thread charges it; others may settle.
#[derive(Debug, Default)]
pub struct Account {
    /// The client; 0 as long as nobody has asked for its address.
    client: AtomicU64,
    /// Helpers were asked for so much, and have not answered yet.
    asked: AtomicU64,
    /// They have read so much, and nothing was sent since.
    unused: AtomicU64,
}

impl Account {
    /// Nothing is in flight.
    pub const fn new() -> Account {
        Account {
            client: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            unused: AtomicU64::new(0),
        }
    }

    /// The client, where its address is known.
    pub fn client(&self) -> Option<u64> {
        Some(self.client.load(Relaxed)).filter(|client| *client != 0)
    }

    /// This is the client.
    pub fn is_of(&self, client: u64) {
        self.client.store(client, Relaxed);
    }

    /// Charges `bytes`; false, and nothing is charged, where that would be more than `most`.
    pub fn charge(&self, bytes: u64, most: u64) -> bool {
        let there = self
            .asked
            .load(Relaxed)
            .saturating_add(self.unused.load(Relaxed));
        let may = there.saturating_add(bytes) <= most;
        if may {
            self.asked.fetch_add(bytes, Relaxed);
        }
        may
    }

    /// Helpers were asked for so much, and have read so much.
    pub fn was_read(&self, asked: u64, read: u64) {
        let less = |there: u64| Some(there.saturating_sub(asked));
        let _ = self.asked.fetch_update(Relaxed, Relaxed, less);
        self.unused.fetch_add(read, Relaxed);
    }

    /// What was read is of use: how much that is.
    #[inline]
    pub fn take_unused(&self) -> u64 {
        match self.unused.load(Relaxed) {
            0 => 0,
            _ => self.unused.swap(0, Relaxed),
        }
    }

    /// The connection is closed: how much was read for nothing.
    pub fn close(&self) -> u64 {
        self.client.store(0, Relaxed);
        self.asked.store(0, Relaxed);
        self.take_unused()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_host_is_one_client_whatever_address_it_takes() {
        let of = |text: &str| client(7, Some(text.parse().unwrap()));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("0.0.0.0"), client(7, None));
        assert_ne!(of("::"), client(7, None));
        assert_ne!(client(7, None), client(8, None));
    }

    #[test]
    fn what_went_away_is_forgotten_by_and_by() {
        let addresses = Addresses::new();
        assert!(addresses.charge(5, 8 * MIB, 10 * MIB, 0));
        assert!(!addresses.charge(5, 8 * MIB, 10 * MIB, FORGETS - 1));
        assert_eq!(addresses.of(5, FORGETS), 4 * MIB);
        assert!(addresses.charge(5, 6 * MIB, 10 * MIB, FORGETS));
        assert_eq!(addresses.of(5, 100 * FORGETS), 0);
        // A clock that lags behind makes nobody rich.
        assert!(addresses.charge(6, MIB, 10 * MIB, 50 * FORGETS));
        assert_eq!(addresses.of(6, 49 * FORGETS), MIB);
    }

    #[test]
    fn more_addresses_than_places_share_them() {
        let addresses = Addresses::new();
        for number in 0..3 * PLACES as u64 {
            assert!(addresses.charge(number, 1, 3, 0));
        }
        for number in 0..3 * PLACES as u64 {
            assert!(!addresses.charge(number, 1, 3, 0));
        }
    }

    #[test]
    fn a_connection_is_bounded_until_its_answer_begins() {
        let account = Account::new();
        assert!(account.charge(6, 10) && !account.charge(6, 10));
        account.was_read(6, 5);
        assert!(account.charge(5, 10) && !account.charge(1, 10));
        assert_eq!(account.take_unused(), 5);
        assert!(account.charge(5, 10));
        account.was_read(10, 3);
        assert_eq!(account.close(), 3);
        // A job that ends after the connection: nothing is charged to the next one.
        assert!(account.charge(10, 10));
    }

    /// One thing that happens, to one of a few clients.
    #[derive(Clone, Debug)]
    enum Event {
        Ask(u64),
        Read(u64),
        Answer,
        Leave,
        Wait(u64),
    }

    proptest! {
        /// Whatever clients do, none has more in flight than it may have; those that use what was read for them
        /// are charged nothing in the end, and the others are forgiven. Without it, a leak would shut an address out.
        #[test]
        fn nobody_has_more_than_the_bound_and_all_is_settled_in_the_end(
            events in prop::collection::vec(
                (0..3usize, prop_oneof![
                    (1..1000u64).prop_map(Event::Ask),
                    (0..1000u64).prop_map(Event::Read),
                    Just(Event::Answer),
                    Just(Event::Leave),
                    (0..2 * FORGETS).prop_map(Event::Wait),
                ]),
                0..300,
            ),
            leaves in any::<bool>(),
        ) {
            let (own, all) = (1500, 2000);
            let addresses = Addresses::new();
            // Two connections are of one address.
            let clients = [1, 1, 2];
            let accounts = [Account::new(), Account::new(), Account::new()];
            let mut asked = [const { Vec::new() }; 3];
            let mut now = 0;
            let answer = |which: usize, now: u64| {
                addresses.settle(clients[which], accounts[which].take_unused(), now);
            };
            for (which, event) in events {
                let account = &accounts[which];
                match event {
                    Event::Ask(bytes) if account.charge(bytes, own) => {
                        if addresses.charge(clients[which], bytes, all, now) {
                            asked[which].push(bytes);
                        } else {
                            account.was_read(bytes, 0);
                        }
                    }
                    Event::Read(bytes) => if let Some(most) = asked[which].pop() {
                        let read = bytes.min(most);
                        account.was_read(most, read);
                        addresses.settle(clients[which], most - read, now);
                    },
                    Event::Answer => answer(which, now),
                    Event::Leave if leaves => {
                        account.close();
                        asked[which].clear();
                    }
                    Event::Wait(time) => now += time,
                    Event::Ask(_) | Event::Leave => {}
                }
                let of = |which: usize| asked[which].iter().sum::<u64>();
                prop_assert!((0..3).all(|which| of(which) <= own));
                prop_assert!(clients.iter().all(|client| addresses.of(*client, now) <= all));
            }
            for which in 0..3 {
                for most in std::mem::take(&mut asked[which]) {
                    accounts[which].was_read(most, most);
                }
                answer(which, now);
            }
            let later = if leaves { now + 64 * FORGETS } else { now };
            prop_assert!(clients.iter().all(|client| addresses.of(*client, later) == 0));
            prop_assert!(accounts.iter().all(|account| account.charge(own, own)));
        }
    }
}
