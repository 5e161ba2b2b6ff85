#pragma once
/*
 * Inside of the HTTP server: what server.c (listening, time), conn.c (the life of a connection),
 * body.c (receiving bodies), reply.c (sending) and secure.c (TLS) share. For nobody else.
 */
#include "base/list.h"
#include "http/server.h"

#include <sys/types.h>
#include <sys/uio.h>

enum conn_state {
	CONN_IDLE,    /* between requests: nothing of the next one is there */
	CONN_SHAKING, /* TLS is there, its handshake is not over */
	CONN_HEAD,    /* receiving a head */
	CONN_BODY,    /* receiving a body */
	CONN_OPEN,    /* the request is the user's until http_reply() */
	CONN_STREAM,  /* the reply is being sent in pieces, until http_stream_end() */
	CONN_SENDING, /* the socket did not take the whole reply */
	CONN_LINGER,  /* all is said: what still arrives is thrown away until the peer closes */
	CONN_DEAD,    /* its deferred task frees it */
	CONN_STATES
};

/* What bounds the time in a state; HEAD and BODY have one deadline together. */
enum conn_time {
	TIME_IDLE,
	TIME_HANDSHAKE,
	TIME_REQUEST,
	TIME_OPEN, /* no bound: it is the user's, in OPEN and in STREAM */
	TIME_SEND,
	TIME_LINGER,
	TIME_DEAD, /* gone before any bound */
	TIME_KINDS
};

/* How the peer tells the end of a reply in pieces. */
enum stream_framing {
	STREAM_CHUNKS,
	STREAM_UNTIL_CLOSE,
	STREAM_NOTHING, /* there is no body */
};

enum {
	CONN_IN_SIZE = 16 * 1024,     /* the input buffer of an ordinary request; pooled */
	CONN_READ_MIN = 1024,	      /* room for less is not worth a read(2) */
	CONN_SPOOL_READ = 128 * 1024, /* bytes a read(2) of a body that goes to disk */
	CONN_OUT_KEEP = 4096,	      /* an output buffer above it is freed when it is empty */
	CONN_SEND_STALL_MS = 60'000,  /* a peer that takes nothing for so long is given up */
	CONN_LINGER_MS = 30'000,      /* how long a refused peer may go on sending */
	TLS_FIRST_BYTE = 0x16, /* of a connection: a handshake. No request of HTTP begins with it */
	CONN_FILE_STEP = 1024 * 1024,	/* of a file sent before others have their turn */
	CONN_SECURE_STEP = 1024 * 1024, /* of anything that is enciphered before others have it */
};

/* What belongs to one request, from its complete head to its reply. Pooled by the server. */
struct http_exchange {
	struct http_exchange *next_spare;
	size_t head_len; /* of the bytes that request.head views */
	uint64_t body_max;
	uint64_t memory_max; /* a longer body is spooled */
	uint64_t spooled;    /* bytes in request.body_fd, or given to on_body */
	size_t in_memory;    /* bytes of content behind the head in the input buffer */
	int refusal;	     /* the status that on_body asked for */
	bool is_streamed;    /* on_body gets the body */
	bool is_paused;	     /* no more of it for now */
	struct http_chunks chunks;
	struct buf trailers;
	struct http_request request;
};

struct http_conn {
	struct list link; /* in the server's list of its state's time */
	struct http_server *server;
	struct watch *watch;
	struct tls_stream *tls;		/* NULL: plain */
	struct http_exchange *exchange; /* in BODY, OPEN and STREAM */
	void *user;
	struct deferred task; /* goes on with what is buffered; frees a DEAD one */
	uint64_t since_ms;    /* in this kind of time */
	/*
	 * Bytes received: [start, in.len) is the current request and what follows it. In OPEN the
	 * buffer is never moved: the request views it.
	 */
	struct buf in;
	size_t start;
	size_t seen; /* of the current head, looked at before */
	/* Bytes not sent: [out_sent, out.len), then `file_left` of file_fd from file_at. */
	struct buf out;
	size_t out_sent;
	off_t file_at;
	uint64_t file_left;
	int file_fd; /* -1: none */
	int fd;
	uint8_t state;
	bool is_unheard;      /* its first byte is to tell whether this is TLS */
	bool is_closing;      /* after the reply */
	bool is_input_unread; /* close only after lingering */
	bool is_at_end;	      /* the peer will send no more */
	bool is_request_open; /* between on_request and http_reply() */
	uint8_t framing;      /* of a reply in pieces: enum stream_framing */
};

