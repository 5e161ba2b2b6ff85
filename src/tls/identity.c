/*
 * OpenSSL is told here, once, what every connection may do. What it could do beyond that is off:
 *
 *	versions below 1.2, ciphers without forward secrecy or authenticated encryption
 *	renegotiation	asked for by a peer it costs a signature each time
 *	compression	tells secrets by lengths
 *	its cache	20,480 sessions that any peer can fill; tickets keep them at the peer
 *	early data	can be replayed
 *
 * A renewal makes a new context, so tickets that were given out before lead to a whole handshake.
 */
#include "tls/identity.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "tls/parts.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

/* TLS 1.2's; 1.3 has none that would have to be kept away. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

enum { CHAIN_MAX = 16 };

/* The library's own words for what it does not like. */
static const char *library_words(void)
{
	const char *words = ERR_reason_error_string(ERR_peek_last_error());

	return words ? words : "no reason is known";
}

static int bad_cert(const struct tls_identity_options *options, const char *why, struct buf *error)
{
	buf_put(error, S("tls-cert: "));
	buf_put(error, options->cert_path);
	buf_putf(error, " %s", why);
	return TLS_IDENTITY_BAD;
}

static int bad_key(const struct tls_identity_options *options, const char *why, struct buf *error)
{
	buf_put(error, S("tls-key: "));
	buf_put(error, options->key_path);
	buf_putf(error, " %s", why);
	return TLS_IDENTITY_BAD;
}

/* Nobody is there to be asked for a passphrase: without this the library would ask the terminal. */
static int no_passphrase(char *to, int size, int is_writing, void *has_asked)
{
	(void)to;
	(void)size;
	(void)is_writing;
	*(bool *)has_asked = true;
	return -1;
}

static uint64_t seconds_of(const ASN1_TIME *time)
{
	struct tm parts;

	if (!time || !ASN1_TIME_to_tm(time, &parts))
		return 0;
	time_t seconds = timegm(&parts);
	return seconds > 0 ? (uint64_t)seconds : 0;
}

/* The rest of the file: those who have issued the certificate, one after the other. */
static int identity_take_chain(struct tls_identity *self, BIO *file,
	const struct tls_identity_options *options, struct buf *error)
{
	for (int i = 0;; i++) {
		bool has_asked = false;
		X509 *issuer = PEM_read_bio_X509(file, NULL, no_passphrase, &has_asked);
		unsigned long code = ERR_peek_last_error();
		if (!issuer && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
			return TLS_IDENTITY_MADE; /* the end */
		if (!issuer || i == CHAIN_MAX || !SSL_CTX_add0_chain_cert(self->context, issuer)) {
			X509_free(issuer);
			return bad_cert(options,
				"has something behind the first certificate that is none in PEM form, "
				"or too much: the chain of issuers may follow, and nothing else",
				error);
		}
	}
}

static int identity_take_cert(
	struct tls_identity *self, const struct tls_identity_options *options, struct buf *error)
{
	bool has_asked = false;
	BIO *file = BIO_new_mem_buf(options->cert.at, (int)options->cert.len);
	X509 *cert = file ? PEM_read_bio_X509(file, NULL, no_passphrase, &has_asked) : NULL;
	int r = file ? TLS_IDENTITY_MADE : err_raise(-ENOMEM);

	if (file && !cert)
		r = bad_cert(options,
			"has no certificate in PEM form (-----BEGIN CERTIFICATE-----). One in DER form is "
			"converted by: openssl x509 -inform DER -in FILE -out FILE.pem",
			error);
	if (cert && SSL_CTX_use_certificate(self->context, cert) != 1) {
		r = bad_cert(options, "is refused: ", error);
		buf_putf(error, "%s. Use one with an EC key (P-256) or RSA of 2048 bits or more",
			library_words());
	}
	if (cert && r == TLS_IDENTITY_MADE) {
		self->begins_s = seconds_of(X509_get0_notBefore(cert));
		self->expires_s = seconds_of(X509_get0_notAfter(cert));
		r = identity_take_chain(self, file, options, error);
	}
	X509_free(cert);
	BIO_free(file);
	return r < 0 ? err_pass(r) : r;
}

static int identity_take_key(
	struct tls_identity *self, const struct tls_identity_options *options, struct buf *error)
{
	bool has_asked = false;
	BIO *file = BIO_new_mem_buf(options->key.at, (int)options->key.len);
	if (!file)
		return err_raise(-ENOMEM);

	EVP_PKEY *key = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, &has_asked);
	BIO_free(file);
	if (!key)
		return bad_key(options,
			has_asked
				? "is encrypted, and nobody is there to type a passphrase. Write it "
				  "without one: openssl pkey -in FILE -out FILE.open"
				: "has no private key in PEM form (-----BEGIN PRIVATE KEY-----)",
			error);
	bool is_taken = SSL_CTX_use_PrivateKey(self->context, key) == 1 &&
		SSL_CTX_check_private_key(self->context) == 1;
	EVP_PKEY_free(key);
	if (is_taken)
		return TLS_IDENTITY_MADE;
	(void)bad_key(options, "has another key than the certificate of ", error);
	buf_put(error, options->cert_path);
	buf_put(error,
		S(". Name the two files that were made together; in that of the certificate the server's "
		  "own one comes first, its issuers follow"));
	return TLS_IDENTITY_BAD;
}

