/*
 * The whole server over a real socket: a peer's bytes get the same replies whether they come at
 * once or in pieces. The first byte says how long the pieces are, and whether the server is eager. A body sent to
 * /show is shown as it comes, and the reply to it is sent in pieces.
 *
 * Replies are compared without their dates and without "100 Continue", which only a peer that
 * has not sent its body yet gets. When the peer has sent everything it stops sending, so that every
 * exchange comes to its end.
 */
#include "fuzz.h"

#include "base/mem.h"
#include "http/server.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FUZZ_BODY_MAX = 3000, FUZZ_MEMORY_MAX = 1000, FUZZ_TURNS_MAX = 100 };

struct peer {
	struct loop *loop;
	struct http_server *server;
	struct message turn;
	struct buf replies, shown;
	struct sockaddr_un name;
	socklen_t name_len;
	unsigned open, gone;
};

static int on_head(void *context, struct http_conn *conn, const struct http_head *head,
	uint64_t *ret_body_max, uint64_t *ret_memory_max)
{
	struct peer *peer = context;

	*ret_body_max = FUZZ_BODY_MAX;
	*ret_memory_max = FUZZ_MEMORY_MAX;
	if (str_eq(head->path, S("/show"))) {
		buf_clear(&peer->shown);
		http_stream_body(conn);
	}
	return str_eq(head->path, S("/refuse")) ? 403 : 0;
}

static int on_body(void *context, struct http_conn *conn, str content)
{
	struct peer *peer = context;

	(void)conn;
	HOLDS(content.len > 0);
	buf_put(&peer->shown, content);
	return peer->shown.len > FUZZ_MEMORY_MAX ? 418 : 0;
}

/* The answer to what was shown, head, body and all. */
static void reply_shown(struct http_conn *conn, str body)
{
	http_stream_begin(conn, &(struct http_reply){ .status = 200 });
	http_stream_send(conn, &body, 1);
	HOLDS(http_stream_backlog(conn) == 0 || !http_conn_is_alive(conn));
	http_stream_end(conn);
}

/* Tell what was understood. */
static void on_request(void *context, struct http_conn *conn, struct http_request *request)
{
	char spooled[FUZZ_BODY_MAX];
	struct buf body;
	str content = request->body;
	struct peer *peer = context;
	bool is_shown = str_eq(request->head.path, S("/show"));

	if (is_shown)
		content = request->body_len ? buf_str(&peer->shown) : (str){};
	if (request->body_fd >= 0) {
		ssize_t len = pread(request->body_fd, spooled, sizeof(spooled), 0);
		HOLDS(len == (ssize_t)request->body_len && len > FUZZ_MEMORY_MAX);
		content = (str){ spooled, (size_t)len };
	}
	HOLDS(content.len == request->body_len);
	buf_init(&body, SIZE_MAX);
	buf_put(&body, request->head.target);
	buf_putf(&body, " %zu ", request->head.field_count);
	buf_put(&body, content);
	buf_put(&body, request->trailers);
	if (is_shown)
		reply_shown(conn, buf_str(&body));
	else
		http_reply(conn,
			&(struct http_reply){ .status = 200,
				.body = buf_str(&body),
				.hold = str_eq(request->head.path, S("/hold")) });
	buf_done(&body);
}

static void on_gone(void *context, struct http_conn *conn, bool request_open)
{
	struct peer *peer = context;

	(void)conn;
	HOLDS(!request_open); /* all are answered at once */
	peer->gone++;
}

static void on_turn(struct message *message)
{
	struct peer *peer = (struct peer *)((char *)message - offsetof(struct peer, turn));

	loop_stop(peer->loop);
}

/* One turn of the loop, and take what came out. */
static void turn(struct peer *peer, int fd)
{
	char bytes[16 * 1024];

	loop_post(peer->loop, &peer->turn);
	loop_run(peer->loop);
	for (;;) {
		ssize_t len = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (len <= 0)
			return;
		buf_put(&peer->replies, (str){ bytes, (size_t)len });
	}
}

