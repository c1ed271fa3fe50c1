/* Waits: epoll_wait, poll, select and their kin, by the C library, by raw system calls, and on a thread of their own. */
#ifndef WAITS_H
#define WAITS_H
#include "world.h"

/* A connection is told to be ready: from now on a transfer that finds bytes or room has to move some. */
static void tell(int c, int readable, int writable)
{
	if (c < 0)
		return;
	world->connections[c].told_readable |= readable;
	world->connections[c].told_writable |= writable;
}

static void tell_events(int c, unsigned events)
{
	unsigned both = EPOLLHUP | EPOLLERR;
	tell(c, !!(events & (EPOLLIN | EPOLLRDHUP | both)), !!(events & (EPOLLOUT | both)));
}

/* A level-triggered wait in which a connection is, and that did not tell of it: what was told before holds no longer. */
static void tell_nothing(int c, unsigned wanted, unsigned events)
{
	if (c < 0)
		return;
	if (wanted & EPOLLIN && !(events & ~EPOLLOUT))
		world->connections[c].told_readable = 0;
	if (wanted & EPOLLOUT && !(events & ~EPOLLIN))
		world->connections[c].told_writable = 0;
}

/* One call that waits. */

enum whose { BY_LIBC, BY_SYSTEM_CALL, BY_THREAD };

struct asked {
	enum { EPOLL, POLL, SELECT } call;
	enum whose whose;
	/* Which of the call's names. */
	int how;
	/* Milliseconds, or -1. */
	int timeout;
	int instance, most;
	struct epoll_event *events;
	struct pollfd *set;
	int count;
	fd_set *in, *out;
	int result, error;
};

static void *perform(void *argument)
{
	struct asked *asked = argument;
	struct timespec time = { asked->timeout / 1000, asked->timeout % 1000 * 1000000 };
	struct timespec *limit = asked->timeout < 0 ? NULL : &time;
	struct timeval old = { asked->timeout / 1000, asked->timeout % 1000 * 1000 };
	int raw = asked->whose == BY_SYSTEM_CALL, n = -1;
	switch (asked->call) {
	case EPOLL:
		if (raw)
			n = syscall(SYS_epoll_pwait, asked->instance, asked->events, asked->most, asked->timeout, NULL, 0L);
		else if (asked->how == 1)
			n = epoll_pwait(asked->instance, asked->events, asked->most, asked->timeout, NULL);
		else if (asked->how == 2)
			n = epoll_pwait2(asked->instance, asked->events, asked->most, limit, NULL);
		else
			n = epoll_wait(asked->instance, asked->events, asked->most, asked->timeout);
		break;
	case POLL:
		if (raw)
			n = syscall(SYS_ppoll, asked->set, asked->count, limit, NULL, 0L);
		else if (asked->how == 1)
			n = poll(asked->set, asked->count, asked->timeout);
		else
			n = ppoll(asked->set, asked->count, limit, NULL);
		break;
	case SELECT:
		if (raw)
			n = syscall(SYS_pselect6, asked->count, asked->in, asked->out, NULL, limit, NULL);
		else if (asked->how == 1)
			n = select(asked->count, asked->in, asked->out, NULL, limit ? &old : NULL);
		else
			n = pselect(asked->count, asked->in, asked->out, NULL, limit, NULL);
		break;
	}
	asked->error = errno;
	asked->result = n;
	return NULL;
}

static int performed(struct asked *asked)
{
	pthread_t thread;
	if (asked->whose == BY_THREAD)
		NEED(pthread_create(&thread, NULL, perform, asked) == 0 && pthread_join(thread, NULL) == 0);
	else
		perform(asked);
	if (asked->result == 0 && asked->timeout < 0)
		WRONG("a wait without a timeout returns 0");
	errno = asked->error;
	return asked->result;
}

/* What waits may tell otherwise than the kernel does: readiness may come later, and no other. The run that replays has the
 * kernel's own answers, and judges by them what the recorded run was told. */

/* Whether readiness of a connection may come later: it sent a request, or was written to. Then an end or an error may as well,
 * where all that there is comes with it. */
