/* What `include/laio.h` promises, one moment after the other: `native_moments MOMENT`. Exits 3 where a promise is broken.
 * Longer than other files: each moment is a function of its own. */
#include "native.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>

static char buffer[1 << 20], big[1 << 20];
static const struct timespec at_once = { 0, 0 }, long_enough = { 20, 0 };

#define GOES_ON(call)                                                                                                  \
	({                                                                                                             \
		NEED((call) == -1 && errno == EINPROGRESS);                                                            \
		laio_handle handle_ = laio_gethandle();                                                                \
		NEED(handle_ != NULL && laio_gethandle() == handle_);                                                  \
		handle_;                                                                                               \
	})
#define FAILS(call, error)                                                                                             \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		NEED((call) == -1 && errno == (error));                                                                \
	} while (0)
#define CALLS(name, ...) CALLS_(name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALLS_(name, a, b, c, d, e, f, ...)                                                                            \
	laio_syscall(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static struct laio_completion next(void)
{
	struct laio_completion completion;
	NEED(laio_poll(&completion, 1, &long_enough) == 1);
	return completion;
}

static void pair_of(int *ends)
{
	NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
}

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

/* A child of fork has nothing in the background, and does not take what is its parent's. */
static void children(void)
{
	struct laio_completion completion;
	struct timespec little = { 0, 50000000 };
	int ends[2], status, bell = laio_eventfd();
	pair_of(ends);
	laio_handle sleeping = GOES_ON(CALLS(nanosleep, &little, NULL));
	laio_handle reading = GOES_ON(CALLS(read, ends[0], buffer, 10));
	for (int way = 0; way < 2; way++) {
		pid_t child = way == 0 ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		NEED(child >= 0);
		if (child == 0) {
			int own[2];
			alarm(20);
			if (way == 1) {
				/* The library has not been told: its calls block, as without it. */
				NEED(CALLS(nanosleep, &little, NULL) == 0 && laio_gethandle() == NULL);
				_exit(5);
			}
			NEED(laio_pending() == 0);
			FAILS(laio_cancel(sleeping), ENOENT);
			FAILS(laio_setdata(reading, buffer), ENOENT);
			NEED(laio_eventfd() != bell);
			pair_of(own);
			laio_handle handle = GOES_ON(CALLS(read, own[0], buffer, 10));
			NEED(handle != sleeping && handle != reading);
			NEED(write(own[1], "child", 5) == 5);
			NEED(laio_poll(&completion, 1, &long_enough) == 1 && completion.handle == handle);
			handle = GOES_ON(CALLS(nanosleep, &little, NULL));
			NEED(laio_poll(&completion, 1, &long_enough) == 1 && completion.handle == handle);
			NEED(laio_pending() == 0);
			_exit(5);
		}
		NEED(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5);
	}
	NEED(next().handle == sleeping);
	NEED(write(ends[1], "parent", 6) == 6);
	completion = next();
	NEED(completion.handle == reading && completion.value == 6);
	NEED(laio_pending() == 0);
}

enum { THREADS = 4, ROUNDS = 25000 };
static unsigned char handed_out[THREADS * ROUNDS];
static int left = THREADS * ROUNDS;
static int documents[16];

/* Many operations of all kinds from several threads, and whoever polls takes anybody's: each completion once. */
static void *several(void *argument)
{
	long thread = (long)argument, seed = thread * 7919 + 1;
	int pipe_[2], ends[2];
	char sink[4096], page[16][4096];
	NEED(pipe(pipe_) == 0);
	pair_of(ends);
	for (long round = 0; round < ROUNDS; round++) {
		long number = thread * ROUNDS + round;
		seed = seed * 1103515245 + 12345;
		int what = (seed >> 16) & 15, slot = (seed >> 20) & 15;
		long result = 0;
		switch (what) {
		case 0 ... 7:
			result = CALLS(pread64, documents[slot], page[slot], 4096, ((seed >> 8) & 63) * 4096);
			break;
		case 8:
			posix_fadvise(documents[slot], 0, 0, POSIX_FADV_DONTNEED);
			result = CALLS(pread64, documents[slot], page[slot], 4096, ((seed >> 8) & 63) * 4096);
			break;
		case 9:
			result = CALLS(write, pipe_[1], "x", 1);
			break;
		case 10:
			/* Waits until the next write. */
			result = CALLS(read, ends[0], sink, 1);
			if (result == -1 && errno == EINPROGRESS) {
				laio_handle handle = laio_gethandle();
				(void)!laio_setdata(handle, &handed_out[number]);
				NEED(write(ends[1], "y", 1) == 1);
				goto went_on;
			}
			break;
		case 11:
			result = CALLS(openat, AT_FDCWD, "document-3", O_RDONLY);
			if (result >= 0)
				close(result);
			break;
		case 12: {
			static struct stat status[THREADS];
			result = CALLS(newfstatat, AT_FDCWD, "document-5", &status[thread], 0);
			break;
		}
		case 13:
			result = CALLS(getppid);
			break;
		case 14:
			result = CALLS(sched_yield);
			break;
		case 15:
			result = CALLS(lseek, documents[slot], 0, SEEK_CUR);
			break;
		}
		if (result == -1 && errno == EINPROGRESS) {
			/* Another thread may have taken the completion already: then it saw no pointer, and counted it. */
			if (laio_setdata(laio_gethandle(), &handed_out[number]) != 0)
				NEED(errno == ENOENT);
		} else {
			NEED(result >= 0);
			__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED);
		}
	went_on:
		/* The pipe must not fill up, and the pages in use must not be read into twice. */
		while (what == 9 && read(pipe_[0], sink, 1) != 1)
			;
		do {
			struct laio_completion completion[8];
			int n = laio_poll(completion, 8, &at_once);
			NEED(n >= 0);
			for (int i = 0; i < n; i++) {
				unsigned char *mark = completion[i].data;
				NEED(completion[i].error == 0);
				if (mark != NULL)
					NEED(__atomic_fetch_add(mark, 1, __ATOMIC_RELAXED) == 0);
				__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED);
			}
		} while (laio_pending() > 200);
	}
	while (__atomic_load_n(&left, __ATOMIC_RELAXED) > 0) {
		struct laio_completion completion;
		struct timespec little = { 0, 1000000 };
		int n = laio_poll(&completion, 1, &little);
		NEED(n >= 0);
		if (n == 1) {
			NEED(completion.error == 0);
			if (completion.data)
				NEED(__atomic_fetch_add((unsigned char *)completion.data, 1, __ATOMIC_RELAXED) == 0);
			__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	for (int i = 0; i < 16; i++) {
		char name[32];
		snprintf(name, sizeof name, "document-%d", i);
		write_document(name, name, 64 * 4096);
		NEED((documents[i] = open(name, O_RDONLY)) >= 0);
	}
	for (long i = 0; i < THREADS; i++)
		NEED(pthread_create(&thread[i], NULL, several, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	NEED(left == 0 && laio_pending() == 0);
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

/* Helpers leave before the process gives up a right, those that are in a call when they come back from it. */
static void rights(void)
{
	int ends[2];
	struct timespec little = { 0, 1000000 };
	struct laio_completion completion;
	NEED(mkfifo("fifo", 0600) == 0);
	GOES_ON(CALLS(fsync, open("file", O_RDWR | O_CREAT, 0600)));
	next();
	laio_handle opening = GOES_ON(CALLS(openat, AT_FDCWD, "fifo", O_RDONLY));
	NEED(unshare(CLONE_FS) == 0 || errno == EPERM);
	GOES_ON(CALLS(fsync, open("file", O_RDWR | O_CREAT, 0600)));
	NEED(next().value == 0);
	NEED(open("fifo", O_WRONLY) >= 0);
	completion = next();
	NEED(completion.handle == opening && completion.value >= 0);
	/* Under a filter of its own the process makes its calls itself: they block. */
	pair_of(ends);
	NEED(write(ends[1], "x", 1) == 1);
	NEED(prctl(PR_SET_SECCOMP, 99, 0, 0, 0) == -1);
	laio_handle sleeping = GOES_ON(CALLS(nanosleep, &little, NULL));
	NEED(next().handle == sleeping);
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = { .len = 1, .filter = &allow };
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
	NEED(CALLS(nanosleep, &little, NULL) == 0 && laio_gethandle() == NULL);
	NEED(CALLS(read, ends[0], buffer, 10) == 1);
}

static volatile int is_over;

static void *keeps_helpers_busy(void *argument)
{
	struct laio_completion completions[64];
	while (!is_over) {
		static struct timespec little = { 0, 100000 };
		for (int i = 0; i < 8; i++)
			CALLS(nanosleep, &little, NULL);
		laio_poll(completions, 64, &at_once);
	}
	return argument;
}

/* One thread has operations in the background, another gives up a right again and again: helpers start others while they are
 * sent away. */
static void dismissed(void)
{
	int setfsuid(uid_t);
	pthread_t thread;
	alarm(15);
	NEED(pthread_create(&thread, NULL, keeps_helpers_busy, NULL) == 0);
	time_t end = time(NULL) + 5;
	while (time(NULL) < end)
		setfsuid(geteuid());
	is_over = 1;
	NEED(pthread_join(thread, NULL) == 0);
	alarm(0);
}

/* A program that closes all it does not know, as daemons do, and opens files of its own: those are not written into. */
static void all_closed(void)
{
	enum { FILES = 8 };
	static struct timespec little = { 0, 50000000 };
	int ends[2], files[FILES];
	struct stat status;
	char name[20];
	NEED(laio_eventfd() >= 0);
	laio_handle sleeping = GOES_ON(CALLS(nanosleep, &little, NULL));
	closefrom(3);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "file-%d", i);
		files[i] = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
		NEED(files[i] >= 3);
	}
	usleep(200000);
	NEED(next().handle == sleeping);
	for (int i = 0; i < FILES; i++) {
		NEED(fstat(files[i], &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0);
		NEED(laio_eventfd() != files[i]);
	}
	/* What goes on later is told of by other descriptors. */
	pair_of(ends);
	laio_handle reading = GOES_ON(CALLS(read, ends[0], buffer, 1));
	NEED(write(ends[1], "x", 1) == 1);
	struct laio_completion completion = next();
	NEED(completion.handle == reading && completion.value == 1);
	/* And what waits already is taken along. */
	reading = GOES_ON(CALLS(read, ends[0], buffer, 1));
	close(laio_eventfd());
	NEED(write(ends[1], "y", 1) == 1);
	NEED(next().handle == reading && buffer[0] == 'y');
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} moments[] = {
		{ "errors", errors },	{ "nothing", nothing_to_be_had }, { "cancellation", cancellation },
		{ "order", order },	{ "waiting", waiting },		  { "children", children },
		{ "threads", threads }, { "endless", endless },		  { "rights", rights },
		{ "dismissed", dismissed }, { "all_closed", all_closed },
	};
	NEED(argc == 2 && laio_syscall);
	for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
		if (strcmp(argv[1], moments[i].name) == 0) {
			moments[i].run();
			puts("kept");
			return 0;
		}
	NEED(!"such a moment");
}
