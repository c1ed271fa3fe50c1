//! The other calls, first those that the library makes.

use super::*;

pub fn epoll_create() -> Result<i32, Errno> {
    let ours = Epoll {
        ours: true,
        ..Epoll::default()
    };
    Ok(step(|kernel| kernel.open(Kind::Epoll(ours))))
}

pub fn duplicate(fd: i32, least: i32) -> Result<i32, Errno> {
    step(|kernel| {
        let file = kernel.file(fd)?;
        let number = kernel.lowest(least.unsigned_abs() as usize);
        Ok(kernel.share(file, number))
    })
}

/// # Safety
/// None is needed.
pub unsafe fn close(fd: i32) {
    let _ = step(|kernel| {
        let ours = matches!(kernel.epoll(fd), Ok(Epoll { ours: true, .. }));
        assert!(ours, "the library closes the application's descriptor {fd}");
        kernel.close(fd)
    });
}

pub fn are_ready<const MOST: usize>(
    descriptors: impl Iterator<Item = i32>,
    events: u32,
) -> Option<ArrayVec<bool, MOST>> {
    let ready = |kernel: &Kernel, fd| kernel.file(fd).map_or(0, |file| kernel.ready(file));
    step(|kernel| {
        Some(
            descriptors
                .map(|fd| ready(kernel, fd) & events == events)
                .collect(),
        )
    })
}

pub fn flags(fd: i32) -> Result<i32, Errno> {
    step(|kernel| kernel.file(fd).map(|_| libc::O_NONBLOCK))
}

pub fn is_stream(fd: i32) -> bool {
    step(|kernel| kernel.socket(fd).is_ok())
}

/// All are of one client, who has no address.
pub fn peer(fd: i32) -> Result<Option<IpAddr>, Errno> {
    step(|kernel| kernel.socket(fd).map(|_| None))
}

pub fn has_ended(fd: i32) -> bool {
    step(|kernel| match kernel.socket(fd) {
        Ok(socket) => socket.ready() & (ERR | HUP) != 0,
        Err(_) => true,
    })
}

pub fn receive(fd: i32, bytes: &mut [u8]) -> Result<usize, Errno> {
    let count = read(fd, bytes.len() as u32)?;
    Ok(count as usize)
}

// What only the application and its peers call.

/// A new epoll instance of the application's.
pub fn create() -> i32 {
    step(|kernel| kernel.open(Kind::Epoll(Epoll::default())))
}

pub fn accept(socket: Socket) -> i32 {
    step(|kernel| kernel.open(Kind::Socket(socket)))
}

pub fn application_close(fd: i32) -> i32 {
    step(|kernel| if kernel.close(fd).is_ok() { 0 } else { -1 })
}

pub fn dup(fd: i32) -> i32 {
    duplicate(fd, FIRST as i32).unwrap_or(-1)
}

pub fn dup2(fd: i32, onto: i32) -> i32 {
    step(|kernel| {
        let Ok(file) = kernel.file(fd) else { return -1 };
        if fd != onto {
            let _ = kernel.close(onto);
            kernel.share(file, onto as usize);
        }
        onto
    })
}

/// Reads so much at the most.
pub fn read(fd: i32, most: u32) -> Result<u32, Errno> {
    step(|kernel| {
        let socket = kernel.socket(fd)?;
        let count = socket.bytes.min(most);
        socket.bytes -= count;
        match count {
            0 if !socket.ended && !socket.reset => Err(Errno::AGAIN),
            count => Ok(count),
        }
    })
}

/// Something is changed by the peer.
pub fn of_peer(fd: i32, change: impl FnOnce(&mut Socket)) {
    step(|kernel| kernel.change(fd, change));
}

/// What was cold is in memory.
pub fn bring_in(fd: i32) {
    step(|kernel| {
        if let Ok(socket) = kernel.socket(fd) {
            (socket.cold, socket.cold_body) = (false, false);
        }
    });
}

/// A call that makes a number, which `made` tells of: no other thread closes it before it has returned.
pub fn making_a_number(call: impl FnOnce(&dyn Fn(i32) -> i32) -> i32) -> i32 {
    let made = |fd| {
        KERNEL.with_borrow_mut(|kernel| kernel.claimed.insert(fd));
        fd
    };
    let fd = call(&made);
    KERNEL.with_borrow_mut(|kernel| kernel.claimed.remove(&fd));
    fd
}

/// A thread of the application is about to close this number, and no other one is: it might close what is not its.
pub fn claim(fd: i32) -> bool {
    KERNEL.with_borrow_mut(|kernel| kernel.claimed.insert(fd))
}

/// What is in a socket.
pub fn socket(fd: i32) -> Option<Socket> {
    step(|kernel| kernel.socket(fd).ok().cloned())
}

/// The numbers of sockets, or of the application's epoll instances.
pub fn numbers(of_sockets: bool) -> Vec<i32> {
    look(|kernel| {
        let is_wanted = |file: usize| match &kernel.files[file].kind {
            Kind::Socket(_) => of_sockets,
            Kind::Epoll(epoll) => !of_sockets && !epoll.ours,
        };
        let numbers = kernel.numbers.iter().enumerate();
        let wanted = numbers.filter(|(_, file)| file.is_some_and(is_wanted));
        wanted.map(|(number, _)| number as i32).collect()
    })
}

/// `epoll_wait`.
pub fn epoll_wait(instance: i32, most: usize, time: Duration) -> Result<Vec<Reported>, Errno> {
    let found = wait(time, |kernel| match kernel.collect(instance, most) {
        Ok(reported) if reported.is_empty() => None,
        result => Some(result),
    });
    let found = found.unwrap_or(Ok(Vec::new()));
    let told = found.iter().flatten().map(|r| (r.fd, r.events));
    trace(("epoll_wait", instance, told.collect::<Vec<_>>()), true);
    found
}

/// `poll`, of numbers and events.
pub fn poll(set: &[(i32, u32)], time: Duration) -> Vec<u32> {
    let ready = |kernel: &Kernel, fd, events| match kernel.file(fd) {
        Ok(file) => kernel.ready(file) & (events | ERR | HUP),
        Err(_) if fd < 0 => 0,
        Err(_) => libc::POLLNVAL as u32,
    };
    let found = wait(time, |kernel| {
        let ready: Vec<u32> = set
            .iter()
            .map(|&(fd, events)| ready(kernel, fd, events))
            .collect();
        ready.iter().any(|events| *events != 0).then_some(ready)
    });
    let found = found.unwrap_or_else(|| vec![0; set.len()]);
    trace(("poll", set, &found), true);
    found
}