static int may_be_later(int c, unsigned later, unsigned other)
{
	if (c < 0)
		return 0;
	struct connection *connection = &world->connections[c];
	if (later & ~(EPOLLIN | EPOLLRDHUP | EPOLLOUT))
		return (connection->http || connection->attempted) && other == 0;
	/* An edge comes as a whole. */
	if (later & (EPOLLIN | EPOLLRDHUP))
		return connection->http;
	return connection->attempted;
}

/* Whether an event may be one more: of readiness that was given back, and there is something. */
static int may_be_more(int c, struct registration *registration, unsigned more)
{
	int fd = c >= 0 ? number_of(c) : -1;
	if (!registration || !registration->live || (fd >= 0 && (polled(fd, more) & more) != more))
		return 0;
	/* An edge may be reported once more than there was one: readiness that a set left out was given back to all. */
	int held = c >= 0 && (world->connections[c].http || (more == EPOLLOUT && world->connections[c].attempted));
	if (registration->events & EPOLLET && !(registration->events & EPOLLONESHOT) && held)
		return 1;
	return registration->more || registration->later;
}

/* Whether a wait may have told `other` where the kernel tells `own`. A set has no registration. */
static int is_legal(int c, struct registration *registration, unsigned own, unsigned other)
{
	unsigned later = own & ~other, more = other & ~own;
	if (own == other || (registration && registration->unknown))
		return 1;
	if ((later && !may_be_later(c, later, other)) || (more && !may_be_more(c, registration, more)))
		return 0;
	if (registration)
		registration->later = later && registration->events & (EPOLLET | EPOLLONESHOT);
	return 1;
}

static int by_key(const void *a, const void *b)
{
	const struct told *x = a, *y = b;
	return (x->key > y->key) - (x->key < y->key);
}

static unsigned events_of(const struct told *told, int count, int key)
{
	for (int i = 0; i < count; i++)
		if (told[i].key == key)
			return told[i].events;
	return 0;
}

/* Notes and shows what a wait told; keys are registrations, or descriptors in a set. */
static void show_told(struct told *told, int count, int in_set)
{
	int number = world->waits++;
	NEED(number < WAITS);
	qsort(told, count, sizeof *told, by_key);
	if (!replaying) {
		char line[8192];
		int length = snprintf(line, sizeof line, "w %d %d", number, count);
		for (int i = 0; i < count; i++)
			length += snprintf(line + length, sizeof line - length, " %d %u", told[i].key, told[i].events);
		line[length++] = '\n';
		NEED(write(early_log, line, length) == length);
	} else {
		struct told *others = &world->told[world->recorded[number].first];
		int other_count = world->recorded[number].count, legal = 1;
		for (int key = 0; key < (in_set ? NUMBERS : registered); key++) {
			unsigned own = events_of(told, count, key), other = events_of(others, other_count, key);
			int c = in_set ? (numbers[key].kind == CONNECTION ? numbers[key].connection : -1)
				       : registrations[key].connection;
			legal &= is_legal(c, in_set ? NULL : &registrations[key], own, other);
		}
		if (legal) {
			told = others;
			count = other_count;
		}
	}
	for (int i = 0; i < count; i++)
		printf(" %d#%d %x", in_set ? told[i].key : registrations[told[i].key].fd, told[i].key, told[i].events);
	printf("\n");
}

/* A registration's descriptor is ready and its interest is armed: an instance tells of it at any time. */
static int is_due(struct registration *registration)
{
	unsigned events = registration->events & (EPOLLIN | EPOLLOUT);
	return !registration->fired && instance_of(registration) >= 0 && polled(registration->fd, events) & events;
}

/* Whether a wait in an instance ends by itself. */
static int will_tell(int instance, int even_if_held)
{
	for (int i = 0; i < registered; i++) {
		struct registration *registration = &registrations[i];
		if (registration->instance == numbers[instance].description && is_due(registration) &&
		    !(registration->events & EPOLLET) && (even_if_held || registration->connection < 0))
			return 1;
	}
	return 0;
}

