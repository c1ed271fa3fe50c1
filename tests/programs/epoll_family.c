/* epoll_create, epoll_ctl and the wait calls on descriptors that are never gated: exact events, data, order of errors. */
#include "common.h"
#include <sys/eventfd.h>
#include <sys/timerfd.h>

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;
	return (x->data.u64 > y->data.u64) - (x->data.u64 < y->data.u64);
}

static struct epoll_event events[64];

static void got(long n)
{
	if (n > 0)
		qsort(events, n, sizeof *events, by_data);
	for (long i = 0; i < n; i++)
		printf("  %#x data %#llx\n", events[i].events, (unsigned long long)events[i].data.u64);
}

static struct epoll_event *on(uint32_t which, uint64_t data)
{
	static struct epoll_event event;
	event.events = which;
	event.data.u64 = data;
	return &event;
}

#define WAIT(call) got(CALL(call))

static void every_wait(int ep)
{
	struct timespec fifty = { 0, 50000000 }, now = { 0, 0 }, odd = { 0, 2000000000 };
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	WAIT(epoll_wait(ep, events, 64, 0));
	WAIT(epoll_wait(ep, events, 64, 50));
	WAIT(epoll_wait(ep, events, 1, 50) > 0);
	WAIT(epoll_pwait(ep, events, 64, 0, NULL));
	WAIT(epoll_pwait(ep, events, 64, 50, &mask));
	WAIT(epoll_pwait2(ep, events, 64, &now, NULL));
	WAIT(epoll_pwait2(ep, events, 64, &fifty, &mask));
	WAIT(epoll_pwait2(ep, events, 64, &odd, NULL));
}

