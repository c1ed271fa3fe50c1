//! A model of the kernel: descriptor numbers, sockets and epoll instances.
//!
//! Each epoll instance keeps two lists of registrations: the *real* one, which the library changes beneath the application,
//! and the one that the application has *asked* for. What it may find wrong with the first by the second is found here.

use super::clock;
use super::local::{place, Local};
use super::sync::{point, trace, yield_now};
use arrayvec::ArrayVec;
use laio_core::gate::{
    ADD, DEL, EDGE, ERR, EXCLUSIVE, HUP, IN, MOD, ONESHOT, OUT, RDHUP, RDNORM, WRNORM,
};
use rustix::io::Errno;
use shuttle::current::{self, TaskId};
use shuttle::thread::{self, Thread};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

/// The flags of a registration, which its report leaves.
const FLAGS: u32 = EDGE | ONESHOT | EXCLUSIVE;

/// What a peer has done to a socket.
#[derive(Clone, Debug, Default)]
pub struct Socket {
    pub bytes: u32,
    pub ended: bool,
    pub reset: bool,
    pub full: bool,
    /// The files of the request that is in it are not in memory.
    pub cold: bool,
    /// The next part of a body is not.
    pub cold_body: bool,
    /// How often its readiness has changed.
    edges: u64,
}

impl Socket {
    fn ready(&self) -> u32 {
        let on = |condition: bool, events: u32| if condition { events } else { 0 };
        on(self.bytes > 0 || self.ended || self.reset, IN | RDNORM)
            | on(self.ended, RDHUP)
            | on(!self.full || self.reset, OUT | WRNORM)
            | on(self.reset, ERR | HUP)
    }
}

#[derive(Clone, Debug)]
struct Registration {
    fd: i32,
    file: usize,
    events: u32,
    data: u64,
    /// A one-shot interest has reported.
    disarmed: bool,
    /// Events of an edge-triggered interest that are due, where they are ready.
    due: u32,
    /// Which call of the application's it is by, and by which number of the instance.
    generation: u64,
    instance: i32,
    /// Reports of what was asked for before, which the application has not been handed, and may be later.
    late: usize,
}

#[derive(Debug, Default)]
struct Epoll {
    /// It is the library's.
    ours: bool,
    real: Vec<Registration>,
    asked: Vec<Registration>,
}

#[derive(Debug)]
enum Kind {
    Socket(Socket),
    Epoll(Epoll),
}

#[derive(Debug)]
struct File {
    kind: Kind,
    numbers: usize,
}

/// A call of `epoll_ctl`.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub struct Control {
    pub instance: i32,
    pub operation: i32,
    pub fd: i32,
    pub events: u32,
    pub data: u64,
}

/// What a wait has reported.
#[derive(Clone, Debug)]
pub struct Reported {
    pub events: u32,
    pub data: u64,
    instance: i32,
    epoll: usize,
    fd: i32,
    file: usize,
    generation: u64,
    edges: u64,
}

/// A report to a wait of this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UnderWay {
    thread: TaskId,
    fd: i32,
    file: usize,
}

#[derive(Default)]
struct Kernel {
    numbers: Vec<Option<usize>>,
    files: Vec<File>,
    waiting: Vec<Thread>,
    /// Descriptors of calls of `epoll_ctl` that have not returned.
    calls: Vec<i32>,
    /// Numbers that one of the application's threads is about to close, or has not been told of.
    claimed: HashSet<i32>,
    generation: u64,
    /// What was reported to waits that have not ended.
    under_way: Vec<UnderWay>,
    /// Files that signal handlers have registered, or that were reported by another number of the instance: a one-shot
    /// interest of theirs may report once more.
    handled: HashSet<usize>,
}

thread_local! {
    static KERNEL: RefCell<Kernel> = RefCell::default();
}

/// The application's call that is being made by this thread, as long as the kernel has not been asked.
/// A signal handler runs.
static HANDLER: Local<Cell<bool>> = Local::at(place::HANDLER);

static CALL: Local<Cell<*mut Control>> = Local::at(place::CALL);

/// The first numbers are taken.
const FIRST: usize = 3;

pub fn begin() {
    KERNEL.with_borrow_mut(|kernel| {
        *kernel = Kernel::default();
        kernel.numbers.resize(FIRST, None);
    });
}

