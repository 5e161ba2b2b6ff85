/*
 *	series  scope, namespace, name, dimensions │ when it last had a value
 *	point   series, minute, unit │ the values of this minute (model/metric.h)
 *
 * Adding reads what a minute has, joins, and writes it again, in one transaction of all that is added at a time.
 *
 * synchronous=NORMAL: a crash of the process loses nothing, a power cut the last moments.
 */
#include "store/metrics.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/sql.h"

#include <assert.h>
#include <errno.h>

enum { METRICS_EXPIRE_BATCH = 20'000 };

enum metrics_statement {
	METRICS_SERIES_FIND,
	METRICS_SERIES_COUNT,
	METRICS_SERIES_ADD,
	METRICS_SERIES_TOUCH,
	METRICS_SERIES_LIST,
	METRICS_POINT_GET,
	METRICS_POINT_PUT,
	METRICS_POINT_LIST,
	METRICS_POINT_EXPIRE,
	METRICS_SERIES_EXPIRE,
	METRICS_POINT_DELETE_ALL,
	METRICS_SERIES_DELETE_ALL,
};

static const char *const metrics_statements[] = {
	[METRICS_SERIES_FIND] =
		"SELECT id FROM series WHERE scope = ? AND space = ? AND name = ? AND dimensions = ?",
	[METRICS_SERIES_COUNT] = "SELECT count(*) FROM series WHERE scope = ?",
	[METRICS_SERIES_ADD] = "INSERT INTO series (scope, space, name, dimensions, last_ms)"
			       " VALUES (?, ?, ?, ?, 0) RETURNING id",
	[METRICS_SERIES_TOUCH] = "UPDATE series SET last_ms = max(last_ms, ?) WHERE id = ?",
	[METRICS_SERIES_LIST] =
		"SELECT id, space, name, dimensions FROM series"
		" WHERE scope = ?1 AND id > ?2 AND last_ms >= ?3"
		" AND (?4 = x'' OR space = ?4) AND (?5 = x'' OR name = ?5) ORDER BY id",
	[METRICS_POINT_GET] =
		"SELECT value FROM point WHERE series = ? AND minute = ? AND unit = ?",
	[METRICS_POINT_PUT] =
		"INSERT INTO point (series, minute, unit, value) VALUES (?, ?, ?, ?)"
		" ON CONFLICT (series, minute, unit) DO UPDATE SET value = excluded.value",
	[METRICS_POINT_LIST] =
		"SELECT minute, unit, value FROM point"
		" WHERE series = ? AND minute >= ? AND minute < ? ORDER BY minute, unit",
	[METRICS_POINT_EXPIRE] =
		"DELETE FROM point WHERE rowid IN (SELECT rowid FROM point WHERE minute < ? LIMIT ?)",
	[METRICS_SERIES_EXPIRE] = "DELETE FROM series WHERE id IN (SELECT id FROM series AS s"
				  " WHERE last_ms < ? AND NOT EXISTS"
				  " (SELECT 1 FROM point WHERE series = s.id) LIMIT ?)",
	[METRICS_POINT_DELETE_ALL] = "DELETE FROM point",
	[METRICS_SERIES_DELETE_ALL] = "DELETE FROM series",
};

static const char *const metrics_versions[] = {
	"CREATE TABLE series ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" scope BLOB NOT NULL, space BLOB NOT NULL, name BLOB NOT NULL, dimensions BLOB NOT NULL,"
	" last_ms INTEGER NOT NULL,"
	" UNIQUE (scope, space, name, dimensions)"
	");"
	"CREATE INDEX series_last ON series (last_ms);"
	"CREATE TABLE point ("
	" series INTEGER NOT NULL, minute INTEGER NOT NULL, unit BLOB NOT NULL,"
	" value BLOB NOT NULL,"
	" UNIQUE (series, minute, unit)"
	");"
	"CREATE INDEX point_minute ON point (minute);",
};

static const struct sql_spec metrics_spec = {
	.pragmas = "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -256;",
	.versions = metrics_versions,
	.version_count = ARRAY_LEN(metrics_versions),
	.statements = metrics_statements,
	.statement_count = ARRAY_LEN(metrics_statements),
};

struct metrics {
	struct sql_pool *pool;
};

int metrics_open(const char *path, struct metrics **ret_metrics)
{
	struct metrics *metrics = mem_one(struct metrics);
	if (!metrics)
		return err_raise(-ENOMEM);
	int r = sql_open(path, &metrics_spec, &metrics->pool);
	if (r < 0) {
		mem_free(metrics);
		return err_pass(r);
	}
	*ret_metrics = metrics;
	return 0;
}

void metrics_close(struct metrics *metrics)
{
	if (!metrics)
		return;
	sql_close(metrics->pool);
	mem_free(metrics);
}

/* --- adding --- */

static void series_bind(struct query *query, const struct metric_series *series)
{
	query_put(query, series->scope);
	query_put(query, series->space);
	query_put(query, series->name);
	query_put(query, series->dimensions);
}

/* One number of one row; *ret_value stays as it is without a row. 0 or a fault. */
static int query_number(struct query *query, uint64_t *ret_value)
{
	int r = query_step(query);

	if (r == QUERY_ROW) {
		*ret_value = query_get_u64(query, 0);
		r = query_step(
			query); /* to its end: a write that is still going blocks the commit */
	}
	query_end(query);
	return r < 0 ? err_pass(r) : 0;
}

/* *ret_id is 0 when there is no such series. 0 or a fault. */
static int series_find(struct sql *sql, const struct metric_series *series, uint64_t *ret_id)
{
	struct query query;

	*ret_id = 0;
	query_begin(&query, sql, METRICS_SERIES_FIND);
	series_bind(&query, series);
	return err_pass(query_number(&query, ret_id));
}

/* How many series the scope of the last write has: counted once for writes that stand together. */
struct scope_count {
	str scope;
	uint64_t series;
};

static int scope_count(struct sql *sql, str scope, struct scope_count *count)
{
	struct query query;

	if (count->scope.at && str_eq(count->scope, scope))
		return 0;
	query_begin(&query, sql, METRICS_SERIES_COUNT);
	query_put(&query, scope);
	count->scope = scope;
	return err_pass(query_number(&query, &count->series));
}

/* METRICS_DONE, METRICS_FULL or a fault. */
static int series_make(struct sql *sql, const struct metric_series *series,
	struct scope_count *count, uint64_t *ret_id)
{
	struct query query;

