/* Calls made before any constructor has run, and after exit has begun. */
#include "common.h"

static void calls(const char *when)
{
	struct stat status;
	struct epoll_event event;
	char byte, line[200];
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC), ep = epoll_create1(EPOLL_CLOEXEC);
	int n = snprintf(line, sizeof line, "%s: %d %d %d %zd %d", when, fd, ep, stat("/", &status), read(fd, &byte, 1),
			 epoll_wait(ep, &event, 1, 1));
	n += snprintf(line + n, sizeof line - n, " %d %d\n", close(fd), close(ep));
	if (syscall(SYS_write, 1, line, n) != n)
		_exit(9);
}

static void before_all(int argc, char **argv, char **environment)
{
	(void)argc, (void)argv, (void)environment;
	calls("preinit");
}
static void (*const preinit)(int, char **, char **) __attribute__((section(".preinit_array"), used)) = before_all;

static void __attribute__((constructor)) constructed(void) { calls("constructor"); }
static void __attribute__((destructor)) destructed(void) { calls("destructor"); }
static void at_exit(void) { calls("atexit"); }
static void on_exit_(int status, void *data)
{
	(void)status, (void)data;
	calls("on_exit");
}
static void at_quick_exit_(void) { calls("at_quick_exit"); }

static pthread_key_t key;
static void key_destructor(void *value)
{
	calls("thread-local destructor");
	/* Once more, in the next round of destructors: by then other libraries' thread-locals are gone. */
	if ((long)value < 4)
		pthread_setspecific(key, (void *)((long)value + 1));
}

static void *thread(void *)
{
	pthread_setspecific(key, (void *)1);
	calls("thread");
	/* This thread is an event loop too, and ends with a gate's worth of state. */
	engage();
	close(engaged_epoll);
	close(engaged_pair.client);
	close(engaged_pair.server);
	return NULL;
}

static void leave_quickly(void) { quick_exit(5); }
static void leave(void) { exit(6); }

int main(int argc, char **argv)
{
	pthread_t id;
	int engaged = is_engaged(argc, argv);
	atexit(at_exit);
	on_exit(on_exit_, NULL);
	at_quick_exit(at_quick_exit_);
	pthread_key_create(&key, key_destructor);
	for (int i = 0; i < 3; i++) {
		NEED(pthread_create(&id, NULL, thread, NULL) == 0);
		pthread_join(id, NULL);
	}
	if (engaged) {
		engage();
		still_serving();
	}
	calls("main");
	in_child("quick_exit", leave_quickly);
	in_child("exit", leave);
	return 0;
}
