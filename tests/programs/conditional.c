/* An event loop on a slow disk that is asked for cold files of 1 MiB: `conditional DIRECTORY WAY`:
 *
 * plain        the server only looks at the file
 * conditional  each request has a condition, and the answer would have no body: the server only looks at the file
 * unmet        the condition is never met, and the server reads the file's beginning
 * range        each request is for one byte, and the server reads that
 * ignored      the same, and the server reads half of a window all the same */
#include "common.h"

enum { REQUESTS = 20, LARGE = 1 << 20, HALF = 128 << 10 };

int main(int argc, char **argv)
{
	NEED(argc == 3 && chdir(argv[1]) == 0);
	int range = strcmp(argv[2], "range") == 0, ignored = strcmp(argv[2], "ignored") == 0;
	const char *condition = strcmp(argv[2], "plain") == 0 ? ""
				: range || ignored	      ? "Range: bytes=300000-300000\r\n"
							      : "If-None-Match: \"1\"\r\n";
	int reads = range ? 1 : ignored ? HALF : strcmp(argv[2], "unmet") == 0 ? 4096 : 0;
	static char bytes[HALF];
	engage();
	for (int i = 0; i < REQUESTS; i++) {
		char path[64];
		snprintf(path, sizeof path, "cold/large%d", i);
		write_document(path, path, LARGE);
		chill(path);
	}
	for (int i = 0; i < REQUESTS; i++) {
		char request[200], path[64];
		snprintf(request, sizeof request, "GET /large%d HTTP/1.1\r\nHost: h\r\n%s\r\n", i, condition);
		deliver(engaged_epoll, engaged_pair, request);
		struct stat status;
		snprintf(path, sizeof path, "cold/large%d", i);
		NEED(stat(path, &status) == 0 && status.st_size == LARGE);
		if (reads) {
			int fd = open(path, O_RDONLY | O_CLOEXEC);
			NEED(fd >= 0 && pread(fd, bytes, reads, range || ignored ? 300000 : 0) == reads);
			close(fd);
		}
	}
	return 0;
}
