/* Every way to take bytes from a socket: accepted, connected, Unix, datagram; flags, ancillary data, errors. */
#include "common.h"

ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);

static char b[4096], c[4096];

#define RECEIVE(call)                                                                                                  \
	do {                                                                                                           \
		memset(b, 0, sizeof b);                                                                                \
		memset(c, 0, sizeof c);                                                                                \
		CALL(call);                                                                                            \
		printf("  \"%s\" \"%s\"\n", b, c);                                                                     \
	} while (0)

static int overflow_fd;
static void overflow_recv(void) { __recv_chk(overflow_fd, b, 100, 10, 0); }
static void overflow_recvfrom(void) { __recvfrom_chk(overflow_fd, b, 100, 10, 0, NULL, NULL); }

static void all_ways(struct pair pair, const char *what)
{
	struct iovec two[2] = { { b, 4 }, { c, 100 } };
	struct msghdr message = { .msg_iov = two, .msg_iovlen = 2 };
	struct mmsghdr many[2] = { { .msg_hdr = { .msg_iov = &two[0], .msg_iovlen = 1 } },
				   { .msg_hdr = { .msg_iov = &two[1], .msg_iovlen = 1 } } };
	struct sockaddr_storage from;
	socklen_t length = sizeof from;
	char sent[] = "GET /gone.html HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = pair.server, size = sizeof sent - 1, have = -1;
	printf("%s\n", what);
	RECEIVE(read(fd, b, 100));
	RECEIVE(recv(fd, b, 100, 0));
	RECEIVE(recv(fd, b, 100, MSG_DONTWAIT));
	RECEIVE(recvfrom(fd, b, 100, 0, NULL, NULL));
	RECEIVE(recvmsg(fd, &message, 0));
	RECEIVE(readv(fd, two, 2));
	for (int way = 0; way < 13; way++) {
		/* The request's file does not exist: a look at the request may be followed by a job, which finds nothing. */
		NEED(write(pair.client, sent, size) == size);
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		settle(fd, size);
		/* A library may answer EAGAIN for a while. How often it does is not observed; that it ends is. */
		for (;;) {
			memset(b, 0, sizeof b);
			memset(c, 0, sizeof c);
			errno = UNTOUCHED;
			ssize_t n = way == 0	? read(fd, b, 100)
				    : way == 1	? __read_chk(fd, b, 100, sizeof b)
				    : way == 2	? recv(fd, b, 100, 0)
				    : way == 3	? __recv_chk(fd, b, 100, sizeof b, 0)
				    : way == 4	? recvfrom(fd, b, 100, 0, (struct sockaddr *)&from, &length)
				    : way == 5	? __recvfrom_chk(fd, b, 100, sizeof b, 0, NULL, NULL)
				    : way == 6	? recvmsg(fd, &message, 0)
				    : way == 7	? readv(fd, two, 2)
				    : way == 8	? recv(fd, b, 100, MSG_DONTWAIT)
				    : way == 9	? recvmmsg(fd, many, 2, MSG_DONTWAIT, NULL)
				    : way == 10 ? recv(fd, b, 100, MSG_PEEK)
				    : way == 11 ? recv(fd, b, 5, MSG_WAITALL)
						: recv(fd, b, 100, MSG_TRUNC);
			if (n < 0 && errno == EAGAIN) {
				NEED(poll(&ready, 1, 10000) == 1);
				usleep(1000);
				continue;
			}
			printf("way %d: ", way);
			show("result", n, errno);
			if (way != 12)
				printf("  \"%.12s\" \"%.12s\"\n", b, c);
			break;
		}
		/* Whatever is left goes. */
		CALL(ioctl(fd, FIONREAD, &have));
		printf("  left %d\n", have);
		while (have > 0 && (recv(fd, b, sizeof b, MSG_DONTWAIT) > 0 || errno == EAGAIN))
			ioctl(fd, FIONREAD, &have);
	}
	RECEIVE(recv(fd, b, 0, 0));
	RECEIVE(recv(fd, b, 10, MSG_OOB));
	void *volatile nowhere = (void *)16;
	NEED(write(pair.client, "x", 1) == 1);
	settle(fd, 1);
	RECEIVE(recv(fd, nowhere, 10, 0));
	RECEIVE(read(fd, nowhere, 10));
	RECEIVE(recvmsg(fd, nowhere, 0));
	RECEIVE(recv(fd, b, 10, 0));
	/* A FIN: what was sent before it, then the end, as often as asked. */
	NEED(write(pair.client, "last", 4) == 4);
	settle(fd, 4);
	shutdown(pair.client, SHUT_WR);
	RECEIVE(read(fd, b, 100));
	struct pollfd ended = { .fd = fd, .events = POLLIN | POLLRDHUP };
	NEED(poll(&ended, 1, 10000) == 1);
	RECEIVE(recv(fd, b, 100, 0));
	RECEIVE(read(fd, b, 100));
	RECEIVE(readv(fd, two, 2));
	close(pair.client);
	close(pair.server);
}

