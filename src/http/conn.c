/*
 * The life of a connection.
 *
 *	          first byte        head, body        on_request
 *	   IDLE ------------> HEAD ----------> BODY -----------> OPEN
 *	    ^ ^________________________________________________/ |  http_reply(), all taken
 *	    |                                                    v
 *	    +------------------------------------------------ SENDING      refusals, "close":
 *	                                                         |         -> (SENDING) -> LINGER
 *	   any state -> DEAD -> freed by the deferred task       v
 *
 * A reply in pieces is in STREAM between its first and its last: OPEN -> STREAM, and on from there as
 * from OPEN. A connection whose first byte is that of TLS is SHAKING before it is IDLE again.
 *
 * Reading is one read(2) a readiness into the input buffer; the request is parsed and handed out
 * where it lies. Read interest stays on while a request is open, so that the hot path changes no
 * epoll registration; what a peer sends ahead is buffered as far as the buffer goes without moving
 * (the open request views it), then reading stops until the reply.
 *
 * Nothing here frees a connection inside a call that came from the user or from another one: a dead
 * connection waits for its deferred task. The same task takes up the next pipelined request after
 * a reply, which is why http_reply() never recurses into on_request.
 */
#include "http/conn.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "http/secure.h"
#include "os/fd.h"
#include "tls/stream.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Which states may follow which. A move not listed here is a bug, not an error. */
static const unsigned conn_may_follow[CONN_STATES] = {
	[CONN_IDLE] = BIT(CONN_SHAKING) | BIT(CONN_HEAD) | BIT(CONN_DEAD),
	[CONN_SHAKING] = BIT(CONN_IDLE) | BIT(CONN_DEAD),
	[CONN_HEAD] = BIT(CONN_BODY) | BIT(CONN_OPEN) | BIT(CONN_SENDING) | BIT(CONN_LINGER) |
		BIT(CONN_DEAD),
	[CONN_BODY] = BIT(CONN_OPEN) | BIT(CONN_SENDING) | BIT(CONN_LINGER) | BIT(CONN_DEAD),
	[CONN_OPEN] = BIT(CONN_IDLE) | BIT(CONN_STREAM) | BIT(CONN_SENDING) | BIT(CONN_LINGER) |
		BIT(CONN_DEAD),
	[CONN_STREAM] = BIT(CONN_IDLE) | BIT(CONN_SENDING) | BIT(CONN_LINGER) | BIT(CONN_DEAD),
	[CONN_SENDING] = BIT(CONN_IDLE) | BIT(CONN_LINGER) | BIT(CONN_DEAD),
	[CONN_LINGER] = BIT(CONN_DEAD),
	[CONN_DEAD] = 0,
};

static const enum conn_time conn_times[CONN_STATES] = {
	[CONN_IDLE] = TIME_IDLE,
	[CONN_SHAKING] = TIME_HANDSHAKE,
	[CONN_HEAD] = TIME_REQUEST,
	[CONN_BODY] = TIME_REQUEST,
	[CONN_OPEN] = TIME_OPEN,
	[CONN_STREAM] = TIME_OPEN,
	[CONN_SENDING] = TIME_SEND,
	[CONN_LINGER] = TIME_LINGER,
	[CONN_DEAD] = TIME_DEAD,
};

void conn_enter(struct http_conn *conn, enum conn_state next)
{
	struct http_server *server = conn->server;
	enum conn_time from = conn_times[conn->state], to = conn_times[next];

	assert(next < CONN_STATES);
	assert(conn_may_follow[conn->state] & BIT(next));
	conn->state = (uint8_t)next;
	if (from == to)
		return; /* from HEAD to BODY the clock goes on */
	list_remove(&conn->link);
	list_push_back(&server->lists[to], &conn->link);
	conn->since_ms = loop_now_ms(server->options.loop);
	if (server->time_max[to] > 0)
		server_arm(server);
}

void conn_die(struct http_conn *conn)
{
	if (conn->state == CONN_DEAD)
		return;
	conn_enter(conn, CONN_DEAD);
	loop_defer(conn->server->options.loop, &conn->task);
}

void conn_fail(struct http_conn *conn, int fault, const char *what)
{
	if (fault != -EPIPE && fault != -ECONNRESET && fault != -ETIMEDOUT && fault != -EPROTO)
		err_log(fault, what);
	conn_die(conn);
}

