/* A library whose constructor and destructor do what other preloaded libraries do: read files, look around, wait. Built
 * as a shared object; `early_or_late` runs with it preloaded before or after liblaio. */
#include "common.h"

static char line[200];

static void say(const char *when, const char *what, long result)
{
	int n = snprintf(line, sizeof line, "%s: %s %ld\n", when, what, result);
	if (syscall(SYS_write, 1, line, n) != n)
		_exit(9);
}

void __attribute__((visibility("default"))) early_calls(const char *when)
{
	struct stat status;
	struct epoll_event event = { .events = EPOLLIN };
	char bytes[64];
	int pipes[2];
	say(when, "stat", stat("/dev/null", &status));
	say(when, "lstat", lstat("/gone/file", &status));
	say(when, "errno", errno);
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	say(when, "open", fd);
	say(when, "read", read(fd, bytes, sizeof bytes) > 0);
	say(when, "pread", pread(fd, bytes, 1, 0));
	say(when, "fstat", fstat(fd, &status));
	say(when, "close", close(fd));
	FILE *stream = fopen("/proc/self/stat", "r");
	say(when, "fgets", fgets(bytes, sizeof bytes, stream) == bytes);
	say(when, "fclose", fclose(stream));
	int ep = epoll_create1(EPOLL_CLOEXEC);
	say(when, "epoll_create1", ep);
	say(when, "pipe", pipe(pipes));
	say(when, "epoll_ctl", epoll_ctl(ep, EPOLL_CTL_ADD, pipes[0], &event));
	say(when, "write", write(pipes[1], "x", 1));
	say(when, "epoll_wait", epoll_wait(ep, &event, 1, -1));
	say(when, "dup", dup(pipes[0]));
	say(when, "dup2", dup2(pipes[0], 77));
	say(when, "fcntl", fcntl(77, F_GETFD));
	DIR *dir = opendir("/");
	say(when, "opendir", dir != NULL);
	closedir(dir);
	char *copy = realpath("/dev/../dev/null", NULL);
	say(when, "realpath", copy && strcmp(copy, "/dev/null") == 0);
	free(copy);
	struct pair pair = tcp_pair();
	say(when, "accept4", pair.server);
	say(when, "send", send(pair.client, "GET / HTTP/1.0\r\n\r\n", 18, 0));
	settle(pair.server, 18);
	ssize_t n;
	while ((n = recv(pair.server, bytes, sizeof bytes, 0)) < 0 && errno == EAGAIN)
		usleep(1000);
	say(when, "recv", n);
	close(pair.client);
	struct pollfd ended = { .fd = pair.server, .events = POLLIN };
	poll(&ended, 1, -1);
	say(when, "recv", recv(pair.server, bytes, sizeof bytes, 0));
	say(when, "close_range", close_range(3, ~0u, 0));
}

static void __attribute__((constructor(101))) first(void) { early_calls("constructor 101"); }
static void __attribute__((constructor)) second(void) { early_calls("constructor"); }
static void __attribute__((destructor)) last(void) { early_calls("destructor"); }
