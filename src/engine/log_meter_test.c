#include "engine/log_meter.h"

#include "base/test.h"

enum { RATE = 100'000, LINE = 1000 - LOG_METER_LINE_COST /* a line costs 1,000 */ };

static struct log_meter meter;

/* How many of `count` lines are kept, all at one moment. */
static unsigned keep(unsigned count, uint64_t now_ms, bool is_pressed)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++)
		kept += log_meter_take(&meter, LINE, now_ms, is_pressed);
	return kept;
}

static void test_a_burst_is_kept_and_what_is_more_is_dropped_and_counted(void)
{
	log_meter_init(&meter, RATE, 50);
	CHECK(keep(1000, 50, false) == LOG_METER_SECONDS * 100);
	CHECK(meter.is_dropping);
	CHECK(meter.lines == 600 && meter.bytes == 600 * LINE);
	log_meter_told(&meter);
	CHECK(!meter.lines && !meter.bytes && meter.is_dropping);
}

static void test_dropping_goes_on_until_there_is_room_for_a_second(void)
{
	log_meter_init(&meter, RATE, 0);
	(void)keep(1000, 0, false);
	CHECK(keep(10, 990, false) == 0);
	CHECK(keep(200, 1010, false) == 101);
	CHECK(keep(1, 1030, false) == 0);
}

static void test_a_steady_flood_is_kept_at_the_rate(void)
{
	unsigned kept = 0;

	log_meter_init(&meter, RATE, 0);
	for (uint64_t now_ms = 0; now_ms < 100'000; now_ms += 10)
		kept += keep(10, now_ms, false);
	CHECK(kept >= 100 * 98 && kept <= 100 * 104);
	CHECK(kept + meter.lines == 100'000);
}

static void test_who_logs_within_the_rate_loses_nothing(void)
{
	log_meter_init(&meter, RATE, 0);
	for (uint64_t now_ms = 0; now_ms < 100'000; now_ms += 100)
		CHECK(keep(10, now_ms, false) == 10);
	CHECK(!meter.lines);
}

static void test_a_pressed_store_takes_half_a_bucket(void)
{
	log_meter_init(&meter, RATE, 0);
	CHECK(keep(1000, 0, true) == LOG_METER_SECONDS * 50);
	CHECK(keep(10, 0, true) == 0);
	CHECK(keep(1000, 0, false) == LOG_METER_SECONDS * 50);
}

static void test_a_line_larger_than_the_bucket_is_dropped(void)
{
	log_meter_init(&meter, RATE, 0);
	CHECK(!log_meter_take(&meter, RATE * LOG_METER_SECONDS, 0, false));
	CHECK(meter.lines == 1);
}

TESTS(TEST(test_a_burst_is_kept_and_what_is_more_is_dropped_and_counted),
	TEST(test_dropping_goes_on_until_there_is_room_for_a_second),
	TEST(test_a_steady_flood_is_kept_at_the_rate),
	TEST(test_who_logs_within_the_rate_loses_nothing),
	TEST(test_a_pressed_store_takes_half_a_bucket),
	TEST(test_a_line_larger_than_the_bucket_is_dropped))
