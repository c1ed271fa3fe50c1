/* Hooks on stacks of 8 KiB and of PTHREAD_STACK_MIN, with a guard page below: a large local in a hook is a crash. */
#include "common.h"
#include <ucontext.h>

static ucontext_t outside, inside;
static char request[200], body[5000];
static const char *what;
static int problems;
static struct pair pair;
static int ep;

static void __attribute__((noinline)) one(int which)
{
	static struct stat status;
	static struct epoll_event event;
	static char path[64];
	static struct dirent *entry;
	static int n, got, file;
	/* Without stdio: its own appetite is not the subject. */
	strcpy(path, "small/x0");
	path[6] = 'a' + which % 26;
	path[7] = '0' + which / 26;
	strcpy(request, "GET /x0 HTTP/1.1\r\nHost: h\r\n\r\n");
	request[5] = path[6];
	request[6] = path[7];
	n = strlen(request);
	problems += write(pair.client, request, n) != n;
	for (;;) {
		problems += epoll_wait(ep, &event, 1, -1) != 1;
		got = which % 3 == 0   ? read(pair.server, request, sizeof request)
		      : which % 3 == 1 ? recv(pair.server, request, sizeof request, 0)
				       : recvfrom(pair.server, request, sizeof request, 0, NULL, NULL);
		if (got >= 0 || errno != EAGAIN)
			break;
	}
	problems += got != n;
	problems += stat(path, &status) != 0 || status.st_size != 5000;
	problems += lstat("gone", &status) != -1 || errno != ENOENT;
	file = which & 1 ? open(path, O_RDONLY | O_CLOEXEC) : openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	problems += file < 0 || fstat(file, &status) != 0;
	problems += read(file, body, sizeof body) != sizeof body;
	problems += pread(file, body, 100, 50) != 100;
	problems += close(dup(file)) != 0 || close(file) != 0;
	file = open("small", O_RDONLY | O_DIRECTORY);
	problems += syscall(SYS_getdents64, file, body, sizeof body) <= 0;
	(void)entry;
	close(file);
}

static void on_stack(void)
{
	for (int i = 0; i < 60; i++)
		one(i);
}

static void *thread(void *)
{
	on_stack();
	return NULL;
}

static void on_eight_kib(void)
{
	/* The dynamic linker resolves a symbol on the caller's stack and saves the vector registers there: that may take
	 * more than this stack has, with or without a library. Bind everything first, on the large stack. */
	one(0);
	one(1);
	one(2);
	char *stack = mmap(NULL, 4096 + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(stack != MAP_FAILED && mprotect(stack + 4096, 8192, PROT_READ | PROT_WRITE) == 0);
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack + 4096;
	inside.uc_stack.ss_size = 8192;
	inside.uc_link = &outside;
	makecontext(&inside, on_stack, 0);
	swapcontext(&outside, &inside);
	munmap(stack, 4096 + 8192);
}

static void scenario(void)
{
	pthread_t id;
	pthread_attr_t small;
	struct epoll_event event = { .events = EPOLLIN };
	what = "setting up";
	NEED(mkdir("small", 0755) == 0);
	for (int i = 0; i < 60; i++) {
		char path[64];
		snprintf(path, sizeof path, "small/%c%d", 'a' + i % 26, i / 26);
		write_document(path, path, 5000);
		chill(path);
	}
	pair = tcp_pair();
	ep = epoll_create1(EPOLL_CLOEXEC);
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) == 0);
	pthread_attr_init(&small);
	NEED(pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN) == 0);
	/* A fresh thread: the first cold request of a thread, and the start of the helpers, happen on its stack. */
	NEED(pthread_create(&id, &small, thread, NULL) == 0);
	pthread_join(id, NULL);
	printf("thread: %d problems\n", problems);
	for (int i = 0; i < 60; i++) {
		char path[64];
		snprintf(path, sizeof path, "small/%c%d", 'a' + i % 26, i / 26);
		chill(path);
	}
	on_eight_kib();
	printf("8 KiB: %d problems\n", problems);
	close(ep);
	close(pair.client);
	close(pair.server);
}

MAIN(scenario)
