//! Who is charged for what helpers read ahead: a connection, and its client's address.

use super::numbers::owners;
use super::slot::Slot;
use super::table;
use crate::sys::{clock, kernel};
use laio_core::config::Config;
use laio_core::inflight::{client, Addresses};
use laio_core::stats::Counter;

static ADDRESSES: Addresses = Addresses::new();

/// What was charged for one job. It is settled once.
#[derive(Debug)]
pub struct Charge {
    fd: i32,
    owners: u32,
    client: u64,
    /// How much the job may read.
    pub bytes: u64,
}

/// Charges a connection, and its client's address, for what a job may read; or says why that cannot be.
pub fn charge(fd: i32, slot: &Slot, bytes: u64, config: &Config) -> Result<Charge, Counter> {
    let client = match slot.account.client() {
        Some(client) => client,
        None => ask(fd, slot)?,
    };
    if !slot.account.charge(bytes, config.inflight) {
        return Err(Counter::InflightConnection);
    }
    if !ADDRESSES.charge(
        client,
        bytes,
        config.inflight_address,
        clock::milliseconds(),
    ) {
        slot.account.was_read(bytes, 0);
        return Err(Counter::InflightAddress);
    }
    Ok(Charge {
        fd,
        owners: owners(fd),
        client,
        bytes,
    })
}

/// Asks for a client's address, once for each connection. One that has failed has none.
#[cold]
fn ask(fd: i32, slot: &Slot) -> Result<u64, Counter> {
    let peer = kernel::peer(fd).map_err(|_| Counter::ClientGone)?;
    let client = client(seed(), peer);
    slot.account.is_of(client);
    Ok(client)
}

/// What no stranger knows: random bytes that the kernel has given the process.
fn seed() -> u64 {
    // SAFETY: asks for a number that the process was started with.
    let random = unsafe { libc::getauxval(libc::AT_RANDOM) } as *const u64;
    if random.is_null() {
        return 0;
    }
    // SAFETY: the address of 16 bytes that live as long as the process; they need not be aligned.
    unsafe { random.read_unaligned() }
}

impl Charge {
    /// The job is done; so much of it was read, and is not used yet. False where its connection has been closed.
    pub fn settle(self, unused: u64) -> bool {
        let rest = self.bytes.saturating_sub(unused);
        ADDRESSES.settle(self.client, rest, clock::milliseconds());
        // Who has seen the last connection of a number may charge the next one before it is known to be one.
        let Some(slot) = table::owned(self.fd, self.owners) else {
            return false;
        };
        slot.account.was_read(self.bytes, unused);
        slot.is_accepted()
    }
}

/// What was read for a connection is of use: its answer is sent, or the server waits for the next request.
#[inline]
pub fn is_used(slot: &Slot) {
    let used = slot.account.take_unused();
    if let Some(client) = slot.account.client().filter(|_| used > 0) {
        ADDRESSES.settle(client, used, clock::milliseconds());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Without it, what is charged to a number that another thread is just accepting would stay charged to its new connection,
    /// for which nothing would be read ahead after some of that.
    #[test]
    fn a_charge_is_settled_before_its_connection_is_known() {
        let fd = 905;
        table::accept(fd);
        let slot = table::accepted(fd).unwrap();
        slot.account.is_of(1);
        let charge = charge(fd, slot, 10, &Config::default()).unwrap();
        slot.set_accepted(false);
        assert!(!charge.settle(0));
        slot.set_accepted(true);
        assert!(slot.account.charge(0, 0), "nothing is in flight");
    }
}
