/*
 * Asynchronous invocations, the loop's part.
 *
 *	submit (worker) ──► queue on disk ──► round (worker): read what is due
 *	                        ▲                    │
 *	                        │             engine, or courier (async_courier.c)
 *	                        │                    │
 *	                  round: write  ◄──────── ended
 *
 * What is in memory is only what is being worked on; all else is in the queue. A round goes on while there is something to
 * write or to read; it takes what has gathered meanwhile, so the busier it is the larger are its transactions. Nothing
 * ends before it is written: who is killed in between does it again.
 */
#include "services/lambda/async.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/platform.h"
#include "engine/recent.h"
#include "os/clock.h"
#include "services/lambda/async_courier.h"
#include "services/lambda/async_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ASYNC_ITEMS_MAX = 1024,
	ASYNC_BYTES_MAX = 128 * 1024 * 1024,
	FAULT_PAUSE_MS = 1000,
	LOOK_MS_MAX = 60'000, /* the clock of the wall may be set */
};

/* --- rounds --- */

static int id_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static size_t ids_of(const struct list *items, uint64_t *ids)
{
	size_t count = 0;

	list_each(link, (struct list *)items)
		ids[count++] = list_entry(link, struct async_item, link)->id;
	return count;
}

/* Everything in memory but what this round writes. */
static int round_fill_busy(struct async *async)
{
	struct async_round *round = &async->round;

	round->busy = mem_new(async->count + 1, sizeof(*round->busy));
	if (!round->busy)
		return err_raise(-ENOMEM);
	round->busy_count = ids_of(&async->running, round->busy);
	round->busy_count += ids_of(&async->deliveries, round->busy + round->busy_count);
	qsort(round->busy, round->busy_count, sizeof(*round->busy), id_compare);
	return 0;
}

static void list_take_all(struct list *to, struct list *from)
{
	list_each(link, from) {
		list_remove(link);
		list_push_back(to, link);
	}
}

static int round_begin(struct async *async)
{
	struct async_round *round = &async->round;

	int r = round_fill_busy(async);
	if (r < 0)
		return err_pass(r);
	list_take_all(&round->ended, &async->ended);
	round->told = (struct async_counters){};
	round->wait_ms = async->tuning.wait_ms;
	round->is_closed = async->is_draining;
	round->room = ASYNC_ITEMS_MAX - MIN(async->count, ASYNC_ITEMS_MAX);
	round->room_bytes = ASYNC_BYTES_MAX - MIN(async->bytes, (uint64_t)ASYNC_BYTES_MAX);
	r = loop_work(async->platform->loop, &round->work);
	if (r < 0) {
		list_take_all(&async->ended, &round->ended);
		mem_free(round->busy);
	}
	return err_pass(r);
}

static void async_turn(struct async *async)
{
	loop_defer(async->platform->loop, &async->turn);
}

static bool async_is_quiet(const struct async *async)
{
	return !async->is_round && !async->count && courier_is_quiet(async->courier);
}

static void async_check_drained(struct async *async)
{
	void (*done)(void *context) = async->on_drained;

	if (!done || !async_is_quiet(async))
		return;
	async->on_drained = NULL;
	timer_clear(async->timer);
	done(async->on_drained_context);
}

static void on_turn(struct deferred *self)
{
	struct async *async = list_entry(self, struct async, turn);

	if (async->is_round) {
		async->is_due = true;
		return;
	}
	async_check_drained(async);
	if (async->is_draining && list_empty(&async->ended))
		return;
	async->is_due = false;
	timer_clear(async->timer);
	int r = round_begin(async);
	async->is_round = r == 0;
	if (r == 0)
		return;
	err_log(r, "look for queued invocations");
	timer_set(async->timer, FAULT_PAUSE_MS);
}

static void on_time(void *context)
{
	async_turn(context);
}

static void on_wake(struct message *message)
{
	struct async *async = list_entry(message, struct async, wake);

	atomic_store(&async->is_woken, false);
	async_turn(async);
}

void async_wake(struct async *async)
{
	if (!atomic_exchange(&async->is_woken, true))
		loop_post(async->platform->loop, &async->wake);
}

/* --- the end of the work on one --- */

