/* For programs that make system calls by `laio_syscall`: found in the preloaded library, where there is one. */
#ifndef NATIVE_H
#define NATIVE_H
#include "common.h"
#include "../../include/laio.h"
#include <stdarg.h>

#pragma weak laio_syscall
#pragma weak laio_gethandle
#pragma weak laio_setdata
#pragma weak laio_poll
#pragma weak laio_eventfd
#pragma weak laio_cancel
#pragma weak laio_pending

/* How many calls have gone to the background. */
static int went_on;

/* Makes a system call and waits for its end: by the plain `syscall`, where there is no library. */
static long __attribute__((unused)) called(long number, ...)
{
	long a[6];
	va_list list;
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (!laio_syscall)
		return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	int before = errno;
	long result = laio_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	laio_handle handle = laio_gethandle();
	if (handle == NULL)
		return result;
	struct laio_completion completion;
	NEED(result == -1 && errno == EINPROGRESS);
	NEED(laio_poll(&completion, 1, NULL) == 1);
	NEED(completion.handle == handle && completion.data == NULL);
	went_on++;
	errno = completion.error ? completion.error : before;
	return completion.error ? -1 : completion.value;
}

/* All six arguments are there, as longs: what is read beyond the last one would be anything. */
#define SYS(name, ...) SYS_(name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SYS_(name, a, b, c, d, e, f, ...)                                                                              \
	called(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* Shows a system call's answer, and what it did to errno. */
#define ANSWER(name, ...)                                                                                              \
	({                                                                                                             \
		errno = UNTOUCHED;                                                                                     \
		long result_ = SYS(name, ##__VA_ARGS__);                                                               \
		show(#name "(" #__VA_ARGS__ ")", result_, errno);                                                      \
		result_;                                                                                               \
	})
#endif
