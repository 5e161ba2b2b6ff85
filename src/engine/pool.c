/*
 * Pools: the environments of one version, and the invocations that wait for one.
 *
 * A version whose tenants are kept apart has a pool for each tenant: what one of them has used serves
 * nobody else, whatever else is scarce.
 *
 * Late binding: an invocation that finds no idle environment (or none worth waking: hold.c) waits, and a start is asked for;
 * whichever environment is free first, new or old, takes the oldest waiter. So a start that is
 * overtaken by a returning environment costs nothing but an idle environment more.
 *
 * The most recently used idle environment goes first: its caches are warm, and the others age
 * towards their end. When the node has no room for more, those that have been idle
 * longest anywhere are stopped, as many as waiters lack a place and no more; when none is idle the
 * pool is *starved*: its waiters wait for room, for a bounded time, and starved pools get the
 * places that become free in turn. What room is, capacity.c says.
 */
#include "engine/pool.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/directory.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/invocation.h"
#include "engine/provision.h"
#include "engine/stem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { SCALING_PERIOD_MS = 10'000 };

/* A replaced revision has another pool; the same revision, read again, has this one. */
struct pool *pool_find(
	struct function_entry *function, struct function_version *version, str tenant)
{
	list_each(link, &function->pools) {
		struct pool *pool = list_entry(link, struct pool, link);
		if (!pool->is_draining && str_eq(pool->version->version, version->version) &&
			str_eq(pool->version->revision, version->revision) &&
			str_eq(pool->tenant, tenant))
			return pool;
	}
	struct pool *pool = mem_new(1, sizeof(*pool) + tenant.len);
	if (!pool)
		return NULL;
	if (tenant.len)
		memcpy(pool->tenant_text, tenant.at, tenant.len);
	pool->tenant = (str){ pool->tenant_text, tenant.len };

	pool->engine = function->engine;
	pool->function = function;
	pool->version = function_version_ref(version);
	list_init(&pool->ready);
	list_init(&pool->idle);
	list_init(&pool->shares);
	list_init(&pool->others);
	list_init(&pool->waiters);
	list_init(&pool->starved);
	list_init(&pool->sparse);
	list_init(&pool->holding);
	list_push_back(&function->pools, &pool->link);
	return pool;
}

void pool_reap(struct pool *pool)
{
	if (pool->environments || pool->invocations || !list_empty(&pool->shares))
		return;
	assert(list_empty(&pool->waiters) && list_empty(&pool->others));
	assert(list_empty(&pool->idle) && list_empty(&pool->ready));
	assert(!pool->waiting && !pool->starting && !pool->resting && !pool->provisioned);
	list_remove(&pool->link);
	list_remove(&pool->starved);
	list_remove(&pool->sparse);
	list_remove(&pool->holding);
	function_version_unref(pool->version);
	mem_free(pool);
}

/* --- the queue --- */

static void pool_queue(struct pool *pool, struct invocation *invocation, bool is_first)
{
	if (is_first)
		list_push_front(&pool->waiters, &invocation->waiting);
	else
		list_push_back(&pool->waiters, &invocation->waiting);
	pool->waiting++;
	pool->engine->counters.waiting++;
}

void pool_unqueue(struct invocation *invocation)
{
	assert(list_linked(&invocation->waiting) && invocation->pool->waiting > 0);
	list_remove(&invocation->waiting);
	invocation->pool->waiting--;
	invocation->engine->counters.waiting--;
}

struct invocation *pool_take_waiter(struct pool *pool)
{
	struct list *oldest = list_first(&pool->waiters);
	if (!oldest)
		return NULL;

	struct invocation *invocation = list_entry(oldest, struct invocation, waiting);
	pool_unqueue(invocation);
	return invocation;
}

/* --- starting as many as the waiters need, and as are provisioned --- */

