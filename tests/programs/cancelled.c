/* Threads that are cancelled while they wait inside an intercepted call: the C library unwinds the stack through the hook. */
#include "common.h"

static int pipe_ends[2];
static struct pair pair;

static void cleaned(void *what)
{
	printf("%s: cleaned up\n", (const char *)what);
	fflush(stdout);
}

static void *in_read(void *unused)
{
	char byte;
	pthread_cleanup_push(cleaned, "read");
	CALL(read(pipe_ends[0], &byte, 1));
	pthread_cleanup_pop(0);
	return unused;
}

static void *in_recv(void *unused)
{
	char byte;
	pthread_cleanup_push(cleaned, "recv");
	CALL(recv(pair.server, &byte, 1, 0));
	pthread_cleanup_pop(0);
	return unused;
}

static void *in_epoll_wait(void *unused)
{
	struct epoll_event event;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	pthread_cleanup_push(cleaned, "epoll_wait");
	/* Twice: the second time the thread is an event loop that the library knows. */
	CALL(epoll_wait(ep, &event, 1, 0));
	CALL(epoll_wait(ep, &event, 1, -1));
	pthread_cleanup_pop(0);
	return unused;
}

static void cancel(void *(*wait)(void *))
{
	pthread_t id;
	void *result;
	NEED(pthread_create(&id, NULL, wait, NULL) == 0);
	usleep(50 * 1000);
	NEED(pthread_cancel(id) == 0);
	NEED(pthread_join(id, &result) == 0);
	printf("cancelled: %d\n", result == PTHREAD_CANCELED);
}

static void scenario(void)
{
	NEED(pipe(pipe_ends) == 0);
	pair = tcp_pair();
	NEED(fcntl(pair.server, F_SETFL, fcntl(pair.server, F_GETFL) & ~O_NONBLOCK) == 0);
	cancel(in_read);
	cancel(in_recv);
	cancel(in_epoll_wait);
}

MAIN(scenario)
