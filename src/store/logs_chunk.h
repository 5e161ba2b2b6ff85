#pragma once
/*
 * Inside the log store: chunks. A chunk is a run of events of one stream as they came in one
 * batch, in order of time, kept as one row.
 */
#include "base/buf.h"
#include "store/logs.h"

enum {
	/* The times of a chunk's events lie this close together, so that a reader knows how far to look back. */
	CHUNK_SPAN_MS = 1000,
	CHUNK_BYTES = 128 * 1024, /* it is full beyond that */
	CHUNK_EVENTS_MAX = 4096,
};

/* A chunk that is being made. */
struct chunk {
	struct buf data;
	uint64_t first_ms;
	uint64_t last_ms;
	uint64_t ingested_ms; /* of the first event; others add to it */
	size_t count;
	uint64_t
		bytes; /* as sizes of streams and groups are told: messages and LOGS_EVENT_BYTES each */
};

/* What an event adds to the sizes of its stream and group, beside its message. */
enum { LOGS_EVENT_BYTES = 26 };

/* An empty one; it holds memory until chunk_done(). */
void chunk_init(struct chunk *chunk);
void chunk_done(struct chunk *chunk);

/* May this event follow? An empty chunk takes any. */
bool chunk_takes(const struct chunk *chunk, const struct logs_event *event);

/* Append an event that chunk_takes(); chunk->data.err says whether there was memory. */
void chunk_put(struct chunk *chunk, const struct logs_event *event);

/* Empty it for the next one. */
void chunk_clear(struct chunk *chunk);

/* An event of a stored chunk. */
struct chunk_event {
	uint64_t at_ms;
	uint64_t ingested_ms;
	str message; /* into the chunk's data */
};

/*
 * Take a stored chunk apart into `count` events, which must be all there are. 0; -EUCLEAN when the data is
 * not what chunk_put() makes.
 */
[[nodiscard]] int chunk_read(str data, uint64_t first_ms, uint64_t ingested_ms,
	struct chunk_event *events, size_t count);
