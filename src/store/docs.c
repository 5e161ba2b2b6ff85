/*
 * One table of documents, one row with the last revision. A write counts the revision up in its
 * own transaction, so revisions are one sequence over all kinds and a document that is deleted
 * and made again never has an old revision (which a stale client could still hold).
 *
 * Keys are BLOBs: compared by memcmp, whatever bytes they hold. Listing starts at a key and
 * stops at the first one without the prefix, so its cost is what it yields.
 *
 * synchronous=FULL: a commit returns when the write-ahead log is on the disk.
 */
#include "store/docs.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/sql.h"

#include <assert.h>
#include <errno.h>

enum docs_statement {
	DOCS_COUNT_UP,
	DOCS_READ,
	DOCS_REVISION,
	DOCS_PUT,
	DOCS_DELETE,
	DOCS_LIST,
	DOCS_DELETE_ALL
};

static const char *const docs_statements[] = {
	[DOCS_COUNT_UP] = "UPDATE last SET revision = revision + 1 RETURNING revision",
	[DOCS_READ] = "SELECT revision, value FROM doc WHERE kind = ? AND key = ?",
	[DOCS_REVISION] = "SELECT revision FROM doc WHERE kind = ? AND key = ?",
	[DOCS_PUT] =
		("INSERT INTO doc (kind, key, value, revision) VALUES (?, ?, ?, ?) "
		 "ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, revision = excluded.revision"),
	[DOCS_DELETE] = "DELETE FROM doc WHERE kind = ? AND key = ?",
	[DOCS_LIST] =
		"SELECT key, revision, value FROM doc WHERE kind = ? AND key >= ? ORDER BY key",
	[DOCS_DELETE_ALL] = "DELETE FROM doc",
};

static const char *const docs_versions[] = {
	"CREATE TABLE last (revision INTEGER NOT NULL);"
	"INSERT INTO last VALUES (0);"
	"CREATE TABLE doc ("
	" id INTEGER PRIMARY KEY,"
	" kind BLOB NOT NULL,"
	" key BLOB NOT NULL,"
	" revision INTEGER NOT NULL,"
	" value BLOB NOT NULL,"
	" UNIQUE (kind, key)"
	");",
};

static const struct sql_spec docs_spec = {
	.pragmas = "PRAGMA synchronous = FULL; PRAGMA cache_size = -256;",
	.versions = docs_versions,
	.version_count = ARRAY_LEN(docs_versions),
	.statements = docs_statements,
	.statement_count = ARRAY_LEN(docs_statements),
};

struct docs {
	struct sql_pool *pool;
};

int docs_open(const char *path, struct docs **ret_docs)
{
	struct docs *docs = mem_one(struct docs);
	if (!docs)
		return err_raise(-ENOMEM);
	int r = sql_open(path, &docs_spec, &docs->pool);
	if (r < 0) {
		mem_free(docs);
		return err_pass(r);
	}
	*ret_docs = docs;
	return 0;
}

void docs_close(struct docs *docs)
{
	if (!docs)
		return;
	sql_close(docs->pool);
	mem_free(docs);
}

static bool docs_name_fits(str kind, str key)
{
	return kind.len > 0 && kind.len <= DOCS_KEY_MAX && key.len > 0 && key.len <= DOCS_KEY_MAX;
}

/* DOCS_DONE, DOCS_ABSENT or a fault. */
static int docs_read(struct sql *sql, str kind, str key, struct buf *value, uint64_t *ret_revision)
{
	struct query query;
	query_begin(&query, sql, value ? DOCS_READ : DOCS_REVISION);
	query_put(&query, kind);
	query_put(&query, key);

	int r = query_step(&query);
	if (r == QUERY_ROW) {
		*ret_revision = query_get_u64(&query, 0);
		if (value)
			buf_put(value, query_get(&query, 1));
		r = value && value->err ? err_raise(value->err) : DOCS_DONE;
	} else if (r == QUERY_DONE) {
		r = DOCS_ABSENT;
	}
	query_end(&query);
	return err_pass(r);
}

