#pragma once
/*
 * The engine's own objects, shared by its modules and by nobody else:
 *
 *	engine ──► directory ──► function_entry ──► pool (one a version) ──► environment
 *	                                              └──► waiting invocations
 *
 * Each is owned by the one above. An invocation is owned by the engine from engine_invoke() to its end.
 * All of it belongs to the loop thread.
 */
#include "base/attr.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "engine/engine.h"
#include "engine/function_log.h"
#include "engine/runtimes.h"
#include "os/loop.h"

struct http_conn;
struct http_server;

enum { TRACE_MAX = 256, QUALIFIER_MAX = 129, LOG_LINE_MAX = 256 * 1024 };

struct engine {
	struct engine_options options;
	struct loop *loop;
	struct platform *platform;
	struct function_log_writer *log_writer;
	struct map functions;	 /* account/region/name → struct function_entry */
	struct map environments; /* id → struct environment, every one not freed */
	struct list idle;	 /* all idle environments, least recently used first */
	struct list starved;	 /* pools whose waiters found the node full */
	struct timer *starved_timer;
	uint64_t next_id;
	uint64_t random;	 /* state of the weights' generator */
	struct engine_counters counters;
	void (*on_drained)(void *context); /* set: draining */
	void *on_drained_context;
	bool is_flushing; /* drained: the last logs are being written */
};

/* A function as far as the node has met it. */
struct function_entry {
	struct engine *engine;
	char *key; /* account/region/name */
	struct map targets; /* qualifier → struct target_entry */
	struct list pools;
	int32_t reserved_concurrency; /* -1: none */
	unsigned in_flight;	      /* invocations between admission and end */
	unsigned invocations;	      /* all that name it */
	unsigned loads;		      /* with workers */
	uint64_t generation;	      /* counts its changes */
};

/* --- environments (environment.c) --- */

/*
 *	BOOTING ─► INIT ─► IDLE ⇄ BUSY
 *	   └────────┴───────┴──────┴────► DEAD ─► (freed when the warden says it is gone)
 */
enum environment_state { ENV_BOOTING, ENV_INIT, ENV_IDLE, ENV_BUSY, ENV_DEAD, ENV_STATES };

struct environment {
	struct engine *engine;
	struct pool *pool;
	enum environment_state state;
	struct list in_pool;
	struct list in_idle;
	uint64_t id;
	str id_key; /* the bytes of `id`: its key in engine->environments */
	char stream_id[33];
	struct sandbox_handle sandbox;
	bool has_sandbox;
	bool is_kill_asked;
	struct http_server *runtime_api;
	struct http_conn *next; /* the parked GET …/next */
	void *endpoint;
	struct invocation *invocation;
	struct timer *deadline;
	int log_fd;
	struct watch *log_watch;
	bool is_log_paused;
	struct buf line; /* a log event that is not whole yet */
	bool is_frame;	 /* it is a frame, see environment_log.c */
	struct log_stream *stream;
	const struct runtime_pack *pack;
	uint64_t created_ms;	  /* loop time */
	uint64_t created_real_ms; /* wall clock: the date in the stream's name */
	uint64_t spawned_us;
	uint64_t init_us; /* how long initialisation took, for the first REPORT */
	bool is_init_reported;
	uint64_t invocations;
	struct deferred exit; /* the warden's word, handled after all ready sockets were read */
	struct exited_frame exit_frame;
	struct buf init_error; /* what the runtime posted to init/error */
	char init_error_type[64];
};

/* Start one for the pool: 0, or a fault (nothing was started). */
[[nodiscard]] int environment_start(struct pool *pool);
/* Nothing waits for it: → IDLE. */
void environment_idle(struct environment *env);
/* Give it an invocation: IDLE → BUSY, or straight from INIT or BUSY. */
void environment_assign(struct environment *env, struct invocation *invocation);
/* The runtime asked for its next invocation: INIT or BUSY → IDLE, or → BUSY when one waits. */
void environment_on_next(struct environment *env, struct http_conn *conn);
/* Stop it, whatever it does. Its invocation must have ended. */
void environment_kill(struct environment *env);
/* The runtime said that it cannot start: the body of init/error. */
void environment_on_init_error(struct environment *env, str body, str error_type);
void environment_on_spawned(struct environment *env, const struct spawned_frame *frame, const int fds[static 3]);
void environment_on_exited(struct environment *env, const struct exited_frame *frame);
const char *environment_state_name(enum environment_state state);
/* "2026/11/24/[$LATEST]0123…": the name of its log stream. */
void environment_stream_name(const struct environment *env, struct buf *out);

/* --- its log (environment_log.c) --- */

/* Watch the read end of the log pipe (taken). */
[[nodiscard]] int environment_log_open(struct environment *env, int fd);
/* Read what waits in the pipe. */
void environment_log_drain(struct environment *env);
/* What has come is an event, newline or not. */
void environment_log_end_line(struct environment *env);
void environment_log_close(struct environment *env);
/* A line of the platform's own, into the log and the running invocation's tail. */
[[gnu::format(printf, 2, 3)]] void environment_log_putf(struct environment *env, const char *format, ...);
void environment_log_put(struct environment *env, str line);

/* --- the Runtime API (runtime_api.c) --- */

