/* An event loop gets a descriptor table of its own after it has served cold files. */
#include "common.h"
#include <linux/close_range.h>
#include <sched.h>

static int sees_its_end(int client)
{
	struct pollfd set = { client, POLLIN, 0 };
	char byte;
	return poll(&set, 1, 5000) == 1 && recv(client, &byte, 1, MSG_DONTWAIT) == 0;
}

static int unshare_by(const char *way)
{
	if (strcmp(way, "close_range") == 0)
		return close_range(900, ~0U, CLOSE_RANGE_UNSHARE);
	if (strcmp(way, "raw close_range") == 0)
		return syscall(SYS_close_range, 900, ~0U, CLOSE_RANGE_UNSHARE);
	if (strcmp(way, "raw unshare") == 0)
		return syscall(SYS_unshare, CLONE_FILES);
	return unshare(CLONE_FILES);
}

static void by(const char *way, int number)
{
	char request[100], bytes[200], path[64];
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 7 };
	struct pair old = tcp_pair();
	NEED(epoll_ctl(engaged_epoll, EPOLL_CTL_ADD, old.server, &event) == 0);
	printf("%s = %d\n", way, unshare_by(way));
	close(old.server);
	printf("  the client of a closed connection sees its end: %d\n", sees_its_end(old.client));
	close(old.client);
	struct pair pair = tcp_pair();
	NEED(epoll_ctl(engaged_epoll, EPOLL_CTL_ADD, pair.server, &event) == 0);
	write_cold(number);
	snprintf(path, sizeof path, "/cold-%d.html", number);
	int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n\r\n", path);
	NEED(write(pair.client, request, length) == length);
	int got;
	do
		got = epoll_wait(engaged_epoll, &event, 1, 5000);
	while (got == 1 && (event.data.u64 != 7 || (read(pair.server, bytes, sizeof bytes) != length)));
	printf("  a cold request is read: %d\n", got == 1);
	NEED(epoll_ctl(engaged_epoll, EPOLL_CTL_DEL, pair.server, NULL) == 0);
	close(pair.client);
	close(pair.server);
}

int main(int argc, char **argv)
{
	int engaged = is_engaged(argc, argv);
	mkdir("cold", 0755);
	if (engaged)
		engage();
	else
		engaged_epoll = epoll_create1(EPOLL_CLOEXEC);
	by("close_range", 20);
	by("raw close_range", 21);
	by("unshare", 22);
	by("raw unshare", 23);
	return 0;
}
