#pragma once
/*
 * The server side of HTTP/1.1 connections on the loop: used for the public endpoint and for the
 * Runtime API alike. One request is open at a time on a connection; pipelined ones wait in the
 * input buffer. Reading is one read(2) a readiness, writing one sendmsg(2) a reply. On the same port there may be TLS:
 * the first byte of a connection tells.
 */
#include "os/loop.h"
#include "os/socket.h"
#include "wire/http.h"

struct http_server;
struct http_conn;
struct tls_identity;

/*
 * A whole request: views stay valid until http_reply() for it, or on_gone(). They are not those
 * of on_head: the bytes may have moved since.
 */
struct http_request {
	struct http_head head;
	str body;    /* in memory (bodies up to `memory_max`); empty when spooled */
	int body_fd; /* an unlinked file (the connection's; dup it to keep), else -1 */
	uint64_t body_len;
	str trailers; /* raw trailer lines of a chunked body */
};

struct http_reply {
	int status;
	str fields;  /* extra header lines, each ended by CRLF */
	str body;    /* copied only when the socket cannot take it at once */
	int file_fd; /* > 0: instead of `body`, this file's contents (taken: closed after) */
	uint64_t file_len;
	bool close; /* close the connection after it */
	/*
	 * Keep it in the output buffer and write it together with the next reply, if the peer has
	 * already sent its next request; otherwise it is written now. (The 202 before the next
	 * event.)
	 */
	bool hold;
};

struct http_server_ops {
	/*
	 * A head is complete; the body is not read yet. Set how large the body may be and from what
	 * size it goes to disk. Return 0 to go on, or a status to refuse with (the connection then
	 * closes; the body of the refusal comes from on_refuse when set).
	 */
	int (*on_head)(void *context, struct http_conn *conn, const struct http_head *head,
		uint64_t *ret_body_max, uint64_t *ret_memory_max);
	/* The request is whole. Answer with http_reply() now or later. */
	void (*on_request)(void *context, struct http_conn *conn, struct http_request *request);
	/*
	 * Content of a body for which on_head called http_stream_body(); the view dies when it returns. Return 0,
	 * or a status to refuse with, as on_head does.
	 */
	int (*on_body)(void *context, struct http_conn *conn, str content);
	/*
	 * Optional: what was waiting of a reply in pieces has been sent (http_stream_backlog() is 0
	 * after it was not).
	 */
	void (*on_drained)(void *context, struct http_conn *conn);
	/*
	 * The peer closed, or failed, while a request is open (between on_request and http_reply):
	 * forget the connection, it is freed after this returns; http_reply() must not be called.
	 * Also called, with no request open, right before any connection is freed, so that what
	 * http_conn_set_user() set can be released.
	 */
	void (*on_gone)(void *context, struct http_conn *conn, bool request_open);
	/*
	 * Optional: the reply to a request that was refused before on_request (bad, too large):
	 * fill fields and body.
	 */
	void (*on_refuse)(void *context, int status, struct buf *fields, struct buf *body);
};

struct http_server_options {
	struct loop *loop;
	int listener; /* taken: closed by http_server_free(); non-blocking */
	const struct http_server_ops *ops;
	void *context;
	unsigned conns_max;  /* beyond it, accepting pauses */
	uint64_t idle_ms;    /* a keep-alive connection without a request; 0 = for ever */
	uint64_t request_ms; /* from the first byte of a request to its last; 0 = for ever */
	bool is_eager_close_detected;	/* watch for the peer's close while a request is open */
	const struct tls_identity *tls; /* borrowed; NULL: HTTP only */
	uint64_t handshake_ms;		/* of TLS, from its first byte to its last; 0 = for ever */
};

/*
 * Start accepting. On a fault the listener is still the caller's. The process ignores SIGPIPE from
 * here on.
 */
[[nodiscard]] int http_server_new(
	const struct http_server_options *options, struct http_server **ret_server);
/*
 * Stop accepting and close all connections (on_gone is called for each). Not from inside a callback
 * of this server. NULL is fine.
 */
void http_server_free(struct http_server *server);
/*
 * Stop accepting; requests that are open, or come on open connections, are answered with Connection:
 * close. Idle connections close after a moment: a client that is busy with one sends its next request
 * in it and does not run into a connection that closes under it.
 */
void http_server_drain(struct http_server *server);
/* Is nobody here any more who may expect an answer? What drains gets there by itself. */
bool http_server_is_quiet(const struct http_server *server);
/* Another bound of connections; those above it stay. */
void http_server_set_conns_max(struct http_server *server, unsigned conns_max);
/*
 * From now on somebody else's callbacks are called, for its open connections too. Not from inside
 * one.
 */
void http_server_give(struct http_server *server, const struct http_server_ops *ops, void *context);
/* Open connections, and requests among them waiting for a reply. */
unsigned http_server_conns(const struct http_server *server);
unsigned http_server_open_requests(const struct http_server *server);

/*
 * Answer the open request. Date, Content-Length and Connection are added here. The views in `reply`
 * may die when it returns (they may be views of the request). When the connection has just died,
 * nothing is sent, and on_gone follows. The next pipelined request may be handled before it returns
 * to the loop, but never inside this call.
 */
void http_reply(struct http_conn *conn, const struct http_reply *reply);

/* --- bodies and replies in pieces --- */

/*
 * From inside on_head: the body is not gathered, on_body gets it as it arrives. When it is whole on_request
 * follows, with `body` empty and body_len the length of what on_body has had.
 */
void http_stream_body(struct http_conn *conn);
/*
 * Read no more of such a body, or go on reading. What has been read already still comes. Nobody
 * notices then that the peer has gone.
 */
void http_stream_pause(struct http_conn *conn, bool is_paused);

/*
 * Answer the open request in pieces: status, fields and `close` now, the body with http_stream_send() until
 * http_stream_end(). Chunked, or for a peer of HTTP/1.0 up to the connection's end. http_conn_abort() instead of
 * the end tells the peer that the body is not whole. Like http_reply(), none of these calls back; on
 * a connection that has died in between they do nothing, and on_gone follows.
 */
void http_stream_begin(struct http_conn *conn, const struct http_reply *reply);
enum { HTTP_STREAM_PIECES_MAX = 3 };
/*
 * Send these bytes (copied as far as the socket does not take them at once) as one chunk. There is no
 * bound to what waits: stop at a backlog that is large enough, and go on in on_drained.
 */
void http_stream_send(struct http_conn *conn, const str *pieces, size_t count);
/* Bytes that the socket has not taken yet. */
[[nodiscard]] size_t http_stream_backlog(const struct http_conn *conn);
/* That was all: the request is answered. */
void http_stream_end(struct http_conn *conn);

/* A pointer of the user's on a connection. */
void http_conn_set_user(struct http_conn *conn, void *user);
void *http_conn_user(const struct http_conn *conn);
/* The server the connection came through. */
struct http_server *http_conn_server(const struct http_conn *conn);
/* The numeric address of the peer; empty when it has none (any more). A system call. */
void http_conn_peer(const struct http_conn *conn, char to[static SOCKET_PEER_SIZE]);
/* Did it come over TLS? */
bool http_conn_is_secure(const struct http_conn *conn);
/* Can a reply still reach the peer, as far as is known? False between its end and on_gone. */
bool http_conn_is_alive(const struct http_conn *conn);
/* Close now, without a reply; on_gone is called (from the loop, not from inside). */
void http_conn_abort(struct http_conn *conn);
