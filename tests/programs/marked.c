/* The same work between two marks, to be counted by a tracer. `idle`: files, without an event loop. `loop` and `select`:
 * an event loop in `epoll`, or in `select` over all numbers that a set has, that serves cached files only. */
#include "common.h"

static void mark(void) { syscall(SYS_getppid); }

/* Without a client, waits are nobody's business. */
static void wait_for(int fd)
{
	fd_set set;
	struct pollfd one = { .fd = fd, .events = POLLIN };
	FD_ZERO(&set);
	FD_SET(fd, &set);
	NEED(select(fd + 1, &set, NULL, NULL, NULL) == 1);
	NEED(pselect(fd + 1, &set, NULL, NULL, NULL, NULL) == 1);
	NEED(poll(&one, 1, -1) == 1);
}

static void files(void)
{
	char piece[512];
	struct stat status;
	int pipes[2];
	NEED(pipe(pipes) == 0);
	mark();
	for (int i = 0; i < 20; i++) {
		int fd = open("file", O_RDONLY);
		NEED(fd >= 0 && fstat(fd, &status) == 0 && stat("file", &status) == 0 && lstat("gone", &status) < 0);
		NEED(read(fd, piece, sizeof piece) == sizeof piece && pread(fd, piece, 1, 100) == 1);
		NEED(write(pipes[1], "x", 1) == 1);
		wait_for(pipes[0]);
		NEED(read(pipes[0], piece, 10) == 1);
		NEED(close(dup(fd)) == 0 && close(fd) == 0);
	}
	mark();
}

/* A second member that is never ready makes it a loop. */
static int wait_in_select(int fd, int quiet)
{
	fd_set set;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	FD_SET(quiet, &set);
	return select(FD_SETSIZE, &set, NULL, NULL, NULL);
}

static void loop(int selects)
{
	struct pair pair = tcp_pair();
	int ep = epoll_create1(EPOLL_CLOEXEC), pipes[2];
	struct epoll_event event = { .events = EPOLLIN };
	NEED(pipe(pipes) == 0);
	if (!selects)
		NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) == 0);
	/* What is found out once is found out here. */
	NEED(write(pair.client, "x", 1) == 1);
	if (selects)
		NEED(wait_in_select(pair.server, pipes[0]) == 1);
	else
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
	NEED(read(pair.server, &event, 1) == 1);
	mark();
	for (int i = 0; i < 200; i++) {
		char request[200], path[64], body[5000];
		struct stat status;
		int n = snprintf(request, sizeof request, "GET /warm-%d.html HTTP/1.1\r\nHost: h\r\n\r\n", i % 10);
		snprintf(path, sizeof path, "warm/warm-%d.html", i % 10);
		NEED(send(pair.client, request, n, 0) == n);
		do
			NEED((selects ? wait_in_select(pair.server, pipes[0]) : epoll_wait(ep, &event, 1, -1)) == 1);
		while ((n = recv(pair.server, request, sizeof request, 0)) < 0 && errno == EAGAIN);
		NEED(stat(path, &status) == 0);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		NEED(fd >= 0 && pread(fd, body, sizeof body, 0) == sizeof body);
		close(fd);
		NEED(send(pair.server, body, sizeof body, 0) == sizeof body);
		NEED(recv(pair.client, body, sizeof body, MSG_WAITALL) == sizeof body);
	}
	mark();
}

int main(int argc, char **argv)
{
	is_engaged(argc, argv);
	write_document("file", "file", 5000);
	NEED(mkdir("warm", 0755) == 0);
	for (int i = 0; i < 10; i++) {
		char path[64];
		snprintf(path, sizeof path, "warm/warm-%d.html", i);
		write_document(path, path, 5000);
	}
	if (argc > 1 && (!strcmp(argv[1], "loop") || !strcmp(argv[1], "select")))
		loop(!strcmp(argv[1], "select"));
	else
		files();
	return 0;
}
