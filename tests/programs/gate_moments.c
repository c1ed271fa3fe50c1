/* What a server may do to a connection whose request is being held back. `gate_moments idle DOCROOT MOMENT FIRST` serves cold
 * documents of DOCROOT until the library has learnt, then asks for one more and, if a wait does not report it although
 * the request is there (the gate is closed), does MOMENT to it. Without the library, or when the gate does not close,
 * the moment happens all the same. The last line of the file `gated` says whether it was closed.
 *
 * Longer than other files: some forty moments that have nothing in common but how a request is held back. */
#include "common.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/prctl.h>

enum { LENGTH = 6000, LEARN = 20 };

static const char *docroot;
static struct sockaddr_in address;
static int listening, ep, next, gated;

static struct pair connection(void)
{
	struct pair pair = { client_of(&address), 0 };
	pair.server = accepted_by(listening);
	return pair;
}

static void watch(int fd, uint32_t kind, uint64_t data)
{
	struct epoll_event event = { .events = kind, .data.u64 = data };
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
}

static int ask(int client)
{
	char request[200];
	int n = snprintf(request, sizeof request, "GET /moment-%d.html HTTP/1.1\r\nHost: h\r\n\r\n", next);
	NEED(write(client, request, n) == n);
	return next++;
}

static ssize_t answer(int fd, const char *request)
{
	char path[500];
	static unsigned char body[LENGTH];
	int which;
	struct stat status;
	NEED(sscanf(request, "GET /moment-%d.html", &which) == 1);
	snprintf(path, sizeof path, "%s/moment-%d.html", docroot, which);
	NEED(stat(path, &status) == 0);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && read(file, body, LENGTH) == LENGTH);
	close(file);
	return write(fd, body, LENGTH);
}

/* Reads and answers; false when the read answered EAGAIN. */
static int handle(int fd)
{
	char request[1000];
	ssize_t n = read(fd, request, sizeof request - 1);
	if (n < 0 && errno == EAGAIN)
		return 0;
	NEED(n > 0);
	request[n] = 0;
	for (char *at = request; at && *at; at = strstr(at, "\r\n\r\n")) {
		while (*at == '\r' || *at == '\n')
			at++;
		if (*at)
			NEED(answer(fd, at) == LENGTH);
	}
	return 1;
}

/* Waits for events with this data until the request was answered. */
static void serve(int fd, uint64_t data)
{
	struct epoll_event event;
	do {
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		NEED(event.data.u64 == data);
	} while (!handle(fd));
}

static const char *right(int client, int which)
{
	static unsigned char body[LENGTH], wanted[LENGTH];
	char name[64];
	if (recv(client, body, LENGTH, MSG_WAITALL) != LENGTH)
		return "no body";
	snprintf(name, sizeof name, "moment-%d.html", which);
	content(name, wanted, LENGTH);
	return memcmp(body, wanted, LENGTH) == 0 ? "right" : "WRONG";
}

/* Asks on a connection that is watched already. */
static void hold(struct pair pair, int *which)
{
	struct epoll_event event;
	*which = ask(pair.client);
	settle(pair.server, 20);
	int ready = epoll_wait(ep, &event, 1, 0);
	if (ready == 0) {
		gated = 1;
		return;
	}
	NEED(ready == 1 && event.data.u64 == 1000);
	char request[1000];
	ssize_t n = read(pair.server, request, sizeof request - 1);
	/* Not held back: answered at once, and the moment comes after that. */
	NEED(n > 0);
	request[n] = 0;
	NEED(answer(pair.server, request) == LENGTH);
}

/* A connection with a request that was held back, if anything holds back. */
static struct pair held(uint32_t kind, int *which)
{
	struct pair pair = connection();
	watch(pair.server, kind, 1000);
	hold(pair, which);
	return pair;
}

static void quiet(const char *when)
{
	struct epoll_event event;
	int n = epoll_wait(ep, &event, 1, 40);
	printf("%s: %d stray events\n", when, n);
}

