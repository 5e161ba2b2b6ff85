#pragma once
/* What tests of TLS share: certificates that are made on the spot, and a client that is no part of what is tested. */
#include "tls/identity.h"
#include "tls/stream.h"

#include <openssl/ssl.h>

enum rig_key { RIG_EC, RIG_RSA, RIG_RSA_SHORT };

struct rig_pair {
	X509 *cert;
	EVP_PKEY *key;
	struct buf cert_pem, key_pem;
};

/* A certificate of this name, of its own or by an issuer (who must outlive nothing), valid until in `days`. */
void rig_pair_make(struct rig_pair *pair, enum rig_key kind, const char *name, int days,
	const struct rig_pair *issuer);
void rig_pair_done(struct rig_pair *pair);
/* The same bytes and paths "the.crt" and "the.key". */
struct tls_identity_options rig_options(const struct rig_pair *pair);
/* One that all tests of a process can share. */
const struct tls_identity *rig_identity(void);

/* A client whose bytes are moved by hand; it checks no certificate. */
struct rig_client {
	SSL_CTX *context;
	SSL *ssl;
	BIO *in, *out;
};

/* `version`: TLS1_2_VERSION and the like, 0 for any. `protocols`: for ALPN, in its form, or NULL. */
void rig_client_init(struct rig_client *client, int version, const char *protocols);
void rig_client_done(struct rig_client *client);
/* What it wants to send, up to `size`: how much. */
size_t rig_client_take(struct rig_client *client, char *to, size_t size);

/*
 * Move bytes between the two, at most `step` at a time, and let both go on with the handshake, until nothing moves. What
 * tls_handshake() has last answered.
 */
int rig_shake(struct rig_client *client, struct tls_stream *stream, size_t step);
/* All that waits, one way; to the stream as far as it has room. How much was moved. */
size_t rig_to_stream(struct rig_client *client, struct tls_stream *stream);
size_t rig_to_client(struct tls_stream *stream, struct rig_client *client);
/* Give a stream bytes, which it must have room for. */
void rig_feed(struct tls_stream *stream, str bytes);
