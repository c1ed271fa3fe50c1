/* What `include/laio.h` promises where a process has several threads or children, gives up rights, or closes all. */
#include "native/moments.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

/* A child of fork has nothing in the background, and does not take what is its parent's. */
static void children(void)
{
	struct laio_completion completion;
	struct timespec little = { 0, 50000000 };
	int ends[2], status, bell = laio_eventfd();
	pair_of(ends);
	laio_handle sleeping = GOES_ON(CALLS(nanosleep, &little, NULL));
	laio_handle reading = GOES_ON(CALLS(read, ends[0], buffer, 10));
	for (int way = 0; way < 2; way++) {
		pid_t child = way == 0 ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		NEED(child >= 0);
		if (child == 0) {
			int own[2];
			alarm(20);
			if (way == 1) {
				/* The library has not been told: its calls block, as without it. */
				NEED(CALLS(nanosleep, &little, NULL) == 0 && laio_gethandle() == NULL);
				_exit(5);
			}
			NEED(laio_pending() == 0);
			FAILS(laio_cancel(sleeping), ENOENT);
			FAILS(laio_setdata(reading, buffer), ENOENT);
			NEED(laio_eventfd() != bell);
			pair_of(own);
			laio_handle handle = GOES_ON(CALLS(read, own[0], buffer, 10));
			NEED(handle != sleeping && handle != reading);
			NEED(write(own[1], "child", 5) == 5);
			NEED(laio_poll(&completion, 1, &long_enough) == 1 && completion.handle == handle);
			handle = GOES_ON(CALLS(nanosleep, &little, NULL));
			NEED(laio_poll(&completion, 1, &long_enough) == 1 && completion.handle == handle);
			NEED(laio_pending() == 0);
			_exit(5);
		}
		NEED(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5);
	}
	NEED(next().handle == sleeping);
	NEED(write(ends[1], "parent", 6) == 6);
	completion = next();
	NEED(completion.handle == reading && completion.value == 6);
	NEED(laio_pending() == 0);
}

enum { THREADS = 4, ROUNDS = 25000 };
static unsigned char handed_out[THREADS * ROUNDS];
static int left = THREADS * ROUNDS;
static int documents[16];

