/* What the system calls take by which the library looks at a request, beside one that does nothing. Prints a line each: its name, and nanoseconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TIMES 300000

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

#define TIME(name, call)                                         \
	do {                                                     \
		double begin = now();                            \
		for (int i = 0; i < TIMES; i++)                  \
			call;                                    \
		printf("%s|%.0f\n", name, (now() - begin) / TIMES); \
	} while (0)

int main(void)
{
	static const char request[] = "GET /f12 HTTP/1.1\r\nHost: h\r\n\r\n";
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&address, length) || listen(listener, 1) ||
	    getsockname(listener, (void *)&address, &length) || connect(client, (void *)&address, length))
		return perror("calls"), 1;
	int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK), empty[2];
	if (server < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, empty) ||
	    send(client, request, sizeof request - 1, 0) < 0)
		return perror("calls"), 1;
	usleep(1000);
	char bytes[4096];
	struct rusage usage;
	TIME("getppid", syscall(SYS_getppid));
	TIME("recv, MSG_PEEK: a request", recv(server, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT));
	TIME("getrusage, RUSAGE_THREAD", getrusage(RUSAGE_THREAD, &usage));
	TIME("fcntl, F_GETFL", fcntl(server, F_GETFL));
	TIME("read: nothing there", if (read(empty[0], bytes, sizeof bytes) >= 0) return 1);
	return 0;
}
