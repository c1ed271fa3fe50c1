/* sendfile and the writes: results, positions, short transfers, errors. */
#include "common.h"

static int take_all(int fd, unsigned *sum)
{
	unsigned char piece[65536];
	int total = 0;
	for (ssize_t n; (n = recv(fd, piece, sizeof piece, MSG_DONTWAIT)) > 0; total += n)
		for (ssize_t i = 0; i < n; i++)
			*sum = *sum * 31 + piece[i];
	return total;
}

static void taken(struct pair pair, int wanted)
{
	unsigned sum = 17;
	int total = 0;
	for (int i = 0; i < 10000 && total < wanted; i++) {
		total += take_all(pair.client, &sum);
		if (total < wanted)
			usleep(1000);
	}
	printf("  client has %d bytes, %08x\n", total, sum);
}

#define SENDFILE(call, wanted)                                                                                         \
	do {                                                                                                           \
		CALL(call);                                                                                            \
		printf("  offset %ld, position %ld\n", (long)offset, (long)lseek(file, 0, SEEK_CUR));                  \
		taken(pair, wanted);                                                                                   \
	} while (0)

static void scenario(void)
{
	struct pair pair = tcp_pair();
	off_t offset = 0;
	void *volatile nowhere = (void *)16;
	/* In memory, where it was just written: of a cold file a non-blocking socket may take nothing for a while. */
	write_document("file", "file", 200000);
	NEED(mkdir("dir", 0755) == 0);
	int file = open("file", O_RDONLY), writing = open("file", O_WRONLY), dir = open("dir", O_RDONLY), pipes[2];

	SENDFILE(sendfile(pair.server, file, &offset, 5000), 5000);
	offset = 100000;
	SENDFILE(sendfile64(pair.server, file, &offset, 10000), 10000);
	SENDFILE(sendfile(pair.server, file, NULL, 3000), 3000);
	SENDFILE(sendfile64(pair.server, file, NULL, 3000), 3000);
	offset = 199000;
	SENDFILE(sendfile(pair.server, file, &offset, 5000), 1000);
	SENDFILE(sendfile(pair.server, file, &offset, 5000), 0);
	SENDFILE(sendfile(pair.server, file, &offset, 0), 0);
	offset = -1;
	SENDFILE(sendfile(pair.server, file, &offset, 10), 0);
	offset = 0;
	SENDFILE(sendfile(pair.server, 9999, &offset, 10), 0);
	SENDFILE(sendfile(9999, file, &offset, 10), 0);
	SENDFILE(sendfile64(pair.server, writing, &offset, 10), 0);
	SENDFILE(sendfile(pair.server, dir, &offset, 10), 0);
	SENDFILE(sendfile(pair.server, pair.server, NULL, 10), 0);
	CALL(sendfile(pair.server, file, nowhere, 10));
	NEED(pipe(pipes) == 0);
	SENDFILE(sendfile(pipes[1], file, &offset, 1000), 0);
	CALL(splice(file, NULL, pipes[1], NULL, 500, 0));
	CALL(splice(pipes[0], NULL, pair.server, NULL, 1500, 0));
	taken(pair, 1500);

	/* From a mapping, and from memory. */
	char *map = mmap(NULL, 200000, PROT_READ, MAP_SHARED, file, 0);
	struct iovec two[2] = { { map + 1000, 3000 }, { "tail", 4 } };
	CALL(write(pair.server, map + 50000, 20000));
	taken(pair, 20000);
	CALL(writev(pair.server, two, 2));
	taken(pair, 3004);
	CALL(send(pair.server, map + 150000, 1000, MSG_MORE));
	CALL(send(pair.server, "end", 3, 0));
	taken(pair, 1003);
	CALL(write(pair.server, nowhere, 10));
	munmap(map, 200000);

	/* A full socket: EAGAIN, and the offset stays. */
	int small = 4096;
	setsockopt(pair.server, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	long sent = 0;
	ssize_t n;
	offset = 0;
	while ((n = sendfile(pair.server, file, &offset, 100000)) > 0 || (n == 0 && offset > 0)) {
		sent += n;
		if (n == 0)
			offset = 0;
	}
	printf("full: %zd %s, offset counts what was sent: %d\n", n, strerrorname_np(errno), sent % 200000 == offset);
	close(pair.client);
	close(pair.server);

	/* A client that went away. */
	signal(SIGPIPE, SIG_IGN);
	pair = tcp_pair();
	close_with_reset(pair.client);
	struct pollfd gone = { .fd = pair.server, .events = POLLIN };
	NEED(poll(&gone, 1, 10000) == 1);
	offset = 0;
	CALL(sendfile(pair.server, file, &offset, 10));
	CALL(sendfile(pair.server, file, &offset, 10));
	close(pair.server);
	close(file);
	close(writing);
	close(dir);
	close(pipes[0]);
	close(pipes[1]);
}

MAIN(scenario)
