#pragma once
/*
 * Function output and platform lines on their way to the log store: collected on the loop thread,
 * written in batches by a worker. Loop thread only.
 */
#include "base/str.h"

struct function_log_writer;
struct log_report;
struct log_stream;
struct loop;
struct memory_meter;
struct logs;

/* A writer into this store: 0 and *ret_writer, or a fault. */
[[nodiscard]] int function_log_writer_new(
	struct loop *loop, struct logs *logs, struct function_log_writer **ret_writer);
/* Nothing may be pending: see function_log_flush(). */
void function_log_writer_free(struct function_log_writer *writer);
/*
 * Write what waits now; `done` (may be NULL) is called from the loop, once, when nothing waits any
 * more. One flush with a `done` at a time.
 */
void function_log_flush(
	struct function_log_writer *writer, void (*done)(void *context), void *context);
/* Is so much waiting that functions should be slowed down? */
bool function_log_is_full(const struct function_log_writer *writer);
/* Is half of that waiting? */
bool function_log_is_pressed(const struct function_log_writer *writer);
/* Call `on_room` (once each time) when it was full and no longer is. */
void function_log_on_room(
	struct function_log_writer *writer, void (*on_room)(void *context), void *context);

struct log_stream_names {
	str account;
	str region;
	str group;
	str stream;
};

/*
 * Forget what waits, and whatever is put into the streams there are; those that are made from now on write
 * again. What workers are writing is still written: see function_log_flush().
 */
void function_log_forget(struct function_log_writer *writer);

/*
 * One stream: an environment's. Counted: lines that wait hold it beyond its environment. NULL when out
 * of memory.
 */
struct log_stream *log_stream_new(
	struct function_log_writer *writer, const struct log_stream_names *names);
struct log_stream *log_stream_ref(struct log_stream *stream);
void log_stream_unref(struct log_stream *stream);
/* What its environment's sandbox holds: the owner opens it, and tells its end. */
struct memory_meter *log_stream_memory(struct log_stream *stream);
/* The largest memory use that was read so far, in bytes, with its files; 0: none was. */
uint64_t log_stream_memory_seen(const struct log_stream *stream);
/* The largest memory use so far, in bytes; reads the file. */
uint64_t log_stream_memory_peak(struct log_stream *stream);

/*
 * Keep the events that are put from now on, instead of writing them; log_stream_release() writes them, and so
 * does the first that makes them more than LOG_HELD_MAX bytes. Those of a stream that goes before are lost.
 */
enum { LOG_HELD_MAX = 64 * 1024 };
void log_stream_hold(struct log_stream *stream);
/* Nothing when it is not held. */
void log_stream_release(struct log_stream *stream);

/* Append one event; `line` is copied. When memory is short the line is lost and counted. */
void log_stream_put(struct log_stream *stream, uint64_t timestamp_ms, str line);

/* Append a REPORT line; the memory figure is read when the batch is written. */
void log_stream_put_report(
	struct log_stream *stream, uint64_t timestamp_ms, const struct log_report *report);
