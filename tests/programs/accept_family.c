/* accept and accept4: numbers, flags, addresses, errors. */
#include "common.h"

static void scenario(void)
{
	struct sockaddr_in address, peer, own;
	void *volatile nowhere = (void *)16;
	socklen_t length = sizeof peer;
	int listening = listener(&address), fd, client;
	CALL(accept(listening, NULL, NULL));
	CALL(accept4(listening, NULL, NULL, 0));
	const int flags[] = { 0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC };
	for (int i = 0; i < 5; i++) {
		client = client_of(&address);
		struct pollfd ready = { .fd = listening, .events = POLLIN };
		NEED(poll(&ready, 1, 10000) == 1);
		memset(&peer, 0, sizeof peer);
		length = sizeof peer;
		fd = i == 4 ? CALL(accept(listening, (struct sockaddr *)&peer, &length))
			    : CALL(accept4(listening, (struct sockaddr *)&peer, &length, flags[i]));
		printf("  F_GETFL %#x F_GETFD %d, %u bytes, family %d\n", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD), length,
		       peer.sin_family);
		length = sizeof own;
		getsockname(client, (struct sockaddr *)&own, &length);
		printf("  the client's port: %d\n", own.sin_port == peer.sin_port);
		close(client);
		close(fd);
	}
	client = client_of(&address);
	struct pollfd ready = { .fd = listening, .events = POLLIN };
	NEED(poll(&ready, 1, 10000) == 1);
	length = 4;
	fd = CALL(accept(listening, (struct sockaddr *)&peer, &length));
	printf("  %u bytes\n", length);
	close(fd);
	close(client);

	CALL(accept4(listening, NULL, NULL, 0x40000000));
	CALL(accept(-1, NULL, NULL));
	CALL(accept(9999, NULL, NULL));
	int file = open("/dev/null", O_RDONLY), plain = socket(AF_INET, SOCK_STREAM, 0), both[2];
	CALL(accept(file, NULL, NULL));
	CALL(accept4(plain, NULL, NULL, SOCK_NONBLOCK));
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, both) == 0);
	CALL(accept(both[0], NULL, NULL));
	client = client_of(&address);
	NEED(poll(&ready, 1, 10000) == 1);
	length = sizeof peer;
	CALL(accept(listening, nowhere, &length));
	close(client);
	close(listening);
	close(file);
	close(plain);
	close(both[0]);
	close(both[1]);
}

MAIN(scenario)
