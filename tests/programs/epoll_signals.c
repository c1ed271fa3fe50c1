/* Timeouts and signals: which wait ends, with what, and with which signals blocked. How long it took is only checked
 * against ending early: a wait that returns 0 before its time makes servers' timers drift. */
#include "common.h"
#include <time.h>

static volatile sig_atomic_t caught, in_handler;
static struct epoll_event events[8];

static void handler(int signal)
{
	caught = signal;
	/* Interrupted servers make calls in their handlers. */
	struct stat status;
	int saved = errno;
	in_handler = stat("file", &status) == 0 && status.st_size == 5000;
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
	int ep = epoll_create1(EPOLL_CLOEXEC), pipes[2];
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 9 };
	struct timespec fifty = { 0, 50000000 }, second = { 1, 0 };
	sigset_t block, none, before, pending;
	char byte;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	NEED(pipe(pipes) == 0);
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], &event) == 0);
	caught = in_handler = 0;

	TIMED(epoll_wait(ep, events, 8, 0), 0);
	TIMED(epoll_wait(ep, events, 8, 50), 49.9);
	TIMED(epoll_pwait(ep, events, 8, 50, NULL), 49.9);
	TIMED(epoll_pwait2(ep, events, 8, &fifty, NULL), 49.9);
	TIMED(epoll_wait(ep, NULL, 1, 10), 9.9);

	soon();
	TIMED(epoll_wait(ep, events, 8, -1), 20);
	soon();
	TIMED(epoll_wait(ep, events, 8, 1000), 20);
	soon();
	TIMED(epoll_pwait(ep, events, 8, -1, &none), 20);
	soon();
	TIMED(epoll_pwait2(ep, events, 8, NULL, NULL), 20);
	soon();
	TIMED(epoll_pwait2(ep, events, 8, &second, &none), 20);
	/* Blocked during the wait: the timeout ends it, the signal comes afterwards. */
	soon();
	TIMED(epoll_pwait(ep, events, 8, 60, &block), 59.9);
	/* Blocked outside and let in by the wait alone. */
	sigprocmask(SIG_BLOCK, &block, NULL);
	soon();
	usleep(50000);
	sigpending(&pending);
	printf("pending %d, caught %d\n", sigismember(&pending, SIGALRM), caught);
	TIMED(epoll_wait(ep, events, 8, 10), 9.9);
	TIMED(epoll_pwait(ep, events, 8, -1, &none), 0);
	sigprocmask(SIG_UNBLOCK, &block, &before);
	printf("mask kept: %d\n", sigismember(&before, SIGALRM));
	/* Ready and signalled: the event is returned. */
	NEED(write(pipes[1], "x", 1) == 1);
	TIMED(epoll_wait(ep, events, 8, -1), 0);
	/* A blocking read on a pipe: EINTR, or restarted. */
	CALL(read(pipes[0], &byte, 1));
	soon();
	if (flags & SA_RESTART) {
		pid_t child = fork();
		if (child == 0) {
			usleep(80000);
			_exit(write(pipes[1], "y", 1) != 1);
		}
		errno = UNTOUCHED;
		int n = read(pipes[0], &byte, 1);
		int error = errno;
		NEED(waitpid(child, NULL, 0) == child);
		show("read, restarted", n, error);
	} else {
		CALL(read(pipes[0], &byte, 1));
	}
	printf("  caught %d %d\n", caught, in_handler);
	close(pipes[0]);
	close(pipes[1]);
	close(ep);
}

static void scenario(void)
{
	write_document("file", "file", 5000);
	chill("file");
	with_handler(0);
	with_handler(SA_RESTART);
}

MAIN(scenario)
