//! What a write is to write, and whether that is of files.

use crate::sys::address::is_readable;
use arrayvec::ArrayVec;
use laio_core::stream::{NextRead, HEADER};
use laio_core::tls::{self, Content};
use libc::{c_void, iovec, size_t};

/// Most parts of a vector that is looked at; a longer one passes through. nginx makes 64.
const PARTS: usize = 64;

/// Most parts of one that is cut: so many fit onto a small stack.
const CUT: usize = 16;

/// What is to be written, where the application has it.
#[derive(Clone, Copy)]
pub enum Parts {
    /// One part.
    One([iovec; 1]),
    /// A vector that can be read: its address, and how many parts it has.
    Vector(*const iovec, usize),
}

impl Parts {
    /// Nothing where the kernel refuses it.
    pub fn one(buffer: *const c_void, size: size_t) -> Option<Parts> {
        let part = iovec {
            iov_base: buffer.cast_mut(),
            iov_len: size,
        };
        Parts::One([part]).if_sound()
    }

    /// These, if they are of something, and no size is one that the kernel refuses.
    fn if_sound(self) -> Option<Parts> {
        let size = |size: usize, part: &iovec| {
            let all = size.checked_add(part.iov_len);
            all.filter(|&all| all <= isize::MAX as usize)
        };
        let size = self.as_slice().iter().try_fold(0, size)?;
        (size > 0).then_some(self)
    }

    /// Nothing where there are too many.
    pub fn of(vector: *const iovec, count: usize) -> Option<Parts> {
        let last = vector.wrapping_add(count.saturating_sub(1));
        if count > PARTS || !is_readable(vector.cast()) || !is_readable(last.cast()) {
            return None;
        }
        Parts::Vector(vector, count).if_sound()
    }

    /// How many bytes they are together.
    pub fn size(&self) -> usize {
        let lengths = self.as_slice().iter().map(|part| part.iov_len);
        lengths.fold(0, usize::saturating_add)
    }

    /// Whether all of it is where a read of this iteration has put bytes of a file, and can be read still.
    pub fn are_filled(&self, next: &NextRead) -> bool {
        let parts = || self.as_slice().iter().filter(|part| part.iov_len > 0);
        let filled = |part: &iovec| {
            let start = part.iov_base.addr();
            next.is_filled(&(start..start.saturating_add(part.iov_len)))
        };
        parts().all(filled) && parts().all(|part| is_readable(part.iov_base.cast()))
    }

    /// Whether all of it is DATA frames of HTTP/2 whose bytes reads of this iteration have put there, and can be read still.
    pub fn are_frames(&self, next: &NextRead) -> bool {
        let parts = || self.as_slice().iter().filter(|part| part.iov_len > 0);
        let header = |at: usize| {
            let (first, second) = (at as *const u8, (at + 1) as *const u8);
            // SAFETY: nine bytes, of which the first eight can be read, and the last eight.
            (is_readable(first.cast()) && is_readable(second.cast()))
                .then(|| unsafe { first.cast::<[u8; HEADER]>().read_unaligned() })
        };
        let memory = parts().map(|part| {
            let start = part.iov_base.addr();
            start..start.saturating_add(part.iov_len)
        });
        next.are_frames(memory, header) && parts().all(|part| is_readable(part.iov_base.cast()))
    }

    /// Whether it begins with a record of TLS that holds bytes of the application's, and so many that they are no message of
    /// the library's own: to refuse its goodbye could be to lose that.
    pub fn are_records(&self) -> bool {
        const LEAST: usize = 1024;
        let mut parts = self.as_slice().iter();
        let first = parts.find(|part| part.iov_len >= LEAST);
        let Some(first) = first.filter(|part| is_readable(part.iov_base.cast())) else {
            return false;
        };
        // SAFETY: eight bytes can be read there.
        let bytes = unsafe { &*first.iov_base.cast::<[u8; tls::HEADER]>() };
        let length = |(content, length)| (content == Content::Application).then_some(length);
        tls::header(bytes).and_then(length) >= Some(LEAST)
    }

    /// All of them.
    pub fn as_slice(&self) -> &[iovec] {
        match self {
            Parts::One(part) => part,
            // SAFETY: the application passes so many entries to the call that is being made, which lie on two pages at most, and
            // both could be read when this was made.
            Parts::Vector(vector, count) => unsafe { std::slice::from_raw_parts(*vector, *count) },
        }
    }

    /// Whether they are few enough to be cut.
    pub fn can_be_cut(&self) -> bool {
        self.as_slice().len() <= CUT
    }

    /// The first so many bytes of those that can be cut.
    pub fn beginning(&self, mut most: usize) -> ArrayVec<iovec, CUT> {
        let mut parts = ArrayVec::new();
        for part in self.as_slice().iter().copied().take(CUT) {
            let iov_len = part.iov_len.min(most);
            most -= iov_len;
            if iov_len > 0 {
                parts.push(iovec { iov_len, ..part });
            }
        }
        parts
    }
}