static unsigned waiters_shortage(const struct pool *pool)
{
	unsigned coming = pool->starting + pool->resting;

	return pool->waiting > coming ? pool->waiting - coming : 0;
}

unsigned pool_shortage(const struct pool *pool)
{
	return waiters_shortage(pool) + provision_shortage(pool);
}

/*
 * "The scaling rate is 1,000 execution environments every 10 seconds" for each function. What is
 * still missing has a claim on what is left.
 */
static bool pool_may_scale(const struct pool *pool)
{
	const struct engine *engine = pool->engine;
	struct bucket_rate rate = { engine->options.scaling_rate, SCALING_PERIOD_MS };
	unsigned missing = 0;

	list_each(link, &pool->function->pools)
		missing += waiters_shortage(list_entry(link, struct pool, link));
	return missing <= bucket_level(&pool->function->starts, &rate, loop_now_ms(engine->loop));
}

static void pool_count_start(struct pool *pool)
{
	struct bucket_rate rate = { pool->engine->options.scaling_rate, SCALING_PERIOD_MS };

	/* It was admitted when there was one; nothing is owed when the rate was lowered since. */
	(void)bucket_take(&pool->function->starts, &rate, loop_now_ms(pool->engine->loop));
}

/* No environment comes for the newest waiter. */
static void pool_refuse_newest(struct pool *pool, int fault)
{
	struct invocation *newest = list_entry(pool->waiters.prev, struct invocation, waiting);

	pool_unqueue(newest);
	invocation_refuse(newest, INVOKE_FAULT,
		fault == -E2BIG ? S("The environment variables of the function do not "
				    "fit into its sandbox.")
				: S("The execution environment could not be started."));
}

/* Who waits comes before what is provisioned for those who will. */
static void pool_start_one(struct pool *pool)
{
	struct provision_share *share = waiters_shortage(pool) ? NULL : provision_next(pool);

	int r = environment_start(pool, share);
	if (!share)
		pool_count_start(pool);
	if (r == 0)
		return;
	err_log(r, "start an environment");
	pool->engine->counters.spawn_failures++;
	if (share)
		provision_on_no_start(share);
	else
		pool_refuse_newest(pool, r);
}

/*
 * One for each starved pool in turn, while there is room; a pool whose environments are too large
 * for what is left is passed over. What is still missing then has to wait.
 */
void pools_start_missing(struct engine *engine)
{
	struct list *first,
		*passed = NULL; /* the first that was passed over since the last start */

	while (capacity_has_start(&engine->capacity) && (first = list_first(&engine->starved)) &&
		first != passed) {
		struct pool *pool = list_entry(first, struct pool, starved);
		list_remove(first);
		if (pool_shortage(pool) && !capacity_fits(&engine->capacity, pool)) {
			passed = passed ? passed : first;
		} else if (pool_shortage(pool)) {
			passed = NULL;
			pool_start_one(pool);
		}
		if (pool_shortage(pool))
			list_push_back(&engine->starved, first);
	}
	capacity_make_room(&engine->capacity);
	if (list_empty(&engine->starved) || engine->is_starved_timed)
		return;
	engine->is_starved_timed = true;
	timer_set(engine->starved_timer, engine->options.queue_ms);
}

static void pool_starve(struct pool *pool)
{
	if (pool_shortage(pool) && !list_linked(&pool->starved))
		list_push_back(&pool->engine->starved, &pool->starved);
}

static void pool_start_more(struct pool *pool)
{
	pool_starve(pool);
	pools_start_missing(pool->engine);
}

void pool_want(struct pool *pool)
{
	pool_starve(pool);
	loop_defer(pool->engine->loop, &pool->engine->capacity.start_more);
}

/* --- waiting too long --- */

/*
 * The oldest waiters are those that the starting and the idle environments will serve; the others go when it is
 * time.
 */
