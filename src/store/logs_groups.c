/*
 * Groups and streams: their rows and their lists. Each function is one lease of a connection and
 * at most one transaction; the …_in functions are what happens inside it.
 */
#include "store/logs_db.h"

#include "base/attr.h"
#include "base/err.h"

#include <assert.h>
#include <errno.h>

enum { LOGS_SWEEP_NOW = 8 };

static void query_put_scope(struct query *query, struct logs_scope scope)
{
	query_put(query, scope.account);
	query_put(query, scope.region);
}

/* The one value of the one row, if there is a row: `absent` if not. Ends the query. */
static int query_one(struct query *query, int absent, uint64_t *ret_value)
{
	int r = query_step(query);
	if (r == QUERY_ROW) {
		*ret_value = query_get_u64(query, 0);
		r = LOGS_DONE;
	} else if (r == QUERY_DONE) {
		r = absent;
	}
	query_end(query);
	return err_pass(r);
}

int logs_find_group(struct sql *sql, struct logs_scope scope, str group, uint64_t *ret_id)
{
	struct query query;
	query_begin(&query, sql, LOGS_GROUP_FIND);
	query_put_scope(&query, scope);
	query_put(&query, group);
	return err_pass(query_one(&query, LOGS_NO_GROUP, ret_id));
}

int logs_find_stream(struct sql *sql, uint64_t group_id, str stream, uint64_t *ret_id)
{
	struct query query;
	query_begin(&query, sql, LOGS_STREAM_FIND);
	query_put_u64(&query, group_id);
	query_put(&query, stream);
	return err_pass(query_one(&query, LOGS_NO_STREAM, ret_id));
}

int logs_add_group(
	struct sql *sql, struct logs_scope scope, const struct logs_group *group, uint64_t *ret_id)
{
	struct query query;
	query_begin(&query, sql, LOGS_GROUP_ADD);
	query_put_scope(&query, scope);
	query_put(&query, group->name);
	query_put_u64(&query, group->created_ms);
	query_put(&query, group->log_class);
	query_put(&query, group->kms_key);
	int r = query_run(&query);
	if (r < 0)
		return err_pass(r);
	*ret_id = (uint64_t)sqlite3_last_insert_rowid(sql->db);
	return 0;
}

int logs_add_stream(
	struct sql *sql, uint64_t group_id, str stream, uint64_t now_ms, uint64_t *ret_id)
{
	struct query query;
	query_begin(&query, sql, LOGS_STREAM_ADD);
	query_put_u64(&query, group_id);
	query_put(&query, stream);
	query_put_u64(&query, now_ms);
	int r = query_run(&query);
	if (r < 0)
		return err_pass(r);
	*ret_id = (uint64_t)sqlite3_last_insert_rowid(sql->db);
	return 0;
}

/* Run a statement whose only parameter is an id. */
static int query_run_id(struct sql *sql, unsigned statement, uint64_t id)
{
	struct query query;
	query_begin(&query, sql, statement);
	query_put_u64(&query, id);
	return err_pass(query_run(&query));
}

/* A change as a transaction: committed when `change` answers LOGS_DONE. */
struct logs_change {
	struct logs_scope scope;
	const struct logs_group *group;
	str stream;
	uint64_t now_ms;
};
typedef int logs_change_fn(struct sql *sql, const struct logs_change *change);

