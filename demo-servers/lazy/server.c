/* The server's connections.
 *
 * A connection waits for one operation at a time, and is only ended from within its own steps. So nothing has to be cancelled
 * when a client goes away: the operation that is under way ends, the next one on the socket fails, and then everything that
 * the connection has is given back. */
#include "server.h"

#include "accept.h"
#include "files.h"
#include "http.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	INPUT = 8 * 1024, /* the longest head of a request */
	HEAD = 1024,      /* the longest head of an answer */
	TURN = 64,        /* how many steps a connection makes before others have theirs */
	SPARE = 256,      /* how many buffers for pieces are kept */
	DRAIN = 64,       /* how often is read from a client that is to go */
};

struct connection {
	struct source source;
	struct operation operation;
	struct file_wait wait;
	/* What comes next, when the operation or the file is there. True to go on with the step after that. */
	bool (*next)(struct connection *c);
	struct connection *link;

	struct http_request request;
	size_t request_length;
	bool last; /* the connection ends after this answer */
	bool rude; /* and the client may still be sending */
	unsigned drained;
	struct file *file;
	off_t offset, end; /* what is left to send of it */
	char *piece;
	struct iovec pieces[2];
	size_t head_length, to_send;

	size_t have;
	char head[HEAD];
	char input[INPUT];
};

static struct {
	const struct strategy *strategy;
	bool stopping;
	struct source signals;
	struct operation stop;
	struct connection *resting, *ended;
	void *spare; /* buffers, each with a pointer to the next one */
	unsigned spares;
} server;

static bool on_socket(struct operation *operation)
{
	return server.strategy->loop->sockets(operation);
}

static void *get_piece(void)
{
	void *piece = server.spare;
	if (piece == NULL)
		return malloc(PIECE);
	server.spare = *(void **)piece;
	server.spares--;
	return piece;
}

static void put_piece(void *piece)
{
	if (server.spares == SPARE || piece == NULL) {
		free(piece);
		return;
	}
	*(void **)piece = server.spare;
	server.spare = piece;
	server.spares++;
}

static void run(struct connection *c)
{
	for (int steps = 0; c->next(c); steps++) {
		if (steps == TURN) {
			c->link = server.resting;
			server.resting = c;
			return;
		}
	}
}

static void operation_done(struct operation *operation)
{
	run((struct connection *)((char *)operation - offsetof(struct connection, operation)));
}

static void file_ready(struct file_wait *wait)
{
	run((struct connection *)((char *)wait - offsetof(struct connection, wait)));
}

/* The steps. */
static bool want_request(struct connection *c);
static bool received(struct connection *c);
static bool got_file(struct connection *c);
static bool load(struct connection *c);
static bool loaded(struct connection *c);
static bool sent(struct connection *c);
static bool drain(struct connection *c);

static void give_back(struct connection *c)
{
	if (c->file != NULL)
		files_put(c->file);
	put_piece(c->piece);
	c->file = NULL;
	c->piece = NULL;
}

static bool end(struct connection *c)
{
	give_back(c);
	if (server.strategy->loop->remove != NULL)
		server.strategy->loop->remove(&c->source);
	close(c->source.fd);
	c->link = server.ended;
	server.ended = c;
	return false;
}

static bool receive(struct connection *c, bool (*next)(struct connection *))
{
	c->next = next;
	c->operation = (struct operation){ .call = CALL_READ,
					   .source = &c->source,
					   .buffer = c->input + c->have,
					   .size = INPUT - c->have,
					   .done = operation_done };
	return on_socket(&c->operation);
}

/* Sends the head where there is one, and `length` bytes of `body`. */
static bool send_out(struct connection *c, const char *body, size_t length)
{
	c->pieces[0] = (struct iovec){ c->head, c->head_length };
	c->pieces[1] = (struct iovec){ (char *)body, length };
	c->to_send = c->head_length + length;
	c->next = sent;
	c->operation = (struct operation){ .call = CALL_WRITEV,
					   .source = &c->source,
					   .pieces = c->pieces + (c->head_length == 0),
					   .count = (c->head_length > 0) + (length > 0),
					   .done = operation_done };
	c->head_length = 0;
	return on_socket(&c->operation);
}

/* An answer that is no file. */
static bool refuse(struct connection *c, int status)
{
	const char *reason = http_reason(status);
	struct http_answer answer = { .status = status,
				      .keep_alive = !c->last,
				      .length = strlen(reason),
				      .type = "text/plain",
				      .size = c->file != NULL ? c->file->size : 0,
				      .request = &c->request };
	c->head_length = http_compose(c->head, HEAD, &answer);
	if (c->head_length == 0) /* The place where the file should be is too long to tell. */
		return refuse(c, 414);
	c->offset = c->end = 0;
	return send_out(c, reason, c->request.head ? 0 : answer.length);
}

