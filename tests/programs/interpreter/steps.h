/* The steps of a program: what the peer does, registrations, waits and transfers. Each takes three numbers. */
#ifndef STEPS_H
#define STEPS_H
#include "descriptors.h"
#include "files.h"
#include <sys/prctl.h>

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

static void do_shutdown(int a, int b, int c)
{
	(void)c;
	CHOOSE(fd, ONE(CONNECTION), a);
	int result = shutdown(fd, b % 3);
	settle_shutdown(fd);
	printf("shutdown %d %d = %d %s\n", fd, b % 3, result, error_name(result));
}

/* Time for helpers, while the program is not waiting for anything. */
static void do_pause(int a, int b, int c)
{
	(void)b, (void)c;
	usleep(a % 4 * 2000);
}
#endif
