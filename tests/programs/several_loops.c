/* Several event loops in one process, and connections that more than one of them knows. What is observed is what reaches the
 * clients, and that every wait ends: no wake-up is lost. */
#include "several/serving.h"
#include <sys/eventfd.h>

enum { THREADS = 4 };

/* Every thread its own instance and its own connections. */
static void *own_instance(void *good)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct pair pair = tcp_pair();
	char name[64];
	watch(ep, EPOLL_CTL_ADD, pair.server, EPOLLIN);
	for (int i = 0; i < REQUESTS; i++) {
		ask(pair.client, name);
		serve(ep, pair.server);
		*(int *)good += right(pair.client, name);
	}
	finish(pair);
	close(ep);
	return NULL;
}

static void threads_with_their_own(void)
{
	pthread_t threads[THREADS];
	int good[THREADS] = { 0 }, all = 0;
	for (int i = 0; i < THREADS; i++)
		NEED(pthread_create(&threads[i], NULL, own_instance, &good[i]) == 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		all += good[i];
	}
	printf("threads with an instance each: %d right\n", all);
}

/* All threads wait in one instance; one-shot interests, armed again by whoever was told. */
static struct shared {
	int ep, stop;
	uint32_t kind;
} shared;

static void *one_instance(void *)
{
	for (;;) {
		struct epoll_event event;
		NEED(epoll_wait(shared.ep, &event, 1, -1) == 1);
		if (event.data.fd == shared.stop)
			return NULL;
		handle(event.data.fd);
		if (shared.kind & EPOLLONESHOT)
			watch(shared.ep, EPOLL_CTL_MOD, event.data.fd, shared.kind);
	}
}

static void threads_with_one(uint32_t kind, const char *what)
{
	enum { CONNECTIONS = 8 };
	pthread_t threads[THREADS];
	struct pair pairs[CONNECTIONS];
	char names[CONNECTIONS][64];
	int good = 0;
	uint64_t one = 1;
	shared = (struct shared){ epoll_create1(EPOLL_CLOEXEC), eventfd(0, EFD_CLOEXEC), kind };
	for (int i = 0; i < CONNECTIONS; i++) {
		pairs[i] = tcp_pair();
		watch(shared.ep, EPOLL_CTL_ADD, pairs[i].server, kind);
	}
	for (int i = 0; i < THREADS; i++)
		NEED(pthread_create(&threads[i], NULL, one_instance, NULL) == 0);
	for (int round = 0; round < REQUESTS / 2; round++) {
		for (int i = 0; i < CONNECTIONS; i++)
			ask(pairs[i].client, names[i]);
		for (int i = 0; i < CONNECTIONS; i++)
			good += right(pairs[i].client, names[i]);
	}
	watch(shared.ep, EPOLL_CTL_ADD, shared.stop, EPOLLIN);
	NEED(write(shared.stop, &one, sizeof one) == sizeof one);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < CONNECTIONS; i++)
		finish(pairs[i]);
	close(shared.ep);
	close(shared.stop);
	printf("threads that share an instance, %s: %d right\n", what, good);
}

/* One thread, several instances in turn. */
static void instances_in_turn(uint32_t kind, const char *what)
{
	enum { INSTANCES = 3 };
	int ep[INSTANCES], good = 0;
	struct pair pairs[INSTANCES];
	char names[INSTANCES][64];
	for (int i = 0; i < INSTANCES; i++) {
		ep[i] = epoll_create1(EPOLL_CLOEXEC);
		pairs[i] = tcp_pair();
		watch(ep[i], EPOLL_CTL_ADD, pairs[i].server, kind);
	}
	for (int round = 0; round < REQUESTS / 2; round++) {
		for (int i = 0; i < INSTANCES; i++)
			ask(pairs[i].client, names[i]);
		for (int i = 0; i < INSTANCES; i++) {
			/* While it waits in one, the others have requests held back. */
			serve(ep[(i + round) % INSTANCES], pairs[(i + round) % INSTANCES].server);
		}
		for (int i = 0; i < INSTANCES; i++)
			good += right(pairs[i].client, names[i]);
	}
	for (int i = 0; i < INSTANCES; i++) {
		finish(pairs[i]);
		close(ep[i]);
	}
	printf("one thread with several instances, %s: %d right\n", what, good);
}

