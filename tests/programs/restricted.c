/* A process that restricts itself in the middle of serving: `restricted engaged HOW`. Cold requests come before and after,
 * and the mark `getppid` right after the restriction: a tracer can tell what threads that were there before do afterwards.
 * Like any other, a process that has restricted itself must not notice the library: namespaces that only a process with
 * one thread may enter can be entered, and a filter that kills for any call that the program does not make kills nobody. */
#include "common.h"
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

enum { MORE = 24 };

static void landlock(void)
{
	/* Only this directory, and only for reading: what a server that serves nothing else would ask for. */
	struct landlock_ruleset_attr rights = { .handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR };
	int rules = syscall(SYS_landlock_create_ruleset, &rights, sizeof rights, 0);
	NEED(rules >= 0);
	struct landlock_path_beneath_attr beneath = { .allowed_access = rights.handled_access_fs, .parent_fd = open(".", O_PATH) };
	NEED(beneath.parent_fd >= 0);
	CALL(syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0));
	close(beneath.parent_fd);
	CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CALL(syscall(SYS_landlock_restrict_self, rules, 0));
	close(rules);
	CALL(open("/etc/passwd", O_RDONLY));
}

static void user_namespace(void) { CALL(unshare(CLONE_NEWUSER)); }
static void raw_user_namespace(void) { CALL(syscall(SYS_unshare, CLONE_NEWUSER)); }
static void mount_namespace(void) { CALL(unshare(CLONE_NEWNS)); }

static void entered(void)
{
	int namespace = open("/proc/self/ns/mnt", O_RDONLY), here = open(".", O_RDONLY);
	NEED(namespace >= 0 && here >= 0);
	CALL(setns(namespace, CLONE_NEWNS));
	/* Entering it leads to its root. */
	NEED(fchdir(here) == 0);
	close(here);
	close(namespace);
}

static void descriptor_table(void) { CALL(unshare(CLONE_FILES)); }

static void root_of_its_own(void)
{
	CALL(unshare(CLONE_FS));
	CALL(chroot("."));
}

static void capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	int capset(void *, const void *);
	CALL(capset(&header, none));
}

static void raw_user(void)
{
	NEED(chmod(".", 0777) == 0 && chmod("cold", 0777) == 0);
	CALL(syscall(SYS_setresuid, 65534, 65534, 65534));
}

static void file_system_user(void)
{
	NEED(chmod(".", 0777) == 0 && chmod("cold", 0777) == 0);
	CALL(setfsuid(65534));
	CALL(setfsuid(-1));
}

/* Exactly what the rest of this program calls; anything else ends the process. */
static struct sock_filter strict[] = {
#define ALLOW(call)                                                                                                    \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	ALLOW(read), ALLOW(write), ALLOW(openat), ALLOW(close), ALLOW(newfstatat), ALLOW(fsync), ALLOW(fadvise64),
	ALLOW(epoll_wait), ALLOW(recvfrom), ALLOW(getppid), ALLOW(exit_group), ALLOW(brk), ALLOW(accept4), ALLOW(epoll_ctl),
	ALLOW(socket), ALLOW(connect), ALLOW(setsockopt), ALLOW(bind), ALLOW(listen), ALLOW(getsockname), ALLOW(poll),
	/* A refused filter may be tried, too. */
	ALLOW(prctl), ALLOW(seccomp),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
static struct sock_fprog program = { sizeof strict / sizeof *strict, strict };

static void filtered_by(long (*install)(void))
{
	CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CALL(install());
	/* Numbers above what was ever accepted: a table that grows would have to ask for memory. */
	struct sockaddr_in address;
	int listening = listener(&address);
	for (int i = 0; i < 300; i++) {
		client_of(&address);
		accepted_by(listening);
	}
}

static long by_prctl(void) { return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program); }
static long by_number(void) { return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program); }
static long for_all(void) { return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program); }
static long by_raw_prctl(void) { return syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program); }
static void filter(void) { filtered_by(by_prctl); }
static void filter_by_number(void) { filtered_by(by_number); }
static void filter_for_all(void) { filtered_by(for_all); }
static void filter_by_raw_prctl(void) { filtered_by(by_raw_prctl); }

