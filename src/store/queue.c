/*
 * Two tables: the item is small and changes often, its body may have a megabyte and never changes, so a change never
 * writes it again. AUTOINCREMENT: an id is never given twice, so a late word about an item that is gone (purged while it
 * ran) cannot hit another one.
 *
 * synchronous=FULL: a commit returns when the write-ahead log is on the disk.
 */
#include "store/queue.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/sql.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum queue_statement {
	STATEMENT_ADD,
	STATEMENT_ADD_BODY,
	STATEMENT_CHANGE,
	STATEMENT_REMOVE,
	STATEMENT_REMOVE_BODY,
	STATEMENT_DUE,
	STATEMENT_BODY,
	STATEMENT_LIST,
	STATEMENT_PURGE_BODIES,
	STATEMENT_PURGE,
	STATEMENT_EXPIRE_BODIES,
	STATEMENT_EXPIRE,
	STATEMENT_LANES,
	STATEMENT_BYTES,
	STATEMENT_WIPE,
	STATEMENT_WIPE_BODIES,
};

#define ITEM_COLUMNS "id, lane, state, due, created, note"

static const char *const queue_statements[] = {
	[STATEMENT_ADD] =
		"INSERT INTO item (lane, state, due, created, note) VALUES (?, ?, ?, ?, ?) RETURNING id",
	[STATEMENT_ADD_BODY] = "INSERT INTO body (id, body) VALUES (?, ?)",
	[STATEMENT_CHANGE] =
		"UPDATE item SET state = ?, due = ?, created = ?, note = ? WHERE id = ?",
	[STATEMENT_REMOVE] = "DELETE FROM item WHERE id = ?",
	[STATEMENT_REMOVE_BODY] = "DELETE FROM body WHERE id = ? RETURNING length(body)",
	[STATEMENT_DUE] = "SELECT " ITEM_COLUMNS " FROM item WHERE state = 0 ORDER BY due, id",
	[STATEMENT_BODY] = "SELECT body FROM body WHERE id = ?",
	[STATEMENT_LIST] = "SELECT " ITEM_COLUMNS
			   " FROM item WHERE lane = ? AND id > ? ORDER BY id",
	[STATEMENT_PURGE_BODIES] =
		"DELETE FROM body WHERE id IN (SELECT id FROM item WHERE lane = ?) "
		"RETURNING length(body)",
	[STATEMENT_PURGE] = "DELETE FROM item WHERE lane = ?",
	[STATEMENT_EXPIRE_BODIES] =
		"DELETE FROM body WHERE id IN (SELECT id FROM item WHERE state = 1 AND due < ?) "
		"RETURNING length(body)",
	[STATEMENT_EXPIRE] = "DELETE FROM item WHERE state = 1 AND due < ?",
	[STATEMENT_LANES] = "SELECT lane, sum(state = 0), sum(state = 1), "
			    "min(CASE state WHEN 0 THEN created END) "
			    "FROM item WHERE lane >= ? GROUP BY lane ORDER BY lane",
	[STATEMENT_BYTES] = "SELECT coalesce(sum(length(body)), 0) FROM body",
	[STATEMENT_WIPE] = "DELETE FROM item",
	[STATEMENT_WIPE_BODIES] = "DELETE FROM body RETURNING length(body)",
};

static const char *const queue_versions[] = {
	"CREATE TABLE item ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" lane BLOB NOT NULL,"
	" state INTEGER NOT NULL,"
	" due INTEGER NOT NULL,"
	" created INTEGER NOT NULL,"
	" note BLOB NOT NULL"
	");"
	"CREATE INDEX item_due ON item (state, due, id);"
	"CREATE INDEX item_lane ON item (lane, id);"
	"CREATE TABLE body (id INTEGER PRIMARY KEY, body BLOB NOT NULL);",
};

static const struct sql_spec queue_spec = {
	.pragmas = "PRAGMA synchronous = FULL; PRAGMA cache_size = -256;",
	.versions = queue_versions,
	.version_count = ARRAY_LEN(queue_versions),
	.statements = queue_statements,
	.statement_count = ARRAY_LEN(queue_statements),
};

struct queue {
	struct sql_pool *pool;
	_Atomic uint64_t bytes;
};

/* --- life --- */

