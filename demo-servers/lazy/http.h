/* What the server knows of HTTP/1.0 and 1.1: requests for files, and the heads of answers. No I/O. */
#ifndef HTTP_H
#define HTTP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct http_request {
	bool head;                 /* HEAD, not GET */
	bool keep_alive;           /* the client wants the connection to stay */
	const char *target;        /* as it was sent, without the query */
	size_t target_length;
	/* The range that is asked for: first-last, first- or -last; -1 for what is not there. */
	off_t first, last;
};

struct http_answer {
	int status;
	bool keep_alive;
	off_t length;            /* of the body */
	const char *type;        /* of the body */
	off_t from, size;        /* 206, 416: where the body begins in the file, and the file's size */
	const struct http_request *request; /* 301: what is missing a slash */
};

/* The length of the request's head, with the empty line that ends it; 0 where there is more to come. */
size_t http_head_length(const char *bytes, size_t have);

/* Reads a head into `request`, and into `path` the file's name below the document root, as "./name". `request` refers to the head
 * afterwards. Returns 0, or the status of the answer; then the connection has to end, but for 403 and 414. */
int http_parse(const char *head, size_t length, struct http_request *request, char path[PATH_MAX]);

/* Which bytes of a file of `size` bytes are asked for. Returns 200, 206 or 416. */
int http_range(const struct http_request *request, off_t size, off_t *from, off_t *to);

/* Writes the head of an answer. Returns its length, 0 where there is no room. */
size_t http_compose(char *to, size_t room, const struct http_answer *answer);

const char *http_reason(int status);

/* The media type of a file by the end of its name. */
const char *http_type(const char *path);

#endif
