/* Opens connections to 127.0.0.1:PORT and keeps them. `connections PORT NUMBER [REQUEST]` sends the request on each, if there is
 * one, and reads the whole answer to it, whose length it learns from the first; says `open`, and ends with its standard
 * input. Run by scripts/bench/connections. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct rlimit limit;
	char answer[65536];
	ssize_t length = 0;
	if (argc < 3)
		return 2;
	address.sin_port = htons(atoi(argv[1]));
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = atoi(argv[2]); i > 0; i--) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
			err(1, "connect");
		if (argc < 4)
			continue;
		if (dprintf(fd, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[3]) < 0)
			err(1, "write");
		if (length == 0) {
			sleep(1);
			length = recv(fd, answer, sizeof answer, 0);
		} else if (recv(fd, answer, length, MSG_WAITALL) != length) {
			err(1, "read");
		}
	}
	puts("open");
	fflush(stdout);
	while (read(0, answer, sizeof answer) > 0)
		;
	return 0;
}
