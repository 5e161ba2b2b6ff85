#pragma once
/*
 * The event loop of the router: readiness of descriptors, timers, work on threads, and
 * messages from threads. Everything runs on the thread that calls loop_run(), except
 * where a function says otherwise. A callback is never called from inside the function
 * that registered it.
 */
#include "base/list.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct watch;
struct timer;

/* A loop without anything to do: 0 and *ret_loop, or a fault. */
[[nodiscard]] int loop_new(struct loop **ret_loop);
/* All watches and timers must be freed and all work done before. NULL is fine. */
void loop_free(struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
/* Ends loop_run() after this iteration; from the loop thread only. */
void loop_stop(struct loop *loop);
/* The monotonic time in ms at the start of this iteration, without a system call. */
uint64_t loop_now_ms(const struct loop *loop);

enum { WATCH_READ = 1, WATCH_WRITE = 2 };
typedef void watch_fn(void *context, unsigned events);

/*
 * Watch a descriptor (borrowed, non-blocking) level-triggered. The descriptor must stay
 * open until watch_free(). An error is reported as both events, a hang-up as those that are
 * watched.
 */
[[nodiscard]] int watch_new(struct loop *loop, int fd, unsigned events, watch_fn *on_ready,
	void *context, struct watch **ret_watch);
/* Change what is watched (0 = nothing, for back-pressure). A system call: not on the hot path. */
[[nodiscard]] int watch_set(struct watch *watch, unsigned events);
/* Stops at once: no further callback; the descriptor may be closed right after. NULL is fine. */
void watch_free(struct watch *watch);

typedef void timer_fn(void *context);

/* A timer that is not armed: 0 and *ret_timer (free with timer_free()), or a fault. */
[[nodiscard]] int timer_new(
	struct loop *loop, timer_fn *on_time, void *context, struct timer **ret_timer);
/* (Re)arm: fires once, `ms` from the start of this iteration. No system call. */
void timer_set(struct timer *timer, uint64_t ms);
/* Disarm. */
void timer_clear(struct timer *timer);
/* No further callback. NULL is fine. */
void timer_free(struct timer *timer);

/*
 * Something to do at the end of this iteration, after all ready descriptors have been
 * read: link it with loop_defer(); deferring it twice is once. Owned by its embedder.
 */
struct deferred {
	struct list link;
	void (*run)(struct deferred *self);
};
void loop_defer(struct loop *loop, struct deferred *task);
void loop_defer_cancel(struct deferred *task);
/*
 * Something to do as soon as the loop has nothing else to do: after a poll that found nothing ready.
 * It never sleeps before that, and what such tasks hand in again has to wait for the next such moment.
 * To be linked with one of the two at a time.
 */
void loop_defer_until_calm(struct loop *loop, struct deferred *task);

/* A message from any thread to the loop thread; ownership passes until run() is called. */
struct message {
	struct message *next;
	void (*run)(struct message *self);
};
/* Thread-safe; messages of one thread arrive in order. Never fails. */
void loop_post(struct loop *loop, struct message *message);

/*
 * Blocking work on one of the worker threads: run() there, then done() on the loop
 * thread. Owned by its embedder, who must keep it until done().
 */
struct work {
	void (*run)(struct work *self);
	void (*done)(struct work *self);
	struct loop *loop;
	void *internal; /* loop.c's */
};
[[nodiscard]] int loop_work(struct loop *loop, struct work *work);

/* How many works were given and are not done. */
unsigned loop_work_pending(const struct loop *loop);

/* Call on_signal on the loop thread for SIGTERM, SIGINT or SIGHUP. */
typedef void signal_fn(void *context, int signal);
[[nodiscard]] int loop_on_signal(
	struct loop *loop, int signal, signal_fn *on_signal, void *context);

/*
 * One thread waits for one answer of another: the waiter (a worker thread) blocks in
 * promise_wait() until promise_keep() was called, once, from any thread.
 */
struct promise {
	_Atomic uint32_t kept;
};
void promise_init(struct promise *promise);
void promise_wait(struct promise *promise);
void promise_keep(struct promise *promise);
