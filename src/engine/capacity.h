#pragma once
/*
 * What the node has room for: places, memory, starts at a time. See capacity.c.
 */
#include "base/list.h"
#include "os/loop.h"

#include <stdint.h>

struct engine;
struct environment;
struct pool;

struct capacity {
	struct engine *engine;
	uint64_t memory_mb; /* that environments are counted with, those that are DEAD included */
	uint64_t dying_mb;  /* of it: of those that are DEAD */
	unsigned dying;	    /* environments that are DEAD and still have their place */
	struct list starts; /* environments that occupy a start, the oldest first */
	unsigned start_count;
	uint64_t
		neighbour_ms; /* loop time: when one was given work whose pool wants no start; 0: never */
	struct timer *starts_timer;
	struct deferred start_more; /* a start has become free */
};

/* 0 or a fault. */
[[nodiscard]] int capacity_init(struct capacity *capacity, struct engine *engine);
void capacity_done(struct capacity *capacity);

/* A new environment begins to start. */
void capacity_add(struct environment *env);
/* Its state has changed: count it again. */
void capacity_update(struct environment *env);
/* It is gone. */
void capacity_remove(struct environment *env);

/* Could any environment be started now, if it were small enough? */
[[nodiscard]] bool capacity_has_start(const struct capacity *capacity);
/* Is there memory for one of this pool? */
[[nodiscard]] bool capacity_fits(const struct capacity *capacity, const struct pool *pool);
/* How many MB are counted, those of stems included. */
[[nodiscard]] uint64_t capacity_memory_mb(const struct capacity *capacity);
/* How many MB the next environment of this pool will be counted with. */
[[nodiscard]] uint32_t capacity_charge(const struct pool *pool);

enum { CAPACITY_WORDS = 160 };
/*
 * Does the node lack a place, or memory, for one of this pool? Then `words` say so to a caller. (Not
 * when only a start is lacking: that is a matter of time.)
 */
[[nodiscard]] bool capacity_lacks(const struct capacity *capacity, const struct pool *pool,
	char words[static CAPACITY_WORDS]);

/* Those that have been idle longest make room for what `engine->starved` could start now. */
void capacity_make_room(struct capacity *capacity);
