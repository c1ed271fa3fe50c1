//! How a connection is registered with an epoll instance.

use super::interest::*;

/// The application's registration, as it asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) instance: i32,
    pub(super) events: u32,
    pub(super) data: u64,
}

impl Registration {
    /// Whether what is there is reported once, and not until it is gone or asked for anew.
    pub(super) fn is_edge(self) -> bool {
        self.events & (EDGE | ONESHOT) == EDGE
    }

    pub(super) fn controls(self, events: u32) -> Controls {
        let Registration { instance, data, .. } = self;
        let control = |operation| Control {
            instance,
            operation,
            events,
            data,
        };
        let exclusive = self.events & EXCLUSIVE != 0;
        let operations: &[i32] = if exclusive { &[DEL, ADD] } else { &[MOD] };
        operations
            .iter()
            .map(|&operation| control(operation))
            .collect()
    }
}

/// What the kernel has reported: of which registration, as it was asked for last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    pub(super) arms: u32,
    pub(super) one_shot: bool,
}

impl Reported {
    /// Whether it was for one event only.
    pub fn is_one_shot(self) -> bool {
        self.one_shot
    }
}
