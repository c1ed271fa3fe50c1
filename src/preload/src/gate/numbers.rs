//! What is known of each descriptor number, whatever it names: a file, a connection, an epoll instance.

use super::chunks::Chunks;
use crate::sys::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::*,
};
use laio_core::gate::{Control, ADD};
pub use laio_core::stream::OpenFile;

/// One number.
struct Number {
    /// How often it has changed hands: a file's number is no proof of the file.
    owners: AtomicU32,
    /// Hash of the cookie under which it is registered, 0 for none.
    cookie: AtomicU64,
    /// Whether it is an epoll instance with a connection in it.
    instance: AtomicBool,
    /// Whether the process has connected it to another one.
    connected: AtomicBool,
    /// What it is registered for, as long as it is no connection: in which instance ([`NONE`] for none), for which events, and
    /// under which cookie.
    registered_in: AtomicI32,
    events: AtomicU32,
    data: AtomicU64,
    /// For how many connections the application has made this epoll instance, where it has said so.
    capacity: AtomicU32,
}

/// No instance.
const NONE: i32 = -1;

static NUMBERS: Chunks<Number> = Chunks::new(|| Number {
    owners: AtomicU32::new(0),
    cookie: AtomicU64::new(0),
    instance: AtomicBool::new(false),
    connected: AtomicBool::new(false),
    registered_in: AtomicI32::new(NONE),
    events: AtomicU32::new(0),
    data: AtomicU64::new(0),
    capacity: AtomicU32::new(0),
});

/// Which numbers name something that has another number, or had. Apart from what else is known of a number, since a
/// program that only duplicates its files needs no memory for that.
static DUPLICATED: [AtomicBool; 65536] = [const { AtomicBool::new(false) }; 65536];

/// No number from here on is one of those.
static DUPLICATED_END: AtomicUsize = AtomicUsize::new(0);

/// Whether any connection was ever registered in an epoll instance.
static HAS_INSTANCES: AtomicBool = AtomicBool::new(false);

/// Whether any connection was ever registered for one event only.
static HAS_ONE_SHOTS: AtomicBool = AtomicBool::new(false);

/// A connection is registered for one event only.
pub fn registered_for_one_event() {
    HAS_ONE_SHOTS.store(true, Relaxed);
}

/// Whether one ever was.
#[inline]
pub fn has_one_shots() -> bool {
    HAS_ONE_SHOTS.load(Relaxed)
}

/// The file that has this number now.
pub fn open_file(fd: i32) -> Option<OpenFile> {
    let owners = NUMBERS.get_or_make(fd)?.owners.load(Relaxed);
    Some(OpenFile { fd, owners })
}

/// How often a number has changed hands.
pub fn owners(fd: i32) -> u32 {
    NUMBERS
        .get(fd)
        .map_or(0, |number| number.owners.load(Relaxed))
}

/// A number is about to be closed or taken over. Tells whether it is an epoll instance with a connection in it.
#[inline]
pub fn changes_hands(fd: i32) -> bool {
    if let Some(duplicated) = duplicated(fd).filter(|duplicated| duplicated.load(Relaxed)) {
        duplicated.store(false, Relaxed);
    }
    let Some(number) = NUMBERS.get(fd) else {
        return false;
    };
    number.owners.fetch_add(1, Relaxed);
    number.capacity.store(0, Relaxed);
    number.cookie.store(0, Release);
    number.connected.store(false, Relaxed);
    number.registered_in.store(NONE, Relaxed);
    number.instance.load(Acquire)
}

/// The process connects a number to another one.
pub fn connects(fd: i32) {
    if let Some(number) = NUMBERS.get_or_make(fd) {
        number.connected.store(true, Relaxed);
    }
}

/// Whether it has, and was not told of it yet.
pub fn is_connected(fd: i32) -> bool {
    NUMBERS
        .get(fd)
        .is_some_and(|number| number.connected.load(Relaxed))
}

/// The same, told once.
pub fn was_connected(fd: i32) -> bool {
    NUMBERS
        .get(fd)
        .is_some_and(|number| number.connected.swap(false, Relaxed))
}

/// What is no connection is registered so from now on, or is no more.
pub fn is_registered(fd: i32, registration: Option<Control>) {
    let Some(number) = NUMBERS.get(fd) else {
        return;
    };
    let instance = registration.as_ref().map_or(NONE, |it| it.instance);
    if let Some(registration) = registration {
        number.events.store(registration.events, Relaxed);
        number.data.store(registration.data, Relaxed);
    }
    number.registered_in.store(instance, Release);
}

