//! Writes to client connections: the body gate.

use super::change::changed;
use super::descriptor::shared;
use super::parts::Parts;
use crate::event_loop::{self, EventLoop, Transfer};
use crate::gate::slot::Slot;
use crate::gate::table;
use crate::sys::address::is_readable;
use crate::sys::errno;
use laio_core::stats::Call;
use laio_core::stream::NextRead;
use libc::{c_int, c_uint, c_void, iovec, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use libc::{MAP_FAILED, MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL, PROT_READ};
use libc::{SPLICE_F_GIFT, SPLICE_F_MORE, SPLICE_F_MOVE, SPLICE_F_NONBLOCK};

/// `write`. Of nothing it is only a question.
#[inline]
pub fn wrote(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    buffer: *const c_void,
    size: size_t,
) -> ssize_t {
    if size == 0 {
        return real();
    }
    if table::accepted(fd).is_none() {
        return changed(real, fd, Call::Write);
    }
    let parts = || Parts::one(buffer, size);
    produced(real, fd, parts, None::<fn(&[iovec]) -> ssize_t>, || false)
}

/// `send` and `sendto`. Of nothing it is a question, too.
#[inline]
pub fn sent(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    buffer: *const c_void,
    size: size_t,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    if size == 0 {
        return real();
    }
    let parts = || {
        let plain = is_plain(flags) && address.is_null();
        plain.then(|| Parts::one(buffer, size)).flatten()
    };
    // SAFETY: the application's own arguments, but for the size, which is smaller.
    let cut = |parts: &[iovec]| unsafe {
        super::sendto::real(fd, buffer, total(parts), flags, address, length)
    };
    produced(real, fd, parts, Some(cut), || false)
}

/// Whether a send puts bytes onto the stream in the ordinary way.
fn is_plain(flags: c_int) -> bool {
    flags & !(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE) == 0
}

/// `writev`.
#[inline]
pub fn wrote_vector(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    vector: *const iovec,
    count: c_int,
) -> ssize_t {
    if table::accepted(fd).is_none() {
        return changed(real, fd, Call::Write);
    }
    let parts = || Parts::of(vector, usize::try_from(count).ok()?);
    // SAFETY: a vector of our own with the application's buffers, the last of them shorter.
    let cut =
        |parts: &[iovec]| unsafe { super::writev::real(fd, parts.as_ptr(), parts.len() as c_int) };
    produced(real, fd, parts, Some(cut), || false)
}

/// `sendmsg`.
#[inline]
pub fn sent_message(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: a message lies on two pages at most, and both can be read.
    let given = || unsafe {
        let last = message.wrapping_add(1).cast::<u64>().wrapping_sub(1);
        (is_readable(message.cast()) && is_readable(last)).then(|| &*message)
    };
    let parts = || {
        let plain = |message: &&msghdr| message.msg_name.is_null() && message.msg_controllen == 0;
        let message = given().filter(|message| is_plain(flags) && plain(message))?;
        Parts::of(message.msg_iov, message.msg_iovlen)
    };
    let cut = |parts: &[iovec]| {
        let Some(mut message) = given().copied() else {
            return 0;
        };
        message.msg_iov = parts.as_ptr().cast_mut();
        message.msg_iovlen = parts.len();
        // SAFETY: the application's message with a vector of our own, as in `wrote_vector`.
        unsafe { super::sendmsg::real(fd, &message, flags) }
    };
    let sent = produced(real, fd, parts, Some(cut), || false);
    // SAFETY: the kernel has just read this message, and what control data there is.
    if let Some(message) = (sent >= 0).then(|| unsafe { &*message }) {
        if message.msg_controllen > 0 {
            // What a message hands to another process is shared with it.
            each_passed(message, shared);
        }
    }
    sent
}

/// The numbers that a message hands on, which the kernel has just read or written.
#[cold]
pub(super) fn each_passed(message: &msghdr, passed: fn(c_int)) {
    // SAFETY: the kernel has had the control data, and the macros of the C library stay within it.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(part) = header.as_ref() {
            if (part.cmsg_level, part.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let first: *const c_int = libc::CMSG_DATA(header).cast();
                let length = part.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                for number in 0..length / size_of::<c_int>() {
                    passed(first.add(number).read_unaligned());
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}

/// `splice` from a pipe.
#[inline]
pub fn wrote_pipe(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    from: c_int,
    has_offset: bool,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    const KNOWN: c_uint = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;
    let is_sound = !has_offset && count > 0 && flags & !KNOWN == 0;
    // What comes out of a pipe was put there by a `splice` from the file.
    let is_file = || is_sound && is_full_pipe(from);
    produced(real, fd, || None, None::<fn(&[iovec]) -> ssize_t>, is_file)
}

/// Writes to a client connection what the gate lets through. `parts` is asked only where it matters;
/// `cut` writes the beginning of them, where that will do. Where there are none, `is_file` tells whether bytes of a file are
/// written all the same. Both know nothing of a call that the kernel may refuse for its arguments, or of nothing: the
/// answer to that is not ours.
#[inline]
fn produced(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    parts: impl Fn() -> Option<Parts>,
    cut: Option<impl FnOnce(&[iovec]) -> ssize_t>,
    is_file: impl Fn() -> bool,
) -> ssize_t {
    if let Some(slot) = repeats(fd, 1) {
        let written = real();
        slot.has_sent_of_repeated(written);
        return written;
    }
    let mut given = None;
    let mut looks = false;
    let transfer = gate(fd, |state, slot| {
        looks = state.follows_bodies();
        if !looks {
            return Transfer::PassThrough;
        }
        // Most servers map nothing: then nobody asks what it is that they write.
        given = state.has_mappings().then(&parts).flatten();
        given = given.filter(Parts::can_be_cut);
        let mapped = given.as_ref().map_or(&[][..], Parts::as_slice);
        let sealed = slot.speaks_tls();
        let is_file = |next: &NextRead| match parts() {
            Some(parts) if sealed => next.has_filled_any() && parts.are_records(),
            Some(parts) if slot.speaks_http2() => parts.are_frames(next),
            Some(parts) => parts.are_filled(next),
            None => is_file(),
        };
        state.before_write(fd, slot, mapped, cut.is_some(), is_file)
    });
    let written = match (transfer, &given, cut) {
        (Transfer::Later, ..) => return refuse(),
        (Transfer::AtMost(most), Some(parts), Some(cut)) => cut(&parts.beginning(most as usize)),
        _ => real(),
    };
    if looks {
        has_produced(fd, written, |state, slot, count| {
            if let Some(parts) = given {
                state.after_mapped_write(fd, slot, parts.as_slice(), count);
            }
        });
    }
    written
}

/// Whether a number names a pipe with something in it: the kernel refuses to splice anything else to a socket, and an empty
/// one has another answer.
fn is_full_pipe(fd: c_int) -> bool {
    // SAFETY: the application passes this number to `splice` right now.
    let pipe = unsafe { crate::sys::descriptors::borrow(fd) };
    let kind = |status: rustix::fs::Stat| rustix::fs::FileType::from_raw_mode(status.st_mode);
    rustix::fs::fstat(pipe).map(kind) == Ok(rustix::fs::FileType::Fifo)
        && rustix::io::ioctl_fionread(pipe).is_ok_and(|bytes| bytes > 0)
}

/// The connection, if its last request is one that is asked for again and again, and so many more bytes of the answer are sent without
/// a look.
#[inline]
pub fn repeats(fd: c_int, count: size_t) -> Option<&'static Slot> {
    table::accepted(fd).filter(|slot| slot.repeat.covers(count))
}

/// So much was written to a client connection; `then` sees how much, if it was something.
#[inline]
pub fn has_produced(fd: c_int, written: ssize_t, then: impl FnOnce(&mut EventLoop, &Slot, usize)) {
    let (Some(here), Some(slot)) = (event_loop::here(), table::accepted(fd)) else {
        return;
    };
    if slot.is_behind() {
        return;
    }
    here.with(|state| match usize::try_from(written) {
        Ok(count @ 1..) => {
            state.has_written(slot, count);
            then(state, slot, count);
        }
        // The kernel itself has no room.
        Err(_) if errno::is(libc::EAGAIN) => state.has_written(slot, 0),
        // It was a write of nothing, or is one that the kernel refuses.
        _ => state.has_written_nothing(slot),
    });
}

/// Asks the event loop of this thread what a write to a client connection is to do.
#[inline]
pub fn gate(fd: c_int, decide: impl FnOnce(&mut EventLoop, &Slot) -> Transfer) -> Transfer {
    let (Some(here), Some(slot)) = (event_loop::here(), table::accepted(fd)) else {
        return Transfer::PassThrough;
    };
    // What is sent to an application behind the server is none of its answers.
    if slot.is_behind() {
        return Transfer::PassThrough;
    }
    let transfer = here.with(|state| decide(state, slot));
    transfer.unwrap_or(Transfer::PassThrough)
}

/// The answer to a write whose readiness is held back.
pub fn refuse() -> ssize_t {
    errno::set(libc::EAGAIN);
    -1
}

/// `mmap` of a file.
#[inline]
pub fn mapped(
    real: impl FnOnce() -> *mut c_void,
    length: size_t,
    protection: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    let at = real();
    if at == MAP_FAILED {
        return at;
    }
    if let Some(here) = event_loop::here() {
        here.with(|state| match u64::try_from(offset) {
            Ok(offset) if fd >= 0 && protection & PROT_READ != 0 => {
                state.has_mapped(at as usize, length, fd, offset);
            }
            _ => state.has_unmapped(at as usize..at as usize + length),
        });
    }
    at
}

/// `munmap` and `mremap`. Before the call: afterwards the addresses may be something else at once.
#[inline]
pub fn unmapped<R>(real: impl FnOnce() -> R, at: *mut c_void, length: size_t) -> R {
    if let Some(here) = event_loop::here() {
        let start = at as usize;
        here.with(|state| state.has_unmapped(start..start.saturating_add(length)));
    }
    real()
}

fn total(parts: &[iovec]) -> usize {
    parts.iter().map(|part| part.iov_len).sum()
}
