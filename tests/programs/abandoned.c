/* An event loop on a slow disk, whose clients go away: `abandoned DIRECTORY WAY`. Each of CLIENTS connections sends what the
 * way says, and is reset before anything is answered:
 *
 * pipelined  requests for eight cold files of 1 MiB at once, read by the server before the reset
 * held       requests for eight small cold files at once; the reset comes while they are held back
 * body       the same, but all requests behind the first are the body that its head announces
 * one        a request for one cold file of 1 MiB, read by the server before the reset
 * unix       the same over a Unix socket, which is closed
 * answered   the same, three times by each; the server sends the beginning of the file before the reset
 */
#include "common.h"

enum { CLIENTS = 12, FILES = 8, LARGE = 1 << 20 };

static void *reset_soon(void *client)
{
	usleep(7000);
	close_with_reset(*(int *)client);
	return NULL;
}

/* A connection over a Unix socket; the server's end is non-blocking. */
static struct pair unix_pair(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	struct pair pair;
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(address.sun_path);
	NEED(bind(listening, (struct sockaddr *)&address, sizeof address) == 0 && listen(listening, 5) == 0);
	pair.client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NEED(connect(pair.client, (struct sockaddr *)&address, sizeof address) == 0);
	pair.server = accepted_by(listening);
	close(listening);
	return pair;
}

/* Sends the file's beginning, as the answer. */
static void answer(struct pair pair, const char *path)
{
	char bytes[COLD_LENGTH];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0 && read(fd, bytes, sizeof bytes) == sizeof bytes);
	close(fd);
	NEED(write(pair.server, bytes, sizeof bytes) == sizeof bytes);
	NEED(recv(pair.client, bytes, sizeof bytes, MSG_WAITALL) == sizeof bytes);
}

int main(int argc, char **argv)
{
	NEED(argc == 3 && chdir(argv[1]) == 0);
	int held = strcmp(argv[2], "held") == 0, over_unix = strcmp(argv[2], "unix") == 0;
	int answers = strcmp(argv[2], "answered") == 0 ? 3 : 0;
	int body = strcmp(argv[2], "body") == 0;
	int files = strcmp(argv[2], "pipelined") == 0 || held || body ? FILES : 1;
	engage();
	/* In a child: what this thread itself does with files would teach that they belong to each other. */
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		for (int i = 0; i < CLIENTS * files * (answers ? answers : 1); i++) {
			char path[64];
			snprintf(path, sizeof path, "cold/file%d", i);
			write_document(path, path, held ? COLD_LENGTH : LARGE);
			chill(path);
		}
		_exit(0);
	}
	int status;
	NEED(waitpid(child, &status, 0) == child && status == 0);
	for (int i = 0; i < CLIENTS; i++) {
		struct pair pair = over_unix ? unix_pair() : tcp_pair();
		struct epoll_event event = { .events = EPOLLIN };
		NEED(epoll_ctl(engaged_epoll, EPOLL_CTL_ADD, pair.server, &event) == 0);
		char request[1024], got[1024];
		for (int file = i * answers; file < (i + 1) * answers; file++) {
			char path[64];
			int length = sprintf(request, "GET /file%d HTTP/1.1\r\nHost: h\r\n\r\n", file);
			NEED(write(pair.client, request, length) == length);
			NEED(epoll_wait(engaged_epoll, &event, 1, 10000) == 1);
			NEED(read(pair.server, got, sizeof got) == length);
			snprintf(path, sizeof path, "cold/file%d", file);
			answer(pair, path);
		}
		if (answers) {
			close_with_reset(pair.client);
			NEED(epoll_wait(engaged_epoll, &event, 1, 10000) == 1);
			close(pair.server);
			continue;
		}
		int length = 0;
		for (int file = 0; file < files; file++)
			length += sprintf(request + length, "GET /file%d HTTP/1.1\r\nHost: h\r\n%s\r\n", i * files + file,
					  body && file == 0 ? "Content-Length: 250\r\n" : "");
		NEED(write(pair.client, request, length) == length);
		settle(pair.server, length);
		pthread_t resetter;
		if (held)
			NEED(pthread_create(&resetter, NULL, reset_soon, &pair.client) == 0);
		NEED(epoll_wait(engaged_epoll, &event, 1, 10000) == 1);
		ssize_t n = read(pair.server, got, sizeof got);
		if (held) {
			NEED(n == length || (n < 0 && errno == ECONNRESET));
			pthread_join(resetter, NULL);
		} else {
			NEED(n == length);
			close_with_reset(pair.client);
			NEED(epoll_wait(engaged_epoll, &event, 1, 10000) == 1);
		}
		close(pair.server);
	}
	return 0;
}
