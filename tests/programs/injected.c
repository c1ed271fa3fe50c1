/* An event loop that does what its only client tells it, one operation for an iteration, and tells how often it has slept
 * in one: what an observer should have found. Lines are OPERATION ARGUMENT; where it listens it writes into `port`. */
#include "common.h"
#include <netdb.h>
#include <time.h>

enum { PAGE = 4096 };

static int file = -1, log_file = -1;
static char *map;
static long next_page;

static long sleeps(void)
{
	struct rusage usage;
	NEED(getrusage(RUSAGE_THREAD, &usage) == 0);
	return usage.ru_nvcsw;
}

static long faults(void)
{
	struct rusage usage;
	NEED(getrusage(RUSAGE_THREAD, &usage) == 0);
	return usage.ru_majflt;
}

/* Pages that are far apart: nobody reads them ahead. */
static long cold_page(void)
{
	return 32 * PAGE * ++next_page;
}

static void prepare(const char *path)
{
	file = open(path, O_RDONLY);
	NEED(file >= 0 && posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM) == 0);
	struct stat status;
	NEED(fstat(file, &status) == 0);
	map = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED, file, 0);
	NEED(map != MAP_FAILED && madvise(map, status.st_size, MADV_RANDOM) == 0);
}

static void fast(void)
{
	char buffer[64];
	struct stat status;
	struct addrinfo *found, hints = { .ai_flags = AI_NUMERICHOST };
	for (int n = 0; n < 1000; n++)
		switch (n % 8) {
		case 0:
			close(open("fast", O_RDONLY));
			break;
		case 1:
			NEED(stat("fast", &status) == 0);
			break;
		case 2:
			NEED(getaddrinfo("127.0.0.1", NULL, &hints, &found) == 0);
			freeaddrinfo(found);
			break;
		case 3:
			NEED(pwrite(log_file, "line\n", 5, 0) == 5);
			break;
		default:
			NEED(pread(log_file, buffer, 5, 0) == 5);
		}
}

static void act(const char *operation, const char *path)
{
	static volatile char seen;
	char buffer[PAGE];
	struct stat status;
	struct addrinfo *found;
	if (!strcmp(operation, "prepare"))
		prepare(path);
	else if (!strcmp(operation, "open"))
		close(open(path, O_RDONLY));
	else if (!strcmp(operation, "stat"))
		stat(path, &status);
	else if (!strcmp(operation, "pread"))
		NEED(pread(file, buffer, PAGE, cold_page()) == PAGE);
	else if (!strcmp(operation, "page_fault"))
		seen = map[cold_page()];
	else if (!strcmp(operation, "fsync")) {
		int changed = open(path, O_WRONLY | O_CREAT, 0644);
		NEED(changed >= 0 && pwrite(changed, path, 5, 0) == 5 && fsync(changed) == 0 && close(changed) == 0);
	} else if (!strcmp(operation, "getaddrinfo")) {
		if (getaddrinfo(path, NULL, NULL, &found) == 0)
			freeaddrinfo(found);
	} else if (!strcmp(operation, "elsewhere"))
		usleep(3000);
	else if (!strcmp(operation, "fast"))
		fast();
	else
		NEED(!"known");
	(void)seen;
}

static void serve(int client)
{
	char line[600], operation[32], path[512] = "";
	long length = recv(client, line, sizeof line - 1, 0);
	if (length <= 0)
		exit(0);
	line[length] = 0;
	NEED(sscanf(line, "%31s %511s", operation, path) >= 1);
	long before = sleeps(), faults_before = faults();
	act(operation, path);
	int slept = sleeps() > before;
	length = sprintf(line, "%d %ld\n", slept, faults() - faults_before);
	NEED(send(client, line, length, 0) == length);
}

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0), set = epoll_create1(0);
	NEED(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0);
	NEED(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
	log_file = open("fast", O_RDWR | O_CREAT, 0644);
	NEED(log_file >= 0 && write(log_file, "line\n", 5) == 5);
	FILE *port = fopen("port.new", "w");
	NEED(port && fprintf(port, "%d\n", ntohs(address.sin_port)) > 0 && fclose(port) == 0);
	NEED(rename("port.new", "port") == 0);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };
	NEED(epoll_ctl(set, EPOLL_CTL_ADD, listener, &event) == 0);
	for (;;) {
		int count = epoll_wait(set, &event, 1, -1);
		if (count == 1 && event.data.fd == listener) {
			event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
			NEED(event.data.fd >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, event.data.fd, &event) == 0);
		} else if (count == 1)
			serve(event.data.fd);
	}
}
