//! A thread that is an event loop.

use super::*;

/// What a thread that is an event loop knows.
pub struct Loop {
    here: LoopHandle,
    /// It waits in `poll`, not in `epoll_wait`.
    polls: bool,
}

impl Loop {
    pub fn begin(number: usize, polls: bool) -> Loop {
        let here = event_loop::begin(number);
        Loop { here, polls }
    }

    pub fn end(self) {
        event_loop::end();
    }

    /// Waits, and reads what it is told of.
    pub fn wait(&self, time: Time4, which: usize) {
        for (fd, events) in self.told(time, which) {
            if events & (IN | RDHUP) != 0 {
                self.read(fd);
            }
        }
    }

    pub(super) fn told(&self, time: Time4, which: usize) -> Vec<(i32, u32)> {
        match self.polls {
            true => self.poll(time),
            false => match instance(which) {
                Some(instance) => self.epoll(instance, time),
                None => Vec::new(),
            },
        }
    }

    fn epoll(&self, instance: i32, time: Time4) -> Vec<(i32, u32)> {
        const MOST: usize = 4;
        /// A wait in which so much is swallowed turns in a circle.
        const CIRCLE: usize = 60;
        let mut events = [epoll_event { events: 0, u64: 0 }; MOST];
        let first = events.as_mut_ptr();
        let call = Call {
            instance,
            events: first,
            most: MOST as c_int,
        };
        let (asked, timeout) = time.asked();
        let reported = std::cell::RefCell::new(Vec::new());
        let waits = Cell::new(0);
        let wait = |offset: usize, most: c_int, time: Duration| {
            let Ok(found) = kernel::epoll_wait(instance, most.unsigned_abs() as usize, time) else {
                return -1;
            };
            waits.set(waits.get() + usize::from(!found.is_empty()));
            assert!(waits.get() < CIRCLE, "the wait spins: {found:x?}");
            for (number, one) in found.iter().enumerate() {
                let (events, u64) = (one.events, one.data);
                // SAFETY: within the array: the library passes where there is room for so many.
                unsafe {
                    first
                        .add(offset + number)
                        .write(epoll_event { events, u64 })
                };
            }
            reported.borrow_mut().extend(found.iter().cloned());
            found.len() as c_int
        };
        let real = || wait(0, MOST as c_int, asked);
        let again = |offset, most, slice| {
            let time = match slice {
                Slice::Whole => asked,
                Slice::Part(time) => time.unwrap_or(Duration::MAX),
            };
            wait(offset, most, time)
        };
        let count = epoll_wait::wait(self.here, call, || timeout, real, again);
        let told = events.iter().take(count.max(0).unsigned_abs() as usize);
        let told = told.map(|event| {
            let (events, data) = (event.events, event.u64);
            kernel::deliver(&mut reported.borrow_mut(), events, data);
            (fd_of(data), events)
        });
        let told = told.collect();
        kernel::end_wait(&reported.borrow());
        told
    }

    fn poll(&self, time: Time4) -> Vec<(i32, u32)> {
        let wanted = (IN | RDHUP) as i16;
        let entry = |fd| pollfd {
            fd,
            events: wanted,
            revents: 0,
        };
        let mut set: Vec<pollfd> = kernel::numbers(true).into_iter().map(entry).collect();
        let (asked, timeout) = time.asked();
        let real = |set: *mut pollfd, count: nfds_t, time: Duration| {
            // SAFETY: the set is the application's or the library's copy of it, of so many entries.
            let set = unsafe { std::slice::from_raw_parts_mut(set, count as usize) };
            let pairs: Vec<_> = set.iter().map(|e| (e.fd, e.events as u32)).collect();
            let ready = kernel::poll(&pairs, time);
            for (entry, ready) in set.iter_mut().zip(&ready) {
                entry.revents = *ready as i16;
            }
            ready.iter().filter(|ready| **ready != 0).count() as c_int
        };
        let here = self.here;
        here.with(|state| state.begins_to_wait_in_sets(true));
        let Some(time) = Time::begin(timeout) else {
            return Vec::new();
        };
        let (first, count) = (set.as_mut_ptr(), set.len() as nfds_t);
        let held = |begun| {
            let copied = |set, count, time: *const timespec| {
                // SAFETY: the library passes a time of its own.
                let time = unsafe { &*time };
                let time = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
                real(set, count, time)
            };
            let set = PollSet::new(first, count, copied)?;
            held_wait::wait(here, set, false, begun, time)
        };
        // As `hooks::polling` does.
        here.with(|state| state.waits_for(time.asked));
        let holds = here.with(|state| state.holds_back()) == Some(true);
        if holds && held(false).is_some() {
            here.with(|state| state.is_told(true));
        } else if real(first, count, asked) > 0 {
            let told = here.with(|state| {
                state.begin_iteration(true);
                let admit = |fd, events| state.admit_member(fd, events);
                // SAFETY: the kernel has just written the results.
                unsafe { crate::gate::sets::admit_in_place(first, count, admit) }
            });
            if told == Some(0) && held(true).is_none() {
                real(first, count, asked);
            }
            here.with(|state| state.is_told(true));
        } else {
            here.with(|state| {
                state.begin_iteration(false);
                state.is_told(false);
            });
        }
        let told = set.iter().filter(|entry| entry.revents != 0);
        told.map(|entry| (entry.fd, u32::from(entry.revents as u16)))
            .collect()
    }

    /// Reads a connection; tells how much.
    pub fn read(&self, fd: i32) -> u32 {
        let Some(slot) = table::accepted(fd) else {
            return kernel::read(fd, u32::MAX).unwrap_or(0);
        };
        let most = self.here.with(|state| state.before_read(fd, slot));
        let Some(most) = most.flatten() else {
            return 0;
        };
        let count = kernel::read(fd, most).unwrap_or(0);
        self.here
            .with(|state| state.has_read(fd, slot, most, count));
        count
    }

    pub fn send(&self, fd: i32) {
        if let Some(slot) = table::accepted(fd) {
            self.here.with(|state| state.sends(fd, slot));
        }
    }
}

impl Time4 {
    fn asked(self) -> (Duration, Timeout) {
        let time = match self {
            Time4::Never => return (Duration::MAX, Timeout::Never),
            Time4::Short => Duration::from_millis(100),
            Time4::Zero => Duration::ZERO,
        };
        (time, Timeout::After(time))
    }
}
