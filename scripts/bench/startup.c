/* Starts a program with and without a preloaded library, in pairs whose order alternates, and prints the medians: what a
 * start takes, the ratio within a pair, and the difference in microseconds. Run by scripts/bench/startup. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double start(char *program, char *preload)
{
	char *arguments[] = { program, NULL }, *environment[] = { "LC_ALL=C", preload, NULL };
	struct timespec begin, end;
	pid_t child;
	int status;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	if (posix_spawn(&child, program, NULL, NULL, arguments, environment) != 0 || waitpid(child, &status, 0) != child ||
	    status != 0) {
		fprintf(stderr, "startup: %s did not succeed\n", program);
		exit(1);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (end.tv_sec - begin.tv_sec) * 1e6 + (end.tv_nsec - begin.tv_nsec) / 1e3;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	qsort(values, count, sizeof *values, ascending);
	return values[count / 2];
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	int pairs = atoi(argv[2]);
	char preload[4096];
	snprintf(preload, sizeof preload, "LD_PRELOAD=%s", argv[1]);
	double *without = calloc(pairs, sizeof *without), *with = calloc(pairs, sizeof *with);
	double *ratio = calloc(pairs, sizeof *ratio), *difference = calloc(pairs, sizeof *difference);
	for (int i = 0; i < pairs; i++) {
		if (i % 2)
			without[i] = start(argv[3], NULL);
		with[i] = start(argv[3], preload);
		if (i % 2 == 0)
			without[i] = start(argv[3], NULL);
		ratio[i] = with[i] / without[i];
		difference[i] = with[i] - without[i];
	}
	printf("%s, %d pairs: without %.0f us, with %.0f us, ratio %.2f, difference %.0f us\n", argv[3], pairs,
	       median(without, pairs), median(with, pairs), median(ratio, pairs), median(difference, pairs));
	return 0;
}
