/* nb-b: non-blocking sockets, blocking files. What waits for the disk makes everyone wait. It is also what the server runs on
 * as "nb-b under the preload". */
#include "io.h"

#include <sys/stat.h>
#include <unistd.h>

bool blocking_perform(struct operation *operation)
{
	switch (operation->call) {
	case CALL_OPEN:
		return conclude(operation, open(operation->path, FILE_FLAGS));
	case CALL_STAT:
		return conclude(operation, stat(operation->path, operation->buffer));
	case CALL_FSTAT:
		return conclude(operation, fstat(operation->fd, operation->buffer));
	case CALL_PREAD:
		return conclude(operation, pread(operation->fd, operation->buffer, operation->size, operation->offset));
	default:
		errno = EINVAL;
		return conclude(operation, -1);
	}
}

const struct strategy nb_b = {
	.name = "nb-b",
	.summary = "non-blocking sockets, blocking files",
	.loop = &epoll_loop,
	.files = blocking_perform,
};
