#include "model/bucket.h"

#include "base/test.h"

static const struct bucket_rate rate = { .amount = 1000, .period_ms = 10'000 };

static void test_a_new_bucket_is_full(void)
{
	struct bucket bucket = {};

	CHECK(bucket_level(&bucket, &rate, 0) == 1000);
	CHECK(bucket_level(&bucket, &rate, 123'456'789) == 1000);
	CHECK(bucket_wait_ms(&bucket, &rate, 1000, 5) == 0);
}

static void test_it_gives_its_size_and_no_more(void)
{
	struct bucket bucket = {};

	for (int i = 0; i < 1000; i++)
		CHECK(bucket_take(&bucket, &rate, 50));
	CHECK(!bucket_take(&bucket, &rate, 50));
	CHECK(bucket_wait_ms(&bucket, &rate, 1, 50) == 10);
	CHECK(bucket_wait_ms(&bucket, &rate, 1000, 50) == 10'000);
	CHECK(!bucket_take(&bucket, &rate, 59));
	CHECK(bucket_take(&bucket, &rate, 60));
	CHECK(!bucket_take(&bucket, &rate, 60));
}

/* 100 a second, however often it is looked at, and never more than its size. */
static void test_it_fills_evenly(void)
{
	struct bucket bucket = {};
	int taken = 0;

	for (int i = 0; i < 1000; i++)
		CHECK(bucket_take(&bucket, &rate, 1));
	for (uint64_t now_ms = 2; now_ms <= 10'001; now_ms++)
		taken += bucket_take(&bucket, &rate, now_ms);
	CHECK(taken == 1000);
	CHECK(bucket_level(&bucket, &rate, 10'001) == 0);
	CHECK(bucket_level(&bucket, &rate, 15'001) == 500);
	CHECK(bucket_level(&bucket, &rate, 1'000'000) == 1000);
}

static void test_a_rate_may_change(void)
{
	const struct bucket_rate small = { .amount = 10, .period_ms = 1000 };
	const struct bucket_rate large = { .amount = 100, .period_ms = 1000 };
	struct bucket bucket = {};

	for (int i = 0; i < 100; i++)
		CHECK(bucket_take(&bucket, &large, 7));
	CHECK(bucket_level(&bucket, &small, 7) == 0); /* never below nothing */
	CHECK(bucket_wait_ms(&bucket, &small, 1, 7) == 100);
	CHECK(bucket_level(&bucket, &small, 107) == 1);
	CHECK(bucket_level(&bucket, &large, 507) == 50);
}

TESTS(TEST(test_a_new_bucket_is_full), TEST(test_it_gives_its_size_and_no_more),
	TEST(test_it_fills_evenly), TEST(test_a_rate_may_change))
