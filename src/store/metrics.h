#pragma once
/*
 * Metrics by the minute, as CloudWatch has them: a series is an account and region (its scope), a namespace, a name,
 * dimensions and a unit. Values of one minute are added up. What was written last may be lost in a power cut.
 *
 * Thread-safe: call from worker threads only (they block on the disk).
 */
#include "model/metric.h"

struct metrics;

enum { METRICS_TEXT_MAX = 8 * 1024, METRICS_MINUTE_MS = 60'000 };

/* Open or create `path` (relative to the working directory). */
[[nodiscard]] int metrics_open(const char *path, struct metrics **ret_metrics);
void metrics_close(struct metrics *metrics);

struct metric_series {
	str scope; /* "123456789012/us-east-1" */
	str space; /* namespace */
	str name;
	str dimensions; /* one text for each set of them; empty: none */
	str unit;
};

struct metric_write {
	struct metric_series series;
	uint64_t ms; /* when */
	const struct metric *metric;
};

enum metrics_answer { METRICS_DONE = 0, METRICS_FULL };

/* Add all or nothing. METRICS_DONE, METRICS_FULL (a scope would have more than METRICS_SERIES_MAX series) or a fault. */
enum { METRICS_SERIES_MAX = 20'000 };
[[nodiscard]] int metrics_add(
	struct metrics *metrics, const struct metric_write *writes, size_t count);

/* Called for each minute of each unit, in the order of time; non-zero stops, and is returned. */
typedef int metrics_minute_fn(
	void *context, uint64_t minute_ms, str unit, const struct metric *metric);

/* What a series has from a time to another (exclusive). An empty unit means all units. 0, what `each` said, or a fault. */
[[nodiscard]] int metrics_read(struct metrics *metrics, const struct metric_series *series,
	uint64_t from_ms, uint64_t to_ms, metrics_minute_fn *each, void *context);

/* Called for each metric of a scope, in the order of their ids; non-zero stops, and is returned. The views die on return. */
typedef int metrics_series_fn(void *context, const struct metric_series *series, uint64_t id);

/*
 * The metrics of a scope (their units count as one) that have values since a time; after an id (0: from the start). An
 * empty namespace or name means any.
 */
struct metrics_filter {
	str scope, space, name;
	uint64_t since_ms, after;
};
[[nodiscard]] int metrics_list(struct metrics *metrics, const struct metrics_filter *filter,
	metrics_series_fn *each, void *context);

/* Remove what is older than METRICS_KEPT_MS, a bounded part of it. */
#define METRICS_KEPT_MS (15ULL * 24 * 3600 * 1000)
[[nodiscard]] int metrics_expire(struct metrics *metrics, uint64_t now_ms);

/* Remove everything (test controls). */
[[nodiscard]] int metrics_wipe(struct metrics *metrics);
