#pragma once
/*
 * The engine itself, shared by its modules and by nobody else:
 *
 *	engine ──► directory ──► function_entry ──► pool (one a version) ──► environment
 *	                                              └──► waiting invocations
 *
 * Each is owned by the one above. An invocation is owned by the engine from engine_invoke() to its
 * end. All of it belongs to the loop thread.
 */
#include "base/attr.h"
#include "base/list.h"
#include "base/map.h"
#include "engine/capacity.h"
#include "engine/engine.h"
#include "engine/hold.h"
#include "engine/measure.h"
#include "engine/recent.h"
#include "os/loop.h"

struct engine {
	struct engine_options options;
	struct loop *loop;
	struct platform *platform;
	struct function_log_writer *log_writer;
	struct map functions;	 /* account/region/name → struct function_entry */
	struct map scopes;	 /* account/region → struct account_scope */
	struct map environments; /* id → struct environment, every one not freed */
	struct capacity capacity;
	struct list idle;   /* all idle environments, least recently used first */
	struct list sparse; /* pools that will have another environment ready */
	struct timer *spare_timer;
	struct holds holds;
	struct stems *stems;
	struct list starved; /* pools that lack environments, in turn */
	struct timer *starved_timer;
	struct timer *memory_timer; /* looks at those that work, while some do */
	bool is_memory_timed;
	bool is_starved_timed;
	unsigned loads; /* readings of functions with the workers */
	uint64_t next_id;
	uint64_t random; /* state of the weights' generator */
	struct engine_counters counters;
	struct measures measures;
	struct recents recents;
	void (*on_drained)(void *context); /* set: draining */
	void *on_drained_context;
	void (*on_reset)(void *context);
	void *on_reset_context;
	bool is_flushing; /* drained or reset: the last logs are being written */
};

/* Microseconds of the monotonic clock. */
uint64_t engine_now_us(void);
/* A number below `bound`, for weights. */
uint32_t engine_random(struct engine *engine, uint32_t bound);
/* When draining and nothing is left: tell. */
void engine_check_drained(struct engine *engine);
