/* A FUSE file system of plain files, without a library: `fuse_files SOURCE MOUNTPOINT [keep|flush|slow]` shows the files of SOURCE, read-only.
 * Stop the process, and the file system hangs; continue it, and all is answered. With `keep`, files stay in memory when they are
 * opened anew; most FUSE file systems drop them. With `flush`, it wants to hear when a file is closed, and whoever closes one
 * waits for it. With `slow`, it takes 5 ms to say what a file is like, and wants to be asked each time. It ends when it is
 * unmounted. */
#include "common.h"
#include <linux/fuse.h>
#include <sys/mount.h>

enum { NODES = 8192, THREADS = 4, MOST = 128 * 1024 };

static char *nodes[NODES];
static uint64_t known = 2;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int device, keep, flush, slow;

static void answer(const struct fuse_in_header *in, int error, const void *body, size_t length)
{
	struct fuse_out_header out = { .len = sizeof out + length, .error = -error, .unique = in->unique };
	struct iovec two[2] = { { &out, sizeof out }, { (void *)body, length } };
	/* An interrupted request is gone: the kernel answers ENOENT. */
	if (writev(device, two, 2) < 0)
		NEED(errno == ENOENT || errno == ENODEV);
}

/* The number of a path, which is one for ever. */
static uint64_t node_of(const char *path)
{
	uint64_t node;
	pthread_mutex_lock(&lock);
	for (node = 1; node < known && strcmp(nodes[node], path); node++)
		;
	if (node == known) {
		NEED(known < NODES);
		nodes[known++] = strdup(path);
	}
	pthread_mutex_unlock(&lock);
	return node;
}

static int attributes(uint64_t node, struct fuse_attr *attr)
{
	struct stat s;
	if (lstat(nodes[node], &s) < 0)
		return errno;
	*attr = (struct fuse_attr){ .ino = node, .size = s.st_size, .blocks = s.st_blocks, .mtime = s.st_mtime,
				    .ctime = s.st_ctime, .mode = s.st_mode, .nlink = s.st_nlink, .blksize = 4096 };
	return 0;
}

static void serve(const struct fuse_in_header *in, const void *body)
{
	static __thread char bytes[MOST];
	uint64_t node = in->nodeid;
	int error;
	switch (in->opcode) {
	case FUSE_INIT: {
		const struct fuse_init_in *asked = body;
		struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
					     .max_readahead = asked->max_readahead, .max_write = 4096, .time_gran = 1,
					     .max_background = 64, .congestion_threshold = 64,
					     .flags = FUSE_ASYNC_READ | FUSE_PARALLEL_DIROPS };
		return answer(in, 0, &out, sizeof out);
	}
	case FUSE_LOOKUP: {
		char path[PATH_MAX];
		struct fuse_entry_out out = { .entry_valid = 1, .attr_valid = !slow };
		struct stat s;
		snprintf(path, sizeof path, "%s/%s", nodes[node], (const char *)body);
		if (lstat(path, &s) < 0)
			return answer(in, errno, NULL, 0);
		out.nodeid = node_of(path);
		error = attributes(out.nodeid, &out.attr);
		return answer(in, error, &out, error ? 0 : sizeof out);
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = { .attr_valid = !slow };
		if (slow)
			usleep(5000);
		error = attributes(node, &out.attr);
		return answer(in, error, &out, error ? 0 : sizeof out);
	}
	case FUSE_OPEN:
	case FUSE_OPENDIR: {
		int fd = open(nodes[node], O_RDONLY | O_CLOEXEC);
		struct fuse_open_out out = { .fh = fd, .open_flags = keep ? FOPEN_KEEP_CACHE : 0 };
		return fd < 0 ? answer(in, errno, NULL, 0) : answer(in, 0, &out, sizeof out);
	}
	case FUSE_READ: {
		const struct fuse_read_in *asked = body;
		ssize_t n = pread(asked->fh, bytes, asked->size < MOST ? asked->size : MOST, asked->offset);
		return n < 0 ? answer(in, errno, NULL, 0) : answer(in, 0, bytes, n);
	}
	case FUSE_READDIR:
		return answer(in, 0, NULL, 0);
	case FUSE_STATFS: {
		struct fuse_statfs_out out = { .st = { .bsize = 4096, .namelen = 255, .frsize = 4096 } };
		return answer(in, 0, &out, sizeof out);
	}
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		close(((const struct fuse_release_in *)body)->fh);
		return answer(in, 0, NULL, 0);
	case FUSE_FLUSH:
		return answer(in, flush ? 0 : ENOSYS, NULL, 0);
	case FUSE_ACCESS:
		return answer(in, 0, NULL, 0);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		return answer(in, ENOSYS, NULL, 0);
	}
}

static void *work(void *)
{
	char *request = malloc(MOST + 8192);
	for (;;) {
		ssize_t n = read(device, request, MOST + 8192);
		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (n < 0)
			return NULL;
		serve((struct fuse_in_header *)request, request + sizeof(struct fuse_in_header));
	}
}

int main(int argc, char **argv)
{
	char options[200];
	pthread_t threads[THREADS];
	NEED(argc > 2);
	keep = argc > 3 && strcmp(argv[3], "keep") == 0;
	flush = argc > 3 && strcmp(argv[3], "flush") == 0;
	slow = argc > 3 && strcmp(argv[3], "slow") == 0;
	nodes[1] = argv[1];
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	NEED(device >= 0);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
	NEED(mount("files", argv[2], "fuse.files", MS_NOSUID | MS_NODEV | MS_RDONLY, options) == 0);
	for (int i = 0; i < THREADS; i++)
		NEED(pthread_create(&threads[i], NULL, work, NULL) == 0);
	printf("mounted\n");
	fflush(stdout);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
