/* Calls that the kernel refuses, and reads and writes of nothing, while a request or a body is cold: whatever would be held
 * back, EFAULT, EINVAL and a zero are the kernel's, and nothing is lost. */
#include "common.h"
#include <sys/select.h>

/* Nothing is mapped there; and no program has memory there. */
static void *volatile unmapped = (void *)16;
static void *volatile outside = (void *)~4095ul;

static struct iovec nowhere[2] = { { (void *)16, 10 }, { (void *)16, 20 } };
static char bytes[65536];
static struct iovec nothing[2] = { { bytes, 0 }, { NULL, 0 } };
static struct iovec huge = { bytes, (size_t)-1 };
static struct msghdr in_nowhere = { .msg_iov = nowhere, .msg_iovlen = 2 };
static struct msghdr of_nothing = { .msg_iov = nothing, .msg_iovlen = 2 };
static struct msghdr without_vector = { .msg_iov = (void *)16, .msg_iovlen = 2 };
static struct iovec part = { bytes, 8192 };
static struct msghdr wrong_control = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = (void *)16, .msg_controllen = 32 };
static struct msghdr too_long = { .msg_iov = nothing, .msg_iovlen = IOV_MAX + 1 };
static off_t before = -5;
enum { LENGTH = 256 << 10, PIECE = 8192 };
/* A request's length. */
enum { WHOLE = sizeof "GET /asked-00.html HTTP/1.1\r\nHost: localhost\r\n\r\n" - 1 };

static struct pair pair;
static int waits, file, asked;

/* A connection with a request for a file that is not in memory. */
static void ask(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.u64 = 77 };
	char name[32];
	pair = tcp_pair();
	NEED(epoll_ctl(waits, EPOLL_CTL_ADD, pair.server, &event) == 0);
	snprintf(name, sizeof name, "asked-%02d.html", asked++);
	ask_for_cold(pair.client, name, LENGTH);
	settle(pair.server, WHOLE);
}

/* The request is still there. */
static void read_request(void)
{
	size_t length = 0;
	for (int i = 0; i < 5000 && length < WHOLE; i++) {
		ssize_t n = read(pair.server, bytes + length, sizeof bytes - length);
		if (n > 0)
			length += n;
		else
			usleep(1000);
	}
	printf("  a request of %zu\n", length);
}

static void end(void)
{
	close(pair.client);
	close(pair.server);
}

/* A connection whose answer has begun with the beginning of a file, of which nothing more is in memory. */
static void begin(void)
{
	ask();
	read_request();
	char path[64];
	snprintf(path, sizeof path, "docs/asked-%02d.html", asked - 1);
	NEED(write(pair.server, "head", 4) == 4);
	file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && pread(file, bytes, PIECE, 0) == PIECE && pread(file, bytes, PIECE, PIECE) == PIECE);
	chill(path);
}

/* The same where the next part may be waited for already, and the file's position is its end. */
static void begin_and_go_on(void)
{
	begin();
	NEED(lseek(file, LENGTH, SEEK_SET) == LENGTH);
	NEED(write(pair.server, bytes, PIECE) == PIECE || errno == EAGAIN);
}

#define REFUSED_READ(call)                                                                                             \
	do {                                                                                                           \
		ask();                                                                                                 \
		CALL(call);                                                                                            \
		read_request();                                                                                        \
		end();                                                                                                 \
	} while (0)

#define REFUSED_WRITE(call)                                                                                            \
	do {                                                                                                           \
		begin();                                                                                               \
		CALL(call);                                                                                            \
		end();                                                                                                 \
		close(file);                                                                                           \
	} while (0)

#define WRITE_OF_NOTHING(call)                                                                                         \
	do {                                                                                                           \
		begin_and_go_on();                                                                                     \
		CALL(call);                                                                                            \
		end();                                                                                                 \
		close(file);                                                                                           \
	} while (0)

