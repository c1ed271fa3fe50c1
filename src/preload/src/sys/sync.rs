//! What threads share: mutexes, atomic variables, and giving way.
//!
//! They are the standard library's. What decides about readiness, and the helpers' queue, take them from here, because
//! the model test (`tests/model`) compiles those files with a model checker's in their place.

pub use std::sync::{atomic, RwLock};
pub use std::thread::yield_now;
