/* Accepting connections, also where descriptors run out. */
#include "accept.h"

#include "files.h"
#include "server.h"

enum {
	TURN = 64,   /* how many are accepted before others have their turn */
	RETRY = 100, /* milliseconds until it is tried again where there was no descriptor */
};

static struct {
	const struct loop *loop;
	struct source listener;
	struct operation operation;
	bool paused; /* there was no descriptor */
	bool rests;  /* others have their turn */
} acceptor;

/* Deals with what accept has returned. True to accept the next one. */
static bool accepted(const struct operation *operation)
{
	if (operation->error == 0) {
		server_welcome(operation->value);
		return true;
	}
	switch (operation->error) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		/* A file that nobody uses is worth less than a client. Where there is none, clients wait. */
		if (files_shed())
			return true;
		acceptor.paused = true;
		return false;
	default:
		/* It was the client's connection that failed. */
		return true;
	}
}

static void accept_done(struct operation *operation);

static void accept_some(void)
{
	acceptor.paused = acceptor.rests = false;
	for (int turn = 0; turn < TURN; turn++) {
		acceptor.operation = (struct operation){ .call = CALL_ACCEPT,
							 .source = &acceptor.listener,
							 .done = accept_done };
		if (!acceptor.loop->sockets(&acceptor.operation) || !accepted(&acceptor.operation))
			return;
	}
	acceptor.rests = true;
}

static void accept_done(struct operation *operation)
{
	if (accepted(operation))
		accept_some();
}

int accept_timeout(void)
{
	return acceptor.rests ? 0 : acceptor.paused ? RETRY : -1;
}

void accept_turn(void)
{
	if (acceptor.rests || acceptor.paused)
		accept_some();
}

void accept_start(const struct loop *loop, int listener)
{
	acceptor.loop = loop;
	acceptor.listener.fd = listener;
	loop_watch(loop, &acceptor.listener);
	accept_some();
}