/// How it is registered.
pub fn registration(fd: i32) -> Option<Control> {
    let number = NUMBERS.get(fd)?;
    let instance = number.registered_in.load(Acquire);
    (instance != NONE).then(|| Control {
        instance,
        operation: ADD,
        events: number.events.load(Relaxed),
        data: number.data.load(Relaxed),
    })
}

/// The numbers of a range, both ends included, are about to be closed: none of them names what has another number.
pub fn end_duplicates(first: u32, last: u32) {
    let end = DUPLICATED_END
        .load(Relaxed)
        .min((last as usize).saturating_add(1));
    for duplicated in DUPLICATED.get(first as usize..end).unwrap_or_default() {
        duplicated.store(false, Relaxed);
    }
}

/// The numbers of a range of which anything is known, both ends included.
pub fn known(first: u32, last: u32) -> impl Iterator<Item = i32> {
    NUMBERS.range(first, last).map(|(fd, _)| fd)
}

/// Hash of the cookie under which a number is registered; 0 for none.
pub fn cookie_hash(fd: i32) -> u64 {
    NUMBERS
        .get(fd)
        .map_or(0, |number| number.cookie.load(Acquire))
}

/// A number is registered under the cookie with this hash, or under none (0). Tells whether that is new.
pub fn set_cookie_hash(fd: i32, hash: u64) -> bool {
    let number = match hash {
        0 => NUMBERS.get(fd),
        _ => NUMBERS.get_or_make(fd),
    };
    number.is_some_and(|number| number.cookie.swap(hash, AcqRel) != hash)
}

/// The application has made an epoll instance for so many connections.
pub fn made_for(instance: i32, capacity: u32) {
    if let Some(number) = NUMBERS.get_or_make(instance) {
        number.capacity.store(capacity, Relaxed);
    }
}

/// For how many it has, where it has said so.
pub fn capacity(instance: i32) -> Option<u32> {
    let capacity = NUMBERS.get(instance)?.capacity.load(Relaxed);
    (capacity != 0).then_some(capacity)
}

/// Marks a number as an epoll instance in which connections are registered.
#[inline]
pub fn register_in(instance: i32) {
    if let Some(number) = NUMBERS.get_or_make(instance) {
        number.instance.store(true, Release);
        HAS_INSTANCES.store(true, Relaxed);
    }
}

/// What a number names has another one from now on. Tells whether it is an epoll instance with a connection in it.
pub fn is_duplicated_now(fd: i32) -> bool {
    if let Some(duplicated) = duplicated(fd) {
        duplicated.store(true, Relaxed);
        DUPLICATED_END.fetch_max(fd as usize + 1, Relaxed);
    }
    NUMBERS
        .get(fd)
        .is_some_and(|number| number.instance.load(Acquire))
}

/// Whether what a number names has another one, or had; a number too high to be noted is taken for one that has.
#[inline]
pub fn is_duplicated(fd: i32) -> bool {
    duplicated(fd).is_none_or(|duplicated| duplicated.load(Relaxed))
}

#[inline]
fn duplicated(fd: i32) -> Option<&'static AtomicBool> {
    DUPLICATED.get(usize::try_from(fd).ok()?)
}

/// The instance has gone.
pub fn is_no_instance(instance: i32) {
    if let Some(number) = NUMBERS.get(instance) {
        number.instance.store(false, Release);
    }
}

/// Whether the process has ever registered a connection in an epoll instance.
pub fn is_registered_in_any() -> bool {
    HAS_INSTANCES.load(Relaxed)
}

/// After a fork: the tables are the parent's.
pub fn abandon() {
    NUMBERS.leave_behind();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without it, an instance would be taken for one with two numbers because of a file that had its number before.
    #[test]
    fn a_number_that_was_closed_is_nobodys_duplicate() {
        assert!(is_duplicated(65536), "too high to be noted");
        let ends: [fn(); 2] = [|| _ = changes_hands(901), || end_duplicates(900, u32::MAX)];
        for end in ends {
            assert!(!is_duplicated_now(901) && is_duplicated(901) && !is_duplicated(902));
            end();
            assert!(!is_duplicated(901));
        }
        is_duplicated_now(901);
        end_duplicates(902, 1000);
        end_duplicates(2, 1);
        assert!(is_duplicated(901));
        changes_hands(901);
    }
}
