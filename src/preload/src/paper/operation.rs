//! A system call that goes on in the background: what of it is left to do, and how that is done.

#![allow(non_upper_case_globals)] // These are the kernel's names of system calls.

use super::calls::Call;
use crate::fetch::file_system::{learn, status};
use crate::fetch::resolver::File;
use crate::sys::descriptors;
use laio_core::gate::Side;
use libc::*;
use rustix::fd::{AsFd, BorrowedFd};

/// What a system call answers: its value, or its errno.
pub type Answer = Result<c_long, c_int>;

/// As much as the kernel transfers at once.
const MOST: usize = 0x7fff_f000;

/// Who carries an operation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A helper makes the call.
    Helper {
        /// The caller waits a moment for it: most likely it will not block.
        is_patient: bool,
        /// It may take for ever.
        is_endless: bool,
    },
    /// Whoever polls, when this side of this descriptor is ready.
    Ready(c_int, Side),
}

/// Whether what was transferred is the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    /// Only when all that was asked for is.
    Asked,
    /// Whatever there is.
    Any,
}

/// The part of a call's arguments that had to be written anew, since its beginning is done.
#[derive(Debug)]
struct Rest {
    vectors: Vec<iovec>,
    /// For `sendmsg`, which points to the vectors.
    message: msghdr,
}

/// An operation.
#[derive(Debug)]
pub struct Operation {
    /// The call that does what is left.
    call: Call,
    /// Bytes that are done.
    done: c_long,
    rest: Option<Box<Rest>>,
    /// Who does it.
    pub route: Route,
    /// Where the file system is not known yet: the helper finds it out by this.
    pub teacher: Option<Teacher>,
}

/// Something by which a file system can be told.
#[derive(Debug)]
pub enum Teacher {
    /// The call's own descriptor.
    Descriptor,
    /// What the call's path names.
    Named(File),
}

// SAFETY: the pointers are the arguments of a system call, which the kernel takes from any thread, and of
// which the caller of `laio_syscall` has promised that they stay valid; `Rest` points into itself.
unsafe impl Send for Operation {}

impl Operation {
    /// Nothing of it is done yet.
    pub fn new(call: Call, route: Route) -> Operation {
        Operation {
            call,
            done: 0,
            rest: None,
            route,
            teacher: None,
        }
    }

    /// The file that it is about.
    fn descriptor(&self) -> c_int {
        match self.call.number {
            SYS_sendfile => self.call.int(1),
            _ => self.call.int(0),
        }
    }

    /// Makes the call, blocking, and tells what the whole operation has come to.
    pub fn perform(&mut self) -> Answer {
        match self.teacher.take() {
            Some(Teacher::Descriptor) => {
                // SAFETY: the caller of `laio_syscall` keeps it open until this is complete.
                teach(unsafe { descriptors::borrow(self.descriptor()) });
            }
            Some(Teacher::Named(named)) => teach(named.as_fd()),
            None => {}
        }
        self.sum(perform(&self.call))
    }

    /// Tries to do what is left without blocking; nothing where that takes more time.
    pub fn advance(&mut self) -> Option<Answer> {
        loop {
            let (answer, whole) = match self.call.number {
                SYS_accept | SYS_accept4 => (accept(&self.call)?, Whole::Any),
                _ => attempt(&self.call),
            };
            match answer {
                Err(EAGAIN) => return None,
                Ok(count) if whole == Whole::Asked && count < self.wanted() => {
                    if !self.has_done(count) {
                        return Some(self.sum(Ok(count)));
                    }
                }
                answer => return Some(self.sum(answer)),
            }
        }
    }

    /// The answer to the whole operation, where this is the one to its last part. As with the kernel, an
    /// error after something was transferred is the next call's to meet.
    fn sum(&self, answer: Answer) -> Answer {
        match answer {
            Ok(count) => Ok(self.done + count),
            Err(_) if self.done > 0 => Ok(self.done),
            error => error,
        }
    }