/* How programs ask whether there are filters: with one that cannot be. */
static void asked(void)
{
	CALL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
	CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL));
	CALL(prctl(PR_GET_SECCOMP));
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	CALL(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
	CALL(unshare(0));
	CALL(unshare(1));
	CALL(setns(-1, 0));
}

/* By a thread that is no event loop, while the loop has requests held back. */
static void *beside(void *)
{
	CALL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL));
	CALL(unshare(CLONE_FS));
	return NULL;
}

static void by_another_thread(void)
{
	pthread_t thread;
	NEED(pthread_create(&thread, NULL, beside, NULL) == 0);
	pthread_join(thread, NULL);
}

/* A child that restricts itself before it becomes another program, as launchers do: nothing of it is the parent's. */
static void in_a_child(void)
{
	int status;
	pid_t child = vfork();
	if (child == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
		_exit(7);
	}
	NEED(waitpid(child, &status, 0) == child);
	printf("vfork: %d\n", WEXITSTATUS(status));
	child = fork();
	if (child == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(by_prctl() == 0 ? 8 : 9);
	}
	NEED(waitpid(child, &status, 0) == child);
	printf("fork: %d\n", WEXITSTATUS(status));
}

/* Again and again, while requests are on their way. */
static void again_and_again(void)
{
	for (int i = 700; i < 760; i++) {
		serve_cold(engaged_epoll, engaged_pair, i);
		NEED(unshare(CLONE_FILES) == 0);
	}
	printf("sixty times\n");
}

/* Several loops, each of which restricts itself while the others serve. */
static void *one_of_several(void *first)
{
	struct pair pair = tcp_pair();
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	NEED(epoll_ctl(ep, EPOLL_CTL_ADD, pair.server, &event) == 0);
	for (int i = 0; i < 40; i++) {
		serve_cold(ep, pair, (int)(intptr_t)first + i);
		if (i % 3 == 0)
			NEED(unshare(CLONE_FS) == 0);
	}
	close(ep);
	close(pair.client);
	close(pair.server);
	return NULL;
}

static void all_at_once(void)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		NEED(pthread_create(&threads[i], NULL, one_of_several, (void *)(intptr_t)(1000 * (i + 1))) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("four loops\n");
}

static const struct {
	const char *name;
	void (*how)(void);
} ways[] = {
	{ "landlock", landlock },
	{ "user_namespace", user_namespace },
	{ "raw_user_namespace", raw_user_namespace },
	{ "mount_namespace", mount_namespace },
	{ "entered", entered },
	{ "descriptor_table", descriptor_table },
	{ "root_of_its_own", root_of_its_own },
	{ "capabilities", capabilities },
	{ "raw_user", raw_user },
	{ "file_system_user", file_system_user },
	{ "filter", filter },
	{ "filter_by_number", filter_by_number },
	{ "filter_for_all", filter_for_all },
	{ "filter_by_raw_prctl", filter_by_raw_prctl },
	{ "asked", asked },
	{ "by_another_thread", by_another_thread },
	{ "in_a_child", in_a_child },
	{ "again_and_again", again_and_again },
	{ "all_at_once", all_at_once },
};

int main(int argc, char **argv)
{
	is_engaged(argc, argv);
	engage();
	/* Beforehand: what is restricted may not write. */
	for (int i = 500; i < 500 + MORE; i++)
		write_cold(i);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		if (argc > 2 && !strcmp(argv[2], ways[i].name)) {
			ways[i].how();
			syscall(SYS_getppid);
			for (int number = 500; number < 500 + MORE; number++)
				serve_written(engaged_epoll, engaged_pair, number);
			printf("served\n");
			fflush(stdout);
			return 0;
		}
	return 2;
}
