//! System calls by number: how each is kept from blocking the caller.

#![allow(non_upper_case_globals)] // These are the kernel's names of system calls.

use laio_core::gate::Side;
use libc::*;

/// A system call, as it was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number.
    pub number: c_long,
    /// Its arguments, those that it does not have included.
    pub arguments: [c_long; 6],
}

/// The way in which a call is made without blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It does not block, or is about the calling thread: at once.
    AtOnce,
    /// It makes no sense in the background, or pulls the library's threads from under it.
    Refused,
    /// `RWF_NOWAIT`, and readiness where it is no file.
    Transfer(Side),
    /// `MSG_DONTWAIT` among the flags in this argument, and readiness.
    Message(Side, usize),
    /// Readiness.
    Accept,
    /// `RESOLVE_CACHED`.
    Open(Path),
    /// `RESOLVE_CACHED`, and then the call itself: it looks up this path and no more.
    LookUp(Path),
    /// It asks about a descriptor: at once, unless its file system has to ask a server.
    Ask,
    /// It closes a descriptor: the same.
    Close,
    /// What it will send is looked for in memory first.
    Sendfile,
    /// By a helper, who is waited for a moment.
    Helper,
    /// The same; it may take for ever, and so counts against no limit.
    Endless,
    /// By a helper, without waiting: it blocks for sure.
    Slow,
    /// The same, and it may take for ever.
    Sleep,
}

/// A path among the arguments of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The argument that names the directory, or none for the working directory.
    pub at: Option<usize>,
    /// The argument that is the path.
    pub path: usize,
    /// Whether a symbolic link at its end is followed.
    pub follows: bool,
}

const fn path(path: usize, follows: bool) -> Path {
    Path {
        at: None,
        path,
        follows,
    }
}

const fn path_at(follows: bool) -> Path {
    Path {
        at: Some(0),
        path: 1,
        follows,
    }
}

impl Call {
    /// An argument as a descriptor or flags: the kernel looks at 32 bits of it.
    pub fn int(&self, number: usize) -> c_int {
        self.word(number) as c_int
    }

    /// An argument.
    pub fn word(&self, number: usize) -> c_long {
        self.arguments.get(number).copied().unwrap_or_default()
    }

    /// The same call with another value for an argument.
    pub fn with(mut self, number: usize, value: c_long) -> Call {
        if let Some(place) = self.arguments.get_mut(number) {
            *place = value;
        }
        self
    }

