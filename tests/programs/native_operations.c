/* What `include/laio.h` promises of operations: their errors, their order, how they are given up and waited for. */
#include "native/moments.h"
#include <sys/file.h>
#include <sys/prctl.h>

/* Every documented error, and none of them loses anything. */
static void errors(void)
{
	struct laio_completion completion;
	struct timespec negative = { -1, 0 }, wrong = { 0, 1000000000 };
	int ends[2];
	long refused[] = { SYS_exit, SYS_exit_group, SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, SYS_execve, SYS_rt_sigreturn,
			   SYS_setuid, SYS_setresgid, SYS_unshare, SYS_setns, SYS_seccomp, SYS_set_tid_address, SYS_rseq,
			   SYS_arch_prctl, SYS_pause, SYS_rt_sigsuspend, SYS_io_uring_enter, SYS_ptrace };
	NEED(laio_pending() == 0 && laio_gethandle() == NULL);
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		FAILS(laio_syscall(refused[i], 0L, 0L, 0L, 0L, 0L, 0L), EOPNOTSUPP);
	NEED(laio_gethandle() == NULL);
	FAILS(CALLS(prctl, PR_SET_SECCOMP, 1), EOPNOTSUPP);
	NEED(CALLS(getpid) == getpid());
	FAILS(laio_poll(&completion, -1, NULL), EINVAL);
	FAILS(laio_poll(&completion, 1, &negative), EINVAL);
	FAILS(laio_poll(&completion, 1, &wrong), EINVAL);
	FAILS(laio_poll(NULL, 1, &at_once), EFAULT);
	NEED(laio_poll(NULL, 0, &at_once) == 0 && laio_poll(&completion, 1, &at_once) == 0);
	FAILS(laio_setdata(NULL, buffer), ENOENT);
	FAILS(laio_setdata((laio_handle)12345, buffer), ENOENT);
	FAILS(laio_cancel((laio_handle)-1), ENOENT);
	pair_of(ends);
	laio_handle handle = GOES_ON(CALLS(read, ends[0], buffer, 1));
	NEED(laio_setdata(handle, big) == 0 && laio_pending() == 1);
	NEED(write(ends[1], "x", 1) == 1);
	completion = next();
	NEED(completion.handle == handle && completion.data == big && completion.value == 1 && completion.error == 0);
	FAILS(laio_cancel(handle), ENOENT);
	FAILS(laio_setdata(handle, big), ENOENT);
	/* A call that fails in the background. */
	close(ends[1]);
	pair_of(ends);
	signal(SIGPIPE, SIG_IGN);
	handle = GOES_ON(CALLS(write, ends[0], big, sizeof big));
	close(ends[1]);
	completion = next();
	NEED(completion.handle == handle && completion.value > 0 && completion.value < (long)sizeof big);
	FAILS(CALLS(write, ends[0], big, 1), EPIPE);
	NEED(laio_pending() == 0);
}

/* Nothing can be made that operations go on with: calls block. */
static void nothing_to_be_had(void)
{
	struct rlimit limit = { 0, 0 };
	struct timespec little = { 0, 1000000 };
	struct laio_completion completion;
	int fd = open("/dev/zero", O_RDONLY);
	NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	NEED(CALLS(nanosleep, &little, NULL) == 0 && laio_gethandle() == NULL);
	NEED(CALLS(read, fd, buffer, 10) == 10);
	FAILS(laio_eventfd(), EMFILE);
	FAILS(laio_poll(&completion, 1, &at_once), EMFILE);
}

/* Given up while it waits, while it is in the queue, and while somebody is at it. */
static void cancellation(void)
{
	int ends[2], pipe_[2];
	struct laio_completion completion;
	pair_of(ends);
	laio_handle first = GOES_ON(CALLS(read, ends[0], buffer, 10));
	laio_handle second = GOES_ON(CALLS(read, ends[0], buffer + 10, 10));
	NEED(laio_setdata(second, big) == 0);
	NEED(laio_cancel(first) == 0 && laio_pending() == 2);
	completion = next();
	NEED(completion.handle == first && completion.value == -1 && completion.error == ECANCELED);
	NEED(write(ends[1], "hello", 5) == 5);
	completion = next();
	NEED(completion.handle == second && completion.value == 5 && completion.data == big);
	NEED(memcmp(buffer + 10, "hello", 5) == 0 && buffer[0] == 0);
	/* In a call that nobody can end: a FIFO without a writer. */
	NEED(mkfifo("fifo", 0600) == 0);
	laio_handle opening = GOES_ON(CALLS(openat, AT_FDCWD, "fifo", O_RDONLY));
	usleep(20000);
	FAILS(laio_cancel(opening), EBUSY);
	int writer = open("fifo", O_WRONLY);
	NEED(writer >= 0);
	completion = next();
	NEED(completion.handle == opening && completion.value >= 0);
	/* A part of a write may be done. */
	NEED(pipe(pipe_) == 0);
	laio_handle writing = GOES_ON(CALLS(write, pipe_[1], big, sizeof big));
	NEED(laio_cancel(writing) == 0);
	completion = next();
	NEED(completion.handle == writing && completion.error == ECANCELED);
	NEED(read(pipe_[0], buffer, sizeof buffer) > 0);
	NEED(laio_pending() == 0);
}

