#include "wire/timestamp.h"

#include "base/attr.h"
#include "base/test.h"

#include <errno.h>
#include <time.h>

#define LAST_MS 1769903999123ULL /* 2026-01-31T23:59:59.123Z */

static void test_times_are_written_as_aws_writes_them(void)
{
	struct buf out;

	buf_init(&out, 100);
	timestamp_put_lambda(&out, LAST_MS);
	CHECK_STR(buf_str(&out), S("2026-01-31T23:59:59.123+0000"));
	buf_clear(&out);
	timestamp_put_iso8601(&out, LAST_MS, false);
	CHECK_STR(buf_str(&out), S("2026-01-31T23:59:59Z"));
	buf_clear(&out);
	timestamp_put_iso8601(&out, LAST_MS - 120, true);
	CHECK_STR(buf_str(&out), S("2026-01-31T23:59:59.003Z"));
	buf_clear(&out);
	timestamp_put_http(&out, LAST_MS);
	CHECK_STR(buf_str(&out), S("Sat, 31 Jan 2026 23:59:59 GMT"));
	buf_clear(&out);
	timestamp_put_date_path(&out, LAST_MS);
	CHECK_STR(buf_str(&out), S("2026/01/31"));
	buf_clear(&out);
	timestamp_put_access(&out, LAST_MS);
	CHECK_STR(buf_str(&out), S("31/Jan/2026:23:59:59 +0000"));
	buf_clear(&out);
	timestamp_put_http(&out, 0);
	CHECK_STR(buf_str(&out), S("Thu, 01 Jan 1970 00:00:00 GMT"));
	buf_done(&out);
}

static void test_beyond_the_year_9999_the_last_moment_is_written(void)
{
	struct buf out;

	buf_init(&out, 100);
	timestamp_put_iso8601(&out, UINT64_MAX, true);
	CHECK_STR(buf_str(&out), S("9999-12-31T23:59:59.999Z"));
	buf_done(&out);
}

/* Against the C library, which is only slow. */
static void test_every_day_until_2400_agrees_with_the_c_library(void)
{
	struct buf out;

	buf_init(&out, 200);
	for (time_t s = 0; s < 13'569'465'600; s += 86'400 - 1) {
		struct tm tm;
		char want[64];
		uint64_t ms = 0;
		buf_clear(&out);
		timestamp_put_http(&out, (uint64_t)s * 1000);
		(void)gmtime_r(&s, &tm);
		size_t len = strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		if (!str_eq(buf_str(&out), (str){ want, len })) {
			CHECK_STR(buf_str(&out), ((str){ want, len }));
			break;
		}
		if (timestamp_parse(buf_str(&out), &ms) != 0 || ms != (uint64_t)s * 1000) {
			CHECK_STR(buf_str(&out), S("read again"));
			break;
		}
	}
	buf_done(&out);
}

