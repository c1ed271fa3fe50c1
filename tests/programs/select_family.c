/* select, pselect and __fdelt_chk on descriptors that are never gated: results, the three sets, the time that is left, errors. */
#include "common.h"
#include <sys/select.h>

static fd_set sets[3];

/* Where the scenario's descriptors are: numbers differ between the two states. */
static int known[8], knowns;

static void start(void)
{
	for (int i = 0; i < 3; i++)
		FD_ZERO(&sets[i]);
}

static int know(int fd) { return known[knowns++] = fd; }

static void got(long n)
{
	for (int i = 0; i < 3; i++) {
		int others = 0;
		printf("  %d:", i);
		for (int k = 0; k < knowns; k++)
			if (FD_ISSET(known[k], &sets[i]))
				printf(" %d", k);
		for (int fd = 0; fd < FD_SETSIZE; fd++)
			others += FD_ISSET(fd, &sets[i]) != 0;
		printf(", %d in all\n", others);
	}
	(void)n;
}

#define WAIT(call) got(CALL(call))

static int count(void)
{
	int highest = -1;
	for (int i = 0; i < 3; i++)
		for (int fd = 0; fd < FD_SETSIZE; fd++)
			if (FD_ISSET(fd, &sets[i]) && fd > highest)
				highest = fd;
	return highest + 1;
}

/* The same sets by both names, ready or not. */
static void every_way(const char *what)
{
	fd_set given[3];
	memcpy(given, sets, sizeof sets);
	int n = count();
	struct timespec now = { 0, 0 }, soon = { 0, 20000000 };
	sigset_t none;
	sigemptyset(&none);
	printf("%s\n", what);
	struct timeval zero = { 0, 0 }, short_time = { 0, 20000 }, long_time = { 50, 1500000 };
	WAIT(select(n, &sets[0], &sets[1], &sets[2], &zero));
	NEED(zero.tv_sec == 0 && zero.tv_usec == 0);
	memcpy(sets, given, sizeof sets);
	errno = UNTOUCHED;
	int r = select(n, &sets[0], &sets[1], &sets[2], &short_time);
	show("select, a short time", r, errno);
	/* Ready at once: nearly all of it is left. Not ready: nothing. */
	printf("  left: %d\n", short_time.tv_sec == 0 && (r == 0 ? short_time.tv_usec == 0 : short_time.tv_usec <= 20000));
	if (r != 0) {
		memcpy(sets, given, sizeof sets);
		WAIT(select(n, &sets[0], &sets[1], &sets[2], &long_time));
		printf("  left: %d\n", r < 0 || (long_time.tv_sec <= 51 && long_time.tv_usec < 1000000));
		memcpy(sets, given, sizeof sets);
		WAIT(select(n, &sets[0], &sets[1], &sets[2], NULL));
	}
	memcpy(sets, given, sizeof sets);
	WAIT(pselect(n, &sets[0], &sets[1], &sets[2], &now, NULL));
	memcpy(sets, given, sizeof sets);
	WAIT(pselect(n, &sets[0], &sets[1], &sets[2], &soon, &none));
	/* Constant: the time is not written to. */
	NEED(soon.tv_sec == 0 && soon.tv_nsec == 20000000);
	memcpy(sets, given, sizeof sets);
	WAIT(pselect(n, &sets[0], NULL, NULL, &now, &none));
	memcpy(sets, given, sizeof sets);
}

static volatile int beyond = FD_SETSIZE, negative = -1;

static void sets_beyond(void) { FD_SET(beyond, &sets[0]); }
static void asks_beyond(void) { printf("%d\n", FD_ISSET(negative, &sets[0]) != 0); }

/* The first wait of a thread. */
static void *without_a_set(void *nowhere)
{
	struct timespec now = { 0, 0 };
	CALL(select(20, nowhere, NULL, NULL, &(struct timeval){ 0, 0 }));
	CALL(pselect(20, NULL, nowhere, NULL, &now, NULL));
	return NULL;
}

