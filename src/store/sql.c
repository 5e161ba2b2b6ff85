/*
 * Why a pool and not a connection per thread: worker threads come from libuv and nobody tells
 * us when one ends. A lease takes any idle connection out of a few slots with one atomic
 * exchange; nobody waits for a slot: with none idle a connection is opened, with no slot empty a returned
 * one is closed. So the code has no lock and no limit on threads, and what idles is bounded.
 *
 * Readers never wait (WAL). Writers wait for each other inside SQLite: every transaction that writes
 * begins IMMEDIATE, so that waiting happens at its start, where nothing can be lost by it, and
 * never ends in a deadlock between two readers who both want to write.
 *
 * A connection that has met a fault is thrown away: what SQLite has cached of the file may be
 * older than the trouble.
 *
 * SQLite would make paths absolute, and then needs the right to search every folder above. The
 * router has it for its working directory only. So a VFS of ours, a copy of the usual one,
 * leaves paths as they are.
 *
 * Memory: this runs inside the router, whose idle size is a promise. The caches are small
 * because the files are in the page cache of the kernel anyway.
 */
#include "store/sql.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	SQL_IDLE_MAX = 8,
	SQL_LOOKASIDE_SIZE = 512,
	SQL_LOOKASIDE_COUNT = 32,
	SQL_HEAP_KIB = 4096,
	SQL_WAIT_FIRST_MS = 1,
	SQL_WAIT_MS = 5,
};

#define SQL_VFS "here"

/* Statements of our own, after those of the spec. */
enum { SQL_BEGIN, SQL_COMMIT, SQL_ROLLBACK, SQL_OWN };

static const char *const sql_own[SQL_OWN] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
};

struct sql_pool {
	char *path;
	const struct sql_spec *spec;
	_Atomic(struct sql *) idle[SQL_IDLE_MAX];
};

/* SQLite tells here what lies behind a result code: "os_unix.c:… (28) pwrite64(…)". */
static void sql_on_log(void *context, int code, const char *text)
{
	(void)context;
	switch (code & 0xff) {
	case SQLITE_NOTICE: /* a log that was replayed after a crash: as it should be */
	case SQLITE_SCHEMA: /* a statement was prepared again */
		log_debug("sqlite", LOG_I64("code", code), LOG_TEXT("text", text));
		break;
	default:
		log_warn("sqlite", LOG_I64("code", code), LOG_TEXT("text", text));
	}
}

/* The VFS's way from a name to the path that is opened: no way at all. */
static int sql_keep_path(sqlite3_vfs *vfs, const char *name, int size, char *ret_path)
{
	(void)vfs;
	return str_to_array(str_of(name), ret_path, (size_t)size) < 0 ? SQLITE_CANTOPEN : SQLITE_OK;
}

static void sql_setup(void)
{
	static sqlite3_vfs vfs;

	(void)sqlite3_config(SQLITE_CONFIG_LOG, sql_on_log, NULL);
	(void)sqlite3_soft_heap_limit64(SQL_HEAP_KIB * (sqlite3_int64)KIB);
	sqlite3_vfs *usual = sqlite3_vfs_find(NULL);
	if (!usual)
		return; /* no memory: opening will say so, as it does not find SQL_VFS */
	vfs = *usual;
	vfs.zName = SQL_VFS;
	vfs.xFullPathname = sql_keep_path;
	(void)sqlite3_vfs_register(&vfs, 0);
}

int sql_fault(sqlite3 *db, int code)
{
	int system = db ? sqlite3_system_errno(db) : 0;

	assert(code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE);
	if (code == SQLITE_IOERR_NOMEM)
		return -ENOMEM;
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_TOOBIG:
		return -EMSGSIZE;
	default: /* IOERR and CANTOPEN know the system call's errno */
		return system ? -system : -EIO;
	}
}

/* Try again soon: a commit takes a few ms. SQLite's own waiting grows to 100 ms a try. */
static int sql_on_busy(void *context, int tries)
{
	struct timespec nap = { .tv_nsec = (tries < 50 ? SQL_WAIT_FIRST_MS : SQL_WAIT_MS) *
			1'000'000L };

	(void)context;
	if (tries > SQL_BUSY_MS / SQL_WAIT_MS)
		return 0;
	nanosleep(&nap, NULL);
	return 1;
}

static void sql_free(struct sql *sql)
{
	if (!sql)
		return;
	for (size_t i = 0; i < sql->spec->statement_count + SQL_OWN; i++)
		sqlite3_finalize(sql->statements[i]);
	int code = sqlite3_close(sql->db);
	assert(code == SQLITE_OK); /* else somebody still has a query on it */
	(void)code;
	mem_free(sql->statements);
	mem_free(sql);
}

/* Run text that answers nothing of interest. */
static int sql_exec(struct sql *sql, const char *text)
{
	int code = sqlite3_exec(sql->db, text, NULL, NULL, NULL);
	return code == SQLITE_OK ? 0 : err_raise(sql_fault(sql->db, code));
}

