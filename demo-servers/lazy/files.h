/* The cache of open files, shared by all strategies: a request for a file that is known costs no open and no fstat. */
#ifndef FILES_H
#define FILES_H

#include "io.h"

struct file {
	int fd;
	off_t size;
};

/* Somebody who wants a file. */
struct file_wait {
	struct file *file; /* what came of it: the file, */
	int error;         /* or why there is none */
	void (*ready)(struct file_wait *wait);
	struct file_wait *next;
};

/* Keeps up to `capacity` files open. */
void files_start(unsigned capacity, perform *perform);

/* True when the answer is in `wait`; false when ready() will be called with it, until when `wait` has to stay. A directory is
 * EISDIR, what is no file EACCES. */
bool files_get(const char *path, struct file_wait *wait);

/* Its path. */
const char *files_path(const struct file *file);

/* For each file that was got. */
void files_put(struct file *file);

/* Closes the file that was not used for the longest time, to have a descriptor. False where all are in use. */
bool files_shed(void);

#endif
