// What one read costs in four ways, where its data are there and where they are not (see scripts/bench/operations):
//
//   plain   the system call itself
//   laio    laio_syscall(), and laio_poll() where that said EINPROGRESS
//   aio     POSIX AIO: aio_read(), aio_suspend(), aio_return()
//   uring   io_uring, where the program is built with liburing and the kernel lets it
//
//   cached  a file's bytes that are in the page cache
//   pipe    a byte that is in a pipe
//   empty   a byte that another process puts into the pipe once it is told that somebody waits: a round trip
//   cold    a file's bytes that are not in the page cache
//
//   operations ROUNDS DIRECTORY    prints lines of: operation, bytes, way, round, wall and processor time in ns an operation
//
// Processor time is that of the whole process, helper threads included, and not that of the process that fills the pipe. All of
// them share one processor: with two, most of a round trip is how long a sleeping one takes to wake, and chance decides who needs it.
#define _GNU_SOURCE
#include <aio.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <laio.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if __has_include(<liburing.h>)
#include <liburing.h>
#define HAS_URING 1
#endif

enum { LARGEST = 16384, PLACES = 64, STRIDE = 256 << 10 };

static char buffer[LARGEST];
static int warm, cold, ready[2], empty[2], go[2];

// Reads `size` bytes: of a file at `offset`, of a pipe where that is negative. `blocked`, if any, is called when the operation
// is under way, or, where nobody but the kernel can know that, before it.
typedef long way(int fd, size_t size, off_t offset, void (*blocked)(void));

static long plain(int fd, size_t size, off_t offset, void (*blocked)(void)) {
    if (blocked) blocked();
    return offset < 0 ? syscall(SYS_read, fd, buffer, size) : syscall(SYS_pread64, fd, buffer, size, offset);
}

static long laio(int fd, size_t size, off_t offset, void (*blocked)(void)) {
    long got = offset < 0 ? laio_syscall(SYS_read, fd, buffer, size) : laio_syscall(SYS_pread64, fd, buffer, size, offset);
    laio_handle pending = laio_gethandle();
    if (pending == NULL) return got;
    if (blocked) blocked();
    struct laio_completion done;
    int count;
    while ((count = laio_poll(&done, 1, NULL)) == 0)
        ;
    if (count != 1 || done.handle != pending) err(1, "laio_poll");
    errno = done.error;
    return done.value;
}

static long aio(int fd, size_t size, off_t offset, void (*blocked)(void)) {
    struct aiocb request = {.aio_fildes = fd, .aio_buf = buffer, .aio_nbytes = size, .aio_offset = offset < 0 ? 0 : offset};
    const struct aiocb *const list[] = {&request};
    request.aio_sigevent.sigev_notify = SIGEV_NONE;
    if (aio_read(&request)) return -1;
    if (blocked) blocked();
    while (aio_error(&request) == EINPROGRESS) aio_suspend(list, 1, NULL);
    errno = aio_error(&request);
    return aio_return(&request);
}

#ifdef HAS_URING
static struct io_uring ring;

static long uring(int fd, size_t size, off_t offset, void (*blocked)(void)) {
    struct io_uring_cqe *done;
    io_uring_prep_read(io_uring_get_sqe(&ring), fd, buffer, size, offset);
    if (blocked) {
        if (io_uring_submit(&ring) != 1) return -1;
        blocked();
    } else if (io_uring_submit_and_wait(&ring, 1) != 1)
        return -1;
    if (io_uring_wait_cqe(&ring, &done)) return -1;
    long got = done->res;
    io_uring_cqe_seen(&ring, done);
    errno = got < 0 ? -got : 0;
    return got < 0 ? -1 : got;
}
#endif

static struct {
    const char *name;
    way *read;
    int slow;  // is it so slow on data that are there that fewer operations do?
} ways[] = {{"plain", plain, 0}, {"laio", laio, 0}, {"aio", aio, 1}, {NULL, NULL, 0}};
static int count = 3;

static void add_uring(void) {
#ifdef HAS_URING
    int error = io_uring_queue_init(8, &ring, 0);
    if (error == 0) {
        ways[count].name = "uring";
        ways[count++].read = uring;
    } else
        fprintf(stderr, "operations: no io_uring here: %s\n", strerror(-error));
#else
    fprintf(stderr, "operations: built without liburing: no io_uring\n");
#endif
}

static void stay_on_one_processor(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one)) err(1, "sched_setaffinity");
}

// The process at the other end of the empty pipe.
static void start_filler(void) {
    char byte;
    pid_t parent = getpid(), child = fork();
    if (child < 0) err(1, "fork");
    if (child > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    while (read(go[0], &byte, 1) == 1 && write(empty[1], &byte, 1) == 1)
        ;
    _exit(0);
}

static void tell_filler(void) {
    if (write(go[1], "x", 1) != 1) err(1, "write");
}

static int make_file(const char *directory) {
    char path[4096];
    static char block[STRIDE];
    snprintf(path, sizeof path, "%s/operations.XXXXXX", directory);
    int file = mkstemp(path);
    if (file < 0) err(1, "%s", path);
    unlink(path);
    memset(block, 'x', sizeof block);
    for (int i = 0; i < PLACES; i++)
        if (write(file, block, sizeof block) != sizeof block) err(1, "%s", path);
    // Only what is on the disk can be dropped from memory.
    if (fsync(file)) err(1, "fsync");
    // What is asked for is read and nothing else: the next place stays cold.
    posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
    return file;
}

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

// Times some reads in one way. Those of a file go from place to place, those of a pipe have no offset.
static void measure(const char *operation, int fd, size_t size, int which, int round, int times) {
    int of_file = fd == warm || fd == cold;
    void (*blocked)(void) = fd == empty[0] ? tell_filler : NULL;
    if (fd == cold) posix_fadvise(cold, 0, 0, POSIX_FADV_DONTNEED);
    if (fd == ready[0])
        for (int i = 0; i < times; i++)
            if (write(ready[1], "x", 1) != 1) err(1, "write");
    double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < times; i++)
        if (ways[which].read(fd, size, of_file ? (off_t)(i % PLACES) * STRIDE : -1, blocked) != (long)size)
            err(1, "%s, %s", operation, ways[which].name);
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = now(CLOCK_MONOTONIC) - wall;
    printf("%-6s %6zu %-6s %3d %12.1f %12.1f\n", operation, size, ways[which].name, round, wall / times, cpu / times);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 3) errx(2, "usage: operations ROUNDS DIRECTORY");
    int rounds = atoi(argv[1]);
    if (pipe(ready) || pipe(empty) || pipe(go)) err(1, "pipe");
    stay_on_one_processor();
    start_filler();
    warm = make_file(argv[2]);
    cold = make_file(argv[2]);
    add_uring();
    static const size_t sizes[] = {1, 4096, LARGEST};
    for (int round = 0; round < rounds; round++)
        for (int operation = 0; operation < 8; operation++)
            for (int turn = 0; turn < count; turn++) {
                // Each round begins with another way: none is always the first.
                int which = (round + turn) % count, times = ways[which].slow ? 4000 : 20000;
                if (operation == 0) measure("pipe", ready[0], 1, which, round, times);
                if (operation == 1) measure("empty", empty[0], 1, which, round, 2000);
                if (operation >= 2 && operation < 5) measure("cached", warm, sizes[operation - 2], which, round, times);
                if (operation >= 5) measure("cold", cold, sizes[operation - 5], which, round, 20);
            }
    return 0;
}
