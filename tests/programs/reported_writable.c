/* A server that takes writable readiness for a promise, too: one transfer for each report, and that one has to send something.
 * `reported_writable DIRECTORY WAY` sends the cold documents of DIRECTORY to several clients, by sendfile, from memory that a read has
 * filled, and from a mapping. What is observed is how many bodies were complete, and how many transfers that were reported
 * possible answered EAGAIN. */
#include "common.h"
#include <sys/select.h>

enum { LENGTH = 1500000, CLIENTS = 4, TURNS = 3, PIECE = 65536 };
enum way { EPOLL, EPOLL_EDGE, EPOLL_ONESHOT, POLL, PPOLL, SELECT, PSELECT };

static const char *const ways[] = { "epoll", "epoll-edge", "epoll-oneshot", "poll", "ppoll", "select", "pselect" };

struct connection {
	int fd, file;
	size_t have;
	off_t at;
	char *map;
	char request[1000];
	size_t held, sent;
	char piece[PIECE];
};

static struct connection connections[CLIENTS];
static const char *directory;
static struct sockaddr_in address;
static enum way way;
static int ep, refused, open_ones = CLIENTS;

static void watch(int operation, struct connection *connection)
{
	struct epoll_event event = { .events = connection->file >= 0 ? EPOLLOUT : EPOLLIN, .data.ptr = connection };
	event.events |= way == EPOLL_EDGE ? EPOLLET : way == EPOLL_ONESHOT ? EPOLLONESHOT : 0;
	if (way <= EPOLL_ONESHOT)
		NEED(epoll_ctl(ep, operation, connection->fd, &event) == 0);
}

/* What stands before a body: the first write of an answer, which nobody has reported possible. */
static const char header[] = "answer:";

