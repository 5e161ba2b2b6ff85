/*
 * Connections over TLS: between the socket and everything else there is a stream (tls/stream.h) that enciphers.
 *
 *	socket ──read(2)──► TLS ──► input buffer ──► requests
 *	       ◄─sendmsg(2)     ◄── output buffer, pieces, file
 *
 * To the other parts it looks like a socket that takes 64 KB more than the kernel does and may have something to
 * read that no readiness tells. conn_watch() knows both: it waits to write while something waits here, and has the
 * connection's task read on while something is left here.
 *
 * A handshake has a deadline of its own. Who has begun none is an idle connection like any other.
 */
#include "http/secure.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "tls/stream.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SECURE_FILE_PIECE = 16 * 1024 };

size_t secure_backlog(const struct http_conn *conn)
{
	return tls_output(conn->tls).len;
}

bool secure_has_input(const struct http_conn *conn)
{
	return tls_has_input(conn->tls);
}

int secure_flush(struct http_conn *conn)
{
	for (;;) {
		str bytes = tls_output(conn->tls);
		if (!bytes.len)
			return 0;
		struct iovec piece = { (char *)bytes.at, bytes.len };
		ssize_t sent = sendmsg(conn->fd,
			&(struct msghdr){ .msg_iov = &piece, .msg_iovlen = 1 }, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		tls_sent(conn->tls, (size_t)sent);
		if ((size_t)sent < bytes.len)
			return 0; /* full: another try would only be told so */
	}
}

/* The peer hears why, if it still listens. */
static int secure_break(struct http_conn *conn)
{
	log_debug("tls_failed", LOG_TEXT("reason", tls_reason(conn->tls)));
	(void)!secure_flush(conn);
	return -EPROTO;
}

/* One read(2): how much, 0 at the end, or -errno. */
static ssize_t secure_receive(struct http_conn *conn)
{
	char *to;
	size_t room;

	int r = tls_room(conn->tls, &to, &room);
	if (r < 0)
		return err_pass(r);
	assert(room > 0); /* it has asked for more, so nothing is left */
	ssize_t len = read(conn->fd, to, room);
	if (len < 0)
		return -errno;
	tls_received(conn->tls, (size_t)len);
	return len;
}

/* --- the handshake --- */

static void secure_shake(struct http_conn *conn)
{
	int answer = tls_handshake(conn->tls);
	int r = answer == TLS_BROKEN ? secure_break(conn) : secure_flush(conn);

	if (r < 0) {
		conn_fail(conn, r, "shake hands");
		return;
	}
	if (answer == TLS_DONE)
		conn_enter(conn, CONN_IDLE);
	conn_watch(conn);
}

void secure_begin(struct http_conn *conn)
{
	char *to;
	size_t room;

	assert(conn->state == CONN_IDLE && !conn->tls && conn->start == 0);
	static_assert((int)CONN_IN_SIZE <= (int)TLS_IN_SIZE);
	int r = tls_stream_new(conn->server->options.tls, &conn->tls);
	if (r == 0)
		r = tls_room(conn->tls, &to, &room);
	if (r < 0) {
		conn_fail(conn, r, "begin with TLS");
		return;
	}
	assert(room >= conn->in.len);
	memcpy(to, conn->in.at, conn->in.len);
	tls_received(conn->tls, conn->in.len);
	server_give_input(conn->server, &conn->in);
	conn_enter(conn, CONN_SHAKING);
	secure_shake(conn);
}

void secure_on_readable(struct http_conn *conn)
{
	assert(conn->state == CONN_SHAKING);
	ssize_t len = secure_receive(conn);
	if (len == -EAGAIN || len == -EINTR)
		return;
	if (len <= 0)
		conn_fail(conn, len == 0 ? -EPROTO : (int)len, "shake hands");
	else
		secure_shake(conn);
}

/* --- bytes --- */

ssize_t secure_read(struct http_conn *conn, char *to, size_t size)
{
	size_t len;

	assert(size > 0);
	int answer = tls_read(conn->tls, to, size, &len);
	if (answer == TLS_MORE && len == 0) {
		ssize_t received = secure_receive(conn);
		if (received <= 0)
			return received;
		answer = tls_read(conn->tls, to, size, &len);
	}
	if (len > 0) /* whatever the answer is: it will be the same */
		return (ssize_t)len;
	if (answer == TLS_BROKEN)
		return secure_break(conn);
	int r = secure_flush(conn); /* what was no request may want an answer of its own */
	if (r < 0)
		return r;
	return answer == TLS_END ? 0 : -EAGAIN;
}

ssize_t secure_send(struct http_conn *conn, const struct iovec *pieces, size_t count)
{
	size_t all = 0, taken;

	do {
		if (tls_write(conn->tls, pieces, count, all, &taken) != TLS_DONE)
			return secure_break(conn);
		all += taken;
		int r = secure_flush(conn);
		if (r < 0)
			return r;
	} while (taken > 0 && all < CONN_SECURE_STEP);
	return (ssize_t)all;
}

int secure_send_file(struct http_conn *conn)
{
	char bytes[SECURE_FILE_PIECE];
	uint64_t step = CONN_FILE_STEP;

	while (conn->file_left > 0 && step > 0 && secure_backlog(conn) < TLS_OUT_HIGH) {
		ssize_t len = pread(conn->file_fd, bytes,
			(size_t)MIN(conn->file_left, sizeof(bytes)), conn->file_at);
		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0) { /* 0: the file is shorter than was announced */
			int fault = len < 0 ? -errno : -EIO;
			(void)!secure_flush(conn);
			return err_raise(fault);
		}
		size_t taken;
		if (tls_write(conn->tls, &(struct iovec){ bytes, (size_t)len }, 1, 0, &taken) !=
			TLS_DONE)
			return secure_break(conn);
		assert(taken == (size_t)len); /* a record, of which there was room */
		conn->file_at += len;
		conn->file_left -= (uint64_t)len;
		step -= MIN(step, (uint64_t)len);
		if (secure_backlog(conn) >= TLS_OUT_HIGH || conn->file_left == 0) {
			int r = secure_flush(conn);
			if (r < 0)
				return r;
		}
	}
	return secure_flush(conn);
}

int secure_close(struct http_conn *conn)
{
	tls_close(conn->tls);
	return secure_flush(conn);
}
