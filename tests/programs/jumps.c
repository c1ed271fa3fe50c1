/* A signal handler that leaves by `siglongjmp`, at any moment: also out of a hook that has a lock of the library, or the state of
 * its loop. Afterwards nothing hangs, and the loop goes on. */
#include "common.h"
#include <sched.h>
#include <setjmp.h>

enum { FIRST = 20, DOCUMENTS = 24 };

static sigjmp_buf back;
static volatile sig_atomic_t armed, jumps;
static int was_open[FIRST];

static void handler(int signal)
{
	(void)signal;
	if (!armed)
		return;
	armed = 0;
	jumps++;
	siglongjmp(back, 1);
}

static void soon(void)
{
	static unsigned number;
	struct itimerval timer = { .it_value.tv_usec = 30 + number++ * 37 % 400 };
	armed = 1;
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void disarm(void)
{
	struct itimerval never = { 0 };
	armed = 0;
	setitimer(ITIMER_REAL, &never, NULL);
}

/* What a part that was jumped out of has left open. */
static void close_all(void)
{
	for (int fd = FIRST; fd < FIRST + 100; fd++)
		close(fd);
	for (int fd = 0; fd < FIRST; fd++)
		if (!was_open[fd])
			close(fd);
}

/* A connection's ends, and a file, above what the rest of the program has. */
static int high(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST);
	close(fd);
	return moved;
}

static int wait_for(int ep, struct epoll_event *event)
{
	int got;
	do
		got = epoll_wait(ep, event, 1, 10000);
	while (got < 0 && errno == EINTR);
	return got;
}

/* A connection is registered, reported and read. */
static int is_served(int ep, struct pair pair)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 7 };
	char bytes[64];
	epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, NULL);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) != 0 || write(pair.client, "x", 1) != 1)
		return 0;
	int right = wait_for(ep, &event) == 1 && event.data.u64 == 7 && read(pair.server, bytes, sizeof bytes) > 0;
	return epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, NULL) == 0 && right;
}

static int registrations(int wanted)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 1 };
	struct pair pair = tcp_pair();
	int ep = epoll_create1(EPOLL_CLOEXEC);
	volatile int errors = 0;
	for (jumps = 0; jumps < wanted;) {
		if (sigsetjmp(back, 1) == 0) {
			soon();
			for (;;) {
				epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event);
				epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, &event);
				epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, NULL);
			}
		}
		errors += !is_served(ep, pair);
	}
	close(pair.client);
	close(pair.server);
	close(ep);
	return errors;
}

/* One request for a cold document, as far as the handler lets it come; deeper down the stack than where it began. */
static void __attribute__((noinline)) serve(int ep, struct pair pair, int number)
{
	struct epoll_event event;
	struct stat status;
	char request[128], path[64], body[4096], room[2000];
	int length = snprintf(request, sizeof request, "GET /j%d HTTP/1.1\r\nHost: localhost\r\n\r\n", number);
	snprintf(path, sizeof path, "jumps/j%d", number);
	memset(room, 0, sizeof room);
	__asm__ volatile("" : : "r"(room) : "memory");
	soon();
	if (write(pair.client, request, length) != length || wait_for(ep, &event) != 1)
		return;
	while (read(pair.server, request, sizeof request) < 0 && errno == EAGAIN)
		wait_for(ep, &event);
	int file = stat(path, &status) == 0 ? high(open(path, O_RDONLY | O_CLOEXEC)) : -1;
	while (pread(file, body, sizeof body, 0) == sizeof body && write(pair.server, body, sizeof body) == sizeof body)
		recv(pair.client, body, sizeof body, MSG_WAITALL);
	for (;;)
		wait_for(ep, &event);
}

static int requests(int wanted)
{
	volatile int errors = 0;
	mkdir("jumps", 0755);
	for (int fd = 0; fd < FIRST; fd++)
		was_open[fd] = fcntl(fd, F_GETFD) >= 0;
	for (int i = 0; i < DOCUMENTS; i++) {
		char path[64];
		snprintf(path, sizeof path, "jumps/j%d", i);
		write_document(path, path, 4096);
	}
	for (jumps = 0; jumps < wanted;) {
		struct pair pair = tcp_pair();
		pair.client = high(pair.client);
		pair.server = high(pair.server);
		int ep = high(epoll_create1(EPOLL_CLOEXEC));
		char path[64];
		snprintf(path, sizeof path, "jumps/j%d", (int)jumps % DOCUMENTS);
		chill(path);
		struct epoll_event event = { .events = EPOLLIN, .data.u64 = 7 };
		errors += epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) != 0;
		if (sigsetjmp(back, 1) == 0)
			serve(ep, pair, (int)jumps % DOCUMENTS);
		disarm();
		struct pair other = tcp_pair();
		other.client = high(other.client);
		other.server = high(other.server);
		errors += !is_served(ep, other);
		close_all();
	}
	return errors;
}

static void scenario(void)
{
	struct sigaction action = { .sa_handler = handler };
	sigaction(SIGALRM, &action, NULL);
	printf("registrations: %d errors\n", registrations(300));
	printf("requests: %d errors\n", requests(120));
	disarm();
	/* Threads of the library leave before, and are waited for. */
	CALL(unshare(0));
}

MAIN(scenario)
