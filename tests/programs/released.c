/* What is closed is gone at once: nobody else may hold it, not even for the moment in which threads start. Each of many
 * children becomes an event loop, for which helpers start at its second wait, and closes pipes meanwhile. */
#include "common.h"

enum { CHILDREN = 300, PIPES = 300 };

static int late_releases(void)
{
	int late = 0, instance = epoll_create1(EPOLL_CLOEXEC);
	struct pair pair = tcp_pair();
	struct epoll_event event = { .events = EPOLLIN };
	NEED(epoll_ctl(instance, EPOLL_CTL_ADD, pair.server, &event) == 0);
	for (int i = 0; i < 2; i++)
		NEED(epoll_wait(instance, &event, 1, 0) == 0);
	for (int i = 0; i < PIPES; i++) {
		int ends[2];
		NEED(pipe(ends) == 0);
		close(ends[0]);
		struct pollfd ready = { .fd = ends[1] };
		late += poll(&ready, 1, 0) != 1;
		close(ends[1]);
	}
	return late;
}

int main(int argc, char **argv)
{
	int children_with = 0, status;
	is_engaged(argc, argv);
	for (int i = 0; i < CHILDREN; i++) {
		pid_t child = fork();
		NEED(child >= 0);
		if (child == 0)
			_exit(late_releases() != 0);
		NEED(waitpid(child, &status, 0) == child && WIFEXITED(status));
		children_with += WEXITSTATUS(status);
	}
	printf("children in which a pipe outlived its close: %d\n", children_with);
	return 0;
}
