/* Starts a program behind a filter of system calls, as a service manager does:
 *
 *   sandbox kill|ERRNO allow|deny NUMBER[:ARGUMENT:VALUE],... [-u UID] PROGRAM [ARGUMENT]...
 *
 * A call that is not allowed, or is denied, ends the process (`kill`) or answers with this errno; with a condition, only
 * where that argument (from 0) has this value, as a kernel does that does not know a flag. The program gets
 * SANDBOX_PRELOAD as its LD_PRELOAD: this program itself runs without. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void need(int what, const char *step)
{
	if (!what) {
		fprintf(stderr, "sandbox: %s: %s\n", step, strerror(errno));
		exit(3);
	}
}

int main(int argc, char **argv)
{
	enum { MOST = 600 };
	static struct sock_filter code[5 * MOST + 8];
	unsigned short length = 0;
	need(argc > 4, "arguments");
	unsigned refused = strcmp(argv[1], "kill") ? SECCOMP_RET_ERRNO | (unsigned)atoi(argv[1]) : SECCOMP_RET_KILL_PROCESS;
	int allow = !strcmp(argv[2], "allow");
	code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (char *number = strtok(argv[3], ","); number; number = strtok(NULL, ",")) {
		need(length < 5 * MOST, "too many numbers");
		unsigned argument, value;
		int has_condition = sscanf(number, "%*u:%u:%u", &argument, &value) == 2;
		code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(number), 0,
							      has_condition ? 4 : 1);
		if (has_condition) {
			unsigned at = offsetof(struct seccomp_data, args) + argument * sizeof(__u64);
			code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at);
			code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
		}
		code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, allow ? SECCOMP_RET_ALLOW : refused);
		if (has_condition)
			code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	}
	code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, allow ? refused : SECCOMP_RET_ALLOW);
	char **program = argv + 4;
	if (!strcmp(program[0], "-u")) {
		unsigned user = (unsigned)atoi(program[1]);
		need(setgroups(0, NULL) == 0 && setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0, "user");
		program += 2;
	}
	const char *preload = getenv("SANDBOX_PRELOAD");
	if (preload)
		need(setenv("LD_PRELOAD", preload, 1) == 0, "setenv");
	unsetenv("SANDBOX_PRELOAD");
	struct sock_fprog filter = { length, code };
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
	need(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0, "filter");
	execv(program[0], program);
	need(0, program[0]);
	return 3;
}
