#pragma once
/*
 * Low descriptors for children that are about to be born. A child by fork has copies of all that
 * its parent holds, the warden's some for each sandbox that lives, and closes them: with a thousand
 * of these that is a good part of a start. So it is born with the parent's own table, and takes a
 * copy of the low end of that only (child_how.files_below). What it needs has to lie there until it
 * has done so.
 */
#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

enum {
	CRADLES = 16,
	CRADLE_FDS = 5,
	CRADLE_FIRST = 64, /* below are those that the parent holds for good */
	CRADLES_END = CRADLE_FIRST + CRADLES * CRADLE_FDS,
};

/* Filled at start; `used` has a bit for each that is occupied. */
struct cradles {
	uint32_t used;
	int null; /* keeps the numbers of those that are empty */
};

/*
 * Take the numbers. Children may use `null`, and what else was opened below CRADLE_FIRST. If they are
 * taken already there are no cradles: no fault.
 */
void cradles_init(struct cradles *cradles, int null);

/*
 * Put copies of these descriptors (-1: none) into an empty one: its number, with theirs in ret_fds;
 * or -1 when none is empty, or a copy is not to be had. The two may be the same.
 */
[[nodiscard]] int cradle_lay(
	struct cradles *cradles, const int fds[static CRADLE_FDS], int ret_fds[static CRADLE_FDS]);

/* Close what lies in it: the child has its own by now, or is dead. -1: nothing. */
void cradle_empty(struct cradles *cradles, int *cradle);
