/* System calls by `laio_syscall` and, where there is no library, by `syscall`: the same answers, whether a call was done at
 * once, by a helper, or when its socket was ready. */
#include "native.h"
#include <linux/openat2.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>

static char *const nowhere = (char *)16;
static char big[1 << 20], buffer[1 << 20];

/* Something that happens while the main thread waits. */
struct later {
	int fd;
	size_t length;
};

static void *write_later(void *argument)
{
	struct later *later = argument;
	usleep(20000);
	NEED(write(later->fd, big, later->length) == (ssize_t)later->length);
	return NULL;
}

static void *read_later(void *argument)
{
	static char sink[65536];
	struct later *later = argument;
	usleep(20000);
	for (size_t at = 0; at < later->length;) {
		size_t left = later->length - at;
		ssize_t n = read(later->fd, sink, left < sizeof sink ? left : sizeof sink);
		NEED(n > 0 && memcmp(sink, big + at, n) == 0);
		at += n;
	}
	return NULL;
}

static void *close_later(void *argument)
{
	usleep(20000);
	close(((struct later *)argument)->fd);
	return NULL;
}

/* Makes a call while a thread does something. */
#define WHILE(what, fd, length, answer)                                                                                \
	do {                                                                                                           \
		pthread_t thread;                                                                                      \
		struct later later = { fd, length };                                                                   \
		NEED(pthread_create(&thread, NULL, what, &later) == 0);                                                \
		answer;                                                                                                \
		pthread_join(thread, NULL);                                                                            \
	} while (0)

static void bytes(const char *what, long length)
{
	unsigned sum = 17;
	for (long i = 0; i < length; i++)
		sum = sum * 31 + (unsigned char)buffer[i];
	printf("  %s %08x\n", what, sum);
}

static void paths(void)
{
	struct stat status;
	struct statx more;
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_BENEATH }, wrong = { .flags = ~0ull };
	char link[64] = "";
	write_document("file", "file", 300000);
	NEED(mkdir("dir", 0755) == 0 && symlink("file", "link") == 0 && symlink("loop", "loop") == 0);
	for (int round = 0; round < 2; round++) {
		close(ANSWER(openat, AT_FDCWD, "file", O_RDONLY));
		close(ANSWER(openat, AT_FDCWD, "file", O_RDWR | O_APPEND));
		close(ANSWER(openat, AT_FDCWD, "new", O_RDWR | O_CREAT, 0640));
		ANSWER(openat, AT_FDCWD, "new", O_RDWR | O_CREAT | O_EXCL, 0640);
		close(ANSWER(openat, AT_FDCWD, "dir", O_RDONLY | O_DIRECTORY));
		ANSWER(openat, AT_FDCWD, "dir", O_RDWR);
		ANSWER(openat, AT_FDCWD, "file", O_RDONLY | O_DIRECTORY);
		close(ANSWER(openat, AT_FDCWD, "link", O_RDONLY));
		ANSWER(openat, AT_FDCWD, "link", O_RDONLY | O_NOFOLLOW);
		close(ANSWER(openat, AT_FDCWD, "link", O_PATH | O_NOFOLLOW));
		ANSWER(openat, AT_FDCWD, "loop", O_RDONLY);
		ANSWER(openat, AT_FDCWD, "missing", O_RDONLY);
		ANSWER(openat, AT_FDCWD, "file/below", O_RDONLY);
		ANSWER(openat, AT_FDCWD, "", O_RDONLY);
		ANSWER(openat, AT_FDCWD, nowhere, O_RDONLY);
		ANSWER(openat, -5, "file", O_RDONLY);
		close(ANSWER(openat, -5, "/dev/null", O_RDWR));
		close(ANSWER(openat, AT_FDCWD, "/proc/self/status", O_RDONLY));
		close(ANSWER(openat2, AT_FDCWD, "file", &how, sizeof how));
		ANSWER(openat2, AT_FDCWD, "/etc/passwd", &how, sizeof how);
		ANSWER(openat2, AT_FDCWD, "file", &wrong, sizeof wrong);
		ANSWER(openat2, AT_FDCWD, "file", nowhere, sizeof how);
		ANSWER(openat2, AT_FDCWD, "file", &how, 3);
		ANSWER(newfstatat, AT_FDCWD, "link", &status, AT_SYMLINK_NOFOLLOW);
		printf("  %o %ld\n", status.st_mode, (long)status.st_size);
		ANSWER(newfstatat, AT_FDCWD, "link", &status, 0);
		printf("  %o %ld\n", status.st_mode, (long)status.st_size);
		ANSWER(newfstatat, AT_FDCWD, "missing", &status, 0);
		ANSWER(newfstatat, AT_FDCWD, "file", nowhere, 0);
		ANSWER(newfstatat, AT_FDCWD, nowhere, &status, 0);
		ANSWER(newfstatat, AT_FDCWD, "file", &status, 0x40000000);
		ANSWER(statx, AT_FDCWD, "file", 0, STATX_SIZE, &more);
		printf("  %llu\n", (unsigned long long)more.stx_size);
		ANSWER(faccessat, AT_FDCWD, "file", W_OK);
		ANSWER(faccessat, AT_FDCWD, "missing", F_OK);
		ANSWER(readlinkat, AT_FDCWD, "link", link, sizeof link);
		ANSWER(readlinkat, AT_FDCWD, "file", link, sizeof link);
		chill("file");
	}
	ANSWER(mkdirat, AT_FDCWD, "made", 0755);
	ANSWER(mkdirat, AT_FDCWD, "made", 0755);
	ANSWER(renameat, AT_FDCWD, "made", AT_FDCWD, "moved");
	ANSWER(unlinkat, AT_FDCWD, "moved", AT_REMOVEDIR);
	ANSWER(unlinkat, AT_FDCWD, "moved", AT_REMOVEDIR);
	ANSWER(symlinkat, "a", AT_FDCWD, "b");
	ANSWER(truncate, "new", 12345);
	ANSWER(newfstatat, AT_FDCWD, "new", &status, 0);
	printf("  %ld\n", (long)status.st_size);
	ANSWER(chdir, "dir");
	ANSWER(chdir, "..");
	ANSWER(chdir, "nowhere");
}

