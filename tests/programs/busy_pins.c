/* A loop that never rests while files that it has served are deleted: nobody may hold on to them. */
#include "common.h"

/* How many descriptors of any thread lead to a deleted document. */
static int held(void)
{
	char path[300], target[500];
	int count = 0;
	DIR *tasks = opendir("/proc/self/task");
	NEED(tasks);
	for (struct dirent *task; (task = readdir(tasks));) {
		snprintf(path, sizeof path, "/proc/self/task/%.20s/fd", task->d_name);
		DIR *numbers = task->d_name[0] == '.' ? NULL : opendir(path);
		for (struct dirent *number; numbers && (number = readdir(numbers));) {
			snprintf(path, sizeof path, "/proc/self/task/%.20s/fd/%.20s", task->d_name, number->d_name);
			ssize_t n = readlink(path, target, sizeof target - 1);
			target[n > 0 ? n : 0] = 0;
			count += strstr(target, "/cold/cold-") && strstr(target, " (deleted)");
		}
		if (numbers)
			closedir(numbers);
	}
	closedir(tasks);
	return count;
}

int main(int argc, char **argv)
{
	char path[64];
	int left = 1;
	is_engaged(argc, argv);
	engage();
	for (int i = 6; i < 12; i++)
		serve_cold(engaged_epoll, engaged_pair, i);
	for (int i = 0; i < 12; i++) {
		snprintf(path, sizeof path, "cold/cold-%d.html", i);
		NEED(unlink(path) == 0);
	}
	/* Far fewer than what helpers hold on to at once. */
	for (int i = 100; i < 400 && left > 0; i++) {
		serve_cold(engaged_epoll, engaged_pair, i);
		usleep(20000);
		left = held();
	}
	printf("deleted files that are held: %d\n", left);
	still_serving();
	return 0;
}