/* Three instances in each other; the outermost is waited in, edge- or level-triggered. */
static void nested_thrice(uint32_t kind, const char *what)
{
	int inner = epoll_create1(EPOLL_CLOEXEC), middle = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(EPOLL_CLOEXEC);
	int good = 0;
	struct pair pair = tcp_pair();
	char name[64];
	watch(inner, EPOLL_CTL_ADD, pair.server, EPOLLIN | (kind & EPOLLET));
	watch(middle, EPOLL_CTL_ADD, inner, EPOLLIN | (kind & EPOLLET));
	watch(outer, EPOLL_CTL_ADD, middle, EPOLLIN | (kind & EPOLLET));
	for (int i = 0; i < REQUESTS / 2; i++) {
		ask(pair.client, name);
		for (int done = 0; !done;) {
			struct epoll_event event;
			NEED(epoll_wait(outer, &event, 1, -1) == 1 && event.data.fd == middle);
			while (epoll_wait(middle, &event, 1, 0) == 1 && epoll_wait(inner, &event, 1, 0) == 1)
				done += handle(pair.server);
		}
		good += right(pair.client, name);
	}
	finish(pair);
	close(inner);
	close(middle);
	close(outer);
	printf("three in each other, %s: %d right\n", what, good);
}

/* A copy of the number is registered too, in the same instance: two registrations of one connection. */
static void copied_and_registered_twice(uint32_t kind, const char *what)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), good = 0;
	struct pair pair = tcp_pair();
	int copy = dup(pair.server);
	char name[64];
	watch(ep, EPOLL_CTL_ADD, pair.server, kind);
	watch(ep, EPOLL_CTL_ADD, copy, kind);
	for (int i = 0; i < REQUESTS / 2; i++) {
		ask(pair.client, name);
		for (int done = 0; !done;) {
			struct epoll_event event;
			NEED(epoll_wait(ep, &event, 1, -1) == 1);
			NEED(event.data.fd == pair.server || event.data.fd == copy);
			/* Read by the number that was told. */
			done = handle(event.data.fd);
		}
		good += right(pair.client, name);
	}
	/* Closed by one number, the connection lives on under the other. */
	close(pair.server);
	for (int i = 0; i < 3; i++) {
		ask(pair.client, name);
		for (int done = 0; !done;) {
			struct epoll_event event;
			NEED(epoll_wait(ep, &event, 1, -1) == 1);
			done = handle(copy);
		}
		good += right(pair.client, name);
	}
	close(copy);
	close(pair.client);
	close(ep);
	printf("copied and registered twice, %s: %d right\n", what, good);
}

/* Moved between two loops, as servers do that balance their threads: taken out of one, handed over, put into the other,
 * while its request may be held back. */
static struct handed {
	int to[2], back[2];
} handed;

static void *other_loop(void *)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), fd;
	while (read(handed.to[0], &fd, sizeof fd) == sizeof fd) {
		watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET);
		serve(ep, fd);
		watch(ep, EPOLL_CTL_DEL, fd, 0);
		NEED(write(handed.back[1], &fd, sizeof fd) == sizeof fd);
	}
	close(ep);
	return NULL;
}

static void moved_between_loops(void)
{
	pthread_t thread;
	int ep = epoll_create1(EPOLL_CLOEXEC), good = 0;
	char name[64];
	NEED(pipe(handed.to) == 0 && pipe(handed.back) == 0);
	NEED(pthread_create(&thread, NULL, other_loop, NULL) == 0);
	struct pair pair = tcp_pair();
	for (int i = 0; i < REQUESTS; i++) {
		struct epoll_event event;
		int fd = pair.server;
		watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN | (i % 2 ? EPOLLET : 0));
		ask(pair.client, name);
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		/* Every third request is tried here first. */
		int done = i % 3 == 0 && handle(fd);
		watch(ep, EPOLL_CTL_DEL, fd, 0);
		if (!done) {
			NEED(write(handed.to[1], &fd, sizeof fd) == sizeof fd);
			NEED(read(handed.back[0], &fd, sizeof fd) == sizeof fd && fd == pair.server);
		}
		good += right(pair.client, name);
	}
	close(handed.to[1]);
	pthread_join(thread, NULL);
	finish(pair);
	close(ep);
	close(handed.to[0]);
	close(handed.back[0]);
	close(handed.back[1]);
	printf("moved between loops: %d right\n", good);
}

