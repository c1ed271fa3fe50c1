/* A library that is loaded late, uses the hooks, and is unloaded again; symbols looked up by hand. */
#include "common.h"

static const char *path;
static int how;

static void load_and_unload(void)
{
	void *library = dlopen(path, how);
	NEED(library);
	void (*calls)(const char *) = (void (*)(const char *))dlsym(library, "early_calls");
	NEED(calls);
	calls("by hand");
	NEED(dlclose(library) == 0);
	struct stat status;
	CALL(stat("/dev/null", &status));
	CALL(open("/dev/null", O_RDONLY));
}

static void scenario(void)
{
	path = getenv("LATE_LIBRARY");
	NEED(path);
	for (int i = 0; i < 3; i++) {
		how = i ? RTLD_NOW : RTLD_LAZY;
		/* Its constructors close every descriptor from 3 up: in a child, which has nothing to lose. */
		in_child("loaded and unloaded", load_and_unload);
	}
	/* What another interposer does: the next definition of a name works, by name and by version. */
	int (*next_open)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	int (*default_open)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_DEFAULT, "open64");
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	ssize_t (*libc_read)(int, void *, size_t) = (ssize_t(*)(int, void *, size_t))dlsym(libc, "read");
	char byte;
	int fd = CALL(next_open("/dev/zero", O_RDONLY));
	CALL(libc_read(fd, &byte, 1));
	CALL(close(fd));
	fd = CALL(default_open("/dev/zero", O_RDONLY));
	CALL(close(fd));
	dlclose(libc);
}

MAIN(scenario)