struct http_server {
	struct http_server_options options;
	struct watch *watch; /* of the listener */
	struct timer *sweep;
	bool is_sweep_armed;
	bool is_draining;
	bool is_accept_failing; /* out of descriptors or memory: tried again at the next sweep */
	unsigned conns;
	unsigned open;
	uint64_t time_max[TIME_KINDS]; /* 0: no bound */
	uint64_t sweep_ms;
	struct list lists[TIME_KINDS]; /* of connections, oldest first */
	struct http_exchange *spare_exchanges;
	unsigned spare_exchange_count;
	struct buf spare_inputs[64]; /* of CONN_IN_SIZE each */
	unsigned spare_input_count;
	uint64_t date_s; /* the second that `date` tells */
	struct buf date;
};

/* server.c */

/* A pooled input buffer into *in, which is empty; 0 or -ENOMEM. */
[[nodiscard]] int server_take_input(struct http_server *server, struct buf *in);
/* Give its memory back (or free it when it is larger than the pooled ones). */
void server_give_input(struct http_server *server, struct buf *in);
/* A fresh exchange, or NULL. */
[[nodiscard]] struct http_exchange *server_take_exchange(struct http_server *server);
/* Done with it: the spooled body is closed. NULL is fine. */
void server_give_exchange(struct http_server *server, struct http_exchange *exchange);
/* The value of the Date field, borrowed until the next call. */
[[nodiscard]] str server_date(struct http_server *server);
/* There is a connection in a state with a deadline: be awake for it. */
void server_arm(struct http_server *server);
/* A connection is gone: accept again if that was what accepting waited for. */
void server_on_conn_freed(struct http_server *server);

/* conn.c */

/* Take over an accepted socket; closes it on a fault. */
[[nodiscard]] int conn_new(struct http_server *server, int fd);
/* on_gone, then free it with all it has. Only where nobody up the stack holds it. */
void conn_free(struct http_conn *conn);
/* The only place that writes conn->state. */
void conn_enter(struct http_conn *conn, enum conn_state next);
/* Nothing more can be said or heard: free it from the loop. Twice is once. */
void conn_die(struct http_conn *conn);
/* The same because of a fault, which is logged unless it only says that the peer has left. */
void conn_fail(struct http_conn *conn, int fault, const char *what);
/* Its time in this state is over. */
void conn_on_timeout(struct http_conn *conn);
/* The reply is sent: close, or go on with the next request. */
void conn_on_sent(struct http_conn *conn);
/* Let go of the current request and of its bytes. */
void conn_end_exchange(struct http_conn *conn, size_t used);
/* Watch what the state asks for. */
void conn_watch(struct http_conn *conn);

/* body.c */

enum body_answer {
	BODY_WHOLE = 0, /* request.body or request.body_fd is set */
	BODY_MORE,	/* go on reading */
	BODY_BAD,	/* answer 400 */
	BODY_TOO_LARGE, /* answer 413 */
	BODY_REFUSED,	/* answer exchange->refusal */
};

/* The head is there and accepted: prepare for its body. A body_answer or a fault. */
[[nodiscard]] int body_begin(struct http_conn *conn);
/* Take what has arrived. A body_answer or a fault. */
[[nodiscard]] int body_take(struct http_conn *conn);
/* Make room to read more of it: 0 or a fault. The request's head may move (its views follow). */
[[nodiscard]] int body_make_room(struct http_conn *conn);
/* Bytes of the input buffer that the whole request takes. */
[[nodiscard]] size_t body_end(const struct http_conn *conn);

/* reply.c */

/*
 * Send the output buffer and then these pieces; what the socket does not take is kept in the
 * output buffer. 0 or a fault of the socket.
 */
[[nodiscard]] int conn_send(struct http_conn *conn, const struct iovec *pieces, size_t count);
/* Send what is left: the output buffer, then the file. 0 or a fault. */
[[nodiscard]] int conn_flush(struct http_conn *conn);
/* Is something left to send? */
[[nodiscard]] bool conn_has_output(const struct http_conn *conn);
/* Answer a request that never opened, and close. */
void conn_refuse(struct http_conn *conn, int status);
