/*
 * What goes away by itself: chunks that are wholly beyond their group's retention, and what deleted streams
 * have left. All of it in transactions of a hundred chunks, so that nobody who writes logs
 * waits long, and however often it is killed it goes on where it was.
 */
#include "store/logs_db.h"

#include "base/attr.h"
#include "base/err.h"

#include <assert.h>
#include <errno.h>

#define DAY_MS (24ULL * 60 * 60 * 1000)

static int logs_sweep_step(struct sql *sql, uint64_t stream_id)
{
	struct query query;
	query_begin(&query, sql, LOGS_DOOM_SWEEP);
	query_put_u64(&query, stream_id);
	int r = query_run(&query);
	if (r < 0 || sql_changes(sql) > 0)
		return err_pass(r);
	query_begin(&query, sql, LOGS_DOOM_DONE);
	query_put_u64(&query, stream_id);
	return err_pass(query_run(&query));
}

/* The id of a stream whose events are to go, 0 if there is none. */
static int logs_next_doomed(struct sql *sql, uint64_t *ret_id)
{
	struct query query;
	query_begin(&query, sql, LOGS_DOOMED);
	int r = query_step(&query);
	if (r >= 0)
		*ret_id = r == QUERY_ROW ? query_get_u64(&query, 0) : 0;
	query_end(&query);
	return r < 0 ? err_pass(r) : 0;
}

int logs_sweep(struct logs *logs, unsigned batches)
{
	struct sql *sql;

	assert(logs);
	int r = sql_lease(logs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	for (unsigned i = 0; r == 0 && i < batches; i++) {
		uint64_t stream_id;
		r = logs_next_doomed(sql, &stream_id);
		if (r < 0 || stream_id == 0)
			break;
		r = logs_sweep_step(sql, stream_id);
	}
	return err_pass(sql_return(logs->pool, sql, r));
}

/* Take `bytes` off a stream and set its times anew; its overdue events are deleted already. */
static int logs_shrink_stream(struct sql *sql, uint64_t stream_id, uint64_t bytes)
{
	struct query query;
	query_begin(&query, sql, LOGS_STREAM_SHRINK);
	query_put_u64(&query, stream_id);
	query_put_u64(&query, bytes);
	return err_pass(query_run(&query));
}

enum { LOGS_BATCH = 100 }; /* as in the texts of LOGS_OVERDUE and LOGS_OVERDUE_DELETE */

/* What one batch takes from each stream. */
struct logs_loss {
	struct {
		uint64_t stream_id;
		uint64_t bytes;
	} of[LOGS_BATCH];
	size_t count;
	uint64_t bytes;
};

static int logs_count_loss(
	struct sql *sql, uint64_t group_id, uint64_t before_ms, struct logs_loss *loss)
{
	struct query query;
	int r;

	query_begin(&query, sql, LOGS_OVERDUE);
	query_put_u64(&query, group_id);
	query_put_u64(&query, before_ms);
	while ((r = query_step(&query)) == QUERY_ROW) {
		uint64_t stream_id = query_get_u64(&query, 0);
		uint64_t bytes = query_get_u64(&query, 1);
		if (loss->count == 0 || loss->of[loss->count - 1].stream_id != stream_id) {
			assert(loss->count < LOGS_BATCH);
			loss->of[loss->count++].stream_id = stream_id;
		}
		loss->of[loss->count - 1].bytes += bytes;
		loss->bytes += bytes;
	}
	query_end(&query);
	return err_pass(r);
}

static int logs_run_on_group(struct sql *sql, unsigned statement, uint64_t first, uint64_t second)
{
	struct query query;
	query_begin(&query, sql, statement);
	query_put_u64(&query, first);
	query_put_u64(&query, second);
	return err_pass(query_run(&query));
}

/* One batch of a group, in a transaction; *ret_more: there may be more. */
static int logs_expire_batch(struct sql *sql, uint64_t group_id, uint64_t before_ms, bool *ret_more)
{
	struct logs_loss loss = {};

	int r = sql_begin(sql);
	if (r == 0)
		r = logs_count_loss(sql, group_id, before_ms, &loss);
	if (r == 0)
		r = logs_run_on_group(sql, LOGS_OVERDUE_DELETE, group_id, before_ms);
	for (size_t i = 0; r == 0 && i < loss.count; i++)
		r = logs_shrink_stream(sql, loss.of[i].stream_id, loss.of[i].bytes);
	if (r == 0)
		r = logs_run_on_group(sql, LOGS_GROUP_SHRINK, loss.bytes, group_id);
	if (r == 0)
		r = sql_commit(sql);
	if (r < 0)
		return err_pass(r);
	*ret_more = loss.count > 0;
	return 0;
}

/* The next group (by id) that has a retention: its id, 0 if there is none. */
static int logs_next_expiring(
	struct sql *sql, uint64_t after_id, uint64_t *ret_id, uint64_t *ret_days)
{
	struct query query;
	query_begin(&query, sql, LOGS_EXPIRING);
	query_put_u64(&query, after_id);
	int r = query_step(&query);
	if (r >= 0) {
		*ret_id = r == QUERY_ROW ? query_get_u64(&query, 0) : 0;
		*ret_days = r == QUERY_ROW ? query_get_u64(&query, 1) : 0;
	}
	query_end(&query);
	return r < 0 ? err_pass(r) : 0;
}

static int logs_expire_groups(struct sql *sql, uint64_t now_ms)
{
	uint64_t id = 0;
	uint64_t days;

	for (;;) {
		int r = logs_next_expiring(sql, id, &id, &days);
		if (r < 0 || id == 0)
			return err_pass(r);
		bool more = days * DAY_MS < now_ms;
		while (r == 0 && more)
			r = logs_expire_batch(sql, id, now_ms - days * DAY_MS, &more);
		if (r < 0)
			return err_pass(r);
	}
}

/* Some of the file's free pages back to the file system. */
static int logs_give_back(struct sql *sql)
{
	struct query query;
	int r;

	query_begin(&query, sql, LOGS_GIVE_BACK);
	while ((r = query_step(&query)) == QUERY_ROW)
		;
	query_end(&query);
	return err_pass(r);
}

int logs_expire(struct logs *logs, uint64_t now_ms)
{
	struct sql *sql;

	assert(logs);
	int r = logs_sweep(logs, UINT32_MAX);
	if (r < 0)
		return err_pass(r);
	r = sql_lease(logs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	r = logs_expire_groups(sql, now_ms);
	if (r == 0)
		r = logs_give_back(sql);
	return err_pass(sql_return(logs->pool, sql, r));
}