/* A request ends a body: what has arrived of the next one is kept. */
static void receive(struct connection *connection)
{
	char name[100], path[PATH_MAX];
	ssize_t n = read(connection->fd, connection->request + connection->have, sizeof connection->request - 1 - connection->have);
	if (n < 0 && errno == EAGAIN)
		return watch(EPOLL_CTL_MOD, connection);
	if (n <= 0) {
		close(connection->fd);
		connection->fd = -1;
		open_ones--;
		return;
	}
	connection->request[connection->have += n] = 0;
	if (strstr(connection->request, "\r\n\r\n")) {
		connection->have = connection->held = connection->sent = connection->at = 0;
		NEED(sscanf(connection->request, "GET /%99s", name) == 1);
		snprintf(path, sizeof path, "%s/%s", directory, name);
		NEED((connection->file = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
		connection->map = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, connection->file, 0);
		NEED(connection->map != MAP_FAILED);
		NEED(write(connection->fd, header, sizeof header) == sizeof header);
	}
	watch(EPOLL_CTL_MOD, connection);
}

/* One transfer, in the way of this connection. */
static ssize_t transfer(struct connection *connection)
{
	ssize_t n;
	switch ((connection - connections) % 3) {
	case 0:
		return sendfile(connection->fd, connection->file, &connection->at, LENGTH - connection->at);
	case 1:
		if (connection->sent == connection->held) {
			connection->held = pread(connection->file, connection->piece, PIECE, connection->at);
			NEED((ssize_t)connection->held > 0);
			connection->sent = 0;
		}
		n = write(connection->fd, connection->piece + connection->sent, connection->held - connection->sent);
		connection->sent += n > 0 ? n : 0;
		break;
	default:
		n = write(connection->fd, connection->map + connection->at, LENGTH - connection->at);
	}
	connection->at += n > 0 ? n : 0;
	return n;
}

static void send_some(struct connection *connection)
{
	/* Edges are reported once: there it goes on until there is no more room, which is no promise. */
	for (int promised = 1; connection->at < LENGTH; promised = 0) {
		ssize_t n = transfer(connection);
		NEED(n > 0 || (n < 0 && errno == EAGAIN));
		refused += n < 0 && promised;
		if (n < 0 || way != EPOLL_EDGE)
			break;
	}
	if (connection->at == LENGTH) {
		munmap(connection->map, LENGTH);
		close(connection->file);
		connection->file = -1;
		watch(EPOLL_CTL_MOD, connection);
	} else if (way == EPOLL_ONESHOT) {
		watch(EPOLL_CTL_MOD, connection);
	}
}

static void ready(struct connection *connection)
{
	if (connection->file >= 0)
		send_some(connection);
	else
		receive(connection);
}

static void wait_in_epoll(void)
{
	struct epoll_event events[CLIENTS];
	int n = epoll_wait(ep, events, CLIENTS, -1);
	NEED(n > 0);
	for (int i = 0; i < n; i++)
		ready(events[i].data.ptr);
}

static void wait_in_poll(void)
{
	struct pollfd set[CLIENTS];
	for (int i = 0; i < CLIENTS; i++)
		set[i] = (struct pollfd){ .fd = connections[i].fd, .events = connections[i].file >= 0 ? POLLOUT : POLLIN };
	NEED((way == POLL ? poll(set, CLIENTS, -1) : ppoll(set, CLIENTS, NULL, NULL)) > 0);
	for (int i = 0; i < CLIENTS; i++)
		if (set[i].revents)
			ready(&connections[i]);
}

static void wait_in_select(void)
{
	fd_set readable, writable;
	int highest = 0;
	FD_ZERO(&readable);
	FD_ZERO(&writable);
	for (int i = 0; i < CLIENTS; i++) {
		if (connections[i].fd < 0)
			continue;
		FD_SET(connections[i].fd, connections[i].file >= 0 ? &writable : &readable);
		highest = connections[i].fd > highest ? connections[i].fd : highest;
	}
	NEED((way == SELECT ? select(highest + 1, &readable, &writable, NULL, NULL)
			    : pselect(highest + 1, &readable, &writable, NULL, NULL, NULL)) > 0);
	for (int i = 0; i < CLIENTS; i++)
		if (connections[i].fd >= 0 && (FD_ISSET(connections[i].fd, &readable) || FD_ISSET(connections[i].fd, &writable)))
			ready(&connections[i]);
}

struct asker {
	int fd, number, right;
};

static void *client(void *argument)
{
	struct asker *asker = argument;
	unsigned char *body = malloc(LENGTH), *wanted = malloc(LENGTH + 8);
	for (int turn = 0; turn < TURNS; turn++) {
		char request[200], name[64];
		snprintf(name, sizeof name, "f%d.html", turn * CLIENTS + asker->number);
		int n = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", name);
		NEED(write(asker->fd, request, n) == n);
		content(name, wanted, LENGTH);
		NEED(recv(asker->fd, body, sizeof header, MSG_WAITALL) == sizeof header);
		asker->right += recv(asker->fd, body, LENGTH, MSG_WAITALL) == LENGTH && memcmp(body, wanted, LENGTH) == 0;
	}
	close(asker->fd);
	free(body);
	free(wanted);
	return NULL;
}

int main(int argc, char **argv)
{
	struct asker askers[CLIENTS];
	pthread_t threads[CLIENTS];
	int right = 0;
	NEED(argc > 2);
	directory = argv[1];
	while (strcmp(ways[way], argv[2]) != 0)
		NEED(++way <= PSELECT);
	int listening = listener(&address);
	NEED((ep = epoll_create1(EPOLL_CLOEXEC)) >= 0);
	for (int i = 0; i < CLIENTS; i++) {
		askers[i] = (struct asker){ client_of(&address), i, 0 };
		connections[i].fd = accepted_by(listening);
		connections[i].file = -1;
		watch(EPOLL_CTL_ADD, &connections[i]);
	}
	for (int i = 0; i < CLIENTS; i++)
		NEED(pthread_create(&threads[i], NULL, client, &askers[i]) == 0);
	while (open_ones) {
		if (way <= EPOLL_ONESHOT)
			wait_in_epoll();
		else if (way <= PPOLL)
			wait_in_poll();
		else
			wait_in_select();
	}
	for (int i = 0; i < CLIENTS; i++) {
		NEED(pthread_join(threads[i], NULL) == 0);
		right += askers[i].right;
	}
	printf("%s: %d of %d bodies right\n", ways[way], right, CLIENTS * TURNS);
	printf("reported possible, and EAGAIN: %d transfers\n", refused);
	return 0;
}
