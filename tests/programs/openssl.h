/* What the programs share that speak TLS by OpenSSL: contexts, a certificate that is made at once, both ends of a connection. */
#ifndef OPENSSL_H
#define OPENSSL_H
#include "common.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static void __attribute__((unused)) be_somebody(SSL_CTX *context)
{
	static EVP_PKEY *key;
	static X509 *certificate;
	if (!key) {
		NEED((key = EVP_EC_gen("P-256")) && (certificate = X509_new()));
		X509_set_version(certificate, X509_VERSION_3);
		ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
		X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
		X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
		X509_NAME *name = X509_get_subject_name(certificate);
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
		X509_set_issuer_name(certificate, name);
		X509_set_pubkey(certificate, key);
		NEED(X509_sign(certificate, key, EVP_sha256()) > 0);
	}
	NEED(SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1);
}

static void __attribute__((unused)) only(SSL_CTX *context, int version)
{
	SSL_CTX_set_min_proto_version(context, version);
	SSL_CTX_set_max_proto_version(context, version);
}

static SSL_CTX __attribute__((unused)) *server_context(int version)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	NEED(context);
	be_somebody(context);
	only(context, version);
	return context;
}

static SSL_CTX __attribute__((unused)) *client_context(int version)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	NEED(context);
	only(context, version);
	return context;
}

/* A connection by TLS: both ends of the socket, neither of which blocks, and what is spoken there. */
struct line {
	struct pair pair;
	SSL *client, *server;
};

static void __attribute__((unused)) be_nonblocking(int fd)
{
	NEED(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

static struct line __attribute__((unused)) line_on(struct pair pair, SSL_CTX *client, SSL_CTX *server)
{
	struct line line = { pair, SSL_new(client), SSL_new(server) };
	NEED(line.client && line.server);
	be_nonblocking(pair.client);
	NEED(SSL_set_fd(line.client, pair.client) == 1 && SSL_set_fd(line.server, pair.server) == 1);
	SSL_set_connect_state(line.client);
	SSL_set_accept_state(line.server);
	return line;
}

/* What OpenSSL has to say to a call. */
static const char __attribute__((unused)) *outcome(SSL *ssl, int result)
{
	static char text[200];
	if (result > 0)
		return "fine";
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return "wants to read";
	case SSL_ERROR_WANT_WRITE:
		return "wants to write";
	case SSL_ERROR_ZERO_RETURN:
		return "the end";
	case SSL_ERROR_SYSCALL:
		snprintf(text, sizeof text, "a system call: %s", errno ? strerrorname_np(errno) : "none");
		return text;
	case SSL_ERROR_SSL:
		snprintf(text, sizeof text, "an error: %s", ERR_reason_error_string(ERR_peek_error()));
		ERR_clear_error();
		return text;
	default:
		return "something else";
	}
}

static int __attribute__((unused)) waits(SSL *ssl, int result)
{
	int error = result > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl, result);
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* Brings both ends through the handshake. */
static void __attribute__((unused)) shake(struct line *line)
{
	int client, server;
	do {
		client = SSL_do_handshake(line->client);
		NEED(client == 1 || waits(line->client, client));
		server = SSL_do_handshake(line->server);
		NEED(server == 1 || waits(line->server, server));
		if (client != 1 || server != 1)
			usleep(200);
	} while (client != 1 || server != 1);
}

static void __attribute__((unused)) hang_up(struct line *line)
{
	SSL_free(line->client);
	SSL_free(line->server);
	close(line->pair.client);
	close(line->pair.server);
}
#endif
