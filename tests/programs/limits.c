/* An event loop in a process that has no more of something: descriptors, threads, memory. Whatever the library cannot have,
 * the program is served as without it, and what it may have itself is not less by one descriptor. */
#include "common.h"

enum { LENGTH = 4096, DOCUMENTS = 60 };

static void prepare(void)
{
	NEED(mkdir("docs", 0755) == 0 && chmod("docs", 0755) == 0);
	for (int i = 0; i < DOCUMENTS; i++) {
		char name[64], path[80];
		snprintf(name, sizeof name, "limit-%d.html", i);
		snprintf(path, sizeof path, "docs/%s", name);
		write_document(path, name, LENGTH);
		chill(path);
	}
}

static int ep = -1;
static struct pair pair;

static void connect_both(void)
{
	pair = tcp_pair();
	ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) == 0);
}

/* Without asking for memory. Every file is cold the first time that it is asked for. */
static void serve_from(int first, int last)
{
	static char body[LENGTH], wanted[LENGTH];
	char request[256], got[256], path[80], name[64];
	for (int i = first; i < last; i++) {
		snprintf(name, sizeof name, "limit-%d.html", i);
		snprintf(path, sizeof path, "docs/%s", name);
		int length = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", name);
		/* In two parts: the first is kept until the second comes. */
		int part = i % 5 == 4 ? 9 : length;
		NEED(write(pair.client, request, part) == part);
		for (int have = 0; have < length;) {
			struct epoll_event event;
			NEED(epoll_wait(ep, &event, 1, -1) == 1);
			ssize_t n = read(pair.server, got + have, sizeof got - have);
			if (n < 0 && errno == EAGAIN)
				continue;
			NEED(n > 0);
			if ((have += n) == part && part < length)
				NEED(write(pair.client, request + part, length - part) == length - part);
		}
		struct stat status;
		NEED(stat(path, &status) == 0);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		NEED(fd >= 0 && read(fd, body, LENGTH) == LENGTH);
		close(fd);
		NEED(write(pair.server, body, LENGTH) == LENGTH);
		NEED(recv(pair.client, body, LENGTH, MSG_WAITALL) == LENGTH);
		content(name, (unsigned char *)wanted, LENGTH);
		NEED(memcmp(body, wanted, LENGTH) == 0);
	}
}

static void use_up_descriptors(void)
{
	struct rlimit limit = { 64, 64 };
	NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	int last = -1, fd;
	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		last = fd;
	printf("the last number is %d: %s\n", last, strerrorname_np(errno));
	/* One for the handler. */
	close(last);
}

static void descriptors_before(void)
{
	connect_both();
	use_up_descriptors();
	serve_from(0, 30);
}

static void descriptors_after(void)
{
	connect_both();
	serve_from(0, 15);
	use_up_descriptors();
	serve_from(15, 30);
	/* Whatever was opened for a look is closed again. */
	CALL(open("/dev/null", O_RDONLY | O_CLOEXEC));
	CALL(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static void threads_before(void)
{
	struct rlimit none = { 0, 0 };
	connect_both();
	NEED(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	NEED(setrlimit(RLIMIT_NPROC, &none) == 0);
	serve_from(0, 30);
	CALL(fork());
}

static void threads_after(void)
{
	struct rlimit none = { 0, 0 };
	connect_both();
	NEED(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	serve_from(0, 15);
	NEED(setrlimit(RLIMIT_NPROC, &none) == 0);
	serve_from(15, 30);
	CALL(fork());
}

static rlim_t address_space(void)
{
	unsigned long pages = 0;
	char line[100] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0 && read(fd, line, sizeof line - 1) > 0 && sscanf(line, "%lu", &pages) == 1);
	close(fd);
	return pages * 4096;
}

static int at_first;

/* In a child for each amount that is left: from nothing at all to enough for everything. */
static void with_memory(rlim_t left)
{
	int status;
	fflush(stdout);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		connect_both();
		serve_from(0, at_first);
		rlim_t now = address_space() + left;
		struct rlimit limit = { now, now };
		NEED(setrlimit(RLIMIT_AS, &limit) == 0);
		serve_from(at_first, DOCUMENTS);
		_exit(0);
	}
	NEED(waitpid(child, &status, 0) == child);
	if (status)
		printf("with %lu KiB more: status %#x\n", (unsigned long)left / 1024, status);
	for (int i = 0; i < DOCUMENTS; i++) {
		char path[80];
		snprintf(path, sizeof path, "docs/limit-%d.html", i);
		chill(path);
	}
}

static void with_all_amounts(void)
{
	for (rlim_t left = 0; left <= 512; left += 32)
		with_memory(left * 1024);
	for (rlim_t left = 768; left <= 16384; left += left / 3)
		with_memory(left * 1024);
	printf("every amount of memory is enough\n");
}

static void memory_before(void) { with_all_amounts(); }

static void memory_after(void)
{
	at_first = 15;
	with_all_amounts();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*part)(void);
	} parts[] = { { "descriptors_before", descriptors_before }, { "descriptors_after", descriptors_after },
		      { "threads_before", threads_before },	    { "threads_after", threads_after },
		      { "memory_before", memory_before },	    { "memory_after", memory_after } };
	is_engaged(argc, argv);
	prepare();
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (argc > 2 && !strcmp(argv[2], parts[i].name)) {
			parts[i].part();
			printf("served\n");
			return 0;
		}
	return 2;
}