/// One system call.
fn step<R>(act: impl FnOnce(&mut Kernel) -> R) -> R {
    point();
    let (result, woken) = KERNEL.with_borrow_mut(|kernel| {
        let result = act(kernel);
        (result, std::mem::take(&mut kernel.waiting))
    });
    woken.iter().for_each(Thread::unpark);
    result
}

/// What is known without a call.
fn look<R>(act: impl FnOnce(&Kernel) -> R) -> R {
    KERNEL.with_borrow(act)
}

/// A wait for so long.
fn wait<R>(most: Duration, mut look: impl FnMut(&mut Kernel) -> Option<R>) -> Option<R> {
    const LONG: Duration = Duration::from_millis(900);
    let found = step(&mut look);
    if found.is_some() || most.is_zero() {
        return found;
    }
    if most < LONG {
        yield_now();
        clock::pass(most);
        return step(&mut look);
    }
    loop {
        KERNEL.with_borrow_mut(|kernel| kernel.waiting.push(thread::current()));
        let found = KERNEL.with_borrow_mut(&mut look);
        if found.is_some() {
            return found;
        }
        thread::park();
    }
}

impl Kernel {
    fn file(&self, fd: i32) -> Result<usize, Errno> {
        let number = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        self.numbers
            .get(number)
            .copied()
            .flatten()
            .ok_or(Errno::BADF)
    }

    fn socket(&mut self, fd: i32) -> Result<&mut Socket, Errno> {
        let file = self.file(fd)?;
        match &mut self.files[file].kind {
            Kind::Socket(socket) => Ok(socket),
            Kind::Epoll(_) => Err(Errno::NOTSOCK),
        }
    }

    fn epoll(&mut self, fd: i32) -> Result<&mut Epoll, Errno> {
        let file = self.file(fd)?;
        match &mut self.files[file].kind {
            Kind::Epoll(epoll) => Ok(epoll),
            Kind::Socket(_) => Err(Errno::INVAL),
        }
    }

    fn ready(&self, file: usize) -> u32 {
        match &self.files[file].kind {
            Kind::Socket(socket) => socket.ready(),
            Kind::Epoll(epoll) => {
                let rings = epoll.real.iter().any(|r| self.reports(r) != 0);
                if rings {
                    IN
                } else {
                    0
                }
            }
        }
    }

    /// What a registration has to tell.
    fn reports(&self, registration: &Registration) -> u32 {
        let Registration {
            events,
            file,
            disarmed,
            due,
            ..
        } = *registration;
        let due = if events & EDGE != 0 { due } else { u32::MAX };
        if disarmed || due == 0 {
            return 0;
        }
        self.ready(file) & (events | ERR | HUP)
    }

    fn lowest(&mut self, least: usize) -> usize {
        let free = (least..).find(|&number| self.numbers.get(number).copied().flatten().is_none());
        let number = free.unwrap();
        let count = self.numbers.len().max(number + 1);
        self.numbers.resize(count, None);
        number
    }

    fn open(&mut self, kind: Kind) -> i32 {
        let number = self.lowest(FIRST);
        self.files.push(File { kind, numbers: 1 });
        self.numbers[number] = Some(self.files.len() - 1);
        number as i32
    }

    fn share(&mut self, file: usize, number: usize) -> i32 {
        self.numbers[number] = Some(file);
        self.files[file].numbers += 1;
        number as i32
    }

    fn close(&mut self, fd: i32) -> Result<(), Errno> {
        let file = self.file(fd)?;
        self.numbers[fd as usize] = None;
        self.claimed.remove(&fd);
        self.files[file].numbers -= 1;
        if self.files[file].numbers == 0 {
            for other in &mut self.files {
                if let Kind::Epoll(epoll) = &mut other.kind {
                    epoll.real.retain(|r| r.file != file);
                    epoll.asked.retain(|r| r.file != file);
                }
            }
            self.files[file].kind = Kind::Epoll(Epoll {
                ours: true,
                ..Epoll::default()
            });
        }
        Ok(())
    }

    /// The readiness of a socket has changed.
    fn change(&mut self, fd: i32, change: impl FnOnce(&mut Socket)) {
        let Ok(socket) = self.socket(fd) else { return };
        change(socket);
        socket.edges += 1;
        let file = self.file(fd).unwrap();
        for other in &mut self.files {
            if let Kind::Epoll(epoll) = &mut other.kind {
                let lists = epoll.real.iter_mut().chain(&mut epoll.asked);
                lists
                    .filter(|r| r.file == file)
                    .for_each(|r| r.due = u32::MAX);
            }
        }
    }

