//! The library in sandboxes that a service manager makes: what it calls itself is allowed there, and what a filter refuses
//! is done without, and said once.

use anyhow::{bail, ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::library::fresh_dir;
use laio_tests::program::{compare, compile, observe_command, Build, Observed};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::trace::Trace;
use laio_tests::{docroot, run, skip, Need, Preload, Result, Test};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitCode};
use syscalls::Sysno;

/// The system calls of systemd's set `@system-service`, of all machines: what `systemd-analyze syscall-filter` lists for
/// @aio @basic-io @chown @default @file-system @io-event @ipc @keyring @memlock @network-io @process @resources @setuid
/// @signal @sync @timer and for the set itself.
const SYSTEM_SERVICE: &str = "\
    _llseek _newselect accept accept4 access add_key alarm arch_prctl arm_fadvise64_64 bind brk cacheflush capget \
    capset chdir chmod chown chown32 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep \
    clock_nanosleep_time64 clone clone3 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create \
    epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve \
    execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 \
    fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat \
    fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_time64 futex_waitv futimesat \
    get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid \
    geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority \
    getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid \
    gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel \
    io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit io_uring_enter io_uring_register \
    io_uring_setup ioctl ioprio_get ioprio_set ipc kcmp keyctl kill lchown lchown32 lgetxattr link linkat listen \
    listxattr llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise mbind membarrier memfd_create \
    migrate_pages mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 move_pages mprotect mq_getsetattr \
    mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap \
    msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat nice oldfstat \
    oldlstat oldolduname oldstat olduname open openat openat2 pause personality pidfd_open pidfd_send_signal pipe \
    pipe2 poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_madvise process_vm_readv \
    process_vm_writev pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readdir readlink readlinkat \
    readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr rename renameat renameat2 \
    request_key restart_syscall riscv_flush_icache riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending \
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 \
    rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr \
    sched_setparam sched_setscheduler sched_yield select semctl semget semop semtimedop semtimedop_time64 send \
    sendfile sendfile64 sendmmsg sendmsg sendto set_mempolicy set_mempolicy_home_node set_robust_list \
    set_thread_area set_tid_address set_tls setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups \
    setgroups32 setitimer setns setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 \
    setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr shmat shmctl shmdt shmget shutdown \
    sigaction sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend socket socketcall \
    socketpair splice stat stat64 statfs statfs64 statx swapcontext symlink symlinkat sync sync_file_range \
    sync_file_range2 syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime \
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime \
    timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat unshare uretprobe \
    userfaultfd utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

/// Those of them that are in `@privileged` or `@resources` as well.
const PRIVILEGED_OR_RESOURCES: &str = "\
    capset chown chown32 fchown fchown32 fchownat ioprio_set lchown lchown32 mbind migrate_pages move_pages nice \
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler set_mempolicy set_mempolicy_home_node setfsuid \
    setfsuid32 setgroups setgroups32 setpriority setresuid setresuid32 setreuid setreuid32 setrlimit setuid setuid32";

/// A nobody.
const NOBODY: u32 = 65534;

/// What a filter does with a call that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Kill,
    Errno(i32),
}

fn names(list: &str) -> BTreeSet<&str> {
    list.split_whitespace().collect()
}

/// The numbers that these calls have on this machine, as `sandbox` takes them.
fn numbers<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let known = names
        .into_iter()
        .filter_map(|name| name.parse::<Sysno>().ok());
    let numbers: Vec<_> = known.map(|call| call.id().to_string()).collect();
    numbers.join(",")
}

/// A command that runs `program` behind a filter, with the library where the preload says so.
fn sandboxed(
    preload: &Preload,
    program: &Path,
    refusal: Refusal,
    list: [&str; 2],
    user: Option<u32>,
) -> Result<Command> {
    let mut command = Preload::stock().command(&compile("sandbox", Build::Program)?);
    command.envs(&preload.variables);
    if !preload.libraries.is_empty() {
        command.env("SANDBOX_PRELOAD", preload.ld_preload());
    }
    command.arg(match refusal {
        Refusal::Kill => "kill".to_owned(),
        Refusal::Errno(number) => number.to_string(),
    });
    command.args(list);
    if let Some(user) = user {
        command.args(["-u", &user.to_string()]);
    }
    command.arg(program);
    Ok(command)
}

