/* Timeouts and signals in poll, ppoll, select and pselect: epoll_signals.c for them. */
#include "common.h"
#include <sys/select.h>
#include <time.h>

static volatile sig_atomic_t caught, in_handler;
static int pipes[2], highest;

static void handler(int signal)
{
	caught = signal;
	/* Interrupted servers make calls in their handlers, waits among them. */
	struct stat status;
	struct pollfd other[2] = { { .fd = pipes[1], .events = POLLOUT }, { .fd = -1 } };
	int saved = errno;
	in_handler = stat("file", &status) == 0 && status.st_size == 5000 && poll(other, 2, 0) == 1;
	errno = saved;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void soon(void)
{
	struct itimerval timer = { .it_value.tv_usec = 30000 };
	caught = in_handler = 0;
	setitimer(ITIMER_REAL, &timer, NULL);
}

static struct pollfd *entries(void)
{
	static struct pollfd set[2];
	set[0] = (struct pollfd){ .fd = pipes[0], .events = POLLIN, .revents = 0x5a };
	set[1] = (struct pollfd){ .fd = 0, .revents = 0x5a };
	return set;
}

static fd_set *readable(void)
{
	static fd_set set;
	FD_ZERO(&set);
	FD_SET(pipes[0], &set);
	return &set;
}

#define TIMED(call, least)                                                                                             \
	do {                                                                                                           \
		double start_ = now();                                                                                 \
		CALL(call);                                                                                            \
		printf("  not early: %d, caught %d %d\n", now() - start_ >= (least), caught, in_handler);              \
	} while (0)

static void with_handler(int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	sigaction(SIGALRM, &action, NULL);
	struct timespec fifty = { 0, 50000000 }, sixty = { 0, 60000000 }, second = { 1, 0 }, ten = { 0, 10000000 };
	struct timeval left = { 0, 50000 };
	sigset_t block, none, before, pending;
	struct pollfd *set;
	fd_set *members;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	NEED(pipe(pipes) == 0);
	highest = pipes[0] + 1;
	caught = in_handler = 0;

	TIMED(poll(entries(), 2, 0), 0);
	TIMED(poll(entries(), 2, 50), 49.9);
	TIMED(ppoll(entries(), 2, &fifty, NULL), 49.9);
	TIMED(ppoll(entries(), 2, &fifty, &none), 49.9);
	TIMED(select(highest, readable(), NULL, NULL, &left), 49.9);
	printf("  left %ld %ld\n", (long)left.tv_sec, (long)left.tv_usec);
	TIMED(pselect(highest, readable(), NULL, NULL, &fifty, &none), 49.9);

	/* None of these is ever restarted. The entries are written to, the sets are not. */
	soon();
	TIMED(poll(set = entries(), 2, -1), 20);
	printf("  %#hx %#hx\n", set[0].revents, set[1].revents);
	soon();
	TIMED(poll(entries(), 2, 1000), 20);
	soon();
	TIMED(ppoll(entries(), 2, NULL, NULL), 20);
	soon();
	TIMED(ppoll(entries(), 2, &second, &none), 20);
	soon();
	TIMED(select(highest, members = readable(), NULL, NULL, NULL), 20);
	printf("  %d\n", FD_ISSET(pipes[0], members) != 0);
	soon();
	left = (struct timeval){ 1, 0 };
	TIMED(select(highest, readable(), NULL, NULL, &left), 20);
	printf("  left %d\n", left.tv_sec == 0 && left.tv_usec > 0 && left.tv_usec <= 980000);
	soon();
	TIMED(pselect(highest, readable(), NULL, NULL, NULL, NULL), 20);
	soon();
	TIMED(pselect(highest, readable(), NULL, NULL, &second, &none), 20);
	/* Blocked during the wait: the timeout ends it, the signal comes afterwards. */
	soon();
	TIMED(ppoll(entries(), 2, &sixty, &block), 59.9);
	soon();
	TIMED(pselect(highest, readable(), NULL, NULL, &sixty, &block), 59.9);
	/* Blocked outside and let in by the wait alone. */
	sigprocmask(SIG_BLOCK, &block, NULL);
	for (int way = 0; way < 2; way++) {
		soon();
		usleep(50000);
		sigpending(&pending);
		printf("pending %d, caught %d\n", sigismember(&pending, SIGALRM), caught);
		TIMED(poll(entries(), 2, 10), 9.9);
		TIMED(ppoll(entries(), 2, &ten, NULL), 9.9);
		if (way)
			TIMED(ppoll(entries(), 2, NULL, &none), 0);
		else
			TIMED(pselect(highest, readable(), NULL, NULL, NULL, &none), 0);
		sigprocmask(SIG_BLOCK, NULL, &before);
		printf("mask kept: %d\n", sigismember(&before, SIGALRM));
	}
	/* Ready and pending: what is ready is returned, and the signal stays pending. */
	soon();
	usleep(50000);
	NEED(write(pipes[1], "x", 1) == 1);
	TIMED(ppoll(entries(), 2, NULL, &none), 0);
	sigpending(&pending);
	printf("pending %d\n", sigismember(&pending, SIGALRM));
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	TIMED(poll(entries(), 2, -1), 0);
	close(pipes[0]);
	close(pipes[1]);
}

static void scenario(void)
{
	write_document("file", "file", 5000);
	chill("file");
	with_handler(0);
	with_handler(SA_RESTART);
}

MAIN(scenario)
