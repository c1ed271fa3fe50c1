//! The interface from Rust, with the library itself.

use liblaio::{eventfd, pending, poll, syscall, Completion, Handle, Outcome};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Makes a call whose pointers are all to what outlives it.
fn call(number: libc::c_long, arguments: &[libc::c_long]) -> io::Result<Outcome> {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    // SAFETY: the tests below keep what they pass until they have its completion.
    unsafe { syscall(number, all) }
}

fn next() -> Completion {
    let mut completions = [Completion::default()];
    let count = poll(&mut completions, Some(Duration::from_secs(20)));
    assert_eq!(count.expect("a poll"), 1);
    completions[0]
}

/// One test, for completions are the process's: another thread would take them.
#[test]
fn from_rust() -> io::Result<()> {
    // A file: at once when it is in memory, otherwise later, and the same bytes.
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(&[7; 10_000])?;
    file.as_file().sync_all()?;
    let mut buffer = vec![0u8; 10_000];
    let arguments = [
        file.as_file().as_raw_fd().into(),
        buffer.as_mut_ptr() as libc::c_long,
        10_000,
        0,
    ];
    for cold in [false, true] {
        if cold {
            // SAFETY: the file is open.
            let dropped = unsafe {
                libc::posix_fadvise(file.as_file().as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED)
            };
            assert_eq!(dropped, 0);
        }
        buffer.fill(0);
        let length = match call(libc::SYS_pread64, &arguments)? {
            Outcome::Done(length) => length,
            Outcome::GoesOn(handle) => {
                let completion = next();
                assert_eq!(completion.handle(), Some(handle));
                completion.result()?
            }
        };
        assert_eq!(length, 10_000);
        assert!(buffer.iter().all(|byte| *byte == 7));
    }

    // A socket: waited for without a thread, given up, and given back.
    let (ours, mut theirs) = UnixStream::pair()?;
    let mut byte = [0u8; 2];
    let mut read = || -> io::Result<Handle> {
        let address = byte.as_mut_ptr() as libc::c_long;
        match call(libc::SYS_read, &[ours.as_raw_fd().into(), address, 1])? {
            Outcome::GoesOn(handle) => Ok(handle),
            Outcome::Done(length) => panic!("{length} bytes out of nothing"),
        }
    };
    let given_up = read()?;
    given_up.cancel()?;
    let completion = next();
    assert_eq!(completion.handle(), Some(given_up));
    let error = completion.result().expect_err("it was given up");
    assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    let error = given_up.cancel().expect_err("it is over");
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    let waited_for = read()?;
    waited_for.set_token(4711)?;
    assert_eq!(pending(), 1);
    let is_readable = |fd: BorrowedFd<'_>, milliseconds| {
        let mut set = libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one entry, which lives until the call returns.
        unsafe { libc::poll(&mut set, 1, milliseconds) == 1 }
    };
    assert!(!is_readable(eventfd()?, 0));
    theirs.write_all(b"x")?;
    assert!(is_readable(eventfd()?, 20_000));
    let completion = next();
    assert_eq!(completion.handle(), Some(waited_for));
    assert_eq!(completion.token(), 4711);
    assert_eq!(completion.result()?, 1);

    // What cannot be made so, and what fails by itself.
    for (number, error) in [
        (libc::SYS_exit_group, libc::EOPNOTSUPP),
        (libc::SYS_close, libc::EBADF),
    ] {
        let failed = call(number, &[-1]).expect_err("it cannot be done");
        assert_eq!(failed.raw_os_error(), Some(error));
    }
    assert_eq!(pending(), 0);
    assert_eq!(poll(&mut [Completion::default()], Some(Duration::ZERO))?, 0);
    Ok(())
}
