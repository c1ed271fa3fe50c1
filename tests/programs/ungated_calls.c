/* An event loop on a slow disk that serves cold files and, for each, writes a journal through to the disk:
 * `ungated_calls DIRECTORY`. */
#include "common.h"

int main(int argc, char **argv)
{
	NEED(argc == 2 && chdir(argv[1]) == 0);
	engage();
	int journal = open("journal", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	NEED(journal >= 0);
	for (int i = 0; i < 30; i++) {
		serve_cold(engaged_epoll, engaged_pair, i);
		NEED(write(journal, "served\n", 7) == 7);
		NEED(fsync(journal) == 0);
	}
	close(journal);
	return 0;
}
