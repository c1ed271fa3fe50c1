/* OpenSSL's contexts, and the key log callbacks that a program sets itself: they are told what they are told without the library, and
 * are what the program gets when it asks. */
#include "openssl.h"

enum { LABELS = 20, MANY = 1100 };

static struct {
	const char *name;
	int count;
} told[LABELS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const SSL *expected;
static int strangers, odd_lines;

static void count(const char *who, const SSL *ssl, const char *line)
{
	pthread_mutex_lock(&lock);
	size_t length = strcspn(line, " ");
	char name[100];
	snprintf(name, sizeof name, "%s %.*s", who, (int)length, line);
	int i = 0;
	while (i < LABELS - 1 && told[i].name && strcmp(told[i].name, name))
		i++;
	if (!told[i].name)
		told[i].name = strdup(name);
	told[i].count++;
	strangers += expected && ssl != expected;
	odd_lines += line[length] != ' ' || strlen(line) < length + 1 + 64 + 1 + 64;
	pthread_mutex_unlock(&lock);
}

static void first(const SSL *ssl, const char *line)
{
	count("first", ssl, line);
}

static void second(const SSL *ssl, const char *line)
{
	count("second", ssl, line);
}

/* One that changes what is called next. */
static void third(const SSL *ssl, const char *line)
{
	count("third", ssl, line);
	SSL_CTX *context = SSL_get_SSL_CTX(ssl);
	if (SSL_CTX_get_keylog_callback(context) == third)
		SSL_CTX_set_keylog_callback(context, first);
	errno = EXDEV;
}

static const char *name_of(SSL_CTX *context)
{
	SSL_CTX_keylog_cb_func own = SSL_CTX_get_keylog_callback(context);
	return own == NULL ? "none" : own == first ? "first" : own == second ? "second" : own == third ? "third" : "ANOTHER";
}

static void show_told(const char *what)
{
	printf("%s:", what);
	for (int i = 0; i < LABELS && told[i].name; i++) {
		printf(" %s %d", told[i].name, told[i].count);
		free((char *)told[i].name);
		told[i].name = NULL;
		told[i].count = 0;
	}
	printf("; of others %d, odd %d\n", strangers, odd_lines);
	strangers = odd_lines = 0;
}

static void meet(SSL_CTX *client, SSL_CTX *server)
{
	struct line line = line_on(tcp_pair(), client, server);
	shake(&line);
	hang_up(&line);
}

static void one_version(int version)
{
	SSL_CTX *server = server_context(version), *client = client_context(version);
	printf("at first: %s, %s\n", name_of(server), name_of(client));
	meet(client, server);
	show_told("nobody asked");
	SSL_CTX_set_keylog_callback(server, first);
	printf("set: %s\n", name_of(server));
	struct line line = line_on(tcp_pair(), client, server);
	expected = line.server;
	shake(&line);
	expected = NULL;
	show_told("set before");
	SSL_CTX_set_keylog_callback(server, second);
	printf("replaced: %s\n", name_of(server));
	if (version == TLS1_3_VERSION) {
		char byte;
		NEED(SSL_key_update(line.client, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(line.client) == 1);
		settle(line.pair.server, 1);
		/* What no wait has reported may be read later. */
		for (int i = 0; i < 100; i++) {
			NEED(waits(line.server, SSL_read(line.server, &byte, 1)));
			usleep(100);
		}
		show_told("new keys");
	}
	hang_up(&line);
	line = line_on(tcp_pair(), client, server);
	SSL_CTX_set_keylog_callback(server, NULL);
	printf("removed: %s\n", name_of(server));
	shake(&line);
	hang_up(&line);
	show_told("removed");
	line = line_on(tcp_pair(), client, server);
	SSL_CTX_set_keylog_callback(server, third);
	SSL_CTX_set_keylog_callback(client, second);
	shake(&line);
	hang_up(&line);
	show_told("set after, on both sides");
	printf("by itself: %s, %s\n", name_of(server), name_of(client));
	SSL_CTX_free(client);
	SSL_CTX_free(server);
}

static void other_ways(void)
{
	SSL_CTX *server = SSL_CTX_new_ex(NULL, NULL, TLS_server_method()), *client = client_context(TLS1_3_VERSION);
	NEED(server);
	be_somebody(server);
	SSL_CTX_set_keylog_callback(server, first);
	/* The connection outlives its context, and goes over to another one. */
	struct line line = line_on(tcp_pair(), client, server);
	SSL_CTX_free(server);
	shake(&line);
	show_told("freed before the handshake");
	server = server_context(TLS1_3_VERSION);
	SSL_CTX_set_keylog_callback(server, second);
	SSL_set_SSL_CTX(line.server, server);
	NEED(SSL_key_update(line.server, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(line.server) == 1);
	show_told("another context");
	hang_up(&line);
	SSL_CTX_free(server);
	/* A context at the address of one that is gone. */
	for (int i = 0; i < 100; i++) {
		server = server_context(TLS1_3_VERSION);
		NEED(strcmp(name_of(server), "none") == 0);
		SSL_CTX_set_keylog_callback(server, i % 2 ? first : second);
		SSL_CTX_free(server);
	}
	printf("at the same address: none\n");
	static SSL_CTX *many[MANY];
	for (int i = 0; i < MANY; i++)
		NEED((many[i] = SSL_CTX_new(TLS_server_method())));
	int others = 0;
	for (int i = 0; i < MANY; i++)
		others += strcmp(name_of(many[i]), "none") != 0;
	printf("with a callback, of many: %d\n", others);
	for (int i = 0; i < MANY; i += MANY - 1) {
		be_somebody(many[i]);
		SSL_CTX_set_keylog_callback(many[i], second);
		printf("of many: %s\n", name_of(many[i]));
		meet(client, many[i]);
		show_told("of many");
	}
	for (int i = 0; i < MANY; i++)
		SSL_CTX_free(many[i]);
	SSL_CTX_free(client);
	CALL(SSL_CTX_new(NULL));
	CALL(SSL_CTX_new_ex(NULL, NULL, NULL));
	ERR_clear_error();
}

static void *meets(void *argument)
{
	(void)argument;
	for (int i = 0; i < 20; i++) {
		SSL_CTX *server = server_context(i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
		SSL_CTX *client = client_context(0);
		SSL_CTX_set_keylog_callback(server, first);
		meet(client, server);
		SSL_CTX_set_keylog_callback(server, second);
		SSL_CTX_free(client);
		SSL_CTX_free(server);
	}
	return NULL;
}

static void in_threads(void)
{
	pthread_t threads[3];
	for (int i = 0; i < 3; i++)
		NEED(pthread_create(&threads[i], NULL, meets, NULL) == 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	int sum = 0;
	for (int i = 0; i < LABELS; i++)
		sum += told[i].count;
	printf("in threads: %d lines\n", sum);
	for (int i = 0; i < LABELS; i++)
		told[i].name = NULL, told[i].count = 0;
}

static void by_a_child(void)
{
	SSL_CTX *server = server_context(TLS1_3_VERSION), *client = client_context(0);
	SSL_CTX_set_keylog_callback(server, first);
	meet(client, server);
	show_told("a child");
}

static void scenario(void)
{
	SSL_CTX *warm = SSL_CTX_new(TLS_method());
	SSL_CTX_free(warm);
	one_version(TLS1_2_VERSION);
	one_version(TLS1_3_VERSION);
	other_ways();
	in_child("a child", by_a_child);
	in_threads();
}

MAIN(scenario)
