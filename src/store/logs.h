#pragma once
/*
 * Log groups, streams and events: an append-mostly store of its own (SQLite in WAL,
 * synchronous=NORMAL: a power cut may lose the last moments, never corrupts).
 * Thread-safe; blocks: worker threads only.
 */
#include "base/buf.h"

struct logs;

/* Open or create `path` (relative to the working directory). */
[[nodiscard]] int logs_open(const char *path, struct logs **ret_logs);
/* No call may be under way. NULL is fine. */
void logs_close(struct logs *logs);

enum logs_answer { LOGS_DONE = 0, LOGS_NO_GROUP, LOGS_NO_STREAM, LOGS_EXISTS };

/* Whose: an account and a region. */
struct logs_scope {
	str account;
	str region;
};

struct logs_event {
	str group;
	str stream;
	uint64_t timestamp_ms;
	uint64_t ingested_ms;
	str message;
};

/*
 * Append events of any groups and streams of one scope in one transaction; missing groups and streams
 * are made when `make` (the platform's own writes), else LOGS_NO_GROUP / LOGS_NO_STREAM and nothing is written.
 */
[[nodiscard]] int logs_append(struct logs *logs, struct logs_scope scope,
	const struct logs_event *events, size_t count, bool make);

/* LOGS_DONE, or LOGS_EXISTS. */
[[nodiscard]] int logs_group_create(struct logs *logs, struct logs_scope scope, str group,
	uint64_t now_ms, str log_class, str kms_key);
/* With its streams and events: unreachable at once, off the disk then or at a later logs_expire(). */
[[nodiscard]] int logs_group_delete(struct logs *logs, struct logs_scope scope, str group);
/* LOGS_DONE or LOGS_NO_GROUP. days = 0: keep for ever. */
[[nodiscard]] int logs_group_set_retention(
	struct logs *logs, struct logs_scope scope, str group, unsigned days);
/* LOGS_DONE or LOGS_NO_GROUP. */
[[nodiscard]] int logs_group_set_protection(
	struct logs *logs, struct logs_scope scope, str group, bool is_protected);
[[nodiscard]] int logs_stream_create(
	struct logs *logs, struct logs_scope scope, str group, str stream, uint64_t now_ms);
[[nodiscard]] int logs_stream_delete(
	struct logs *logs, struct logs_scope scope, str group, str stream);

struct logs_group {
	str name;
	uint64_t created_ms;
	unsigned retention_days;
	uint64_t stored_bytes;
	str log_class;
	str kms_key; /* empty: none */
	bool is_protected; /* a mark for whoever deletes groups: logs_group_delete() itself does not look */
};
struct logs_stream {
	str name;
	uint64_t created_ms;
	uint64_t first_event_ms, last_event_ms, last_ingested_ms; /* 0: none */
	uint64_t stored_bytes;
};
typedef int logs_group_fn(void *context, const struct logs_group *group);
typedef int logs_stream_fn(void *context, const struct logs_stream *stream);
typedef int logs_event_fn(void *context, const struct logs_event *event, uint64_t id);

/* In name order, after `after`; non-zero from the callback stops. */
[[nodiscard]] int logs_groups(struct logs *logs, struct logs_scope scope, str prefix, str after,
	size_t limit, logs_group_fn *each, void *context);

struct logs_stream_query {
	str group;
	str prefix;
	str after; /* name, or decimal "ms:name" cursor when by_last_event */
	bool by_last_event;
	bool descending;
	size_t limit;
};
/* LOGS_DONE, LOGS_NO_GROUP, or a fault; non-zero from the callback stops. */
[[nodiscard]] int logs_streams(struct logs *logs, struct logs_scope scope,
	const struct logs_stream_query *query, logs_stream_fn *each, void *context);

struct logs_event_query {
	str group;
	const str *streams; /* none = all of the group */
	size_t stream_count;
	str stream_prefix;
	uint64_t from_ms; /* inclusive */
	uint64_t to_ms;	  /* exclusive; 0 = no end */
	bool backward;	  /* newest first */
	uint64_t
		cursor_ms; /* with cursor_id: strictly after (or before, when backward) this event; 0,0 = none */
	uint64_t cursor_id;
	size_t limit;
};
/* Ordered by timestamp, then id. */
[[nodiscard]] int logs_events(struct logs *logs, struct logs_scope scope,
	const struct logs_event_query *query, logs_event_fn *each, void *context);

/* Delete events older than their group's retention; returns 0 or a fault. Called now and then. */
[[nodiscard]] int logs_expire(struct logs *logs, uint64_t now_ms);
[[nodiscard]] int logs_wipe(struct logs *logs);
