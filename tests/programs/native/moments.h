/* What is shared by programs that are run as `PROGRAM MOMENT`, and exit 3 where a promise of `include/laio.h` is broken. */
#ifndef NATIVE_MOMENTS_H
#define NATIVE_MOMENTS_H
#include "../native.h"

static char buffer[1 << 20], big[1 << 20] __attribute__((unused));
static const struct timespec at_once = { 0, 0 }, long_enough = { 20, 0 };

#define GOES_ON(call)                                                                                                  \
	({                                                                                                             \
		NEED((call) == -1 && errno == EINPROGRESS);                                                            \
		laio_handle handle_ = laio_gethandle();                                                                \
		NEED(handle_ != NULL && laio_gethandle() == handle_);                                                  \
		handle_;                                                                                               \
	})
#define FAILS(call, error)                                                                                             \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		NEED((call) == -1 && errno == (error));                                                                \
	} while (0)
#define CALLS(name, ...) CALLS_(name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALLS_(name, a, b, c, d, e, f, ...)                                                                            \
	laio_syscall(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static struct laio_completion next(void)
{
	struct laio_completion completion;
	NEED(laio_poll(&completion, 1, &long_enough) == 1);
	return completion;
}

static void pair_of(int *ends)
{
	NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
}

struct moment {
	const char *name;
	void (*run)(void);
};

/* `main`: the moment that is named. */
#define MAIN_OF(moments)                                                                                               \
	int main(int argc, char **argv)                                                                                \
	{                                                                                                              \
		NEED(argc == 2 && laio_syscall);                                                                       \
		for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)                                          \
			if (strcmp(argv[1], moments[i].name) == 0) {                                                   \
				moments[i].run();                                                                      \
				puts("kept");                                                                          \
				return 0;                                                                              \
			}                                                                                              \
		NEED(!"such a moment");                                                                                \
	}
#endif
