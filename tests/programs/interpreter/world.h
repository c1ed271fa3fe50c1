/* What there is: the program's descriptors and registrations, the connections, and the peer that acts on their other ends
 * by raw system calls. */
#ifndef WORLD_H
#define WORLD_H
#include "../common.h"

enum {
	CONNECTIONS = 8,
	DOCUMENTS = 6,
	NUMBERS = 128, /* of the program's descriptors */
	PEERS = 200,   /* and from there on the peer's */
	CROWDED = 50,
	TRANSFERS = 100000,
	WAITS = 20000,
	TOLD = 400000,
	REGISTRATIONS = 2000,
	PATIENCE = 3000, /* milliseconds for what must come */
	UNREAD = 50000,	 /* bytes that the peer leaves in its socket at most: it never fills */
	FROM_HERE = 2,
};

/* Something that a wait told: of a registration, or of a descriptor in a set. */
struct told {
	int key;
	unsigned events;
};

/* One successful EPOLL_CTL_ADD or _MOD each: the index is the event's data. */
struct registration {
	int live, fd, description, instance, connection;
	uint32_t events;
	/* What has been reported since the last early EAGAIN. */
	uint32_t pending;
	/* Readiness that is given back arms an edge-triggered or one-shot interest anew: one report more may come. */
	int more;
	/* In the recorded run such an interest was not reported when the kernel would have: it will be. */
	int later;
	/* A wait had room for fewer events than there were: nobody knows which were reported. */
	int unknown;
	/* One-shot, and reported. */
	int fired;
	/* One-shot, and reported to a child while it may have been held back: the parent does not know (docs/limitations.md), and
	 * one report more may come. */
	int taken;
};

/* What parent and children share: the peer's side, registrations, and what the recorded run did. */
static struct world {
	struct connection {
		/* `packets`: a SOCK_SEQPACKET connection; `http`: a request was sent; `attempted`: a write was. */
		int peer, packets, http, attempted, finished, gone, taken;
		long sent, consumed, written, answered;
		uint64_t answer;
		/* A wait has told that it is readable since the last read that emptied it, or writable since the last write. */
		int told_readable, told_writable;
		/* Something was written since the last read that brought bytes: an answer is under way. */
		int answering;
	} connections[CONNECTIONS];
	int connected, transfers, waits;
	/* By number of the transfer: 0 where it was not early, else its result and FROM_HERE. */
	int early[TRANSFERS];
	/* By number of the wait: where in `told` its results begin, and how many there are. */
	struct {
		int first, count;
	} recorded[WAITS];
	struct told told[TOLD];
	struct registration registrations[REGISTRATIONS];
} *world;

#define registrations (world->registrations)

enum kind { NOTHING, LISTENER, CONNECTION, INSTANCE, DOCUMENT, PIPE_OUT, PIPE_IN };

#define ONE(kind) (1u << (kind))
#define ANY (ONE(CONNECTION) | ONE(INSTANCE) | ONE(DOCUMENT) | ONE(PIPE_OUT) | ONE(PIPE_IN))
#define POLLABLE (ONE(CONNECTION) | ONE(LISTENER) | ONE(PIPE_OUT) | ONE(PIPE_IN))

static struct number {
	enum kind kind;
	int connection, description;
} numbers[NUMBERS];

static int registered, descriptions, replaying, is_child, early_log;
/* The number by which a transfer was early, for reads and for writes, or -1. */
static int held[CONNECTIONS], held_writing[CONNECTIONS];
static struct sockaddr_in address;
static struct sockaddr_un packet_address;
static int packet_listener;
/* What is read from sockets and pipes, what is read from files, and what is never read. */
static char bytes[1 << 20], from_file[1 << 16], own[1 << 13];
static size_t from_file_length;
static const char *documents;

/* Something that is wrong whatever another run shows. */
#define WRONG(...) (printf("\n! " __VA_ARGS__), printf("\n"))

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