static void works(void)
{
	struct pair pair = connection();
	watch(pair.server, EPOLLIN, 2000);
	int which = ask(pair.client);
	serve(pair.server, 2000);
	printf("another connection: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static void closed(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	close(pair.server);
	quiet("after close");
	/* An orderly end, and no reset because a request was not read. */
	char bytes[1000];
	ssize_t n;
	while ((n = recv(pair.client, bytes, sizeof bytes, 0)) > 0)
		;
	printf("the client's end: %zd\n", n);
	close(pair.client);
}

static void reused(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which), other;
	int number = pair.server;
	other.client = client_of(&address);
	close(pair.server);
	other.server = accepted_by(listening);
	NEED(other.server == number);
	watch(other.server, EPOLLIN | EPOLLET, 3000);
	which = ask(other.client);
	serve(other.server, 3000);
	printf("on the reused number: %s\n", right(other.client, which));
	quiet("after it");
	close(pair.client);
	close(other.client);
	close(other.server);
}

static void dup2_over(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which), other = connection();
	NEED(dup2(other.server, pair.server) == pair.server);
	close(other.server);
	watch(pair.server, EPOLLIN, 4000);
	which = ask(other.client);
	serve(pair.server, 4000);
	printf("what came over it: %s\n", right(other.client, which));
	quiet("after it");
	close(pair.client);
	close(other.client);
	close(pair.server);
}

static void moved(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated, copy = dup(pair.server);
	struct epoll_event event;
	NEED(epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, &event) == 0);
	close(pair.server);
	watch(copy, EPOLLIN | EPOLLET, 5000);
	if (was)
		serve(copy, 5000);
	printf("read by the copy: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(copy);
}

static void deleted_and_added(void)
{
	int which;
	struct pair pair = held(EPOLLIN | EPOLLET, &which);
	struct epoll_event event;
	int was = gated;
	NEED(epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, &event) == 0);
	quiet("while it is out");
	watch(pair.server, EPOLLIN | EPOLLET, 6000);
	if (was)
		serve(pair.server, 6000);
	printf("after it came back: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

static void modified(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.u64 = 7000 };
	int was = gated;
	NEED(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, &event) == 0);
	NEED(epoll_wait(ep, &event, 1, -1) == 1);
	printf("writable at once: %d, data %d\n", !!(event.events & EPOLLOUT), (int)event.data.u64);
	event = (struct epoll_event){ .events = EPOLLIN, .data.u64 = 7001 };
	NEED(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, &event) == 0);
	if (was)
		serve(pair.server, 7001);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* Changed by calls that the kernel refuses. */
static void refused(void)
{
	int which;
	void *volatile nowhere = (void *)16;
	struct pair pair = held(EPOLLIN, &which);
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 7100 };
	int was = gated;
	CALL(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, nowhere));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, nowhere));
	CALL(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event));
	CALL(epoll_ctl(listening, EPOLL_CTL_MOD, pair.server, &event));
	CALL(epoll_ctl(-1, EPOLL_CTL_DEL, pair.server, &event));
	if (was)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

static void not_interested(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	struct epoll_event event = { .events = 0, .data.u64 = 8000 };
	int was = gated;
	NEED(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, &event) == 0);
	quiet("with no interest");
	event = (struct epoll_event){ .events = EPOLLIN, .data.u64 = 8001 };
	NEED(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, &event) == 0);
	if (was)
		serve(pair.server, 8001);
	printf("answered: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static void reset_by_client(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	close_with_reset(pair.client);
	struct epoll_event event;
	NEED(epoll_wait(ep, &event, 1, -1) == 1);
	printf("hung up: %d\n", (event.events & (EPOLLHUP | EPOLLERR)) == (EPOLLHUP | EPOLLERR));
	char request[1000];
	ssize_t n;
	while ((n = read(pair.server, request, sizeof request)) > 0)
		;
	while (n < 0 && errno == EAGAIN) {
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		while ((n = read(pair.server, request, sizeof request)) > 0)
			;
	}
	printf("read ends with %zd\n", n < 0 ? 0 : n);
	close(pair.server);
	quiet("after it");
}

