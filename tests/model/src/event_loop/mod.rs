//! One thread that waits for its connections: the library's gates and waits, around a loop that looks at requests of the model.

library!(admit, "../../../../src/preload/src/event_loop/admit.rs");
mod body;
library!(closing, "../../../../src/preload/src/event_loop/closing.rs");
mod current;
library!(pub epoll_wait, "../../../../src/preload/src/event_loop/epoll_wait.rs");
library!(pub held_wait, "../../../../src/preload/src/event_loop/held_wait.rs");
library!(holding, "../../../../src/preload/src/event_loop/holding.rs");
mod request;
mod state;
library!(pub time, "../../../../src/preload/src/event_loop/time.rs");

pub use current::{accepts_here, begin, end, here, LoopHandle};
pub use state::EventLoop;
