/* Every name of open: results, descriptor numbers, flags, modes and errors. */
#include "common.h"

int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);

static void flags_of(int fd)
{
	struct stat status;
	printf("  F_GETFL %#x F_GETFD %d", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
	if (fstat(fd, &status) == 0)
		printf(" mode %o size %ld", status.st_mode, (long)status.st_size);
	printf("\n");
}

#define OPEN(call)                                                                                                     \
	do {                                                                                                           \
		long fd_ = CALL(call);                                                                                 \
		if (fd_ >= 0) {                                                                                        \
			flags_of(fd_);                                                                                 \
			close(fd_);                                                                                    \
		}                                                                                                      \
	} while (0)

static void abort_open_2(void) { __open_2("created", O_CREAT | O_RDWR); }
static void abort_open64_2(void) { __open64_2("created", O_CREAT | O_RDWR); }
static void abort_openat_2(void) { __openat_2(AT_FDCWD, "created", O_CREAT | O_RDWR); }
static void abort_openat64_2(void) { __openat64_2(AT_FDCWD, "created", O_CREAT | O_RDWR); }

static void denied(void)
{
	NEED(chmod("secret", 0600) == 0);
	if (geteuid() == 0)
		NEED(seteuid(65534) == 0);
	else
		NEED(chmod("secret", 0) == 0);
	OPEN(open("secret", O_RDONLY));
	OPEN(openat64(AT_FDCWD, "secret", O_RDONLY));
	OPEN(__open_2("secret", O_RDONLY));
}

static void scenario(void)
{
	char longest[5000], component[300];
	void *nowhere = (void *)16;
	NEED(mkdir("dir", 0755) == 0);
	write_document("file", "file", 10000);
	write_document("secret", "secret", 10);
	write_document("dir/inner", "inner", 100);
	NEED(symlink("file", "link") == 0 && symlink("loop", "loop") == 0 && symlink("gone", "dangling") == 0);
	NEED(mkfifo("fifo", 0644) == 0);
	chill("file");
	chill("dir/inner");
	int dir = open("dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC), file = open("file", O_RDONLY | O_CLOEXEC);
	memset(longest, 'a', sizeof longest);
	longest[sizeof longest - 1] = 0;
	memset(component, 'b', sizeof component);
	component[sizeof component - 1] = 0;

	OPEN(open("file", O_RDONLY));
	OPEN(open64("file", O_RDONLY));
	OPEN(openat(AT_FDCWD, "file", O_RDONLY));
	OPEN(openat64(AT_FDCWD, "file", O_RDONLY));
	OPEN(openat(dir, "inner", O_RDONLY));
	OPEN(openat64(dir, "inner", O_RDONLY | O_CLOEXEC));
	OPEN(__open_2("file", O_RDONLY));
	OPEN(__open64_2("file", O_RDONLY | O_CLOEXEC));
	OPEN(__openat_2(dir, "inner", O_RDONLY));
	OPEN(__openat64_2(dir, "inner", O_RDONLY));
	OPEN(open("file", O_RDWR | O_APPEND | O_NONBLOCK));
	OPEN(open("file", O_PATH));
	OPEN(open("link", O_PATH | O_NOFOLLOW));
	OPEN(open("dir", O_RDONLY));
	OPEN(open("dir", O_RDONLY | O_DIRECTORY));
	OPEN(open(".", O_RDONLY | O_DIRECTORY));
	OPEN(open("/dev/null", O_RDWR));
	OPEN(open("fifo", O_RDONLY | O_NONBLOCK));
	OPEN(open("dir/../link", O_RDONLY));
	OPEN(openat(-5, "/dev/null", O_RDONLY));

	OPEN(open("new-640", O_CREAT | O_RDWR, 0640));
	OPEN(open64("new-777", O_CREAT | O_EXCL | O_RDWR, 0777));
	OPEN(openat(dir, "new-600", O_CREAT | O_WRONLY, 0600));
	OPEN(openat64(dir, "new-1666", O_CREAT | O_WRONLY, 01666));
	OPEN(creat("new-creat", 0604));
	OPEN(creat64("new-creat64", 0406));
	OPEN(open("new-640", O_WRONLY | O_TRUNC));
	OPEN(open(".", O_TMPFILE | O_RDWR, 0751));
	OPEN(openat64(dir, ".", O_TMPFILE | O_RDWR, 0715));

	OPEN(open("gone", O_RDONLY));
	OPEN(open64("gone", O_RDONLY));
	OPEN(openat(AT_FDCWD, "gone", O_RDONLY));
	OPEN(openat64(dir, "gone", O_RDONLY));
	OPEN(__open_2("gone", O_RDONLY));
	OPEN(__open64_2("gone", O_RDONLY));
	OPEN(__openat_2(dir, "gone", O_RDONLY));
	OPEN(__openat64_2(dir, "gone", O_RDONLY));
	OPEN(open("", O_RDONLY));
	OPEN(open("dangling", O_RDONLY));
	OPEN(open("loop", O_RDONLY));
	OPEN(open("link", O_RDONLY | O_NOFOLLOW));
	OPEN(open("file/", O_RDONLY));
	OPEN(open("file/x", O_RDONLY));
	OPEN(open("file", O_RDONLY | O_DIRECTORY));
	OPEN(open("dir", O_WRONLY));
	OPEN(open("file", O_CREAT | O_EXCL | O_RDWR, 0600));
	OPEN(open("fifo", O_WRONLY | O_NONBLOCK));
	OPEN(open("gone/new", O_CREAT | O_RDWR, 0600));
	OPEN(creat("dir", 0600));
	OPEN(openat(-5, "file", O_RDONLY));
	OPEN(openat64(9999, "file", O_RDONLY));
	OPEN(openat(file, "file", O_RDONLY));
	OPEN(__openat_2(-5, "file", O_RDONLY));
	OPEN(open(nowhere, O_RDONLY));
	OPEN(open64(nowhere, O_RDONLY));
	OPEN(openat(dir, nowhere, O_RDONLY));
	OPEN(__open_2(nowhere, O_RDONLY));
	OPEN(open(longest, O_RDONLY));
	OPEN(open64(component, O_RDONLY));
	in_child("no permission", denied);
	in_child("__open_2 without a mode", abort_open_2);
	in_child("__open64_2 without a mode", abort_open64_2);
	in_child("__openat_2 without a mode", abort_openat_2);
	in_child("__openat64_2 without a mode", abort_openat64_2);

	/* With no descriptor left, the error is EMFILE, and afterwards all is as before. */
	struct rlimit limit, none = { 0, 0 };
	getrlimit(RLIMIT_NOFILE, &limit);
	none.rlim_max = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	OPEN(open("file", O_RDONLY));
	OPEN(openat64(AT_FDCWD, "gone", O_RDONLY));
	setrlimit(RLIMIT_NOFILE, &limit);
	OPEN(open("file", O_RDONLY));

	/* stdio comes in through other names. */
	char line[32];
	FILE *stream = fopen("file", "rb");
	CALL(fread(line, 1, sizeof line, stream));
	CALL(freopen("dir/inner", "rb", stream) == stream);
	CALL(fread(line, 1, sizeof line, stream));
	CALL(fclose(stream));
	CALL(fopen("gone", "r") == NULL);
	CALL(fopen64("gone", "r") == NULL);
	close(dir);
	close(file);
}

MAIN(scenario)
