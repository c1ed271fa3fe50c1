//! Who waits for which descriptor: operations in the order in which they were asked for, for each side of each
//! descriptor, and what is to be asked of the kernel for them.

use crate::gate::Side;
use crate::handles::Handle;
use std::collections::{HashMap, VecDeque};

/// The operations that wait for one side of a descriptor.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Handle>,
    /// Somebody is trying the first.
    is_tried: bool,
}

/// Both sides of one descriptor.
#[derive(Debug, Default)]
struct Interest {
    read: Line,
    write: Line,
}

impl Interest {
    fn line(&mut self, side: Side) -> &mut Line {
        match side {
            Side::Read => &mut self.read,
            Side::Write => &mut self.write,
        }
    }
}

/// All descriptors that are waited for.
#[derive(Debug, Default)]
pub struct Interests {
    descriptors: HashMap<i32, Interest, foldhash::fast::FixedState>,
}

impl Interests {
    /// An operation waits behind those that wait already; false where there is no memory for that.
    pub fn join(&mut self, fd: i32, side: Side, handle: Handle) -> bool {
        if self.descriptors.try_reserve(1).is_err() {
            return false;
        }
        let line = self.descriptors.entry(fd).or_default().line(side);
        let has_room = line.waiting.try_reserve(1).is_ok();
        if has_room {
            line.waiting.push_back(handle);
        }
        self.forget_if_idle(fd);
        has_room
    }

    /// Whether any operation waits for this side, or is being tried.
    pub fn is_waited_for(&self, fd: i32, side: Side) -> bool {
        self.descriptors.get(&fd).is_some_and(|interest| {
            let line = match side {
                Side::Read => &interest.read,
                Side::Write => &interest.write,
            };
            line.is_tried || !line.waiting.is_empty()
        })
    }

    /// The first in line, to be tried; nobody where one is being tried. [`Interests::tried`] ends that.
    pub fn first(&mut self, fd: i32, side: Side) -> Option<Handle> {
        let line = self.descriptors.get_mut(&fd)?.line(side);
        if line.is_tried {
            return None;
        }
        let first = *line.waiting.front()?;
        line.is_tried = true;
        Some(first)
    }

    /// The first in line was tried; `is_done` where it waits no longer.
    pub fn tried(&mut self, fd: i32, side: Side, is_done: bool) {
        if let Some(interest) = self.descriptors.get_mut(&fd) {
            let line = interest.line(side);
            line.is_tried = false;
            if is_done {
                line.waiting.pop_front();
            }
            self.forget_if_idle(fd);
        }
    }

    /// An operation gives up; false where it is being tried, or is not there.
    pub fn leave(&mut self, fd: i32, side: Side, handle: Handle) -> bool {
        let Some(interest) = self.descriptors.get_mut(&fd) else {
            return false;
        };
        let line = interest.line(side);
        let place = line.waiting.iter().position(|&other| other == handle);
        let may_go = place.is_some_and(|place| place > 0 || !line.is_tried);
        if may_go {
            place.and_then(|place| line.waiting.remove(place));
            self.forget_if_idle(fd);
        }
        may_go
    }

    /// All descriptors that operations wait for.
    pub fn descriptors(&self) -> impl Iterator<Item = i32> + '_ {
        self.descriptors.keys().copied()
    }

    /// The sides that the kernel is to tell of: those for which somebody waits who is not being tried.
    pub fn wanted(&self, fd: i32) -> (bool, bool) {
        let is_wanted = |line: &Line| !line.is_tried && !line.waiting.is_empty();
        self.descriptors
            .get(&fd)
            .map_or((false, false), |interest| {
                (is_wanted(&interest.read), is_wanted(&interest.write))
            })
    }

    fn forget_if_idle(&mut self, fd: i32) {
        let is_idle = |line: &Line| !line.is_tried && line.waiting.is_empty();
        if let Some(interest) = self.descriptors.get(&fd) {
            if is_idle(&interest.read) && is_idle(&interest.write) {
                self.descriptors.remove(&fd);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(number: u64) -> Handle {
        Handle::from_number(number).unwrap()
    }

    #[test]
    fn operations_are_tried_in_the_order_in_which_they_came() {
        let mut interests = Interests::default();
        assert_eq!(interests.wanted(3), (false, false));
        assert!(interests.join(3, Side::Write, handle(1)));
        assert!(interests.join(3, Side::Write, handle(2)));
        assert_eq!(interests.wanted(3), (false, true));
        assert_eq!(interests.first(3, Side::Write), Some(handle(1)));
        // While one is tried nobody else is: the second one's bytes would come into the middle of the first one's.
        assert_eq!(interests.first(3, Side::Write), None);
        assert_eq!(interests.wanted(3), (false, false));
        interests.tried(3, Side::Write, false);
        assert_eq!(interests.first(3, Side::Write), Some(handle(1)));
        interests.tried(3, Side::Write, true);
        assert_eq!(interests.first(3, Side::Write), Some(handle(2)));
        interests.tried(3, Side::Write, true);
        assert!(!interests.is_waited_for(3, Side::Write));
        assert!(interests.descriptors.is_empty());
    }

    #[test]
    fn the_sides_of_a_descriptor_are_independent() {
        let mut interests = Interests::default();
        assert!(interests.join(3, Side::Read, handle(1)));
        assert!(interests.join(3, Side::Write, handle(2)));
        assert_eq!(interests.wanted(3), (true, true));
        assert_eq!(interests.first(3, Side::Read), Some(handle(1)));
        assert_eq!(interests.wanted(3), (false, true));
        interests.tried(3, Side::Read, true);
        assert!(interests.is_waited_for(3, Side::Write));
        assert!(!interests.is_waited_for(3, Side::Read));
    }

    #[test]
    fn whoever_is_not_being_tried_may_leave() {
        let mut interests = Interests::default();
        assert!(interests.join(3, Side::Read, handle(1)));
        assert!(interests.join(3, Side::Read, handle(2)));
        assert_eq!(interests.first(3, Side::Read), Some(handle(1)));
        assert!(!interests.leave(3, Side::Read, handle(1)));
        assert!(interests.leave(3, Side::Read, handle(2)));
        assert!(!interests.leave(3, Side::Read, handle(2)));
        assert!(!interests.leave(4, Side::Read, handle(1)));
        interests.tried(3, Side::Read, false);
        assert!(interests.leave(3, Side::Read, handle(1)));
        assert!(interests.descriptors.is_empty());
    }
}
