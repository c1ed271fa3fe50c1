/* Steps about descriptors: copies, ends, pipes and instances. Each takes three numbers. */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H
#include "world.h"

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

#endif