/* Writes to one socket do not get into each other, and reads take turns. */
static void order(void)
{
	int ends[2];
	pair_of(ends);
	memset(big, 'a', 300000);
	memset(big + 300000, 'b', 300000);
	memset(big + 600000, 'c', 300000);
	laio_handle writes[3];
	for (int i = 0; i < 3; i++)
		writes[i] = GOES_ON(CALLS(write, ends[0], big + i * 300000, 300000));
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	long got = 0;
	int done = 0;
	while (got < 900000) {
		ssize_t n = read(ends[1], buffer + got, sizeof buffer - got);
		got += n > 0 ? n : 0;
		struct laio_completion completion;
		if (laio_poll(&completion, 1, &at_once) == 1) {
			NEED(completion.handle == writes[done++] && completion.value == 300000);
		}
	}
	NEED(memcmp(buffer, big, 900000) == 0);
	while (done < 3)
		NEED(next().handle == writes[done++]);
	laio_handle reads[3];
	for (int i = 0; i < 3; i++)
		reads[i] = GOES_ON(CALLS(read, ends[0], buffer + i, 1));
	NEED(write(ends[1], "xyz", 3) == 3);
	for (int i = 0; i < 3; i++)
		NEED(next().handle == reads[i]);
	NEED(memcmp(buffer, "xyz", 3) == 0);
	/* Both directions at once. */
	laio_handle reading = GOES_ON(CALLS(read, ends[0], buffer, 1));
	laio_handle writing = GOES_ON(CALLS(write, ends[0], big, sizeof big));
	NEED(write(ends[1], "r", 1) == 1 && next().handle == reading);
	for (got = 0; got < (long)sizeof big;) {
		struct laio_completion completion;
		ssize_t n = read(ends[1], buffer, sizeof buffer);
		got += n > 0 ? n : 0;
		if (laio_poll(&completion, 1, &at_once) == 1)
			NEED(completion.handle == writing && completion.value == sizeof big);
	}
	while (laio_pending())
		NEED(next().handle == writing);
}

static volatile int handled;

static void handle_signal(int signal)
{
	(void)signal;
	handled = 1;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

/* Time limits, signals, and the descriptor for other event loops. */
static void waiting(void)
{
	struct laio_completion completion[4];
	struct timespec little = { 0, 30000000 };
	struct sigaction action = { .sa_handler = handle_signal };
	struct itimerval timer = { .it_value.tv_usec = 30000 };
	int ends[2], epoll = epoll_create1(0), bell = laio_eventfd();
	struct pollfd set = { .fd = bell, .events = POLLIN };
	struct epoll_event event = { .events = EPOLLIN };
	NEED(bell >= 0 && laio_eventfd() == bell);
	NEED(fcntl(bell, F_GETFD) == FD_CLOEXEC);
	double begin = now();
	NEED(laio_poll(completion, 4, &little) == 0 && now() - begin >= 0.03);
	NEED(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &timer, NULL) == 0);
	FAILS(laio_poll(completion, 4, NULL), EINTR);
	NEED(handled);
	NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, bell, &event) == 0);
	NEED(poll(&set, 1, 0) == 0 && epoll_wait(epoll, &event, 1, 0) == 0);
	/* A socket, a helper, and what is left behind. */
	pair_of(ends);
	GOES_ON(CALLS(read, ends[0], buffer, 10));
	NEED(poll(&set, 1, 0) == 0);
	NEED(write(ends[1], "hello", 5) == 5);
	NEED(poll(&set, 1, 20000) == 1 && epoll_wait(epoll, &event, 1, 20000) == 1);
	NEED(laio_poll(completion, 4, &at_once) == 1 && completion[0].value == 5);
	NEED(poll(&set, 1, 0) == 0);
	for (int i = 0; i < 3; i++)
		GOES_ON(CALLS(nanosleep, &little, NULL));
	for (int left = 3; left > 0;) {
		NEED(poll(&set, 1, 20000) == 1);
		left -= laio_poll(completion, 1, &at_once);
	}
	NEED(laio_poll(completion, 1, &at_once) == 0);
	NEED(poll(&set, 1, 0) == 0 && laio_pending() == 0);
}

/* More calls that take for ever than there are helpers for others: none of them waits for another. */
static void endless(void)
{
	enum { MANY = 100 };
	struct timespec little = { 0, 1000000 };
	int locked = open("lock", O_RDWR | O_CREAT, 0600);
	NEED(flock(locked, LOCK_EX) == 0);
	for (int i = 0; i < MANY; i++) {
		int other = open("lock", O_RDWR);
		NEED(other >= 0);
		GOES_ON(CALLS(flock, other, LOCK_SH));
	}
	laio_handle sleeping = GOES_ON(CALLS(nanosleep, &little, NULL));
	NEED(next().handle == sleeping);
	NEED(laio_pending() == MANY);
	NEED(flock(locked, LOCK_UN) == 0);
	for (int i = 0; i < MANY; i++)
		NEED(next().value == 0);
}

static const struct moment moments[] = {
	{ "errors", errors },	{ "nothing", nothing_to_be_had }, { "cancellation", cancellation },
	{ "order", order },	{ "waiting", waiting },		  { "endless", endless },
};

MAIN_OF(moments)
