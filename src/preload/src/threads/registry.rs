//! All threads of the library in this process, so that they can be dismissed.
//!
//! A thread keeps the rights that its maker had: the kernel applies a seccomp filter, a Landlock
//! domain, new namespaces and given-up capabilities to the calling thread only. Before the application
//! restricts itself, all of ours therefore leave, and their process is as it would be without them.
//! Event loops start others when they next need them, as restricted as the loop is by then.

use super::alive::is_alive;
use super::thread;
use crate::sys::clock::pause;
use crate::sys::lock::{Guard, Lock, Order, Signal};
use crate::sys::process;
use crate::sys::published::Published;
use rustix::io::Errno;
use rustix::thread::gettid;
use std::ffi::CStr;
use std::mem::{forget, take};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Whoever has threads here.
pub trait Employer: Send + Sync {
    /// Its threads leave as soon as they can, and what they were to do is done or left. Tells whether there were any.
    fn dismiss(&self) -> bool;

    /// Those who were dismissed are gone: others may be started.
    fn are_gone(&self);
}

type Employers = Vec<Weak<dyn Employer>>;

/// The threads of one process, and those who have started them.
struct Registry {
    employers: Lock<Employers>,
    threads: Lock<Threads>,
    gone: Signal,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry {
            employers: Lock::new(Order::Employers, Employers::new()),
            threads: Lock::new(Order::Queue, Threads::default()),
            gone: Signal::default(),
        }
    }
}

#[derive(Default)]
struct Threads {
    at_work: usize,
    /// Done with our code, but perhaps not out of the process yet.
    leaving: Vec<i32>,
}

/// This process's, where it has ever had threads of ours.
static REGISTRY: Published<Registry> = Published::new();

fn registry() -> &'static Registry {
    let new = || REGISTRY.publish(Box::default());
    REGISTRY.get().unwrap_or_else(new)
}

/// After a fork: the threads are the parent's. Without a lock, whose owner may not exist here.
pub fn abandon() {
    REGISTRY.leave_behind();
}

/// A signal handler has jumped out of the library on this thread, which may have been starting threads.
pub fn recover() {
    if let Some(registry) = REGISTRY.get() {
        registry
            .threads
            .take_over(|threads| forget(take(&mut threads.leaving)));
        registry
            .employers
            .take_over(|employers| forget(take(employers)));
    }
}

/// While it lives threads may be started: nobody is dismissed.
pub struct Permission(#[allow(dead_code)] Guard<'static, Employers>);

/// An employer is about to start its first thread.
pub fn admit<E: Employer + 'static>(employer: &Arc<E>) -> Permission {
    let new: Weak<dyn Employer> = Arc::downgrade(employer) as _;
    let mut employers = registry().employers.lock();
    employers.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&new));
    employers.push(new);
    Permission(employers)
}

/// A thread is about to be started, by an employer that was admitted or by none. Threads of ours need not hold this: as long
/// as one is there, whoever dismisses them waits.
pub fn hold() -> Permission {
    Permission(registry().employers.lock())
}

/// A thread of ours does something that may take for ever: nobody waits for it meanwhile.
pub fn aside<R>(act: impl FnOnce() -> R) -> R {
    let registry = registry();
    registry.threads.lock().at_work -= 1;
    registry.gone.wake_all();
    let result = act();
    registry.threads.lock().at_work += 1;
    result
}

/// Starts a thread.
pub fn spawn(name: &'static CStr, run: impl FnOnce() + Send + 'static) -> Result<(), Errno> {
    let registry = registry();
    registry.threads.lock().at_work += 1;
    let spawned = thread::spawn(name, move || {
        run();
        registry.leave(Some(gettid().as_raw_nonzero().get()));
    });
    if spawned.is_err() {
        registry.leave(None);
    }
    spawned
}

/// Whether the program has other threads than the calling one and ours. Where that cannot be found out, it has.
pub fn are_others() -> bool {
    let ours = REGISTRY.get().map_or(0, |registry| {
        let threads = registry.threads.lock();
        let leaving = threads.leaving.iter().filter(|thread| is_alive(**thread));
        threads.at_work + leaving.count()
    });
    // A directory of a directory each: its links are those, `.` and its name.
    let all = rustix::fs::stat("/proc/self/task").map_or(usize::MAX, |it| it.st_nlink as usize);
    all > ours + 1 + 2
}

/// Dismisses all threads and waits until they are gone; the gates that they were to open are open.
/// Those who are inside a read come back from it first.
pub fn dismiss() {
    let Some(registry) = REGISTRY.get().filter(|_| process::is_same_process()) else {
        return;
    };
    let employers = registry.employers.lock();
    let mut dismissing: Vec<_> = employers.iter().filter_map(Weak::upgrade).collect();
    dismissing.retain(|employer| employer.dismiss());
    registry.wait_until_gone();
    dismissing.iter().for_each(|employer| employer.are_gone());
}

impl Registry {
    fn leave(&self, thread: Option<i32>) {
        let mut threads = self.threads.lock();
        threads.at_work -= 1;
        threads.leaving.retain(|other| is_alive(*other));
        threads.leaving.extend(thread);
        drop(threads);
        self.gone.wake_all();
    }

    fn wait_until_gone(&self) {
        let mut threads = self.threads.lock();
        while threads.at_work > 0 {
            threads = self.gone.wait(threads);
        }
        let leaving = take(&mut threads.leaving);
        drop(threads);
        // The kernel takes a moment. Longer than that it is another thread that has got the number.
        for _ in 0..1000 {
            if !leaving.iter().any(|thread| is_alive(*thread)) {
                break;
            }
            pause(Duration::from_micros(100));
        }
    }
}
