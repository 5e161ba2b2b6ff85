#pragma once
/*
 * Asynchronous invocations: accepted when they are durable, run when they are due, tried again as AWS does, and told to
 * whom the function's configuration names. See async.c for the life of one.
 *
 * Loop thread, but for what says worker.
 */
#include "aws/call.h"

#include <stdint.h>

struct async;
struct platform;

/* Over platform->queue, not yet awake: async_wake() is its start. 0 and *ret_async, or a fault. */
[[nodiscard]] int async_new(struct platform *platform, struct async **ret_async);
/* It was drained. NULL is fine. */
void async_free(struct async *async);

/* Settings that may change while it runs. */
struct async_tuning {
	uint64_t wait_ms; /* before the first retry; AWS: 60,000. All other waits shrink with it. */
	uint64_t keep_ms; /* how long what has failed and went nowhere is kept */
	uint64_t bytes_max; /* of everything that is queued */
};
void async_tune(struct async *async, const struct async_tuning *tuning);

/* Where queues, topics, buses and buckets are; the views are borrowed for good. */
struct async_destinations {
	str endpoint; /* http(s)://host:port; empty: nowhere */
	str key;      /* id:secret */
	str ca;	      /* a file of certificates to trust, ended by a NUL; empty: the system's */
};
void async_set_destinations(struct async *async, const struct async_destinations *destinations);

/* There is something new in the queue. Any thread. */
void async_wake(struct async *async);

/* Begin nothing new: what is queued stays for the next start, what runs goes on. */
void async_stop(struct async *async);
/* The same; `done` is called once, when nothing runs any more and all that has ended is written. */
void async_drain(struct async *async, void (*done)(void *context), void *context);

/* Since the start, or now. */
struct async_counters {
	uint64_t accepted, succeeded, retried, refused, failed, expired, dropped;
	uint64_t delivered, delivery_failures;
	uint64_t running; /* now */
	uint64_t queued_bytes;
	uint64_t wait_ms; /* as tuned */
};
void async_counters(const struct async *async, struct async_counters *ret_counters);

/* One more asynchronous invocation. */
struct async_ask {
	str account, region, name;
	str qualifier; /* as invoked; may be empty */
	str request_id;
	str tenant; /* or empty */
	str trace;  /* X-Amzn-Trace-Id, or empty */
	str payload;
};

enum async_answer { ASYNC_DONE = 0, ASYNC_FULL /* the queue holds all that it may */ };

/* Worker: ASYNC_DONE when it is on the disk, ASYNC_FULL, or a fault. */
[[nodiscard]] int async_submit(struct async *async, const struct async_ask *ask);

/* --- for operators: async_admin.c; worker --- */

/*
 * As JSON (the caller's): the lanes of the default account and region when `lane` is empty, else the items of
 * account/region/function, with their payloads when `is_whole`. 0 or a fault.
 */
[[nodiscard]] int async_admin_list(struct async *async, str lane, bool is_whole, json_t **ret_list);
/* What has failed waits again, as if it were new. 0 and *ret_count, or a fault. */
[[nodiscard]] int async_admin_redrive(struct async *async, str lane, uint64_t *ret_count);
/* Forget what waits and what has failed; what runs goes on and is not retried. 0 and *ret_count, or a fault. */
[[nodiscard]] int async_admin_purge(struct async *async, str lane, uint64_t *ret_count);

/* Worker: drop what has been kept for long enough. 0 or a fault. Now and then. */
[[nodiscard]] int async_expire(struct async *async);