int docs_get(struct docs *docs, str kind, str key, struct buf *value, uint64_t *ret_revision)
{
	struct sql *sql;
	uint64_t revision = 0;

	assert(docs);
	if (!docs_name_fits(kind, key))
		return DOCS_ABSENT; /* it could not have been written */
	int r = sql_lease(docs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	r = sql_return(docs->pool, sql, docs_read(sql, kind, key, value, &revision));
	if (r == DOCS_DONE && ret_revision)
		*ret_revision = revision;
	return err_pass(r);
}

/* Is the document as the write expects it? DOCS_DONE, DOCS_CONFLICT or a fault. */
static int docs_check(struct sql *sql, const struct docs_write *write)
{
	uint64_t revision = 0;

	if (write->expect == DOCS_ANY)
		return DOCS_DONE;
	int r = docs_read(sql, write->kind, write->key, NULL, &revision);
	if (r < 0)
		return err_pass(r);
	uint64_t now = r == DOCS_ABSENT ? DOCS_NEW : revision;
	return now == write->expect ? DOCS_DONE : DOCS_CONFLICT;
}

static int docs_put(struct sql *sql, const struct docs_write *write, uint64_t revision)
{
	struct query query;
	query_begin(&query, sql, DOCS_PUT);
	query_put(&query, write->kind);
	query_put(&query, write->key);
	query_put(&query, write->value);
	query_put_u64(&query, revision);
	return err_pass(query_run(&query));
}

static int docs_delete(struct sql *sql, const struct docs_write *write)
{
	struct query query;
	query_begin(&query, sql, DOCS_DELETE);
	query_put(&query, write->kind);
	query_put(&query, write->key);
	return err_pass(query_run(&query));
}

static int docs_count_up(struct sql *sql, uint64_t *ret_revision)
{
	struct query query;
	query_begin(&query, sql, DOCS_COUNT_UP);
	int r = query_step(&query);
	if (r == QUERY_ROW) {
		*ret_revision = query_get_u64(&query, 0);
		r = query_step(
			&query); /* to its end: a write that is still going blocks the commit */
	} else if (r == QUERY_DONE) {
		r = err_raise(-EUCLEAN); /* the one row is gone */
	}
	query_end(&query);
	return err_pass(r);
}

/* The writes, inside a transaction. */
static int docs_write_all(
	struct sql *sql, const struct docs_write *writes, size_t count, uint64_t *ret_revision)
{
	int r = docs_count_up(sql, ret_revision);
	for (size_t i = 0; r == DOCS_DONE && i < count; i++) {
		r = docs_check(sql, &writes[i]);
		if (r != DOCS_DONE)
			break;
		if (writes[i].value.at)
			r = docs_put(sql, &writes[i], *ret_revision);
		else
			r = docs_delete(sql, &writes[i]);
	}
	return err_pass(r);
}

static int docs_check_sizes(const struct docs_write *writes, size_t count)
{
	if (count > DOCS_BATCH_MAX)
		return err_raise(-E2BIG);
	for (size_t i = 0; i < count; i++) {
		if (!docs_name_fits(writes[i].kind, writes[i].key) ||
			writes[i].value.len > DOCS_VALUE_MAX)
			return err_raise(-EMSGSIZE);
	}
	return 0;
}

/* One transaction. */
static int docs_transact(
	struct sql *sql, const struct docs_write *writes, size_t count, uint64_t *ret_revision)
{
	int r = sql_begin(sql);

	if (r == 0)
		r = docs_write_all(sql, writes, count, ret_revision);
	return r == DOCS_DONE ? err_pass(sql_commit(sql)) : err_pass(r);
}

/* On a connection of its own; one that does not wait for the disk is given back waiting again. */
static int docs_apply(struct docs *docs, const struct docs_write *writes, size_t count, bool waits,
	uint64_t *ret_revision)
{
	struct sql *sql;
	uint64_t revision = 0;

	assert(docs && (writes || count == 0));
	int r = docs_check_sizes(writes, count);
	if (r == 0)
		r = sql_lease(docs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	if (!waits)
		r = sql_set_waiting(sql, false);
	if (r == 0)
		r = docs_transact(sql, writes, count, &revision);
	sql_rollback(sql); /* what is not committed */
	int back = waits ? 0 : sql_set_waiting(sql, true);
	r = sql_return(docs->pool, sql, back < 0 ? back : r);
	if (r == DOCS_DONE && ret_revision)
		*ret_revision = revision;
	return err_pass(r);
}

int docs_write(
	struct docs *docs, const struct docs_write *writes, size_t count, uint64_t *ret_revision)
{
	return err_pass(docs_apply(docs, writes, count, true, ret_revision));
}

int docs_write_soon(
	struct docs *docs, const struct docs_write *writes, size_t count, uint64_t *ret_revision)
{
	return err_pass(docs_apply(docs, writes, count, false, ret_revision));
}

static int docs_list_rows(
	struct query *query, str prefix, size_t limit, docs_each_fn *each, void *context)
{
	int r = QUERY_DONE;
	for (size_t count = 0; limit == 0 || count < limit; count++) {
		r = query_step(query);
		if (r != QUERY_ROW)
			break;
		str key = query_get(query, 0);
		if (!str_starts(key, prefix))
			break;
		if (each(context, key, query_get(query, 2), query_get_u64(query, 1)))
			break;
	}
	return r < 0 ? err_pass(r) : 0;
}

int docs_list(struct docs *docs, str kind, str prefix, str after, size_t limit, docs_each_fn *each,
	void *context)
{
	struct sql *sql;
	struct buf room;

	assert(docs && each);
	int r = sql_lease(docs->pool, &sql);
	if (r < 0)
		return err_pass(r);

	struct query query;
	buf_init(&room, after.len + 1);
	query_begin(&query, sql, DOCS_LIST);
	query_put(&query, kind);
	query_put(&query, sql_first_key(&room, prefix, after));
	r = room.err ? err_raise(room.err) : docs_list_rows(&query, prefix, limit, each, context);
	query_end(&query);
	buf_done(&room);
	return err_pass(sql_return(docs->pool, sql, r));
}

int docs_wipe(struct docs *docs)
{
	struct sql *sql;
	struct query query;

	assert(docs);
	int r = sql_lease(docs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	query_begin(&query, sql, DOCS_DELETE_ALL);
	return err_pass(sql_return(docs->pool, sql, query_run(&query)));
}
