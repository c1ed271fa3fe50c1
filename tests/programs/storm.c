/* A storm of signals, preloaded beside the library: at random moments a handler makes the calls that handlers may make.
 *
 * The signal is one that nobody uses, and that is ignored where it has no handler (after `exec`). It arrives with all others
 * blocked. Waits are not restarted after a handler, so those that this one alone has ended are made again here, for what is
 * left of their time: the program goes on as without the storm, but for its time.
 *
 * STORM_DIR names a directory with the file `known`, and `tally`, in which all processes count. STORM_MOST is the longest
 * pause in microseconds. With STORM_LATER the first signal is somebody else's. With STORM_ROUGH the handler also duplicates
 * and registers the program's own descriptors. */
#include "storm/acts.h"
#include <sys/single_threaded.h>
#include <time.h>
#include <ucontext.h>

enum { LEAST = 20 };

/* Each thread's own. In the static block: the others need memory at their first use. */
#define OWN static __thread __attribute__((tls_model("initial-exec")))

OWN volatile sig_atomic_t cut;
static timer_t timer;
static unsigned most = 300, later, rough, handled;

static void next_signal(void)
{
	struct itimerspec soon = { .it_value.tv_nsec = (LEAST + random_number() % (most - LEAST)) * 1000 };
	timer_settime(timer, 0, &soon, NULL);
}

/* Whether a handler has come directly behind a system call that is not made again by itself. */
static int has_cut(const ucontext_t *context)
{
#if defined __x86_64__
	const unsigned char *at = (const unsigned char *)context->uc_mcontext.gregs[REG_RIP];
	return context->uc_mcontext.gregs[REG_RAX] == -EINTR && at[-2] == 0x0f && at[-1] == 0x05;
#elif defined __aarch64__
	const uint32_t *at = (const uint32_t *)context->uc_mcontext.pc;
	return (long)context->uc_mcontext.regs[0] == -EINTR && at[-1] == 0xd4000001;
#endif
}

static void handler(int signal, siginfo_t *info, void *context)
{
	int saved = errno, was_cut = cut | has_cut(context);
	(void)signal;
	(void)info;
	__atomic_fetch_add(&tally->signals, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
	act = random_number() % ACTS;
	if (acts[act] != meddle || rough)
		acts[act]();
	/* What the handler has waited for itself is no matter. */
	cut = was_cut;
	next_signal();
	errno = saved;
}

static void begin(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGNAL };
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && !later)
		next_signal();
	/* Children begin in the middle. */
	later = 0;
}

/* Whether a wait has been ended by a signal that another thread has then taken: the kernel does so with `epoll_wait`. */
static int was_for_another(unsigned before)
{
	for (int i = 0; !__libc_single_threaded && i < 20; i++) {
		if (__atomic_load_n(&handled, __ATOMIC_RELAXED) != before)
			return 1;
		syscall(SYS_nanosleep, &(struct timespec){ 0, 100000 }, NULL);
	}
	return 0;
}

#define WAITS(each)                                                                                                    \
	each(int, epoll_wait, (int, struct epoll_event *, int, int))                                                   \
	each(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))                                \
	each(int, epoll_pwait2, (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))           \
	each(int, poll, (struct pollfd *, nfds_t, int))                                                                \
	each(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))                         \
	each(int, __poll_chk, (struct pollfd *, nfds_t, int, size_t))                                                  \
	each(int, __ppoll_chk, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t))           \
	each(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                                       \
	each(int, pselect, (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))             \
	each(int, nanosleep, (const struct timespec *, struct timespec *))

#define POINTER(result, name, arguments) static result(*next_##name) arguments;
#define FIND(result, name, arguments) next_##name = dlsym(RTLD_NEXT, #name);
WAITS(POINTER)

static void find(void)
{
	WAITS(FIND)
}

static struct timespec now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now;
}

/* What is left of a time that began then. */
static struct timespec left_of(struct timespec time, struct timespec began)
{
	struct timespec at = now();
	long long left = (time.tv_sec - (at.tv_sec - began.tv_sec)) * 1000000000ll + time.tv_nsec - (at.tv_nsec - began.tv_nsec);
	if (left < 0)
		left = 0;
	return (struct timespec){ left / 1000000000, left % 1000000000 };
}

static int in_milliseconds(int timeout, struct timespec began)
{
	struct timespec left;
	if (timeout <= 0)
		return timeout;
	left = left_of((struct timespec){ timeout / 1000, timeout % 1000 * 1000000 }, began);
	return left.tv_sec * 1000 + (left.tv_nsec + 999999) / 1000000;
}

