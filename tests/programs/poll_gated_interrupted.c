/* What may happen to a wait in poll or select while a request is held back: a signal, a jump, a fork, the end of its
 * thread. */
#include "while_gated/poll.h"
#include <setjmp.h>

static sigjmp_buf before;
static volatile sig_atomic_t caught, child;
static int child_status;

static void note(int signal) { caught = signal; }
static void jump(int signal) { siglongjmp(before, signal); }

/* The child of a handler goes back into the wait that was interrupted. */
static void fork_in_handler(int signal)
{
	if (caught)
		return;
	caught = signal;
	child = fork();
	if (child > 0)
		NEED(waitpid(child, &child_status, 0) == child);
}

/* A signal, soon: before the disk has answered. */
static void soon(void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct itimerval timer = { .it_value.tv_usec = 1500 };
	/* One that comes just before a wait ends none: others follow, until one does. */
	if (handler != jump)
		timer.it_interval.tv_usec = 1500;
	caught = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Whether the request of a wait that a signal ends was answered before. */
static volatile sig_atomic_t done;

/* Waits until the signal has come; the request may be told of before. Nonzero where it was answered. */
static int until_caught(struct pair pair)
{
	sigset_t alarm;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	done = !gated;
	for (;;) {
		int n = -1, error = EINTR;
		if (!caught) {
			errno = UNTOUCHED;
			n = ready(done ? pair.client : pair.server, done ? 0 : POLLIN, -1);
			error = n < 0 ? errno : EINTR;
		}
		/* It may have come just as a wait ended, or before one: then there is none left that it could end. */
		if (n < 0 || caught) {
			setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
			show("wait", -1, error);
			printf("caught: %d\n", caught == SIGALRM);
			return done;
		}
		NEED(!done);
		/* A jump out of the answer would leave half of it. */
		sigprocmask(SIG_BLOCK, &alarm, NULL);
		done = handle(pair.server);
		sigprocmask(SIG_UNBLOCK, &alarm, NULL);
	}
}

static void interrupted(void)
{
	int which;
	struct pair pair = held(&which);
	soon(note);
	gated &= ~until_caught(pair);
	answered(pair, which);
	gated = 1;
}

static void jumped_out(void)
{
	int which;
	volatile int was, jumps = 0;
	for (volatile int i = 0; i < 3; i++) {
		struct pair pair = held(&which);
		was = gated;
		done = 0;
		if (sigsetjmp(before, 1) == 0) {
			soon(jump);
			if (until_caught(pair))
				was = 0;
		} else {
			jumps++;
			was &= !done;
		}
		/* The next wait tidies up. */
		NEED(ready(-1, POLLIN, 0) == 0);
		descriptors("after a jump");
		if (was)
			serve(pair.server);
		printf("answered: %s\n", right(pair.client, which));
		finish(pair);
	}
	printf("jumped: %d\n", jumps);
}

static void forked_in_handler(void)
{
	int which;
	struct pair pair = held(&which);
	fflush(stdout);
	soon(fork_in_handler);
	int done = until_caught(pair);
	descriptors(child ? "in the parent" : "in the child");
	if (child == 0) {
		/* It has no helpers. */
		if (!done)
			serve(pair.server);
		_exit(0);
	}
	printf("answered: %s, child %d\n", right(pair.client, which), child_status);
	finish(pair);
}

static struct pair waited;
static volatile int waits;

static void *wait_held(void *kind)
{
	int which;
	learn();
	waited = held(&which);
	pthread_setcanceltype(*(int *)kind, &which);
	waits = 1;
	/* Once it is told of, it waits for nothing: so that it is cancelled in the kernel's wait. */
	short events = gated ? POLLIN : 0;
	while (ready(waited.server, events, -1) >= 0)
		events = 0;
	return NULL;
}

/* Children that are made while the loop goes into its wait. */
static void forked_beside(int children)
{
	int status;
	fflush(stdout);
	for (int i = 0; i < children; i++) {
		pid_t forked = fork();
		if (forked == 0) {
			descriptors("in a child");
			_exit(0);
		}
		NEED(waitpid(forked, &status, 0) == forked);
	}
}

/* A loop that is cancelled in its wait; before, so many children are made beside it. */
static void cancelled_of(int kind, int children)
{
	pthread_t thread;
	void *result;
	NEED(pthread_create(&thread, NULL, wait_held, &kind) == 0);
	while (!waits)
		usleep(100);
	forked_beside(children);
	usleep(1000);
	NEED(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
	printf("cancelled: %d\n", result == PTHREAD_CANCELED);
	descriptors("after it was cancelled");
	finish(waited);
}

static int descriptors_open(void)
{
	int count = 0;
	for (int fd = 0; fd < 64; fd++)
		count += syscall(SYS_fcntl, fd, F_GETFD) >= 0;
	return count;
}

static volatile int forks_on = 1;

static void *fork_on(void *unused)
{
	int status;
	while (forks_on) {
		pid_t forked = fork();
		if (forked == 0)
			_exit(0);
		NEED(waitpid(forked, &status, 0) == forked);
	}
	return unused;
}

/* Waits that end while another thread forks: each leaves the descriptors that there were. */
static void forked_all_the_time(void)
{
	int which, more = 0;
	pthread_t thread;
	struct pair pair = held(&which);
	int before = descriptors_open();
	fflush(stdout);
	NEED(pthread_create(&thread, NULL, fork_on, NULL) == 0);
	for (int i = 0; i < 20; i++) {
		ready(pair.server, POLLIN, 0);
		more += descriptors_open() != before;
	}
	if (gated)
		serve(pair.server);
	forks_on = 0;
	NEED(pthread_join(thread, NULL) == 0);
	printf("answered: %s, more descriptors: %d\n", right(pair.client, which), more);
	finish(pair);
}

static void cancelled(void) { cancelled_of(PTHREAD_CANCEL_DEFERRED, 20); }
/* Only in the kernel's wait may it be: so it comes before the request is there. */
static void cancelled_at_once(void) { cancelled_of(PTHREAD_CANCEL_ASYNCHRONOUS, 0); }

static const struct moment moments[] = {
	{ "interrupted", interrupted },
	{ "jumped_out", jumped_out },
	{ "forked_in_handler", forked_in_handler },
	{ "forked_all_the_time", forked_all_the_time },
	{ "cancelled", cancelled },
	{ "cancelled_at_once", cancelled_at_once },
};

MAIN_OF(moments)
