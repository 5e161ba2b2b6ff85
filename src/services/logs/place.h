#pragma once
/*
 * A place in the order of events (time, then id) as 56 digits: the form that AWS's event ids and
 * the numbers in its tokens have.
 */
#include "base/str.h"

struct place {
	uint64_t ms;
	uint64_t id;
};

enum { PLACE_LEN = 56 };

/* Write the digits and a NUL. */
void place_print(struct place place, char to[static PLACE_LEN + 1]);

/* False when it is no such thing. */
[[nodiscard]] bool place_parse(str text, struct place *ret_place);
