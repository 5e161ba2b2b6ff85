#include "base/str.h"

#include "base/mem.h"
#include "base/test.h"

#include <errno.h>
#include <string.h>

static void test_views_compare_by_bytes(void)
{
	CHECK(str_eq(S("abc"), str_of("abc")));
	CHECK(!str_eq(S("abc"), S("abd")) && !str_eq(S("abc"), S("ab")));
	CHECK(str_eq((str){}, S("")) && str_eq(str_of(NULL), str_of("")));
	CHECK(str_eq(S("a\0b"), S("a\0b")) && !str_eq(S("a\0b"), S("a\0c")));
	CHECK(str_cmp(S("a"), S("b")) < 0 && str_cmp(S("b"), S("a")) > 0);
	CHECK(str_cmp(S("a"), S("aa")) < 0 && str_cmp(S("aa"), S("a")) > 0);
	CHECK(str_cmp(S("\xff"), S("a")) > 0 && str_cmp((str){}, S("")) == 0);
}

static void test_folding_knows_ascii_letters_only(void)
{
	CHECK(str_eq_fold(S("Content-LENGTH"), S("content-length")));
	CHECK(!str_eq_fold(S("content-length"), S("content_length")));
	CHECK(!str_eq_fold(S("["), S("{")) && !str_eq_fold(S("@"), S("`")));
	CHECK(!str_eq_fold(S("\xc3\x84"), S("\xc3\xa4")));
	CHECK(!str_eq_fold(S("abc"), S("abcd")));
	CHECK(str_starts_fold(S("Bearer x"), S("bearer ")) && !str_starts_fold(S("b"), S("be")));
}

static void test_ends_of_views_are_recognised(void)
{
	CHECK(str_starts(S("abc"), S("ab")) && str_starts(S("abc"), S("")));
	CHECK(!str_starts(S("abc"), S("abcd")) && !str_starts(S("abc"), S("b")));
	CHECK(str_ends(S("abc"), S("bc")) && str_ends((str){}, S("")));
	CHECK(!str_ends(S("abc"), S("xabc")) && !str_ends(S("abc"), S("ab")));
}

static void test_finding_answers_the_first_place(void)
{
	CHECK(str_find(S("a.b.c"), '.') == 1 && str_find(S("abc"), '.') == -1);
	CHECK(str_find((str){}, 'a') == -1 && str_find(S("a\0b"), '\0') == 1);
	CHECK(str_find_str(S("one two two"), S("two")) == 4);
	CHECK(str_find_str(S("one"), S("one more")) == -1);
	CHECK(str_find_str(S("one"), S("")) == 0 && str_find_str((str){}, S("a")) == -1);
}

static void test_parts_are_clamped(void)
{
	CHECK_STR(str_from(S("abc"), 1), S("bc"));
	CHECK_STR(str_from(S("abc"), 9), S(""));
	CHECK_STR(str_slice(S("abcd"), 1, 3), S("bc"));
	CHECK_STR(str_slice(S("abcd"), 3, 1), S(""));
	CHECK_STR(str_slice(S("abcd"), 2, SIZE_MAX), S("cd"));
	CHECK(str_slice((str){}, 1, 2).len == 0);
}

static void test_trimming_takes_spaces_and_tabs_only(void)
{
	CHECK_STR(str_trim(S(" \t a b\t ")), S("a b"));
	CHECK_STR(str_trim(S(" \t ")), S(""));
	CHECK_STR(str_trim(S("\na\r")), S("\na\r"));
	CHECK_STR(str_trim((str){}), S(""));
}

static void test_cutting_writes_nothing_without_a_separator(void)
{
	str rest = S("a=b=c"), head = S("untouched");

	CHECK(str_cut(&rest, '=', &head));
	CHECK_STR(head, S("a"));
	CHECK_STR(rest, S("b=c"));
	CHECK(str_cut(&rest, '=', &head) && !str_cut(&rest, '=', &head));
	CHECK_STR(head, S("b"));
	CHECK_STR(rest, S("c"));
}

/* The pieces of a list, each followed by `|`. */
static void check_pieces(str list, const char *want)
{
	char got[64] = {};
	size_t at = 0;
	str item;

	while (str_next(&list, ',', &item)) {
		memcpy(got + at, item.at, item.len);
		at += item.len;
		got[at++] = '|';
	}
	CHECK_STR(str_of(got), str_of(want));
}

