#pragma once
/*
 * An execution environment: a sandbox with a runtime in it. environment.c has its states,
 * environment_start.c its birth, environment_end.c how it goes wrong, environment_log.c what it
 * prints, environment_block.c its environment variables.
 */
#include "base/buf.h"
#include "base/list.h"
#include "engine/environment_log.h"
#include "engine/figures.h"
#include "engine/log_meter.h"
#include "engine/runtime_api.h"
#include "os/loop.h"
#include "os/random.h"
#include "wire/frames.h"

struct engine;
struct extension_host;
struct http_conn;
struct http_server;
struct invocation;
struct log_stream;
struct pool;
struct provision_share;
struct runtime_pack;
struct snapshot_ask;
struct stem_kin;

/*
 *	BOOTING ⇄ INIT ─► IDLE ⇄ BUSY
 *	   │        │       │  FROZEN ─► BUSY
 *	   └────────┴───────┴──────┴────► DEAD ─► (freed when the warden says it is gone)
 */
enum environment_state {
	ENV_BOOTING,
	ENV_INIT,
	ENV_IDLE,
	ENV_FROZEN, /* idle for a while: its processes are stopped until it has work */
	ENV_BUSY,
	ENV_DEAD,
	ENV_STATES
};

struct environment {
	struct engine *engine;
	struct pool *pool;
	enum environment_state state;
	struct list in_pool, in_idle, in_starts, in_share; /* of pool, engine, capacity, share */
	struct provision_share *share;			   /* provisioned for it; NULL: on demand */
	bool is_provisioned;				   /* it was started so */
	uint32_t charge_mb;				   /* that it is counted with */
	uint64_t id;
	str id_key; /* the bytes of `id`: its key in engine->environments */
	char stream_id[33];
	struct sandbox_handle sandbox;
	bool has_sandbox, is_kill_asked, is_cpu_strict;
	bool is_second; /* its initialisation failed, and is done again in a new sandbox */
	bool is_restarting, is_over_memory; /* the first is not gone yet; it must end for memory */
	enum environment_birth birth;
	bool is_graft_failed;	  /* a stem that could not be given the function's code */
	struct http_conn *parked; /* a stem's request for the environment variables */
	int endpoint_fd;	  /* the listener, until it is served */
	struct http_server *runtime_api;
	struct http_conn *next;	     /* the parked GET …/next */
	bool is_next_last;	     /* its connection closes with the event */
	struct http_conn *answering; /* sends the answer of the running invocation */
	bool is_streaming;	     /* and its caller takes it as it comes */
	bool is_stream_lost;	     /* it broke off: the invocation has ended with that */
	void *endpoint;
	struct invocation *invocation;
	char metadata_token[UUID_LEN + 1];
	char request_id[UUID_LEN + 1]; /* of the last invocation it was given */
	struct timer *deadline;
	struct log_source log, extensions_log;
	struct log_meter log_meter; /* of both */
	bool has_printed;	    /* since the running invocation began */
	bool is_talker;		    /* it printed during the invocation before */
	struct log_stream *stream;
	const struct runtime_pack *pack;
	uint64_t created_ms;	  /* loop time */
	uint64_t worn_ms;	  /* loop time: it is given nothing to do from then on */
	uint64_t created_real_ms; /* wall clock: the date in the stream's name */
	uint64_t spawned_us;	  /* its sandbox is there; before: it was asked for */
	uint64_t init_us;	  /* how long initialisation took, for the first REPORT */
	bool is_init_reported;
	uint64_t spent_us; /* what initialising again took of the running invocation's time */
	uint64_t invocations;
	bool is_gone;	      /* the warden said so: `exit` deals with it */
	uint64_t gone_ms;     /* loop time */
	struct deferred exit; /* handled after all ready sockets were read */
	struct exited_frame exit_frame;
	struct snapshot_ask *snapshot; /* it is to save itself; owned, until that was told */
	bool is_restored;	       /* from its version's snapshot */
	struct extension_host *host;   /* its extensions; NULL: it has none */
	const char *end_reason; /* of its Shutdown phase: "timeout", "failure"; NULL: "spindown" */
	struct buf init_error;	/* what the runtime posted to init/error */
	char init_error_type[ERROR_TYPE_MAX];
};

/* Settings have changed: those that are idle now are idle for the new time from now. */
void environments_on_tuned(struct engine *engine);

