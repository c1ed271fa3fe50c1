/* What a server that waits in poll or select may do to a connection whose request is being held back, and what may happen to its
 * wait: gate_moments.c for loops that register nothing. `poll_moments idle DOCROOT MOMENT FIRST WAY`.
 *
 * Longer than other files: each moment is a function of its own, for four ways to wait. */
#include "common.h"
#include <setjmp.h>
#include <sys/select.h>

enum { LENGTH = 6000, LEARN = 20, BODY = 3000000 };
enum way { POLL, PPOLL, SELECT, PSELECT };

static const char *const ways[] = { "poll", "ppoll", "select", "pselect" };
static const char *docroot;
static struct sockaddr_in address;
static enum way way;
static int listening, next, gated;

/* One wait, by whichever call: the set is a poll's. */
static int wait_for(struct pollfd *set, int n, int milliseconds)
{
	struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	struct timeval left = { milliseconds / 1000, milliseconds % 1000 * 1000 };
	fd_set sets[3];
	int highest = -1, count;
	if (way == POLL)
		return poll(set, n, milliseconds);
	if (way == PPOLL)
		return ppoll(set, n, milliseconds < 0 ? NULL : &time, NULL);
	for (int i = 0; i < 3; i++)
		FD_ZERO(&sets[i]);
	for (int i = 0; i < n; i++) {
		if (set[i].fd < 0)
			continue;
		highest = set[i].fd > highest ? set[i].fd : highest;
		if (set[i].events & POLLIN)
			FD_SET(set[i].fd, &sets[0]);
		if (set[i].events & POLLOUT)
			FD_SET(set[i].fd, &sets[1]);
	}
	count = way == SELECT ? select(highest + 1, &sets[0], &sets[1], &sets[2], milliseconds < 0 ? NULL : &left) :
				pselect(highest + 1, &sets[0], &sets[1], NULL, milliseconds < 0 ? NULL : &time, NULL);
	int members = 0;
	for (int i = 0; i < n && count >= 0; i++) {
		set[i].revents = 0;
		if (set[i].fd < 0)
			continue;
		if (FD_ISSET(set[i].fd, &sets[0]))
			set[i].revents |= POLLIN, members++;
		if (FD_ISSET(set[i].fd, &sets[1]))
			set[i].revents |= POLLOUT, members++;
	}
	NEED(count < 0 || count == members);
	if (way == SELECT && milliseconds >= 0)
		NEED(left.tv_sec >= 0 && left.tv_usec >= 0 && left.tv_usec < 1000000 &&
		     left.tv_sec * 1000 + left.tv_usec / 1000 <= milliseconds);
	return count;
}

/* What a connection is ready for, beside the listening socket, as loops wait; -1 where the wait failed. */
static int ready(int fd, short events, int milliseconds)
{
	struct pollfd set[2] = { { .fd = listening, .events = POLLIN }, { .fd = fd, .events = events } };
	int n = wait_for(set, 2, milliseconds);
	if (n < 0)
		return -1;
	NEED(set[0].revents == 0 && n == (set[1].revents != 0));
	return set[1].revents;
}

static struct pair connection(void)
{
	struct pair pair = { client_of(&address), 0 };
	struct pollfd set[2] = { { .fd = listening, .events = POLLIN }, { .fd = -1 } };
	NEED(wait_for(set, 2, 10000) == 1);
	pair.server = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	NEED(pair.server >= 0);
	return pair;
}

static int ask(int client)
{
	char request[200];
	int n = snprintf(request, sizeof request, "GET /moment-%d.html HTTP/1.1\r\nHost: h\r\n\r\n", next);
	NEED(write(client, request, n) == n);
	return next++;
}

static void answer(int fd, const char *request)
{
	char path[500];
	static __thread unsigned char body[LENGTH];
	int which;
	struct stat status;
	NEED(sscanf(request, "GET /moment-%d.html", &which) == 1);
	snprintf(path, sizeof path, "%s/moment-%d.html", docroot, which);
	NEED(stat(path, &status) == 0);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && read(file, body, LENGTH) == LENGTH);
	close(file);
	NEED(write(fd, body, LENGTH) == LENGTH);
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
	answer(fd, request);
	return 1;
}