static void reads(void)
{
	int fd;
#define fd pair.server
	REFUSED_READ(read(fd, unmapped, 10));
	REFUSED_READ(read(fd, outside, 10));
	REFUSED_READ(recv(fd, unmapped, 10, 0));
	REFUSED_READ(recvfrom(fd, unmapped, 10, 0, NULL, NULL));
	REFUSED_READ(readv(fd, nothing, -1));
	REFUSED_READ(readv(fd, nothing, IOV_MAX + 1));
	REFUSED_READ(readv(fd, unmapped, 2));
	REFUSED_READ(readv(fd, nowhere, 2));
	REFUSED_READ(readv(fd, &huge, 1));
	REFUSED_READ(recvmsg(fd, unmapped, 0));
	REFUSED_READ(recvmsg(fd, &in_nowhere, 0));
	REFUSED_READ(recvmsg(fd, &without_vector, 0));
	REFUSED_READ(recvmsg(fd, &too_long, 0));
	REFUSED_READ(recv(fd, bytes, 10, MSG_OOB));
	REFUSED_READ(pread(fd, bytes, 10, 0));
	REFUSED_READ(preadv2(fd, nowhere, 2, -1, 0));
	/* Of nothing. */
	REFUSED_READ(read(fd, bytes, 0));
	REFUSED_READ(read(fd, unmapped, 0));
	REFUSED_READ(recv(fd, bytes, 0, 0));
	REFUSED_READ(readv(fd, nothing, 0));
	REFUSED_READ(readv(fd, unmapped, 0));
	REFUSED_READ(readv(fd, nothing, 2));
	REFUSED_READ(recvmsg(fd, &of_nothing, 0));
#undef fd
	(void)fd;
}