fn system_service(with_privileges: bool) -> String {
    let mut allowed = names(SYSTEM_SERVICE);
    if !with_privileges {
        let less = names(PRIVILEGED_OR_RESOURCES);
        allowed.retain(|name| !less.contains(name));
    }
    numbers(allowed)
}

/// A real server that is started behind such a filter: cold files, small and large.
fn server(kind: Kind, refusal: Refusal, with_privileges: bool) -> Result {
    const SMALL: usize = 40;
    const LARGE: usize = 6;
    const LENGTH: usize = 3_000_000;
    let disk = SlowDisk::up()?;
    for number in 0..SMALL {
        docroot::write(&disk.root(), &format!("f{number}.html"), 5000)?;
    }
    for number in 0..LARGE {
        docroot::write(&disk.root(), &format!("large{number}.html"), LENGTH)?;
    }
    disk.chill()?;
    let allowed = system_service(with_privileges);
    let user = (!with_privileges).then_some(NOBODY);
    let command = |preload: &Preload, program: &Path| {
        sandboxed(preload, program, refusal, ["allow", &allowed], user)
            .unwrap_or_else(|_| Command::new("false"))
    };
    let config = Config::default();
    let server = Server::start_with(kind, &config, &disk.root(), &Preload::on()?, command)?;
    let get = |name: &str, length| -> Result {
        let mut connection = Connection::open(server.address)?;
        connection.send(&request("GET", &format!("/{name}"), "h", ""))?;
        let response = connection.response(false).context(name.to_owned())?;
        ensure!(
            response.body == docroot::content(name, length),
            "{name}: another body"
        );
        Ok(())
    };
    for number in 0..SMALL {
        get(&format!("f{number}.html"), 5000)?;
    }
    for number in 0..LARGE {
        get(&format!("large{number}.html"), LENGTH)?;
    }
    let pid = server.pid();
    let ended = server.stop(pid, libc::SIGTERM)?;
    let stats = ended.stats.context("no counters were written")?;
    ensure!(
        !ended.log.contains("exited on signal") && !ended.log.contains("is refused"),
        "{}",
        ended.log
    );
    ensure!(stats.gated() > 0, "no request was held back\n{stats}");
    ensure!(
        stats.sum("/lanes/body_gate") > 0,
        "no body was held back\n{stats}"
    );
    ensure!(
        stats.sum("/jobs/paths_refused") == 0,
        "helpers were refused something\n{stats}"
    );
    Ok(())
}

/// The library's threads call nothing else, whatever they are asked for.
fn threads_call_what_is_allowed() -> Result {
    let program = compile("sandboxed_loop", Build::Program)?;
    let options = ["-f", "-Y", "-qq", "-e", "signal=none"];
    let calls = Trace::of(&program, &["engaged"], &Preload::on()?, &options)?.calls;
    let ours = calls.iter().filter(|call| call.comm.starts_with("laio-"));
    let made: BTreeSet<&str> = ours.map(|call| call.name.as_str()).collect();
    if made.is_empty() {
        return skip("nothing is cold on this file system, so that there were no helpers");
    }
    let allowed = names(SYSTEM_SERVICE);
    // The tracer has no name for a call that the end of the process has interrupted.
    let others: Vec<_> = made
        .difference(&allowed)
        .filter(|name| **name != "???")
        .collect();
    ensure!(others.is_empty(), "not in @system-service: {others:?}");
    ensure!(made.contains("openat2"), "helpers did nothing: {made:?}");
    Ok(())
}

/// The program behind a filter that refuses one call, with the library or without.
fn refused(call: &str, errno: i32, preload: &Preload) -> Result<Observed> {
    let program = compile("sandboxed_loop", Build::Program)?;
    let number = numbers([call]);
    let mut command = sandboxed(
        preload,
        &program,
        Refusal::Errno(errno),
        ["deny", &number],
        None,
    )?;
    command.arg("engaged");
    observe_command(&fresh_dir("work")?, command)
}

