#include "tls/rig.h"

#include "base/attr.h"
#include "base/test.h"

#include <assert.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

static EVP_PKEY *rig_key_make(enum rig_key kind)
{
	switch (kind) {
	case RIG_EC:
		return EVP_EC_gen("P-256");
	case RIG_RSA:
		return EVP_RSA_gen(2048);
	default:
		return EVP_RSA_gen(1024);
	}
}

/* What was written into a BIO in memory. */
static void rig_take_text(BIO *bio, struct buf *to)
{
	char *at;
	long len = BIO_get_mem_data(bio, &at);

	buf_init(to, TLS_PEM_MAX);
	buf_put(to, (str){ at, (size_t)len });
	BIO_free(bio);
}

static void rig_pair_write(struct rig_pair *pair)
{
	BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());

	if (!cert || !key || !PEM_write_bio_X509(cert, pair->cert) ||
		!PEM_write_bio_PrivateKey(key, pair->key, NULL, NULL, 0, NULL, NULL))
		abort();
	rig_take_text(cert, &pair->cert_pem);
	rig_take_text(key, &pair->key_pem);
}

void rig_pair_make(struct rig_pair *pair, enum rig_key kind, const char *name, int days,
	const struct rig_pair *issuer)
{
	X509 *cert = X509_new();
	EVP_PKEY *key = rig_key_make(kind);

	if (!cert || !key)
		abort();
	X509_NAME *subject = X509_get_subject_name(cert);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86'400L * days);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer->cert) : subject);
	if (!X509_sign(cert, issuer ? issuer->key : key, EVP_sha256()))
		abort();
	*pair = (struct rig_pair){ .cert = cert, .key = key };
	rig_pair_write(pair);
}

void rig_pair_done(struct rig_pair *pair)
{
	X509_free(pair->cert);
	EVP_PKEY_free(pair->key);
	buf_done(&pair->cert_pem);
	buf_done(&pair->key_pem);
}

struct tls_identity_options rig_options(const struct rig_pair *pair)
{
	return (struct tls_identity_options){
		.cert = buf_str(&pair->cert_pem),
		.key = buf_str(&pair->key_pem),
		.cert_path = S("the.crt"),
		.key_path = S("the.key"),
	};
}

const struct tls_identity *rig_identity(void)
{
	static struct tls_identity *identity;
	struct rig_pair pair;
	struct buf error;

	if (identity)
		return identity;
	rig_pair_make(&pair, RIG_EC, "localhost", 30, NULL);
	buf_init(&error, 4096);
	const struct tls_identity_options options = rig_options(&pair);
	if (tls_identity_new(&options, &error, &identity) != TLS_IDENTITY_MADE)
		abort();
	rig_pair_done(&pair);
	return identity;
}

void rig_client_init(struct rig_client *client, int version, const char *protocols)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	*client = (struct rig_client){ .context = context,
		.ssl = context ? SSL_new(context) : NULL };
	client->in = BIO_new(BIO_s_mem());
	client->out = BIO_new(BIO_s_mem());
	if (!client->ssl || !client->in || !client->out)
		abort();
	SSL_set_security_level(client->ssl, 0); /* old versions, too */
	if (version &&
		(!SSL_set_min_proto_version(client->ssl, version) ||
			!SSL_set_max_proto_version(client->ssl, version)))
		abort();
	if (protocols &&
		SSL_set_alpn_protos(client->ssl, (const unsigned char *)protocols,
			(unsigned)strlen(protocols)) != 0)
		abort();
	SSL_set_bio(client->ssl, client->in, client->out);
	SSL_set_connect_state(client->ssl);
}

void rig_client_done(struct rig_client *client)
{
	SSL_free(client->ssl); /* the BIOs with it */
	SSL_CTX_free(client->context);
}

size_t rig_client_take(struct rig_client *client, char *to, size_t size)
{
	int len = BIO_read(client->out, to, (int)size);

	return len > 0 ? (size_t)len : 0;
}

void rig_feed(struct tls_stream *stream, str bytes)
{
	char *to;
	size_t room;

	CHECK(tls_room(stream, &to, &room) == 0);
	CHECK(room >= bytes.len);
	memcpy(to, bytes.at, MIN(bytes.len, room));
	tls_received(stream, MIN(bytes.len, room));
}

static size_t rig_step_to_stream(struct rig_client *client, struct tls_stream *stream, size_t step)
{
	char *to;
	size_t room;

	CHECK(tls_room(stream, &to, &room) == 0);
	size_t len = room ? rig_client_take(client, to, MIN(room, step)) : 0;
	if (len)
		tls_received(stream, len);
	return len;
}

static size_t rig_step_to_client(struct tls_stream *stream, struct rig_client *client, size_t step)
{
	str waiting = str_slice(tls_output(stream), 0, step);

	if (waiting.len && BIO_write(client->in, waiting.at, (int)waiting.len) != (int)waiting.len)
		abort();
	tls_sent(stream, waiting.len);
	return waiting.len;
}

size_t rig_to_stream(struct rig_client *client, struct tls_stream *stream)
{
	return rig_step_to_stream(client, stream, TLS_IN_SIZE);
}

size_t rig_to_client(struct tls_stream *stream, struct rig_client *client)
{
	return rig_step_to_client(stream, client, SIZE_MAX);
}

int rig_shake(struct rig_client *client, struct tls_stream *stream, size_t step)
{
	int answer = TLS_MORE;
	size_t moved;

	do {
		(void)SSL_do_handshake(client->ssl);
		moved = rig_step_to_stream(client, stream, step);
		if (moved && answer == TLS_MORE)
			answer = tls_handshake(stream);
		moved += rig_step_to_client(stream, client, step);
	} while (moved && (answer != TLS_DONE || tls_output(stream).len));
	(void)SSL_do_handshake(client->ssl); /* it may learn that it was refused */
	return answer;
}
