#pragma once
/*
 * Filter patterns of CloudWatch Logs, as FilterLogEvents takes them:
 *
 *	ERROR -Exiting "a phrase"	terms: all of them, none of the excluded
 *	?ERROR ?WARN			any of them (ignored beside other terms, as AWS does)
 *	%colou?r%			a regular expression
 *	{ $.a.b[0] = "x*" && $.n > 5 }	a condition on JSON messages
 *	[ip, ..., status = 4*, bytes]	conditions on the words of a message
 *
 * The semantics are those of AWS's user guide, "Filter pattern syntax".
 */
#include "base/arena.h"

struct pattern;

enum pattern_answer { PATTERN_DONE = 0, PATTERN_BAD };

/*
 * Understand `text`. PATTERN_DONE and *ret_pattern (give it to pattern_free(); memory and views are in
 * the arena and in `text`, which must outlive it); PATTERN_BAD and *ret_reason, AWS's wording of what is wrong (in
 * the arena); or a fault.
 */
[[nodiscard]] int pattern_parse(
	struct arena *arena, str text, struct pattern **ret_pattern, str *ret_reason);

/* Does a message match? One that is not JSON does not match a pattern of JSON. */
[[nodiscard]] bool pattern_matches(const struct pattern *pattern, str message);

/* NULL is fine. */
void pattern_free(struct pattern *pattern);
