#include "base/utf8.h"

#include "base/test.h"

static void test_each_row_of_the_table_of_well_formed_sequences_has_its_bounds(void)
{
	static const struct {
		str bytes;
		size_t len;
	} rows[] = {
		{ S_INIT(""), 0 },
		{ S_INIT("\0"), 1 },
		{ S_INIT("\x7f"), 1 },
		{ S_INIT("\x80"), 0 },
		{ S_INIT("\xc1\xbf"), 0 }, /* overlong */
		{ S_INIT("\xc2\x80"), 2 },
		{ S_INIT("\xdf\xbf"), 2 },
		{ S_INIT("\xdf\x7f"), 0 },
		{ S_INIT("\xdf\xc0"), 0 },
		{ S_INIT("\xe0\x9f\xbf"), 0 }, /* overlong */
		{ S_INIT("\xe0\xa0\x80"), 3 },
		{ S_INIT("\xed\x9f\xbf"), 3 },
		{ S_INIT("\xed\xa0\x80"), 0 }, /* a surrogate */
		{ S_INIT("\xee\x80\x80"), 3 },
		{ S_INIT("\xef\xbf\xbf"), 3 },
		{ S_INIT("\xef\xbf\xc0"), 0 },
		{ S_INIT("\xf0\x8f\xbf\xbf"), 0 }, /* overlong */
		{ S_INIT("\xf0\x90\x80\x80"), 4 },
		{ S_INIT("\xf4\x8f\xbf\xbf"), 4 },
		{ S_INIT("\xf4\x90\x80\x80"), 0 }, /* beyond U+10FFFF */
		{ S_INIT("\xf5\x80\x80\x80"), 0 },
		{ S_INIT("\xff"), 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK(utf8_sequence(rows[i].bytes) == rows[i].len);
}

static void test_a_sequence_that_is_cut_off_is_none(void)
{
	const str whole[] = { S("\xc3\xa4"), S("\xe2\x82\xac"), S("\xf0\x9f\x90\x99") };

	for (size_t i = 0; i < 3; i++) {
		CHECK(utf8_sequence(whole[i]) == whole[i].len);
		for (size_t len = 0; len < whole[i].len; len++)
			CHECK(utf8_sequence(str_slice(whole[i], 0, len)) == 0);
	}
}

static void test_text_is_valid_as_a_whole_or_not(void)
{
	CHECK(utf8_valid(S("")) && utf8_valid(S("na\xc3\xafve \xf0\x9f\x90\x99!")));
	CHECK(!utf8_valid(S("na\xefve")) && !utf8_valid(S("\xf0\x9f\x90")));
}

TESTS(TEST(test_each_row_of_the_table_of_well_formed_sequences_has_its_bounds),
	TEST(test_a_sequence_that_is_cut_off_is_none), TEST(test_text_is_valid_as_a_whole_or_not))
