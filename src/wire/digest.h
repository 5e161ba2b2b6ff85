#pragma once
/* SHA-256, base64 and hex, over libcrypto. */
#include "base/buf.h"

/* SHA-256 of some bytes into 32 bytes. */
void digest_sha256(str bytes, uint8_t to[static 32]);
/* The same piece by piece. digest_begin() is NULL without memory; digest_end() frees, and takes NULL. */
struct digest;
struct digest *digest_begin(void);
void digest_feed(struct digest *digest, str bytes);
void digest_end(struct digest *digest, uint8_t to[static 32]);
/* HMAC-SHA-256 with a key. */
void digest_hmac_sha256(str key, str bytes, uint8_t to[static 32]);
/* SHA-256 of a whole file (pread; the offset is not moved): 0 or a fault. */
[[nodiscard]] int digest_sha256_file(int fd, uint8_t to[static 32], uint64_t *ret_size);

/* Lower-case hex. */
void hex_put(struct buf *out, str bytes);
/* Exactly out_len bytes from 2*out_len hex digits, or -EINVAL. */
[[nodiscard]] int hex_parse(str text, uint8_t *to, size_t to_len);

/* Standard base64 with padding. */
void base64_put(struct buf *out, str bytes);
/*
 * Decode standard base64 (canonical: padding required, no white space, unused bits zero): appended
 * to `out`; -EINVAL when malformed.
 */
[[nodiscard]] int base64_decode(str text, struct buf *out);
