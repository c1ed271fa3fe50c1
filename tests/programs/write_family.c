/* Every name by which an open file is changed: results, positions, bytes and errors. */
#include "common.h"

static int file, reading, sink, ends[2];

static void state(void)
{
	static unsigned char bytes[300000];
	struct stat status;
	unsigned sum = 17;
	ssize_t length = syscall(SYS_pread64, reading, bytes, sizeof bytes, 0);
	for (ssize_t i = 0; i < length; i++)
		sum = sum * 31 + bytes[i];
	NEED(fstat(reading, &status) == 0);
	printf("  %ld bytes, %08x, at %ld\n", (long)status.st_size, sum, (long)lseek(file, 0, SEEK_CUR));
}

#define CHANGE(call)                                                                                                   \
	do {                                                                                                           \
		CALL(call);                                                                                            \
		state();                                                                                               \
	} while (0)

static void scenario(void)
{
	char hello[] = "hello", *nowhere = (char *)16, *mapped;
	struct iovec two[2] = { { hello, 2 }, { hello + 2, 3 } }, bad[2] = { { hello, 5 }, { nowhere, 5 } };
	write_document("file", "file", 100000);
	chill("file");
	NEED(pipe2(ends, O_CLOEXEC) == 0);
	file = open("file", O_RDWR | O_CLOEXEC);
	reading = open("file", O_RDONLY | O_CLOEXEC);
	sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
	NEED(file >= 0 && reading >= 0 && sink >= 0);

	CHANGE(write(file, hello, 5));
	CHANGE(write(file, hello, 0));
	CHANGE(write(file, nowhere, 5));
	CHANGE(write(reading, hello, 5));
	CHANGE(write(-1, hello, 5));
	CHANGE(write(ends[1], hello, 5));
	CHANGE(write(sink, hello, 5));
	CHANGE(writev(file, two, 2));
	CHANGE(writev(file, bad, 2));
	CHANGE(writev(file, two, -1));
	CHANGE(writev(file, two, 0));
	CHANGE(pwrite(file, hello, 5, 50000));
	CHANGE(pwrite64(file, hello, 5, 99999));
	CHANGE(pwrite(file, hello, 5, -1));
	CHANGE(pwrite(file, nowhere, 5, 0));
	CHANGE(pwrite(ends[1], hello, 5, 0));
	CHANGE(pwritev(file, two, 2, 60000));
	CHANGE(pwritev64(file, two, 2, 60010));
	CHANGE(pwritev2(file, two, 2, 60020, 0));
	CHANGE(pwritev2(file, two, 2, -1, RWF_DSYNC));
	CHANGE(pwritev64v2(file, two, 2, 60030, 0));
	CHANGE(pwritev2(file, two, 2, 0, 0x40000000));

	CHANGE(fsync(file));
	CHANGE(fsync(-1));
	CHANGE(fsync(ends[0]));
	CHANGE(fdatasync(file));
	CHANGE(fdatasync(ends[1]));
	CHANGE(syncfs(file));
	CHANGE(syncfs(-1));
	CHANGE(sync_file_range(file, 0, 50000, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE));
	CHANGE(sync_file_range(file, -1, 0, 0));
	CHANGE(sync_file_range(ends[0], 0, 0, 0));
	mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	NEED(mapped != MAP_FAILED);
	mapped[4000] = 'm';
	CHANGE(msync(mapped, 8192, MS_SYNC));
	CHANGE(msync(mapped, 8192, MS_SYNC | MS_ASYNC));
	CHANGE(msync(mapped + 1, 4096, MS_SYNC));
	CHANGE(munmap(mapped, 8192));
	CHANGE(msync(NULL, 4096, MS_ASYNC));

	CHANGE(ftruncate(file, 5000));
	CHANGE(ftruncate64(file, 7000));
	CHANGE(ftruncate(file, -1));
	CHANGE(ftruncate(reading, 0));
	CHANGE(truncate("file", 6000));
	CHANGE(truncate64("file", 6500));
	CHANGE(truncate("file", -1));
	CHANGE(truncate("gone", 1));
	CHANGE(truncate(nowhere, 1));
	CHANGE(truncate(".", 1));
	CHANGE(posix_fallocate(file, 0, 8000));
	CHANGE(posix_fallocate64(file, 8000, 100));
	CHANGE(posix_fallocate(file, -1, 100));
	CHANGE(posix_fallocate(ends[1], 0, 100));
	CHANGE(fallocate(file, 0, 0, 9000));
	CHANGE(fallocate64(file, 0, 9000, 100));
	CHANGE(fallocate(file, 0, 0, 0));
	CHANGE(fallocate(reading, 0, 0, 10));
	CHANGE(fallocate(file, 0x4000, 0, 10));

	/* A file-size limit is told of by a signal. */
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit few = { 4096, RLIM_INFINITY };
	NEED(setrlimit(RLIMIT_FSIZE, &few) == 0);
	CHANGE(pwrite(file, hello, 5, 10000));
	CHANGE(pwrite(file, hello, 5, 4094));
	CHANGE(ftruncate(file, 20000));
	few.rlim_cur = RLIM_INFINITY;
	NEED(setrlimit(RLIMIT_FSIZE, &few) == 0);
	CHANGE(close(ends[0]));
	signal(SIGPIPE, SIG_IGN);
	CHANGE(write(ends[1], hello, 5));
	CHANGE(writev(ends[1], two, 2));
	close(ends[1]);
	close(sink);
	close(reading);
	close(file);
}

MAIN(scenario)
