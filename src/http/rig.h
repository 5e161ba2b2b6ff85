#pragma once
/*
 * What the tests of the server share: a server on a real loop whose answers are chosen by the
 * path, and a script that talks to it from another thread over real sockets.
 *
 *	/echo       the body, from memory or from its file
 *	/kind       "memory LEN TRAILERS" or "spooled LEN TRAILERS"
 *	/hold       202, held
 *	/wait       answered with "go" by the next request to /go
 *	/go         answers all that wait, then itself
 *	/close      200 and close
 *	/abort      no answer
 *	/big?N      N bytes; /file?N the same from a file, /short?N from one that is too short
 *	/status?N   status N with the body "body"
 *	/secure     "yes" over TLS, else "no"
 *	/count      how many requests the connection has had
 *	/upload     its body is shown as it comes; then as /kind. With ?pause reading stops at its first
 *	            bytes, with ?refuse and ?abort the connection ends there
 *	/pieces     a reply in pieces: "one" now, "two" and the end with the next request to /go
 *	/flood?N    N bytes in pieces, as fast as the peer takes them
 *	others      200, the path as the body; /refuse is refused with 403 at its head
 */
#include "base/buf.h"
#include "http/server.h"

enum { RIG_WAITING_MAX = 64 };

struct rig {
	struct loop *loop;
	struct http_server *server;
	int port;
	bool is_eager; /* as the options say */
	/* The rest belongs to the loop's thread: rig_ask() for it. */
	struct http_conn *waiting[RIG_WAITING_MAX];
	unsigned waiting_count;
	unsigned requests, gone, gone_open;
	uint64_t body_max, memory_max;
	/* in pieces: rig_stream.c */
	struct http_conn *paused, *pieces;
	uint64_t shown, flood_left;
	size_t backlog_max;
};

struct rig_reply {
	int status;
	str head;
	str body;
	char bytes[4096];
};

/*
 * Start a server with these options (loop, listener, ops and context are filled in; conns_max and
 * so on have defaults), run the script on another thread, and end both.
 */
void rig_run(struct http_server_options options, void (*script)(struct rig *rig));

/* Are all connections of rig_connect() made over TLS? (rig_tls.c) */
bool rig_is_tls(void);
/* One more that is not, whatever they are. */
int rig_connect_plain(struct rig *rig);

/* Run on the loop's thread, and wait for it. */
unsigned rig_ask(struct rig *rig, unsigned (*question)(struct rig *rig));
/* Ask until the answer is `wanted`, for some seconds; the test fails if it never is. */
void rig_wait(struct rig *rig, unsigned (*question)(struct rig *rig), unsigned wanted);
unsigned rig_conns(struct rig *rig);
unsigned rig_open(struct rig *rig);
unsigned rig_requests(struct rig *rig);
unsigned rig_gone(struct rig *rig);
unsigned rig_gone_open(struct rig *rig);

/* The peer's side; all of them block, for some seconds at most. */
int rig_connect(struct rig *rig);
void rig_send(int fd, str bytes);
/* Read one reply to a request (a HEAD has no body). Its body must fit. */
void rig_read(int fd, bool is_head, struct rig_reply *ret_reply);
/* Read a reply and compare. */
void rig_expect(int fd, int status, str body);
/* The peer closes, without another byte. */
void rig_expect_end(int fd);
/* Nothing comes for a while. */
void rig_expect_silence(int fd);
/* Read exactly so many bytes and drop them. */
void rig_skip(int fd, size_t len);
/* Read exactly these bytes. */
void rig_expect_bytes(int fd, str bytes);
/* Read up to and with the head of a reply in pieces: its bytes are in `reply`. */
void rig_expect_head(int fd, struct rig_reply *reply);

/* --- rig_stream.c, for rig.c --- */

/* At a head and at content of /upload. */
void rig_stream_on_head(struct rig *rig, struct http_conn *conn, const struct http_head *head);
int rig_stream_on_body(void *rig, struct http_conn *conn, str content);
/* A request that is answered in pieces: false when it is not. */
[[nodiscard]] bool rig_stream_on_request(
	struct rig *rig, struct http_conn *conn, const struct http_head *head);
void rig_stream_on_drained(void *rig, struct http_conn *conn);
/* The rest of what waits for /go. */
void rig_stream_go(struct rig *rig);
void rig_stream_on_gone(struct rig *rig, const struct http_conn *conn);

/* --- rig_tls.c, for rig.c --- */

/* Carry a connection on over TLS: what the test uses instead of it. */
int rig_tls_carry(int fd);
/* The server is gone: so are the carriers, soon. */
void rig_tls_end(void);
