/* An event loop on a slow disk, whose clients go away: `abandoned DIRECTORY WAY`. Each of CLIENTS connections sends what the
 * way says, and is reset before anything is answered:
 *
 * pipelined  requests for eight cold files of 1 MiB at once, read by the server before the reset
 * held       requests for eight small cold files at once; the reset comes while they are held back
 * one        a request for one cold file of 1 MiB, read by the server before the reset
 */
#include "common.h"

enum { CLIENTS = 12, FILES = 8, LARGE = 1 << 20 };

static void *reset_soon(void *client)
{
	usleep(7000);
	close_with_reset(*(int *)client);
	return NULL;
}

int main(int argc, char **argv)
{
	NEED(argc == 3 && chdir(argv[1]) == 0);
	int held = strcmp(argv[2], "held") == 0, files = strcmp(argv[2], "one") == 0 ? 1 : FILES;
	engage();
	/* In a child: what this thread itself does with files would teach that they belong to each other. */
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		for (int i = 0; i < CLIENTS * files; i++) {
			char path[64];
			snprintf(path, sizeof path, "cold/file%d", i);
			write_document(path, path, held ? COLD_LENGTH : LARGE);
			chill(path);
		}
		_exit(0);
	}
	int status;
	NEED(waitpid(child, &status, 0) == child && status == 0);
	for (int i = 0; i < CLIENTS; i++) {
		struct pair pair = tcp_pair();
		struct epoll_event event = { .events = EPOLLIN };
		NEED(epoll_ctl(engaged_epoll, EPOLL_CTL_ADD, pair.server, &event) == 0);
		char request[1024], got[1024];
		int length = 0;
		for (int file = 0; file < files; file++)
			length += sprintf(request + length, "GET /file%d HTTP/1.1\r\nHost: h\r\n\r\n", i * files + file);
		NEED(write(pair.client, request, length) == length);
		settle(pair.server, length);
		pthread_t resetter;
		if (held)
			NEED(pthread_create(&resetter, NULL, reset_soon, &pair.client) == 0);
		NEED(epoll_wait(engaged_epoll, &event, 1, 10000) == 1);
		ssize_t n = read(pair.server, got, sizeof got);
		if (held) {
			NEED(n == length || (n < 0 && errno == ECONNRESET));
			pthread_join(resetter, NULL);
		} else {
			NEED(n == length);
			close_with_reset(pair.client);
			NEED(epoll_wait(engaged_epoll, &event, 1, 10000) == 1);
		}
		close(pair.server);
	}
	return 0;
}
