//! Programs of which the end is known: a loop that serves, and what others do meanwhile.

use super::*;

/// Two instances, and two connections in the first.
pub fn prepare() {
    let (first, _) = (kernel::create(), kernel::create());
    for _ in 0..2 {
        let fd = accept(Peer::Sends { cold: true });
        control(first, ADD, fd, IN | RDHUP, cookie(fd, 0));
    }
}

/// A loop that waits until it has read so many bytes, however long that takes, while others do what harms nobody: to wait for
/// ever is a fault, which the checker finds.
pub fn serve(flags: u32, polls: bool, bytes: u32) {
    let of_loop = Loop::begin(0, polls);
    let mut read = 0;
    while read < bytes {
        for (fd, events) in of_loop.told(Time4::Never, 0) {
            if events & IN != 0 {
                read += of_loop.read(fd);
            }
            if flags & ONESHOT != 0 {
                control(FIRST, MOD, fd, IN | flags, cookie(fd, 1));
            }
        }
    }
    of_loop.end();
}

/// A loop that waits so often, for short times.
pub fn wait_often(polls: bool, times: usize) {
    let of_loop = Loop::begin(0, polls);
    (0..times).for_each(|_| of_loop.wait(Time4::Short, 0));
    of_loop.end();
}

/// Two instances, and a connection that has room, of which the first one reports once.
pub fn prepare_to_send() {
    let (first, _) = (kernel::create(), kernel::create());
    let peer = Peer::Takes {
        full: false,
        cold: false,
    };
    let fd = accept(peer);
    control(first, ADD, fd, OUT | ONESHOT, cookie(fd, 0));
}

/// A second loop sends on that connection.
pub fn send() {
    let of_loop = Loop::begin(1, false);
    of_loop.wait(Time4::Zero, 1);
    of_loop.send(FIRST + 2);
    of_loop.wait(Time4::Zero, 1);
    of_loop.end();
}

/// Its client may have gone. It is registered in the second instance, or the first one is known by another number from now on.
pub fn register_elsewhere(how: usize) {
    let (second, fd) = (FIRST + 1, FIRST + 2);
    if how >= 4 {
        kernel::of_peer(fd, |socket| Peer::Resets.act(socket));
    }
    if how % 4 == 3 {
        duplicate(FIRST);
        close(FIRST);
        return;
    }
    control(second, ADD, fd, IN, cookie(fd, 1));
    match how % 4 {
        1 => control(second, MOD, fd, IN | RDHUP, cookie(fd, 2)),
        2 => control(second, DEL, fd, 0, 0),
        _ => 0,
    };
}

/// Closes a connection, and accepts another one, which gets its number and a request for cold files.
pub fn accept_again() {
    close(FIRST + 1);
    let fd = accept(Peer::Sends { cold: true });
    control(FIRST, ADD, fd, IN, cookie(fd, 1));
}

/// What another thread does to a connection without any effect on what its loop is owed.
pub fn meddle(flags: u32, how: usize) {
    let (second, fd) = (kernel::create(), FIRST + 1);
    match how {
        0 => {
            control(FIRST, MOD, fd, IN | flags, cookie(fd, 2));
        }
        1 => {
            let number = duplicate(fd);
            close(number);
        }
        2 => {
            control(second, ADD, fd, IN, cookie(fd, 3));
            control(second, DEL, fd, 0, 0);
        }
        3 => {
            control(FIRST, ADD, fd, IN, cookie(fd, 4));
            control(second, DEL, fd, 0, 0);
        }
        _ => {
            let number = duplicate(FIRST);
            control(number, MOD, fd, IN | flags, cookie(fd, 5));
            close(number);
        }
    }
    close(second);
}

/// One instance, and two connections in it, each with a request for cold files. Each is two bytes.
pub fn prepare_to_serve(flags: u32) {
    let instance = kernel::create();
    for _ in 0..2 {
        let fd = accept(Peer::Sends { cold: true });
        control(instance, ADD, fd, IN | flags, cookie(fd, 0));
    }
}

/// A connection's peer sends another request.
pub fn ask_again() {
    kernel::of_peer(FIRST + 1, |socket| Peer::Sends { cold: true }.act(socket));
}
