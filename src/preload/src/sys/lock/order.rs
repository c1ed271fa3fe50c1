//! The one order in which locks are taken.

/// Where a lock stands: a thread that has one waits only for those that come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Order {
    /// Those who have threads, while one is started or all are dismissed.
    Employers,
    /// The operations of the paper's interface.
    Operations,
    /// What they wait with.
    Watch,
    /// A queue of tasks, finished jobs, free jobs, or the list of threads: one at a time.
    Queue,
    /// Files that are held.
    Pins,
    /// A connection's body.
    Stream,
    /// A connection's gates, over the `epoll_ctl` that must agree with them.
    Gates,
    /// A connection's TLS session.
    Session,
    /// What a client has sent by HTTP/2.
    Requests,
    /// The contexts of TLS libraries.
    Contexts,
    /// Memory, and nothing after it.
    Memory,
}