static int queue_count_bytes(struct sql *sql, uint64_t *ret_bytes)
{
	struct query query;

	query_begin(&query, sql, STATEMENT_BYTES);
	int r = query_step(&query);
	if (r == QUERY_ROW)
		*ret_bytes = query_get_u64(&query, 0);
	query_end(&query);
	return r < 0 ? err_pass(r) : 0;
}

int queue_open(const char *path, struct queue **ret_queue)
{
	struct queue *queue = mem_one(struct queue);
	struct sql *sql = NULL;
	uint64_t bytes = 0;

	if (!queue)
		return err_raise(-ENOMEM);
	int r = sql_open(path, &queue_spec, &queue->pool);
	if (r == 0)
		r = sql_lease(queue->pool, &sql);
	if (r == 0)
		r = sql_return(queue->pool, sql, queue_count_bytes(sql, &bytes));
	if (r < 0) {
		queue_close(queue);
		return err_pass(r);
	}
	queue->bytes = bytes;
	*ret_queue = queue;
	return 0;
}

void queue_close(struct queue *queue)
{
	if (!queue)
		return;
	sql_close(queue->pool);
	mem_free(queue);
}

uint64_t queue_bytes(const struct queue *queue)
{
	return atomic_load(&queue->bytes);
}

/* --- writing --- */

static int queue_add_item(struct sql *sql, const struct queue_item *item, uint64_t *ret_id)
{
	struct query query;

	query_begin(&query, sql, STATEMENT_ADD);
	query_put(&query, item->lane);
	query_put_u64(&query, item->state);
	query_put_u64(&query, item->due_ms);
	query_put_u64(&query, item->created_ms);
	query_put(&query, item->note);
	int r = query_step(&query);
	if (r == QUERY_ROW) {
		*ret_id = query_get_u64(&query, 0);
		r = query_step(&query); /* to its end, or it blocks the commit */
	} else if (r == QUERY_DONE) {
		r = err_raise(-EUCLEAN);
	}
	query_end(&query);
	return err_pass(r);
}

static int queue_add(struct sql *sql, const struct queue_item *item)
{
	struct query query;
	uint64_t id = 0;

	int r = queue_add_item(sql, item, &id);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, STATEMENT_ADD_BODY);
	query_put_u64(&query, id);
	query_put(&query, item->body);
	return err_pass(query_run(&query));
}

static int queue_change(struct sql *sql, const struct queue_item *item)
{
	struct query query;

	query_begin(&query, sql, STATEMENT_CHANGE);
	query_put_u64(&query, item->state);
	query_put_u64(&query, item->due_ms);
	query_put_u64(&query, item->created_ms);
	query_put(&query, item->note);
	query_put_u64(&query, item->id);
	return err_pass(query_run(&query));
}

/* Run a DELETE of bodies to its end: *bytes grows by what it has removed. */
static int queue_remove_bodies(struct query *query, uint64_t *bytes)
{
	int r;

	while ((r = query_step(query)) == QUERY_ROW)
		*bytes += query_get_u64(query, 0);
	query_end(query);
	return err_pass(r);
}

static int queue_remove(struct sql *sql, uint64_t id, uint64_t *bytes)
{
	struct query query;

	query_begin(&query, sql, STATEMENT_REMOVE_BODY);
	query_put_u64(&query, id);
	int r = queue_remove_bodies(&query, bytes);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, STATEMENT_REMOVE);
	query_put_u64(&query, id);
	return err_pass(query_run(&query));
}

/* What a transaction has made of the sum of all bodies. */
struct queue_growth {
	uint64_t added, removed;
};

static int queue_write_one(
	struct sql *sql, const struct queue_write *write, struct queue_growth *growth)
{
	switch (write->verb) {
	case QUEUE_ADD:
		growth->added += write->item.body.len;
		return err_pass(queue_add(sql, &write->item));
	case QUEUE_CHANGE:
		return err_pass(queue_change(sql, &write->item));
	case QUEUE_REMOVE:
		break;
	}
	return err_pass(queue_remove(sql, write->item.id, &growth->removed));
}

static bool queue_write_fits(const struct queue_write *write)
{
	const struct queue_item *item = &write->item;

	return item->note.len <= QUEUE_NOTE_MAX &&
		(write->verb != QUEUE_ADD || (item->lane.len && item->lane.len <= QUEUE_LANE_MAX));
}

