#pragma once
/* Invocations that wait although an environment is idle, because a busy one is better: see hold.c. */
#include "base/list.h"
#include "os/loop.h"

#include <stdbool.h>

struct engine;
struct pool;

/* Pools that hold, and when they go on. Part of the engine. */
struct holds {
	struct engine *engine;
	struct list pools; /* in turn */
	struct deferred go_on;
	struct timer *timer; /* the longest that one waits */
	bool is_timed;
};

/* 0, or a fault. What is all zero may be done, too. */
[[nodiscard]] int holds_init(struct holds *holds, struct engine *engine);
void holds_done(struct holds *holds);

/* Is the next waiter served sooner by a busy environment than by waking an idle one? */
[[nodiscard]] bool hold_is_better(const struct pool *pool);
/* Its waiters get what rests as soon as that is better, or they have waited long enough; none of either: nothing. */
void hold_begin(struct pool *pool);
