// Three ways in which a helper thread can give a held-back connection's readiness back, timed beside each other:
//
//   eventfd   an eventfd in the loop's own epoll instance; the loop restores the interest and waits again
//   direct    the helper, sharing the loop's descriptor table, restores the interest with epoll_ctl
//   usher     the helper, with a table of its own, tells a thread that shares the loop's, which restores it
//
// A round is: the loop masks the interest of a socket that has bytes to read and hands it to the helper; it is over when
// epoll_wait reports the socket. Prints wall time and the CPU time of all threads for each, in microseconds a round.
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum way { EVENTFD, DIRECT, USHER, WAYS };
static const char *const names[] = {"eventfd", "direct", "usher"};

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t news;
    int full, over;
};

static struct mailbox work = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
static struct mailbox done = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
static int instance, event, connection;
static enum way way;

static void post(struct mailbox *box) {
    pthread_mutex_lock(&box->lock);
    box->full = 1;
    pthread_cond_signal(&box->news);
    pthread_mutex_unlock(&box->lock);
}

static int receive(struct mailbox *box) {
    pthread_mutex_lock(&box->lock);
    while (!box->full && !box->over) pthread_cond_wait(&box->news, &box->lock);
    int got = box->full;
    box->full = 0;
    pthread_mutex_unlock(&box->lock);
    return got;
}

static void interest(unsigned events) {
    struct epoll_event e = {.events = events, .data.fd = connection};
    if (epoll_ctl(instance, EPOLL_CTL_MOD, connection, &e)) err(1, "epoll_ctl");
}

static void *helper(void *unused) {
    while (receive(&work)) {
        if (way == EVENTFD && eventfd_write(event, 1)) err(1, "eventfd_write");
        if (way == DIRECT) interest(EPOLLIN);
        if (way == USHER) post(&done);
    }
    return unused;
}

static void *usher(void *unused) {
    while (receive(&done)) interest(EPOLLIN);
    return unused;
}

static void round_trip(void) {
    interest(0);
    post(&work);
    for (;;) {
        struct epoll_event got[8];
        int count = epoll_wait(instance, got, 8, -1);
        for (int i = 0; i < count; i++) {
            if (got[i].data.fd == connection) return;
            interest(EPOLLIN);  // the eventfd: edge-triggered, so it need not be read
        }
    }
}

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 5, trips = 20000, pair[2];
    pthread_t threads[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || write(pair[1], "x", 1) != 1) err(1, "socketpair");
    connection = pair[0];
    if ((instance = epoll_create1(0)) < 0 || (event = eventfd(0, EFD_NONBLOCK)) < 0) err(1, "epoll");
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = event};
    if (epoll_ctl(instance, EPOLL_CTL_ADD, event, &e)) err(1, "epoll_ctl");
    e = (struct epoll_event){.events = EPOLLIN, .data.fd = connection};
    if (epoll_ctl(instance, EPOLL_CTL_ADD, connection, &e)) err(1, "epoll_ctl");
    pthread_create(&threads[0], NULL, helper, NULL);
    pthread_create(&threads[1], NULL, usher, NULL);
    for (int i = 0; i < rounds; i++)
        for (way = 0; way < WAYS; way++) {
            double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
            for (int k = 0; k < trips; k++) round_trip();
            printf("%-8s wall %6.2f us  cpu %6.2f us\n", names[way], (seconds(CLOCK_MONOTONIC) - wall) / trips * 1e6,
                   (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / trips * 1e6);
        }
    return 0;
}
