/* A server of several processes: a master that binds and forks workers (one socket inherited by all, or a socket each with
 * SO_REUSEPORT), workers that start programs in the middle of serving in every way there is, workers that are replaced, and
 * a server that becomes a daemon after it has served. Observed is what reaches the clients and how children end. */
#include "common.h"
#include <spawn.h>

enum { LENGTH = 6000, WORKERS = 3, CLIENTS = 6, REQUESTS = 30 };

extern char **environ;

static struct sockaddr_in address;
static int listening = -1;

static void write_documents(const char *kind)
{
	for (int client = 0; client < CLIENTS; client++)
		for (int i = 0; i < REQUESTS; i++) {
			char name[64], path[100];
			snprintf(name, sizeof name, "%s-%d-%d.html", kind, client, i);
			snprintf(path, sizeof path, "docs/%s", name);
			write_document(path, name, LENGTH);
			chill(path);
		}
}

/* A program is run in this way, and copies a document to the connection. */
static void run(int way, int fd, const char *path)
{
	char command[200];
	int status;
	pid_t child;
	char *arguments[] = { "cat", (char *)path, NULL };
	posix_spawn_file_actions_t actions;
	fcntl(fd, F_SETFL, 0);
	switch (way) {
	case 0: /* as CGI programs are started */
		child = fork();
		if (child == 0) {
			dup2(fd, 1);
			closefrom(3);
			execv("/bin/cat", arguments);
			_exit(127);
		}
		break;
	case 1:
		child = vfork();
		if (child == 0) {
			dup2(fd, 1);
			execv("/bin/cat", arguments);
			_exit(127);
		}
		break;
	case 2:
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, fd, 1);
		NEED(posix_spawn(&child, "/bin/cat", &actions, NULL, arguments, environ) == 0);
		posix_spawn_file_actions_destroy(&actions);
		break;
	case 3: {
		/* Its output by way of this process. */
		static char body[LENGTH];
		snprintf(command, sizeof command, "cat %s", path);
		FILE *stream = popen(command, "r");
		NEED(stream && fread(body, 1, LENGTH, stream) == LENGTH && pclose(stream) == 0);
		NEED(write(fd, body, LENGTH) == LENGTH);
		child = 0;
		break;
	}
	case 4: {
		int number = fcntl(fd, F_DUPFD, 100);
		snprintf(command, sizeof command, "bash -c 'cat %s >&%d'", path, number);
		NEED(system(command) == 0);
		close(number);
		child = 0;
		break;
	}
	default: {
		child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		if (child == 0) {
			dup2(fd, 1);
			execv("/bin/cat", arguments);
			_exit(127);
		}
	}
	}
	if (child)
		NEED(waitpid(child, &status, 0) == child && status == 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void answer(int fd, const char *name, int number, int programs)
{
	static unsigned char body[LENGTH];
	char path[200];
	struct stat status;
	snprintf(path, sizeof path, "docs/%s", name);
	if (programs && number % 5 == 4) {
		run(number / 5 % 6, fd, path);
		return;
	}
	NEED(stat(path, &status) == 0);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && read(file, body, LENGTH) == LENGTH);
	close(file);
	NEED(write(fd, body, LENGTH) == LENGTH);
}

/* Serves until the other end of the pipe `last` is closed. */
static void serve(int ep, int last, int programs)
{
	for (;;) {
		struct epoll_event event;
		char request[1000], name[100];
		int n = epoll_wait(ep, &event, 1, -1), fd = event.data.fd, number;
		if (n < 0 && errno == EINTR)
			continue;
		NEED(n == 1);
		if (fd == last)
			return;
		if (fd == listening) {
			fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			if (fd < 0)
				continue;
			event = (struct epoll_event){ .events = EPOLLIN | (fd % 2 ? EPOLLET : 0), .data.fd = fd };
			NEED(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
			continue;
		}
		ssize_t got = read(fd, request, sizeof request - 1);
		if (got < 0 && errno == EAGAIN)
			continue;
		if (got <= 0) {
			close(fd);
			continue;
		}
		request[got] = 0;
		NEED(sscanf(request, "GET /%99s", name) == 1);
		NEED(sscanf(strchr(name, '-'), "-%*d-%d", &number) == 1);
		answer(fd, name, number, programs);
	}
}

static int instance(int last)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listening };
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, listening, &event) == 0);
	event.data.fd = last;
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, last, &event) == 0);
	return ep;
}

