/* Children that are made while another thread reports something, and the reader of standard error does not read. A child
 * that inherits a lock from there would wait for ever; and so would the thread, if it waited for the reader. */
#include "common.h"

static void *serves(void *argument)
{
	(void)argument;
	engage();
	return NULL;
}

static void child_part(void)
{
	mkdir("child", 0755);
	NEED(chdir("child") == 0);
	engage();
}

int main(int argc, char **argv)
{
	int ends[2], null = open("/dev/null", O_WRONLY), ended = 0, status;
	char full[4096] = "";
	is_engaged(argc, argv);
	alarm(25);
	NEED(pipe2(ends, O_CLOEXEC) == 0 && null >= 0);
	NEED(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
	while (write(ends[1], full, sizeof full) > 0)
		;
	while (write(ends[1], full, 1) > 0)
		;
	NEED(fcntl(ends[1], F_SETFL, 0) == 0 && dup2(ends[1], 2) == 2);
	pthread_t thread;
	NEED(pthread_create(&thread, NULL, serves, NULL) == 0);
	usleep(300000);
	for (int i = 0; i < 5; i++) {
		pid_t child = fork();
		if (child == 0) {
			alarm(10);
			dup2(null, 2);
			child_part();
			_exit(0);
		}
		ended += waitpid(child, &status, 0) == child && status == 0;
	}
	printf("children that ended: %d\n", ended);
	NEED(pthread_join(thread, NULL) == 0);
	printf("nobody reads: the thread has ended\n");
	/* The last reader goes, and whoever writes would be ended by SIGPIPE. */
	close(ends[1]);
	close(ends[0]);
	mkdir("later", 0755);
	NEED(chdir("later") == 0);
	engage();
	printf("nobody can read: still here\n");
	fflush(stdout);
	_exit(0);
}
