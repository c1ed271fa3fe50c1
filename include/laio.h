/*
 * Lazy asynchronous I/O, after Elmeleegy, Chanda, Cox and Zwaenepoel: "Lazy Asynchronous I/O for Event-Driven Servers",
 * USENIX ATC 2004. Link with -llaio (pkg-config --cflags --libs laio).
 *
 * A program makes its system calls through laio_syscall(). One that does not block returns its result, as syscall(2) does.
 * One that would block fails with EINPROGRESS and goes on in the background; laio_poll() hands out its result later, once,
 * when it is done in its entirety.
 *
 *     ssize_t n = laio_syscall(SYS_pread64, fd, buffer, size, offset);
 *     laio_handle pending = laio_gethandle();
 *     if (pending != NULL)
 *         ...                     // n is -1, errno is EINPROGRESS: laio_poll() will tell
 *     else
 *         ...                     // n and errno are those of pread64
 *
 * All functions may be called from several threads at once; none may be called from a signal handler. docs/interface.md says
 * which system calls are made in which way.
 */
#ifndef LAIO_H
#define LAIO_H

#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An operation that was in the background when laio_syscall() returned. It is never dereferenced and never NULL, and its
 * value is not used again for a long time. */
typedef struct laio_operation *laio_handle;

/* What became of an operation. */
struct laio_completion {
    laio_handle handle; /* which */
    void *data;         /* what laio_setdata() gave it, or NULL */
    long value;         /* what the system call returned; -1 where it failed */
    int error;          /* its errno where it failed, else 0; ECANCELED after laio_cancel() */
};

/*
 * Performs a system call, with the arguments that syscall(2) takes.
 *
 * Returns what the call returns, with errno as the call leaves it, where the call does not block, and where it cannot be
 * taken to the background (no thread, no memory, no descriptor is to be had): then it blocks, as it would have without the
 * library. Returns -1 with errno
 *
 *   EINPROGRESS  where it would block. laio_gethandle() is then not NULL, which tells it from a connect() that answers
 *                EINPROGRESS by itself. Until its completion is handed out by laio_poll(), whatever the arguments point to
 *                (buffers, paths, vectors and what they point to) must stay as it is and where it is, and the descriptors
 *                must stay open; what the call writes is undefined until then.
 *   EOPNOTSUPP   for a call that is about the calling thread or its process as a whole, such as exit, clone, execve,
 *                rt_sigreturn or setuid. Nothing was done: make it by the C library.
 *
 * Where a descriptor has O_NONBLOCK, or a call its own flag of that kind, EAGAIN and transfers of a part are the call's own
 * results, as ever. Otherwise a transfer is complete: a write of 1 MB completes when 1 MB is written or it failed.
 */
long laio_syscall(long number, ...);

/* The handle of this thread's last laio_syscall() if that went to the background, else NULL. Does not change errno. */
laio_handle laio_gethandle(void);

/*
 * Attaches a pointer to an operation, which its completion will carry.
 *
 * Returns 0, or -1 with errno ENOENT where the completion has been handed out already, which only another thread can have
 * done.
 */
int laio_setdata(laio_handle handle, void *data);

/*
 * Hands out up to `count` completions of this process, each to one caller, once. Waits for the first until `timeout` is
 * over, a relative time; for as long as it takes where that is NULL. What sockets and pipes wait for is carried on in here,
 * by the calling thread, so that a connection that waits costs no thread.
 *
 * Returns how many, 0 when the time is over, or -1 with errno
 *
 *   EINVAL       `count` is negative, or `timeout` is no time.
 *   EFAULT       `completions` is NULL and `count` is not 0.
 *   EINTR        a signal handler has run.
 *   EMFILE, ENFILE, ENOMEM
 *                there was nothing to wait for yet, and no descriptor to be had to wait with.
 */
int laio_poll(struct laio_completion *completions, int count, const struct timespec *timeout);

/*
 * A descriptor that is readable when laio_poll() has something to do: for the program's own event loop. It is the same for
 * the whole process and belongs to the library: it must not be read or closed. Once in a while it is readable and laio_poll()
 * hands out nothing. A child of fork() asks for its own.
 *
 * Returns it, or -1 with errno EMFILE, ENFILE or ENOMEM.
 */
int laio_eventfd(void);

/*
 * Gives an operation up, if it has not begun or waits for a socket or a pipe. Its completion comes all the same, with
 * ECANCELED; of a transfer, a part may have been done.
 *
 * Returns 0, or -1 with errno
 *
 *   EBUSY        it is being performed, and will complete as if nothing had been asked.
 *   ENOENT       it is complete already.
 */
int laio_cancel(laio_handle handle);

/* How many operations of this process have not been handed out yet: those in the background and those that are complete. */
int laio_pending(void);

#ifdef __cplusplus
}
#endif

#endif
