#pragma once
/* What async.c (the loop's part), async_work.c (the workers') and async_courier.c (deliveries) share. */
#include "base/arena.h"
#include "engine/engine.h"
#include "model/retry.h"
#include "os/loop.h"
#include "services/lambda/async.h"
#include "services/lambda/async_deliver.h"
#include "store/queue.h"

/*
 * The note of an item, as JSON with "Schema":
 *
 *	Kind       "event": an invocation; "delivery": a record on its way to a queue, topic, bus or bucket
 *	RequestId  of the invocation
 *	Errors, Refusals   see model/retry.h
 *	Why        what was last wrong, for people
 *	Qualifier, Trace, Tenant   of an event
 *	Target, Code, Message      of a delivery: an ARN; the last two of a dead letter
 */
enum async_kind { ASYNC_EVENT, ASYNC_DELIVERY };

/* How the work on an item has ended. */
enum async_end {
	ASYNC_LEFT, /* it was not tried: nothing is written */
	ASYNC_SUCCEEDED,
	ASYNC_RETRY,	  /* again in wait_ms */
	ASYNC_REFUSED,	  /* the same, because there was no room: a reservation of 0 ends it */
	ASYNC_EXHAUSTED,  /* no more tries: the function's error */
	ASYNC_EXPIRED,	  /* too old */
	ASYNC_IMPOSSIBLE, /* no try can help */
};

/* An item in memory: from the reading of it until its end is written. */
struct async_item {
	struct list link; /* in one of the lists of struct async, or of a round */
	struct async *async;
	uint64_t id;
	uint64_t created_ms;
	struct arena arena; /* of all views */
	str lane, account, region, name;
	enum async_kind kind;
	str request_id, qualifier, trace, tenant, target, code, message;
	str body;
	struct retry_count count;
	struct retry_rules rules;
	str on_success, on_failure, dead_letter; /* ARNs, or empty */
	/* the end */
	enum async_end end;
	uint64_t wait_ms;
	bool is_error;
	bool has_response;
	struct buf response;
	str version; /* that ran */
	char version_text[32];
	char trace_text[512]; /* as the function had it */
	char why[256];
	/* of a delivery, while it is with the courier */
	struct list waiting;
	struct async_item *next_sent;
	struct message told;
	enum delivery_answer answer;
};

/* One turn of the worker: write what has ended, read what is due. */
struct async_round {
	struct work work;
	struct async *async;
	struct list ended;
	struct list read;
	uint64_t *busy;
	size_t busy_count;
	bool is_closed; /* nothing is read */
	unsigned room;
	uint64_t room_bytes;
	uint64_t wait_ms;
	uint64_t next_ms;
	int fault; /* of the writing: all of `ended` is to be written again */
	int read_fault;
	struct async_counters told; /* what was counted on the way */
};

struct async {
	struct platform *platform;
	struct async_tuning tuning;
	struct async_destinations destinations;
	struct message wake;
	_Atomic bool is_woken;
	_Atomic uint64_t accepted;
	_Atomic uint64_t bytes_max; /* of the tuning, for the workers */
	_Atomic uint64_t keep_ms;
	struct timer *timer;
	struct deferred turn; /* a round shall begin */
	struct async_round round;
	bool is_round, is_due; /* one is going on; another one shall follow it */
	struct courier *courier;
	struct list running;	/* with the engine */
	struct list deliveries; /* with the courier */
	struct list ended;	/* to be written */
	unsigned count;		/* items in memory */
	uint64_t bytes;		/* of them */
	bool is_draining;
	void (*on_drained)(void *context);
	void *on_drained_context;
	struct async_counters counters;
};

/* What its qualifier means: without one it is $LATEST. */
static inline str async_qualifier(const struct async_item *item)
{
	return item->qualifier.len ? item->qualifier : S("$LATEST");
}

/* async_work.c; worker: struct work's run() of a round. */
void async_round_run(struct work *work);
/* Frees an item that is in no list. */
void async_item_free(struct async_item *item);
/* A note as the text that is stored, in the arena; at == NULL when out of memory. */
str async_note(struct arena *arena, const struct async_item *item);
/* Views of a stored item, in its arena: 0 or a fault. */
[[nodiscard]] int async_item_read(struct async_item *item, const struct queue_item *stored);
