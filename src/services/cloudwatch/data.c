/*
 * GetMetricData: up to 500 metrics. What is more than MaxDatapoints comes in pages: the token says how many values of all
 * queries, in their order, have been given out.
 */
#include "services/cloudwatch/operations.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"

#include <errno.h>
#include <string.h>

enum { QUERIES_MAX = 500, DATAPOINTS_MAX = 100'800 };

/* The page that is being filled. */
struct page {
	struct call *call;
	uint64_t skip;	/* values of the pages before that are still to come */
	uint64_t room;	/* values that fit into this one */
	uint64_t given; /* in all pages until now */
	bool is_full;	/* there are more */
	bool is_descending;
};

/* What one query finds, in the order of time: at most all minutes that are kept. */
struct point {
	uint64_t ms;
	double value;
};

struct finding {
	str statistic;
	struct buf points; /* struct point, one behind the other */
};

#define POINTS_MAX (METRICS_KEPT_MS / METRICS_MINUTE_MS + 24 * 60)

static int check_query(struct call *call, const json_t *query)
{
	const json_t *stat = json_object_get(query, "MetricStat");
	str account = json_get_str(query, "AccountId");

	if (json_object_get(query, "Expression"))
		return call_error(call, "ValidationError",
			"Metric math and queries (Expression) are not available in mayfly yet.");
	if (!stat)
		return call_error(call, "ValidationError",
			"Each MetricDataQuery must have either a MetricStat or an Expression.");
	if (account.len && !str_eq(account, call->account))
		return call_error(call, "ValidationError",
			"Metrics of other accounts (AccountId) are not available in mayfly yet.");
	if (str_find_str(json_get_str(query, "Label"), S("${")) >= 0)
		return call_error(call, "ValidationError",
			"Dynamic labels (${…}) are not available in mayfly yet.");
	int r = check_period(call, json_integer_value(json_object_get(stat, "Period")));
	return r ? err_pass(r) : err_pass(check_statistic(call, json_get_str(stat, "Stat")));
}

static bool is_returned(const json_t *query)
{
	return !json_is_false(json_object_get(query, "ReturnData"));
}

static int finding_take(void *context, uint64_t step_ms, str unit, const struct metric *metric)
{
	struct finding *finding = context;
	struct point point = { .ms = step_ms };

	(void)unit;
	if (metric_statistic(metric, finding->statistic, &point.value) != METRIC_DONE)
		return 0;
	buf_put(&finding->points, (str){ (const char *)&point, sizeof(point) });
	return finding->points.err ? err_raise(finding->points.err) : 0;
}

static int read_query(struct call *call, const json_t *query, struct finding *finding)
{
	const json_t *stat = json_object_get(query, "MetricStat");
	const json_t *metric = json_object_get(stat, "Metric");
	struct timeline timeline = {
		.period_ms = (uint64_t)json_integer_value(json_object_get(stat, "Period")) * 1000
	};
	const struct metric_series series = {
		.scope = metric_scope(call),
		.space = json_get_str(metric, "Namespace"),
		.name = json_get_str(metric, "MetricName"),
		.dimensions = dimensions_text(call, json_object_get(metric, "Dimensions")),
		.unit = json_get_str(stat, "Unit"),
	};

	if (!series.scope.at || !series.dimensions.at)
		return err_raise(-ENOMEM);
	int r = read_times(call, &timeline);
	if (r)
		return err_pass(r);
	finding->statistic = json_get_str(stat, "Stat");
	return err_pass(timeline_read(call, &series, &timeline, finding_take, finding));
}

/* As many of the values as the page has room for; *ret_is_partial: not all that remain. */
static int page_put(
	struct page *page, const struct finding *finding, json_t *result, bool *ret_is_partial)
{
	json_t *times = json_object_get(result, "Timestamps");
	json_t *values = json_object_get(result, "Values");
	size_t count = finding->points.len / sizeof(struct point);
	size_t from = (size_t)MIN(page->skip, count);
	size_t until = from + (size_t)MIN(page->room, count - from);