static void test_times_are_read(void)
{
	static const struct {
		str text;
		uint64_t ms;
	} rows[] = {
		{ S_INIT("1970-01-01T00:00:00Z"), 0 },
		{ S_INIT("2026-01-31T23:59:59Z"), LAST_MS - 123 },
		{ S_INIT("2026-01-31T23:59:59.123Z"), LAST_MS },
		{ S_INIT("2026-01-31T23:59:59.123999999Z"), LAST_MS },
		{ S_INIT("2026-01-31T23:59:59.1Z"), LAST_MS - 23 },
		{ S_INIT("2026-01-31T23:59:59.123+0000"), LAST_MS },
		{ S_INIT("2026-02-01T01:29:59.123+01:30"), LAST_MS },
		{ S_INIT("2026-01-31T18:59:59.123-0500"), LAST_MS },
		{ S_INIT("2024-02-29T00:00:00Z"), 1709164800000 },
		{ S_INIT("9999-12-31T23:59:59.999Z"), 253402300799999 },
		{ S_INIT("1970-01-01T00:00:00-00:01"), 60000 },
		{ S_INIT("Sat, 31 Jan 2026 23:59:59 GMT"), LAST_MS - 123 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t ms = 1;
		CHECK(timestamp_parse(rows[i].text, &ms) == 0 && ms == rows[i].ms);
	}
}

static void test_what_is_no_time_is_refused(void)
{
	static const str rows[] = {
		S_INIT(""),
		S_INIT("2026"),
		S_INIT("2026-01-31"),
		S_INIT("2026-01-31T23:59:59"),
		S_INIT("2026-01-31 23:59:59Z"),
		S_INIT("2026-01-31t23:59:59Z"),
		S_INIT("2026-01-31T23:59:59z"),
		S_INIT("2026-01-31T23:59:59.Z"),
		S_INIT("2026-01-31T23:59:59.1234567890Z"),
		S_INIT("2026-01-31T23:59:60Z"),
		S_INIT("2026-01-31T24:00:00Z"),
		S_INIT("2026-01-31T23:60:00Z"),
		S_INIT("2026-13-01T00:00:00Z"),
		S_INIT("2026-00-01T00:00:00Z"),
		S_INIT("2026-01-00T00:00:00Z"),
		S_INIT("2026-04-31T00:00:00Z"),
		S_INIT("2026-02-29T00:00:00Z"),
		S_INIT("2100-02-29T00:00:00Z"),
		S_INIT("1969-12-31T23:59:59Z"),
		S_INIT("1970-01-01T00:00:00+00:01"),
		S_INIT("2026-01-31T23:59:59+1"),
		S_INIT("2026-01-31T23:59:59+24:00"),
		S_INIT("2026-01-31T23:59:59+01:60"),
		S_INIT("2026-01-31T23:59:59+01:00x"),
		S_INIT("2026-01-31T23:59:59Zx"),
		S_INIT("+026-01-31T23:59:59Z"),
		S_INIT("Sun, 31 Jan 2026 23:59:59 GMT"),
		S_INIT("Sat, 31 Jan 2026 23:59:59 UTC"),
		S_INIT("Sat, 31 Jan 2026 23:59:59 GMT "),
		S_INIT("Sat, 31 jan 2026 23:59:59 GMT"),
		S_INIT("Sat, 1 Jan 2026 23:59:59 GMT"),
		S_INIT("Saturday, 31-Jan-26 23:59:59 GMT"),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t ms = 7;
		CHECK(timestamp_parse(rows[i], &ms) == -EINVAL && ms == 7);
	}
}

static void test_every_beginning_of_a_time_is_refused(void)
{
	static const str rows[] = { S_INIT("2026-01-31T23:59:59.123+0000"),
		S_INIT("Sat, 31 Jan 2026 23:59:59 GMT") };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t len = 0; len < rows[i].len; len++) {
			uint64_t ms;
			CHECK(timestamp_parse(str_slice(rows[i], 0, len), &ms) == -EINVAL);
		}
	}
}

static void test_the_basic_form_is_exact(void)
{
	uint64_t ms = 7;

	CHECK(timestamp_parse_basic(S("20260131T235959Z"), &ms) == 0 && ms == LAST_MS - 123);
	ms = 7;
	CHECK(timestamp_parse_basic(S("20260131T235959"), &ms) == -EINVAL);
	CHECK(timestamp_parse_basic(S("20260131T235959ZZ"), &ms) == -EINVAL);
	CHECK(timestamp_parse_basic(S("20260231T235959Z"), &ms) == -EINVAL);
	CHECK(timestamp_parse_basic(S("2026-01-31T23:59:59Z"), &ms) == -EINVAL);
	CHECK(timestamp_parse_basic(S(""), &ms) == -EINVAL && ms == 7);
}

TESTS(TEST(test_times_are_written_as_aws_writes_them),
	TEST(test_beyond_the_year_9999_the_last_moment_is_written),
	TEST(test_every_day_until_2400_agrees_with_the_c_library), TEST(test_times_are_read),
	TEST(test_what_is_no_time_is_refused), TEST(test_every_beginning_of_a_time_is_refused),
	TEST(test_the_basic_form_is_exact))
