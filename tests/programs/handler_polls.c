/* `poll` in a handler that has interrupted `malloc`, in a loop that would start helpers with its next wait. */
#include "common.h"

static struct pollfd set[2];
static volatile sig_atomic_t calls;

static void handler(int signal)
{
	int saved = errno;
	(void)signal;
	poll(set, 2, 0);
	calls++;
	errno = saved;
}

static void one(int number, int on_own_stack)
{
	static char stack[1 << 16];
	int ends[2];
	stack_t aside = { .ss_sp = stack, .ss_size = sizeof stack };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART | (on_own_stack ? SA_ONSTACK : 0) };
	struct itimerval often = { { 0, 100 }, { 0, 100 + number * 7 % 50 } };
	NEED(sigaltstack(&aside, NULL) == 0);
	NEED(pipe(ends) == 0);
	set[0] = (struct pollfd){ ends[0], POLLIN, 0 };
	set[1] = (struct pollfd){ ends[1], POLLIN, 0 };
	poll(set, 2, 0);
	/* It has waited, and accepts its first client: it is a loop, which has not waited as such. */
	set[1] = (struct pollfd){ tcp_pair().server, POLLIN, 0 };
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (calls < 200) {
		void *some[16];
		for (int i = 0; i < 16; i++)
			some[i] = malloc(2000 + i * 500);
		for (int i = 0; i < 16; i++)
			free(some[i]);
	}
	/* No thread has come of it. */
	int threads = 0;
	DIR *tasks = opendir("/proc/self/task");
	for (struct dirent *task; tasks && (task = readdir(tasks));)
		threads += task->d_name[0] != '.';
	_exit(threads == 1 ? 0 : 1);
}

int main(int argc, char **argv)
{
	int hung = 0, died = 0, started = 0;
	is_engaged(argc, argv);
	for (int i = 0; i < 40 && !hung; i++) {
		int status, ended = 0;
		pid_t child = fork();
		NEED(child >= 0);
		if (child == 0)
			one(i, i % 2);
		for (int wait = 0; wait < 10000 && !ended; wait++) {
			ended = waitpid(child, &status, WNOHANG) == child;
			if (!ended)
				usleep(1000);
		}
		if (!ended) {
			hung++;
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
		}
		died += ended && WIFSIGNALED(status);
		started += ended && WIFEXITED(status) && WEXITSTATUS(status) != 0;
	}
	printf("hung %d, killed by a signal %d, with other threads %d\n", hung, died, started);
	return 0;
}