    /// How many bytes are left. Only for vectors that the kernel has read.
    pub fn wanted(&self) -> c_long {
        let bytes = match self.call.number {
            SYS_read | SYS_pread64 | SYS_write | SYS_pwrite64 | SYS_recvfrom | SYS_sendto => {
                self.call.word(2) as usize
            }
            _ => {
                let lengths = self.vectors().iter().map(|vector| vector.iov_len);
                lengths.fold(0, usize::saturating_add)
            }
        };
        bytes.min(MOST) as c_long
    }

    /// The vectors of the call, which the kernel has read before.
    fn vectors(&self) -> &[iovec] {
        let (start, count) = match self.call.number {
            SYS_sendmsg => {
                // SAFETY: the kernel has read this message.
                let message = unsafe { &*(self.call.word(1) as *const msghdr) };
                (message.msg_iov.cast_const(), message.msg_iovlen)
            }
            _ => (
                self.call.word(1) as *const iovec,
                self.call.word(2) as usize,
            ),
        };
        if start.is_null() || count == 0 {
            return &[];
        }
        // SAFETY: the kernel has read so many vectors there, or they are our own.
        unsafe { std::slice::from_raw_parts(start, count) }
    }

    /// So many bytes are done: the call becomes one for the rest. False where there is no memory for that;
    /// then what is done is all that will be.
    pub fn has_done(&mut self, count: c_long) -> bool {
        let call = self.call;
        let moved = match call.number {
            SYS_read | SYS_write | SYS_pread64 | SYS_pwrite64 | SYS_recvfrom | SYS_sendto => call
                .with(1, call.word(1) + count)
                .with(2, call.word(2) - count),
            _ => {
                if !self.has_done_vectors(count as usize) {
                    return false;
                }
                self.call
            }
        };
        let at = call.word(3);
        self.call = match call.number {
            SYS_pread64 | SYS_pwrite64 | SYS_preadv | SYS_pwritev => moved.with(3, at + count),
            // -1 is the file's own position, which has moved.
            SYS_preadv2 | SYS_pwritev2 if at != -1 => moved.with(3, at + count),
            _ => moved,
        };
        self.done += count;
        true
    }

    fn has_done_vectors(&mut self, mut count: usize) -> bool {
        let mut left = Vec::new();
        if left.try_reserve_exact(self.vectors().len()).is_err() {
            return false;
        }
        for vector in self.vectors() {
            let skipped = count.min(vector.iov_len);
            count -= skipped;
            if skipped < vector.iov_len {
                left.push(iovec {
                    iov_base: vector.iov_base.wrapping_byte_add(skipped),
                    iov_len: vector.iov_len - skipped,
                });
            }
        }
        // SAFETY: all zeroes is a valid message.
        let mut message: msghdr = unsafe { std::mem::zeroed() };
        if self.call.number == SYS_sendmsg {
            // SAFETY: the kernel has read this message. What came along with its first byte is sent.
            message = unsafe { *(self.call.word(1) as *const msghdr) };
            message.msg_control = std::ptr::null_mut();
            message.msg_controllen = 0;
        }
        let mut rest = Box::new(Rest {
            vectors: left,
            message,
        });
        rest.message.msg_iov = rest.vectors.as_mut_ptr();
        rest.message.msg_iovlen = rest.vectors.len() as _;
        self.call = match self.call.number {
            SYS_sendmsg => self.call.with(1, &raw const rest.message as c_long),
            _ => self
                .call
                .with(1, rest.vectors.as_ptr() as c_long)
                .with(2, rest.vectors.len() as c_long),
        };
        self.rest = Some(rest);
        true
    }
}

/// Finds out what file system this is, which may wait for it.
fn teach(file: BorrowedFd<'_>) {
    if let Ok(status) = status(file) {
        learn(file, status.device);
    }
}

