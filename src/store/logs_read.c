/*
 * Reading events in order of (time, id), forward or backward, from chunks that overlap.
 *
 * The chunks come from one walk over the index of a group, or one per stream that was named,
 * in order of their first event. A heap holds the open ones, the one with the next event on top.
 * A chunk is opened as soon as it could hold something that comes before the top:
 *
 *	forward    when it begins no later than the top event
 *	backward   when it begins less than CHUNK_SPAN_MS before the top event, because its last
 *	           event may be that much later than its first
 *
 * So what is open at once is what was written in about the same second.
 */
#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/logs_chunk.h"
#include "store/logs_db.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* A chunk that is being read. One block of memory: this, the events, the stream's name, the data. */
struct open_chunk {
	uint64_t id; /* of its first event */
	str stream;
	size_t at; /* the event that is next */
	size_t count;
	struct chunk_event events[];
};

/* A walk over chunks; stands on a row, or is at its end. */
struct chunk_walk {
	struct query query;
	uint64_t first_ms;
	bool is_at_end;
};

struct reader {
	const struct logs_event_query *asked;
	struct chunk_walk *walks;
	size_t walk_count;
	struct open_chunk **heap;
	size_t heap_count;
	size_t heap_size;
	/* The events wanted lie strictly beyond this place… */
	uint64_t edge_ms;
	uint64_t edge_id;
	/* …and in these times, both included. */
	uint64_t from_ms;
	uint64_t last_ms;
};

enum { COLUMN_ID, COLUMN_FIRST, COLUMN_INGESTED, COLUMN_COUNT, COLUMN_DATA, COLUMN_STREAM };

static const struct chunk_event *chunk_next(const struct open_chunk *chunk)
{
	return &chunk->events[chunk->at];
}

/* Does the next event of `a` come before that of `b`? */
static bool chunk_is_before(const struct open_chunk *a, const struct open_chunk *b, bool backward)
{
	uint64_t a_ms = chunk_next(a)->at_ms;
	uint64_t b_ms = chunk_next(b)->at_ms;
	bool is_earlier = a_ms != b_ms ? a_ms < b_ms : a->id + a->at < b->id + b->at;
	return is_earlier != backward;
}

static void heap_swap(struct reader *reader, size_t a, size_t b)
{
	struct open_chunk *chunk = reader->heap[a];
	reader->heap[a] = reader->heap[b];
	reader->heap[b] = chunk;
}

static bool heap_is_before(const struct reader *reader, size_t a, size_t b)
{
	return chunk_is_before(reader->heap[a], reader->heap[b], reader->asked->backward);
}

/* Add a chunk (taken): 0 or -ENOMEM. */
static int heap_push(struct reader *reader, struct open_chunk *chunk)
{
	if (reader->heap_count == reader->heap_size) {
		size_t size = reader->heap_size ? 2 * reader->heap_size : 16;
		struct open_chunk **heap = mem_grow(reader->heap, size, sizeof(*heap));
		if (!heap) {
			mem_free(chunk);
			return err_raise(-ENOMEM);
		}
		reader->heap = heap;
		reader->heap_size = size;
	}
	size_t at = reader->heap_count++;
	reader->heap[at] = chunk;
	for (; at > 0 && heap_is_before(reader, at, (at - 1) / 2); at = (at - 1) / 2)
		heap_swap(reader, at, (at - 1) / 2);
	return 0;
}

/* The top has a new next event: let it sink to its place. */
static void heap_sink(struct reader *reader)
{
	for (size_t at = 0;;) {
		size_t least = at;
		for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < reader->heap_count;
			child++) {
			if (heap_is_before(reader, child, least))
				least = child;
		}
		if (least == at)
			return;
		heap_swap(reader, at, least);
		at = least;
	}
}

/* Is the next event of the chunk one that is wanted? */
static bool chunk_is_inside(const struct reader *reader, const struct open_chunk *chunk)
{
	uint64_t ms = chunk_next(chunk)->at_ms;
	uint64_t id = chunk->id + chunk->at;
	bool is_after = ms != reader->edge_ms ? ms > reader->edge_ms : id > reader->edge_id;
	bool is_at = ms == reader->edge_ms && id == reader->edge_id;

	return !is_at && is_after != reader->asked->backward && ms >= reader->from_ms &&
		ms <= reader->last_ms;
}

/* Go on to the next event of the chunk that is wanted: false when there is none. */
static bool chunk_advance(const struct reader *reader, struct open_chunk *chunk, bool is_first)
{
	for (;; is_first = false) {
		if (!is_first && chunk->at == (reader->asked->backward ? 0 : chunk->count - 1))
			return false;
		if (!is_first)
			chunk->at += reader->asked->backward ? -1 : 1;
		if (chunk_is_inside(reader, chunk))
			return true;
	}
}

