/*
 *	          tls_room(), tls_received()              tls_read()
 *	  peer ─────────────────────────────► in ──► SSL ─────────────► who uses it
 *	       ◄───────────────────────────── out ◄──    ◄─────────────
 *	          tls_output(), tls_sent()                tls_write()
 *
 * The library reads from `in` and writes to `out` by a BIO of ours, so it never waits for a socket: the only thing that
 * it can lack is more of the peer's bytes. What it has begun to read it keeps itself (a record at most), so `in`
 * is empty whenever it lacks something; only a reader without room leaves bytes there, and then tls_room() has none.
 *
 * `out` has a ceiling that is never met in earnest: tls_write() stops long before, a handshake is as long as the
 * certificates, and what a peer can ask for later is counted. A change of keys costs us as much as some dozen of requests
 * and the peer 27 bytes; an honest one changes them after some hundred gigabytes.
 *
 * Large buffers are there only while something is in them.
 */
#include "tls/stream.h"

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "tls/parts.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <string.h>

enum {
	TLS_RECORD = 16 * 1024, /* of plain bytes in one record */
	TLS_OUT_MAX = TLS_OUT_HIGH + 2 * TLS_PEM_MAX,
	TLS_OUT_ROOM = TLS_OUT_HIGH + TLS_RECORD + 1024, /* what tls_write() may come to */
	TLS_WISHES_MAX =
		32, /* changes of keys, handshakes that are refused: in a connection's life */
	TLS_OUT_KEEP = 4096, /* a buffer above it is freed when it is empty */
};

struct tls_stream {
	SSL *ssl;
	struct buf in, out;
	size_t in_at;	 /* of `in`, read already */
	unsigned wishes; /* of the peer, after the handshake, which are not about bytes */
	bool is_open;	 /* the handshake is over */
	bool is_closed;	 /* we have said that nothing more comes */
	bool is_dry;	 /* the library has asked for more than there was */
	bool is_broken;	 /* the library must not be asked again */
	const char *reason;
};

/* --- the BIO --- */

