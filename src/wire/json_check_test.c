#include "wire/json_check.h"

#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"

#include <string.h>

/* Checked from an allocation of its own, so that over-reading is seen. */
static bool check(str text, size_t *ret_offset)
{
	char *copy = mem_new(text.len, 1);

	if (text.len)
		memcpy(copy, text.at, text.len);
	bool is_json = json_check((str){ copy, text.len }, ret_offset);
	mem_free(copy);
	return is_json;
}

static void test_documents_are_accepted(void)
{
	static const str rows[] = {
		S_INIT("null"),
		S_INIT("true"),
		S_INIT("false"),
		S_INIT("0"),
		S_INIT("-0"),
		S_INIT("-12.50e+10"),
		S_INIT("1E-2"),
		S_INIT("123456789012345678901234567890"),
		S_INIT("1e999"),
		S_INIT("\"\""),
		S_INIT("\"0123456\""),
		S_INIT("\"01234567\""),
		S_INIT("\"0123456789abcdef\\n\""),
		S_INIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uABCD\""),
		S_INIT("\"\\ud83d\\ude00\""),
		S_INIT("\"\\ud800\""),
		S_INIT("\"\\udc00 alone\""),
		S_INIT("\"\\u0000\""),
		S_INIT("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""),
		S_INIT("\"\xef\xbf\xbf\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\x7f\""),
		S_INIT("[]"),
		S_INIT("{}"),
		S_INIT(" \t\r\n[ ] \n"),
		S_INIT("[1,2 , 3]"),
		S_INIT("{\"a\":1,\"b\" : {\"c\":[{},[],\"x\",null]} , \"a\":2}"),
		S_INIT("{\"\":{\"\":[[[]]]}}"),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t offset = 0;
		if (!check(rows[i], &offset))
			fprintf(stderr, "  row %zu at %zu\n", i, offset);
		CHECK(check(rows[i], &offset));
	}
}

