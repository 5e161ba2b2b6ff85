#pragma once
/* The operations, and what they share. */
#include "aws/call.h"
#include "store/metrics.h"

/* put.c, data.c, statistics.c, list.c: see struct call_route. */
int op_put_metric_data(struct call *call);
int op_get_metric_data(struct call *call);
int op_get_metric_statistics(struct call *call);
int op_list_metrics(struct call *call);

#define INVALID_VALUE	    "InvalidParameterValueException"
#define INVALID_COMBINATION "InvalidParameterCombinationException"
#define MISSING		    "MissingRequiredParameterException"

/* "123456789012/us-east-1": at == NULL without memory. */
str metric_scope(struct call *call);

/*
 * One text for a set of dimensions, whatever their order: [["Name","value"],…], empty for none. In the call's arena; at ==
 * NULL without memory.
 */
str dimensions_text(struct call *call, const json_t *dimensions);
/* Back to [{"Name": …, "Value": …}, …]; NULL without memory. */
json_t *dimensions_tree(str text);

/* From when to when, in steps of a period. */
struct timeline {
	uint64_t from_ms, to_ms, period_ms;
};

/* Called for each step that has values, in the order of time; a fault stops. The views die on return. */
typedef int timeline_step_fn(
	void *context, uint64_t step_ms, str unit, const struct metric *metric);

/* Read a metric in steps. An empty unit means the first that is found. 0 or a fault. */
[[nodiscard]] int timeline_read(struct call *call, const struct metric_series *series,
	const struct timeline *timeline, timeline_step_fn *each, void *context);

/* 60 seconds or a multiple: 0 or CALL_ERROR. */
[[nodiscard]] int check_period(struct call *call, int64_t period_s);
/* A statistic that is known here: 0 or CALL_ERROR. */
[[nodiscard]] int check_statistic(struct call *call, str name);
/* The time from StartTime to EndTime: 0 (both whole periods, StartTime rounded down) or CALL_ERROR. */
[[nodiscard]] int read_times(struct call *call, struct timeline *timeline);
