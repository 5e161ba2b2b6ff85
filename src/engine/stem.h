#pragma once
/*
 * Stems: runtimes that are booted in sandboxes of their own and are no function's yet, a few of each
 * pack whose bootstrap can wait for its function. See stem.c.
 */
#include "base/str.h"
#include "wire/frames.h"

#include <stdbool.h>

struct engine;
struct http_conn;
struct http_server;
struct runtime_pack;
struct stems;
struct function_version;

/*
 * What of a function its runtime reads at the start (see runtime_reads_at_start()): a stem is
 * started with it, and can only become an environment of such functions. What the pack does not
 * read so is 0 or "".
 */
struct stem_kin {
	uint32_t memory_mb;
	char runtime[40]; /* the name that the function asks for */
};

/* What a stem is made of; once it is taken, the taker's. */
struct stem_parts {
	uint64_t id; /* the ticket of its spawn, by which the warden will tell its end */
	struct sandbox_handle sandbox;
	struct http_server *server; /* of its Runtime API; see http_server_give() */
	struct http_conn *parked;   /* the request that waits for the environment variables */
	int endpoint;		    /* listener */
	int memory, memory_stat;    /* files of its cgroup */
	int log;		    /* the read end of its output */
};

/* 0 and engine->stems, or -ENOMEM. */
[[nodiscard]] int stems_new(struct engine *engine);
/* None may be left: stems_drain(). */
void stems_free(struct stems *stems);
/* There are functions of this pack, by this name: have its zygote, and stems. */
void stems_use(struct engine *engine, const struct runtime_pack *pack, str runtime);
/* Another bound of their number. */
void stems_on_tuned(struct engine *engine);
/* The stem that is next, of those fit for this version: its parts, to be taken; false when none waits. There will be more of them then. */
[[nodiscard]] bool stems_next(struct engine *engine, const struct runtime_pack *pack,
	const struct function_version *version, struct stem_parts *ret_parts);
/* It was taken: its parts are the taker's, and so is the warden's word on it from now on. */
void stems_took(struct engine *engine, uint64_t id);
/* The warden's word on one of them; false: it is none (then, of descriptors, nothing was taken). */
[[nodiscard]] bool stems_on_spawned(
	struct engine *engine, const struct spawned_frame *frame, const int fds[static 4]);
[[nodiscard]] bool stems_on_exited(struct engine *engine, const struct exited_frame *frame);
/* Somebody needs a place on this node: end a waiting one. False when there is none. */
bool stems_yield(struct engine *engine);
/* End all of them, and start no more. */
void stems_drain(struct engine *engine);
/* How many live, and how many of them wait for a function. */
unsigned stems_count(const struct engine *engine);
unsigned stems_ready(const struct engine *engine);
/* How many are ending: their places are free when they have gone. */
unsigned stems_dying(const struct engine *engine);

/* What a runtime asks for that waits for its function. */
#define STEM_PATH S("/2018-06-01/runtime/mayfly/stem")