/* Those who offer protocols must offer ours; who offers none is a client of HTTP/1.1. */
static int on_alpn(SSL *ssl, const unsigned char **ret_at, unsigned char *ret_len,
	const unsigned char *offered, unsigned offered_len, void *context)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void)ssl;
	(void)context;
	if (SSL_select_next_proto((unsigned char **)ret_at, ret_len, ours, sizeof(ours) - 1,
		    offered, offered_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

static int identity_set_up(struct tls_identity *self)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (!context)
		return err_raise(-ENOMEM);

	self->context = context;
	(void)SSL_CTX_set_options(context,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
			SSL_OP_PRIORITIZE_CHACHA);
	(void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* idle connections keep none */
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_max_early_data(context, 0);
	SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_cipher_list(context, CIPHERS) != 1)
		return err_raise(-EINVAL);
	return 0;
}

int tls_identity_new(const struct tls_identity_options *options, struct buf *error,
	struct tls_identity **ret_identity)
{
	if (options->cert.len > TLS_PEM_MAX)
		return bad_cert(options, "is too long for a chain of certificates", error);
	if (options->key.len > TLS_PEM_MAX)
		return bad_key(options, "is too long for a key", error);
	struct tls_identity *self = mem_one(struct tls_identity);
	if (!self)
		return err_raise(-ENOMEM);

	ERR_clear_error();
	int r = identity_set_up(self);
	if (r == 0)
		r = identity_take_cert(self, options, error);
	if (r == TLS_IDENTITY_MADE)
		r = identity_take_key(self, options, error);
	ERR_clear_error();
	if (r != TLS_IDENTITY_MADE) {
		tls_identity_free(self);
		return r < 0 ? err_pass(r) : r;
	}
	*ret_identity = self;
	return TLS_IDENTITY_MADE;
}

void tls_identity_free(struct tls_identity *identity)
{
	if (!identity)
		return;
	SSL_CTX_free(identity->context); /* connections hold it, too */
	mem_free(identity);
}

void tls_identity_replace(struct tls_identity *identity, struct tls_identity *fresh)
{
	const struct tls_identity before = *identity;

	*identity = *fresh;
	*fresh = before;
	tls_identity_free(fresh);
}

uint64_t tls_identity_begins_s(const struct tls_identity *identity)
{
	return identity->begins_s;
}

uint64_t tls_identity_expires_s(const struct tls_identity *identity)
{
	return identity->expires_s;
}
