/* A process that gives up rights after its loop has run goes on serving; where the C library gives up a right for all
 * threads (user, group), those that the library started have given it up too. */
#include "common.h"
#include <sched.h>
#include <stddef.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

static void with(const char *what)
{
	/* Every thread of the process must look like the first. */
	char path[64], line[256], first[256] = "";
	int different = 0;
	for (int round = 0; round < 200; round++) {
		/* Threads that are on their way out have a moment for it. */
		different = 0;
		DIR *tasks = opendir("/proc/self/task");
		if (!tasks)
			break;
		for (struct dirent *entry; (entry = readdir(tasks));) {
			snprintf(path, sizeof path, "/proc/self/task/%.20s/status", entry->d_name);
			FILE *status = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
			char rights[256] = "";
			while (status && fgets(line, sizeof line, status))
				if (!strncmp(line, what, strlen(what)))
					strcpy(rights, line);
			if (status)
				fclose(status);
			if (!*rights)
				continue;
			if (!*first)
				strcpy(first, rights);
			different += strcmp(first, rights) != 0;
		}
		closedir(tasks);
		if (!different)
			break;
		usleep(10000);
	}
	printf("%s threads that differ: %d\n", what, different);
}

static void identity(void)
{
	NEED(chmod(".", 0777) == 0 && chmod("cold", 0777) == 0);
	CALL(setresgid(65534, 65534, 65534));
	CALL(setresuid(65534, 65534, 65534));
	with("Uid:");
	with("Gid:");
	for (int i = 500; i < 510; i++)
		serve_cold(engaged_epoll, engaged_pair, i);
	with("Uid:");
	with("CapEff:");
}

static void jail(void)
{
	CALL(chroot("."));
	CALL(chdir("/"));
	for (int i = 500; i < 510; i++)
		serve_cold(engaged_epoll, engaged_pair, i);
	printf("served in a jail\n");
}

static void filtered(void)
{
	/* A filter that knows the calls of a server of ten years ago: openat2, preadv2, statx and clone answer EPERM. */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_preadv2, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CALL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	for (int i = 500; i < 510; i++)
		serve_cold(engaged_epoll, engaged_pair, i);
	printf("served behind a filter\n");
}

static void own_table(void)
{
	CALL(unshare(CLONE_FILES));
	CALL(unshare(CLONE_FS));
	for (int i = 500; i < 510; i++)
		serve_cold(engaged_epoll, engaged_pair, i);
	printf("served with a table of its own\n");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*part)(void);
	} parts[] = { { "identity", identity }, { "jail", jail }, { "filtered", filtered }, { "own_table", own_table } };
	is_engaged(argc, argv);
	engage();
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (argc > 2 && !strcmp(argv[2], parts[i].name)) {
			parts[i].part();
			return 0;
		}
	return 2;
}