[[nodiscard]] int runtime_api_open(struct environment *env, int listener);
void runtime_api_close(struct environment *env);
/* Answer the parked GET …/next with the invocation. */
void runtime_api_send(struct environment *env, const struct invocation *invocation);

/* Answer a response or an error that was taken: 202, held back for the next event. */
void runtime_api_accepted(struct http_conn *conn);

/* --- what a sandbox's environment variables are (environment_block.c) --- */

/* NUL-separated "NAME=value" in a sealed memfd: 0 and *ret_fd, or -E2BIG, or a fault. */
[[nodiscard]] int environment_block(const struct environment *env, int *ret_fd);

/* --- pools (pool.c) --- */

/* The environments of one version of a function. */
struct pool {
	struct engine *engine;
	struct function_entry *function;
	struct function_version *version;
	struct list link;
	struct list idle;   /* most recently used first */
	struct list others; /* in any other state */
	struct list waiters; /* invocations, oldest first */
	struct list starved;
	unsigned starting; /* BOOTING or INIT */
	unsigned waiting;
	unsigned environments;
	unsigned invocations; /* admitted, not finished */
	bool is_draining; /* replaced by another revision: its environments stop when they are free */
};

/* The pool of this very revision of a version, made when missing; NULL when out of memory. */
struct pool *pool_find(struct function_entry *function, struct function_version *version);
/* Serve with an idle environment, or queue and start one. */
void pool_serve(struct pool *pool, struct invocation *invocation);
/* An environment became free: the oldest waiter gets it, else it is kept idle (or stopped when draining). */
void pool_on_free(struct environment *env);
/* An environment is gone, or could not initialise: see to it that the waiters still get theirs. */
void pool_on_lost(struct pool *pool);
/* A newer revision exists. */
void pool_drain(struct pool *pool);
/* Free it when nothing holds it: no environment, no waiter, no invocation. */
void pool_reap(struct pool *pool);
/* Kill all environments and fail all waiters. */
void pool_reset(struct pool *pool);
/* Room appeared on the node: let starved pools try again. */
void pools_on_room(struct engine *engine);

/* --- invocations (invocation.c) --- */

struct invocation {
	struct engine *engine;
	struct function_entry *function; /* counted in its in_flight */
	struct pool *pool;
	struct environment *env; /* while it runs */
	struct list waiting;	 /* in pool->waiters, or in a target's */
	struct deferred end;
	bool is_abandoned;
	bool is_ended; /* a result was chosen */
	bool wants_tail;
	bool has_printed; /* something, since it started */
	char request_id[UUID_LEN + 1];
	char qualifier[QUALIFIER_MAX];
	char trace[TRACE_MAX];
	str account, region, name; /* into `text` */
	char *text;
	str payload;
	str client_context; /* into `text` */
	struct buf tail;
	uint64_t received_ms;  /* loop time */
	uint64_t started_us;   /* given to the environment */
	uint64_t deadline_ms;  /* wall clock */
	uint64_t duration_us;
	invocation_done_fn *done;
	void *context;
	/* the result */
	enum invoke_outcome outcome;
	bool is_error;
	const char *status; /* of the REPORT line */
	char error_type[64];
	str result;		 /* the answer: into the runtime's connection, or into `own_result` */
	struct buf own_result;
	struct http_conn *response; /* the runtime's POST that is not answered yet */
	char content_type[96];
	char detail[256];
};

/* A version was chosen: admission, then its pool. */
void invocation_admit(struct invocation *invocation, const struct function_target *target);
/* The environment has it (each points at the other from now on): START. */
void invocation_start(struct invocation *invocation, struct environment *env);
/*
 * The runtime answered: `body` is borrowed from `conn`, which is answered too when the caller has its
 * result, at the end of this turn of the loop.
 */
void invocation_respond(struct invocation *invocation, struct http_conn *conn, str body, bool is_error,
	str error_type, str content_type);
/* That connection is going away before then: keep a copy of the answer. */
void invocation_keep_response(struct invocation *invocation);
/*
 * It ended without an answer of the runtime: an error object of this type and message. Takes leave of its
 * environment at once; the caller hears of it at the end of this turn.
 */
[[gnu::format(printf, 4, 5)]] void invocation_fail(
	struct invocation *invocation, const char *status, const char *type, const char *format, ...);
/* Write END and REPORT and take leave of the environment. Once it has ended; doing it twice is doing it once. */
void invocation_conclude(struct invocation *invocation);
/* It never ran: an outcome other than INVOKE_DONE. */
void invocation_refuse(struct invocation *invocation, enum invoke_outcome outcome, str detail);
/* It ends with this error object, posted by the runtime's initialisation. */
void invocation_fail_with(struct invocation *invocation, str error_object, str error_type);

/* --- the directory (directory.c) --- */

/* Find what the name leads to and go on with invocation_admit(), or refuse. */
void directory_resolve(struct engine *engine, struct invocation *invocation);
void directory_changed(struct engine *engine, str account, str region, str name);
/* Its targets must be read again. */
void function_entry_forget(struct function_entry *function);
/* Free the entry when nothing uses it. */
void function_entry_reap(struct function_entry *function);

/* Microseconds of the monotonic clock. */
uint64_t engine_now_us(void);
/* A number below `bound`, for weights. */
uint32_t engine_random(struct engine *engine, uint32_t bound);
/* When draining and nothing is left: tell. */
void engine_check_drained(struct engine *engine);