static void writes(void)
{
	int fd, pipes[2], writes_only = open("written", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	off_t past = LENGTH;
	NEED(writes_only >= 0 && ftruncate(writes_only, LENGTH) == 0);
	NEED(pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0 && write(pipes[1], "x", 1) == 1);
#define fd pair.server
	REFUSED_WRITE(write(fd, unmapped, 10));
	REFUSED_WRITE(write(fd, outside, 10));
	REFUSED_WRITE(send(fd, unmapped, 10, MSG_NOSIGNAL));
	REFUSED_WRITE(writev(fd, nothing, -1));
	REFUSED_WRITE(writev(fd, nothing, IOV_MAX + 1));
	REFUSED_WRITE(writev(fd, unmapped, 2));
	REFUSED_WRITE(writev(fd, nowhere, 2));
	REFUSED_WRITE(writev(fd, &huge, 1));
	REFUSED_WRITE(sendmsg(fd, unmapped, MSG_NOSIGNAL));
	REFUSED_WRITE(sendmsg(fd, &in_nowhere, MSG_NOSIGNAL));
	REFUSED_WRITE(sendmsg(fd, &without_vector, MSG_NOSIGNAL));
	REFUSED_WRITE(sendmsg(fd, &too_long, MSG_NOSIGNAL));
	REFUSED_WRITE(sendfile(fd, file, unmapped, 10));
	REFUSED_WRITE(sendfile(fd, file, &before, 10));
	REFUSED_WRITE(sendfile(fd, 9999, NULL, 10));
	REFUSED_WRITE(sendfile(fd, fd, NULL, 10));
	REFUSED_WRITE(splice(file, NULL, fd, NULL, 10, 0));
	/* Of nothing. */
	REFUSED_WRITE(write(fd, bytes, 0));
	REFUSED_WRITE(write(fd, unmapped, 0));
	REFUSED_WRITE(send(fd, bytes, 0, MSG_NOSIGNAL));
	REFUSED_WRITE(writev(fd, nothing, 0));
	REFUSED_WRITE(writev(fd, nothing, 2));
	REFUSED_WRITE(sendmsg(fd, &of_nothing, MSG_NOSIGNAL));
	REFUSED_WRITE(sendfile(fd, file, NULL, 0));
	REFUSED_WRITE(sendmsg(fd, &wrong_control, MSG_NOSIGNAL));
	REFUSED_WRITE(splice(pipes[0], NULL, fd, NULL, 0, SPLICE_F_NONBLOCK));
	REFUSED_WRITE(splice(pipes[0], NULL, fd, NULL, 10, 0x1000));
	REFUSED_WRITE(splice(pipes[0], &past, fd, NULL, 10, SPLICE_F_NONBLOCK));
	/* Where the next part is waited for, and there is nothing to send. */
	WRITE_OF_NOTHING(sendfile(fd, file, NULL, 10));
	WRITE_OF_NOTHING(sendfile(fd, file, &past, 10));
	WRITE_OF_NOTHING(sendfile(fd, writes_only, NULL, 10));
	WRITE_OF_NOTHING(send(fd, bytes, 0, MSG_NOSIGNAL));
	WRITE_OF_NOTHING(writev(fd, nothing, 2));
#undef fd
	(void)fd;
	close(writes_only);
	close(pipes[0]);
	close(pipes[1]);
}

/* Waits beside a cold request, which they may leave out, and a pipe, which they may not. */
static void waits_that_fail(int instance)
{
	struct timespec wrong = { 0, 1000000000 }, negative = { -1, 0 }, none = { 0, 0 };
	struct timeval wrong_time = { -1, 0 };
	struct epoll_event events[4], event = { .events = EPOLLIN, .data.u64 = 88 };
	int pipes[2];
	NEED(pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0 && write(pipes[1], "x", 1) == 1);
	NEED(epoll_ctl(instance, EPOLL_CTL_ADD, pipes[0], &event) == 0);
	ask();
	struct pollfd set[2] = { { .fd = pair.server, .events = POLLIN }, { .fd = pipes[0], .events = POLLIN } };
	fd_set in;
	FD_ZERO(&in);
	FD_SET(pair.server, &in);
	FD_SET(pipes[0], &in);
	CALL(epoll_wait(instance, events, 0, 0));
	CALL(epoll_wait(instance, events, -1, 0));
	CALL(epoll_wait(instance, events, INT_MAX, 0));
	CALL(epoll_wait(instance, unmapped, 4, 0));
	CALL(epoll_wait(instance, unmapped, 4, -1));
	CALL(epoll_wait(instance, outside, 4, -1));
	CALL(epoll_pwait(instance, events, 4, 0, unmapped));
	CALL(epoll_pwait(instance, unmapped, 4, -1, NULL));
	CALL(epoll_pwait2(instance, events, 4, &wrong, NULL));
	CALL(epoll_pwait2(instance, events, 4, unmapped, NULL));
	CALL(epoll_pwait2(instance, unmapped, 4, NULL, NULL));
	CALL(epoll_wait(pipes[0], events, 4, 0));
	CALL(epoll_wait(9999, events, 4, 0));
	CALL(poll(unmapped, 2, 0));
	CALL(poll(outside, 2, -1));
	/* Not where the compiler knows how large it is: fortified, that is checked first. */
	struct pollfd *volatile of_any_size = set;
	CALL(poll(of_any_size, 1ul << 31, 0));
	CALL(ppoll(set, 2, &wrong, NULL));
	CALL(ppoll(set, 2, &negative, NULL));
	CALL(ppoll(set, 2, &none, unmapped));
	CALL(select(-1, &in, NULL, NULL, NULL));
	CALL(select(FD_SETSIZE, unmapped, NULL, NULL, NULL));
	CALL(select(FD_SETSIZE, &in, outside, NULL, NULL));
	CALL(select(FD_SETSIZE, &in, NULL, NULL, &wrong_time));
	CALL(pselect(FD_SETSIZE, &in, NULL, NULL, &wrong, NULL));
	CALL(pselect(FD_SETSIZE, &in, NULL, NULL, &none, unmapped));
	read_request();
	end();
	close(pipes[0]);
	close(pipes[1]);
}

static void scenario(void)
{
	NEED(mkdir("docs", 0755) == 0);
	waits = engaged_epoll >= 0 ? engaged_epoll : epoll_create1(EPOLL_CLOEXEC);
	reads();
	writes();
	waits_that_fail(waits);
	if (waits != engaged_epoll)
		close(waits);
}

MAIN(scenario)
