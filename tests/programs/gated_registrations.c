/* What a server may do to the registration of a connection while its request is held back, and to the epoll instance. */
#include "while_gated/epoll.h"

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

/* Another number of the instance, by way of a message. */
static int passed(int fd)
{
	int ends[2], copy;
	char byte = 'p', room[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd) };
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	NEED(sendmsg(ends[0], &message, 0) == 1 && recvmsg(ends[1], &message, 0) == 1);
	memcpy(&copy, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof copy);
	close(ends[0]);
	close(ends[1]);
	return copy;
}

/* The same, where that number has come by a message, and the connection is registered by it. */
static void one_event_by_message(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated, other = passed(ep);
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLONESHOT, .data.u64 = 9500 };
	NEED(epoll_ctl(ep, EPOLL_CTL_DEL, pair.server, NULL) == 0);
	NEED(epoll_ctl(other, EPOLL_CTL_ADD, pair.server, &event) == 0);
	NEED(epoll_wait(ep, &event, 1, -1) == 1 && event.data.u64 == 9500);
	printf("told once more: %d\n", epoll_wait(ep, &event, 1, 300));
	event.events = EPOLLIN;
	NEED(epoll_ctl(other, EPOLL_CTL_MOD, pair.server, &event) == 0);
	if (was)
		serve(pair.server, 9500);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(other);
	close(pair.client);
	close(pair.server);
}

static volatile sig_atomic_t caught;
static int of_handler, elsewhere, refused_to_handler;

/* Changes the registration, and adds another one in a second instance. */
static void registers(int signal)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 9600 };
	int saved = errno;
	refused_to_handler += epoll_ctl(ep, EPOLL_CTL_MOD, of_handler, &event) != 0;
	event.data.u64 = 9700;
	refused_to_handler += epoll_ctl(elsewhere, EPOLL_CTL_ADD, of_handler, &event) != 0;
	caught = signal;
	errno = saved;
}

/* By a signal handler that has interrupted a call about that connection. */
static void changed_in_handler(void)
{
	enum { TIMES = 8 };
	int times_held = 0;
	void *volatile nowhere = (void *)16;
	struct sigaction action = { .sa_handler = registers, .sa_flags = SA_RESTART };
	struct itimerval soon = { .it_value.tv_usec = 300 };
	elsewhere = epoll_create1(EPOLL_CLOEXEC);
	sigaction(SIGALRM, &action, NULL);
	for (int i = 0; i < TIMES; i++) {
		int which, refused = 0, calls = 0;
		gated = 0;
		struct pair pair = held(EPOLLIN, &which);
		times_held += gated;
		of_handler = pair.server;
		caught = 0;
		setitimer(ITIMER_REAL, &soon, NULL);
		/* The kernel refuses each, and nothing comes of them; the last one is behind the handler. */
		for (int is_over = 0; !is_over; calls++) {
			is_over = caught;
			refused += epoll_ctl(ep, EPOLL_CTL_MOD, pair.server, nowhere) != 0 && errno == EFAULT;
		}
		if (gated)
			serve(pair.server, 9600);
		printf("all refused: %d, answered: %s\n", refused == calls, right(pair.client, which));
		finish(pair);
		quiet("after it");
	}
	gated = times_held > 0;
	printf("refused to the handler: %d\n", refused_to_handler);
	close(elsewhere);
}

static const struct moment moments[] = {
	{ "deleted_and_added", deleted_and_added },
	{ "modified", modified },
	{ "refused", refused },
	{ "not_interested", not_interested },
	{ "instance_closed", instance_closed },
	{ "second_instance", second_instance },
	{ "instance_renamed", instance_renamed },
	{ "instance_by_alias", instance_by_alias },
	{ "one_event_by_alias", one_event_by_alias },
	{ "one_event_by_message", one_event_by_message },
	{ "changed_in_handler", changed_in_handler },
};

MAIN_OF(moments)