	for (size_t i = from; i < until; i++) {
		struct point point;
		size_t at = page->is_descending ? count - 1 - i : i;
		memcpy(&point, finding->points.at + at * sizeof(point), sizeof(point));
		if (json_array_append_new(times, json_integer((json_int_t)point.ms)) < 0 ||
			json_array_append_new(values, json_real(point.value)) < 0)
			return err_raise(-ENOMEM);
	}
	page->skip -= from;
	page->room -= until - from;
	page->given += until - from;
	*ret_is_partial = until < count;
	page->is_full |= until < count;
	return 0;
}

static json_t *result_new(const json_t *query)
{
	const json_t *stat = json_object_get(query, "MetricStat");
	str label = json_get_str(query, "Label");

	return json_pack("{s:O,s:o,s:[],s:[]}", "Id", json_object_get(query, "Id"), "Label",
		json_from_str(json_object_get(query, "Label")
				? label
				: json_get_str(json_object_get(stat, "Metric"), "MetricName")),
		"Timestamps", "Values");
}

static int answer_query(struct page *page, const json_t *query, json_t *results)
{
	json_t *result = result_new(query);
	struct finding finding = {};
	bool is_partial = false;

	buf_init(&finding.points, POINTS_MAX * sizeof(struct point));
	int r = result ? read_query(page->call, query, &finding) : err_raise(-ENOMEM);
	if (r == 0)
		r = page_put(page, &finding, result, &is_partial);
	buf_done(&finding.points);
	if (r == 0)
		r = json_put(
			result, "StatusCode", json_string(is_partial ? "PartialData" : "Complete"));
	if (r == 0 && json_array_append(results, result) < 0)
		r = err_raise(-ENOMEM);
	json_decref(result);
	return err_pass(r);
}

static int page_begin(struct call *call, struct page *page)
{
	str token = call_str(call, "NextToken");
	int64_t max = call_int(call, "MaxDatapoints", DATAPOINTS_MAX);

	*page = (struct page){ .call = call,
		.is_descending = !str_eq(call_str(call, "ScanBy"), S("TimestampAscending")) };
	if (token.len && str_to_u64(token, INT64_MAX, &page->skip) < 0)
		return call_error(call, "InvalidNextToken", "The next token is invalid.");
	if (max < 1 || max > DATAPOINTS_MAX)
		return call_error(call, "ValidationError",
			"The parameter MaxDatapoints must be from 1 to 100800.");
	page->given = page->skip;
	page->room = (uint64_t)max;
	return 0;
}

static int check_queries(struct call *call, const json_t *queries)
{
	int r = 0;

	if (!json_array_size(queries) || json_array_size(queries) > QUERIES_MAX)
		return call_error(call, "ValidationError",
			"The collection MetricDataQueries must have from 1 to %u elements.",
			(unsigned)QUERIES_MAX);
	for (size_t i = 0; r == 0 && i < json_array_size(queries); i++)
		r = check_query(call, json_array_get(queries, i));
	return err_pass(r);
}

int op_get_metric_data(struct call *call)
{
	const json_t *queries = call_get(call, "MetricDataQueries");
	json_t *results = json_array();
	struct page page;

	int r = json_put(call->out, "MetricDataResults", results);
	if (r == 0)
		r = check_queries(call, queries);
	if (r == 0)
		r = page_begin(call, &page);
	if (r)
		return err_pass(r);
	platform_flush_metrics(call->platform);
	for (size_t i = 0; r == 0 && i < json_array_size(queries); i++) {
		if (is_returned(json_array_get(queries, i)))
			r = answer_query(&page, json_array_get(queries, i), results);
	}
	if (r == 0 && page.is_full) {
		str token = arena_strf(call->arena, "%llu", (unsigned long long)page.given);
		r = json_put(call->out, "NextToken", token.at ? json_from_str(token) : NULL);
	}
	return r ? err_pass(r) : err_pass(json_put(call->out, "Messages", json_array()));
}
