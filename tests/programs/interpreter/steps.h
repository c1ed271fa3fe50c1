/* The steps of a program. Longer than other files: each is a function of a few lines. */
#ifndef STEPS_H
#define STEPS_H
#include "transfers.h"
#include <sys/prctl.h>

/* The steps. Each takes three numbers. */

#define CHOOSE(fd, kinds, which)                                                                                       \
	int fd = chosen(kinds, which);                                                                                 \
	if (fd < 0)                                                                                                    \
	return

#define PEER(c, which)                                                                                                 \
	if (world->connected == 0)                                                                                     \
		return;                                                                                                \
	int c = (which) % world->connected

static void do_connect(int a, int b, int c) { (void)a, (void)b, (void)c, peer_connects(0); }
static void do_packets(int a, int b, int c) { (void)a, (void)b, (void)c, peer_connects(1); }

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
	(void)c;
	/* Connections in packets are few. */
	CHOOSE(listening, ONE(LISTENER), b / 8);
	static const int flags[] = { 0, SOCK_NONBLOCK, SOCK_NONBLOCK | SOCK_CLOEXEC, SOCK_CLOEXEC };
	if (is_crowded())
		return;
	int connection = 0, packets = listening == packet_listener;
	int fd = a % 5 == 4 ? accept(listening, NULL, NULL) : accept4(listening, NULL, NULL, flags[a % 4]);
	printf("accept = %d %s\n", fd, error_name(fd));
	if (fd < 0)
		return;
	/* The oldest of this listener's. */
	while (world->connections[connection].taken || world->connections[connection].packets != packets)
		connection++;
	world->connections[connection].taken = 1;
	name(fd, CONNECTION, connection);
	/* What is written is on its way at once. What waits for an acknowledgement is lost where a `close` leaves bytes unread. */
	int one = 1;
	if (!packets)
		syscall(SYS_setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
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
	int was_later = 0;
	for (int i = 0; i < registered; i++)
		if (registrations[i].live && registrations[i].fd == fd &&
		    registrations[i].description == numbers[fd].description &&
		    registrations[i].instance == numbers[instance].description) {
			registrations[i].live = 0;
			was_later |= registrations[i].later;
		}
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
		.later = connection >= 0 && was_later && wanted & (EPOLLET | EPOLLONESHOT),
	};
}

static void do_add(int a, int b, int c) { control(EPOLL_CTL_ADD, a, b, c); }
static void do_mod(int a, int b, int c) { control(EPOLL_CTL_MOD, a, b, c); }
static void do_del(int a, int b, int c) { control(EPOLL_CTL_DEL, a, b, c); }

/* Milliseconds for a wait: mostly none, sometimes longer than a gate is closed, and no limit where something is ready. */
static int patience(int c, int is_ready)
{
	return c % 8 == 7 ? 8 : c % 8 == 6 && is_ready ? -1 : 0;
}

static const enum whose whose[] = { BY_LIBC, BY_LIBC, BY_LIBC, BY_LIBC, BY_SYSTEM_CALL, BY_THREAD };

static void do_wait(int a, int b, int c)
{
	static const int most[] = { 64, 64, 64, 64, 64, 64, 1, 2 };
	CHOOSE(instance, ONE(INSTANCE), a);
	wait_in((struct asked){ .instance = instance,
				.whose = whose[(a + c) % 6],
				.how = b % 3,
				.timeout = patience(c, will_tell(instance, 1)),
				.most = most[c / 8 % 8] });
}

