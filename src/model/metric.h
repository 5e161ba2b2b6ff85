#pragma once
/*
 * What CloudWatch keeps of a metric for one minute: how many values there were, their sum and extremes, and a sketch of
 * their distribution for percentiles (right within one per cent, for as long as the sketch has room).
 */
#include "base/buf.h"

enum { METRIC_SKETCH_MAX = 96, METRIC_BYTES_MAX = 40 + METRIC_SKETCH_MAX * 10 };

struct metric_step {
	int16_t index; /* of the values between 1.02^(index - 1) and 1.02^index */
	double weight;
};

struct metric {
	double count, sum, minimum, maximum;
	bool is_blind; /* some of it came as a sum: its distribution is not known */
	uint32_t step_count;
	struct metric_step steps[METRIC_SKETCH_MAX]; /* by index */
};

/* A value that came `weight` times. An empty (zeroed) metric may be added to. */
void metric_add(struct metric *metric, double value, double weight);
/* Values of which no more is known than these four. */
void metric_add_set(
	struct metric *metric, double count, double sum, double minimum, double maximum);
/* All that another one has. */
void metric_join(struct metric *metric, const struct metric *more);

enum metric_answer { METRIC_DONE = 0, METRIC_UNKNOWN, METRIC_NO_STATISTIC };

/*
 * "Sum", "Average", "Minimum", "Maximum", "SampleCount", "p99.9": METRIC_DONE; METRIC_UNKNOWN (a percentile of values that
 * came as sums); METRIC_NO_STATISTIC (no such name is known here).
 */
[[nodiscard]] int metric_statistic(const struct metric *metric, str name, double *ret_value);
/* Is the name one that metric_statistic() knows? */
[[nodiscard]] bool metric_has_statistic(str name);

/* As bytes, and back: false when they are none. */
void metric_write(const struct metric *metric, struct buf *out);
[[nodiscard]] bool metric_read(str bytes, struct metric *ret_metric);
