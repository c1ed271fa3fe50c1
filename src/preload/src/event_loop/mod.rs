//! One thread that waits for its connections: what it knows, and what it decides.

mod admit;
mod ahead;
mod answers;
mod body;
mod closing;
mod cold;
mod current;
mod elsewhere;
pub mod epoll_wait;
mod followed;
mod frames;
mod hearing;
pub mod held_wait;
mod holding;
mod lines;
mod mapped;
mod observed;
mod operation;
mod reading;
mod repeated;
pub mod reporting;
mod request;
mod sealed;
mod state;
mod study;
pub mod time;
mod width;

pub use body::Transfer;
pub use current::{
    abandon, accepts_here, has_waited_unseen, here, is_in_use, is_of_a_loop, last_sealed, prepare,
    recover, waits_here, LoopHandle,
};
pub use operation::{Asked, Operation, Subject};
pub use reading::Verdict;
pub use state::EventLoop;