/* Out of whatever list it is in, to what the next round writes. */
static void item_end(struct async_item *item, enum async_end end)
{
	item->end = end;
	list_remove(&item->link);
	list_push_back(&item->async->ended, &item->link);
	async_turn(item->async);
}

static uint64_t item_age_ms(const struct async_item *item)
{
	uint64_t now_ms = clock_real_ms();

	return now_ms > item->created_ms ? now_ms - item->created_ms : 0;
}

static void item_why(struct async_item *item, const char *text, str detail)
{
	char more[160] = "";

	(void)!str_to_array(detail, more, sizeof(more));
	snprintf(item->why, sizeof(item->why), "%s%s%s", text, more[0] ? ": " : "", more);
}

/* --- invocations --- */

/* Kept only when somebody will be told. */
static void item_keep_response(struct async_item *item, const struct invocation_result *result)
{
	item->has_response = true;
	item->is_error = result->is_error;
	if (str_to_array(result->version, item->version_text, sizeof(item->version_text)) == 0)
		item->version = str_of(item->version_text);
	(void)!str_to_array(result->trace, item->trace_text, sizeof(item->trace_text));
	if (result->is_error ? item->on_failure.len || item->dead_letter.len : item->on_success.len)
		buf_put(&item->response, result->payload);
}

static enum async_end item_failed(struct async_item *item, const struct invocation_result *result)
{
	enum retry_verdict verdict = retry_after_error(
		&item->rules, item_age_ms(item), &item->count, &item->wait_ms);

	item_why(item, "The function failed", str_slice(result->payload, 0, 150));
	if (verdict == RETRY_LATER)
		return ASYNC_RETRY;
	return verdict == RETRY_EXHAUSTED ? ASYNC_EXHAUSTED : ASYNC_EXPIRED;
}

static enum async_end item_refused(struct async_item *item, const struct invocation_result *result)
{
	bool is_throttled = result->outcome == INVOKE_THROTTLED;

	item->wait_ms = retry_after_refusal(&item->rules, item_age_ms(item), &item->count);
	item_why(item, is_throttled ? "Throttled" : "It could not be run", result->detail);
	return is_throttled ? ASYNC_REFUSED : ASYNC_RETRY;
}

static enum async_end item_judge(struct async_item *item, const struct invocation_result *result)
{
	switch (result->outcome) {
	case INVOKE_DONE:
		item_keep_response(item, result);
		return result->is_error ? item_failed(item, result) : ASYNC_SUCCEEDED;
	case INVOKE_NO_FUNCTION:
	case INVOKE_NO_QUALIFIER:
		item_why(item, "The function, version or alias does not exist", S(""));
		return ASYNC_IMPOSSIBLE;
	case INVOKE_TOO_LARGE:
		item_why(item, "The event is larger than the function may have", S(""));
		return ASYNC_IMPOSSIBLE;
	case INVOKE_NO_TENANT:
	case INVOKE_TENANT_UNWANTED:
		item_why(item, "Its tenant does not fit the function", S(""));
		return ASYNC_IMPOSSIBLE;
	case INVOKE_RECURSIVE:
		item_why(item, "Stopped as part of a recursive loop", S(""));
		return ASYNC_IMPOSSIBLE;
	case INVOKE_PENDING:
	case INVOKE_SNAPSHOT_PENDING:
	case INVOKE_STATE_FAILED:
	case INVOKE_THROTTLED:
	case INVOKE_NO_RUNTIME:
	case INVOKE_FAULT:
		break;
	}
	return item_refused(item, result);
}

static void on_invoked(void *context, const struct invocation_result *result)
{
	struct async_item *item = context;

	enum async_end end = item_judge(item, result);
	/* Without memory for the answer nobody could be told: it is done again. */
	if (item->response.err && end != ASYNC_RETRY) {
		buf_clear(&item->response);
		end = ASYNC_RETRY;
		item->wait_ms = FAULT_PAUSE_MS;
	}
	item_end(item, end);
}