    /// How it is made.
    pub fn way(&self) -> Way {
        #[cfg(target_arch = "x86_64")]
        if let Some(way) = self.way_of_old() {
            return way;
        }
        let flags_follow = |number: usize, no_follow: c_int| self.int(number) & no_follow == 0;
        match self.number {
            SYS_read | SYS_pread64 | SYS_readv | SYS_preadv | SYS_preadv2 => {
                Way::Transfer(Side::Read)
            }
            SYS_write | SYS_pwrite64 | SYS_writev | SYS_pwritev | SYS_pwritev2 => {
                Way::Transfer(Side::Write)
            }
            SYS_recvfrom => Way::Message(Side::Read, 3),
            SYS_recvmsg => Way::Message(Side::Read, 2),
            SYS_sendto => Way::Message(Side::Write, 3),
            SYS_sendmsg => Way::Message(Side::Write, 2),
            SYS_accept | SYS_accept4 => Way::Accept,
            SYS_openat | SYS_openat2 => Way::Open(path_at(true)),
            SYS_newfstatat if self.int(3) & AT_EMPTY_PATH != 0 => Way::Ask,
            SYS_newfstatat => Way::LookUp(path_at(flags_follow(3, AT_SYMLINK_NOFOLLOW))),
            SYS_statx if self.int(2) & AT_EMPTY_PATH != 0 => Way::Ask,
            SYS_statx => Way::LookUp(path_at(flags_follow(2, AT_SYMLINK_NOFOLLOW))),
            SYS_faccessat => Way::LookUp(path_at(true)),
            SYS_faccessat2 => Way::LookUp(path_at(flags_follow(3, AT_SYMLINK_NOFOLLOW))),
            SYS_readlinkat => Way::LookUp(path_at(false)),
            SYS_chdir => Way::LookUp(path(0, true)),
            SYS_fstat => Way::Ask,
            SYS_close => Way::Close,
            SYS_sendfile => Way::Sendfile,

            SYS_fsync | SYS_fdatasync | SYS_sync | SYS_syncfs | SYS_sync_file_range | SYS_msync
            | SYS_readahead | SYS_copy_file_range => Way::Slow,
            SYS_nanosleep | SYS_clock_nanosleep => Way::Sleep,

            // They wait for somebody, who may never come.
            SYS_ppoll if self.word(3) == 0 => Way::Endless,
            SYS_pselect6 if self.word(5) == 0 => Way::Endless,
            SYS_epoll_pwait | SYS_epoll_pwait2 if self.word(4) == 0 => Way::Endless,
            SYS_connect | SYS_wait4 | SYS_waitid | SYS_flock | SYS_semop | SYS_semtimedop
            | SYS_msgsnd | SYS_msgrcv | SYS_mq_timedsend | SYS_mq_timedreceive
            | SYS_io_getevents | SYS_splice | SYS_tee | SYS_vmsplice | SYS_recvmmsg
            | SYS_sendmmsg | SYS_futex_waitv => Way::Endless,
            SYS_fcntl if matches!(self.int(1), F_SETLKW | F_OFD_SETLKW) => Way::Endless,
            SYS_futex => match self.int(1) & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME) {
                FUTEX_WAIT | FUTEX_WAIT_BITSET => Way::Endless,
                // What belongs to a thread can be neither taken nor given back by another.
                FUTEX_LOCK_PI
                | FUTEX_LOCK_PI2
                | FUTEX_UNLOCK_PI
                | FUTEX_TRYLOCK_PI
                | FUTEX_WAIT_REQUEUE_PI
                | FUTEX_CMP_REQUEUE_PI => Way::Refused,
                _ => Way::AtOnce,
            },

            // A wait under another signal mask, and waits for signals: they come to the thread that waits.
            SYS_ppoll | SYS_pselect6 | SYS_epoll_pwait | SYS_epoll_pwait2 | SYS_rt_sigsuspend
            | SYS_rt_sigtimedwait | SYS_rt_sigreturn | SYS_restart_syscall => Way::Refused,
            // The end, the copy or the replacement of a thread or its process.
            SYS_exit | SYS_exit_group | SYS_clone | SYS_clone3 | SYS_execve | SYS_execveat
            | SYS_ptrace => Way::Refused,
            // What the C library keeps for each thread.
            SYS_set_tid_address | SYS_set_robust_list | SYS_rseq => Way::Refused,
            // Rights: the C library's functions change those of all threads, or its hooks send helpers away.
            SYS_setuid
            | SYS_setgid
            | SYS_setreuid
            | SYS_setregid
            | SYS_setresuid
            | SYS_setresgid
            | SYS_setgroups
            | SYS_setfsuid
            | SYS_setfsgid
            | SYS_capset
            | SYS_unshare
            | SYS_setns
            | SYS_seccomp
            | SYS_landlock_restrict_self => Way::Refused,
            SYS_prctl if self.int(0) == PR_SET_SECCOMP => Way::Refused,
            // What is handed in belongs to the thread that does it, and ends with it.
            SYS_io_uring_enter => Way::Refused,

            number if is_quick(number) => Way::AtOnce,
            // Everything else, what no table knows yet included.
            _ => Way::Helper,
        }
    }

    /// The same for calls that newer machines do not have.
    #[cfg(target_arch = "x86_64")]
    fn way_of_old(&self) -> Option<Way> {
        Some(match self.number {
            SYS_open => Way::Open(path(0, true)),
            SYS_stat | SYS_access => Way::LookUp(path(0, true)),
            SYS_lstat | SYS_readlink => Way::LookUp(path(0, false)),
            SYS_poll | SYS_select | SYS_epoll_wait => Way::Endless,
            SYS_fork | SYS_vfork | SYS_pause | SYS_arch_prctl | SYS_modify_ldt
            | SYS_set_thread_area | SYS_get_thread_area | SYS_ioperm | SYS_iopl => Way::Refused,
            SYS_alarm | SYS_dup2 | SYS_epoll_create | SYS_eventfd | SYS_getpgrp
            | SYS_inotify_init | SYS_pipe | SYS_signalfd | SYS_time => Way::AtOnce,
            _ => return None,
        })
    }

    /// Descriptors that it closes, or whose numbers it gives to something else.
    pub fn closes(&self) -> Option<(c_uint, c_uint)> {
        let (first, last) = match self.number {
            SYS_close => (self.int(0), self.int(0)),
            SYS_dup3 => (self.int(1), self.int(1)),
            #[cfg(target_arch = "x86_64")]
            SYS_dup2 if self.int(0) != self.int(1) => (self.int(1), self.int(1)),
            SYS_close_range if self.int(2) & CLOSE_RANGE_CLOEXEC as c_int == 0 => {
                (self.int(0), self.int(1))
            }
            _ => return None,
        };
        Some((first as c_uint, last as c_uint))
    }
}

