#pragma once
/* Looking into the engine: for `mayfly status`, `mayfly env` and the tests. Loop thread only. */
#include "engine/platform.h"

struct engine;

/* How a runtime came to be. */
enum environment_birth { BIRTH_EXEC, BIRTH_FORK, BIRTH_STEM, BIRTH_RESTORE, BIRTHS };

/* Numbers for `mayfly status` and the tests. All since start, or now. */
struct engine_counters {
	uint64_t started, finished, failed,
		throttled; /* invocations: started = finished + failed + in flight */
	uint64_t spawns, spawn_failures, timeouts, crashes, out_of_memory, evictions, freezes;
	uint64_t births[BIRTHS]; /* environments by how their runtime began */
	unsigned stems;		 /* that wait for a function, now */
	/* now; `idle` are not frozen */
	unsigned environments, starting, idle, frozen, busy, in_flight, waiting;
	uint64_t memory_mb, memory_mb_max; /* counted, and the bound */
};
void engine_counters(const struct engine *engine, struct engine_counters *ret_counters);

/* Walk the live environments. */
struct environment_info {
	str id; /* the log stream's random part */
	str account, region, function, version, runtime;
	const char *state;
	str pack, pack_version; /* what really runs it */
	uint64_t invocations;
	uint64_t age_ms;
	uint64_t memory_mb;  /* that it is counted with */
	bool is_provisioned; /* started ahead of invocations */
};
void engine_each_environment(struct engine *engine,
	void (*each)(void *context, const struct environment_info *info), void *context);

/* Walk what is provisioned. */
struct provision_info {
	str account, region, function, qualifier;
	struct provision_figures figures;
};
void engine_each_provision(struct engine *engine,
	void (*each)(void *context, const struct provision_info *info), void *context);
