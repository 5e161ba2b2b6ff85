/* The engine as a whole: made, fed with the warden's events, drained. */
#include "engine/core.h"

#include "base/err.h"
#include "base/mem.h"
#include "engine/directory.h"
#include "engine/environment.h"
#include "engine/function_log.h"
#include "engine/pool.h"
#include "engine/provision.h"
#include "engine/runtimes.h"
#include "engine/stem.h"
#include "os/clock.h"
#include "os/random.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* --- life --- */

int engine_new(const struct engine_options *options, struct engine **ret_engine)
{
	struct engine *engine = mem_one(struct engine);
	if (!engine)
		return err_raise(-ENOMEM);

	engine->options = *options;
	engine->loop = options->loop;
	engine->platform = options->platform;
	list_init(&engine->idle);
	list_init(&engine->starved);
	list_init(&engine->sparse);
	random_bytes(&engine->random, sizeof(engine->random));
	int r = function_log_writer_new(
		options->loop, options->platform->logs, &engine->log_writer);
	if (r == 0)
		r = timer_new(options->loop, pools_on_starved, engine, &engine->starved_timer);
	if (r == 0)
		r = timer_new(options->loop, pools_on_sparse, engine, &engine->spare_timer);
	if (r == 0)
		r = capacity_init(&engine->capacity, engine);
	if (r == 0)
		r = timer_new(
			options->loop, environments_look_at_memory, engine, &engine->memory_timer);
	if (r == 0)
		r = holds_init(&engine->holds, engine);
	if (r == 0)
		r = stems_new(engine);
	if (r < 0) {
		timer_free(engine->starved_timer);
		timer_free(engine->spare_timer);
		timer_free(engine->capacity.starts_timer);
		timer_free(engine->memory_timer);
		holds_done(&engine->holds);
		function_log_writer_free(engine->log_writer);
		mem_free(engine);
		return err_pass(r);
	}
	*ret_engine = engine;
	return 0;
}

void engine_tune(struct engine *engine, const struct engine_tuning *tuning)
{
	engine->options.idle_ms = tuning->idle_ms;
	engine->options.lifetime_ms = tuning->lifetime_ms;
	engine->options.has_credentials = tuning->has_credentials;
	engine->options.init_ms = tuning->init_ms;
	engine->options.log_rate = tuning->log_rate;
	engine->options.stems_max = tuning->stems_max;
	engine->options.spares_max = tuning->spares_max;
	engine->options.hold_above = tuning->hold_above;
	engine->options.queue_ms = tuning->queue_ms;
	engine->options.freeze_ms = tuning->freeze_ms;
	engine->options.starts_max = tuning->starts_max;
	engine->options.starts_beside = tuning->starts_beside;
	engine->options.memory_mb = tuning->memory_mb;
	engine->options.is_memory_reserved = tuning->is_memory_reserved;
	engine->options.invocation_rate = tuning->invocation_rate;
	engine->options.scaling_rate = tuning->scaling_rate;
	engine->options.account_concurrency = tuning->account_concurrency;
	engine->options.is_cpu_strict = tuning->is_cpu_strict;
	environments_on_tuned(engine);
	stems_on_tuned(engine);
	loop_defer(engine->loop, &engine->capacity.start_more);
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	assert(!engine->environments.count && !engine->counters.in_flight && !engine->loads);
	assert(!engine->functions.count && !engine->scopes.count);
	function_log_writer_free(engine->log_writer);
	timer_free(engine->starved_timer);
	timer_free(engine->spare_timer);
	timer_free(engine->memory_timer);
	holds_done(&engine->holds);
	stems_free(engine->stems);
	capacity_done(&engine->capacity);
	map_done(&engine->functions);
	map_done(&engine->scopes);
	map_done(&engine->environments);
	measures_done(&engine->measures);
	recents_done(&engine->recents);
	mem_free(engine);
}

uint64_t engine_now_us(void)
{
	return clock_mono_ns() / 1000;
}

/* A weight needs no secrecy, only evenness: splitmix64. */
uint32_t engine_random(struct engine *engine, uint32_t bound)
{
	uint64_t z = engine->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (uint32_t)(((z ^ (z >> 31)) >> 32) * bound >> 32);
}

/* --- the warden's events --- */

static struct environment *engine_environment(struct engine *engine, uint64_t id)
{
	return map_get(&engine->environments, (str){ (const char *)&id, sizeof(id) });
}

void engine_on_spawned(
	struct engine *engine, const struct spawned_frame *frame, const int fds[static 4])
{
	struct environment *env = engine_environment(engine, frame->head.ticket);

	if (stems_on_spawned(engine, frame, fds))
		return;
	/*
	 * An environment is kept until its exit was told, so the warden cannot name an unknown one.
	 */
	assert(env);
	environment_on_spawned(env, frame, fds);
}

void engine_on_grafted(struct engine *engine, const struct grafted_frame *frame)
{
	struct environment *env = engine_environment(engine, frame->head.ticket);

	assert(env);
	environment_on_grafted(env, frame);
}

void engine_on_exited(struct engine *engine, const struct exited_frame *frame)
{
	struct environment *env = engine_environment(engine, frame->head.ticket);

	if (stems_on_exited(engine, frame)) { /* its place may have been waited for */
		loop_defer(engine->loop, &engine->capacity.start_more);
		return;
	}
	assert(env);
	environment_on_exited(env, frame);
}

/* --- the end --- */