static void pool_give_up(struct pool *pool, uint64_t now_ms)
{
	struct engine *engine = pool->engine;
	unsigned promised = pool->starting + pool->resting;
	char words[CAPACITY_WORDS];

	if (!capacity_lacks(&engine->capacity, pool, words))
		return;
	list_each(link, &pool->waiters) {
		struct invocation *invocation = list_entry(link, struct invocation, waiting);
		if (promised > 0) {
			promised--;
			continue;
		}
		if (now_ms - invocation->received_ms < engine->options.queue_ms)
			continue;
		pool_unqueue(invocation);
		invocation_throttle(invocation,
			&(struct throttle){ .reason = S("ConcurrentInvocationLimitExceeded"),
				.message = str_of(words) });
	}
	if (!pool_shortage(pool))
		list_remove(&pool->starved);
}

void pools_on_starved(void *context)
{
	struct engine *engine = context;
	uint64_t now_ms = loop_now_ms(engine->loop);

	list_each(link, &engine->starved)
		pool_give_up(list_entry(link, struct pool, starved), now_ms);
	engine->is_starved_timed = !list_empty(&engine->starved);
	if (engine->is_starved_timed)
		timer_set(engine->starved_timer, MAX(engine->options.queue_ms / 4, 1));
}

/* --- serving --- */

/* The oldest waiter gets this environment; when that has just died, the waiter gets another one. */
static void pool_give(struct pool *pool, struct environment *env)
{
	struct invocation *invocation = pool_take_waiter(pool);

	if (environment_assign(env, invocation))
		return;
	pool_queue(pool, invocation, true);
	environment_kill(env);
}

static void pool_refuse_scaling(struct pool *pool, struct invocation *invocation)
{
	struct bucket_rate rate = { pool->engine->options.scaling_rate, SCALING_PERIOD_MS };
	uint64_t now_ms = loop_now_ms(pool->engine->loop);

	pool_unqueue(invocation);
	invocation_throttle(invocation,
		&(struct throttle){
			.reason = S("FunctionInvocationRateLimitExceeded"),
			.retry_ms = bucket_wait_ms(&pool->function->starts, &rate, 1, now_ms),
		});
}

/* What is provisioned is used first: what was started on demand ages, and goes. */
static struct list *pool_most_recent(struct pool *pool)
{
	struct list *ready = list_first(&pool->ready);

	return ready ? ready : list_first(&pool->idle);
}

bool pool_bind(struct pool *pool)
{
	struct list *recent = pool->waiting ? pool_most_recent(pool) : NULL;

	if (!recent)
		return false;
	pool_give(pool, list_entry(recent, struct environment, in_pool));
	return true;
}

void pool_serve(struct pool *pool, struct invocation *invocation)
{
	pool_queue(pool, invocation, false);
	while (!hold_is_better(pool) && pool_bind(pool))
		;
	if (waiters_shortage(pool)) {
		if (!pool_may_scale(pool)) {
			pool_refuse_scaling(pool, invocation);
			return;
		}
		pool_start_more(pool);
	}
	hold_begin(pool);
}

/* Does it keep no idle environments? */
static bool pool_is_ending(const struct pool *pool)
{
	return pool->is_draining || pool->engine->on_drained;
}

/* Busy without an invocation: it has answered, and will ask for the next one. */
static bool is_between(const struct environment *env)
{
	return env->state == ENV_BUSY && !env->invocation && extension_host_is_ready(env);
}

void pool_on_answered(struct environment *env)
{
	if (is_between(env) && pool_is_ending(env->pool) && !env->pool->waiting)
		environment_kill(env);
}

void pool_on_free(struct environment *env)
{
	struct pool *pool = env->pool;
	struct engine *engine = env->engine;

	if (pool->waiting) {
		pool_give(pool, env);
		pool_start_more(pool);
		hold_begin(pool);
		return;
	}
	if (pool_is_ending(pool) || environment_is_worn(env)) {
		environment_kill(env);
		return;
	}
	environment_enter(env, ENV_IDLE);
	capacity_make_room(&engine->capacity); /* somebody else may be waiting for the place */
}

