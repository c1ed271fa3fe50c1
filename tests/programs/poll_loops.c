/* Accepted connections with requests for cold files, served by loops in poll, ppoll, select and pselect, with bodies that are sent
 * by sendfile. What is observed is what reaches the client, the counts, and the time that select leaves; how often a wait woke, or
 * a call answered EAGAIN, is the kernel's freedom and is not printed. */
#include "common.h"
#include <sys/select.h>

enum { LENGTH = 700000, CONNECTIONS = 5 };
enum way { POLL, PPOLL, SELECT, PSELECT };

static const char *const ways[] = { "poll", "ppoll", "select", "pselect" };
static struct pair pairs[CONNECTIONS];
static int number;

struct answer {
	int file;
	off_t sent;
};

static void ask(struct pair pair, char *name, const char *kind)
{
	snprintf(name, 64, "%s-%d.html", kind, number++);
	ask_for_cold(pair.client, name, LENGTH);
}

static void receive(int fd, struct answer *answer)
{
	char buffer[1001], name[100], path[200];
	ssize_t n = recv(fd, buffer, 1000, 0);
	if (n < 0) {
		NEED(errno == EAGAIN);
		return;
	}
	NEED(n > 0);
	buffer[n] = 0;
	NEED(sscanf(buffer, "GET /%99s", name) == 1);
	snprintf(path, sizeof path, "docs/%s", name);
	NEED((answer->file = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
	answer->sent = 0;
}

/* Whether the answer is complete. */
static int send_some(int fd, struct answer *answer)
{
	while (answer->sent < LENGTH) {
		ssize_t n = sendfile(fd, answer->file, &answer->sent, LENGTH - answer->sent);
		if (n < 0) {
			NEED(errno == EAGAIN);
			return 0;
		}
	}
	close(answer->file);
	answer->file = -1;
	return 1;
}

/* Waits for all connections; sets what each is ready for, and returns the call's own count. */
static int wait_for(enum way way, const struct answer *answers, const int *done, short *ready)
{
	struct pollfd set[CONNECTIONS + 2] = { 0 };
	fd_set readable, writable;
	struct timeval time = { 20, 0 };
	struct timespec limit = { 20, 0 };
	int highest = 0, n;
	FD_ZERO(&readable);
	FD_ZERO(&writable);
	for (int i = 0; i < CONNECTIONS; i++) {
		int fd = pairs[i].server, sends = answers[i].file >= 0;
		set[i] = (struct pollfd){ .fd = done[i] ? -1 : fd, .events = sends ? POLLOUT : POLLIN };
		if (!done[i])
			FD_SET(fd, sends ? &writable : &readable);
		highest = fd > highest ? fd : highest;
	}
	set[CONNECTIONS].fd = -1;
	/* A number that is not open is the application's error, whatever else is in the set. */
	set[CONNECTIONS + 1] = (struct pollfd){ .fd = 900, .events = POLLIN };
	switch (way) {
	case POLL:
		n = poll(set, CONNECTIONS + 1, 20000);
		break;
	case PPOLL:
		n = ppoll(set, CONNECTIONS + 1, &limit, NULL);
		break;
	case SELECT:
		n = select(highest + 1, &readable, &writable, NULL, &time);
		NEED(time.tv_sec >= 0 && time.tv_usec >= 0 && time.tv_usec < 1000000 && time.tv_sec < 20);
		break;
	default:
		n = pselect(highest + 1, &readable, &writable, NULL, &limit, NULL);
	}
	NEED(n > 0);
	int counted = 0;
	for (int i = 0; i < CONNECTIONS; i++) {
		int fd = pairs[i].server;
		if (way == POLL || way == PPOLL)
			ready[i] = set[i].revents;
		else if (done[i])
			ready[i] = 0;
		else
			ready[i] = (FD_ISSET(fd, &readable) ? POLLIN : 0) | (FD_ISSET(fd, &writable) ? POLLOUT : 0);
		counted += ready[i] != 0;
	}
	NEED(counted == n);
	if (way == POLL) {
		int stale = poll(set, CONNECTIONS + 2, 0);
		NEED(stale >= 1 && set[CONNECTIONS + 1].revents == POLLNVAL);
	}
	return n;
}

static void *client(void *pair)
{
	unsigned char *body = malloc(LENGTH);
	NEED(recv(((struct pair *)pair)->client, body, LENGTH, MSG_WAITALL) == LENGTH);
	return body;
}

/* Serves one request on each connection, all asked at once. */
static void turn(enum way way)
{
	char names[CONNECTIONS][64];
	struct answer answers[CONNECTIONS];
	pthread_t clients[CONNECTIONS];
	int done[CONNECTIONS] = { 0 }, left = CONNECTIONS, good = 0;
	static unsigned char wanted[LENGTH + 8];
	for (int i = 0; i < CONNECTIONS; i++) {
		answers[i].file = -1;
		ask(pairs[i], names[i], ways[way]);
		NEED(pthread_create(&clients[i], NULL, client, &pairs[i]) == 0);
	}
	while (left > 0) {
		short ready[CONNECTIONS];
		wait_for(way, answers, done, ready);
		for (int i = 0; i < CONNECTIONS; i++) {
			if (ready[i] & POLLIN)
				receive(pairs[i].server, &answers[i]);
			else if (ready[i] & POLLOUT && send_some(pairs[i].server, &answers[i]))
				done[i] = 1, left--;
		}
	}
	for (int i = 0; i < CONNECTIONS; i++) {
		void *body;
		NEED(pthread_join(clients[i], &body) == 0);
		content(names[i], wanted, LENGTH);
		good += memcmp(body, wanted, LENGTH) == 0;
		free(body);
	}
	printf("%s: %d right\n", ways[way], good);
	fflush(stdout);
}

static void loop(enum way way)
{
	for (int i = 0; i < CONNECTIONS; i++)
		pairs[i] = tcp_pair();
	for (int i = 0; i < 3; i++)
		turn(way);
	for (int i = 0; i < CONNECTIONS; i++) {
		close(pairs[i].client);
		close(pairs[i].server);
	}
	descriptors("afterwards");
}

/* A thread that has never waited in epoll. */
static void *of_its_own(void *unused)
{
	loop(POLL);
	loop(SELECT);
	return unused;
}

static void scenario(void)
{
	pthread_t thread;
	NEED(mkdir("docs", 0755) == 0);
	for (enum way way = POLL; way <= PSELECT; way++)
		loop(way);
	NEED(pthread_create(&thread, NULL, of_its_own, NULL) == 0);
	pthread_join(thread, NULL);
	/* What is no set, or no time, is refused as ever. */
	struct timespec wrong = { 0, -1 };
	struct timeval negative = { -1, 0 };
	struct pollfd one = { .fd = 0, .events = 0 };
	CALL(poll(NULL, 0, 0));
	CALL(poll(NULL, 1, 0));
	CALL(ppoll(&one, 1, &wrong, NULL));
	CALL(select(0, NULL, NULL, NULL, &negative));
	CALL(pselect(0, NULL, NULL, NULL, &wrong, NULL));
	CALL(select(-1, NULL, NULL, NULL, NULL));
}

MAIN(scenario)