static void half_closed(void)
{
	int which;
	struct pair pair = held(EPOLLIN | EPOLLRDHUP, &which);
	int was = gated;
	shutdown(pair.client, SHUT_WR);
	if (was)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	struct epoll_event event;
	char byte;
	NEED(epoll_wait(ep, &event, 1, -1) == 1);
	printf("hung up half: %d, read %zd\n", !!(event.events & EPOLLRDHUP), read(pair.server, &byte, 1));
	close(pair.client);
	close(pair.server);
}

static void spinning(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	/* A server that reads again and again instead of waiting hears of its request too. */
	if (gated)
		while (!handle(pair.server))
			;
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

static void made_blocking(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	fcntl(pair.server, F_SETFL, 0);
	if (gated)
		NEED(handle(pair.server));
	printf("answered: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static void made_blocking_by_ioctl(void)
{
	int which, off = 0;
	struct pair pair = held(EPOLLIN, &which);
	NEED(ioctl(pair.server, FIONBIO, &off) == 0);
	if (gated)
		NEED(handle(pair.server));
	printf("answered: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static void looked_at(void)
{
	int which, have = -1;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated;
	NEED(ioctl(pair.server, FIONREAD, &have) == 0);
	/* A poll does not show what is held back. */
	struct pollfd ready = { .fd = pair.server, .events = POLLIN };
	int polled = poll(&ready, 1, 0);
	printf("all there: %d\n", was ? have > 20 && polled == 0 : have == 0 && polled == 0);
	if (was)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static void more_arrives(void)
{
	int which;
	struct pair pair = held(EPOLLIN | EPOLLET, &which);
	int second = ask(pair.client), third = ask(pair.client);
	settle(pair.server, 60);
	usleep(20000);
	/* Answered when all bytes were taken: the handler answers every request that a read returned. */
	int have;
	do {
		struct epoll_event event;
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		while (handle(pair.server))
			;
		ioctl(pair.server, FIONREAD, &have);
	} while (have > 0);
	printf("%s", right(pair.client, which));
	printf(" %s", right(pair.client, second));
	printf(" %s\n", right(pair.client, third));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

static void instance_closed(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	close(ep);
	ep = epoll_create1(EPOLL_CLOEXEC);
	watch(pair.server, EPOLLIN, 9000);
	if (gated)
		serve(pair.server, 9000);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

static void second_instance(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	int first = ep, was = gated;
	ep = epoll_create1(EPOLL_CLOEXEC);
	watch(pair.server, EPOLLIN, 9100);
	if (was)
		serve(pair.server, 9100);
	printf("answered: %s\n", right(pair.client, which));
	quiet("in the second");
	close(ep);
	ep = first;
	quiet("in the first");
	close(pair.client);
	close(pair.server);
}

/* The instance has two numbers, and loses the one by which the connection was registered. */
static void instance_renamed(void)
{
	int which;
	struct pair pair = held(EPOLLIN | EPOLLET, &which);
	int was = gated, other = dup(ep);
	NEED(dup2(listening, ep) == ep);
	ep = other;
	if (was)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* The instance has two numbers, and the registration is changed by the second. */
static void instance_by_alias(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated, other = dup(ep);
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = 9300 };
	NEED(epoll_ctl(other, EPOLL_CTL_MOD, pair.server, &event) == 0);
	if (was)
		serve(pair.server, 9300);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(other);
	close(pair.client);
	close(pair.server);
}

/* The instance has two numbers, and a wait by the second uses up a registration for one event. */
static void one_event_by_alias(void)
{
	int which;
	struct pair pair = held(EPOLLIN | EPOLLONESHOT, &which);
	int was = gated, other = dup(ep);
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLONESHOT, .data.u64 = 9400 };
	NEED(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, &event) == 0);
	NEED(epoll_wait(other, &event, 1, -1) == 1 && event.data.u64 == 9400);
	printf("told once more: %d\n", epoll_wait(other, &event, 1, 300));
	event.events = EPOLLIN;
	NEED(epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, &event) == 0);
	if (was)
		serve(pair.server, 9400);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(other);
	close(pair.client);
	close(pair.server);
}

/* Whether a child hears that something can be read. */
static int told_to_child(int fd)
{
	int status;
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		struct pollfd set = { .fd = fd, .events = POLLIN };
		_exit(poll(&set, 1, 5000) == 1 && set.revents == POLLIN);
	}
	NEED(waitpid(child, &status, 0) == child);
	return WEXITSTATUS(status);
}

static void *poll_one(void *fd)
{
	struct pollfd set = { .fd = *(int *)fd, .events = POLLIN };
	return poll(&set, 1, 5000) == 1 && set.revents == POLLIN ? fd : NULL;
}

static void *select_several(void *number)
{
	int fd = *(int *)number;
	fd_set set;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	FD_SET(STDERR_FILENO, &set);
	return select(fd + 1, &set, NULL, NULL, &(struct timeval){ 5, 0 }) >= 1 && FD_ISSET(fd, &set) ? number : NULL;
}

/* Whether a thread that is no loop hears that something can be read. */
static int told_to_thread(int fd)
{
	void *heard[2];
	pthread_t thread;
	NEED(pthread_create(&thread, NULL, poll_one, &fd) == 0 && pthread_join(thread, &heard[0]) == 0);
	NEED(pthread_create(&thread, NULL, select_several, &fd) == 0 && pthread_join(thread, &heard[1]) == 0);
	return heard[0] && heard[1];
}

/* Somebody else waits for the connection as well, and the loop reads. */
static void waited_for_by(int (*told)(int))
{
	int which, pipes[2];
	struct pair pair = held(EPOLLIN, &which);
	if (gated) {
		NEED(told(pair.server) == 1);
		printf("read: %d\n", handle(pair.server));
	} else {
		printf("read: 1\n");
	}
	printf("answered: %s\n", right(pair.client, which));
	/* The same of one that has just been accepted, in an iteration that was told of something. */
	NEED(pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0 && write(pipes[1], "x", 1) == 1);
	watch(pipes[0], EPOLLIN, 9500);
	struct epoll_event event;
	NEED(epoll_wait(ep, &event, 1, -1) == 1 && event.data.u64 == 9500);
	struct pair new = connection();
	which = ask(new.client);
	settle(new.server, 20);
	printf("told: %d\n", told(new.server));
	printf("read: %d\n", handle(new.server));
	printf("answered: %s\n", right(new.client, which));
	close(pipes[0]);
	close(pipes[1]);
	close(new.client);
	close(new.server);
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

static void waited_for_by_child(void)
{
	waited_for_by(told_to_child);
}

static void waited_for_by_thread(void)
{
	waited_for_by(told_to_thread);
}

static void forked(void)
{
	int which, status;
	struct pair pair = held(EPOLLIN, &which);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		/* The child has no gates and no helpers: it closes what it does not need, and leaves. */
		close(pair.server);
		close(ep);
		struct stat s;
		_exit(stat(docroot, &s) == 0 ? 0 : 1);
	}
	NEED(waitpid(child, &status, 0) == child);
	if (gated)
		serve(pair.server, 1000);
	printf("answered: %s, child %d\n", right(pair.client, which), status);
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* The child goes on with the connection: it must not wait for helpers that exist in its parent only. */
static void served_by_child(void)
{
	int which, status;
	struct pair pair = held(EPOLLIN, &which);
	fflush(stdout);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		close(ep);
		ep = epoll_create1(EPOLL_CLOEXEC);
		watch(pair.server, EPOLLIN, 9200);
		if (gated)
			serve(pair.server, 9200);
		_exit(0);
	}
	close(pair.server);
	NEED(waitpid(child, &status, 0) == child);
	printf("answered: %s, child %d\n", right(pair.client, which), status);
	close(pair.client);
}

static void all_closed(void)
{
	int which;
	struct epoll_event event;
	held(EPOLLIN, &which);
	closefrom(3);
	CALL(epoll_wait(ep, &event, 1, 0));
	listening = listener(&address);
	ep = epoll_create1(EPOLL_CLOEXEC);
	quiet("in a new instance");
}

/* The process gives up a right: whoever would have opened the gate leaves. */
static void restricted(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	CALL(unshare(CLONE_FS));
	if (gated)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* By a thread that is not the loop. */
static void *restrict_beside(void *)
{
	CALL(unshare(CLONE_FS));
	return NULL;
}

static void restricted_beside(void)
{
	int which;
	pthread_t thread;
	struct pair pair = held(EPOLLIN | EPOLLET, &which);
	NEED(pthread_create(&thread, NULL, restrict_beside, NULL) == 0 && pthread_join(thread, NULL) == 0);
	if (gated)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* A filter, which allows everything: nobody but the kernel knows that. */
static void filtered(void)
{
	int which;
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };
	struct pair pair = held(EPOLLIN | EPOLLET, &which);
	CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CALL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	if (gated)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* No number is left when readiness is to be given back. */
static void no_number_left(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	struct rlimit limit, none;
	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	none = (struct rlimit){ 0, limit.rlim_max };
	NEED(setrlimit(RLIMIT_NOFILE, &none) == 0);
	struct epoll_event event;
	NEED(!gated || epoll_wait(ep, &event, 1, -1) == 1);
	NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (gated)
		NEED(handle(pair.server));
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* Never registered, and waited for by a signal only. */
static void signalled(void)
{
	int which, number;
	sigset_t set;
	struct pair pair = connection();
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	NEED(fcntl(pair.server, F_SETOWN, getpid()) == 0);
	NEED(fcntl(pair.server, F_SETFL, fcntl(pair.server, F_GETFL) | O_ASYNC) == 0);
	which = ask(pair.client);
	for (;;) {
		NEED(sigwait(&set, &number) == 0);
		if (handle(pair.server))
			break;
	}
	gated = 1; /* a signal has told of it: nothing is to be held back */
	printf("answered: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static void timeouts(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated, done = !was;
	struct timespec start, now;
	struct epoll_event event;
	while (!done) {
		int n = epoll_wait(ep, &event, 1, 0);
		NEED(n == 0 || n == 1);
		if (n == 0)
			n = epoll_wait(ep, &event, 1, 1);
		if (n == 1)
			done = handle(pair.server);
	}
	printf("answered: %s\n", right(pair.client, which));
	clock_gettime(CLOCK_MONOTONIC, &start);
	int n = epoll_wait(ep, &event, 1, 50);
	clock_gettime(CLOCK_MONOTONIC, &now);
	long took = (now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000;
	printf("then %d, early %d\n", n, took < 49900);
	close(pair.client);
	close(pair.server);
}

static volatile sig_atomic_t caught;
static void handler(int signal) { caught = signal; }

static void interrupted(void)
{
	int which, saw;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated;
	struct sigaction action = { .sa_handler = handler };
	sigaction(SIGALRM, &action, NULL);
	/* A signal while nothing else can happen ends the wait; completions in between do not eat it. */
	if (was)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	struct itimerval timer = { .it_value.tv_usec = 20000 };
	setitimer(ITIMER_REAL, &timer, NULL);
	struct epoll_event event;
	errno = UNTOUCHED;
	saw = epoll_wait(ep, &event, 1, -1);
	printf("wait %d %s, caught %d\n", saw, strerrorname_np(errno), caught);
	close(pair.client);
	close(pair.server);
}

static void many_at_once(void)
{
	enum { MANY = 30 };
	struct pair pairs[MANY];
	int which[MANY], done[MANY] = { 0 }, left = MANY, good = 0;
	for (int i = 0; i < MANY; i++) {
		pairs[i] = connection();
		watch(pairs[i].server, i % 3 ? EPOLLIN : EPOLLIN | EPOLLET, i);
		which[i] = ask(pairs[i].client);
	}
	while (left > 0) {
		struct epoll_event event;
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		int i = event.data.u64;
		NEED(i >= 0 && i < MANY && !done[i]);
		if (handle(pairs[i].server)) {
			done[i] = 1;
			left--;
		}
	}
	gated = 1; /* which were held back is the library's business */
	for (int i = 0; i < MANY; i++) {
		good += !strcmp(right(pairs[i].client, which[i]), "right");
		close(pairs[i].client);
		close(pairs[i].server);
	}
	printf("%d of %d right\n", good, MANY);
	quiet("after all");
}

static void by_bytes(void)
{
	struct pair pair = connection();
	char request[1000], got[1000];
	int which = next++, have = 0;
	int n = snprintf(request, sizeof request, "GET /moment-%d.html HTTP/1.1\r\nHost: h\r\n\r\n", which);
	watch(pair.server, EPOLLIN | EPOLLET, 1000);
	for (int sent = 0; have < n;) {
		struct epoll_event event;
		if (sent < n)
			NEED(write(pair.client, request + sent++, 1) == 1);
		if (epoll_wait(ep, &event, 1, sent < n ? 1 : -1) == 1) {
			ssize_t r;
			while ((r = read(pair.server, got + have, sizeof got - have)) > 0)
				have += r;
			NEED(r < 0 && errno == EAGAIN);
		}
	}
	got[have] = 0;
	printf("the request came whole: %d\n", have == n && !memcmp(got, request, n));
	NEED(answer(pair.server, got) == LENGTH);
	printf("answered: %s\n", right(pair.client, which));
	gated = 1; /* whether any part was held back is the library's business */
	close(pair.client);
	close(pair.server);
}

/* A server that is upgraded without losing a client: the new program has the instance and the connection. */
static char *becomes[6];
static char numbers[3][20];

static void become(struct pair pair, int which)
{
	int kept[] = { ep, pair.server, pair.client };
	for (int i = 0; i < 3; i++) {
		NEED(fcntl(kept[i], F_SETFD, 0) == 0);
		snprintf(numbers[i], sizeof numbers[i], "%d", kept[i]);
	}
	static char all[80];
	snprintf(all, sizeof all, "%s %s %s %d %d", numbers[0], numbers[1], numbers[2], which, gated);
	char *arguments[] = { "gate_moments", "idle", (char *)docroot, "new_program", all, NULL };
	memcpy(becomes, arguments, sizeof arguments);
	fflush(stdout);
}

static void executed(void)
{
	int which;
	struct pair pair = held(EPOLLIN | EPOLLET, &which);
	become(pair, which);
	execv("/proc/self/exe", becomes);
	NEED(!"execv");
}

static void executed_with_a_list(void)
{
	extern char **environ;
	int which;
	struct pair pair = held(EPOLLIN, &which);
	become(pair, which);
	execle("/proc/self/exe", becomes[0], becomes[1], becomes[2], becomes[3], becomes[4], NULL, environ);
	NEED(!"execle");
}

static void new_program(const char *all)
{
	int which, was;
	struct pair pair;
	NEED(sscanf(all, "%d %d %d %d %d", &ep, &pair.server, &pair.client, &which, &was) == 5);
	if (was) {
		struct epoll_event event;
		int n = epoll_wait(ep, &event, 1, 10000);
		printf("the new program is told: %d\n", n == 1 && event.data.u64 == 1000);
		NEED(n == 1 && handle(pair.server));
	} else {
		printf("the new program is told: 1\n");
	}
	printf("answered by it: %s\n", right(pair.client, which));
	gated = was;
}

static void execution_refused(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated;
	CALL(execl("/nowhere/program", "program", NULL));
	CALL(execv("/nowhere/program", becomes));
	if (was)
		serve(pair.server, 1000);
	printf("served by the old program: %s\n", right(pair.client, which));
	/* And the next one is held back again. */
	gated = 0;
	close(held(EPOLLIN, &which).server);
}

/* The child of a vfork has its parent's memory, and copies of its descriptors. */
static void vforked(void)
{
	struct pair pair = connection();
	struct epoll_event event;
	int status;
	watch(pair.server, EPOLLIN, 1000);
	fflush(stdout);
	pid_t child = vfork();
	if (child == 0) {
		epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, pair.client, &event);
		dup2(pair.client, pair.server);
		close(pair.server);
		close(ep);
		closefrom(3);
		_exit(0);
	}
	NEED(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	int which;
	hold(pair, &which);
	if (gated)
		serve(pair.server, 1000);
	printf("answered by the parent: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

/* A file is locked, sent from, and closed while its next part is being brought into memory: its lock is gone with it. */
static void lock_released(void)
{
	char path[500];
	struct pair pair = connection();
	struct epoll_event event;
	watch(pair.server, EPOLLIN, 1000);
	snprintf(path, sizeof path, "%s/body.html", docroot);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && flock(file, LOCK_EX) == 0);
	off_t at = 1 << 20;
	for (int i = 0; i < 4 && !gated; i++)
		gated = sendfile(pair.server, file, &at, 65536) != 65536;
	/* The helper has a moment to begin, and the disk takes longer. */
	epoll_wait(ep, &event, 1, 2);
	close(file);
	file = open(path, O_RDONLY | O_CLOEXEC);
	CALL(flock(file, LOCK_EX | LOCK_NB));
	close(file);
	close(pair.client);
	close(pair.server);
	quiet("after it");
}

static const struct {
	const char *name;
	void (*moment)(void);
} moments[] = {
	{ "closed", closed },
	{ "reused", reused },
	{ "dup2_over", dup2_over },
	{ "moved", moved },
	{ "deleted_and_added", deleted_and_added },
	{ "modified", modified },
	{ "refused", refused },
	{ "not_interested", not_interested },
	{ "reset_by_client", reset_by_client },
	{ "half_closed", half_closed },
	{ "spinning", spinning },
	{ "made_blocking", made_blocking },
	{ "made_blocking_by_ioctl", made_blocking_by_ioctl },
	{ "looked_at", looked_at },
	{ "more_arrives", more_arrives },
	{ "instance_closed", instance_closed },
	{ "second_instance", second_instance },
	{ "instance_renamed", instance_renamed },
	{ "instance_by_alias", instance_by_alias },
	{ "one_event_by_alias", one_event_by_alias },
	{ "waited_for_by_child", waited_for_by_child },
	{ "waited_for_by_thread", waited_for_by_thread },
	{ "forked", forked },
	{ "served_by_child", served_by_child },
	{ "all_closed", all_closed },
	{ "restricted", restricted },
	{ "restricted_beside", restricted_beside },
	{ "filtered", filtered },
	{ "no_number_left", no_number_left },
	{ "signalled", signalled },
	{ "timeouts", timeouts },
	{ "interrupted", interrupted },
	{ "many_at_once", many_at_once },
	{ "by_bytes", by_bytes },
	{ "executed", executed },
	{ "executed_with_a_list", executed_with_a_list },
	{ "execution_refused", execution_refused },
	{ "vforked", vforked },
	{ "lock_released", lock_released },
};

int main(int argc, char **argv)
{
	is_engaged(argc, argv);
	if (argc < 4)
		return 2;
	docroot = argv[2];
	if (!strcmp(argv[3], "new_program")) {
		new_program(argv[4]);
		FILE *report = fopen("gated", "w");
		NEED(report && fprintf(report, "%d\n", gated) > 0 && fclose(report) == 0);
		return 0;
	}
	next = atoi(argv[4]);
	listening = listener(&address);
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < LEARN; i++) {
		struct pair pair = connection();
		watch(pair.server, EPOLLIN, 500);
		int which = ask(pair.client);
		serve(pair.server, 500);
		NEED(!strcmp(right(pair.client, which), "right"));
		close(pair.client);
		close(pair.server);
	}
	for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
		if (!strcmp(moments[i].name, argv[3])) {
			descriptors("before");
			moments[i].moment();
			descriptors("after");
			works();
			FILE *report = fopen("gated", "w");
			NEED(report && fprintf(report, "%d\n", gated) > 0 && fclose(report) == 0);
			return 0;
		}
	return 2;
}