static void do_poll(int a, int b, int c)
{
	static const short wanted[] = { POLLIN, POLLIN | POLLOUT, POLLIN | POLLRDHUP, POLLRDHUP, POLLOUT, 0 };
	struct pollfd set[2 * NUMBERS];
	struct told told[2 * NUMBERS];
	int count = 0, ready = 0, others = 0, told_count = 0;
	for (int fd = 0; fd < NUMBERS; fd++)
		if (POLLABLE & ONE(numbers[fd].kind)) {
			set[count++] = (struct pollfd){ .fd = fd, .events = wanted[b % 6] };
			ready |= polled(fd, wanted[b % 6]) != 0;
		}
	/* Places that are left out, and one that is closed. */
	if (b / 6 && count > 0) {
		set[count++] = (struct pollfd){ .fd = -1, .events = POLLIN };
		set[count++] = (struct pollfd){ .fd = NUMBERS - 1, .events = POLLIN };
		set[count++] = (struct pollfd){ .fd = -set[0].fd - 2, .events = POLLIN, .revents = POLLIN };
	}
	struct asked asked = { .call = POLL,
			       .whose = whose[a / 2 % 6],
			       .how = a % 2,
			       .timeout = patience(c, ready),
			       .set = set,
			       .count = count };
	int n = performed(&asked);
	printf("poll %x:%s", wanted[b % 6], error_name(n));
	for (int i = 0; i < count; i++) {
		others += set[i].revents != 0;
		if (n >= 0 && set[i].fd >= 0 && numbers[set[i].fd].kind == CONNECTION)
			tell_nothing(numbers[set[i].fd].connection, set[i].events, set[i].revents);
		if (!set[i].revents || n < 0)
			continue;
		told[told_count++] = (struct told){ set[i].fd, set[i].revents };
		if (set[i].fd >= 0 && numbers[set[i].fd].kind == CONNECTION)
			tell_events(numbers[set[i].fd].connection, set[i].revents);
	}
	if (n >= 0 && n != others)
		WRONG("poll returns %d, and %d are ready", n, others);
	show_told(told, told_count, 1);
}

static void do_select(int a, int b, int c)
{
	fd_set in, out;
	struct told told[NUMBERS];
	int ready = 0, told_count = 0, others = 0;
	FD_ZERO(&in);
	FD_ZERO(&out);
	for (int fd = 0; fd < NUMBERS; fd++)
		if (POLLABLE & ONE(numbers[fd].kind)) {
			FD_SET(fd, &in);
			if (b % 2)
				FD_SET(fd, &out);
			ready |= polled(fd, b % 2 ? POLLIN | POLLOUT : POLLIN) != 0;
		}
	/* A number that is closed, and one beyond the descriptor table, which the kernel passes over. */
	if (b / 2 == 4)
		FD_SET(NUMBERS - 1, &in);
	if (b / 2 == 5 && c % 4 == 0)
		FD_SET(FD_SETSIZE - 1, &in);
	struct asked asked = { .call = SELECT,
			       .whose = whose[a / 2 % 6],
			       .how = a % 2,
			       .timeout = patience(c, ready),
			       .in = &in,
			       .out = &out,
			       .count = b / 2 == 5 ? FD_SETSIZE : NUMBERS };
	int n = performed(&asked);
	printf("select:%s", error_name(n));
	for (int fd = 0; fd < FD_SETSIZE && n >= 0; fd++) {
		unsigned readable = FD_ISSET(fd, &in) ? EPOLLIN : 0, writable = FD_ISSET(fd, &out) ? EPOLLOUT : 0;
		if (fd < NUMBERS && numbers[fd].kind == CONNECTION)
			tell_nothing(numbers[fd].connection, b % 2 ? EPOLLIN | EPOLLOUT : EPOLLIN, readable | writable);
		if (!readable && !writable)
			continue;
		/* What is beyond the table is neither looked at nor counted, and stays. */
		if (fd >= NUMBERS) {
			printf(" %d", fd);
			continue;
		}
		others += !!readable + !!writable;
		told[told_count++] = (struct told){ fd, readable | writable };
		if (numbers[fd].kind == CONNECTION)
			tell_events(numbers[fd].connection, readable | writable);
	}
	if (n >= 0 && n != others)
		WRONG("select returns %d, and %d are ready", n, others);
	show_told(told, told_count, 1);
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
	CHOOSE(fd, ONE(CONNECTION), a);
	put_own(fd, c % WAYS, b * 180 % 2000);
}

/* What was last read from a file, behind a head or without. */
static void do_answer(int a, int b, int c)
{
	CHOOSE(fd, ONE(CONNECTION), a);
	enum way way = b % WAYS;
	int is_vector = way == WRITEV || way == SENDMSG;
	put_all(fd, (struct source){ .way = way,
				     .head = own,
				     .head_size = is_vector && c % 2 ? 50 : 0,
				     .body = from_file,
				     .size = from_file_length });
}