/* Copy what the walk stands on. */
static int chunk_copy(struct query *row, struct open_chunk **ret_chunk)
{
	str stream = query_get(row, COLUMN_STREAM);
	str data = query_get(row, COLUMN_DATA);
	uint64_t count = query_get_u64(row, COLUMN_COUNT);

	if (count == 0 || count > CHUNK_EVENTS_MAX)
		return err_raise(-EUCLEAN);
	size_t size = sizeof(struct open_chunk) + count * sizeof(struct chunk_event);
	struct open_chunk *chunk = mem_new(1, size + stream.len + data.len);
	if (!chunk)
		return err_raise(-ENOMEM);
	char *bytes = (char *)chunk + size;
	memcpy(bytes, stream.at, stream.len);
	memcpy(bytes + stream.len, data.at, data.len);
	chunk->id = query_get_u64(row, COLUMN_ID);
	chunk->stream = (str){ bytes, stream.len };
	chunk->count = count;

	int r = chunk_read((str){ bytes + stream.len, data.len }, query_get_u64(row, COLUMN_FIRST),
		query_get_u64(row, COLUMN_INGESTED), chunk->events, count);
	if (r < 0) {
		mem_free(chunk);
		return err_pass(r);
	}
	*ret_chunk = chunk;
	return 0;
}

/* Put the chunk that the walk stands on into the heap, if any of its events is wanted. */
static int reader_open_chunk(struct reader *reader, struct chunk_walk *walk)
{
	struct open_chunk *chunk;

	if (!str_starts(query_get(&walk->query, COLUMN_STREAM), reader->asked->stream_prefix))
		return 0;
	int r = chunk_copy(&walk->query, &chunk);
	if (r < 0)
		return err_pass(r);
	chunk->at = reader->asked->backward ? chunk->count - 1 : 0;
	if (!chunk_advance(reader, chunk, true)) {
		mem_free(chunk);
		return 0;
	}
	return err_pass(heap_push(reader, chunk));
}

static int walk_next(struct chunk_walk *walk)
{
	int r = query_step(&walk->query);
	if (r < 0)
		return err_pass(r);
	walk->is_at_end = r == QUERY_DONE;
	walk->first_ms = walk->is_at_end ? 0 : query_get_u64(&walk->query, COLUMN_FIRST);
	return 0;
}

/* The walk whose chunk comes next, or NULL at the end of all. */
static struct chunk_walk *reader_pick_walk(const struct reader *reader)
{
	struct chunk_walk *best = NULL;

	for (size_t i = 0; i < reader->walk_count; i++) {
		struct chunk_walk *walk = &reader->walks[i];
		if (walk->is_at_end)
			continue;
		bool is_next = !best ||
			(reader->asked->backward ? walk->first_ms > best->first_ms
						 : walk->first_ms < best->first_ms);
		best = is_next ? walk : best;
	}
	return best;
}

/* Open every chunk that could hold what comes before the top of the heap. */
static int reader_fill(struct reader *reader)
{
	for (;;) {
		struct chunk_walk *walk = reader_pick_walk(reader);
		if (!walk)
			return 0;
		if (reader->heap_count) {
			uint64_t top_ms = chunk_next(reader->heap[0])->at_ms;
			bool is_near = reader->asked->backward
				? walk->first_ms + CHUNK_SPAN_MS >= top_ms
				: walk->first_ms <= top_ms;
			if (!is_near)
				return 0;
		}
		int r = reader_open_chunk(reader, walk);
		if (r == 0)
			r = walk_next(walk);
		if (r < 0)
			return err_pass(r);
	}
}

/* The top has been yielded: go on in its chunk, or close it. */
static void reader_pass(struct reader *reader)
{
	struct open_chunk *top = reader->heap[0];

	if (!chunk_advance(reader, top, false)) {
		mem_free(top);
		reader->heap[0] = reader->heap[--reader->heap_count];
	}
	heap_sink(reader);
}

static int reader_run(struct reader *reader, logs_event_fn *each, void *context)
{
	size_t limit = reader->asked->limit;

	for (size_t count = 0; limit == 0 || count < limit; count++) {
		int r = reader_fill(reader);
		if (r < 0 || reader->heap_count == 0)
			return err_pass(r);
		const struct open_chunk *top = reader->heap[0];
		const struct chunk_event *next = chunk_next(top);
		struct logs_event event = {
			.group = reader->asked->group,
			.stream = top->stream,
			.timestamp_ms = next->at_ms,
			.ingested_ms = next->ingested_ms,
			.message = next->message,
		};
		if (each(context, &event, top->id + top->at))
			return 0;
		reader_pass(reader);
	}
	return 0;
}