static void serve(int fd)
{
	do
		NEED(ready(fd, POLLIN, -1) > 0);
	while (!handle(fd));
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

/* A connection with a request that was held back, if anything holds back; else it is answered. */
static struct pair held(int *which)
{
	struct pair pair = connection();
	*which = ask(pair.client);
	settle(pair.server, 20);
	gated = ready(pair.server, POLLIN, 0) == 0;
	if (!gated)
		NEED(handle(pair.server));
	return pair;
}

static void finish(struct pair pair)
{
	close(pair.client);
	close(pair.server);
}

static void answered(struct pair pair, int which)
{
	if (gated)
		serve(pair.server);
	printf("answered: %s\n", right(pair.client, which));
	NEED(ready(pair.server, POLLIN, 30) == 0);
	finish(pair);
}

static void works(void)
{
	struct pair pair = connection();
	int which = ask(pair.client);
	serve(pair.server);
	printf("another connection: %s\n", right(pair.client, which));
	finish(pair);
}

static void waited_for(void)
{
	int which;
	struct pair pair = held(&which);
	answered(pair, which);
}

static void closed(void)
{
	int which;
	struct pair pair = held(&which);
	close(pair.server);
	/* A number that is not open is the application's error, whatever was owed to it. */
	errno = UNTOUCHED;
	int n = ready(pair.server, POLLIN, 40);
	show("wait for a closed number", n, errno);
	NEED(ready(-1, POLLIN, 40) == 0);
	close(pair.client);
}

static void reused(void)
{
	int which;
	struct pair pair = held(&which), other;
	int number = pair.server;
	other.client = client_of(&address);
	close(pair.server);
	other.server = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	NEED(other.server == number);
	NEED(ready(other.server, POLLIN, 40) == 0);
	which = ask(other.client);
	serve(other.server);
	printf("on the reused number: %s\n", right(other.client, which));
	close(pair.client);
	finish(other);
}

static void dup2_over(void)
{
	int which;
	struct pair pair = held(&which), other = connection();
	NEED(dup2(other.server, pair.server) == pair.server);
	close(other.server);
	which = ask(other.client);
	serve(pair.server);
	printf("what came over it: %s\n", right(other.client, which));
	close(other.client);
	finish(pair);
}

static void moved(void)
{
	int which;
	struct pair pair = held(&which);
	int copy = dup(pair.server);
	close(pair.server);
	pair.server = copy;
	answered(pair, which);
}

/* Twice in the set, and by another number. */
static void doubled(void)
{
	int which;
	struct pair pair = held(&which);
	int copy = dup(pair.server);
	struct pollfd set[] = { { .fd = pair.server, .events = POLLOUT }, { .fd = pair.server, .events = POLLIN | POLLOUT } };
	int twice = way == POLL || way == PPOLL;
	NEED(wait_for(twice ? set : set + 1, 1 + twice, -1) >= 1 + twice);
	NEED(set[1].revents & POLLOUT && (!twice || set[0].revents == POLLOUT));
	if (gated)
		while (!handle(pair.server))
			NEED(ready(copy, POLLIN, -1) > 0);
	printf("answered: %s\n", right(pair.client, which));
	close(copy);
	finish(pair);
}

static void reset_by_client(void)
{
	int which;
	char byte;
	struct pair pair = held(&which);
	if (!gated)
		NEED(!strcmp(right(pair.client, which), "right"));
	close_with_reset(pair.client);
	NEED(ready(pair.server, POLLIN, -1) > 0);
	errno = UNTOUCHED;
	ssize_t n;
	while ((n = read(pair.server, &byte, 1)) > 0 || (n < 0 && errno == EAGAIN))
		;
	show("read", n, errno);
	close(pair.server);
}

static void half_closed(void)
{
	int which;
	char byte;
	struct pair pair = held(&which);
	shutdown(pair.client, SHUT_WR);
	if (gated)
		serve(pair.server);
	printf("answered: %s\n", right(pair.client, which));
	NEED(ready(pair.server, POLLIN, -1) > 0);
	CALL(read(pair.server, &byte, 1));
	finish(pair);
}

static void shut_down(void)
{
	int which;
	char byte;
	struct pair pair = held(&which);
	shutdown(pair.server, SHUT_RD);
	if (gated)
		serve(pair.server);
	printf("answered: %s\n", right(pair.client, which));
	NEED(ready(pair.server, POLLIN, -1) > 0);
	CALL(read(pair.server, &byte, 1));
	finish(pair);
}

static void more_arrives(void)
{
	int which;
	struct pair pair = held(&which);
	NEED(ready(pair.server, POLLIN, 1) >= 0);
	if (gated)
		serve(pair.server);
	printf("answered: %s\n", right(pair.client, which));
	which = ask(pair.client);
	gated |= 2;
	answered(pair, which);
}

/* Every loop learns for itself. */
static void learn(void)
{
	char body[LENGTH];
	for (int i = 0; i < LEARN; i++) {
		struct pair pair = connection();
		ask(pair.client);
		serve(pair.server);
		NEED(recv(pair.client, body, LENGTH, MSG_WAITALL) == LENGTH);
		finish(pair);
	}
}

static pthread_barrier_t barrier;
static struct pair waited;
static int spun;

static void *other_loop(void *unused)
{
	learn();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	while (gated) {
		NEED(ready(waited.server, POLLIN, -1) > 0);
		if (handle(waited.server))
			break;
		spun++;
	}
	return unused;
}

/* Another loop waits for the connection as well: it can neither be kept from waking, nor may it spin. */
static void by_another_thread(void)
{
	int which;
	pthread_t thread;
	pthread_barrier_init(&barrier, NULL, 2);
	NEED(pthread_create(&thread, NULL, other_loop, NULL) == 0);
	pthread_barrier_wait(&barrier);
	waited = held(&which);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	printf("answered: %s, spun %d\n", right(waited.client, which), spun > 20);
	which = ask(waited.client);
	serve(waited.server);
	printf("and then: %s\n", right(waited.client, which));
	finish(waited);
}

static struct pair beside;

static void *serve_beside(void *which)
{
	usleep(1000);
	ssize_t n = 0;
	char request[1000];
	/* Without a wait, again and again: it takes the request as soon as it can be read. */
	while ((n = read(beside.server, request, sizeof request - 1)) < 0)
		NEED(errno == EAGAIN);
	NEED(n > 0);
	request[n] = 0;
	answer(beside.server, request);
	NEED(!strcmp(right(beside.client, *(int *)which), "right"));
	*(int *)which = ask(beside.client);
	return NULL;
}

/* While one thread waits for it, another one takes the request; the next one is the first thread's again. */
static void taken_beside(void)
{
	int which, second = -1;
	pthread_t thread;
	beside = held(&which);
	if (gated) {
		second = which;
		NEED(pthread_create(&thread, NULL, serve_beside, &second) == 0);
		NEED(ready(beside.server, POLLIN, -1) > 0);
		pthread_join(thread, NULL);
		which = second;
		serve(beside.server);
	}
	printf("answered: %s\n", right(beside.client, which));
	finish(beside);
}

static void *read_body(void *client)
{
	unsigned char *body = malloc(BODY);
	for (int have = 0; have < BODY; usleep(300)) {
		ssize_t n = recv(*(int *)client, body + have, BODY - have < 60000 ? BODY - have : 60000, 0);
		NEED(n > 0);
		have += n;
	}
	return body;
}

/* A body that is sent as far as it is in memory: the rest is told of as soon as it is. */
static void body(void)
{
	struct pair pair = connection();
	static unsigned char wanted[BODY + 8];
	char request[200], path[500];
	void *got;
	off_t sent = 0;
	int late = 0, n;
	pthread_t thread;
	n = snprintf(request, sizeof request, "GET /body.html HTTP/1.1\r\nHost: h\r\n\r\n");
	NEED(write(pair.client, request, n) == n);
	NEED(pthread_create(&thread, NULL, read_body, &pair.client) == 0);
	do {
		NEED(ready(pair.server, POLLIN, -1) > 0);
		n = read(pair.server, request, sizeof request);
		gated = 1; /* whether it was held back is the library's business */
	} while (n < 0);
	snprintf(path, sizeof path, "%s/body.html", docroot);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0);
	while (sent < BODY) {
		/* Longer than anything but a lost wake-up takes. */
		int could = ready(pair.server, POLLOUT, 950);
		late += could == 0;
		n = could ? sendfile(pair.server, file, &sent, BODY - sent) : 0;
		NEED(n >= 0 || errno == EAGAIN);
	}
	pthread_join(thread, &got);
	content("body.html", wanted, BODY);
	printf("the body: %s, %d waits for nothing\n", memcmp(got, wanted, BODY) ? "WRONG" : "right", late);
	free(got);
	close(file);
	finish(pair);
}