/* The request is the user's, and views the input buffer. */
static bool conn_is_open(const struct http_conn *conn)
{
	return conn->state == CONN_OPEN || conn->state == CONN_STREAM;
}

static bool conn_is_receiving(const struct http_conn *conn)
{
	return conn->state == CONN_IDLE || conn->state == CONN_SHAKING ||
		conn->state == CONN_HEAD || conn->state == CONN_LINGER ||
		(conn->state == CONN_BODY && !conn->exchange->is_paused);
}

/* What TLS has to say by itself may be sent at any time. */
static bool conn_is_sending_below(const struct http_conn *conn)
{
	return conn->tls && conn->state != CONN_DEAD && secure_backlog(conn) > 0;
}

/* In OPEN what is in the output buffer goes out with the reply. */
static bool conn_is_sending(const struct http_conn *conn)
{
	bool may_send = conn->state == CONN_HEAD || conn->state == CONN_BODY ||
		conn->state == CONN_STREAM;

	return conn->state == CONN_SENDING || (may_send && conn_has_output(conn)) ||
		conn_is_sending_below(conn);
}

static bool conn_is_reading(const struct http_conn *conn)
{
	bool is_open_with_room = conn_is_open(conn) && conn->in.size > conn->in.len;

	return !conn->is_at_end && (conn_is_receiving(conn) || is_open_with_room);
}

/* There is something to read that no readiness will tell. */
static bool conn_has_unread(const struct http_conn *conn)
{
	return conn->tls && conn->state != CONN_LINGER && conn_is_reading(conn) &&
		secure_has_input(conn);
}

void conn_watch(struct http_conn *conn)
{
	bool is_reading = conn_is_reading(conn);

	int r = watch_set(conn->watch,
		(is_reading ? WATCH_READ : 0) | (conn_is_sending(conn) ? WATCH_WRITE : 0));
	if (r < 0)
		conn_fail(conn, r, "watch a connection");
	else if (conn_has_unread(conn))
		loop_defer(conn->server->options.loop, &conn->task);
}

void conn_end_exchange(struct http_conn *conn, size_t used)
{
	assert(used <= conn->in.len - conn->start);
	server_give_exchange(conn->server, conn->exchange);
	conn->exchange = NULL;
	conn->start += used;
	conn->seen = 0;
	if (conn->start == conn->in.len) {
		conn->start = 0;
		server_give_input(conn->server, &conn->in);
	}
}

/*
 * Say no more, but let the peer finish: closing on unread bytes would reset what it has yet to
 * read.
 */
static void conn_linger(struct http_conn *conn)
{
	(void)shutdown(conn->fd, SHUT_WR);
	conn_end_exchange(conn, conn->in.len - conn->start);
	conn_enter(conn, CONN_LINGER);
	conn_watch(conn);
}

/* Tell the peer the end before the connection's own: false while that waits, or when it cannot be told. */
static bool conn_close_below(struct http_conn *conn)
{
	int r = secure_close(conn);

	if (r < 0) {
		conn_fail(conn, r, "end a connection");
		return false;
	}
	if (!conn_has_output(conn))
		return true;
	if (conn->state != CONN_SENDING)
		conn_enter(conn, CONN_SENDING);
	conn_watch(conn);
	return false;
}

void conn_on_sent(struct http_conn *conn)
{
	assert(!conn_has_output(conn) || !conn->is_closing);
	if (conn->is_closing) {
		if (conn->tls && !conn_close_below(conn))
			return;
		if (conn->is_input_unread && !conn->is_at_end)
			conn_linger(conn);
		else
			conn_die(conn);
		return;
	}
	conn_enter(conn, CONN_IDLE);
	conn_watch(conn);
	if (conn->in.len > conn->start)
		loop_defer(conn->server->options.loop, &conn->task);
}

/* The request is whole: it is the user's now. */
static void conn_open(struct http_conn *conn)
{
	struct http_server *server = conn->server;

	conn_enter(conn, CONN_OPEN);
	conn->is_request_open = true;
	server->open++;
	conn_watch(conn);
	if (conn->state != CONN_OPEN)
		return;
	server->options.ops->on_request(server->options.context, conn, &conn->exchange->request);
	/* Nobody reads any more who could notice that the peer is gone. */
	if (conn_is_open(conn) && conn->is_at_end && server->options.is_eager_close_detected)
		conn_die(conn);
}

