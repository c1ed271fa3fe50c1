/* A child that gives up the processor's tick counter (prctl PR_SET_TSC): it is killed where anybody reads the counter on
 * one of its threads, so the library may not. */
#include "common.h"
#include <sys/prctl.h>

static void give_up(void)
{
	NEED(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0);
}

static void *files(void *unused)
{
	char bytes[100];
	struct stat status;
	int fd = open("file", O_RDONLY | O_CLOEXEC);
	CALL(stat("file", &status));
	CALL(read(fd, bytes, sizeof bytes));
	CALL(pread(fd, bytes, sizeof bytes, 50));
	CALL(fstat(fd, &status));
	CALL(access("missing", R_OK));
	CALL(close(fd));
	return unused;
}

static void files_alone(void)
{
	give_up();
	files(NULL);
}

/* A thread inherits it. */
static void files_in_a_thread(void)
{
	pthread_t thread;
	give_up();
	NEED(pthread_create(&thread, NULL, files, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

static void waits(void)
{
	struct timespec none = { 0, 0 };
	struct epoll_event event;
	int pipes[2], instance;
	give_up();
	NEED(pipe(pipes) == 0 && (instance = epoll_create1(0)) >= 0);
	struct pollfd set[2] = { { .fd = pipes[0], .events = POLLIN }, { .fd = pipes[1], .events = POLLOUT } };
	fd_set in;
	FD_ZERO(&in);
	FD_SET(pipes[0], &in);
	CALL(epoll_wait(instance, &event, 1, 5));
	CALL(poll(set, 2, 5));
	CALL(ppoll(set, 2, &none, NULL));
	CALL(select(pipes[0] + 1, &in, NULL, NULL, &(struct timeval){ 0, 5000 }));
	CALL(write(pipes[1], "x", 1));
}

/* A loop that is one already, and one that the child becomes. */
static void loop(void)
{
	give_up();
	if (engaged_epoll < 0)
		engage();
	for (int i = 10; i < 14; i++)
		serve_cold(engaged_epoll, engaged_pair, i);
	printf("served\n");
}

static void new_loop(void)
{
	give_up();
	engage();
	printf("served by a loop of its own\n");
}

static void scenario(void)
{
	write_document("file", "file", 10000);
	in_child("files", files_alone);
	in_child("files in a thread", files_in_a_thread);
	in_child("waits", waits);
	in_child("loop", loop);
	in_child("new loop", new_loop);
}

MAIN(scenario)
