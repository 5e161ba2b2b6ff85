/*
 * Function logs: from the loop thread to the store in batches.
 *
 *	log_stream_put ──► open batch ──(FLUSH_MS or FLUSH_BYTES)──► worker: logs_append ──► freed
 *
 * The loop thread only appends to memory. A batch is closed a moment after its first line, so one
 * transaction carries the lines of many invocations, and a client that asks for its logs right
 * after an invoke finds them a moment later, as on AWS. At most BATCHES_MAX batches are with the
 * workers; when the store cannot keep up the open batch grows to BATCH_CEILING and then the writer
 * is *full*: environments stop reading their pipes, and a function that floods its log waits in
 * write(2) like with any slow terminal.
 *
 * The stream of a spare is *held*: a log is about what was asked for, so its lines stay in memory until the first
 * invocation, and go with it when there is none.
 *
 * REPORT lines carry the memory peak, one read of a cgroup file. It is read when the batch is
 * closed, once an environment, so that the invoke path does not pay a system call for it.
 */
#include "engine/function_log.h"

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/log_lines.h"
#include "engine/log_meter.h"
#include "engine/memory_meter.h"
#include "os/clock.h"
#include "os/loop.h"
#include "store/logs.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
	FLUSH_MS = 40,
	BATCHES_MAX = 2,
	LINE_COST = LOG_METER_LINE_COST, /* here and with the worker */
};
#define FLUSH_BYTES   (1 * MIB)
#define BATCH_CEILING (16 * MIB)

struct log_stream {
	unsigned refs;
	struct function_log_writer *writer;
	struct log_stream_names names;
	char *text; /* what the names point into */
	struct memory_meter memory;
	uint64_t memory_read_at; /* the flush it was last read for */
	uint64_t epoch;		 /* the writer's, when it was made */
	bool is_held;
	struct buf held; /* held_event, bytes, held_event, … */
};

struct held_event {
	uint64_t timestamp_ms;
	size_t len;
};

struct log_record {
	struct log_stream *stream;
	uint64_t timestamp_ms;
	size_t offset; /* into the batch's text */
	size_t len;
	struct log_report *report; /* not yet text */
};

struct log_batch {
	struct work work;
	struct function_log_writer *writer;
	struct log_record *records;
	size_t count, size;
	struct buf text;
	int result;
};

struct function_log_writer {
	struct loop *loop;
	struct logs *logs;
	struct timer *timer;
	struct log_batch *open; /* NULL: none */
	unsigned with_workers;
	uint64_t flushes;
	uint64_t epoch; /* how often it was told to forget */
	uint64_t lost_lines;
	void (*on_room)(void *context);
	void *on_room_context;
	void (*on_flushed)(void *context);
	void *on_flushed_context;
	struct deferred flushed;
};

static void writer_close_batch(struct function_log_writer *writer);

/*
 * Lines are lost when memory or the store fails. Told now and then: a full disk would fill our own
 * log.
 */
static void writer_lose(struct function_log_writer *writer, uint64_t lines)
{
	uint64_t before = writer->lost_lines / 1000;

	writer->lost_lines += lines;
	if (before != writer->lost_lines / 1000 || writer->lost_lines == lines)
		log_error("function_log_lost", LOG_U64("lines", writer->lost_lines));
}

/* --- batches --- */

static void batch_free(struct log_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		mem_free(batch->records[i].report);
		log_stream_unref(batch->records[i].stream);
	}
	mem_free(batch->records);
	buf_done(&batch->text);
	mem_free(batch);
}

/* The memory that it takes, roughly: empty lines are not free. */
static size_t batch_size(const struct log_batch *batch)
{
	return batch->text.len + batch->count * LINE_COST;
}

static struct log_batch *writer_open_batch(struct function_log_writer *writer)
{
	if (writer->open)
		return writer->open;
	struct log_batch *batch = mem_one(struct log_batch);
	if (!batch)
		return NULL;

	batch->writer = writer;
	buf_init(&batch->text, BATCH_CEILING + 2 * MIB);
	writer->open = batch;
	timer_set(writer->timer, FLUSH_MS);
	return batch;
}

static struct log_record *batch_add(
	struct log_batch *batch, struct log_stream *stream, uint64_t timestamp_ms)
{
	if (batch->count == batch->size) {
		size_t size = batch->size ? batch->size * 2 : 64;
		struct log_record *records = mem_grow(batch->records, size, sizeof(*records));
		if (!records)
			return NULL;
		batch->records = records;
		batch->size = size;
	}
	struct log_record *record = &batch->records[batch->count++];
	*record = (struct log_record){
		.stream = log_stream_ref(stream),
		.timestamp_ms = timestamp_ms,
		.offset = batch->text.len,
	};
	return record;
}

/* Reports become text, on the loop thread: the memory files belong to it. */
static void batch_format_reports(struct log_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct log_record *record = &batch->records[i];
		if (!record->report)
			continue;
		record->offset = batch->text.len;
		log_put_report(&batch->text, record->report, record->timestamp_ms,
			log_stream_memory_peak(record->stream));
		if (batch->text.err) { /* no half lines */
			batch->text.len = record->offset;
			batch->text.err = 0;
			writer_lose(batch->writer, 1);
		}
		record->len = batch->text.len - record->offset;
	}
}

