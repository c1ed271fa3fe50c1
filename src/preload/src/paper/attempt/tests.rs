//! What is answered at once, and what is left to whom, for real descriptors of each kind.

use super::*;
use crate::paper::operation::Route;
use laio_core::gate::Side;
use std::io::Write;
use std::os::fd::AsRawFd;

/// A call, as `laio_syscall` makes it: where it goes on, or the answer.
fn made(number: c_long, arguments: &[c_long]) -> Result<c_long, Result<Route, c_int>> {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let call = Call {
        number,
        arguments: all,
    };
    match attempt(&call, call.way()) {
        Attempt::Done(answer) => answer.map_err(Err),
        Attempt::Left(operation) => Err(Ok(operation.route)),
    }
}

fn read(fd: &impl AsRawFd, buffer: &mut [u8]) -> Result<c_long, Result<Route, c_int>> {
    let (at, length) = (buffer.as_mut_ptr() as c_long, buffer.len() as c_long);
    made(SYS_read, &[fd.as_raw_fd().into(), at, length])
}

#[test]
fn a_file_in_memory_is_read_at_once() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    let mut buffer = [0; 4];
    let (at, fd) = (
        buffer.as_mut_ptr() as c_long,
        c_long::from(file.as_raw_fd()),
    );
    assert_eq!(made(SYS_pread64, &[fd, at, 4, 6]), Ok(4));
    assert_eq!(&buffer, b"6789");
    assert_eq!(made(SYS_pread64, &[fd, at, 4, 8]), Ok(2), "up to its end");
    assert_eq!(made(SYS_pread64, &[fd, at, 4, -1]), Err(Err(EINVAL)));
    assert_eq!(made(SYS_pread64, &[-1, at, 4, 0]), Err(Err(EBADF)));
}

#[test]
fn an_empty_pipe_is_waited_for_without_a_thread() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut buffer = [0; 4];
    let ready = Route::Ready(reader.as_raw_fd(), Side::Read);
    assert_eq!(read(&reader, &mut buffer), Err(Ok(ready)));
    writer.write_all(b"ab").unwrap();
    assert_eq!(read(&reader, &mut buffer), Ok(2));
    drop(writer);
    assert_eq!(read(&reader, &mut buffer), Ok(0), "its end");
}

#[test]
fn a_wait_is_left_to_a_helper_unless_it_waits_no_time() {
    let mut none = 0i64;
    let set = (&raw mut none) as c_long;
    let never = made(SYS_ppoll, &[set, 0, 0, 0]);
    assert!(matches!(
        never,
        Err(Ok(Route::Helper {
            is_endless: true,
            ..
        }))
    ));
    assert_eq!(made(SYS_getpid, &[]), Ok(std::process::id().into()));
    let file = tempfile::tempfile().unwrap();
    let free = made(
        SYS_flock,
        &[file.as_raw_fd().into(), (LOCK_EX | LOCK_NB).into()],
    );
    assert_eq!(free, Ok(0));
}

#[test]
fn a_name_that_is_known_is_looked_up_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "x").unwrap();
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let flags = O_RDONLY | O_CLOEXEC;
    let fd = made(
        SYS_openat,
        &[AT_FDCWD.into(), name.as_ptr() as c_long, flags.into()],
    );
    // On a file system that cannot say, a helper opens it.
    if let Ok(fd) = fd {
        // SAFETY: opened just now, and nobody else's.
        assert_eq!(unsafe { close(fd as c_int) }, 0);
    } else {
        assert!(matches!(fd, Err(Ok(Route::Helper { .. }))), "{fd:?}");
    }
    let fifo = std::ffi::CString::new(directory.path().join("fifo").to_str().unwrap()).unwrap();
    // SAFETY: a name that ends.
    assert_eq!(unsafe { mkfifo(fifo.as_ptr(), 0o600) }, 0);
    let opened = made(
        SYS_openat,
        &[AT_FDCWD.into(), fifo.as_ptr() as c_long, flags.into()],
    );
    assert!(
        matches!(opened, Err(Ok(Route::Helper { .. }))),
        "it waits for a writer"
    );
}
