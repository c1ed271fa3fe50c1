/* What a server that waits in poll or select, its client or another thread may do to a connection while its request is held
 * back. */
#include "while_gated/poll.h"

enum { BODY = 3000000 };

static void waited_for(void)
{
	int which;
	struct pair pair = held(&which);
	answered(pair, which);
}

static void closed(void)
{
	int which;
	struct pair pair = held(&which);
	close(pair.server);
	/* A number that is not open is the application's error, whatever was owed to it. */
	errno = UNTOUCHED;
	int n = ready(pair.server, POLLIN, 40);
	show("wait for a closed number", n, errno);
	NEED(ready(-1, POLLIN, 40) == 0);
	close(pair.client);
}

static void reused(void)
{
	int which;
	struct pair pair = held(&which), other;
	int number = pair.server;
	other.client = client_of(&address);
	close(pair.server);
	other.server = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	NEED(other.server == number);
	NEED(ready(other.server, POLLIN, 40) == 0);
	which = ask(other.client);
	serve(other.server);
	printf("on the reused number: %s\n", right(other.client, which));
	close(pair.client);
	finish(other);
}

static void dup2_over(void)
{
	int which;
	struct pair pair = held(&which), other = connection();
	NEED(dup2(other.server, pair.server) == pair.server);
	close(other.server);
	which = ask(other.client);
	serve(pair.server);
	printf("what came over it: %s\n", right(other.client, which));
	close(other.client);
	finish(pair);
}

static void moved(void)
{
	int which;
	struct pair pair = held(&which);
	int copy = dup(pair.server);
	close(pair.server);
	pair.server = copy;
	answered(pair, which);
}

/* Twice in the set, and by another number. */
static void doubled(void)
{
	int which;
	struct pair pair = held(&which);
	int copy = dup(pair.server);
	struct pollfd set[] = { { .fd = pair.server, .events = POLLOUT }, { .fd = pair.server, .events = POLLIN | POLLOUT } };
	int twice = way == POLL || way == PPOLL;
	NEED(wait_for(twice ? set : set + 1, 1 + twice, -1) >= 1 + twice);
	NEED(set[1].revents & POLLOUT && (!twice || set[0].revents == POLLOUT));
	if (gated)
		while (!handle(pair.server))
			NEED(ready(copy, POLLIN, -1) > 0);
	printf("answered: %s\n", right(pair.client, which));
	close(copy);
	finish(pair);
}

static void reset_by_client(void)
{
	int which;
	char byte;
	struct pair pair = held(&which);
	if (!gated)
		NEED(!strcmp(right(pair.client, which), "right"));
	close_with_reset(pair.client);
	NEED(ready(pair.server, POLLIN, -1) > 0);
	errno = UNTOUCHED;
	ssize_t n;
	while ((n = read(pair.server, &byte, 1)) > 0 || (n < 0 && errno == EAGAIN))
		;
	show("read", n, errno);
	close(pair.server);
}

static void half_closed(void)
{
	int which;
	char byte;
	struct pair pair = held(&which);
	shutdown(pair.client, SHUT_WR);
	if (gated)
		serve(pair.server);
	printf("answered: %s\n", right(pair.client, which));
	NEED(ready(pair.server, POLLIN, -1) > 0);
	CALL(read(pair.server, &byte, 1));
	finish(pair);
}

static void shut_down(void)
{
	int which;
	char byte;
	struct pair pair = held(&which);
	shutdown(pair.server, SHUT_RD);
	if (gated)
		serve(pair.server);
	printf("answered: %s\n", right(pair.client, which));
	NEED(ready(pair.server, POLLIN, -1) > 0);
	CALL(read(pair.server, &byte, 1));
	finish(pair);
}

static void more_arrives(void)
{
	int which;
	struct pair pair = held(&which);
	NEED(ready(pair.server, POLLIN, 1) >= 0);
	if (gated)
		serve(pair.server);
	printf("answered: %s\n", right(pair.client, which));
	which = ask(pair.client);
	gated |= 2;
	answered(pair, which);
}

static pthread_barrier_t barrier;
static struct pair waited;
static int spun;

