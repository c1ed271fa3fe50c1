/* What one wait costs of the processor, in nanoseconds: poll, select and epoll_wait over accepted connections that are quiet,
 * beside one descriptor that is always ready. Run by scripts/bench/waits, with and without the library, as
 * `waits disarmed|armed|held DIRECTORY [thread]`; the last word has the program start an idle thread of its own. In the last state a request is held back all the while, for a file of the directory:
 * the library's helper is stopped by a tracer. Prints a line for each call and number of descriptors. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 10000 };

static int connections[MOST], ready, instance;

static double processor_time(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* The server's ends of so many connections; the clients' are in a child, which asks on the first when told to. */
static int connect_all(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), tell[2];
	if (listening < 0 || bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 4096) ||
	    getsockname(listening, (struct sockaddr *)&address, &length) || pipe2(tell, O_CLOEXEC))
		err(1, "listen");
	pid_t child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		static const char request[] = "GET /cold HTTP/1.1\r\nHost: localhost\r\n\r\n";
		char byte;
		int first = -1;
		close(tell[1]);
		for (int i = 0; i < MOST; i++) {
			int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
			if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
				err(1, "connect");
			first = i ? first : fd;
		}
		while (read(tell[0], &byte, 1) == 1)
			if (write(first, request, sizeof request - 1) < 0)
				err(1, "write");
		_exit(0);
	}
	close(tell[0]);
	for (int i = 0; i < MOST; i++)
		if ((connections[i] = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
			err(1, "accept");
	close(listening);
	return tell[1];
}

/* Stops the library's helper, where there is one, until this process ends. */
static void stop_helper(void)
{
	int stopped[2];
	char byte;
	if (pipe2(stopped, O_CLOEXEC))
		err(1, "pipe");
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	pid_t server = getpid(), tracer = fork();
	if (tracer < 0)
		err(1, "fork");
	if (tracer > 0) {
		close(stopped[1]);
		if (read(stopped[0], &byte, 1) != 1)
			errx(1, "the library's helper cannot be stopped");
		close(stopped[0]);
		return;
	}
	char path[400], name[64];
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	snprintf(path, sizeof path, "/proc/%d/task", server);
	DIR *tasks = opendir(path);
	for (struct dirent *task; tasks && (task = readdir(tasks));) {
		snprintf(path, sizeof path, "/proc/%d/task/%s/comm", server, task->d_name);
		FILE *file = fopen(path, "r");
		int helper = file && fgets(name, sizeof name, file) && !strcmp(name, "laio-helper\n");
		pid_t thread = atoi(task->d_name);
		if (file)
			fclose(file);
		if (helper && (ptrace(PTRACE_SEIZE, thread, 0, 0) || ptrace(PTRACE_INTERRUPT, thread, 0, 0) ||
			       waitpid(thread, NULL, __WALL) != thread))
			err(1, "ptrace");
	}
	if (write(stopped[1], "", 1) != 1)
		err(1, "write");
	for (;;)
		pause();
}

/* A request on the first connection that, with the library, stays held back. Tells whether it is. */
static int hold_back(int client, const char *directory)
{
	char path[4096], request[200];
	struct pollfd first = { .fd = connections[0], .events = POLLIN };
	snprintf(path, sizeof path, "%s/cold", directory);
	int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	memset(request, 'x', sizeof request);
	if (file < 0 || pwrite(file, request, sizeof request, 0) < 0 || fsync(file) ||
	    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED))
		err(1, "%s", path);
	close(file);
	if (write(client, "", 1) != 1 || poll(&first, 1, 10000) != 1)
		err(1, "the request did not come");
	return read(connections[0], request, sizeof request) < 0 && errno == EAGAIN;
}

static int by_poll(int n)
{
	static struct pollfd set[MOST + 1];
	if (set[0].fd != ready || set[n].fd != connections[n - 1]) {
		set[0] = (struct pollfd){ .fd = ready, .events = POLLIN };
		for (int i = 0; i < n; i++)
			set[i + 1] = (struct pollfd){ .fd = connections[i], .events = POLLIN };
	}
	return poll(set, n + 1, 1000);
}

/* As loops do that keep a set and have the kernel work on a copy. */
static int by_select(int n)
{
	static fd_set all, set;
	static int highest, members;
	struct timeval second = { 1, 0 };
	if (members != n) {
		FD_ZERO(&all);
		FD_SET(ready, &all);
		highest = ready;
		for (members = 0; members < n; members++) {
			FD_SET(connections[members], &all);
			highest = connections[members] > highest ? connections[members] : highest;
		}
	}
	set = all;
	return select(highest + 1, &set, NULL, NULL, &second);
}

static int by_epoll(int n)
{
	struct epoll_event events[64];
	(void)n;
	return epoll_wait(instance, events, 64, 1000);
}

static void *idle(void *unused)
{
	pause();
	return unused;
}

static void measure(const char *name, int (*wait)(int), int n)
{
	double begin = processor_time(), took = 0;
	long calls = 0, before = 0;
	/* The first tenth of a second is for caches and the processor's clock. */
	for (int warm = 0; took < 2e8; calls++) {
		if (wait(n) != 1)
			errx(1, "%s, %d descriptors: not one was ready", name, n);
		if (calls % 16 == 0) {
			took = processor_time() - begin;
			if (!warm && took > 1e8) {
				warm = 1;
				before = calls;
				begin = processor_time();
				took = 0;
			}
		}
	}
	printf("%s %d %.1f\n", name, n, took / (calls - before));
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	if (argc < 3)
		return 2;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < MOST + 100 || setrlimit(RLIMIT_NOFILE, &limit))
		errx(1, "the limit on open files is too low");
	/* Low, so that it is in reach of select. */
	ready = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	int client = connect_all(), with = getenv("LD_PRELOAD") != NULL;
	pthread_t thread;
	if (argc > 3 && pthread_create(&thread, NULL, idle, NULL))
		errx(1, "no thread can be started");
	/* The first waits of an event loop: it is made, and its threads are. */
	for (int i = 0; i < 3; i++)
		by_poll(1);
	if (!strcmp(argv[1], "held")) {
		if (with)
			stop_helper();
		if (hold_back(client, argv[2]) != with)
			errx(1, "the request was %sheld back: is %s in memory?", with ? "not " : "", argv[2]);
	}
	static const int numbers[] = { 10, 1000, MOST };
	for (int i = 0; i < 3; i++)
		measure("poll", by_poll, numbers[i]);
	for (int i = 0; i < 2; i++)
		measure("select", by_select, numbers[i]);
	instance = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	if (instance < 0 || epoll_ctl(instance, EPOLL_CTL_ADD, ready, &event))
		err(1, "epoll");
	for (int i = 0, n = 0; i < 3; i++) {
		for (; n < numbers[i]; n++)
			if (epoll_ctl(instance, EPOLL_CTL_ADD, connections[n], &event))
				err(1, "epoll_ctl");
		measure("epoll_wait", by_epoll, numbers[i]);
	}
	return 0;
}
