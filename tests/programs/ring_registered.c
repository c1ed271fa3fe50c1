/* Connections that are registered with epoll by io_uring, as libuv does it: in batches, by no call that a hook sees.
 * `ring_registered DIRECTORY` serves cold documents to two clients whose requests come together. What is observed is that all are
 * answered, and whether the loop was woken a bounded number of times for each: a loop that spins is woken thousands of times. */
#include "common.h"
#include <linux/io_uring.h>

enum { LENGTH = 6000, CLIENTS = 2, REQUESTS = 30, MOST_PER_REQUEST = 20 };

static const char *directory;
static struct sockaddr_in address;
static struct io_uring_sqe *sqes;
static unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
static struct io_uring_cqe *cqes;
static int ring, queued;

static char *ring_part(size_t length, off_t which)
{
	char *part = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, which);
	NEED(part != MAP_FAILED);
	return part;
}

static int set_up(void)
{
	struct io_uring_params params = { 0 };
	ring = syscall(SYS_io_uring_setup, 16, &params);
	if (ring < 0)
		return 0;
	char *sq = ring_part(params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	char *cq = ring_part(params.cq_off.cqes + params.cq_entries * sizeof *cqes, IORING_OFF_CQ_RING);
	sqes = (struct io_uring_sqe *)ring_part(params.sq_entries * sizeof *sqes, IORING_OFF_SQES);
	sq_tail = (unsigned *)(sq + params.sq_off.tail);
	sq_mask = (unsigned *)(sq + params.sq_off.ring_mask);
	sq_array = (unsigned *)(sq + params.sq_off.array);
	cq_head = (unsigned *)(cq + params.cq_off.head);
	cq_tail = (unsigned *)(cq + params.cq_off.tail);
	cq_mask = (unsigned *)(cq + params.cq_off.ring_mask);
	cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
	return 1;
}

static void queue(int ep, int operation, int fd, struct epoll_event *event)
{
	unsigned index = *sq_tail & *sq_mask;
	sqes[index] = (struct io_uring_sqe){
		.opcode = IORING_OP_EPOLL_CTL, .fd = ep, .addr = (uintptr_t)event, .len = operation, .off = fd };
	sq_array[index] = index;
	__atomic_store_n(sq_tail, *sq_tail + 1, __ATOMIC_RELEASE);
	queued++;
}

/* All that is queued, by one call. */
static int flush(void)
{
	int good = 1;
	NEED(syscall(SYS_io_uring_enter, ring, queued, queued, IORING_ENTER_GETEVENTS, NULL, 0) == queued);
	for (; queued; queued--) {
		NEED(*cq_head != __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE));
		errno = -cqes[*cq_head & *cq_mask].res;
		good &= errno == 0;
		__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	}
	return good;
}

struct asker {
	int fd, number, right;
};

static void *client(void *argument)
{
	struct asker *asker = argument;
	static __thread unsigned char body[LENGTH], wanted[LENGTH + 8];
	char request[200], name[64];
	for (int i = 0; i < REQUESTS; i++) {
		snprintf(name, sizeof name, "f%d.html", i * CLIENTS + asker->number);
		int n = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", name);
		NEED(write(asker->fd, request, n) == n);
		content(name, wanted, LENGTH);
		asker->right += recv(asker->fd, body, LENGTH, MSG_WAITALL) == LENGTH && !memcmp(body, wanted, LENGTH);
	}
	close(asker->fd);
	return NULL;
}

/* Answers the request that has arrived, if it is whole; false when the client has gone. */
static int serve(int fd, char *request, size_t *have)
{
	static unsigned char body[LENGTH];
	char name[100], path[PATH_MAX];
	ssize_t n = read(fd, request + *have, 999 - *have);
	if (n < 0 && errno == EAGAIN)
		return 1;
	if (n <= 0)
		return 0;
	request[*have += n] = 0;
	if (!strstr(request, "\r\n\r\n"))
		return 1;
	*have = 0;
	NEED(sscanf(request, "GET /%99s", name) == 1);
	snprintf(path, sizeof path, "%s/%s", directory, name);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && read(file, body, LENGTH) == LENGTH);
	close(file);
	NEED(write(fd, body, LENGTH) == LENGTH);
	return 1;
}

int main(int argc, char **argv)
{
	static char requests[CLIENTS][1000];
	static size_t have[CLIENTS];
	struct asker askers[CLIENTS];
	struct epoll_event registered[CLIENTS], events[CLIENTS];
	pthread_t threads[CLIENTS];
	int connections[CLIENTS], open_ones = CLIENTS, right = 0;
	long waits = 0, reads = 0;
	NEED(argc > 1);
	directory = argv[1];
	int listening = listener(&address), ep = epoll_create1(EPOLL_CLOEXEC);
	if (!set_up()) {
		printf("no io_uring: %s\n", strerrorname_np(errno));
		return 0;
	}
	for (int i = 0; i < CLIENTS; i++) {
		askers[i] = (struct asker){ client_of(&address), i, 0 };
		connections[i] = accepted_by(listening);
		registered[i] = (struct epoll_event){ .events = EPOLLIN, .data.u32 = i };
		queue(ep, EPOLL_CTL_ADD, connections[i], &registered[i]);
	}
	if (!flush()) {
		printf("no registration by io_uring: %s\n", strerrorname_np(errno));
		return 0;
	}
	for (int i = 0; i < CLIENTS; i++)
		NEED(pthread_create(&threads[i], NULL, client, &askers[i]) == 0);
	while (open_ones) {
		int n = epoll_pwait(ep, events, CLIENTS, -1, NULL);
		NEED(n > 0);
		waits++;
		for (int i = 0; i < n; i++) {
			int which = events[i].data.u32;
			reads++;
			if (serve(connections[which], requests[which], &have[which]))
				continue;
			queue(ep, EPOLL_CTL_DEL, connections[which], &registered[which]);
			NEED(flush());
			close(connections[which]);
			open_ones--;
		}
	}
	for (int i = 0; i < CLIENTS; i++) {
		NEED(pthread_join(threads[i], NULL) == 0);
		right += askers[i].right;
	}
	printf("%d of %d answers right\n", right, CLIENTS * REQUESTS);
	int bounded = waits + reads <= 2 * CLIENTS * REQUESTS * MOST_PER_REQUEST;
	printf("waits and reads: %s\n", bounded ? "bounded" : "it spins");
	if (!bounded)
		fprintf(stderr, "%ld waits, %ld reads\n", waits, reads);
	return 0;
}
