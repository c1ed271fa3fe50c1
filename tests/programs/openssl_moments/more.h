/* Moments in which a connection changes, or the process. */

static void closed(void)
{
	int which;
	struct line line = greeted();
	ask(&line, &which);
	is_told = 0;
	SSL_free(line.server);
	close(line.pair.server);
	int n;
	char byte;
	while (waits(line.client, n = SSL_read(line.client, &byte, 1)))
		usleep(1000);
	/* A request that was not read: a reset, or an end, as the kernel likes. */
	printf("the client: it is over\n");
	SSL_free(line.client);
	close(line.pair.client);
	works();
}

static void shut_down(void)
{
	int which, n;
	char byte;
	struct line line = greeted();
	ask(&line, &which);
	is_told = 0;
	printf("shutdown: %d\n", SSL_shutdown(line.server));
	while (waits(line.client, n = SSL_read(line.client, &byte, 1)))
		usleep(1000);
	printf("the client: %s\n", outcome(line.client, n));
	hang_up(&line);
}

/* The number of a connection whose request is held back becomes another one's. */
static void reused(void)
{
	int which;
	struct line line = greeted();
	int number = line.pair.server;
	ask(&line, &which);
	struct pair pair = { client_of(&address), 0 };
	is_told = 0;
	SSL_free(line.server);
	close(number);
	pair.server = accepted_by(listening);
	NEED(pair.server == number);
	watch(number);
	struct line other = line_on(pair, clients, servers);
	shake(&other);
	ask(&other, &which);
	serve(&other, 1, 1000);
	check(&other, which);
	hang_up(&other);
	SSL_free(line.client);
	close(line.pair.client);
}

/* It becomes that of one that speaks plainly. */
static void reused_in_the_clear(void)
{
	int which;
	struct line line = greeted();
	int number = line.pair.server;
	ask(&line, &which);
	struct pair pair = { client_of(&address), 0 };
	is_told = 0;
	SSL_free(line.server);
	close(number);
	pair.server = accepted_by(listening);
	NEED(pair.server == number);
	watch(number);
	char bytes[200], got[200];
	int length = request(bytes, sizeof bytes), n;
	NEED(write(pair.client, bytes, length) == length);
	do {
		NEED(reported(number, 20000) == 1);
		n = read(number, got, sizeof got);
	} while (n < 0 && errno == EAGAIN);
	printf("in the clear: %d\n", n == length && memcmp(got, bytes, n) == 0);
	close(pair.client);
	close(number);
	SSL_free(line.client);
	close(line.pair.client);
}

/* A child has a copy of the connection, and answers. */
static void served_by_child(void)
{
	int which, status;
	struct line line = greeted();
	ask(&line, &which);
	fflush(NULL);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		/* An instance of its own, as servers make it. */
		is_told = 0;
		ep = epoll_create1(EPOLL_CLOEXEC);
		watch(line.pair.server);
		serve(&line, 1, 1000);
		fflush(NULL);
		_exit(0);
	}
	is_told = 0;
	close(line.pair.server);
	NEED(waitpid(child, &status, 0) == child);
	printf("the child: %d\n", status);
	check(&line, which);
	SSL_free(line.server);
	SSL_free(line.client);
	close(line.pair.client);
	works();
}

/* A child goes, by itself or as another program; the parent goes on. */
static void forked(void)
{
	for (int executes = 0; executes < 2; executes++) {
		int which, status;
		struct line line = greeted();
		ask(&line, &which);
		fflush(NULL);
		pid_t child = fork();
		NEED(child >= 0);
		if (child == 0) {
			if (executes)
				execl("/bin/true", "true", (char *)NULL);
			_exit(0);
		}
		NEED(waitpid(child, &status, 0) == child);
		serve(&line, 1, 1000);
		check(&line, which);
		ask(&line, &which);
		serve(&line, 1, 1000);
		check(&line, which);
		hang_up(&line);
	}
}

/* OpenSSL is told what was read, and asked what is to be sent. */
static void memory(void)
{
	int which, length;
	struct line line = greeted();
	BIO *in = BIO_new(BIO_s_mem()), *out = SSL_get_wbio(line.server);
	BIO_set_mem_eof_return(in, -1);
	BIO_up_ref(out);
	SSL_set_bio(line.server, in, out);
	for (int i = 0; i < 3; i++) {
		char bytes[ROOM];
		ask(&line, &which);
		for (int count = 0; count == 0;) {
			NEED(reported(line.pair.server, 20000) == 1);
			while ((length = read(line.pair.server, bytes, i == 1 ? 7 : sizeof bytes)) > 0)
				BIO_write(in, bytes, length);
			count = answer_all(&line, 1000);
		}
		check(&line, which);
	}
	hang_up(&line);
}