static void scenario(void)
{
	void *volatile nowhere = (void *)16;
	struct epoll_event *volatile null = NULL;
	int pipes[2], file;
	int ep = CALL(epoll_create(10));
	int ep2 = CALL(epoll_create1(EPOLL_CLOEXEC));
	CALL(fcntl(ep, F_GETFD));
	CALL(fcntl(ep2, F_GETFD));
	CALL(epoll_create(0));
	CALL(epoll_create(-1));
	CALL(epoll_create1(12345));
	NEED(pipe2(pipes, O_NONBLOCK) == 0);
	write_document("file", "file", 100);
	file = open("file", O_RDONLY);
	every_wait(ep);

	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], on(EPOLLIN, 0x1111222233334444)));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], on(EPOLLIN, 1)));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pipes[1], on(EPOLLIN, 1)));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, pipes[1], NULL));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, file, on(EPOLLIN, 1)));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, ep, on(EPOLLIN, 1)));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, 9999, on(EPOLLIN, 1)));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, -1, on(EPOLLIN, 1)));
	CALL(epoll_ctl(9999, EPOLL_CTL_ADD, pipes[1], on(EPOLLIN, 1)));
	CALL(epoll_ctl(file, EPOLL_CTL_ADD, pipes[1], on(EPOLLIN, 1)));
	CALL(epoll_ctl(ep, 77, pipes[0], on(EPOLLIN, 1)));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[1], null));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[1], nowhere));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pipes[0], nowhere));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pipes[0], on(EPOLLIN | EPOLLEXCLUSIVE, 1)));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[1], on(EPOLLOUT | EPOLLEXCLUSIVE | EPOLLONESHOT, 2)));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pipes[1], on(EPOLLOUT | EPOLLEXCLUSIVE, 2)));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pipes[1], on(EPOLLOUT, 2)));
	every_wait(ep);
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, pipes[1], nowhere));
	NEED(write(pipes[1], "abc", 3) == 3);
	every_wait(ep);
	WAIT(epoll_wait(ep, events, 0, 0));
	WAIT(epoll_wait(ep, events, -1, 0));
	WAIT(epoll_wait(ep, events, INT_MAX, 0));
	WAIT(epoll_wait(ep, nowhere, 1, 0));
	WAIT(epoll_wait(9999, events, 1, 0));
	WAIT(epoll_wait(-1, events, 1, 0));
	WAIT(epoll_wait(file, events, 1, 0));
	WAIT(epoll_pwait(9999, events, 1, 0, NULL));
	WAIT(epoll_pwait2(9999, events, 1, NULL, NULL));
	WAIT(epoll_pwait(ep, events, 1, 0, nowhere));
	WAIT(epoll_pwait2(ep, events, 1, nowhere, NULL));

	/* Edge-triggered: once per edge. One-shot: once per arming. */
	char piece[16];
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pipes[0], on(EPOLLIN | EPOLLET, 3)));
	WAIT(epoll_wait(ep, events, 64, -1));
	WAIT(epoll_wait(ep, events, 64, 0));
	NEED(write(pipes[1], "d", 1) == 1);
	WAIT(epoll_wait(ep, events, 64, -1));
	WAIT(epoll_wait(ep, events, 64, 0));
	CALL(read(pipes[0], piece, 16));
	WAIT(epoll_wait(ep, events, 64, 0));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pipes[0], on(EPOLLIN | EPOLLONESHOT, 4)));
	NEED(write(pipes[1], "e", 1) == 1);
	WAIT(epoll_wait(ep, events, 64, -1));
	NEED(write(pipes[1], "f", 1) == 1);
	WAIT(epoll_wait(ep, events, 64, 0));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pipes[0], on(EPOLLIN | EPOLLONESHOT, 5)));
	WAIT(epoll_wait(ep, events, 64, -1));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pipes[0], on(0, 6)));
	WAIT(epoll_wait(ep, events, 64, 0));

	/* An accepted connection whose bytes are no request: nothing may be held back. */
	struct pair pair = tcp_pair();
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, nowhere));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, null));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, on(EPOLLIN, 7)));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, nowhere));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, on(EPOLLIN | EPOLLRDHUP, 7)));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, nowhere));
	WAIT(epoll_wait(ep, events, 64, 0));
	NEED(write(pair.client, "\1\2\3 binary", 10) == 10);
	settle(pair.server, 10);
	WAIT(epoll_wait(ep, events, 64, -1));
	WAIT(epoll_wait(ep, events, 64, -1));
	CALL(read(pair.server, piece, 16));
	WAIT(epoll_wait(ep, events, 64, 0));
	CALL(read(pair.server, piece, 16));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, on(EPOLLIN | EPOLLOUT, 8)));
	WAIT(epoll_wait(ep, events, 64, -1));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, on(EPOLLOUT | EPOLLET, 9)));
	WAIT(epoll_wait(ep, events, 64, -1));
	WAIT(epoll_wait(ep, events, 64, 0));
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, on(EPOLLIN | EPOLLRDHUP | EPOLLET, 10)));
	shutdown(pair.client, SHUT_WR);
	WAIT(epoll_wait(ep, events, 64, -1));
	CALL(read(pair.server, piece, 16));
	WAIT(epoll_wait(ep, events, 64, 0));
	close(pair.client);

	/* Two instances: one descriptor in both, and one instance inside the other. */
	CALL(epoll_ctl(ep2, EPOLL_CTL_ADD, pair.server, on(EPOLLIN | EPOLLOUT, 11)));
	WAIT(epoll_wait(ep2, events, 64, -1) > 0);
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, ep2, on(EPOLLIN, 12)));
	WAIT(epoll_wait(ep, events, 1, -1) > 0);
	CALL(epoll_ctl(ep2, EPOLL_CTL_ADD, ep, on(EPOLLIN, 13)));
	CALL(epoll_ctl(ep2, EPOLL_CTL_DEL, pair.server, NULL));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, NULL));

	/* A duplicate keeps the registration of a closed number alive; DEL by that number no longer works. */
	int copy = dup(pipes[0]);
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pipes[0], on(EPOLLIN, 14)));
	int closed = pipes[0];
	CALL(close(pipes[0]));
	WAIT(epoll_wait(ep, events, 64, -1));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, closed, NULL));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, copy, on(EPOLLIN, 15)));
	WAIT(epoll_wait(ep, events, 64, -1));
	CALL(dup2(copy, closed));
	CALL(epoll_ctl(ep, EPOLL_CTL_DEL, closed, NULL));
	CALL(close(closed));
	WAIT(epoll_wait(ep, events, 64, -1));
	CALL(close(copy));
	WAIT(epoll_wait(ep, events, 64, 0));

	/* More ready than asked for: none is lost. */
	int counters[5];
	for (int i = 0; i < 5; i++) {
		counters[i] = eventfd(1, EFD_NONBLOCK);
		NEED(epoll_ctl(ep, EPOLL_CTL_ADD, counters[i], on(EPOLLIN | EPOLLET, 20 + i)) == 0);
	}
	for (int i = 0, seen = 0; i < 5; i++) {
		NEED(epoll_wait(ep, events, 1, -1) == 1);
		seen |= 1 << (events[0].data.u64 - 20);
		if (i == 4)
			printf("seen one at a time: %#x\n", seen);
	}
	WAIT(epoll_wait(ep, events, 64, 0));
	for (int i = 0; i < 5; i++)
		close(counters[i]);

	/* A copy of the instance itself. */
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct itimerspec soon = { .it_value.tv_nsec = 20000000 };
	int same = dup(ep);
	CALL(epoll_ctl(same, EPOLL_CTL_ADD, timer, on(EPOLLIN, 30)));
	timerfd_settime(timer, 0, &soon, NULL);
	WAIT(epoll_wait(ep, events, 64, -1));
	CALL(close(ep));
	WAIT(epoll_wait(ep, events, 64, 0));
	WAIT(epoll_wait(same, events, 64, -1));
	close(timer);
	close(same);
	close(ep2);
	close(pair.server);
	close(pipes[1]);
	close(file);
}

MAIN(scenario)
