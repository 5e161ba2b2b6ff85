/*
 * One object for each qualifier of a function and minute; they are added up to functions and accounts when they are written.
 */
#include "engine/recent.h"

#include "base/mem.h"
#include "engine/core.h"
#include "engine/directory.h"
#include "engine/invocation.h"
#include "os/clock.h"

#include <assert.h>
#include <string.h>

enum { KEY_SIZE = 512, MINUTE_MS = 60'000 };

static struct recent *recent_new(struct recents *recents, str key, uint64_t minute_ms)
{
	struct recent *recent = mem_new(1, sizeof(*recent) + key.len);
	str rest, part, qualifier;

	if (!recent)
		return NULL;
	memcpy(recent->text, key.at, key.len);
	recent->key = rest = (str){ recent->text, key.len };
	recent->minute_ms = minute_ms;
	bool has_parts = str_cut(&rest, '/', &part);
	recent->scope = rest;
	has_parts = has_parts && str_cut(&rest, '/', &part) && str_cut(&rest, '/', &part);
	assert(has_parts);
	(void)has_parts;
	recent->resource = qualifier = rest;
	recent->scope.len -= rest.len + 1;
	if (!str_cut(&qualifier, ':', &recent->function))
		recent->function = rest;
	if (map_put(&recents->map, recent->key, recent) == 0)
		return recent;
	mem_free(recent);
	return NULL;
}

/* `function` is account/region/name. NULL when there is no room. */
static struct recent *recent_of(struct recents *recents, str function, str qualifier)
{
	uint64_t minute_ms = clock_real_ms() / MINUTE_MS * MINUTE_MS;
	char text[KEY_SIZE];
	struct buf key;

	buf_init_over(&key, text, sizeof(text));
	buf_put_u64(&key, minute_ms);
	buf_put_char(&key, '/');
	buf_put(&key, function);
	if (qualifier.len) {
		buf_put_char(&key, ':');
		buf_put(&key, qualifier);
	}
	struct recent *recent = key.err ? NULL : map_get(&recents->map, buf_str(&key));
	if (!recent && !key.err && recents->map.count < RECENT_MAX)
		recent = recent_new(recents, buf_str(&key), minute_ms);
	recents->lost += !recent;
	return recent;
}

void recent_add(struct engine *engine, const struct invocation *invocation)
{
	struct recent *recent = recent_of(
		&engine->recents, invocation->function->key, str_of(invocation->qualifier));

	if (!recent)
		return;
	recent->attempts++;
	if (invocation->outcome == INVOKE_THROTTLED) {
		recent->throttles++;
		return;
	}
	recent->invocations++;
	recent->errors += invocation->is_error;
	metric_add(&recent->duration, (double)invocation->duration_us / 1000, 1);
	metric_add(&recent->concurrency, invocation->function->invocations, 1);
}

void recent_measure(
	struct engine *engine, str function, str qualifier, enum recent_figure figure, double value)
{
	struct recent *recent = recent_of(&engine->recents, function, qualifier);

	assert(figure < RECENT_FIGURES);
	if (!recent)
		return;
	if (figure < RECENT_COUNTS) {
		recent->counts[figure].ones += value > 0;
		recent->counts[figure].zeros += !(value > 0);
		return;
	}
	struct metric **spread = &recent->spreads[figure - RECENT_COUNTS];
	if (!*spread)
		*spread = mem_one(struct metric);
	if (*spread)
		metric_add(*spread, value, 1);
	else
		engine->recents.lost++;
}

void engine_measure(struct engine *engine, const struct recent_value *value)
{
	char text[KEY_SIZE];
	struct buf function;

	buf_init_over(&function, text, sizeof(text));
	buf_putf(&function, STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(value->account),
		STR_ARG(value->region), STR_ARG(value->name));
	if (function.err)
		engine->recents.lost++;
	else
		recent_measure(
			engine, buf_str(&function), value->qualifier, value->figure, value->value);
}

static void recent_free(struct recent *recent)
{
	for (size_t i = 0; i < RECENT_SPREADS; i++)
		mem_free(recent->spreads[i]);
	mem_free(recent);
}

void engine_take_recents(struct engine *engine, struct recents *ret_recents)
{
	*ret_recents = engine->recents;
	engine->recents = (struct recents){};
}

void recents_done(struct recents *recents)
{
	size_t at = 0;
	void *value;

	while (map_next(&recents->map, &at, &value))
		recent_free(value);
	map_done(&recents->map);
}
