#pragma once
/*
 * Reading JSON in place: no tree, no allocation, no recursion. For text that json_check() has accepted, and for what
 * these functions give out of it; what they do with anything else is bounded, but means nothing.
 */
#include "base/buf.h"
#include "base/str.h"

enum json_kind {
	JSON_KIND_NULL,
	JSON_KIND_FALSE,
	JSON_KIND_TRUE,
	JSON_KIND_NUMBER,
	JSON_KIND_STRING,
	JSON_KIND_ARRAY,
	JSON_KIND_OBJECT,
};

/* A value without the white space around it. */
[[nodiscard]] str json_read_trim(str text);

/* What a trimmed value is. */
[[nodiscard]] enum json_kind json_read_kind(str value);

/* A walk over the members of an object, or the items of an array. */
struct json_walk {
	str rest;
};

/* Begin with a trimmed object or array. */
[[nodiscard]] struct json_walk json_walk_of(str value);
/* The next member: its name as a raw string (with its quotes), its value trimmed; false at the end. */
[[nodiscard]] bool json_walk_member(struct json_walk *walk, str *ret_name, str *ret_value);
/* The next item, trimmed; false at the end. */
[[nodiscard]] bool json_walk_item(struct json_walk *walk, str *ret_item);

/* Is this raw string (with its quotes) this text, which is ASCII and at most 64 bytes? */
[[nodiscard]] bool json_string_is(str string, str text);

/* The text between the quotes of a raw string, if it stands there as it is; else (escapes) a view with at == NULL. */
[[nodiscard]] str json_string_plain(str string);

/* Append the text of a raw string; an escaped surrogate without its other half becomes U+FFFD. */
void json_string_put(struct buf *out, str string);
