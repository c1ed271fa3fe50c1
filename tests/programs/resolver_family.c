/* getaddrinfo for what needs no other machine: addresses, services, and what is refused. */
#include "common.h"
#include <netdb.h>

static void resolve(const char *name, const char *service, int flags, int family, int type)
{
	struct addrinfo hints = { .ai_flags = flags, .ai_family = family, .ai_socktype = type }, *found = NULL;
	errno = UNTOUCHED;
	int result = getaddrinfo(name, service, &hints, &found);
	printf("%s %s %#x %d %d: %s\n", name ? name : "-", service ? service : "-", flags, family, type,
	       result == EAI_NONAME ? "no name" : result ? gai_strerror(result) : "found");
	for (struct addrinfo *each = result ? NULL : found; each; each = each->ai_next) {
		char host[100], port[20];
		NEED(getnameinfo(each->ai_addr, each->ai_addrlen, host, sizeof host, port, sizeof port,
				 NI_NUMERICHOST | NI_NUMERICSERV) == 0);
		printf("  %s port %s, %d %d %d, %s\n", host, port, each->ai_family, each->ai_socktype, each->ai_protocol,
		       each->ai_canonname ? each->ai_canonname : "-");
	}
	if (result == 0)
		freeaddrinfo(found);
	fflush(stdout);
}

static void scenario(void)
{
	resolve("127.0.0.1", "80", 0, AF_UNSPEC, SOCK_STREAM);
	resolve("127.0.0.1", NULL, AI_NUMERICHOST, AF_INET, SOCK_DGRAM);
	resolve("::1", "8080", AI_NUMERICHOST | AI_NUMERICSERV, AF_UNSPEC, SOCK_STREAM);
	resolve("127.0.0.1", NULL, AI_CANONNAME | AI_NUMERICHOST, AF_INET, SOCK_STREAM);
	resolve("no address", NULL, AI_NUMERICHOST, AF_UNSPEC, SOCK_STREAM);
	resolve("", NULL, AI_NUMERICHOST, AF_UNSPEC, SOCK_STREAM);
	resolve(NULL, "80", AI_PASSIVE, AF_INET, SOCK_STREAM);
	resolve(NULL, "80", 0, AF_INET6, SOCK_STREAM);
	resolve(NULL, NULL, 0, AF_UNSPEC, SOCK_STREAM);
	resolve("127.0.0.1", "no-number", AI_NUMERICSERV, AF_INET, SOCK_STREAM);
	resolve("127.0.0.1", NULL, AI_NUMERICHOST, 12345, SOCK_STREAM);
	resolve("127.0.0.1", NULL, AI_NUMERICHOST, AF_INET, 12345);
	resolve("127.0.0.1", NULL, 0x40000000, AF_INET, SOCK_STREAM);
	struct addrinfo *any;
	printf("without hints: %d\n", getaddrinfo("127.0.0.1", "80", NULL, &any));
	freeaddrinfo(any);
}

MAIN(scenario)
