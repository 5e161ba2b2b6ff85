#pragma once
/*
 * The credentials that signatures are checked against: a set that never changes once it is made. Workers read it while
 * the loop thread may already have put another in its place, so it is counted; the count is the loop thread's alone.
 */
#include "base/str.h"

#include <stddef.h>

/* A key pair. */
struct front_key {
	str access_key;
	str secret;
};

struct front_keys {
	unsigned references;
	size_t count;
	struct front_key *keys;
};

/* A copy with one reference, the caller's; NULL without memory. */
[[nodiscard]] struct front_keys *front_keys_new(const struct front_key *keys, size_t count);
/* One more reference: returns its argument. */
struct front_keys *front_keys_ref(struct front_keys *keys);
/* One less; the last frees it. NULL is fine. */
void front_keys_unref(struct front_keys *keys);