    /// A call and reports of a descriptor cross: for a moment it is known under the one cookie or the other.
    fn cross(&mut self, fd: i32) {
        let Ok(file) = self.file(fd) else { return };
        let late = self.under_way(fd, file);
        for other in &mut self.files {
            if let Kind::Epoll(epoll) = &mut other.kind {
                let its = epoll
                    .asked
                    .iter_mut()
                    .filter(|r| (r.fd, r.file) == (fd, file));
                its.for_each(|r| r.late += late);
            }
        }
    }

    /// A report to this thread is not under way any more.
    fn leave(&mut self, fd: i32, file: usize) {
        let thread = current::me();
        let its = UnderWay { thread, fd, file };
        if let Some(at) = self.under_way.iter().position(|other| *other == its) {
            self.under_way.swap_remove(at);
        }
    }

    /// Whether the application has registered this by another number of the instance.
    fn is_alias(&self, epoll: usize, instance: i32, fd: i32, file: usize) -> bool {
        let Kind::Epoll(epoll) = &self.files[epoll].kind else {
            return false;
        };
        let mut asked = epoll.asked.iter();
        asked.any(|r| (r.fd, r.file) == (fd, file) && r.instance != instance)
    }

    /// How many reports of a registration are under way to other threads.
    fn under_way(&self, fd: i32, file: usize) -> usize {
        let me = current::me();
        let is_its = |w: &&UnderWay| w.thread != me && (w.fd, w.file) == (fd, file);
        self.under_way.iter().filter(is_its).count()
    }

    fn edges(&self, file: usize) -> u64 {
        match &self.files[file].kind {
            Kind::Socket(socket) => socket.edges,
            Kind::Epoll(_) => 0,
        }
    }

    /// The events of up to so many registrations.
    fn collect(&mut self, instance: i32, most: usize) -> Result<Vec<Reported>, Errno> {
        let epoll = self.file(instance)?;
        let count = self.epoll(instance)?.real.len();
        let mut reported = Vec::new();
        for index in 0..count {
            let Kind::Epoll(state) = &self.files[epoll].kind else {
                break;
            };
            let events = self.reports(&state.real[index]);
            if events == 0 || reported.len() == most {
                continue;
            }
            let Registration {
                fd,
                file,
                data,
                generation,
                ..
            } = state.real[index];
            let edges = self.edges(file);
            reported.push(Reported {
                instance,
                events,
                data,
                epoll,
                fd,
                file,
                generation,
                edges,
            });
            let found = &mut self.epoll(instance)?.real[index];
            found.due = 0;
            found.disarmed = found.events & ONESHOT != 0;
            let thread = current::me();
            self.under_way.push(UnderWay { thread, fd, file });
            let crosses = usize::from(self.calls.contains(&fd));
            let epoll = self.epoll(instance)?;
            let its = |r: &&mut Registration| (r.fd, r.file) == (fd, file);
            let asked = epoll.asked.iter_mut().find(its);
            asked.into_iter().for_each(|r| r.late += crosses);
        }
        // The next wait begins with the others.
        if count > 0 {
            self.epoll(instance)?
                .real
                .rotate_left(reported.len() % count);
        }
        Ok(reported)
    }
}

impl Epoll {
    fn control(
        list: &mut Vec<Registration>,
        call: Control,
        file: usize,
        generation: u64,
        late: usize,
    ) -> Result<(), Errno> {
        let Control {
            operation,
            fd,
            events,
            data,
            ..
        } = call;
        let place = list.iter().position(|r| r.fd == fd && r.file == file);
        let fresh = Registration {
            fd,
            file,
            events,
            data,
            disarmed: false,
            due: u32::MAX,
            generation,
            instance: call.instance,
            late,
        };
        match (operation, place) {
            (ADD, None) => list.push(fresh),
            (ADD, Some(_)) => return Err(Errno::EXIST),
            (_, None) => return Err(Errno::NOENT),
            (MOD, Some(at)) => {
                if (list[at].events | events) & EXCLUSIVE != 0 {
                    return Err(Errno::INVAL);
                }
                list[at] = fresh;
            }
            (_, Some(at)) => drop(list.remove(at)),
        }
        Ok(())
    }
}

