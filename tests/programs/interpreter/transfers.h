/* Reads and writes of connections, each of which may be early: answer EAGAIN, or move less than it could. */
#ifndef TRANSFERS_H
#define TRANSFERS_H
#include "waits.h"

/* A transfer was early: from now on a registration reports anew what it reported before. */
static void was_early(int c, int number, ssize_t result)
{
	if (!replaying)
		dprintf(early_log, "t %d %zd\n", number, result);
	for (int i = 0; i < registered; i++)
		if (registrations[i].connection == c) {
			registrations[i].pending = 0;
			registrations[i].more = !!(registrations[i].events & (EPOLLET | EPOLLONESHOT));
		}
}

/* Reading. */

enum how {
	READ,
	RECV,
	READV,
	RECVMSG,
	RECVFROM,
	DONTWAIT,
	PEEK,
	PREADV2,
	SEVERAL,
	WAITALL,
	TRUNCATE,
	INQUIRE,
	HOWS
};
static const char *const hows[] = { "read",    "recv",	 "readv",   "recvmsg",	"recvfrom",  "dontwait",
				    "peek",    "preadv2", "several", "waitall", "truncate", "inquire" };

static ssize_t call(int fd, enum how how, char *into, size_t size)
{
	struct iovec parts[2] = { { into, size / 3 }, { into + size / 3, size - size / 3 } };
	struct iovec several[5] = { { into, 0 },
				    { into, size / 5 },
				    { NULL, 0 },
				    { into + size / 5, size / 2 },
				    { into + size / 5 + size / 2, size - size / 5 - size / 2 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	int have = 0;
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
	case PREADV2:
		return preadv2(fd, parts, 2, -1, 0);
	case SEVERAL:
		message.msg_iov = several;
		message.msg_iovlen = 5;
		return recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	case WAITALL:
		return recv(fd, into, size, MSG_WAITALL);
	case TRUNCATE:
		/* A stream's bytes are discarded, a packet's length is told. */
		memset(into, 't', size);
		return recv(fd, into, size, MSG_TRUNC);
	case INQUIRE:
		ioctl(fd, FIONREAD, &have);
		return read(fd, into, (size_t)have < size && have > 0 ? (size_t)have : size);
	default:
		return read(fd, into, size);
	}
}

/* Says what is wrong with a read that answers EAGAIN although there is something, or with one that has less. */
static void judge_read(int fd, enum how how, ssize_t n)
{
	struct connection *connection = &world->connections[numbers[fd].connection];
	if (replaying)
		return;
	if (n > 0) {
		if (connection->packets || !connection->http || is_blocking(fd))
			WRONG("%s of %d has %zd bytes, and there are more", hows[how], fd, n);
	} else if (is_blocking(fd) || how == PEEK || !connection->http) {
		WRONG("%s of %d answers EAGAIN, and there is something", hows[how], fd);
	} else if (connection->told_readable) {
		WRONG("spurious: %s of %d answers EAGAIN after it was reported readable", hows[how], fd);
	}
}

/* One read of a connection; `early` tells whether it answered EAGAIN although there is something, or has less than that. */
static ssize_t take(int fd, enum how how, char *into, size_t size, int *early)
{
	int c = numbers[fd].connection, number = world->transfers++, recorded = replaying ? world->early[number] : 0;
	struct connection *connection = &world->connections[c];
	size_t have = available(fd), possible = size < have ? size : have;
	int readable = have > 0 || polled(fd, POLLIN | POLLRDHUP) != 0, left;
	ssize_t n = -1;
	NEED(number < TRANSFERS);
	if (recorded == FROM_HERE - 1)
		errno = EAGAIN;
	else
		n = call(fd, how, into, recorded ? (size_t)recorded - FROM_HERE : size);
	int error = errno;
	*early = n < 0 ? error == EAGAIN && readable : n > 0 && (size_t)n < possible;
	if (*early) {
		judge_read(fd, how, n);
		was_early(c, number, n);
		held[c] = fd;
	}
	if (how == PEEK) {
		errno = error;
		return n;
	}
	if (n > 0) {
		connection->answering = 0;
		if (!connection->packets)
			connection->consumed += n;
		else if (syscall(SYS_ioctl, fd, FIONREAD, &left) == 0)
			connection->consumed = connection->sent - left;
	}
	/* As the program sees it, a read that brings less than was asked for has emptied a stream. */
	if (n < 0 ? error == EAGAIN : n > 0 && ((!connection->packets && (size_t)n < size) || available(fd) == 0))
		connection->told_readable = 0;
	if (!*early && (n >= 0 || error != EAGAIN) && held[c] == fd && !is_child)
		held[c] = -1;
	errno = error;
	return n;
}

static void read_once(int fd, enum how how, size_t size)
{
	int early;
	if (is_blocking(fd) && how != DONTWAIT &&
	    (!polled(fd, POLLIN | POLLRDHUP) || (how == WAITALL && available(fd) < size))) {
		printf("%s %d would block\n", hows[how], fd);
		return;
	}
	ssize_t n = take(fd, how, bytes, size, &early);
	size_t length = n > 0 ? n : 0;
	printf("%s %d = %zd %s %lx\n", hows[how], fd, n, error_name(n), digest(bytes, length < size ? length : size));
}

/* Reads all that there is, waiting wherever a read is early; returns how many bytes that was. */
static size_t receive(int fd)
{
	size_t length = 0;
	int c = numbers[fd].connection, early, instance, was_held = held[c] == fd;
	long begin = now();
	ssize_t n = -1;
	if (is_blocking(fd)) {
		if (polled(fd, POLLIN | POLLRDHUP) && (n = take(fd, READ, bytes, sizeof bytes - 1, &early)) > 0)
			length = n;
		printf("receive %d: %zu %lx blocking\n", fd, length, digest(bytes, length));
		return length;
	}
	do {
		int number = world->transfers;
		n = take(fd, READ, bytes + length, sizeof bytes - 1 - length, &early);
		int error = errno;
		if (n > 0)
			length += n;
		was_held |= early;
		if (early && now() - begin > 2 * PATIENCE) {
			WRONG("%d has bytes that are never read", fd);
			break;
		}
		/* Below the low-water mark nobody tells of anything. */
		if (early && !polled(fd, POLLIN | POLLRDHUP))
			usleep(1000);
		/* After a read that was cut, some programs read once more, and others wait. */
		else if (early && (n < 0 || number % 2) && !await(fd, EPOLLIN)) {
			WRONG("%d is never reported readable", fd);
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

/* Writing. */

enum way { WRITE, SEND, WRITEV, SENDMSG, SENDTO, WAYS, SENDFILE, SPLICE };
static const char *const ways[] = { "write", "send", "writev", "sendmsg", "sendto", "", "sendfile", "splice" };

/* What is written: memory that no read has filled, and behind it bytes of a file, which a read has brought or the kernel
 * does. */
struct source {
	enum way way;
	const char *head;
	size_t head_size;
	const char *body;
	size_t size;
	int file;
	off_t *offset;
};

static ssize_t send_source(int fd, const struct source *source, size_t size)
{
	size_t head = size < source->head_size ? size : source->head_size, body = size - head;
	struct iovec parts[3] = { { (void *)source->head, head },
				  { (void *)source->body, body / 2 },
				  { (void *)(source->body + body / 2), body - body / 2 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 3 };
	const char *start = head ? source->head : source->body;
	switch (source->way) {
	case SEND:
		return send(fd, start, size, MSG_NOSIGNAL);
	case WRITEV:
		return writev(fd, parts, 3);
	case SENDMSG:
		return sendmsg(fd, &message, MSG_NOSIGNAL);
	case SENDTO:
		return sendto(fd, start, size, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
	case SENDFILE:
		return sendfile(fd, source->file, source->offset, size);
	case SPLICE:
		return splice(source->file, NULL, fd, NULL, size, SPLICE_F_NONBLOCK);
	default:
		return write(fd, start, size);
	}
}

/* Says what is wrong with a write that sends less than it could. */
static void judge_write(int fd, const struct source *source, ssize_t n)
{
	struct connection *connection = &world->connections[numbers[fd].connection];
	const char *way = ways[source->way];
	size_t sent = n > 0 ? n : 0;
	if (replaying)
		return;
	if (is_blocking(fd))
		WRONG("%s to %d, which is blocking, is early", way, fd);
	else if (connection->packets && n > 0)
		WRONG("%s to %d cuts a message: %zd", way, fd, n);
	else if (sent < source->head_size)
		WRONG("refused: %s to %d of memory that no file was read into: %zd", way, fd, n);
	else if (!connection->answering)
		WRONG("refused: %s to %d, the first of an answer: %zd", way, fd, n);
	else if (n < 0 && connection->told_writable)
		WRONG("spurious: %s to %d answers EAGAIN after it was reported writable", way, fd);
}

/* One write to a connection; `early` tells whether it sent less than it could. */
static ssize_t put(int fd, const struct source *source, int *early)
{
	int c = numbers[fd].connection, number = world->transfers++, recorded = replaying ? world->early[number] : 0;
	struct connection *connection = &world->connections[c];
	/* A packet finds room, though a socket that is a quarter full does not look so. */
	int writable = connection->packets || polled(fd, POLLOUT) & POLLOUT;
	size_t size = source->head_size + source->size, possible = size;
	ssize_t n = -1;
	NEED(number < TRANSFERS);
	if (source->way == SENDFILE) {
		struct stat status;
		off_t at = source->offset ? *source->offset : syscall(SYS_lseek, source->file, 0L, SEEK_CUR);
		NEED(syscall(SYS_fstat, source->file, &status) == 0);
		off_t rest = status.st_size > at ? status.st_size - at : 0;
		possible = (size_t)rest < size ? (size_t)rest : size;
	}
	if (recorded)
		size = recorded - FROM_HERE;
	if (recorded == FROM_HERE - 1)
		errno = EAGAIN;
	else
		n = send_source(fd, source, size);
	int error = errno;
	connection->attempted = 1;
	*early = writable && (n < 0 ? error == EAGAIN : (size_t)n < possible);
	if (*early)
		judge_write(fd, source, n);
	if (n > 0) {
		connection->written += n;
		connection->answering = 1;
	}
	/* How much room there was, nobody was told: one write has it. */
	if (n < 0 ? error == EAGAIN : n > 0)
		connection->told_writable = 0;
	if (connection->written - connection->answered > UNREAD)
		peer_reads(c);
	else if (n > 0)
		settle_answer(c);
	if (*early) {
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
static void put_all(int fd, struct source source)
{
	int early = 0, instance;
	size_t done = 0;
	long begin = now();
	ssize_t n;
	do {
		n = put(fd, &source, &early);
		int error = errno;
		size_t sent = n > 0 ? n : 0, head = sent < source.head_size ? sent : source.head_size;
		done += sent;
		source.head += head;
		source.head_size -= head;
		source.body += source.body ? sent - head : 0;
		source.size -= sent - head;
		if (early && !(polled(fd, POLLOUT) & POLLOUT))
			peer_reads(numbers[fd].connection);
		if (early && (!await(fd, EPOLLOUT) || now() - begin > 2 * PATIENCE)) {
			WRONG("%d is never reported writable", fd);
			break;
		}
		errno = error;
	} while (early);
	printf("  %s %d = %zu %s\n", ways[source.way], fd, done, error_name(n));
	struct registration *registration = listening_for(fd, EPOLLOUT, &instance);
	if (registration && !(registration->events & EPOLLONESHOT) && registration->more && !is_held(numbers[fd].connection)) {
		wait_once(instance, 0, 0);
		registration->more = 0;
	}
}

static void put_own(int fd, enum way way, size_t length)
{
	put_all(fd, (struct source){ .way = way, .head = own, .head_size = length });
}

/* Answers every request that came, as a server does: a head of its own, and a file. */
static void serve(int fd)
{
	char path[PATH_MAX];
	int which;
	size_t length = receive(fd);
	bytes[length] = 0;
	for (char *at = bytes; (at = strstr(at, "GET /f")); at++) {
		struct stat status;
		if (sscanf(at, "GET /f%d.html ", &which) != 1)
			continue;
		document(path, which);
		int found = stat(path, &status);
		printf("  stat %d = %d %s\n", which, found, error_name(found));
		int file = open(path, O_RDONLY | O_CLOEXEC);
		printf("  open %d = %d %s\n", which, file, error_name(file));
		ssize_t n = file < 0 ? 0 : read(file, from_file, 3000);
		printf("  file %zd %lx\n", n, n > 0 ? digest(from_file, n) : 0);
		from_file_length = n > 0 ? n : 0;
		if (which % 2)
			put_own(fd, WRITE, 100);
		put_all(fd, (struct source){ .way = which % 3 ? WRITEV : WRITE,
					     .head = own,
					     .head_size = which % 3 ? 80 : 0,
					     .body = from_file,
					     .size = from_file_length });
		if (file >= 0)
			close(file);
	}
}
#endif