static void bad_arguments(void)
{
	int which;
	struct pair pair = held(&which);
	void *volatile nowhere = (void *)16;
	size_t page = sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec now = { 0, 0 }, wrong = { 0, 1000000000 };
	struct timeval none = { 0, 0 }, negative = { 0, -1 };
	struct pollfd two[2] = { { .fd = pair.server, .events = POLLIN }, { .fd = INT_MAX, .events = POLLIN } };
	mprotect(pages + 2 * page, page, PROT_NONE);
	struct pollfd *half = (struct pollfd *)(pages + 2 * page) - 1;
	fd_set *last = (fd_set *)(pages + 2 * page - 8);
	half->fd = pair.server;
	CALL(poll(nowhere, 2, 0));
	CALL(poll(half, 2, 0));
	CALL(poll(half, 1, 0) >= 0);
	CALL(poll((struct pollfd *)pages, 2000, 0));
	CALL(poll(NULL, 2, 0));
	CALL(poll(two, 1u << 30, 0));
	CALL(ppoll(nowhere, 2, &now, NULL));
	CALL(ppoll(two, 2, &wrong, NULL));
	CALL(ppoll(two, 1, &now, nowhere));
	CALL(poll(two, 2, -1));
	printf("  %#x\n", two[1].revents);
	CALL(select(20, nowhere, NULL, NULL, &none));
	CALL(select(20, NULL, nowhere, NULL, &none));
	CALL(select(20, NULL, NULL, nowhere, &none));
	CALL(select(1024, last, NULL, NULL, &none) == 0);
	CALL(select(64, last, NULL, NULL, &none) == 0);
	CALL(select(-1, NULL, NULL, NULL, &none));
	CALL(select(20, NULL, NULL, NULL, &negative));
	CALL(pselect(20, nowhere, NULL, NULL, &now, NULL));
	CALL(pselect(20, NULL, NULL, NULL, &wrong, NULL));
	munmap(pages, 3 * page);
	/* The longest times that there are. */
	struct timeval longest = { LONG_MAX - 1000000000, 999999 };
	struct timespec ever = { LONG_MAX, 999999999 };
	fd_set in, out;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(pair.server, &in);
	FD_SET(pair.client, &out);
	CALL(select(64, &in, &out, NULL, &longest) >= 1);
	printf("  left %d\n", longest.tv_sec > LONG_MAX - 1001000000);
	CALL(pselect(64, &in, &out, NULL, &ever, NULL) >= 1);
	two[1] = (struct pollfd){ .fd = pair.client, .events = POLLOUT };
	CALL(ppoll(two, 2, &ever, NULL) >= 1);
	answered(pair, which);
}

