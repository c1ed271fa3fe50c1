/* nb-amped: non-blocking sockets in epoll, files with the help of processes, after Flash ("asymmetric multi-process
 * event-driven"). What is in memory is done at once, which the kernel can be asked to try without waiting. Anything else goes
 * to a helper over a socket pair, which makes the call and sends its result back: the descriptor it has opened, what it has
 * found out; what it has read is in memory that it shares with the server. A result is final: the server need not make the
 * call again, and does not wait where the file has left the memory in the meantime. */
#define _GNU_SOURCE
#include "io.h"

#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What goes to a helper, with the operation's descriptor where it is about an open file. */
struct job {
	enum call call;
	size_t size;
	off_t offset;
	char path[PATH_MAX]; /* as far as it goes */
};

/* What comes back, with a descriptor where one was opened. */
struct result {
	ssize_t value;
	int error;
	struct stat status;
};

struct helper {
	struct source source; /* the first member */
	char *shared;         /* PIECE bytes */
	struct operation *operation;
	struct helper *next;
};

/* The one that was busy last is the first to be used again: its memory is in the processor's caches. */
static struct helper *idle;
static struct {
	struct operation *first, **last;
} queue = { NULL, &queue.first };

/* Sends or receives a message together with a descriptor, where that is not -1. Returns the message's length. */
static ssize_t send_with(int socket, const void *message, size_t length, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = { .bytes = { 0 } };
	struct iovec piece = { (void *)message, length };
	struct msghdr header = { .msg_iov = &piece, .msg_iovlen = 1 };
	if (fd >= 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof control.bytes;
		*CMSG_FIRSTHDR(&header) = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)
		};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), &fd, sizeof fd);
	}
	return sendmsg(socket, &header, MSG_NOSIGNAL);
}

static ssize_t receive_with(int socket, void *message, size_t length, int *fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control;
	struct iovec piece = { message, length };
	struct msghdr header = { .msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof control.bytes };
	ssize_t count = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	struct cmsghdr *rights = count >= 0 ? CMSG_FIRSTHDR(&header) : NULL;
	*fd = -1;
	if (rights != NULL && rights->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(rights), sizeof *fd);
	return count;
}

/* A helper's life: until the server has closed its end. */
static void help(int socket, char *shared)
{
	static struct job job;
	struct operation operation;
	while (receive_with(socket, &job, sizeof job, &operation.fd) > 0) {
		struct result result = { 0 };
		operation.call = job.call;
		operation.path = job.path;
		operation.buffer = job.call == CALL_STAT ? (char *)&result.status : shared;
		operation.size = job.size;
		operation.offset = job.offset;
		blocking_perform(&operation);
		result.value = operation.value;
		result.error = operation.error;
		int opened = job.call == CALL_OPEN ? operation.value : -1;
		if (send_with(socket, &result, sizeof result, opened) < 0)
			break;
		if (operation.fd >= 0)
			close(operation.fd);
		if (opened >= 0)
			close(opened);
	}
}

/* Only called where the helper has no process. */
static bool start_process(struct helper *helper)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	pid_t child = fork();
	if (child == 0) {
		/* Connections end when the server closes them, not when a helper does. */
		dup2(pair[1], 3);
		close_range(4, ~0U, 0);
		prctl(PR_SET_NAME, "files-helper");
		help(3, helper->shared);
		_exit(0);
	}
	close(pair[1]);
	helper->source.fd = pair[0];
	if (child > 0 && epoll_loop.add(&helper->source))
		return true;
	close(pair[0]);
	return false;
}

/* Performs what can be performed without waiting. False where it might wait. */
static bool from_memory(struct operation *o)
{
	struct open_how how = { .flags = FILE_FLAGS, .resolve = RESOLVE_CACHED };
	int fd;
	ssize_t count;
	switch (o->call) {
	case CALL_OPEN:
		conclude(o, syscall(SYS_openat2, AT_FDCWD, o->path, &how, sizeof how));
		break;
	case CALL_STAT:
		how.flags = O_PATH | O_CLOEXEC;
		fd = syscall(SYS_openat2, AT_FDCWD, o->path, &how, sizeof how);
		conclude(o, fd);
		if (fd >= 0) {
			conclude(o, fstat(fd, o->buffer));
			close(fd);
		}
		break;
	case CALL_PREAD:
		/* Where only the first part is in memory, that part is the result, and the server asks for the rest once it
		 * is sent. Nothing at all may be said too early (Linux 5.9 and 5.10): a helper knows. */
		count = preadv2(o->fd, &(struct iovec){ o->buffer, o->size }, 1, o->offset, RWF_NOWAIT);
		return count > 0 && conclude(o, count);
	default:
		/* The descriptor keeps the inode in memory. */
		return blocking_perform(o);
	}
	/* An older kernel (ENOSYS, EINVAL) cannot tell either. */
	return o->error != EAGAIN && o->error != ENOSYS && o->error != EINVAL;
}

