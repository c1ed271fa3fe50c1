/* The loop of all strategies with non-blocking sockets. Sockets are registered once and edge-triggered: an operation waits only
 * after the kernel has said EAGAIN, so the edge that wakes it is still to come. */
#include "io.h"
#include "server.h"

#include <string.h>
#include <sys/epoll.h>

static int instance;

static void start(void)
{
	instance = epoll_create1(EPOLL_CLOEXEC);
	if (instance < 0)
		die("epoll_create1: %s", strerror(errno));
}

static bool add(struct source *source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };
	if (source->ready == NULL) {
		source->ready = nonblocking_ready;
		event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	}
	return epoll_ctl(instance, EPOLL_CTL_ADD, source->fd, &event) == 0;
}

static void forget(struct source *source)
{
	epoll_ctl(instance, EPOLL_CTL_DEL, source->fd, NULL);
}

static void run(void)
{
	struct epoll_event events[256];
	while (!server_stopping()) {
		int count = epoll_wait(instance, events, 256, server_timeout());
		if (count < 0 && errno != EINTR)
			die("epoll_wait: %s", strerror(errno));
		for (int i = 0; i < count; i++) {
			struct source *source = events[i].data.ptr;
			source->ready(source);
		}
		server_turn();
	}
}

const struct loop epoll_loop = {
	.start = start,
	.add = add,
	.remove = forget,
	.sockets = nonblocking_perform,
	.run = run,
};
