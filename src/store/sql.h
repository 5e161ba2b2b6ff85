#pragma once
/*
 * SQLite as the stores use it: a pool of connections to one database file, each used by one
 * thread at a time; statements prepared once per connection; its result codes as faults.
 *
 * Everything here blocks on the disk, and waits up to SQL_BUSY_MS for another writer.
 */
#include "base/buf.h"

#include <sqlite3.h>

enum { SQL_BUSY_MS = 10'000 };

/* What a store is made of; lives as long as the program. */
struct sql_spec {
	const char *pragmas;	     /* run on each new connection, before all else */
	const char *const *versions; /* versions[v] turns schema v into schema v + 1 */
	size_t version_count;
	const char *const *statements; /* the texts that query_begin() names by index */
	size_t statement_count;
};

struct sql_pool;

/* One connection, leased. */
struct sql {
	sqlite3 *db;
	const struct sql_spec *spec;
	sqlite3_stmt **statements; /* prepared when first used; NULL before */
};

/*
 * Open or create the database `path` and bring its schema to the latest version. 0 or a fault;
 * -ENOTSUP when a newer program has changed the schema.
 */
[[nodiscard]] int sql_open(
	const char *path, const struct sql_spec *spec, struct sql_pool **ret_pool);

/* All connections must have been returned. NULL is fine. */
void sql_close(struct sql_pool *pool);

/* A connection for this thread until sql_return(). Any thread. */
[[nodiscard]] int sql_lease(struct sql_pool *pool, struct sql **ret_sql);

/*
 * Give it back: an open transaction is rolled back. `result` is what the work on it came to, and is
 * returned: after a fault the connection is closed and not used again. NULL is fine.
 */
int sql_return(struct sql_pool *pool, struct sql *sql, int result);

/* Start a transaction that may write; keep what it wrote; forget it (no transaction: nothing). */
[[nodiscard]] int sql_begin(struct sql *sql);
[[nodiscard]] int sql_commit(struct sql *sql);
void sql_rollback(struct sql *sql);
/*
 * Outside of a transaction: is a commit to wait for the disk? If not, the next one that does, of any connection, takes it
 * along. It has to be again when the connection is returned.
 */
[[nodiscard]] int sql_set_waiting(struct sql *sql, bool waits);

/* Rows that the last finished INSERT, UPDATE or DELETE changed. */
uint64_t sql_changes(const struct sql *sql);

/*
 * Where a listing by prefix starts that goes on after a key: the least key that has the prefix
 * and is greater than `after` (empty: none). `room` holds it if need be; see its err.
 */
str sql_first_key(struct buf *room, str prefix, str after);

/* The fault that an SQLite result code stands for (db may be NULL). */
int sql_fault(sqlite3 *db, int code);

/*
 * One run of a statement. Values are bound in the order of the calls; the first error is kept
 * and answered by query_step(), so that a caller checks once.
 */
struct query {
	struct sql *sql;
	sqlite3_stmt *statement;
	int next; /* parameter to bind */
	int err;
	bool is_own; /* prepared for this query alone */
};

/* Begin a run of spec->statements[index]. It must not be in use on this connection. */
void query_begin(struct query *query, struct sql *sql, unsigned index);

/* The same with a statement of its own, so that several of one text can run at once. */
void query_begin_own(struct query *query, struct sql *sql, unsigned index);

/* Bind the next parameter. `value` is borrowed until query_end(). */
void query_put(struct query *query, str value);
void query_put_u64(struct query *query, uint64_t value);

enum query_answer { QUERY_DONE = 0, QUERY_ROW };

/* The next row: QUERY_ROW, or QUERY_DONE after the last, or a fault. */
[[nodiscard]] int query_step(struct query *query);

/* Columns of the row, from 0. The view dies at the next step or end. */
str query_get(struct query *query, int column);
uint64_t query_get_u64(struct query *query, int column);

/* Done with it, rows left or not; may be called twice, and on a zeroed query. */
void query_end(struct query *query);

/* For statements without rows: step once and end. 0 or a fault. */
[[nodiscard]] int query_run(struct query *query);
