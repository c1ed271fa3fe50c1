//! The library's hooks, and what they find beside them.

library!(pub descriptor, "../../../../src/preload/src/hooks/descriptor.rs");
library!(pub registration, "../../../../src/preload/src/hooks/registration.rs");

mod restriction {
    pub fn restricted<R>(real: impl FnOnce() -> R) -> R {
        real()
    }
}
