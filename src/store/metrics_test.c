#include "store/metrics.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[64];

static struct metrics *open_fresh(void)
{
	struct metrics *metrics = NULL;

	(void)snprintf(folder, sizeof(folder), "/tmp/metrics_test.XXXXXX");
	CHECK(mkdtemp(folder) && chdir(folder) == 0);
	CHECK(metrics_open("metrics.db", &metrics) == 0);
	return metrics;
}

static void close_fresh(struct metrics *metrics)
{
	metrics_close(metrics);
	(void)unlink("metrics.db");
	(void)unlink("metrics.db-wal");
	(void)unlink("metrics.db-shm");
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
}

static struct metric_series series(const char *name, const char *dimensions)
{
	return (struct metric_series){ S("1/us-east-1"), S("Space"), str_of(name),
		str_of(dimensions), S("Count") };
}

static int add(struct metrics *metrics, const struct metric_series *of, uint64_t ms, double value)
{
	struct metric metric = {};

	metric_add(&metric, value, 1);
	return metrics_add(metrics, &(struct metric_write){ *of, ms, &metric }, 1);
}

struct seen {
	unsigned minutes;
	uint64_t first_ms, last_ms;
	struct metric all;
	char units[64];
};

static int see(void *context, uint64_t minute_ms, str unit, const struct metric *metric)
{
	struct seen *seen = context;

	CHECK(minute_ms >= seen->last_ms);
	seen->first_ms = seen->minutes ? seen->first_ms : minute_ms;
	seen->last_ms = minute_ms;
	seen->minutes++;
	metric_join(&seen->all, metric);
	(void)!str_to_array(unit, seen->units, sizeof(seen->units));
	return 0;
}

static struct seen read_all(
	struct metrics *metrics, const struct metric_series *of, uint64_t from_ms, uint64_t to_ms)
{
	struct seen seen = {};

	CHECK(metrics_read(metrics, of, from_ms, to_ms, see, &seen) == 0);
	return seen;
}

