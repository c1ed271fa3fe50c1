/* Where in its memory a process has the secret of a client, and the key that follows from it: while the connection lives, in a child,
 * and when it is closed. `openssl_secrets DOCROOT SUITE` looks through all that it can read, and prints how often it has found them: in memory
 * that is in no core dump and is wiped in children, in other memory without a name, in liblaio's own, on the stack. OpenSSL keeps
 * them in the heap, which is left out. */
#include "openssl.h"
#include <openssl/kdf.h>

enum { MOST = 48, LENGTH = 6000, ROOM = 1 << 16, MASK = 0x5a };

/* Masked, so that what is looked for is not what it is looked for with. */
static unsigned char masked[2][MOST];
static size_t lengths[2] = { 32, 16 };
static const EVP_MD *hash;

static void keep(const SSL *ssl, const char *line)
{
	(void)ssl;
	static const char LABEL[] = "CLIENT_TRAFFIC_SECRET_0 ";
	if (strncmp(line, LABEL, sizeof LABEL - 1))
		return;
	line += sizeof LABEL - 1 + 64 + 1;
	for (size_t i = 0; i < lengths[0]; i++) {
		unsigned byte;
		NEED(sscanf(line + 2 * i, "%2x", &byte) == 1);
		masked[0][i] = byte ^ MASK;
	}
}

/* By a child, whose memory goes with it. */
static void derive(void)
{
	int ends[2], status;
	NEED(pipe(ends) == 0);
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		unsigned char secret[MOST], key[MOST], info[] = "\0\0\x09tls13 key\0";
		size_t length = lengths[1];
		info[1] = length;
		for (size_t i = 0; i < lengths[0]; i++)
			secret[i] = masked[0][i] ^ MASK;
		EVP_PKEY_CTX *hkdf = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
		NEED(EVP_PKEY_derive_init(hkdf) > 0 && EVP_PKEY_CTX_set_hkdf_mode(hkdf, EVP_PKEY_HKDEF_MODE_EXPAND_ONLY) > 0 &&
		     EVP_PKEY_CTX_set_hkdf_md(hkdf, hash) > 0 &&
		     EVP_PKEY_CTX_set1_hkdf_key(hkdf, secret, lengths[0]) > 0 &&
		     EVP_PKEY_CTX_add1_hkdf_info(hkdf, info, sizeof info - 1) > 0 && EVP_PKEY_derive(hkdf, key, &length) > 0);
		for (size_t i = 0; i < length; i++)
			key[i] ^= MASK;
		NEED(write(ends[1], key, length) == (ssize_t)length);
		_exit(0);
	}
	NEED(read(ends[0], masked[1], lengths[1]) == (ssize_t)lengths[1] && waitpid(child, &status, 0) == child && status == 0);
	close(ends[0]);
	close(ends[1]);
}

static int found_in(const unsigned char *from, const unsigned char *to, int what)
{
	int count = 0;
	size_t length = lengths[what], i;
	for (; from + length <= to; from++) {
		for (i = 0; i < length && from[i] == (masked[what][i] ^ MASK); i++)
			;
		count += i == length;
	}
	return count;
}

enum { GUARDED, UNNAMED, LIAO, STACK, KINDS };

static void look_through(const char *when)
{
	static char text[1 << 20], line[4096];
	static struct {
		uintptr_t from, to;
		int kind, is_guarded;
	} maps[4096];
	size_t have = 0, count = 0;
	ssize_t n;
	int found[2][KINDS] = { { 0 } }, fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0);
	while ((n = read(fd, text + have, sizeof text - 1 - have)) > 0)
		have += n;
	close(fd);
	text[have] = 0;
	for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
		snprintf(line, sizeof line, "%.*s", (int)(end - at), at);
		char rights[8], name[3000] = "";
		uintptr_t from, to;
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %2999[^\n]", &from, &to, rights, name) >= 3 && count < 4096) {
			char *slash = name + strspn(name, " ");
			int kind = strstr(slash, "liblaio") ? LIAO : strstr(slash, "[stack") ? STACK : *slash ? -1 : UNNAMED;
			if (rights[0] != 'r' || rights[1] != 'w')
				kind = -1;
			maps[count].from = from;
			maps[count].to = to;
			maps[count++].kind = kind;
		} else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dd") && strstr(line, " wf") && count) {
			if (maps[count - 1].kind == UNNAMED)
				maps[count - 1].kind = GUARDED;
		}
	}
	for (size_t i = 0; i < count; i++)
		for (int what = 0; what < 2 && maps[i].kind >= 0; what++)
			found[what][maps[i].kind] +=
				found_in((const unsigned char *)maps[i].from, (const unsigned char *)maps[i].to, what);
	for (int what = 0; what < 2; what++)
		printf("%s, %s: guarded %d, unnamed %d, own %d, stack %d\n", when, what ? "key" : "secret", found[what][GUARDED],
		       found[what][UNNAMED], found[what][LIAO], found[what][STACK]);
	fflush(stdout);
}

static const char *docroot;
static int ep;

static void ask(struct line *line, int which)
{
	char bytes[200], path[500];
	static unsigned char body[LENGTH];
	int length = snprintf(bytes, sizeof bytes, "GET /moment-%d.html HTTP/1.1\r\nHost: h\r\n\r\n", which), n;
	NEED(SSL_write(line->client, bytes, length) == length);
	do {
		struct epoll_event event;
		NEED(epoll_wait(ep, &event, 1, 20000) == 1);
		n = SSL_read(line->server, bytes, sizeof bytes);
		NEED(n == length || waits(line->server, n));
	} while (n <= 0);
	NEED(waits(line->server, SSL_read(line->server, bytes, sizeof bytes)));
	snprintf(path, sizeof path, "%s/moment-%d.html", docroot, which);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	NEED(file >= 0 && read(file, body, LENGTH) == LENGTH);
	close(file);
	NEED(SSL_write(line->server, body, LENGTH) == LENGTH);
	for (int got = 0; got < LENGTH; got += n > 0 ? n : 0) {
		n = SSL_read(line->client, body, LENGTH);
		NEED(n > 0 || waits(line->client, n));
	}
}

int main(int argc, char **argv)
{
	int status;
	NEED(argc == 3);
	docroot = argv[1];
	hash = EVP_sha256();
	if (strcmp(argv[2], "TLS_AES_256_GCM_SHA384") == 0) {
		hash = EVP_sha384();
		lengths[0] = 48;
	}
	if (strcmp(argv[2], "TLS_AES_128_GCM_SHA256"))
		lengths[1] = 32;
	NEED((ep = epoll_create1(EPOLL_CLOEXEC)) >= 0);
	SSL_CTX *server = server_context(TLS1_3_VERSION), *client = client_context(TLS1_3_VERSION);
	NEED(SSL_CTX_set_ciphersuites(client, argv[2]) == 1);
	SSL_CTX_set_keylog_callback(server, keep);
	struct line line;
	for (int i = 0; i < 8; i++) {
		if (i % 4 == 0) {
			line = line_on(tcp_pair(), client, server);
			struct epoll_event event = { .events = EPOLLIN, .data.fd = line.pair.server };
			NEED(epoll_ctl(ep, EPOLL_CTL_ADD, line.pair.server, &event) == 0);
			shake(&line);
		}
		ask(&line, i);
		if (i == 3)
			hang_up(&line);
	}
	derive();
	look_through("alive");
	pid_t child = fork();
	NEED(child >= 0);
	if (child == 0) {
		look_through("in a child");
		_exit(0);
	}
	NEED(waitpid(child, &status, 0) == child && status == 0);
	hang_up(&line);
	look_through("closed");
	return 0;
}
