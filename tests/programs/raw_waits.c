/* Waits that no hook sees: raw system calls, io_uring, signals, beside calls of the C library that are seen. A request may be
 * held back in any of them; that its wake-up comes all the same is what is observed. */
#include "common.h"
#include <linux/io_uring.h>

enum { LENGTH = 6000, REQUESTS = 24 };

static int number;

static void ask(int client, char *name)
{
	snprintf(name, 64, "raw-%d.html", number++);
	ask_for_cold(client, name, LENGTH);
}

/* Reads, through the C library, and answers; false for "again". */
static int handle(int fd)
{
	char request[1000];
	ssize_t n = read(fd, request, sizeof request - 1);
	if (n < 0 && errno == EAGAIN)
		return 0;
	answer_with_document(fd, request, n, LENGTH);
	return 1;
}

static int handle_raw(int fd)
{
	char request[1000];
	ssize_t n = syscall(SYS_read, fd, request, sizeof request - 1);
	if (n < 0 && errno == EAGAIN)
		return 0;
	answer_with_document(fd, request, n, LENGTH);
	return 1;
}

static int right(int client, const char *name)
{
	static unsigned char body[LENGTH], wanted[LENGTH];
	if (recv(client, body, LENGTH, MSG_WAITALL) != LENGTH)
		return 0;
	content(name, wanted, LENGTH);
	return memcmp(body, wanted, LENGTH) == 0;
}

/* A way to register, a way to wait, a way to read. */
static int ep;

static int register_by_library(int operation, int fd, uint32_t kind, uint64_t data)
{
	struct epoll_event event = { .events = kind, .data.u64 = data };
	return epoll_ctl(ep, operation, fd, &event);
}

static int register_raw(int operation, int fd, uint32_t kind, uint64_t data)
{
	struct epoll_event event = { .events = kind, .data.u64 = data };
	return syscall(SYS_epoll_ctl, ep, operation, fd, &event);
}

static int wait_by_library(struct epoll_event *event) { return epoll_wait(ep, event, 1, -1); }
static int wait_raw(struct epoll_event *event) { return syscall(SYS_epoll_wait, ep, event, 1, -1); }
static int pwait_raw(struct epoll_event *event) { return syscall(SYS_epoll_pwait, ep, event, 1, -1, NULL, 8); }
static int pwait2_raw(struct epoll_event *event) { return syscall(SYS_epoll_pwait2, ep, event, 1, NULL, NULL, 8); }

/* Waits for the instance's own descriptor, and then collects. */
static int poll_raw(struct epoll_event *event)
{
	struct pollfd ready = { .fd = ep, .events = POLLIN };
	NEED(syscall(SYS_poll, &ready, 1, -1) == 1);
	return syscall(SYS_epoll_wait, ep, event, 1, 0);
}

static int ppoll_raw(struct epoll_event *event)
{
	struct pollfd ready = { .fd = ep, .events = POLLIN };
	NEED(syscall(SYS_ppoll, &ready, 1, NULL, NULL, 8) == 1);
	return syscall(SYS_epoll_wait, ep, event, 1, 0);
}

/* The smallest io_uring: one request at a time. */
static struct ring {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} ring = { .fd = -1 };

static void set_up_ring(void)
{
	struct io_uring_params params = { 0 };
	ring.fd = syscall(SYS_io_uring_setup, 8, &params);
	if (ring.fd < 0)
		return;
	size_t sq = params.sq_off.array + params.sq_entries * sizeof(unsigned);
	size_t cq = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	char *s = mmap(NULL, sq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
	char *c = mmap(NULL, cq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_CQ_RING);
	ring.sqes = mmap(NULL, params.sq_entries * sizeof *ring.sqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
			 IORING_OFF_SQES);
	NEED(s != MAP_FAILED && c != MAP_FAILED && ring.sqes != MAP_FAILED);
	ring.sq_tail = (unsigned *)(s + params.sq_off.tail);
	ring.sq_mask = (unsigned *)(s + params.sq_off.ring_mask);
	ring.sq_array = (unsigned *)(s + params.sq_off.array);
	ring.cq_head = (unsigned *)(c + params.cq_off.head);
	ring.cq_tail = (unsigned *)(c + params.cq_off.tail);
	ring.cq_mask = (unsigned *)(c + params.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(c + params.cq_off.cqes);
}

static void submit(struct io_uring_sqe sqe)
{
	unsigned tail = *ring.sq_tail, index = tail & *ring.sq_mask;
	ring.sqes[index] = sqe;
	ring.sq_array[index] = index;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	NEED(syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0) == 1);
}

/* The next completion's result, waited for in the kernel, and whether more of the same request will come. */
static int completed(int *more)
{
	unsigned head = *ring.cq_head;
	while (head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE))
		NEED(syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) >= 0);
	struct io_uring_cqe *cqe = &ring.cqes[head & *ring.cq_mask];
	int result = cqe->res;
	*more = cqe->flags & IORING_CQE_F_MORE;
	__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}

static int register_by_ring(int operation, int fd, uint32_t kind, uint64_t data)
{
	struct epoll_event event = { .events = kind, .data.u64 = data };
	submit((struct io_uring_sqe){ .opcode = IORING_OP_EPOLL_CTL,
				      .fd = ep,
				      .addr = (uintptr_t)&event,
				      .len = operation,
				      .off = fd });
	int more, result = completed(&more);
	errno = -result;
	return result < 0 ? -1 : result;
}

static int wait_by_ring(struct epoll_event *event)
{
	submit((struct io_uring_sqe){ .opcode = IORING_OP_POLL_ADD, .fd = ep, .poll32_events = POLLIN });
	int more;
	NEED(completed(&more) > 0);
	return syscall(SYS_epoll_wait, ep, event, 1, 0);
}