/// What the application asks for, as `given` by the library.
fn control_as_asked(kernel: &mut Kernel, asked: Control, given: Control) -> Result<(), Errno> {
    let file = kernel.file(asked.fd)?;
    // An instance in another one is beyond this model.
    kernel.socket(asked.fd).map_err(|_| Errno::INVAL)?;
    if HANDLER.get() {
        kernel.handled.insert(file);
    }
    kernel.generation += 1;
    let generation = kernel.generation;
    let late = kernel.under_way(asked.fd, file);
    let epoll = kernel.epoll(asked.instance)?;
    let real = Epoll::control(&mut epoll.real, given, file, generation, late);
    let wanted = Epoll::control(&mut epoll.asked, asked, file, generation, late);
    assert_eq!(real, wanted, "{asked:?} comes out otherwise");
    real
}

/// What the library does by itself.
fn control_by_itself(kernel: &mut Kernel, call: Control) -> Result<(), Errno> {
    let file = kernel.file(call.fd)?;
    kernel.socket(call.fd).map_err(|_| Errno::INVAL)?;
    // A report may cross a completion, of which the kernel tells nobody: then there is another one.
    let late = kernel.under_way(call.fd, file);
    let epoll = kernel.epoll(call.instance)?;
    let is_its = |r: &&Registration| r.fd == call.fd && r.file == file;
    let asked = epoll.asked.iter().find(is_its).cloned();
    let place = epoll
        .asked
        .iter()
        .position(|r| r.fd == call.fd && r.file == file);
    let generation = asked.as_ref().map_or(0, |asked| asked.generation);
    Epoll::control(&mut epoll.real, call, file, generation, 0)?;
    if !epoll.ours {
        let Some(asked) = asked else {
            panic!("{call:?} changes what the application has not registered");
        };
        if call.operation != DEL {
            assert_eq!(
                asked.data, call.data,
                "{call:?} has another cookie than {asked:?}"
            );
            let more = call.events & !asked.events;
            assert_eq!(more, 0, "{call:?} is more than {asked:?}");
            if let Some(asked) = place.and_then(|at| epoll.asked.get_mut(at)) {
                asked.late += late;
            }
        }
    }
    Ok(())
}

/// The application calls `epoll_ctl` by a hook, which is `hooked` with what asks the kernel.
pub fn application_control(mut call: Control, hooked: impl FnOnce(&dyn Fn() -> i32) -> i32) -> i32 {
    let asked = call;
    let outer = CALL.with(|cell| cell.replace(&raw mut call));
    KERNEL.with_borrow_mut(|kernel| {
        kernel.calls.push(call.fd);
        kernel.cross(call.fd);
    });
    let real = || {
        CALL.set(std::ptr::null_mut());
        let result = step(|kernel| control_as_asked(kernel, asked, asked));
        trace(("asked", asked, result.is_ok()), true);
        if result.is_ok() {
            0
        } else {
            -1
        }
    };
    let result = hooked(&real);
    CALL.set(outer);
    KERNEL.with_borrow_mut(|kernel| {
        let at = kernel.calls.iter().position(|fd| *fd == asked.fd);
        if let Some(at) = at {
            kernel.calls.swap_remove(at);
        }
    });
    result
}

/// A signal handler runs, which may call as well.
pub fn aside<R>(handler: impl FnOnce() -> R) -> R {
    let outer = CALL.with(|cell| cell.replace(std::ptr::null_mut()));
    HANDLER.set(true);
    let result = handler();
    HANDLER.set(false);
    CALL.set(outer);
    result
}

pub fn epoll_ctl(
    instance: i32,
    operation: i32,
    fd: i32,
    events: u32,
    data: u64,
) -> Result<(), Errno> {
    let call = Control {
        instance,
        operation,
        fd,
        events,
        data,
    };
    let place = CALL.get();
    // SAFETY: the call is on the stack of this thread, in a frame that has not ended.
    let asked = unsafe { place.as_ref() }.copied();
    let is_part = |asked: &Control| {
        (asked.instance, asked.operation, asked.fd, asked.data) == (instance, operation, fd, data)
            && asked.events != events
            && events & !asked.events == 0
    };
    let result = match asked.filter(is_part) {
        Some(asked) => {
            CALL.set(std::ptr::null_mut());
            step(|kernel| control_as_asked(kernel, asked, call))
        }
        None => step(|kernel| control_by_itself(kernel, call)),
    };
    trace(("ours", call, result.is_ok()), true);
    result
}

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

