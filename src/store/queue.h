#pragma once
/*
 * Durable queues: what is promised now and done later. An item waits in the lane of its owner until it is due; what
 * cannot be done stays as failed until somebody looks at it or it grows old. Written for an embedded engine (SQLite,
 * here) and a distributed one alike.
 *
 * Thread-safe: call from worker threads only (they block on the disk). What a call has acknowledged survives a power
 * cut. Which items are being worked on is known to the worker alone, so a crash gives all of them back.
 */
#include "base/buf.h"

struct queue;

/* Open or create `path` (relative to the working directory). */
[[nodiscard]] int queue_open(const char *path, struct queue **ret_queue);
/* No call may be under way. NULL is fine. */
void queue_close(struct queue *queue);

enum queue_state { QUEUE_WAITING = 0, QUEUE_FAILED };

struct queue_item {
	uint64_t id;
	str lane;
	enum queue_state state;
	uint64_t due_ms; /* wall clock; of a failed item: when it failed */
	uint64_t created_ms;
	str note; /* what the owner has to remember: small, written anew with each change */
	str body; /* never changes */
};

enum { QUEUE_LANE_MAX = 1024, QUEUE_NOTE_MAX = 64 * 1024, QUEUE_BATCH_MAX = 256 };

enum queue_verb {
	QUEUE_ADD, /* a new item of lane, note, body, due and created; `state` is QUEUE_WAITING */
	QUEUE_CHANGE, /* state, due, created and note of the item `id`; nothing if it is gone */
	QUEUE_REMOVE, /* the item `id`, if it is there */
};

struct queue_write {
	enum queue_verb verb;
	struct queue_item item;
};

/* Do all of at most QUEUE_BATCH_MAX writes or none. 0 or a fault. */
[[nodiscard]] int queue_write(struct queue *queue, const struct queue_write *writes, size_t count);

/* Called for items; return non-zero to stop. The views die on return. */
typedef int queue_each_fn(void *context, const struct queue_item *item);

/*
 * The waiting items that are due, in the order of their times, without those whose id is in `busy` (ascending).
 * *ret_next_ms: when the first of the others is due; `now_ms` if the callback has stopped; UINT64_MAX: there is none.
 */
struct queue_look {
	uint64_t now_ms;
	const uint64_t *busy;
	size_t busy_count;
};
[[nodiscard]] int queue_due(struct queue *queue, const struct queue_look *look, queue_each_fn *each,
	void *context, uint64_t *ret_next_ms);

/* The items of a lane after an id (0: from the first), in the order of their ids. */
[[nodiscard]] int queue_list(
	struct queue *queue, str lane, uint64_t after, queue_each_fn *each, void *context);

/* Remove all items of a lane: 0 and *ret_count, or a fault. */
[[nodiscard]] int queue_purge(struct queue *queue, str lane, uint64_t *ret_count);

/* Remove what failed before that time. */
[[nodiscard]] int queue_expire(struct queue *queue, uint64_t before_ms);

/* How full the lanes with this prefix are. */
struct queue_figures {
	uint64_t waiting, failed;
	uint64_t oldest_ms; /* created, of those that wait; 0: none */
};
[[nodiscard]] int queue_figures(struct queue *queue, str prefix, struct queue_figures *ret_figures);

/* The lanes with this prefix and their figures (in note and body nothing), in order. */
typedef int queue_lane_fn(void *context, str lane, const struct queue_figures *figures);
[[nodiscard]] int queue_lanes(struct queue *queue, str prefix, queue_lane_fn *each, void *context);

/* The bytes of all bodies, without a look at the disk. Any thread. */
[[nodiscard]] uint64_t queue_bytes(const struct queue *queue);

/* Remove everything (test controls). */
[[nodiscard]] int queue_wipe(struct queue *queue);
