//! Handles of operations in the background: small numbers with a generation, so that a handle that is not
//! valid any more is told from the one that has its place now.

use core::num::NonZeroU64;

/// Names an entry of [`Handles`] until it is removed. Its value comes again after 2³² others in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(NonZeroU64);

impl Handle {
    fn new(index: u32, generation: u32) -> Option<Handle> {
        let number = (u64::from(generation) << 32) | (u64::from(index) + 1);
        NonZeroU64::new(number).map(Handle)
    }

    fn index(self) -> usize {
        ((self.0.get() & u64::from(u32::MAX)) as usize).wrapping_sub(1)
    }

    fn generation(self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    /// As a number, which is never zero.
    pub fn number(self) -> u64 {
        self.0.get()
    }

    /// A handle as somebody else gives it back; it may never have been one.
    pub fn from_number(number: u64) -> Option<Handle> {
        NonZeroU64::new(number).map(Handle)
    }
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    entry: Option<T>,
}

/// Entries by handle.
#[derive(Debug)]
pub struct Handles<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    first_generation: u32,
}

impl<T> Handles<T> {
    /// No entries. The first handle of each place has this generation: a process takes care that it is not its
    /// parent's.
    pub fn new(first_generation: u32) -> Handles<T> {
        Handles {
            places: Vec::new(),
            free: Vec::new(),
            first_generation,
        }
    }

    /// A handle for something that will be entered; nothing where there is no memory for it.
    pub fn reserve(&mut self) -> Option<Handle> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => self.grow()?,
        };
        Handle::new(index, self.places.get(index as usize)?.generation)
    }

    /// Enters something under a handle that [`Handles::reserve`] has just given.
    pub fn enter(&mut self, handle: Handle, entry: T) {
        if let Some(place) = self.places.get_mut(handle.index()) {
            place.entry = Some(entry);
        }
    }

    /// One more place, and room among the free ones for when it is given back.
    fn grow(&mut self) -> Option<u32> {
        let index = u32::try_from(self.places.len()).ok()?;
        index.checked_add(1)?;
        self.places.try_reserve(1).ok()?;
        let in_use = self.places.len() - self.free.len();
        self.free.try_reserve(in_use + 1).ok()?;
        self.places.push(Place {
            generation: self.first_generation,
            entry: None,
        });
        Some(index)
    }

    /// The entry of a handle, unless it was removed.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let place = self.places.get_mut(handle.index())?;
        place
            .entry
            .as_mut()
            .filter(|_| place.generation == handle.generation())
    }

    /// Removes the entry of a handle, which is valid no longer.
    pub fn remove(&mut self, handle: Handle) -> Option<T> {
        let place = self.places.get_mut(handle.index())?;
        if place.generation != handle.generation() {
            return None;
        }
        let entry = place.entry.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(handle.index() as u32);
        Some(entry)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn what_was_never_a_handle_is_none() {
        let mut handles = Handles::<u8>::new(7);
        for number in [1, 7 << 32, u64::MAX, 1 << 63] {
            let handle = Handle::from_number(number).unwrap();
            assert_eq!(handles.get_mut(handle), None);
            assert_eq!(handles.remove(handle), None);
        }
        assert_eq!(Handle::from_number(0), None);
    }

    #[test]
    fn a_child_does_not_know_its_parents_handles() {
        let mut parent = Handles::new(1);
        let mut child = Handles::new(2);
        let handle = parent.reserve().unwrap();
        parent.enter(handle, "parent");
        let own = child.reserve().unwrap();
        child.enter(own, "child");
        assert_eq!(child.get_mut(handle), None);
    }

    proptest! {
        /// Without it a completion could be handed out twice, or for another operation.
        #[test]
        fn each_handle_names_its_own_entry_until_it_is_removed(steps in prop::collection::vec((0u8..3, any::<prop::sample::Index>()), 1..200)) {
            let mut handles = Handles::new(u32::MAX);
            let mut there: HashMap<Handle, usize> = HashMap::new();
            let mut gone: Vec<Handle> = Vec::new();
            for (number, (what, which)) in steps.into_iter().enumerate() {
                if what < 2 || there.is_empty() {
                    let handle = handles.reserve().unwrap();
                    handles.enter(handle, number);
                    prop_assert!(there.insert(handle, number).is_none());
                    prop_assert!(!gone.contains(&handle));
                } else {
                    let handle = *which.get(&there.keys().copied().collect::<Vec<_>>());
                    prop_assert_eq!(handles.remove(handle), there.remove(&handle));
                    gone.push(handle);
                }
                prop_assert_eq!(handles.len(), there.len());
                for (&handle, number) in &there {
                    prop_assert_eq!(handles.get_mut(handle).copied(), Some(*number));
                    prop_assert_eq!(Handle::from_number(handle.number()), Some(handle));
                }
                for &handle in &gone {
                    prop_assert_eq!(handles.get_mut(handle), None);
                }
            }
        }
    }
}
