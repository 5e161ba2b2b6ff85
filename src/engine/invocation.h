#pragma once
/* One invocation, from engine_invoke() to its end: see invocation.c. */
#include "base/buf.h"
#include "engine/engine.h"
#include "engine/runtime_api.h"
#include "model/trace.h"
#include "os/loop.h"

struct environment;
struct function_entry;
struct http_conn;
struct pool;

enum { QUALIFIER_MAX = 129 };

/* What an invocation holds from its admission to its end. */
enum seat {
	SEAT_NONE,	  /* not admitted */
	SEAT_RESERVED,	  /* of its function's reservation */
	SEAT_UNRESERVED,  /* of what all other functions of the account share */
	SEAT_PROVISIONED, /* of what is provisioned for its version */
};

struct invocation {
	struct engine *engine;
	struct function_entry *function; /* counted in its invocations */
	struct pool *pool;		 /* since admission: counted in its invocations */
	struct environment *env;	 /* while it runs */
	enum seat seat;
	struct list waiting; /* in pool->waiters, or in a target's */
	struct deferred end;
	const struct response_sink *sink;
	bool has_begun;	   /* its sink has */
	uint64_t streamed; /* bytes that it was given */
	bool is_abandoned;
	bool is_ended;	   /* a result was chosen */
	bool is_answered;  /* by the runtime, which goes on */
	bool is_done_told; /* platform.runtimeDone was sent to who has subscribed */
	bool is_held;	   /* it has ended, and its caller waits for the whole of its log */
	bool wants_tail;
	char request_id[UUID_LEN + 1];
	char qualifier[QUALIFIER_MAX];
	char trace[TRACE_MAX];
	str account, region, name; /* into `text` */
	str client_context;	   /* into `text` */
	str tenant;		   /* into `text`; empty: none */
	str payload;
	struct buf tail;
	uint64_t received_ms; /* loop time */
	uint64_t started_us;  /* given to the environment */
	uint64_t deadline_ms; /* wall clock */
	uint64_t duration_us;
	invocation_done_fn *done;
	void *context;
	/* the result */
	enum invoke_outcome outcome;
	bool is_error;
	bool is_stream;	       /* see struct answer */
	const char *own_error; /* the type of an error of ours */
	const char *status;    /* of the REPORT line; NULL: success */
	char error_type[ERROR_TYPE_MAX];
	str result; /* the answer: into the runtime's connection, or into `own_result` */
	struct buf own_result;
	struct http_conn *response; /* the runtime's POST that is not answered yet */
	char content_type[96];
	char detail[256];
	uint64_t payload_max;	    /* INVOKE_TOO_LARGE */
	char throttle_message[160]; /* INVOKE_THROTTLED: in words */
	unsigned retry_after_s;
	char text[];
};

/*
 * Its time begins, or began so long ago: deadline, and the decision about tracing. It is not the
 * environment's yet.
 */
void invocation_prepare(struct invocation *invocation, uint64_t spent_us);
/* The environment has it (each points at the other from now on): START. */
void invocation_start(struct invocation *invocation, struct environment *env);

/* What the runtime answered. */
struct answer {
	str body; /* borrowed from the connection */
	bool is_error;
	str error_type;	  /* with is_error */
	str content_type; /* empty: JSON */
	bool is_stream;	  /* it was streamed */
};

/* The runtime begins to stream the response, to a sink. */
void invocation_begin(struct invocation *invocation, str content_type);
/* More of it; false: no more until invocation_resume() calls for it. */
[[nodiscard]] bool invocation_piece(struct invocation *invocation, str content);

/*
 * The runtime answered: the body stays in `conn`, which is answered too when the caller has its
 * result, at the end of this turn of the loop.
 */
void invocation_respond(
	struct invocation *invocation, struct http_conn *conn, const struct answer *answer);
/* That connection is going away before then: keep a copy of the answer. */
void invocation_keep_response(struct invocation *invocation);
/*
 * It ended without an answer of the runtime: an error object of this type (a constant) and message. Takes leave
 * of its environment at once; the caller hears of it at the end of this turn.
 */
[[gnu::format(printf, 4, 5)]] void invocation_fail(struct invocation *invocation,
	const char *status, const char *type, const char *format, ...);
/* It ends with this error object, posted by the runtime's initialisation. */
void invocation_fail_with(struct invocation *invocation, str error_object, str error_type);
/* It never ran: an outcome other than INVOKE_DONE. */
void invocation_refuse(struct invocation *invocation, enum invoke_outcome outcome, str detail);
/*
 * Write END and REPORT and take leave of the environment. Once it has ended; doing it twice is
 * doing it once.
 */
void invocation_conclude(struct invocation *invocation);

/*
 * The end of an invocation in the log of its environment: END and REPORT. `invocation` gets them for its
 * tail, or is NULL: it is gone.
 */
struct log_report;
void invocation_write_report(
	struct environment *env, struct invocation *invocation, const struct log_report *report);
/* The ARN that was invoked: with the qualifier that was asked for, if any. */
void invocation_put_arn(struct buf *out, const struct invocation *invocation);
/* A line of its log, for the caller who wants the tail. */
void invocation_tail_put(struct invocation *invocation, str line);

/* --- admission.c --- */

struct function_target;

/*
 * What it names is known: choose a version, hold it against the limits, go on in its pool or
 * refuse.
 */
void invocation_admit(struct invocation *invocation, const struct function_target *target);
/* It has ended: its seat is free for another. */
void seat_leave(struct function_entry *function, struct pool *pool, enum seat seat);
/* It never ran because there is too much of something: INVOKE_THROTTLED. */
struct throttle {
	str reason;	   /* as AWS's model names it */
	str message;	   /* empty: as AWS words it */
	uint64_t retry_ms; /* 0: in a second */
};
void invocation_throttle(struct invocation *invocation, const struct throttle *throttle);