/// One call of the library's is refused: same answers, and one line about it, if anything is lost by that.
fn without(call: &str, says: bool) -> Result {
    if numbers([call]).is_empty() {
        return skip(format!("there is no {call} on this machine"));
    }
    for errno in [libc::EPERM, libc::ENOSYS] {
        let stock = refused(call, errno, &Preload::stock())?;
        let preload = Preload::on()?;
        let with = refused(call, errno, &preload)?;
        let said = String::from_utf8_lossy(&with.stderr).into_owned();
        let lines: Vec<_> = said
            .lines()
            .filter(|l| l.starts_with("liblaio: "))
            .collect();
        // Where there is no new kind of `clone`, the C library takes the old one.
        let says = says && (call != "clone3" || errno == libc::EPERM);
        let is_told = matches!(lines[..], [line] if line.contains("is refused"));
        if is_told != says || (!says && !lines.is_empty()) {
            bail!("{call} refused by {errno}: {said:?}");
        }
        let rest: String = said
            .lines()
            .filter(|line| !line.starts_with("liblaio: "))
            .map(|line| format!("{line}\n"))
            .collect();
        let with = Observed {
            stderr: rest.into_bytes(),
            ..with
        };
        compare(&stock, &with, &preload)
            .with_context(|| format!("{call} is refused by {errno}"))?;
    }
    Ok(())
}

/// A container without `/proc`, or with an empty one: everything works, and what does not is said once.
fn without_proc() -> Result {
    let program = compile("sandboxed_loop", Build::Program)?;
    let run = |preload: &Preload| -> Result<Observed> {
        let mut command = Preload::stock().command(Path::new("unshare"));
        command.args(["-m", "sh", "-c"]);
        command.arg("mount -t tmpfs none /proc && LD_PRELOAD=$SANDBOX_PRELOAD exec \"$0\" engaged");
        command.arg(&program).envs(&preload.variables);
        command.env("SANDBOX_PRELOAD", preload.ld_preload());
        observe_command(&fresh_dir("work")?, command)
    };
    let stock = run(&Preload::stock())?;
    ensure!(
        stock.ending == "exit status 0",
        "the program itself: {}\n{}",
        stock.ending,
        String::from_utf8_lossy(&stock.stderr)
    );
    let preload = Preload::on()?;
    let with = run(&preload)?;
    let said = String::from_utf8_lossy(&with.stderr).into_owned();
    let lines: Vec<_> = said.lines().collect();
    ensure!(
        matches!(lines[..], [line] if line.contains("there is no /proc")),
        "{said:?}"
    );
    let with = Observed {
        stderr: Vec::new(),
        ..with
    };
    compare(&stock, &with, &preload)
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for kind in [Kind::Nginx, Kind::Lighttpd] {
        for refusal in [Refusal::Kill, Refusal::Errno(libc::EPERM)] {
            // Without it, a worker could be killed for a call of the library's at its first large cold file.
            let name = format!("{} under @system-service, {refusal:?}", kind.command());
            let test = Test::new(name, move || server(kind, refusal, true));
            tests.push(test.needs(kind.need()).needs(Need::SlowDisk));
        }
    }
    for refusal in [Refusal::Kill, Refusal::Errno(libc::EPERM)] {
        // Without it, the same could happen to a service without privileges.
        let name = format!("nginx under @system-service less @privileged @resources, {refusal:?}");
        let test = Test::new(name, move || server(Kind::Nginx, refusal, false));
        tests.push(test.needs(Kind::Nginx.need()).needs(Need::SlowDisk));
    }
    // Without it, a call that these servers do not lead to could be outside of the set.
    tests.push(
        Test::new("threads call what is allowed", threads_call_what_is_allowed)
            .needs(Need::Command("strace", "strace")),
    );
    // Without these, a sandbox could change answers, or take the library's effect away without a word.
    for (call, says) in [
        ("openat2", true),
        ("preadv2", true),
        ("statx", true),
        ("close_range", true),
        ("getrusage", true),
        ("fstatfs", true),
        ("sendfile", true),
        ("dup3", true),
        ("fcntl", true),
        ("prctl", true),
        ("clone3", true),
        // Nothing is lost, or the program itself is refused it just there.
        ("clone", false),
        ("statfs", false),
        ("prlimit64", false),
        ("rt_sigprocmask", false),
        ("pidfd_open", false),
        ("pidfd_getfd", false),
        ("readlink", false),
        ("readlinkat", false),
        ("getpid", false),
        ("gettid", false),
        ("sched_yield", false),
        ("nanosleep", false),
        ("clock_nanosleep", false),
        ("getsockopt", false),
        ("setsockopt", false),
        ("fstat", false),
        ("ppoll", false),
        ("munmap", false),
        ("ftruncate", false),
        ("geteuid", false),
        ("set_robust_list", false),
        ("rseq", false),
    ] {
        let test = Test::new(format!("{call} refused"), move || without(call, says));
        tests.push(test);
    }
    // Without it, a body could hang, or not be helped without a word, where a container has no `/proc`.
    tests.push(Test::new("without proc", without_proc).needs(Need::Root));
    run(tests)
}
