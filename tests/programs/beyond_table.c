/* select with members beyond the process's descriptor table: the kernel passes over them, without an error, and leaves them
 * as they are. So the table may not become larger than the program makes it. */
#include "common.h"
#include <sys/select.h>

static int pipes[2];

static void show_set(const fd_set *set)
{
	printf("  the pipe %d, 900 %d, 1023 %d\n", FD_ISSET(pipes[0], set) != 0, FD_ISSET(900, set) != 0,
	       FD_ISSET(1023, set) != 0);
}

static fd_set *members(void)
{
	static fd_set set;
	FD_ZERO(&set);
	FD_SET(pipes[0], &set);
	FD_SET(900, &set);
	FD_SET(1023, &set);
	return &set;
}

/* The first wait of a loop, where a library may start what it needs. */
static void first_wait(void)
{
	struct pair pair = tcp_pair();
	fd_set *set = members();
	FD_SET(pair.server, set);
	CALL(select(FD_SETSIZE, set, NULL, NULL, &(struct timeval){ 0, 0 }));
	show_set(set);
	close(pair.client);
	close(pair.server);
}

static void scenario(void)
{
	struct timespec none = { 0, 0 };
	NEED(pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0);
	first_wait();
	in_child("in a child", first_wait);
	for (int ready = 0; ready < 2; ready++) {
		fd_set *set = members();
		CALL(select(FD_SETSIZE, set, NULL, NULL, &(struct timeval){ 0, 0 }));
		show_set(set);
		set = members();
		CALL(pselect(FD_SETSIZE, NULL, NULL, set, &none, NULL));
		show_set(set);
		if (!ready)
			NEED(write(pipes[1], "x", 1) == 1);
	}
	/* The same beside a request that may be held back: the loop's own connection has one. */
	if (engaged_epoll >= 0) {
		fd_set *set = members();
		write_cold(20);
		NEED(write(engaged_pair.client, "GET /cold-20.html HTTP/1.1\r\n\r\n", 31) == 31);
		FD_SET(engaged_pair.server, set);
		settle(engaged_pair.server, 31);
		int n = select(FD_SETSIZE, set, NULL, NULL, NULL);
		printf("the pipe and perhaps the request: %d\n", n == 1 || n == 2);
		show_set(set);
		size_t length = 0;
		char bytes[64];
		for (int i = 0; i < 5000 && length < 31; i++) {
			ssize_t got = read(engaged_pair.server, bytes, sizeof bytes);
			length += got > 0 ? got : 0;
			usleep(got > 0 ? 0 : 1000);
		}
		printf("a request of %zu\n", length);
	} else {
		printf("the pipe and perhaps the request: 1\n");
	}
	close(pipes[0]);
	close(pipes[1]);
}

MAIN(scenario)