static void files(void)
{
	struct iovec three[3] = { { buffer, 1000 }, { buffer + 1000, 200000 }, { buffer + 201000, 500000 } };
	struct iovec bad[2] = { { buffer, 100 }, { nowhere, 100 } };
	struct stat status;
	int file = open("file", O_RDWR), written = open("written", O_RDWR | O_CREAT, 0644);
	NEED(file >= 0 && written >= 0);
	for (int cold = 0; cold < 2; cold++) {
		for (int which = 0; which < 10; which++) {
			long n = 0;
			if (cold)
				chill("file");
			memset(buffer, 0, sizeof buffer);
			lseek(file, 1000, SEEK_SET);
			switch (which) {
			case 0: n = ANSWER(read, file, buffer, 100000); break;
			case 1: n = ANSWER(read, file, buffer, 1000000); break;
			case 2: n = ANSWER(pread64, file, buffer, 1, 299999); break;
			case 3: n = ANSWER(pread64, file, buffer, 4096, 299999); break;
			case 4: n = ANSWER(pread64, file, buffer, 4096, 300000); break;
			case 5: n = ANSWER(readv, file, three, 3); break;
			case 6: n = ANSWER(preadv, file, three, 3, 5000); break;
			case 7: n = ANSWER(preadv2, file, three, 2, -1, 0, 0); break;
			case 8: n = ANSWER(preadv2, file, three, 2, 70000, 0, 0); break;
			case 9: n = ANSWER(pread64, file, buffer, 300000, 0); break;
			}
			bytes("read", n);
			printf("  at %ld\n", (long)lseek(file, 0, SEEK_CUR));
		}
	}
	ANSWER(read, file, buffer, 0);
	ANSWER(read, -1, buffer, 10);
	ANSWER(read, 999, buffer, 10);
	/* -1 and the working directory's are no descriptors. */
	for (int fd = -1; fd >= AT_FDCWD; fd += AT_FDCWD + 1) {
		ANSWER(write, fd, big, 10);
		ANSWER(readv, fd, three, 2);
		ANSWER(pread64, fd, buffer, 10, 0);
		ANSWER(pwritev, fd, three, 2, 0);
		ANSWER(recvfrom, fd, buffer, 10, 0);
		ANSWER(sendto, fd, big, 10, 0);
		ANSWER(connect, fd, nowhere, 16);
		ANSWER(accept4, fd, NULL, NULL, 0);
		ANSWER(sendfile, fd, file, NULL, 10);
		ANSWER(sendfile, written, fd, NULL, 10);
		ANSWER(splice, fd, NULL, written, NULL, 10, 0);
		ANSWER(copy_file_range, file, NULL, fd, NULL, 10);
		ANSWER(fstat, fd, &status);
		ANSWER(getdents64, fd, buffer, 100);
		ANSWER(fsync, fd);
		ANSWER(flock, fd, LOCK_SH);
		ANSWER(epoll_wait, fd, buffer, 1, 0);
	}
	ANSWER(pread64, file, buffer, 10, -1);
	ANSWER(pread64, file, nowhere, 10, 0);
	ANSWER(pread64, file, buffer, -1, 0);
	ANSWER(preadv, file, nowhere, 2, 0);
	ANSWER(preadv, file, bad, 2, 0);
	ANSWER(preadv, file, three, -1, 0);
	ANSWER(preadv2, file, three, 1, 0, 0, 0x40000000);
	int dir = open("dir", O_RDONLY), only = open("file", O_WRONLY), named = open("file", O_PATH);
	ANSWER(read, dir, buffer, 10);
	ANSWER(read, only, buffer, 10);
	ANSWER(read, named, buffer, 10);

	for (int i = 0; i < 3; i++) {
		ANSWER(write, written, big, 100000);
		ANSWER(pwrite64, written, big + 5, 10, 50);
		ANSWER(writev, written, three, 2);
		ANSWER(pwritev, written, three, 2, 7);
		ANSWER(pwritev2, written, three, 1, 700000, 0, RWF_DSYNC);
	}
	ANSWER(write, written, nowhere, 100);
	ANSWER(write, dir, big, 100);
	ANSWER(write, 999, big, 100);
	ANSWER(ftruncate, written, 600000);
	ANSWER(fallocate, written, 0, 0, 700000);
	ANSWER(fsync, written);
	ANSWER(fdatasync, -1);
	ANSWER(fstat, written, &status);
	printf("  %ld\n", (long)status.st_size);
	ANSWER(fstat, 999, &status);
	ANSWER(lseek, written, 0, SEEK_END);
	bytes("written", SYS(pread64, written, buffer, sizeof buffer, 0));
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR);
	ANSWER(read, null, buffer, 10);
	ANSWER(read, zero, buffer, 10);
	ANSWER(write, null, big, 10);
	int sent[2];
	off_t offset = 10;
	NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sent) == 0);
	chill("file");
	ANSWER(sendfile, sent[0], file, &offset, 1000);
	printf("  offset %ld\n", (long)offset);
	ANSWER(read, sent[1], buffer, 5000);
	bytes("sent", 1000);
	ANSWER(sendfile, sent[0], file, nowhere, 1000);
	ANSWER(sendfile, sent[0], 999, NULL, 1000);
	close(sent[0]), close(sent[1]);
	ANSWER(copy_file_range, file, NULL, written, NULL, 1000);
	ANSWER(flock, written, LOCK_EX);
	ANSWER(flock, open("written", O_RDONLY), LOCK_SH | LOCK_NB);
	ANSWER(close, written);
	ANSWER(close, written);
	ANSWER(dup, file);
	ANSWER(dup2, file, 60);
	ANSWER(dup3, file, 61, O_CLOEXEC);
	ANSWER(close_range, 60, 61, 0);
	ANSWER(read, 60, buffer, 1);
	long names = SYS(getdents64, dir, buffer, sizeof buffer);
	printf("  getdents64 %d\n", names > 0);
}

