/* Calls that the kernel refuses, and reads and writes of nothing: whatever is held back, the answer is the kernel's. */
#ifndef BAD_H
#define BAD_H
#include "waits.h"

/* Nothing is mapped there; and there no program's memory can be. */
#define UNMAPPED ((void *)16)
#define OUTSIDE ((void *)~4095ul)

/* A number that is never open: the descriptors that the interpreter opens for itself are above or below. */
enum { CLOSED = NUMBERS - 1 };

static void do_bad_read(int a, int b, int c)
{
	(void)c;
	int fd = chosen(ONE(CONNECTION), a);
	if (fd < 0 || is_blocking(fd))
		return;
	struct iovec nowhere[2] = { { UNMAPPED, 10 }, { UNMAPPED, 20 } }, nothing[2] = { { bytes, 0 }, { NULL, 0 } };
	struct iovec huge = { bytes, (size_t)-1 };
	struct msghdr into_nowhere = { .msg_iov = nowhere, .msg_iovlen = 2 };
	struct msghdr without_vector = { .msg_iov = UNMAPPED, .msg_iovlen = 2 };
	struct msghdr into_nothing = { .msg_iov = nothing, .msg_iovlen = 2 };
	struct msghdr too_long = { .msg_iov = nothing, .msg_iovlen = IOV_MAX + 1 };
	ssize_t n = -1;
	/* A packet is taken even where its bytes find no place. */
	if (world->connections[numbers[fd].connection].packets)
		b = b % 2 ? 1 : 10;
	switch (b * 2 + c % 2) {
	case 0:
		n = read(fd, UNMAPPED, 10);
		break;
	case 1:
		n = read(fd, OUTSIDE, 10);
		break;
	case 2:
		n = readv(fd, nothing, -1);
		break;
	case 3:
		n = readv(fd, nothing, IOV_MAX + 1);
		break;
	case 4:
		n = readv(fd, UNMAPPED, 2);
		break;
	case 5:
		n = readv(fd, nowhere, 2);
		break;
	case 6:
		n = readv(fd, &huge, 1);
		break;
	case 7:
		n = recv(fd, UNMAPPED, 10, 0);
		break;
	case 8:
		n = recvmsg(fd, UNMAPPED, 0);
		break;
	case 9:
		n = recvmsg(fd, &into_nowhere, 0);
		break;
	case 10:
		n = recvmsg(fd, &without_vector, 0);
		break;
	case 11:
		n = recvmsg(fd, &too_long, 0);
		break;
	case 12:
		n = read(fd, bytes, 0);
		break;
	case 13:
		n = readv(fd, nothing, 0);
		break;
	case 14:
		n = readv(fd, nothing, 2);
		break;
	case 15:
		n = recv(fd, bytes, 0, 0);
		break;
	case 16:
		n = recvmsg(fd, &into_nothing, 0);
		break;
	case 17:
		n = recv(fd, bytes, 10, MSG_OOB);
		break;
	case 18:
		n = preadv2(fd, nowhere, 2, -1, 0);
		break;
	case 19:
		n = preadv2(fd, nothing, 2, 5, 0);
		break;
	case 20:
		n = readv(fd, nothing, INT_MIN);
		break;
	case 21:
		n = read(CLOSED, bytes, 10);
		break;
	case 22:
		n = recvmsg(CLOSED, &into_nothing, 0);
		break;
	default:
		n = pread(fd, bytes, 10, 0);
	}
	printf("bad_read %d %d = %zd %s\n", b * 2 + c % 2, fd, n, error_name(n));
}

