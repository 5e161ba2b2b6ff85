/*
 * Writing events. A batch holds the output of many environments as it came, line by line; it is
 * gathered by stream, and each stream's share becomes one chunk, or a few. So what a batch
 * costs is a few row changes a stream, however many lines there are.
 */
#include "base/err.h"
#include "base/mem.h"
#include "store/logs_chunk.h"
#include "store/logs_db.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* The share of one stream. */
struct logs_share {
	uint64_t group_id;
	uint64_t stream_id;
	uint64_t first_ms; /* of all its chunks in this batch */
	uint64_t last_ms;
	uint64_t ingested_ms;
	uint64_t bytes;
	struct chunk chunk;
};

/* Make room in the sequence of event ids: *ret_id is the first of `count` new ones. */
static int logs_take_ids(struct sql *sql, size_t count, uint64_t *ret_id)
{
	struct query query;

	query_begin(&query, sql, LOGS_IDS);
	query_put_u64(&query, count);
	int r = query_step(&query);
	if (r == QUERY_ROW) {
		*ret_id = query_get_u64(&query, 0) - count + 1;
		r = query_step(
			&query); /* to its end: a write that is still going blocks the commit */
	} else if (r == QUERY_DONE) {
		r = err_raise(-EUCLEAN); /* the one row is gone */
	}
	query_end(&query);
	return err_pass(r);
}

/* Store the chunk that is being made, if there is anything in it. */
static int share_store_chunk(struct sql *sql, struct logs_share *share)
{
	struct chunk *chunk = &share->chunk;
	struct query query;
	uint64_t id = 0;

	if (chunk->count == 0)
		return 0;
	if (chunk->data.err)
		return err_raise(chunk->data.err);
	int r = logs_take_ids(sql, chunk->count, &id);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, LOGS_CHUNK_ADD);
	query_put_u64(&query, id);
	query_put_u64(&query, share->group_id);
	query_put_u64(&query, share->stream_id);
	query_put_u64(&query, chunk->first_ms);
	query_put_u64(&query, chunk->last_ms);
	query_put_u64(&query, chunk->ingested_ms);
	query_put_u64(&query, chunk->count);
	query_put_u64(&query, chunk->bytes);
	query_put(&query, buf_str(&chunk->data));
	r = query_run(&query);
	chunk_clear(chunk);
	return err_pass(r);
}

static int share_add(struct sql *sql, struct logs_share *share, const struct logs_event *event)
{
	if (!chunk_takes(&share->chunk, event)) {
		int r = share_store_chunk(sql, share);
		if (r < 0)
			return err_pass(r);
	}
	chunk_put(&share->chunk, event);
	share->bytes += event->message.len + LOGS_EVENT_BYTES;
	if (event->timestamp_ms < share->first_ms)
		share->first_ms = event->timestamp_ms;
	if (event->timestamp_ms > share->last_ms)
		share->last_ms = event->timestamp_ms;
	if (event->ingested_ms > share->ingested_ms)
		share->ingested_ms = event->ingested_ms;
	return 0;
}

/* Store what is left, and count the share in the rows of its stream and group. */
static int share_end(struct sql *sql, struct logs_share *share)
{
	struct query query;

	int r = share_store_chunk(sql, share);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, LOGS_STREAM_GROW);
	query_put_u64(&query, share->first_ms);
	query_put_u64(&query, share->last_ms);
	query_put_u64(&query, share->ingested_ms);
	query_put_u64(&query, share->bytes);
	query_put_u64(&query, share->stream_id);
	r = query_run(&query);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, LOGS_GROUP_GROW);
	query_put_u64(&query, share->bytes);
	query_put_u64(&query, share->group_id);
	return err_pass(query_run(&query));
}

/* The ids of the event's group and stream, made when missing if `make`. */
static int share_find(struct sql *sql, struct logs_scope scope, const struct logs_event *event,
	bool make, struct logs_share *share)
{
	int r = logs_find_group(sql, scope, event->group, &share->group_id);
	if (r == LOGS_NO_GROUP && make) {
		struct logs_group group = {
			.name = event->group,
			.created_ms = event->ingested_ms,
			.log_class = S("STANDARD"),
		};
		r = logs_add_group(sql, scope, &group, &share->group_id);
	}
	if (r != LOGS_DONE)
		return err_pass(r);

	r = logs_find_stream(sql, share->group_id, event->stream, &share->stream_id);
	if (r == LOGS_NO_STREAM && make)
		r = logs_add_stream(
			sql, share->group_id, event->stream, event->ingested_ms, &share->stream_id);
	return err_pass(r);
}

/* Order by group and stream, and where these are the same, as they came. */
static int event_compare(const void *left, const void *right)
{
	const struct logs_event *a = *(const struct logs_event *const *)left;
	const struct logs_event *b = *(const struct logs_event *const *)right;
	int order = 0;

	if (a->group.at != b->group.at || a->group.len != b->group.len)
		order = str_cmp(a->group, b->group);
	if (order == 0 && (a->stream.at != b->stream.at || a->stream.len != b->stream.len))
		order = str_cmp(a->stream, b->stream);
	return order ? order : (a > b) - (a < b);
}

static bool event_same_stream(const struct logs_event *a, const struct logs_event *b)
{
	return str_eq(a->stream, b->stream) && str_eq(a->group, b->group);
}

/* The events from `from` on that are of one stream; *ret_end is where the next one's begin. */
static int logs_append_share(struct sql *sql, struct logs_scope scope,
	const struct logs_event **events, size_t from, size_t count, bool make, size_t *ret_end)
{
	struct logs_share share = { .first_ms = UINT64_MAX };
	size_t i = from;

	int r = share_find(sql, scope, events[from], make, &share);
	if (r != LOGS_DONE)
		return err_pass(r);
	chunk_init(&share.chunk);
	for (; r == 0 && i < count && event_same_stream(events[i], events[from]); i++)
		r = share_add(sql, &share, events[i]);
	if (r == 0)
		r = share_end(sql, &share);
	chunk_done(&share.chunk);
	*ret_end = i;
	return err_pass(r);
}

static int logs_append_in(struct sql *sql, struct logs_scope scope,
	const struct logs_event **events, size_t count, bool make)
{
	int r = sql_begin(sql);
	for (size_t at = 0; r == LOGS_DONE && at < count;)
		r = logs_append_share(sql, scope, events, at, count, make, &at);
	return err_pass(r == LOGS_DONE ? sql_commit(sql) : r);
}

int logs_append(struct logs *logs, struct logs_scope scope, const struct logs_event *events,
	size_t count, bool make)
{
	struct sql *sql;

	assert(logs && (events || count == 0));
	scoped_mem const struct logs_event **sorted = mem_new(count, sizeof(*sorted));
	if (!sorted)
		return err_raise(-ENOMEM);
	for (size_t i = 0; i < count; i++) {
		if (events[i].timestamp_ms > INT64_MAX || events[i].ingested_ms > INT64_MAX)
			return err_raise(-ERANGE);
		sorted[i] = &events[i];
	}
	qsort(sorted, count, sizeof(*sorted), event_compare);

	int r = sql_lease(logs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	return err_pass(
		sql_return(logs->pool, sql, logs_append_in(sql, scope, sorted, count, make)));
}
