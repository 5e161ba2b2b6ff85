/*
 * Writing and reading events.
 *
 * A batch usually holds long runs of one stream (the output of one environment), so ids are
 * looked up when the stream changes, and a run's sizes and times are added to its rows at its
 * end: what a batch costs beside its events does not grow with them.
 *
 * Reading a group is one walk over the index of the group. Reading some streams of it is a merge
 * of one walk per stream: a group's other streams, which may be thousands, cost nothing. The
 * order everywhere is (time, id).
 */
#include "store/logs_db.h"

#include "base/err.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>

/* A run of events of one stream, being appended. */
struct logs_run {
	str group;
	str stream;
	uint64_t group_id;
	uint64_t stream_id; /* 0: no run yet */
	uint64_t bytes;
	uint64_t first_ms;
	uint64_t last_ms;
	uint64_t ingested_ms;
};

/* Add up the run in the rows of its stream and group. */
static int logs_run_end(struct sql *sql, const struct logs_run *run)
{
	struct query query;

	if (run->stream_id == 0)
		return 0;
	query_begin(&query, sql, LOGS_STREAM_GROW);
	query_put_u64(&query, run->first_ms);
	query_put_u64(&query, run->last_ms);
	query_put_u64(&query, run->ingested_ms);
	query_put_u64(&query, run->bytes);
	query_put_u64(&query, run->stream_id);
	int r = query_run(&query);
	if (r < 0)
		return err_pass(r);

	query_begin(&query, sql, LOGS_GROUP_GROW);
	query_put_u64(&query, run->bytes);
	query_put_u64(&query, run->group_id);
	return err_pass(query_run(&query));
}

/* The ids of the event's group and stream, made when missing if `make`. */
static int logs_run_find(struct sql *sql, struct logs_scope scope, const struct logs_event *event,
	bool make, struct logs_run *run)
{
	int r = logs_find_group(sql, scope, event->group, &run->group_id);
	if (r == LOGS_NO_GROUP && make) {
		struct logs_group group = {
			.name = event->group,
			.created_ms = event->ingested_ms,
			.log_class = S("STANDARD"),
		};
		r = logs_add_group(sql, scope, &group, &run->group_id);
	}
	if (r != LOGS_DONE)
		return err_pass(r);

	r = logs_find_stream(sql, run->group_id, event->stream, &run->stream_id);
	if (r == LOGS_NO_STREAM && make)
		r = logs_add_stream(
			sql, run->group_id, event->stream, event->ingested_ms, &run->stream_id);
	return err_pass(r);
}

static int logs_run_begin(struct sql *sql, struct logs_scope scope, const struct logs_event *event,
	bool make, struct logs_run *run)
{
	int r = logs_run_end(sql, run);
	if (r < 0)
		return err_pass(r);
	*run = (struct logs_run){
		.group = event->group,
		.stream = event->stream,
		.first_ms = event->timestamp_ms,
	};
	return err_pass(logs_run_find(sql, scope, event, make, run));
}

static int logs_run_add(struct sql *sql, struct logs_run *run, const struct logs_event *event)
{
	struct query query;
	query_begin(&query, sql, LOGS_EVENT_ADD);
	query_put_u64(&query, run->group_id);
	query_put_u64(&query, run->stream_id);
	query_put_u64(&query, event->timestamp_ms);
	query_put_u64(&query, event->ingested_ms);
	query_put(&query, event->message);
	int r = query_run(&query);
	if (r < 0)
		return err_pass(r);

	run->bytes += event->message.len + LOGS_EVENT_BYTES;
	if (event->timestamp_ms < run->first_ms)
		run->first_ms = event->timestamp_ms;
	if (event->timestamp_ms > run->last_ms)
		run->last_ms = event->timestamp_ms;
	if (event->ingested_ms > run->ingested_ms)
		run->ingested_ms = event->ingested_ms;
	return 0;
}

static int logs_append_all(struct sql *sql, struct logs_scope scope,
	const struct logs_event *events, size_t count, bool make)
{
	struct logs_run run = {};

	for (size_t i = 0; i < count; i++) {
		const struct logs_event *event = &events[i];
		int r = LOGS_DONE;
		if (run.stream_id == 0 || !str_eq(run.stream, event->stream) ||
			!str_eq(run.group, event->group))
			r = logs_run_begin(sql, scope, event, make, &run);
		if (r == LOGS_DONE)
			r = logs_run_add(sql, &run, event);
		if (r != LOGS_DONE)
			return err_pass(r);
	}
	return err_pass(logs_run_end(sql, &run));
}

