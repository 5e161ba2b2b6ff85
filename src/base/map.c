/*
 * Open addressing with linear probing, at most 3/4 full. Removal shifts the followers of
 * the hole back instead of leaving a tombstone, so that a table with much coming and going
 * never degrades. The hash is kept in the slot: growing and most mismatches never touch
 * the keys.
 */
#include "base/map.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>

enum { MAP_SIZE_MIN = 8 };

void map_done(struct map *map)
{
	mem_free(map->slots);
	*map = (struct map){};
}

/* The slot of `key`, or the free slot where it would stand. The table is not empty. */
static struct map_slot *map_slot(const struct map *map, str key, uint64_t hash)
{
	size_t mask = map->size - 1;

	for (size_t at = hash & mask;; at = (at + 1) & mask) {
		struct map_slot *slot = &map->slots[at];
		if (!slot->value || (slot->hash == hash && str_eq(slot->key, key)))
			return slot;
	}
}

void *map_get(const struct map *map, str key)
{
	if (map->count == 0)
		return NULL;
	return map_slot(map, key, str_hash(key))->value;
}

static int map_enlarge(struct map *map)
{
	struct map larger = { .count = map->count,
		.size = map->size ? map->size * 2 : MAP_SIZE_MIN };

	larger.slots = mem_new(larger.size, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->size; i++) {
		const struct map_slot *old = &map->slots[i];
		if (old->value)
			*map_slot(&larger, old->key, old->hash) = *old;
	}
	mem_free(map->slots);
	*map = larger;
	return 0;
}

int map_put(struct map *map, str key, void *value)
{
	assert(value);
	uint64_t hash = str_hash(key);
	struct map_slot *slot = map->size ? map_slot(map, key, hash) : NULL;

	if (!slot || (!slot->value && (map->count + 1) * 4 > map->size * 3)) {
		int r = map_enlarge(map);
		if (r < 0)
			return r;
		slot = map_slot(map, key, hash);
	}
	if (!slot->value)
		map->count++;
	*slot = (struct map_slot){ hash, key, value };
	return 0;
}

void *map_remove(struct map *map, str key)
{
	if (map->count == 0)
		return NULL;
	struct map_slot *slot = map_slot(map, key, str_hash(key));
	void *value = slot->value;
	if (!value)
		return NULL;

	size_t mask = map->size - 1;
	size_t hole = (size_t)(slot - map->slots);
	for (size_t at = (hole + 1) & mask; map->slots[at].value; at = (at + 1) & mask) {
		size_t home = map->slots[at].hash & mask;
		if (((at - home) & mask) < ((at - hole) & mask))
			continue; /* it would land before its home */
		map->slots[hole] = map->slots[at];
		hole = at;
	}
	map->slots[hole] = (struct map_slot){};
	map->count--;
	return value;
}

bool map_next(const struct map *map, size_t *at, void **ret_value)
{
	for (; *at < map->size; ++*at) {
		void *value = map->slots[*at].value;
		if (!value)
			continue;
		++*at;
		*ret_value = value;
		return true;
	}
	return false;
}
