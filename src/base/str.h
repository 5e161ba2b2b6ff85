#pragma once
/*
 * Borrowed text: a pointer and a length, passed by value, never owned and never
 * NUL-terminated. NUL-terminated text exists only at the system-call edge.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed run of bytes. The bytes must outlive every copy of the view. */
typedef struct str {
	const char *at;
	size_t len;
} str;

/* A view of a string literal. */
#define S(literal) ((str){ "" literal, sizeof(literal) - 1 })
/* The same as a static initialiser. */
/* clang-format off */
#define S_INIT(literal) { "" literal, sizeof(literal) - 1 }
/* clang-format on */
/* printf of a view whose bytes are known to be our own: printf(STR_FMT, STR_ARG(s)). */
#define STR_FMT	   "%.*s"
#define STR_ARG(s) (int)(s).len, (s).at

/* A view of a NUL-terminated string; NULL gives the empty view. */
str str_of(const char *text);

/* Are the bytes the same? Two empty views are equal whatever they point at. */
[[nodiscard]] bool str_eq(str a, str b);

/* The same with ASCII letters folded: for HTTP field names and the like. */
[[nodiscard]] bool str_eq_fold(str a, str b);

/* Order by bytes, the shorter first on a tie: <0, 0, >0. */
[[nodiscard]] int str_cmp(str a, str b);

/* Does it start (end) with these bytes? The empty view starts and ends everything. */
[[nodiscard]] bool str_starts(str s, str prefix);
[[nodiscard]] bool str_ends(str s, str suffix);
[[nodiscard]] bool str_starts_fold(str s, str prefix);

/* Where `c` (or `needle`) first stands in `s`, or -1. */
[[nodiscard]] ptrdiff_t str_find(str s, char c);
[[nodiscard]] ptrdiff_t str_find_str(str s, str needle);

/* The part from `from` (clamped) to the end; the part [from, to) (both clamped). */
[[nodiscard]] str str_from(str s, size_t from);
[[nodiscard]] str str_slice(str s, size_t from, size_t to);

/* Without ASCII space and tab at both ends. */
[[nodiscard]] str str_trim(str s);

/*
 * Split *rest at the first `sep`: the head goes to *ret_head, the tail stays in *rest.
 * False (nothing written) when there is no `sep`.
 */
[[nodiscard]] bool str_cut(str *rest, char sep, str *ret_head);

/*
 * The next piece of a separated list: like str_cut(), but the last piece counts too.
 * False when *rest is used up (rest->at == NULL). For `while (str_next(&rest, ',', &item))`.
 */
[[nodiscard]] bool str_next(str *rest, char sep, str *ret_item);

/*
 * Decimal digits only (no sign, no space, at least one), at most `max`.
 * 0, or -EINVAL (not a number) or -ERANGE (above max); *ret_value written on 0 only.
 */
[[nodiscard]] int str_to_u64(str s, uint64_t max, uint64_t *ret_value);

/* A 64-bit hash keyed by a per-process random seed: hostile keys cannot aim at a bucket. */
[[nodiscard]] uint64_t str_hash(str s);

/* A NUL-terminated copy on the heap (the caller frees), or NULL when out of memory. */
[[nodiscard]] char *str_dup(str s);

/*
 * Copy into a fixed array and terminate it: 0, or -ENAMETOOLONG (nothing written), or
 * -EINVAL when `s` holds a NUL byte (nothing written).
 */
[[nodiscard]] int str_to_array(str s, char *to, size_t size);
