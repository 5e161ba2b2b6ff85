#pragma once
/*
 * What a node is made of, as API handlers see it: stores, the engine, the settings that services
 * need. Made once by the router; constant afterwards, but for the atomic ones, which SIGHUP may change.
 *
 * Functions here that say "worker" block and are for worker threads; none of them may be called on
 * the loop thread.
 */
#include "base/str.h"
#include "model/function.h"
#include "wire/frames.h"
#include "wire/session.h"

struct loop;
struct docs;
struct blobs;
struct logs;
struct metrics;
struct recent_value;
struct recents;
struct queue;
struct async;
struct engine;
struct warden_client;
struct runtimes;
struct url_book;

/* A runtime installed on this node. */
struct installed_runtime {
	str pack;	/* "python" */
	str version;	/* "3.11.2" */
	uint32_t index; /* of the pack in the warden's table */
};

/* Which pack serves an AWS runtime name. */
enum runtime_match { RUNTIME_EXACT, RUNTIME_NEAREST, RUNTIME_NONE };

/* What a node grants to functions that ask for it; where it is off, all have AWS's limits. */
struct relaxed_limits {
	bool is_on;
	uint32_t timeout_s;
	uint32_t memory_mb;
	uint32_t tmp_mb;
	uint64_t payload_bytes;
};

struct platform {
	struct loop *loop;
	struct docs *docs;
	struct blobs *blobs;
	struct logs *logs;
	struct metrics *metrics;
	struct queue *queue; /* of asynchronous invocations */
	struct async *async; /* what works on it, see services/lambda/async.h */
	struct engine *engine;
	struct warden_client *warden;
	const struct runtimes *runtimes;
	str account; /* the default account */
	_Atomic uint32_t account_concurrency;
	_Atomic bool is_runtimes_strict;
	struct relaxed_limits relaxed;
	bool has_test_controls;
	uint8_t session_key[SESSION_KEY_LEN]; /* of temporary credentials */
	struct url_book *urls;		      /* the loop thread's, of services/lambda */
	/*
	 * Told on the loop thread of each change of a function beside the engine, and with empty names when all is
	 * forgotten; or NULL.
	 */
	void (*on_changed)(struct platform *platform, str account, str region, str name);
};

/* How unpacking went. */
struct unpacked {
	uint32_t answer;     /* enum unpack_answer */
	uint64_t bytes;	     /* of all files */
	bool has_extensions; /* there is a directory of that name: of a layer it starts processes */
};

struct unpack_ask {
	const uint8_t *digest; /* 32 bytes */
	int zip_fd;
	uint64_t bytes_max;
	void (*meanwhile)(void *context); /* run while others unpack; may be NULL */
	void *context;
};

/*
 * Worker: unpack a ZIP by the jailed unpacker into the code directory; waits for it, and for
 * `meanwhile`, which the calling thread runs. Returns 0 and *ret_unpacked, or a fault.
 */
[[nodiscard]] int platform_unpack(
	struct platform *platform, const struct unpack_ask *ask, struct unpacked *ret_unpacked);

/*
 * Worker: remove the unpacked code of a digest, unless an environment of this node still has it.
 * The caller has made sure that no version of any function does. Waits until it is asked for.
 */
void platform_forget_code(struct platform *platform, const uint8_t digest[static 32]);

/*
 * Worker: something about this function changed in the store (created, updated, alias moved,
 * deleted…): the engine forgets what it has cached, drains environments of versions that changed,
 * and reads again at the next invoke. Waits until the loop has done it, so that a client that saw
 * the answer of the change never sees the old state.
 */
void platform_function_changed(struct platform *platform, str account, str region, str name);

/*
 * Worker: a function of this runtime is about to exist: what makes its first start quick is prepared.
 * Waits until that has been asked for.
 */
void platform_expect_runtime(struct platform *platform, str runtime);

/* Worker: see engine_set_aside(); waits. */
void platform_set_aside(
	struct platform *platform, str account, str region, uint32_t amount, uint64_t revision);

/* --- provisioned concurrency --- */

enum { PROVISION_QUALIFIER_MAX = 129 };

/* For one version or alias: what it leads to is owned by the plan. */
struct provision_item {
	str qualifier; /* lives as long as the call that takes the plan */
	uint32_t requested;
	struct function_target *target;
};

/* All that is provisioned for a function, in a revision of the function. */
struct provision_plan {
	uint64_t revision;
	struct provision_item *items;
	size_t count;
};

/*
 * Worker: from now on this is what is provisioned, unless a newer plan is known already. Waits until
 * it is taken note of, not until the environments are there.
 */
void platform_provision(struct platform *platform, str account, str region, str name,
	const struct provision_plan *plan);

enum provision_status { PROVISION_IN_PROGRESS, PROVISION_READY, PROVISION_FAILED };

struct provision_figures {
	enum provision_status status;
	uint32_t requested;
	uint32_t allocated; /* environments that have initialised */
	const char *reason; /* PROVISION_FAILED; a constant */
};

/* Worker: how far it is; false when nothing is provisioned for this version or alias. Waits. */
[[nodiscard]] bool platform_provision_figures(struct platform *platform, str account, str region,
	str name, str qualifier, struct provision_figures *ret_figures);

/* Worker: one more value of a function's metrics (see engine/recent.h, for the loop thread). Without memory it is lost. */
void platform_measure(struct platform *platform, const struct recent_value *value);
/* Worker: what functions did until now is in platform->metrics; waits. */
void platform_flush_metrics(struct platform *platform);
/* The same of what was taken with engine_take_recents(): it is freed. Blocks on the disk. */
void platform_write_recents(struct platform *platform, struct recents *recents);

/* Worker: forget everything and kill all environments (test controls); waits. */
void platform_reset(struct platform *platform);

/*
 * How a runtime name ("python3.12") is served here; *ret_runtime is written unless RUNTIME_NONE.
 * Any thread.
 */
[[nodiscard]] enum runtime_match platform_runtime(
	const struct platform *platform, str name, struct installed_runtime *ret_runtime);

/* What loading a target from the store can answer. */
enum load_answer {
	LOAD_DONE = 0,
	LOAD_NO_FUNCTION,
	LOAD_NO_QUALIFIER, /* the function exists, the version or alias does not */
};

/*
 * Implemented by the Lambda service, given to the engine at start; worker: read a function's
 * version or alias ("" = $LATEST) from the store. load_answer or a fault; *ret_target (the
 * caller's) on LOAD_DONE.
 */
typedef int load_target_fn(struct platform *platform, str account, str region, str name,
	str qualifier, struct function_target **ret_target);