/* The handshake, too. The context goes while its connection lives, and another one has its address. */
static void context_freed(void)
{
	int which;
	SSL_CTX *context = server_context(version);
	struct line line = line_with(context);
	SSL_CTX_free(context);
	shake(&line);
	SSL_CTX *other = server_context(version);
	SSL_set_SSL_CTX(line.server, other);
	SSL_CTX_free(other);
	for (int i = 0; i < 3; i++) {
		SSL_CTX *third = server_context(version);
		ask(&line, &which);
		serve(&line, 1, 1000);
		check(&line, which);
		SSL_CTX_free(third);
	}
	hang_up(&line);
}

static SSL_CTX *other_context;

static int choose(SSL *ssl, int *alert, void *argument)
{
	(void)alert;
	(void)argument;
	SSL_set_SSL_CTX(ssl, other_context);
	return SSL_TLSEXT_ERR_OK;
}

/* A server's name decides which context it is. */
static void by_name(void)
{
	int which;
	other_context = server_context(version);
	SSL_CTX *first = server_context(version);
	SSL_CTX_set_tlsext_servername_callback(first, choose);
	struct line line = line_with(first);
	SSL_set_tlsext_host_name(line.client, "other.test");
	shake(&line);
	printf("the other context: %d\n", SSL_get_SSL_CTX(line.server) == other_context);
	ask(&line, &which);
	serve(&line, 1, 1000);
	check(&line, which);
	hang_up(&line);
	SSL_CTX_free(first);
	SSL_CTX_free(other_context);
}

/* The same process is a client of another one's, over a connection that is watched as its own clients are. */
static void outgoing(void)
{
	int which;
	struct line line = greeted();
	watch(line.pair.client);
	struct epoll_event event;
	for (int i = 0; i < 3; i++) {
		char bytes[200], records[ROOM];
		which = next;
		int length = sealed(&line, bytes, request(bytes, sizeof bytes), records);
		send_all(&line, records, length);
		int answered = 0, n = -1;
		while (!answered) {
			n = epoll_wait(ep, &event, 1, 20000);
			NEED(n == 1);
			if (event.data.fd == line.pair.server)
				answered = answer_all(&line, 1000);
			else
				NEED(waits(line.client, SSL_peek(line.client, bytes, 1)));
		}
		check(&line, which);
	}
	hang_up(&line);
}

static const struct moment {
	const char *name;
	void (*happens)(void);
} MOMENTS[] = {
	{ "whole", whole }, { "byte_by_byte", byte_by_byte }, { "read_ahead", read_ahead }, { "several", several },
	{ "reset_by_client", reset_by_client }, { "reset_behind", reset_behind },
	{ "bad_record", bad_record }, { "bad_behind", bad_behind },
	{ "half_a_record", half_a_record }, { "closed", closed }, { "shut_down", shut_down }, { "reused", reused },
	{ "reused_in_the_clear", reused_in_the_clear }, { "served_by_child", served_by_child }, { "forked", forked },
	{ "memory", memory }, { "context_freed", context_freed }, { "by_name", by_name }, { "new_keys", new_keys },
	{ "again", again }, { "padded", padded }, { "peeked", peeked }, { "half_closed", half_closed },
	{ "outgoing", outgoing }, { "handed_over", handed_over }, { "threads", threads },
};

int main(int argc, char **argv)
{
	NEED(argc == 6);
	docroot = argv[1];
	version = strcmp(argv[3], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
	way = argv[4];
	next = atoi(argv[5]);
	signal(SIGPIPE, SIG_IGN);
	listening = listener(&address);
	NEED((ep = epoll_create1(EPOLL_CLOEXEC)) >= 0);
	servers = server_context(version);
	clients = client_context(version);
	be_somebody(clients);
	SSL_CTX_set_post_handshake_auth(clients, 1);
	/* The first wait starts what the library has. */
	works();
	works();
	for (size_t i = 0; i < sizeof MOMENTS / sizeof *MOMENTS; i++)
		if (strcmp(MOMENTS[i].name, argv[2]) == 0) {
			gated = 0;
			MOMENTS[i].happens();
			printf("%s\n", argv[2]);
			works();
			FILE *file = fopen("gated", "w");
			NEED(file && fprintf(file, "%d\n", gated) > 0 && fclose(file) == 0);
			return 0;
		}
	NEED(!"a moment of this name");
}