/* Go on as the body's answer says. */
static void conn_on_body(struct http_conn *conn, int answer)
{
	if (conn->state == CONN_DEAD)
		return; /* aborted by on_body */
	switch (answer) {
	case BODY_WHOLE:
		conn_open(conn);
		break;
	case BODY_MORE:
		conn_watch(conn);
		break;
	case BODY_BAD:
		conn_refuse(conn, 400);
		break;
	case BODY_TOO_LARGE:
		conn_refuse(conn, 413);
		break;
	case BODY_REFUSED:
		conn_refuse(conn, conn->exchange->refusal);
		break;
	default:
		err_log(answer, "receive a request's body");
		conn_refuse(conn, 500);
		break;
	}
}

/* RFC 9110 10.1.1: the client waits for this before it sends the body, if it has not begun. */
static int conn_send_continue(struct http_conn *conn)
{
	static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct http_head *head = &conn->exchange->request.head;
	bool is_waiting = head->expect_continue && conn->exchange->spooled == 0 &&
		conn->in.len == conn->start + conn->exchange->head_len;

	if (!is_waiting)
		return 0;
	return err_pass(conn_send(conn, &(struct iovec){ text, sizeof(text) - 1 }, 1));
}

/* The head is complete: may it come in? */
static void conn_on_head(struct http_conn *conn)
{
	struct http_server *server = conn->server;
	struct http_exchange *exchange = conn->exchange;

	int status = server->options.ops->on_head(server->options.context, conn,
		&exchange->request.head, &exchange->body_max, &exchange->memory_max);
	if (conn->state == CONN_DEAD)
		return; /* aborted in there */
	if (status != 0) {
		conn_refuse(conn, status);
		return;
	}
	int answer = body_begin(conn);
	if (answer == BODY_MORE && conn->state != CONN_DEAD) {
		conn_enter(conn, CONN_BODY);
		int r = conn_send_continue(conn);
		if (r < 0) {
			conn_fail(conn, r, "ask for a request's body");
			return;
		}
	}
	conn_on_body(conn, answer);
}

static int conn_status_of(enum http_parse_answer answer)
{
	switch (answer) {
	case HTTP_TOO_LARGE:
		return 431;
	case HTTP_BAD_VERSION:
		return 505;
	case HTTP_NOT_SUPPORTED:
		return 501;
	default:
		return 400;
	}
}

static void conn_parse(struct http_conn *conn)
{
	str bytes = str_from(buf_str(&conn->in), conn->start);

	assert(!conn->exchange);
	conn->exchange = server_take_exchange(conn->server);
	if (!conn->exchange) {
		conn_fail(conn, err_raise(-ENOMEM), "receive a request");
		return;
	}
	enum http_parse_answer answer = http_parse_request(
		bytes, conn->seen, &conn->exchange->request.head, &conn->exchange->head_len);
	if (answer == HTTP_PARSED) {
		conn_on_head(conn);
		return;
	}
	server_give_exchange(conn->server, conn->exchange);
	conn->exchange = NULL;
	conn->seen = bytes.len;
	if (answer != HTTP_MORE)
		conn_refuse(conn, conn_status_of(answer));
}

/* Go on with what is in the input buffer: at most one request. */
static void conn_step(struct http_conn *conn)
{
	if (conn->state == CONN_IDLE && conn->in.len > conn->start)
		conn_enter(conn, CONN_HEAD);
	if (conn->state == CONN_HEAD)
		conn_parse(conn);
	else if (conn->state == CONN_BODY)
		conn_on_body(conn, body_take(conn));
}

/*
 * Behind the last reply there is only a part of a request. A reply that was held for it has waited
 * long enough; and if the peer sends no more, it never becomes whole.
 */
static void conn_on_part(struct http_conn *conn)
{
	int r = conn_flush(conn);

	if (r < 0) {
		conn_fail(conn, r, "send a held reply");
	} else if (!conn->is_at_end) {
		conn_watch(conn);
	} else if (conn_has_output(conn)) {
		conn->is_closing = true;
		conn_enter(conn, CONN_SENDING);
		conn_watch(conn);
	} else {
		conn_die(conn);
	}
}

