#pragma once
/*
 * The engine: takes invocations, finds or starts an execution environment for each, and answers.
 * Everything here is for the loop thread only.
 */
#include "engine/figures.h"
#include "engine/platform.h"
#include "engine/response_sink.h"

#include "os/random.h"

#include <stddef.h>

struct engine;
struct invocation;
struct runtimes;
struct function_log_writer;

struct engine_options {
	struct loop *loop;
	struct platform *platform;
	const struct runtimes *runtimes;
	load_target_fn *load;
	unsigned environments_max; /* live at a time on this node */
	unsigned starts_max;	   /* of them: starting at a time */
	unsigned starts_beside;	   /* the same while others are in use; 0: no difference */
	uint64_t memory_mb;	   /* that all environments may be counted with */
	bool is_memory_reserved;   /* counted with MemorySize, not with what they use */
	uint64_t freeze_ms;	   /* an idle environment is frozen after it; 0: never */
	uint64_t idle_ms;	   /* an idle environment is stopped after it */
	uint64_t lifetime_ms;	   /* an environment is replaced after it, when it does not work */
	bool has_credentials;	   /* functions get temporary ones of their role */
	unsigned stems_max;	   /* of each pack that can wait, booted ahead */
	unsigned spares_max;	   /* of each version in use, ready ahead */
	unsigned hold_above;	   /* so many of a version at once: see hold.c; 0: any number */
	uint64_t hold_ms;	   /* the longest that an invocation is held back for them */
	uint64_t init_ms;	   /* how long a first initialisation may take */
	uint64_t queue_ms;	   /* how long an invocation waits for a place on a full node */
	uint32_t account_concurrency;
	uint32_t invocation_rate; /* requests a second for each unit of concurrency; 0: any */
	uint32_t scaling_rate;	  /* environments of a function in ten seconds */
	uint32_t is_cpu_strict;
	uint64_t log_rate; /* bytes a second that an environment may log, see log_meter.h */
	/* Is a processor of the host without work? NULL: yes. */
	bool (*has_free_processor)(void *context);
	/*
	 * A new environment's listener on 127.0.0.1:4566: take it (and serve it until the matching
	 * on_endpoint_gone with the returned pointer), or return NULL to have it closed.
	 */
	void *(*on_endpoint)(void *context, int listener, const struct function_version *version);
	void (*on_endpoint_gone)(void *context, void *endpoint);
	void *context;
};

/*
 * An engine without functions: 0 and *ret_engine, or a fault. What the options point at outlives
 * it.
 */
[[nodiscard]] int engine_new(const struct engine_options *options, struct engine **ret_engine);
/* Settings that may change while it runs; they count from the next decision on. */
struct engine_tuning {
	uint64_t idle_ms;
	uint64_t lifetime_ms;
	bool has_credentials;
	uint64_t init_ms;
	uint64_t log_rate;
	unsigned stems_max, spares_max, hold_above;
	uint64_t queue_ms;
	uint64_t freeze_ms;
	uint64_t memory_mb;
	unsigned starts_max, starts_beside;
	uint32_t invocation_rate, scaling_rate;
	bool is_memory_reserved;
	uint32_t account_concurrency;
	bool is_cpu_strict;
};
void engine_tune(struct engine *engine, const struct engine_tuning *tuning);
/* All environments must be gone (engine_drain). */
void engine_free(struct engine *engine);

enum invoke_outcome {
	INVOKE_DONE,		 /* the function answered, or failed: see is_error */
	INVOKE_NO_FUNCTION,	 /* ResourceNotFoundException */
	INVOKE_NO_QUALIFIER,	 /* ResourceNotFoundException */
	INVOKE_PENDING,		 /* ResourceConflictException: still being created */
	INVOKE_SNAPSHOT_PENDING, /* SnapStartNotReadyException: its snapshot is being made */
	INVOKE_STATE_FAILED,	 /* ResourceConflictException: creation failed */
	INVOKE_RECURSIVE,	 /* RecursiveInvocationException: a loop that is not allowed */
	INVOKE_THROTTLED, /* TooManyRequestsException: `detail` is its Reason, see `throttle` too */
	INVOKE_TOO_LARGE, /* RequestTooLargeException: see `payload_max` */
	INVOKE_NO_TENANT, /* InvalidParameterValueException: it wants to know for whom */
	INVOKE_TENANT_UNWANTED, /* InvalidParameterValueException: it has no tenants */
	INVOKE_NO_RUNTIME,	/* InvalidRuntimeException, `detail` says what to do */
	INVOKE_FAULT,		/* ServiceException */
};

