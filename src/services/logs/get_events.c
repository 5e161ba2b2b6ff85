/*
 * GetLogEvents: one stream, page by page in either direction.
 *
 * A token is a direction and a place: "f/…/s" goes on after the event at that place, "b/…/s"
 * before it. Nothing is remembered between calls. At the end, the token that was given comes
 * back, which is how clients see it; and because it is still "after that event", it yields what
 * has come since.
 *
 *	 b/(first)          f/(last)
 *	      ◄──┤ first … last ├──►
 *
 * After an empty page the other direction's token points to the other side of the same gap: going back
 * from the end yields the last event again.
 */
#include "base/err.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "services/logs/lookup.h"
#include "services/logs/operations.h"
#include "services/logs/place.h"

#include <assert.h>
#include <errno.h>

/* API_GetLogEvents: "up to 1 MB of log events or up to 10,000 log events" */
enum { GET_EVENTS_MAX = 10'000, GET_BYTES_MAX = 1'048'576, GET_EVENT_BYTES = 26 };

struct get_page {
	json_t *list;
	size_t limit;
	size_t bytes;
	bool backward;
	struct place first; /* in time, of those on the page */
	struct place last;
	int fault;
};

static int get_event_put(json_t *object, const struct logs_event *event)
{
	int r = json_put(object, "timestamp", json_integer((json_int_t)event->timestamp_ms));
	if (r == 0)
		r = json_put(object, "message", json_from_str(event->message));
	if (r == 0)
		r = json_put(object, "ingestionTime", json_integer((json_int_t)event->ingested_ms));
	return err_pass(r);
}

/* Events come newest first when going back; on the page they are oldest first. */
static int get_add(struct get_page *page, const struct logs_event *event, struct place place)
{
	json_t *object = json_object();
	if (!object)
		return err_raise(-ENOMEM);
	int failed = json_array_append_new(page->list, object);
	if (failed)
		return err_raise(-ENOMEM);
	if (json_array_size(page->list) == 1)
		page->first = page->last = place;
	if (page->backward)
		page->first = place;
	else
		page->last = place;
	return err_pass(get_event_put(object, event));
}

static int get_see(void *context, const struct logs_event *event, uint64_t id)
{
	struct get_page *page = context;
	size_t count = json_array_size(page->list);

	page->bytes += event->message.len + GET_EVENT_BYTES;
	if (count == page->limit || (count && page->bytes > GET_BYTES_MAX))
		return 1;
	page->fault = get_add(page, event, (struct place){ event->timestamp_ms, id });
	return page->fault;
}

/* A list the other way round (a new reference); takes `list`. NULL when out of memory. */
static json_t *get_reversed(json_t *list)
{
	json_t *reversed = json_array();

	for (size_t i = json_array_size(list); reversed && i-- > 0;) {
		if (json_array_append(reversed, json_array_get(list, i)) < 0) {
			json_decref(reversed);
			reversed = NULL;
		}
	}
	json_decref(list);
	return reversed;
}

static int get_put_token(struct call *call, const char *name, char direction, struct place place)
{
	char digits[PLACE_LEN + 1];

	place_print(place, digits);
	str token = arena_strf(call->arena, "%c/%s/s", direction, digits);
	if (!token.at)
		return err_raise(-ENOMEM);
	return err_pass(json_put(call->out, name, json_from_str(token)));
}

/* "f/…/s" or "b/…/s" */
static bool get_parse_token(str token, bool *ret_backward, struct place *ret_place)
{
	bool is_token = token.len == PLACE_LEN + 4 && (*token.at == 'f' || *token.at == 'b') &&
		token.at[1] == '/' && str_ends(token, S("/s"));
	if (!is_token || !place_parse(str_slice(token, 2, 2 + PLACE_LEN), ret_place))
		return false;
	*ret_backward = *token.at == 'b';
	return true;
}

/* What an empty page is at: the token's place, or the start of the time that was asked for. */
static void get_stand(struct get_page *page, const struct logs_event_query *query, bool has_token)
{
	struct place gap = { query->cursor_ms, query->cursor_id };

	if (!has_token)
		gap = (struct place){ query->from_ms, page->backward };
	/* The place of `first` is passed going back, the place of `last` going on. */
	page->first = page->last = gap;
	if (page->backward)
		page->last.id = gap.id ? gap.id - 1 : 0;
	else
		page->first.id = gap.id + 1;
}

static int get_run(struct call *call, struct get_page *page, const struct logs_event_query *query,
	bool has_token)
{
	int r = logs_events(call->platform->logs, lookup_scope(call), query, get_see, page);
	if (r == LOGS_DONE)
		r = page->fault;
	if (r != LOGS_DONE)
		return lookup_answer(call, r);
	if (json_array_size(page->list) == 0)
		get_stand(page, query, has_token);
	if (page->backward) {
		page->list = get_reversed(page->list);
		if (!page->list)
			return err_raise(-ENOMEM);
	}
	r = json_put(call->out, "events", json_incref(page->list));
	if (r == 0)
		r = get_put_token(call, "nextForwardToken", 'f', page->last);
	if (r == 0)
		r = get_put_token(call, "nextBackwardToken", 'b', page->first);
	return err_pass(r);
}

/* What the caller asks for, as the store's query. */
static int get_query(struct call *call, str *stream, struct logs_event_query *query)
{
	str token = call_str(call, "nextToken");
	struct lookup_group group;
	struct place place = {};

	int r = lookup_group_name(call, &query->group);
	if (r == 0)
		r = lookup_group(call, query->group, &group);
	if (r != 0)
		return err_pass(r);
	*stream = call_str(call, "logStreamName");
	query->streams = stream;
	query->stream_count = 1;
	uint64_t oldest_ms = lookup_oldest_ms(&group, clock_real_ms());
	uint64_t start_ms = (uint64_t)call_int(call, "startTime", 0);
	query->from_ms = start_ms > oldest_ms ? start_ms : oldest_ms;
	query->to_ms = (uint64_t)call_int(call, "endTime", 0);
	query->backward = !call_bool(call, "startFromHead", false);
	if (token.len && !get_parse_token(token, &query->backward, &place))
		return call_error(
			call, "InvalidParameterException", "The specified nextToken is invalid.");
	query->cursor_ms = place.ms;
	query->cursor_id = place.id;
	return 0;
}

int op_get_log_events(struct call *call)
{
	struct logs_event_query query = {};
	str stream;

	int r = get_query(call, &stream, &query);
	if (r != 0)
		return err_pass(r);
	struct get_page page = {
		.limit = (size_t)call_int(call, "limit", GET_EVENTS_MAX),
		.backward = query.backward,
		.list = json_array(),
	};
	if (!page.list)
		return err_raise(-ENOMEM);
	r = get_run(call, &page, &query, call_has(call, "nextToken"));
	json_decref(page.list);
	return err_pass(r);
}
