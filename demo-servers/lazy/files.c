/* The cache of open files.
 *
 * A file that was looked at within the last second is taken as it is. After that its path is looked up once more, to see
 * whether it still leads to the same file in the same state. That costs one system call per file and second. It hardly ever
 * waits for a disk, since an open file keeps its inode and the names that lead to it in memory; but it can (a symbolic link, a
 * file system on a network), so it is done by the strategy, like the open itself. */
#include "files.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FRESH = 1000 /* milliseconds */ };

struct entry {
	struct file file; /* what others see of it: the first member */
	struct stat status, again;
	int64_t looked_at;
	unsigned users;
	bool known;    /* it is in the table */
	bool busy;     /* an operation is under way, which `waiting` wait for */
	bool outdated; /* its path leads elsewhere by now */
	int error;
	struct operation operation;
	struct file_wait *waiting;
	struct entry *chain;
	struct entry *newer, *older; /* among those that are known and that nobody uses */
	char path[];
};

static struct {
	perform *perform;
	unsigned capacity, count, mask;
	struct entry **table;
	struct entry idle; /* newer: the one used last, older: the one to go first */
} cache;

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	return time.tv_sec * INT64_C(1000) + time.tv_nsec / 1000000;
}

void files_start(unsigned capacity, perform *perform)
{
	unsigned buckets = 64;
	while (buckets < capacity)
		buckets *= 2;
	cache.perform = perform;
	cache.capacity = capacity;
	cache.mask = buckets - 1;
	cache.table = calloc(buckets, sizeof *cache.table);
	if (cache.table == NULL)
		die("no memory for a cache of %u files", capacity);
	cache.idle.newer = cache.idle.older = &cache.idle;
}

static struct entry **bucket(const char *path)
{
	uint32_t hash = 2166136261;
	for (; *path != '\0'; path++)
		hash = (hash ^ (unsigned char)*path) * 16777619;
	return &cache.table[(hash ^ hash >> 15) & cache.mask];
}

static struct entry *find(const char *path)
{
	struct entry *entry = *bucket(path);
	while (entry != NULL && strcmp(entry->path, path) != 0)
		entry = entry->chain;
	return entry;
}

static void unlist(struct entry *entry)
{
	if (entry->newer == NULL)
		return;
	entry->newer->older = entry->older;
	entry->older->newer = entry->newer;
	entry->newer = entry->older = NULL;
}

static void list(struct entry *entry)
{
	entry->older = &cache.idle;
	entry->newer = cache.idle.newer;
	entry->newer->older = entry;
	cache.idle.newer = entry;
}

static void forget(struct entry *entry)
{
	if (!entry->known)
		return;
	struct entry **at = bucket(entry->path);
	while (*at != entry)
		at = &(*at)->chain;
	*at = entry->chain;
	entry->known = false;
	cache.count--;
}

/* Somebody uses it no more. Nobody may touch it afterwards who does not use it. */
static void release(struct entry *entry)
{
	if (--entry->users > 0 || entry->busy)
		return;
	if (entry->known) {
		list(entry);
		while (cache.count > cache.capacity && files_shed())
			continue;
		return;
	}
	if (entry->file.fd >= 0)
		close(entry->file.fd);
	free(entry);
}

static void use(struct entry *entry)
{
	unlist(entry);
	entry->users++;
}

bool files_shed(void)
{
	struct entry *oldest = cache.idle.older;
	if (oldest == &cache.idle)
		return false;
	use(oldest);
	forget(oldest);
	release(oldest);
	return true;
}

static void answer(struct entry *entry, struct file_wait *wait)
{
	wait->error = entry->error;
	wait->file = entry->error == 0 ? &entry->file : NULL;
	entry->users += entry->error == 0;
}

/* The operations on an entry are over: those who wait for it go on. */
static void settle(struct entry *entry, int error)
{
	struct file_wait *next = entry->waiting;
	entry->users++;
	entry->waiting = NULL;
	entry->busy = false;
	entry->error = error;
	if (error != 0 || entry->outdated)
		forget(entry);
	else
		entry->looked_at = now();
	while (next != NULL) {
		struct file_wait *wait = next;
		next = wait->next;
		bool answered = true;
		if (entry->outdated)
			answered = files_get(entry->path, wait);
		else
			answer(entry, wait);
		if (answered)
			wait->ready(wait);
	}
	release(entry);
}

static void start(struct entry *entry, struct operation operation)
{
	entry->operation = operation;
	entry->busy = true;
	if (cache.perform(&entry->operation))
		entry->operation.done(&entry->operation);
}

static struct entry *entry_of(struct operation *operation)
{
	return (struct entry *)((char *)operation - offsetof(struct entry, operation));
}

static void examined(struct operation *operation)
{
	struct entry *entry = entry_of(operation);
	int error = operation->error;
	if (error == 0 && !S_ISREG(entry->status.st_mode))
		error = S_ISDIR(entry->status.st_mode) ? EISDIR : EACCES;
	entry->file.size = entry->status.st_size;
	settle(entry, error);
}

static void opened(struct operation *operation)
{
	struct entry *entry = entry_of(operation);
	bool exhausted = operation->error == EMFILE || operation->error == ENFILE;
	if (exhausted && files_shed()) {
		start(entry, *operation);
	} else if (operation->error != 0) {
		settle(entry, operation->error);
	} else {
		entry->file.fd = operation->value;
		start(entry, (struct operation){ .call = CALL_FSTAT,
						 .fd = entry->file.fd,
						 .buffer = &entry->status,
						 .done = examined });
	}
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static void looked_up(struct operation *operation)
{
	struct entry *entry = entry_of(operation);
	const struct stat *a = &entry->status, *b = &entry->again;
	entry->outdated = operation->error != 0 || a->st_dev != b->st_dev || a->st_ino != b->st_ino ||
		a->st_size != b->st_size || !same_time(a->st_mtim, b->st_mtim) || !same_time(a->st_ctim, b->st_ctim);
	settle(entry, 0);
}

/* A new entry, known, with an open under way or done. */
static struct entry *create(const char *path)
{
	size_t length = strlen(path) + 1;
	struct entry *entry = calloc(1, sizeof *entry + length);
	if (entry == NULL)
		return NULL;
	memcpy(entry->path, path, length);
	entry->file.fd = -1;
	entry->users = 1;
	entry->known = true;
	entry->chain = *bucket(path);
	*bucket(path) = entry;
	cache.count++;
	start(entry, (struct operation){ .call = CALL_OPEN, .path = entry->path, .done = opened });
	return entry;
}

bool files_get(const char *path, struct file_wait *wait)
{
	for (;;) {
		struct entry *entry = find(path);
		if (entry != NULL) {
			use(entry);
			if (!entry->busy && now() - entry->looked_at >= FRESH)
				start(entry, (struct operation){ .call = CALL_STAT,
								 .path = entry->path,
								 .buffer = &entry->again,
								 .done = looked_up });
		} else if ((entry = create(path)) == NULL) {
			wait->error = ENOMEM;
			wait->file = NULL;
			return true;
		}
		bool busy = entry->busy, outdated = entry->outdated;
		if (busy) {
			wait->next = entry->waiting;
			entry->waiting = wait;
		} else if (!outdated) {
			answer(entry, wait);
		}
		release(entry);
		if (busy || !outdated)
			return !busy;
	}
}

void files_put(struct file *file)
{
	release((struct entry *)file);
}

const char *files_path(const struct file *file)
{
	return ((const struct entry *)file)->path;
}
