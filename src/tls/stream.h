#pragma once
/*
 * The server's end of one TLS connection as a stream of bytes, without a socket: what the peer has sent goes in, what it
 * meant comes out, and the other way round. Nothing blocks; who calls moves the bytes, and so decides how many wait.
 */
#include "base/str.h"

#include <sys/uio.h>

struct tls_identity;
struct tls_stream;

enum tls_answer {
	TLS_DONE = 0,
	TLS_MORE,   /* not without more from the peer */
	TLS_END,    /* the peer has said that it sends no more */
	TLS_BROKEN, /* what has come is no TLS, or none that we accept: send what waits, and close */
};

enum {
	TLS_IN_SIZE = 32 * 1024,  /* how much of the peer's may wait in a stream */
	TLS_OUT_HIGH = 64 * 1024, /* at so much that is not sent, tls_write() takes no more */
};

/* A stream on which nothing was said. 0 or -ENOMEM. */
[[nodiscard]] int tls_stream_new(
	const struct tls_identity *identity, struct tls_stream **ret_stream);
/* NULL is fine. */
void tls_stream_free(struct tls_stream *stream);

/*
 * Where to put what the peer has sent: 0, *ret_at and *ret_size, which is 0 while what came before has not been read; or
 * -ENOMEM. Then say how much was put there.
 */
[[nodiscard]] int tls_room(struct tls_stream *stream, char **ret_at, size_t *ret_size);
void tls_received(struct tls_stream *stream, size_t len);

/* Go on with the handshake: TLS_DONE when it is over, TLS_MORE, TLS_BROKEN. */
[[nodiscard]] int tls_handshake(struct tls_stream *stream);

/*
 * What the peer has meant, as much of it as is there and fits: TLS_DONE when `to` is full, else what keeps it from being
 * full. *ret_len is written in each case. After the handshake.
 */
[[nodiscard]] int tls_read(struct tls_stream *stream, char *to, size_t size, size_t *ret_len);
/* May tls_read() find something without another byte from the peer? */
[[nodiscard]] bool tls_has_input(const struct tls_stream *stream);

/*
 * Say these bytes, all pieces together from `skip` on, as few records as there can be: TLS_DONE and how many were
 * taken, which is not all of them when too much waits to be sent; or TLS_BROKEN. After the handshake.
 */
[[nodiscard]] int tls_write(struct tls_stream *stream, const struct iovec *pieces, size_t count,
	size_t skip, size_t *ret_taken);
/* Say that nothing more will come, which is the last that may be written; before the handshake's end, or twice, nothing happens. */
void tls_close(struct tls_stream *stream);

/* What is to be sent to the peer, borrowed until the next call; and that so much of it was. */
[[nodiscard]] str tls_output(const struct tls_stream *stream);
void tls_sent(struct tls_stream *stream, size_t len);

/* Why it is TLS_BROKEN, for a log: text of the library's. */
[[nodiscard]] const char *tls_reason(const struct tls_stream *stream);
