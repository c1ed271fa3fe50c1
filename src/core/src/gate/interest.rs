//! What an application waits for, and what the kernel is told: the terms of `epoll`.

/// `EPOLLIN`
pub const IN: u32 = 0x001;
/// `EPOLLOUT`
pub const OUT: u32 = 0x004;
/// `EPOLLERR`
pub const ERR: u32 = 0x008;
/// `EPOLLHUP`
pub const HUP: u32 = 0x010;
/// `EPOLLRDNORM`
pub const RDNORM: u32 = 0x040;
/// `EPOLLRDBAND`
pub const RDBAND: u32 = 0x080;
/// `EPOLLWRNORM`
pub const WRNORM: u32 = 0x100;
/// `EPOLLWRBAND`
pub const WRBAND: u32 = 0x200;
/// `EPOLLRDHUP`
pub const RDHUP: u32 = 0x2000;
/// `EPOLLEXCLUSIVE`
pub const EXCLUSIVE: u32 = 1 << 28;
/// `EPOLLONESHOT`
pub const ONESHOT: u32 = 1 << 30;
/// `EPOLLET`
pub const EDGE: u32 = 1 << 31;

/// Which side of a connection is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request has not arrived yet, as far as the server is told.
    Read,
    /// The client takes no more of the body yet, as far as the server is told.
    Write,
}

impl Side {
    /// Both.
    pub const BOTH: [Side; 2] = [Side::Read, Side::Write];

    /// The events that are held back. `poll` has the same bits.
    pub const fn events(self) -> u32 {
        match self {
            Side::Read => IN | RDNORM | RDBAND | RDHUP,
            Side::Write => OUT | WRNORM | WRBAND,
        }
    }
}

/// `EPOLL_CTL_ADD`
pub const ADD: i32 = 1;
/// `EPOLL_CTL_DEL`
pub const DEL: i32 = 2;
/// `EPOLL_CTL_MOD`
pub const MOD: i32 = 3;

/// One `epoll_ctl` call on the descriptor that the state belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// The epoll instance.
    pub instance: i32,
    /// [`ADD`], [`MOD`] or [`DEL`].
    pub operation: i32,
    /// The interest.
    pub events: u32,
    /// The application's own cookie.
    pub data: u64,
}

/// Up to two calls, in order: an exclusive interest cannot be modified, only removed and added.
pub type Controls = arrayvec::ArrayVec<Control, 2>;
