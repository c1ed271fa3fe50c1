/* What a process may do while a request is held back: make children, become another program, give up rights. */
#include "while_gated/epoll.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>

/* Whether a child hears that something can be read. */
static int told_to_child(int fd)
{
	int status;
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		struct pollfd set = { .fd = fd, .events = POLLIN };
		_exit(poll(&set, 1, 5000) == 1 && set.revents == POLLIN);
	}
	NEED(waitpid(child, &status, 0) == child);
	return WEXITSTATUS(status);
}

static void *poll_one(void *fd)
{
	struct pollfd set = { .fd = *(int *)fd, .events = POLLIN };
	return poll(&set, 1, 5000) == 1 && set.revents == POLLIN ? fd : NULL;
}

static void *select_several(void *number)
{
	int fd = *(int *)number;
	fd_set set;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	FD_SET(STDERR_FILENO, &set);
	return select(fd + 1, &set, NULL, NULL, &(struct timeval){ 5, 0 }) >= 1 && FD_ISSET(fd, &set) ? number : NULL;
}

/* Whether a thread that is no loop hears that something can be read. */
static int told_to_thread(int fd)
{
	void *heard[2];
	pthread_t thread;
	NEED(pthread_create(&thread, NULL, poll_one, &fd) == 0 && pthread_join(thread, &heard[0]) == 0);
	NEED(pthread_create(&thread, NULL, select_several, &fd) == 0 && pthread_join(thread, &heard[1]) == 0);
	return heard[0] && heard[1];
}

/* Somebody else waits for the connection as well, and the loop reads. */
static void waited_for_by(int (*told)(int))
{
	int which, pipes[2];
	struct pair pair = held(EPOLLIN, &which);
	if (gated) {
		NEED(told(pair.server) == 1);
		printf("read: %d\n", handle(pair.server));
	} else {
		printf("read: 1\n");
	}
	printf("answered: %s\n", right(pair.client, which));
	/* The same of one that has just been accepted, in an iteration that was told of something. */
	NEED(pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0 && write(pipes[1], "x", 1) == 1);
	watch(pipes[0], EPOLLIN, 9500);
	struct epoll_event event;
	NEED(epoll_wait(ep, &event, 1, -1) == 1 && event.data.u64 == 9500);
	struct pair new = connection();
	which = ask(new.client);
	settle(new.server, 20);
	printf("told: %d\n", told(new.server));
	printf("read: %d\n", handle(new.server));
	printf("answered: %s\n", right(new.client, which));
	close(pipes[0]);
	close(pipes[1]);
	close(new.client);
	close(new.server);
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

static void waited_for_by_child(void)
{
	waited_for_by(told_to_child);
}

static void waited_for_by_thread(void)
{
	waited_for_by(told_to_thread);
}

static void forked(void)
{
	int which, status;
	struct pair pair = held(EPOLLIN, &which);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		/* The child has no gates and no helpers: it closes what it does not need, and leaves. */
		close(pair.server);
		close(ep);
		struct stat s;
		_exit(stat(docroot, &s) == 0 ? 0 : 1);
	}
	NEED(waitpid(child, &status, 0) == child);
	if (gated)
		serve(pair.server, 1000);
	printf("answered: %s, child %d\n", right(pair.client, which), status);
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* The child goes on with the connection: it must not wait for helpers that exist in its parent only. */
static void served_by_child(void)
{
	int which, status;
	struct pair pair = held(EPOLLIN, &which);
	fflush(stdout);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		close(ep);
		ep = epoll_create1(EPOLL_CLOEXEC);
		watch(pair.server, EPOLLIN, 9200);
		if (gated)
			serve(pair.server, 9200);
		_exit(0);
	}
	close(pair.server);
	NEED(waitpid(child, &status, 0) == child);
	printf("answered: %s, child %d\n", right(pair.client, which), status);
	close(pair.client);
}

