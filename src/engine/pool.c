/*
 * Pools: the environments of one version, and the invocations that wait for one.
 *
 * Late binding: an invocation that finds no idle environment waits, and a start is asked for; whichever
 * environment is free first, new or old, takes the oldest waiter. So a start that is overtaken
 * by a returning environment costs nothing but an idle environment more.
 *
 * The most recently used idle environment goes first: its caches are warm, and the others age towards
 * their end. When the node has as many environments as it may, the one that has been idle longest anywhere is
 * stopped; when none is idle the pool is *starved* and its waiters wait for room, for a bounded time.
 */
#include "engine/core.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>

/* A replaced revision has another pool; the same revision, read again, has this one. */
struct pool *pool_find(struct function_entry *function, struct function_version *version)
{
	list_each (link, &function->pools) {
		struct pool *pool = list_entry(link, struct pool, link);
		if (!pool->is_draining && str_eq(pool->version->version, version->version) &&
			str_eq(pool->version->revision, version->revision))
			return pool;
	}
	struct pool *pool = mem_one(struct pool);
	if (!pool)
		return NULL;

	pool->engine = function->engine;
	pool->function = function;
	pool->version = function_version_ref(version);
	list_init(&pool->idle);
	list_init(&pool->others);
	list_init(&pool->waiters);
	list_init(&pool->starved);
	list_push_back(&function->pools, &pool->link);
	return pool;
}

void pool_reap(struct pool *pool)
{
	if (pool->environments || pool->invocations)
		return;
	assert(list_empty(&pool->waiters));
	list_remove(&pool->link);
	list_remove(&pool->starved);
	function_version_unref(pool->version);
	mem_free(pool);
}

/* --- starting as many as the waiters need --- */

/* The environment that has been idle longest makes room. False when none is idle. */
static bool engine_evict(struct engine *engine)
{
	struct list *oldest = list_first(&engine->idle);

	if (!oldest)
		return false;
	engine->counters.evictions++;
	environment_kill(list_entry(oldest, struct environment, in_idle));
	return true;
}

static void pool_starve(struct pool *pool)
{
	struct engine *engine = pool->engine;

	if (list_linked(&pool->starved))
		return;
	if (list_empty(&engine->starved))
		timer_set(engine->starved_timer, engine->options.queue_ms);
	list_push_back(&engine->starved, &pool->starved);
}

/* The environment of the newest waiter could not even be asked for: that one is told. */
static void pool_refuse_newest(struct pool *pool, int fault)
{
	struct invocation *newest = list_entry(pool->waiters.prev, struct invocation, waiting);

	err_log(fault, "start an environment");
	pool->engine->counters.spawn_failures++;
	pool->waiting--;
	invocation_refuse(newest, INVOKE_FAULT,
		fault == -E2BIG ? S("The environment variables of the function do not fit into its sandbox.") :
				  S("The execution environment could not be started."));
}

static void pool_start_more(struct pool *pool)
{
	struct engine *engine = pool->engine;

	while (pool->starting < pool->waiting) {
		if (engine->counters.environments >= engine->options.environments_max) {
			(void)engine_evict(engine);
			pool_starve(pool);
			return;
		}
		int r = environment_start(pool);
		if (r < 0)
			pool_refuse_newest(pool, r);
	}
	list_remove(&pool->starved);
}

void pools_on_room(struct engine *engine)
{
	list_each (link, &engine->starved)
		pool_start_more(list_entry(link, struct pool, starved));
}

/* --- serving --- */

void pool_serve(struct pool *pool, struct invocation *invocation)
{
	struct list *first = list_first(&pool->idle);

	if (first) {
		environment_assign(list_entry(first, struct environment, in_pool), invocation);
		return;
	}
	list_push_back(&pool->waiters, &invocation->waiting);
	pool->waiting++;
	pool_start_more(pool);
}

void pool_on_free(struct environment *env)
{
	struct pool *pool = env->pool;
	struct list *oldest = list_first(&pool->waiters);

	if (oldest) {
		struct invocation *invocation = list_entry(oldest, struct invocation, waiting);
		list_remove(&invocation->waiting);
		pool->waiting--;
		environment_assign(env, invocation);
		return;
	}
	if (pool->is_draining || env->engine->on_drained) {
		environment_kill(env);
		return;
	}
	environment_idle(env);
	/* Somebody else may be waiting for the place. */
	if (!list_empty(&env->engine->starved) &&
		env->engine->counters.environments >= env->engine->options.environments_max)
		(void)engine_evict(env->engine);
}

void pool_on_lost(struct pool *pool)
{
	pool_start_more(pool);
	pool_reap(pool);
}

/* --- the end --- */

static void pool_kill_idle(struct pool *pool)
{
	list_each (link, &pool->idle)
		environment_kill(list_entry(link, struct environment, in_pool));
}

void pool_drain(struct pool *pool)
{
	pool->is_draining = true;
	pool_kill_idle(pool);
}

void pool_reset(struct pool *pool)
{
	pool_drain(pool);
	list_each (link, &pool->waiters) {
		struct invocation *invocation = list_entry(link, struct invocation, waiting);
		pool->waiting--;
		invocation_refuse(invocation, INVOKE_NO_FUNCTION, S(""));
	}
	list_each (other, &pool->others) {
		struct environment *env = list_entry(other, struct environment, in_pool);
		if (env->state == ENV_DEAD)
			continue;
		if (env->invocation && env->invocation->is_ended)
			invocation_conclude(env->invocation);
		else if (env->invocation)
			invocation_fail(env->invocation, "error", "Sandbox.Failure",
				"RequestId: %s Error: The function was removed",
				env->invocation->request_id);
		environment_kill(env);
	}
}
