//! Variables of a thread of the model: the checker runs all of them on one thread of the machine.

use shuttle::current;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

pub mod place {
    pub const CURRENT: usize = 0;
    pub const SECTION: usize = 1;
    pub const DOUBTS: usize = 2;
    pub const BLOCKED: usize = 3;
    pub const FORKS: usize = 4;
    pub const JUMPED: usize = 5;
    /// The application's call that is being made, and a signal handler's within it.
    pub const CALL: usize = 6;
    /// A signal handler runs.
    pub const HANDLER: usize = 7;
    /// How many shields it has.
    pub const SHIELDS: usize = 8;
    pub const COUNT: usize = 9;
}

type Block = [Cell<u64>; place::COUNT];

thread_local! {
    // Each stays where it is.
    #[allow(clippy::vec_box)]
    static BLOCKS: RefCell<Vec<Box<Block>>> = const { RefCell::new(Vec::new()) };
}

pub fn begin() {
    BLOCKS.with_borrow_mut(Vec::clear);
}

/// Eight bytes of which all zeroes are a value.
pub trait Zeroed {}
impl<T> Zeroed for Cell<*mut T> {}
impl Zeroed for Cell<bool> {}
impl Zeroed for Cell<i64> {}
impl Zeroed for Cell<u64> {}

pub struct Local<T> {
    place: usize,
    kind: PhantomData<fn() -> T>,
}

impl<T: Zeroed> Local<T> {
    pub const fn at(place: usize) -> Local<T> {
        let kind = PhantomData;
        Local { place, kind }
    }

    pub fn with<R>(&self, act: impl FnOnce(&T) -> R) -> R {
        let thread = usize::from(current::me());
        let place = BLOCKS.with_borrow_mut(|blocks| {
            blocks.resize_with(blocks.len().max(thread + 1), Box::default);
            blocks
                .get(thread)
                .and_then(|block| block.get(self.place))
                .map(|cell| (&raw const *cell).cast::<T>())
        });
        // SAFETY: the block stays where it is until the execution ends, and holds eight bytes for each variable.
        act(unsafe { &*place.unwrap() })
    }
}

impl<T: Copy> Local<Cell<T>>
where
    Cell<T>: Zeroed,
{
    pub fn get(&self) -> T {
        self.with(Cell::get)
    }

    pub fn set(&self, value: T) {
        self.with(|cell| cell.set(value));
    }
}
