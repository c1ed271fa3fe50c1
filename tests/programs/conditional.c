/* An event loop on a slow disk that is asked for cold files of 1 MiB: `conditional DIRECTORY plain|conditional`. With
 * `conditional` each request has a condition, and the answer would have no body: the server only looks at the file. */
#include "common.h"

enum { REQUESTS = 20, LARGE = 1 << 20 };

int main(int argc, char **argv)
{
	NEED(argc == 3 && chdir(argv[1]) == 0);
	const char *condition = strcmp(argv[2], "conditional") == 0 ? "If-None-Match: \"1\"\r\n" : "";
	engage();
	for (int i = 0; i < REQUESTS; i++) {
		char path[64];
		snprintf(path, sizeof path, "cold/large%d", i);
		write_document(path, path, LARGE);
		chill(path);
	}
	for (int i = 0; i < REQUESTS; i++) {
		char request[200], got[4096], path[64];
		int length = snprintf(request, sizeof request, "GET /large%d HTTP/1.1\r\nHost: h\r\n%s\r\n", i, condition);
		NEED(write(engaged_pair.client, request, length) == length);
		ssize_t n;
		do {
			struct epoll_event event;
			NEED(epoll_wait(engaged_epoll, &event, 1, 10000) == 1);
			n = read(engaged_pair.server, got, sizeof got);
			NEED(n == length || (n < 0 && errno == EAGAIN));
		} while (n < 0);
		struct stat status;
		snprintf(path, sizeof path, "cold/large%d", i);
		NEED(stat(path, &status) == 0 && status.st_size == LARGE);
	}
	return 0;
}
