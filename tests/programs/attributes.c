/* An event loop that asks again and again what an open file is like, by each name of fstat: `attributes FILE`. */
#include "common.h"

int __fxstat(int, int, struct stat *);
int __fxstat64(int, int, struct stat64 *);

int main(int argc, char **argv)
{
	struct stat status;
	struct stat64 status64;
	NEED(argc == 2);
	engage();
	int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0);
	for (int i = 0; i < 5; i++) {
		serve_cold(engaged_epoll, engaged_pair, 10 + i);
		NEED(fstat(fd, &status) == 0 && status.st_size == 5000);
		NEED(fstat64(fd, &status64) == 0 && status64.st_size == 5000);
		NEED(__fxstat(1, fd, &status) == 0 && status.st_size == 5000);
		NEED(__fxstat64(1, fd, &status64) == 0 && status64.st_size == 5000);
	}
	close(fd);
	return 0;
}
