/* What a server that speaks TLS may meet while a request is held back. `openssl_moments DOCROOT MOMENT VERSION WAY FIRST`
 * asks for documents of DOCROOT from FIRST on over connections of its own, and waits in WAY. The file `gated` says whether a request was ever there and was
 * not reported. */
#include "openssl.h"

enum { LENGTH = 6000, ROOM = 4000 };

static const char *docroot, *way;
static int version, listening, next, gated;
static __thread int ep, is_told;
static struct sockaddr_in address;
static SSL_CTX *clients, *servers;

static void watch(int fd)
{
	uint32_t kind = strcmp(way, "epoll-edge") == 0 ? EPOLLIN | EPOLLRDHUP | EPOLLET : EPOLLIN | EPOLLRDHUP;
	struct epoll_event event = { .events = kind, .data.fd = fd };
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* Waits until this descriptor is reported, or so long. Nobody connects meanwhile. */
static int reported(int fd, int milliseconds)
{
	if (is_told) {
		is_told = 0;
		return 1;
	}
	if (strncmp(way, "epoll", 5) == 0) {
		struct epoll_event event;
		int n = epoll_wait(ep, &event, 1, milliseconds);
		NEED(n == 0 || (n == 1 && event.data.fd == fd));
		return n;
	}
	if (strcmp(way, "poll") == 0) {
		struct pollfd set[] = { { .fd = listening, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
		return poll(set, 2, milliseconds);
	}
	fd_set set;
	struct timeval limit = { milliseconds / 1000, milliseconds % 1000 * 1000 };
	FD_ZERO(&set);
	FD_SET(listening, &set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, milliseconds < 0 ? NULL : &limit);
}

static struct line line_with(SSL_CTX *server)
{
	struct pair pair = { client_of(&address), 0 };
	pair.server = accepted_by(listening);
	watch(pair.server);
	struct line line = line_on(pair, clients, server);
	return line;
}

static struct line greeted(void)
{
	struct line line = line_with(servers);
	shake(&line);
	return line;
}

static int request(char *bytes, size_t room)
{
	return snprintf(bytes, room, "GET /moment-%d.html HTTP/1.1\r\nHost: h\r\n\r\n",
			__atomic_fetch_add(&next, 1, __ATOMIC_SEQ_CST));
}

/* The records in which the client would send this. */
static int sealed(struct line *line, const char *bytes, int length, char *records)
{
	BIO *into = BIO_new(BIO_s_mem()), *socket = SSL_get_wbio(line->client);
	NEED(into && BIO_up_ref(socket));
	SSL_set0_wbio(line->client, into);
	NEED(SSL_write(line->client, bytes, length) == length);
	int n = BIO_read(into, records, ROOM);
	SSL_set0_wbio(line->client, socket);
	return n;
}

static void send_all(struct line *line, const char *bytes, int length)
{
	NEED(send(line->pair.client, bytes, length, 0) == length);
	settle(line->pair.server, length);
}

/* Whether a request was reported that is there; an edge is not lost by that. */
static void look(int fd)
{
	is_told = reported(fd, 0);
	gated |= !is_told;
}

/* Asks for the next document. */
static void ask(struct line *line, int *which)
{
	char bytes[200], records[ROOM];
	int written = request(bytes, sizeof bytes);
	NEED(sscanf(bytes, "GET /moment-%d", which) == 1);
	int length = sealed(line, bytes, written, records);
	send_all(line, records, length);
	look(line->pair.server);
}

static void answer(struct line *line, const char *asked)
{
	char path[500];
	unsigned char body[LENGTH];
	int which;
	struct stat status;
	NEED(sscanf(asked, "GET /moment-%d.html", &which) == 1);
	snprintf(path, sizeof path, "%s/moment-%d.html", docroot, which);
	NEED(stat(path, &status) == 0);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && read(file, body, LENGTH) == LENGTH);
	close(file);
	NEED(SSL_write(line->server, body, LENGTH) == LENGTH);
}

/* Reads until there is nothing more, and answers; how many requests. An error is shown. */
static int answer_all(struct line *line, int piece)
{
	static __thread char got[ROOM];
	static __thread int have;
	int count = 0, n;
	for (;;) {
		n = SSL_read(line->server, got + have, piece);
		if (n <= 0)
			break;
		have += n;
		got[have] = 0;
		char *end;
		while ((end = strstr(got, "\r\n\r\n"))) {
			answer(line, got);
			have -= end + 4 - got;
			memmove(got, end + 4, have + 1);
			count++;
		}
	}
	if (!waits(line->server, n) && SSL_get_error(line->server, n) != SSL_ERROR_ZERO_RETURN)
		printf("reading: %s\n", outcome(line->server, n));
	return count;
}

static void serve(struct line *line, int count, int piece)
{
	while (count > 0) {
		NEED(reported(line->pair.server, 20000) == 1);
		count -= answer_all(line, piece);
	}
}

static void check(struct line *line, int which)
{
	unsigned char body[LENGTH], wanted[LENGTH];
	char name[64];
	for (int have = 0; have < LENGTH;) {
		int n = SSL_read(line->client, body + have, LENGTH - have);
		if (n <= 0 && !waits(line->client, n)) {
			printf("the client: %s\n", outcome(line->client, n));
			return;
		}
		have += n > 0 ? n : 0;
	}
	snprintf(name, sizeof name, "moment-%d.html", which);
	content(name, wanted, LENGTH);
	printf("answered: %s\n", memcmp(body, wanted, LENGTH) == 0 ? "right" : "WRONG");
}

static void works(void)
{
	int which;
	struct line line = greeted();
	ask(&line, &which);
	serve(&line, 1, 1000);
	check(&line, which);
	hang_up(&line);
}

/* Read to the end of what there is, with room for so much. */
static void pieces(int piece)
{
	int which;
	struct line line = greeted();
	for (int i = 0; i < 3; i++) {
		ask(&line, &which);
		serve(&line, 1, piece);
		check(&line, which);
	}
	hang_up(&line);
}

static void whole(void)
{
	pieces(1000);
}

static void byte_by_byte(void)
{
	pieces(1);
}

static void read_ahead(void)
{
	SSL_CTX_set_read_ahead(servers, 1);
	pieces(1000);
}

/* Several records at once, of which a server may read one and wait again where it is told again. */
static void several(void)
{
	struct line line = greeted();
	char bytes[200], records[ROOM];
	int first = next, length = 0;
	for (int i = 0; i < 4; i++)
		length += sealed(&line, bytes, request(bytes, sizeof bytes), records + length);
	send_all(&line, records, length);
	look(line.pair.server);
	for (int left = 4; left > 0;) {
		NEED(reported(line.pair.server, 20000) == 1);
		if (strcmp(way, "epoll-edge") == 0) {
			left -= answer_all(&line, 1000);
			continue;
		}
		int n = SSL_read(line.server, bytes, sizeof bytes - 1);
		NEED(n > 0 || waits(line.server, n));
		if (n > 0) {
			bytes[n] = 0;
			answer(&line, bytes);
			left--;
		}
	}
	for (int i = 0; i < 4; i++)
		check(&line, first + i);
	printf("more is reported: %d\n", reported(line.pair.server, 20));
	hang_up(&line);
}

/* What came before the reset may be there, or not. */
static void read_to_the_reset(struct line *line)
{
	char bytes[1000];
	int n;
	NEED(reported(line->pair.server, 20000) == 1);
	while ((n = SSL_read(line->server, bytes, sizeof bytes)) > 0 || waits(line->server, n))
		if (n <= 0)
			NEED(reported(line->pair.server, 20000) == 1);
	printf("after the reset: %s\n", outcome(line->server, n));
	SSL_free(line->server);
	close(line->pair.server);
	SSL_free(line->client);
}

static void reset_by_client(void)
{
	int which;
	struct line line = greeted();
	ask(&line, &which);
	close_with_reset(line.pair.client);
	read_to_the_reset(&line);
}

/* Of a request for what is in memory, and the reset behind it, there is one report. */
static void reset_behind(void)
{
	struct line line = greeted();
	char bytes[200], records[ROOM];
	next--;
	int length = sealed(&line, bytes, request(bytes, sizeof bytes), records);
	send_all(&line, records, length);
	close_with_reset(line.pair.client);
	usleep(2000);
	read_to_the_reset(&line);
}

/* A record that was changed on its way: the server's own answer. */
static void bad_record(void)
{
	struct line line = greeted();
	char bytes[200], records[ROOM];
	int length = sealed(&line, bytes, request(bytes, sizeof bytes), records);
	records[length - 1] ^= 1;
	send_all(&line, records, length);
	NEED(reported(line.pair.server, 20000) == 1);
	answer_all(&line, 1000);
	int n;
	while (waits(line.client, n = SSL_read(line.client, bytes, sizeof bytes)))
		usleep(1000);
	printf("the client: %s\n", outcome(line.client, n));
	hang_up(&line);
}

/* Behind one that was held back. */
static void bad_behind(void)
{
	struct line line = greeted();
	char bytes[200], records[ROOM];
	int which = next;
	int first = sealed(&line, bytes, request(bytes, sizeof bytes), records);
	int length = first + sealed(&line, bytes, request(bytes, sizeof bytes), records + first);
	records[length - 1] ^= 1;
	send_all(&line, records, length);
	look(line.pair.server);
	NEED(reported(line.pair.server, 20000) == 1);
	int count = answer_all(&line, 1000);
	while (count == 0) {
		NEED(reported(line.pair.server, 20000) == 1);
		count = answer_all(&line, 1000);
	}
	if (reported(line.pair.server, 100) == 1)
		answer_all(&line, 1000);
	check(&line, which);
	int n;
	while (waits(line.client, n = SSL_read(line.client, bytes, sizeof bytes)))
		usleep(1000);
	printf("the client: %s\n", outcome(line.client, n));
	hang_up(&line);
}

/* A client that is silent in the middle of a record. */
static void half_a_record(void)
{
	struct line line = greeted();
	char bytes[200], records[ROOM];
	int which = next, length = sealed(&line, bytes, request(bytes, sizeof bytes), records);
	send_all(&line, records, length / 2);
	NEED(reported(line.pair.server, 20000) == 1);
	printf("of a half: %d requests\n", answer_all(&line, 1000));
	printf("more is reported: %d\n", reported(line.pair.server, 40));
	NEED(send(line.pair.client, records + length / 2, length - length / 2, 0) > 0);
	settle(line.pair.server, length - length / 2);
	look(line.pair.server);
	serve(&line, 1, 1000);
	check(&line, which);
	hang_up(&line);
}
#include "openssl_moments/clients.h"
#include "openssl_moments/threads.h"
#include "openssl_moments/more.h"