/* Numbers that mean nothing (any more), beyond all that were ever open. */
static void stale_numbers(void)
{
	int which;
	struct pair pair = held(&which);
	fd_set set;
	struct timeval none = { 0, 0 };
	for (int number = 0; number < 1024; number += 93) {
		FD_ZERO(&set);
		FD_SET(pair.server, &set);
		FD_SET(number, &set);
		errno = UNTOUCHED;
		int n = select(number > pair.server ? number + 1 : pair.server + 1, &set, NULL, NULL, &none);
		printf("%d: %s, still there %d\n", number, n < 0 ? strerrorname_np(errno) : "fine", FD_ISSET(number, &set) != 0);
	}
	answered(pair, which);
}

enum { LAST = 60 };

static void *take_numbers(void *highest)
{
	usleep(1500);
	for (int number = *(int *)highest + 1; number < LAST; number++)
		NEED(dup2(listening, number) == number);
	return NULL;
}

/* Another thread takes numbers that it knows to be free while this one waits. */
static void numbers_taken(void)
{
	int which, open = 0;
	pthread_t thread;
	struct pair pair = held(&which);
	int highest = pair.server > pair.client ? pair.server : pair.client;
	NEED(pthread_create(&thread, NULL, take_numbers, &highest) == 0);
	if (gated)
		serve(pair.server);
	pthread_join(thread, NULL);
	for (int number = highest + 1; number < LAST; number++)
		open += syscall(SYS_fcntl, number, F_GETFD) >= 0;
	printf("%d of %d are there\n", open, LAST - highest - 1);
	for (int number = highest + 1; number < LAST; number++)
		close(number);
	printf("answered: %s\n", right(pair.client, which));
	finish(pair);
}

