/* Accepted connections with requests for cold files, in every kind of registration. What is observed is what reaches the
 * client; how often a wait woke, or a read answered EAGAIN, is the kernel's freedom and is not printed. */
#include "common.h"

enum { FILES = 12, LENGTH = 20000, CONNECTIONS = 6 };

static struct pair pairs[CONNECTIONS];
static int number;

static void ask(struct pair pair, char *name, const char *kind)
{
	snprintf(name, 64, "%s-%d.html", kind, number++);
	ask_for_cold(pair.client, name, LENGTH);
}

/* The handler: takes what is there, answers each complete request. Returns answers, -1 for "again", -2 for "ended". */
static int handle(int fd, char *buffer, size_t *have)
{
	int answers = 0;
	for (;;) {
		ssize_t n = recv(fd, buffer + *have, 1000 - *have, 0);
		if (n < 0)
			return errno == EAGAIN ? (answers ? answers : -1) : -2;
		if (n == 0)
			return -2;
		*have += n;
		buffer[*have] = 0;
		char *end;
		while ((end = strstr(buffer, "\r\n\r\n"))) {
			char name[100], path[200];
			static unsigned char body[LENGTH];
			NEED(sscanf(buffer, "GET /%99s", name) == 1);
			snprintf(path, sizeof path, "docs/%s", name);
			int file = open(path, O_RDONLY | O_CLOEXEC);
			NEED(file >= 0);
			struct stat status;
			NEED(fstat(file, &status) == 0 && status.st_size == LENGTH);
			NEED(read(file, body, LENGTH) == LENGTH);
			close(file);
			NEED(write(fd, body, LENGTH) == LENGTH);
			*have -= end + 4 - buffer;
			memmove(buffer, end + 4, *have + 1);
			answers++;
		}
	}
}

static int right(struct pair pair, const char *name)
{
	static unsigned char body[LENGTH], wanted[LENGTH];
	if (recv(pair.client, body, LENGTH, MSG_WAITALL) != LENGTH)
		return 0;
	content(name, wanted, LENGTH);
	return memcmp(body, wanted, LENGTH) == 0;
}

/* Serves one request on each connection, all asked at once. */
static void turn(int ep, uint32_t kind, int maxevents, int timeout, const char *what)
{
	char names[CONNECTIONS][64], buffers[CONNECTIONS][1001];
	size_t have[CONNECTIONS] = { 0 };
	struct epoll_event events[CONNECTIONS];
	int answered = 0, good = 0;
	for (int i = 0; i < CONNECTIONS; i++)
		ask(pairs[i], names[i], what);
	while (answered < CONNECTIONS) {
		int n = epoll_wait(ep, events, maxevents, timeout);
		NEED(n >= 0 && n <= maxevents);
		NEED(n > 0 || timeout >= 0);
		for (int i = 0; i < n; i++) {
			int which = events[i].data.u64 & 0xff;
			NEED(events[i].data.u64 >> 8 == 0xabcdef && which < CONNECTIONS);
			NEED((events[i].events & ~(EPOLLIN | EPOLLRDHUP | EPOLLOUT)) == 0);
			int result = handle(pairs[which].server, buffers[which], &have[which]);
			NEED(result != -2);
			if (result > 0)
				answered += result;
			if (kind & EPOLLONESHOT) {
				struct epoll_event again = { .events = kind, .data.u64 = events[i].data.u64 };
				NEED(epoll_ctl(ep, EPOLL_CTL_MOD, pairs[which].server, &again) == 0);
			}
		}
	}
	for (int i = 0; i < CONNECTIONS; i++)
		good += right(pairs[i], names[i]);
	struct epoll_event stray;
	printf("%s: %d right, stray events %d\n", what, good, kind & EPOLLOUT ? 0 : epoll_wait(ep, &stray, 1, 0));
	fflush(stdout);
}

static void loop(uint32_t kind, int maxevents, int timeout, const char *what)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < CONNECTIONS; i++) {
		struct epoll_event event = { .events = kind, .data.u64 = 0xabcdef00 | i };
		pairs[i] = tcp_pair();
		NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pairs[i].server, &event) == 0);
	}
	for (int i = 0; i < 3; i++)
		turn(ep, kind, maxevents, timeout, what);
	for (int i = 0; i < CONNECTIONS; i++) {
		close(pairs[i].client);
		close(pairs[i].server);
	}
	close(ep);
}

