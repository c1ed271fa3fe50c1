//! One thread that waits for its connections: the library's gates and waits, around a loop that looks at requests of the model.

library!(admit, "../../../../src/preload/src/event_loop/admit.rs");
library!(pub epoll_wait, "../../../../src/preload/src/event_loop/epoll_wait.rs");
library!(pub held_wait, "../../../../src/preload/src/event_loop/held_wait.rs");
library!(holding, "../../../../src/preload/src/event_loop/holding.rs");
library!(pub time, "../../../../src/preload/src/event_loop/time.rs");

use crate::engine::pool::{Jobs, Pool, Urgency, MAX_JOBS};
use crate::guest::local::{place, Local};
use crate::guest::{clock, handler, kernel};
use crate::readiness::bell;
use crate::readiness::sets::Room;
use crate::readiness::table::{self, Read, Slot};
use holding::Holding;
use laio_core::batch::Batch;
use laio_core::config::{Config, Mode};
use laio_core::gate::Side;
use laio_core::holds::Hold;
use laio_core::stats::{Block, Counters};
use request::{Cold, Look};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::{Arc, LazyLock};

pub const MOST_LOOPS: usize = 4;

/// What a request of the model has.
const LENGTH: usize = 2;

mod request {
    use crate::engine::job::Job;

    pub(super) struct Cold(pub Box<Job>);

    #[allow(clippy::large_enum_variant)]
    pub(super) enum Look {
        Warm,
        Cold(Cold),
        Unstaffed,
        Empty,
    }
}

static CURRENT: Local<Cell<*mut EventLoop>> = Local::at(place::EVENT_LOOP);
static CONFIG: LazyLock<Config> = LazyLock::new(|| Config {
    threads: 2,
    mode: Mode::On,
    ..Config::default()
});
static STATS: Block = Block::new();

/// This thread's state.
#[derive(Clone, Copy, Debug)]
pub struct Here(());

pub fn here() -> Option<Here> {
    (!CURRENT.get().is_null()).then_some(Here(()))
}

impl Here {
    pub fn with<R>(self, act: impl FnOnce(&mut EventLoop) -> R) -> Option<R> {
        let section = handler::enter();
        if section.is_inner() {
            return None;
        }
        let state = CURRENT.with(|place| place.replace(null_mut()));
        // SAFETY: made by `begin`, and lives until `end`; it has been taken out of its place.
        let result = unsafe { state.as_mut() }.map(act);
        CURRENT.set(state);
        result
    }
}

pub fn is_in_use() -> bool {
    handler::has_interrupted()
}

pub fn accepts_here(slot: Option<&Slot>) {
    if let (Some(here), Some(slot)) = (here(), slot) {
        here.with(|state| {
            if state.saw_events {
                slot.told.accepted(state.iteration);
            }
        });
    }
}

/// Makes this thread an event loop.
pub fn begin(number: usize) -> Here {
    bell::make_place(number);
    let first = ((number as u64) << 40) + 1;
    let counters = STATS.counters(number);
    let state = EventLoop {
        number,
        config: &CONFIG,
        counters,
        pool: Arc::new(Pool::new(counters, CONFIG.threads, CONFIG.window)),
        now: clock::milliseconds(),
        iteration: first,
        trusted_since: first,
        saw_events: false,
        waits_in_sets: false,
        knows_errors: true,
        is_full: false,
        told_at_once: Batch::default(),
        holding: Holding::default(),
        submitted: false,
        batch: Vec::with_capacity(MAX_JOBS),
        room: Room::default(),
        bell_hangs: false,
    };
    CURRENT.set(Box::into_raw(Box::new(state)));
    Here(())
}

/// The thread ends.
pub fn end() {
    // SAFETY: made by `begin`, and this thread has no other.
    let state = unsafe { Box::from_raw(CURRENT.get()) };
    CURRENT.set(null_mut());
    bell::take_down(state.number);
    state.pool.stop();
}

pub struct EventLoop {
    number: usize,
    config: &'static Config,
    counters: &'static Counters,
    pool: Arc<Pool>,
    now: u64,
    iteration: u64,
    trusted_since: u64,
    saw_events: bool,
    waits_in_sets: bool,
    knows_errors: bool,
    is_full: bool,
    told_at_once: Batch,
    holding: Holding,
    submitted: bool,
    batch: Jobs,
    room: Room,
    bell_hangs: bool,
}

impl EventLoop {
    fn attentive(&self) -> bool {
        true
    }

