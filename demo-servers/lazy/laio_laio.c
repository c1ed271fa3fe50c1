/* laio-laio: sockets that block and files, both by LAIO. There is no readiness to keep track of: the loop is laio_poll(). */
#include "lazy.h"
#include "server.h"

#include <string.h>

static void run(void)
{
	while (!server_stopping()) {
		int milliseconds = server_timeout();
		struct timespec timeout = { milliseconds / 1000, milliseconds % 1000 * 1000000L };
		if (lazy_complete(milliseconds < 0 ? NULL : &timeout) < 0 && errno != EINTR)
			die("laio_poll: %s", strerror(errno));
		server_turn();
	}
}

static const struct loop laio_loop = {
	.blocking_sockets = true,
	.sockets = lazy_perform,
	.run = run,
};

const struct strategy laio_laio = {
	.name = "laio-laio",
	.summary = "sockets and files by LAIO",
	.loop = &laio_loop,
	.files = lazy_perform,
};