static void engine_each_function(struct engine *engine, void (*each)(struct pool *pool))
{
	size_t at = 0;
	void *value;

	while (map_next(&engine->functions, &at, &value)) {
		struct function_entry *function = value;
		list_each(link, &function->pools)
			each(list_entry(link, struct pool, link));
	}
}

void engine_use_runtime(struct engine *engine, str runtime)
{
	const struct runtime_pack *pack;

	if (runtimes_find(engine->options.runtimes, runtime, &pack) != RUNTIME_NONE)
		stems_use(engine, pack, runtime);
}

void engine_function_changed(struct engine *engine, str account, str region, str name)
{
	directory_changed(engine, account, region, name);
}

void engine_set_aside(
	struct engine *engine, str account, str region, uint32_t amount, uint64_t revision)
{
	directory_set_aside(engine, account, region, amount, revision);
}

void engine_provision(
	struct engine *engine, str account, str region, str name, const struct provision_plan *plan)
{
	if (!engine->on_drained)
		directory_provision(engine, account, region, name, plan);
}

bool engine_provision_figures(const struct engine *engine, str account, str region, str name,
	str qualifier, struct provision_figures *ret_figures)
{
	return directory_provision_figures(engine, account, region, name, qualifier, ret_figures);
}

static void engine_on_reset(void *context)
{
	struct engine *engine = context;

	engine->is_flushing = false;
	if (engine->on_reset)
		engine->on_reset(engine->on_reset_context);
	engine_check_drained(engine);
}

void engine_reset(struct engine *engine, void (*done)(void *context), void *context)
{
	size_t at = 0;
	void *value;

	engine_each_function(engine, pool_reset);
	/* Entries go with their last environment; what they have read must not be used again. */
	while (map_next(&engine->functions, &at, &value))
		function_entry_forget(value);
	function_log_forget(engine->log_writer);
	if (engine->is_flushing) { /* at the end of a drain: nobody will read these logs */
		if (done)
			done(context);
		return;
	}
	engine->is_flushing = true;
	engine->on_reset = done;
	engine->on_reset_context = context;
	function_log_flush(engine->log_writer, engine_on_reset, engine);
}

void engine_check_drained(struct engine *engine)
{
	if (!engine->on_drained || engine->is_flushing)
		return;
	if (engine->counters.in_flight || engine->environments.count || engine->loads ||
		stems_count(engine))
		return;
	engine->is_flushing = true;
	function_log_flush(engine->log_writer, engine->on_drained, engine->on_drained_context);
}

void engine_drain(struct engine *engine, void (*done)(void *context), void *context)
{
	assert(!engine->on_drained);
	engine->on_drained = done;
	engine->on_drained_context = context;
	engine_each_function(engine, pool_drain);
	stems_drain(engine);
	engine_check_drained(engine);
}

/* --- looking in --- */

void engine_counters(const struct engine *engine, struct engine_counters *ret_counters)
{
	*ret_counters = engine->counters;
	ret_counters->stems = stems_ready(engine);
	ret_counters->memory_mb = capacity_memory_mb(&engine->capacity);
	ret_counters->memory_mb_max = engine->options.memory_mb;
}

static bool version_has_code(const struct function_version *version, const uint8_t *digest)
{
	for (uint32_t i = 0; i < version->layer_count; i++) {
		if (memcmp(version->layers[i], digest, sizeof(version->layers[i])) == 0)
			return true;
	}
	return memcmp(version->code, digest, sizeof(version->code)) == 0;
}

/* A pool is there as long as it has an environment, or an invocation that may need one. */
bool engine_uses_code(const struct engine *engine, const uint8_t digest[static 32])
{
	size_t at = 0;
	void *value;

	while (map_next(&engine->functions, &at, &value)) {
		const struct function_entry *function = value;
		list_each(link, &function->pools) {
			const struct pool *pool = list_entry(link, struct pool, link);
			if (version_has_code(pool->version, digest))
				return true;
		}
	}
	return false;
}

void engine_each_environment(struct engine *engine,
	void (*each)(void *context, const struct environment_info *info), void *context)
{
	uint64_t now_ms = loop_now_ms(engine->loop);
	size_t at = 0;
	void *value;

	while (map_next(&engine->environments, &at, &value)) {
		const struct environment *env = value;
		const struct function_version *version = env->pool->version;
		each(context,
			&(struct environment_info){
				.id = str_of(env->stream_id),
				.account = version->account,
				.region = version->region,
				.function = version->name,
				.version = version->version,
				.runtime = version->runtime,
				.state = environment_state_name(env->state),
				.pack = env->pack->name,
				.pack_version = env->pack->version,
				.invocations = env->invocations,
				.age_ms = now_ms - env->created_ms,
				.memory_mb = env->charge_mb,
				.is_provisioned = env->is_provisioned,
			});
	}
}

/* The key is account/region/name. */
static void each_provision_of(const struct function_entry *function,
	void (*each)(void *context, const struct provision_info *info), void *context)
{
	struct provision_info info = { .function = function->key };

	bool has_parts = str_cut(&info.function, '/', &info.account) &&
		str_cut(&info.function, '/', &info.region);
	assert(has_parts);
	(void)has_parts;
	list_each(link, &function->provisions) {
		const struct provision *provision = list_entry(link, struct provision, link);
		info.qualifier = str_of(provision->qualifier);
		if (provision_figures(function, info.qualifier, &info.figures))
			each(context, &info);
	}
}

void engine_each_provision(struct engine *engine,
	void (*each)(void *context, const struct provision_info *info), void *context)
{
	size_t at = 0;
	void *value;

	while (map_next(&engine->functions, &at, &value))
		each_provision_of(value, each, context);
}
