/* Big base64 literals are cut out of JSON texts, and nothing else is. */
#include "aws/cut.h"
#include "base/mem.h"
#include "base/test.h"

#include <string.h>

static struct buf json, shortened;

static void begin(void)
{
	buf_init(&json, 8 << 20);
	buf_init(&shortened, 8 << 20);
}

static void end(struct cuts *cuts)
{
	cuts_free(cuts);
	buf_done(&json);
	buf_done(&shortened);
}

static void put_run(size_t len, char c)
{
	for (size_t i = 0; i < len; i++)
		buf_put_char(&json, c);
}

/* What stands between the last two quotes. */
static str last_string(str text)
{
	size_t end_at = text.len, from;

	while (text.at[--end_at] != '"') {
	}
	for (from = end_at; text.at[from - 1] != '"'; from--) {
	}
	return str_slice(text, from, end_at);
}

static void test_a_long_value_is_cut_and_found_again(void)
{
	struct cuts *cuts;

	begin();
	buf_put(&json, S("{\"Name\":\"x\\\"y\",\"Zip\": \""));
	put_run(CUT_LEN_MIN, 'A');
	buf_put(&json, S("\"}"));
	CHECK(cuts_make(buf_str(&json), &shortened, &cuts) == 0);
	CHECK(cuts && shortened.len < 200);
	CHECK(str_starts(buf_str(&shortened), S("{\"Name\":\"x\\\"y\",\"Zip\": \"")));
	CHECK(str_ends(buf_str(&shortened), S("\"}")));
	str cut = cuts_restore(cuts, last_string(buf_str(&shortened)));
	CHECK(cut.len == CUT_LEN_MIN && cut.at[0] == 'A');
	CHECK_STR(cuts_restore(cuts, S("other")), S("other"));
	CHECK_STR(cuts_restore(NULL, S("other")), S("other"));
	end(cuts);
}

static void check_stays(void)
{
	struct cuts *cuts;

	CHECK(cuts_make(buf_str(&json), &shortened, &cuts) == 0);
	CHECK(!cuts && shortened.len == 0);
	end(cuts);
}

static void test_a_shorter_value_stays(void)
{
	begin();
	buf_put(&json, S("{\"Zip\":\""));
	put_run(CUT_LEN_MIN - 1, 'A');
	buf_put(&json, S("\"}"));
	check_stays();
}

static void test_a_value_with_other_characters_stays(void)
{
	begin();
	buf_put(&json, S("{\"Zip\":\""));
	put_run(CUT_LEN_MIN, 'A');
	buf_put(&json, S("\\/A\"}"));
	check_stays();
}

static void test_a_name_stays(void)
{
	begin();
	buf_put(&json, S("{\""));
	put_run(CUT_LEN_MIN, 'A');
	buf_put(&json, S("\" :1}"));
	check_stays();
}

static void test_a_text_that_ends_too_early_stays(void)
{
	begin();
	buf_put(&json, S("{\"Zip\":\""));
	put_run(CUT_LEN_MIN, 'A');
	check_stays();
	begin();
	buf_put(&json, S("{\"Zip\":\"\\"));
	check_stays();
}

static void test_only_so_many_are_cut(void)
{
	struct cuts *cuts;

	begin();
	for (int i = 0; i < CUTS_MAX + 2; i++) {
		buf_put_char(&json, i ? ',' : '[');
		buf_put_char(&json, '"');
		put_run(CUT_LEN_MIN, (char)('A' + i));
		buf_put_char(&json, '"');
	}
	buf_put_char(&json, ']');
	CHECK(cuts_make(buf_str(&json), &shortened, &cuts) == 0);
	CHECK(shortened.len > 2 * CUT_LEN_MIN && shortened.len < 3 * CUT_LEN_MIN);
	end(cuts);
}

static void test_survives_every_failed_allocation(void)
{
	begin();
	buf_put(&json, S("[\""));
	put_run(CUT_LEN_MIN, 'A');
	buf_put(&json, S("\"]"));
	for (int nth = 1; nth < 100; nth++) {
		struct cuts *cuts = NULL;
		buf_clear(&shortened);
		fault_countdown = nth;
		int r = cuts_make(buf_str(&json), &shortened, &cuts);
		bool is_reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(is_reached ? r < 0 : r == 0 && cuts);
		if (!is_reached) {
			end(cuts);
			return;
		}
		buf_done(&shortened);
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_a_long_value_is_cut_and_found_again), TEST(test_a_shorter_value_stays),
	TEST(test_a_value_with_other_characters_stays), TEST(test_a_name_stays),
	TEST(test_a_text_that_ends_too_early_stays), TEST(test_only_so_many_are_cut),
	TEST(test_survives_every_failed_allocation))