static void test_a_list_has_one_piece_more_than_separators(void)
{
	check_pieces(S("a,bc,d"), "a|bc|d|");
	check_pieces(S(",a,"), "|a||");
	check_pieces(S("a"), "a|");
	check_pieces(S(""), "|");
	check_pieces((str){}, "");
}

static void test_numbers_are_digits_within_their_bound(void)
{
	static const struct {
		str text;
		uint64_t max;
		int answer;
		uint64_t value;
	} rows[] = {
		{ S_INIT("0"), 0, 0, 0 },
		{ S_INIT("007"), 7, 0, 7 },
		{ S_INIT("18446744073709551615"), UINT64_MAX, 0, UINT64_MAX },
		{ S_INIT("18446744073709551616"), UINT64_MAX, -ERANGE, 0 },
		{ S_INIT("99999999999999999999999"), UINT64_MAX, -ERANGE, 0 },
		{ S_INIT("99999999999999999999999x"), UINT64_MAX, -EINVAL, 0 },
		{ S_INIT("101"), 100, -ERANGE, 0 },
		{ S_INIT(""), 100, -EINVAL, 0 },
		{ S_INIT("+1"), 100, -EINVAL, 0 },
		{ S_INIT("-1"), 100, -EINVAL, 0 },
		{ S_INIT(" 1"), 100, -EINVAL, 0 },
		{ S_INIT("1 "), 100, -EINVAL, 0 },
		{ S_INIT("0x1"), 100, -EINVAL, 0 },
		{ S_INIT("1\0"), 100, -EINVAL, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = 12345;
		CHECK(str_to_u64(rows[i].text, rows[i].max, &value) == rows[i].answer);
		CHECK(value == (rows[i].answer ? 12345 : rows[i].value));
	}
}

static void test_equal_views_have_equal_hashes(void)
{
	char text[] = "x0123456789abcdef0123456789";
	char copy[] = "0123456789abcdef0123456789";

	for (size_t len = 0; len < sizeof(copy); len++) {
		str a = { text + 1, len }, b = { copy, len };
		CHECK(str_hash(a) == str_hash(b)); /* whatever the alignment */
		for (size_t at = 0; at < len; at++) {
			copy[at] ^= 1;
			CHECK(str_hash(a) != str_hash(b));
			copy[at] ^= 1;
		}
	}
	CHECK(str_hash(S("a")) != str_hash(S("a\0")));
}

static void test_copies_are_terminated(void)
{
	scoped_mem char *copy = str_dup(str_slice(S("abcdef"), 1, 3));
	scoped_mem char *empty = str_dup((str){});

	CHECK(copy && strcmp(copy, "bc") == 0);
	CHECK(empty && empty[0] == '\0');
	fault_countdown = 1;
	CHECK(str_dup(S("x")) == NULL);
}

static void test_arrays_take_what_fits_with_its_terminator(void)
{
	char to[4] = "old";

	CHECK(str_to_array(S("abcd"), to, sizeof(to)) == -ENAMETOOLONG);
	CHECK(str_to_array(S("a\0b"), to, sizeof(to)) == -EINVAL);
	CHECK(strcmp(to, "old") == 0);
	CHECK(str_to_array(S("abc"), to, sizeof(to)) == 0 && strcmp(to, "abc") == 0);
	CHECK(str_to_array((str){}, to, sizeof(to)) == 0 && to[0] == '\0');
}

TESTS(TEST(test_views_compare_by_bytes), TEST(test_folding_knows_ascii_letters_only),
	TEST(test_ends_of_views_are_recognised), TEST(test_finding_answers_the_first_place),
	TEST(test_parts_are_clamped), TEST(test_trimming_takes_spaces_and_tabs_only),
	TEST(test_cutting_writes_nothing_without_a_separator),
	TEST(test_a_list_has_one_piece_more_than_separators),
	TEST(test_numbers_are_digits_within_their_bound), TEST(test_equal_views_have_equal_hashes),
	TEST(test_copies_are_terminated), TEST(test_arrays_take_what_fits_with_its_terminator))