static bool scope_same(const struct log_stream *a, const struct log_stream *b)
{
	return str_eq(a->names.account, b->names.account) &&
		str_eq(a->names.region, b->names.region);
}

/* Store all records of the scope that record `first` has, and mark them done (len 0). */
static int batch_store_scope(struct log_batch *batch, size_t first, struct logs_event *events)
{
	struct log_stream *stream = batch->records[first].stream;
	uint64_t now_ms = clock_real_ms();
	size_t count = 0;

	for (size_t i = first; i < batch->count; i++) {
		struct log_record *record = &batch->records[i];
		if (!record->len || !scope_same(record->stream, stream))
			continue;
		events[count++] = (struct logs_event){
			.group = record->stream->names.group,
			.stream = record->stream->names.stream,
			.timestamp_ms = record->timestamp_ms,
			.ingested_ms = now_ms,
			.message = { batch->text.at + record->offset, record->len },
		};
		record->len = 0;
	}
	struct logs_scope scope = { stream->names.account, stream->names.region };
	return err_pass(logs_append(batch->writer->logs, scope, events, count, true));
}

static void batch_run(struct work *work)
{
	struct log_batch *batch = list_entry(work, struct log_batch, work);
	struct logs_event *events = mem_new(batch->count, sizeof(*events));

	if (!events) {
		batch->result = err_raise(-ENOMEM);
		return;
	}
	for (size_t i = 0; i < batch->count; i++) {
		if (!batch->records[i].len)
			continue;
		int r = batch_store_scope(batch, i, events);
		if (r < 0)
			batch->result = r;
	}
	mem_free(events);
	if (batch->result < 0)
		err_log(batch->result, "store function logs");
}

static void batch_done(struct work *work)
{
	struct log_batch *batch = list_entry(work, struct log_batch, work);
	struct function_log_writer *writer = batch->writer;

	if (batch->result < 0)
		writer_lose(writer, batch->count);
	batch_free(batch);
	writer->with_workers--;
	if (writer->open && (batch_size(writer->open) >= FLUSH_BYTES || writer->on_flushed))
		writer_close_batch(writer);
	if (writer->on_room && !function_log_is_full(writer)) {
		void (*on_room)(void *) = writer->on_room;
		writer->on_room = NULL;
		on_room(writer->on_room_context);
	}
	loop_defer(writer->loop, &writer->flushed);
}

/* --- the writer --- */

static void writer_close_batch(struct function_log_writer *writer)
{
	struct log_batch *batch = writer->open;

	if (!batch)
		return;
	if (writer->with_workers >= BATCHES_MAX) {
		timer_set(writer->timer, FLUSH_MS);
		return;
	}
	timer_clear(writer->timer);
	writer->open = NULL;
	writer->flushes++;
	batch_format_reports(batch);
	batch->work.run = batch_run;
	batch->work.done = batch_done;
	int r = loop_work(writer->loop, &batch->work);
	if (r < 0) {
		err_log(r, "hand function logs to a worker");
		writer_lose(writer, batch->count);
		batch_free(batch);
		loop_defer(writer->loop, &writer->flushed);
		return;
	}
	writer->with_workers++;
}

/* If nothing waits any more: tell who asked for it. */
static void writer_on_flushed(struct deferred *self)
{
	struct function_log_writer *writer = list_entry(self, struct function_log_writer, flushed);
	void (*on_flushed)(void *) = writer->on_flushed;

	if (!on_flushed || writer->with_workers || writer->open)
		return;
	writer->on_flushed = NULL;
	/* The last use of the writer: it may be freed in there. */
	on_flushed(writer->on_flushed_context);
}

static void writer_on_time(void *context)
{
	writer_close_batch(context);
}

int function_log_writer_new(
	struct loop *loop, struct logs *logs, struct function_log_writer **ret_writer)
{
	struct function_log_writer *writer = mem_one(struct function_log_writer);
	if (!writer)
		return err_raise(-ENOMEM);

	writer->loop = loop;
	writer->logs = logs;
	writer->flushes = 1;
	writer->flushed.run = writer_on_flushed;
	int r = timer_new(loop, writer_on_time, writer, &writer->timer);
	if (r < 0) {
		mem_free(writer);
		return err_pass(r);
	}
	*ret_writer = writer;
	return 0;
}

void function_log_writer_free(struct function_log_writer *writer)
{
	if (!writer)
		return;
	assert(!writer->with_workers);
	if (writer->open)
		batch_free(writer->open);
	loop_defer_cancel(&writer->flushed);
	timer_free(writer->timer);
	mem_free(writer);
}

void function_log_flush(
	struct function_log_writer *writer, void (*done)(void *context), void *context)
{
	if (done) {
		assert(!writer->on_flushed);
		writer->on_flushed = done;
		writer->on_flushed_context = context;
		loop_defer(writer->loop, &writer->flushed);
	}
	writer_close_batch(writer);
}

