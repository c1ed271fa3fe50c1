//! `epoll_ctl`, by the application or by the library itself.

use super::*;

impl Epoll {
    pub(super) fn control(
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
