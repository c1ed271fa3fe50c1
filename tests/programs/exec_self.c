/* A process that executes itself while it is an event loop: the new image starts with the descriptors that the old one
 * left open, and no others. */
#include "common.h"

int main(int argc, char **argv)
{
	if (argc > 2) {
		descriptors("in the new image");
		engage();
		still_serving();
		return 0;
	}
	if (is_engaged(argc, argv))
		engage();
	int kept = open("/dev/null", O_RDONLY), closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
	printf("kept %d, closed %d\n", kept, closed);
	descriptors("in the old image");
	fcntl(engaged_epoll, F_SETFD, 0);
	execl("/proc/self/exe", argv[0], argv[1], "again", NULL);
	return 1;
}
