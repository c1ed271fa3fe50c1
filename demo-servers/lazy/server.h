/* The server's connections: what is done with a client, from its accept to its end. */
#ifndef SERVER_H
#define SERVER_H

#include "io.h"

struct server_settings {
	int listener;
	int signals; /* a signalfd: readable when it is time to end */
	unsigned cached_files;
};

/* Starts to accept connections. The loop and the strategy are started. */
void server_start(const struct strategy *strategy, const struct server_settings *settings);

/* Serves a client that was accepted. */
void server_welcome(int fd);

/* Loops ask whether it is over, */
bool server_stopping(void);

/* how many milliseconds to wait at most, -1 for as long as it takes, */
int server_timeout(void);

/* and call this after each round: whoever has had enough for one turn goes on, and what has ended is freed, which in a round no
 * event can refer to any more. */
void server_turn(void);

#endif