static int queue_write_all(struct sql *sql, const struct queue_write *writes, size_t count,
	struct queue_growth *growth)
{
	int r = sql_begin(sql);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = queue_write_one(sql, &writes[i], growth);
	return err_pass(r == 0 ? sql_commit(sql) : r);
}

static void queue_grow(struct queue *queue, const struct queue_growth *growth)
{
	atomic_fetch_add(&queue->bytes, growth->added - growth->removed);
}

int queue_write(struct queue *queue, const struct queue_write *writes, size_t count)
{
	struct queue_growth growth = {};
	struct sql *sql;

	assert(queue && (writes || !count));
	if (count > QUEUE_BATCH_MAX)
		return err_raise(-E2BIG);
	for (size_t i = 0; i < count; i++)
		if (!queue_write_fits(&writes[i]))
			return err_raise(-EMSGSIZE);
	int r = sql_lease(queue->pool, &sql);
	if (r < 0)
		return err_pass(r);
	r = sql_return(queue->pool, sql, queue_write_all(sql, writes, count, &growth));
	if (r == 0)
		queue_grow(queue, &growth);
	return err_pass(r);
}

/* --- reading --- */

static struct queue_item queue_row(struct query *query)
{
	return (struct queue_item){
		.id = query_get_u64(query, 0),
		.lane = query_get(query, 1),
		.state = query_get_u64(query, 2) ? QUEUE_FAILED : QUEUE_WAITING,
		.due_ms = query_get_u64(query, 3),
		.created_ms = query_get_u64(query, 4),
		.note = query_get(query, 5),
	};
}

/* The row with its body, given to the callback: its answer in *ret_stop. */
static int queue_give(struct sql *sql, struct queue_item *item, queue_each_fn *each, void *context,
	bool *ret_stop)
{
	struct query query;

	query_begin(&query, sql, STATEMENT_BODY);
	query_put_u64(&query, item->id);
	int r = query_step(&query);
	if (r == QUERY_ROW) {
		item->body = query_get(&query, 0);
		*ret_stop = each(context, item) != 0;
		r = 0;
	} else if (r == QUERY_DONE) {
		r = err_raise(-EUCLEAN); /* written and removed together */
	}
	query_end(&query);
	return err_pass(r);
}

static int id_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool queue_is_busy(const struct queue_look *look, uint64_t id)
{
	return look->busy_count &&
		bsearch(&id, look->busy, look->busy_count, sizeof(id), id_compare) != NULL;
}

static int queue_due_rows(struct sql *sql, struct query *query, const struct queue_look *look,
	queue_each_fn *each, void *context, uint64_t *ret_next_ms)
{
	bool is_stopped = false;
	int r;

	while ((r = query_step(query)) == QUERY_ROW) {
		struct queue_item item = queue_row(query);
		if (queue_is_busy(look, item.id))
			continue;
		if (item.due_ms > look->now_ms) {
			*ret_next_ms = item.due_ms;
			return 0;
		}
		r = queue_give(sql, &item, each, context, &is_stopped);
		if (r < 0)
			return err_pass(r);
		if (is_stopped) {
			*ret_next_ms = look->now_ms;
			return 0;
		}
	}
	*ret_next_ms = UINT64_MAX;
	return r < 0 ? err_pass(r) : 0;
}

/* Both statements of a reading see one state of the database. */
int queue_due(struct queue *queue, const struct queue_look *look, queue_each_fn *each,
	void *context, uint64_t *ret_next_ms)
{
	struct query query;
	struct sql *sql;

	int r = sql_lease(queue->pool, &sql);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, STATEMENT_DUE);
	r = queue_due_rows(sql, &query, look, each, context, ret_next_ms);
	query_end(&query);
	return err_pass(sql_return(queue->pool, sql, r));
}

int queue_list(struct queue *queue, str lane, uint64_t after, queue_each_fn *each, void *context)
{
	struct query query;
	struct sql *sql;
	bool is_stopped = false;

	int r = sql_lease(queue->pool, &sql);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, STATEMENT_LIST);
	query_put(&query, lane);
	query_put_u64(&query, after);
	while (!is_stopped && (r = query_step(&query)) == QUERY_ROW) {
		struct queue_item item = queue_row(&query);
		r = queue_give(sql, &item, each, context, &is_stopped);
		if (r < 0)
			break;
	}
	query_end(&query);
	return err_pass(sql_return(queue->pool, sql, r < 0 ? r : 0));
}