static void served(const char *what, int (*enter)(int, int, uint32_t, uint64_t), int (*wait)(struct epoll_event *),
		   int (*take)(int), uint32_t kind)
{
	int good = 0;
	char name[64];
	struct pair pair = tcp_pair();
	uint64_t cookie = 0xc00c1e0000;
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (enter(EPOLL_CTL_ADD, pair.server, kind, cookie) != 0) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		goto out;
	}
	for (int i = 0; i < REQUESTS; i++) {
		ask(pair.client, name);
		for (int done = 0; !done;) {
			struct epoll_event event;
			int n = wait(&event);
			NEED(n == 0 || n == 1);
			if (n == 0)
				continue;
			NEED(event.data.u64 == cookie);
			done = take(pair.server);
			/* Changed by the same way: the cookie of before must not come back. */
			if (i % 4 == 3 || kind & EPOLLONESHOT)
				NEED(enter(EPOLL_CTL_MOD, pair.server, kind, ++cookie) == 0);
		}
		good += right(pair.client, name);
	}
	printf("%s: %d right\n", what, good);
out:
	fflush(stdout);
	close(pair.client);
	close(pair.server);
	close(ep);
}

/* Each of them level-triggered, edge-triggered and one-shot. */
static void each_kind(const char *what, int (*enter)(int, int, uint32_t, uint64_t), int (*wait)(struct epoll_event *),
		      int (*take)(int))
{
	char line[200];
	snprintf(line, sizeof line, "%s, level", what);
	served(line, enter, wait, take, EPOLLIN);
	snprintf(line, sizeof line, "%s, edge", what);
	served(line, enter, wait, take, EPOLLIN | EPOLLET);
	snprintf(line, sizeof line, "%s, one-shot", what);
	served(line, enter, wait, take, EPOLLIN | EPOLLONESHOT);
}

/* Never in an epoll instance: the connection itself is polled. */
static void polled(const char *what, int (*wait)(int))
{
	int good = 0;
	char name[64];
	struct pair pair = tcp_pair();
	for (int i = 0; i < REQUESTS; i++) {
		ask(pair.client, name);
		do
			NEED(wait(pair.server) == 1);
		while (!handle(pair.server));
		good += right(pair.client, name);
	}
	printf("%s: %d right\n", what, good);
	fflush(stdout);
	close(pair.client);
	close(pair.server);
}

static int by_raw_poll(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	return syscall(SYS_poll, &ready, 1, -1);
}

static int by_raw_ppoll(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	return syscall(SYS_ppoll, &ready, 1, NULL, NULL, 8);
}

static int by_ring(int fd)
{
	submit((struct io_uring_sqe){ .opcode = IORING_OP_POLL_ADD, .fd = fd, .poll32_events = POLLIN });
	int more;
	return completed(&more) > 0;
}

/* One poll for many wake-ups: it reports edges. */
static int by_multishot(int fd)
{
	static int polled = -1;
	if (polled != fd) {
		polled = fd;
		submit((struct io_uring_sqe){
			.opcode = IORING_OP_POLL_ADD, .fd = fd, .poll32_events = POLLIN, .len = IORING_POLL_ADD_MULTI });
	}
	int more, result = completed(&more);
	if (!more)
		polled = -1;
	return result > 0;
}

/* A signal for each arrival of bytes, as before epoll. */
static void signalled(void)
{
	int good = 0, signal;
	char name[64];
	sigset_t set;
	struct pair pair = tcp_pair();
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	NEED(fcntl(pair.server, F_SETOWN, getpid()) == 0);
	NEED(fcntl(pair.server, F_SETFL, fcntl(pair.server, F_GETFL) | O_ASYNC) == 0);
	for (int i = 0; i < REQUESTS; i++) {
		ask(pair.client, name);
		do
			NEED(sigwait(&set, &signal) == 0);
		while (!handle(pair.server));
		good += right(pair.client, name);
	}
	fcntl(pair.server, F_SETFL, O_NONBLOCK);
	struct timespec none = { 0 };
	while (sigtimedwait(&set, NULL, &none) == SIGIO)
		;
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	printf("signalled: %d right\n", good);
	fflush(stdout);
	close(pair.client);
	close(pair.server);
}

static void scenario(void)
{
	NEED(mkdir("docs", 0755) == 0);
	each_kind("all raw", register_raw, wait_raw, handle_raw);
	each_kind("registered by the library, waited for raw", register_by_library, wait_raw, handle);
	each_kind("registered by the library, epoll_pwait", register_by_library, pwait_raw, handle);
	each_kind("registered by the library, epoll_pwait2", register_by_library, pwait2_raw, handle);
	each_kind("registered by the library, poll", register_by_library, poll_raw, handle);
	each_kind("registered by the library, ppoll", register_by_library, ppoll_raw, handle);
	each_kind("registered raw, waited for by the library", register_raw, wait_by_library, handle);
	each_kind("read raw", register_by_library, wait_by_library, handle_raw);
	polled("poll", by_raw_poll);
	polled("ppoll", by_raw_ppoll);
	signalled();
	set_up_ring();
	if (ring.fd < 0) {
		printf("no io_uring: %s\n", strerrorname_np(errno));
		return;
	}
	each_kind("registered by io_uring", register_by_ring, wait_by_library, handle);
	each_kind("waited for by io_uring", register_by_library, wait_by_ring, handle);
	each_kind("both by io_uring", register_by_ring, wait_by_ring, handle);
	polled("polled by io_uring", by_ring);
	polled("polled by io_uring once and for all", by_multishot);
	close(ring.fd);
}

MAIN(scenario)