/* Room for a head: 0 or a fault. Nothing views the buffer, so it may move. */
static int conn_make_head_room(struct http_conn *conn)
{
	if (!conn->in.at)
		return err_pass(server_take_input(conn->server, &conn->in));
	if (conn->in.size - conn->in.len >= CONN_READ_MIN)
		return 0;
	buf_drop(&conn->in, conn->start);
	conn->start = 0;
	if (conn->in.size - conn->in.len >= CONN_READ_MIN)
		return 0;
	assert(conn->in.len <= HTTP_HEAD_MAX); /* the parser would have refused it */
	return buf_reserve(&conn->in, CONN_READ_MIN) < 0 ? err_raise(-ENOMEM) : 0;
}

static int conn_make_room(struct http_conn *conn)
{
	if (conn->state == CONN_BODY)
		return err_pass(body_make_room(conn));
	if (conn_is_open(conn))
		return 0; /* what there is: the request views the buffer */
	return err_pass(conn_make_head_room(conn));
}

/* Nobody waits for an answer here: the connection ends, and a peer that listens is told so. */
static void conn_leave(struct http_conn *conn)
{
	if (conn->tls)
		(void)!secure_close(
			conn); /* it is gone with the connection if it does not go now */
	conn_die(conn);
}

/*
 * The peer sends no more. What it sent before is answered: an open request (unless the user wants
 * to know that nobody may be there any more) and those behind it, whose turn the task gives them.
 */
static void conn_on_end(struct http_conn *conn)
{
	bool is_open = conn_is_open(conn) && !conn->server->options.is_eager_close_detected;
	bool has_more = conn->state == CONN_IDLE && conn->in.len > conn->start;

	conn->is_at_end = true;
	if (conn->state == CONN_HEAD || conn->state == CONN_BODY)
		conn_on_part(conn);
	else if (is_open || has_more)
		conn_watch(conn);
	else
		conn_leave(conn);
}

/* How much, 0 at the end, or -errno. */
static ssize_t conn_read(struct http_conn *conn, char *to, size_t size)
{
	if (conn->tls && conn->state != CONN_LINGER) /* who lingers is not listened to */
		return secure_read(conn, to, size);
	ssize_t len = read(conn->fd, to, size);
	return len < 0 ? -errno : len;
}

static void conn_on_bytes(struct http_conn *conn, size_t len)
{
	conn->in.len += len;
	if (conn->is_unheard) {
		conn->is_unheard = false;
		if (conn->in.at[0] == TLS_FIRST_BYTE) {
			secure_begin(conn);
			return;
		}
	}
	conn_step(conn);
}

static void conn_on_readable(struct http_conn *conn)
{
	if (conn->state == CONN_SHAKING) {
		secure_on_readable(conn);
		return;
	}
	int r = conn_make_room(conn);
	if (r < 0) {
		conn_fail(conn, r, "receive a request");
		return;
	}
	if (conn->in.size == conn->in.len) {
		assert(conn_is_open(conn));
		conn_watch(conn); /* full: until the reply */
		return;
	}
	ssize_t len = conn_read(conn, conn->in.at + conn->in.len, conn->in.size - conn->in.len);
	if (len == -EAGAIN || len == -EINTR)
		return;
	if (len < 0) {
		conn_fail(conn, (int)len, "read from a connection");
	} else if (len == 0) {
		conn_on_end(conn);
	} else if (conn->state == CONN_LINGER) {
		buf_clear(&conn->in);
	} else {
		conn_on_bytes(conn, (size_t)len);
	}
}

static void conn_on_task(struct deferred *task)
{
	struct http_conn *conn = list_entry(task, struct http_conn, task);

	if (conn->state == CONN_DEAD) {
		conn_free(conn);
		return;
	}
	conn_step(conn);
	if (conn_has_unread(conn))
		conn_on_readable(conn);
	if (conn->state == CONN_HEAD || conn->state == CONN_BODY)
		conn_on_part(conn);
}

static void conn_on_drained(struct http_conn *conn)
{
	const struct http_server_options *options = &conn->server->options;

	conn_watch(conn);
	if (conn->state == CONN_STREAM && options->ops->on_drained)
		options->ops->on_drained(options->context, conn);
}

