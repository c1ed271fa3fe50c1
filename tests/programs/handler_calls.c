/* Calls that are async-signal-safe, and take or give descriptors, in a handler that comes at any moment: also where the
 * interrupted code registers, closes and accepts connections. */
#include "common.h"

static volatile sig_atomic_t signals, failed;
static int victim = -1, listening, handler_ready[2];

static void handler(int signal)
{
	int saved = errno;
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 42 };
	struct pollfd set[2] = { { handler_ready[0], POLLIN, 0 }, { handler_ready[1], POLLIN, 0 } };
	(void)signal;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	failed |= ep < 0;
	if (victim >= 0) {
		failed |= (epoll_ctl(ep, EPOLL_CTL_ADD, victim, &event) != 0) << 1;
		event.events |= EPOLLOUT;
		failed |= (epoll_ctl(ep, EPOLL_CTL_MOD, victim, &event) != 0) << 2;
		int copy = dup(victim);
		failed |= (copy < 0 || dup2(ep, copy) != copy || close(copy) != 0) << 3;
		failed |= (fcntl(victim, F_GETFD) < 0) << 4;
	}
	failed |= (close(ep) != 0) << 5;
	failed |= (poll(set, 2, 0) != 1 || set[0].revents != POLLIN) << 6;
	failed |= (accept(listening, NULL, NULL) != -1 || errno != EAGAIN) << 7;
	signals++;
	errno = saved;
}

/* A connection that the interrupted code has accepted works: it is registered, reported, and read. */
static int is_served(int ep, struct pair pair)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 7 };
	char byte = 0;
	int got;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) != 0 || write(pair.client, "x", 1) != 1)
		return 0;
	do
		got = epoll_wait(ep, &event, 1, 5000);
	while (got < 0 && errno == EINTR);
	int read_it = got == 1 && event.data.u64 == 7 && read(pair.server, &byte, 1) == 1 && byte == 'x';
	return epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, NULL) == 0 && read_it;
}

static void scenario(void)
{
	struct sockaddr_in address;
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 1 };
	int errors = 0;
	listening = listener(&address);
	NEED(fcntl(listening, F_SETFL, O_NONBLOCK) == 0);
	NEED(pipe(handler_ready) == 0 && write(handler_ready[1], "x", 1) == 1);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct pair pair = tcp_pair();
	victim = pair.server;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (signals < 3000) {
		errors += epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) != 0;
		errors += epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, &event) != 0;
		errors += epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, NULL) != 0;
	}
	errors += !is_served(ep, pair);
	victim = -1;
	for (int i = 0; i < 300; i++) {
		struct pair other = tcp_pair();
		errors += !is_served(ep, other);
		close(other.client);
		errors += close(other.server) != 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	errors += !is_served(ep, pair);
	printf("enough signals, %d errors, handler failed %#x\n", errors, failed);
	close(pair.client);
	close(pair.server);
	close(ep);
	close(listening);
	close(handler_ready[0]);
	close(handler_ready[1]);
}

MAIN(scenario)