/* Many operations of all kinds from several threads, and whoever polls takes anybody's: each completion once. */
static void *several(void *argument)
{
	long thread = (long)argument, seed = thread * 7919 + 1;
	int pipe_[2], ends[2];
	char sink[4096], page[16][4096];
	NEED(pipe(pipe_) == 0);
	pair_of(ends);
	for (long round = 0; round < ROUNDS; round++) {
		long number = thread * ROUNDS + round;
		seed = seed * 1103515245 + 12345;
		int what = (seed >> 16) & 15, slot = (seed >> 20) & 15;
		long result = 0;
		switch (what) {
		case 0 ... 7:
			result = CALLS(pread64, documents[slot], page[slot], 4096, ((seed >> 8) & 63) * 4096);
			break;
		case 8:
			posix_fadvise(documents[slot], 0, 0, POSIX_FADV_DONTNEED);
			result = CALLS(pread64, documents[slot], page[slot], 4096, ((seed >> 8) & 63) * 4096);
			break;
		case 9:
			result = CALLS(write, pipe_[1], "x", 1);
			break;
		case 10:
			/* Waits until the next write. */
			result = CALLS(read, ends[0], sink, 1);
			if (result == -1 && errno == EINPROGRESS) {
				laio_handle handle = laio_gethandle();
				(void)!laio_setdata(handle, &handed_out[number]);
				NEED(write(ends[1], "y", 1) == 1);
				goto went_on;
			}
			break;
		case 11:
			result = CALLS(openat, AT_FDCWD, "document-3", O_RDONLY);
			if (result >= 0)
				close(result);
			break;
		case 12: {
			static struct stat status[THREADS];
			result = CALLS(newfstatat, AT_FDCWD, "document-5", &status[thread], 0);
			break;
		}
		case 13:
			result = CALLS(getppid);
			break;
		case 14:
			result = CALLS(sched_yield);
			break;
		case 15:
			result = CALLS(lseek, documents[slot], 0, SEEK_CUR);
			break;
		}
		if (result == -1 && errno == EINPROGRESS) {
			/* Another thread may have taken the completion already: then it saw no pointer, and counted it. */
			if (laio_setdata(laio_gethandle(), &handed_out[number]) != 0)
				NEED(errno == ENOENT);
		} else {
			NEED(result >= 0);
			__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED);
		}
	went_on:
		/* The pipe must not fill up, and the pages in use must not be read into twice. */
		while (what == 9 && read(pipe_[0], sink, 1) != 1)
			;
		do {
			struct laio_completion completion[8];
			int n = laio_poll(completion, 8, &at_once);
			NEED(n >= 0);
			for (int i = 0; i < n; i++) {
				unsigned char *mark = completion[i].data;
				NEED(completion[i].error == 0);
				if (mark != NULL)
					NEED(__atomic_fetch_add(mark, 1, __ATOMIC_RELAXED) == 0);
				__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED);
			}
		} while (laio_pending() > 200);
	}
	while (__atomic_load_n(&left, __ATOMIC_RELAXED) > 0) {
		struct laio_completion completion;
		struct timespec little = { 0, 1000000 };
		int n = laio_poll(&completion, 1, &little);
		NEED(n >= 0);
		if (n == 1) {
			NEED(completion.error == 0);
			if (completion.data)
				NEED(__atomic_fetch_add((unsigned char *)completion.data, 1, __ATOMIC_RELAXED) == 0);
			__atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	for (int i = 0; i < 16; i++) {
		char name[32];
		snprintf(name, sizeof name, "document-%d", i);
		write_document(name, name, 64 * 4096);
		NEED((documents[i] = open(name, O_RDONLY)) >= 0);
	}
	for (long i = 0; i < THREADS; i++)
		NEED(pthread_create(&thread[i], NULL, several, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	NEED(left == 0 && laio_pending() == 0);
}

/* Helpers leave before the process gives up a right, those that are in a call when they come back from it. */
static void rights(void)
{
	int ends[2];
	struct timespec little = { 0, 1000000 };
	struct laio_completion completion;
	NEED(mkfifo("fifo", 0600) == 0);
	GOES_ON(CALLS(fsync, open("file", O_RDWR | O_CREAT, 0600)));
	next();
	laio_handle opening = GOES_ON(CALLS(openat, AT_FDCWD, "fifo", O_RDONLY));
	NEED(unshare(CLONE_FS) == 0 || errno == EPERM);
	GOES_ON(CALLS(fsync, open("file", O_RDWR | O_CREAT, 0600)));
	NEED(next().value == 0);
	NEED(open("fifo", O_WRONLY) >= 0);
	completion = next();
	NEED(completion.handle == opening && completion.value >= 0);
	/* Under a filter of its own the process makes its calls itself: they block. */
	pair_of(ends);
	NEED(write(ends[1], "x", 1) == 1);
	NEED(prctl(PR_SET_SECCOMP, 99, 0, 0, 0) == -1);
	laio_handle sleeping = GOES_ON(CALLS(nanosleep, &little, NULL));
	NEED(next().handle == sleeping);
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = { .len = 1, .filter = &allow };
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
	NEED(CALLS(nanosleep, &little, NULL) == 0 && laio_gethandle() == NULL);
	NEED(CALLS(read, ends[0], buffer, 10) == 1);
}

static volatile int is_over;

static void *keeps_helpers_busy(void *argument)
{
	struct laio_completion completions[64];
	while (!is_over) {
		static struct timespec little = { 0, 100000 };
		for (int i = 0; i < 8; i++)
			CALLS(nanosleep, &little, NULL);
		laio_poll(completions, 64, &at_once);
	}
	return argument;
}

/* One thread has operations in the background, another gives up a right again and again: helpers start others while they are
 * sent away. */
static void dismissed(void)
{
	int setfsuid(uid_t);
	pthread_t thread;
	alarm(15);
	NEED(pthread_create(&thread, NULL, keeps_helpers_busy, NULL) == 0);
	time_t end = time(NULL) + 5;
	while (time(NULL) < end)
		setfsuid(geteuid());
	is_over = 1;
	NEED(pthread_join(thread, NULL) == 0);
	alarm(0);
}

/* A program that closes all it does not know, as daemons do, and opens files of its own: those are not written into. */
static void all_closed(void)
{
	enum { FILES = 8 };
	static struct timespec little = { 0, 50000000 };
	int ends[2], files[FILES];
	struct stat status;
	char name[20];
	NEED(laio_eventfd() >= 0);
	laio_handle sleeping = GOES_ON(CALLS(nanosleep, &little, NULL));
	closefrom(3);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "file-%d", i);
		files[i] = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
		NEED(files[i] >= 3);
	}
	usleep(200000);
	NEED(next().handle == sleeping);
	for (int i = 0; i < FILES; i++) {
		NEED(fstat(files[i], &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0);
		NEED(laio_eventfd() != files[i]);
	}
	/* What goes on later is told of by other descriptors. */
	pair_of(ends);
	laio_handle reading = GOES_ON(CALLS(read, ends[0], buffer, 1));
	NEED(write(ends[1], "x", 1) == 1);
	struct laio_completion completion = next();
	NEED(completion.handle == reading && completion.value == 1);
	/* And what waits already is taken along. */
	reading = GOES_ON(CALLS(read, ends[0], buffer, 1));
	close(laio_eventfd());
	NEED(write(ends[1], "y", 1) == 1);
	NEED(next().handle == reading && buffer[0] == 'y');
}

static const struct moment moments[] = {
	{ "children", children },   { "threads", threads },	  { "rights", rights },
	{ "dismissed", dismissed }, { "all_closed", all_closed },
};

MAIN_OF(moments)