/// The application is handed these events, of those that were reported to the library.
pub fn deliver(reported: &mut Vec<Reported>, events: u32, data: u64) {
    let is_its = |r: &Reported| r.data == data && events & !r.events == 0;
    let is_same = |r: &Reported| r.data == data && events == r.events;
    let same = reported.iter().rposition(is_same);
    let Some(at) = same.or_else(|| reported.iter().rposition(is_its)) else {
        panic!("{events:x} of {data} was not reported: {reported:?}");
    };
    let Reported {
        instance,
        epoll,
        fd,
        file,
        generation,
        edges,
        ..
    } = reported.remove(at);
    trace(("delivered", fd, events, generation), true);
    KERNEL.with_borrow_mut(|kernel| {
        kernel.leave(fd, file);
        let edges_now = kernel.edges(file);
        let alias = kernel.is_alias(epoll, instance, fd, file);
        if alias {
            kernel.handled.insert(file);
        }
        let handled = kernel.handled.contains(&file);
        let Kind::Epoll(epoll) = &mut kernel.files[epoll].kind else {
            return;
        };
        let is_its =
            |r: &&mut Registration| r.fd == fd && r.file == file && r.generation == generation;
        let Some(asked) = epoll.asked.iter_mut().find(is_its) else {
            return;
        };
        let more = events & !(asked.events | ERR | HUP);
        assert_eq!(more, 0, "{asked:?} reports {events:x}");
        if asked.disarmed && asked.late > 0 {
            asked.late -= 1;
        } else {
            assert!(!asked.disarmed || handled, "{asked:x?} reports once more");
        }
        asked.disarmed = asked.events & ONESHOT != 0;
        if edges == edges_now {
            asked.due &= !events;
        }
    });
}

/// The wait has ended, and these were not handed out.
pub fn end_wait(reported: &[Reported]) {
    KERNEL.with_borrow_mut(|kernel| {
        reported.iter().for_each(|r| kernel.leave(r.fd, r.file));
    });
}

/// All is quiet: each registration must be as the application asked for it, and nothing that is due may be missing.
pub fn check() {
    look(|kernel| {
        for file in &kernel.files {
            let Kind::Epoll(epoll) = &file.kind else {
                continue;
            };
            if epoll.ours {
                continue;
            }
            assert_eq!(epoll.real.len(), epoll.asked.len());
            for asked in &epoll.asked {
                let is_its = |r: &&Registration| (r.fd, r.file) == (asked.fd, asked.file);
                let real = epoll.real.iter().find(is_its).unwrap();
                // Of what has reported the application owes the next step.
                let events = if asked.disarmed {
                    asked.events
                } else {
                    real.events
                };
                assert_eq!(
                    (events, real.data),
                    (asked.events, asked.data),
                    "masked for ever: {real:x?} {asked:x?}"
                );
                if kernel.file(asked.fd) != Ok(asked.file) {
                    // Its number was closed while its report was on its way: nobody can tell that from one that was handed out.
                    continue;
                }
                let handled = kernel.handled.contains(&asked.file) && asked.disarmed;
                let more = handled || asked.disarmed && asked.late > 0;
                assert!(
                    real.disarmed == asked.disarmed || more,
                    "a one-shot interest: {real:x?} {asked:x?}"
                );
                let owed = kernel.ready(asked.file) & asked.events & asked.due;
                let is_lost =
                    asked.events & EDGE != 0 && !asked.disarmed && owed != 0 && real.due == 0;
                assert!(!is_lost, "an edge is lost: {owed:x} of {asked:x?}");
            }
        }
    });
}

/// How a number is registered by the application: instance, events, cookie, of each number that the instance has.
pub fn asked(fd: i32) -> Vec<(i32, u32, u64)> {
    look(|kernel| {
        let Ok(file) = kernel.file(fd) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (number, of) in kernel.numbers.iter().enumerate() {
            let Some(Kind::Epoll(epoll)) = of.map(|of| &kernel.files[of].kind) else {
                continue;
            };
            let its = epoll.asked.iter().filter(|r| (r.fd, r.file) == (fd, file));
            found.extend(its.map(|r| (number as i32, r.events, r.data)));
        }
        found
    })
}
