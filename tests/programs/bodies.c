/* Long bodies of cold files, sent in every way and every kind of registration to a client that takes its time; and what may happen
 * to file, mapping and client under way. What is observed is what reaches the client and how a transfer ends; how often a call
 * answered EAGAIN or transferred less is the kernel's freedom and is not printed. */
#include "common.h"

enum { LENGTH = 1500000, TAKEN = 65536, PIPE = 65536 };
enum way { SENDFILE, POSITION, SPLICE, PREAD, WRITEV, WRITE };

static const char *const ways[] = { "sendfile", "sendfile without an offset", "splice", "pread and write", "writev from a mapping",
				    "write from a mapping" };

struct body {
	enum way way;
	int file, to, pipes[2], piped;
	/* How much is out, and how much is to be. */
	off_t at, most;
	char *map, *buffer;
	size_t held, sent;
};

/* What a client has got, up to `most` where that is set, and whether its connection has ended. */
struct got {
	long bytes, most;
	unsigned sum;
	int over;
};

static int number;

/* How many milliseconds the loop has been busy with others when it comes to a body. */
static long busy;

static struct body begin(enum way way, struct pair pair, char *path)
{
	struct body body = { .way = way, .to = pair.server, .map = MAP_FAILED, .most = LENGTH };
	sprintf(path, "body-%d", number++);
	write_document(path, path, LENGTH);
	chill(path);
	body.file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(body.file >= 0);
	if (way == SPLICE)
		NEED(pipe2(body.pipes, O_NONBLOCK | O_CLOEXEC) == 0);
	if (way == PREAD)
		NEED((body.buffer = malloc(TAKEN)) != NULL);
	if (way == WRITEV || way == WRITE)
		NEED((body.map = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, body.file, 0)) != MAP_FAILED);
	return body;
}

static void finish(struct body *body)
{
	close(body->file);
	if (body->way == SPLICE)
		close(body->pipes[0]), close(body->pipes[1]);
	free(body->buffer);
	if (body->map != MAP_FAILED)
		munmap(body->map, LENGTH);
}

/* One transfer: how much was sent, 0 at the end of the file. */
static ssize_t transfer(struct body *body)
{
	ssize_t n = 0;
	size_t left = body->most - body->at;
	struct iovec one = { body->map + body->at, left };
	switch (body->way) {
	case SENDFILE:
		return sendfile(body->to, body->file, &body->at, left);
	case POSITION:
		n = sendfile(body->to, body->file, NULL, left);
		break;
	case SPLICE:
		if (!body->piped) {
			off_t at = body->at;
			n = splice(body->file, &at, body->pipes[1], NULL, left < PIPE ? left : PIPE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
			if (n <= 0)
				return n;
			body->piped = n;
		}
		n = splice(body->pipes[0], NULL, body->to, NULL, body->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		body->piped -= n > 0 ? n : 0;
		break;
	case PREAD:
		if (body->sent == body->held) {
			n = pread(body->file, body->buffer, left < TAKEN ? left : TAKEN, body->at);
			if (n <= 0)
				return n;
			body->held = n;
			body->sent = 0;
		}
		n = write(body->to, body->buffer + body->sent, body->held - body->sent);
		body->sent += n > 0 ? n : 0;
		break;
	case WRITEV:
		n = left ? writev(body->to, &one, 1) : 0;
		break;
	case WRITE:
		n = left ? write(body->to, one.iov_base, left) : 0;
		break;
	}
	body->at += n > 0 ? n : 0;
	return n;
}

static void take(int client, struct got *got)
{
	unsigned char piece[TAKEN];
	ssize_t n = recv(client, piece, sizeof piece, MSG_DONTWAIT);
	got->over = n == 0 || (n < 0 && errno != EAGAIN);
	if (got->most && n > got->most - got->bytes)
		n = got->most - got->bytes;
	for (ssize_t i = 0; i < n; i++)
		got->sum = got->sum * 31 + piece[i];
	got->bytes += n > 0 ? n : 0;
}

static void be_busy(void)
{
	struct timespec begin, now;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < busy);
}

/* Sends until the body is out or an error ends it, or `most` bytes are; the client takes a piece each turn. */
static void send_body(struct body *body, int client, uint32_t kind, long most, struct got *got)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLOUT | kind };
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, body->to, &event) == 0);
	ssize_t n = 1;
	int error = 0;
	body->most = most;
	while (n != 0 && !error && body->at < most) {
		/* A lost wake-up shows as a test that does not end. */
		if (epoll_wait(ep, &event, 1, 10) == 1) {
			be_busy();
			/* Edges need every byte of room used; and some servers do so anyway. */
			do
				n = transfer(body);
			while (n > 0 && body->at < most);
			error = n < 0 && errno != EAGAIN ? errno : 0;
			if (kind & EPOLLONESHOT) {
				struct epoll_event again = { .events = EPOLLOUT | kind };
				NEED(epoll_ctl(ep, EPOLL_CTL_MOD, body->to, &again) == 0);
			}
		}
		take(client, got);
	}
	if (error)
		printf("  ended by %s\n", strerrorname_np(error));
	close(ep);
}

