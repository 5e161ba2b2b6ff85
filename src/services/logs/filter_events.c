/*
 * FilterLogEvents: events of a group (or of some of its streams) that match a pattern, in order
 * of time, page by page. `aws logs tail` is made of this.
 *
 * A page ends with the limit, with 1 MB, or when FILTER_SEEN_MAX events were looked at: a pattern
 * that hits nothing in a large group must not hold a worker thread for long. In each case the token is the place of
 * the last event that was looked at, and the client comes again.
 */
#include "base/err.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "services/logs/lookup.h"
#include "services/logs/operations.h"
#include "services/logs/pattern.h"
#include "services/logs/place.h"

#include <assert.h>
#include <errno.h>

enum {
	FILTER_EVENTS_MAX =
		10'000, /* API_FilterLogEvents: "up to 1 MB … or up to 10,000 log events" */
	FILTER_BYTES_MAX = 1'048'576,
	FILTER_EVENT_BYTES = 26,
	FILTER_SEEN_MAX = 100'000,
	FILTER_STREAMS_MAX = 100,
};

struct filter_page {
	const struct pattern *pattern;
	json_t *list;
	size_t limit;
	size_t bytes;
	size_t seen;
	struct place last; /* the last event looked at */
	bool has_more;
	int fault;
};

static int filter_event_put(json_t *object, const struct logs_event *event, struct place place)
{
	char event_id[PLACE_LEN + 1];

	place_print(place, event_id);
	int r = json_put(object, "logStreamName", json_from_str(event->stream));
	if (r == 0)
		r = json_put(object, "timestamp", json_integer((json_int_t)event->timestamp_ms));
	if (r == 0)
		r = json_put(object, "message", json_from_str(event->message));
	if (r == 0)
		r = json_put(object, "ingestionTime", json_integer((json_int_t)event->ingested_ms));
	if (r == 0)
		r = json_put(object, "eventId", json_string(event_id));
	return err_pass(r);
}

static int filter_add(struct filter_page *page, const struct logs_event *event, struct place place)
{
	json_t *object = json_object();
	if (!object || json_array_append_new(page->list, object) < 0)
		return err_raise(-ENOMEM);
	return err_pass(filter_event_put(object, event, place));
}

static int filter_see(void *context, const struct logs_event *event, uint64_t id)
{
	struct filter_page *page = context;
	struct place place = { event->timestamp_ms, id };
	size_t count = json_array_size(page->list);

	if (page->seen == FILTER_SEEN_MAX) {
		page->has_more = true;
		return 1;
	}
	page->seen++;
	if (pattern_matches(page->pattern, event->message)) {
		page->bytes += event->message.len + FILTER_EVENT_BYTES;
		page->has_more = count == page->limit || (count && page->bytes > FILTER_BYTES_MAX);
		if (page->has_more)
			return 1;
		page->fault = filter_add(page, event, place);
	}
	page->last = place;
	return page->fault;
}

/* The streams that are named, as views. */
static int filter_streams(struct call *call, struct logs_event_query *query)
{
	json_t *names = call_get(call, "logStreamNames");
	size_t index;
	json_t *name;

	query->stream_prefix = call_str(call, "logStreamNamePrefix");
	if (!names)
		return 0;
	if (query->stream_prefix.len)
		return call_error(call, "InvalidParameterException",
			"logStreamNamePrefix and logStreamNames are mutually exclusive parameters.");
	assert(json_array_size(names) <= FILTER_STREAMS_MAX); /* the model's constraint */
	str *streams = arena_new(call->arena, FILTER_STREAMS_MAX * sizeof(*streams));
	if (!streams)
		return err_raise(-ENOMEM);
	json_array_foreach(names, index, name)
	{
		bool is_new = true;
		for (size_t i = 0; i < query->stream_count; i++)
			is_new = is_new && !str_eq(streams[i], json_view(name));
		if (is_new)
			streams[query->stream_count++] = json_view(name);
	}
	query->streams = streams;
	return 0;
}

/* What the caller asks for, as the store's query. */
static int filter_query(struct call *call, struct logs_event_query *query)
{
	str token = call_str(call, "nextToken");
	struct lookup_group group;
	struct place place = {};

	int r = lookup_group_name(call, &query->group);
	if (r == 0)
		r = filter_streams(call, query);
	if (r != 0)
		return err_pass(r);
	if (token.len && !place_parse(token, &place))
		return call_error(
			call, "InvalidParameterException", "The specified nextToken is invalid.");
	r = lookup_group(call, query->group, &group);
	if (r != 0)
		return err_pass(r);
	uint64_t oldest_ms = lookup_oldest_ms(&group, clock_real_ms());
	uint64_t start_ms = (uint64_t)call_int(call, "startTime", 0);
	query->from_ms = start_ms > oldest_ms ? start_ms : oldest_ms;
	if (call_has(call,
		    "endTime")) /* "Events with a timestamp later than this time are not returned." */
		query->to_ms = (uint64_t)call_int(call, "endTime", 0) + 1;
	query->cursor_ms = place.ms;
	query->cursor_id = place.id;
	return 0;
}

static int filter_run(
	struct call *call, const struct logs_event_query *query, const struct pattern *pattern)
{
	char token[PLACE_LEN + 1];
	struct filter_page page = {
		.pattern = pattern,
		.limit = (size_t)call_int(call, "limit", FILTER_EVENTS_MAX),
		.list = json_array(),
	};

	int r = page.list ? json_put(call->out, "events", page.list) : err_raise(-ENOMEM);
	if (r == 0) /* "As of May 15, 2020 … this parameter returns an empty list." */
		r = json_put(call->out, "searchedLogStreams", json_array());
	if (r == 0)
		r = logs_events(call->platform->logs, lookup_scope(call), query, filter_see, &page);
	if (r == LOGS_DONE)
		r = page.fault;
	if (r == LOGS_DONE && page.has_more) {
		place_print(page.last, token);
		r = json_put(call->out, "nextToken", json_string(token));
	}
	return lookup_answer(call, r);
}

int op_filter_log_events(struct call *call)
{
	struct logs_event_query query = {};
	struct pattern *pattern;
	str reason;

	int r = filter_query(call, &query);
	if (r != 0)
		return err_pass(r);
	r = pattern_parse(call->arena, call_str(call, "filterPattern"), &pattern, &reason);
	if (r == PATTERN_BAD)
		return call_error(call, "InvalidParameterException", STR_FMT, STR_ARG(reason));
	if (r < 0)
		return err_pass(r);
	r = filter_run(call, &query, pattern);
	pattern_free(pattern);
	return err_pass(r);
}
