/*
 * PutLogEvents. What a batch may be is AWS's list (API_PutLogEvents, quoted where it is checked);
 * events that are too old or too new are left out and reported, the rest is stored in one transaction.
 */
#include "base/err.h"
#include "base/mem.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "services/logs/lookup.h"
#include "services/logs/operations.h"
#include "services/logs/place.h"

#include <assert.h>
#include <errno.h>

#define HOUR_MS (60ULL * 60 * 1000)
#define DAY_MS	(24 * HOUR_MS)

enum { PUT_BYTES_MAX = 1'048'576, PUT_EVENT_BYTES = 26 };

struct batch {
	str group;
	str stream;
	uint64_t now_ms;
	uint64_t oldest_ms; /* of the group's retention */
	struct logs_event *events;
	size_t count;
	size_t too_old;	 /* how many at the start */
	size_t expired;	 /* how many at the start, too old ones included */
	size_t new_from; /* the first one that is too new; count: none */
};

/* "Each log event can be no larger than 1 MB"; "26 bytes for each log event" */
static int batch_check_sizes(struct call *call, const struct batch *batch)
{
	uint64_t total = 0;

	for (size_t i = 0; i < batch->count; i++) {
		uint64_t bytes = batch->events[i].message.len + PUT_EVENT_BYTES;
		if (bytes > PUT_BYTES_MAX)
			return call_error(call, "InvalidParameterException",
				"Log event too large: %llu bytes exceeds limit of %d",
				(unsigned long long)bytes, PUT_BYTES_MAX);
		total += bytes;
	}
	if (total > PUT_BYTES_MAX)
		return call_error(call, "InvalidParameterException",
			"Upload too large: %llu bytes exceeds limit of %d",
			(unsigned long long)total, PUT_BYTES_MAX);
	return 0;
}

/* "must be in chronological order by their timestamp" */
static int batch_check_order(struct call *call, const struct batch *batch)
{
	for (size_t i = 1; i < batch->count; i++) {
		if (batch->events[i].timestamp_ms < batch->events[i - 1].timestamp_ms)
			return call_error(call, "InvalidParameterException",
				"Log events in a single PutLogEvents request must be in chronological order.");
	}
	return 0;
}

/*
 * "Events more than 2 hours in the future are rejected …", "Events older than 14 days or preceding
 * the log group's retention period are rejected …"
 */
static void batch_divide(struct batch *batch)
{
	uint64_t too_old_ms = batch->now_ms > 14 * DAY_MS ? batch->now_ms - 14 * DAY_MS : 0;

	while (batch->too_old < batch->count &&
		batch->events[batch->too_old].timestamp_ms < too_old_ms)
		batch->too_old++;
	batch->expired = batch->too_old;
	while (batch->expired < batch->count &&
		batch->events[batch->expired].timestamp_ms < batch->oldest_ms)
		batch->expired++;
	batch->new_from = batch->expired;
	while (batch->new_from < batch->count &&
		batch->events[batch->new_from].timestamp_ms <= batch->now_ms + 2 * HOUR_MS)
		batch->new_from++;
}

/* "For valid events … the time span in a single batch cannot exceed 24 hours." */
static int batch_check_span(struct call *call, const struct batch *batch)
{
	if (batch->new_from == batch->expired)
		return 0;
	uint64_t first_ms = batch->events[batch->expired].timestamp_ms;
	uint64_t last_ms = batch->events[batch->new_from - 1].timestamp_ms;
	if (last_ms - first_ms <= DAY_MS)
		return 0;
	return call_error(call, "InvalidParameterException",
		"The batch of log events in a single PutLogEvents request cannot span more than 24 hours.");
}

static int batch_read(struct call *call, struct batch *batch)
{
	json_t *list = call_get(call, "logEvents");
	size_t index;
	json_t *event;

	batch->count = json_array_size(list);
	batch->events = mem_new(batch->count, sizeof(*batch->events));
	if (!batch->events)
		return err_raise(-ENOMEM);
	json_array_foreach(list, index, event)
	{
		json_int_t ms = json_integer_value(json_object_get(event, "timestamp"));
		batch->events[index] = (struct logs_event){
			.group = batch->group,
			.stream = batch->stream,
			.timestamp_ms = ms > 0 ? (uint64_t)ms : 0,
			.ingested_ms = batch->now_ms,
			.message = json_get_str(event, "message"),
		};
	}
	return 0;
}

/* What was left out, if anything. */
static int batch_report(struct call *call, const struct batch *batch)
{
	if (batch->too_old == 0 && batch->expired == 0 && batch->new_from == batch->count)
		return 0;
	json_t *info = json_object();
	int r = info ? json_put(call->out, "rejectedLogEventsInfo", info) : err_raise(-ENOMEM);
	if (r == 0 && batch->new_from < batch->count)
		r = json_put(info, "tooNewLogEventStartIndex",
			json_integer((json_int_t)batch->new_from));
	if (r == 0 && batch->too_old)
		r = json_put(
			info, "tooOldLogEventEndIndex", json_integer((json_int_t)batch->too_old));
	if (r == 0 && batch->expired > batch->too_old)
		r = json_put(
			info, "expiredLogEventEndIndex", json_integer((json_int_t)batch->expired));
	return err_pass(r);
}

/* Entities are for CloudWatch's console, which is not here: events are taken, the entity is not. */
static int batch_refuse_entity(struct call *call)
{
	if (!call_has(call, "entity"))
		return 0;
	json_t *info = json_object();
	int r = info ? json_put(call->out, "rejectedEntityInfo", info) : err_raise(-ENOMEM);
	if (r == 0)
		r = json_put(info, "errorType", json_string("UnsupportedLogGroupType"));
	return err_pass(r);
}

static int batch_store(struct call *call, const struct batch *batch)
{
	size_t count = batch->new_from - batch->expired;
	if (count == 0)
		return err_pass(lookup_stream(call, batch->group, batch->stream));
	return lookup_answer(call,
		logs_append(call->platform->logs, lookup_scope(call),
			batch->events + batch->expired, count, false));
}

static int batch_run(struct call *call, struct batch *batch)
{
	char token[PLACE_LEN + 1];

	int r = batch_read(call, batch);
	if (r == 0)
		r = batch_check_sizes(call, batch);
	if (r == 0)
		r = batch_check_order(call, batch);
	if (r != 0)
		return err_pass(r);
	batch_divide(batch);
	r = batch_check_span(call, batch);
	if (r == 0)
		r = batch_store(call, batch);
	if (r == 0)
		r = batch_report(call, batch);
	if (r == 0)
		r = batch_refuse_entity(call);
	if (r != 0)
		return err_pass(r);
	/* "The sequence token is now ignored": any will do. */
	place_print((struct place){ batch->now_ms, batch->count }, token);
	return err_pass(json_put(call->out, "nextSequenceToken", json_string(token)));
}

int op_put_log_events(struct call *call)
{
	struct lookup_group group;
	struct batch batch = {
		.group = call_str(call, "logGroupName"),
		.stream = call_str(call, "logStreamName"),
		.now_ms = clock_real_ms(),
	};

	int r = lookup_group(call, batch.group, &group);
	if (r != 0)
		return err_pass(r);
	batch.oldest_ms = lookup_oldest_ms(&group, batch.now_ms);
	r = batch_run(call, &batch);
	mem_free(batch.events);
	return err_pass(r);
}
