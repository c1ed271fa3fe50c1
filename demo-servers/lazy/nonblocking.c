/* Operations on sockets with O_NONBLOCK: tried at once, and again whenever the loop reports something. */
#define _GNU_SOURCE
#include "io.h"

#include <sys/socket.h>
#include <unistd.h>

/* Takes the first `count` bytes off the pieces: they are sent. */
static void use_up(struct operation *o, size_t count)
{
	o->progress += count;
	while (o->count > 0 && count >= o->pieces->iov_len) {
		count -= o->pieces->iov_len;
		o->pieces++;
		o->count--;
	}
	if (o->count > 0) {
		o->pieces->iov_base = (char *)o->pieces->iov_base + count;
		o->pieces->iov_len -= count;
	}
}

static ssize_t once(struct operation *o)
{
	switch (o->call) {
	case CALL_ACCEPT:
		return accept4(o->source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	case CALL_READ:
		return read(o->source->fd, o->buffer, o->size);
	case CALL_WRITEV:
		return writev(o->source->fd, o->pieces, o->count);
	default:
		errno = EINVAL;
		return -1;
	}
}

/* False where it would block. */
static bool attempt(struct operation *o)
{
	for (;;) {
		ssize_t value = once(o);
		if (value < 0 && errno == EINTR)
			continue;
		if (value < 0 && errno == EAGAIN)
			return false;
		if (value < 0 || o->call != CALL_WRITEV)
			return conclude(o, value);
		use_up(o, value);
		if (o->count == 0)
			return conclude(o, o->progress);
	}
}

bool nonblocking_perform(struct operation *operation)
{
	if (attempt(operation))
		return true;
	operation->source->waiting = operation;
	return false;
}

void nonblocking_ready(struct source *source)
{
	struct operation *operation = source->waiting;
	if (operation == NULL || !attempt(operation))
		return;
	source->waiting = NULL;
	operation->done(operation);
}
