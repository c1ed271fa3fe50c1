/* A library that opens and closes files wherever a thread calls `syscall`, as an allocator's profile or a sanitizer's report
 * may wherever it is called; and that keeps a pipe, and makes another one where it does not find it, as code that looks at
 * stacks does. liblaio's helpers call `syscall` where they wait, with a descriptor table of their own: numbers of files there
 * are those of connections elsewhere. It writes to the file `foreign_calls` how often that was so, and whether it has its
 * pipe still. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int calls, ends[2] = { -1, -1 };

static int has_pipe(void)
{
	struct stat status;
	return fstat(ends[0], &status) == 0 && S_ISFIFO(status.st_mode);
}

/* All threads are to use it. */
static void needs_pipe(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock);
	if (!has_pipe()) {
		close(ends[0]);
		close(ends[1]);
		if (pipe2(ends, O_CLOEXEC) != 0)
			_exit(8);
	}
	pthread_mutex_unlock(&lock);
}

static void __attribute__((constructor)) begin(void) { needs_pipe(); }

static void uses_files(void)
{
	enum { FILES = 16 };
	int files[FILES];
	for (int i = 0; i < FILES; i++)
		files[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < FILES; i++)
		close(files[i]);
}

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	char name[16] = "";
	long values[6];
	va_list list;
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		values[i] = va_arg(list, long);
	va_end(list);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	prctl(PR_GET_NAME, name);
	if (!strcmp(name, "laio-helper")) {
		needs_pipe();
		uses_files();
		__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
	}
	return real(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

static void __attribute__((destructor)) report(void)
{
	char text[64];
	int fd = open("foreign_calls", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int length = snprintf(text, sizeof text, "%d calls, pipe: %d\n", calls, has_pipe());
	if (fd >= 0 && write(fd, text, length) != length)
		_exit(9);
	close(fd);
}
