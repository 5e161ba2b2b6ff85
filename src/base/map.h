#pragma once
/*
 * A hash map from text to a pointer. Keys are borrowed from the values (the object
 * owns its own name), so a key must live as long as its entry. Values are not owned.
 */
#include "base/str.h"

struct map_slot {
	uint64_t hash;
	str key;
	void *value; /* NULL: the slot is free */
};

struct map {
	struct map_slot *slots; /* open addressing, a power of two, at most 3/4 full */
	size_t count;
	size_t size;
};

/* A zeroed struct map is an empty map. Frees the table only, not the values. */
void map_done(struct map *map);

/* The value, or NULL. */
[[nodiscard]] void *map_get(const struct map *map, str key);

/* Add or replace: 0, or -ENOMEM (unchanged). `value` is not NULL. */
[[nodiscard]] int map_put(struct map *map, str key, void *value);

/* Take it out and return its value, or NULL when it was not in. */
void *map_remove(struct map *map, str key);

/* Walk: start with *at = 0; false at the end. Nothing may be added or removed meanwhile. */
[[nodiscard]] bool map_next(const struct map *map, size_t *at, void **ret_value);
