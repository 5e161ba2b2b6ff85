#pragma once
/*
 * Who brings records and dead letters to queues, topics, buses and buckets: several at a time, of each target only some, so
 * that one that is slow holds up itself. See async_courier.c. Loop thread.
 */
#include <stdbool.h>

struct async;
struct async_item;
struct courier;

/* 0 and *ret_courier, or a fault. */
[[nodiscard]] int courier_new(struct async *async, struct courier **ret_courier);
/* It has nothing to do. NULL is fine. */
void courier_free(struct courier *courier);

/*
 * One more delivery, which the caller keeps in a list of its own by item->link until async_delivered() gives it back, or
 * async_deferred() does at once because too many wait for its target.
 */
void courier_take(struct courier *courier, struct async_item *item);
/* All that have not been begun go to async_given_back(). */
void courier_give_back(struct courier *courier);
/* Nothing is on its way, and no worker is at it. */
bool courier_is_quiet(const struct courier *courier);

/* --- async.c; an item leaves the courier with each of the first three --- */

/* Tried: what came of it is item->answer, and item->why in words. */
void async_delivered(struct async_item *item);
void async_deferred(struct async_item *item);
void async_given_back(struct async_item *item);
/* It has become quiet. */
void async_courier_quiet(struct async *async);
