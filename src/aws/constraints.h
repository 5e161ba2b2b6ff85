#pragma once
/*
 * What the models demand of an input: required members, lengths and ranges, patterns, sets of
 * values. The words are AWS's own.
 */
#include "aws/model.h"
#include "base/buf.h"

#include <jansson.h>

enum constraints_answer {
	CONSTRAINTS_MET = 0,
	CONSTRAINTS_BROKEN, /* the message says which */
};

/*
 * Check a decoded input; `elsewhere` (may be NULL) is a member that is not in the tree although it
 * was given. On CONSTRAINTS_BROKEN "2 validation errors detected: Value …; Value …" is appended to
 * `message`. A constraints_answer or a fault.
 */
[[nodiscard]] int constraints_check(const struct aws_shape *input, const json_t *in,
	const struct aws_member *elsewhere, struct buf *message);
