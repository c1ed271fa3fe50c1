/* Accepting connections. */
#ifndef ACCEPT_H
#define ACCEPT_H

#include "io.h"

void accept_start(const struct loop *loop, int listener);

/* What server_timeout() and server_turn() are to accepting. */
int accept_timeout(void);
void accept_turn(void);

#endif