static bool want_request(struct connection *c)
{
	char path[PATH_MAX];
	c->request_length = http_head_length(c->input, c->have);
	if (c->request_length == 0 && c->have < INPUT)
		return receive(c, received);
	c->request = (struct http_request){ 0 };
	int status = c->request_length > 0 ? http_parse(c->input, c->request_length, &c->request, path) : 431;
	c->last = !c->request.keep_alive;
	if (status != 0) {
		c->rude = c->last = status != 403 && status != 414;
		return refuse(c, status);
	}
	c->next = got_file;
	c->wait.ready = file_ready;
	return files_get(path, &c->wait);
}

static bool received(struct connection *c)
{
	if (c->operation.value <= 0)
		return end(c);
	c->have += c->operation.value;
	return want_request(c);
}

static int status_of(int error)
{
	switch (error) {
	case EISDIR:
		return 301;
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
	case ELOOP:
		return 404;
	case EACCES:
	case EPERM:
	case ENXIO: /* a socket in the file system */
		return 403;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return 503;
	default:
		return 500;
	}
}

static bool got_file(struct connection *c)
{
	if (c->wait.error != 0)
		return refuse(c, status_of(c->wait.error));
	c->file = c->wait.file;
	int status = http_range(&c->request, c->file->size, &c->offset, &c->end);
	if (status == 416)
		return refuse(c, status);
	struct http_answer answer = { .status = status,
				      .keep_alive = !c->last,
				      .length = c->end - c->offset,
				      .type = http_type(files_path(c->file)),
				      .from = c->offset,
				      .size = c->file->size };
	c->head_length = http_compose(c->head, HEAD, &answer);
	if (c->request.head)
		c->offset = c->end;
	if (c->offset == c->end)
		return send_out(c, NULL, 0);
	c->piece = get_piece();
	return c->piece != NULL ? load(c) : end(c);
}

static bool load(struct connection *c)
{
	off_t left = c->end - c->offset;
	c->next = loaded;
	c->operation = (struct operation){ .call = CALL_PREAD,
					   .fd = c->file->fd,
					   .buffer = c->piece,
					   .size = left < PIECE ? left : PIECE,
					   .offset = c->offset,
					   .done = operation_done };
	return server.strategy->files(&c->operation);
}

static bool loaded(struct connection *c)
{
	/* The file has shrunk, or cannot be read: what was promised cannot be kept, and the client has to see that. */
	if (c->operation.value <= 0)
		return end(c);
	c->offset += c->operation.value;
	return send_out(c, c->piece, c->operation.value);
}

static bool sent(struct connection *c)
{
	if (c->operation.value != (ssize_t)c->to_send)
		return end(c);
	if (c->offset < c->end)
		return load(c);
	give_back(c);
	if (c->rude) {
		/* Closed with bytes unread, it would be reset, and the answer might be lost. */
		shutdown(c->source.fd, SHUT_WR);
		c->have = 0;
		return receive(c, drain);
	}
	if (c->last)
		return end(c);
	c->have -= c->request_length;
	memmove(c->input, c->input + c->request_length, c->have);
	c->next = want_request;
	return true;
}

static bool drain(struct connection *c)
{
	if (c->operation.value <= 0 || ++c->drained == DRAIN)
		return end(c);
	return receive(c, drain);
}

void server_welcome(int fd)
{
	struct connection *c = malloc(sizeof *c);
	if (c == NULL) {
		close(fd);
		return;
	}
	memset(c, 0, offsetof(struct connection, head));
	c->source.fd = fd;
	c->next = want_request;
	/* A piece of an answer is written at once: there is nothing to be gained by waiting for more. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (server.strategy->loop->add != NULL && !server.strategy->loop->add(&c->source)) {
		close(fd);
		free(c);
		return;
	}
	run(c);
}

static void stop(struct operation *operation)
{
	(void)operation;
	server.stopping = true;
}

bool server_stopping(void)
{
	return server.stopping;
}

int server_timeout(void)
{
	return server.resting != NULL ? 0 : accept_timeout();
}

void server_turn(void)
{
	struct connection *resting = server.resting;
	server.resting = NULL;
	while (resting != NULL) {
		struct connection *c = resting;
		resting = c->link;
		run(c);
	}
	accept_turn();
	while (server.ended != NULL) {
		struct connection *c = server.ended;
		server.ended = c->link;
		free(c);
	}
}

void server_start(const struct strategy *strategy, const struct server_settings *settings)
{
	static char signals[1024];
	server.strategy = strategy;
	files_start(settings->cached_files, strategy->files);
	server.signals.fd = settings->signals;
	server.stop = (struct operation){
		.call = CALL_READ, .source = &server.signals, .buffer = signals, .size = sizeof signals, .done = stop
	};
	loop_watch(strategy->loop, &server.signals);
	if (on_socket(&server.stop))
		stop(&server.stop);
	accept_start(strategy->loop, settings->listener);
}
