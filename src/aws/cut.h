#pragma once
/*
 * Big base64 literals are cut out of a JSON text before it is parsed, so that a 70 MB upload is
 * never held in memory as text, as token and as string at once.
 */
#include "base/buf.h"

struct cuts;

enum {
	CUT_LEN_MIN = (64 * 1024 + 2) / 3 * 4, /* characters; shorter ones stay */
	CUTS_MAX = 4,
};

/*
 * Append `json` to `shortened` with each base64 string value of at least CUT_LEN_MIN characters
 * (the first CUTS_MAX) replaced by a short unguessable one. *ret_cuts, to be freed with
 * cuts_free(), is NULL when there was none; then nothing was appended. `json` is borrowed as long
 * as they live. 0 or a fault.
 */
[[nodiscard]] int cuts_make(str json, struct buf *shortened, struct cuts **ret_cuts);
void cuts_free(struct cuts *cuts);

/* What stood where this string is now, or the string itself. `cuts` may be NULL. */
[[nodiscard]] str cuts_restore(const struct cuts *cuts, str value);
