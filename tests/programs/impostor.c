/* A process that has mapped files which only go by the library's name: `impostor FILE...`. It says so, and ends when its
 * standard input does. */
#include "common.h"

int main(int argc, char **argv)
{
	char end;
	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		NEED(fd >= 0);
		NEED(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
		close(fd);
		/* What was mapped is something else by now, for whoever looks by name. */
		NEED(unlink(argv[i]) == 0 && mkfifo(argv[i], 0644) == 0);
	}
	printf("mapped\n");
	fflush(stdout);
	NEED(read(0, &end, 1) == 0);
	return 0;
}
