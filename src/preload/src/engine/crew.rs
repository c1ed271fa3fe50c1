//! All threads of the library in this process, so that they can be sent away.
//!
//! A thread keeps the rights that its maker had: the kernel applies a seccomp filter, a Landlock
//! domain, new namespaces and given-up capabilities to the calling thread only. Before the application
//! restricts itself, all of ours therefore leave, and their process is as it would be without them.
//! Event loops start others when they next need them, as restricted as the loop is by then.

use super::pool::Pool;
use crate::guest::clock::pause;
use crate::guest::lock::{Lock, Signal};
use crate::guest::program;
use crate::guest::thread::{self, is_alive};
use rustix::io::Errno;
use rustix::thread::gettid;
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::*};
use std::sync::{Arc, MutexGuard, Weak};
use std::time::Duration;

/// The threads of one process and the pools that they work for.
#[derive(Default)]
struct Crew {
    pools: Lock<Vec<Weak<Pool>>>,
    threads: Lock<Threads>,
    gone: Signal,
}

#[derive(Default)]
struct Threads {
    at_work: usize,
    /// Done with our code, but perhaps not out of the process yet.
    leaving: Vec<i32>,
}

static CREW: AtomicPtr<Crew> = AtomicPtr::new(null_mut());

/// This process's crew, where it has ever had one.
fn present() -> Option<&'static Crew> {
    // SAFETY: what was once published is never freed.
    unsafe { CREW.load(Acquire).as_ref() }
}

fn crew() -> &'static Crew {
    present().unwrap_or_else(|| {
        let new = Box::into_raw(Box::<Crew>::default());
        match CREW.compare_exchange(null_mut(), new, AcqRel, Acquire) {
            // SAFETY: published just now, and never freed.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: another thread was first; this one was never published, the other is not freed.
                unsafe {
                    drop(Box::from_raw(new));
                    &*other
                }
            }
        }
    })
}

/// After a fork: the threads are the parent's. Without a lock, whose owner may not exist here.
pub fn abandon() {
    CREW.store(null_mut(), Release);
}

/// A pool is about to start its first thread. While the guard lives nobody is sent away.
pub fn admit(pool: &Arc<Pool>) -> MutexGuard<'static, Vec<Weak<Pool>>> {
    let mut pools = crew().pools.lock();
    pools.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&Arc::downgrade(pool)));
    pools.push(Arc::downgrade(pool));
    pools
}

/// A thread is about to be started that belongs to no pool. While the guard lives nobody is sent away.
pub fn hold() -> MutexGuard<'static, Vec<Weak<Pool>>> {
    crew().pools.lock()
}

/// The same for a thread of the crew, which may be the one that is sent away: whoever sends it holds that lock and waits
/// for it. Nothing where that is so, or where another thread is being started.
pub fn try_hold() -> Option<MutexGuard<'static, Vec<Weak<Pool>>>> {
    crew().pools.try_lock()
}

/// A thread of the crew does something that may take for ever: nobody waits for it meanwhile.
pub fn aside<R>(act: impl FnOnce() -> R) -> R {
    let crew = crew();
    crew.threads.lock().at_work -= 1;
    crew.gone.wake_all();
    let result = act();
    crew.threads.lock().at_work += 1;
    result
}

/// Starts a thread.
pub fn spawn(name: &'static CStr, run: impl FnOnce() + Send + 'static) -> Result<(), Errno> {
    let crew = crew();
    crew.threads.lock().at_work += 1;
    let spawned = thread::spawn(name, move || {
        run();
        crew.leave(Some(gettid().as_raw_nonzero().get()));
    });
    if spawned.is_err() {
        crew.leave(None);
    }
    spawned
}

/// Sends all threads away and waits until they are gone; the gates that they were to open are open.
/// Those who are inside a read come back from it first.
pub fn dismiss() {
    let Some(crew) = present().filter(|_| program::is_same_process()) else {
        return;
    };
    let pools = crew.pools.lock();
    let mut working: Vec<_> = pools.iter().filter_map(Weak::upgrade).collect();
    working.retain(|pool| pool.send_away());
    crate::native::send_helpers_away();
    crew.wait_until_gone();
    working.iter().for_each(|pool| pool.are_gone());
}

impl Crew {
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
        let leaving = std::mem::take(&mut threads.leaving);
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
