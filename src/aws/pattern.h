#pragma once
/* The regular expressions of the models. */
#include "aws/model.h"

enum pattern_answer {
	PATTERN_MATCHES = 0,
	PATTERN_DIFFERS, /* or it would have taken too long to say */
};

/*
 * Does the whole text match the shape's pattern? Compiled at the first use and kept for ever. Any
 * thread. A pattern_answer or a fault.
 */
[[nodiscard]] int pattern_match(const struct aws_shape *shape, str text);
