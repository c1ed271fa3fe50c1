/* A small HTTP file server whose way to do I/O is chosen on the command line. This file is the command line. */
#define _GNU_SOURCE
#include "io.h"
#include "server.h"

#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *program;

struct options {
	const struct strategy *strategy;
	const char *root, *address;
	const char *port;
	unsigned cache, helpers;
	bool cache_given;
};

void die(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "%s: ", program);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	exit(1);
}

void loop_watch(const struct loop *loop, struct source *source)
{
	if (loop->add != NULL && !loop->add(source))
		die("there is no memory to start with: %s", strerror(errno));
}

static bool one_strategy(void)
{
	return strategies[1] == NULL;
}

static void usage(FILE *to)
{
	fprintf(to, "usage: %s %s--port N --root DIR [--address ADDRESS] [--cache N] [--helpers N]\n", program,
		one_strategy() ? "" : "--strategy NAME ");
	if (!one_strategy())
		for (const struct strategy *const *s = strategies; *s != NULL; s++)
			fprintf(to, "  --strategy %-10s %s\n", (*s)->name, (*s)->summary);
	fputs("  --address ADDRESS     where to listen (127.0.0.1)\n"
	      "  --port N              0: any that is free\n"
	      "  --root DIR            the documents\n"
	      "  --cache N             how many files are kept open (4096, or a quarter of the limit of descriptors)\n"
	      "  --helpers N           processes of nb-amped, threads of nb-aio (32)\n",
	      to);
}

static unsigned number(const char *option, const char *text, unsigned least, unsigned most)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < least || value > most)
		die("--%s %s: a number from %u to %u is wanted", option, text, least, most);
	return value;
}

static const struct strategy *strategy_named(const char *name)
{
	for (const struct strategy *const *s = strategies; *s != NULL; s++)
		if (strcmp((*s)->name, name) == 0)
			return *s;
	die("--strategy %s: there is no such strategy; %s --help lists them", name, program);
}

static struct options parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "strategy", required_argument, NULL, 's' }, { "port", required_argument, NULL, 'p' },
		{ "root", required_argument, NULL, 'r' },     { "address", required_argument, NULL, 'a' },
		{ "cache", required_argument, NULL, 'c' },    { "helpers", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },           { 0 },
	};
	struct options options = { .address = "127.0.0.1", .helpers = 32 };
	/* The first option of a program that has only one strategy is not offered. */
	for (int c; (c = getopt_long(argc, argv, "h", known + one_strategy(), NULL)) != -1;) {
		switch (c) {
		case 's':
			options.strategy = strategy_named(optarg);
			break;
		case 'p':
			number("port", optarg, 0, 65535);
			options.port = optarg;
			break;
		case 'r':
			options.root = optarg;
			break;
		case 'a':
			options.address = optarg;
			break;
		case 'c':
			options.cache = number("cache", optarg, 0, 1 << 20);
			options.cache_given = true;
			break;
		case 'n':
			options.helpers = number("helpers", optarg, 1, 1024);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (one_strategy())
		options.strategy = strategies[0];
	const char *missing = options.strategy == NULL ? "--strategy" :
			      options.port == NULL     ? "--port" :
			      options.root == NULL     ? "--root" :
							 NULL;
	if (optind < argc || missing != NULL) {
		if (optind < argc)
			fprintf(stderr, "%s: %s: an argument that belongs to no option\n", program, argv[optind]);
		else
			fprintf(stderr, "%s: %s is missing\n", program, missing);
		usage(stderr);
		exit(2);
	}
	return options;
}

/* How many files may be kept open: every client needs a descriptor as well. */
static unsigned cache_size(const struct options *options)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	} else {
		limit.rlim_cur = 1024;
	}
	unsigned wanted = options->cache_given ? options->cache : 4096;
	if (wanted <= limit.rlim_cur / 4)
		return wanted;
	if (options->cache_given && wanted > limit.rlim_cur / 2)
		die("--cache %u: more than half of the %llu descriptors that this process may have", wanted,
		    (unsigned long long)limit.rlim_cur);
	return options->cache_given ? wanted : limit.rlim_cur / 4;
}

static int listen_at(const struct options *options)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM }, *found;
	int type = SOCK_STREAM | SOCK_CLOEXEC | (options->strategy->loop->blocking_sockets ? 0 : SOCK_NONBLOCK);
	int error = getaddrinfo(options->address, options->port, &hints, &found);
	if (error != 0)
		die("--address %s: %s", options->address, gai_strerror(error));
	int fd = socket(found->ai_family, type, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) != 0 ||
	    bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0)
		die("%s port %s: %s", options->address, options->port, strerror(errno));
	freeaddrinfo(found);
	return fd;
}

static void announce(const struct options *options, int listener)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;
	char port[NI_MAXSERV] = "?";
	if (getsockname(listener, (struct sockaddr *)&address, &length) == 0)
		getnameinfo((struct sockaddr *)&address, length, NULL, 0, port, sizeof port, NI_NUMERICSERV);
	printf("%s: %s at %s port %s\n", program, options->strategy->name, options->address, port);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	program = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
	struct options options = parse(argc, argv);
	struct server_settings settings;
	sigset_t ending;

	if (chdir(options.root) != 0)
		die("--root %s: %s", options.root, strerror(errno));
	settings.cached_files = cache_size(&options);
	/* Before there are threads and helpers, which inherit it: signals are for the loop to read. */
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	sigprocmask(SIG_BLOCK, &ending, NULL);
	signal(SIGPIPE, SIG_IGN);
	settings.signals = signalfd(-1, &ending, SFD_CLOEXEC | (options.strategy->loop->blocking_sockets ? 0 : SFD_NONBLOCK));
	if (settings.signals < 0)
		die("signalfd: %s", strerror(errno));
	settings.listener = listen_at(&options);

	if (options.strategy->loop->start != NULL)
		options.strategy->loop->start();
	if (options.strategy->start != NULL)
		options.strategy->start(options.helpers);
	server_start(options.strategy, &settings);
	announce(&options, settings.listener);
	options.strategy->loop->run();
	return 0;
}