static int sql_configure(struct sql *sql)
{
	sqlite3_busy_handler(sql->db, sql_on_busy, NULL);
	sqlite3_db_config(sql->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(sql->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(
		sql->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, SQL_LOOKASIDE_SIZE, SQL_LOOKASIDE_COUNT);

	int r = sql_exec(sql, sql->spec->pragmas);
	if (r < 0)
		return err_pass(r);
	return err_pass(sql_exec(sql,
		"PRAGMA journal_mode = WAL;"
		"PRAGMA journal_size_limit = 4194304;"
		"PRAGMA cell_size_check = ON;"
		"PRAGMA temp_store = MEMORY;"));
}

static int sql_new(struct sql_pool *pool, struct sql **ret_sql)
{
	struct sql *sql = mem_one(struct sql);
	if (!sql)
		return err_raise(-ENOMEM);
	sql->spec = pool->spec;
	sql->statements = mem_new(pool->spec->statement_count + SQL_OWN, sizeof(*sql->statements));
	if (!sql->statements) {
		mem_free(sql);
		return err_raise(-ENOMEM);
	}

	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
		SQLITE_OPEN_EXRESCODE;
	int code = sqlite3_open_v2(pool->path, &sql->db, flags, SQL_VFS);
	int r = code == SQLITE_OK ? sql_configure(sql) : err_raise(sql_fault(sql->db, code));
	if (r < 0) {
		sql_free(sql);
		return err_pass(r);
	}
	*ret_sql = sql;
	return 0;
}

static int sql_version(struct sql *sql, uint64_t *ret_version)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(sql->db, "PRAGMA user_version", -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_version = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW ? 0 : err_raise(sql_fault(sql->db, code));
}

/* All steps from this schema version to the latest, in the transaction that is open. */
static int sql_migrate(struct sql *sql)
{
	uint64_t version;
	int r = sql_version(sql, &version);
	if (r < 0)
		return err_pass(r);
	if (version > sql->spec->version_count) {
		log_error("store_is_newer", LOG_U64("version", version),
			LOG_U64("known", sql->spec->version_count));
		return err_raise(-ENOTSUP);
	}

	for (; version < sql->spec->version_count; version++) {
		char stamp[64];
		(void)snprintf(
			stamp, sizeof(stamp), "PRAGMA user_version = %u", (unsigned)version + 1);
		r = sql_exec(sql, sql->spec->versions[version]);
		if (r == 0)
			r = sql_exec(sql, stamp);
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}

static int sql_prepare_file(struct sql *sql)
{
	uint64_t version;
	int r = sql_version(sql, &version);
	if (r < 0 || version == sql->spec->version_count)
		return err_pass(r);
	r = sql_begin(sql);
	if (r == 0)
		r = sql_migrate(sql);
	return err_pass(r < 0 ? r : sql_commit(sql));
}

int sql_open(const char *path, const struct sql_spec *spec, struct sql_pool **ret_pool)
{
	static pthread_once_t setup = PTHREAD_ONCE_INIT;

	assert(path && spec && ret_pool);
	(void)pthread_once(&setup, sql_setup);

	struct sql_pool *pool = mem_one(struct sql_pool);
	if (!pool)
		return err_raise(-ENOMEM);
	pool->spec = spec;
	pool->path = str_dup(str_of(path));

	struct sql *sql;
	int r = pool->path ? sql_lease(pool, &sql) : err_raise(-ENOMEM);
	if (r == 0)
		r = sql_return(pool, sql, sql_prepare_file(sql));
	if (r < 0) {
		sql_close(pool);
		return err_pass(r);
	}
	*ret_pool = pool;
	return 0;
}

void sql_close(struct sql_pool *pool)
{
	if (!pool)
		return;
	for (size_t i = 0; i < SQL_IDLE_MAX; i++)
		sql_free(atomic_exchange(&pool->idle[i], NULL));
	mem_free(pool->path);
	mem_free(pool);
}

int sql_lease(struct sql_pool *pool, struct sql **ret_sql)
{
	assert(pool && ret_sql);
	for (size_t i = 0; i < SQL_IDLE_MAX; i++) {
		struct sql *sql = atomic_exchange(&pool->idle[i], NULL);
		if (sql) {
			*ret_sql = sql;
			return 0;
		}
	}
	return err_pass(sql_new(pool, ret_sql));
}

int sql_return(struct sql_pool *pool, struct sql *sql, int result)
{
	if (!sql)
		return result;
	sql_rollback(sql);
	for (size_t i = 0; i < SQL_IDLE_MAX && result >= 0; i++) {
		struct sql *none = NULL;
		if (atomic_compare_exchange_strong(&pool->idle[i], &none, sql))
			return result;
	}
	sql_free(sql);
	return err_pass(result);
}

static int sql_run_own(struct sql *sql, unsigned own)
{
	struct query query;
	query_begin(&query, sql, (unsigned)sql->spec->statement_count + own);
	return err_pass(query_run(&query));
}

int sql_begin(struct sql *sql)
{
	assert(sqlite3_get_autocommit(sql->db));
	return err_pass(sql_run_own(sql, SQL_BEGIN));
}

int sql_commit(struct sql *sql)
{
	assert(!sqlite3_get_autocommit(sql->db));
	return err_pass(sql_run_own(sql, SQL_COMMIT));
}

void sql_rollback(struct sql *sql)
{
	/* SQLite may have rolled back by itself, and a failed ROLLBACK has done its work too. */
	if (!sqlite3_get_autocommit(sql->db))
		(void)sqlite3_exec(sql->db, sql_own[SQL_ROLLBACK], NULL, NULL, NULL);
}

/* In WAL mode NORMAL syncs the log only before a checkpoint; its frames count up to the last whole one. */
int sql_set_waiting(struct sql *sql, bool waits)
{
	assert(sqlite3_get_autocommit(sql->db));
	return err_pass(
		sql_exec(sql, waits ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"));
}

uint64_t sql_changes(const struct sql *sql)
{
	return (uint64_t)sqlite3_changes64(sql->db);
}

str sql_first_key(struct buf *room, str prefix, str after)
{
	if (after.len == 0 || str_cmp(after, prefix) < 0)
		return prefix;
	buf_put(room, after);
	buf_put_char(room, '\0'); /* nothing lies between a key and itself with a NUL */
	return buf_str(room);
}

static int query_prepare(struct query *query, unsigned index, unsigned flags)
{
	const struct sql_spec *spec = query->sql->spec;
	const char *text = index < spec->statement_count ? spec->statements[index]
							 : sql_own[index - spec->statement_count];
	int code = sqlite3_prepare_v3(query->sql->db, text, -1, flags, &query->statement, NULL);
	return code == SQLITE_OK ? 0 : err_raise(sql_fault(query->sql->db, code));
}

void query_begin(struct query *query, struct sql *sql, unsigned index)
{
	assert(index < sql->spec->statement_count + SQL_OWN);
	*query = (struct query){ .sql = sql, .statement = sql->statements[index], .next = 1 };
	if (query->statement) {
		assert(!sqlite3_stmt_busy(query->statement));
		return;
	}
	query->err = query_prepare(query, index, SQLITE_PREPARE_PERSISTENT);
	sql->statements[index] = query->statement;
}

void query_begin_own(struct query *query, struct sql *sql, unsigned index)
{
	assert(index < sql->spec->statement_count);
	*query = (struct query){ .sql = sql, .next = 1, .is_own = true };
	query->err = query_prepare(query, index, 0);
}

static void query_bound(struct query *query, int code)
{
	assert(code != SQLITE_RANGE && code != SQLITE_MISUSE); /* the text has fewer parameters */
	if (code != SQLITE_OK)
		query->err = err_raise(sql_fault(query->sql->db, code));
}

void query_put(struct query *query, str value)
{
	if (query->err)
		return;
	const char *at = value.len ? value.at : ""; /* NULL would bind an SQL NULL */
	query_bound(query,
		sqlite3_bind_blob64(query->statement, query->next++, at, value.len, SQLITE_STATIC));
}

void query_put_u64(struct query *query, uint64_t value)
{
	assert(value <= INT64_MAX); /* SQLite's integers are signed */
	if (query->err)
		return;
	query_bound(
		query, sqlite3_bind_int64(query->statement, query->next++, (sqlite3_int64)value));
}

int query_step(struct query *query)
{
	if (query->err)
		return err_pass(query->err);
	int code = sqlite3_step(query->statement);
	if (code == SQLITE_ROW)
		return QUERY_ROW;
	if (code == SQLITE_DONE)
		return QUERY_DONE;
	query->err = err_raise(sql_fault(query->sql->db, code));
	return query->err;
}

str query_get(struct query *query, int column)
{
	assert(column < sqlite3_data_count(query->statement));
	const void *at = sqlite3_column_blob(query->statement, column);
	int len = sqlite3_column_bytes(query->statement, column);
	return at ? (str){ at, (size_t)len } : S("");
}

uint64_t query_get_u64(struct query *query, int column)
{
	assert(column < sqlite3_data_count(query->statement));
	sqlite3_int64 value = sqlite3_column_int64(query->statement, column);
	return value > 0 ? (uint64_t)value : 0;
}

void query_end(struct query *query)
{
	if (!query->statement)
		return;
	if (query->is_own) {
		sqlite3_finalize(query->statement);
	} else {
		sqlite3_reset(query->statement);
		sqlite3_clear_bindings(query->statement);
	}
	query->statement = NULL;
}

int query_run(struct query *query)
{
	int r = query_step(query);
	query_end(query);
	assert(r != QUERY_ROW);
	return err_pass(r);
}
