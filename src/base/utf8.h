#pragma once
/* UTF-8 as Unicode's table of well-formed byte sequences has it. */
#include "base/str.h"

/*
 * How many bytes the well-formed sequence at the start of `s` has (1-4); 0 when the bytes
 * there are none (or `s` is empty): no overlong form, no surrogate, nothing above U+10FFFF.
 */
[[nodiscard]] size_t utf8_sequence(str s);

/* Is all of it well-formed? */
[[nodiscard]] bool utf8_valid(str s);