static int queue_lane_rows(struct query *query, str prefix, queue_lane_fn *each, void *context)
{
	int r;

	while ((r = query_step(query)) == QUERY_ROW) {
		str lane = query_get(query, 0);
		if (!str_starts(lane, prefix))
			return 0;
		struct queue_figures figures = {
			.waiting = query_get_u64(query, 1),
			.failed = query_get_u64(query, 2),
			.oldest_ms = query_get_u64(query, 3),
		};
		if (each(context, lane, &figures))
			return 0;
	}
	return err_pass(r);
}

int queue_lanes(struct queue *queue, str prefix, queue_lane_fn *each, void *context)
{
	struct query query;
	struct sql *sql;

	int r = sql_lease(queue->pool, &sql);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, STATEMENT_LANES);
	query_put(&query, prefix);
	r = queue_lane_rows(&query, prefix, each, context);
	query_end(&query);
	return err_pass(sql_return(queue->pool, sql, r));
}

static int queue_figures_add(void *context, str lane, const struct queue_figures *figures)
{
	struct queue_figures *sum = context;

	(void)lane;
	sum->waiting += figures->waiting;
	sum->failed += figures->failed;
	if (figures->oldest_ms && (!sum->oldest_ms || figures->oldest_ms < sum->oldest_ms))
		sum->oldest_ms = figures->oldest_ms;
	return 0;
}

int queue_figures(struct queue *queue, str prefix, struct queue_figures *ret_figures)
{
	struct queue_figures sum = {};

	int r = queue_lanes(queue, prefix, queue_figures_add, &sum);
	if (r == 0)
		*ret_figures = sum;
	return err_pass(r);
}

/* --- many at once --- */

struct queue_sweep {
	enum queue_statement bodies, items; /* with the one parameter, or none */
	bool has_lane, has_time;
	str lane;
	uint64_t before_ms;
};

static void queue_sweep_begin(struct query *query, struct sql *sql, const struct queue_sweep *sweep,
	enum queue_statement statement)
{
	query_begin(query, sql, statement);
	if (sweep->has_lane)
		query_put(query, sweep->lane);
	if (sweep->has_time)
		query_put_u64(query, sweep->before_ms);
}

static int queue_sweep_run(struct sql *sql, const struct queue_sweep *sweep,
	struct queue_growth *growth, uint64_t *ret_count)
{
	struct query query;

	int r = sql_begin(sql);
	if (r < 0)
		return err_pass(r);
	queue_sweep_begin(&query, sql, sweep, sweep->bodies);
	r = queue_remove_bodies(&query, &growth->removed);
	if (r < 0)
		return err_pass(r);
	queue_sweep_begin(&query, sql, sweep, sweep->items);
	r = query_run(&query);
	if (r < 0)
		return err_pass(r);
	*ret_count = sql_changes(sql);
	return err_pass(sql_commit(sql));
}

static int queue_sweep(struct queue *queue, const struct queue_sweep *sweep, uint64_t *ret_count)
{
	struct queue_growth growth = {};
	struct sql *sql;

	int r = sql_lease(queue->pool, &sql);
	if (r < 0)
		return err_pass(r);
	r = sql_return(queue->pool, sql, queue_sweep_run(sql, sweep, &growth, ret_count));
	if (r == 0)
		queue_grow(queue, &growth);
	return err_pass(r);
}

int queue_purge(struct queue *queue, str lane, uint64_t *ret_count)
{
	return err_pass(queue_sweep(queue,
		&(struct queue_sweep){ .bodies = STATEMENT_PURGE_BODIES,
			.items = STATEMENT_PURGE,
			.has_lane = true,
			.lane = lane },
		ret_count));
}

int queue_expire(struct queue *queue, uint64_t before_ms)
{
	uint64_t count;

	return err_pass(queue_sweep(queue,
		&(struct queue_sweep){ .bodies = STATEMENT_EXPIRE_BODIES,
			.items = STATEMENT_EXPIRE,
			.has_time = true,
			.before_ms = before_ms },
		&count));
}

int queue_wipe(struct queue *queue)
{
	uint64_t count;

	return err_pass(queue_sweep(queue,
		&(struct queue_sweep){ .bodies = STATEMENT_WIPE_BODIES, .items = STATEMENT_WIPE },
		&count));
}
