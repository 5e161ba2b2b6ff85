#pragma once
/*
 * For tests: a node without a machine. The engine is the real one, on a real loop; the test plays
 * everything around it:
 *
 *	test ── engine_invoke() ──► engine ◄── frames over a socketpair ── test as the warden
 *	                              ▲ ▲
 *	  Runtime API on loopback ────┘ └──── load_target_fn and logs_append(): tables in memory
 *
 * A test is a straight line: it does something, lets the loop run until something is so, and looks.
 * Nothing of it runs by itself, but what a robot (see below) does. Waiting has a generous bound,
 * beyond which the test program ends.
 */
#include "base/buf.h"
#include "base/list.h"
#include "base/test.h"
#include "engine/engine.h"
#include "engine/runtimes.h"
#include "wire/frames.h"

#include <pthread.h>

enum { FAKE_TARGETS_MAX = 16, FAKE_FRAMES_MAX = 256, FAKE_ENDPOINTS_MAX = 64 };

/* A version or alias in the store. Unset fields get defaults; `reserved` is one more than it says. */
struct fake_target {
	const char *name;
	const char *qualifier; /* "$LATEST" */
	const char *version;   /* the qualifier */
	const char *revision;  /* "1" */
	const char *runtime;   /* "python3.12" */
	const char *other;     /* a second version, for `per_million` */
	uint32_t per_million;
	uint32_t reserved;  /* 0: none; 1 + the reserved concurrency */
	uint32_t set_aside; /* of the account, in revision 1 */
	uint32_t timeout_ms;
	uint64_t payload_max;
	uint32_t memory_mb;	   /* 128 */
	enum function_state state; /* FUNCTION_PENDING (0) means active: see is_pending */
	bool is_pending, has_extensions, is_json, is_traced, is_per_tenant;
	const char *level; /* of the system's lines, with is_json */
	const str *env;
	uint32_t env_count;
};

struct fake_node {
	struct loop *loop;
	struct platform platform;
	struct engine *engine;
	struct runtimes *runtimes;
	struct timer *tick;
	bool (*is_done)(void *context);
	void *is_done_context;
	uint64_t give_up_ms;
	int warden; /* our end */
	uint32_t next_slot;
	/* frames that came, in order: [taken, count) are not looked at yet */
	struct {
		union frame frame;
		int fds[3];
		bool is_taken;
	} frames[FAKE_FRAMES_MAX];
	size_t frame_count;
	bool is_drained;
	unsigned endpoints; /* taken and not given back */
	/* the store */
	pthread_mutex_t lock;
	pthread_cond_t opened;
	struct fake_target targets[FAKE_TARGETS_MAX];
	size_t target_count;
	unsigned loads;
	bool is_load_shut; /* loads wait at the end, with what they have seen */
	int load_fault;
};

/*
 * Start with these options; only the numbers matter, 0 takes a default. With stems_max Python's pack
 * can fork and wait.
 */
void fake_node_start(struct fake_node *node, const struct engine_options *options);
/*
 * Drain, playing a warden that kills; check that nothing is left; free everything. A kill that was
 * awaited is the test's to answer, with fake_exit().
 */
void fake_node_stop(struct fake_node *node);

/* Let the loop run until `is_true`; for so long; for one turn: what is ready is handled, nothing is waited for. */
void fake_until(struct fake_node *node, bool (*is_true)(void *context), void *context);
void fake_sleep(struct fake_node *node, uint64_t ms);
void fake_turn(struct fake_node *node);

/* What the engine counts at this moment. */
struct engine_counters fake_counters(const struct fake_node *node);
/* --- the store --- */

/* Add the target, or replace the one of the same name and qualifier. */
void fake_target_put(struct fake_node *node, const struct fake_target *target);
/* Remove all targets of the name. */
void fake_target_remove(struct fake_node *node, const char *name);
/* Loads stop before they return, or go on. */
void fake_loads_shut(struct fake_node *node, bool is_shut);
/* Let the loop run until so many loads have read the store, since the start. */
void fake_loads_await(struct fake_node *node, unsigned loads);

/*
 * Provision so many environments for a qualifier of a function that leads to this version; with NULL
 * for the qualifier: none at all.
 */
void fake_provision(struct fake_node *node, uint64_t revision, const char *name,
	const char *qualifier, const char *version, uint32_t requested);

/* --- invoking --- */

