/*
 * A value ends where its brackets are closed: they are counted, not matched, because the check has matched them.
 * Strings are skipped from quote to quote; a quote belongs to the string when an odd number of backslashes stands before it.
 */
#include "wire/json_read.h"

#include <string.h>

enum { JSON_NAME_MAX = 64 };

static bool json_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

str json_read_trim(str text)
{
	while (text.len && json_is_space(text.at[0]))
		text = str_from(text, 1);
	while (text.len && json_is_space(text.at[text.len - 1]))
		text.len--;
	return text;
}

enum json_kind json_read_kind(str value)
{
	switch (value.len ? value.at[0] : 'n') {
	case '{':
		return JSON_KIND_OBJECT;
	case '[':
		return JSON_KIND_ARRAY;
	case '"':
		return JSON_KIND_STRING;
	case 't':
		return JSON_KIND_TRUE;
	case 'f':
		return JSON_KIND_FALSE;
	case 'n':
		return JSON_KIND_NULL;
	default:
		return JSON_KIND_NUMBER;
	}
}

/* --- skipping --- */

/* Behind the closing quote of the string that begins at `from`. */
static size_t json_skip_string(str text, size_t from)
{
	size_t at = from + 1;

	while (at < text.len) {
		const char *quote = memchr(text.at + at, '"', text.len - at);
		if (!quote)
			return text.len;
		size_t end = (size_t)(quote - text.at), slashes = 0;
		while (end - slashes > at && text.at[end - slashes - 1] == '\\')
			slashes++;
		at = end + 1;
		if (slashes % 2 == 0)
			return at;
	}
	return text.len;
}

/* Behind the value that begins at the start of `text`, or at the comma, colon or bracket that follows a plain one. */
static size_t json_skip_value(str text)
{
	size_t at = 0, depth = 0;

	while (at < text.len) {
		char c = text.at[at];
		if (c == '"') {
			at = json_skip_string(text, at);
		} else if (c == '{' || c == '[') {
			depth++;
			at++;
		} else if (c == '}' || c == ']') {
			if (depth == 0)
				return at; /* of the one around it */
			depth--;
			at++;
		} else if (depth == 0 && (c == ',' || c == ':')) {
			return at;
		} else {
			at++;
			continue;
		}
		if (depth == 0)
			return at;
	}
	return at;
}

/* --- walking --- */

struct json_walk json_walk_of(str value)
{
	/* Without its brackets. */
	return (struct json_walk){ .rest = str_slice(value, 1, value.len ? value.len - 1 : 0) };
}

static str json_walk_take(struct json_walk *walk)
{
	walk->rest = json_read_trim(walk->rest);
	size_t len = json_skip_value(walk->rest);
	str value = json_read_trim(str_slice(walk->rest, 0, len));

	walk->rest = json_read_trim(str_from(walk->rest, len));
	return value;
}

/* The comma or colon behind what was taken, or whatever stands there: the walk always gets on. */
static void json_walk_pass(struct json_walk *walk)
{
	walk->rest = str_from(walk->rest, 1);
}

bool json_walk_item(struct json_walk *walk, str *ret_item)
{
	walk->rest = json_read_trim(walk->rest);
	if (!walk->rest.len)
		return false;
	*ret_item = json_walk_take(walk);
	json_walk_pass(walk);
	return true;
}

bool json_walk_member(struct json_walk *walk, str *ret_name, str *ret_value)
{
	if (!json_walk_item(walk, ret_name))
		return false;
	*ret_value = json_walk_take(walk);
	json_walk_pass(walk);
	return true;
}

/* --- strings --- */

static str json_string_inside(str string)
{
	return str_slice(string, 1, string.len ? string.len - 1 : 0);
}

str json_string_plain(str string)
{
	str inside = json_string_inside(string);

	if (!inside.len)
		return S("");
	return memchr(inside.at, '\\', inside.len) ? (str){} : inside;
}

/* Four hex digits, checked before. */
static unsigned json_hex(str digits)
{
	unsigned value = 0;

	for (size_t i = 0; i < digits.len; i++) {
		char c = digits.at[i];
		unsigned digit = c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 0x20) - 'a' + 10;
		value = value << 4 | (digit & 15);
	}
	return value;
}

static void json_put_point(struct buf *out, unsigned point)
{
	char bytes[4];
	size_t len = 0;

	if (point >= 0xd800 && point < 0xe000)
		point = 0xfffd;
	if (point < 0x80) {
		bytes[len++] = (char)point;
	} else if (point < 0x800) {
		bytes[len++] = (char)(0xc0 | point >> 6);
		bytes[len++] = (char)(0x80 | (point & 0x3f));
	} else if (point < 0x10000) {
		bytes[len++] = (char)(0xe0 | point >> 12);
		bytes[len++] = (char)(0x80 | (point >> 6 & 0x3f));
		bytes[len++] = (char)(0x80 | (point & 0x3f));
	} else {
		bytes[len++] = (char)(0xf0 | point >> 18);
		bytes[len++] = (char)(0x80 | (point >> 12 & 0x3f));
		bytes[len++] = (char)(0x80 | (point >> 6 & 0x3f));
		bytes[len++] = (char)(0x80 | (point & 0x3f));
	}
	buf_put(out, (str){ bytes, len });
}

/* From "\uXXXX": returns how many bytes it was; two of them when they are a pair of surrogates. */
static size_t json_put_unicode(struct buf *out, str text)
{
	unsigned high = json_hex(str_slice(text, 2, 6));

	if (high >= 0xd800 && high < 0xdc00 && str_starts(str_from(text, 6), S("\\u"))) {
		unsigned low = json_hex(str_slice(text, 8, 12));
		if (low >= 0xdc00 && low < 0xe000) {
			json_put_point(out, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
			return 12;
		}
	}
	json_put_point(out, high);
	return 6;
}

/* From the backslash on: returns how many bytes the escape was. */
static size_t json_put_escape(struct buf *out, str text)
{
	static const char names[] = "bfnrt", bytes[] = "\b\f\n\r\t";

	if (text.len < 2)
		return 1;
	if (text.at[1] == 'u')
		return json_put_unicode(out, text);
	const char *hit = memchr(names, text.at[1], sizeof(names) - 1);
	buf_put_char(out, hit ? bytes[hit - names] : text.at[1]);
	return 2;
}

void json_string_put(struct buf *out, str string)
{
	str rest = json_string_inside(string);

	while (rest.len) {
		ptrdiff_t slash = str_find(rest, '\\');
		size_t plain = slash < 0 ? rest.len : (size_t)slash;
		buf_put(out, str_slice(rest, 0, plain));
		rest = str_from(rest, plain);
		if (rest.len)
			rest = str_from(rest, json_put_escape(out, rest));
	}
}

bool json_string_is(str string, str text)
{
	char room[JSON_NAME_MAX + 1];
	struct buf name;
	str plain = json_string_plain(string);

	if (plain.at)
		return str_eq(plain, text);
	buf_init_over(&name, room, sizeof(room));
	json_string_put(&name, string);
	return !name.err && str_eq(buf_str(&name), text);
}