static void test_values_of_a_minute_are_added_up(void)
{
	struct metrics *metrics = open_fresh();
	struct metric_series a = series("A", "");

	CHECK(add(metrics, &a, 60'000, 1) == 0 && add(metrics, &a, 119'999, 3) == 0);
	CHECK(add(metrics, &a, 120'000, 10) == 0);
	struct seen seen = read_all(metrics, &a, 0, 600'000);
	CHECK(seen.minutes == 2 && seen.first_ms == 60'000 && seen.last_ms == 120'000);
	CHECK(seen.all.count == 3 && seen.all.sum == 14 && seen.all.maximum == 10);
	CHECK_STR(str_of(seen.units), S("Count"));
	seen = read_all(metrics, &a, 60'000, 120'000);
	CHECK(seen.minutes == 1 && seen.all.sum == 4);
	seen = read_all(metrics, &a, 60'001, 120'001);
	CHECK(seen.minutes == 1 && seen.all.sum == 10);
	close_fresh(metrics);
}

static void test_series_units_and_scopes_are_kept_apart(void)
{
	struct metrics *metrics = open_fresh();
	struct metric_series a = series("A", ""), b = series("A", "[x]"), c = series("A", "");

	c.unit = S("Bytes");
	CHECK(add(metrics, &a, 1, 1) == 0 && add(metrics, &b, 1, 2) == 0);
	CHECK(add(metrics, &c, 1, 4) == 0);
	CHECK(read_all(metrics, &a, 0, 1000).all.sum == 1);
	CHECK(read_all(metrics, &b, 0, 1000).all.sum == 2);
	a.unit = S("");
	struct seen seen = read_all(metrics, &a, 0, 1000);
	CHECK(seen.minutes == 2 && seen.all.sum == 5);
	a.scope = S("1/us-east-2");
	CHECK(read_all(metrics, &a, 0, 1000).minutes == 0);
	close_fresh(metrics);
}

static int note(void *context, const struct metric_series *of, uint64_t id)
{
	struct buf *text = context;

	buf_put(text, of->space);
	buf_put_char(text, '/');
	buf_put(text, of->name);
	buf_put(text, of->dimensions);
	buf_putf(text, "=%u ", (unsigned)id);
	return text->len > 40 ? 7 : 0;
}

static int list(struct metrics *metrics, struct metrics_filter filter, struct buf *text)
{
	filter.scope = S("1/us-east-1");
	buf_clear(text);
	return metrics_list(metrics, &filter, note, text);
}

static void test_metrics_are_listed_by_name_time_and_place(void)
{
	struct metrics *metrics = open_fresh();
	struct metric_series a = series("A", ""), b = series("B", "[x]"), c = series("B", "");
	struct buf text;

	buf_init(&text, 1000);
	c.space = S("Other");
	CHECK(add(metrics, &a, 1'000, 1) == 0 && add(metrics, &b, 2'000, 1) == 0);
	CHECK(add(metrics, &c, 3'000, 1) == 0);
	CHECK(list(metrics, (struct metrics_filter){}, &text) == 0);
	CHECK_STR(buf_str(&text), S("Space/A=1 Space/B[x]=2 Other/B=3 "));
	CHECK(list(metrics, (struct metrics_filter){ .name = S("B") }, &text) == 0);
	CHECK_STR(buf_str(&text), S("Space/B[x]=2 Other/B=3 "));
	CHECK(list(metrics, (struct metrics_filter){ .space = S("Space"), .after = 1 }, &text) ==
		0);
	CHECK_STR(buf_str(&text), S("Space/B[x]=2 "));
	CHECK(list(metrics, (struct metrics_filter){ .since_ms = 2'500 }, &text) == 0);
	CHECK_STR(buf_str(&text), S("Other/B=3 "));
	buf_done(&text);
	close_fresh(metrics);
}

static void test_what_is_old_goes(void)
{
	struct metrics *metrics = open_fresh();
	struct metric_series a = series("A", ""), b = series("B", "");
	struct buf text;

	buf_init(&text, 1000);
	CHECK(add(metrics, &a, 60'000, 1) == 0 && add(metrics, &b, 60'000, 1) == 0);
	CHECK(add(metrics, &b, 600'000, 1) == 0);
	CHECK(metrics_expire(metrics, METRICS_KEPT_MS + 300'000) == 0);
	CHECK(read_all(metrics, &b, 0, 1'000'000).minutes == 1);
	CHECK(list(metrics, (struct metrics_filter){}, &text) == 0);
	CHECK_STR(buf_str(&text), S("Space/B=2 "));
	CHECK(metrics_wipe(metrics) == 0 && read_all(metrics, &b, 0, 1'000'000).minutes == 0);
	buf_done(&text);
	close_fresh(metrics);
}

static void test_a_scope_has_a_bound_and_nothing_of_what_passes_it_is_kept(void)
{
	struct metrics *metrics = open_fresh();
	struct metric metric = {};
	enum { BATCH = 5'000 };
	struct metric_write *writes = mem_new(BATCH + 1, sizeof(*writes));
	char(*names)[16] = mem_new(BATCH + 1, sizeof(*names));
	int r = 0;

	metric_add(&metric, 1, 1);
	for (unsigned batch = 0; batch < METRICS_SERIES_MAX / BATCH && r == 0; batch++) {
		for (unsigned i = 0; i <= BATCH; i++) {
			(void)snprintf(names[i], sizeof(names[i]), "%u", batch * BATCH + i);
			writes[i] = (struct metric_write){ series(names[i], ""), 1, &metric };
		}
		r = metrics_add(metrics, writes, BATCH);
	}
	CHECK(r == 0);
	struct metric_series known = series("0", "");
	CHECK(metrics_add(metrics,
		      (struct metric_write[]){
			      { known, 1, &metric }, { series("one more", ""), 1, &metric } },
		      2) == METRICS_FULL);
	CHECK(read_all(metrics, &known, 0, 1000).all.count == 1);
	CHECK(add(metrics, &known, 1, 1) == 0);
	mem_free(writes);
	mem_free(names);
	close_fresh(metrics);
}

TESTS(TEST(test_values_of_a_minute_are_added_up), TEST(test_series_units_and_scopes_are_kept_apart),
	TEST(test_metrics_are_listed_by_name_time_and_place), TEST(test_what_is_old_goes),
	TEST(test_a_scope_has_a_bound_and_nothing_of_what_passes_it_is_kept))
