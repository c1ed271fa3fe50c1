/* Steps about documents: looking at them, reading them, and sending from them. Each takes three numbers. */
#ifndef FILES_H
#define FILES_H
#include "transfers.h"

static void do_open(int a, int b, int c)
{
	static const int flags[] = { O_RDONLY, O_RDONLY | O_CLOEXEC, O_RDONLY | O_NONBLOCK, O_RDONLY | O_DIRECTORY };
	char path[PATH_MAX];
	(void)c;
	if (is_crowded())
		return;
	document(path, a);
	int fd = open(path, flags[b % 4]);
	printf("open %d = %d %s\n", a, fd, error_name(fd));
	name(fd, DOCUMENT, -1);
}

static void do_stat(int a, int b, int c)
{
	char path[PATH_MAX];
	struct stat status = { 0 };
	(void)c;
	document(path, a);
	int result = b % 3 == 0 ? stat(path, &status) : b % 3 == 1 ? lstat(path, &status) : access(path, R_OK);
	printf("stat %d = %d %s %ld\n", a, result, error_name(result), (long)status.st_size);
}

/* Reads a file to where a later step may send it from. */
static ssize_t read_file(int fd, int how, size_t size, off_t offset)
{
	struct iovec parts[2] = { { from_file, size / 2 }, { from_file + size / 2, size - size / 2 } };
	ssize_t n;
	switch (how % 6) {
	case 1:
		n = read(fd, from_file, size);
		break;
	case 2:
		n = readv(fd, parts, 2);
		break;
	case 3:
		n = preadv(fd, parts, 2, offset);
		break;
	case 4:
		n = preadv2(fd, parts, 2, -1, 0);
		break;
	case 5:
		n = preadv2(fd, parts, 2, offset, 0);
		break;
	default:
		n = pread(fd, from_file, size, offset);
	}
	from_file_length = n > 0 ? n : 0;
	return n;
}

static void do_file(int a, int b, int c)
{
	CHOOSE(fd, ONE(DOCUMENT), a);
	ssize_t n = read_file(fd, b, c * 160 % 9000, c);
	printf("file %d = %zd %s %lx\n", fd, n, error_name(n), digest(from_file, from_file_length));
}

/* Sends a file in pieces, each of which is read, and not in memory any more when the next write comes. */
static void do_stream(int a, int b, int c)
{
	CHOOSE(fd, ONE(CONNECTION), a);
	char path[PATH_MAX];
	document(path, b % DOCUMENTS);
	int file = is_crowded() ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return;
	if (c % 2)
		put_own(fd, c / 2 % WAYS, 90);
	for (int piece = 0; piece <= c % 4; piece++) {
		ssize_t n = read_file(file, c, 9000, piece * 9000);
		make_cold(b % DOCUMENTS);
		printf("  piece %zd %lx\n", n, digest(from_file, from_file_length));
		put_all(fd, (struct source){ .way = (b + c / 4) % WAYS, .body = from_file, .size = from_file_length });
	}
	close(file);
}

static void do_sendfile(int a, int b, int c)
{
	CHOOSE(to, ONE(CONNECTION), a);
	CHOOSE(from, ONE(DOCUMENT), b);
	off_t offset = c % 300;
	int early;
	/* How the kernel cuts a file into packets is its own affair. */
	if (world->connections[numbers[to].connection].packets)
		return;
	struct source source = { .way = SENDFILE, .file = from, .offset = c % 2 ? &offset : NULL, .size = c * 1000 };
	ssize_t n = put(to, &source, &early);
	printf("sendfile %d %d = %zd %s %ld\n", to, from, n, error_name(n), (long)offset);
}

/* A part of a file by way of a pipe. */
static void do_splice(int a, int b, int c)
{
	CHOOSE(to, ONE(CONNECTION), a);
	CHOOSE(from, ONE(DOCUMENT), b);
	loff_t offset = c % 300;
	int ends[2];
	if (world->connections[numbers[to].connection].packets || is_crowded() || pipe2(ends, O_CLOEXEC) != 0)
		return;
	ssize_t n = splice(from, c % 2 ? &offset : NULL, ends[1], NULL, c * 700, 0);
	printf("splice %d %d = %zd %s\n", from, to, n, error_name(n));
	if (n > 0)
		put_all(to, (struct source){ .way = SPLICE, .file = ends[0], .size = n });
	close(ends[0]);
	close(ends[1]);
}

#endif