static void event_start(struct async_item *item)
{
	struct async *async = item->async;
	struct invocation *invocation;

	list_push_back(&async->running, &item->link);
	if (async->is_draining) {
		item_end(item, ASYNC_LEFT);
		return;
	}
	if (retry_is_too_old(&item->rules, item_age_ms(item))) {
		if (!item->why[0])
			item_why(item, "It has waited for too long", S(""));
		item_end(item, ASYNC_EXPIRED);
		return;
	}
	engine_measure(async->platform->engine,
		&(struct recent_value){ item->account, item->region, item->name, item->qualifier,
			RECENT_ASYNC_AGE, (double)item_age_ms(item) });
	int r = engine_invoke(async->platform->engine,
		&(struct invocation_ask){
			.account = item->account,
			.region = item->region,
			.name = item->name,
			.qualifier = item->qualifier,
			.request_id = item->request_id,
			.payload = item->body,
			.trace = item->trace,
			.tenant = item->tenant,
			.done = on_invoked,
			.context = item,
		},
		&invocation);
	if (r == 0)
		return;
	err_log(r, "begin an asynchronous invocation");
	item->wait_ms = FAULT_PAUSE_MS;
	item_why(item, "It could not be begun", S(""));
	item_end(item, ASYNC_RETRY);
}

/* --- deliveries --- */

/* It could not be brought this time. */
static void delivery_again(struct async_item *item)
{
	uint64_t age_ms = item_age_ms(item);

	item->wait_ms = retry_after_refusal(&item->rules, age_ms, &item->count);
	item_end(item, retry_is_too_old(&item->rules, age_ms) ? ASYNC_EXPIRED : ASYNC_RETRY);
}

void async_delivered(struct async_item *item)
{
	struct async *async = item->async;

	switch (item->answer) {
	case DELIVERY_DONE:
		item_end(item, ASYNC_SUCCEEDED);
		break;
	case DELIVERY_REFUSED:
		item_end(item, ASYNC_IMPOSSIBLE);
		break;
	case DELIVERY_LATER:
		delivery_again(item);
		break;
	}
	if (async->is_draining)
		courier_give_back(async->courier);
}

void async_deferred(struct async_item *item)
{
	if (!item->why[0])
		item_why(item, "Others wait for the same target", S(""));
	delivery_again(item);
}

void async_given_back(struct async_item *item)
{
	item_end(item, ASYNC_LEFT);
}

void async_courier_quiet(struct async *async)
{
	async_check_drained(async);
}

static void delivery_start(struct async_item *item)
{
	struct async *async = item->async;

	list_push_back(&async->deliveries, &item->link);
	if (async->is_draining)
		item_end(item, ASYNC_LEFT);
	else
		courier_take(async->courier, item);
}

/* --- after a round --- */

static void round_start_read(struct async *async)
{
	list_each(link, &async->round.read) {
		struct async_item *item = list_entry(link, struct async_item, link);
		list_remove(link);
		if (item->kind == ASYNC_EVENT)
			event_start(item);
		else
			delivery_start(item);
	}
}

static void counters_add(struct async_counters *to, const struct async_counters *more)
{
	to->succeeded += more->succeeded;
	to->retried += more->retried;
	to->refused += more->refused;
	to->failed += more->failed;
	to->expired += more->expired;
	to->dropped += more->dropped;
	to->delivered += more->delivered;
	to->delivery_failures += more->delivery_failures;
}

/* How many there are in memory, by looking: what was written is gone. */
static void async_count(struct async *async)
{
	const struct list *const lists[] = { &async->running, &async->deliveries, &async->ended,
		&async->round.read };

	async->count = 0;
	async->bytes = 0;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		list_each(link, (struct list *)lists[i]) {
			async->count++;
			async->bytes += list_entry(link, struct async_item, link)->body.len;
		}
}

static void round_plan_next(struct async *async)
{
	const struct async_round *round = &async->round;
	uint64_t now_ms = clock_real_ms();

	if (round->fault < 0 || round->read_fault < 0) {
		timer_set(async->timer, FAULT_PAUSE_MS);
		return;
	}
	/* With all places taken the next round comes with the next end. */
	if (async->is_due || !list_empty(&async->ended))
		async_turn(async);
	else if (round->next_ms > now_ms)
		timer_set(async->timer, MIN(round->next_ms - now_ms, (uint64_t)LOOK_MS_MAX));
	else if (async->count < ASYNC_ITEMS_MAX && async->bytes < ASYNC_BYTES_MAX)
		async_turn(async);
}

