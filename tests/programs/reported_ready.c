/* A server that takes readiness for a promise, as EventMachine, asyncore and waitress do: a connection that was reported readable
 * and brings no byte is closed. `reported_ready DIRECTORY WAY FIRST` serves the cold documents of DIRECTORY from number FIRST on to
 * several clients, in one way to wait. What is observed is how many answers were complete, how often a call that was reported
 * ready answered EAGAIN, and how often a wait without a time limit came back with nothing. */
#include "common.h"
#include <sys/select.h>

enum { LENGTH = 6000, CLIENTS = 6, TURNS = 8, MOST = 2 * CLIENTS + 2 };
enum way { EPOLL, EPOLL_EDGE, EPOLL_ONESHOT, POLL, PPOLL, SELECT, PSELECT };

static const char *const ways[] = { "epoll", "epoll-edge", "epoll-oneshot", "poll", "ppoll", "select", "pselect" };

struct connection {
	int fd;
	size_t have;
	char request[2000];
};

static const char *directory;
static struct sockaddr_in address;
static struct connection connections[MOST];
static enum way way;
static int listening, ep, first, reading, empty, running = CLIENTS;

/* The calls that were reported ready and answered EAGAIN. */
static int accepts_refused, reads_refused;

static void watch(int operation, int fd, uint32_t kind)
{
	struct epoll_event event = { .events = EPOLLIN | kind, .data.fd = fd };
	NEED(epoll_ctl(ep, operation, fd, &event) == 0);
}

static uint32_t kind(void)
{
	return way == EPOLL_EDGE ? EPOLLET : way == EPOLL_ONESHOT ? EPOLLONESHOT : 0;
}

static void take_on(int fd)
{
	int at = 0;
	while (connections[at].fd >= 0)
		NEED(++at < MOST);
	connections[at] = (struct connection){ .fd = fd };
	if (way <= EPOLL_ONESHOT)
		watch(EPOLL_CTL_ADD, fd, kind());
}

static void drop(struct connection *connection)
{
	close(connection->fd);
	connection->fd = -1;
}

/* Answers what is there of whole requests. */
static void answer(struct connection *connection)
{
	char *end, name[100], path[PATH_MAX];
	while ((end = memmem(connection->request, connection->have, "\r\n\r\n", 4))) {
		static unsigned char body[LENGTH];
		*end = 0;
		NEED(sscanf(connection->request, "GET /%99s", name) == 1);
		snprintf(path, sizeof path, "%s/%s", directory, name);
		int file = open(path, O_RDONLY | O_CLOEXEC);
		NEED(file >= 0 && read(file, body, LENGTH) == LENGTH);
		close(file);
		/* The client has taken all that was sent before: there is room. */
		NEED(write(connection->fd, body, LENGTH) == LENGTH);
		connection->have -= end + 4 - connection->request;
		memmove(connection->request, end + 4, connection->have);
	}
}

/* Reads what was reported to be there. Edges are reported once: there it goes on until there is no more, which is no promise. */
static void receive(struct connection *connection)
{
	for (int promised = 1;; promised = 0) {
		size_t room = sizeof connection->request - connection->have;
		ssize_t n = read(connection->fd, connection->request + connection->have, room);
		reading++;
		if (n < 0 && errno == EAGAIN && !promised)
			return;
		reads_refused += n < 0 && errno == EAGAIN;
		if (n <= 0)
			return drop(connection);
		connection->have += n;
		answer(connection);
		if (way == EPOLL_ONESHOT)
			watch(EPOLL_CTL_MOD, connection->fd, kind());
		if (way != EPOLL_EDGE)
			return;
	}
}

static void ready(int fd)
{
	if (fd == listening) {
		int new = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		accepts_refused += new < 0;
		if (new >= 0)
			take_on(new);
		return;
	}
	for (int i = 0; i < MOST; i++)
		if (connections[i].fd == fd)
			return receive(&connections[i]);
}

static void wait_in_epoll(void)
{
	struct epoll_event events[MOST];
	int n = epoll_wait(ep, events, MOST, -1);
	NEED(n >= 0);
	empty += n == 0;
	for (int i = 0; i < n; i++)
		ready(events[i].data.fd);
}

static void wait_in_poll(void)
{
	struct pollfd set[MOST + 1] = { { .fd = listening, .events = POLLIN } };
	for (int i = 0; i < MOST; i++)
		set[i + 1] = (struct pollfd){ .fd = connections[i].fd, .events = POLLIN };
	int counted = 0, n = way == POLL ? poll(set, MOST + 1, -1) : ppoll(set, MOST + 1, NULL, NULL);
	NEED(n >= 0);
	empty += n == 0;
	for (int i = 0; i <= MOST; i++)
		counted += set[i].revents != 0;
	NEED(counted == n);
	for (int i = 0; i <= MOST; i++)
		if (set[i].revents)
			ready(set[i].fd);
}

