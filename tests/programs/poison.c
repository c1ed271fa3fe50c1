/* An event loop on a slow disk that serves cold files to a victim: `poison DIRECTORY none|empty_line|unknown`.
 *
 * With `empty_line` or `unknown` a stranger sends two small requests before each fourth one: one for /x, and one for
 * /sub/x that begins with an empty line (which servers skip), or whose method the library does not know. Both files are in
 * memory. What belongs to the second must not be taken for the first one's: all files of the victim would be looked for in
 * `sub`. */
#include "common.h"

enum { FIRST = 10, REQUESTS = 60 };

/* One request, answered as an event loop does: a look at the file, and its first bytes. */
static void ask(struct pair pair, const char *request, const char *path)
{
	char bytes[4096];
	deliver(engaged_epoll, pair, request);
	struct stat status;
	if (stat(path, &status) < 0)
		return;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0 && read(fd, bytes, sizeof bytes) > 0);
	close(fd);
}

int main(int argc, char **argv)
{
	NEED(argc == 3 && chdir(argv[1]) == 0);
	const char *second = NULL;
	if (strcmp(argv[2], "empty_line") == 0)
		second = "\r\nGET /sub/x HTTP/1.1\r\nHost: localhost\r\n\r\n";
	else if (strcmp(argv[2], "unknown") == 0)
		second = "POST /sub/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
	engage();
	mkdir("cold/sub", 0755);
	write_document("cold/sub/x", "x", 100);
	struct pair one = tcp_pair(), other = tcp_pair();
	struct epoll_event event = { .events = EPOLLIN };
	NEED(epoll_ctl(engaged_epoll, EPOLL_CTL_ADD, one.server, &event) == 0);
	NEED(epoll_ctl(engaged_epoll, EPOLL_CTL_ADD, other.server, &event) == 0);
	for (int i = FIRST; i < FIRST + REQUESTS; i++) {
		if (second && i % 4 == 0) {
			ask(one, "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n", "cold/x");
			ask(other, second, "cold/sub/x");
		}
		serve_cold(engaged_epoll, engaged_pair, i);
	}
	return 0;
}
