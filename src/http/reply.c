/*
 * Sending. One sendmsg(2) a reply gathers what was held back, the head, the caller's fields and the
 * body from where they are; only what the socket does not take is copied, into the output buffer.
 *
 * Over TLS the pieces are enciphered instead, and a file is read instead of passed on: see secure.c.
 *
 * A held reply waits in the output buffer for the next one on this connection, if the peer has
 * sent more already; conn.c flushes it when that turns out to be only a part of a request.
 */
#include "http/conn.h"

#include "base/attr.h"
#include "base/err.h"
#include "http/secure.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

enum {
	REPLY_HEAD_MAX = 512,	   /* of the lines that are added here */
	REPLY_REFUSAL_MAX = 65536, /* of what on_refuse writes */
	REPLY_PIECES_MAX = 6,
};

bool conn_has_output(const struct http_conn *conn)
{
	return conn->out.len > conn->out_sent || conn->file_fd >= 0 ||
		(conn->tls && secure_backlog(conn) > 0);
}

/* All that is not with the kernel. */
static uint64_t conn_output_left(const struct http_conn *conn)
{
	return conn->out.len - conn->out_sent + conn->file_left +
		(conn->tls ? secure_backlog(conn) : 0);
}

/* Everything in the output buffer went out. */
static void conn_empty_output(struct http_conn *conn)
{
	conn->out_sent = 0;
	if (conn->out.size > CONN_OUT_KEEP)
		buf_done(&conn->out);
	else
		buf_clear(&conn->out);
}

/* Keep what is behind the first `sent` bytes of these pieces. 0 or a fault. */
static int conn_keep_output(
	struct http_conn *conn, const struct iovec *pieces, size_t count, size_t sent)
{
	for (size_t i = 0; i < count; i++) {
		size_t skip = MIN(sent, pieces[i].iov_len);
		sent -= skip;
		buf_put(&conn->out, str_from((str){ pieces[i].iov_base, pieces[i].iov_len }, skip));
	}
	return conn->out.err ? err_raise(conn->out.err) : 0;
}

/* sendmsg(2) of the pieces: how many bytes went, 0 when the socket is full, or a fault. */
static ssize_t conn_sendmsg(struct http_conn *conn, struct iovec *pieces, size_t count, int flags)
{
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = count };
	ssize_t sent;

	if (conn->tls)
		return secure_send(conn, pieces, count);
	do
		sent = sendmsg(conn->fd, &message, MSG_NOSIGNAL | flags);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN ? 0 : -errno;
	return sent;
}

int conn_send(struct http_conn *conn, const struct iovec *pieces, size_t count)
{
	struct iovec all[REPLY_PIECES_MAX + 1];
	size_t waiting = conn->out.len - conn->out_sent, total = waiting;

	assert(count <= REPLY_PIECES_MAX);
	if (waiting > 0)
		all[0] = (struct iovec){ conn->out.at + conn->out_sent, waiting };
	for (size_t i = 0; i < count; i++) {
		all[i + 1] = pieces[i];
		total += pieces[i].iov_len;
	}
	size_t first = waiting == 0;
	ssize_t sent = conn_sendmsg(
		conn, all + first, count + 1 - first, conn->file_fd >= 0 ? MSG_MORE : 0);
	if (sent < 0)
		return (int)sent; /* the peer is gone: nothing to trace */
	if ((size_t)sent == total) {
		conn_empty_output(conn);
		return 0;
	}
	conn->out_sent += MIN((size_t)sent, waiting);
	return err_pass(
		conn_keep_output(conn, pieces, count, (size_t)sent - MIN((size_t)sent, waiting)));
}

/* As much of the file as the socket takes, within bounds. 0 or a fault. */
static int conn_send_file(struct http_conn *conn)
{
	uint64_t step = CONN_FILE_STEP;

	if (conn->tls)
		return secure_send_file(conn);
	while (conn->file_left > 0 && step > 0) {
		ssize_t sent = sendfile(conn->fd, conn->file_fd, &conn->file_at,
			(size_t)MIN(conn->file_left, step));
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			return 0;
		if (sent < 0)
			return -errno;
		if (sent == 0)
			return err_raise(-EIO); /* the file is shorter than was announced */
		conn->file_left -= (uint64_t)sent;
		step -= (uint64_t)sent;
	}
	return 0;
}

/* What there is, in order. 0 or a fault. */
static int conn_send_all(struct http_conn *conn)
{
	int r = conn->tls ? secure_flush(conn) : 0;

	if (r == 0 && conn->out.len > conn->out_sent)
		r = conn_send(conn, NULL, 0);
	if (r == 0 && conn->file_fd >= 0 && conn->out.len == conn->out_sent) {
		r = conn_send_file(conn);
		if (conn->file_left == 0)
			fd_close(&conn->file_fd);
	}
	return r;
}

