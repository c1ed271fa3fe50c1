/* What the handler of a storm does: calls that handlers may make, in eleven groups, and what they must answer. */
#ifndef ACTS_H
#define ACTS_H
#include "../common.h"
#include <sys/select.h>

enum { SIGNAL = SIGURG, KNOWN = 4096 };

struct tally {
	uint64_t signals, wrong, line;
};

static struct tally nobody, *tally = &nobody;
static char dir[PATH_MAX], known_path[PATH_MAX + 16], new_path[PATH_MAX + 48], newer_path[PATH_MAX + 48];
static unsigned char known[KNOWN];
static uint64_t state = 88172645463325252u;

static uint64_t random_number(void)
{
	uint64_t x = __atomic_load_n(&state, __ATOMIC_RELAXED);
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	__atomic_store_n(&state, x, __ATOMIC_RELAXED);
	return x;
}

/* What must be so whatever the program does. */
static int act;
#define MUST(what)                                                                                                     \
	do {                                                                                                           \
		if (!(what)) {                                                                                         \
			__atomic_fetch_or(&tally->wrong, UINT64_C(1) << act, __ATOMIC_RELAXED);                        \
			if (!tally->line)                                                                             \
				tally->line = __LINE__;                                                               \
		}                                                                                                      \
	} while (0)

