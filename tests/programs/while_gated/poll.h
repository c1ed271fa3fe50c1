/* A server that registers nothing, and waits in one of four ways for a connection whose request is held back. */
#ifndef POLL_H
#define POLL_H
#include "moments.h"
#include <sys/select.h>

enum way { POLL, PPOLL, SELECT, PSELECT };

static const char *const ways[] = { "poll", "ppoll", "select", "pselect" };
static enum way way;

/* One wait, by whichever call: the set is a poll's. */
static int wait_for(struct pollfd *set, int n, int milliseconds)
{
	struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	struct timeval left = { milliseconds / 1000, milliseconds % 1000 * 1000 };
	fd_set sets[3];
	int highest = -1, count;
	if (way == POLL)
		return poll(set, n, milliseconds);
	if (way == PPOLL)
		return ppoll(set, n, milliseconds < 0 ? NULL : &time, NULL);
	for (int i = 0; i < 3; i++)
		FD_ZERO(&sets[i]);
	for (int i = 0; i < n; i++) {
		if (set[i].fd < 0)
			continue;
		highest = set[i].fd > highest ? set[i].fd : highest;
		if (set[i].events & POLLIN)
			FD_SET(set[i].fd, &sets[0]);
		if (set[i].events & POLLOUT)
			FD_SET(set[i].fd, &sets[1]);
	}
	count = way == SELECT ? select(highest + 1, &sets[0], &sets[1], &sets[2], milliseconds < 0 ? NULL : &left) :
				pselect(highest + 1, &sets[0], &sets[1], NULL, milliseconds < 0 ? NULL : &time, NULL);
	int members = 0;
	for (int i = 0; i < n && count >= 0; i++) {
		set[i].revents = 0;
		if (set[i].fd < 0)
			continue;
		if (FD_ISSET(set[i].fd, &sets[0]))
			set[i].revents |= POLLIN, members++;
		if (FD_ISSET(set[i].fd, &sets[1]))
			set[i].revents |= POLLOUT, members++;
	}
	NEED(count < 0 || count == members);
	if (way == SELECT && milliseconds >= 0)
		NEED(left.tv_sec >= 0 && left.tv_usec >= 0 && left.tv_usec < 1000000 &&
		     left.tv_sec * 1000 + left.tv_usec / 1000 <= milliseconds);
	return count;
}

/* What a connection is ready for, beside the listening socket, as loops wait; -1 where the wait failed. */
static int ready(int fd, short events, int milliseconds)
{
	struct pollfd set[2] = { { .fd = listening, .events = POLLIN }, { .fd = fd, .events = events } };
	int n = wait_for(set, 2, milliseconds);
	if (n < 0)
		return -1;
	NEED(set[0].revents == 0 && n == (set[1].revents != 0));
	return set[1].revents;
}

static struct pair connection(void)
{
	struct pair pair = { client_of(&address), 0 };
	struct pollfd set[2] = { { .fd = listening, .events = POLLIN }, { .fd = -1 } };
	NEED(wait_for(set, 2, 10000) == 1);
	pair.server = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	NEED(pair.server >= 0);
	return pair;
}

static void serve(int fd)
{
	do
		NEED(ready(fd, POLLIN, -1) > 0);
	while (!handle(fd));
}

/* A connection with a request that was held back, if anything holds back; else it is answered. */
static struct pair held(int *which)
{
	struct pair pair = connection();
	*which = ask(pair.client);
	settle(pair.server, 20);
	gated = ready(pair.server, POLLIN, 0) == 0;
	if (!gated)
		NEED(handle(pair.server));
	return pair;
}

static void answered(struct pair pair, int which)
{
	if (gated)
		serve(pair.server);
	printf("answered: %s\n", right(pair.client, which));
	NEED(ready(pair.server, POLLIN, 30) == 0);
	finish(pair);
}

static void works(void)
{
	struct pair pair = connection();
	int which = ask(pair.client);
	serve(pair.server);
	printf("another connection: %s\n", right(pair.client, which));
	finish(pair);
}

/* Every loop learns for itself. */
static void learn(void)
{
	char body[LENGTH];
	for (int i = 0; i < LEARN; i++) {
		struct pair pair = connection();
		ask(pair.client);
		serve(pair.server);
		NEED(recv(pair.client, body, LENGTH, MSG_WAITALL) == LENGTH);
		finish(pair);
	}
}

/* `main`, for a program of these moments. */
static int run(int argc, char **argv, const struct moment *moments, size_t count)
{
	is_engaged(argc, argv);
	if (argc < 6)
		return 2;
	docroot = argv[2];
	next = atoi(argv[4]);
	while (strcmp(ways[way], argv[5]))
		way++;
	listening = listener(&address);
	learn();
	return happens(argv[3], moments, count, works);
}

#define MAIN_OF(moments)                                                                                               \
	int main(int argc, char **argv)                                                                                \
	{                                                                                                              \
		return run(argc, argv, moments, sizeof moments / sizeof *moments);                                     \
	}
#endif
