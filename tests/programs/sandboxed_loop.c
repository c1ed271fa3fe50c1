/* Loops that meet everything for which the library makes system calls of its own: cold files, listings, and bodies by
 * sendfile, by reading and writing, and from a mapping, in epoll and in poll. What a filter refuses the program itself is
 * done by other means, so that the answers are the same. `sandboxed_loop engaged DIRECTORY` */
#include "common.h"

enum { BIG = 3 << 20 };
static unsigned char wanted[BIG + 8];
static volatile int different;

/* Reads a whole body at its own pace, and compares it. */
static void *client(void *argument)
{
	static unsigned char got[BIG];
	int fd = *(int *)argument;
	for (size_t at = 0; at < BIG;) {
		ssize_t n = recv(fd, got + at, BIG - at, 0);
		if (n <= 0)
			return NULL;
		at += n;
	}
	different = memcmp(got, wanted, BIG) != 0;
	return NULL;
}

enum how { SENT, COPIED, MAPPED };

static int is_refused(void) { return errno == EPERM || errno == ENOSYS; }

static int waits(int ep, int fd)
{
	struct epoll_event event;
	struct pollfd set[2] = { { fd, POLLOUT, 0 }, { engaged_pair.server, 0, 0 } };
	return ep >= 0 ? epoll_wait(ep, &event, 1, 20000) : poll(set, 2, 20000);
}

static void body(const char *what, enum how how, int in_epoll)
{
	char path[] = "docs/big";
	chill(path);
	struct pair pair = tcp_pair();
	/* A mapping is brought in behind what the socket has no room for. */
	int room = 64 << 10;
	(void)setsockopt(pair.server, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	int ep = in_epoll ? epoll_create1(EPOLL_CLOEXEC) : -1;
	struct epoll_event event = { .events = EPOLLOUT };
	if (ep < 0)
		in_epoll = 0;
	NEED(!in_epoll || epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) == 0);
	pthread_t thread;
	different = 1;
	int made = pthread_create(&thread, NULL, client, &pair.client);
	int file = open(path, O_RDONLY | O_CLOEXEC), left = BIG;
	NEED(file >= 0);
	unsigned char *map = how == MAPPED ? mmap(NULL, BIG, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED, piece[32768];
	off_t at = 0;
	/* Where there is no client, as much as the socket takes. */
	while (left > 0 && (made == 0 || at == 0)) {
		NEED(waits(ep, pair.server) == 1);
		ssize_t n = -1;
		if (how == SENT) {
			off_t offset = at;
			n = sendfile(pair.server, file, &offset, left);
			if (n < 0 && is_refused())
				how = COPIED;
		} else if (map != MAP_FAILED) {
			struct iovec part = { map + at, left };
			n = writev(pair.server, &part, 1);
		}
		if (how == COPIED || (how == MAPPED && map == MAP_FAILED)) {
			ssize_t have = pread(file, piece, left < (int)sizeof piece ? left : (int)sizeof piece, at);
			if (have < 0 && is_refused()) {
				NEED(lseek(file, at, SEEK_SET) == at);
				have = read(file, piece, left < (int)sizeof piece ? left : (int)sizeof piece);
			}
			NEED(have > 0);
			n = write(pair.server, piece, have);
		}
		NEED(n > 0 || (n < 0 && (errno == EAGAIN || (how == COPIED && is_refused()))));
		at += n > 0 ? n : 0;
		left -= n > 0 ? n : 0;
	}
	if (made == 0)
		pthread_join(thread, NULL);
	printf("%s: %s\n", what, made ? "no thread" : different ? "another body" : "the body");
	fflush(stdout);
	close(file);
	close(pair.client);
	close(pair.server);
	if (ep >= 0)
		close(ep);
}

static void listing(int number)
{
	char request[100], path[64], name[100], got[256];
	snprintf(path, sizeof path, "cold/sub%d", number);
	mkdir(path, 0755);
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "%s/%d", path, i);
		write_document(name, name, 10);
	}
	int length = snprintf(request, sizeof request, "GET /sub%d/ HTTP/1.1\r\n\r\n", number), count = 0;
	NEED(write(engaged_pair.client, request, length) == length);
	for (ssize_t n = -1; n < 0;) {
		struct epoll_event event;
		NEED(epoll_wait(engaged_epoll, &event, 1, 20000) == 1);
		n = read(engaged_pair.server, got, sizeof got);
		NEED(n == length || (n < 0 && errno == EAGAIN));
	}
	DIR *directory = opendir(path);
	while (directory && readdir(directory))
		count++;
	if (directory)
		closedir(directory);
	printf("listing: %d\n", count);
}

int main(int argc, char **argv)
{
	is_engaged(argc, argv);
	if (argc > 2)
		NEED(chdir(argv[2]) == 0);
	mkdir("docs", 0755);
	content("big", wanted, BIG);
	write_document("docs/big", "big", BIG);
	engage();
	for (int i = 6; i < 9; i++)
		serve_cold(engaged_epoll, engaged_pair, i);
	for (int i = 0; i < 4; i++)
		listing(i);
	body("sendfile", SENT, 1);
	body("read and write", COPIED, 1);
	body("mapping", MAPPED, 1);
	body("sendfile in poll", SENT, 0);
	/* Again, now that the helpers' stacks are known to be free or not. */
	usleep(100000);
	for (int i = 9; i < 12; i++)
		serve_cold(engaged_epoll, engaged_pair, i);
	still_serving();
	return 0;
}
