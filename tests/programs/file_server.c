/* A small event-driven file server: keep-alive HTTP/1.1, pipelining, one thread per loop, everything else by option, so
 * that one client can drive every kind of registration and every way to read.
 *
 *   file_server DOCROOT [option=value …]
 *     mode=level|edge|oneshot|exclusive        how connections are registered
 *     read=read|recv|recvfrom|readv|recvmsg|read_chk|recv_chk
 *     send=write|writev|sendfile
 *     wait=epoll_wait|epoll_pwait|epoll_pwait2
 *     first=register|read                      accepted connections are registered first, or read first
 *     loops=one|two|nested|both|threads        one instance; two by turns; one inside the other; every connection in two;
 *                                              two threads
 *     signals=always|waiting                   when signals are let through; `waiting` needs an epoll_pwait
 *     maxevents=N
 *     chaos=none|close|move|over               what happens to connections that sit there, every millisecond: closed;
 *                                              moved to another number; another one is dup2-ed over their number
 *
 * It prints its port, and ends with status 0 on SIGTERM. */
#include "common.h"

ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);

enum { SLOTS = 4096, BUFFER = 16384 };

struct connection {
	int open, ep, have;
	char *buffer;
	/* The answer under way. */
	char *out;
	size_t length, sent;
	int file;
	off_t offset, end;
	int ending;
};

static struct connection slots[SLOTS];
static const char *docroot;
static struct {
	const char *mode, *read, *send, *wait, *first, *loops, *signals, *chaos;
	int maxevents;
} options = { "level", "read", "write", "epoll_wait", "register", "one", "always", "none", 64 };
static volatile sig_atomic_t stopping;
static int listening;

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }

static uint32_t interest(int writing)
{
	if (is(options.mode, "edge"))
		return EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	if (is(options.mode, "exclusive"))
		return EPOLLIN | EPOLLEXCLUSIVE;
	return (writing ? EPOLLOUT : EPOLLIN) | (is(options.mode, "oneshot") ? EPOLLONESHOT : 0);
}

static void registration(int fd, int op, int writing)
{
	struct epoll_event event = { .events = interest(writing), .data.fd = fd };
	NEED(epoll_ctl(slots[fd].ep, op, fd, &event) == 0);
}

static ssize_t receive(int fd, char *to, size_t length)
{
	struct iovec two[2] = { { to, length / 2 }, { to + length / 2, length - length / 2 } };
	struct msghdr message = { .msg_iov = two, .msg_iovlen = 2 };
	if (is(options.read, "read"))
		return read(fd, to, length);
	if (is(options.read, "recv"))
		return recv(fd, to, length, 0);
	if (is(options.read, "recvfrom"))
		return recvfrom(fd, to, length, 0, NULL, NULL);
	if (is(options.read, "readv"))
		return readv(fd, two, 2);
	if (is(options.read, "recvmsg"))
		return recvmsg(fd, &message, 0);
	if (is(options.read, "read_chk"))
		return __read_chk(fd, to, length, length);
	NEED(is(options.read, "recv_chk"));
	return __recv_chk(fd, to, length, length, 0);
}

static void end(int fd)
{
	struct connection *c = &slots[fd];
	if (!c->open)
		return;
	if (c->file >= 0)
		close(c->file);
	free(c->buffer);
	free(c->out);
	memset(c, 0, sizeof *c);
	close(fd);
}

