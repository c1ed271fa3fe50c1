/* A program that loads many libraries with thread-local variables while it serves: with each the C library enlarges tables,
 * by the program's `malloc`. `tls_libraries engaged LIBRARY` */
#include "common.h"

enum { COUNT = 60 };

static void copy(const char *from, const char *to)
{
	char bytes[4096];
	ssize_t n;
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	NEED(in >= 0 && out >= 0);
	while ((n = read(in, bytes, sizeof bytes)) > 0)
		NEED(write(out, bytes, n) == n);
	NEED(n == 0);
	close(in);
	close(out);
}

static char *(*places[COUNT])(void);

/* Meets an event loop of its own, and all variables for the first time. */
static void *other(void *unused)
{
	(void)unused;
	struct epoll_event event = { .events = EPOLLIN };
	struct pair pair = tcp_pair();
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, pair.server, &event) == 0);
	for (int i = 0; i < COUNT; i++)
		places[i]()[0] = 1;
	for (int i = 0; i < 4; i++)
		serve_cold(epoll, pair, 200 + i);
	close(pair.client);
	close(pair.server);
	close(epoll);
	return NULL;
}

int main(int argc, char **argv)
{
	is_engaged(argc, argv);
	NEED(argc > 2);
	engage();
	for (int i = 0; i < COUNT; i++) {
		char path[64];
		snprintf(path, sizeof path, "./library%d.so", i);
		copy(argv[2], path);
		void *library = dlopen(path, RTLD_NOW);
		NEED(library);
		places[i] = (char *(*)(void))dlsym(library, "thread_bytes");
		NEED(places[i]);
		places[i]()[0] = 1;
		if (i % 10 == 0)
			serve_cold(engaged_epoll, engaged_pair, 100 + i);
	}
	pthread_t thread;
	NEED(pthread_create(&thread, NULL, other, NULL) == 0 && pthread_join(thread, NULL) == 0);
	printf("%d libraries\n", COUNT);
	still_serving();
	return 0;
}