/* A new one becomes its pool's, BOOTING. */
void environment_join(struct environment *env);
/* The only writer of env->state after that: lists, counters and the state's deadline follow it. */
void environment_enter(struct environment *env, enum environment_state next);
/* Is it BOOTING or in INIT? */
[[nodiscard]] bool environment_is_starting(const struct environment *env);
/* It has lived for its time, and is given nothing more to do. Never true of one that starts. */
[[nodiscard]] bool environment_is_worn(const struct environment *env);
/* It is not provisioned any more (its share has let go of it): it ages like others. */
void environment_become_ordinary(struct environment *env);
/* "busy". */
const char *environment_state_name(enum environment_state state);
/*
 * What its initialisation has taken of this invocation's time: a second one runs "with the
 * configured function timeout", for the invocations that have waited for it.
 */
[[nodiscard]] uint64_t environment_spent_us(
	const struct environment *env, const struct invocation *invocation);
/*
 * Give it an invocation: → BUSY. False when it is worn or its runtime can no longer receive one: the
 * invocation is untouched, and the environment should be killed.
 */
[[nodiscard]] bool environment_assign(struct environment *env, struct invocation *invocation);
/* Its grace is over: IDLE → FROZEN. False when environments are not frozen here, or it failed. */
[[nodiscard]] bool environment_freeze(struct environment *env);
/* The runtime asked for its next invocation: INIT or BUSY → IDLE, or → BUSY when one waits. */
void environment_on_next(struct environment *env, struct http_conn *conn);
/* The runtime, or an extension, has asked for its next event: go on if that was what all waited for. */
void environment_settle(struct environment *env);
/* Ask the warden for a SIGTERM for its runtime; to let its processes run, whatever its state is. */
void environment_terminate(struct environment *env);
void environment_unfreeze(struct environment *env);
/* Ask the warden to stop its sandbox, when it has one and that was not asked yet. */
void environment_ask_kill(struct environment *env);
/* Stop it, whatever it does. Its invocation must have ended and be concluded. */
void environment_kill(struct environment *env);
/* Nothing of it is left on the machine: free it. */
void environment_free(struct environment *env);
/* "2026/11/24/[$LATEST]0123…", its log stream; "2026/11/24/NAME[$LATEST]0123…", its name in platform.initStart. */
void environment_stream_name(const struct environment *env, struct buf *out);
void environment_instance_name(const struct environment *env, struct buf *out);

/* --- environment_start.c --- */

/*
 * Start one for the pool, by the quickest way there is; for a share of what is provisioned, or on
 * demand (NULL): 0, or a fault (nothing was started).
 */
[[nodiscard]] int environment_start(struct pool *pool, struct provision_share *share);
/* Start one that saves itself. 0 (the ask is its own), or a fault. */
[[nodiscard]] int environment_start_snapshot(struct pool *pool, struct snapshot_ask *ask);
/* The code of a function is in what was a stem (or not, then its exit follows). */
void environment_on_grafted(struct environment *env, const struct grafted_frame *frame);
/* Free what a new one has, and the object: nobody else knows it. */
void environment_discard(struct environment *env);
/*
 * Its sandbox is there: Runtime API listener, AWS endpoint listener, memory peak file (all taken).
 */
void environment_on_spawned(
	struct environment *env, const struct spawned_frame *frame, const int fds[static 4]);
/* Nobody inside is listened to any more. Twice is once. */
void environment_unserve(struct environment *env);
/*
 * Its first sandbox is gone, and it is BOOTING: start a second one in its place, on the same log
 * stream. 0, or a fault (nothing was started, and the environment is of no use any more).
 */
[[nodiscard]] int environment_restart(struct environment *env);

/* --- environment_end.c --- */

/*
 * The timer of engine->memory_timer: environments that hold more than their memory are ended, as the
 * kernel would.
 */
void environments_look_at_memory(void *engine);
/* The time of its state is over. */
void environment_on_deadline(void *env);
/* The runtime said that it cannot start: the body of init/error. */
void environment_on_init_error(struct environment *env, str body, str error_type);
/* A process of it has ended that must not, while its sandbox has not: see extension_host.c. */
void environment_on_failed(struct environment *env);
/* "exit status 1", "signal: killed": `kind` is EXIT_STATUS or EXIT_SIGNAL. */
void environment_describe_end(uint32_t kind, uint32_t value, char *to, size_t size);
/* The warden's word that it is gone. Freed later. */
void environment_on_exited(struct environment *env, const struct exited_frame *frame);
/*
 * It cannot be used and that is not the function's fault: whoever waits longest is told, and it is
 * killed.
 */
void environment_give_up(struct environment *env);

/* --- environment_block.c --- */

/* The variables as NUL-terminated "NAME=value": 0, or -E2BIG. `block` holds ENV_BLOCK_MAX bytes. */
[[nodiscard]] int environment_put_block(struct buf *block, const struct environment *env);
/* Those of a runtime that waits for its function. */
void environment_put_stem_block(
	struct buf *block, const struct runtime_pack *pack, const struct stem_kin *kin);