static void wait_in_select(void)
{
	fd_set readable;
	int highest = listening, counted = 0;
	FD_ZERO(&readable);
	FD_SET(listening, &readable);
	for (int i = 0; i < MOST; i++)
		if (connections[i].fd >= 0) {
			FD_SET(connections[i].fd, &readable);
			highest = connections[i].fd > highest ? connections[i].fd : highest;
		}
	int n = way == SELECT ? select(highest + 1, &readable, NULL, NULL, NULL)
			      : pselect(highest + 1, &readable, NULL, NULL, NULL, NULL);
	NEED(n >= 0);
	empty += n == 0;
	for (int fd = 0; fd <= highest; fd++)
		counted += FD_ISSET(fd, &readable) != 0;
	NEED(counted == n);
	for (int fd = 0; fd <= highest; fd++)
		if (FD_ISSET(fd, &readable))
			ready(fd);
}

/* Asks for a document each turn, over one connection as long as it lasts; for two at once, or in two pieces, now and then. */
static void *client(void *argument)
{
	int number = (intptr_t)argument, fd = client_of(&address), lost = 0;
	struct timeval limit = { 15, 0 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	for (int turn = 0; turn < TURNS; turn++) {
		static __thread unsigned char body[LENGTH], wanted[LENGTH + 8];
		char text[400] = "", names[2][64];
		int asked = turn % 4 == 2 ? 2 : 1, good = 1;
		for (int i = 0; i < asked; i++) {
			int document = first + (number * TURNS + turn) * 2 + i;
			snprintf(names[i], sizeof names[i], "f%d.html", document);
			sprintf(text + strlen(text), "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", names[i]);
		}
		int cut = turn % 4 == 3 ? strlen(text) - 9 : 0;
		if (cut) {
			good &= send(fd, text, cut, MSG_NOSIGNAL) == cut;
			usleep(3000);
		}
		good &= send(fd, text + cut, strlen(text + cut), MSG_NOSIGNAL) > 0;
		for (int i = 0; good && i < asked; i++) {
			content(names[i], wanted, LENGTH);
			good = recv(fd, body, LENGTH, MSG_WAITALL) == LENGTH && memcmp(body, wanted, LENGTH) == 0;
		}
		if (!good) {
			lost++;
			close(fd);
			fd = client_of(&address);
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		}
	}
	__atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
	close(fd);
	return (void *)(intptr_t)lost;
}

/* When all are done a last connection wakes the server. */
static void *clients(void *unused)
{
	pthread_t threads[CLIENTS];
	intptr_t lost, all = 0;
	(void)unused;
	for (int i = 0; i < CLIENTS; i++)
		NEED(pthread_create(&threads[i], NULL, client, (void *)(intptr_t)i) == 0);
	for (int i = 0; i < CLIENTS; i++) {
		NEED(pthread_join(threads[i], (void **)&lost) == 0);
		all += lost;
	}
	close(client_of(&address));
	return (void *)all;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	void *lost;
	NEED(argc > 3);
	directory = argv[1];
	first = atoi(argv[3]);
	while (strcmp(ways[way], argv[2]) != 0)
		NEED(++way <= PSELECT);
	for (int i = 0; i < MOST; i++)
		connections[i].fd = -1;
	listening = listener(&address);
	if (way <= EPOLL_ONESHOT) {
		NEED((ep = epoll_create1(EPOLL_CLOEXEC)) >= 0);
		watch(EPOLL_CTL_ADD, listening, 0);
	}
	NEED(pthread_create(&thread, NULL, clients, NULL) == 0);
	while (__atomic_load_n(&running, __ATOMIC_SEQ_CST) > 0) {
		if (way <= EPOLL_ONESHOT)
			wait_in_epoll();
		else if (way <= PPOLL)
			wait_in_poll();
		else
			wait_in_select();
	}
	NEED(pthread_join(thread, &lost) == 0);
	printf("%s: %d turns, %d lost\n", ways[way], CLIENTS * TURNS, (int)(intptr_t)lost);
	printf("reported ready, and EAGAIN: %d reads, %d accepts\n", reads_refused, accepts_refused);
	printf("waits without a limit that came back with nothing: %d\n", empty);
	return reading == 0;
}
