/* What a server may do to a connection whose request is being held back: `PROGRAM idle DOCROOT MOMENT FIRST [WAY]` serves
 * cold documents of DOCROOT until the library has learnt, then asks for one more and, if a wait does not report it although
 * the request is there (the gate is closed), does MOMENT to it. Without the library, or when the gate does not close,
 * the moment happens all the same. The last line of the file `gated` says whether it was closed.
 *
 *     while_gated/epoll.h  for servers that wait in epoll_wait
 *     while_gated/poll.h   for servers that wait in poll, ppoll, select or pselect */
#ifndef MOMENTS_H
#define MOMENTS_H
#include "../common.h"

enum { LENGTH = 6000, LEARN = 20 };

static const char *docroot;
static struct sockaddr_in address;
static int listening, next, gated;

struct moment {
	const char *name;
	void (*run)(void);
};

static int ask(int client)
{
	char request[200];
	int n = snprintf(request, sizeof request, "GET /moment-%d.html HTTP/1.1\r\nHost: h\r\n\r\n", next);
	NEED(write(client, request, n) == n);
	return next++;
}

static void answer(int fd, const char *request)
{
	char path[500];
	static __thread unsigned char body[LENGTH];
	int which;
	struct stat status;
	NEED(sscanf(request, "GET /moment-%d.html", &which) == 1);
	snprintf(path, sizeof path, "%s/moment-%d.html", docroot, which);
	NEED(stat(path, &status) == 0);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && read(file, body, LENGTH) == LENGTH);
	close(file);
	NEED(write(fd, body, LENGTH) == LENGTH);
}

/* Reads and answers; false when the read answered EAGAIN. */
static int handle(int fd)
{
	char request[1000];
	ssize_t n = read(fd, request, sizeof request - 1);
	if (n < 0 && errno == EAGAIN)
		return 0;
	NEED(n > 0);
	request[n] = 0;
	for (char *at = request; at && *at; at = strstr(at, "\r\n\r\n")) {
		while (*at == '\r' || *at == '\n')
			at++;
		if (*at)
			answer(fd, at);
	}
	return 1;
}

static const char *right(int client, int which)
{
	static unsigned char body[LENGTH], wanted[LENGTH];
	char name[64];
	if (recv(client, body, LENGTH, MSG_WAITALL) != LENGTH)
		return "no body";
	snprintf(name, sizeof name, "moment-%d.html", which);
	content(name, wanted, LENGTH);
	return memcmp(body, wanted, LENGTH) == 0 ? "right" : "WRONG";
}

static void finish(struct pair pair)
{
	close(pair.client);
	close(pair.server);
}

static void report(void)
{
	FILE *report = fopen("gated", "w");
	NEED(report && fprintf(report, "%d\n", gated & 1) > 0 && fclose(report) == 0);
}

/* Lets the moment of this name happen, and then serves another connection: the program's exit status. */
static int happens(const char *name, const struct moment *moments, size_t count, void (*works)(void))
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(moments[i].name, name)) {
			descriptors("before");
			moments[i].run();
			descriptors("after");
			works();
			report();
			return 0;
		}
	return 2;
}
#endif
