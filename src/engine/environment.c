/*
 * Execution environments: one sandbox each, one invocation at a time.
 *
 *	            spawned            next                next, none waiting
 *	BOOTING ───────────► INIT ───────────► IDLE ◄──────────────────────── BUSY
 *	   │  ◄────(once)──── │  └──(waiter)──► BUSY ◄──(assign)── IDLE, FROZEN │
 *	   └── exited ──► DEAD ◄── deadline, crash, kill ───────────────────────┘
 *
 * An idle environment is FROZEN after a grace: Lambda freezes one as soon as it has answered, but
 * then every invocation would pay for two writes to a cgroup; an environment in steady use pays
 * nothing here. It keeps its place in the lists of idle ones, and is thawed before it is given work.
 *
 * environment_enter() is the only place that writes the state, and where the deadline of the new
 * state is armed. DEAD means "asked to be killed, or known to be gone": the object stays until the
 * warden has said that the sandbox is gone, because until then its slot, its memory and its address
 * belong to it.
 */
#include "engine/environment.h"

#include "base/err.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/directory.h"
#include "engine/extension_host.h"
#include "engine/function_log.h"
#include "engine/invocation.h"
#include "engine/log_lines.h"
#include "engine/memory_meter.h"
#include "engine/pool.h"
#include "engine/provision.h"
#include "engine/runtime_api.h"
#include "engine/snapshot.h"
#include "engine/telemetry.h"
#include "engine/warden_client.h"
#include "model/limits.h"
#include "os/clock.h"
#include "wire/timestamp.h"

#include <assert.h>
#include <string.h>

