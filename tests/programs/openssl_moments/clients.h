/* Moments in which a client does what few do. */

/* The client has new keys, once with each request, and once many times without. */
static void new_keys(void)
{
	int which;
	struct line line = greeted();
	for (int i = 0; i < 12; i++) {
		if (version == TLS1_3_VERSION)
			for (int times = i == 7 ? 6 : 1; times > 0; times--) {
				NEED(SSL_key_update(line.client, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED));
				NEED(SSL_do_handshake(line.client) == 1);
			}
		ask(&line, &which);
		serve(&line, 1, 1000);
		check(&line, which);
	}
	hang_up(&line);
}

static int trusts_all(int fine, X509_STORE_CTX *store)
{
	(void)fine;
	(void)store;
	return 1;
}

/* The client begins another handshake; in version 1.3 the server asks who it is. */
static void again(void)
{
	int which;
	SSL_CTX_set_options(servers, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
	struct line line = greeted();
	ask(&line, &which);
	serve(&line, 1, 1000);
	check(&line, which);
	if (version == TLS1_2_VERSION) {
		NEED(SSL_renegotiate(line.client) == 1);
	} else {
		SSL_set_verify(line.server, SSL_VERIFY_PEER | SSL_VERIFY_POST_HANDSHAKE, trusts_all);
		NEED(SSL_verify_client_post_handshake(line.server) == 1 && SSL_do_handshake(line.server) == 1);
	}
	char byte;
	int client = 0;
	for (int i = 0; i < 100; i++) {
		client = SSL_do_handshake(line.client);
		NEED(client == 1 || waits(line.client, client));
		NEED(waits(line.client, SSL_read(line.client, &byte, 1)));
		NEED(waits(line.server, SSL_read(line.server, &byte, 1)));
		usleep(200);
	}
	if (version == TLS1_3_VERSION) {
		X509 *shown = SSL_get1_peer_certificate(line.server);
		printf("the client showed a certificate: %d\n", shown != NULL);
		X509_free(shown);
	}
	printf("again: %d\n", client);
	for (int i = 0; i < 3; i++) {
		ask(&line, &which);
		serve(&line, 1, 1000);
		check(&line, which);
	}
	hang_up(&line);
}

static size_t padding(SSL *ssl, int type, size_t length, void *argument)
{
	(void)ssl;
	(void)type;
	(void)argument;
	return length % 2 ? 300 : 17;
}

/* Records with more in them than what they hold. */
static void padded(void)
{
	int which;
	struct line line = greeted();
	SSL_set_record_padding_callback(line.client, padding);
	for (int i = 0; i < 4; i++) {
		ask(&line, &which);
		serve(&line, 1, 1000);
		check(&line, which);
	}
	hang_up(&line);
}

/* A server that looks before it reads. */
static void peeked(void)
{
	int which;
	char bytes[ROOM];
	struct line line = greeted();
	for (int i = 0; i < 3; i++) {
		ask(&line, &which);
		int n;
		do
			NEED(reported(line.pair.server, 20000) == 1);
		while ((n = recv(line.pair.server, bytes, 1, MSG_PEEK)) < 0 && errno == EAGAIN);
		NEED(n == 1);
		n = SSL_peek(line.server, bytes, sizeof bytes);
		NEED(n > 0 || waits(line.server, n));
		if (n <= 0)
			serve(&line, 1, 1000);
		else
			NEED(answer_all(&line, 1000) == 1);
		check(&line, which);
	}
	hang_up(&line);
}

/* A client that says that it is done behind its request. */
static void half_closed(void)
{
	char bytes[200], records[ROOM];
	struct line line = greeted();
	int which = next, length = sealed(&line, bytes, request(bytes, sizeof bytes), records);
	send_all(&line, records, length);
	NEED(SSL_shutdown(line.client) == 0);
	shutdown(line.pair.client, SHUT_WR);
	look(line.pair.server);
	serve(&line, 1, 1000);
	check(&line, which);
	char byte;
	int n;
	while (waits(line.server, n = SSL_read(line.server, &byte, 1)))
		usleep(1000);
	printf("reading: %s\n", outcome(line.server, n));
	hang_up(&line);
}