static void scenario(void)
{
	void *volatile nowhere = (void *)16;
	int pipes[2], file;
	struct timespec now = { 0, 0 };
	NEED(pipe2(pipes, O_NONBLOCK) == 0);
	know(pipes[0]);
	know(pipes[1]);
	write_document("file", "file", 100);
	file = know(open("file", O_RDONLY));
	struct pair tcp = tcp_pair();
	know(tcp.server);

	start();
	every_way("nothing");
	FD_SET(pipes[0], &sets[0]);
	every_way("an empty pipe");
	FD_SET(pipes[1], &sets[1]);
	FD_SET(pipes[1], &sets[0]);
	FD_SET(file, &sets[0]);
	FD_SET(file, &sets[1]);
	FD_SET(file, &sets[2]);
	every_way("several kinds");
	FD_SET(tcp.server, &sets[0]);
	FD_SET(tcp.server, &sets[1]);
	FD_SET(tcp.server, &sets[2]);
	every_way("a quiet connection");

	/* An accepted connection whose bytes are no request: nothing may be held back. */
	char piece[16];
	start();
	FD_SET(tcp.server, &sets[0]);
	FD_SET(pipes[0], &sets[0]);
	NEED(write(tcp.client, "\1\2\3 binary", 10) == 10);
	settle(tcp.server, 10);
	every_way("a connection with bytes");
	CALL(read(tcp.server, piece, 16));
	every_way("read empty");
	/* Urgent data is what is exceptional. */
	NEED(send(tcp.client, "!", 1, MSG_OOB) == 1);
	FD_SET(tcp.server, &sets[2]);
	NEED(select(count(), NULL, NULL, &sets[2], NULL) == 1);
	every_way("urgent data");
	CALL(recv(tcp.server, piece, 1, MSG_OOB));
	/* Another one: where urgent data was, the kernel answers a read that meets a signal with EAGAIN. */
	close(tcp.client);
	close(tcp.server);
	tcp = tcp_pair();
	start();
	FD_SET(tcp.server, &sets[0]);
	FD_SET(tcp.server, &sets[2]);
	FD_SET(pipes[0], &sets[0]);
	close_with_reset(tcp.client);
	NEED(select(count(), &sets[0], NULL, NULL, NULL) == 1);
	every_way("reset by its client");
	CALL(read(tcp.server, piece, 16));
	close(tcp.server);
	every_way("closed");
	CALL(select(count(), NULL, NULL, NULL, &(struct timeval){ 0, 0 }));

	/* Members at or above the count do not count. */
	start();
	FD_SET(pipes[1], &sets[1]);
	struct timeval none = { 0, 0 };
	WAIT(select(pipes[1], &sets[0], &sets[1], NULL, &none));
	start();
	FD_SET(1023, &sets[0]);
	FD_SET(pipes[1], &sets[1]);
	WAIT(select(pipes[1] + 1, &sets[0], &sets[1], NULL, &none));

	/* The ends of a set: the highest number that fits, and more than there can be. */
	struct rlimit limit, all;
	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	all = (struct rlimit){ limit.rlim_max < 4096 ? limit.rlim_max : 4096, limit.rlim_max };
	NEED(setrlimit(RLIMIT_NOFILE, &all) == 0);
	NEED(write(pipes[1], "x", 1) == 1);
	NEED(dup2(pipes[0], 1023) == 1023 && dup2(pipes[0], 1024) == 1024);
	know(1023);
	start();
	FD_SET(1023, &sets[0]);
	FD_SET(pipes[0], &sets[0]);
	every_way("the highest number");
	FD_CLR(pipes[0], &sets[0]);
	every_way("it alone");
	/* Larger than a set, with room for it. */
	fd_set large[2];
	memset(large, 0, sizeof large);
	((unsigned long *)large)[16] |= 1;
	CALL(select(1025, &large[0], NULL, NULL, NULL));
	printf("  %#lx\n", ((unsigned long *)large)[16]);
	CALL(pselect(1025, &large[0], NULL, NULL, &now, NULL));
	close(1023);
	close(1024);

	/* What is refused. */
	start();
	FD_SET(pipes[0], &sets[0]);
	FD_SET(pipes[1], &sets[1]);
	struct timeval wrong[] = { { -1, 0 }, { 0, -1 }, { -1, 2000000 }, { 0, 1000000 }, { LONG_MAX, 0 } };
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		CALL(select(count(), &sets[0], &sets[1], NULL, &wrong[i]));
		printf("  %d\n", wrong[i].tv_sec >= 0 && wrong[i].tv_usec >= 0);
	}
	struct timespec bad[] = { { -1, 0 }, { 0, -1 }, { 0, 1000000000 }, { LONG_MAX, 999999999 } };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CALL(pselect(count(), &sets[0], &sets[1], NULL, &bad[i], NULL));
	CALL(select(-1, &sets[0], NULL, NULL, &none));
	CALL(select(INT_MIN, NULL, NULL, NULL, &none));
	CALL(pselect(-1, &sets[0], NULL, NULL, &now, NULL));
	CALL(select(20, nowhere, NULL, NULL, &none));
	CALL(select(20, NULL, nowhere, NULL, &none));
	CALL(select(20, NULL, NULL, nowhere, &none));
	CALL(select(0, nowhere, nowhere, nowhere, &none));
	CALL(pselect(20, nowhere, NULL, NULL, &now, NULL));
	CALL(pselect(20, &sets[0], NULL, NULL, &now, nowhere));
	pthread_t thread;
	NEED(pthread_create(&thread, NULL, without_a_set, nowhere) == 0 && pthread_join(thread, NULL) == 0);
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(pages + 4096, 4096, PROT_NONE);
	fd_set *word = (fd_set *)(pages + 4088);
	CALL(select(64, word, NULL, NULL, &none));
	CALL(select(65, word, NULL, NULL, &none));
	munmap(pages, 8192);
	/* Only pauses. */
	struct timeval pause = { 0, 15000 };
	CALL(select(0, NULL, NULL, NULL, &pause));
	printf("  left: %ld\n", (long)pause.tv_usec);

	in_child("a number beyond a set", sets_beyond);
	in_child("a negative number", asks_beyond);
	close(pipes[0]);
	close(pipes[1]);
	close(file);
}

MAIN(scenario)
