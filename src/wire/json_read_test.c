#include "wire/json_read.h"

#include "base/test.h"
#include "wire/json_check.h"

static void test_members_come_in_order_with_their_raw_values(void)
{
	static const struct {
		str name, value;
		enum json_kind kind;
	} want[] = {
		{ S_INIT("\"a\""), S_INIT("1.5e3"), JSON_KIND_NUMBER },
		{ S_INIT("\"b]\""), S_INIT("\"x\\\\\""), JSON_KIND_STRING },
		{ S_INIT("\"\""), S_INIT("[1, {\"}\": [\"]\\\"\"]}]"), JSON_KIND_ARRAY },
		{ S_INIT("\"c\""), S_INIT("{}"), JSON_KIND_OBJECT },
		{ S_INIT("\"d\""), S_INIT("null"), JSON_KIND_NULL },
		{ S_INIT("\"e\""), S_INIT("true"), JSON_KIND_TRUE },
		{ S_INIT("\"f\""), S_INIT("false"), JSON_KIND_FALSE },
	};
	str text = json_read_trim(S(
		" {\"a\" : 1.5e3 ,\"b]\":\"x\\\\\",\"\":[1, {\"}\": [\"]\\\"\"]}],\n\"c\":{},\"d\":null"
		",\"e\":true,\"f\" :false\t} "));
	size_t offset, count = 0;
	str name, value;

	CHECK(json_check(text, &offset));
	struct json_walk walk = json_walk_of(text);
	while (json_walk_member(&walk, &name, &value)) {
		CHECK(count < sizeof(want) / sizeof(want[0]));
		CHECK_STR(name, want[count].name);
		CHECK_STR(value, want[count].value);
		CHECK(json_read_kind(value) == want[count].kind);
		count++;
	}
	CHECK(count == sizeof(want) / sizeof(want[0]));
}

static void test_items_come_in_order(void)
{
	struct json_walk walk = json_walk_of(S("[ 1 , \"a,b\",[2,3] ,{\"x\":4}]"));
	static const char *const want[] = { "1", "\"a,b\"", "[2,3]", "{\"x\":4}" };
	size_t count = 0;
	str item;

	while (json_walk_item(&walk, &item))
		CHECK_STR(item, str_of(want[count++]));
	CHECK(count == 4);
	walk = json_walk_of(S("[ ]"));
	CHECK(!json_walk_item(&walk, &item));
	walk = json_walk_of(S("{}"));
	CHECK(!json_walk_member(&walk, &item, &item));
}

static void test_strings_lose_their_escapes(void)
{
	static const struct {
		str raw, text;
	} rows[] = {
		{ S_INIT("\"\""), S_INIT("") },
		{ S_INIT("\"plain \xc3\xa9\""), S_INIT("plain \xc3\xa9") },
		{ S_INIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), S_INIT("\"\\/\b\f\n\r\t") },
		{ S_INIT("\"\\u0041\\u00e9\\u20AC\""), S_INIT("A\xc3\xa9\xe2\x82\xac") },
		{ S_INIT("\"\\ud83d\\ude00!\""), S_INIT("\xf0\x9f\x98\x80!") },
		{ S_INIT("\"\\ud83d\\u0041\""),
			S_INIT("\xef\xbf\xbd"
			       "A") },
		{ S_INIT("\"\\ude00\\ud83d\""), S_INIT("\xef\xbf\xbd\xef\xbf\xbd") },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text;
		buf_init(&text, 256);
		json_string_put(&text, rows[i].raw);
		CHECK_STR(buf_str(&text), rows[i].text);
		buf_done(&text);
	}
	CHECK_STR(json_string_plain(S("\"abc\"")), S("abc"));
	CHECK(json_string_plain(S("\"\"")).at && !json_string_plain(S("\"a\\n\"")).at);
}

static void test_names_are_compared_without_their_escapes(void)
{
	CHECK(json_string_is(S("\"body\""), S("body")));
	CHECK(json_string_is(S("\"b\\u006fdy\""), S("body")));
	CHECK(!json_string_is(S("\"body \""), S("body")));
	CHECK(!json_string_is(S("\"\\u0062\""), S("body")));
	CHECK(!json_string_is(
		S("\"\\t12345678901234567890123456789012345678901234567890123456789012345\""),
		S("body")));
}

/* Nothing but what was checked may be read; broken text must end all the same. */
static void test_broken_text_ends(void)
{
	static const char *const broken[] = { "", "{", "[", "{\"a\"", "{\"a\":", "[1,,]]", "\"",
		"{\"a\\", "[\"\\u12\"", "}{", "]" };
	str name, value;

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct buf text;
		int steps = 0;
		struct json_walk walk = json_walk_of(str_of(broken[i]));
		while (json_walk_member(&walk, &name, &value))
			CHECK(++steps < 16);
		buf_init(&text, 64);
		json_string_put(&text, str_of(broken[i]));
		buf_done(&text);
	}
}

TESTS(TEST(test_members_come_in_order_with_their_raw_values), TEST(test_items_come_in_order),
	TEST(test_strings_lose_their_escapes), TEST(test_names_are_compared_without_their_escapes),
	TEST(test_broken_text_ends))