/* A socket of this process's own on the common port; the first one only reserves it. */
static int bound(int listens)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t length = sizeof address;
	NEED(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0);
	NEED(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
	NEED(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
	NEED(!listens || listen(fd, 511) == 0);
	return fd;
}

/* A client process: asks for all its documents, each time over a fresh connection or over the same. */
static int client(const char *kind, int which)
{
	unsigned char body[LENGTH], wanted[LENGTH];
	char request[200], name[64];
	int good = 0, fd = -1;
	for (int i = 0; i < REQUESTS; i++) {
		if (fd < 0)
			fd = client_of(&address);
		snprintf(name, sizeof name, "%s-%d-%d.html", kind, which, i);
		int length = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", name);
		NEED(write(fd, request, length) == length);
		content(name, wanted, LENGTH);
		good += recv(fd, body, LENGTH, MSG_WAITALL) == LENGTH && !memcmp(body, wanted, LENGTH);
		if (which % 2) {
			close(fd);
			fd = -1;
		}
	}
	close(fd);
	return good;
}

static pid_t clients[CLIENTS];

static void start_clients(const char *kind)
{
	fflush(stdout);
	for (int i = 0; i < CLIENTS; i++)
		if ((clients[i] = fork()) == 0)
			_exit(client(kind, i));
}

static void all_served(const char *kind)
{
	int status, good = 0;
	for (int i = 0; i < CLIENTS; i++) {
		NEED(waitpid(clients[i], &status, 0) == clients[i]);
		good += WEXITSTATUS(status);
	}
	printf("%s: %d of %d right\n", kind, good, CLIENTS * REQUESTS);
	fflush(stdout);
}

static void served_by_workers(const char *kind, int own_sockets, int programs)
{
	int until[2], ready[2], status, ended = 0;
	pid_t workers[WORKERS];
	write_documents(kind);
	NEED(pipe2(until, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
	address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listening = own_sockets ? bound(0) : listener(&address);
	fflush(stdout);
	for (int i = 0; i < WORKERS; i++)
		if ((workers[i] = fork()) == 0) {
			close(until[1]);
			if (own_sockets) {
				close(listening);
				listening = bound(1);
			}
			int ep = instance(until[0]);
			NEED(write(ready[1], "", 1) == 1);
			serve(ep, until[0], programs);
			exit(0);
		}
	for (int i = 0; i < WORKERS; i++) {
		char byte;
		NEED(read(ready[0], &byte, 1) == 1);
	}
	start_clients(kind);
	all_served(kind);
	close(until[1]);
	for (int i = 0; i < WORKERS; i++) {
		NEED(waitpid(workers[i], &status, 0) == workers[i]);
		ended += status == 0;
	}
	close(until[0]);
	close(ready[0]);
	close(ready[1]);
	close(listening);
	printf("%s: %d workers ended\n", kind, ended);
	fflush(stdout);
}

/* Serves, becomes a daemon with its instance and its socket, and serves on. */
static void daemonised(void)
{
	int served[2], until[2], ended[2], status;
	char byte;
	NEED(pipe2(served, O_CLOEXEC) == 0 && pipe2(until, O_CLOEXEC) == 0 && pipe2(ended, O_CLOEXEC) == 0);
	listening = listener(&address);
	write_documents("before");
	fflush(stdout);
	pid_t server = fork();
	if (server == 0) {
		close(until[1]);
		/* Held open by the clients alone: its end is the end of the last of them. */
		start_clients("before");
		close(served[1]);
		int ep = instance(served[0]);
		serve(ep, served[0], 0);
		all_served("before");
		NEED(daemon(1, 1) == 0);
		NEED(epoll_ctl(ep, EPOLL_CTL_DEL, served[0], NULL) == 0);
		struct epoll_event event = { .events = EPOLLIN, .data.fd = until[0] };
		NEED(epoll_ctl(ep, EPOLL_CTL_ADD, until[0], &event) == 0);
		serve(ep, until[0], 1);
		exit(0);
	}
	close(served[1]);
	close(ended[1]);
	NEED(waitpid(server, &status, 0) == server);
	printf("became a daemon: exit status %d\n", WEXITSTATUS(status));
	write_documents("after");
	start_clients("after");
	all_served("after");
	close(until[1]);
	NEED(read(ended[0], &byte, 1) == 0);
	close(ended[0]);
	close(served[0]);
	close(until[0]);
	close(listening);
}

static void scenario(void)
{
	NEED(mkdir("docs", 0755) == 0);
	served_by_workers("inherited", 0, 0);
	served_by_workers("reuseport", 1, 0);
	served_by_workers("programs", 0, 1);
	daemonised();
}

MAIN(scenario)
