/* A library with thread-local variables of the dynamic kind: at their first use in a thread the C library allocates them. */
static __thread char bytes[100];

char *thread_bytes(void) { return bytes; }