/* Gives a job to an idle helper. False where the helper has died, of which ready() will hear, or there is no memory. */
static bool hand_over(struct helper *helper, struct operation *o)
{
	static struct job job;
	size_t path = o->path != NULL ? strlen(o->path) + 1 : 0;
	job.call = o->call;
	job.size = o->size;
	job.offset = o->offset;
	memcpy(job.path, o->path != NULL ? o->path : "", path);
	int fd = o->path != NULL ? -1 : o->fd;
	if (send_with(helper->source.fd, &job, offsetof(struct job, path) + path, fd) < 0)
		return false;
	helper->operation = o;
	return true;
}

static void make_idle(struct helper *helper)
{
	helper->operation = NULL;
	helper->next = idle;
	idle = helper;
}

static bool perform_amped(struct operation *operation)
{
	if (from_memory(operation))
		return true;
	struct helper *helper = idle;
	if (helper == NULL) {
		operation->link = NULL;
		*queue.last = operation;
		queue.last = &operation->link;
		return false;
	}
	idle = helper->next;
	if (hand_over(helper, operation))
		return false;
	make_idle(helper);
	return blocking_perform(operation);
}

/* A helper is free: for the operation that has waited longest, or for one to come. */
static void next_job(struct helper *helper)
{
	struct operation *operation;
	while ((operation = queue.first) != NULL) {
		queue.first = operation->link;
		if (queue.first == NULL)
			queue.last = &queue.first;
		if (hand_over(helper, operation))
			return;
		blocking_perform(operation);
		operation->done(operation);
	}
	make_idle(helper);
}

/* A helper has answered, or is no more. */
static void ready(struct source *source)
{
	struct helper *helper = (struct helper *)source;
	struct operation *operation = helper->operation;
	struct result result;
	int fd;
	if (receive_with(source->fd, &result, sizeof result, &fd) != sizeof result) {
		epoll_loop.remove(source);
		close(source->fd);
		if (!start_process(helper))
			die("a helper has died and cannot be replaced: %s", strerror(errno));
		if (operation != NULL) {
			next_job(helper);
			/* What it was at is nobody else's business now. */
			blocking_perform(operation);
			operation->done(operation);
		}
		return;
	}
	operation->value = result.value;
	operation->error = result.error;
	if (result.error == 0 && operation->call == CALL_OPEN) {
		operation->value = fd;
		operation->error = fd < 0 ? EMFILE : 0;
	} else if (result.error == 0 && operation->call == CALL_STAT) {
		memcpy(operation->buffer, &result.status, sizeof result.status);
	} else if (result.error == 0) {
		memcpy(operation->buffer, helper->shared, result.value);
	}
	/* The shared memory is read: the helper may write to it again. */
	next_job(helper);
	operation->done(operation);
}

static void start(unsigned helpers)
{
	/* Those that have died leave nothing behind. */
	signal(SIGCHLD, SIG_IGN);
	struct helper *all = calloc(helpers, sizeof *all);
	char *shared = mmap(NULL, (size_t)helpers * PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == NULL || shared == MAP_FAILED)
		die("no memory for %u helpers", helpers);
	for (unsigned i = 0; i < helpers; i++) {
		all[i].source.ready = ready;
		all[i].shared = shared + (size_t)i * PIECE;
		if (!start_process(&all[i]))
			die("helper %u cannot be started: %s", i, strerror(errno));
		all[i].next = idle;
		idle = &all[i];
	}
}

const struct strategy nb_amped = {
	.name = "nb-amped",
	.summary = "non-blocking sockets, helper processes for what is not in memory",
	.loop = &epoll_loop,
	.start = start,
	.files = perform_amped,
};
