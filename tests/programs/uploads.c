/* An event loop on a slow disk that receives a body in which a stranger has written requests for cold files of 1 MiB:
 * `uploads DIRECTORY length|chunks|get|parts|plain`. The body comes long after its head, one request at a time, and nothing is
 * answered. With `parts` the head comes in pieces; with `get` it is that of a `GET`; with `plain` there is no body: they are requests. In
 * the end the same connection asks for a cold file. */
#include "common.h"

enum { REQUESTS = 20, LARGE = 1 << 20 };

static const char *REQUEST = "GET /large%02d HTTP/1.1\r\nHost: localhost\r\n\r\n";

/* It is read, and nothing is done about it. */
static void receive(const char *sent)
{
	deliver(engaged_epoll, engaged_pair, sent);
}

int main(int argc, char **argv)
{
	NEED(argc == 3 && chdir(argv[1]) == 0);
	const char *way = argv[2];
	int chunks = strcmp(way, "chunks") == 0, length;
	char text[200];
	mkdir("cold", 0755);
	for (int i = 0; i < REQUESTS; i++) {
		snprintf(text, sizeof text, "cold/large%02d", i);
		write_document(text, text, LARGE);
		chill(text);
	}
	engage();
	length = snprintf(text, sizeof text, REQUEST, 0);
	char size[100];
	snprintf(size, sizeof size, "Content-Length: %d\r\n\r\n", REQUESTS * length);
	if (strcmp(way, "parts") == 0) {
		receive("PUT /x HTT");
		receive("P/1.1\r\nHost: localhost\r\nContent-Le");
		receive(size + strlen("Content-Le"));
	} else if (strcmp(way, "plain") != 0) {
		const char *method = strcmp(way, "get") == 0 ? "GET" : "POST";
		snprintf(text, sizeof text, "%s /x HTTP/1.1\r\nHost: localhost\r\n%s", method,
			 chunks ? "Transfer-Encoding: chunked\r\n\r\n" : size);
		receive(text);
	}
	snprintf(size, sizeof size, "%x\r\n", length);
	for (int i = 0; i < REQUESTS; i++) {
		if (chunks)
			receive(size);
		snprintf(text, sizeof text, REQUEST, i);
		receive(text);
		if (chunks)
			receive("\r\n");
	}
	if (chunks)
		receive("0\r\n\r\n");
	for (int i = 10; i < 14; i++)
		serve_cold(engaged_epoll, engaged_pair, i);
	return 0;
}