	int r = scope_count(sql, series->scope, count);
	if (r < 0)
		return err_pass(r);
	if (count->series >= METRICS_SERIES_MAX)
		return METRICS_FULL;
	count->series++;
	query_begin(&query, sql, METRICS_SERIES_ADD);
	series_bind(&query, series);
	return err_pass(query_number(&query, ret_id));
}

static int series_touch(struct sql *sql, uint64_t id, uint64_t ms)
{
	struct query query;

	query_begin(&query, sql, METRICS_SERIES_TOUCH);
	query_put_u64(&query, ms);
	query_put_u64(&query, id);
	return err_pass(query_run(&query));
}

/* What the minute has joins the metric. */
static int point_join(
	struct sql *sql, uint64_t id, uint64_t minute, str unit, struct metric *metric)
{
	struct query query;
	struct metric before;

	query_begin(&query, sql, METRICS_POINT_GET);
	query_put_u64(&query, id);
	query_put_u64(&query, minute);
	query_put(&query, unit);
	int r = query_step(&query);
	if (r == QUERY_ROW && metric_read(query_get(&query, 0), &before))
		metric_join(metric, &before);
	query_end(&query);
	return r < 0 ? err_pass(r) : 0;
}

static int point_add(struct sql *sql, uint64_t id, const struct metric_write *write)
{
	uint64_t minute = write->ms / METRICS_MINUTE_MS;
	struct metric metric = *write->metric;
	char bytes[METRIC_BYTES_MAX + 1];
	struct query query;
	struct buf out;

	int r = point_join(sql, id, minute, write->series.unit, &metric);
	if (r < 0)
		return err_pass(r);
	buf_init_over(&out, bytes, sizeof(bytes));
	metric_write(&metric, &out);
	assert(!out.err);
	query_begin(&query, sql, METRICS_POINT_PUT);
	query_put_u64(&query, id);
	query_put_u64(&query, minute);
	query_put(&query, write->series.unit);
	query_put(&query, buf_str(&out));
	return err_pass(query_run(&query));
}

static int metrics_add_one(
	struct sql *sql, const struct metric_write *write, struct scope_count *count)
{
	uint64_t id;

