#include "engine/log_cutter.h"

#include "base/test.h"

#include <string.h>

static struct log_cutter cutter;
static struct buf told; /* the events, each in angle brackets */

static void on_event(void *context, str event)
{
	CHECK(context == &told && event.len <= LOG_LINE_MAX);
	buf_put_char(&told, '<');
	buf_put(&told, event);
	buf_put_char(&told, '>');
}

/* What becomes of these bytes, fed so many at a time, with an end behind them. */
static void check_cut(str bytes, size_t step, str want)
{
	buf_init(&told, 4 * LOG_LINE_MAX);
	log_cutter_init(&cutter);
	for (size_t at = 0; at < bytes.len; at += step)
		log_cutter_feed(&cutter, str_slice(bytes, at, at + step), on_event, &told);
	log_cutter_end(&cutter, on_event, &told);
	log_cutter_end(&cutter, on_event, &told); /* nothing twice */
	CHECK_STR(buf_str(&told), want);
	buf_done(&told);
	log_cutter_done(&cutter);
}

static void check(str bytes, str want)
{
	for (size_t step = 1; step <= bytes.len; step++)
		check_cut(bytes, step, want);
}

static void test_lines_are_events(void)
{
	check(S("a\nbc\n\nd"), S("<a\n><bc\n><\n><d>"));
	check(S("\n"), S("<\n>"));
	check(S("no newline"), S("<no newline>"));
}

static void test_frames_are_events_whatever_is_in_them(void)
{
	check(S("x\n\xa5\x5a\0\x03\0\0\0\x04"
		"12345678a\nb\ny\n"),
		S("<x\n><a\nb\n><y\n>"));
	check(S("\xa5\x5a\0\x12\0\0\0\x02"
		"12345678{}\xa5\x5a\0\x03\0\0\0\0"
		"12345678z"),
		S("<{}><><z>"));
}

static void test_what_is_not_whole_at_the_end_is_an_event(void)
{
	check(S("\xa5\x5a\0\x03\0\0\0\x09"
		"12345678abc"),
		S("<abc>"));
	check(S("\xa5\x5a\0"), S("<\xa5\x5a\0>"));
}

static void test_what_only_looks_like_a_frame_is_text(void)
{
	check(S("\xa5 is no character, but a byte\nnext\n"),
		S("<\xa5 is no character, but a byte\n><next\n>"));
	check(S("\xa5\n\xa5\x5a\0\x03\0\0\0\x01"
		"12345678a"),
		S("<\xa5\n><a>"));
	check(S("\xa5\n\xa5\n\xa5\n\xa5\n\xa5\n\xa5\n\xa5\n\xa5\n\xa5\n"),
		S("<\xa5\n><\xa5\n><\xa5\n><\xa5\n><\xa5\n><\xa5\n><\xa5\n><\xa5\n><\xa5\n>"));
	/* longer than an event may be */
	check(S("\xa5\x5a\0\x03\x7f\xff\xff\xff"
		"12345678a\nb\n"),
		S("<\xa5\x5a\0\x03\x7f\xff\xff\xff"
		  "12345678a\n><b\n>"));
}

static void test_a_line_without_end_is_cut(void)
{
	static char line[LOG_LINE_MAX + 3];
	static char want[LOG_LINE_MAX + 7];

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	memset(want, 'x', sizeof(want));
	want[0] = '<';
	memcpy(want + 1 + LOG_LINE_MAX, "><xx\n>", 7 - 1);
	str wanted = { want, 1 + LOG_LINE_MAX + 6 };
	check_cut((str){ line, sizeof(line) }, sizeof(line), wanted);
	check_cut((str){ line, sizeof(line) }, 1000, wanted);
	check_cut((str){ line, sizeof(line) }, LOG_LINE_MAX, wanted);
}

TESTS(TEST(test_lines_are_events), TEST(test_frames_are_events_whatever_is_in_them),
	TEST(test_what_is_not_whole_at_the_end_is_an_event),
	TEST(test_what_only_looks_like_a_frame_is_text), TEST(test_a_line_without_end_is_cut))
