/* poll, ppoll and their fortified forms on descriptors that are never gated: results, revents, errors and their order. */
#include "common.h"
#include <sys/eventfd.h>

#ifndef POLLRDHUP
#define POLLRDHUP 0x2000
#endif

static struct pollfd set[16];
static int members;

static void start(void) { members = 0; }

static void add(int fd, short events) { set[members++] = (struct pollfd){ fd, events, 0x5a5a }; }

/* Which of them are ready for what, by their place: numbers differ between the two states. */
static void got(long n)
{
	if (n < 0)
		return;
	printf(" ");
	for (int i = 0; i < members; i++)
		printf(" %#hx", set[i].revents);
	printf("\n");
}

#define WAIT(call) got(CALL(call))

/* The same set by every name, ready or not. */
static void every_way(const char *what)
{
	struct timespec now = { 0, 0 }, soon = { 0, 20000000 };
	sigset_t none;
	sigemptyset(&none);
	printf("%s\n", what);
	WAIT(poll(set, members, 0));
	WAIT(poll(set, members, 20));
	WAIT(ppoll(set, members, &now, NULL));
	WAIT(ppoll(set, members, &soon, &none));
	/* Constant: the time is not written to. */
	NEED(soon.tv_sec == 0 && soon.tv_nsec == 20000000);
}

static volatile size_t too_many = 20;

static void overflows_poll(void) { CALL(poll(set, too_many, 0)); }

static void overflows_ppoll(void)
{
	struct timespec now = { 0, 0 };
	CALL(ppoll(set, too_many, &now, NULL));
}

static void scenario(void)
{
	void *volatile nowhere = (void *)16;
	int pipes[2], pair[2], file, counter;
	struct timespec now = { 0, 0 };
	struct rlimit limit;
	NEED(pipe2(pipes, O_NONBLOCK) == 0);
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	write_document("file", "file", 100);
	file = open("file", O_RDONLY);
	counter = eventfd(0, EFD_NONBLOCK);

	start();
	every_way("nothing");
	add(pipes[0], POLLIN);
	every_way("an empty pipe");
	add(pipes[1], POLLOUT | POLLIN);
	add(file, POLLIN | POLLOUT | POLLPRI);
	add(counter, POLLIN | POLLOUT);
	add(pair[0], POLLIN | POLLOUT | POLLRDHUP | POLLRDNORM | POLLWRNORM);
	add(pair[0], 0);
	every_way("several kinds");

	/* Negative numbers are passed over; those that are not open are told of. */
	start();
	add(-1, POLLIN);
	add(-4711, POLLOUT);
	add(INT_MIN, POLLIN);
	every_way("negative numbers");
	add(900, POLLIN);
	add(INT_MAX, POLLOUT);
	add(901, 0);
	every_way("numbers that are not open");

	/* One descriptor several times: each entry counts. */
	start();
	NEED(write(pipes[1], "abc", 3) == 3);
	for (int i = 0; i < 4; i++)
		add(pipes[0], i % 2 ? POLLIN : POLLIN | POLLOUT | POLLPRI);
	add(pipes[0], 0);
	every_way("the same again and again");

	/* Ends of connections. */
	start();
	NEED(write(pair[1], "x", 1) == 1);
	shutdown(pair[1], SHUT_WR);
	add(pair[0], POLLIN | POLLRDHUP | POLLOUT);
	add(pair[0], POLLRDHUP);
	add(pair[0], 0);
	every_way("half closed");
	close(pair[1]);
	every_way("closed by the other end");
	close(pair[0]);
	every_way("closed");

	/* An accepted connection whose bytes are no request: nothing may be held back. */
	struct pair tcp = tcp_pair();
	char piece[16];
	start();
	add(tcp.server, POLLIN | POLLRDHUP);
	add(tcp.server, POLLOUT);
	every_way("a quiet connection");
	NEED(write(tcp.client, "\1\2\3 binary", 10) == 10);
	settle(tcp.server, 10);
	every_way("a connection with bytes");
	CALL(read(tcp.server, piece, 16));
	every_way("read empty");
	/* Urgent data. */
	NEED(send(tcp.client, "!", 1, MSG_OOB) == 1);
	start();
	add(tcp.server, POLLPRI);
	NEED(poll(set, 1, 10000) == 1);
	every_way("urgent data");
	CALL(recv(tcp.server, piece, 1, MSG_OOB));
	/* Another one: where urgent data was, the kernel answers a read that meets a signal with EAGAIN. */
	close(tcp.client);
	close(tcp.server);
	tcp = tcp_pair();
	start();
	add(tcp.server, POLLIN | POLLOUT | POLLRDHUP);
	close_with_reset(tcp.client);
	NEED(poll(set + 1, 0, 10) == 0);
	every_way("reset by its client");
	CALL(read(tcp.server, piece, 16));
	close(tcp.server);

	/* What is refused. */
	start();
	add(pipes[0], POLLIN);
	add(pipes[1], POLLOUT);
	struct timespec wrong[] = { { -1, 0 }, { 0, -1 }, { 0, 1000000000 }, { LONG_MAX, 0 }, { LONG_MAX, 999999999 }, { 0, 999999999 } };
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		WAIT(ppoll(set, members, &wrong[i], NULL));
	WAIT(poll(set, members, -1));
	WAIT(poll(set, members, INT_MIN));
	WAIT(poll(set, members, INT_MAX));
	WAIT(ppoll(set, members, NULL, NULL));
	CALL(poll(nowhere, 2, 0));
	CALL(poll(NULL, 1, 0));
	CALL(poll(NULL, 0, 0));
	CALL(poll(nowhere, 0, 0));
	CALL(ppoll(nowhere, 2, &now, NULL));
	CALL(ppoll(set, 2, &now, nowhere));
	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	struct rlimit four = { 4, limit.rlim_max };
	NEED(setrlimit(RLIMIT_NOFILE, &four) == 0);
	for (int i = 2; i < 6; i++)
		add(-1, 0);
	CALL(poll(set, 4, 0));
	CALL(poll(set, 5, 0));
	CALL(ppoll(set, 6, &now, NULL));
	NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	/* Its size is not for the compiler to know. */
	struct pollfd *volatile any = set;
	CALL(poll(any, (nfds_t)-1, 0));
	CALL(poll(any, 1u << 31, 0));

	in_child("poll beyond its array", overflows_poll);
	in_child("ppoll beyond its array", overflows_ppoll);
	close(pipes[0]);
	close(pipes[1]);
	close(file);
	close(counter);
}

MAIN(scenario)
