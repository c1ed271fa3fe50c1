/* Writes that a server counts on: the first one of an answer, one of memory that is not the file's, and a body in many small
 * pieces. `first_writes DIRECTORY CASE LENGTH`. The kernel has room for every one of them.
 * What is observed is how many answers were complete, and how many writes were refused although there was room. */
#include "common.h"

enum { LONG = 600000, PIECE = 32 * 1024, REQUESTS = 22 };

static const char *directory;
static struct sockaddr_in address;
static int ep, refused;

/* Whether the kernel itself has room. Nobody stands between it and a raw call. */
static int has_room(int fd)
{
	struct pollfd set = { .fd = fd, .events = POLLOUT };
	return syscall(SYS_poll, &set, 1, 0) == 1 && set.revents & POLLOUT;
}

/* A write that must not be refused. It is made again when the client can take more, so that one refusal costs no answer. */
static ssize_t promised(int fd, ssize_t (*call)(int, void *), void *argument)
{
	for (int tries = 0;; tries++) {
		ssize_t n = call(fd, argument);
		if (n >= 0 || errno != EAGAIN || tries == 100)
			return n;
		refused += has_room(fd);
		usleep(2000);
	}
}

struct part {
	char *bytes;
	size_t length;
	int file;
	off_t at;
};

static ssize_t by_write(int fd, void *p) { return write(fd, ((struct part *)p)->bytes, ((struct part *)p)->length); }
static ssize_t by_send(int fd, void *p) { return send(fd, ((struct part *)p)->bytes, ((struct part *)p)->length, MSG_NOSIGNAL); }

static ssize_t by_writev(int fd, void *p)
{
	struct part *part = p;
	size_t half = part->length / 2;
	struct iovec two[2] = { { part->bytes, half }, { part->bytes + half, part->length - half } };
	return writev(fd, two, 2);
}

static ssize_t by_sendmsg(int fd, void *p)
{
	struct part *part = p;
	struct iovec one = { part->bytes, part->length };
	struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1 };
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static ssize_t by_sendfile(int fd, void *p)
{
	struct part *part = p;
	off_t at = part->at;
	return sendfile(fd, part->file, &at, part->length);
}

static ssize_t (*const calls[])(int, void *) = { by_write, by_writev, by_send, by_sendmsg, by_sendfile };

/* Waits for room as a server does, and goes on; counts what was refused although there was room. */
static void wait_for_room(int fd)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.fd = fd };
	refused += has_room(fd);
	NEED(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event) == 0);
	NEED(epoll_wait(ep, &event, 1, 20000) == 1);
	event = (struct epoll_event){ .events = EPOLLIN, .data.fd = fd };
	NEED(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event) == 0);
}

static void write_all(int fd, const char *bytes, size_t length)
{
	for (size_t at = 0; at < length;) {
		ssize_t n = write(fd, bytes + at, length - at);
		NEED(n > 0 || errno == EAGAIN);
		at += n > 0 ? n : 0;
		if (n < 0) {
			struct epoll_event event = { .events = EPOLLOUT, .data.fd = fd };
			NEED(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event) == 0 && epoll_wait(ep, &event, 1, 20000) == 1);
			event = (struct epoll_event){ .events = EPOLLIN, .data.fd = fd };
			NEED(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event) == 0);
		}
	}
}

/* The first write of an answer is of the file, or stands before it; what comes later may be put off. */
static void answer_first(int fd, int file, int number)
{
	static char bytes[LONG];
	struct part part = { bytes, PIECE, file, 0 };
	ssize_t (*call)(int, void *) = calls[number % 5];
	char *map = MAP_FAILED;
	if (number % 10 >= 5 && call != by_sendfile) {
		/* From a mapping, behind what a request brings in. */
		map = mmap(NULL, LONG, PROT_READ, MAP_SHARED, file, 0);
		NEED(map != MAP_FAILED);
		part = (struct part){ map, LONG, file, 0 };
	} else if (call == by_sendfile) {
		part.length = LONG;
	} else {
		NEED(pread(file, bytes, PIECE, 0) == PIECE);
		/* A filter that has to see all of it, or parts, before it says anything. */
		for (off_t at = PIECE; number % 2 && at < LONG; at += PIECE * (1 + number % 3))
			NEED(pread(file, bytes + at, LONG - at < PIECE ? LONG - at : PIECE, at) > 0);
	}
	ssize_t n = promised(fd, call, &part);
	NEED(n > 0);
	if (map != MAP_FAILED)
		munmap(map, LONG);
	NEED(pread(file, bytes, LONG - n, n) == LONG - n);
	write_all(fd, bytes, LONG - n);
}

