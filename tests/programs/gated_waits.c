/* How a server may wait while a request is held back: with and without a limit, by signals, for many at once. */
#include "while_gated/epoll.h"

/* No number is left when readiness is to be given back. */
static void no_number_left(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	struct rlimit limit, none;
	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	none = (struct rlimit){ 0, limit.rlim_max };
	NEED(setrlimit(RLIMIT_NOFILE, &none) == 0);
	struct epoll_event event;
	NEED(!gated || epoll_wait(ep, &event, 1, -1) == 1);
	NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (gated)
		NEED(handle(pair.server));
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* Never registered, and waited for by a signal only. */
static void signalled(void)
{
	int which, number;
	sigset_t set;
	struct pair pair = connection();
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	NEED(fcntl(pair.server, F_SETOWN, getpid()) == 0);
	NEED(fcntl(pair.server, F_SETFL, fcntl(pair.server, F_GETFL) | O_ASYNC) == 0);
	which = ask(pair.client);
	for (;;) {
		NEED(sigwait(&set, &number) == 0);
		if (handle(pair.server))
			break;
	}
	gated = 1; /* a signal has told of it: nothing is to be held back */
	printf("answered: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static void timeouts(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated, done = !was;
	struct timespec start, now;
	struct epoll_event event;
	while (!done) {
		int n = epoll_wait(ep, &event, 1, 0);
		NEED(n == 0 || n == 1);
		if (n == 0)
			n = epoll_wait(ep, &event, 1, 1);
		if (n == 1)
			done = handle(pair.server);
	}
	printf("answered: %s\n", right(pair.client, which));
	clock_gettime(CLOCK_MONOTONIC, &start);
	int n = epoll_wait(ep, &event, 1, 50);
	clock_gettime(CLOCK_MONOTONIC, &now);
	long took = (now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000;
	printf("then %d, early %d\n", n, took < 49900);
	close(pair.client);
	close(pair.server);
}

static volatile sig_atomic_t caught;
static void handler(int signal) { caught = signal; }

static void interrupted(void)
{
	int which, saw;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated;
	struct sigaction action = { .sa_handler = handler };
	sigaction(SIGALRM, &action, NULL);
	/* A signal while nothing else can happen ends the wait; completions in between do not eat it. */
	if (was)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	struct itimerval timer = { .it_value.tv_usec = 20000 };
	setitimer(ITIMER_REAL, &timer, NULL);
	struct epoll_event event;
	errno = UNTOUCHED;
	saw = epoll_wait(ep, &event, 1, -1);
	printf("wait %d %s, caught %d\n", saw, strerrorname_np(errno), caught);
	close(pair.client);
	close(pair.server);
}

static void many_at_once(void)
{
	enum { MANY = 30 };
	struct pair pairs[MANY];
	int which[MANY], done[MANY] = { 0 }, left = MANY, good = 0;
	for (int i = 0; i < MANY; i++) {
		pairs[i] = connection();
		watch(pairs[i].server, i % 3 ? EPOLLIN : EPOLLIN | EPOLLET, i);
		which[i] = ask(pairs[i].client);
	}
	while (left > 0) {
		struct epoll_event event;
		NEED(epoll_wait(ep, &event, 1, -1) == 1);
		int i = event.data.u64;
		NEED(i >= 0 && i < MANY && !done[i]);
		if (handle(pairs[i].server)) {
			done[i] = 1;
			left--;
		}
	}
	gated = 1; /* which were held back is the library's business */
	for (int i = 0; i < MANY; i++) {
		good += !strcmp(right(pairs[i].client, which[i]), "right");
		close(pairs[i].client);
		close(pairs[i].server);
	}
	printf("%d of %d right\n", good, MANY);
	quiet("after all");
}

static const struct moment moments[] = {
	{ "no_number_left", no_number_left },
	{ "signalled", signalled },
	{ "timeouts", timeouts },
	{ "interrupted", interrupted },
	{ "many_at_once", many_at_once },
};

MAIN_OF(moments)