static sigjmp_buf before;
static volatile sig_atomic_t caught, child;
static int child_status;

static void note(int signal) { caught = signal; }
static void jump(int signal) { siglongjmp(before, signal); }

/* The child of a handler goes back into the wait that was interrupted. */
static void fork_in_handler(int signal)
{
	if (caught)
		return;
	caught = signal;
	child = fork();
	if (child > 0)
		NEED(waitpid(child, &child_status, 0) == child);
}

/* A signal, soon: before the disk has answered. */
static void soon(void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct itimerval timer = { .it_value.tv_usec = 1500 };
	/* One that comes just before a wait ends none: others follow, until one does. */
	if (handler != jump)
		timer.it_interval.tv_usec = 1500;
	caught = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Whether the request of a wait that a signal ends was answered before. */
static volatile sig_atomic_t done;

/* Waits until the signal has come; the request may be told of before. Nonzero where it was answered. */
static int until_caught(struct pair pair)
{
	sigset_t alarm;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	done = !gated;
	for (;;) {
		int n = -1, error = EINTR;
		if (!caught) {
			errno = UNTOUCHED;
			n = ready(done ? pair.client : pair.server, done ? 0 : POLLIN, -1);
			error = n < 0 ? errno : EINTR;
		}
		/* It may have come just as a wait ended, or before one: then there is none left that it could end. */
		if (n < 0 || caught) {
			setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
			show("wait", -1, error);
			printf("caught: %d\n", caught == SIGALRM);
			return done;
		}
		NEED(!done);
		/* A jump out of the answer would leave half of it. */
		sigprocmask(SIG_BLOCK, &alarm, NULL);
		done = handle(pair.server);
		sigprocmask(SIG_UNBLOCK, &alarm, NULL);
	}
}

static void interrupted(void)
{
	int which;
	struct pair pair = held(&which);
	soon(note);
	gated &= ~until_caught(pair);
	answered(pair, which);
	gated = 1;
}

static void jumped_out(void)
{
	int which;
	volatile int was, jumps = 0;
	for (volatile int i = 0; i < 3; i++) {
		struct pair pair = held(&which);
		was = gated;
		done = 0;
		if (sigsetjmp(before, 1) == 0) {
			soon(jump);
			if (until_caught(pair))
				was = 0;
		} else {
			jumps++;
			was &= !done;
		}
		/* The next wait tidies up. */
		NEED(ready(-1, POLLIN, 0) == 0);
		descriptors("after a jump");
		if (was)
			serve(pair.server);
		printf("answered: %s\n", right(pair.client, which));
		finish(pair);
	}
	printf("jumped: %d\n", jumps);
}

static void forked_in_handler(void)
{
	int which;
	struct pair pair = held(&which);
	fflush(stdout);
	soon(fork_in_handler);
	int done = until_caught(pair);
	descriptors(child ? "in the parent" : "in the child");
	if (child == 0) {
		/* It has no helpers. */
		if (!done)
			serve(pair.server);
		_exit(0);
	}
	printf("answered: %s, child %d\n", right(pair.client, which), child_status);
	finish(pair);
}

static volatile int waits;

static void *wait_held(void *kind)
{
	int which;
	learn();
	waited = held(&which);
	pthread_setcanceltype(*(int *)kind, &which);
	waits = 1;
	/* Once it is told of, it waits for nothing: so that it is cancelled in the kernel's wait. */
	short events = gated ? POLLIN : 0;
	while (ready(waited.server, events, -1) >= 0)
		events = 0;
	return NULL;
}

/* Children that are made while the loop goes into its wait. */
static void forked_beside(int children)
{
	int status;
	fflush(stdout);
	for (int i = 0; i < children; i++) {
		pid_t forked = fork();
		if (forked == 0) {
			descriptors("in a child");
			_exit(0);
		}
		NEED(waitpid(forked, &status, 0) == forked);
	}
}

/* A loop that is cancelled in its wait; before, so many children are made beside it. */
static void cancelled_of(int kind, int children)
{
	pthread_t thread;
	void *result;
	NEED(pthread_create(&thread, NULL, wait_held, &kind) == 0);
	while (!waits)
		usleep(100);
	forked_beside(children);
	usleep(1000);
	NEED(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
	printf("cancelled: %d\n", result == PTHREAD_CANCELED);
	descriptors("after it was cancelled");
	finish(waited);
}

static int descriptors_open(void)
{
	int count = 0;
	for (int fd = 0; fd < 64; fd++)
		count += syscall(SYS_fcntl, fd, F_GETFD) >= 0;
	return count;
}

static volatile int forks_on = 1;

static void *fork_on(void *unused)
{
	int status;
	while (forks_on) {
		pid_t forked = fork();
		if (forked == 0)
			_exit(0);
		NEED(waitpid(forked, &status, 0) == forked);
	}
	return unused;
}

/* Waits that end while another thread forks: each leaves the descriptors that there were. */
static void forked_all_the_time(void)
{
	int which, more = 0;
	pthread_t thread;
	struct pair pair = held(&which);
	int before = descriptors_open();
	fflush(stdout);
	NEED(pthread_create(&thread, NULL, fork_on, NULL) == 0);
	for (int i = 0; i < 20; i++) {
		ready(pair.server, POLLIN, 0);
		more += descriptors_open() != before;
	}
	if (gated)
		serve(pair.server);
	forks_on = 0;
	NEED(pthread_join(thread, NULL) == 0);
	printf("answered: %s, more descriptors: %d\n", right(pair.client, which), more);
	finish(pair);
}

static void cancelled(void) { cancelled_of(PTHREAD_CANCEL_DEFERRED, 20); }
/* Only in the kernel's wait may it be: so it comes before the request is there. */
static void cancelled_at_once(void) { cancelled_of(PTHREAD_CANCEL_ASYNCHRONOUS, 0); }

static const struct {
	const char *name;
	void (*moment)(void);
} moments[] = {
	{ "waited_for", waited_for },
	{ "closed", closed },
	{ "reused", reused },
	{ "dup2_over", dup2_over },
	{ "moved", moved },
	{ "doubled", doubled },
	{ "reset_by_client", reset_by_client },
	{ "half_closed", half_closed },
	{ "shut_down", shut_down },
	{ "more_arrives", more_arrives },
	{ "by_another_thread", by_another_thread },
	{ "taken_beside", taken_beside },
	{ "body", body },
	{ "bad_arguments", bad_arguments },
	{ "stale_numbers", stale_numbers },
	{ "numbers_taken", numbers_taken },
	{ "interrupted", interrupted },
	{ "jumped_out", jumped_out },
	{ "forked_in_handler", forked_in_handler },
	{ "forked_all_the_time", forked_all_the_time },
	{ "cancelled", cancelled },
	{ "cancelled_at_once", cancelled_at_once },
};

int main(int argc, char **argv)
{
	is_engaged(argc, argv);
	if (argc < 6)
		return 2;
	docroot = argv[2];
	next = atoi(argv[4]);
	while (strcmp(ways[way], argv[5]))
		way++;
	listening = listener(&address);
	learn();
	for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
		if (!strcmp(moments[i].name, argv[3])) {
			descriptors("before");
			moments[i].moment();
			descriptors("after");
			works();
			FILE *report = fopen("gated", "w");
			NEED(report && fprintf(report, "%d\n", gated & 1) > 0 && fclose(report) == 0);
			return 0;
		}
	return 2;
}
