#pragma once
/*
 * The environments of one version of a function, or of one tenant of it, and the invocations that wait
 * for one: see pool.c.
 */
#include "base/list.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct environment;
struct function_entry;
struct function_version;
struct invocation;

struct pool {
	struct engine *engine;
	struct function_entry *function;
	struct function_version *version;
	str tenant; /* whom all its environments serve; empty: anybody */
	struct list link;
	struct list ready;    /* idle and provisioned: they go before all others */
	struct list idle;     /* most recently used first */
	struct list others;   /* in any other state */
	struct list waiters;  /* invocations, oldest first */
	struct list starved;  /* in engine->starved */
	struct list sparse;   /* in engine->sparse */
	struct list holding;  /* in engine->holds */
	bool is_unrestorable; /* its snapshot does not work here: start otherwise */
	bool is_stemless;     /* its code could not be given to a stem: start otherwise */
	struct list shares;   /* of what is provisioned */
	unsigned starting; /* environments in BOOTING or INIT, without those that are provisioned */
	unsigned resting;  /* in ready and idle */
	unsigned waiting;
	unsigned environments;
	uint32_t memory_seen_mb; /* the most that one of them used */
	unsigned invocations;	 /* admitted, not finished */
	unsigned provisioned;	 /* of them: on provisioned seats */
	bool is_draining;	 /* replaced by another revision */
	char tenant_text[];
};

/*
 * The pool of this very revision of a version, and of this tenant (or empty), made when missing; NULL
 * when out of memory.
 */
struct pool *pool_find(
	struct function_entry *function, struct function_version *version, str tenant);
/* Serve with an idle environment, or queue and start one, or hold it back. */
void pool_serve(struct pool *pool, struct invocation *invocation);
/* More may be missing than before: start them soon. */
void pool_want(struct pool *pool);
/* Give the oldest waiter the best environment that rests; false: none does, or nobody waits. */
[[nodiscard]] bool pool_bind(struct pool *pool);
/* Take a waiter out of the queue it stands in. */
void pool_unqueue(struct invocation *invocation);
/* The oldest waiter, out of the queue; NULL when none waits. */
struct invocation *pool_take_waiter(struct pool *pool);
/* Its invocation has ended, but it has not asked for the next one: stopped when draining. */
void pool_on_answered(struct environment *env);
/*
 * An environment became free: the oldest waiter gets it, else it is kept idle (or stopped when
 * draining).
 */
void pool_on_free(struct environment *env);
/*
 * An environment is gone, and its place free: for waiters of this pool or others. The pool may be
 * freed.
 */
void pool_on_lost(struct pool *pool);
/* One of its environments is used for the first time: have another one ready soon. */
void pool_want_spare(struct pool *pool);
/* It is time for the spares that are wanted. The timer of engine->sparse. */
void pools_on_sparse(void *engine);
/* A newer revision exists. */
void pool_drain(struct pool *pool);
/* Free it when nothing holds it: no environment, no waiter, no invocation. */
void pool_reap(struct pool *pool);
/* Kill all environments and fail all invocations. */
void pool_reset(struct pool *pool);

/* How many environments are missing. */
[[nodiscard]] unsigned pool_shortage(const struct pool *pool);
/* Start for the starved pools, in turn, what there is room for. */
void pools_start_missing(struct engine *engine);
/* Waiters that found no place for too long are throttled. The timer of engine->starved. */
void pools_on_starved(void *engine);
