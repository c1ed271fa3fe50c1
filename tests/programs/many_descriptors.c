/* Very many descriptors, high numbers, and all of them closed in the middle of everything. */
#include "common.h"

static void serve_at(int number)
{
	struct pair pair = tcp_pair();
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 1 };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	if (pair.server != number) {
		NEED(dup2(pair.server, number) == number);
		close(pair.server);
		pair.server = number;
	}
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, number, &event) == 0);
	for (int i = 0; i < 4; i++)
		serve_cold(ep, pair, 400 + i);
	printf("served at %d\n", number);
	close(ep);
	close(pair.client);
	close(pair.server);
}

static void crowd(int count)
{
	struct sockaddr_in address;
	int listening = listener(&address), ep = epoll_create1(EPOLL_CLOEXEC), good = 0;
	struct pair *pairs = calloc(count, sizeof *pairs);
	for (int i = 0; i < count; i++) {
		pairs[i].client = client_of(&address);
		pairs[i].server = accepted_by(listening);
		struct epoll_event event = { .events = EPOLLIN, .data.u64 = i };
		NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pairs[i].server, &event) == 0);
	}
	for (int i = 0; i < count; i++)
		NEED(write(pairs[i].client, "GET /cold-400.html HTTP/1.0\r\n\r\n", 31) == 31);
	for (int left = count; left > 0;) {
		struct epoll_event events[64];
		int n = epoll_wait(ep, events, 64, -1);
		NEED(n > 0);
		for (int i = 0; i < n; i++) {
			char request[100];
			struct pair pair = pairs[events[i].data.u64];
			ssize_t got = read(pair.server, request, sizeof request);
			if (got < 0 && errno == EAGAIN)
				continue;
			NEED(got == 31);
			int file = open("cold/cold-400.html", O_RDONLY | O_CLOEXEC);
			NEED(file >= 0 && read(file, request, 1) == 1);
			close(file);
			NEED(write(pair.server, request, 1) == 1);
			left--;
		}
	}
	for (int i = 0; i < count; i++) {
		char byte;
		good += read(pairs[i].client, &byte, 1) == 1;
		close(pairs[i].client);
		close(pairs[i].server);
	}
	printf("%d of %d\n", good, count);
	close(ep);
	close(listening);
	free(pairs);
}

static void scenario(void)
{
	struct rlimit limit;
	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	rlim_t was = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	mkdir("cold", 0755);
	serve_at(100);
	serve_at(1023);
	serve_at(1024);
	serve_at((int)limit.rlim_cur - 1);
	crowd(((int)limit.rlim_cur - 100) / 2 < 1500 ? ((int)limit.rlim_cur - 100) / 2 : 1500);
	serve_at(100);
	/* The limit goes below what is open, as servers that size their tables do. */
	limit.rlim_cur = 64;
	setrlimit(RLIMIT_NOFILE, &limit);
	serve_at(60);
	limit.rlim_cur = was;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < 5; i++) {
		closefrom(3);
		descriptors("after closefrom");
		serve_at(40);
		close_range(3, ~0u, 0);
		descriptors("after close_range");
		engaged_epoll = -1;
		engage();
	}
}

MAIN(scenario)
