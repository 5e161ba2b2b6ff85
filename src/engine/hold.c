/*
 * Holding back: late binding, where environments are plenty and processors are not.
 *
 * Thirty-two requests at a time for a function that answers in microseconds could be spread over
 * thirty-two environments. Each of those processes would be woken, find its caches cold, and be
 * switched away from, for one request each; a few of them, kept running, answer all of them sooner and in
 * half the processor time. So when as many invocations of a version run as keep the processors
 * busy (`hold_above`), further ones wait, and the next environment to come back takes the oldest.
 *
 * That is right for as long as processors are what lacks. So a waiter gets an idle environment as
 * soon as the router's loop has nothing else to do and the host has a processor without work: one at a time, as the
 * first may bring work back. A function that sleeps is served as if nothing were held, for the price of
 * a poll that finds nothing. And nobody is held for longer than `hold_ms`, whatever else keeps the
 * processors busy.
 *
 * Those who are held lack no environment: what is started, throttled and evicted is the same as
 * without holding.
 */
#include "engine/hold.h"

#include "base/err.h"
#include "engine/core.h"
#include "engine/invocation.h"
#include "engine/pool.h"

enum { LOOK_MS = 1 };

static bool is_holding(const struct pool *pool)
{
	return pool->waiting && pool->resting;
}

bool hold_is_better(const struct pool *pool)
{
	unsigned most = pool->engine->options.hold_above;

	return most && pool->invocations - pool->waiting >= most;
}

void hold_begin(struct pool *pool)
{
	struct holds *holds = &pool->engine->holds;

	if (!is_holding(pool))
		return;
	if (!list_linked(&pool->holding))
		list_push_back(&holds->pools, &pool->holding);
	loop_defer_until_calm(pool->engine->loop, &holds->go_on);
	if (holds->is_timed)
		return;
	holds->is_timed = true;
	timer_set(holds->timer, LOOK_MS);
}

static bool has_free_processor(const struct engine *engine)
{
	const struct engine_options *options = &engine->options;

	return !options->has_free_processor || options->has_free_processor(options->context);
}

/* The first that still holds; NULL: none does. */
static struct pool *holds_first(struct holds *holds)
{
	struct list *first;

	while ((first = list_first(&holds->pools))) {
		struct pool *pool = list_entry(first, struct pool, holding);
		if (is_holding(pool))
			return pool;
		list_remove(first);
	}
	return NULL;
}

/*
 * One waiter of the first pool, which goes to the end of the queue then. When no processor is free, the
 * next look is at the next calm after somebody came back, or with the timer.
 */
static void holds_on_calm(struct deferred *go_on)
{
	struct holds *holds = list_entry(go_on, struct holds, go_on);
	struct pool *pool = holds_first(holds);

	if (!pool || !has_free_processor(holds->engine))
		return;
	list_remove(&pool->holding);
	(void)pool_bind(pool);
	hold_begin(pool);
	if (!list_empty(&holds->pools))
		loop_defer_until_calm(holds->engine->loop, &holds->go_on);
}

static bool has_held_too_long(struct pool *pool)
{
	struct list *oldest = list_first(&pool->waiters);

	return oldest &&
		loop_now_ms(pool->engine->loop) -
			list_entry(oldest, struct invocation, waiting)->received_ms >=
		pool->engine->options.hold_ms;
}

static void holds_on_time(void *context)
{
	struct holds *holds = context;

	list_each(link, &holds->pools) {
		struct pool *pool = list_entry(link, struct pool, holding);
		while (has_held_too_long(pool) && pool_bind(pool))
			;
		if (!is_holding(pool))
			list_remove(&pool->holding);
	}
	holds->is_timed = !list_empty(&holds->pools);
	if (!holds->is_timed)
		return;
	loop_defer_until_calm(holds->engine->loop, &holds->go_on);
	timer_set(holds->timer, LOOK_MS);
}

int holds_init(struct holds *holds, struct engine *engine)
{
	*holds = (struct holds){ .engine = engine, .go_on.run = holds_on_calm };
	list_init(&holds->pools);
	return err_pass(timer_new(engine->loop, holds_on_time, holds, &holds->timer));
}

void holds_done(struct holds *holds)
{
	loop_defer_cancel(&holds->go_on);
	timer_free(holds->timer);
}
