/*
 * Receiving a body behind its head in the input buffer:
 *
 *	in:  | before | head | content that is decoded | raw bytes | room |
 *	              ^start
 *
 * A body of known length that stays in memory is read to where it belongs and never copied. A
 * chunked one is decoded in place: content is never longer than what it came in. One that goes to
 * disk leaves the buffer with every read, so that only a window of it is ever in memory; so does one that is
 * shown to the user as it arrives.
 *
 * The buffer may move while the body arrives; then the head is parsed again where it lies now,
 * which is cheaper to get right than shifting every view.
 */
#include "http/conn.h"

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "os/fd.h"
#include "os/random.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Where raw bytes start. */
static size_t body_raw(const struct http_conn *conn)
{
	return conn->start + conn->exchange->head_len + conn->exchange->in_memory;
}

size_t body_end(const struct http_conn *conn)
{
	return conn->exchange->head_len + conn->exchange->in_memory;
}

/* Room for `more` bytes behind those received; the head's views follow when it moves. */
static int body_reserve(struct http_conn *conn, size_t more)
{
	struct http_exchange *exchange = conn->exchange;
	size_t head_len;

	if (conn->in.size - conn->in.len >= more)
		return 0;
	buf_drop(&conn->in, conn->start);
	conn->start = 0;
	int r = buf_reserve(&conn->in, more);
	if (r < 0)
		return err_raise(r);
	enum http_parse_answer answer = http_parse_request(
		str_slice(buf_str(&conn->in), 0, exchange->head_len), 0, &exchange->request.head,
		&head_len);
	assert(answer == HTTP_PARSED && head_len == exchange->head_len);
	(void)answer;
	return 0;
}

/* A file without a name in the working directory, for file systems that have no O_TMPFILE. */
static int body_open_unlinked(int *ret_fd)
{
	char name[sizeof(".body-") + UUID_LEN] = ".body-";

	random_uuid(name + sizeof(".body-") - 1);
	scoped_fd fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_raise(-errno);
	if (unlink(name) < 0)
		return err_raise(-errno);
	*ret_fd = fd_take(&fd);
	return 0;
}

/* From now on the body goes to disk, what is decoded first. */
static int body_spool(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	size_t from = conn->start + exchange->head_len, raw = body_raw(conn);

	assert(exchange->request.body_fd < 0);
	int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		int r = body_open_unlinked(&fd);
		if (r < 0)
			return err_pass(r);
	}
	exchange->request.body_fd = fd; /* closed with the exchange */
	int r = fd_write_all(fd, str_slice(buf_str(&conn->in), from, raw));
	if (r < 0)
		return err_pass(r);
	exchange->spooled = exchange->in_memory;
	exchange->in_memory = 0;
	memmove(conn->in.at + from, conn->in.at + raw, conn->in.len - raw);
	conn->in.len -= raw - from;
	return 0;
}

/*
 * All content of a read at once, however small the chunks are that it came in. Once the user has refused, or
 * aborted, the rest is for nobody.
 */
static void body_show(struct http_conn *conn, str content)
{
	const struct http_server_options *options = &conn->server->options;
	struct http_exchange *exchange = conn->exchange;

	if (content.len == 0)
		return;
	exchange->spooled += content.len;
	if (exchange->refusal == 0 && conn->state != CONN_DEAD)
		exchange->refusal = options->ops->on_body(options->context, conn, content);
}

/* Content that was decoded: to its place, or to disk. Raw bytes lie behind it. */
static int body_keep(void *context, str content)
{
	struct http_conn *conn = context;
	struct http_exchange *exchange = conn->exchange;

	if (exchange->request.body_fd >= 0) {
		exchange->spooled += content.len;
		return err_pass(fd_write_all(exchange->request.body_fd, content));
	}
	char *to = conn->in.at + body_raw(conn);
	assert(to <= content.at);
	memmove(to, content.at, content.len);
	exchange->in_memory += content.len;
	return 0;
}