    fn turn_ends(&mut self) {
        if self.bell_hangs {
            self.bell_hangs = !bell::try_to_take_down(self.number);
        }
        if self.pool.is_staffed() {
            let submitted = std::mem::take(&mut self.submitted);
            self.pool.before_wait(&mut self.batch, submitted);
        } else {
            self.pool.start();
        }
    }

    pub fn holds_back(&self) -> bool {
        self.pool.is_outstanding()
    }

    fn wait_goes_on(&mut self) {
        self.pool.before_wait(&mut self.batch, false);
    }

    fn hang_bell(&mut self, taken: impl Fn(i32) -> bool) -> Option<i32> {
        let bell = bell::hang(self.number, taken);
        self.bell_hangs |= bell.is_some();
        bell
    }

    fn take_bell_down(&mut self) {
        self.bell_hangs = !bell::take_down(self.number);
    }

    fn wakes(&mut self) {
        self.now = clock::milliseconds();
        self.pool.after_wait();
    }

    pub fn begin_iteration(&mut self) {
        self.wakes();
        self.iteration += 1;
        self.saw_events = false;
    }

    fn hand_over(&mut self) {}

    fn gates_bodies(&self) -> bool {
        true
    }

    fn look(&mut self, fd: i32, _: &Slot, _: bool) -> Look {
        match kernel::socket(fd) {
            Some(socket) if socket.bytes == 0 && !socket.ended => Look::Empty,
            Some(socket) if socket.cold => match self.pool.take() {
                Some(job) => Look::Cold(Cold(job)),
                None => Look::Unstaffed,
            },
            _ => Look::Warm,
        }
    }

    fn hold_back(&mut self, fd: i32, slot: &Slot, cold: Cold, swallowed: bool) -> bool {
        let Cold(mut job) = cold;
        let ticket = match self.pool.is_possible() {
            true => slot.close_gate(fd, Side::Read, self.number, swallowed, self.waits_in_sets),
            false => None,
        };
        let Some(ticket) = ticket else {
            self.pool.give_back(job);
            return false;
        };
        job.gate = Some((fd, ticket));
        job.part = Some(fd);
        self.submitted = true;
        self.pool.submit(job, Urgency::Normal);
        let (heard, kept) = (slot.told.active(), slot.told.was_read());
        self.holds(Hold::begin(fd, ticket, LENGTH, self.now, heard, kept));
        true
    }

    fn missing_part(&mut self, slot: &Slot) -> Option<()> {
        let is_its = |fd: &i32| table::any(*fd).is_some_and(|other| std::ptr::eq(other, slot));
        let fd = kernel::numbers(true).into_iter().find(is_its)?;
        kernel::socket(fd)?.cold_body.then_some(())
    }

    fn hold_back_part(&mut self, fd: i32, slot: &Slot, (): (), swallowed: bool) -> bool {
        let Some(mut job) = self.pool.take() else {
            return false;
        };
        let ticket = match self.pool.is_possible() {
            true => slot.close_gate(fd, Side::Write, self.number, swallowed, self.waits_in_sets),
            false => None,
        };
        let Some(ticket) = ticket else {
            self.pool.give_back(job);
            return false;
        };
        job.gate = Some((fd, ticket));
        job.part = Some(fd);
        self.submitted = true;
        self.pool.submit(job, Urgency::Normal);
        true
    }

    /// The application sends a body of which more is cold: the write gate closes before the transfer.
    pub fn sends(&mut self, fd: i32, slot: &Slot) {
        if !slot.write_waits() {
            self.hold_back_part(fd, slot, (), false);
        }
        slot.told.has_written(self.iteration, self.now, true);
    }

    /// How much the application may read of a connection now; nothing where the answer is `EAGAIN`.
    pub fn before_read(&mut self, fd: i32, slot: &Slot) -> Option<u32> {
        match slot.read() {
            Read::Pass | Read::Look => Some(u32::MAX),
            Read::Part => match kernel::socket(fd)?.bytes {
                2.. => Some(1),
                _ => {
                    slot.abandon(fd);
                    Some(u32::MAX)
                }
            },
            Read::Wait => {
                let is_clean = slot.told.is_clean(self.trusted_since, self.iteration);
                let stays = is_clean && slot.keeper() == self.number;
                if !stays {
                    slot.abandon(fd);
                }
                (!stays).then_some(u32::MAX)
            }
        }
    }

    /// It has read so much, with room for `most`.
    pub fn has_read(&mut self, fd: i32, slot: &Slot, most: u32, count: u32) {
        let emptied = count < most;
        slot.told
            .has_read(self.iteration, self.now, count as usize, emptied);
        if most == 1 && count > 0 {
            slot.part_is_read(fd);
        }
    }
}