/* The beginning of the file is read, and answered with a page of the server's own: at once, and in the middle of a body. */
static void answer_other(int fd, int file, int number)
{
	static char bytes[PIECE], page[] = "HTTP/1.0 415 Unsupported\r\n\r\nsorry\r\n", large[8192];
	struct part part = { number % 3 == 2 ? large : page, number % 3 == 2 ? sizeof large : sizeof page - 1, -1, 0 };
	memset(large, 'x', sizeof large);
	for (int i = 0; i < 8; i++) {
		NEED(pread(file, bytes, PIECE, i * PIECE * 2) > 0);
		if (number % 2)
			write_all(fd, bytes, 1000);
		NEED(promised(fd, calls[(number + i) % 4], &part) == (ssize_t)part.length);
	}
	/* A body that begins where the pages end. */
	NEED(pread(file, bytes, 1000, 0) == 1000);
	write_all(fd, bytes, 1000);
}

/* How long that is. */
static size_t length_of_other(int number)
{
	size_t page = number % 3 == 2 ? 8192 : 35;
	return 8 * (page + (number % 2 ? 1000 : 0)) + 1000;
}

/* A filter: read in large pieces, sent in pieces of one byte to seven. */
static void answer_in_pieces(int fd, int file, int size)
{
	static char bytes[PIECE];
	unsigned dice = 1;
	for (off_t at = 0; at < size;) {
		ssize_t have = pread(file, bytes, size - at < PIECE ? size - at : PIECE, at);
		NEED(have > 0);
		for (ssize_t sent = 0; sent < have;) {
			ssize_t piece = 1 + (dice = dice * 1103515245 + 12345) / 65536 % 7;
			ssize_t n = write(fd, bytes + sent, piece < have - sent ? piece : have - sent);
			NEED(n > 0 || errno == EAGAIN);
			sent += n > 0 ? n : 0;
			if (n < 0)
				wait_for_room(fd);
		}
		at += have;
	}
}

struct asked {
	int others, size, requests, right;
};

static void *client(void *argument)
{
	struct asked *asked = argument;
	int fd = client_of(&address);
	struct timeval limit = { 20, 0 };
	unsigned char *body = malloc(LONG * 2 + 8), *wanted = malloc(LONG * 2 + 8);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	for (int i = 0; i < asked->requests; i++) {
		char name[64], request[200];
		ssize_t length = asked->others ? (ssize_t)length_of_other(i) : asked->size;
		snprintf(name, sizeof name, "f%d.html", i);
		int n = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", name);
		NEED(write(fd, request, n) == n);
		ssize_t got = recv(fd, body, length, MSG_WAITALL);
		content(name, wanted, asked->others ? 1000 : length);
		asked->right += got == length && memcmp(body + (asked->others ? length - 1000 : 0), wanted,
							 asked->others ? 1000 : length) == 0;
	}
	close(fd);
	free(body);
	free(wanted);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	struct epoll_event event = { .events = EPOLLIN };
	NEED(argc > 3);
	directory = argv[1];
	const char *what = argv[2];
	struct asked asked = { .others = strcmp(what, "other") == 0, .size = atoi(argv[3]), .requests = REQUESTS };
	int pieces = strcmp(what, "pieces") == 0;
	NEED(pieces || asked.others || strcmp(what, "first") == 0);
	if (asked.size > LONG)
		asked.requests = 1;
	NEED(asked.size <= LONG * 2);
	int listening = listener(&address);
	NEED((ep = epoll_create1(EPOLL_CLOEXEC)) >= 0);
	NEED(pthread_create(&thread, NULL, client, &asked) == 0);
	int fd = accepted_by(listening), room = 8 << 20;
	/* Room for all at any time. Small pieces take more of it than they have bytes. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	event.data.fd = fd;
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
	/* A loop has others, too. */
	struct pair idle = tcp_pair();
	event.data.fd = idle.server;
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, idle.server, &event) == 0);
	char request[1000], name[100], path[PATH_MAX];
	size_t have = 0;
	for (int number = 0;;) {
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		ssize_t n = read(fd, request + have, sizeof request - 1 - have);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0)
			break;
		request[have += n] = 0;
		if (!strstr(request, "\r\n\r\n"))
			continue;
		have = 0;
		NEED(sscanf(request, "GET /%99s", name) == 1);
		snprintf(path, sizeof path, "%s/%s", directory, name);
		int file = open(path, O_RDONLY | O_CLOEXEC);
		NEED(file >= 0);
		if (pieces)
			answer_in_pieces(fd, file, asked.size);
		else if (asked.others)
			answer_other(fd, file, number);
		else
			answer_first(fd, file, number);
		close(file);
		number++;
	}
	NEED(pthread_join(thread, NULL) == 0);
	printf("%s: %d of %d answers right\n", what, asked.right, asked.requests);
	/* About one megabyte in small pieces: what is not in memory may be waited for a few times. */
	if (pieces)
		printf("writes refused although there was room: %s\n", refused <= 8 ? "few" : "many");
	else
		printf("writes refused although there was room: %d\n", refused);
	FILE *out = fopen("refused", "w");
	NEED(out && fprintf(out, "%d\n", refused) > 0 && fclose(out) == 0);
	return 0;
}
