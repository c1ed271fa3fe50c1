/* What the programs share. Each one prints what it observes, which must not depend on whether liblaio is preloaded.
 *
 * A program is run in an empty directory, as `PROGRAM idle` or `PROGRAM engaged`. Idle, its main thread has not met an
 * event loop. Engaged, it is an event loop that has served cold files: where the library acts, it is acting. */
#ifndef COMMON_H
#define COMMON_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* No call sets errno to this: where it is still there afterwards, the call left errno alone. */
#define UNTOUCHED 4242

static void __attribute__((unused)) show(const char *what, long result, int error)
{
	if (error == UNTOUCHED)
		printf("%s = %ld\n", what, result);
	else
		printf("%s = %ld %s\n", what, result, strerrorname_np(error) ? strerrorname_np(error) : "?");
	fflush(stdout);
}

/* Makes a call, and shows its result and what it did to errno. */
#define CALL(call)                                                                                                     \
	({                                                                                                             \
		errno = UNTOUCHED;                                                                                     \
		long result_ = (long)(call);                                                                           \
		show(#call, result_, errno);                                                                           \
		result_;                                                                                               \
	})

/* A step of the scaffolding, not of what is observed. */
#define NEED(what)                                                                                                     \
	do {                                                                                                           \
		if (!(what)) {                                                                                         \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, strerror(errno));                \
			exit(3);                                                                                       \
		}                                                                                                      \
	} while (0)

static void __attribute__((unused)) text(const char *what, const char *bytes, long length)
{
	printf("  %s:", what);
	if (length < 0)
		printf(" -");
	else
		printf(" \"%.*s\"", (int)length, bytes);
	printf("\n");
	fflush(stdout);
}

/* Shows which descriptors are open, by a raw call: the numbers are part of what a program observes. */
static void __attribute__((unused)) descriptors(const char *when)
{
	printf("open %s:", when);
	for (int fd = 0; fd < 2048; fd++)
		if (syscall(SYS_fcntl, fd, F_GETFD) >= 0)
			printf(" %d", fd);
	printf("\n");
	fflush(stdout);
}

/* Runs a part in a child, and shows how the child ended: for what aborts. */
static void __attribute__((unused)) in_child(const char *what, void (*part)(void))
{
	int status;
	fflush(NULL);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		part();
		fflush(NULL);
		_exit(0);
	}
	NEED(waitpid(child, &status, 0) == child);
	if (WIFSIGNALED(status))
		printf("%s: killed by signal %d\n", what, WTERMSIG(status));
	else
		printf("%s: exit status %d\n", what, WEXITSTATUS(status));
	fflush(stdout);
}

/* The bytes of the document `name`; tests/harness/docroot.rs computes the same. */
static void __attribute__((unused)) content(const char *name, unsigned char *bytes, size_t length)
{
	uint64_t state = 0xcbf29ce484222325u;
	for (const char *c = name; *c; c++)
		state = (state ^ (unsigned char)*c) * 0x100000001b3u;
	for (size_t at = 0; at < length; at += 8) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(bytes + at, &state, length - at < 8 ? length - at : 8);
	}
}