static void test_what_is_not_json_is_refused_where_it_goes_wrong(void)
{
	static const struct {
		str text;
		size_t offset;
	} rows[] = {
		{ S_INIT(""), 0 },
		{ S_INIT("  "), 2 },
		{ S_INIT("nul"), 3 },
		{ S_INIT("nulL"), 3 },
		{ S_INIT("nullx"), 4 },
		{ S_INIT("True"), 0 },
		{ S_INIT("NaN"), 0 },
		{ S_INIT("+1"), 0 },
		{ S_INIT("-"), 1 },
		{ S_INIT("01"), 1 },
		{ S_INIT("-01"), 2 },
		{ S_INIT(".5"), 0 },
		{ S_INIT("1."), 2 },
		{ S_INIT("1.e1"), 2 },
		{ S_INIT("1e"), 2 },
		{ S_INIT("1e+"), 3 },
		{ S_INIT("0x10"), 1 },
		{ S_INIT("1 2"), 2 },
		{ S_INIT("\""), 1 },
		{ S_INIT("\"01234567"), 9 },
		{ S_INIT("\"a\nb\""), 2 },
		{ S_INIT("\"0123456789\tb\""), 11 },
		{ S_INIT("\"a\0b\""), 2 },
		{ S_INIT("\"\\x\""), 2 },
		{ S_INIT("\"\\"), 2 },
		{ S_INIT("\"\\\0\""), 2 },
		{ S_INIT("\"\\u12g4\""), 5 },
		{ S_INIT("\"\\u12"), 5 },
		{ S_INIT("\"\x80\""), 1 },
		{ S_INIT("\"\xc0\x80\""), 1 },
		{ S_INIT("\"\xc3\""), 1 },
		{ S_INIT("\"\xe0\x80\x80\""), 1 },
		{ S_INIT("\"\xe2\x82\""), 1 },
		{ S_INIT("\"\xed\xa0\x80\""), 1 },
		{ S_INIT("\"\xf4\x90\x80\x80\""), 1 },
		{ S_INIT("\"\xff\""), 1 },
		{ S_INIT("'a'"), 0 },
		{ S_INIT("["), 1 },
		{ S_INIT("]"), 0 },
		{ S_INIT("[1"), 2 },
		{ S_INIT("[1,]"), 3 },
		{ S_INIT("[,1]"), 1 },
		{ S_INIT("[1 2]"), 3 },
		{ S_INIT("[1}"), 2 },
		{ S_INIT("{"), 1 },
		{ S_INIT("{]"), 1 },
		{ S_INIT("{\"a\""), 4 },
		{ S_INIT("{\"a\":"), 5 },
		{ S_INIT("{\"a\",1}"), 4 },
		{ S_INIT("{\"a\":1,}"), 7 },
		{ S_INIT("{\"a\":1 \"b\":2}"), 7 },
		{ S_INIT("{a:1}"), 1 },
		{ S_INIT("{1:1}"), 1 },
		{ S_INIT("{\"a\":1]"), 6 },
		{ S_INIT("[]]"), 2 },
		{ S_INIT("{}{}"), 2 },
		{ S_INIT("\xef\xbb\xbf{}"), 0 },
		{ S_INIT("[1]\0"), 3 },
		{ S_INIT("\0"), 0 },
		{ S_INIT("// x\n1"), 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t offset = SIZE_MAX;
		bool is_json = check(rows[i].text, &offset);
		if (is_json || offset != rows[i].offset)
			fprintf(stderr, "  row %zu: %d at %zu\n", i, is_json, offset);
		CHECK(!is_json && offset == rows[i].offset);
	}
}

static void test_every_beginning_of_a_document_is_incomplete(void)
{
	str text = S(
		"{\"key\\u00e9\":[-1.5e3,true,false,null,\"text \xe2\x82\xac text\"],\"b\":{}}");

	for (size_t len = 0; len < text.len; len++) {
		size_t offset = SIZE_MAX;
		CHECK(!check(str_slice(text, 0, len), &offset));
		CHECK(offset <= len);
	}
	size_t offset;
	CHECK(check(text, &offset));
}

static void test_any_control_character_or_quote_is_seen_in_any_place_of_a_word(void)
{
	for (size_t at = 1; at < 25; at++) {
		for (unsigned c = 0; c < 256; c++) {
			char text[27];
			size_t offset = SIZE_MAX;
			memset(text, 'x', sizeof(text));
			text[0] = text[26] = '"';
			text[at] = (char)c;
			bool is_plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
			CHECK(check((str){ text, sizeof(text) }, &offset) == is_plain);
			size_t wrong = at + (c == '"' || c == '\\');
			CHECK(is_plain || offset == wrong);
		}
	}
}

/* `depth` arrays and objects, in turns. */
static void put_nested(struct buf *out, int depth)
{
	for (int i = 0; i < depth; i++)
		buf_put(out, i % 2 ? S("{\"a\":") : S("["));
	buf_put(out, S("1"));
	for (int i = depth; i-- > 0;)
		buf_put_char(out, i % 2 ? '}' : ']');
}

static void test_depth_is_bounded(void)
{
	struct buf text;
	size_t offset;

	buf_init(&text, 100'000);
	put_nested(&text, JSON_DEPTH_MAX);
	CHECK(check(buf_str(&text), &offset));
	buf_clear(&text);
	put_nested(&text, JSON_DEPTH_MAX + 1);
	CHECK(!check(buf_str(&text), &offset));
	CHECK(offset == (JSON_DEPTH_MAX / 2) * strlen("[{\"a\":"));
	buf_clear(&text);
	buf_put(&text, S("[")); /* but many side by side are fine */
	for (int i = 0; i < 5000; i++)
		buf_put(&text, i ? S(",[{}]") : S("[{}]"));
	buf_put(&text, S("]"));
	CHECK(check(buf_str(&text), &offset));
	buf_done(&text);
}

static void test_brackets_must_match_at_every_depth(void)
{
	struct buf text;

	buf_init(&text, 100'000);
	for (int depth = 1; depth <= 200; depth += 7) {
		buf_clear(&text);
		put_nested(&text, depth);
		for (int i = 1; i <= depth; i++) { /* turn one closing bracket round */
			char *close = &text.at[text.len - (size_t)i];
			char was = *close;
			size_t offset;
			*close = was == ']' ? '}' : ']';
			CHECK(!check(buf_str(&text), &offset));
			CHECK(offset == text.len - (size_t)i);
			*close = was;
		}
	}
	buf_done(&text);
}

TESTS(TEST(test_documents_are_accepted), TEST(test_what_is_not_json_is_refused_where_it_goes_wrong),
	TEST(test_every_beginning_of_a_document_is_incomplete),
	TEST(test_any_control_character_or_quote_is_seen_in_any_place_of_a_word),
	TEST(test_depth_is_bounded), TEST(test_brackets_must_match_at_every_depth))