static void do_look(int a, int b, int c)
{
	(void)b, (void)c;
	CHOOSE(fd, ONE(CONNECTION), a);
	int have = -1, error = -1;
	socklen_t length = sizeof error;
	ioctl(fd, FIONREAD, &have);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	int mark = -1;
	length = sizeof mark;
	getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, &length);
	printf("look %d: %d to read, error %d, mark %d, flags %o\n", fd, have, error, mark, fcntl(fd, F_GETFL));
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

/* Reads a file to where a later step may send it from. */
static ssize_t read_file(int fd, int how, size_t size, off_t offset)
{
	struct iovec parts[2] = { { from_file, size / 2 }, { from_file + size / 2, size - size / 2 } };
	ssize_t n;
	switch (how % 6) {
	case 1:
		n = read(fd, from_file, size);
		break;
	case 2:
		n = readv(fd, parts, 2);
		break;
	case 3:
		n = preadv(fd, parts, 2, offset);
		break;
	case 4:
		n = preadv2(fd, parts, 2, -1, 0);
		break;
	case 5:
		n = preadv2(fd, parts, 2, offset, 0);
		break;
	default:
		n = pread(fd, from_file, size, offset);
	}
	from_file_length = n > 0 ? n : 0;
	return n;
}

static void do_file(int a, int b, int c)
{
	CHOOSE(fd, ONE(DOCUMENT), a);
	ssize_t n = read_file(fd, b, c * 160 % 9000, c);
	printf("file %d = %zd %s %lx\n", fd, n, error_name(n), digest(from_file, from_file_length));
}

/* Sends a file in pieces, each of which is read, and not in memory any more when the next write comes. */
static void do_stream(int a, int b, int c)
{
	CHOOSE(fd, ONE(CONNECTION), a);
	char path[PATH_MAX];
	document(path, b % DOCUMENTS);
	int file = is_crowded() ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return;
	if (c % 2)
		put_own(fd, c / 2 % WAYS, 90);
	for (int piece = 0; piece <= c % 4; piece++) {
		ssize_t n = read_file(file, c, 9000, piece * 9000);
		make_cold(b % DOCUMENTS);
		printf("  piece %zd %lx\n", n, digest(from_file, from_file_length));
		put_all(fd, (struct source){ .way = (b + c / 4) % WAYS, .body = from_file, .size = from_file_length });
	}
	close(file);
}

static void do_sendfile(int a, int b, int c)
{
	CHOOSE(to, ONE(CONNECTION), a);
	CHOOSE(from, ONE(DOCUMENT), b);
	off_t offset = c % 300;
	int early;
	/* How the kernel cuts a file into packets is its own affair. */
	if (world->connections[numbers[to].connection].packets)
		return;
	struct source source = { .way = SENDFILE, .file = from, .offset = c % 2 ? &offset : NULL, .size = c * 1000 };
	ssize_t n = put(to, &source, &early);
	printf("sendfile %d %d = %zd %s %ld\n", to, from, n, error_name(n), (long)offset);
}

/* A part of a file by way of a pipe. */
static void do_splice(int a, int b, int c)
{
	CHOOSE(to, ONE(CONNECTION), a);
	CHOOSE(from, ONE(DOCUMENT), b);
	loff_t offset = c % 300;
	int ends[2];
	if (world->connections[numbers[to].connection].packets || is_crowded() || pipe2(ends, O_CLOEXEC) != 0)
		return;
	ssize_t n = splice(from, c % 2 ? &offset : NULL, ends[1], NULL, c * 700, 0);
	printf("splice %d %d = %zd %s\n", from, to, n, error_name(n));
	if (n > 0)
		put_all(to, (struct source){ .way = SPLICE, .file = ends[0], .size = n });
	close(ends[0]);
	close(ends[1]);
}

/* How many bytes make a connection readable. */
static void do_mark(int a, int b, int c)
{
	(void)c;
	CHOOSE(fd, ONE(CONNECTION), a);
	int mark = 1 + b * 10, result = setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark);
	printf("mark %d %d = %d %s\n", fd, mark, result, error_name(result));
}

/* A child gives up the processor's tick counter: whoever reads it there is killed. */
static void do_ticks(int a, int b, int c)
{
	(void)a, (void)b, (void)c;
	if (is_child)
		printf("ticks = %d\n", prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
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
#endif
