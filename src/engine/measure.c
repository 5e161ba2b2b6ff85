/*
 * Counting costs an invocation one look-up in a map and a few additions. Without memory for one more function it is counted
 * with the others: figures are no reason to fail.
 */
#include "engine/measure.h"

#include "base/attr.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/directory.h"
#include "engine/environment.h"
#include "engine/invocation.h"
#include "engine/pool.h"

#include <assert.h>
#include <string.h>

const uint64_t measure_steps[MEASURE_STEPS] = { 1'000, 2'500, 5'000, 10'000, 25'000, 50'000,
	100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000, 60'000'000,
	900'000'000 };

void measures_done(struct measures *measures)
{
	size_t at = 0;
	void *value;

	while (map_next(&measures->functions, &at, &value))
		mem_free(value);
	map_done(&measures->functions);
}

static struct measure_function *measure_function_new(struct measures *measures, str key)
{
	struct measure_function *function = mem_new(1, sizeof(*function) + key.len);
	if (!function)
		return NULL;

	char *text = (char *)(function + 1);
	memcpy(text, key.at, key.len);
	function->key = function->name = (str){ text, key.len };
	bool has_parts = str_cut(&function->name, '/', &function->account) &&
		str_cut(&function->name, '/', &function->region);
	assert(has_parts);
	(void)has_parts;
	if (map_put(&measures->functions, function->key, function) == 0)
		return function;
	mem_free(function);
	return NULL;
}

static struct measure_function *measure_function_of(struct measures *measures, str key)
{
	struct measure_function *function = map_get(&measures->functions, key);

	if (!function && measures->functions.count < MEASURE_FUNCTIONS_MAX)
		function = measure_function_new(measures, key);
	return function ? function : &measures->others;
}

static struct measure_runtime *measure_runtime_of(struct measures *measures, str name)
{
	for (size_t i = 0; i < measures->runtime_count; i++) {
		if (str_eq(str_of(measures->runtimes[i].name), name))
			return &measures->runtimes[i];
	}
	struct measure_runtime *runtime = &measures->runtimes[measures->runtime_count];
	if (measures->runtime_count == MEASURE_RUNTIMES_MAX - 1 ||
		str_to_array(name, runtime->name, sizeof(runtime->name)) < 0)
		return &measures->runtimes[MEASURE_RUNTIMES_MAX - 1];
	measures->runtime_count++;
	return runtime;
}

static void measure_spread_add(struct measure_spread *spread, uint64_t us)
{
	size_t step = 0;

	while (step < MEASURE_STEPS && us > measure_steps[step])
		step++;
	if (step < MEASURE_STEPS)
		spread->steps[step]++;
	spread->count++;
	spread->sum_us += us;
}

void measure_invocation(struct engine *engine, const struct invocation *invocation)
{
	struct measures *measures = &engine->measures;

	if (invocation->function && invocation->outcome == INVOKE_RECURSIVE)
		recent_measure(engine, invocation->function->key, str_of(invocation->qualifier),
			RECENT_RECURSION_DROPPED, 1);
	if (!invocation->function ||
		(invocation->outcome != INVOKE_DONE && invocation->outcome != INVOKE_THROTTLED))
		return;
	struct measure_function *function = measure_function_of(
		measures, invocation->function->key);
	recent_add(engine, invocation);
	if (invocation->outcome == INVOKE_THROTTLED) {
		function->throttles++;
		return;
	}
	function->invocations++;
	function->errors += invocation->is_error;
	function->running_us += invocation->duration_us;
	measure_spread_add(
		&measure_runtime_of(measures, invocation->pool->version->runtime)->duration,
		invocation->duration_us);
}

void measure_init(struct engine *engine, const struct environment *env)
{
	measure_spread_add(
		&measure_runtime_of(&engine->measures, env->pool->version->runtime)->init,
		env->init_us);
}

void engine_each_measure(struct engine *engine,
	void (*each)(void *context, const struct measure_function *function), void *context)
{
	const struct measure_function *others = &engine->measures.others;
	size_t at = 0;
	void *value;

	while (map_next(&engine->measures.functions, &at, &value))
		each(context, value);
	if (others->invocations || others->throttles)
		each(context, others);
}

void engine_each_runtime_measure(struct engine *engine,
	void (*each)(void *context, const struct measure_runtime *runtime), void *context)
{
	const struct measure_runtime *others = &engine->measures.runtimes[MEASURE_RUNTIMES_MAX - 1];

	for (size_t i = 0; i < engine->measures.runtime_count; i++)
		each(context, &engine->measures.runtimes[i]);
	if (others->duration.count || others->init.count)
		each(context, others);
}