/* What an instance told of its registrations. */
static void heard(const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t data = events[i].data.u64;
		if (data >= (uint64_t)registered) {
			WRONG("data %lu was never registered", data);
			continue;
		}
		struct registration *registration = &registrations[data];
		if (!registration->live && registration->connection >= 0)
			WRONG("%d is told of by a registration that has been changed", registration->fd);
		int c = registration->connection, one_shot = !!(registration->events & EPOLLONESHOT);
		if (registration->fired && !registration->unknown && !registration->taken)
			WRONG("%d is told of once more by a one-shot interest", registration->fd);
		registration->pending |= events[i].events;
		registration->fired |= one_shot;
		registration->taken = is_child && one_shot && c >= 0 &&
				      (world->connections[c].http || world->connections[c].attempted);
		registration->more |= registration->taken;
		tell_events(c, events[i].events);
	}
}

/* Waits in an instance. Where there is room for few events, those that come are any. */
static void wait_in(struct asked asked)
{
	struct epoll_event events[64];
	struct told told[64];
	int few = asked.most < 64, count = 0;
	asked.call = EPOLL;
	asked.events = events;
	int n = performed(&asked);
	printf("wait %d:%s", asked.instance, error_name(n));
	heard(events, n);
	if (few) {
		for (int i = 0; i < registered; i++)
			if (registrations[i].instance == numbers[asked.instance].description &&
			    registrations[i].events & (EPOLLET | EPOLLONESHOT))
				registrations[i].unknown = 1;
		printf(" %s\n", n > asked.most ? "too many" : "few");
		return;
	}
	for (int i = 0; i < n; i++)
		if (events[i].data.u64 < (uint64_t)registered)
			told[count++] = (struct told){ events[i].data.u64, events[i].events };
	for (int i = 0; i < registered && n >= 0; i++)
		if (instance_of(&registrations[i]) >= 0 && !(registrations[i].events & (EPOLLET | EPOLLONESHOT)) &&
		    registrations[i].instance == numbers[asked.instance].description)
			tell_nothing(registrations[i].connection, registrations[i].events, events_of(told, count, i));
	show_told(told, count, 0);
}

static void wait_once(int instance, int how, int timeout)
{
	wait_in((struct asked){ .instance = instance, .how = how, .timeout = timeout, .most = 64 });
}

static void arm(int instance, struct registration *registration)
{
	struct epoll_event event = { .events = registration->events, .data.u64 = registration - registrations };
	registration->fired = 0;
	NEED(epoll_ctl(instance, EPOLL_CTL_MOD, registration->fd, &event) == 0);
}

/* Waits for a connection that is in no instance, as a poll or a select server does. It may hear of it too early, again and
 * again, and does not read too often. */
static int await_in_set(int fd, int for_reading)
{
	for (long begin = now(); now() - begin <= PATIENCE;) {
		struct pollfd ready = { .fd = fd, .events = for_reading ? POLLIN : POLLOUT };
		struct timeval time = { .tv_usec = 1000 };
		fd_set set;
		FD_ZERO(&set);
		FD_SET(fd, &set);
		if (fd % 2 ? poll(&ready, 1, 1) == 1
			   : select(fd + 1, for_reading ? &set : NULL, for_reading ? NULL : &set, NULL, &time) == 1) {
			tell(numbers[fd].connection, for_reading, !for_reading);
			usleep(100);
			return 1;
		}
	}
	return 0;
}

/* After an early transfer: waits as the program would. False when nothing comes. */
static int await(int fd, uint32_t wanted)
{
	uint32_t others = (EPOLLIN | EPOLLOUT | EPOLLRDHUP) & ~wanted;
	int instance;
	struct registration *registration = listening_for(fd, wanted, &instance);
	if (!registration)
		return replaying || await_in_set(fd, wanted == EPOLLIN);
	if (registration->events & EPOLLONESHOT)
		arm(instance, registration);
	/* Once in both runs: what other edges and one-shots have to tell is told now. */
	wait_once(instance, 0, 0);
	for (long begin = now(); !replaying && !(registration->pending & ~others);) {
		struct epoll_event events[64];
		if (now() - begin > PATIENCE)
			return 0;
		/* It told of something else, and is used up. */
		if (registration->fired) {
			usleep(500);
			arm(instance, registration);
		}
		heard(events, epoll_wait(instance, events, 64, 1));
	}
	return 1;
}
#endif