static int bio_read(BIO *bio, char *to, int size)
{
	struct tls_stream *self = BIO_get_data(bio);
	size_t len = MIN(self->in.len - self->in_at, (size_t)MAX(size, 0));

	BIO_clear_retry_flags(bio);
	if (self->wishes > TLS_WISHES_MAX)
		return -1; /* the library goes on reading as long as it gets wishes only */
	if (len == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(to, self->in.at + self->in_at, len);
	self->in_at += len;
	return (int)len;
}

static int bio_write(BIO *bio, const char *from, int len)
{
	struct tls_stream *self = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	buf_put(&self->out, (str){ from, (size_t)MAX(len, 0) });
	return self->out.err ? -1 : len;
}

static long bio_control(BIO *bio, int command, long number, void *at)
{
	(void)bio;
	(void)number;
	(void)at;
	return command == BIO_CTRL_FLUSH; /* what is written is there at once */
}

/* One for all, made when the first is needed: all streams are of the loop's thread. */
static BIO_METHOD *bio_method(void)
{
	static BIO_METHOD *method;

	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	if (!method || !BIO_meth_set_read(method, bio_read) ||
		!BIO_meth_set_write(method, bio_write) || !BIO_meth_set_ctrl(method, bio_control)) {
		BIO_meth_free(method);
		method = NULL;
	}
	return method;
}

/* The library tells each message. */
static void on_message(
	int is_ours, int version, int type, const void *at, size_t len, SSL *ssl, void *context)
{
	struct tls_stream *self = context;

	(void)version;
	(void)at;
	(void)len;
	(void)ssl;
	self->wishes += self->is_open && !is_ours && type == SSL3_RT_HANDSHAKE;
}

/* --- life --- */

int tls_stream_new(const struct tls_identity *identity, struct tls_stream **ret_stream)
{
	struct tls_stream *self = mem_one(struct tls_stream);
	if (!self)
		return err_raise(-ENOMEM);

	BIO_METHOD *method = bio_method();
	BIO *bio = method ? BIO_new(method) : NULL;
	self->ssl = bio ? SSL_new(identity->context) : NULL;
	if (!self->ssl) {
		BIO_free(bio);
		mem_free(self);
		return err_raise(-ENOMEM);
	}
	BIO_set_data(bio, self);
	BIO_set_init(bio, 1);
	SSL_set_bio(self->ssl, bio, bio); /* the one reference that there is becomes its */
	SSL_set_accept_state(self->ssl);
	SSL_set_msg_callback(self->ssl, on_message);
	SSL_set_msg_callback_arg(self->ssl, self);
	buf_init(&self->in, TLS_IN_SIZE);
	buf_init(&self->out, TLS_OUT_MAX);
	self->is_dry = true;

	*ret_stream = self;
	return 0;
}

void tls_stream_free(struct tls_stream *stream)
{
	if (!stream)
		return;
	SSL_free(stream->ssl);
	buf_done(&stream->in);
	buf_done(&stream->out);
	mem_free(stream);
}

/* --- from the peer --- */

int tls_room(struct tls_stream *stream, char **ret_at, size_t *ret_size)
{
	if (stream->in_at == stream->in.len) {
		buf_clear(&stream->in);
		stream->in_at = 0;
	}
	if (!stream->in.at && buf_reserve(&stream->in, TLS_IN_SIZE) < 0) {
		buf_clear(&stream->in); /* another time there may be memory */
		return err_raise(-ENOMEM);
	}
	*ret_at = stream->in.at;
	*ret_size = stream->in.len ? 0 : TLS_IN_SIZE;
	return 0;
}

void tls_received(struct tls_stream *stream, size_t len)
{
	assert(stream->in.at && !stream->in.len && len <= TLS_IN_SIZE);
	stream->in.len = len;
	stream->is_dry = stream->is_dry && len == 0;
}

/* Nothing of the peer's is left: the next bytes are told by a readiness. */
static void stream_dry(struct tls_stream *self)
{
	assert(self->in_at == self->in.len);
	self->is_dry = true;
	buf_done(&self->in);
	self->in_at = 0;
}

/* What the library's refusal to go on means. */
static enum tls_answer stream_answer(struct tls_stream *self, int result)
{
	switch (SSL_get_error(self->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		stream_dry(self);
		return TLS_MORE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_END;
	default:
		self->is_broken = true;
		self->reason = ERR_reason_error_string(ERR_peek_error());
		ERR_clear_error();
		return TLS_BROKEN;
	}
}

int tls_handshake(struct tls_stream *stream)
{
	if (stream->is_broken)
		return TLS_BROKEN;
	ERR_clear_error(); /* somebody else's would be taken for ours */
	int result = SSL_do_handshake(stream->ssl);
	if (result != 1)
		return (int)stream_answer(stream, result);
	stream->is_open = true;
	if (stream->in_at == stream->in.len && !SSL_has_pending(stream->ssl))
		stream_dry(stream); /* most clients wait for our word before they ask */
	return TLS_DONE;
}

int tls_read(struct tls_stream *stream, char *to, size_t size, size_t *ret_len)
{
	size_t len = 0;
	int answer = TLS_DONE;

	assert(stream->is_open);
	if (stream->is_broken)
		answer = TLS_BROKEN;
	while (answer == TLS_DONE && len < size) {
		ERR_clear_error();
		size_t got = 0;
		int result = SSL_read_ex(stream->ssl, to + len, size - len, &got);
		if (result != 1)
			answer = (int)stream_answer(stream, result);
		len += got;
	}
	*ret_len = len;
	return answer;
}

bool tls_has_input(const struct tls_stream *stream)
{
	return !stream->is_dry;
}

/* --- to the peer --- */

/* Up to a record of what the pieces have from `skip` on, in one place. */
static str stream_gather(
	const struct iovec *pieces, size_t count, size_t skip, char scratch[static TLS_RECORD])
{
	size_t len = 0;

	for (size_t i = 0; i < count && len < TLS_RECORD; i++) {
		size_t from = MIN(skip, pieces[i].iov_len);
		str rest = { (const char *)pieces[i].iov_base + from, pieces[i].iov_len - from };
		skip -= from;
		if (len == 0 && rest.len >= TLS_RECORD)
			return str_slice(rest, 0, TLS_RECORD); /* where it is */
		rest = str_slice(rest, 0, TLS_RECORD - len);
		if (rest.len)
			memcpy(scratch + len, rest.at, rest.len);
		len += rest.len;
	}
	return (str){ scratch, len };
}

int tls_write(struct tls_stream *stream, const struct iovec *pieces, size_t count, size_t skip,
	size_t *ret_taken)
{
	char scratch[TLS_RECORD];
	size_t taken = 0;
	int answer = stream->is_broken ? TLS_BROKEN : TLS_DONE;

	assert(stream->is_open && !stream->is_closed);
	while (answer == TLS_DONE && tls_output(stream).len < TLS_OUT_HIGH) {
		str bytes = stream_gather(pieces, count, skip + taken, scratch);
		if (!bytes.len)
			break;
		if (bytes.len == TLS_RECORD && !stream->out.len)
			(void)!buf_reserve(
				&stream->out, TLS_OUT_ROOM); /* a failure shows in what follows */
		size_t written = 0;
		ERR_clear_error();
		int result = SSL_write_ex(stream->ssl, bytes.at, bytes.len, &written);
		if (result != 1)
			answer = (int)stream_answer(stream, result);
		taken += written;
	}
	*ret_taken = taken;
	/* A peer that has begun to change its keys, and is not done, could keep us from writing: ours do not do that. */
	stream->is_broken = stream->is_broken || answer != TLS_DONE;
	return answer == TLS_DONE ? TLS_DONE : TLS_BROKEN;
}

void tls_close(struct tls_stream *stream)
{
	if (stream->is_broken || stream->is_closed || !stream->is_open)
		return;
	stream->is_closed = true;
	ERR_clear_error();
	(void)SSL_shutdown(stream->ssl); /* the peer's own word is not waited for */
	ERR_clear_error();
}

str tls_output(const struct tls_stream *stream)
{
	return buf_str(&stream->out);
}

void tls_sent(struct tls_stream *stream, size_t len)
{
	assert(len <= stream->out.len);
	if (len == stream->out.len && stream->out.size > TLS_OUT_KEEP)
		buf_done(&stream->out);
	else
		buf_drop(&stream->out, len);
}

const char *tls_reason(const struct tls_stream *stream)
{
	return stream->reason ? stream->reason : "no reason is known";
}
