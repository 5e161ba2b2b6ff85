/*
 * The tables:
 *
 *	log_group   account, region, name │ retention, class, size
 *	log_stream  group, name │ times of the first and last event, size
 *	log_chunk   events of one stream: group, stream, times of the first and last │ data
 *	doomed_stream  streams whose row is gone but whose chunks are still there
 *
 * Events are kept in chunks (logs_chunk.h): a row of its own for each line of each function was
 * most of what an invocation cost. A chunk carries its group's id as well as its stream's, so
 * that reading a whole group is one walk over one index however many streams it has. Events
 * have ids, too, counted up over all of them: a chunk's id is that of its first event, and the others follow.
 *
 * Deleting a group would be one transaction over very many rows, with every writer waiting.
 * So the rows of the group and of its streams go at once, which makes the events unreachable (ids are
 * never used again: AUTOINCREMENT), their streams are noted as doomed, and the events are deleted in
 * small batches, then and whenever logs_expire() runs.
 *
 * synchronous=NORMAL: a commit is in the write-ahead log but not synced. A crash of the
 * process loses nothing, a power cut the last moments.
 */
#include "store/logs_db.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/logs_chunk.h"

#include <assert.h>
#include <errno.h>

#define STREAM_COLUMNS \
	"name, created_ms, first_event_ms, last_event_ms, last_ingested_ms, stored_bytes"
#define CHUNK_COLUMNS "c.id, c.first_ms, c.ingested_ms, c.count, c.data, s.name"
/* The chunks lead: CROSS JOIN keeps SQLite from walking over the streams instead. */
#define CHUNK_TABLES "log_chunk AS c CROSS JOIN log_stream AS s ON s.id = c.stream_id"
#define CHUNK_BOUNDS "c.first_ms >= ? AND c.first_ms <= ? AND c.last_ms >= ?"

static_assert(CHUNK_SPAN_MS == 1000); /* it stands in LOGS_STREAM_SHRINK */