int conn_flush(struct http_conn *conn)
{
	uint64_t before = conn_output_left(conn);

	int r = conn_send_all(conn);
	if (r < 0)
		return r;
	if (conn_output_left(conn) < before &&
		conn->state == CONN_SENDING) { /* it takes something: its time starts anew */
		conn->since_ms = loop_now_ms(conn->server->options.loop);
		list_remove(&conn->link);
		list_push_back(&conn->server->lists[TIME_SEND], &conn->link);
	}
	return 0;
}

/* RFC 9110 6.4.1: "responses with status code 1xx, 204 and 304 do not include content". */
static bool reply_has_content(int status)
{
	return status >= 200 && status != 204 && status != 304;
}

static void reply_put_status(struct http_conn *conn, int status, struct buf *out)
{
	buf_put(out, S("HTTP/1.1 "));
	buf_put_u64(out, (uint64_t)status);
	buf_put_char(out, ' ');
	buf_put(out, str_of(http_reason(status)));
	buf_put(out, S("\r\nDate: "));
	buf_put(out, server_date(conn->server));
}

/* Of what follows the reply on this connection, and the end of our lines. */
static void reply_put_connection(struct http_conn *conn, bool is_http_10, struct buf *out)
{
	if (conn->is_closing)
		buf_put(out, S("\r\nConnection: close"));
	else if (is_http_10)
		buf_put(out, S("\r\nConnection: keep-alive"));
	buf_put(out, S("\r\n"));
	assert(!out->err);
}

/* The status line and the lines that are ours. */
static void reply_put_head(
	struct http_conn *conn, const struct http_reply *reply, bool is_http_10, struct buf *out)
{
	reply_put_status(conn, reply->status, out);
	if (reply_has_content(reply->status)) {
		buf_put(out, S("\r\nContent-Length: "));
		buf_put_u64(out, reply->file_fd > 0 ? reply->file_len : reply->body.len);
	}
	reply_put_connection(conn, is_http_10, out);
}

/* Send it, or keep it for later. 0 or a fault. */
static int reply_send(struct http_conn *conn, const struct http_reply *reply, bool is_held)
{
	const struct http_head *head = conn->exchange ? &conn->exchange->request.head : NULL;
	char text[REPLY_HEAD_MAX];
	struct buf lines;
	bool has_body = reply_has_content(reply->status) && !(head && head->verb == HTTP_HEAD);

	buf_init_over(&lines, text, sizeof(text));
	reply_put_head(conn, reply, head && head->minor == 0, &lines);
	if (reply->file_fd > 0) {
		conn->file_fd = reply->file_fd;
		conn->file_at = 0;
		conn->file_left = has_body ? reply->file_len : 0;
		if (conn->file_left == 0)
			fd_close(&conn->file_fd);
	}
	str body = has_body && reply->file_fd <= 0 ? reply->body : (str){};
	const struct iovec pieces[] = {
		{ lines.at, lines.len },
		{ (char *)reply->fields.at, reply->fields.len },
		{ (char[]){ '\r', '\n' }, 2 },
		{ (char *)body.at, body.len },
	};

	if (is_held)
		return err_pass(conn_keep_output(conn, pieces, ARRAY_LEN(pieces), 0));
	int r = conn_send(conn, pieces, ARRAY_LEN(pieces));
	if (r < 0)
		return r;
	return conn->file_fd >= 0 ? conn_flush(conn) : 0;
}

/* The reply is on its way: where to from here? */
static void reply_after(struct http_conn *conn, bool is_held)
{
	if (conn_has_output(conn) && !is_held) {
		conn_enter(conn, CONN_SENDING);
		conn_watch(conn);
		return;
	}
	conn_on_sent(conn);
}

/* Does the connection close after it? */
static bool reply_is_last(const struct http_conn *conn, const struct http_reply *reply)
{
	bool has_more = conn->in.len > conn->start + body_end(conn);

	return reply->close || conn->server->is_draining ||
		!conn->exchange->request.head.keep_alive || (conn->is_at_end && !has_more);
}

void http_reply(struct http_conn *conn, const struct http_reply *reply)
{
	struct http_server *server = conn->server;

	assert(conn->is_request_open && reply->status >= 200 && reply->status < 600);
	conn->is_request_open = false;
	server->open--;
	if (conn->state == CONN_DEAD) { /* it died in this iteration: on_gone is still to come */
		int file_fd = reply->file_fd > 0 ? reply->file_fd : -1;
		fd_close(&file_fd);
		return;
	}
	assert(conn->state == CONN_OPEN);
	size_t used = body_end(conn);
	bool has_more = conn->in.len > conn->start + used;
	conn->is_closing = reply_is_last(conn, reply);
	conn->is_input_unread = has_more;
	bool is_held = reply->hold && has_more && !conn->is_closing && reply->file_fd <= 0;
	int r = reply_send(conn, reply, is_held);
	conn_end_exchange(conn, used); /* after sending: the reply may view the request */
	if (r < 0)
		conn_fail(conn, r, "send a reply");
	else
		reply_after(conn, is_held);
}

