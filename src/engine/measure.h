#pragma once
/*
 * What functions did, counted since the start: for whoever scrapes /metrics. Loop thread only.
 *
 * The number of series is bounded. The functions that come when MEASURE_FUNCTIONS_MAX are known already are
 * counted together, as one without a name; distributions are kept by runtime, not by function.
 */
#include "base/map.h"

#include <stddef.h>

struct engine;
struct environment;
struct invocation;

enum { MEASURE_FUNCTIONS_MAX = 1000, MEASURE_RUNTIMES_MAX = 64, MEASURE_STEPS = 15 };

/* The upper bounds of a distribution's steps, in microseconds; what is above the last counts in none. */
extern const uint64_t measure_steps[MEASURE_STEPS];

struct measure_spread {
	uint64_t steps[MEASURE_STEPS]; /* each counts those of the step alone */
	uint64_t count, sum_us;
};

struct measure_function {
	str key;			/* account/region/name, as it stands behind this struct */
	str account, region, name;	/* into the key; empty: all the others */
	uint64_t invocations, errors;	/* that ran; of them: with an error */
	uint64_t throttles, running_us; /* refused; how long those that ran did */
};

struct measure_runtime {
	char name[32];
	struct measure_spread duration, init;
};

struct measures {
	struct map functions; /* key → struct measure_function */
	struct measure_function others;
	struct measure_runtime
		runtimes[MEASURE_RUNTIMES_MAX]; /* the last: all that have no place */
	size_t runtime_count;
};

/* Free what it counts in. */
void measures_done(struct measures *measures);

/* An invocation has ended: it ran, or it was throttled; all else is nobody's figure. */
void measure_invocation(struct engine *engine, const struct invocation *invocation);
/* An environment has initialised. */
void measure_init(struct engine *engine, const struct environment *env);

/* Walk. */
void engine_each_measure(struct engine *engine,
	void (*each)(void *context, const struct measure_function *function), void *context);
void engine_each_runtime_measure(struct engine *engine,
	void (*each)(void *context, const struct measure_runtime *runtime), void *context);