/* The client takes all that is on its way. */
static void drain(struct body *body, struct pair pair, struct got *got)
{
	(void)body;
	close(pair.server);
	while (!got->over) {
		struct pollfd ready = { .fd = pair.client, .events = POLLIN };
		NEED(poll(&ready, 1, 10000) == 1);
		take(pair.client, got);
	}
	close(pair.client);
	printf("  the client has %ld bytes, %08x\n", got->bytes, got->sum);
	fflush(stdout);
}

static void whole(enum way way, const char *name, uint32_t kind)
{
	char path[64];
	struct pair pair = tcp_pair();
	struct body body = begin(way, pair, path);
	struct got got = { 0 };
	printf("%s, %s\n", ways[way], name);
	send_body(&body, pair.client, kind, LENGTH, &got);
	drain(&body, pair, &got);
	finish(&body);
	unlink(path);
}

/* The file changes when 300,000 bytes are out. */
static void changed(enum way way, const char *how)
{
	char path[64], other[80];
	struct pair pair = tcp_pair();
	struct body body = begin(way, pair, path);
	struct got got = { 0 };
	printf("%s, %s\n", ways[way], how);
	send_body(&body, pair.client, EPOLLET, 300000, &got);
	if (strcmp(how, "truncated") == 0) {
		NEED(truncate(path, LENGTH - 4096 * 20) == 0);
		/* How much of a write that runs into the end of its mapping gets out depends on where it began. */
		if (way == WRITEV || way == WRITE)
			got.most = 1310720;
	} else if (strcmp(how, "deleted") == 0) {
		NEED(unlink(path) == 0);
	} else if (strcmp(how, "replaced") == 0) {
		snprintf(other, sizeof other, "%s.new", path);
		write_document(other, "other", LENGTH);
		NEED(rename(other, path) == 0);
	} else {
		NEED(strcmp(how, "mapped anew") == 0);
		munmap(body.map, LENGTH);
		/* Something else is there for a moment, then the file again, elsewhere. */
		char *wall = mmap(body.map, LENGTH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		body.map = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, body.file, 0);
		munmap(wall, LENGTH);
		NEED(body.map != MAP_FAILED);
	}
	send_body(&body, pair.client, EPOLLET, LENGTH, &got);
	drain(&body, pair, &got);
	finish(&body);
	unlink(path);
}

/* The client resets, which the server is told by its next transfer, whatever the disk does. */
static void reset_under_way(enum way way)
{
	char path[64];
	struct pair pair = tcp_pair();
	struct body body = begin(way, pair, path);
	struct got got = { 0 };
	ssize_t n;
	printf("%s, reset\n", ways[way]);
	send_body(&body, pair.client, EPOLLET, 300000, &got);
	body.most = LENGTH;
	chill(path);
	close_with_reset(pair.client);
	struct pollfd gone = { .fd = pair.server, .events = POLLIN };
	NEED(poll(&gone, 1, 10000) == 1);
	for (int i = 0; i < 3; i++) {
		n = transfer(&body);
		printf("  %s\n", n < 0 ? strerrorname_np(errno) : "sent");
	}
	close(pair.server);
	finish(&body);
	unlink(path);
}

static void *reader(void *client)
{
	static struct got got;
	got = (struct got){ 0 };
	while (!got.over) {
		struct pollfd ready = { .fd = *(int *)client, .events = POLLIN };
		NEED(poll(&ready, 1, 10000) == 1);
		take(*(int *)client, &got);
	}
	return &got;
}

/* A blocking socket takes all, or sleeps. */
static void blocking(enum way way)
{
	char path[64];
	struct pair pair = tcp_pair();
	struct body body = begin(way, pair, path);
	struct got *got;
	pthread_t thread;
	fcntl(pair.server, F_SETFL, fcntl(pair.server, F_GETFL) & ~O_NONBLOCK);
	NEED(pthread_create(&thread, NULL, reader, &pair.client) == 0);
	printf("%s, blocking\n", ways[way]);
	CALL(transfer(&body));
	shutdown(pair.server, SHUT_WR);
	NEED(pthread_join(thread, (void **)&got) == 0);
	printf("  the client has %ld bytes, %08x\n", got->bytes, got->sum);
	close(pair.client);
	close(pair.server);
	finish(&body);
	unlink(path);
}

static void scenario(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (enum way way = SENDFILE; way <= WRITE; way++) {
		whole(way, "level-triggered", 0);
		whole(way, "edge-triggered", EPOLLET);
		whole(way, "one-shot", EPOLLONESHOT);
		/* What gives way at the end of a long turn has to be reported in the next. */
		busy = 3;
		whole(way, "level-triggered, in long turns", 0);
		whole(way, "edge-triggered, in long turns", EPOLLET);
		whole(way, "one-shot, in long turns", EPOLLONESHOT);
		busy = 0;
		changed(way, "truncated");
		changed(way, "deleted");
		changed(way, "replaced");
		reset_under_way(way);
	}
	changed(WRITEV, "mapped anew");
	changed(WRITE, "mapped anew");
	blocking(SENDFILE);
	blocking(WRITEV);
	blocking(WRITE);
}

MAIN(scenario)
