#include "os/clock.h"

#include "base/test.h"

#include <time.h>

static void test_the_monotonic_clock_never_goes_back(void)
{
	uint64_t last = clock_mono_ns();

	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_mono_ns();
		CHECK(now >= last);
		last = now;
	}
}

static void test_milliseconds_and_nanoseconds_are_one_clock(void)
{
	uint64_t before = clock_mono_ns() / 1'000'000;
	uint64_t ms = clock_mono_ms();
	uint64_t after = clock_mono_ns() / 1'000'000;

	CHECK(before <= ms && ms <= after);
}

static void test_real_time_is_the_time_of_day(void)
{
	uint64_t before = (uint64_t)time(NULL);
	uint64_t ms = clock_real_ms();

	CHECK(ms / 1000 + 1 >= before && ms / 1000 <= before + 5);
}

TESTS(TEST(test_the_monotonic_clock_never_goes_back),
	TEST(test_milliseconds_and_nanoseconds_are_one_clock),
	TEST(test_real_time_is_the_time_of_day))
