/* Messages on a SOCK_SEQPACKET connection, from files that are not in memory, and requests that come as messages: a message
 * is sent and received as one, whatever is cold. */
#include "common.h"

enum { LENGTH = 96 << 10 };

static char got[2 * LENGTH], buffer[LENGTH];
static int client = -1, server = -1, waits = -1, files;

static int packet_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	NEED(fd >= 0);
	return fd;
}

/* A connection whose server's end is non-blocking and registered where the loop waits. */
static void connect_packets(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "packets" };
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.u64 = 9 };
	int listening = packet_socket();
	client = packet_socket();
	NEED(bind(listening, (struct sockaddr *)&name, sizeof name) == 0 && listen(listening, 5) == 0);
	NEED(connect(client, (struct sockaddr *)&name, sizeof name) == 0);
	server = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	NEED(server >= 0);
	waits = engaged_epoll >= 0 ? engaged_epoll : epoll_create1(EPOLL_CLOEXEC);
	NEED(epoll_ctl(waits, EPOLL_CTL_ADD, server, &event) == 0);
	close(listening);
	unlink("packets");
}

/* A file that is not in memory, and its descriptor. */
static int cold_file(void)
{
	char path[64], name[32];
	snprintf(name, sizeof name, "packet-%d.html", files++);
	snprintf(path, sizeof path, "docs/%s", name);
	write_document(path, name, LENGTH);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0);
	chill(path);
	return fd;
}

/* Sends one message, waiting for as long as there is no room, and shows what arrives. */
static void message(const char *what, int how, const char *bytes)
{
	struct iovec parts[2] = { { (char *)bytes, 5000 }, { (char *)bytes + 5000, LENGTH - 5000 } };
	struct msghdr header = { .msg_iov = parts, .msg_iovlen = 2 };
	struct epoll_event event;
	ssize_t sent;
	for (int i = 0; i < 1000; i++) {
		sent = how == 0   ? sendmsg(server, &header, MSG_EOR | MSG_NOSIGNAL)
		       : how == 1 ? writev(server, parts, 2)
		       : how == 2 ? write(server, bytes, LENGTH)
				  : send(server, bytes, LENGTH, MSG_NOSIGNAL);
		if (sent >= 0 || errno != EAGAIN)
			break;
		epoll_wait(waits, &event, 1, 10);
	}
	ssize_t came = recv(client, got, sizeof got, MSG_DONTWAIT);
	printf("%s: sent %zd, a message of %zd, %s\n", what, sent, came,
	       came == LENGTH && memcmp(got, bytes, LENGTH) == 0 ? "the same" : "another");
	printf("  one more: %zd\n", recv(client, got, sizeof got, MSG_DONTWAIT));
	fflush(stdout);
}

static void from_mappings(void)
{
	static const char *const names[] = { "sendmsg, mapped", "writev, mapped", "write, mapped", "send, mapped" };
	for (int how = 0; how < 4; how++) {
		int fd = cold_file();
		char *bytes = mmap(NULL, LENGTH, PROT_READ, MAP_PRIVATE, fd, 0);
		NEED(bytes != MAP_FAILED);
		message(names[how], how, bytes);
		munmap(bytes, LENGTH);
		close(fd);
	}
}

/* Read in two steps, of which the second would wait for the disk: the message before it is sent meanwhile. */
static void from_reads(void)
{
	static const char *const names[] = { "sendmsg, read", "writev, read", "write, read", "send, read" };
	for (int how = 0; how < 4; how++) {
		int fd = cold_file();
		NEED(pread(fd, buffer, LENGTH / 2, 0) == LENGTH / 2);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		message(names[how], how, buffer);
		NEED(pread(fd, buffer, LENGTH / 2, LENGTH / 2) == LENGTH / 2);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		message(names[how], how, buffer);
		close(fd);
	}
}

/* Two requests, a message each: reads with room for more than one, and with less room than one needs. */
static void requests(void)
{
	static const size_t rooms[] = { 4096, 20 };
	for (int i = 0; i < 4; i++) {
		char name[32];
		ssize_t n[2];
		for (int j = 0; j < 2; j++) {
			snprintf(name, sizeof name, "asked-%d-%d.html", i, j);
			ask_for_cold(client, name, 4096);
		}
		for (int j = 0; j < 2; j++) {
			struct epoll_event event;
			struct iovec part = { buffer, rooms[i % 2] };
			struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
			do {
				NEED(epoll_wait(waits, &event, 1, 10000) == 1);
				n[j] = i / 2 ? recvmsg(server, &header, 0) : read(server, buffer, rooms[i % 2]);
			} while (n[j] < 0 && errno == EAGAIN);
			printf("request %d, room for %zu: %zd, flags %x\n", j, rooms[i % 2], n[j], i / 2 ? header.msg_flags : 0);
		}
	}
}

static void scenario(void)
{
	NEED(mkdir("docs", 0755) == 0);
	connect_packets();
	requests();
	from_mappings();
	from_reads();
	close(client);
	close(server);
	if (waits != engaged_epoll)
		close(waits);
}

MAIN(scenario)