	int r = series_find(sql, &write->series, &id);
	if (r == 0 && !id)
		r = series_make(sql, &write->series, count, &id);
	if (r == 0)
		r = series_touch(sql, id, write->ms);
	return r ? err_pass(r) : err_pass(point_add(sql, id, write));
}

static int metrics_add_all(struct sql *sql, const struct metric_write *writes, size_t count)
{
	struct scope_count scope = {};
	int r = sql_begin(sql);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = metrics_add_one(sql, &writes[i], &scope);
	if (r > 0)
		sql_rollback(sql);
	return r ? err_pass(r) : err_pass(sql_commit(sql));
}

int metrics_add(struct metrics *metrics, const struct metric_write *writes, size_t count)
{
	struct sql *sql;

	int r = sql_lease(metrics->pool, &sql);
	if (r < 0)
		return err_pass(r);
	return err_pass(sql_return(metrics->pool, sql, metrics_add_all(sql, writes, count)));
}

/* --- reading --- */

static int points_each(struct query *query, str wanted_unit, metrics_minute_fn *each, void *context)
{
	struct metric metric;
	int r;

	while ((r = query_step(query)) == QUERY_ROW) {
		str unit = query_get(query, 1);
		if ((wanted_unit.len && !str_eq(unit, wanted_unit)) ||
			!metric_read(query_get(query, 2), &metric))
			continue;
		r = each(context, query_get_u64(query, 0) * METRICS_MINUTE_MS, unit, &metric);
		if (r)
			return r;
	}
	return err_pass(r);
}

/* The least minute that begins at this time or later. */
static uint64_t minute_from(uint64_t ms)
{
	return ms / METRICS_MINUTE_MS + (ms % METRICS_MINUTE_MS != 0);
}

static int metrics_read_on(struct sql *sql, const struct metric_series *series, uint64_t from_ms,
	uint64_t to_ms, metrics_minute_fn *each, void *context)
{
	struct query query;
	uint64_t id;

	int r = series_find(sql, series, &id);
	if (r < 0 || !id)
		return err_pass(r);
	query_begin(&query, sql, METRICS_POINT_LIST);
	query_put_u64(&query, id);
	query_put_u64(&query, minute_from(from_ms));
	query_put_u64(&query, minute_from(to_ms));
	r = points_each(&query, series->unit, each, context);
	query_end(&query);
	return err_pass(r);
}

int metrics_read(struct metrics *metrics, const struct metric_series *series, uint64_t from_ms,
	uint64_t to_ms, metrics_minute_fn *each, void *context)
{
	struct sql *sql;

	int r = sql_lease(metrics->pool, &sql);
	if (r < 0)
		return err_pass(r);
	r = metrics_read_on(sql, series, from_ms, to_ms, each, context);
	return err_pass(sql_return(metrics->pool, sql, r));
}

static int series_each(struct query *query, str scope, metrics_series_fn *each, void *context)
{
	int r;

	while ((r = query_step(query)) == QUERY_ROW) {
		const struct metric_series series = { .scope = scope,
			.space = query_get(query, 1),
			.name = query_get(query, 2),
			.dimensions = query_get(query, 3) };
		r = each(context, &series, query_get_u64(query, 0));
		if (r)
			return r;
	}
	return err_pass(r);
}

int metrics_list(struct metrics *metrics, const struct metrics_filter *filter,
	metrics_series_fn *each, void *context)
{
	struct query query;
	struct sql *sql;

	int r = sql_lease(metrics->pool, &sql);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, METRICS_SERIES_LIST);
	query_put(&query, filter->scope);
	query_put_u64(&query, filter->after);
	query_put_u64(&query, filter->since_ms);
	query_put(&query, filter->space);
	query_put(&query, filter->name);
	r = series_each(&query, filter->scope, each, context);
	query_end(&query);
	return err_pass(sql_return(metrics->pool, sql, r));
}

/* --- removing --- */

static int run_bounded(struct sql *sql, enum metrics_statement statement, uint64_t before)
{
	struct query query;

	query_begin(&query, sql, statement);
	query_put_u64(&query, before);
	query_put_u64(&query, METRICS_EXPIRE_BATCH);
	return err_pass(query_run(&query));
}

int metrics_expire(struct metrics *metrics, uint64_t now_ms)
{
	uint64_t before_ms = now_ms - MIN(now_ms, METRICS_KEPT_MS);
	struct sql *sql;

	int r = sql_lease(metrics->pool, &sql);
	if (r < 0)
		return err_pass(r);
	r = run_bounded(sql, METRICS_POINT_EXPIRE, before_ms / METRICS_MINUTE_MS);
	if (r == 0)
		r = run_bounded(sql, METRICS_SERIES_EXPIRE, before_ms);
	return err_pass(sql_return(metrics->pool, sql, r));
}

static int run_plain(struct sql *sql, enum metrics_statement statement)
{
	struct query query;

	query_begin(&query, sql, statement);
	return err_pass(query_run(&query));
}

int metrics_wipe(struct metrics *metrics)
{
	struct sql *sql;

	int r = sql_lease(metrics->pool, &sql);
	if (r < 0)
		return err_pass(r);
	r = run_plain(sql, METRICS_POINT_DELETE_ALL);
	if (r == 0)
		r = run_plain(sql, METRICS_SERIES_DELETE_ALL);
	return err_pass(sql_return(metrics->pool, sql, r));
}