static void streams(void)
{
	int pipe_[2], pair[2], datagrams[2];
	struct iovec two[2] = { { big, 300000 }, { big + 300000, 400000 } }, in[2] = { { buffer, 100 }, { buffer + 100, 100 } };
	struct msghdr out = { .msg_iov = two, .msg_iovlen = 2 }, into = { .msg_iov = in, .msg_iovlen = 2 };
	NEED(pipe(pipe_) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) == 0);
	ANSWER(write, pipe_[1], big, 10);
	ANSWER(read, pipe_[0], buffer, 100);
	WHILE(write_later, pipe_[1], 10, ANSWER(read, pipe_[0], buffer, 100));
	WHILE(write_later, pair[1], 10, ANSWER(read, pair[0], buffer, 100));
	WHILE(write_later, pair[1], 150, ANSWER(readv, pair[0], in, 2));
	bytes("readv", 150);
	WHILE(write_later, pair[1], 10, ANSWER(recvfrom, pair[0], buffer, 100, 0));
	WHILE(write_later, pair[1], 10, ANSWER(recvmsg, pair[0], &into, 0));
	WHILE(write_later, pair[1], 5000, ANSWER(recvfrom, pair[0], buffer, 5000, MSG_WAITALL));
	WHILE(write_later, datagrams[1], 10, ANSWER(recvfrom, datagrams[0], buffer, 100, MSG_WAITALL));
	ANSWER(recvfrom, pair[0], buffer, 100, MSG_DONTWAIT);
	ANSWER(recvfrom, pair[0], nowhere, 100, MSG_DONTWAIT);
	/* All of it, however often the other end has to make room. */
	WHILE(read_later, pair[1], 1 << 20, ANSWER(write, pair[0], big, 1 << 20));
	WHILE(read_later, pipe_[0], 1 << 20, ANSWER(write, pipe_[1], big, 1 << 20));
	WHILE(read_later, pair[1], 700000, ANSWER(writev, pair[0], two, 2));
	WHILE(read_later, pair[1], 700000, ANSWER(sendmsg, pair[0], &out, 0));
	WHILE(read_later, pair[1], 1 << 20, ANSWER(sendto, pair[0], big, 1 << 20, MSG_NOSIGNAL));
	NEED(two[0].iov_len == 300000 && out.msg_iov == two);
	/* The end of a stream, before and while it is waited for. */
	WHILE(close_later, pair[1], 0, ANSWER(read, pair[0], buffer, 100));
	ANSWER(read, pair[0], buffer, 100);
	ANSWER(sendto, pair[0], big, 10, MSG_NOSIGNAL);
	WHILE(close_later, pipe_[1], 0, ANSWER(read, pipe_[0], buffer, 100));
	/* Non-blocking ones answer for themselves. */
	int quick[2];
	NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, quick) == 0);
	ANSWER(read, quick[0], buffer, 100);
	ANSWER(recvfrom, quick[0], buffer, 100, 0);
	long sent = SYS(write, quick[0], big, 1 << 20);
	printf("  a part: %d\n", sent > 0 && sent < 1 << 20);
	ANSWER(write, quick[0], big, 1 << 20);
	/* A time limit of the socket's own. */
	struct timeval limit = { .tv_usec = 30000 };
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, quick) == 0);
	NEED(setsockopt(quick[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
	ANSWER(read, quick[0], buffer, 100);

	struct sockaddr_in address;
	int listening = listener(&address);
	fcntl(listening, F_SETFL, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	ANSWER(connect, client, &address, sizeof address);
	ANSWER(connect, client, &address, sizeof address);
	int server = SYS(accept4, listening, NULL, NULL, SOCK_CLOEXEC);
	printf("  accepted %d\n", server >= 0);
	WHILE(write_later, client, 10, ANSWER(read, server, buffer, 100));
	fcntl(listening, F_SETFL, O_NONBLOCK);
	ANSWER(accept4, listening, NULL, NULL, 0);
	ANSWER(accept4, client, NULL, NULL, 0);
	ANSWER(accept4, 999, NULL, NULL, 0);
}

static void others(void)
{
	struct timespec little = { .tv_nsec = 20000000 }, wrong = { .tv_nsec = -1 };
	struct pollfd set = { .events = POLLIN };
	uint64_t value = 5;
	int event = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0), epoll = epoll_create1(0), status;
	struct itimerspec once = { .it_value = little };
	struct epoll_event ready = { .events = EPOLLIN };
	ANSWER(nanosleep, &little, NULL);
	ANSWER(nanosleep, &wrong, NULL);
	ANSWER(clock_nanosleep, CLOCK_MONOTONIC, 0, &little, NULL);
	set.fd = event;
	ANSWER(poll, &set, 1, 0);
	ANSWER(poll, &set, 1, 20);
	ANSWER(epoll_ctl, epoll, EPOLL_CTL_ADD, event, &ready);
	ANSWER(epoll_wait, epoll, &ready, 1, 20);
	ANSWER(write, event, &value, 8);
	ANSWER(epoll_wait, epoll, &ready, 1, -1);
	ANSWER(poll, &set, 1, -1);
	ANSWER(read, event, &value, 8);
	timerfd_settime(timer, 0, &once, NULL);
	ANSWER(read, timer, &value, 8);
	printf("  own identity: %d %d\n", SYS(getpid) == getpid(), SYS(gettid) == gettid());
	pid_t child = fork();
	if (child == 0) {
		usleep(20000);
		_exit(7);
	}
	printf("  waited %d", SYS(wait4, child, &status, 0, NULL) == child);
	printf(" %d\n", WEXITSTATUS(status));
	ANSWER(kill, getpid(), 0);
	ANSWER(ioctl, event, FIONREAD, nowhere);
	ANSWER(mincore, nowhere, 1, buffer);
	errno = UNTOUCHED;
	long none = called(100000L, 0L, 0L, 0L, 0L, 0L, 0L);
	show("no such call", none, errno);
}

int main(int argc, char **argv)
{
	if (is_engaged(argc, argv))
		engage();
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = i * 7 + (i >> 8);
	/* The library takes two descriptors for the process. */
	if (laio_eventfd)
		NEED(laio_eventfd() >= 0);
	else
		NEED(dup(0) >= 0 && dup(0) >= 0);
	paths();
	files();
	streams();
	others();
	if (laio_syscall) {
		NEED(went_on > 20);
		NEED(laio_pending() == 0);
	}
	still_serving();
	return 0;
}