static void *other_loop(void *unused)
{
	learn();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	while (gated) {
		NEED(ready(waited.server, POLLIN, -1) > 0);
		if (handle(waited.server))
			break;
		spun++;
	}
	return unused;
}

/* Another loop waits for the connection as well: it can neither be kept from waking, nor may it spin. */
static void by_another_thread(void)
{
	int which;
	pthread_t thread;
	pthread_barrier_init(&barrier, NULL, 2);
	NEED(pthread_create(&thread, NULL, other_loop, NULL) == 0);
	pthread_barrier_wait(&barrier);
	waited = held(&which);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	printf("answered: %s, spun %d\n", right(waited.client, which), spun > 20);
	which = ask(waited.client);
	serve(waited.server);
	printf("and then: %s\n", right(waited.client, which));
	finish(waited);
}

static struct pair beside;

static void *serve_beside(void *which)
{
	usleep(1000);
	ssize_t n = 0;
	char request[1000];
	/* Without a wait, again and again: it takes the request as soon as it can be read. */
	while ((n = read(beside.server, request, sizeof request - 1)) < 0)
		NEED(errno == EAGAIN);
	NEED(n > 0);
	request[n] = 0;
	answer(beside.server, request);
	NEED(!strcmp(right(beside.client, *(int *)which), "right"));
	*(int *)which = ask(beside.client);
	return NULL;
}

/* While one thread waits for it, another one takes the request; the next one is the first thread's again. */
static void taken_beside(void)
{
	int which, second = -1;
	pthread_t thread;
	beside = held(&which);
	if (gated) {
		second = which;
		NEED(pthread_create(&thread, NULL, serve_beside, &second) == 0);
		NEED(ready(beside.server, POLLIN, -1) > 0);
		pthread_join(thread, NULL);
		which = second;
		serve(beside.server);
	}
	printf("answered: %s\n", right(beside.client, which));
	finish(beside);
}

static void *read_body(void *client)
{
	unsigned char *body = malloc(BODY);
	for (int have = 0; have < BODY; usleep(300)) {
		ssize_t n = recv(*(int *)client, body + have, BODY - have < 60000 ? BODY - have : 60000, 0);
		NEED(n > 0);
		have += n;
	}
	return body;
}

/* A body that is sent as far as it is in memory: the rest is told of as soon as it is. */
static void body(void)
{
	struct pair pair = connection();
	static unsigned char wanted[BODY + 8];
	char request[200], path[500];
	void *got;
	off_t sent = 0;
	int late = 0, n;
	pthread_t thread;
	n = snprintf(request, sizeof request, "GET /body.html HTTP/1.1\r\nHost: h\r\n\r\n");
	NEED(write(pair.client, request, n) == n);
	NEED(pthread_create(&thread, NULL, read_body, &pair.client) == 0);
	do {
		NEED(ready(pair.server, POLLIN, -1) > 0);
		n = read(pair.server, request, sizeof request);
		gated = 1; /* whether it was held back is the library's business */
	} while (n < 0);
	snprintf(path, sizeof path, "%s/body.html", docroot);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0);
	while (sent < BODY) {
		/* Longer than anything but a lost wake-up takes. */
		int could = ready(pair.server, POLLOUT, 950);
		late += could == 0;
		n = could ? sendfile(pair.server, file, &sent, BODY - sent) : 0;
		NEED(n >= 0 || errno == EAGAIN);
	}
	pthread_join(thread, &got);
	content("body.html", wanted, BODY);
	printf("the body: %s, %d waits for nothing\n", memcmp(got, wanted, BODY) ? "WRONG" : "right", late);
	free(got);
	close(file);
	finish(pair);
}

static const struct moment moments[] = {
	{ "waited_for", waited_for },
	{ "closed", closed },
	{ "reused", reused },
	{ "dup2_over", dup2_over },
	{ "moved", moved },
	{ "doubled", doubled },
	{ "reset_by_client", reset_by_client },
	{ "half_closed", half_closed },
	{ "shut_down", shut_down },
	{ "more_arrives", more_arrives },
	{ "by_another_thread", by_another_thread },
	{ "taken_beside", taken_beside },
	{ "body", body },
};

MAIN_OF(moments)
