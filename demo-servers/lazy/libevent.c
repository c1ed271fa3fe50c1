/* The same server on libevent, with LAIO's completions as one more of its events: how a program that has an event loop comes to
 * use LAIO. Sockets are libevent's, files are lazy. */
#include "lazy.h"
#include "server.h"

#include <event2/event.h>
#include <string.h>
#include <sys/time.h>

static struct event_base *base;

static void happened(evutil_socket_t fd, short what, void *argument)
{
	struct source *source = argument;
	(void)fd, (void)what;
	source->ready(source);
}

static bool add(struct source *source)
{
	short what = EV_READ | EV_PERSIST;
	if (source->ready == NULL) {
		source->ready = nonblocking_ready;
		what |= EV_WRITE | EV_ET;
	}
	struct event *event = event_new(base, source->fd, what, happened, source);
	if (event == NULL || event_add(event, NULL) != 0) {
		if (event != NULL)
			event_free(event);
		errno = ENOMEM;
		return false;
	}
	source->event = event;
	return true;
}

static void forget(struct source *source)
{
	event_free(source->event);
}

static void start(void)
{
	static struct source completions = { .ready = lazy_ready };
	/* Without one that is edge-triggered an operation could miss its readiness. */
	struct event_config *config = event_config_new();
	if (config == NULL || event_config_require_features(config, EV_FEATURE_ET) != 0 ||
	    (base = event_base_new_with_config(config)) == NULL)
		die("libevent has no edge-triggered method here");
	event_config_free(config);
	completions.fd = laio_eventfd();
	if (completions.fd < 0 || !add(&completions))
		die("LAIO's completions cannot be waited for: %s", strerror(errno));
}

static void nothing(evutil_socket_t fd, short what, void *argument)
{
	(void)fd, (void)what, (void)argument;
}

static void run(void)
{
	struct event *alarm = event_new(base, -1, 0, nothing, NULL);
	while (!server_stopping()) {
		int milliseconds = server_timeout();
		if (alarm != NULL && milliseconds > 0)
			event_add(alarm, &(struct timeval){ .tv_usec = milliseconds * 1000 });
		if (event_base_loop(base, EVLOOP_ONCE | (milliseconds == 0 ? EVLOOP_NONBLOCK : 0)) < 0)
			die("libevent's loop has failed");
		server_turn();
	}
	if (alarm != NULL)
		event_free(alarm);
}

static const struct loop libevent_loop = {
	.start = start,
	.add = add,
	.remove = forget,
	.sockets = nonblocking_perform,
	.run = run,
};

static const struct strategy libevent = {
	.name = "libevent",
	.summary = "libevent's sockets, files by LAIO",
	.loop = &libevent_loop,
	.files = lazy_perform,
};

const struct strategy *const strategies[] = { &libevent, NULL };
