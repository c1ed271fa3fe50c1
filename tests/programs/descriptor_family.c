/* close, dup, dup2, dup3, fcntl, close_range, closefrom: numbers, flags, errors, and what is left open. */
#include "common.h"

static void closefrom_part(void)
{
	int fd = open("/dev/null", O_RDWR);
	dup2(fd, 100);
	dup2(fd, 1000);
	closefrom(50);
	descriptors("after closefrom(50)");
	closefrom(fd + 1);
	descriptors("after closefrom");
	CALL(open("/dev/null", O_RDONLY) == fd + 1);
}

static void close_range_part(void)
{
	int fd = open("/dev/null", O_RDWR);
	dup2(fd, 100);
	dup2(fd, 101);
	dup2(fd, 102);
	dup2(fd, 1000);
	CALL(close_range(101, 101, 0));
	CALL(close_range(100, 200, CLOSE_RANGE_CLOEXEC));
	CALL(fcntl(100, F_GETFD));
	CALL(fcntl(1000, F_GETFD));
	CALL(close_range(102, ~0u, 0));
	CALL(close_range(5, 4, 0));
	CALL(close_range(3, 4, 0x40000000));
	descriptors("after close_range");
	CALL(close_range(100, 100, CLOSE_RANGE_UNSHARE));
	descriptors("after close_range with unshare");
}

static void everything_part(void)
{
	close_range(3, ~0u, 0);
	CALL(open("/dev/null", O_RDONLY));
	CALL(epoll_create1(0));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	descriptors("after all was closed");
}

static void scenario(void)
{
	write_document("file", "file", 5000);
	chill("file");
	int fd = CALL(open("file", O_RDONLY));
	int copy = CALL(dup(fd));
	CALL(fcntl(copy, F_GETFD));
	CALL(dup2(fd, 50));
	CALL(dup2(fd, fd));
	CALL(dup3(fd, 51, O_CLOEXEC));
	CALL(fcntl(51, F_GETFD));
	CALL(dup3(fd, fd, 0));
	CALL(dup3(fd, 52, 0x1));
	CALL(dup2(fd, -1));
	CALL(dup2(9999, 52));
	CALL(dup2(9999, 9999));
	CALL(dup(9999));
	CALL(dup(-1));
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	errno = UNTOUCHED;
	show("dup2 beyond the limit", dup2(fd, limit.rlim_cur), errno);
	CALL(fcntl(fd, F_DUPFD, 60));
	CALL(fcntl(fd, F_DUPFD_CLOEXEC, 60));
	CALL(fcntl(61, F_GETFD));
	CALL(fcntl(60, F_GETFD));
	CALL(fcntl(9999, F_DUPFD, 0));
	CALL(fcntl(fd, F_DUPFD, -1));
	CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
	CALL(fcntl(fd, F_GETFD));
	CALL(fcntl(fd, 9876, 0));
	CALL(fcntl(9999, F_GETFL));
	CALL(fcntl64(fd, F_GETFL));
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	CALL(fcntl(fd, F_SETLK, &lock));
	CALL(fcntl(fd, F_GETLK, &lock));
	printf("  %d\n", lock.l_type);
	CALL(ioctl(fd, FIOCLEX));
	descriptors("now");

	CALL(close(copy));
	CALL(close(copy));
	CALL(close(-1));
	CALL(close(9999));
	CALL(open("file", O_RDONLY) == copy);
	char byte;
	CALL(read(50, &byte, 1));
	CALL(lseek(fd, 0, SEEK_CUR));
	int pipes[2];
	NEED(pipe(pipes) == 0);
	CALL(dup2(pipes[0], 50));
	CALL(lseek(50, 0, SEEK_CUR));
	close(pipes[0]);
	close(pipes[1]);

	in_child("closefrom", closefrom_part);
	in_child("close_range", close_range_part);
	in_child("everything", everything_part);
	FILE *stream = fdopen(copy, "r");
	CALL(fclose(stream));
	CALL(fcntl(copy, F_GETFD));
	for (int i = fd; i < 100; i++)
		close(i);
}

MAIN(scenario)