static void conn_on_writable(struct http_conn *conn)
{
	bool was_sending = conn->state == CONN_SENDING;

	if (!conn_is_sending(conn))
		return;
	int r = conn_flush(conn);
	if (r < 0) {
		conn_fail(conn, r, "send a reply");
		return;
	}
	if (!conn_has_output(conn) && was_sending)
		conn_on_sent(conn);
	else if (!conn_has_output(conn) && conn->state == CONN_STREAM)
		conn_on_drained(conn);
	else
		conn_watch(conn);
}

static void conn_on_ready(void *context, unsigned events)
{
	struct http_conn *conn = context;

	if (events & WATCH_WRITE)
		conn_on_writable(conn);
	if (events & WATCH_READ && conn->state != CONN_DEAD && conn->state != CONN_SENDING)
		conn_on_readable(conn);
	if (conn->tls && conn->state != CONN_DEAD)
		conn_watch(conn); /* what it wants does not depend on the state alone */
}

void conn_on_timeout(struct http_conn *conn)
{
	if (conn->state == CONN_HEAD || conn->state == CONN_BODY)
		conn_refuse(conn, 408);
	else if (conn->state == CONN_IDLE)
		conn_leave(conn);
	else
		conn_die(conn);
}

int conn_new(struct http_server *server, int fd)
{
	struct http_conn *conn = mem_one(struct http_conn);
	if (!conn) {
		fd_close(&fd);
		return err_raise(-ENOMEM);
	}
	conn->server = server;
	conn->fd = fd;
	conn->file_fd = -1;
	conn->is_unheard = server->options.tls;
	conn->task.run = conn_on_task;
	list_init(&conn->link);
	buf_init(&conn->in, SIZE_MAX);
	buf_init(&conn->out, SIZE_MAX);
	int r = watch_new(server->options.loop, fd, WATCH_READ, conn_on_ready, conn, &conn->watch);
	if (r < 0) {
		fd_close(&conn->fd);
		mem_free(conn);
		return err_pass(r);
	}
	server->conns++;
	list_push_back(&server->lists[TIME_IDLE], &conn->link);
	conn->since_ms = loop_now_ms(server->options.loop);
	if (server->time_max[TIME_IDLE] > 0)
		server_arm(server);
	return 0;
}

void conn_free(struct http_conn *conn)
{
	struct http_server *server = conn->server;

	if (conn->state != CONN_DEAD)
		conn_enter(conn, CONN_DEAD); /* a reply from inside on_gone goes nowhere */
	if (conn->is_request_open) {
		conn->is_request_open = false;
		server->open--;
		server->options.ops->on_gone(server->options.context, conn, true);
	} else {
		server->options.ops->on_gone(server->options.context, conn, false);
	}
	loop_defer_cancel(&conn->task);
	list_remove(&conn->link);
	watch_free(conn->watch);
	server_give_exchange(server, conn->exchange);
	server_give_input(server, &conn->in);
	buf_done(&conn->out);
	tls_stream_free(conn->tls);
	fd_close(&conn->file_fd);
	fd_close(&conn->fd);
	mem_free(conn);
	server_on_conn_freed(server);
}

void http_stream_body(struct http_conn *conn)
{
	assert(conn->state == CONN_HEAD && conn->server->options.ops->on_body);
	conn->exchange->is_streamed = true;
}

void http_stream_pause(struct http_conn *conn, bool is_paused)
{
	if (conn->state != CONN_HEAD && conn->state != CONN_BODY)
		return; /* it is whole, or gone */
	assert(conn->exchange && conn->exchange->is_streamed);
	conn->exchange->is_paused = is_paused;
	if (conn->state == CONN_BODY)
		conn_watch(conn);
}

void http_conn_set_user(struct http_conn *conn, void *user)
{
	conn->user = user;
}

void *http_conn_user(const struct http_conn *conn)
{
	return conn->user;
}

struct http_server *http_conn_server(const struct http_conn *conn)
{
	return conn->server;
}

void http_conn_peer(const struct http_conn *conn, char to[static SOCKET_PEER_SIZE])
{
	if (conn->state == CONN_DEAD || socket_peer(conn->fd, to) < 0)
		to[0] = '\0';
}

bool http_conn_is_secure(const struct http_conn *conn)
{
	return conn->tls;
}

bool http_conn_is_alive(const struct http_conn *conn)
{
	return conn->state != CONN_DEAD;
}

void http_conn_abort(struct http_conn *conn)
{
	conn_die(conn);
}