/* Milliseconds, by a system call: a child may have given up the processor's tick counter. */
static long now(void)
{
	struct timespec time;
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int is_held(int connection)
{
	return held[connection] >= 0 || held_writing[connection] >= 0;
}

/* The kernel's own answer, which counts as nobody's wait. */
static short polled(int fd, short events)
{
	struct pollfd ready = { .fd = fd, .events = events };
	struct timespec none = { 0, 0 };
	return syscall(SYS_ppoll, &ready, 1, &none, NULL, 0) == 1 ? ready.revents : 0;
}

/* How many bytes a read can have: of a connection in packets, the first one's. */
static size_t available(int fd)
{
	int have = 0;
	char byte;
	if (world->connections[numbers[fd].connection].packets) {
		long n = syscall(SYS_recvfrom, fd, &byte, 1, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT, NULL, NULL);
		return n > 0 ? n : 0;
	}
	syscall(SYS_ioctl, fd, FIONREAD, &have);
	return have > 0 ? have : 0;
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
	if (number->kind == CONNECTION && !is_child) {
		int *sides[] = { &held[number->connection], &held_writing[number->connection] };
		for (int i = 0; i < 2; i++)
			if (*sides[i] == fd)
				*sides[i] = -1;
	}
	number->kind = NOTHING;
}

static void copied(int fd, int copy)
{
	if (copy < 0 || copy == fd)
		return;
	unname(copy);
	numbers[copy] = numbers[fd];
}

/* A number of the program's for this connection, or -1. */
static int number_of(int connection)
{
	for (int fd = 0; fd < NUMBERS; fd++)
		if (numbers[fd].kind == CONNECTION && numbers[fd].connection == connection)
			return fd;
	return -1;
}

/* Waits until all that the peer has done has reached the connection. */
static void settle_connection(int c)
{
	struct connection *connection = &world->connections[c];
	int fd = number_of(c), have;
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

/* Waits until all that was written has reached the peer. What the kernel keeps until the peer has acknowledged what came
 * before is lost where the peer sends to a connection that is closed, or where unread bytes are. */
static void settle_answer(int c)
{
	struct connection *connection = &world->connections[c];
	int one = 1, have;
	for (long begin = now(); !connection->gone && !connection->packets && now() - begin <= PATIENCE; usleep(100)) {
		if (syscall(SYS_ioctl, connection->peer, FIONREAD, &have) != 0 ||
		    have >= connection->written - connection->answered)
			return;
		/* Acknowledged at once, not in 40 ms. */
		syscall(SYS_setsockopt, connection->peer, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
	}
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

static void peer_connects(int packets)
{
	if (world->connected == CONNECTIONS || is_child)
		return;
	int one = 1, made = syscall(SYS_socket, packets ? AF_UNIX : AF_INET,
				    (packets ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	int peer = syscall(SYS_fcntl, made, F_DUPFD_CLOEXEC, PEERS);
	syscall(SYS_close, made);
	if (packets) {
		/* The name that the kernel has given: its length is that of six characters. */
		NEED(syscall(SYS_connect, peer, &packet_address, sizeof(sa_family_t) + 6) == 0);
	} else {
		NEED(syscall(SYS_connect, peer, &address, sizeof address) == 0);
		syscall(SYS_setsockopt, peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	}
	syscall(SYS_fcntl, peer, F_SETFL, O_NONBLOCK);
	struct connection *connection = &world->connections[world->connected++];
	connection->peer = peer;
	connection->packets = packets;
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

/* Reads what has been written to the peer, as it comes: its window may be too small for all of it. */
static void peer_reads(int c)
{
	static char answer[4 * UNREAD];
	struct connection *connection = &world->connections[c];
	while (!connection->gone && connection->answered < connection->written) {
		/* A window that was full opens when the kernel's timers say so, which on a busy machine takes seconds. */
		struct pollfd ready = { .fd = connection->peer, .events = POLLIN };
		struct timespec limit = { PATIENCE / 1000, 0 };
		if (syscall(SYS_ppoll, &ready, 1, &limit, NULL, 0) != 1)
			return;
		long n = syscall(SYS_recvfrom, connection->peer, answer, sizeof answer, 0, NULL, NULL);
		if (n <= 0)
			return;
		connection->answered += n;
		connection->answer = digest_from(connection->answer, answer, n);
		/* Where a packet ends is part of what arrives. */
		if (connection->packets)
			connection->answer = digest_from(connection->answer, &n, sizeof n);
	}
}

static void show_answer(int c)
{
	peer_reads(c);
	printf("peer %d got %ld %lx\n", c, world->connections[c].answered, world->connections[c].answer);
}

static void document(char *path, int which)
{
	snprintf(path, PATH_MAX, "%s/f%d.html", documents, which % (DOCUMENTS + 1));
}

/* A number of the instance in which a registration is, where both are still what they were; or -1. */
static int instance_of(const struct registration *registration)
{
	if (!registration->live || numbers[registration->fd].kind == NOTHING ||
	    registration->description != numbers[registration->fd].description)
		return -1;
	for (int instance = 0; instance < NUMBERS; instance++)
		if (numbers[instance].kind == INSTANCE && numbers[instance].description == registration->instance)
			return instance;
	return -1;
}

/* The registration of a number by which a program hears of an event, and the instance's number. */
static struct registration *listening_for(int fd, uint32_t wanted, int *instance)
{
	for (int i = 0; i < registered; i++)
		if (registrations[i].fd == fd && registrations[i].events & wanted &&
		    (*instance = instance_of(&registrations[i])) >= 0)
			return &registrations[i];
	return NULL;
}
/* Of descriptors of a kind the one that a step is about, and a peer; nothing is done where there is none. */

#define CHOOSE(fd, kinds, which)                                                                                       \
	int fd = chosen(kinds, which);                                                                                 \
	if (fd < 0)                                                                                                    \
	return

#define PEER(c, which)                                                                                                 \
	if (world->connected == 0)                                                                                     \
		return;                                                                                                \
	int c = (which) % world->connected
#endif