/* Accepted by one thread, registered and served by another from the beginning. */
static void handed_out(void)
{
	pthread_t thread;
	int good = 0;
	char name[64];
	NEED(pipe(handed.to) == 0 && pipe(handed.back) == 0);
	NEED(pthread_create(&thread, NULL, other_loop, NULL) == 0);
	for (int i = 0; i < REQUESTS; i++) {
		struct pair pair = tcp_pair();
		int fd = pair.server;
		ask(pair.client, name);
		NEED(write(handed.to[1], &fd, sizeof fd) == sizeof fd);
		good += right(pair.client, name);
		NEED(read(handed.back[0], &fd, sizeof fd) == sizeof fd);
		finish(pair);
	}
	close(handed.to[1]);
	pthread_join(thread, NULL);
	close(handed.to[0]);
	close(handed.back[0]);
	close(handed.back[1]);
	printf("handed out by an acceptor: %d right\n", good);
}

/* A loop that serves a little, to have learnt something, and ends when a read answers EAGAIN: with its request held back.
 * Another loop goes on in the same instance. */
static void *short_lived(void *argument)
{
	struct pair pair = *(struct pair *)argument;
	char name[64];
	watch(shared.ep, EPOLL_CTL_ADD, pair.server, shared.kind);
	for (int i = 0; i < REQUESTS; i++) {
		struct epoll_event event;
		ask(pair.client, name);
		NEED(epoll_wait(shared.ep, &event, 1, -1) == 1 && event.data.fd == pair.server);
		if (!handle(pair.server) || i == REQUESTS - 1)
			break;
		NEED(right(pair.client, name));
	}
	return NULL;
}

static void loops_that_end(uint32_t kind, const char *what)
{
	int ended = 0;
	for (int i = 0; i < 5; i++) {
		pthread_t thread;
		unsigned char body[LENGTH];
		struct pair pair = tcp_pair();
		shared = (struct shared){ .ep = epoll_create1(EPOLL_CLOEXEC), .kind = kind };
		NEED(pthread_create(&thread, NULL, short_lived, &pair) == 0);
		pthread_join(thread, NULL);
		/* The last answer is there, or its request is still to be served. */
		for (struct epoll_event event; recv(pair.client, body, LENGTH, MSG_PEEK | MSG_DONTWAIT) < 0;) {
			NEED(epoll_wait(shared.ep, &event, 1, -1) == 1);
			handle(event.data.fd);
		}
		ended += recv(pair.client, body, LENGTH, MSG_WAITALL) == LENGTH;
		finish(pair);
		close(shared.ep);
	}
	printf("loops that end, %s: %d of 5\n", what, ended);
}

static void scenario(void)
{
	NEED(mkdir("docs", 0755) == 0);
	threads_with_their_own();
	threads_with_one(EPOLLIN | EPOLLONESHOT, "one-shot");
	threads_with_one(EPOLLIN | EPOLLET | EPOLLONESHOT, "edge and one-shot");
	instances_in_turn(EPOLLIN, "level");
	instances_in_turn(EPOLLIN | EPOLLET, "edge");
	nested_thrice(EPOLLIN, "level");
	nested_thrice(EPOLLIN | EPOLLET, "edge");
	copied_and_registered_twice(EPOLLIN, "level");
	copied_and_registered_twice(EPOLLIN | EPOLLET, "edge");
	moved_between_loops();
	handed_out();
	loops_that_end(EPOLLIN, "level");
	loops_that_end(EPOLLIN | EPOLLET, "edge");
}

MAIN(scenario)
