//! What there is to count: lanes, the reasons for them, jobs, and the calls that can block.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident => $group:literal / $name:literal,)+) => {
        /// Everything that is counted: lanes, the reasons for them, and jobs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[doc = $doc])+ $variant,)+ }

        impl Counter {
            /// All counters, in the order of their numbers.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)+];

            /// The group and the name under which it is written.
            pub fn label(self) -> (&'static str, &'static str) {
                match self { $(Counter::$variant => ($group, $name),)+ }
            }

            /// What it counts.
            pub fn meaning(self) -> &'static str {
                match self { $(Counter::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

counters! {
    /// Reads of client connections and file operations that were let through unchanged.
    PassedThrough => "lanes" / "passed_through",
    /// Requests whose readiness was held back.
    RequestGate => "lanes" / "request_gate",
    /// Writes of a body that were held back, or cut short, because its next part was not in memory.
    BodyGate => "lanes" / "body_gate",
    /// File operations that blocked the event loop.
    Stall => "lanes" / "stall",
    /// Writes of files and look-ups of host names that blocked the event loop: what the library times
    /// and does not hold back. While observing, page faults and sleeps elsewhere as well.
    UngatedCall => "lanes" / "ungated_call",
    /// System calls of programs that are written for it (`laio_syscall`) that went to the background.
    Background => "lanes" / "background",
    /// Reads not looked at, because nothing has been cold for a while.
    Disarmed => "reasons" / "disarmed",
    /// Bytes that are no request of a known protocol.
    Foreign => "reasons" / "foreign",
    /// Requests whose target could lead out of the document root, or is too long.
    Refused => "reasons" / "refused",
    /// Requests for which no rule is known yet.
    Unpredicted => "reasons" / "unpredicted",
    /// Requests whose predicted files were all in memory.
    Warm => "reasons" / "warm",
    /// Requests that were asked for a moment ago, when their files were in memory: nothing of them was looked into again.
    Repeated => "reasons" / "repeated",
    /// Requests that were passed through because the device answers faster than a gate.
    BelowBreakEven => "reasons" / "below_break_even",
    /// Requests that were passed through because the queue of jobs was full.
    QueueFull => "reasons" / "queue_full",
    /// Requests that were passed through because the first helpers had not started yet.
    Unstaffed => "reasons" / "unstaffed",
    /// Requests that were passed through because helpers cannot run here.
    NoHelpers => "reasons" / "no_helpers",
    /// Requests that were passed through because the connection's readiness is not ours to hold
    /// back: a blocking socket, or one registered in several epoll instances.
    Ungateable => "reasons" / "ungateable",
    /// Requests and parts of bodies that were not read ahead, because so much is in flight for their connection
    /// already (`LAIO_INFLIGHT`).
    InflightConnection => "reasons" / "inflight_connection",
    /// The same, for their client's address (`LAIO_INFLIGHT_ADDRESS`).
    InflightAddress => "reasons" / "inflight_address",
    /// Gates opened early, because the client went away.
    ClientGone => "reasons" / "client_gone",
    /// Reads of a connection whose gate was closed, answered with `EAGAIN`.
    ReadWhileClosed => "reasons" / "read_while_closed",
    /// Reads of which nothing was reported, answered with `EAGAIN`: what has come is looked at when it is.
    Unreported => "reasons" / "unreported",
    /// Requests that were passed through because as many connections are open as the server has made room for.
    Full => "reasons" / "full",
    /// Parts of requests that were held back for long, handed out lest their connection look idle.
    Parts => "reasons" / "parts",
    /// Requests that were let through although their files were not in memory: held back for too long, or a timer
    /// of the server's was over.
    LetThrough => "reasons" / "let_through",
    /// Writes to a connection whose gate was closed, answered with `EAGAIN`.
    WriteWhileClosed => "reasons" / "write_while_closed",
    /// Writes of bodies that were deferred to the next iteration of the loop, because this one had become long.
    Deferred => "reasons" / "deferred",
    /// Operations that were slow without blocking: another program had the processor.
    Preempted => "reasons" / "preempted",
    /// Stalls with no request before them that explains their path.
    Unexplained => "reasons" / "unexplained",
    /// File operations of other threads that have waited for the disk, and were for a request of this loop.
    Elsewhere => "reasons" / "elsewhere",
    /// Reads of clients that do not speak TLS, or not by a library that tells its keys, that brought something.
    ClearReads => "tls" / "clear_reads",
    /// Reads of clients that speak TLS that brought something of what they ask.
    TlsReads => "tls" / "reads",
    /// Records of clients that speak TLS, opened to look at what they ask for.
    TlsOpened => "tls" / "opened",
    /// Clients that speak TLS and cannot be understood: the TLS library told no secret of theirs.
    TlsNoKeys => "tls" / "no_keys",
    /// The same: a cipher suite or a version that the library does not know.
    TlsSuite => "tls" / "suite",
    /// The same: they have agreed upon another protocol than HTTP/1.x.
    TlsProtocol => "tls" / "protocol",
    /// The same: something of theirs was read unseen, or they have agreed upon other keys.
    TlsLost => "tls" / "lost",
    /// The same: a record did not open.
    TlsTag => "tls" / "tag",
    /// Reads of clients that speak HTTP/2 that brought something: they are counted in `tls` as well, as reads or as clear ones.
    Http2Reads => "http2" / "reads",
    /// Requests that came by HTTP/2, while a loop looks at them.
    Http2Requests => "http2" / "requests",
    /// Times that a client's frames could not be followed any more.
    Http2OutOfStep => "http2" / "out_of_step",
    /// Requests for which the library looked whether the files are in memory.
    Probes => "jobs" / "probes",
    /// Jobs handed to helpers.
    Jobs => "jobs" / "started",
    /// Jobs for parts of bodies that will be sent next, which nobody waits for yet.
    JobsAhead => "jobs" / "ahead",
    /// Jobs done.
    JobsDone => "jobs" / "completed",
    /// Jobs in front of the queue, because their files were in memory a moment ago.
    JobsUrgent => "jobs" / "urgent",
    /// Jobs that found everything in memory after all.
    JobsWarm => "jobs" / "found_warm",
    /// Paths that a helper did not find, or was not allowed to open.
    PathsRefused => "jobs" / "paths_refused",
    /// Paths not brought in, or parts of bodies, because the client went away before, or the request was let through.
    PathsAbandoned => "jobs" / "paths_abandoned",
    /// Paths whose data was not brought in as a whole, because one window is read for the requests that a client sends at
    /// once.
    PathsLeftOut => "jobs" / "paths_left_out",
    /// Keys read in files of caches, which tell how the files are named.
    CacheKeys => "jobs" / "cache_keys",
    /// Bytes of files that helpers read.
    BytesWarmed => "jobs" / "bytes",
    /// Bytes of files that helpers read for clients that went away, or were sent nothing as far as was seen.
    BytesAbandoned => "jobs" / "bytes_abandoned",
    /// Nanoseconds that helpers worked, waiting included.
    JobTime => "jobs" / "time_ns",
    /// Helper threads started.
    Helpers => "jobs" / "helpers_started",
    /// Times that all helpers left because the process restricted itself.
    Quiesced => "jobs" / "quiesced",
    /// Nanoseconds that event loops were blocked.
    StallTime => "time" / "stall_ns",
    /// Nanoseconds that event loops were blocked in what is not held back.
    UngatedTime => "time" / "ungated_ns",
}

/// The calls that can block an event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Call {
    /// The `open` family.
    Open,
    /// The `stat` family.
    Stat,
    /// `opendir`.
    Opendir,
    /// `readdir`.
    Readdir,
    /// `read` and `readv` of a file.
    Read,
    /// The `pread` family.
    Pread,
    /// `sendfile`.
    Sendfile,
    /// `splice` from a file.
    Splice,
    /// `write` and `writev` of a file.
    Write,
    /// The `pwrite` family.
    Pwrite,
    /// `fsync` and whatever else waits until something is on the disk.
    Fsync,
    /// `truncate` and `fallocate`.
    Resize,
    /// The `rename` family.
    Rename,
    /// `unlink` and `rmdir`.
    Unlink,
    /// `link` and `symlink`.
    Link,
    /// `mkdir`.
    Mkdir,
    /// `getaddrinfo`.
    Resolve,
    /// Page faults that read from a device, in whatever the application did.
    Fault,
    /// A sleep in none of the calls that are timed: for a lock, in a socket that blocks, `sleep`.
    Elsewhere,
}

impl Call {
    pub(super) const NAMES: [&'static str; 19] = [
        "open",
        "stat",
        "opendir",
        "readdir",
        "read",
        "pread",
        "sendfile",
        "splice",
        "write",
        "pwrite",
        "fsync",
        "truncate",
        "rename",
        "unlink",
        "link",
        "mkdir",
        "getaddrinfo",
        "page_fault",
        "elsewhere",
    ];

    /// The operation's plain name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The name of the operation with this number, which may be any.
    pub(super) fn name_of(number: usize) -> String {
        let name = Self::NAMES.get(number).copied();
        name.unwrap_or("unknown").to_owned()
    }
}