/* Feed raw bytes from `from` on, and close the gap that consuming them leaves. */
static int body_take_chunks(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	size_t from = body_raw(conn), used;

	int r = http_chunks_feed(&exchange->chunks, str_from(buf_str(&conn->in), from),
		exchange->body_max, body_keep, conn, &exchange->trailers, &used);
	if (exchange->is_streamed) {
		size_t start = conn->start + exchange->head_len;
		body_show(conn, str_slice(buf_str(&conn->in), start, body_raw(conn)));
		exchange->in_memory = 0;
	}
	if (r != 0)
		return r == HTTP_TOO_LARGE ? BODY_TOO_LARGE : r < 0 ? err_pass(r) : BODY_BAD;
	size_t to = body_raw(conn), rest = conn->in.len - (from + used);
	memmove(conn->in.at + to, conn->in.at + from + used, rest);
	conn->in.len = to + rest;
	if (exchange->in_memory > exchange->memory_max) {
		r = body_spool(conn);
		if (r < 0)
			return err_pass(r);
	}
	return exchange->chunks.done ? BODY_WHOLE : BODY_MORE;
}

/* A body of known length that is not gathered here. */
static int body_take_window(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	size_t from = body_raw(conn);
	uint64_t left = exchange->request.head.length - exchange->spooled;
	size_t len = (size_t)MIN(left, (uint64_t)(conn->in.len - from));

	str content = str_slice(buf_str(&conn->in), from, from + len);
	if (exchange->is_streamed)
		body_show(conn, content);
	int r = exchange->is_streamed ? 0 : body_keep(conn, content);
	if (r < 0)
		return err_pass(r);
	memmove(conn->in.at + from, conn->in.at + from + len, conn->in.len - from - len);
	conn->in.len -= len;
	return len == left ? BODY_WHOLE : BODY_MORE;
}

/* A body of known length in memory is whole when it is there. */
static int body_take_length(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	uint64_t length = exchange->request.head.length;

	if (conn->in.len - conn->start - exchange->head_len < length)
		return BODY_MORE;
	exchange->in_memory = (size_t)length;
	return BODY_WHOLE;
}

/* The body is whole: show it to the user. */
static int body_finish(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	struct http_request *request = &exchange->request;

	request->trailers = buf_str(&exchange->trailers);
	if (exchange->is_streamed) {
		request->body_len = exchange->spooled;
		return BODY_WHOLE;
	}
	if (request->body_fd >= 0) {
		request->body_len = exchange->spooled;
		return lseek(request->body_fd, 0, SEEK_SET) < 0 ? err_raise(-errno) : BODY_WHOLE;
	}
	size_t from = conn->start + exchange->head_len;
	request->body = str_slice(buf_str(&conn->in), from, from + exchange->in_memory);
	request->body_len = exchange->in_memory;
	return BODY_WHOLE;
}

int body_take(struct http_conn *conn)
{
	const struct http_request *request = &conn->exchange->request;
	int answer;

	if (request->head.chunked)
		answer = body_take_chunks(conn);
	else if (request->body_fd >= 0 || conn->exchange->is_streamed)
		answer = body_take_window(conn);
	else
		answer = body_take_length(conn);
	if (conn->exchange->refusal)
		return BODY_REFUSED;
	return answer == BODY_WHOLE ? err_pass(body_finish(conn)) : answer;
}

int body_begin(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	const struct http_head *head = &exchange->request.head;

	assert(!(head->chunked && head->has_length));
	if (head->length > exchange->body_max)
		return BODY_TOO_LARGE;
	if (!head->chunked && !exchange->is_streamed && head->length > exchange->memory_max) {
		int r = body_spool(conn);
		if (r < 0)
			return err_pass(r);
	}
	return err_pass(body_take(conn));
}

int body_make_room(struct http_conn *conn)
{
	struct http_exchange *exchange = conn->exchange;
	const struct http_head *head = &exchange->request.head;

	if (exchange->request.body_fd >= 0 || exchange->is_streamed)
		return err_pass(body_reserve(conn, CONN_SPOOL_READ));
	if (head->chunked) {
		/* By doubling, so that a long body costs few moves. */
		size_t room = conn->in.size - conn->in.len;
		return room >= CONN_READ_MIN
			? 0
			: err_pass(body_reserve(conn, MAX(conn->in.len, (size_t)CONN_READ_MIN)));
	}
	/* The whole of it at once, and some of what may come with it: the next request. */
	size_t have = conn->in.len - conn->start - exchange->head_len;
	return err_pass(body_reserve(conn, (size_t)head->length - have + CONN_READ_MIN));
}
