/* Ends with a status of its own; linked in the ways in which a library cannot be preloaded. */
int main(void) { return 7; }