void function_log_forget(struct function_log_writer *writer)
{
	writer->epoch++;
	if (writer->open)
		batch_free(writer->open);
	writer->open = NULL;
	timer_clear(writer->timer);
}

bool function_log_is_full(const struct function_log_writer *writer)
{
	return writer->open && batch_size(writer->open) >= BATCH_CEILING;
}

bool function_log_is_pressed(const struct function_log_writer *writer)
{
	return writer->open && batch_size(writer->open) >= BATCH_CEILING / 2;
}

void function_log_on_room(
	struct function_log_writer *writer, void (*on_room)(void *context), void *context)
{
	writer->on_room = on_room;
	writer->on_room_context = context;
}

/* --- streams --- */

struct log_stream *log_stream_new(
	struct function_log_writer *writer, const struct log_stream_names *names)
{
	const str parts[] = { names->account, names->region, names->group, names->stream };
	str views[ARRAY_LEN(parts)];
	struct buf text;
	struct log_stream *stream = mem_one(struct log_stream);
	if (!stream)
		return NULL;

	buf_init(&text, 4096);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		buf_put(&text, parts[i]);
	size_t len;
	stream->text = buf_take(&text, &len);
	if (!stream->text) {
		buf_done(&text);
		mem_free(stream);
		return NULL;
	}
	size_t at = 0;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		views[i] = (str){ stream->text + at, parts[i].len };
		at += parts[i].len;
	}
	stream->names = (struct log_stream_names){ views[0], views[1], views[2], views[3] };
	stream->refs = 1;
	stream->writer = writer;
	stream->epoch = writer->epoch;
	memory_meter_init(&stream->memory);
	buf_init(&stream->held, LOG_HELD_MAX);
	return stream;
}

struct log_stream *log_stream_ref(struct log_stream *stream)
{
	assert(stream->refs > 0);
	stream->refs++;
	return stream;
}

void log_stream_unref(struct log_stream *stream)
{
	if (!stream || --stream->refs)
		return;
	memory_meter_close(&stream->memory);
	buf_done(&stream->held);
	mem_free(stream->text);
	mem_free(stream);
}

struct memory_meter *log_stream_memory(struct log_stream *stream)
{
	return &stream->memory;
}

uint64_t log_stream_memory_seen(const struct log_stream *stream)
{
	return stream->memory.total;
}

uint64_t log_stream_memory_peak(struct log_stream *stream)
{
	if (stream->memory_read_at != stream->writer->flushes) {
		stream->memory_read_at = stream->writer->flushes;
		(void)!memory_meter_look(&stream->memory); /* engine_watch_memory() acts on it */
	}
	return stream->memory.peak;
}

static struct log_record *stream_add_record(struct log_stream *stream, uint64_t timestamp_ms)
{
	struct log_batch *batch = writer_open_batch(stream->writer);

	return batch ? batch_add(batch, stream, timestamp_ms) : NULL;
}

void log_stream_hold(struct log_stream *stream)
{
	stream->is_held = true;
}

void log_stream_release(struct log_stream *stream)
{
	str rest = buf_str(&stream->held);
	struct held_event event;

	if (!stream->is_held)
		return;
	stream->is_held = false;
	while (rest.len) {
		memcpy(&event, rest.at, sizeof(event));
		log_stream_put(stream, event.timestamp_ms,
			str_slice(rest, sizeof(event), sizeof(event) + event.len));
		rest = str_from(rest, sizeof(event) + event.len);
	}
	buf_done(&stream->held);
}

/* False when it has become too much: nothing is held any more. */
static bool stream_keep(struct log_stream *stream, uint64_t timestamp_ms, str line)
{
	const struct held_event event = { timestamp_ms, line.len };

	if (buf_reserve(&stream->held, sizeof(event) + line.len) < 0) {
		stream->held.err = 0;
		log_stream_release(stream);
		return false;
	}
	buf_put(&stream->held, (str){ (const char *)&event, sizeof(event) });
	buf_put(&stream->held, line);
	return true;
}

void log_stream_put(struct log_stream *stream, uint64_t timestamp_ms, str line)
{
	struct function_log_writer *writer = stream->writer;

	if (!line.len || stream->epoch != writer->epoch)
		return;
	if (stream->is_held && stream_keep(stream, timestamp_ms, line))
		return;
	struct log_record *record = stream_add_record(stream, timestamp_ms);
	if (!record) {
		writer_lose(writer, 1);
		return;
	}
	struct buf *text = &writer->open->text;
	buf_put(text, line);
	record->len = text->err ? 0 : line.len;
	if (text->err)
		writer_lose(writer, 1);
	text->err = 0;
	if (batch_size(writer->open) >= FLUSH_BYTES)
		writer_close_batch(writer);
}

void log_stream_put_report(
	struct log_stream *stream, uint64_t timestamp_ms, const struct log_report *report)
{
	if (stream->epoch != stream->writer->epoch)
		return;
	struct log_report *copy = mem_one(struct log_report);
	struct log_record *record = copy ? stream_add_record(stream, timestamp_ms) : NULL;

	if (!record) {
		mem_free(copy);
		writer_lose(stream->writer, 1);
		return;
	}
	*copy = *report;
	record->report = copy;
}
