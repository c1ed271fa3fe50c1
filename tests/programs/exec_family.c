/* Everything by which a process becomes another program: arguments and environment arrive as they were given, and what
 * cannot be executed answers with its errno. */
#include "common.h"

extern char **environ;
static char *many[14], *variables[] = { "NAME=value", "OTHER=", NULL };
static const char self[] = "/proc/self/exe";

static void by_execv(void) { execv(self, many); }
static void by_execve(void) { execve(self, many, variables); }
static void by_execvp(void) { execvp(self, many); }
static void by_execvpe(void) { execvpe(self, many, variables); }
static void by_fexecve(void) { fexecve(open(self, O_RDONLY | O_CLOEXEC), many, variables); }
static void by_execveat(void) { execveat(AT_FDCWD, self, many, variables, 0); }
static void by_execl_short(void) { execl(self, "program", "show", NULL); }
static void by_execl(void) { execl(self, "program", "show", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", NULL); }
static void by_execlp(void) { execlp(self, "program", "show", "a", "b", "c", "d", "e", "f", "g", NULL); }
static void by_execle(void) { execle(self, "program", "show", "a", "b", "c", NULL, variables); }
static void by_execle_long(void)
{
	execle(self, "program", "show", "a", "b", "c", "d", "e", "f", "g", "h", "i", NULL, variables);
}

/* A vfork child has its parent's memory until then. */
static void by_vfork(void)
{
	int status;
	pid_t child = vfork();
	if (child == 0) {
		execle(self, "program", "show", "of vfork", NULL, variables);
		_exit(1);
	}
	NEED(waitpid(child, &status, 0) == child);
	printf("the child's status: %d\n", status);
	child = vfork();
	if (child == 0) {
		execl("/nowhere", "nowhere", NULL);
		_exit(errno);
	}
	NEED(waitpid(child, &status, 0) == child);
	printf("the other child's errno: %s\n", strerrorname_np(WEXITSTATUS(status)));
}

static void scenario(void)
{
	static const struct {
		const char *name;
		void (*part)(void);
	} parts[] = { { "execv", by_execv },	      { "execve", by_execve },	     { "execvp", by_execvp },
		      { "execvpe", by_execvpe },      { "fexecve", by_fexecve },     { "execveat", by_execveat },
		      { "execl short", by_execl_short }, { "execl", by_execl },	     { "execlp", by_execlp },
		      { "execle", by_execle },	      { "execle long", by_execle_long }, { "vfork", by_vfork } };
	char *arguments[] = { "program", "show", "a", "b", "c", "", "spaces in it", NULL };
	memcpy(many, arguments, sizeof arguments);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		in_child(parts[i].name, parts[i].part);
	char *nothing[] = { NULL };
	CALL(execv("/nowhere", many));
	CALL(execve("/", many, environ));
	CALL(execvp("no-such-program", many));
	CALL(execlp("no-such-program", "x", NULL));
	CALL(execl("/nowhere", "a", "b", "c", "d", "e", "f", "g", "h", NULL));
	CALL(execle("/nowhere", "a", NULL, nothing));
	CALL(fexecve(-1, many, variables));
	CALL(execveat(-1, "relative", many, variables, 0));
	CALL(execv((const char *)8, many));
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "show")) {
		for (int i = 0; i < argc; i++)
			printf(" \"%s\"", argv[i]);
		printf(" NAME=%s OTHER=%s\n", getenv("NAME") ? getenv("NAME") : "-", getenv("OTHER") ? getenv("OTHER") : "-");
		return 0;
	}
	if (is_engaged(argc, argv))
		engage();
	scenario();
	still_serving();
	return 0;
}
