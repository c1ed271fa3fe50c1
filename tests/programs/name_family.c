/* Every name by which a directory is changed: rename, unlink, link, mkdir. */
#include "common.h"
#include <sys/syscall.h>

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, by_name);
	printf("  %s:", path);
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.')
			printf(" %s", entries[i]->d_name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	printf("\n");
}

#define CHANGE(call)                                                                                                   \
	do {                                                                                                           \
		CALL(call);                                                                                            \
		list("here");                                                                                          \
		list("here/d");                                                                                        \
	} while (0)

static void scenario(void)
{
	static char long_name[5000];
	const char *nowhere = (const char *)16;
	memset(long_name, 'x', sizeof long_name - 1);
	NEED(syscall(SYS_mkdirat, AT_FDCWD, "here", 0755) == 0);
	int here = open("here", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	NEED(here >= 0);
	write_document("here/a", "a", 100);
	write_document("here/b", "b", 100);

	CHANGE(mkdir("here/d", 0755));
	CHANGE(mkdir("here/d", 0755));
	CHANGE(mkdir("gone/d", 0755));
	CHANGE(mkdir(nowhere, 0755));
	CHANGE(mkdir(long_name, 0755));
	CHANGE(mkdir("", 0755));
	CHANGE(mkdirat(here, "e", 0700));
	CHANGE(mkdirat(-1, "e", 0700));
	CHANGE(mkdirat(here, nowhere, 0700));

	CHANGE(link("here/a", "here/d/a"));
	CHANGE(link("here/a", "here/d/a"));
	CHANGE(link("here/gone", "here/d/gone"));
	CHANGE(link("here/a", nowhere));
	CHANGE(link(nowhere, "here/x"));
	CHANGE(link("", nowhere));
	CHANGE(linkat(here, "b", here, "d/b", 0));
	CHANGE(linkat(here, "b", here, "d/c", 0x40000000));
	CHANGE(symlink("a", "here/s"));
	CHANGE(symlink("", nowhere));
	CHANGE(symlink(nowhere, "here/t"));
	CHANGE(symlinkat("b", here, "t"));
	CHANGE(symlinkat("b", here, "t"));

	CHANGE(rename("here/a", "here/c"));
	CHANGE(rename("here/gone", "here/c"));
	CHANGE(rename("here/d", "here/d/d"));
	CHANGE(rename("here/c", nowhere));
	CHANGE(rename(nowhere, "here/c"));
	CHANGE(rename("", nowhere));
	CHANGE(renameat(here, "c", here, "d/c"));
	CHANGE(renameat(-1, "c", here, "d/c"));
	CHANGE(renameat2(here, "b", here, "d/c", RENAME_NOREPLACE));
	CHANGE(renameat2(here, "b", here, "d/c", RENAME_EXCHANGE));
	CHANGE(renameat2(here, nowhere, here, nowhere, 0x40000000));

	CHANGE(unlink("here/b"));
	CHANGE(unlink("here/b"));
	CHANGE(unlink("here/d"));
	CHANGE(unlink(nowhere));
	CHANGE(unlink(long_name));
	CHANGE(unlinkat(here, "s", 0));
	CHANGE(unlinkat(here, "e", 0));
	CHANGE(unlinkat(here, "e", AT_REMOVEDIR));
	CHANGE(unlinkat(here, nowhere, 0x40000000));
	CHANGE(rmdir("here/d"));
	CHANGE(rmdir("here/t"));
	CHANGE(rmdir(nowhere));
	CHANGE(remove("here/d/a"));
	CHANGE(remove("here/d/b"));
	CHANGE(remove("here/d/c"));
	CHANGE(remove("here/d"));
	CHANGE(remove("here/d"));
	CHANGE(remove("here/t"));
	close(here);
}

MAIN(scenario)