/* --- spares --- */

/*
 * As AWS initialises environments ahead: whenever one is used for the first time, another one is
 * started a moment later, so that a version in use has one more than it has needed so far. The
 * next burst, and imports that take seconds, then wait for nobody. It is an environment like any
 * other: idle, evicted first come first served, and gone when the version is not used any more.
 */
enum { SPARE_MS = 20 };

static unsigned list_unused(struct list *environments)
{
	unsigned unused = 0;

	list_each(link, environments) {
		const struct environment *env = list_entry(link, struct environment, in_pool);
		unused += !env->invocations && env->state != ENV_DEAD;
	}
	return unused;
}

/* How many have never been used, and will not be by those who wait now. */
static unsigned pool_spares(struct pool *pool)
{
	unsigned unused = list_unused(&pool->ready) + list_unused(&pool->idle) +
		list_unused(&pool->others);

	return unused > pool->waiting ? unused - pool->waiting : 0;
}

void pool_want_spare(struct pool *pool)
{
	if (!pool->engine->options.spares_max || list_linked(&pool->sparse))
		return;
	list_push_back(&pool->engine->sparse, &pool->sparse);
	timer_set(pool->engine->spare_timer, SPARE_MS); /* not while starts are under way */
}

static bool engine_has_room(const struct pool *pool)
{
	const struct capacity *capacity = &pool->engine->capacity;

	return capacity_has_start(capacity) && capacity_fits(capacity, pool);
}

void pools_on_sparse(void *context)
{
	struct engine *engine = context;

	list_each(link, &engine->sparse) {
		struct pool *pool = list_entry(link, struct pool, sparse);
		list_remove(&pool->sparse);
		if (pool_is_ending(pool) || !list_empty(&engine->starved))
			continue;
		for (unsigned spares = pool_spares(pool);
			spares < engine->options.spares_max && engine_has_room(pool); spares++) {
			int r = environment_start(pool, NULL);
			if (r < 0) {
				err_log(r, "start a spare environment");
				break;
			}
		}
	}
}

/* --- the end --- */

static void pool_kill_idle(struct pool *pool)
{
	list_each(link, &pool->idle)
		environment_kill(list_entry(link, struct environment, in_pool));
}

/* Nobody waits for these any more. A killed one goes to the end of the list and is met there again. */
static void pool_kill_surplus(struct pool *pool)
{
	list_each(link, &pool->others) {
		struct environment *env = list_entry(link, struct environment, in_pool);
		bool is_starting = env->state == ENV_BOOTING || env->state == ENV_INIT;
		if (is_starting && pool->starting > pool->waiting)
			environment_kill(env);
		else
			pool_on_answered(env);
	}
}

void pool_on_lost(struct pool *pool)
{
	pool_start_more(pool);
	pool_reap(pool);
}

void pool_drain(struct pool *pool)
{
	pool->is_draining = true;
	provisions_leave_pool(pool);
	pool_kill_idle(pool);
	pool_kill_surplus(pool);
}

/* Its invocation, if it runs one, ends here. */
static void environment_remove(struct environment *env)
{
	struct invocation *invocation = env->invocation;

	if (invocation && invocation->is_ended)
		invocation_conclude(invocation);
	else if (invocation)
		invocation_fail(invocation, "error", "Sandbox.Failure",
			"RequestId: %s Error: The function was removed", invocation->request_id);
	environment_kill(env);
}

void pool_reset(struct pool *pool)
{
	struct invocation *invocation;

	while ((invocation = pool_take_waiter(pool)))
		invocation_refuse(invocation, INVOKE_NO_FUNCTION, S(""));
	pool_drain(pool);
	list_each(link, &pool->others) {
		struct environment *env = list_entry(link, struct environment, in_pool);
		if (env->state != ENV_DEAD)
			environment_remove(env);
	}
}
