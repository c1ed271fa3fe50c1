/* What the sets of poll and select may hold while a request is held back: nothing that can be read, and numbers that name
 * nothing (any more, or yet). */
#include "while_gated/poll.h"

static void bad_arguments(void)
{
	int which;
	struct pair pair = held(&which);
	void *volatile nowhere = (void *)16;
	size_t page = sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec now = { 0, 0 }, wrong = { 0, 1000000000 };
	struct timeval none = { 0, 0 }, negative = { 0, -1 };
	struct pollfd two[2] = { { .fd = pair.server, .events = POLLIN }, { .fd = INT_MAX, .events = POLLIN } };
	mprotect(pages + 2 * page, page, PROT_NONE);
	struct pollfd *half = (struct pollfd *)(pages + 2 * page) - 1;
	fd_set *last = (fd_set *)(pages + 2 * page - 8);
	half->fd = pair.server;
	CALL(poll(nowhere, 2, 0));
	CALL(poll(half, 2, 0));
	CALL(poll(half, 1, 0) >= 0);
	CALL(poll((struct pollfd *)pages, 2000, 0));
	CALL(poll(NULL, 2, 0));
	CALL(poll(two, 1u << 30, 0));
	CALL(ppoll(nowhere, 2, &now, NULL));
	CALL(ppoll(two, 2, &wrong, NULL));
	CALL(ppoll(two, 1, &now, nowhere));
	CALL(poll(two, 2, -1));
	printf("  %#x\n", two[1].revents);
	CALL(select(20, nowhere, NULL, NULL, &none));
	CALL(select(20, NULL, nowhere, NULL, &none));
	CALL(select(20, NULL, NULL, nowhere, &none));
	CALL(select(1024, last, NULL, NULL, &none) == 0);
	CALL(select(64, last, NULL, NULL, &none) == 0);
	CALL(select(-1, NULL, NULL, NULL, &none));
	CALL(select(20, NULL, NULL, NULL, &negative));
	CALL(pselect(20, nowhere, NULL, NULL, &now, NULL));
	CALL(pselect(20, NULL, NULL, NULL, &wrong, NULL));
	munmap(pages, 3 * page);
	/* The longest times that there are. */
	struct timeval longest = { LONG_MAX - 1000000000, 999999 };
	struct timespec ever = { LONG_MAX, 999999999 };
	fd_set in, out;
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(pair.server, &in);
	FD_SET(pair.client, &out);
	CALL(select(64, &in, &out, NULL, &longest) >= 1);
	printf("  left %d\n", longest.tv_sec > LONG_MAX - 1001000000);
	CALL(pselect(64, &in, &out, NULL, &ever, NULL) >= 1);
	two[1] = (struct pollfd){ .fd = pair.client, .events = POLLOUT };
	CALL(ppoll(two, 2, &ever, NULL) >= 1);
	answered(pair, which);
}

/* Numbers that mean nothing (any more), beyond all that were ever open. */
static void stale_numbers(void)
{
	int which;
	struct pair pair = held(&which);
	fd_set set;
	struct timeval none = { 0, 0 };
	for (int number = 0; number < 1024; number += 93) {
		FD_ZERO(&set);
		FD_SET(pair.server, &set);
		FD_SET(number, &set);
		errno = UNTOUCHED;
		int n = select(number > pair.server ? number + 1 : pair.server + 1, &set, NULL, NULL, &none);
		printf("%d: %s, still there %d\n", number, n < 0 ? strerrorname_np(errno) : "fine", FD_ISSET(number, &set) != 0);
	}
	answered(pair, which);
}

enum { LAST = 60 };

static void *take_numbers(void *highest)
{
	usleep(1500);
	for (int number = *(int *)highest + 1; number < LAST; number++)
		NEED(dup2(listening, number) == number);
	return NULL;
}

/* Another thread takes numbers that it knows to be free while this one waits. */
static void numbers_taken(void)
{
	int which, open = 0;
	pthread_t thread;
	struct pair pair = held(&which);
	int highest = pair.server > pair.client ? pair.server : pair.client;
	NEED(pthread_create(&thread, NULL, take_numbers, &highest) == 0);
	if (gated)
		serve(pair.server);
	pthread_join(thread, NULL);
	for (int number = highest + 1; number < LAST; number++)
		open += syscall(SYS_fcntl, number, F_GETFD) >= 0;
	printf("%d of %d are there\n", open, LAST - highest - 1);
	for (int number = highest + 1; number < LAST; number++)
		close(number);
	printf("answered: %s\n", right(pair.client, which));
	finish(pair);
}

static const struct moment moments[] = {
	{ "bad_arguments", bad_arguments },
	{ "stale_numbers", stale_numbers },
	{ "numbers_taken", numbers_taken },
};

MAIN_OF(moments)
