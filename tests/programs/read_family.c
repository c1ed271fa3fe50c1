/* Every name of read from files, directories, pipes and odd descriptors: results, bytes, positions and errors. */
#include "common.h"

ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
ssize_t __pread64_chk(int, void *, size_t, off64_t, size_t);

static char b[70000], c[70000];
static int file;

static unsigned sum(const char *bytes, long length)
{
	unsigned value = 17;
	for (long i = 0; i < length; i++)
		value = value * 31 + (unsigned char)bytes[i];
	return value;
}

#define READ(call)                                                                                                     \
	do {                                                                                                           \
		memset(b, 0x55, sizeof b);                                                                             \
		memset(c, 0x55, sizeof c);                                                                             \
		CALL(call);                                                                                            \
		printf("  %08x %08x at %ld\n", sum(b, sizeof b), sum(c, sizeof c), (long)lseek(file, 0, SEEK_CUR));    \
	} while (0)

static void overflow_read(void) { __read_chk(file, b, 100, 10); }
static void overflow_pread(void) { __pread_chk(file, b, 100, 0, 10); }
static void overflow_pread64(void) { __pread64_chk(file, b, 100, 0, 10); }

/* The same reads, by names whose fortified variants the compiler picks. */
static void __attribute__((noinline)) fortified(size_t length)
{
	char small[64];
	memset(small, 0, sizeof small);
	CALL(read(file, small, length));
	text("read", small, 0);
	CALL(pread(file, small, length, 5));
	CALL(pread64(file, small, length, 7));
	printf("  %08x\n", sum(small, sizeof small));
}

static void scenario(void)
{
	struct iovec two[2] = { { b, 1000 }, { c, 3000 } }, none[1] = { { b, 0 } };
	void *volatile nowhere = (void *)16;
	struct iovec bad[2] = { { b, 10 }, { nowhere, 10 } };
	int pipes[2];
	volatile size_t thirty = 30;
	write_document("file", "file", 300001);
	chill("file");
	NEED(mkdir("dir", 0755) == 0);
	file = open("file", O_RDONLY);
	int writing = open("file", O_WRONLY), dir = open("dir", O_RDONLY), pathonly = open("file", O_PATH);

	READ(read(file, b, 5000));
	READ(__read_chk(file, b, 5000, sizeof b));
	READ(pread(file, b, 5000, 100000));
	READ(pread64(file, b, 65536, 200000));
	READ(__pread_chk(file, b, 5000, 4096, sizeof b));
	READ(__pread64_chk(file, b, 5000, 8191, sizeof b));
	READ(readv(file, two, 2));
	READ(preadv(file, two, 2, 150001));
	READ(preadv64(file, two, 2, 250001));
	READ(preadv2(file, two, 2, 7, 0));
	READ(preadv64v2(file, two, 2, -1, 0));
	READ(read(file, b, 0));
	READ(readv(file, none, 1));
	READ(readv(file, two, 0));
	READ(pread(file, b, 5000, 299999));
	READ(pread(file, b, 5000, 300001));
	READ(pread(file, b, 5000, 1l << 40));
	READ(preadv(file, two, 2, 299999));
	lseek(file, 300000, SEEK_SET);
	READ(read(file, b, 5000));
	READ(read(file, b, 5000));
	READ(readv(file, two, 2));
	lseek(file, 0, SEEK_SET);
	fortified(thirty);

	READ(read(-1, b, 10));
	READ(read(9999, b, 10));
	READ(__read_chk(9999, b, 10, sizeof b));
	READ(pread64(9999, b, 10, 0));
	READ(readv(9999, two, 2));
	READ(preadv(9999, two, 2, 0));
	READ(read(writing, b, 10));
	READ(pread64(writing, b, 10, 0));
	READ(readv(writing, two, 2));
	READ(read(dir, b, 10));
	READ(pread(dir, b, 10, 0));
	READ(read(pathonly, b, 10));
	READ(read(file, nowhere, 10));
	READ(pread64(file, nowhere, 10, 0));
	READ(readv(file, bad, 2));
	READ(readv(file, nowhere, 2));
	READ(readv(file, two, -1));
	READ(readv(file, two, 2000));
	READ(pread(file, b, 10, -1));
	READ(pread64(file, b, 10, -4096));
	READ(preadv(file, two, 2, -1));
	READ(__pread64_chk(file, b, 10, -1, sizeof b));

	NEED(pipe2(pipes, O_CLOEXEC) == 0 && write(pipes[1], "hello, pipe", 11) == 11);
	READ(read(pipes[0], b, 5));
	READ(__read_chk(pipes[0], b, 2, sizeof b));
	READ(pread(pipes[0], b, 5, 0));
	READ(readv(pipes[0], two, 2));
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	READ(read(pipes[0], b, 5));
	close(pipes[1]);
	READ(read(pipes[0], b, 5));
	in_child("__read_chk overflows", overflow_read);
	in_child("__pread_chk overflows", overflow_pread);
	in_child("__pread64_chk overflows", overflow_pread64);

	/* Files that have no pages of their own. */
	for (int i = 0; i < 3; i++) {
		const char *const names[] = { "/proc/self/comm", "/sys/kernel/mm/transparent_hugepage/enabled", "/dev/zero" };
		int odd = open(names[i], O_RDONLY);
		if (i == 1 && odd < 0)
			continue;
		memset(b, 1, sizeof b);
		CALL(pread64(odd, b, 64, 0) > 0);
		CALL(read(odd, b, 64) > 0);
		close(odd);
	}

	/* What another descriptor writes is there at once. */
	NEED(pwrite(writing, "fresh bytes", 11, 123456) == 11);
	memset(b, 0, sizeof b);
	CALL(pread(file, b, 11, 123456));
	text("bytes", b, 11);
	close(file);
	close(writing);
	close(dir);
	close(pathonly);
	close(pipes[0]);
}

MAIN(scenario)