/* Turn what is asked into bounds. Ids begin at 1: (ms, 0) is before all events of that ms. */
static void reader_bound(struct reader *reader)
{
	const struct logs_event_query *asked = reader->asked;
	bool has_cursor = asked->cursor_ms || asked->cursor_id;

	reader->from_ms = asked->from_ms < INT64_MAX ? asked->from_ms : INT64_MAX;
	reader->last_ms = asked->to_ms && asked->to_ms < INT64_MAX ? asked->to_ms - 1 : INT64_MAX;
	reader->edge_ms = asked->backward ? INT64_MAX : 0;
	reader->edge_id = asked->backward ? UINT64_MAX : 0;
	if (has_cursor) {
		reader->edge_ms = asked->cursor_ms;
		reader->edge_id = asked->cursor_id;
	}
}

/* Bind whose chunks, where the first may begin, where the last may, and what none ends before. */
static int walk_start(struct chunk_walk *walk, const struct reader *reader, uint64_t owner_id)
{
	bool backward = reader->asked->backward;
	uint64_t least_ms = backward ? reader->from_ms : MAX(reader->from_ms, reader->edge_ms);
	uint64_t most_ms = backward ? MIN(reader->last_ms, reader->edge_ms) : reader->last_ms;

	query_put_u64(&walk->query, owner_id);
	query_put_u64(&walk->query, least_ms > CHUNK_SPAN_MS ? least_ms - CHUNK_SPAN_MS : 0);
	query_put_u64(&walk->query, most_ms);
	query_put_u64(&walk->query, least_ms);
	return err_pass(walk_next(walk));
}

/* One walk over the group, or one for each stream asked for; LOGS_NO_STREAM when one is not there. */
static int reader_start(struct reader *reader, struct sql *sql, uint64_t group_id)
{
	const struct logs_event_query *asked = reader->asked;
	bool backward = asked->backward;

	if (asked->stream_count == 0) {
		query_begin(&reader->walks[0].query, sql,
			backward ? LOGS_CHUNK_OF_GROUP_DOWN : LOGS_CHUNK_OF_GROUP);
		return err_pass(walk_start(&reader->walks[0], reader, group_id));
	}
	for (size_t i = 0; i < asked->stream_count; i++) {
		uint64_t stream_id;
		int r = logs_find_stream(sql, group_id, asked->streams[i], &stream_id);
		if (r != LOGS_DONE)
			return err_pass(r);
		query_begin_own(&reader->walks[i].query, sql,
			backward ? LOGS_CHUNK_OF_STREAM_DOWN : LOGS_CHUNK_OF_STREAM);
		r = walk_start(&reader->walks[i], reader, stream_id);
		if (r < 0)
			return err_pass(r);
	}
	return LOGS_DONE;
}

static void reader_done(struct reader *reader)
{
	for (size_t i = 0; i < reader->walk_count; i++)
		query_end(&reader->walks[i].query);
	for (size_t i = 0; i < reader->heap_count; i++)
		mem_free(reader->heap[i]);
	mem_free(reader->heap);
	mem_free(reader->walks);
}

static int logs_events_in(struct sql *sql, struct logs_scope scope,
	const struct logs_event_query *asked, logs_event_fn *each, void *context)
{
	struct reader reader = { .asked = asked };
	uint64_t group_id;

	int r = logs_find_group(sql, scope, asked->group, &group_id);
	if (r != LOGS_DONE)
		return err_pass(r);
	reader_bound(&reader);
	reader.walk_count = asked->stream_count ? asked->stream_count : 1;
	reader.walks = mem_new(reader.walk_count, sizeof(*reader.walks));
	if (!reader.walks)
		return err_raise(-ENOMEM);
	r = reader_start(&reader, sql, group_id);
	if (r == LOGS_DONE)
		r = reader_run(&reader, each, context);
	reader_done(&reader);
	return err_pass(r);
}

int logs_events(struct logs *logs, struct logs_scope scope, const struct logs_event_query *asked,
	logs_event_fn *each, void *context)
{
	struct sql *sql;

	assert(logs && asked && each);
	int r = sql_lease(logs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	r = logs_events_in(sql, scope, asked, each, context);
	return err_pass(sql_return(logs->pool, sql, r));
}
