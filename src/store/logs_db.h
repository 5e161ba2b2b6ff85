#pragma once
/* Inside the log store: its database, its statements and what its files share. */
#include "store/logs.h"
#include "store/sql.h"

enum logs_statement {
	LOGS_GROUP_FIND,
	LOGS_GROUP_ADD,
	LOGS_GROUP_DELETE,
	LOGS_GROUP_SET_RETENTION,
	LOGS_GROUP_SET_PROTECTION,
	LOGS_GROUP_GROW,
	LOGS_GROUP_SHRINK,
	LOGS_GROUP_LIST,
	LOGS_STREAM_FIND,
	LOGS_STREAM_ADD,
	LOGS_STREAM_DELETE,
	LOGS_STREAM_DELETE_ALL,
	LOGS_STREAM_GROW,
	LOGS_STREAM_SHRINK,
	LOGS_STREAM_BYTES,
	LOGS_STREAM_BY_NAME,
	LOGS_STREAM_BY_NAME_DOWN,
	LOGS_STREAM_BY_EVENT,
	LOGS_STREAM_BY_EVENT_DOWN,
	LOGS_DOOM,
	LOGS_DOOM_ALL,
	LOGS_DOOMED,
	LOGS_DOOM_DONE,
	LOGS_DOOM_SWEEP,
	LOGS_IDS,
	LOGS_CHUNK_ADD,
	LOGS_CHUNK_OF_GROUP,
	LOGS_CHUNK_OF_GROUP_DOWN,
	LOGS_CHUNK_OF_STREAM,
	LOGS_CHUNK_OF_STREAM_DOWN,
	LOGS_EXPIRING,
	LOGS_OVERDUE,
	LOGS_OVERDUE_DELETE,
	LOGS_GIVE_BACK,
	LOGS_STATEMENTS,
};

struct logs {
	struct sql_pool *pool;
};

/* Greater than every name: names are UTF-8, which never holds this byte. */
#define LOGS_NAME_END S("\xff")

/* LOGS_DONE and the group's id, LOGS_NO_GROUP, or a fault. */
[[nodiscard]] int logs_find_group(
	struct sql *sql, struct logs_scope scope, str group, uint64_t *ret_id);

/* LOGS_DONE and the stream's id, LOGS_NO_STREAM, or a fault. */
[[nodiscard]] int logs_find_stream(
	struct sql *sql, uint64_t group_id, str stream, uint64_t *ret_id);

/* Add one that is known to be missing. */
[[nodiscard]] int logs_add_group(
	struct sql *sql, struct logs_scope scope, const struct logs_group *group, uint64_t *ret_id);
[[nodiscard]] int logs_add_stream(
	struct sql *sql, uint64_t group_id, str stream, uint64_t now_ms, uint64_t *ret_id);

/*
 * Delete events of streams that are deleted, at most `batches` small transactions. 0 or a fault;
 * what is left goes with the next logs_expire().
 */
[[nodiscard]] int logs_sweep(struct logs *logs, unsigned batches);
