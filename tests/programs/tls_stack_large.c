/* The same with more than a helper's whole stack. */
#define BYTES (1 << 20)
#include "tls_stack.c"