static void on_round_done(struct work *work)
{
	struct async *async = list_entry(work, struct async, round.work);

	async->is_round = false;
	mem_free(async->round.busy);
	if (async->round.fault < 0)
		err_log(async->round.fault, "write what has ended of asynchronous invocations");
	else if (async->round.read_fault < 0)
		err_log(async->round.read_fault, "read queued invocations");
	list_take_all(&async->ended, &async->round.ended);
	counters_add(&async->counters, &async->round.told);
	async_count(async);
	round_start_read(async);
	round_plan_next(async);
	async_check_drained(async);
}

/* --- life --- */

int async_new(struct platform *platform, struct async **ret_async)
{
	struct async *async = mem_one(struct async);
	if (!async)
		return err_raise(-ENOMEM);

	async->platform = platform;
	async->wake.run = on_wake;
	async->turn.run = on_turn;
	async->tuning.wait_ms = RETRY_WAIT_MS;
	async->bytes_max = UINT64_MAX;
	async->round.async = async;
	async->round.work = (struct work){ .run = async_round_run, .done = on_round_done };
	list_init(&async->running);
	list_init(&async->deliveries);
	list_init(&async->ended);
	list_init(&async->round.ended);
	list_init(&async->round.read);
	int r = courier_new(async, &async->courier);
	if (r == 0)
		r = timer_new(platform->loop, on_time, async, &async->timer);
	if (r < 0) {
		courier_free(async->courier);
		mem_free(async);
		return err_pass(r);
	}
	*ret_async = async;
	return 0;
}

void async_free(struct async *async)
{
	if (!async)
		return;
	assert(async_is_quiet(async));
	loop_defer_cancel(&async->turn);
	timer_free(async->timer);
	courier_free(async->courier);
	mem_free(async);
}

void async_tune(struct async *async, const struct async_tuning *tuning)
{
	async->tuning = *tuning;
	async->bytes_max = tuning->bytes_max;
	async->keep_ms = tuning->keep_ms;
}

void async_set_destinations(struct async *async, const struct async_destinations *destinations)
{
	async->destinations = *destinations;
}

void async_stop(struct async *async)
{
	async->is_draining = true;
	courier_give_back(async->courier);
}

void async_drain(struct async *async, void (*done)(void *context), void *context)
{
	async_stop(async);
	async->on_drained = done;
	async->on_drained_context = context;
	async_turn(async);
}

void async_counters(const struct async *async, struct async_counters *ret_counters)
{
	*ret_counters = async->counters;
	ret_counters->accepted = atomic_load(&async->accepted);
	ret_counters->running = async->count;
	ret_counters->queued_bytes = queue_bytes(async->platform->queue);
	ret_counters->wait_ms = async->tuning.wait_ms;
}

/* --- acceptance --- */

int async_submit(struct async *async, const struct async_ask *ask)
{
	struct arena arena;
	const struct async_item item = {
		.kind = ASYNC_EVENT,
		.request_id = ask->request_id,
		.qualifier = ask->qualifier,
		.trace = ask->trace,
		.tenant = ask->tenant,
	};

	if (queue_bytes(async->platform->queue) + ask->payload.len > async->bytes_max)
		return ASYNC_FULL;
	arena_init(&arena, QUEUE_NOTE_MAX);
	uint64_t now_ms = clock_real_ms();
	const struct queue_write write = { QUEUE_ADD,
		{
			.lane = arena_strf(&arena, STR_FMT "/" STR_FMT "/" STR_FMT,
				STR_ARG(ask->account), STR_ARG(ask->region), STR_ARG(ask->name)),
			.due_ms = now_ms,
			.created_ms = now_ms,
			.note = async_note(&arena, &item),
			.body = ask->payload,
		} };
	int r = write.item.lane.at && write.item.note.at
		? queue_write(async->platform->queue, &write, 1)
		: err_raise(-ENOMEM);
	arena_done(&arena);
	if (r < 0)
		return err_pass(r);
	platform_measure(async->platform,
		&(struct recent_value){ ask->account, ask->region, ask->name, ask->qualifier,
			RECENT_ASYNC_RECEIVED, 1 });
	atomic_fetch_add(&async->accepted, 1);
	async_wake(async);
	return ASYNC_DONE;
}

int async_expire(struct async *async)
{
	uint64_t now_ms = clock_real_ms(), keep_ms = atomic_load(&async->keep_ms);

	return err_pass(queue_expire(async->platform->queue, now_ms - MIN(keep_ms, now_ms)));
}