int logs_append(struct logs *logs, struct logs_scope scope, const struct logs_event *events,
	size_t count, bool make)
{
	struct sql *sql;

	assert(logs && (events || count == 0));
	for (size_t i = 0; i < count; i++) {
		if (events[i].timestamp_ms > INT64_MAX || events[i].ingested_ms > INT64_MAX)
			return err_raise(-ERANGE);
	}
	int r = sql_lease(logs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	r = sql_begin(sql);
	if (r == 0)
		r = logs_append_all(sql, scope, events, count, make);
	if (r == LOGS_DONE)
		r = sql_commit(sql);
	return err_pass(sql_return(logs->pool, sql, r));
}

/* One walk over events in order; stands on a row, or is at its end. */
struct logs_walk {
	struct query query;
	uint64_t at_ms;
	uint64_t id; /* 0: at the end */
};

static int logs_walk_next(struct logs_walk *walk)
{
	int r = query_step(&walk->query);
	if (r < 0)
		return err_pass(r);
	walk->id = r == QUERY_ROW ? query_get_u64(&walk->query, 0) : 0;
	walk->at_ms = r == QUERY_ROW ? query_get_u64(&walk->query, 1) : 0;
	return 0;
}

/* Bind where to begin (exclusive: the cursor, or the edge of the time range) and where to end. */
static void logs_walk_bind(struct query *query, const struct logs_event_query *asked)
{
	uint64_t to_ms = asked->to_ms && asked->to_ms < INT64_MAX ? asked->to_ms : INT64_MAX;
	uint64_t from_ms = asked->from_ms < INT64_MAX ? asked->from_ms : INT64_MAX;
	uint64_t edge_ms = asked->backward ? to_ms : from_ms;
	uint64_t edge_id = 0; /* ids begin at 1: (ms, 0) is before all events of that ms */

	bool has_cursor = asked->cursor_ms || asked->cursor_id;
	bool is_inside = asked->backward ? asked->cursor_ms < edge_ms : asked->cursor_ms >= edge_ms;
	if (has_cursor && is_inside) {
		edge_ms = asked->cursor_ms;
		edge_id = asked->cursor_id;
	}
	query_put_u64(query, edge_ms);
	query_put_u64(query, edge_id);
	query_put_u64(query, asked->backward ? from_ms : to_ms);
}

static int logs_walk_group(struct logs_walk *walk, struct sql *sql,
	const struct logs_event_query *asked, uint64_t group_id)
{
	query_begin(&walk->query, sql,
		asked->backward ? LOGS_EVENT_OF_GROUP_DOWN : LOGS_EVENT_OF_GROUP);
	query_put_u64(&walk->query, group_id);
	logs_walk_bind(&walk->query, asked);
	return err_pass(logs_walk_next(walk));
}

/* A walk for each stream that is asked for; LOGS_NO_STREAM when one is not there. */
static int logs_walk_streams(struct logs_walk *walks, struct sql *sql,
	const struct logs_event_query *asked, uint64_t group_id)
{
	for (size_t i = 0; i < asked->stream_count; i++) {
		struct query *query = &walks[i].query;
		uint64_t stream_id;
		int r = logs_find_stream(sql, group_id, asked->streams[i], &stream_id);
		if (r != LOGS_DONE)
			return err_pass(r);
		query_begin_own(query, sql,
			asked->backward ? LOGS_EVENT_OF_STREAM_DOWN : LOGS_EVENT_OF_STREAM);
		query_put_u64(query, stream_id);
		logs_walk_bind(query, asked);
		r = logs_walk_next(&walks[i]);
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}

static bool logs_walk_is_before(const struct logs_walk *a, const struct logs_walk *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->id < b->id;
}

/* The walk whose event comes next, or NULL at the end of all. */
static struct logs_walk *logs_walk_pick(struct logs_walk *walks, size_t count, bool backward)
{
	struct logs_walk *best = NULL;

	for (size_t i = 0; i < count; i++) {
		if (walks[i].id == 0)
			continue;
		if (!best ||
			(backward ? logs_walk_is_before(best, &walks[i])
				  : logs_walk_is_before(&walks[i], best)))
			best = &walks[i];
	}
	return best;
}

static int logs_merge(struct logs_walk *walks, size_t walk_count,
	const struct logs_event_query *asked, logs_event_fn *each, void *context)
{
	for (size_t count = 0; asked->limit == 0 || count < asked->limit;) {
		struct logs_walk *walk = logs_walk_pick(walks, walk_count, asked->backward);
		if (!walk)
			return 0;
		struct logs_event event = {
			.group = asked->group,
			.stream = query_get(&walk->query, 4),
			.timestamp_ms = walk->at_ms,
			.ingested_ms = query_get_u64(&walk->query, 2),
			.message = query_get(&walk->query, 3),
		};
		if (str_starts(event.stream, asked->stream_prefix)) {
			if (each(context, &event, walk->id))
				return 0;
			count++;
		}
		int r = logs_walk_next(walk);
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}

static int logs_events_in(struct sql *sql, struct logs_scope scope,
	const struct logs_event_query *asked, logs_event_fn *each, void *context)
{
	uint64_t group_id;
	size_t walk_count = asked->stream_count ? asked->stream_count : 1;

	int r = logs_find_group(sql, scope, asked->group, &group_id);
	if (r != LOGS_DONE)
		return err_pass(r);
	scoped_mem struct logs_walk *walks = mem_new(walk_count, sizeof(*walks));
	if (!walks)
		return err_raise(-ENOMEM);
	r = asked->stream_count ? logs_walk_streams(walks, sql, asked, group_id)
				: logs_walk_group(&walks[0], sql, asked, group_id);
	if (r == LOGS_DONE)
		r = logs_merge(walks, walk_count, asked, each, context);
	for (size_t i = 0; i < walk_count; i++)
		query_end(&walks[i].query);
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