/* The process gives up a right: whoever would have opened the gate leaves. */
static void restricted(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	CALL(unshare(CLONE_FS));
	if (gated)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* By a thread that is not the loop. */
static void *restrict_beside(void *)
{
	CALL(unshare(CLONE_FS));
	return NULL;
}

static void restricted_beside(void)
{
	int which;
	pthread_t thread;
	struct pair pair = held(EPOLLIN | EPOLLET, &which);
	NEED(pthread_create(&thread, NULL, restrict_beside, NULL) == 0 && pthread_join(thread, NULL) == 0);
	if (gated)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* A filter, which allows everything: nobody but the kernel knows that. */
static void filtered(void)
{
	int which;
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };
	struct pair pair = held(EPOLLIN | EPOLLET, &which);
	CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CALL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	if (gated)
		serve(pair.server, 1000);
	printf("answered: %s\n", right(pair.client, which));
	quiet("after it");
	close(pair.client);
	close(pair.server);
}

/* A server that is upgraded without losing a client: the new program has the instance and the connection. */
static char *becomes[6];
static char numbers[3][20];

static void become(struct pair pair, int which)
{
	int kept[] = { ep, pair.server, pair.client };
	for (int i = 0; i < 3; i++) {
		NEED(fcntl(kept[i], F_SETFD, 0) == 0);
		snprintf(numbers[i], sizeof numbers[i], "%d", kept[i]);
	}
	static char all[80];
	snprintf(all, sizeof all, "%s %s %s %d %d", numbers[0], numbers[1], numbers[2], which, gated);
	char *arguments[] = { "gated_processes", "idle", (char *)docroot, "new_program", all, NULL };
	memcpy(becomes, arguments, sizeof arguments);
	fflush(stdout);
}

static void executed(void)
{
	int which;
	struct pair pair = held(EPOLLIN | EPOLLET, &which);
	become(pair, which);
	execv("/proc/self/exe", becomes);
	NEED(!"execv");
}

static void executed_with_a_list(void)
{
	extern char **environ;
	int which;
	struct pair pair = held(EPOLLIN, &which);
	become(pair, which);
	execle("/proc/self/exe", becomes[0], becomes[1], becomes[2], becomes[3], becomes[4], NULL, environ);
	NEED(!"execle");
}

static void new_program(const char *all)
{
	int which, was;
	struct pair pair;
	NEED(sscanf(all, "%d %d %d %d %d", &ep, &pair.server, &pair.client, &which, &was) == 5);
	if (was) {
		struct epoll_event event;
		int n = epoll_wait(ep, &event, 1, 10000);
		printf("the new program is told: %d\n", n == 1 && event.data.u64 == 1000);
		NEED(n == 1 && handle(pair.server));
	} else {
		printf("the new program is told: 1\n");
	}
	printf("answered by it: %s\n", right(pair.client, which));
	gated = was;
}

static void execution_refused(void)
{
	int which;
	struct pair pair = held(EPOLLIN, &which);
	int was = gated;
	CALL(execl("/nowhere/program", "program", NULL));
	CALL(execv("/nowhere/program", becomes));
	if (was)
		serve(pair.server, 1000);
	printf("served by the old program: %s\n", right(pair.client, which));
	/* And the next one is held back again. */
	gated = 0;
	close(held(EPOLLIN, &which).server);
}

/* The child of a vfork has its parent's memory, and copies of its descriptors. */
static void vforked(void)
{
	struct pair pair = connection();
	struct epoll_event event;
	int status;
	watch(pair.server, EPOLLIN, 1000);
	fflush(stdout);
	pid_t child = vfork();
	if (child == 0) {
		epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, pair.client, &event);
		dup2(pair.client, pair.server);
		close(pair.server);
		close(ep);
		closefrom(3);
		_exit(0);
	}
	NEED(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	int which;
	hold(pair, &which);
	if (gated)
		serve(pair.server, 1000);
	printf("answered by the parent: %s\n", right(pair.client, which));
	close(pair.client);
	close(pair.server);
}

static const struct moment moments[] = {
	{ "waited_for_by_child", waited_for_by_child },
	{ "waited_for_by_thread", waited_for_by_thread },
	{ "forked", forked },
	{ "served_by_child", served_by_child },
	{ "restricted", restricted },
	{ "restricted_beside", restricted_beside },
	{ "filtered", filtered },
	{ "executed", executed },
	{ "executed_with_a_list", executed_with_a_list },
	{ "execution_refused", execution_refused },
	{ "vforked", vforked },
};

int main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[3], "new_program")) {
		is_engaged(argc, argv);
		docroot = argv[2];
		new_program(argv[4]);
		report();
		return 0;
	}
	return run(argc, argv, moments, sizeof moments / sizeof *moments);
}