static void __attribute__((unused)) write_document(const char *path, const char *name, size_t length)
{
	unsigned char *bytes = malloc(length + 8);
	content(name, bytes, length);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	NEED(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
	close(fd);
	free(bytes);
}

/* Drops a file's pages. */
static void __attribute__((unused)) chill(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0);
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

/* A listening socket on a free port of a host. */
static int __attribute__((unused)) listener_on(in_addr_t host, struct sockaddr_in *address)
{
	socklen_t length = sizeof *address;
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	NEED(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(host) };
	NEED(bind(fd, (struct sockaddr *)address, sizeof *address) == 0);
	NEED(listen(fd, 511) == 0);
	NEED(getsockname(fd, (struct sockaddr *)address, &length) == 0);
	return fd;
}

/* The same of 127.0.0.1. */
static int __attribute__((unused)) listener(struct sockaddr_in *address)
{
	return listener_on(INADDR_LOOPBACK, address);
}

/* The client's end of a new connection to it. */
static int __attribute__((unused)) client_of(const struct sockaddr_in *address)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NEED(fd >= 0);
	NEED(connect(fd, (const struct sockaddr *)address, sizeof *address) == 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

/* The server's end of it, waiting until it is there. */
static int __attribute__((unused)) accepted_by(int listening)
{
	struct pollfd ready = { .fd = listening, .events = POLLIN };
	NEED(poll(&ready, 1, 10000) == 1);
	int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	NEED(fd >= 0);
	return fd;
}

/* A connection's two ends; the server's is non-blocking. */
struct pair {
	int client, server;
};

static struct pair __attribute__((unused)) tcp_pair(void)
{
	struct sockaddr_in address;
	struct pair pair;
	int listening = listener(&address);
	pair.client = client_of(&address);
	pair.server = accepted_by(listening);
	close(listening);
	return pair;
}

/* A reset instead of a FIN when this socket is closed. */
static void __attribute__((unused)) close_with_reset(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	close(fd);
}

/* Waits until a socket has at least this much to read: sending over the loopback is not instantaneous. */
static void __attribute__((unused)) settle(int fd, int bytes)
{
	for (int i = 0, have = 0; i < 10000; i++) {
		if (syscall(SYS_ioctl, fd, FIONREAD, &have) < 0 || have >= bytes)
			return;
		usleep(1000);
	}
}

/* Writes the document `docs/NAME`, makes it cold, and asks for it. */
static void __attribute__((unused)) ask_for_cold(int client, const char *name, size_t length)
{
	char request[256], path[256];
	snprintf(path, sizeof path, "docs/%s", name);
	write_document(path, name, length);
	chill(path);
	int n = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", name);
	NEED(write(client, request, n) == n);
}

/* Answers a request that was read, with the document that it asks for. */
static void __attribute__((unused)) answer_with_document(int fd, char *request, ssize_t n, size_t length)
{
	char path[256], name[100];
	unsigned char body[length];
	struct stat status;
	NEED(n > 0);
	request[n] = 0;
	NEED(sscanf(request, "GET /%99s", name) == 1);
	snprintf(path, sizeof path, "docs/%s", name);
	NEED(stat(path, &status) == 0);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && read(file, body, length) == (ssize_t)length);
	close(file);
	NEED(write(fd, body, length) == (ssize_t)length);
}

enum { COLD_LENGTH = 4096 };

/* Makes a document of the directory `cold`. */
static void __attribute__((unused)) write_cold(int number)
{
	char path[256], name[64];
	snprintf(name, sizeof name, "cold-%d.html", number);
	snprintf(path, sizeof path, "cold/%s", name);
	write_document(path, name, COLD_LENGTH);
	chill(path);
}

/* Serves a request for it on a connection as an event loop does, and lets the client check the answer. */
static void __attribute__((unused)) serve_written(int epoll, struct pair pair, int number)
{
	char request[256], path[256], body[COLD_LENGTH], wanted[COLD_LENGTH], name[64];
	snprintf(name, sizeof name, "cold-%d.html", number);
	snprintf(path, sizeof path, "cold/%s", name);
	int length = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", name);
	NEED(write(pair.client, request, length) == length);
	for (;;) {
		struct epoll_event event;
		NEED(epoll_wait(epoll, &event, 1, -1) == 1);
		char got[256];
		ssize_t n = read(pair.server, got, sizeof got);
		if (n < 0 && errno == EAGAIN)
			continue;
		NEED(n == length && memcmp(got, request, n) == 0);
		break;
	}
	struct stat status;
	NEED(stat(path, &status) == 0);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0 && read(fd, body, sizeof body) == sizeof body);
	close(fd);
	NEED(write(pair.server, body, sizeof body) == sizeof body);
	NEED(recv(pair.client, body, sizeof body, MSG_WAITALL) == sizeof body);
	content(name, (unsigned char *)wanted, sizeof wanted);
	NEED(memcmp(body, wanted, sizeof body) == 0);
}

static void __attribute__((unused)) serve_cold(int epoll, struct pair pair, int number)
{
	write_cold(number);
	serve_written(epoll, pair, number);
}

static int engaged_epoll = -1;

/* What the client of a connection sends is read in one piece, by a loop that waits in `epoll_wait`. */
static void __attribute__((unused)) deliver(int epoll, struct pair pair, const char *sent)
{
	char got[4096];
	ssize_t length = strlen(sent), n;
	NEED(write(pair.client, sent, length) == length);
	do {
		struct epoll_event event;
		NEED(epoll_wait(epoll, &event, 1, 10000) == 1);
		n = read(pair.server, got, sizeof got);
		NEED(n == length || (n < 0 && errno == EAGAIN));
	} while (n < 0);
}

static struct pair engaged_pair = { -1, -1 };

/* Makes this thread an event loop that has served cold files. */
static void __attribute__((unused)) engage(void)
{
	mkdir("cold", 0755);
	engaged_pair = tcp_pair();
	engaged_epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	NEED(epoll_ctl(engaged_epoll, EPOLL_CTL_ADD, engaged_pair.server, &event) == 0);
	for (int i = 0; i < 6; i++)
		serve_cold(engaged_epoll, engaged_pair, i);
}

/* Whether the loop still works after whatever the program did. */
static void __attribute__((unused)) still_serving(void)
{
	if (engaged_epoll >= 0)
		for (int i = 6; i < 9; i++)
			serve_cold(engaged_epoll, engaged_pair, i);
	printf("still serving\n");
	fflush(stdout);
}

static int __attribute__((unused)) is_engaged(int argc, char **argv)
{
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	umask(022);
	return argc > 1 && strcmp(argv[1], "engaged") == 0;
}

/* `main` for a program that is one scenario. */
#define MAIN(scenario)                                                                                                 \
	int main(int argc, char **argv)                                                                                \
	{                                                                                                              \
		if (is_engaged(argc, argv))                                                                            \
			engage();                                                                                      \
		descriptors("at first");                                                                               \
		scenario();                                                                                            \
		descriptors("at last");                                                                                \
		still_serving();                                                                                       \
		return 0;                                                                                              \
	}
#endif
