/* Connections that another process knows as well: passed to it, or inherited with the instance. What is observed is what
 * reaches the clients, and that every wait ends: no wake-up is lost. */
#include "several/serving.h"

static void send_descriptor(int over, int fd)
{
	char byte = 'f', room[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	NEED(sendmsg(over, &message, 0) == 1);
}

/* The descriptor that comes over it, or -1 at the end. */
static int receive_descriptor(int over)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	int fd;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };
	if (recvmsg(over, &message, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	NEED(CMSG_FIRSTHDR(&message));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

/* Passed to another process while this one may hold its request back, with its own copy closed at once or kept. */
static void passed(int keep)
{
	int over[2], good = 0, status;
	char name[64];
	int ep = epoll_create1(EPOLL_CLOEXEC);
	NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, over) == 0);
	fflush(stdout);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		int theirs = epoll_create1(EPOLL_CLOEXEC), fd;
		close(over[0]);
		while ((fd = receive_descriptor(over[1])) >= 0) {
			watch(theirs, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET);
			serve(theirs, fd);
			close(fd);
			NEED(write(over[1], "", 1) == 1);
		}
		_exit(0);
	}
	close(over[1]);
	for (int i = 0; i < REQUESTS / 2; i++) {
		struct pair pair = tcp_pair();
		struct epoll_event event;
		char byte;
		watch(ep, EPOLL_CTL_ADD, pair.server, EPOLLIN);
		ask(pair.client, name);
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		if (i % 2 == 0 && handle(pair.server)) {
			good += right(pair.client, name);
			finish(pair);
			continue;
		}
		send_descriptor(over[0], pair.server);
		if (!keep)
			close(pair.server);
		good += right(pair.client, name);
		NEED(read(over[0], &byte, 1) == 1);
		if (keep)
			close(pair.server);
		close(pair.client);
	}
	close(over[0]);
	NEED(waitpid(child, &status, 0) == child && status == 0);
	close(ep);
	printf("passed to another process, %s: %d right\n", keep ? "kept" : "given", good);
}

/* An instance that a child has inherited: parent and child serve by the same registrations, one after the other. */
static void inherited(uint32_t kind, const char *what)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), good = 0, status;
	struct pair pair = tcp_pair();
	char name[64];
	watch(ep, EPOLL_CTL_ADD, pair.server, kind);
	for (int i = 0; i < REQUESTS / 4; i++) {
		ask(pair.client, name);
		if (i % 2) {
			serve(ep, pair.server);
		} else {
			fflush(stdout);
			pid_t child = fork();
			if (child == 0) {
				serve(ep, pair.server);
				_exit(0);
			}
			NEED(waitpid(child, &status, 0) == child && status == 0);
		}
		good += right(pair.client, name);
	}
	finish(pair);
	close(ep);
	printf("inherited, %s: %d right\n", what, good);
}

/* Forked while requests are held back: the child takes over the instance with all its registrations, as after a live
 * upgrade. */
static void taken_over(uint32_t kind, const char *what)
{
	enum { CONNECTIONS = 6 };
	int ep = epoll_create1(EPOLL_CLOEXEC), good = 0, status, done[CONNECTIONS] = { 0 };
	struct pair pairs[CONNECTIONS];
	char names[CONNECTIONS][64];
	for (int i = 0; i < CONNECTIONS; i++) {
		pairs[i] = tcp_pair();
		struct epoll_event event = { .events = kind, .data.u64 = i };
		NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pairs[i].server, &event) == 0);
		ask(pairs[i].client, names[i]);
		settle(pairs[i].server, 20);
	}
	/* Every one is told of and tried once. */
	for (int i = 0; i < CONNECTIONS; i++) {
		struct epoll_event event;
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		done[event.data.u64] = handle(pairs[event.data.u64].server);
	}
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		int left = 0;
		for (int i = 0; i < CONNECTIONS; i++)
			left += !done[i];
		while (left > 0) {
			struct epoll_event event;
			NEED(epoll_wait(ep, &event, 1, -1) == 1);
			int which = event.data.u64;
			if (!done[which] && handle(pairs[which].server)) {
				done[which] = 1;
				left--;
			}
		}
		_exit(0);
	}
	/* The parent does nothing, not even wait; it only stays. */
	NEED(waitpid(child, &status, 0) == child && status == 0);
	for (int i = 0; i < CONNECTIONS; i++) {
		good += right(pairs[i].client, names[i]);
		finish(pairs[i]);
	}
	close(ep);
	printf("taken over, %s: %d right\n", what, good);
}

static void scenario(void)
{
	NEED(mkdir("docs", 0755) == 0);
	passed(0);
	passed(1);
	inherited(EPOLLIN, "level");
	inherited(EPOLLIN | EPOLLET, "edge");
	taken_over(EPOLLIN, "level");
	taken_over(EPOLLIN | EPOLLET, "edge");
}

MAIN(scenario)
