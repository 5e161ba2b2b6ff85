#include "model/metric.h"

#include "base/test.h"

#include <math.h>

static double of(const struct metric *metric, const char *name)
{
	double value = -1;

	CHECK(metric_statistic(metric, str_of(name), &value) == METRIC_DONE);
	return value;
}

static bool is_near(double got, double want)
{
	return fabs(got - want) <= fabs(want) * 0.011;
}

static void test_the_statistics_of_some_values(void)
{
	struct metric metric = {};

	for (int i = 1; i <= 4; i++)
		metric_add(&metric, i * 10, 1);
	metric_add(&metric, 100, 2);
	CHECK(of(&metric, "SampleCount") == 6 && of(&metric, "Sum") == 300);
	CHECK(of(&metric, "Average") == 50 && of(&metric, "Minimum") == 10);
	CHECK(of(&metric, "Maximum") == 100);
	CHECK(is_near(of(&metric, "p50"), 30) && is_near(of(&metric, "p99.9"), 100));
	CHECK(is_near(of(&metric, "p0"), 10) && of(&metric, "p100") <= 100);
}

static void test_percentiles_are_right_within_a_per_cent(void)
{
	struct metric metric = {};

	for (int i = 1; i <= 1000; i++)
		metric_add(&metric, i, 1);
	CHECK(is_near(of(&metric, "p99"), 990) && is_near(of(&metric, "p90"), 900));
	CHECK(metric.step_count == METRIC_SKETCH_MAX);
	metric_add(&metric, 0, 1); /* lower than all, and no room */
	CHECK(of(&metric, "Minimum") == 0 && metric.step_count == METRIC_SKETCH_MAX);
	CHECK(is_near(of(&metric, "p99"), 990));
}

static void test_what_is_joined_is_as_if_it_had_been_one(void)
{
	struct metric left = {}, right = {}, both = {};

	for (int i = 0; i < 50; i++) {
		metric_add(i % 2 ? &left : &right, i * i, 1);
		metric_add(&both, i * i, 1);
	}
	metric_join(&left, &right);
	metric_join(&left, &(struct metric){});
	CHECK(of(&left, "Sum") == of(&both, "Sum") && of(&left, "p90") == of(&both, "p90"));
	CHECK(of(&left, "Minimum") == 0 && of(&left, "Maximum") == 49 * 49);
}

static void test_a_set_has_no_percentiles_unless_all_are_equal(void)
{
	struct metric metric = {};
	double value;

	metric_add_set(&metric, 5, 50, 10, 10);
	CHECK(is_near(of(&metric, "p50"), 10));
	metric_add_set(&metric, 2, 30, 10, 20);
	CHECK(metric_statistic(&metric, S("p50"), &value) == METRIC_UNKNOWN);
	CHECK(of(&metric, "Sum") == 80 && of(&metric, "Maximum") == 20);
}

static void test_other_names_are_no_statistics(void)
{
	static const char *const names[] = { "", "p", "p101", "p-1", "p1e1", "pnan", "sum", "tm90",
		"P99", "p99.9.9", "p00000000000000000001" };
	struct metric metric = {};
	double value;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CHECK(!metric_has_statistic(str_of(names[i])));
		CHECK(metric_statistic(&metric, str_of(names[i]), &value) == METRIC_NO_STATISTIC);
	}
	CHECK(metric_has_statistic(S("p95")) && metric_has_statistic(S("Average")));
}

static void test_bytes_give_the_same_back_and_others_nothing(void)
{
	struct metric metric = {}, found = {};
	struct buf bytes;

	for (int i = 1; i < 300; i++)
		metric_add(&metric, exp(i / 20.0) - 1, i);
	buf_init(&bytes, METRIC_BYTES_MAX);
	metric_write(&metric, &bytes);
	CHECK(!bytes.err && metric_read(buf_str(&bytes), &found));
	CHECK(of(&found, "Sum") == of(&metric, "Sum") && of(&found, "p75") == of(&metric, "p75"));
	for (size_t len = 0; len < bytes.len; len++) {
		bool is_whole = len >= 34 && (len - 34) % 10 == 0; /* fewer steps */
		CHECK(metric_read((str){ bytes.at, len }, &found) == is_whole);
	}
	bytes.at[0] = 9;
	CHECK(!metric_read(buf_str(&bytes), &found));
	buf_done(&bytes);
}

TESTS(TEST(test_the_statistics_of_some_values), TEST(test_percentiles_are_right_within_a_per_cent),
	TEST(test_what_is_joined_is_as_if_it_had_been_one),
	TEST(test_a_set_has_no_percentiles_unless_all_are_equal),
	TEST(test_other_names_are_no_statistics),
	TEST(test_bytes_give_the_same_back_and_others_nothing))
