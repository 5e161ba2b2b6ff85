/*
 * The sketch counts values by their logarithm. When it is full its two lowest steps become one: who asks for percentiles asks
 * for the high ones. A step of its own holds what is not above zero.
 */
#include "model/metric.h"

#include "base/attr.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { METRIC_VERSION = 1, METRIC_NOT_POSITIVE = INT16_MIN, METRIC_HEAD = 34, METRIC_STEP = 10 };

#define METRIC_GAMMA 1.02

static int16_t step_index(double value)
{
	if (!(value > 0))
		return METRIC_NOT_POSITIVE;
	double index = ceil(log(value) / log(METRIC_GAMMA));
	return (int16_t)fmin(fmax(index, INT16_MIN + 1), INT16_MAX);
}

/* The middle of a step. */
static double step_value(int16_t index)
{
	return index == METRIC_NOT_POSITIVE ? 0 : 2 * pow(METRIC_GAMMA, index) / (METRIC_GAMMA + 1);
}

static void steps_merge_lowest(struct metric *metric)
{
	metric->steps[1].weight += metric->steps[0].weight;
	metric->step_count--;
	memmove(metric->steps, metric->steps + 1, metric->step_count * sizeof(metric->steps[0]));
}

static void steps_add(struct metric *metric, int16_t index, double weight)
{
	uint32_t at = 0;

	while (at < metric->step_count && metric->steps[at].index < index)
		at++;
	if (at < metric->step_count && metric->steps[at].index == index) {
		metric->steps[at].weight += weight;
		return;
	}
	if (metric->step_count == METRIC_SKETCH_MAX) {
		if (at == 0) { /* lower than all: it is merged with the lowest */
			metric->steps[0].weight += weight;
			return;
		}
		steps_merge_lowest(metric);
		at--;
	}
	memmove(metric->steps + at + 1, metric->steps + at,
		(metric->step_count - at) * sizeof(metric->steps[0]));
	metric->steps[at] = (struct metric_step){ index, weight };
	metric->step_count++;
}

void metric_add_set(struct metric *metric, double count, double sum, double minimum, double maximum)
{
	metric->minimum = metric->count > 0 ? fmin(metric->minimum, minimum) : minimum;
	metric->maximum = metric->count > 0 ? fmax(metric->maximum, maximum) : maximum;
	metric->count += count;
	metric->sum += sum;
	/* "The SampleCount value of the statistic set is 1", or "Min and Max … are equal" */
	if (minimum == maximum)
		steps_add(metric, step_index(minimum), count);
	else
		metric->is_blind = true;
}

void metric_add(struct metric *metric, double value, double weight)
{
	metric_add_set(metric, weight, value * weight, value, value);
}

void metric_join(struct metric *metric, const struct metric *more)
{
	if (!(more->count > 0))
		return;
	metric->minimum = metric->count > 0 ? fmin(metric->minimum, more->minimum) : more->minimum;
	metric->maximum = metric->count > 0 ? fmax(metric->maximum, more->maximum) : more->maximum;
	metric->count += more->count;
	metric->sum += more->sum;
	metric->is_blind |= more->is_blind;
	for (uint32_t i = 0; i < more->step_count; i++)
		steps_add(metric, more->steps[i].index, more->steps[i].weight);
}

/* --- statistics --- */

/* "p99.9" → 99.9; false when it is no percentile. */
static bool percentile_read(str name, double *ret_percent)
{
	char text[16], *end;

	if (name.len < 2 || name.at[0] != 'p' ||
		str_to_array(str_from(name, 1), text, sizeof(text)) < 0)
		return false;
	for (size_t i = 0; text[i]; i++) {
		if (!(text[i] >= '0' && text[i] <= '9') && text[i] != '.')
			return false;
	}
	*ret_percent = strtod(text, &end);
	return *end == '\0' && *ret_percent >= 0 && *ret_percent <= 100;
}

static double percentile(const struct metric *metric, double percent)
{
	double rank = percent / 100 * metric->count, seen = 0;

	for (uint32_t i = 0; i < metric->step_count; i++) {
		seen += metric->steps[i].weight;
		if (seen >= rank)
			return fmin(fmax(step_value(metric->steps[i].index), metric->minimum),
				metric->maximum);
	}
	return metric->maximum;
}

bool metric_has_statistic(str name)
{
	static const char *const names[] = { "Sum", "Average", "Minimum", "Maximum",
		"SampleCount" };
	double percent;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq(name, str_of(names[i])))
			return true;
	}
	return percentile_read(name, &percent);
}

int metric_statistic(const struct metric *metric, str name, double *ret_value)
{
	double percent;

	if (str_eq(name, S("Sum"))) {
		*ret_value = metric->sum;
	} else if (str_eq(name, S("Average"))) {
		*ret_value = metric->count > 0 ? metric->sum / metric->count : 0;
	} else if (str_eq(name, S("Minimum"))) {
		*ret_value = metric->minimum;
	} else if (str_eq(name, S("Maximum"))) {
		*ret_value = metric->maximum;
	} else if (str_eq(name, S("SampleCount"))) {
		*ret_value = metric->count;
	} else if (percentile_read(name, &percent)) {
		if (metric->is_blind)
			return METRIC_UNKNOWN;
		*ret_value = percentile(metric, percent);
	} else {
		return METRIC_NO_STATISTIC;
	}
	return METRIC_DONE;
}

/* --- bytes --- */

static void put_bytes(struct buf *out, const void *at, size_t len)
{
	buf_put(out, (str){ at, len });
}

void metric_write(const struct metric *metric, struct buf *out)
{
	buf_put_char(out, METRIC_VERSION);
	buf_put_char(out, metric->is_blind);
	put_bytes(out, &metric->count, 8);
	put_bytes(out, &metric->sum, 8);
	put_bytes(out, &metric->minimum, 8);
	put_bytes(out, &metric->maximum, 8);
	for (uint32_t i = 0; i < metric->step_count; i++) {
		put_bytes(out, &metric->steps[i].index, 2);
		put_bytes(out, &metric->steps[i].weight, 8);
	}
}

bool metric_read(str bytes, struct metric *ret_metric)
{
	struct metric metric = {};

	if (bytes.len < METRIC_HEAD || bytes.at[0] != METRIC_VERSION ||
		(bytes.len - METRIC_HEAD) % METRIC_STEP ||
		(bytes.len - METRIC_HEAD) / METRIC_STEP > METRIC_SKETCH_MAX)
		return false;
	metric.is_blind = bytes.at[1] != 0;
	memcpy(&metric.count, bytes.at + 2, 8);
	memcpy(&metric.sum, bytes.at + 10, 8);
	memcpy(&metric.minimum, bytes.at + 18, 8);
	memcpy(&metric.maximum, bytes.at + 26, 8);
	metric.step_count = (uint32_t)((bytes.len - METRIC_HEAD) / METRIC_STEP);
	for (uint32_t i = 0; i < metric.step_count; i++) {
		const char *at = bytes.at + METRIC_HEAD + (size_t)i * METRIC_STEP;
		memcpy(&metric.steps[i].index, at, 2);
		memcpy(&metric.steps[i].weight, at + 2, 8);
	}
	*ret_metric = metric;
	return true;
}
