/* Every name of stat, and its neighbours: results, contents and errors. */
#include "common.h"
#include <sys/sysmacros.h>

int __xstat(int, const char *, struct stat *);
int __lxstat(int, const char *, struct stat *);
int __fxstat(int, int, struct stat *);
int __fxstatat(int, int, const char *, struct stat *, int);
int __xstat64(int, const char *, struct stat64 *);
int __lxstat64(int, const char *, struct stat64 *);
int __fxstat64(int, int, struct stat64 *);
int __fxstatat64(int, int, const char *, struct stat64 *, int);
char *__realpath_chk(const char *, char *, size_t);

static struct stat s;
static struct stat64 s64;

#define STAT(call, buffer)                                                                                             \
	do {                                                                                                           \
		memset(&buffer, 0x55, sizeof buffer);                                                                  \
		if (CALL(call) == 0)                                                                                   \
			printf("  mode %o size %ld links %ld\n", buffer.st_mode, (long)buffer.st_size,                 \
			       (long)buffer.st_nlink);                                                                 \
		else                                                                                                   \
			printf("  buffer %s\n", buffer.st_size == 0x5555555555555555 ? "untouched" : "written");       \
	} while (0)

static void everywhere(const char *path, int dir, int fd)
{
	printf("%s\n", path ? path : "(null)");
	STAT(stat(path, &s), s);
	STAT(lstat(path, &s), s);
	STAT(fstatat(dir, path, &s, 0), s);
	STAT(fstatat(dir, path, &s, AT_SYMLINK_NOFOLLOW), s);
	STAT(fstat(fd, &s), s);
	STAT(stat64(path, &s64), s64);
	STAT(lstat64(path, &s64), s64);
	STAT(fstatat64(dir, path, &s64, 0), s64);
	STAT(fstatat64(dir, path, &s64, AT_SYMLINK_NOFOLLOW), s64);
	STAT(fstat64(fd, &s64), s64);
	STAT(__xstat(1, path, &s), s);
	STAT(__lxstat(1, path, &s), s);
	STAT(__fxstat(1, fd, &s), s);
	STAT(__fxstatat(1, dir, path, &s, 0), s);
	STAT(__xstat64(1, path, &s64), s64);
	STAT(__lxstat64(1, path, &s64), s64);
	STAT(__fxstat64(1, fd, &s64), s64);
	STAT(__fxstatat64(1, dir, path, &s64, AT_SYMLINK_NOFOLLOW), s64);
	CALL(access(path, R_OK));
	CALL(faccessat(dir, path, F_OK, 0));
}

static void scenario(void)
{
	char buffer[PATH_MAX], component[300];
	/* Hidden from the compiler, which knows that these must not be null. */
	char *volatile null = NULL;
	void *volatile nowhere = (void *)16;
	NEED(mkdir("dir", 0755) == 0);
	write_document("file", "file", 10000);
	write_document("dir/inner", "inner", 123);
	NEED(symlink("file", "link") == 0 && symlink("loop", "loop") == 0 && symlink("gone", "dangling") == 0);
	NEED(mkfifo("fifo", 0644) == 0);
	NEED(link("file", "hard") == 0);
	chill("file");
	int dir = open("dir", O_RDONLY | O_DIRECTORY), file = open("file", O_RDONLY);
	memset(component, 'b', sizeof component);
	component[sizeof component - 1] = 0;

	everywhere("file", AT_FDCWD, file);
	everywhere("link", AT_FDCWD, file);
	everywhere("dir", AT_FDCWD, dir);
	everywhere("inner", dir, dir);
	everywhere("fifo", AT_FDCWD, 0);
	everywhere("gone", AT_FDCWD, -1);
	everywhere("dangling", AT_FDCWD, 9999);
	everywhere("loop", AT_FDCWD, 9999);
	everywhere("", AT_FDCWD, 9999);
	everywhere("file/x", AT_FDCWD, 9999);
	everywhere("file", -5, 9999);
	everywhere("file", file, 9999);
	everywhere(component, AT_FDCWD, 9999);
	everywhere(null, AT_FDCWD, 9999);

	STAT(stat(nowhere, &s), s);
	CALL(stat("file", nowhere));
	CALL(lstat("file", nowhere));
	CALL(fstat(file, nowhere));
	CALL(fstatat(AT_FDCWD, "file", nowhere, 0));
	CALL(stat64("file", nowhere));
	CALL(__xstat64(1, "file", nowhere));
	STAT(__xstat64(7, "file", &s64), s64);
	STAT(__fxstat64(7, file, &s64), s64);
	STAT(fstatat(file, "", &s, AT_EMPTY_PATH), s);
	STAT(fstatat64(AT_FDCWD, "", &s64, AT_EMPTY_PATH), s64);
	STAT(fstatat(AT_FDCWD, "file", &s, 0x40000000), s);
	STAT(stat("/dev/null", &s), s);
	printf("  device %u:%u\n", major(s.st_rdev), minor(s.st_rdev));

	struct statx x;
	memset(&x, 0, sizeof x);
	CALL(statx(AT_FDCWD, "file", 0, STATX_SIZE | STATX_MODE, &x));
	printf("  size %ld mode %o\n", (long)x.stx_size, x.stx_mode);
	CALL(statx(dir, "inner", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x));
	printf("  size %ld mode %o\n", (long)x.stx_size, x.stx_mode);
	CALL(statx(AT_FDCWD, "gone", 0, STATX_SIZE, &x));
	CALL(statx(-5, "file", 0, STATX_SIZE, &x));
	CALL(statx(AT_FDCWD, "file", 0, STATX_SIZE, nowhere));

	memset(buffer, 0, sizeof buffer);
	long n = CALL(readlink("link", buffer, sizeof buffer));
	text("link", buffer, n);
	n = CALL(readlinkat(AT_FDCWD, "dangling", buffer, 2));
	text("link", buffer, n);
	CALL(readlink("file", buffer, sizeof buffer));
	CALL(readlink("gone", buffer, sizeof buffer));
	CALL(realpath("dir/../link", buffer) == buffer);
	printf("  ends with %s\n", strrchr(buffer, '/'));
	CALL(__realpath_chk("dir/inner", buffer, sizeof buffer) == buffer);
	CALL(realpath("gone/x", buffer) == NULL);
	close(dir);
	close(file);
}

MAIN(scenario)
