/* Runs a random program of socket, epoll, poll, select, dup, close, fork and file calls, and prints all that it observes.
 *
 *     interpreter record|replay EARLY DOCUMENTS <PROGRAM
 *
 * A program is lines of a word and up to three numbers (see `words`). Numbers choose among what is open, modulo how many
 * there are, so that every program means something and goes on meaning something while it is made smaller. The peer is
 * this same process, by raw system calls that no preloaded library sees, and waits until what it did has arrived: nothing
 * depends on time.
 *
 * A kernel may answer EAGAIN on a non-blocking connection whenever it likes, transfer less than it could, and report
 * readiness later. Where a transfer does so although there are bytes or room, the run that records notes its number and
 * its result in EARLY. The run that replays has the same result there, so that both are in the same state at every step.
 * Such a connection is *held* until a transfer succeeds; what waits tell of it meanwhile is not compared. Everything
 * else is.
 *
 * Lines that begin with an exclamation mark are wrong whatever another run shows. */
#include "common.h"
#include <ctype.h>

enum {
	CONNECTIONS = 8,
	DOCUMENTS = 6,
	NUMBERS = 128, /* of the program's descriptors */
	PEERS = 200,   /* and from there on the peer's */
	CROWDED = 50,
	STEPS = 1000,
	TRANSFERS = 100000,
	REGISTRATIONS = 2000,
	PATIENCE = 3000, /* milliseconds for what must come */
	LENGTH = 60000,
	UNREAD = 50000, /* bytes that the peer leaves in its socket at most: it never fills */
	FROM_HERE = 2,
};

/* What parent and children share: the peer's side. */
static struct world {
	struct connection {
		int peer, http, finished, gone;
		long sent, consumed, written, answered;
		uint64_t answer;
	} connections[CONNECTIONS];
	int connected, accepted, transfers;
	/* By number of the transfer: 0 where it was not early, else its result and FROM_HERE. */
	int early[TRANSFERS];
} *world;

enum kind { NOTHING, LISTENER, CONNECTION, INSTANCE, DOCUMENT, PIPE_OUT, PIPE_IN };

#define ONE(kind) (1u << (kind))
#define ANY (ONE(CONNECTION) | ONE(INSTANCE) | ONE(DOCUMENT) | ONE(PIPE_OUT) | ONE(PIPE_IN))
#define POLLABLE (ONE(CONNECTION) | ONE(LISTENER) | ONE(PIPE_OUT) | ONE(PIPE_IN))

static struct number {
	enum kind kind;
	int connection, description;
} numbers[NUMBERS];

/* One successful EPOLL_CTL_ADD or _MOD each: the index is the event's data. */
static struct registration {
	int live, fd, description, instance, connection;
	uint32_t events;
	/* What has been reported since the last early EAGAIN. */
	uint32_t pending;
	/* Readiness that is given back arms an edge-triggered or one-shot interest anew: one report more may come. */
	int more;
} registrations[REGISTRATIONS];

static int registered, descriptions, replaying, is_child, early_log;
/* The number by which a transfer was early, for reads and for writes, or -1. */
static int held[CONNECTIONS], held_writing[CONNECTIONS];
static struct sockaddr_in address;
static char bytes[1 << 20];
static const char *documents;

static uint64_t digest_from(uint64_t state, const void *data, size_t length)
{
	for (const unsigned char *c = data; length > 0; c++, length--)
		state = (state ^ *c) * 0x100000001b3u;
	return state;
}

static uint64_t digest(const void *data, size_t length)
{
	return digest_from(0xcbf29ce484222325u, data, length);
}

static const char *error_name(long result)
{
	return result < 0 ? strerrorname_np(errno) : "";
}

/* Milliseconds. */
static long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int is_held(int connection)
{
	return held[connection] >= 0 || held_writing[connection] >= 0;
}

static short polled(int fd, short events)
{
	struct pollfd ready = { .fd = fd, .events = events };
	struct timespec none = { 0, 0 };
	return syscall(SYS_ppoll, &ready, 1, &none, NULL, 0) == 1 ? ready.revents : 0;
}

