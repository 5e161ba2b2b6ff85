#include "model/retry.h"

#include "base/test.h"

static const struct retry_rules aws = {
	.attempts_max = 2, .age_max_ms = 21'600'000, .wait_ms = RETRY_WAIT_MS
};

static void test_errors_are_retried_after_one_and_two_minutes(void)
{
	struct retry_count count = {};
	uint64_t wait_ms;

	CHECK(retry_after_error(&aws, 0, &count, &wait_ms) == RETRY_LATER && wait_ms == 60'000);
	CHECK(retry_after_error(&aws, 0, &count, &wait_ms) == RETRY_LATER && wait_ms == 120'000);
	CHECK(retry_after_error(&aws, 0, &count, &wait_ms) == RETRY_EXHAUSTED);
	CHECK(count.errors == 3);
}

static void test_no_attempts_means_no_retry(void)
{
	struct retry_rules rules = { .age_max_ms = 60'000, .wait_ms = RETRY_WAIT_MS };
	struct retry_count count = {};
	uint64_t wait_ms;

	CHECK(retry_after_error(&rules, 0, &count, &wait_ms) == RETRY_EXHAUSTED);
}

static void test_refusals_back_off_from_a_second_to_five_minutes(void)
{
	static const uint64_t waits[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300 };
	struct retry_count count = {};

	for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		CHECK(retry_after_refusal(&aws, 0, &count) == waits[i] * 1000);
	for (unsigned i = 0; i < 100; i++)
		CHECK(retry_after_refusal(&aws, 0, &count) == 300'000);
	CHECK(count.errors == 0);
}

static void test_a_run_in_between_begins_the_back_off_anew(void)
{
	struct retry_count count = {};
	uint64_t wait_ms;

	CHECK(retry_after_refusal(&aws, 0, &count) == 1000);
	CHECK(retry_after_refusal(&aws, 0, &count) == 2000);
	CHECK(retry_after_error(&aws, 0, &count, &wait_ms) == RETRY_LATER);
	CHECK(retry_after_refusal(&aws, 0, &count) == 1000);
}

static void test_no_wait_goes_beyond_the_greatest_age(void)
{
	struct retry_rules rules = { .attempts_max = 2, .age_max_ms = 60'000, .wait_ms = 60'000 };
	struct retry_count count = {};
	uint64_t wait_ms;

	CHECK(retry_after_error(&rules, 1, &count, &wait_ms) == RETRY_TOO_OLD);
	count = (struct retry_count){};
	rules.age_max_ms = 60'001;
	CHECK(retry_after_error(&rules, 0, &count, &wait_ms) == RETRY_LATER && wait_ms == 60'000);
	rules.age_max_ms = 60'000;
	CHECK(retry_after_refusal(&rules, 59'900, &count) == 100);
	CHECK(retry_after_refusal(&rules, 70'000, &count) == 0);
	CHECK(!retry_is_too_old(&rules, 59'999));
	CHECK(retry_is_too_old(&rules, 60'000));
}

static void test_a_shorter_wait_shortens_all(void)
{
	struct retry_rules rules = { .attempts_max = 2, .age_max_ms = 60'000, .wait_ms = 600 };
	struct retry_count count = {};
	uint64_t wait_ms;

	CHECK(retry_after_error(&rules, 0, &count, &wait_ms) == RETRY_LATER && wait_ms == 600);
	CHECK(retry_after_error(&rules, 0, &count, &wait_ms) == RETRY_LATER && wait_ms == 1200);
	CHECK(retry_after_refusal(&rules, 0, &count) == 10);
	CHECK(retry_after_refusal(&rules, 0, &count) == 20);
	rules.wait_ms = 1;
	count = (struct retry_count){};
	CHECK(retry_after_refusal(&rules, 0, &count) == 1); /* never without a pause */
}

TESTS(TEST(test_errors_are_retried_after_one_and_two_minutes),
	TEST(test_no_attempts_means_no_retry),
	TEST(test_refusals_back_off_from_a_second_to_five_minutes),
	TEST(test_a_run_in_between_begins_the_back_off_anew),
	TEST(test_no_wait_goes_beyond_the_greatest_age), TEST(test_a_shorter_wait_shortens_all))