static const char *const logs_statements[LOGS_STATEMENTS] = {
	[LOGS_GROUP_FIND] =
		"SELECT id FROM log_group WHERE account = ? AND region = ? AND name = ?",
	[LOGS_GROUP_ADD] =
		"INSERT INTO log_group (account, region, name, created_ms, log_class, kms_key)"
		" VALUES (?, ?, ?, ?, ?, ?)",
	[LOGS_GROUP_DELETE] = "DELETE FROM log_group WHERE id = ?",
	[LOGS_GROUP_SET_RETENTION] = "UPDATE log_group SET retention_days = ?"
				     " WHERE account = ? AND region = ? AND name = ?",
	[LOGS_GROUP_SET_PROTECTION] = "UPDATE log_group SET is_protected = ?"
				      " WHERE account = ? AND region = ? AND name = ?",
	[LOGS_GROUP_GROW] = "UPDATE log_group SET stored_bytes = stored_bytes + ? WHERE id = ?",
	[LOGS_GROUP_SHRINK] =
		"UPDATE log_group SET stored_bytes = max(stored_bytes - ?, 0) WHERE id = ?",
	[LOGS_GROUP_LIST] =
		"SELECT name, created_ms, retention_days, stored_bytes, log_class, kms_key,"
		" is_protected FROM log_group"
		" WHERE account = ? AND region = ? AND name >= ? ORDER BY name",
	[LOGS_STREAM_FIND] = "SELECT id FROM log_stream WHERE group_id = ? AND name = ?",
	[LOGS_STREAM_ADD] = "INSERT INTO log_stream (group_id, name, created_ms) VALUES (?, ?, ?)",
	[LOGS_STREAM_DELETE] = "DELETE FROM log_stream WHERE id = ?",
	[LOGS_STREAM_DELETE_ALL] = "DELETE FROM log_stream WHERE group_id = ?",
	[LOGS_STREAM_GROW] =
		"UPDATE log_stream SET"
		" first_event_ms = CASE first_event_ms WHEN 0 THEN ?1 ELSE min(first_event_ms, ?1) END,"
		" last_event_ms = max(last_event_ms, ?2),"
		" last_ingested_ms = max(last_ingested_ms, ?3),"
		" stored_bytes = stored_bytes + ?4"
		" WHERE id = ?5",
	[LOGS_STREAM_SHRINK] = /* a chunk's last event is at most CHUNK_SPAN_MS after its first */
	"UPDATE log_stream SET"
	" first_event_ms = coalesce((SELECT min(first_ms) FROM log_chunk WHERE stream_id = ?1), 0),"
	" last_event_ms = coalesce((SELECT max(last_ms) FROM log_chunk WHERE stream_id = ?1"
	"  AND first_ms >= (SELECT max(first_ms) FROM log_chunk WHERE stream_id = ?1) - 1000), 0),"
	" stored_bytes = max(stored_bytes - ?2, 0)"
	" WHERE id = ?1",
	[LOGS_STREAM_BYTES] = "SELECT stored_bytes FROM log_stream WHERE id = ?",
	[LOGS_STREAM_BY_NAME] = "SELECT " STREAM_COLUMNS " FROM log_stream"
				" WHERE group_id = ? AND name >= ? ORDER BY name",
	[LOGS_STREAM_BY_NAME_DOWN] = "SELECT " STREAM_COLUMNS " FROM log_stream"
				     " WHERE group_id = ? AND name < ? ORDER BY name DESC",
	[LOGS_STREAM_BY_EVENT] = "SELECT " STREAM_COLUMNS " FROM log_stream"
				 " WHERE group_id = ? AND (last_event_ms, name) > (?, ?)"
				 " ORDER BY last_event_ms, name",
	[LOGS_STREAM_BY_EVENT_DOWN] = "SELECT " STREAM_COLUMNS " FROM log_stream"
				      " WHERE group_id = ? AND (last_event_ms, name) < (?, ?)"
				      " ORDER BY last_event_ms DESC, name DESC",
	[LOGS_DOOM] = "INSERT INTO doomed_stream VALUES (?)",
	[LOGS_DOOM_ALL] = "INSERT INTO doomed_stream SELECT id FROM log_stream WHERE group_id = ?",
	[LOGS_DOOMED] = "SELECT stream_id FROM doomed_stream LIMIT 1",
	[LOGS_DOOM_DONE] = "DELETE FROM doomed_stream WHERE stream_id = ?",
	[LOGS_DOOM_SWEEP] = "DELETE FROM log_chunk WHERE id IN"
			    " (SELECT id FROM log_chunk WHERE stream_id = ? LIMIT 100)",
	[LOGS_IDS] = "UPDATE last_event SET id = id + ? RETURNING id",
	[LOGS_CHUNK_ADD] =
		"INSERT INTO log_chunk (id, group_id, stream_id, first_ms, last_ms, ingested_ms, count, bytes, data)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[LOGS_CHUNK_OF_GROUP] = "SELECT " CHUNK_COLUMNS " FROM " CHUNK_TABLES
				" WHERE c.group_id = ? AND " CHUNK_BOUNDS
				" ORDER BY c.first_ms, c.id",
	[LOGS_CHUNK_OF_GROUP_DOWN] = "SELECT " CHUNK_COLUMNS " FROM " CHUNK_TABLES
				     " WHERE c.group_id = ? AND " CHUNK_BOUNDS
				     " ORDER BY c.first_ms DESC, c.id DESC",
	[LOGS_CHUNK_OF_STREAM] = "SELECT " CHUNK_COLUMNS " FROM " CHUNK_TABLES
				 " WHERE c.stream_id = ? AND " CHUNK_BOUNDS
				 " ORDER BY c.first_ms, c.id",
	[LOGS_CHUNK_OF_STREAM_DOWN] = "SELECT " CHUNK_COLUMNS " FROM " CHUNK_TABLES
				      " WHERE c.stream_id = ? AND " CHUNK_BOUNDS
				      " ORDER BY c.first_ms DESC, c.id DESC",
	[LOGS_EXPIRING] = "SELECT id, retention_days FROM log_group"
			  " WHERE retention_days > 0 AND id > ? ORDER BY id LIMIT 1",
	[LOGS_OVERDUE] =
		"SELECT stream_id, bytes FROM log_chunk WHERE id IN"
		" (SELECT id FROM log_chunk WHERE group_id = ?1 AND first_ms < ?2 AND last_ms < ?2"
		"  ORDER BY first_ms, id LIMIT 100) ORDER BY stream_id",
	[LOGS_OVERDUE_DELETE] =
		"DELETE FROM log_chunk WHERE id IN"
		" (SELECT id FROM log_chunk WHERE group_id = ?1 AND first_ms < ?2 AND last_ms < ?2"
		"  ORDER BY first_ms, id LIMIT 100)",
	[LOGS_GIVE_BACK] = "PRAGMA incremental_vacuum(2048)",
};

