/* fork, vfork and everything that starts programs: in each child the calls work, and the parent's loop goes on. */
#include "common.h"
#include <sched.h>
#include <spawn.h>

extern char **environ;

static void status_of(const char *what, pid_t child)
{
	int status = -1;
	NEED(waitpid(child, &status, 0) == child);
	printf("%s: %s %d\n", what, WIFEXITED(status) ? "exit status" : "signal",
	       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	fflush(stdout);
}

/* An event loop in a child: new, and cold. */
static void child_part(void)
{
	mkdir("cold", 0755);
	struct pair pair = tcp_pair();
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) == 0);
	for (int i = 100; i < 106; i++)
		serve_cold(ep, pair, i);
}

static void inherited_part(void)
{
	/* With the instance and the connection that the parent has. */
	if (engaged_epoll >= 0)
		for (int i = 200; i < 203; i++)
			serve_cold(engaged_epoll, engaged_pair, i);
}

static void grandchild_part(void)
{
	child_part();
	in_child("  grandchild", child_part);
	child_part();
}

static void scenario(void)
{
	struct stat status;
	pid_t child;
	in_child("fork", child_part);
	in_child("fork, inherited", inherited_part);
	in_child("fork, and again", grandchild_part);

	fflush(stdout);
	child = vfork();
	if (child == 0) {
		/* Shares the parent's memory: whatever the library remembers here, the parent remembers. */
		int fd = open("/dev/null", O_RDWR);
		dup2(fd, 1);
		close(fd);
		close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
		close(engaged_epoll);
		close(engaged_pair.server);
		stat("/", &status);
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	status_of("vfork and exec", child);
	descriptors("after vfork");
	child = vfork();
	if (child == 0) {
		int fd = open("/dev/null", O_RDWR);
		_exit(read(fd, &fd, 1) == 0 ? 7 : 8);
	}
	status_of("vfork and exit", child);

	char *arguments[] = { "sh", "-c", "cat /proc/self/comm; exit 9", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	NEED(posix_spawn(&child, "/bin/sh", &actions, NULL, arguments, environ) == 0);
	status_of("posix_spawn", child);
	posix_spawn_file_actions_destroy(&actions);
	CALL(system("exit 3") >> 8);
	FILE *stream = popen("echo through a pipe", "r");
	char line[100] = "";
	CALL(fgets(line, sizeof line, stream) == line);
	text("line", line, strlen(line) - 1);
	CALL(pclose(stream));

	/* Past every hook and every atfork handler. */
	fflush(stdout);
	child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		child_part();
		_exit(4);
	}
	status_of("raw clone", child);
	child = _Fork();
	if (child == 0) {
		child_part();
		inherited_part();
		_exit(5);
	}
	status_of("_Fork", child);

	/* As daemons do: fork, setsid, fork, and the parent leaves. */
	int done[2];
	NEED(pipe(done) == 0);
	child = fork();
	if (child == 0) {
		setsid();
		if (fork() == 0) {
			char word = 'd';
			child_part();
			if (write(done[1], &word, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	status_of("daemon", child);
	char word = 0;
	close(done[1]);
	CALL(read(done[0], &word, 1));
	close(done[0]);

	/* Threads and forks at once. */
	for (int i = 0; i < 20; i++)
		if ((child = fork()) == 0) {
			child_part();
			_exit(0);
		} else {
			int ended;
			if (engaged_epoll >= 0)
				serve_cold(engaged_epoll, engaged_pair, 300 + i);
			NEED(waitpid(child, &ended, 0) == child && ended == 0);
		}
	printf("twenty children\n");
}

MAIN(scenario)
