/* A loop that serves cold files, in a program that may have more rights than whoever started it. Linked with the library,
 * for the dynamic linker preloads nothing there. */
#include "common.h"
#include <sys/auxv.h>

int main(int argc, char **argv)
{
	is_engaged(argc, argv);
	printf("secure: %lu\n", getauxval(AT_SECURE));
	fflush(stdout);
	engage();
	still_serving();
	return 0;
}
