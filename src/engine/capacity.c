/*
 * A node has three bounds, and what does not fit waits in the starved pools (pool.c):
 *
 *	places	how many environments may live (setting `environments`)
 *	memory	what all of them together are counted with (setting `memory`)
 *	starts	how many may be starting at a time (setting `starts`)
 *
 * What is an environment counted with? With `memory-count = reserved`: with its function's
 * MemorySize, so that the node can never be over-committed but by files in /tmp. By default with what it has *used*: the
 * peak of its cgroup as far as it was read (with each REPORT, and before it is frozen); one that has
 * not been measured is counted like the largest that its version has had, and the first ever with a
 * guess. So 128 MB functions that use 12 are counted with 12, and a node holds ten times as many; the
 * price is that functions which all grow at once can exceed the host's memory, and then the kernel
 * ends one of them. A killed one counts until the warden says that it is gone. Stems, which wait for
 * no function in particular (stem.c), count with the guess, too, and make room before anything else.
 *
 * A start is occupied from the request until the runtime asks for its first event, but not longer
 * than START_MS: an initialisation that waits for something must not keep others from starting.
 * Thousands of cold starts at once so run a few at a time, each at full speed, in turn over the
 * functions that want one, instead of all at the pace of the slowest. Who waits for a start is never
 * throttled: that queue moves by itself, and is no longer than the account's concurrency.
 *
 * A start is work of the processors alone, in half a dozen processes, and what serves meanwhile has to share them: the 99th of a
 * hundred invocations of a warm function takes about as many times as long as starts are going on beside it. So where environments
 * of pools that need none are in use, fewer start at a time (`starts_beside`): those who wait for a start wait longer
 * by less than others would.
 */
#include "engine/capacity.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/function_log.h"
#include "engine/pool.h"
#include "engine/stem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum { MEMORY_GUESS_MB = 32, START_MS = 250, BESIDE_MS = 100 };

static void on_start_over(struct deferred *self)
{
	struct capacity *capacity = list_entry(self, struct capacity, start_more);

	pools_start_missing(capacity->engine);
}

/* --- starts --- */

static void start_leave(struct environment *env)
{
	struct capacity *capacity = &env->engine->capacity;

	if (!list_linked(&env->in_starts))
		return;
	list_remove(&env->in_starts);
	capacity->start_count--;
	loop_defer(env->engine->loop, &capacity->start_more);
}

static uint64_t start_age_ms(const struct environment *env)
{
	return loop_now_ms(env->engine->loop) - env->created_ms;
}

/* The timer for the oldest that is not too old already. */
static void starts_await(struct capacity *capacity)
{
	list_each(link, &capacity->starts) {
		uint64_t age_ms = start_age_ms(list_entry(link, struct environment, in_starts));
		if (age_ms >= START_MS)
			continue;
		timer_set(capacity->starts_timer, START_MS - age_ms);
		return;
	}
}

/* Those that take long do it beside the others, once they have their sandbox. */
static void on_starts_timer(void *context)
{
	struct capacity *capacity = context;

	list_each(link, &capacity->starts) {
		struct environment *env = list_entry(link, struct environment, in_starts);
		if (start_age_ms(env) < START_MS)
			break;
		if (env->state == ENV_INIT)
			start_leave(env);
	}
	starts_await(capacity);
}

/* --- life --- */

int capacity_init(struct capacity *capacity, struct engine *engine)
{
	*capacity = (struct capacity){ .engine = engine, .start_more = { .run = on_start_over } };
	list_init(&capacity->starts);
	return err_pass(
		timer_new(engine->loop, on_starts_timer, capacity, &capacity->starts_timer));
}

void capacity_done(struct capacity *capacity)
{
	assert(!capacity->start_count && !capacity->memory_mb && !capacity->dying);
	loop_defer_cancel(&capacity->start_more);
	timer_free(capacity->starts_timer);
}

/* Who has served before and whose pool wants nothing more is not part of the rush. */
static void notice_neighbour(struct environment *env)
{
	if (env->state == ENV_BUSY && env->invocations > 0 && !env->pool->starting &&
		!pool_shortage(env->pool))
		env->engine->capacity.neighbour_ms = loop_now_ms(env->engine->loop);
}

static bool has_neighbours(const struct capacity *capacity)
{
	return capacity->neighbour_ms &&
		loop_now_ms(capacity->engine->loop) - capacity->neighbour_ms <= BESIDE_MS;
}

/* --- counting --- */

static uint32_t measured_mb(const struct environment *env)
{
	const struct function_version *version = env->pool->version;
	uint64_t bytes = env->stream ? log_stream_memory_seen(env->stream) : 0;

	return (uint32_t)MIN((bytes + MIB - 1) / MIB, version->memory_mb + version->tmp_mb);
}

uint32_t capacity_charge(const struct pool *pool)
{
	uint32_t memory_mb = pool->version->memory_mb;

	if (pool->engine->options.is_memory_reserved)
		return memory_mb;
	return pool->memory_seen_mb ? pool->memory_seen_mb : MIN(memory_mb, MEMORY_GUESS_MB);
}

static uint32_t environment_charge(struct environment *env)
{
	uint32_t measured = measured_mb(env);

	env->pool->memory_seen_mb = MAX(env->pool->memory_seen_mb, measured);
	return measured && !env->engine->options.is_memory_reserved ? measured
								    : capacity_charge(env->pool);
}