/* How long a sandbox may take from the request to its first instruction before it is given up. */
enum { BOOT_MS_MAX = 30'000 };

static const unsigned may_follow[ENV_STATES] = {
	[ENV_BOOTING] = BIT(ENV_BOOTING) | BIT(ENV_INIT) | BIT(ENV_DEAD),
	[ENV_INIT] = BIT(ENV_BOOTING) | BIT(ENV_IDLE) | BIT(ENV_BUSY) | BIT(ENV_DEAD),
	[ENV_IDLE] = BIT(ENV_FROZEN) | BIT(ENV_BUSY) | BIT(ENV_DEAD),
	[ENV_FROZEN] = BIT(ENV_BUSY) | BIT(ENV_DEAD),
	[ENV_BUSY] = BIT(ENV_IDLE) | BIT(ENV_BUSY) | BIT(ENV_DEAD),
	[ENV_DEAD] = 0,
};

const char *environment_state_name(enum environment_state state)
{
	static const char *const names[ENV_STATES] = {
		[ENV_BOOTING] = "booting",
		[ENV_INIT] = "init",
		[ENV_IDLE] = "idle",
		[ENV_FROZEN] = "frozen",
		[ENV_BUSY] = "busy",
		[ENV_DEAD] = "dead",
	};

	return names[state];
}

bool environment_is_starting(const struct environment *env)
{
	return env->state == ENV_BOOTING || env->state == ENV_INIT;
}

static bool is_freezing(const struct engine_options *options)
{
	return options->freeze_ms && options->freeze_ms < options->idle_ms;
}

/* How long the state may last. */
static uint64_t state_ms_max(const struct environment *env, enum environment_state state)
{
	const struct engine_options *options = &env->engine->options;
	uint32_t timeout_ms = env->pool->version->timeout_ms;

	switch (state) {
	case ENV_BOOTING:
		return BOOT_MS_MAX;
	case ENV_INIT:
		if (env->is_second)
			return timeout_ms;
		if (env->snapshot)
			return MAX((uint64_t)LIMIT_SNAPSHOT_INIT_MS, (uint64_t)timeout_ms);
		/* "130 seconds or the configured function timeout […], whichever is higher" */
		if (env->share)
			return MAX(LIMIT_PROVISIONED_INIT_MS, timeout_ms);
		/*
		 * "The Init phase is limited to 10 seconds. If all three tasks do not complete
		 * within 10 seconds, Lambda retries the Init phase at the time of the first
		 * function invocation with the configured function timeout."
		 */
		return env->engine->options.init_ms;
	case ENV_IDLE:
		return is_freezing(options) ? options->freeze_ms : options->idle_ms;
	case ENV_FROZEN:
		return options->idle_ms - MIN(options->freeze_ms, options->idle_ms);
	case ENV_BUSY:
		return timeout_ms - MIN(env->spent_us / 1000, timeout_ms);
	case ENV_DEAD:
	case ENV_STATES:
		break;
	}
	return 0;
}

/* One more or one less in this state. */
static void count_state(struct environment *env, enum environment_state state, unsigned by)
{
	struct engine_counters *counters = &env->engine->counters;

	switch (state) {
	case ENV_BOOTING:
	case ENV_INIT:
		env->pool->starting += env->share ? 0 : by;
		counters->starting += by;
		break;
	case ENV_IDLE:
		env->pool->resting += by;
		counters->idle += by;
		break;
	case ENV_FROZEN:
		env->pool->resting += by;
		counters->frozen += by;
		break;
	case ENV_BUSY:
		counters->busy += by;
		break;
	case ENV_DEAD:
	case ENV_STATES:
		break;
	}
}

/* Who works may take more memory than it has. */
static void engine_watch_memory(struct engine *engine)
{
	if (engine->is_memory_timed)
		return;
	engine->is_memory_timed = true;
	timer_set(engine->memory_timer, MEMORY_LOOK_MS);
}

static bool is_idle(enum environment_state state)
{
	return state == ENV_IDLE || state == ENV_FROZEN;
}

/*
 * Idle ones: most recently used first, and behind them those that were never used. What is provisioned
 * is not stopped to make room for others.
 */
static void lists_join(struct environment *env)
{
	struct pool *pool = env->pool;
	struct list *idle = env->share ? &pool->ready : &pool->idle;

	if (!is_idle(env->state))
		list_push_back(&pool->others, &env->in_pool);
	else if (env->invocations)
		list_push_front(idle, &env->in_pool);
	else /* a spare: the last to be used, as each use calls for another one */
		list_push_back(idle, &env->in_pool);
	if (!is_idle(env->state) || env->share)
		return; /* what is provisioned is not stopped to make room for others */
	if (env->invocations)
		list_push_back(&env->engine->idle, &env->in_idle);
	else /* the first to go */
		list_push_front(&env->engine->idle, &env->in_idle);
}

static void lists_leave(struct environment *env)
{
	list_remove(&env->in_idle);
	list_remove(&env->in_pool);
}

/* What is provisioned may rest for as long as it lives. */
static bool lasts(const struct environment *env)
{
	bool is_resting = env->state == ENV_FROZEN ||
		(env->state == ENV_IDLE && !is_freezing(&env->engine->options));

	return is_resting && env->share;
}

bool environment_is_worn(const struct environment *env)
{
	return !environment_is_starting(env) && loop_now_ms(env->engine->loop) >= env->worn_ms;
}

static void deadline_arm(struct environment *env)
{
	uint64_t now_ms = loop_now_ms(env->engine->loop);

	if (env->state == ENV_DEAD)
		timer_clear(env->deadline);
	else if (lasts(env))
		timer_set(env->deadline, env->worn_ms - MIN(env->worn_ms, now_ms));
	else
		timer_set(env->deadline, state_ms_max(env, env->state));
	if (env->state == ENV_INIT || env->state == ENV_BUSY)
		engine_watch_memory(env->engine);
}

void environments_on_tuned(struct engine *engine)
{
	list_each(link, &engine->idle)
		deadline_arm(list_entry(link, struct environment, in_idle));
}

void environment_join(struct environment *env)
{
	assert(env->state == ENV_BOOTING && !list_linked(&env->in_pool));
	env->pool->environments++;
	env->engine->counters.environments++;
	count_state(env, env->state, 1);
	lists_join(env);
	capacity_add(env);
	deadline_arm(env);
}

/* What is provisioned hears of it when everything else knows. */
static void share_notice(struct environment *env, bool was_starting)
{
	if (!env->share)
		return;
	if (env->state == ENV_DEAD)
		provision_on_dead(env, was_starting);
	else if (was_starting && !environment_is_starting(env))
		provision_on_ready(env);
}

void environment_become_ordinary(struct environment *env)
{
	assert(env->share && !list_linked(&env->in_share) && env->state != ENV_DEAD);
	count_state(env, env->state, -1U);
	env->share = NULL;
	count_state(env, env->state, 1);
	if (!is_idle(env->state))
		return;
	lists_leave(env);
	lists_join(env);
	deadline_arm(env);
}

void environment_enter(struct environment *env, enum environment_state next)
{
	bool is_moving = !is_idle(env->state) || !is_idle(next);
	bool was_starting = environment_is_starting(env);

	assert(next < ENV_STATES);
	assert(may_follow[env->state] & BIT(next));

	count_state(env, env->state, -1U);
	count_state(env, next, 1);
	env->state = next;
	if (is_moving) { /* else it keeps its age */
		lists_leave(env);
		lists_join(env);
	}
	capacity_update(env);
	deadline_arm(env);
	share_notice(env, was_starting);
}

void environment_instance_name(const struct environment *env, struct buf *out)
{
	timestamp_put_date_path(out, env->created_real_ms);
	buf_put(out, S("/"));
	buf_put(out, env->pool->version->name);
	buf_put(out, S("["));
	buf_put(out, env->pool->version->version);
	buf_put(out, S("]"));
	buf_put(out, str_of(env->stream_id));
}

void environment_stream_name(const struct environment *env, struct buf *out)
{
	timestamp_put_date_path(out, env->created_real_ms);
	buf_put(out, S("/["));
	buf_put(out, env->pool->version->version);
	buf_put(out, S("]"));
	buf_put(out, str_of(env->stream_id));
}

/* --- its work --- */

uint64_t environment_spent_us(const struct environment *env, const struct invocation *invocation)
{
	uint64_t now_us = engine_now_us();

	if (!env->is_second || !environment_is_starting(env))
		return 0;
	return MIN(now_us - env->spawned_us, now_us - MIN(now_us, invocation->received_ms * 1000));
}

static int environment_ask(const struct environment *env, enum frame_op op)
{
	struct sandbox_frame frame = { .head = { .op = op, .ticket = env->id },
		.handle = env->sandbox };

	return err_pass(warden_ask(env->engine->platform->warden, &frame, sizeof(frame), NULL, 0));
}

bool environment_freeze(struct environment *env)
{
	assert(env->state == ENV_IDLE);
	if (!is_freezing(&env->engine->options))
		return false;
	(void)log_stream_memory_peak(env->stream); /* what it will be counted with from now on */
	int r = environment_ask(env, FRAME_FREEZE);
	if (r < 0) {
		err_log(r, "freeze an environment");
		return false;
	}
	env->engine->counters.freezes++;
	environment_enter(env, ENV_FROZEN);
	return true;
}

/* The state changes with the work that it gets. */
static bool environment_thaw(struct environment *env)
{
	int r = environment_ask(env, FRAME_THAW);

	if (r < 0)
		err_log(r, "thaw an environment");
	return r == 0;
}

bool environment_assign(struct environment *env, struct invocation *invocation)
{
	assert(!env->invocation && env->state != ENV_DEAD);

	/* One whose end was told in this very turn is not off the lists yet. */
	if (env->is_gone || environment_is_worn(env) ||
		(env->state == ENV_FROZEN && !environment_thaw(env)))
		return false;
	uint64_t spent_us = environment_spent_us(env, invocation);
	invocation_prepare(invocation, spent_us);
	if (!runtime_api_send(env, invocation))
		return false;
	extension_api_invoke(env, invocation);
	env->spent_us = spent_us;
	env->is_stream_lost = false;
	environment_enter(env, ENV_BUSY);
	memcpy(env->request_id, invocation->request_id, sizeof(env->request_id));
	if (env->invocations++ == 0 && !env->share) /* what is provisioned is its own spare */
		pool_want_spare(env->pool);
	invocation_start(invocation, env);
	return true;
}

/*
 * Initialisation is over. In JSON its end is an event; in text only a failure is. A second one is
 * part of the invocation's duration and no item of its own.
 */
static void environment_init_done(struct environment *env)
{
	env->init_us = engine_now_us() - env->spawned_us;
	env->is_init_reported = env->is_second;
	measure_init(env->engine, env);
	int r = env->is_cpu_strict ? environment_ask(env, FRAME_HOLD) : 0;
	if (r < 0)
		err_log(r, "hold an environment to its processors");
	if (env->is_restored)
		environment_log_restored(env);
	else
		environment_log_init(env, NULL, NULL);
}

void environment_on_next(struct environment *env, struct http_conn *conn)
{
	assert(env->state == ENV_INIT || env->state == ENV_BUSY);
	assert(!env->next);

	if (env->snapshot) {
		snapshot_on_next(env);
		environment_kill(env);
		return;
	}
	if (env->invocation) {
		environment_log_drain(env); /* not the end of a turn: see invocation_conclude() */
		invocation_conclude(env->invocation);
	}
	env->next = conn;
	if (env->host) /* "Extension registration closed already" */
		env->host->all.is_closed = true;
	environment_settle(env);
}

/*
 * "Each phase ends when the runtime and all extensions indicate completion by sending a Next API
 * request."
 */
void environment_settle(struct environment *env)
{
	if (!extension_host_is_ready(env))
		return;
	if (env->invocation && env->invocation->is_held)
		invocation_conclude(env->invocation);
	if (!env->next || (env->state != ENV_INIT && env->state != ENV_BUSY) || env->invocation)
		return;
	if (env->state == ENV_INIT) {
		environment_init_done(env);
		telemetry_close(env->host ? env->host->telemetry : NULL);
	}
	extension_host_report(env, NULL, NULL);
	pool_on_free(env);
}

/* --- the end --- */

void environment_free(struct environment *env)
{
	struct pool *pool = env->pool;
	struct engine *engine = env->engine;
	struct function_entry *function = pool->function;

	assert(!env->invocation && env->state == ENV_DEAD);
	snapshot_on_gone(env);
	map_remove(&engine->environments, env->id_key);
	environment_unserve(env);
	count_state(env, env->state, -1U);
	lists_leave(env);
	capacity_remove(env);
	environment_discard(env);
	pool->environments--;
	engine->counters.environments--;
	pool_on_lost(pool);
	function_entry_reap(function);
	engine_check_drained(engine);
}

void environment_ask_kill(struct environment *env)
{
	/* One that is still being made is killed as soon as it has a handle. */
	if (env->is_kill_asked || !env->has_sandbox)
		return;
	env->is_kill_asked = true;
	int r = environment_ask(env, FRAME_KILL);
	if (r < 0)
		err_log(r, "stop an environment");
}

void environment_terminate(struct environment *env)
{
	int r = environment_ask(env, FRAME_TERMINATE);
	if (r < 0)
		err_log(r, "end a runtime");
}

void environment_unfreeze(struct environment *env)
{
	(void)environment_thaw(env);
}

/* Extensions have some time for their own end; the kill is asked for after it. */
static bool environment_shut(struct environment *env, bool is_frozen)
{
	return env->host && extension_host_shut(env->host, is_frozen);
}

void environment_kill(struct environment *env)
{
	bool is_frozen = env->state == ENV_FROZEN;

	assert(!env->invocation);
	extension_host_report(env, NULL, NULL);
	if (env->state != ENV_DEAD)
		environment_enter(env, ENV_DEAD);
	if (env->is_gone) /* it may have waited for last words, with the timer that is off now */
		loop_defer(env->engine->loop, &env->exit);
	else if (!environment_shut(env, is_frozen))
		environment_ask_kill(env);
}
