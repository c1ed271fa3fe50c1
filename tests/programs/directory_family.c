/* opendir, fdopendir, readdir and what else a listing does. */
#include "common.h"

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(DIR *stream)
{
	char *names[100];
	int count = 0;
	struct dirent *entry;
	errno = UNTOUCHED;
	while (count < 100 && (entry = readdir(stream)))
		names[count++] = strdup(entry->d_name);
	printf("  %d entries, errno %s:", count, errno == UNTOUCHED ? "untouched" : strerrorname_np(errno));
	qsort(names, count, sizeof *names, by_name);
	for (int i = 0; i < count; i++) {
		struct stat status;
		int fd = dirfd(stream);
		printf(" %s/%d", names[i], fstatat(fd, names[i], &status, 0));
		free(names[i]);
	}
	printf("\n");
}

static void scenario(void)
{
	char path[64];
	NEED(mkdir("dir", 0755) == 0 && mkdir("empty", 0755) == 0);
	for (int i = 0; i < 40; i++) {
		snprintf(path, sizeof path, "dir/entry-%02d", i);
		write_document(path, path, 100);
	}
	NEED(symlink("gone", "dir/dangling") == 0);
	write_document("file", "file", 10);

	DIR *stream = opendir("dir");
	printf("descriptor %d, close-on-exec %d\n", dirfd(stream), fcntl(dirfd(stream), F_GETFD));
	list(stream);
	rewinddir(stream);
	list(stream);
	CALL(closedir(stream));

	int fd = open("dir", O_RDONLY | O_DIRECTORY);
	stream = fdopendir(fd);
	printf("the same descriptor: %d\n", dirfd(stream) == fd);
	list(stream);
	CALL(closedir(stream));
	CALL(fcntl(fd, F_GETFD));

	fd = openat(AT_FDCWD, "empty", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	stream = fdopendir(fd);
	list(stream);
	CALL(closedir(stream));

	CALL(opendir("gone") == NULL);
	CALL(opendir("file") == NULL);
	CALL(opendir("") == NULL);
	CALL(fdopendir(9999) == NULL);
	fd = open("file", O_RDONLY);
	CALL(fdopendir(fd) == NULL);
	CALL(fcntl(fd, F_GETFD));
	CALL(close(fd));

	struct dirent **entries;
	int count = CALL(scandir("dir", &entries, NULL, alphasort));
	for (int i = 0; i < count; i++)
		free(entries[i]);
	if (count >= 0)
		free(entries);
}

MAIN(scenario)
