/* A request that is held back for so long that a part of it is handed out, to a program that then reads as if it were all: the
 * socket has become blocking. What is asked for cannot be read for now. */
#include "common.h"

int main(void)
{
	struct sockaddr_in address;
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 1 };
	struct pair pair = { -1, -1 }, other = { -1, -1 };
	char none[] = "GET /none.html HTTP/1.1\r\nHost: localhost\r\n\r\n";
	char request[] = "GET /hung/f0.html HTTP/1.1\r\nHost: localhost\r\n\r\n", got[1000];
	int listening = listener(&address), instance = epoll_create1(EPOLL_CLOEXEC), length = strlen(request), ready = 0, waited = 0;
	NEED(instance >= 0);
	/* A loop that has had a client before, and waits for two. */
	struct pair *pairs[] = { &other, &pair };
	for (int i = 0; i < 2; i++) {
		pairs[i]->client = client_of(&address);
		pairs[i]->server = accepted_by(listening);
		event.data.u64 = i;
		NEED(epoll_ctl(instance, EPOLL_CTL_ADD, pairs[i]->server, &event) == 0);
		NEED(epoll_wait(instance, &event, 1, 10) == 0);
	}
	/* Kept, so that a part of the next request is activity. */
	NEED(write(pair.client, none, sizeof none - 1) == sizeof none - 1);
	NEED(epoll_wait(instance, &event, 1, -1) == 1 && read(pair.server, got, sizeof got) == sizeof none - 1);
	NEED(write(pair.client, request, length) == length);
	settle(pair.server, length);
	for (int i = 0; i < 500 && ready == 0; i++) {
		ready = epoll_wait(instance, &event, 1, 20);
		waited += ready == 0;
	}
	printf("told of %d\n", ready == 1 ? (int)event.data.u64 : -1);
	NEED(fcntl(pair.server, F_SETFL, 0) == 0);
	CALL(read(pair.server, got, sizeof got));
	FILE *report = fopen("waited", "w");
	NEED(report && fprintf(report, "%d\n", waited) > 0 && fclose(report) == 0);
	return 0;
}