/* Makes a wait until something else ends it; `once_more` sets its time. */
#define UNCUT(name, call, once_more)                                                                                   \
	struct timespec began = now();                                                                                 \
	int before = errno;                                                                                            \
	if (!next_##name)                                                                                              \
		find();                                                                                                \
	for (;;) {                                                                                                     \
		unsigned seen = __atomic_load_n(&handled, __ATOMIC_RELAXED);                                           \
		cut = 0;                                                                                               \
		int result = next_##name call;                                                                         \
		if (result >= 0 || errno != EINTR || !(cut || was_for_another(seen)))                                  \
			return result;                                                                                 \
		errno = before;                                                                                        \
		once_more;                                                                                             \
	}                                                                                                              \
	(void)began

/* An invalid time never comes here again: it is refused. */
#define PRECISE                                                                                                        \
	const struct timespec *whole = time;                                                                           \
	struct timespec rest;
#define SHORTER whole ? (void)(rest = left_of(*whole, began), time = &rest) : (void)0

int epoll_wait(int ep, struct epoll_event *events, int room, int timeout)
{
	int whole = timeout;
	UNCUT(epoll_wait, (ep, events, room, timeout), timeout = in_milliseconds(whole, began));
}

int epoll_pwait(int ep, struct epoll_event *events, int room, int timeout, const sigset_t *mask)
{
	int whole = timeout;
	UNCUT(epoll_pwait, (ep, events, room, timeout, mask), timeout = in_milliseconds(whole, began));
}

int epoll_pwait2(int ep, struct epoll_event *events, int room, const struct timespec *time, const sigset_t *mask)
{
	PRECISE
	UNCUT(epoll_pwait2, (ep, events, room, time, mask), SHORTER);
}

int poll(struct pollfd *set, nfds_t count, int timeout)
{
	int whole = timeout;
	UNCUT(poll, (set, count, timeout), timeout = in_milliseconds(whole, began));
}

int __poll_chk(struct pollfd *set, nfds_t count, int timeout, size_t room)
{
	int whole = timeout;
	UNCUT(__poll_chk, (set, count, timeout, room), timeout = in_milliseconds(whole, began));
}

int ppoll(struct pollfd *set, nfds_t count, const struct timespec *time, const sigset_t *mask)
{
	PRECISE
	UNCUT(ppoll, (set, count, time, mask), SHORTER);
}

int __ppoll_chk(struct pollfd *set, nfds_t count, const struct timespec *time, const sigset_t *mask, size_t room)
{
	PRECISE
	UNCUT(__ppoll_chk, (set, count, time, mask, room), SHORTER);
}

/* The kernel has left in the time what is left of it. */
int select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *time)
{
	UNCUT(select, (count, readable, writable, exceptional, time), (void)0);
}

int pselect(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, const struct timespec *time,
	    const sigset_t *mask)
{
	PRECISE
	UNCUT(pselect, (count, readable, writable, exceptional, time, mask), SHORTER);
}

int nanosleep(const struct timespec *time, struct timespec *rest_of_it)
{
	PRECISE
	UNCUT(nanosleep, (time, rest_of_it), SHORTER);
}

int usleep(useconds_t time)
{
	return nanosleep(&(struct timespec){ time / 1000000, time % 1000000 * 1000 }, NULL);
}

unsigned sleep(unsigned seconds)
{
	struct timespec rest = { 0, 0 };
	return nanosleep(&(struct timespec){ seconds, 0 }, &rest) == 0 ? 0 : rest.tv_sec + (rest.tv_nsec >= 500000000);
}

static void __attribute__((constructor)) prepare(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_RESTART | SA_SIGINFO };
	const char *where = getenv("STORM_DIR"), *pause = getenv("STORM_MOST");
	char path[PATH_MAX + 16];
	find();
	if (!where)
		return;
	snprintf(dir, sizeof dir, "%s", where);
	snprintf(known_path, sizeof known_path, "%s/known", where);
	snprintf(path, sizeof path, "%s/tally", where);
	content("known", known, sizeof known);
	most = pause && atoi(pause) > LEAST ? (unsigned)atoi(pause) : most;
	rough = getenv("STORM_ROUGH") != NULL;
	later = getenv("STORM_LATER") != NULL;
	state ^= (uint64_t)getpid() << 32 ^ (uint64_t)now().tv_nsec;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		void *at = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
		if (at != MAP_FAILED)
			tally = at;
	}
	sigfillset(&action.sa_mask);
	sigaction(SIGNAL, &action, NULL);
	pthread_atfork(NULL, NULL, begin);
	begin();
}
