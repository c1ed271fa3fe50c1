/* A program with many thread-local variables (BYTES of them): the C library puts them on each thread's stack, those of the
 * library's threads included. They list directories, for which a helper needs the most of its stack. */
#include "common.h"

#ifndef BYTES
#define BYTES 55000
#endif
static __thread volatile char mine[BYTES];

static void serve_directory(int number)
{
	char request[100], path[64], got[256];
	snprintf(path, sizeof path, "cold/sub%d", number);
	mkdir(path, 0755);
	int length = snprintf(request, sizeof request, "GET /sub%d/ HTTP/1.1\r\n\r\n", number);
	NEED(write(engaged_pair.client, request, length) == length);
	for (ssize_t n = -1; n < 0;) {
		struct epoll_event event;
		NEED(epoll_wait(engaged_epoll, &event, 1, 20000) == 1);
		n = read(engaged_pair.server, got, sizeof got);
		NEED(n == length || (n < 0 && errno == EAGAIN));
	}
	DIR *directory = opendir(path);
	NEED(directory);
	while (readdir(directory))
		;
	closedir(directory);
}

int main(int argc, char **argv)
{
	is_engaged(argc, argv);
	mine[BYTES - 1] = 1;
	engage();
	for (int i = 0; i < 6; i++)
		serve_directory(i);
	usleep(100000);
	printf("served with %d bytes, of which the last is %d\n", BYTES, mine[BYTES - 1]);
	still_serving();
	return 0;
}