static const char *const logs_versions[] = {
	"CREATE TABLE log_group ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" account BLOB NOT NULL,"
	" region BLOB NOT NULL,"
	" name BLOB NOT NULL,"
	" created_ms INTEGER NOT NULL,"
	" retention_days INTEGER NOT NULL DEFAULT 0,"
	" stored_bytes INTEGER NOT NULL DEFAULT 0,"
	" log_class BLOB NOT NULL,"
	" kms_key BLOB NOT NULL,"
	" is_protected INTEGER NOT NULL DEFAULT 0,"
	" UNIQUE (account, region, name)"
	");"
	"CREATE TABLE log_stream ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" group_id INTEGER NOT NULL,"
	" name BLOB NOT NULL,"
	" created_ms INTEGER NOT NULL,"
	" first_event_ms INTEGER NOT NULL DEFAULT 0,"
	" last_event_ms INTEGER NOT NULL DEFAULT 0,"
	" last_ingested_ms INTEGER NOT NULL DEFAULT 0,"
	" stored_bytes INTEGER NOT NULL DEFAULT 0,"
	" UNIQUE (group_id, name)"
	");"
	"CREATE INDEX log_stream_by_event ON log_stream (group_id, last_event_ms, name);"
	"CREATE TABLE last_event (id INTEGER NOT NULL);"
	"INSERT INTO last_event VALUES (0);"
	"CREATE TABLE log_chunk ("
	" id INTEGER PRIMARY KEY,"
	" group_id INTEGER NOT NULL,"
	" stream_id INTEGER NOT NULL,"
	" first_ms INTEGER NOT NULL,"
	" last_ms INTEGER NOT NULL,"
	" ingested_ms INTEGER NOT NULL,"
	" count INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL,"
	" data BLOB NOT NULL"
	");"
	"CREATE INDEX log_chunk_of_group ON log_chunk (group_id, first_ms);"
	"CREATE INDEX log_chunk_of_stream ON log_chunk (stream_id, first_ms);"
	"CREATE TABLE doomed_stream (stream_id INTEGER PRIMARY KEY);",
};

static const struct sql_spec logs_spec = {
	.pragmas = "PRAGMA auto_vacuum = INCREMENTAL;"
		   "PRAGMA synchronous = NORMAL;"
		   "PRAGMA cache_size = -512;",
	.versions = logs_versions,
	.version_count = ARRAY_LEN(logs_versions),
	.statements = logs_statements,
	.statement_count = LOGS_STATEMENTS,
};

int logs_open(const char *path, struct logs **ret_logs)
{
	struct logs *logs = mem_one(struct logs);
	if (!logs)
		return err_raise(-ENOMEM);
	int r = sql_open(path, &logs_spec, &logs->pool);
	if (r < 0) {
		mem_free(logs);
		return err_pass(r);
	}
	*ret_logs = logs;
	return 0;
}

void logs_close(struct logs *logs)
{
	if (!logs)
		return;
	sql_close(logs->pool);
	mem_free(logs);
}

static int logs_wipe_tables(struct sql *sql)
{
	/* sqlite_sequence and last_event are left as they are: ids go on counting. */
	static const char text[] = "DELETE FROM log_chunk; DELETE FROM log_stream;"
				   "DELETE FROM log_group; DELETE FROM doomed_stream";
	int r = sql_begin(sql);
	if (r < 0)
		return err_pass(r);
	int code = sqlite3_exec(sql->db, text, NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return err_raise(sql_fault(sql->db, code));
	return err_pass(sql_commit(sql));
}

int logs_wipe(struct logs *logs)
{
	struct sql *sql;

	assert(logs);
	int r = sql_lease(logs->pool, &sql);
	if (r < 0)
		return err_pass(r);
	return err_pass(sql_return(logs->pool, sql, logs_wipe_tables(sql)));
}