/* What became of an invocation. */
struct fake_call {
	struct invocation *invocation;
	char request_id[UUID_LEN + 1];
	bool is_done;
	unsigned order; /* of the calls of this program that are done, from 1 */
	enum invoke_outcome outcome;
	bool is_error, has_begun, is_stream, is_full; /* is_full is the test's to set */
	struct buf payload, pieces;
	char version[32];
	char content_type[96];
	char detail[256], own_error[64];
	char throttle_message[160];
	unsigned retry_after_s, begun; /* how often its sink was told of a beginning */
	char trace[256];
	struct buf tail;
};

struct fake_ask {
	const char *name;
	const char *qualifier;
	const char *account;
	const char *payload; /* "{}" */
	const char *trace;
	const char *client_context, *tenant;
	bool wants_tail, streams; /* with a sink that takes a response as it comes */
};

/* Invoke; the call must be done, or abandoned, before it goes out of scope. */
void fake_invoke(struct fake_node *node, const struct fake_ask *ask, struct fake_call *call);
/* The same of a function by its name. */
void fake_invoke_name(struct fake_node *node, const char *name, struct fake_call *call);
/* Let the loop run until it is done. */
void fake_await(struct fake_node *node, struct fake_call *call);
/* Free what it holds. */
void fake_call_done(struct fake_call *call);
/* Is the payload this text, with %s in it standing for the request's id? */
[[nodiscard]] bool fake_payload_is(const struct fake_call *call, const char *format);

/* --- the warden --- */

/* A sandbox, as the fake warden has it. */
struct fake_sandbox {
	struct spawn_frame spawn;
	struct sandbox_handle handle;
	char env[ENV_BLOCK_MAX + 1]; /* NUL-separated */
	size_t env_len;
	int log;   /* where the runtime prints; -1: closed */
	int guard; /* the guard's end of its line; -1: none */
	int api_port, endpoint_port;
	int memory, memory_stat; /* files like memory.peak and memory.stat: to write to */
	bool is_killed;		 /* FRAME_KILL came */
};

/* Await the next FRAME_SPAWN. */
void fake_await_spawn(struct fake_node *node, struct fake_sandbox *sandbox);
/* The same with a guard. */
void fake_await_guarded(struct fake_node *node, struct fake_sandbox *sandbox);
/* Has none come? After what is ready was handled. */
[[nodiscard]] bool fake_has_spawn(struct fake_node *node);
/* Listen, and tell that it is there; the second awaits FRAME_SPAWN before. */
void fake_spawned(struct fake_node *node, struct fake_sandbox *sandbox);
void fake_spawn(struct fake_node *node, struct fake_sandbox *sandbox);
/* Await FRAME_KILL of this sandbox. Or: was it asked for? After what is ready was handled. */
void fake_await_kill(struct fake_node *node, struct fake_sandbox *sandbox);
[[nodiscard]] bool fake_is_kill_asked(struct fake_node *node, const struct fake_sandbox *sandbox);
/* Await FRAME_FREEZE or FRAME_THAW of this sandbox. Or: has it come already, and was not awaited? */
void fake_await_order(struct fake_node *node, const struct fake_sandbox *sandbox, enum frame_op op);
[[nodiscard]] bool fake_has_order(
	struct fake_node *node, const struct fake_sandbox *sandbox, enum frame_op op);
void fake_await_warm(struct fake_node *node);
/* Await FRAME_GRAFT of this sandbox, which was spawned without code; its `spawn` has it then. */
void fake_await_graft(struct fake_node *node, struct fake_sandbox *sandbox);
/* Answer it; with an errno the sandbox's end must follow. */
void fake_grafted(struct fake_node *node, struct fake_sandbox *sandbox, int error);
/* The file that tells the largest memory use says so many MB from now on. */
void fake_use_memory(const struct fake_sandbox *sandbox, unsigned mb);
/* Close what it has, and tell that it is gone. */
void fake_exit(
	struct fake_node *node, struct fake_sandbox *sandbox, enum exit_kind kind, uint32_t value);
/* It could not be started. Instead of fake_spawned(). */
void fake_no_start(
	struct fake_node *node, struct fake_sandbox *sandbox, const char *step, int error);
/* Print to its log. */
void fake_print(const struct fake_sandbox *sandbox, const char *text);
/* The value of an environment variable; at == NULL when it is not set. */
[[nodiscard]] str fake_env(const struct fake_sandbox *sandbox, const char *name);