static void scenario(void)
{
	struct pair pair = tcp_pair();
	int both[2], passed;
	all_ways(pair, "accepted TCP");

	NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, both) == 0);
	all_ways((struct pair){ both[0], both[1] }, "Unix socket pair");

	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	NEED(bind(listening, (struct sockaddr *)&name, sizeof name) == 0 && listen(listening, 5) == 0);
	pair.client = socket(AF_UNIX, SOCK_STREAM, 0);
	NEED(connect(pair.client, (struct sockaddr *)&name, sizeof name) == 0);
	pair.server = accepted_by(listening);
	all_ways(pair, "accepted Unix");

	/* A descriptor that comes as ancillary data arrives, also when the bytes look like a request. */
	pair.client = socket(AF_UNIX, SOCK_STREAM, 0);
	NEED(connect(pair.client, (struct sockaddr *)&name, sizeof name) == 0);
	pair.server = accepted_by(listening);
	int pipes[2];
	NEED(pipe(pipes) == 0);
	struct iovec one = { "GET /x HTTP/1.0\r\n\r\n", 19 };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(header), &pipes[1], sizeof(int));
	NEED(sendmsg(pair.client, &message, 0) == 19);
	settle(pair.server, 19);
	char into[64];
	struct iovec got = { into, sizeof into };
	message = (struct msghdr){ .msg_iov = &got, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t n;
	while ((n = recvmsg(pair.server, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EAGAIN)
		usleep(1000);
	printf("with a descriptor: %zd bytes, control %zu\n", n, (size_t)message.msg_controllen);
	header = CMSG_FIRSTHDR(&message);
	memcpy(&passed, CMSG_DATA(header), sizeof passed);
	NEED(write(passed, "through", 7) == 7);
	n = CALL(read(pipes[0], into, sizeof into));
	text("through", into, n);
	close(passed);
	close(pipes[0]);
	close(pipes[1]);
	close(pair.client);
	close(pair.server);
	close(listening);

	/* A reset. */
	pair = tcp_pair();
	close_with_reset(pair.client);
	struct pollfd ended = { .fd = pair.server, .events = POLLIN };
	NEED(poll(&ended, 1, 10000) == 1);
	RECEIVE(read(pair.server, b, 100));
	RECEIVE(read(pair.server, b, 100));
	close(pair.server);

	/* Datagrams keep their borders and their sender. */
	NEED(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, both) == 0);
	NEED(write(both[0], "first datagram", 14) == 14 && write(both[0], "second", 6) == 6);
	RECEIVE(recv(both[1], b, 5, MSG_TRUNC));
	RECEIVE(recv(both[1], b, 100, MSG_PEEK));
	RECEIVE(recv(both[1], b, 100, 0));
	RECEIVE(recv(both[1], b, 100, 0));
	close(both[0]);
	close(both[1]);

	/* A blocking accepted socket blocks: no EAGAIN, whatever the request asks for. */
	pair = tcp_pair();
	fcntl(pair.server, F_SETFL, 0);
	write_document("plain.html", "plain", 1000);
	chill("plain.html");
	NEED(write(pair.client, "GET /plain.html HTTP/1.0\r\n\r\n", 28) == 28);
	settle(pair.server, 28);
	RECEIVE(read(pair.server, b, 12));
	RECEIVE(recv(pair.server, b, 100, MSG_WAITALL | MSG_DONTWAIT));
	overflow_fd = pair.server;
	in_child("__recv_chk overflows", overflow_recv);
	in_child("__recvfrom_chk overflows", overflow_recvfrom);
	close(pair.client);
	close(pair.server);

	/* Not sockets, not open, not connected. */
	int file = open("plain.html", O_RDONLY), alone = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	RECEIVE(recv(file, b, 10, 0));
	RECEIVE(__recv_chk(file, b, 10, sizeof b, 0));
	RECEIVE(recvfrom(file, b, 10, 0, NULL, NULL));
	RECEIVE(recv(-1, b, 10, 0));
	RECEIVE(recv(9999, b, 10, 0));
	RECEIVE(__recvfrom_chk(9999, b, 10, sizeof b, 0, NULL, NULL));
	RECEIVE(recv(alone, b, 10, 0));
	RECEIVE(read(alone, b, 10));
	close(file);
	close(alone);
}

MAIN(scenario)
