/*
 * Reading checked JSON in place gives what a parser that builds trees (jansson) gives: the same members with the same
 * values, and the same texts.
 */
#include "fuzz.h"

#include "wire/json_check.h"
#include "wire/json_read.h"

#include <jansson.h>
#include <string.h>

static void check_string(str raw, const json_t *tree)
{
	struct buf text;

	HOLDS(json_is_string(tree));
	buf_init(&text, raw.len);
	json_string_put(&text, raw);
	HOLDS(!text.err && text.len == json_string_length(tree));
	HOLDS(!text.len || memcmp(text.at, json_string_value(tree), text.len) == 0);
	buf_done(&text);
}

static void check_value(str value, const json_t *tree)
{
	static const json_type types[] = {
		[JSON_KIND_NULL] = JSON_NULL,
		[JSON_KIND_FALSE] = JSON_FALSE,
		[JSON_KIND_TRUE] = JSON_TRUE,
		[JSON_KIND_NUMBER] = JSON_REAL,
		[JSON_KIND_STRING] = JSON_STRING,
		[JSON_KIND_ARRAY] = JSON_ARRAY,
		[JSON_KIND_OBJECT] = JSON_OBJECT,
	};
	enum json_kind kind = json_read_kind(value);

	HOLDS(kind == JSON_KIND_NUMBER ? json_is_number(tree) : json_typeof(tree) == types[kind]);
	if (kind == JSON_KIND_STRING)
		check_string(value, tree);
}

static void check_items(str value, const json_t *tree)
{
	struct json_walk walk = json_walk_of(value);
	size_t count = 0;
	str item;

	while (json_walk_item(&walk, &item)) {
		HOLDS(fuzz_is_inside(item, value));
		check_value(item, json_array_get(tree, count++));
	}
	HOLDS(count == json_array_size(tree));
}

static void check_members(str value, const json_t *tree)
{
	struct json_walk walk = json_walk_of(value);
	size_t count = 0;
	str name, member;

	while (json_walk_member(&walk, &name, &member)) {
		struct buf key;
		HOLDS(fuzz_is_inside(name, value) && fuzz_is_inside(member, value));
		buf_init(&key, name.len + 1);
		json_string_put(&key, name);
		check_value(member, json_object_get(tree, buf_cstr(&key)));
		buf_done(&key);
		count++;
	}
	HOLDS(count == json_object_size(tree));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str text = json_read_trim((str){ (const char *)data, size });
	size_t offset;

	if (!json_check(text, &offset)) {
		/* What was not checked means nothing, but ends. */
		struct json_walk walk = json_walk_of(text);
		str name, value;
		while (json_walk_member(&walk, &name, &value))
			(void)json_string_is(name, S("body"));
		return 0;
	}
	json_t *tree = json_loadb(
		text.at, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	if (!tree)
		return 0; /* see fuzz_json_check: jansson refuses some */
	check_value(text, tree);
	if (json_is_array(tree))
		check_items(text, tree);
	if (json_is_object(tree))
		check_members(text, tree);
	json_decref(tree);
	return 0;
}
