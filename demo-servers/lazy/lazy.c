/* Operations by LAIO, for every strategy that has some. */
#include "lazy.h"

#include <sys/socket.h>
#include <sys/syscall.h>

static long call(const struct operation *o)
{
	switch (o->call) {
	case CALL_OPEN:
		return laio_syscall(SYS_openat, AT_FDCWD, o->path, FILE_FLAGS);
	case CALL_STAT:
		return laio_syscall(SYS_newfstatat, AT_FDCWD, o->path, o->buffer, 0);
	case CALL_FSTAT:
		return laio_syscall(SYS_fstat, o->fd, o->buffer);
	case CALL_PREAD:
		return laio_syscall(SYS_pread64, o->fd, o->buffer, o->size, o->offset);
	case CALL_ACCEPT:
		return laio_syscall(SYS_accept4, o->source->fd, NULL, NULL, SOCK_CLOEXEC);
	case CALL_READ:
		return laio_syscall(SYS_read, o->source->fd, o->buffer, o->size);
	case CALL_WRITEV:
		return laio_syscall(SYS_writev, o->source->fd, o->pieces, o->count);
	}
	errno = EINVAL;
	return -1;
}

bool lazy_perform(struct operation *operation)
{
	long value = call(operation);
	laio_handle handle = laio_gethandle();
	if (handle == NULL)
		return conclude(operation, value);
	laio_setdata(handle, operation);
	return false;
}

int lazy_complete(const struct timespec *timeout)
{
	struct laio_completion completions[64];
	int count = laio_poll(completions, 64, timeout);
	for (int i = 0; i < count; i++) {
		struct operation *operation = completions[i].data;
		operation->value = completions[i].value;
		operation->error = completions[i].error;
		operation->done(operation);
	}
	return count;
}

void lazy_ready(struct source *source)
{
	(void)source;
	lazy_complete(&(struct timespec){ 0 });
}
