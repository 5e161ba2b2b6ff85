#include "base/buf.h"

#include "base/mem.h"
#include "base/test.h"

#include <errno.h>
#include <string.h>

static void test_everything_written_stands_in_order(void)
{
	struct buf buf;

	buf_init(&buf, 1000);
	CHECK(strcmp(buf_cstr(&buf), "") == 0);
	buf_put(&buf, S("a"));
	buf_put(&buf, (str){});
	buf_put_char(&buf, 'b');
	buf_put_u64(&buf, 0);
	buf_put_u64(&buf, UINT64_MAX);
	buf_putf(&buf, "<%s %d>", "text", -5);
	CHECK_STR(buf_str(&buf), S("ab018446744073709551615<text -5>"));
	CHECK(strlen(buf_cstr(&buf)) == buf.len);
	buf_done(&buf);
	CHECK(buf.len == 0 && buf.ceiling == 1000);
}

static void test_formatted_text_of_every_length_fits(void)
{
	for (int len = 0; len < 300; len++) {
		struct buf buf;
		buf_init(&buf, 1000);
		buf_put(&buf, S("x"));
		buf_putf(&buf, "%*s", len, "");
		CHECK(buf.len == (size_t)len + 1 && buf.err == 0);
		buf_done(&buf);
	}
}

static void test_the_ceiling_is_exact_and_its_error_sticks(void)
{
	struct buf buf;

	buf_init(&buf, 100);
	for (int i = 0; i < 100; i++)
		buf_put_char(&buf, 'x');
	CHECK(buf.err == 0 && buf.len == 100 && buf.size <= 100);
	CHECK(strlen(buf_cstr(&buf)) == 100);
	buf_put_char(&buf, 'x');
	CHECK(buf.err == -EOVERFLOW && buf.len == 100);
	buf_drop(&buf, 50);
	buf_put(&buf, S("there would be room now"));
	CHECK(buf.len == 50 && buf_cstr(&buf) == NULL);
	buf_clear(&buf);
	CHECK(buf.len == 0 && buf.err == 0 && buf.at);
	buf_putf(&buf, "%0101d", 1);
	CHECK(buf.err == -EOVERFLOW && buf.len == 0);
	buf_done(&buf);
	CHECK(buf_reserve(&buf, SIZE_MAX) == -EOVERFLOW);
	buf_init(&buf, SIZE_MAX);
	CHECK(buf_reserve(&buf, SIZE_MAX) == -EOVERFLOW);
	buf_done(&buf);
}

static void test_dropping_moves_the_rest_to_the_front(void)
{
	struct buf buf;

	buf_init(&buf, 100);
	buf_drop(&buf, 1);
	buf_put(&buf, S("abcdef"));
	buf_drop(&buf, 0);
	buf_drop(&buf, 2);
	CHECK_STR(buf_str(&buf), S("cdef"));
	buf_drop(&buf, 99);
	CHECK(buf.len == 0);
	buf_done(&buf);
}

static void test_taken_memory_is_the_callers(void)
{
	struct buf buf;
	size_t len = 99;

	buf_init(&buf, 100);
	CHECK(buf_take(&buf, &len) == NULL && len == 0);
	buf_put(&buf, S("abc"));
	scoped_mem char *text = buf_take(&buf, &len);
	CHECK(len == 3 && memcmp(text, "abc", 3) == 0);
	CHECK(buf.at == NULL && buf.len == 0 && buf.size == 0);
	buf_put(&buf, S("more"));
	CHECK_STR(buf_str(&buf), S("more"));
	buf_done(&buf);
}

static void test_what_was_not_written_whole_cannot_be_taken(void)
{
	struct buf buf;
	size_t len = 99;

	buf_init(&buf, 4);
	buf_put(&buf, S("abc"));
	buf_put(&buf, S("de"));
	CHECK(buf.err);
	CHECK(buf_take(&buf, &len) == NULL && len == 0 && !buf.at);
}

static void test_json_strings_are_escaped_and_valid(void)
{
	static const struct {
		str in, out;
	} rows[] = {
		{ S_INIT(""), S_INIT("\"\"") },
		{ S_INIT("plain /text/ \x7f"), S_INIT("\"plain /text/ \x7f\"") },
		{ S_INIT("\"\\\b\f\n\r\t"), S_INIT("\"\\\"\\\\\\b\\f\\n\\r\\t\"") },
		{ S_INIT("a\0b\x1f"), S_INIT("\"a\\u0000b\\u001f\"") },
		{ S_INIT("\xc3\xa4\xf0\x9f\x90\x99"), S_INIT("\"\xc3\xa4\xf0\x9f\x90\x99\"") },
		{ S_INIT("a\xff"), S_INIT("\"a\xef\xbf\xbd\"") },
		{ S_INIT("\xe2\x82"), S_INIT("\"\xef\xbf\xbd\xef\xbf\xbd\"") },
		{ S_INIT("\xed\xa0\x80x"), S_INIT("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\"") },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf buf;
		buf_init(&buf, 1000);
		buf_put_json(&buf, rows[i].in);
		CHECK_STR(buf_str(&buf), rows[i].out);
		buf_done(&buf);
	}
}

static void test_a_buffer_may_live_in_an_array(void)
{
	char text[8];
	struct buf buf;

	buf_init_over(&buf, text, sizeof(text));
	buf_putf(&buf, "%s", "1234567");
	CHECK(strcmp(buf_cstr(&buf), "1234567") == 0);
	buf_put_char(&buf, '8');
	CHECK(buf.err == -EOVERFLOW && buf.at == text);
}

static void fill(struct buf *buf)
{
	for (unsigned i = 0; i < 200; i++) {
		buf_put(buf, S("0123456789"));
		buf_putf(buf, "%u", i);
		buf_put_json(buf, S("a\nb"));
		buf_put_char(buf, ' ');
		buf_put_u64(buf, i);
	}
}

static void test_survives_every_failed_allocation(void)
{
	for (int nth = 1; nth < 100; nth++) {
		struct buf buf;
		buf_init(&buf, 1 << 20);
		fault_countdown = nth;
		fill(&buf);
		bool reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(buf.err == (reached ? -ENOMEM : 0));
		CHECK(reached == (buf_cstr(&buf) == NULL));
		buf_done(&buf);
		if (!reached)
			return;
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_everything_written_stands_in_order), TEST(test_formatted_text_of_every_length_fits),
	TEST(test_the_ceiling_is_exact_and_its_error_sticks),
	TEST(test_dropping_moves_the_rest_to_the_front), TEST(test_taken_memory_is_the_callers),
	TEST(test_what_was_not_written_whole_cannot_be_taken),
	TEST(test_json_strings_are_escaped_and_valid), TEST(test_a_buffer_may_live_in_an_array),
	TEST(test_survives_every_failed_allocation))
