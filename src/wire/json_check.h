#pragma once
/*
 * Is this text JSON (RFC 8259)? The invoke path only checks documents; it never builds
 * trees. No recursion, no allocation, one pass.
 */
#include "base/str.h"

enum { JSON_DEPTH_MAX = 1000 };

/*
 * True when `text` is exactly one JSON value (white space around it allowed) of valid UTF-8 and
 * nested at most JSON_DEPTH_MAX deep. Otherwise false and *ret_offset is where it stopped being so.
 */
[[nodiscard]] bool json_check(str text, size_t *ret_offset);