static void start(struct peer *peer, bool is_eager)
{
	static const struct http_server_ops ops = {
		.on_head = on_head,
		.on_request = on_request,
		.on_body = on_body,
		.on_gone = on_gone,
	};
	struct http_server_options options = {
		.ops = &ops, .context = peer, .conns_max = 4, .is_eager_close_detected = is_eager
	};

	*peer = (struct peer){ .turn = { .run = on_turn }, .name = { .sun_family = AF_UNIX } };
	buf_init(&peer->replies, SIZE_MAX);
	buf_init(&peer->shown, SIZE_MAX);
	options.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	HOLDS(options.listener >= 0 && loop_new(&peer->loop) == 0);
	/* Bound to nothing: the kernel picks an abstract name. */
	HOLDS(bind(options.listener, (struct sockaddr *)&peer->name, sizeof(sa_family_t)) == 0);
	HOLDS(listen(options.listener, 4) == 0);
	peer->name_len = sizeof(peer->name);
	HOLDS(getsockname(options.listener, (struct sockaddr *)&peer->name, &peer->name_len) == 0);
	options.loop = peer->loop;
	HOLDS(http_server_new(&options, &peer->server) == 0);
}

/* Send in pieces of `step` with a turn after each, stop sending, and collect the replies. */
static void talk(struct peer *peer, str text, size_t step)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	buf_clear(&peer->replies);
	peer->gone = 0;
	HOLDS(fd >= 0 && connect(fd, (struct sockaddr *)&peer->name, peer->name_len) == 0);
	turn(peer, fd);
	HOLDS(http_server_conns(peer->server) == 1);
	for (size_t at = 0; at < text.len && peer->gone == 0;) {
		str piece = str_slice(text, at, at + step);
		ssize_t sent = send(fd, piece.at, piece.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		HOLDS(sent > 0 || errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
		at += sent > 0 ? (size_t)sent : 0;
		turn(peer, fd);
	}
	(void)shutdown(fd, SHUT_WR);
	for (int i = 0; i < FUZZ_TURNS_MAX && peer->gone == 0; i++)
		turn(peer, fd);
	HOLDS(peer->gone == 1 && http_server_conns(peer->server) == 0);
	HOLDS(http_server_open_requests(peer->server) == 0);
	(void)close(fd);
}

/* Without the lines that depend on the time. */
static void strip(const struct buf *replies, struct buf *out)
{
	str rest = buf_str(replies);

	for (;;) {
		ptrdiff_t date = str_find_str(rest, S("\r\nDate: "));
		ptrdiff_t wait = str_find_str(rest, S("HTTP/1.1 100 Continue\r\n\r\n"));
		ptrdiff_t hit = date < 0 || (wait >= 0 && wait < date) ? wait : date;
		if (hit < 0)
			break;
		buf_put(out, str_slice(rest, 0, (size_t)hit));
		size_t len = hit == wait ? strlen("HTTP/1.1 100 Continue\r\n\r\n")
					 : strlen("\r\nDate: Sat, 31 Jan 2026 23:59:59 GMT");
		rest = str_from(rest, (size_t)hit + len);
	}
	buf_put(out, rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct peer lazy, eager;
	struct buf whole, split;

	if (size < 1 || size > 20'000)
		return 0;
	struct peer *peer = data[0] & 1 ? &eager : &lazy;
	if (!peer->loop)
		start(peer, data[0] & 1);
	str text = { (const char *)data + 1, size - 1 };
	buf_init(&whole, SIZE_MAX);
	buf_init(&split, SIZE_MAX);
	talk(peer, text, text.len + 1);
	strip(&peer->replies, &whole);
	talk(peer, text, text.len / 64 + 1 + data[0] / 2);
	strip(&peer->replies, &split);
	HOLDS(str_eq(buf_str(&whole), buf_str(&split)));
	buf_done(&whole);
	buf_done(&split);
	return 0;
}