/// Makes a system call: not by the C library's `syscall`, which is a hook of ours.
#[inline]
fn system_call(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> Answer {
    let [a, b, c, d, e, f] = [a, b, c, d, e, f].map(|argument| argument as usize);
    // SAFETY: whoever passed number and arguments to the library has answered for them.
    let result = unsafe { syscalls::raw::syscall6(number as usize, a, b, c, d, e, f) } as c_long;
    // The kernel keeps 4095 numbers for errors.
    if (-4095..0).contains(&result) {
        Err(-result as c_int)
    } else {
        Ok(result)
    }
}

/// Makes a system call.
#[inline]
pub fn perform(call: &Call) -> Answer {
    system_call(call.number, call.arguments)
}

/// Makes a transfer without waiting: `EAGAIN` where nothing can be had, `EOPNOTSUPP` where nobody can say.
#[inline]
pub fn attempt_transfer(call: &Call) -> Answer {
    let [fd, buffer, length, offset, high, flags] = call.arguments;
    let (number, vectors, offset, flags) = match call.number {
        SYS_read => (SYS_preadv2, false, -1, 0),
        SYS_pread64 if offset >= 0 => (SYS_preadv2, false, offset, 0),
        SYS_readv => (SYS_preadv2, true, -1, 0),
        SYS_preadv if offset >= 0 => (SYS_preadv2, true, offset, 0),
        SYS_preadv2 => (SYS_preadv2, true, offset, flags),
        SYS_write => (SYS_pwritev2, false, -1, 0),
        SYS_pwrite64 if offset >= 0 => (SYS_pwritev2, false, offset, 0),
        SYS_writev => (SYS_pwritev2, true, -1, 0),
        SYS_pwritev if offset >= 0 => (SYS_pwritev2, true, offset, 0),
        SYS_pwritev2 => (SYS_pwritev2, true, offset, flags),
        // A negative offset, which is refused.
        _ => return system_call(call.number, call.arguments),
    };
    let flags = flags | c_long::from(RWF_NOWAIT);
    if vectors {
        return system_call(number, [fd, buffer, length, offset, high, flags]);
    }
    let vector = iovec {
        iov_base: buffer as *mut c_void,
        iov_len: length as usize,
    };
    let vector = &raw const vector as c_long;
    system_call(number, [fd, vector, 1, offset, 0, flags])
}

/// Tries a transfer, and tells when it is whole.
fn attempt(call: &Call) -> (Answer, Whole) {
    let flags = match call.number {
        SYS_recvfrom | SYS_sendto => 3,
        SYS_recvmsg | SYS_sendmsg => 2,
        SYS_write | SYS_writev | SYS_pwrite64 | SYS_pwritev | SYS_pwritev2 => {
            return (attempt_transfer(call), Whole::Asked)
        }
        _ => return (attempt_transfer(call), Whole::Any),
    };
    let whole = match call.number {
        SYS_sendto | SYS_sendmsg => Whole::Asked,
        _ => Whole::Any,
    };
    let without_waiting = call.with(flags, c_long::from(call.int(flags) | MSG_DONTWAIT));
    (perform(&without_waiting), whole)
}

/// Accepts a connection, if there is one.
fn accept(call: &Call) -> Option<Answer> {
    is_ready(call.int(0), Side::Read).then(|| perform(call))
}

/// Whether a descriptor is ready, or in error.
pub fn is_ready(fd: c_int, side: Side) -> bool {
    use rustix::event::{poll, PollFd, PollFlags, Timespec};
    // SAFETY: the application passes this number to a call.
    let fd = unsafe { descriptors::borrow(fd) };
    let events = match side {
        Side::Read => PollFlags::IN,
        Side::Write => PollFlags::OUT,
    };
    poll(
        &mut [PollFd::from_borrowed_fd(fd, events)],
        Some(&Timespec::default()),
    ) != Ok(0)
}