static int logs_transact(struct logs *logs, logs_change_fn *run, const struct logs_change *change)
{
	struct sql *sql;
	int r = sql_lease(logs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	r = sql_begin(sql);
	if (r == 0)
		r = run(sql, change);
	if (r == LOGS_DONE)
		r = sql_commit(sql);
	return err_pass(sql_return(logs->pool, sql, r));
}

static int logs_group_create_in(struct sql *sql, const struct logs_change *change)
{
	uint64_t id;
	int r = logs_find_group(sql, change->scope, change->group->name, &id);
	if (r == LOGS_DONE)
		return LOGS_EXISTS;
	if (r < 0)
		return err_pass(r);
	return err_pass(logs_add_group(sql, change->scope, change->group, &id));
}

int logs_group_create(struct logs *logs, struct logs_scope scope, str group, uint64_t now_ms,
	str log_class, str kms_key)
{
	assert(logs && group.len > 0);
	return err_pass(logs_transact(logs, logs_group_create_in,
		&(struct logs_change){
			.scope = scope,
			.group = &(struct logs_group){ .name = group,
				.created_ms = now_ms,
				.log_class = log_class,
				.kms_key = kms_key },
		}));
}

static int logs_group_delete_in(struct sql *sql, const struct logs_change *change)
{
	uint64_t id;
	int r = logs_find_group(sql, change->scope, change->group->name, &id);
	if (r != LOGS_DONE)
		return err_pass(r);
	r = query_run_id(sql, LOGS_DOOM_ALL, id);
	if (r == 0)
		r = query_run_id(sql, LOGS_STREAM_DELETE_ALL, id);
	if (r == 0)
		r = query_run_id(sql, LOGS_GROUP_DELETE, id);
	return err_pass(r);
}

int logs_group_delete(struct logs *logs, struct logs_scope scope, str group)
{
	assert(logs);
	int r = logs_transact(logs, logs_group_delete_in,
		&(struct logs_change){
			.scope = scope, .group = &(struct logs_group){ .name = group } });
	if (r != LOGS_DONE)
		return err_pass(r);
	return err_pass(logs_sweep(logs, LOGS_SWEEP_NOW));
}

/* One value of a group's row. */
static int logs_group_set(
	struct logs *logs, struct logs_scope scope, str group, unsigned statement, uint64_t value)
{
	struct sql *sql;
	struct query query;

	int r = sql_lease(logs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, statement);
	query_put_u64(&query, value);
	query_put_scope(&query, scope);
	query_put(&query, group);
	r = query_run(&query);
	if (r == 0)
		r = sql_changes(sql) > 0 ? LOGS_DONE : LOGS_NO_GROUP;
	return err_pass(sql_return(logs->pool, sql, r));
}

int logs_group_set_retention(struct logs *logs, struct logs_scope scope, str group, unsigned days)
{
	assert(logs);
	return err_pass(logs_group_set(logs, scope, group, LOGS_GROUP_SET_RETENTION, days));
}

int logs_group_set_protection(
	struct logs *logs, struct logs_scope scope, str group, bool is_protected)
{
	assert(logs);
	return err_pass(
		logs_group_set(logs, scope, group, LOGS_GROUP_SET_PROTECTION, is_protected));
}

static int logs_stream_create_in(struct sql *sql, const struct logs_change *change)
{
	uint64_t group_id;
	uint64_t id;
	int r = logs_find_group(sql, change->scope, change->group->name, &group_id);
	if (r != LOGS_DONE)
		return err_pass(r);
	r = logs_find_stream(sql, group_id, change->stream, &id);
	if (r == LOGS_DONE)
		return LOGS_EXISTS;
	if (r < 0)
		return err_pass(r);
	return err_pass(logs_add_stream(sql, group_id, change->stream, change->now_ms, &id));
}

int logs_stream_create(
	struct logs *logs, struct logs_scope scope, str group, str stream, uint64_t now_ms)
{
	assert(logs && stream.len > 0);
	return err_pass(logs_transact(logs, logs_stream_create_in,
		&(struct logs_change){
			.scope = scope,
			.group = &(struct logs_group){ .name = group },
			.stream = stream,
			.now_ms = now_ms,
		}));
}

static int logs_stream_delete_in(struct sql *sql, const struct logs_change *change)
{
	struct query query;
	uint64_t group_id;
	uint64_t id;
	uint64_t bytes;

	int r = logs_find_group(sql, change->scope, change->group->name, &group_id);
	if (r == LOGS_DONE)
		r = logs_find_stream(sql, group_id, change->stream, &id);
	if (r != LOGS_DONE)
		return err_pass(r);
	query_begin(&query, sql, LOGS_STREAM_BYTES);
	query_put_u64(&query, id);
	r = query_one(&query, LOGS_NO_STREAM, &bytes);
	if (r != LOGS_DONE)
		return err_pass(r);

	query_begin(&query, sql, LOGS_GROUP_SHRINK);
	query_put_u64(&query, bytes);
	query_put_u64(&query, group_id);
	r = query_run(&query);
	if (r == 0)
		r = query_run_id(sql, LOGS_DOOM, id);
	if (r == 0)
		r = query_run_id(sql, LOGS_STREAM_DELETE, id);
	return err_pass(r);
}

int logs_stream_delete(struct logs *logs, struct logs_scope scope, str group, str stream)
{
	assert(logs);
	int r = logs_transact(logs, logs_stream_delete_in,
		&(struct logs_change){
			.scope = scope,
			.group = &(struct logs_group){ .name = group },
			.stream = stream,
		});
	if (r != LOGS_DONE)
		return err_pass(r);
	return err_pass(logs_sweep(logs, LOGS_SWEEP_NOW));
}

static int logs_groups_rows(
	struct query *query, str prefix, size_t limit, logs_group_fn *each, void *context)
{
	int r = QUERY_DONE;
	for (size_t count = 0; limit == 0 || count < limit; count++) {
		r = query_step(query);
		if (r != QUERY_ROW || !str_starts(query_get(query, 0), prefix))
			break;
		struct logs_group group = {
			.name = query_get(query, 0),
			.created_ms = query_get_u64(query, 1),
			.retention_days = (unsigned)query_get_u64(query, 2),
			.stored_bytes = query_get_u64(query, 3),
			.log_class = query_get(query, 4),
			.kms_key = query_get(query, 5),
			.is_protected = query_get_u64(query, 6) != 0,
		};
		if (each(context, &group))
			break;
	}
	return r < 0 ? err_pass(r) : 0;
}

int logs_groups(struct logs *logs, struct logs_scope scope, str prefix, str after, size_t limit,
	logs_group_fn *each, void *context)
{
	struct sql *sql;
	struct query query;
	struct buf room;

	assert(logs && each);
	int r = sql_lease(logs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	buf_init(&room, after.len + 1);
	query_begin(&query, sql, LOGS_GROUP_LIST);
	query_put_scope(&query, scope);
	query_put(&query, sql_first_key(&room, prefix, after));
	r = room.err ? err_raise(room.err) : logs_groups_rows(&query, prefix, limit, each, context);
	query_end(&query);
	buf_done(&room);
	return err_pass(sql_return(logs->pool, sql, r));
}

/* Split a cursor "ms:name". False: it is none. */
static bool logs_cut_cursor(str cursor, uint64_t *ret_ms, str *ret_name)
{
	str ms;
	if (!str_cut(&cursor, ':', &ms) || str_to_u64(ms, INT64_MAX, ret_ms) < 0)
		return false;
	*ret_name = cursor;
	return true;
}

/* By name: going down starts right below the end of the prefix, or below `after`. */
static void logs_streams_by_name(struct query *query, struct sql *sql,
	const struct logs_stream_query *asked, uint64_t group_id, struct buf *room)
{
	query_begin(query, sql, asked->descending ? LOGS_STREAM_BY_NAME_DOWN : LOGS_STREAM_BY_NAME);
	query_put_u64(query, group_id);
	if (!asked->descending) {
		query_put(query, sql_first_key(room, asked->prefix, asked->after));
		return;
	}
	buf_put(room, asked->prefix);
	buf_put(room, LOGS_NAME_END);
	query_put(query, asked->after.len ? asked->after : buf_str(room));
}

static void logs_streams_by_event(struct query *query, struct sql *sql,
	const struct logs_stream_query *asked, uint64_t group_id)
{
	/* From before everything: a stream without events has time 0 and a name that is not empty. */
	uint64_t ms = asked->descending ? INT64_MAX : 0;
	str name = asked->descending ? LOGS_NAME_END : S("");

	(void)logs_cut_cursor(asked->after, &ms, &name);
	query_begin(
		query, sql, asked->descending ? LOGS_STREAM_BY_EVENT_DOWN : LOGS_STREAM_BY_EVENT);
	query_put_u64(query, group_id);
	query_put_u64(query, ms);
	query_put(query, name);
}

static int logs_streams_rows(struct query *query, const struct logs_stream_query *asked,
	logs_stream_fn *each, void *context)
{
	int r = QUERY_DONE;
	for (size_t count = 0; asked->limit == 0 || count < asked->limit;) {
		r = query_step(query);
		if (r != QUERY_ROW)
			break;
		struct logs_stream stream = {
			.name = query_get(query, 0),
			.created_ms = query_get_u64(query, 1),
			.first_event_ms = query_get_u64(query, 2),
			.last_event_ms = query_get_u64(query, 3),
			.last_ingested_ms = query_get_u64(query, 4),
			.stored_bytes = query_get_u64(query, 5),
		};
		bool is_within = str_starts(stream.name, asked->prefix);
		if (!is_within && !asked->by_last_event)
			break; /* names are in order: no other one follows */
		if (!is_within)
			continue;
		if (each(context, &stream))
			break;
		count++;
	}
	return r < 0 ? err_pass(r) : 0;
}

int logs_streams(struct logs *logs, struct logs_scope scope, const struct logs_stream_query *asked,
	logs_stream_fn *each, void *context)
{
	struct sql *sql;
	struct query query = {};
	struct buf room;
	uint64_t group_id;

	assert(logs && asked && each);
	int r = sql_lease(logs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	buf_init(&room, MAX(asked->prefix.len, asked->after.len) + 1);
	r = logs_find_group(sql, scope, asked->group, &group_id);
	if (r == LOGS_DONE) {
		if (asked->by_last_event)
			logs_streams_by_event(&query, sql, asked, group_id);
		else
			logs_streams_by_name(&query, sql, asked, group_id, &room);
		r = room.err ? err_raise(room.err)
			     : logs_streams_rows(&query, asked, each, context);
		query_end(&query);
	}
	buf_done(&room);
	return err_pass(sql_return(logs->pool, sql, r));
}
