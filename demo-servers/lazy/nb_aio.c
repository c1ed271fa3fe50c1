/* nb-aio: non-blocking sockets in epoll, files by POSIX AIO, which can read but not open: opens and look-ups block. Every read
 * is handed to one of the C library's threads, since there is no way to ask whether that is needed. */
#define _GNU_SOURCE
#include "io.h"

#include <aio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Not a real-time signal: those are queued, and the queue may be full. Of this one, one is pending or none, which is enough to
 * know that it is time to look. */
enum { SIGNAL = SIGUSR1 };

struct reading {
	struct aiocb block;
	struct operation *operation;
	struct reading *next, **place;
};

static struct reading *readings;

static bool perform_aio(struct operation *operation)
{
	struct reading *reading;
	if (operation->call != CALL_PREAD || (reading = calloc(1, sizeof *reading)) == NULL)
		return blocking_perform(operation);
	reading->operation = operation;
	reading->block.aio_fildes = operation->fd;
	reading->block.aio_buf = operation->buffer;
	reading->block.aio_nbytes = operation->size;
	reading->block.aio_offset = operation->offset;
	reading->block.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
	reading->block.aio_sigevent.sigev_signo = SIGNAL;
	if (aio_read(&reading->block) != 0) {
		free(reading);
		return blocking_perform(operation);
	}
	reading->next = readings;
	reading->place = &readings;
	if (readings != NULL)
		readings->place = &reading->next;
	readings = reading;
	return false;
}

/* The signal is taken first: what completes after that sends another one. */
static void ready(struct source *source)
{
	struct signalfd_siginfo taken;
	while (read(source->fd, &taken, sizeof taken) > 0)
		continue;
	for (struct reading *reading = readings, *next; reading != NULL; reading = next) {
		struct operation *operation = reading->operation;
		int error = aio_error(&reading->block);
		next = reading->next;
		if (error == EINPROGRESS)
			continue;
		operation->value = aio_return(&reading->block);
		operation->error = error;
		*reading->place = next;
		if (next != NULL)
			next->place = reading->place;
		free(reading);
		operation->done(operation);
	}
}

static void start(unsigned threads)
{
	static struct source completions = { .ready = ready };
	struct aioinit how = { .aio_threads = threads, .aio_num = 1024, .aio_idle_time = 60 };
	sigset_t signals;
	aio_init(&how);
	sigemptyset(&signals);
	sigaddset(&signals, SIGNAL);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	completions.fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (completions.fd < 0 || !epoll_loop.add(&completions))
		die("AIO's completions cannot be waited for: %s", strerror(errno));
}

const struct strategy nb_aio = {
	.name = "nb-aio",
	.summary = "non-blocking sockets, reads by POSIX AIO, opens block",
	.loop = &epoll_loop,
	.start = start,
	.files = perform_aio,
};
