/* What a server, or its client, may do to a connection while its request is held back: close it, move it to another number,
 * read it without a wait. */
#include "while_gated/epoll.h"
#include <sys/file.h>

static void closed(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	close(pair.server);
	quiet("after close");
	/* An orderly end, and no reset because a request was not read. */
	char bytes[1000];
	ssize_t n;
	while ((n = recv(pair.client, bytes, sizeof bytes, 0)) > 0)
		;
	printf("the client's end: %zd\n", n);
	close(pair.client);
}

static void reused(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which), other;
	int number = pair.server;
	other.client = client_of(&address);
	close(pair.server);
	other.server = accepted_by(listening);
	NEED(other.server == number);
	watch(other.server, EPOLLIN | EPOLLET, 3000);
	which = ask(other.client);
	serve(other.server, 3000);
	printf("on the reused number: %s\n", right(other.client, which));
	quiet("after it");
	close(pair.client);
	close(other.client);
	close(other.server);
}

static void dup2_over(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which), other = connection();
	NEED(dup2(other.server, pair.server) == pair.server);
	close(other.server);
	watch(pair.server, EPOLLIN, 4000);
	which = ask(other.client);
	serve(pair.server, 4000);
	printf("what came over it: %s\n", right(other.client, which));
	quiet("after it");
	close(pair.client);
	close(other.client);
	close(pair.server);
}

static void moved(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated, copy = dup(pair.server);
	struct epoll_event event;
	NEED(epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, &event) == 0);
	close(pair.server);
	watch(copy, EPOLLIN | EPOLLET, 5000);
	if (was)
		serve(copy, 5000);
	printf("read by the copy: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(copy);
}

static void all_closed(void)
{
	int which;
	struct epoll_event event;
	held(EPOLLIN, &which);
	closefrom(3);
	CALL(epoll_wait(ep, &event, 1, 0));
	listening = listener(&address);
	ep = epoll_create1(EPOLL_CLOEXEC);
	quiet("in a new instance");
}

static void reset_by_client(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	close_with_reset(pair.client);
	struct epoll_event event;
	NEED(epoll_wait(ep, &event, 1, -1) == 1);
	printf("hung up: %d\n", (event.events & (EPOLLHUP | EPOLLERR)) == (EPOLLHUP | EPOLLERR));
	char request[1000];
	ssize_t n;
	while ((n = read(pair.server, request, sizeof request)) > 0)
		;
	while (n < 0 && errno == EAGAIN) {
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		while ((n = read(pair.server, request, sizeof request)) > 0)
			;
	}
	printf("read ends with %zd\n", n < 0 ? 0 : n);
	close(pair.server);
	quiet("after it");
}

static void half_closed(void)
{
	int which;
	struct pair pair = held(EPOLLIN | EPOLLRDHUP, &which);
	int was = gated;
	shutdown(pair.client, SHUT_WR);
	if (was)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	struct epoll_event event;
	char byte;
	NEED(epoll_wait(ep, &event, 1, -1) == 1);
	printf("hung up half: %d, read %zd\n", !!(event.events & EPOLLRDHUP), read(pair.server, &byte, 1));
	close(pair.client);
	close(pair.server);
}

static void spinning(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	/* A server that reads again and again instead of waiting hears of its request too. */
	if (gated)
		while (!handle(pair.server))
			;
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

static void made_blocking(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	fcntl(pair.server, F_SETFL, 0);
	if (gated)
		NEED(handle(pair.server));
	printf("answered: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static void made_blocking_by_ioctl(void)
{
	int which, off = 0;
	struct pair pair = held(EPOLLIN, &which);
	NEED(ioctl(pair.server, FIONBIO, &off) == 0);
	if (gated)
		NEED(handle(pair.server));
	printf("answered: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static void looked_at(void)
{
	int which, have = -1;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated;
	NEED(ioctl(pair.server, FIONREAD, &have) == 0);
	/* A poll does not show what is held back. */
	struct pollfd ready = { .fd = pair.server, .events = POLLIN };
	int polled = poll(&ready, 1, 0);
	printf("all there: %d\n", was ? have > 20 && polled == 0 : have == 0 && polled == 0);
	if (was)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static void more_arrives(void)
{
	int which;
	struct pair pair = held(EPOLLIN | EPOLLET, &which);
	int second = ask(pair.client), third = ask(pair.client);
	settle(pair.server, 60);
	usleep(20000);
	/* Answered when all bytes were taken: the handler answers every request that a read returned. */
	int have;
	do {
		struct epoll_event event;
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		while (handle(pair.server))
			;
		ioctl(pair.server, FIONREAD, &have);
	} while (have > 0);
	printf("%s", right(pair.client, which));
	printf(" %s", right(pair.client, second));
	printf(" %s\n", right(pair.client, third));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

static void by_bytes(void)
{
	struct pair pair = connection();
	char request[1000], got[1000];
	int which = next++, have = 0;
	int n = snprintf(request, sizeof request, "GET /moment-%d.html HTTP/1.1\r\nHost: h\r\n\r\n", which);
	watch(pair.server, EPOLLIN | EPOLLET, 1000);
	for (int sent = 0; have < n;) {
		struct epoll_event event;
		if (sent < n)
			NEED(write(pair.client, request + sent++, 1) == 1);
		if (epoll_wait(ep, &event, 1, sent < n ? 1 : -1) == 1) {
			ssize_t r;
			while ((r = read(pair.server, got + have, sizeof got - have)) > 0)
				have += r;
			NEED(r < 0 && errno == EAGAIN);
		}
	}
	got[have] = 0;
	printf("the request came whole: %d\n", have == n && !memcmp(got, request, n));
	answer(pair.server, got);
	printf("answered: %s\n", right(pair.client, which));
	gated = 1; /* whether any part was held back is the library's business */
	close(pair.client);
	close(pair.server);
}

/* A file is locked, sent from, and closed while its next part is being brought into memory: its lock is gone with it. */
static void lock_released(void)
{
	char path[500];
	struct pair pair = connection();
	struct epoll_event event;
	watch(pair.server, EPOLLIN, 1000);
	snprintf(path, sizeof path, "%s/body.html", docroot);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && flock(file, LOCK_EX) == 0);
	off_t at = 1 << 20;
	for (int i = 0; i < 4 && !gated; i++)
		gated = sendfile(pair.server, file, &at, 65536) != 65536;
	/* The helper has a moment to begin, and the disk takes longer. */
	epoll_wait(ep, &event, 1, 2);
	close(file);
	file = open(path, O_RDONLY | O_CLOEXEC);
	CALL(flock(file, LOCK_EX | LOCK_NB));
	close(file);
	close(pair.client);
	close(pair.server);
	quiet("after it");
}

static const struct moment moments[] = {
	{ "closed", closed },
	{ "reused", reused },
	{ "dup2_over", dup2_over },
	{ "moved", moved },
	{ "all_closed", all_closed },
	{ "reset_by_client", reset_by_client },
	{ "half_closed", half_closed },
	{ "spinning", spinning },
	{ "made_blocking", made_blocking },
	{ "made_blocking_by_ioctl", made_blocking_by_ioctl },
	{ "looked_at", looked_at },
	{ "more_arrives", more_arrives },
	{ "by_bytes", by_bytes },
	{ "lock_released", lock_released },
};

MAIN_OF(moments)