static void do_bad_write(int a, int b, int c)
{
	int fd = chosen(ONE(CONNECTION), a), pipe = chosen(ONE(PIPE_OUT), 0), file = chosen(ONE(DOCUMENT), a);
	if (fd < 0 || is_blocking(fd))
		return;
	struct iovec nowhere[2] = { { UNMAPPED, 10 }, { UNMAPPED, 20 } }, nothing[2] = { { own, 0 }, { NULL, 0 } };
	struct iovec huge = { own, (size_t)-1 };
	struct msghdr from_nowhere = { .msg_iov = nowhere, .msg_iovlen = 2 };
	struct msghdr of_nothing = { .msg_iov = nothing, .msg_iovlen = 2 };
	struct msghdr too_long = { .msg_iov = nothing, .msg_iovlen = IOV_MAX + 1 };
	off_t before = -5;
	ssize_t n = -1;
	/* An empty packet is one. */
	if (world->connections[numbers[fd].connection].packets)
		b = b % 2 ? 1 : 2;
	switch (b * 2 + c % 2) {
	case 0:
		n = write(fd, UNMAPPED, 10);
		break;
	case 1:
		n = send(fd, UNMAPPED, 10, MSG_NOSIGNAL);
		break;
	case 2:
		n = writev(fd, nothing, -1);
		break;
	case 3:
		n = writev(fd, nothing, IOV_MAX + 1);
		break;
	case 4:
		n = writev(fd, UNMAPPED, 2);
		break;
	case 5:
		n = writev(fd, nowhere, 2);
		break;
	case 6:
		n = writev(fd, &huge, 1);
		break;
	case 7:
		n = sendmsg(fd, UNMAPPED, MSG_NOSIGNAL);
		break;
	case 8:
		n = sendmsg(fd, &from_nowhere, MSG_NOSIGNAL);
		break;
	case 9:
		n = sendmsg(fd, &too_long, MSG_NOSIGNAL);
		break;
	case 10:
		n = write(fd, own, 0);
		break;
	case 11:
		n = writev(fd, nothing, 2);
		break;
	case 12:
		n = sendmsg(fd, &of_nothing, MSG_NOSIGNAL);
		break;
	case 13:
		n = sendfile(fd, CLOSED, NULL, 10);
		break;
	case 14:
		n = pipe < 0 ? -1 : sendfile(fd, pipe, NULL, 10);
		break;
	case 15:
		n = file < 0 ? -1 : sendfile(fd, file, UNMAPPED, 10);
		break;
	case 16:
		n = file < 0 ? -1 : sendfile(fd, file, &before, 10);
		break;
	case 17:
		n = file < 0 ? -1 : sendfile(fd, file, NULL, 0);
		break;
	case 18:
		n = sendfile(fd, fd, NULL, 10);
		break;
	case 19:
		n = file < 0 ? -1 : splice(file, NULL, fd, NULL, 10, 0);
		break;
	case 20:
		n = writev(fd, nothing, INT_MIN);
		break;
	default:
		n = send(fd, own, 0, MSG_NOSIGNAL);
	}
	printf("bad_write %d %d = %zd %s\n", b * 2 + c % 2, fd, n, error_name(n));
}

static void do_bad_wait(int a, int b, int c)
{
	int instance = chosen(ONE(INSTANCE), a), fd = chosen(POLLABLE, a), n = -1;
	if (instance < 0 || fd < 0)
		return;
	struct epoll_event events[2];
	struct timespec wrong = { 0, 1000000000 }, before = { -1, 0 }, none = { 0, 0 };
	struct timeval wrong_time = { -1, 0 };
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	fd_set set;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	switch (b * 2 + c % 2) {
	case 0:
		n = epoll_wait(instance, events, 0, 0);
		break;
	case 1:
		n = epoll_wait(instance, events, -1, 0);
		break;
	case 2:
		n = epoll_wait(instance, events, INT_MAX, 0);
		break;
	case 3:
		n = epoll_wait(instance, OUTSIDE, 2, 0);
		break;
	case 4:
		/* Where nothing is ready, nobody writes there. */
		if (!will_tell(instance, 0))
			return;
		n = epoll_wait(instance, UNMAPPED, 2, 0);
		break;
	case 5:
		n = epoll_wait(fd, events, 2, 0);
		break;
	case 6:
		n = epoll_wait(CLOSED, events, 2, 0);
		break;
	case 7:
		n = epoll_pwait2(instance, events, 2, &wrong, NULL);
		break;
	case 8:
		n = epoll_pwait2(instance, events, 2, UNMAPPED, NULL);
		break;
	case 9:
		n = epoll_pwait(instance, events, 2, 0, UNMAPPED);
		break;
	case 10:
		n = poll(UNMAPPED, 1, 0);
		break;
	case 11:
		n = poll(&ready, 1ul << 31, 0);
		break;
	case 12:
		n = ppoll(&ready, 1, &wrong, NULL);
		break;
	case 13:
		n = ppoll(&ready, 1, &before, NULL);
		break;
	case 14:
		n = ppoll(&ready, 1, &none, UNMAPPED);
		break;
	case 15:
		n = select(-1, &set, NULL, NULL, NULL);
		break;
	case 16:
		n = select(fd + 1, UNMAPPED, NULL, NULL, NULL);
		break;
	case 17:
		n = select(fd + 1, NULL, &set, UNMAPPED, NULL);
		break;
	case 18:
		n = select(fd + 1, &set, NULL, NULL, &wrong_time);
		break;
	case 19:
		n = pselect(fd + 1, &set, NULL, NULL, &wrong, NULL);
		break;
	default:
		n = epoll_pwait2(CLOSED, events, 2, &none, NULL);
	}
	printf("bad_wait %d = %d %s\n", b * 2 + c % 2, n, error_name(n));
}
#endif
