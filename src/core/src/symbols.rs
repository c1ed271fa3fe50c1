//! The intercepted names, one row an operation: the single source of the hooks, the documentation
//! and the test that compares both with the exports.

/// Hands the table of intercepted symbols to the macro named.
///
/// A row is `"operation", "purpose" { … }` with one line for each exported name of the operation:
/// its C prototype, and the lane that takes it with the arguments that the lane wants to see. `since` is the glibc that brought
/// a name, where that is newer than the oldest which is served (2.31); `hooks::newer` stands in for it there.
#[macro_export]
macro_rules! symbols {
    ($consumer:ident) => {
        $consumer! {
            "open", "timed; teaches which file a request leads to" {
                open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int => opened(path, flags);
                open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int => opened(path, flags);
                __open_2(path: *const c_char, flags: c_int) -> c_int => opened(path, flags);
                __open64_2(path: *const c_char, flags: c_int) -> c_int => opened(path, flags);
                openat(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int => opened_at(at, path, flags);
                openat64(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int => opened_at(at, path, flags);
                __openat_2(at: c_int, path: *const c_char, flags: c_int) -> c_int => opened_at(at, path, flags);
                __openat64_2(at: c_int, path: *const c_char, flags: c_int) -> c_int => opened_at(at, path, flags);
                creat(path: *const c_char, mode: mode_t) -> c_int => opened(path, O_CREAT | O_WRONLY | O_TRUNC);
                creat64(path: *const c_char, mode: mode_t) -> c_int => opened(path, O_CREAT | O_WRONLY | O_TRUNC);
                fopen(path: *const c_char, mode: *const c_char) -> *mut FILE => looked_up(path, Open, Data);
                fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE => looked_up(path, Open, Data);
            }
            "opendir", "timed; teaches that a request lists a directory" {
                opendir(path: *const c_char) -> *mut DIR => looked_up(path, Opendir, Listing);
            }
            "readdir", "timed" {
                readdir(directory: *mut DIR) -> *mut dirent => read_directory();
                readdir64(directory: *mut DIR) -> *mut dirent64 => read_directory();
            }
            "stat", "timed; teaches which file a request leads to" {
                stat(path: *const c_char, into: *mut c_void) -> c_int => looked_up(path, Stat, Name), since "2.33";
                stat64(path: *const c_char, into: *mut c_void) -> c_int => looked_up(path, Stat, Name), since "2.33";
                lstat(path: *const c_char, into: *mut c_void) -> c_int => looked_up(path, Stat, Name), since "2.33";
                lstat64(path: *const c_char, into: *mut c_void) -> c_int => looked_up(path, Stat, Name), since "2.33";
                fstatat(at: c_int, path: *const c_char, into: *mut c_void, flags: c_int) -> c_int => looked_up_at(at, path), since "2.33";
                fstatat64(at: c_int, path: *const c_char, into: *mut c_void, flags: c_int) -> c_int => looked_up_at(at, path), since "2.33";
                statx(at: c_int, path: *const c_char, flags: c_int, mask: c_uint, into: *mut c_void) -> c_int => looked_up_at(at, path);
                __xstat(version: c_int, path: *const c_char, into: *mut c_void) -> c_int => looked_up(path, Stat, Name);
                __xstat64(version: c_int, path: *const c_char, into: *mut c_void) -> c_int => looked_up(path, Stat, Name);
                __lxstat(version: c_int, path: *const c_char, into: *mut c_void) -> c_int => looked_up(path, Stat, Name);
                __lxstat64(version: c_int, path: *const c_char, into: *mut c_void) -> c_int => looked_up(path, Stat, Name);
                __fxstatat(version: c_int, at: c_int, path: *const c_char, into: *mut c_void, flags: c_int) -> c_int => looked_up_at(at, path);
                __fxstatat64(version: c_int, at: c_int, path: *const c_char, into: *mut c_void, flags: c_int) -> c_int => looked_up_at(at, path);
                fstat(fd: c_int, into: *mut c_void) -> c_int => looked_at(fd), since "2.33";
                fstat64(fd: c_int, into: *mut c_void) -> c_int => looked_at(fd), since "2.33";
                __fxstat(version: c_int, fd: c_int, into: *mut c_void) -> c_int => looked_at(fd);
                __fxstat64(version: c_int, fd: c_int, into: *mut c_void) -> c_int => looked_at(fd);
                access(path: *const c_char, mode: c_int) -> c_int => looked_up(path, Stat, Name);
                faccessat(at: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int => looked_up_at(at, path);
                readlink(path: *const c_char, into: *mut c_char, size: size_t) -> ssize_t => looked_up(path, Stat, Name);
            }
            "read", "learns what a client has asked for; timed on a file" {
                read(fd: c_int, buffer: *mut c_void, size: size_t) -> ssize_t => consumed(fd, buffer, size);
                __read_chk(fd: c_int, buffer: *mut c_void, size: size_t, room: size_t) -> ssize_t => consumed(fd, buffer, size);
                readv(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t => consumed_vector(fd, vector, count);
            }
            "pread", "timed; tells what will be read next" {
                pread(fd: c_int, buffer: *mut c_void, size: size_t, offset: off_t) -> ssize_t => read_at(fd, buffer, offset, size);
                pread64(fd: c_int, buffer: *mut c_void, size: size_t, offset: off64_t) -> ssize_t => read_at(fd, buffer, offset, size);
                __pread_chk(fd: c_int, buffer: *mut c_void, size: size_t, offset: off_t, room: size_t) -> ssize_t => read_at(fd, buffer, offset, size);
                __pread64_chk(fd: c_int, buffer: *mut c_void, size: size_t, offset: off64_t, room: size_t) -> ssize_t => read_at(fd, buffer, offset, size);
                preadv(fd: c_int, vector: *const iovec, count: c_int, offset: off_t) -> ssize_t => read_vector_at(fd, vector, count, offset);
                preadv64(fd: c_int, vector: *const iovec, count: c_int, offset: off64_t) -> ssize_t => read_vector_at(fd, vector, count, offset);
                preadv2(fd: c_int, vector: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t => read_vector_at(fd, vector, count, offset);
                preadv64v2(fd: c_int, vector: *const iovec, count: c_int, offset: off64_t, flags: c_int) -> ssize_t => read_vector_at(fd, vector, count, offset);
            }
            "sendfile", "the body gate on a client connection; timed" {
                sendfile(to: c_int, from: c_int, offset: *mut off_t, count: size_t) -> ssize_t => sent_file(to, from, offset, count);
                sendfile64(to: c_int, from: c_int, offset: *mut off64_t, count: size_t) -> ssize_t => sent_file(to, from, offset, count);
            }
            "splice", "the body gate on a client connection; timed on a file, and tells what will be read next" {
                splice(from: c_int, offset: *mut off64_t, to: c_int, into: *mut off64_t, count: size_t, flags: c_uint) -> ssize_t => spliced(from, offset, to, into, count, flags);
            }
            "recv", "learns what a client has asked for" {
                recv(fd: c_int, buffer: *mut c_void, size: size_t, flags: c_int) -> ssize_t => received(fd, buffer, size, flags, null_mut(), null_mut());
                __recv_chk(fd: c_int, buffer: *mut c_void, size: size_t, room: size_t, flags: c_int) -> ssize_t => received(fd, buffer, size, flags, null_mut(), null_mut());
                recvfrom(fd: c_int, buffer: *mut c_void, size: size_t, flags: c_int, address: *mut sockaddr, length: *mut socklen_t) -> ssize_t => received(fd, buffer, size, flags, address, length);
                __recvfrom_chk(fd: c_int, buffer: *mut c_void, size: size_t, room: size_t, flags: c_int, address: *mut sockaddr, length: *mut socklen_t) -> ssize_t => received(fd, buffer, size, flags, address, length);
                recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t => received_message(fd, message, flags);
            }
            "write", "the body gate on a client connection, where the bytes were just read from a file, or are mapped; timed on a file" {
                write(fd: c_int, buffer: *const c_void, size: size_t) -> ssize_t => wrote(fd, buffer, size);
                writev(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t => wrote_vector(fd, vector, count);
                send(fd: c_int, buffer: *const c_void, size: size_t, flags: c_int) -> ssize_t => sent(fd, buffer, size, flags, null(), 0);
                sendto(fd: c_int, buffer: *const c_void, size: size_t, flags: c_int, address: *const sockaddr, length: socklen_t) -> ssize_t => sent(fd, buffer, size, flags, address, length);
                sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t => sent_message(fd, message, flags);
            }
            "pwrite", "timed" {
                pwrite(fd: c_int, buffer: *const c_void, size: size_t, offset: off_t) -> ssize_t => changed(fd, Pwrite);
                pwrite64(fd: c_int, buffer: *const c_void, size: size_t, offset: off64_t) -> ssize_t => changed(fd, Pwrite);
                pwritev(fd: c_int, vector: *const iovec, count: c_int, offset: off_t) -> ssize_t => changed(fd, Pwrite);
                pwritev64(fd: c_int, vector: *const iovec, count: c_int, offset: off64_t) -> ssize_t => changed(fd, Pwrite);
                pwritev2(fd: c_int, vector: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t => changed(fd, Pwrite);
                pwritev64v2(fd: c_int, vector: *const iovec, count: c_int, offset: off64_t, flags: c_int) -> ssize_t => changed(fd, Pwrite);
            }
            "fsync", "timed" {
                fsync(fd: c_int) -> c_int => changed(fd, Fsync);
                fdatasync(fd: c_int) -> c_int => changed(fd, Fsync);
                syncfs(fd: c_int) -> c_int => changed(fd, Fsync);
                sync_file_range(fd: c_int, offset: off64_t, count: off64_t, flags: c_uint) -> c_int => changed(fd, Fsync);
                msync(at: *mut c_void, length: size_t, flags: c_int) -> c_int => synced_memory();
            }
            "truncate", "timed" {
                truncate(path: *const c_char, length: off_t) -> c_int => changed_path(path, Resize);
                truncate64(path: *const c_char, length: off64_t) -> c_int => changed_path(path, Resize);
                ftruncate(fd: c_int, length: off_t) -> c_int => changed(fd, Resize);
                ftruncate64(fd: c_int, length: off64_t) -> c_int => changed(fd, Resize);
                fallocate(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int => changed(fd, Resize);
                fallocate64(fd: c_int, mode: c_int, offset: off64_t, length: off64_t) -> c_int => changed(fd, Resize);
                posix_fallocate(fd: c_int, offset: off_t, length: off_t) -> c_int => changed(fd, Resize);
                posix_fallocate64(fd: c_int, offset: off64_t, length: off64_t) -> c_int => changed(fd, Resize);
            }
            "rename", "timed" {
                rename(path: *const c_char, new: *const c_char) -> c_int => changed_path(new, Rename);
                renameat(at: c_int, path: *const c_char, to: c_int, new: *const c_char) -> c_int => changed_path(new, Rename);
                renameat2(at: c_int, path: *const c_char, to: c_int, new: *const c_char, flags: c_uint) -> c_int => changed_path(new, Rename);
            }
            "unlink", "timed" {
                unlink(path: *const c_char) -> c_int => changed_path(path, Unlink);
                unlinkat(at: c_int, path: *const c_char, flags: c_int) -> c_int => changed_path(path, Unlink);
                rmdir(path: *const c_char) -> c_int => changed_path(path, Unlink);
                remove(path: *const c_char) -> c_int => changed_path(path, Unlink);
            }
            "link", "timed" {
                link(path: *const c_char, new: *const c_char) -> c_int => changed_path(new, Link);
                linkat(at: c_int, path: *const c_char, to: c_int, new: *const c_char, flags: c_int) -> c_int => changed_path(new, Link);
                symlink(target: *const c_char, new: *const c_char) -> c_int => changed_path(new, Link);
                symlinkat(target: *const c_char, to: c_int, new: *const c_char) -> c_int => changed_path(new, Link);
            }
            "mkdir", "timed" {
                mkdir(path: *const c_char, mode: mode_t) -> c_int => changed_path(path, Mkdir);
                mkdirat(at: c_int, path: *const c_char, mode: mode_t) -> c_int => changed_path(path, Mkdir);
            }
            "getaddrinfo", "timed" {
                getaddrinfo(name: *const c_char, service: *const c_char, hints: *const addrinfo, into: *mut *mut addrinfo) -> c_int => resolved(name);
            }
            "mmap", "remembers which memory is a file's: the body gate of servers that write from a mapping" {
                mmap(at: *mut c_void, length: size_t, protection: c_int, flags: c_int, fd: c_int, offset: off_t) -> *mut c_void => mapped(length, protection, fd, offset);
                mmap64(at: *mut c_void, length: size_t, protection: c_int, flags: c_int, fd: c_int, offset: off64_t) -> *mut c_void => mapped(length, protection, fd, offset);
                munmap(at: *mut c_void, length: size_t) -> c_int => unmapped(at, length);
                mremap(at: *mut c_void, length: size_t, new: size_t, flags: c_int, to: *mut c_void) -> *mut c_void => unmapped(at, length);
            }
            "epoll_create", "tells how many connections the application has made room for" {
                epoll_create(size: c_int) -> c_int => created(size);
            }
            "epoll_wait", "marks a thread as an event loop, and its turns; the request gate and the body gate: leaves out what is cold" {
                epoll_wait(instance: c_int, events: *mut epoll_event, most: c_int, timeout: c_int) -> c_int => waited(instance, events, most, timeout);
                epoll_pwait(instance: c_int, events: *mut epoll_event, most: c_int, timeout: c_int, mask: *const sigset_t) -> c_int => waited_masked(instance, events, most, timeout, mask);
                epoll_pwait2(instance: c_int, events: *mut epoll_event, most: c_int, timeout: *const timespec, mask: *const sigset_t) -> c_int => waited_precisely(instance, events, most, timeout, mask), since "2.35";
            }
            "poll", "marks a thread as an event loop, and its turns; the request gate and the body gate: leaves out what is cold" {
                poll(set: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int => polled(set, count, milliseconds(timeout), null());
                __poll_chk(set: *mut pollfd, count: nfds_t, timeout: c_int, room: size_t) -> c_int => polled(within(set, count, room), count, milliseconds(timeout), null());
                ppoll(set: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int => polled(set, count, nanoseconds(timeout), mask);
                __ppoll_chk(set: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, room: size_t) -> c_int => polled(within(set, count, room), count, nanoseconds(timeout), mask);
            }
            "select", "marks a thread as an event loop, and its turns; the request gate and the body gate: leaves out what is cold" {
                select(count: c_int, readable: *mut fd_set, writable: *mut fd_set, exceptional: *mut fd_set, timeout: *mut timeval) -> c_int => selected(count, [readable, writable, exceptional], timeout);
                pselect(count: c_int, readable: *mut fd_set, writable: *mut fd_set, exceptional: *mut fd_set, timeout: *const timespec, mask: *const sigset_t) -> c_int => selected_masked(count, [readable, writable, exceptional], timeout, mask);
            }
            "epoll_ctl", "remembers what a connection is registered for; withholds held-back interest" {
                epoll_ctl(instance: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int => registered(instance, operation, fd, event);
            }
            "accept", "marks a descriptor as a client connection" {
                accept(listener: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int => accepted();
                accept4(listener: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int => accepted();
            }
            "connect", "notes a connection to an application behind the server; while the answers of such are looked at, it is treated as a client's" {
                connect(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int => connected(fd);
            }
            "close", "settles what a held-back connection is owed" {
                close(fd: c_int) -> c_int => closed(fd);
                close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int => closed_range(first, last, flags), since "2.34";
                closefrom(first: c_int) -> () => closed_from(first), since "2.34";
            }
            "dup", "settles what a held-back connection is owed before its number is taken over" {
                dup(fd: c_int) -> c_int => duplicated(fd);
                dup2(fd: c_int, onto: c_int) -> c_int => replaced(fd, onto);
                dup3(fd: c_int, onto: c_int, flags: c_int) -> c_int => replaced(fd, onto);
                fcntl(fd: c_int, command: c_int, argument: *mut c_void) -> c_int => controlled(fd, command);
                fcntl64(fd: c_int, command: c_int, argument: *mut c_void) -> c_int => controlled(fd, command);
            }
            "exec", "what is held back is given back before: the new program knows nothing of it" {
                execve(path: *const c_char, arguments: *const *const c_char, environment: *const *const c_char) -> c_int => executed();
                execv(path: *const c_char, arguments: *const *const c_char) -> c_int => executed();
                execvp(file: *const c_char, arguments: *const *const c_char) -> c_int => executed();
                execvpe(file: *const c_char, arguments: *const *const c_char, environment: *const *const c_char) -> c_int => executed();
                fexecve(fd: c_int, arguments: *const *const c_char, environment: *const *const c_char) -> c_int => executed();
                execveat(at: c_int, path: *const c_char, arguments: *const *const c_char, environment: *const *const c_char, flags: c_int) -> c_int => executed(), since "2.34";
            }
            "restriction", "helpers leave before the process gives up a right; behind a seccomp filter the library does nothing" {
                prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int => process_controlled(option, a);
                unshare(flags: c_int) -> c_int => restricted();
                setns(namespace: c_int, kind: c_int) -> c_int => restricted();
                capset(header: *mut c_void, rights: *const c_void) -> c_int => restricted();
                setfsuid(user: uid_t) -> c_int => restricted();
                setfsgid(group: gid_t) -> c_int => restricted();
            }
            "syscall", "a raw call by which a process gives up a right, registers a connection, or waits in `epoll_wait` or `epoll_pwait`, is taken as the C library's" {
                syscall(number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long => called(number, [a, b, c, d, e, f]);
            }
        }
    };
}

/// One intercepted operation and the exported names through which programs reach it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The operation.
    pub operation: &'static str,
    /// Every exported name of it: plain, 64-bit, fortified, versioned.
    pub names: &'static [&'static str],
    /// What the library does there.
    pub purpose: &'static str,
}

macro_rules! rows {
    ($($operation:literal, $purpose:literal {
        $($name:ident($($argument:tt)*) -> $result:ty => $lane:ident($($seen:tt)*) $(, since $glibc:literal)?;)+
    })+) => {
        /// The table of intercepted symbols.
        pub const ROWS: &[Row] = &[$(Row {
            operation: $operation,
            names: &[$(stringify!($name),)+],
            purpose: $purpose,
        },)+];
    };
}

symbols!(rows);

/// What cannot be hooked as the others are, for it has no fixed number of arguments, or returns twice.
pub const SPECIAL: &[Row] = &[
    Row {
        operation: "variadic exec",
        names: &["execl", "execle", "execlp"],
        purpose: "as exec",
    },
    Row {
        operation: "vfork",
        names: &["vfork"],
        purpose: "in the child, which has its parent's memory, the library does nothing",
    },
    Row {
        operation: "TLS",
        names: &[
            "SSL_CTX_new",
            "SSL_CTX_new_ex",
            "SSL_CTX_set_keylog_callback",
            "SSL_CTX_get_keylog_callback",
        ],
        purpose: "the program's OpenSSL tells the keys by which a copy of what waits in a socket is opened",
    },
    Row {
        operation: "longjmp",
        names: &["longjmp", "_longjmp", "siglongjmp", "__longjmp_chk"],
        purpose: "a signal handler may jump out of the library, which then frees what the thread had locked",
    },
];

/// The names of `include/laio.h`: what the library exports of its own.
pub const NATIVE: &[&str] = &[
    "laio_syscall",
    "laio_gethandle",
    "laio_setdata",
    "laio_poll",
    "laio_eventfd",
    "laio_cancel",
    "laio_pending",
];

/// Every exported name.
pub fn names() -> impl Iterator<Item = &'static str> {
    let rows = ROWS.iter().chain(SPECIAL);
    rows.flat_map(|row| row.names).chain(NATIVE).copied()
}

/// The documentation of the table, in Markdown.
pub fn markdown() -> String {
    let row = |row: &Row| {
        format!(
            "| {} | `{}` | {} |\n",
            row.operation,
            row.names.join(" "),
            row.purpose
        )
    };
    let rows: String = ROWS.iter().chain(SPECIAL).map(row).collect();
    format!("| operation | symbols | what happens there |\n|---|---|---|\n{rows}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<_> = super::names().collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
