/* A server that waits in `epoll_wait`, and a connection of its whose request is held back. */
#ifndef EPOLL_H
#define EPOLL_H
#include "moments.h"

static int ep;

static struct pair connection(void)
{
	struct pair pair = { client_of(&address), 0 };
	pair.server = accepted_by(listening);
	return pair;
}

static void watch(int fd, uint32_t kind, uint64_t data)
{
	struct epoll_event event = { .events = kind, .data.u64 = data };
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* Waits for events with this data until the request was answered. */
static void serve(int fd, uint64_t data)
{
	struct epoll_event event;
	do {
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		NEED(event.data.u64 == data);
	} while (!handle(fd));
}

/* Asks on a connection that is watched already. */
static void hold(struct pair pair, int *which)
{
	struct epoll_event event;
	*which = ask(pair.client);
	settle(pair.server, 20);
	int ready = epoll_wait(ep, &event, 1, 0);
	if (ready == 0) {
		gated = 1;
		return;
	}
	NEED(ready == 1 && event.data.u64 == 1000);
	char request[1000];
	ssize_t n = read(pair.server, request, sizeof request - 1);
	/* Not held back: answered at once, and the moment comes after that. */
	NEED(n > 0);
	request[n] = 0;
	answer(pair.server, request);
}

/* A connection with a request that was held back, if anything holds back. */
static struct pair held(uint32_t kind, int *which)
{
	struct pair pair = connection();
	watch(pair.server, kind, 1000);
	hold(pair, which);
	return pair;
}

static void quiet(const char *when)
{
	struct epoll_event event;
	int n = epoll_wait(ep, &event, 1, 40);
	printf("%s: %d stray events\n", when, n);
}

static void works(void)
{
	struct pair pair = connection();
	watch(pair.server, EPOLLIN, 2000);
	int which = ask(pair.client);
	serve(pair.server, 2000);
	printf("another connection: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

/* Serves until the library has learnt. */
static void learn(void)
{
	for (int i = 0; i < LEARN; i++) {
		struct pair pair = connection();
		watch(pair.server, EPOLLIN, 500);
		int which = ask(pair.client);
		serve(pair.server, 500);
		NEED(!strcmp(right(pair.client, which), "right"));
		finish(pair);
	}
}

/* `main`, for a program of these moments. */
static int run(int argc, char **argv, const struct moment *moments, size_t count)
{
	is_engaged(argc, argv);
	if (argc < 5)
		return 2;
	docroot = argv[2];
	next = atoi(argv[4]);
	listening = listener(&address);
	ep = epoll_create1(EPOLL_CLOEXEC);
	learn();
	return happens(argv[3], moments, count, works);
}

#define MAIN_OF(moments)                                                                                               \
	int main(int argc, char **argv)                                                                                \
	{                                                                                                              \
		return run(argc, argv, moments, sizeof moments / sizeof *moments);                                     \
	}
#endif
