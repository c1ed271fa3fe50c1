/* Every hook from a signal handler that comes at any moment, also in the middle of a hook of the interrupted code. */
#include "common.h"

static volatile sig_atomic_t signals, failed;
static int handler_epoll, handler_pipe[2];
static struct pair handler_pair;

static void handler(int signal)
{
	int saved = errno;
	struct stat status;
	struct epoll_event event;
	char bytes[16];
	(void)signal;
	int fd = open("handled", O_RDONLY | O_CLOEXEC);
	failed |= fd < 0;
	failed |= (read(fd, bytes, 7) != 7 || memcmp(bytes, "handled", 7)) << 1;
	failed |= (pread(fd, bytes, 3, 4) != 3) << 2;
	failed |= (stat("handled", &status) != 0 || status.st_size != 7) << 3;
	failed |= (fstat(fd, &status) != 0) << 4;
	failed |= (stat("gone", &status) != -1 || errno != ENOENT) << 5;
	failed |= (epoll_wait(handler_epoll, &event, 1, 0) != 1 || event.data.u64 != 42) << 6;
	failed |= (recv(handler_pair.server, bytes, 16, MSG_DONTWAIT) != -1 || errno != EAGAIN) << 7;
	int copy = dup(fd);
	failed |= (close(copy) != 0 || close(fd) != 0) << 8;
	signals++;
	errno = saved;
}

static void scenario(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 42 };
	int fd = open("handled", O_WRONLY | O_CREAT, 0644);
	NEED(write(fd, "handled", 7) == 7);
	close(fd);
	handler_epoll = epoll_create1(EPOLL_CLOEXEC);
	handler_pair = tcp_pair();
	NEED(pipe(handler_pipe) == 0 && write(handler_pipe[1], "x", 1) == 1);
	NEED(epoll_ctl(handler_epoll, EPOLL_CTL_ADD, handler_pipe[0], &event) == 0);
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	sigaction(SIGALRM, &action, NULL);
	struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { { 0, 0 }, { 0, 0 } };
	int errors = 0, loops = 0;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct pair pair = tcp_pair();
	event.data.u64 = 1;
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) == 0);
	mkdir("many", 0755);
	for (int i = 0; i < 200; i++) {
		char path[64];
		snprintf(path, sizeof path, "many/%d", i);
		write_document(path, path, 5000);
		chill(path);
	}
	setitimer(ITIMER_REAL, &often, NULL);
	while (signals < 300 || loops < 200) {
		char request[100], path[64], body[5000], wanted[5000];
		struct stat status;
		int which = loops++ % 200, n;
		snprintf(path, sizeof path, "many/%d", which);
		n = snprintf(request, sizeof request, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", which);
		NEED(write(pair.client, request, n) == n);
		for (;;) {
			int got = epoll_wait(ep, &event, 1, -1);
			if (got < 0 && errno == EINTR)
				continue;
			errors += got != 1 || event.data.u64 != 1;
			got = read(pair.server, request, sizeof request);
			if (got < 0 && errno == EAGAIN)
				continue;
			errors += got != n;
			break;
		}
		errors += stat(path, &status) != 0 || status.st_size != 5000;
		int file = open(path, O_RDONLY | O_CLOEXEC);
		errors += read(file, body, sizeof body) != sizeof body;
		close(file);
		content(path, (unsigned char *)wanted, sizeof wanted);
		errors += memcmp(body, wanted, sizeof body) != 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	printf("enough signals, %d errors, handler failed %#x\n", errors, failed);
	close(pair.client);
	close(pair.server);
	close(ep);
	close(handler_epoll);
	close(handler_pair.client);
	close(handler_pair.server);
	close(handler_pipe[0]);
	close(handler_pipe[1]);
}

MAIN(scenario)