/// Calls that return at once, or are about the thread that makes them.
fn is_quick(number: c_long) -> bool {
    matches!(
        number,
        SYS_adjtimex
            | SYS_bind
            | SYS_brk
            | SYS_capget
            | SYS_clock_adjtime
            | SYS_clock_getres
            | SYS_clock_gettime
            | SYS_close_range
            | SYS_dup
            | SYS_dup3
            | SYS_epoll_create1
            | SYS_epoll_ctl
            | SYS_eventfd2
            | SYS_fchdir
            | SYS_fcntl
            | SYS_get_mempolicy
            | SYS_get_robust_list
            | SYS_getcpu
            | SYS_getcwd
            | SYS_getegid
            | SYS_geteuid
            | SYS_getgid
            | SYS_getgroups
            | SYS_getitimer
            | SYS_getpeername
            | SYS_getpgid
            | SYS_getpid
            | SYS_getppid
            | SYS_getpriority
            | SYS_getrandom
            | SYS_getresgid
            | SYS_getresuid
            | SYS_getrusage
            | SYS_getsid
            | SYS_getsockname
            | SYS_getsockopt
            | SYS_gettid
            | SYS_gettimeofday
            | SYS_getuid
            | SYS_inotify_init1
            | SYS_inotify_rm_watch
            | SYS_io_cancel
            | SYS_io_setup
            | SYS_io_uring_register
            | SYS_io_uring_setup
            | SYS_ioprio_get
            | SYS_ioprio_set
            | SYS_kcmp
            | SYS_keyctl
            | SYS_kill
            | SYS_landlock_create_ruleset
            | SYS_listen
            | SYS_lseek
            | SYS_membarrier
            | SYS_memfd_create
            | SYS_memfd_secret
            | SYS_mincore
            | SYS_mmap
            | SYS_mprotect
            | SYS_mremap
            | SYS_msgctl
            | SYS_msgget
            | SYS_munmap
            | SYS_perf_event_open
            | SYS_personality
            | SYS_pidfd_getfd
            | SYS_pidfd_open
            | SYS_pidfd_send_signal
            | SYS_pipe2
            | SYS_pkey_alloc
            | SYS_pkey_free
            | SYS_pkey_mprotect
            | SYS_prctl
            | SYS_prlimit64
            | SYS_rt_sigaction
            | SYS_rt_sigpending
            | SYS_rt_sigprocmask
            | SYS_rt_sigqueueinfo
            | SYS_rt_tgsigqueueinfo
            | SYS_sched_get_priority_max
            | SYS_sched_get_priority_min
            | SYS_sched_getaffinity
            | SYS_sched_getattr
            | SYS_sched_getparam
            | SYS_sched_getscheduler
            | SYS_sched_rr_get_interval
            | SYS_sched_setaffinity
            | SYS_sched_setattr
            | SYS_sched_setparam
            | SYS_sched_setscheduler
            | SYS_sched_yield
            | SYS_semctl
            | SYS_semget
            | SYS_set_mempolicy
            | SYS_setitimer
            | SYS_setpgid
            | SYS_setpriority
            | SYS_setsid
            | SYS_setsockopt
            | SYS_shmat
            | SYS_shmctl
            | SYS_shmdt
            | SYS_shmget
            | SYS_shutdown
            | SYS_sigaltstack
            | SYS_signalfd4
            | SYS_socket
            | SYS_socketpair
            | SYS_sysinfo
            | SYS_tgkill
            | SYS_timer_create
            | SYS_timer_delete
            | SYS_timer_getoverrun
            | SYS_timer_gettime
            | SYS_timer_settime
            | SYS_timerfd_create
            | SYS_timerfd_gettime
            | SYS_timerfd_settime
            | SYS_times
            | SYS_tkill
            | SYS_umask
            | SYS_uname
            | SYS_userfaultfd
    )
}