static int is_blocking(int fd)
{
	return !(syscall(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK);
}

/* The number that `which` chooses among those of some kinds, or -1. */
static int chosen(unsigned kinds, int which)
{
	int count = 0;
	for (int fd = 0; fd < NUMBERS; fd++)
		count += !!(kinds & ONE(numbers[fd].kind));
	if (count == 0)
		return -1;
	which %= count;
	for (int fd = 0; fd < NUMBERS; fd++)
		if (kinds & ONE(numbers[fd].kind) && which-- == 0)
			return fd;
	return -1;
}

static int is_crowded(void)
{
	int count = 0;
	for (int fd = 0; fd < NUMBERS; fd++)
		count += numbers[fd].kind != NOTHING;
	return count >= CROWDED;
}

static void name(int fd, enum kind kind, int connection)
{
	if (fd >= 0)
		numbers[fd] = (struct number){ kind, connection, descriptions++ };
}

static void unname(int fd)
{
	struct number *number = &numbers[fd];
	int *sides[] = { &held[number->connection], &held_writing[number->connection] };
	for (int i = 0; i < 2 && number->kind == CONNECTION && !is_child; i++)
		if (*sides[i] == fd)
			*sides[i] = -1;
	number->kind = NOTHING;
}

static void copied(int fd, int copy)
{
	if (copy < 0 || copy == fd)
		return;
	unname(copy);
	numbers[copy] = numbers[fd];
}

/* Waits until all that the peer has done has reached the connection. */
static void settle_connection(int c)
{
	struct connection *connection = &world->connections[c];
	int fd = -1, have;
	for (int i = 0; i < NUMBERS && fd < 0; i++)
		if (numbers[i].kind == CONNECTION && numbers[i].connection == c)
			fd = i;
	for (int i = 0; fd >= 0 && i < PATIENCE; i++) {
		int ended = connection->finished || connection->gone;
		if (syscall(SYS_ioctl, fd, FIONREAD, &have) == 0 && have >= connection->sent - connection->consumed &&
		    (!ended || polled(fd, POLLRDHUP) & (POLLRDHUP | POLLHUP)))
			return;
		usleep(100);
	}
}

/* Waits until a connection's end has been acknowledged, which is an edge of its own. */
static void settle_shutdown(int fd)
{
	for (int i = 0; i < PATIENCE; i++) {
		struct tcp_info info;
		socklen_t length = sizeof info;
		if (syscall(SYS_getsockopt, fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 ||
		    (info.tcpi_state != TCP_FIN_WAIT1 && info.tcpi_state != TCP_CLOSING && info.tcpi_state != TCP_LAST_ACK))
			return;
		usleep(100);
	}
}

/* The peer. */

static void peer_sends(int c, const char *data, size_t length)
{
	struct connection *connection = &world->connections[c];
	if (connection->gone || connection->finished)
		return;
	long sent = syscall(SYS_sendto, connection->peer, data, length, MSG_NOSIGNAL, NULL, 0);
	if (sent > 0)
		connection->sent += sent;
	settle_connection(c);
}

static void make_cold(int document)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/f%d.html", documents, document);
	int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	syscall(SYS_fadvise64, fd, 0L, 0L, POSIX_FADV_DONTNEED);
	syscall(SYS_close, fd);
}

static size_t request(char *into, int document)
{
	return sprintf(into, "GET /f%d.html HTTP/1.1\r\nHost: h\r\n\r\n", document % (DOCUMENTS + 1));
}

static void peer_connects(void)
{
	if (world->connected == CONNECTIONS || is_child)
		return;
	int one = 1, made = syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int peer = syscall(SYS_fcntl, made, F_DUPFD_CLOEXEC, PEERS);
	syscall(SYS_close, made);
	NEED(syscall(SYS_connect, peer, &address, sizeof address) == 0);
	syscall(SYS_setsockopt, peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	syscall(SYS_fcntl, peer, F_SETFL, O_NONBLOCK);
	world->connections[world->connected++].peer = peer;
}

static void peer_leaves(int c, int reset)
{
	struct connection *connection = &world->connections[c];
	if (connection->gone || is_child)
		return;
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	if (reset)
		syscall(SYS_setsockopt, connection->peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	syscall(SYS_close, connection->peer);
	connection->gone = 1;
	settle_connection(c);
}

/* Reads what has been written to the peer. */
static void peer_reads(int c)
{
	struct connection *connection = &world->connections[c];
	int have = 0;
	if (connection->gone)
		return;
	for (int i = 0; i < PATIENCE && have < connection->written - connection->answered; i++) {
		syscall(SYS_ioctl, connection->peer, FIONREAD, &have);
		if (have < connection->written - connection->answered)
			usleep(100);
	}
	static char answer[4 * UNREAD];
	long n = syscall(SYS_recvfrom, connection->peer, answer, sizeof answer, 0, NULL, NULL);
	if (n > 0) {
		connection->answered += n;
		connection->answer = digest_from(connection->answer, answer, n);
	}
}

static void show_answer(int c)
{
	peer_reads(c);
	printf("peer %d got %ld %lx\n", c, world->connections[c].answered, world->connections[c].answer);
}

/* Reading. */

enum how { READ, RECV, READV, RECVMSG, RECVFROM, DONTWAIT, PEEK, BAD_BUFFER, HOWS };
static const char *const hows[] = { "read", "recv", "readv", "recvmsg", "recvfrom", "dontwait", "peek", "bad" };

static ssize_t call(int fd, enum how how, char *into, size_t size)
{
	struct iovec parts[2] = { { into, size / 3 }, { into + size / 3, size - size / 3 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	switch (how) {
	case RECV:
		return recv(fd, into, size, 0);
	case READV:
		return readv(fd, parts, 2);
	case RECVMSG:
		return recvmsg(fd, &message, 0);
	case RECVFROM:
		return recvfrom(fd, into, size, MSG_NOSIGNAL, NULL, NULL);
	case DONTWAIT:
		return recv(fd, into, size, MSG_DONTWAIT);
	case PEEK:
		return recv(fd, into, size, MSG_PEEK);
	case BAD_BUFFER:
		return read(fd, (void *)1, size);
	default:
		return read(fd, into, size);
	}
}

/* A transfer was early: from now on a registration reports anew what it reported before. */
static void was_early(int c, int number, ssize_t result)
{
	if (!replaying)
		dprintf(early_log, "%d %zd\n", number, result);
	for (int i = 0; i < registered; i++)
		if (registrations[i].connection == c) {
			registrations[i].pending = 0;
			registrations[i].more = !!(registrations[i].events & (EPOLLET | EPOLLONESHOT));
		}
}

/* One read of a connection; `early` tells whether it answered EAGAIN although there is something. */
static ssize_t take(int fd, enum how how, char *into, size_t size, int *early)
{
	int c = numbers[fd].connection, number = world->transfers++;
	struct connection *connection = &world->connections[c];
	int readable = polled(fd, POLLIN | POLLRDHUP) != 0;
	ssize_t n = -1;
	NEED(number < TRANSFERS);
	if (replaying && world->early[number])
		errno = EAGAIN;
	else
		n = call(fd, how, into, size);
	int error = errno;
	*early = n < 0 && error == EAGAIN && readable;
	if (*early) {
		if (is_blocking(fd) || how == PEEK || !connection->http)
			printf("! %s of %d answers EAGAIN, and there is something\n", hows[how], fd);
		was_early(c, number, n);
		held[c] = fd;
	} else if (how != PEEK) {
		if (n > 0)
			connection->consumed += n;
		if ((n >= 0 || error != EAGAIN) && error != EFAULT && held[c] == fd && !is_child)
			held[c] = -1;
	}
	errno = error;
	return n;
}

static void read_once(int fd, enum how how, size_t size)
{
	int early;
	if (is_blocking(fd) && how != DONTWAIT && !polled(fd, POLLIN | POLLRDHUP)) {
		printf("%s %d would block\n", hows[how], fd);
		return;
	}
	ssize_t n = take(fd, how, bytes, size, &early);
	printf("%s %d = %zd %s %lx\n", hows[how], fd, n, error_name(n), n > 0 ? digest(bytes, n) : 0);
}

/* Waiting. */

static int by_data(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;
	return (x->data.u64 > y->data.u64) - (x->data.u64 < y->data.u64);
}

static int wait_call(int instance, int how, struct epoll_event *events, int most, int timeout)
{
	struct timespec time = { timeout / 1000, timeout % 1000 * 1000000 };
	switch (how) {
	case 1:
		return epoll_pwait(instance, events, most, timeout, NULL);
	case 2:
		return epoll_pwait2(instance, events, most, &time, NULL);
	default:
		return epoll_wait(instance, events, most, timeout);
	}
}

/* Waits in an instance, and shows what it tells of connections that are not held. */
static void wait_once(int instance, int how, int timeout)
{
	struct epoll_event events[64];
	int n = wait_call(instance, how, events, 64, timeout);
	printf("wait %d:%s", instance, error_name(n));
	if (n > 0)
		qsort(events, n, sizeof *events, by_data);
	for (int i = 0; i < n; i++) {
		uint64_t data = events[i].data.u64;
		if (data >= (uint64_t)registered) {
			printf("\n! data %lu was never registered\n", data);
			continue;
		}
		struct registration *registration = &registrations[data];
		registration->pending |= events[i].events;
		if (registration->connection >= 0 && (is_held(registration->connection) || registration->more)) {
			if (!registration->live)
				printf("\n! %d is told of by a registration that has been changed\n", registration->fd);
			continue;
		}
		printf(" %d#%lu %x", registration->fd, data, events[i].events);
	}
	printf("\n");
}

/* The registration of a number by which a program hears of an event, and the instance's number. */
static struct registration *listening_for(int fd, uint32_t wanted, int *instance)
{
	for (int i = 0; i < registered; i++) {
		struct registration *registration = &registrations[i];
		if (!registration->live || registration->fd != fd || !(registration->events & wanted) ||
		    registration->description != numbers[fd].description)
			continue;
		for (*instance = 0; *instance < NUMBERS; ++*instance)
			if (numbers[*instance].kind == INSTANCE &&
			    numbers[*instance].description == registration->instance)
				return registration;
	}
	return NULL;
}

static void arm(int instance, struct registration *registration)
{
	struct epoll_event event = { .events = registration->events, .data.u64 = registration - registrations };
	NEED(epoll_ctl(instance, EPOLL_CTL_MOD, registration->fd, &event) == 0);
}

/* Waits for a connection that is in no instance, as a poll or a select server does. It may hear of it too early, again and
 * again, and does not read too often. */
static int await_in_set(int fd, int for_reading)
{
	for (long begin = now(); now() - begin <= PATIENCE;) {
		struct pollfd ready = { .fd = fd, .events = for_reading ? POLLIN : POLLOUT };
		struct timeval time = { .tv_usec = 1000 };
		fd_set set;
		FD_ZERO(&set);
		FD_SET(fd, &set);
		if (fd % 2 ? poll(&ready, 1, 1) == 1
			   : select(fd + 1, for_reading ? &set : NULL, for_reading ? NULL : &set, NULL, &time) == 1) {
			usleep(100);
			return 1;
		}
	}
	return 0;
}

/* After an early EAGAIN: waits as the program would. False when nothing comes. */
static int await(int fd, uint32_t wanted)
{
	uint32_t others = (EPOLLIN | EPOLLOUT | EPOLLRDHUP) & ~wanted;
	int instance;
	struct registration *registration = listening_for(fd, wanted, &instance);
	if (!registration)
		return replaying || await_in_set(fd, wanted == EPOLLIN);
	if (registration->events & EPOLLONESHOT)
		arm(instance, registration);
	/* Once in both runs: what other edges and one-shots have to tell is told now. */
	wait_once(instance, 0, 0);
	for (long begin = now(); !replaying && !(registration->pending & ~others);) {
		struct epoll_event events[64];
		if (now() - begin > PATIENCE)
			return 0;
		int n = epoll_wait(instance, events, 64, 1);
		for (int j = 0; j < n; j++)
			if (events[j].data.u64 < (uint64_t)registered)
				registrations[events[j].data.u64].pending |= events[j].events;
	}
	return 1;
}

/* Reads all that there is, waiting wherever a read answers EAGAIN early; returns how many bytes that was. */
static size_t receive(int fd)
{
	size_t length = 0;
	int c = numbers[fd].connection, early, instance, was_held = held[c] == fd;
	long begin = now();
	ssize_t n = -1;
	if (is_blocking(fd)) {
		if (polled(fd, POLLIN | POLLRDHUP) && (n = take(fd, READ, bytes, sizeof bytes, &early)) > 0)
			length = n;
		printf("receive %d: %zu %lx blocking\n", fd, length, digest(bytes, length));
		return length;
	}
	do {
		n = take(fd, READ, bytes + length, sizeof bytes - length, &early);
		int error = errno;
		if (n > 0)
			length += n;
		was_held |= early;
		if (early && (!await(fd, EPOLLIN) || now() - begin > 2 * PATIENCE)) {
			printf("! %d is never reported readable\n", fd);
			break;
		}
		errno = error;
	} while (n > 0 || early);
	printf("receive %d: %zu %lx then %zd %s\n", fd, length, digest(bytes, length), n, error_name(n));
	struct registration *registration = was_held ? listening_for(fd, EPOLLIN, &instance) : NULL;
	if (registration && !(registration->events & EPOLLONESHOT) && !is_held(c)) {
		wait_once(instance, 0, 0);
		registration->more = 0;
	}
	return length;
}

/* One write to a connection, from a file if there is one; `early` tells whether it sent less than it could. */
static ssize_t put(int fd, int file, off_t *offset, const char *data, size_t size, int *early)
{
	int c = numbers[fd].connection, number = world->transfers++, recorded = replaying ? world->early[number] : 0;
	struct connection *connection = &world->connections[c];
	int writable = !!(polled(fd, POLLOUT) & POLLOUT);
	size_t possible = size;
	ssize_t n = -1;
	NEED(number < TRANSFERS);
	if (file >= 0) {
		struct stat status;
		off_t at = offset ? *offset : syscall(SYS_lseek, file, 0L, SEEK_CUR);
		NEED(syscall(SYS_fstat, file, &status) == 0);
		off_t rest = status.st_size > at ? status.st_size - at : 0;
		possible = (size_t)rest < size ? (size_t)rest : size;
	}
	if (recorded)
		size = recorded - FROM_HERE;
	if (recorded == FROM_HERE - 1)
		errno = EAGAIN;
	else
		n = file >= 0 ? sendfile(fd, file, offset, size) : write(fd, data, size);
	int error = errno;
	*early = writable && (n < 0 ? error == EAGAIN : (size_t)n < possible);
	if (n > 0)
		connection->written += n;
	if (connection->written - connection->answered > UNREAD)
		peer_reads(c);
	if (*early) {
		if (is_blocking(fd))
			printf("! a write to %d, which is blocking, is early\n", fd);
		was_early(c, number, n);
		held_writing[c] = fd;
	} else if (possible > 0 && held_writing[c] == fd && !is_child) {
		held_writing[c] = -1;
	}
	/* What is written to a peer that has gone is answered with a reset. */
	for (int i = 0; connection->gone && n > 0 && i < PATIENCE && !(polled(fd, 0) & (POLLERR | POLLHUP)); i++)
		usleep(100);
	errno = error;
	return n;
}

/* Writes everything, waiting wherever a write is early. */
static void write_all(int fd, const char *data, size_t length)
{
	int early = 0, instance;
	size_t done = 0;
	long begin = now();
	ssize_t n;
	do {
		n = put(fd, -1, NULL, data + done, length - done, &early);
		int error = errno;
		if (n > 0)
			done += n;
		if (early && (!await(fd, EPOLLOUT) || now() - begin > 2 * PATIENCE)) {
			printf("! %d is never reported writable\n", fd);
			break;
		}
		errno = error;
	} while (early);
	printf("  write %d = %zu %s\n", fd, done, error_name(n));
	struct registration *registration = listening_for(fd, EPOLLOUT, &instance);
	if (registration && !(registration->events & EPOLLONESHOT) && registration->more && !is_held(numbers[fd].connection)) {
		wait_once(instance, 0, 0);
		registration->more = 0;
	}
}

static void document(char *path, int which)
{
	snprintf(path, PATH_MAX, "%s/f%d.html", documents, which % (DOCUMENTS + 1));
}

/* Answers every request that came, as a server does. */
static void serve(int fd)
{
	static char body[LENGTH];
	char path[PATH_MAX];
	int which;
	size_t length = receive(fd);
	bytes[length < sizeof bytes ? length : sizeof bytes - 1] = 0;
	for (char *at = bytes; (at = strstr(at, "GET /f")); at++) {
		struct stat status;
		if (sscanf(at, "GET /f%d.html ", &which) != 1)
			continue;
		document(path, which);
		int found = stat(path, &status);
		printf("  stat %d = %d %s\n", which, found, error_name(found));
		int file = open(path, O_RDONLY | O_CLOEXEC);
		printf("  open %d = %d %s\n", which, file, error_name(file));
		ssize_t n = file < 0 ? 0 : read(file, body, 3000);
		printf("  file %zd %lx\n", n, n > 0 ? digest(body, n) : 0);
		write_all(fd, body, n > 0 ? n : 0);
		if (file >= 0)
			close(file);
	}
}

/* The steps. Each takes three numbers. */

#define CHOOSE(fd, kinds, which)                                                                                       \
	int fd = chosen(kinds, which);                                                                                 \
	if (fd < 0)                                                                                                    \
	return

#define PEER(c, which)                                                                                                 \
	if (world->connected == 0)                                                                                     \
		return;                                                                                                \
	int c = (which) % world->connected

static void do_connect(int a, int b, int c) { (void)a, (void)b, (void)c, peer_connects(); }

static void do_request(int a, int b, int c)
{
	PEER(which, a);
	char text[2000];
	size_t length = 0;
	/* One or several at once. */
	for (int i = 0; i <= c % 4; i++) {
		make_cold((b + i) % DOCUMENTS);
		length += request(text + length, b + i);
	}
	world->connections[which].http = 1;
	peer_sends(which, text, length);
}

static void do_warm(int a, int b, int c)
{
	(void)c;
	PEER(which, a);
	char text[200];
	world->connections[which].http = 1;
	peer_sends(which, text, request(text, b));
}

/* A part of a request: from `c` on in eighths, one half or all that follows. */
static void do_part(int a, int b, int c)
{
	PEER(which, a);
	char text[200];
	size_t length = request(text, b), from = c % 8 * length / 8, to = c / 8 % 2 ? length : from + length / 2;
	make_cold(b % DOCUMENTS);
	world->connections[which].http = 1;
	peer_sends(which, text + from, (to < length ? to : length) - from);
}

static void do_cold(int a, int b, int c)
{
	(void)b, (void)c;
	make_cold(a % DOCUMENTS);
}

static void do_hello(int a, int b, int c)
{
	(void)b, (void)c;
	PEER(which, a);
	peer_sends(which, "hello\n", 6);
}

static void do_finish(int a, int b, int c)
{
	(void)b, (void)c;
	PEER(which, a);
	if (!world->connections[which].gone) {
		syscall(SYS_shutdown, world->connections[which].peer, SHUT_WR);
		world->connections[which].finished = 1;
		settle_connection(which);
	}
}

static void do_leave(int a, int b, int c)
{
	(void)c;
	PEER(which, a);
	peer_leaves(which, b % 2);
}

static void do_got(int a, int b, int c)
{
	(void)b, (void)c;
	PEER(which, a);
	show_answer(which);
}

static void do_accept(int a, int b, int c)
{
	(void)b, (void)c;
	CHOOSE(listening, ONE(LISTENER), 0);
	static const int flags[] = { 0, SOCK_NONBLOCK, SOCK_NONBLOCK | SOCK_CLOEXEC, SOCK_CLOEXEC };
	if (is_crowded())
		return;
	int fd = a % 5 == 4 ? accept(listening, NULL, NULL) : accept4(listening, NULL, NULL, flags[a % 4]);
	printf("accept = %d %s\n", fd, error_name(fd));
	if (fd < 0)
		return;
	int connection = world->accepted++;
	name(fd, CONNECTION, connection);
	settle_connection(connection);
}

static void do_nonblock(int a, int b, int c)
{
	(void)c;
	CHOOSE(fd, ONE(CONNECTION), a);
	int on = b & 1, result = b & 2 ? ioctl(fd, FIONBIO, &on) : fcntl(fd, F_SETFL, on ? O_NONBLOCK : 0);
	printf("nonblock %d %d = %d\n", fd, on, result);
}

static const uint32_t interests[] = {
	EPOLLIN,
	EPOLLIN | EPOLLET,
	EPOLLIN | EPOLLRDHUP,
	EPOLLIN | EPOLLRDHUP | EPOLLET,
	EPOLLIN | EPOLLOUT,
	EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
	EPOLLIN | EPOLLONESHOT,
	EPOLLIN | EPOLLET | EPOLLONESHOT,
	EPOLLIN | EPOLLOUT | EPOLLONESHOT,
	EPOLLIN | EPOLLEXCLUSIVE,
	EPOLLIN | EPOLLEXCLUSIVE | EPOLLET,
	EPOLLOUT,
	EPOLLRDHUP,
	0,
};

static void control(int operation, int a, int b, int c)
{
	CHOOSE(instance, ONE(INSTANCE), a);
	CHOOSE(fd, POLLABLE | ONE(DOCUMENT), b);
	if (registered == REGISTRATIONS || is_child)
		return;
	uint32_t wanted = interests[c % (sizeof interests / sizeof *interests)];
	struct epoll_event event = { .events = wanted, .data.u64 = registered };
	int result = epoll_ctl(instance, operation, fd, &event);
	printf("epoll_ctl %d %d %d %x = %d %s\n", instance, operation, fd, wanted, result, error_name(result));
	if (result != 0)
		return;
	for (int i = 0; i < registered; i++)
		if (registrations[i].live && registrations[i].fd == fd &&
		    registrations[i].description == numbers[fd].description &&
		    registrations[i].instance == numbers[instance].description)
			registrations[i].live = 0;
	if (operation == EPOLL_CTL_DEL)
		return;
	int connection = numbers[fd].kind == CONNECTION ? numbers[fd].connection : -1;
	registrations[registered++] = (struct registration){
		.live = 1,
		.fd = fd,
		.description = numbers[fd].description,
		.instance = numbers[instance].description,
		.connection = connection,
		.events = wanted,
		.more = connection >= 0 && is_held(connection) && wanted & (EPOLLET | EPOLLONESHOT),
	};
}

static void do_add(int a, int b, int c) { control(EPOLL_CTL_ADD, a, b, c); }
static void do_mod(int a, int b, int c) { control(EPOLL_CTL_MOD, a, b, c); }
static void do_del(int a, int b, int c) { control(EPOLL_CTL_DEL, a, b, c); }

/* Milliseconds for a wait: mostly none, sometimes longer than a gate is closed. */
static int patience(int c)
{
	return c % 8 == 7 ? 8 : 0;
}

static void do_wait(int a, int b, int c)
{
	CHOOSE(instance, ONE(INSTANCE), a);
	wait_once(instance, b % 3, patience(c));
}

static void do_poll(int a, int b, int c)
{
	static const short wanted[] = { POLLIN, POLLIN | POLLOUT, POLLIN | POLLRDHUP, POLLRDHUP, POLLOUT, 0 };
	struct pollfd set[NUMBERS];
	struct timespec time = { 0, patience(c) * 1000000 };
	int count = 0;
	for (int fd = 0; fd < NUMBERS; fd++)
		if (POLLABLE & ONE(numbers[fd].kind))
			set[count++] = (struct pollfd){ .fd = fd, .events = wanted[b % 6] };
	int n = a % 2 ? poll(set, count, patience(c)) : ppoll(set, count, &time, NULL);
	printf("poll %x:%s", wanted[b % 6], error_name(n));
	for (int i = 0; i < count; i++) {
		struct number *number = &numbers[set[i].fd];
		if (set[i].revents && !(number->kind == CONNECTION && is_held(number->connection)))
			printf(" %d %x", set[i].fd, set[i].revents);
	}
	printf("\n");
}

static void do_select(int a, int b, int c)
{
	fd_set in, out;
	struct timeval time = { 0, patience(c) * 1000 };
	struct timespec time_too = { 0, patience(c) * 1000000 };
	FD_ZERO(&in);
	FD_ZERO(&out);
	for (int fd = 0; fd < NUMBERS; fd++)
		if (POLLABLE & ONE(numbers[fd].kind)) {
			FD_SET(fd, &in);
			if (b % 2)
				FD_SET(fd, &out);
		}
	int n = a % 2 ? select(NUMBERS, &in, &out, NULL, &time) : pselect(NUMBERS, &in, &out, NULL, &time_too, NULL);
	printf("select:%s", error_name(n));
	for (int fd = 0; fd < NUMBERS; fd++)
		if ((FD_ISSET(fd, &in) || FD_ISSET(fd, &out)) &&
		    !(numbers[fd].kind == CONNECTION && is_held(numbers[fd].connection)))
			printf(" %d%s%s", fd, FD_ISSET(fd, &in) ? "r" : "", FD_ISSET(fd, &out) ? "w" : "");
	printf("\n");
}

static void do_read(int a, int b, int c)
{
	CHOOSE(fd, ONE(CONNECTION), a);
	read_once(fd, b % HOWS, c % 7 == 0 ? sizeof bytes : (size_t)c % 50 + 1);
}

static void do_receive(int a, int b, int c)
{
	(void)b, (void)c;
	CHOOSE(fd, ONE(CONNECTION), a);
	receive(fd);
}

static void do_serve(int a, int b, int c)
{
	(void)b, (void)c;
	CHOOSE(fd, ONE(CONNECTION), a);
	serve(fd);
}

static void do_write(int a, int b, int c)
{
	(void)c;
	CHOOSE(fd, ONE(CONNECTION), a);
	write_all(fd, bytes, b % 2000);
}

static void do_look(int a, int b, int c)
{
	(void)b, (void)c;
	CHOOSE(fd, ONE(CONNECTION), a);
	int have = -1, error = -1;
	socklen_t length = sizeof error;
	ioctl(fd, FIONREAD, &have);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	printf("look %d: %d to read, error %d, flags %o\n", fd, have, error, fcntl(fd, F_GETFL));
}

static void do_open(int a, int b, int c)
{
	static const int flags[] = { O_RDONLY, O_RDONLY | O_CLOEXEC, O_RDONLY | O_NONBLOCK, O_RDONLY | O_DIRECTORY };
	char path[PATH_MAX];
	(void)c;
	if (is_crowded())
		return;
	document(path, a);
	int fd = open(path, flags[b % 4]);
	printf("open %d = %d %s\n", a, fd, error_name(fd));
	name(fd, DOCUMENT, -1);
}

static void do_stat(int a, int b, int c)
{
	char path[PATH_MAX];
	struct stat status = { 0 };
	(void)c;
	document(path, a);
	int result = b % 3 == 0 ? stat(path, &status) : b % 3 == 1 ? lstat(path, &status) : access(path, R_OK);
	printf("stat %d = %d %s %ld\n", a, result, error_name(result), (long)status.st_size);
}

static void do_file(int a, int b, int c)
{
	CHOOSE(fd, ONE(DOCUMENT), a);
	size_t size = c % 9000;
	ssize_t n = b % 2 ? read(fd, bytes, size) : pread(fd, bytes, size, c % 100);
	printf("file %d = %zd %s %lx\n", fd, n, error_name(n), n > 0 ? digest(bytes, n) : 0);
}

static void do_sendfile(int a, int b, int c)
{
	CHOOSE(to, ONE(CONNECTION), a);
	CHOOSE(from, ONE(DOCUMENT), b);
	off_t offset = c % 300;
	int early;
	ssize_t n = put(to, from, c % 2 ? &offset : NULL, NULL, c * 1000, &early);
	printf("sendfile %d %d = %zd %s %ld\n", to, from, n, error_name(n), (long)offset);
}

static void do_dup(int a, int b, int c)
{
	CHOOSE(fd, ANY, a);
	if (is_crowded())
		return;
	int copy = b % 3 == 0 ? dup(fd) : fcntl(fd, b % 3 == 1 ? F_DUPFD : F_DUPFD_CLOEXEC, c % 40);
	printf("dup %d = %d %s\n", fd, copy, error_name(copy));
	copied(fd, copy);
}

static void do_dup2(int a, int b, int c)
{
	CHOOSE(fd, ANY, a);
	CHOOSE(onto, ANY, b);
	int result = c % 2 ? dup2(fd, onto) : dup3(fd, onto, O_CLOEXEC);
	printf("dup2 %d %d = %d %s\n", fd, onto, result, error_name(result));
	copied(fd, result);
}

static void do_close(int a, int b, int c)
{
	(void)b, (void)c;
	CHOOSE(fd, ANY, a);
	int result = close(fd);
	printf("close %d = %d %s\n", fd, result, error_name(result));
	unname(fd);
}

static void do_close_range(int a, int b, int c)
{
	(void)c;
	CHOOSE(first, ANY, a);
	int last = first + b % 3;
	for (int fd = first; fd <= last; fd++)
		if (numbers[fd].kind == LISTENER)
			return;
	int result = close_range(first, last, 0);
	printf("close_range %d %d = %d %s\n", first, last, result, error_name(result));
	for (int fd = first; fd <= last; fd++)
		unname(fd);
}

/* A descriptor goes to another number by way of a message. */
static void do_pass(int a, int b, int c)
{
	(void)c;
	CHOOSE(fd, ANY, a);
	int ends[2];
	char byte = 'p', room[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (is_crowded() || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
		return;
	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd) };
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	ssize_t sent = sendmsg(ends[0], &message, 0);
	/* The number that it had may be free by the time it arrives. */
	if (b % 2) {
		close(fd);
	}
	int description = numbers[fd].description, connection = numbers[fd].connection;
	enum kind kind = numbers[fd].kind;
	if (b % 2)
		unname(fd);
	ssize_t came = recvmsg(ends[1], &message, b & 2 ? MSG_CMSG_CLOEXEC : 0);
	int copy = -1;
	if (came == 1 && message.msg_controllen)
		memcpy(&copy, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof copy);
	printf("pass %d: %zd %zd as %d\n", fd, sent, came, copy);
	if (copy >= 0)
		numbers[copy] = (struct number){ kind, connection, description };
	close(ends[0]);
	close(ends[1]);
}

static void do_shutdown(int a, int b, int c)
{
	(void)c;
	CHOOSE(fd, ONE(CONNECTION), a);
	int result = shutdown(fd, b % 3);
	settle_shutdown(fd);
	printf("shutdown %d %d = %d %s\n", fd, b % 3, result, error_name(result));
}

static void do_pipe(int a, int b, int c)
{
	int ends[2];
	(void)a, (void)b, (void)c;
	if (is_crowded() || pipe2(ends, O_NONBLOCK) != 0)
		return;
	printf("pipe %d %d\n", ends[0], ends[1]);
	name(ends[0], PIPE_OUT, -1);
	name(ends[1], PIPE_IN, -1);
}

static void do_pour(int a, int b, int c)
{
	(void)c;
	CHOOSE(fd, ONE(PIPE_IN), a);
	ssize_t n = write(fd, bytes, b % 100);
	printf("pour %d = %zd %s\n", fd, n, error_name(n));
}

static void do_drink(int a, int b, int c)
{
	(void)c;
	CHOOSE(fd, ONE(PIPE_OUT), a);
	ssize_t n = read(fd, bytes, b % 100);
	printf("drink %d = %zd %s\n", fd, n, error_name(n));
}

static void do_instance(int a, int b, int c)
{
	(void)a, (void)b, (void)c;
	if (is_crowded())
		return;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	printf("epoll_create = %d\n", fd);
	name(fd, INSTANCE, -1);
}

/* Time for helpers, while the program is not waiting for anything. */
static void do_pause(int a, int b, int c)
{
	(void)b, (void)c;
	usleep(a % 4 * 2000);
}

static const struct {
	const char *word;
	void (*step)(int a, int b, int c);
} words[] = {
	{ "connect", do_connect },	   { "request", do_request },	{ "warm", do_warm },	   { "part", do_part },
	{ "hello", do_hello },		   { "finish", do_finish },	{ "leave", do_leave },	   { "got", do_got },
	{ "accept", do_accept },	   { "nonblock", do_nonblock }, { "add", do_add },	   { "mod", do_mod },
	{ "del", do_del },		   { "wait", do_wait },		{ "poll", do_poll },	   { "select", do_select },
	{ "read", do_read },		   { "receive", do_receive },	{ "serve", do_serve },	   { "write", do_write },
	{ "look", do_look },		   { "open", do_open },		{ "stat", do_stat },	   { "file", do_file },
	{ "sendfile", do_sendfile },	   { "dup", do_dup },		{ "dup2", do_dup2 },	   { "close", do_close },
	{ "close_range", do_close_range }, { "pass", do_pass },		{ "shutdown", do_shutdown }, { "pipe", do_pipe },
	{ "pour", do_pour },		   { "drink", do_drink },	{ "instance", do_instance },
	{ "pause", do_pause },
	{ "cold", do_cold },
};

static struct step {
	char word[20];
	int a, b, c;
} steps[STEPS];

/* Runs steps; `fork N` has a child run the next N. */
static void run(int from, int to)
{
	for (int i = from; i < to; i++) {
		struct step *step = &steps[i];
		if (!strcmp(step->word, "fork")) {
			int end = i + 1 + step->a < to ? i + 1 + step->a : to, status = -1;
			fflush(stdout);
			pid_t child = is_child ? -1 : fork();
			if (child == 0) {
				is_child = 1;
				run(i + 1, end);
				fflush(stdout);
				_exit(end % 100);
			}
			if (child > 0)
				waitpid(child, &status, 0);
			printf("child %x\n", status);
			i = end - 1;
			continue;
		}
		size_t w = 0;
		while (w < sizeof words / sizeof *words && strcmp(words[w].word, step->word))
			w++;
		NEED(w < sizeof words / sizeof *words);
		printf("%d. ", i);
		words[w].step(step->a, step->b, step->c);
		printf("\n");
	}
}

static void wait_everywhere(void)
{
	for (int fd = 0; fd < NUMBERS; fd++)
		if (numbers[fd].kind == INSTANCE)
			wait_once(fd, 0, 0);
}

/* The end of every program: nothing may be lost. Each connection gets a byte more, must be told of, and be read to its
 * end and written to; and once more, when nothing is held any longer. */
static void drain(void)
{
	for (int round = 0; round < 2; round++) {
		printf("drain\n");
		for (int c = 0; c < world->connected; c++)
			peer_sends(c, "x", 1);
		wait_everywhere();
		for (int fd = 0; fd < NUMBERS; fd++)
			if (numbers[fd].kind == CONNECTION) {
				receive(fd);
				if (held_writing[numbers[fd].connection] == fd)
					write_all(fd, "z", 1);
			}
		wait_everywhere();
	}
	for (int c = 0; c < world->connected; c++)
		show_answer(c);
}

/* Makes this thread an event loop, which leaves nothing open. */
static void become_event_loop(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct pair pair = { client_of(&address), 0 };
	int instance = epoll_create1(EPOLL_CLOEXEC);
	pair.server = accepted_by(chosen(ONE(LISTENER), 0));
	NEED(epoll_ctl(instance, EPOLL_CTL_ADD, pair.server, &event) == 0);
	for (int i = 0; i < 3; i++)
		NEED(epoll_wait(instance, &event, 1, 0) == 0);
	close(pair.client);
	close(pair.server);
	close(instance);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	documents = argv[3];
	alarm(60);
	signal(SIGPIPE, SIG_IGN);
	is_engaged(argc, argv);
	replaying = !strcmp(argv[1], "replay");
	world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(world != MAP_FAILED);
	memset(held, -1, sizeof held);
	memset(held_writing, -1, sizeof held_writing);
	early_log = open(argv[2], replaying ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
	NEED(early_log >= 0);
	if (replaying) {
		FILE *log = fdopen(dup(early_log), "r");
		for (int number, result; fscanf(log, "%d %d", &number, &result) == 2;)
			world->early[number] = result + FROM_HERE;
		fclose(log);
	}
	NEED(dup2(early_log, NUMBERS) == NUMBERS);
	close(early_log);
	early_log = NUMBERS;
	name(listener(&address), LISTENER, -1);
	become_event_loop();
	do_instance(0, 0, 0);
	do_instance(0, 0, 0);
	int count = 0;
	char line[200];
	while (count < STEPS && fgets(line, sizeof line, stdin)) {
		struct step *step = &steps[count];
		count += sscanf(line, "%19s %d %d %d", step->word, &step->a, &step->b, &step->c) > 0 && isalpha(line[0]);
	}
	run(0, count);
	drain();
	descriptors("at last");
	return 0;
}
