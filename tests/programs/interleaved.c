/* Several bodies of cold files on one connection, a piece of each in turn, as by HTTP/2: read ahead for all and then written, or sent
 * by the kernel; one of them is left out for a while, as if its window were closed. What is observed is what reaches the client. */
#include "common.h"
#include <sys/uio.h>

enum { FILES = 6, LENGTH = 700000, PIECE = 16375, AHEAD = 2, HEADER = 9 };
enum way { PREAD, WRITEV, PREADV2, SENDFILE };

static const char *const ways[] = { "pread and write", "pread and writev", "preadv2 and writev", "sendfile" };

/* A piece of a file, behind the header of its frame. */
struct piece {
	unsigned char bytes[HEADER + PIECE];
	size_t length, sent;
};

struct server {
	enum way way;
	int to, files[FILES];
	off_t at[FILES];
	struct piece pieces[FILES * AHEAD];
	int held, written, turn;
};

static void frame(unsigned char *header, size_t length, int file)
{
	unsigned char frame[HEADER] = { length >> 16, length >> 8, length, 0, 0, 0, 0, 0, 2 * file + 1 };
	memcpy(header, frame, HEADER);
}

static int is_open(const struct server *server, int file)
{
	return server->at[file] < LENGTH && !(file == 1 && server->turn < 12 && server->at[file] > 100000);
}

/* Reads some pieces of each file whose window is open. */
static void read_ahead(struct server *server)
{
	server->held = server->written = 0;
	server->turn++;
	for (int file = 0; file < FILES; file++)
		for (int i = 0; i < AHEAD && is_open(server, file); i++) {
			struct piece *piece = &server->pieces[server->held];
			struct iovec room = { piece->bytes + HEADER, PIECE };
			ssize_t n = server->way == PREADV2 ? preadv2(server->files[file], &room, 1, server->at[file], 0) :
							     pread(server->files[file], room.iov_base, PIECE, server->at[file]);
			NEED(n > 0);
			frame(piece->bytes, n, file);
			piece->length = HEADER + n;
			piece->sent = 0;
			server->at[file] += n;
			server->held++;
		}
}

static void written(struct server *server, size_t n)
{
	while (n > 0) {
		struct piece *piece = &server->pieces[server->written];
		size_t left = piece->length - piece->sent, taken = n < left ? n : left;
		piece->sent += taken;
		n -= taken;
		if (piece->sent == piece->length)
			server->written++;
	}
}

/* One write, of one piece or of all: 0 when all files are out. */
static ssize_t step(struct server *server)
{
	if (server->way == SENDFILE) {
		for (int i = 0; i < FILES; i++) {
			int file = server->turn++ % FILES;
			if (server->at[file] < LENGTH)
				return sendfile(server->to, server->files[file], &server->at[file], 2 * PIECE);
		}
		return 0;
	}
	if (server->written == server->held)
		read_ahead(server);
	struct iovec parts[FILES * AHEAD];
	int count = 0;
	for (int i = server->written; i < server->held; i++) {
		struct piece *piece = &server->pieces[i];
		parts[count++] = (struct iovec){ piece->bytes + piece->sent, piece->length - piece->sent };
	}
	if (count == 0)
		return 0;
	ssize_t n = server->way == PREAD ? write(server->to, parts[0].iov_base, parts[0].iov_len) : writev(server->to, parts, count);
	if (n > 0)
		written(server, n);
	return n;
}

/* Takes what there is: with the kernel's transfers nobody knows how long each was, so the bytes are added up whatever their order. */
static int take(int client, long *bytes, unsigned long *sum)
{
	unsigned char piece[65536];
	ssize_t n = recv(client, piece, sizeof piece, MSG_DONTWAIT);
	for (ssize_t i = 0; i < n; i++)
		*sum += piece[i] * 2654435761ul;
	*bytes += n > 0 ? n : 0;
	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* The same where each write is whole frames: their order counts. */
static int follow(int client, long *bytes, unsigned long *sum)
{
	unsigned char piece[65536];
	ssize_t n = recv(client, piece, sizeof piece, MSG_DONTWAIT);
	for (ssize_t i = 0; i < n; i++)
		*sum = *sum * 31 + piece[i];
	*bytes += n > 0 ? n : 0;
	return n == 0 || (n < 0 && errno != EAGAIN);
}

static void interleaved(enum way way, const char *name, uint32_t kind)
{
	static struct server server;
	struct pair pair = tcp_pair();
	char path[64];
	server = (struct server){ .way = way, .to = pair.server };
	for (int file = 0; file < FILES; file++) {
		snprintf(path, sizeof path, "interleaved-%d", file);
		write_document(path, path, LENGTH);
		chill(path);
		server.files[file] = open(path, O_RDONLY | O_CLOEXEC);
		NEED(server.files[file] >= 0);
	}
	int (*takes)(int, long *, unsigned long *) = way == SENDFILE ? take : follow;
	int ep = epoll_create1(EPOLL_CLOEXEC), over = 0;
	struct epoll_event event = { .events = EPOLLOUT | kind };
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) == 0);
	long bytes = 0;
	unsigned long sum = 0;
	ssize_t n = 1;
	while (n != 0) {
		/* A lost wake-up shows as a test that does not end. */
		if (epoll_wait(ep, &event, 1, 10) == 1) {
			do
				n = step(&server);
			while (n > 0);
			NEED(n == 0 || errno == EAGAIN);
		}
		NEED(!takes(pair.client, &bytes, &sum));
	}
	close(ep);
	close(pair.server);
	while (!over) {
		struct pollfd ready = { .fd = pair.client, .events = POLLIN };
		NEED(poll(&ready, 1, 10000) == 1);
		over = takes(pair.client, &bytes, &sum);
	}
	close(pair.client);
	printf("%s, %s: the client has %ld bytes, %016lx\n", ways[way], name, bytes, sum);
	fflush(stdout);
	for (int file = 0; file < FILES; file++) {
		snprintf(path, sizeof path, "interleaved-%d", file);
		close(server.files[file]);
		unlink(path);
	}
}

static void scenario(void)
{
	for (enum way way = PREAD; way <= SENDFILE; way++) {
		interleaved(way, "level-triggered", 0);
		interleaved(way, "edge-triggered", EPOLLET);
	}
}

MAIN(scenario)
