/*
 * PutMetricData: values, or sets of statistics, of up to 1,000 metrics. All of them are kept, or none.
 */
#include "services/cloudwatch/operations.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "os/clock.h"

#include <errno.h>
#include <math.h>

enum { DATA_MAX = 1000, VALUES_MAX = 150 };

#define PAST_MS	  (14ULL * 24 * 3600 * 1000) /* "two weeks before the current date" */
#define FUTURE_MS (2ULL * 3600 * 1000)	     /* "two hours after the current day" */
#define VALUE_MAX 1.1579208923731619e+77     /* "-2^360 to 2^360": beyond it nothing is kept */

/* What is being put: one datum, and where its words point. */
struct putting {
	struct call *call;
	const json_t *datum;
	size_t number; /* from 1, as MetricData.member.1 */
	struct metric *metric;
};

static int refuse_value(const struct putting *putting, const char *member)
{
	return call_error(putting->call, INVALID_VALUE,
		"The value for parameter MetricData.member.%zu.%s is invalid.", putting->number,
		member);
}

/* A number that may be kept; false for NaN, infinities and what is no number. */
static bool number_of(const json_t *value, double *ret_number)
{
	if (!json_is_number(value))
		return false;
	*ret_number = json_number_value(value);
	return isfinite(*ret_number) && fabs(*ret_number) <= VALUE_MAX;
}

static int put_one(const struct putting *putting)
{
	double value;

	if (!number_of(json_object_get(putting->datum, "Value"), &value))
		return refuse_value(putting, "Value");
	metric_add(putting->metric, value, 1);
	return 0;
}

static int put_many(const struct putting *putting)
{
	const json_t *values = json_object_get(putting->datum, "Values");
	const json_t *counts = json_object_get(putting->datum, "Counts");
	double value, count = 1;

	if (json_array_size(values) > VALUES_MAX)
		return refuse_value(putting, "Values");
	if (counts && json_array_size(counts) != json_array_size(values))
		return call_error(putting->call, INVALID_VALUE,
			"The parameters MetricData.member.%zu.Values and MetricData.member.%zu.Counts "
			"must be of the same size.",
			putting->number, putting->number);
	for (size_t i = 0; i < json_array_size(values); i++) {
		if (!number_of(json_array_get(values, i), &value))
			return refuse_value(putting, "Values");
		if (counts && (!number_of(json_array_get(counts, i), &count) || !(count > 0)))
			return refuse_value(putting, "Counts");
		metric_add(putting->metric, value, count);
	}
	return 0;
}

static int put_set(const struct putting *putting)
{
	const json_t *set = json_object_get(putting->datum, "StatisticValues");
	double count, sum, minimum, maximum;

	if (!number_of(json_object_get(set, "SampleCount"), &count) ||
		!number_of(json_object_get(set, "Sum"), &sum) ||
		!number_of(json_object_get(set, "Minimum"), &minimum) ||
		!number_of(json_object_get(set, "Maximum"), &maximum) || !(count > 0) ||
		minimum > maximum)
		return refuse_value(putting, "StatisticValues");
	metric_add_set(putting->metric, count, sum, minimum, maximum);
	return 0;
}

/* Exactly one of the three ways to say it. */
static int put_values(const struct putting *putting)
{
	static const struct {
		const char *name;
		int (*put)(const struct putting *putting);
	} ways[] = { { "Value", put_one }, { "Values", put_many }, { "StatisticValues", put_set } };
	size_t found = ARRAY_LEN(ways);

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		if (!json_object_get(putting->datum, ways[i].name))
			continue;
		if (found < ARRAY_LEN(ways))
			return call_error(putting->call, INVALID_COMBINATION,
				"The parameters MetricData.member.%zu.%s and MetricData.member.%zu.%s are "
				"mutually exclusive and you have specified both.",
				putting->number, ways[found].name, putting->number, ways[i].name);
		found = i;
	}
	if (found == ARRAY_LEN(ways))
		return call_error(putting->call, MISSING,
			"At least one of the parameters MetricData.member.%zu.Value, "
			"MetricData.member.%zu.Values and MetricData.member.%zu.StatisticValues must be "
			"specified.",
			putting->number, putting->number, putting->number);
	return err_pass(ways[found].put(putting));
}

static int put_time(const struct putting *putting, uint64_t now_ms, uint64_t *ret_ms)
{
	const json_t *given = json_object_get(putting->datum, "Timestamp");
	json_int_t ms = given ? json_integer_value(given) : (json_int_t)now_ms;

	if (ms < 0 || (uint64_t)ms + PAST_MS < now_ms || (uint64_t)ms > now_ms + FUTURE_MS)
		return call_error(putting->call, INVALID_VALUE,
			"The parameter MetricData.member.%zu.Timestamp must specify a time within the past "
			"two weeks and no more than two hours in the future.",
			putting->number);
	*ret_ms = (uint64_t)ms;
	return 0;
}

static int put_datum(const struct putting *putting, uint64_t now_ms, struct metric_write *write)
{
	struct call *call = putting->call;
	str unit = json_get_str(putting->datum, "Unit");
	const json_t *resolution = json_object_get(putting->datum, "StorageResolution");

	if (resolution && json_integer_value(resolution) != 60)
		return call_error(call, INVALID_VALUE,
			"High-resolution metrics (StorageResolution 1) are not available in mayfly yet.");
	int r = put_values(putting);
	if (r == 0)
		r = put_time(putting, now_ms, &write->ms);
	if (r)
		return err_pass(r);
	write->series = (struct metric_series){
		.scope = metric_scope(call),
		.space = call_str(call, "Namespace"),
		.name = json_get_str(putting->datum, "MetricName"),
		.dimensions = dimensions_text(call, json_object_get(putting->datum, "Dimensions")),
		.unit = unit.len ? unit : S("None"),
	};
	write->metric = putting->metric;
	return write->series.scope.at && write->series.dimensions.at ? 0 : err_raise(-ENOMEM);
}

static int put_all(struct call *call, const json_t *data)
{
	size_t count = json_array_size(data);
	struct metric_write *writes = arena_new(call->arena, count * sizeof(*writes));
	struct metric *values = arena_new(call->arena, count * sizeof(*values));
	uint64_t now_ms = clock_real_ms();
	int r = writes && values ? 0 : err_raise(-ENOMEM);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = put_datum(&(struct putting){ call, json_array_get(data, i), i + 1, &values[i] },
			now_ms, &writes[i]);
	if (r)
		return err_pass(r);
	r = metrics_add(call->platform->metrics, writes, count);
	if (r == METRICS_FULL)
		return call_error(call, "LimitExceededException",
			"There may be %u metrics in a region of an account on this node.",
			(unsigned)METRICS_SERIES_MAX);
	return err_pass(r);
}

int op_put_metric_data(struct call *call)
{
	const json_t *data = call_get(call, "MetricData");

	if (call_has(call, "EntityMetricData") || call_has(call, "StrictEntityValidation"))
		return call_error(
			call, INVALID_VALUE, "EntityMetricData is not available in mayfly yet.");
	if (str_starts(call_str(call, "Namespace"), S("AWS/")))
		return call_error(
			call, INVALID_VALUE, "The value AWS/ for parameter Namespace is invalid.");
	if (!json_array_size(data))
		return call_error(call, MISSING, "The parameter MetricData is required.");
	if (json_array_size(data) > DATA_MAX)
		return call_error(call, INVALID_VALUE,
			"The collection MetricData must not have a size greater than %u.",
			(unsigned)DATA_MAX);
	return err_pass(put_all(call, data));
}
