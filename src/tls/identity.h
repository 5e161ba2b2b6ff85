#pragma once
/*
 * Who a TLS server is: its certificate, with the chain behind it, and its private key. TLS 1.2 and 1.3 only, HTTP/1.1
 * as the protocol, no renegotiation, tickets instead of a cache of sessions.
 */
#include "base/buf.h"

struct tls_identity;

enum tls_identity_answer { TLS_IDENTITY_MADE = 0, TLS_IDENTITY_BAD };

/* What a file may have. */
enum { TLS_PEM_MAX = 256 * 1024 };

/*
 * From what the two files have, as PEM; `cert_path` and `key_path` are for the words of the error. TLS_IDENTITY_BAD:
 * `error` says which file is wrong, why, and what to do; or a fault. The bytes are not needed any more when it returns. From
 * any thread.
 */
struct tls_identity_options {
	str cert, key;
	str cert_path, key_path;
};
[[nodiscard]] int tls_identity_new(const struct tls_identity_options *options, struct buf *error,
	struct tls_identity **ret_identity);
/* Connections that it was used for go on. NULL is fine. */
void tls_identity_free(struct tls_identity *identity);

/* New connections get what `fresh` has, which is freed. */
void tls_identity_replace(struct tls_identity *identity, struct tls_identity *fresh);

/* From when until when its certificate is valid, in seconds since 1970. */
uint64_t tls_identity_begins_s(const struct tls_identity *identity);
uint64_t tls_identity_expires_s(const struct tls_identity *identity);
