/* Cold documents and a server's loop, for programs in which several threads or processes serve. */
#ifndef SERVING_H
#define SERVING_H
#include "../common.h"

enum { LENGTH = 6000, REQUESTS = 40 };

static int number;
static pthread_mutex_t numbers = PTHREAD_MUTEX_INITIALIZER;

static int next_document(char *name)
{
	char path[200];
	pthread_mutex_lock(&numbers);
	int n = number++;
	pthread_mutex_unlock(&numbers);
	snprintf(name, 64, "several-%d.html", n);
	snprintf(path, sizeof path, "docs/%s", name);
	write_document(path, name, LENGTH);
	chill(path);
	return n;
}

static void ask(int client, char *name)
{
	char request[200];
	next_document(name);
	int n = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", name);
	NEED(write(client, request, n) == n);
}

/* Reads and answers what is there; false for "again". */
static int handle(int fd)
{
	char request[1000];
	ssize_t n = read(fd, request, sizeof request - 1);
	if (n < 0 && errno == EAGAIN)
		return 0;
	answer_with_document(fd, request, n, LENGTH);
	return 1;
}

static int right(int client, const char *name)
{
	unsigned char body[LENGTH], wanted[LENGTH];
	if (recv(client, body, LENGTH, MSG_WAITALL) != LENGTH)
		return 0;
	content(name, wanted, LENGTH);
	return memcmp(body, wanted, LENGTH) == 0;
}

static void watch(int ep, int operation, int fd, uint32_t kind)
{
	struct epoll_event event = { .events = kind, .data.fd = fd };
	NEED(epoll_ctl(ep, operation, fd, &event) == 0);
}

static void serve(int ep, int fd)
{
	struct epoll_event event;
	do {
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		NEED(event.data.fd == fd);
	} while (!handle(fd));
}

static void finish(struct pair pair)
{
	close(pair.client);
	close(pair.server);
}

#endif
