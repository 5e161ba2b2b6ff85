/* GetMetricStatistics: one metric, several statistics, at most 1,440 steps. */
#include "services/cloudwatch/operations.h"

#include "base/err.h"
#include "engine/platform.h"

#include <errno.h>

enum { DATAPOINTS_MAX = 1440 };

/* Each statistic by name: false when one cannot be known of these values (it is left out). */
static int put_statistics(json_t *to, const json_t *names, const struct metric *metric)
{
	double value;

	for (size_t i = 0; i < json_array_size(names); i++) {
		const json_t *name = json_array_get(names, i);
		if (metric_statistic(metric, json_view(name), &value) != METRIC_DONE)
			continue;
		int r = json_put(to, json_string_value(name), json_real(value));
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}

static int put_datapoint(void *context, uint64_t step_ms, str unit, const struct metric *metric)
{
	struct call *call = context;
	json_t *point = json_pack(
		"{s:I,s:o}", "Timestamp", (json_int_t)step_ms, "Unit", json_from_str(unit));
	json_t *extended = json_object();

	int r = point && extended ? put_statistics(point, call_get(call, "Statistics"), metric)
				  : err_raise(-ENOMEM);
	if (r == 0)
		r = put_statistics(extended, call_get(call, "ExtendedStatistics"), metric);
	if (r == 0 && json_object_size(extended))
		r = json_put(point, "ExtendedStatistics", json_incref(extended));
	if (r == 0 && json_array_append(json_object_get(call->out, "Datapoints"), point) < 0)
		r = err_raise(-ENOMEM);
	json_decref(extended);
	json_decref(point);
	return err_pass(r);
}

static int check_statistics(struct call *call)
{
	const json_t *extended = call_get(call, "ExtendedStatistics");
	int r = 0;

	if (!json_array_size(call_get(call, "Statistics")) == !json_array_size(extended))
		return call_error(call, INVALID_COMBINATION,
			"Must specify either Statistics or ExtendedStatistics");
	for (size_t i = 0; r == 0 && i < json_array_size(extended); i++)
		r = check_statistic(call, json_view(json_array_get(extended, i)));
	return err_pass(r);
}

static int check_count(struct call *call, const struct timeline *timeline)
{
	uint64_t count = (timeline->to_ms - timeline->from_ms + timeline->period_ms - 1) /
		timeline->period_ms;

	if (count <= DATAPOINTS_MAX)
		return 0;
	return call_error(call, INVALID_COMBINATION,
		"You have requested up to %llu datapoints, which exceeds the limit of 1,440. You may "
		"reduce the datapoints requested by increasing Period, or decreasing the time range.",
		(unsigned long long)count);
}

int op_get_metric_statistics(struct call *call)
{
	struct timeline timeline = { .period_ms = (uint64_t)call_int(call, "Period", 60) * 1000 };

	int r = check_period(call, call_int(call, "Period", 60));
	if (r == 0)
		r = check_statistics(call);
	if (r == 0)
		r = read_times(call, &timeline);
	if (r == 0)
		r = check_count(call, &timeline);
	if (r)
		return err_pass(r);
	const struct metric_series series = {
		.scope = metric_scope(call),
		.space = call_str(call, "Namespace"),
		.name = call_str(call, "MetricName"),
		.dimensions = dimensions_text(call, call_get(call, "Dimensions")),
		.unit = call_str(call, "Unit"),
	};
	if (!series.scope.at || !series.dimensions.at)
		return err_raise(-ENOMEM);
	platform_flush_metrics(call->platform);
	r = json_put(call->out, "Label", json_from_str(series.name));
	if (r == 0)
		r = json_put(call->out, "Datapoints", json_array());
	return r < 0 ? err_pass(r)
		     : err_pass(timeline_read(call, &series, &timeline, put_datapoint, call));
}