/* Descriptors may be short, and the file out of reach: then there is nothing to do. */
static void read_file(void)
{
	unsigned char bytes[64];
	struct stat status;
	off_t at = random_number() % (KNOWN - 64);
	int fd = open(known_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	MUST(pread(fd, bytes, sizeof bytes, at) == sizeof bytes && memcmp(bytes, known + at, sizeof bytes) == 0);
	MUST(read(fd, bytes, 16) == 16 && memcmp(bytes, known, 16) == 0);
	struct iovec parts[2] = { { bytes, 8 }, { bytes + 8, 8 } };
	MUST(readv(fd, parts, 2) == 16 && memcmp(bytes, known + 16, 16) == 0);
	MUST(preadv(fd, parts, 2, at) == 16 && memcmp(bytes, known + at, 16) == 0);
	MUST(fstat(fd, &status) == 0 && status.st_size == KNOWN);
	MUST(lseek(fd, 0, SEEK_CUR) == 32);
	MUST(close(fd) == 0);
}

static void look_up(void)
{
	struct stat status;
	char bytes[8];
	if (stat(known_path, &status) != 0)
		return;
	MUST(status.st_size == KNOWN);
	MUST(lstat(known_path, &status) == 0 && status.st_size == KNOWN);
	MUST(fstatat(AT_FDCWD, known_path, &status, 0) == 0 && status.st_size == KNOWN);
	MUST(access(known_path, R_OK) == 0 && faccessat(AT_FDCWD, known_path, F_OK, 0) == 0);
	MUST(readlink(known_path, bytes, sizeof bytes) == -1 && errno == EINVAL);
	MUST(stat("/none/of/these", &status) == -1 && errno == ENOENT);
}

static void change_files(void)
{
	snprintf(new_path, sizeof new_path, "%s/new-%d", dir, getpid());
	snprintf(newer_path, sizeof newer_path, "%s/newer-%d", dir, getpid());
	int fd = open(new_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	MUST(write(fd, known, 100) == 100 && pwrite(fd, known, 50, 100) == 50);
	MUST(ftruncate(fd, 120) == 0 && lseek(fd, 0, SEEK_END) == 120);
	MUST(close(fd) == 0);
	MUST(rename(new_path, newer_path) == 0 && link(newer_path, new_path) == 0);
	MUST(unlink(new_path) == 0 && unlink(newer_path) == 0);
	MUST(mkdir(new_path, 0700) == 0 && rmdir(new_path) == 0);
}

static void use_pipe(void)
{
	int ends[2];
	char bytes[8] = "";
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return;
	MUST(read(ends[0], bytes, 8) == -1 && errno == EAGAIN);
	MUST(write(ends[1], "storm", 5) == 5);
	struct pollfd set[2] = { { ends[0], POLLIN, 0 }, { ends[1], POLLIN, 0 } };
	struct timespec none = { 0, 0 };
	struct timeval nothing = { 0, 0 };
	MUST(poll(set, 2, 0) == 1 && set[0].revents == POLLIN && ppoll(set, 2, &none, NULL) == 1);
	if (ends[1] < FD_SETSIZE) {
		fd_set readable;
		FD_ZERO(&readable);
		FD_SET(ends[0], &readable);
		FD_SET(ends[1], &readable);
		MUST(select(ends[1] + 1, &readable, NULL, NULL, &nothing) == 1 && FD_ISSET(ends[0], &readable));
		MUST(pselect(ends[1] + 1, &readable, NULL, NULL, &none, NULL) == 1);
	}
	MUST(read(ends[0], bytes, 8) == 5 && memcmp(bytes, "storm", 5) == 0);
	MUST(close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void use_socket(void)
{
	int ends[2], file;
	char bytes[16];
	struct iovec part = { bytes, sizeof bytes };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return;
	MUST(recv(ends[0], bytes, 16, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	MUST(send(ends[1], "abc", 3, MSG_NOSIGNAL) == 3 && sendto(ends[1], "def", 3, 0, NULL, 0) == 3);
	MUST(recv(ends[0], bytes, 2, MSG_PEEK) == 2 && recvfrom(ends[0], bytes, 2, 0, NULL, NULL) == 2);
	MUST(recvmsg(ends[0], &message, 0) == 4 && memcmp(bytes, "cdef", 4) == 0);
	part.iov_len = 4;
	MUST(sendmsg(ends[1], &message, 0) == 4 && writev(ends[1], &part, 1) == 4 && read(ends[0], bytes, 8) == 8);
	file = open(known_path, O_RDONLY | O_CLOEXEC);
	if (file >= 0) {
		off_t at = 100;
		MUST(sendfile(ends[1], file, &at, 16) == 16 && at == 116);
		MUST(read(ends[0], bytes, 16) == 16 && memcmp(bytes, known + 100, 16) == 0);
		MUST(close(file) == 0);
	}
	MUST(shutdown(ends[1], SHUT_WR) == 0 && read(ends[0], bytes, 1) == 0);
	MUST(close(ends[0]) == 0 && close(ends[1]) == 0);
}

/* A connection from its beginning to its end, as a server's. */
static void accept_one(void)
{
	/* Not where servers are about to listen. */
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1) };
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 42 };
	socklen_t length = sizeof address;
	char bytes[8];
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ep = epoll_create1(EPOLL_CLOEXEC), server = -1;
	if (ep < 0 || listening < 0 || client < 0)
		goto out;
	if (bind(listening, (struct sockaddr *)&address, length) != 0 || listen(listening, 1) != 0 ||
	    getsockname(listening, (struct sockaddr *)&address, &length) != 0)
		goto out;
	MUST(accept(listening, NULL, NULL) == -1 && errno == EAGAIN);
	if (connect(client, (struct sockaddr *)&address, length) != 0)
		goto out;
	for (int i = 0; i < 1000 && server < 0; i++)
		server = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (server < 0)
		goto out;
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, server, &event) == 0);
	MUST(epoll_wait(ep, &event, 1, 0) == 0);
	MUST(write(client, "GET /", 5) == 5 && epoll_wait(ep, &event, 1, 1000) == 1 && event.data.u64 == 42);
	MUST(read(server, bytes, 8) == 5);
	event.events = EPOLLIN | EPOLLOUT;
	MUST(epoll_ctl(ep, EPOLL_CTL_MOD, server, &event) == 0);
	MUST(epoll_pwait(ep, &event, 1, 0, NULL) == 1 && event.events == EPOLLOUT);
	MUST(write(server, "x", 1) == 1 && read(client, bytes, 8) == 1);
	MUST(epoll_ctl(ep, EPOLL_CTL_DEL, server, NULL) == 0);
	MUST(close(server) == 0);
out:
	close(ep);
	close(client);
	close(listening);
}

static void renumber(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	int copy = dup(fd), other = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
	if (copy >= 0 && other >= 0) {
		MUST(dup2(fd, copy) == copy && dup3(fd, other, O_CLOEXEC) == other);
		MUST(fcntl(other, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0);
	}
	close(copy);
	close(other);
	MUST(close(fd) == 0);
	MUST(close(fd) == -1 && errno == EBADF && dup(fd) == -1);
}

static void ask(void)
{
	struct sigaction action;
	struct timespec now;
	sigset_t set;
	MUST(sigaction(SIGNAL, NULL, &action) == 0 && sigpending(&set) == 0);
	MUST(sigprocmask(SIG_BLOCK, NULL, &set) == 0 && sigismember(&set, SIGNAL) == 1);
	MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0 && kill(getpid(), 0) == 0);
	/* The program's own descriptors, as a handler finds them. */
	for (int fd = 0; fd < 24; fd++) {
		struct pollfd one = { fd, POLLIN | POLLOUT, 0 };
		struct stat status;
		/* No receiving: even to look takes an error of the socket's. */
		fcntl(fd, F_GETFD);
		fstat(fd, &status);
		poll(&one, 1, 0);
		lseek(fd, 0, SEEK_CUR);
	}
}

/* They get another number, and are registered once more, for a moment. */
static void meddle(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 43 };
	int fd = 3 + random_number() % 16, ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0)
		return;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
	epoll_wait(ep, &event, 1, 0);
	close(copy);
	close(ep);
}

static void use_memory(void)
{
	int fd = open(known_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	unsigned char *at = mmap(NULL, KNOWN, PROT_READ, MAP_PRIVATE, fd, 0);
	MUST(close(fd) == 0);
	if (at == MAP_FAILED)
		return;
	MUST(memcmp(at + 200, known + 200, 64) == 0 && munmap(at, KNOWN) == 0);
}

static void make_child(void)
{
	struct sigaction action;
	int status;
	/* A program that is told of its children would hear of this one. */
	if (random_number() % 16 || sigaction(SIGCHLD, NULL, &action) != 0 || action.sa_handler != SIG_DFL)
		return;
	pid_t child = _Fork();
	if (child == 0) {
		int fd = open(known_path, O_RDONLY);
		close(fd);
		_exit(7);
	}
	if (child > 0 && waitpid(child, &status, 0) == child)
		MUST(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void (*const acts[])(void) = { read_file, look_up, change_files, use_pipe, use_socket, accept_one,
				      renumber, ask, meddle, use_memory, make_child };
enum { ACTS = sizeof acts / sizeof *acts };
#endif
