//! Threads of an application and of the library in many orders.
//!
//! Each test makes `LAIO_MODEL` executions (a few thousand where that is not set), or as many as there are.

use laio_core::gate::{EDGE, EXCLUSIVE, ONESHOT};
use laio_model::application::{self as app, Act, Loop};
use laio_model::check::{different, execution};
use shuttle::rand::{thread_rng, Rng};
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::spawn;
use shuttle::{Config, MaxSteps, Runner};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// How many executions a test makes.
fn executions() -> usize {
    let asked = std::env::var("LAIO_MODEL").ok();
    asked.map_or(2000, |asked| asked.parse().expect("LAIO_MODEL is a number"))
}

/// The same for short programs, of which few executions are of interest.
fn many() -> usize {
    executions().max(20_000)
}

/// Few executions are the same ones each time.
fn seed() -> u64 {
    match std::env::var_os("LAIO_MODEL") {
        Some(_) => RandomState::new().hash_one(0),
        None => 1,
    }
}

/// The library has its state in statics: one test after the other.
static ONE: Mutex<()> = Mutex::new(());

fn explore(scheduler: impl Scheduler + 'static, act: impl Fn() + Send + Sync + 'static) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = MaxSteps::FailAfter(100_000);
    config.silence_warnings = true;
    let count = Runner::new(scheduler, config).run(act);
    println!(
        "{count} executions, {} different interleavings",
        different()
    );
}

/// A loop, a second one, and a thread that does whatever comes to its mind.
fn anything(signals: bool) {
    let fine = thread_rng().gen();
    let polls = thread_rng().gen_bool(0.2);
    execution(fine, || {
        let length = 8;
        app::prepare();
        let first = app::steps(length, true, false);
        let second = app::steps(length / 2, true, false);
        let third = app::steps(length, false, signals);
        let threads = [
            spawn(move || {
                let of_loop = Loop::begin(0, polls);
                app::run(&first, Some(&of_loop));
                of_loop.end();
            }),
            spawn(move || {
                let of_loop = Loop::begin(1, false);
                app::run(&second, Some(&of_loop));
                of_loop.end();
            }),
            spawn(move || app::run(&third, None)),
        ];
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn random_programs_in_random_orders() {
    explore(RandomScheduler::new_from_seed(seed(), executions()), || {
        anything(false)
    });
}

#[test]
fn random_programs_by_priorities() {
    explore(PctScheduler::new_from_seed(seed(), 4, executions()), || {
        anything(false)
    });
}

#[test]
fn random_programs_with_signal_handlers() {
    explore(RandomScheduler::new_from_seed(seed(), executions()), || {
        anything(true)
    });
}

/// Without it, a request could wait for ever: whoever restores or changes its registration, rings, or wakes a thread of the
/// library may do so at a moment at which nobody hears it.
fn every_request_is_answered(polls: bool) {
    explore(
        RandomScheduler::new_from_seed(seed(), executions()),
        move || {
            let mut random = thread_rng();
            let fine = random.gen();
            let flags = [0, EDGE, ONESHOT, EDGE | ONESHOT][random.gen_range(0..4)];
            let how = random.gen_range(0..5);
            execution(fine, || {
                app::prepare_to_serve(flags);
                let threads = [
                    spawn(move || app::serve(flags, polls, 6)),
                    spawn(move || app::meddle(flags, how)),
                    spawn(app::ask_again),
                ];
                for thread in threads {
                    thread.join().unwrap();
                }
            });
        },
    );
}

#[test]
fn every_request_is_answered_in_epoll() {
    every_request_is_answered(false);
}

#[test]
fn every_request_is_answered_in_poll() {
    every_request_is_answered(true);
}

/// Without it, the gate of a connection could be closed for ever by who has seen the last one of its number.
#[test]
fn numbers_are_used_again() {
    explore(PctScheduler::new_from_seed(seed(), 3, many()), || {
        let polls = thread_rng().gen();
        execution(true, || {
            app::prepare_to_serve(0);
            let threads = [
                spawn(move || app::wait_often(polls, 4)),
                spawn(app::accept_again),
            ];
            for thread in threads {
                thread.join().unwrap();
            }
        });
    });
}

/// Without it, what one thread is told of while another one holds it back could be reported to nobody, where a third one
/// registers it elsewhere.
#[test]
fn what_is_held_back_is_reported_again() {
    explore(PctScheduler::new_from_seed(seed(), 3, many()), || {
        let how = thread_rng().gen_range(0..8);
        execution(true, || {
            app::prepare_to_send();
            let threads = [
                spawn(|| app::wait_often(false, 2)),
                spawn(app::send),
                spawn(move || app::register_elsewhere(how)),
            ];
            for thread in threads {
                thread.join().unwrap();
            }
        });
    });
}

/// All orders of the locks and calls of two threads while a gate is closed.
#[test]
fn two_threads_in_all_orders() {
    let flags = [0, EDGE, ONESHOT, EXCLUSIVE];
    let pairs = Act::ALL.into_iter().enumerate();
    let pairs =
        pairs.flat_map(|(at, first)| Act::ALL[at..].iter().map(move |&second| (first, second)));
    // Two threads that close one number would close what is not theirs.
    let is_sound = |pair: &(Act, Act)| *pair != (Act::CloseInstance, Act::CloseInstance);
    for (first, second) in pairs.filter(is_sound) {
        for flags in flags {
            println!("{first:?} {second:?} {flags:x}");
            explore(DfsScheduler::new(Some(executions()), false), move || {
                execution(false, || {
                    let ticket = Act::prepare(flags);
                    let threads = [first, second].map(|act| spawn(move || act.run(flags, ticket)));
                    for thread in threads {
                        thread.join().unwrap();
                    }
                    Act::settle(ticket);
                });
            });
        }
    }
}

/// Without it, what a signal handler does to a connection that its thread has locked could be undone, or undo what is owed.
#[test]
fn a_handler_comes_where_a_connection_is_locked() {
    const LOCKS: usize = 4;
    for outer in Act::INTERRUPTED {
        let pairs = Act::HANDLERS.into_iter();
        let pairs = pairs.flat_map(|first| Act::HANDLERS.map(|second| [first, second]));
        // What is closed once is another one's, and lives on under another number.
        let is_sound = |pair: &[Act; 2]| pair[0] != pair[1] && *pair != [Act::Dup, Act::Close];
        for handler in pairs.filter(is_sound) {
            for flags in [0, EDGE, ONESHOT, EXCLUSIVE] {
                for locks in 1..=LOCKS {
                    println!("{outer:?} {handler:?} {flags:x} {locks}");
                    explore(DfsScheduler::new(Some(executions()), false), move || {
                        execution(false, || {
                            let ticket = Act::prepare(flags);
                            outer.interrupted(handler, locks, flags, ticket);
                            Act::settle(ticket);
                        });
                    });
                }
            }
        }
    }
}