static void prepare(struct connection *c, const char *request)
{
	char method[8], target[4096], path[8192];
	struct stat status;
	int found = sscanf(request, "%7s %4095s", method, target) == 2 && target[0] == '/' && !strstr(target, "..");
	c->file = -1;
	c->offset = c->end = c->sent = 0;
	if (found) {
		char *query = strchr(target, '?');
		if (query)
			*query = 0;
		snprintf(path, sizeof path, "%s%s%s", docroot, target, target[strlen(target) - 1] == '/' ? "index.html" : "");
		found = stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
			(c->file = open(path, O_RDONLY | O_CLOEXEC)) >= 0;
	}
	size_t length = found ? status.st_size : 9;
	c->out = malloc(length + 200);
	c->length = sprintf(c->out, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", found ? "200 OK" : "404 Not Found", length);
	if (is(method, "HEAD")) {
		if (c->file >= 0)
			close(c->file);
		c->file = -1;
		return;
	}
	if (!found) {
		memcpy(c->out + c->length, "not here\n", 9);
		c->length += 9;
	} else if (is(options.send, "sendfile")) {
		c->end = length;
	} else {
		for (size_t at = 0; at < length;) {
			ssize_t n = at & 1 ? pread(c->file, c->out + c->length + at, length - at, at)
					   : pread64(c->file, c->out + c->length + at, length - at, at);
			NEED(n > 0);
			at += n;
		}
		c->length += length;
		close(c->file);
		c->file = -1;
	}
}

/* Sends what it can: 1 when the answer is out, 0 when the socket is full, -1 when the client has gone. */
static int flush_out(int fd)
{
	struct connection *c = &slots[fd];
	while (c->sent < c->length || c->offset < c->end) {
		ssize_t n;
		struct iovec two[2] = { { c->out + c->sent, (c->length - c->sent) / 2 },
					{ c->out + c->sent + (c->length - c->sent) / 2,
					  c->length - c->sent - (c->length - c->sent) / 2 } };
		if (c->sent == c->length)
			n = sendfile(fd, c->file, &c->offset, c->end - c->offset);
		else if (is(options.send, "writev"))
			n = writev(fd, two, 2);
		else
			n = write(fd, c->out + c->sent, c->length - c->sent);
		if (n < 0 && errno == EAGAIN) {
			if (!is(options.mode, "exclusive"))
				return 0;
			/* An exclusive registration cannot be modified: wait here. */
			struct pollfd writable = { .fd = fd, .events = POLLOUT };
			poll(&writable, 1, 1000);
			continue;
		}
		if (n <= 0)
			return -1;
		if (c->sent < c->length)
			c->sent += n;
	}
	if (c->file >= 0)
		close(c->file);
	c->file = -1;
	free(c->out);
	c->out = NULL;
	return 1;
}

/* Serves until it would have to wait. False when the connection was ended. */
static int serve(int fd)
{
	struct connection *c = &slots[fd];
	for (;;) {
		if (c->out) {
			int done = flush_out(fd);
			if (done < 0)
				return end(fd), 0;
			if (!done) {
				if (is(options.mode, "level") || is(options.mode, "oneshot"))
					registration(fd, EPOLL_CTL_MOD, 1);
				return 1;
			}
			if (is(options.mode, "level"))
				registration(fd, EPOLL_CTL_MOD, 0);
		}
		char *limit = c->have ? memmem(c->buffer, c->have, "\r\n\r\n", 4) : NULL;
		if (limit) {
			*limit = 0;
			prepare(c, c->buffer);
			c->have -= limit + 4 - c->buffer;
			memmove(c->buffer, limit + 4, c->have);
			continue;
		}
		if (c->ending || c->have == BUFFER)
			return end(fd), 0;
		ssize_t n = receive(fd, c->buffer + c->have, BUFFER - c->have);
		if (n > 0) {
			c->have += n;
		} else if (n == 0) {
			c->ending = 1;
		} else if (errno == EAGAIN) {
			if (is(options.mode, "oneshot"))
				registration(fd, EPOLL_CTL_MOD, 0);
			return 1;
		} else {
			return end(fd), 0;
		}
	}
}

static void welcome(int ep, int second)
{
	for (;;) {
		int one = 1, fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		NEED(fd < SLOTS);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		slots[fd] = (struct connection){ .open = 1, .ep = ep, .file = -1, .buffer = malloc(BUFFER) };
		if (second >= 0 && !is(options.loops, "both") && fd & 1)
			slots[fd].ep = second;
		int reading = is(options.first, "read");
		/* A one-shot registration can only be re-armed once it exists: there, reading first means once, by hand. */
		if (reading && !is(options.mode, "oneshot") && !is(options.mode, "level")) {
			if (!serve(fd))
				continue;
			registration(fd, EPOLL_CTL_ADD, 0);
		} else if (reading) {
			ssize_t n = receive(fd, slots[fd].buffer, BUFFER);
			if (n > 0)
				slots[fd].have = n;
			registration(fd, EPOLL_CTL_ADD, 0);
			if (n > 0)
				serve(fd);
		} else {
			registration(fd, EPOLL_CTL_ADD, 0);
		}
		if (second >= 0 && is(options.loops, "both") && slots[fd].open) {
			struct epoll_event event = { .events = interest(0), .data.fd = fd };
			NEED(epoll_ctl(second, EPOLL_CTL_ADD, fd, &event) == 0);
		}
	}
}

static uint32_t dice(void)
{
	static uint32_t state = 12345;
	state = state * 1664525 + 1013904223;
	return state >> 8;
}

/* Something happens to a connection that sits there. */
static void chaos(void)
{
	int victim = dice() % 200;
	struct connection *c = &slots[victim];
	if (!c->open || c->out || c->have || dice() % 4)
		return;
	if (is(options.chaos, "close")) {
		end(victim);
	} else if (is(options.chaos, "move")) {
		struct epoll_event event;
		int copy = fcntl(victim, F_DUPFD_CLOEXEC, 0);
		NEED(copy >= 0 && copy < SLOTS);
		NEED(epoll_ctl(c->ep, EPOLL_CTL_DEL, victim, &event) == 0);
		slots[copy] = *c;
		memset(c, 0, sizeof *c);
		close(victim);
		registration(copy, EPOLL_CTL_ADD, 0);
	} else if (is(options.chaos, "over")) {
		int other = dice() % 200;
		struct connection *o = &slots[other];
		struct epoll_event event;
		if (other == victim || !o->open || o->out || o->have)
			return;
		/* `other` takes the place of `victim`, whose client sees the end. */
		NEED(epoll_ctl(o->ep, EPOLL_CTL_DEL, other, &event) == 0);
		free(c->buffer);
		*c = *o;
		NEED(dup2(other, victim) == victim);
		memset(o, 0, sizeof *o);
		close(other);
		registration(victim, EPOLL_CTL_ADD, 0);
	}
}

static int wait_for(int ep, struct epoll_event *events, int timeout)
{
	struct timespec time = { timeout / 1000, timeout % 1000 * 1000000 };
	sigset_t none;
	sigemptyset(&none);
	if (is(options.wait, "epoll_pwait"))
		return epoll_pwait(ep, events, options.maxevents, timeout, &none);
	if (is(options.wait, "epoll_pwait2"))
		return epoll_pwait2(ep, events, options.maxevents, timeout < 0 ? NULL : &time, &none);
	return epoll_wait(ep, events, options.maxevents, timeout);
}

static void *loop(void *)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), second = -1, turn = 0;
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listening }, events[64];
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, listening, &event) == 0);
	int by_turns = is(options.loops, "two") || is(options.loops, "both"), inside = is(options.loops, "nested");
	if (by_turns || inside)
		second = epoll_create1(EPOLL_CLOEXEC);
	if (inside) {
		event.data.fd = second;
		NEED(epoll_ctl(ep, EPOLL_CTL_ADD, second, &event) == 0);
	}
	while (!stopping) {
		int which = by_turns && turn++ & 1 ? second : ep;
		int n = wait_for(which, events, by_turns || !is(options.chaos, "none") ? 1 : -1);
		NEED(n >= 0 || errno == EINTR);
		NEED(n <= options.maxevents);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listening) {
				welcome(ep, second);
			} else if (fd == second) {
				struct epoll_event more[64];
				int m = wait_for(second, more, 0);
				for (int j = 0; j < m; j++)
					if (slots[more[j].data.fd].open)
						serve(more[j].data.fd);
			} else if (slots[fd].open) {
				serve(fd);
			}
		}
		if (!is(options.chaos, "none"))
			chaos();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address;
	NEED(argc > 1);
	docroot = argv[1];
	for (int i = 2; i < argc; i++) {
		char *value = strchr(argv[i], '=');
		NEED(value);
		*value++ = 0;
		if (is(argv[i], "mode"))
			options.mode = value;
		else if (is(argv[i], "read"))
			options.read = value;
		else if (is(argv[i], "send"))
			options.send = value;
		else if (is(argv[i], "wait"))
			options.wait = value;
		else if (is(argv[i], "first"))
			options.first = value;
		else if (is(argv[i], "loops"))
			options.loops = value;
		else if (is(argv[i], "signals"))
			options.signals = value;
		else if (is(argv[i], "chaos"))
			options.chaos = value;
		else {
			NEED(is(argv[i], "maxevents"));
			options.maxevents = atoi(value);
			NEED(options.maxevents >= 1 && options.maxevents <= 64);
		}
	}
	signal(SIGPIPE, SIG_IGN);
	struct sigaction action = { .sa_handler = stop };
	sigaction(SIGTERM, &action, NULL);
	listening = listener(&address);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	if (is(options.signals, "waiting"))
		pthread_sigmask(SIG_BLOCK, &term, NULL);
	if (is(options.loops, "threads")) {
		pthread_t thread;
		pthread_sigmask(SIG_BLOCK, &term, NULL);
		NEED(pthread_create(&thread, NULL, loop, NULL) == 0);
		pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	}
	loop(NULL);
	return 0;
}
