/* nb-laio: non-blocking sockets in epoll, files by LAIO. Its completions are one more descriptor in the same loop. */
#include "lazy.h"

#include <string.h>

static void start(unsigned helpers)
{
	(void)helpers;
	static struct source completions = { .ready = lazy_ready };
	completions.fd = laio_eventfd();
	if (completions.fd < 0 || !epoll_loop.add(&completions))
		die("LAIO's completions cannot be waited for: %s", strerror(errno));
}

const struct strategy nb_laio = {
	.name = "nb-laio",
	.summary = "non-blocking sockets, files by LAIO",
	.loop = &epoll_loop,
	.start = start,
	.files = lazy_perform,
};