void capacity_add(struct environment *env)
{
	struct capacity *capacity = &env->engine->capacity;

	env->charge_mb = environment_charge(env);
	capacity->memory_mb += env->charge_mb;
	list_push_back(&capacity->starts, &env->in_starts);
	if (capacity->start_count++ == 0)
		starts_await(capacity);
}

void capacity_update(struct environment *env)
{
	struct capacity *capacity = &env->engine->capacity;
	uint32_t charge_mb = environment_charge(env);

	assert(capacity->memory_mb >= env->charge_mb);
	capacity->memory_mb = capacity->memory_mb - env->charge_mb + charge_mb;
	env->charge_mb = charge_mb;
	notice_neighbour(env);
	if (env->state == ENV_INIT && start_age_ms(env) < START_MS)
		return;
	start_leave(env);
	if (env->state != ENV_DEAD)
		return;
	capacity->dying++;
	capacity->dying_mb += charge_mb;
}

void capacity_remove(struct environment *env)
{
	struct capacity *capacity = &env->engine->capacity;

	assert(env->state == ENV_DEAD && capacity->dying > 0);
	capacity->dying--;
	capacity->dying_mb -= env->charge_mb;
	capacity->memory_mb -= env->charge_mb;
}

/* --- is there room? --- */

uint64_t capacity_memory_mb(const struct capacity *capacity)
{
	return capacity->memory_mb + (uint64_t)stems_count(capacity->engine) * MEMORY_GUESS_MB;
}

static unsigned places_free(const struct capacity *capacity)
{
	const struct engine *engine = capacity->engine;
	unsigned used = engine->counters.environments + stems_count(engine);
	unsigned max = engine->options.environments_max;

	return max > used ? max - used : 0;
}

static uint64_t memory_free_mb(const struct capacity *capacity)
{
	uint64_t max = capacity->engine->options.memory_mb, used = capacity_memory_mb(capacity);

	return max > used ? max - used : 0;
}

static unsigned starts_free(const struct capacity *capacity)
{
	const struct engine_options *options = &capacity->engine->options;
	unsigned max = options->starts_max;

	if (options->starts_beside && has_neighbours(capacity))
		max = MIN(max, options->starts_beside);
	return max > capacity->start_count ? max - capacity->start_count : 0;
}

bool capacity_has_start(const struct capacity *capacity)
{
	return places_free(capacity) && starts_free(capacity);
}

bool capacity_fits(const struct capacity *capacity, const struct pool *pool)
{
	return capacity_charge(pool) <= memory_free_mb(capacity);
}

bool capacity_lacks(
	const struct capacity *capacity, const struct pool *pool, char words[static CAPACITY_WORDS])
{
	const struct engine_options *options = &capacity->engine->options;

	if (!places_free(capacity)) {
		(void)snprintf(words, CAPACITY_WORDS,
			"Rate Exceeded. This node runs as many execution environments as it may: %u.",
			options->environments_max);
		return true;
	}
	if (capacity_fits(capacity, pool))
		return false;
	(void)snprintf(words, CAPACITY_WORDS,
		"Rate Exceeded. The memory of this node is in use: %" PRIu64 " of %" PRIu64
		" MB, and %u MB are needed.",
		capacity_memory_mb(capacity), options->memory_mb, capacity_charge(pool));
	return true;
}

/* --- making room --- */

/* What the starved pools could start now, if there were room. */
static void wanted_now(struct capacity *capacity, unsigned *ret_places, uint64_t *ret_memory_mb)
{
	unsigned places = 0, starts = starts_free(capacity);
	uint64_t memory_mb = 0;

	list_each(link, &capacity->engine->starved) {
		const struct pool *pool = list_entry(link, struct pool, starved);
		unsigned count = MIN(pool_shortage(pool), starts - places);
		places += count;
		memory_mb += (uint64_t)count * capacity_charge(pool);
		if (places == starts)
			break;
	}
	*ret_places = places;
	*ret_memory_mb = memory_mb;
}

/* Do those that are ending leave less than this? */
static bool is_short(const struct capacity *capacity, unsigned places, uint64_t memory_mb)
{
	unsigned stems = stems_dying(capacity->engine);

	return capacity->dying + stems < places ||
		capacity->dying_mb + (uint64_t)stems * MEMORY_GUESS_MB < memory_mb;
}

void capacity_make_room(struct capacity *capacity)
{
	struct engine *engine = capacity->engine;
	unsigned places, free_places = places_free(capacity);
	uint64_t memory_mb, free_mb = memory_free_mb(capacity);

	wanted_now(capacity, &places, &memory_mb);
	places = places > free_places ? places - free_places : 0;
	memory_mb = memory_mb > free_mb ? memory_mb - free_mb : 0;
	/* Runtimes that wait for no function in particular go first. */
	while (is_short(capacity, places, memory_mb) && stems_yield(engine))
		continue;
	while (is_short(capacity, places, memory_mb) && !list_empty(&engine->idle)) {
		struct list *oldest = list_first(&engine->idle);
		engine->counters.evictions++;
		environment_kill(list_entry(oldest, struct environment, in_idle));
	}
}
