/* The server's I/O: what it asks for, and who performs it. A strategy is a way to perform file operations together with a
 * loop that performs those on sockets. Everything else is common to all of them and knows neither. */
#ifndef IO_H
#define IO_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
	/* How files are opened. O_NONBLOCK is for a FIFO in the document root, whose open would wait for a writer. */
	FILE_FLAGS = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	/* The most that is read from a file at once. */
	PIECE = 64 * 1024,
};

/* The system calls that may block. Paths are relative: the document root is the working directory. */
enum call {
	CALL_OPEN,  /* path */
	CALL_STAT,  /* path; into buffer, a struct stat */
	CALL_FSTAT, /* fd; into buffer, a struct stat */
	CALL_PREAD, /* fd, buffer, size, offset */

	CALL_ACCEPT, /* source */
	CALL_READ,   /* source, buffer, size */
	CALL_WRITEV, /* source, pieces, count: all of them, or it has failed. The pieces are used up. */
};

/* One call, its result, and what is to be done with it. It belongs to who asks, and stays where it is until it is done. */
struct operation {
	enum call call;
	int fd;
	struct source *source;
	const char *path;
	void *buffer;
	size_t size;
	off_t offset;
	struct iovec *pieces;
	int count;

	ssize_t value; /* -1 where it failed */
	int error;     /* its errno where it failed, else 0 */
	void (*done)(struct operation *operation);

	/* For whoever performs it. */
	size_t progress;
	struct operation *link;
};

/* Something with a descriptor that a loop waits for. */
struct source {
	int fd;
	/* What to do when it is readable. NULL for a socket, where the loop tries again what waits. */
	void (*ready)(struct source *source);
	struct operation *waiting;
	void *event; /* the loop's own */
};

/* Performs an operation: true when its result is there, false when done() will be called later, from the loop. */
typedef bool perform(struct operation *operation);

struct loop {
	bool blocking_sockets;
	/* Each of these three is NULL where there is nothing to be done. Before the first source is added: */
	void (*start)(void);
	/* False, and errno, where there is no memory to wait for one more. */
	bool (*add)(struct source *source);
	/* Before its descriptor is closed: */
	void (*remove)(struct source *source);
	perform *sockets;
	/* Until server_stopping(). */
	void (*run)(void);
};

struct strategy {
	const char *name, *summary;
	const struct loop *loop;
	/* Before the first operation; `helpers` is how many threads or processes, where it is for the strategy to say. NULL
	 * where there is nothing to be done. */
	void (*start)(unsigned helpers);
	perform *files;
};

/* The program's strategies, the last one NULL. */
extern const struct strategy *const strategies[];
extern const struct strategy nb_b, nb_laio, laio_laio, nb_aio, nb_amped;

extern const struct loop epoll_loop;

/* The file operations as they are, blocking. */
perform blocking_perform;

/* Sockets with O_NONBLOCK, for loops that are told of readiness. */
perform nonblocking_perform;
void nonblocking_ready(struct source *source);

/* Takes down a result as system calls give it. */
static inline bool conclude(struct operation *operation, ssize_t value)
{
	operation->value = value;
	operation->error = value < 0 ? errno : 0;
	return true;
}

/* For the sources that a server cannot do without. */
void loop_watch(const struct loop *loop, struct source *source);

/* For what a server cannot start, or go on, without. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
