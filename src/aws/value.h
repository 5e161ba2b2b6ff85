#pragma once
/* Scalars between text and trees: what URIs, headers, queries and XML hold. */
#include "aws/model.h"
#include "base/buf.h"

#include <jansson.h>

enum value_answer {
	VALUE_READ = 0,
	VALUE_BAD, /* the text is none of this kind */
};

/* The kind's name as Java has it: "String", "Integer". */
[[nodiscard]] const char *value_kind_name(const struct aws_shape *shape);

/* Is it neither structure, list nor map? */
[[nodiscard]] bool value_is_scalar(const struct aws_shape *shape);

/*
 * Read text into a new reference in *ret_value: a value_answer or a fault. Timestamps are read in
 * every form that AWS has, whatever the model's.
 */
[[nodiscard]] int value_from_text(const struct aws_shape *shape, str text, json_t **ret_value);

/*
 * Append a scalar as text; `format` (enum aws_time_format, not the default) is for timestamps.
 * 0, or -EINVAL when the tree does not fit the shape.
 */
[[nodiscard]] int value_put_text(
	const struct aws_shape *shape, uint8_t format, const json_t *value, struct buf *out);

/* Which form a timestamp has: the member's, else the shape's, else `absent`. */
[[nodiscard]] uint8_t value_time_format(
	const struct aws_member *member, const struct aws_shape *shape, uint8_t absent);

/* Append a number in as few digits as read back the same; a whole one without a fraction. */
void value_put_double(struct buf *out, double value);

/* Append a timestamp of `ms` in a form. */
void value_put_time(struct buf *out, uint8_t format, int64_t ms);

/* A string of bytes, which need not be UTF-8; NULL when out of memory. */
[[nodiscard]] json_t *value_bytes(str bytes);
