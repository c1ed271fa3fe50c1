/* Operations by LAIO: those that do not block are done at once, the others complete later. */
#ifndef LAZY_H
#define LAZY_H

#include "io.h"

#include <laio.h>

/* Any operation, of files and of sockets that block. */
perform lazy_perform;

/* Waits until `timeout` is over for operations in the background, and has them go on. Returns what laio_poll() does. */
int lazy_complete(const struct timespec *timeout);

/* For a loop that watches laio_eventfd(). */
void lazy_ready(struct source *source);

#endif