/* One connection in two instances: each reports it. */
static void both_instances(void)
{
	int ep[2] = { epoll_create1(EPOLL_CLOEXEC), epoll_create1(EPOLL_CLOEXEC) }, good = 0;
	char name[64], buffer[1001];
	size_t have = 0;
	struct pair pair = tcp_pair();
	for (int i = 0; i < 2; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u64 = 70 + i };
		NEED(epoll_ctl(ep[i], EPOLL_CTL_ADD, pair.server, &event) == 0);
	}
	for (int i = 0; i < 8; i++) {
		ask(pair, name, "both");
		/* Waiting in one instance only: it must hear of it, whichever was waited in when the gate closed. */
		for (int result = -1; result < 1;) {
			struct epoll_event event;
			NEED(epoll_wait(ep[i / 2 & 1], &event, 1, -1) == 1 && event.data.u64 == 70u + (i / 2 & 1));
			result = handle(pair.server, buffer, &have);
			NEED(result != -2);
		}
		good += right(pair, name);
	}
	printf("in two instances: %d right\n", good);
	close(ep[0]);
	close(ep[1]);
	close(pair.client);
	close(pair.server);
}

/* An instance inside an instance. */
static void nested(void)
{
	int inner = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(EPOLL_CLOEXEC), good = 0;
	char name[64], buffer[1001];
	size_t have = 0;
	struct pair pair = tcp_pair();
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 1 };
	NEED(epoll_ctl(inner, EPOLL_CTL_ADD, pair.server, &event) == 0);
	NEED(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event) == 0);
	for (int i = 0; i < 8; i++) {
		ask(pair, name, "nested");
		for (int result = -1; result < 1;) {
			NEED(epoll_wait(outer, &event, 1, -1) == 1);
			if (epoll_wait(inner, &event, 1, 0) == 1)
				result = handle(pair.server, buffer, &have);
			NEED(result != -2);
		}
		good += right(pair, name);
	}
	printf("nested: %d right\n", good);
	close(inner);
	close(outer);
	close(pair.client);
	close(pair.server);
}

/* Registered by one number, read by another. */
static void by_copy(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), good = 0;
	char name[64], buffer[1001];
	size_t have = 0;
	struct pair pair = tcp_pair();
	int copy = dup(pair.server);
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = 1 };
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) == 0);
	for (int i = 0; i < 8; i++) {
		ask(pair, name, "copy");
		for (int result = -1; result < 1;) {
			NEED(epoll_wait(ep, &event, 1, -1) == 1);
			result = handle(copy, buffer, &have);
			NEED(result != -2);
		}
		good += right(pair, name);
	}
	printf("read by a copy: %d right\n", good);
	close(ep);
	close(copy);
	close(pair.client);
	close(pair.server);
}

/* Read before it is registered anywhere. */
static void read_first(uint32_t kind)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), good = 0;
	for (int i = 0; i < 8; i++) {
		char name[64], buffer[1001];
		size_t have = 0;
		struct pair pair = tcp_pair();
		struct epoll_event event = { .events = kind, .data.u64 = 1 };
		ask(pair, name, "first");
		settle(pair.server, 10);
		int result = handle(pair.server, buffer, &have);
		NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) == 0);
		while (result < 1) {
			NEED(epoll_wait(ep, &event, 1, -1) == 1);
			result = handle(pair.server, buffer, &have);
			NEED(result != -2);
		}
		good += right(pair, name);
		close(pair.client);
		close(pair.server);
	}
	printf("read before it is registered: %d right\n", good);
	close(ep);
}

/* A second thread with a loop of its own. */
static void *second(void *)
{
	loop(EPOLLIN, 4, -1, "thread");
	return NULL;
}

static void scenario(void)
{
	pthread_t thread;
	NEED(mkdir("docs", 0755) == 0);
	loop(EPOLLIN, CONNECTIONS, -1, "level");
	loop(EPOLLIN, 1, -1, "one");
	loop(EPOLLIN | EPOLLRDHUP | EPOLLET, CONNECTIONS, -1, "edge");
	loop(EPOLLIN | EPOLLET, 1, -1, "edge1");
	loop(EPOLLIN | EPOLLONESHOT, CONNECTIONS, -1, "oneshot");
	loop(EPOLLIN | EPOLLET | EPOLLONESHOT, 1, -1, "edgeshot");
	loop(EPOLLIN | EPOLLEXCLUSIVE, CONNECTIONS, -1, "exclusive");
	loop(EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, 2, -1, "edgeexcl");
	loop(EPOLLIN | EPOLLOUT | EPOLLET, CONNECTIONS, -1, "both");
	loop(EPOLLIN, CONNECTIONS, 0, "busy");
	loop(EPOLLIN | EPOLLET, CONNECTIONS, 50, "fifty");
	both_instances();
	nested();
	by_copy();
	read_first(EPOLLIN);
	read_first(EPOLLIN | EPOLLET);
	read_first(EPOLLIN | EPOLLEXCLUSIVE);
	NEED(pthread_create(&thread, NULL, second, NULL) == 0);
	pthread_join(thread, NULL);
}

MAIN(scenario)