/* Views die when the callback returns. */
struct invocation_result {
	enum invoke_outcome outcome;
	bool is_error;	/* the payload is an error object: X-Amz-Function-Error */
	bool has_begun; /* the sink has had what there was; a payload is the error behind it */
	bool is_stream; /* the function streamed it, to a caller who takes it whole */
	str own_error;	/* the type of an error that the function did not tell itself */
	str payload;
	str content_type; /* of the payload, as the runtime said; empty: JSON */
	str version;	  /* that ran; empty when none was chosen */
	str tail;	  /* the last LIMIT_LOG_TAIL_BYTES of its log when asked for */
	str trace;	  /* the X-Ray header */
	str detail;
	uint64_t payload_max;	/* INVOKE_TOO_LARGE */
	str throttle_message;	/* INVOKE_THROTTLED: in words */
	unsigned retry_after_s; /* INVOKE_THROTTLED: it may be otherwise then */
};

/* Tells the caller how it ended. */
typedef void invocation_done_fn(void *context, const struct invocation_result *result);

struct invocation_ask {
	str account;
	str region;
	str name;
	str qualifier;	    /* empty: $LATEST */
	str request_id;	    /* UUID_LEN characters */
	str payload;	    /* borrowed until `done` or invocation_abandon() */
	str client_context; /* JSON, or empty: as sent to the runtime */
	str tenant;	    /* X-Amz-Tenant-Id, or empty */
	str trace;	    /* X-Amzn-Trace-Id as received, or empty */
	bool wants_tail;
	const struct response_sink *sink; /* NULL: the response is wanted whole; with `context` */
	invocation_done_fn *done; /* exactly once, from the loop, never inside engine_invoke() */
	void *context;
};

/*
 * Begin an invocation. The views but the payload are copied. 0 and *ret_invocation (borrowed: valid
 * until `done` runs or invocation_abandon()), or a fault (then `done` is never called).
 */
[[nodiscard]] int engine_invoke(struct engine *engine, const struct invocation_ask *ask,
	struct invocation **ret_invocation);

/*
 * The caller has gone: `done` will not be called and the payload is no longer borrowed. What a
 * function is already working on goes on and is logged and metered; what was still waiting is
 * dropped.
 */
void invocation_abandon(struct invocation *invocation);

/* A function of this runtime exists: whatever makes its starts quick may be prepared. */
void engine_use_runtime(struct engine *engine, str runtime);

/* See platform_function_changed(). */
void engine_function_changed(struct engine *engine, str account, str region, str name);

/*
 * So many seats of the account in this region are set aside for single functions: reserved, or
 * provisioned without a reservation. `revision` grows with each change; an old one has no effect.
 */
void engine_set_aside(
	struct engine *engine, str account, str region, uint32_t amount, uint64_t revision);

/* See platform_provision() and platform_provision_figures(). */
void engine_provision(struct engine *engine, str account, str region, str name,
	const struct provision_plan *plan);
[[nodiscard]] bool engine_provision_figures(const struct engine *engine, str account, str region,
	str name, str qualifier, struct provision_figures *ret_figures);

/* Could an environment be using this unpacked code, or be about to? */
[[nodiscard]] bool engine_uses_code(const struct engine *engine, const uint8_t digest[static 32]);

/*
 * Forget all functions, stop all environments, and write nothing more of theirs into logs. `done` (or NULL) is called once,
 * from the loop, when the log store is left alone. One at a time.
 */
void engine_reset(struct engine *engine, void (*done)(void *context), void *context);

/*
 * Take no new invocation (they answer INVOKE_FAULT), let the others finish, then stop all
 * environments; `done` is called once, when the last one has gone.
 */
void engine_drain(struct engine *engine, void (*done)(void *context), void *context);

/* The warden's events, given on by the router. */
struct spawned_frame;
struct exited_frame;
struct grafted_frame;
void engine_on_spawned(
	struct engine *engine, const struct spawned_frame *frame, const int fds[static 4]);
void engine_on_exited(struct engine *engine, const struct exited_frame *frame);
void engine_on_grafted(struct engine *engine, const struct grafted_frame *frame);