void conn_refuse(struct http_conn *conn, int status)
{
	const struct http_server_options *options = &conn->server->options;
	struct buf fields, body;

	buf_init(&fields, REPLY_REFUSAL_MAX);
	buf_init(&body, REPLY_REFUSAL_MAX);
	if (options->ops->on_refuse)
		options->ops->on_refuse(options->context, status, &fields, &body);
	conn->is_closing = true;
	conn->is_input_unread = status != 408; /* who was too slow gets no more time */
	const struct http_reply reply = { .status = status,
		.fields = fields.err ? S("") : buf_str(&fields),
		.body = body.err ? S("") : buf_str(&body) };
	int r = reply_send(conn, &reply, false);
	buf_done(&fields);
	buf_done(&body);
	if (r < 0)
		conn_fail(conn, r, "send a reply");
	else
		reply_after(conn, false);
}

/* --- in pieces --- */

static enum stream_framing stream_framing_of(const struct http_conn *conn, int status)
{
	const struct http_head *head = &conn->exchange->request.head;

	if (!reply_has_content(status) || head->verb == HTTP_HEAD)
		return STREAM_NOTHING;
	return head->minor == 0 ? STREAM_UNTIL_CLOSE : STREAM_CHUNKS;
}

/* Send, behind what waits; in between only as much is in memory as the socket has not taken. */
static void stream_send(struct http_conn *conn, const struct iovec *pieces, size_t count)
{
	int r;

	assert(conn->state == CONN_STREAM);
	if (conn_has_output(conn)) { /* the watch sends it */
		buf_drop(&conn->out, conn->out_sent);
		conn->out_sent = 0;
		r = err_pass(conn_keep_output(conn, pieces, count, 0));
	} else {
		r = conn_send(conn, pieces, count);
		if (r == 0 && conn_has_output(conn))
			conn_watch(conn);
	}
	if (r < 0)
		conn_fail(conn, r, "send a reply in pieces");
}

void http_stream_begin(struct http_conn *conn, const struct http_reply *reply)
{
	char text[REPLY_HEAD_MAX];
	struct buf lines;

	assert(conn->is_request_open && reply->status >= 200 && reply->status < 600);
	assert(!reply->body.len && reply->file_fd <= 0 && !reply->hold);
	if (conn->state == CONN_DEAD)
		return;
	conn->framing = stream_framing_of(conn, reply->status);
	conn->is_closing = reply_is_last(conn, reply) || conn->framing == STREAM_UNTIL_CLOSE;
	buf_init_over(&lines, text, sizeof(text));
	reply_put_status(conn, reply->status, &lines);
	if (conn->framing == STREAM_CHUNKS)
		buf_put(&lines, S("\r\nTransfer-Encoding: chunked"));
	reply_put_connection(conn, conn->exchange->request.head.minor == 0, &lines);
	const struct iovec pieces[] = {
		{ lines.at, lines.len },
		{ (char *)reply->fields.at, reply->fields.len },
		{ (char[]){ '\r', '\n' }, 2 },
	};
	conn_enter(conn, CONN_STREAM);
	bool was_waiting = conn_has_output(conn); /* what was held back for this reply */
	stream_send(conn, pieces, ARRAY_LEN(pieces));
	if (was_waiting && conn->state == CONN_STREAM)
		conn_watch(conn);
}

void http_stream_send(struct http_conn *conn, const str *pieces, size_t count)
{
	struct iovec all[HTTP_STREAM_PIECES_MAX + 2];
	char size[sizeof("ffffffffffffffff\r\n")];
	size_t len = 0;

	assert(count <= HTTP_STREAM_PIECES_MAX);
	for (size_t i = 0; i < count; i++) {
		all[i + 1] = (struct iovec){ (char *)pieces[i].at, pieces[i].len };
		len += pieces[i].len;
	}
	if (len == 0 || conn->state == CONN_DEAD || conn->framing == STREAM_NOTHING)
		return; /* an empty chunk would be the end */
	if (conn->framing == STREAM_UNTIL_CLOSE) {
		stream_send(conn, all + 1, count);
		return;
	}
	all[0] = (struct iovec){ size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", len) };
	all[count + 1] = (struct iovec){ (char[]){ '\r', '\n' }, 2 };
	stream_send(conn, all, count + 2);
}

size_t http_stream_backlog(const struct http_conn *conn)
{
	return conn->out.len - conn->out_sent + (conn->tls ? secure_backlog(conn) : 0);
}

void http_stream_end(struct http_conn *conn)
{
	static const str last = S_INIT("0\r\n\r\n");

	assert(conn->is_request_open);
	if (conn->state != CONN_DEAD && conn->framing == STREAM_CHUNKS)
		stream_send(conn, &(struct iovec){ (char *)last.at, last.len }, 1);
	conn->is_request_open = false;
	conn->server->open--;
	if (conn->state == CONN_DEAD) /* it died in this iteration: on_gone is still to come */
		return;
	size_t used = body_end(conn);
	conn->is_input_unread = conn->in.len > conn->start + used;
	if (conn->is_at_end && !conn->is_input_unread)
		conn->is_closing = true;
	conn_end_exchange(conn, used);
	reply_after(conn, false);
}
