/* What reading and putting share: places, dimensions, and values in steps. */
#include "services/cloudwatch/operations.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"

#include <errno.h>

str metric_scope(struct call *call)
{
	return arena_strf(
		call->arena, STR_FMT "/" STR_FMT, STR_ARG(call->account), STR_ARG(call->region));
}

/* --- dimensions --- */

enum { DIMENSIONS_MAX = 30 }; /* as the model has it */

static size_t dimensions_sort(const json_t *dimensions, const json_t **to)
{
	size_t count = MIN(json_array_size(dimensions), DIMENSIONS_MAX);

	for (size_t i = 0; i < count; i++) {
		const json_t *one = json_array_get(dimensions, i);
		size_t at = i;
		for (; at > 0 &&
			str_cmp(json_get_str(to[at - 1], "Name"), json_get_str(one, "Name")) > 0;
			at--)
			to[at] = to[at - 1];
		to[at] = one;
	}
	return count;
}

str dimensions_text(struct call *call, const json_t *dimensions)
{
	const json_t *sorted[DIMENSIONS_MAX];
	size_t count = dimensions_sort(dimensions, sorted);
	struct buf text;

	if (!count)
		return S("");
	buf_init(&text, 1024 * 1024);
	for (size_t i = 0; i < count; i++) {
		buf_put(&text, i ? S(",[") : S("[["));
		buf_put_json(&text, json_get_str(sorted[i], "Name"));
		buf_put_char(&text, ',');
		buf_put_json(&text, json_get_str(sorted[i], "Value"));
		buf_put_char(&text, ']');
	}
	buf_put_char(&text, ']');
	str made = text.err ? (str){} : arena_str(call->arena, buf_str(&text));
	buf_done(&text);
	return made;
}

json_t *dimensions_tree(str text)
{
	json_t *pairs = text.len ? json_loadb(text.at, text.len, 0, NULL) : json_array();
	json_t *tree = json_array();
	size_t i;
	json_t *pair;

	json_array_foreach(pairs, i, pair)
	{
		(void)json_array_append_new(tree,
			json_pack("{s:O,s:O}", "Name", json_array_get(pair, 0), "Value",
				json_array_get(pair, 1)));
	}
	json_decref(pairs);
	return tree;
}

/* --- what is asked --- */

int check_period(struct call *call, int64_t period_s)
{
	if (period_s == 1 || period_s == 5 || period_s == 10 || period_s == 20 || period_s == 30)
		return call_error(call, INVALID_VALUE,
			"High-resolution metrics (a Period below 60 seconds) are not available in "
			"mayfly yet.");
	if (period_s % 60 || period_s > 86'400)
		return call_error(call, INVALID_VALUE,
			"The parameter Period must be a multiple of 60 and at most 86400.");
	return 0;
}

int check_statistic(struct call *call, str name)
{
	if (metric_has_statistic(name))
		return 0;
	return call_error(call, INVALID_VALUE,
		"The statistic " STR_FMT
		" is not available in mayfly yet: there are Sum, Average, Minimum, Maximum, "
		"SampleCount and percentiles (p99).",
		STR_ARG(name));
}

int read_times(struct call *call, struct timeline *timeline)
{
	int64_t from = call_int(call, "StartTime", 0), to = call_int(call, "EndTime", 0);

	if (from < 0 || to < 0 || from >= to)
		return call_error(call, INVALID_COMBINATION,
			"The parameter StartTime must be less than the parameter EndTime.");
	timeline->from_ms = (uint64_t)from / timeline->period_ms * timeline->period_ms;
	timeline->to_ms = (uint64_t)to;
	return 0;
}

/* --- reading --- */

/* The step that is being filled. */
struct filling {
	struct call *call;
	const struct timeline *timeline;
	timeline_step_fn *each;
	void *context;
	uint64_t step_ms;
	str unit; /* at == NULL: nothing was found yet */
	struct metric metric;
};

static int filling_tell(struct filling *filling)
{
	int r = 0;

	if (filling->metric.count > 0)
		r = filling->each(
			filling->context, filling->step_ms, filling->unit, &filling->metric);
	filling->metric = (struct metric){};
	return err_pass(r);
}

static int filling_take(void *context, uint64_t minute_ms, str unit, const struct metric *metric)
{
	struct filling *filling = context;
	const struct timeline *timeline = filling->timeline;
	uint64_t step_ms = minute_ms - (minute_ms - timeline->from_ms) % timeline->period_ms;
	int r = 0;

	if (!filling->unit.at)
		filling->unit = arena_str(filling->call->arena, unit);
	if (!filling->unit.at)
		return err_raise(-ENOMEM);
	if (!str_eq(unit, filling->unit))
		return 0;
	if (step_ms != filling->step_ms)
		r = filling_tell(filling);
	filling->step_ms = step_ms;
	metric_join(&filling->metric, metric);
	return err_pass(r);
}

int timeline_read(struct call *call, const struct metric_series *series,
	const struct timeline *timeline, timeline_step_fn *each, void *context)
{
	struct filling filling = {
		.call = call, .timeline = timeline, .each = each, .context = context
	};

	int r = metrics_read(call->platform->metrics, series, timeline->from_ms, timeline->to_ms,
		filling_take, &filling);
	return r < 0 ? err_pass(r) : err_pass(filling_tell(&filling));
}
