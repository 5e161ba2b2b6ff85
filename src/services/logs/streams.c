/* Log streams: made, deleted, listed by name or by their last event. */
#include "base/err.h"
#include "engine/platform.h"
#include "os/clock.h"
#include "services/logs/lookup.h"
#include "services/logs/operations.h"
#include "services/logs/place.h"

#include <errno.h>

enum { STREAMS_PAGE = 50 };

/* API_CreateLogStream: "Don't use ':' (colon) or '*' (asterisk) characters." The model's pattern sees to it. */
int op_create_log_stream(struct call *call)
{
	str name = call_str(call, "logStreamName");

	int r = lookup_check_length(call, name);
	if (r != 0)
		return err_pass(r);
	r = logs_stream_create(call->platform->logs, lookup_scope(call),
		call_str(call, "logGroupName"), name, clock_real_ms());
	if (r == LOGS_EXISTS)
		return call_error(call, "ResourceAlreadyExistsException",
			"The specified log stream already exists");
	return lookup_answer(call, r);
}

int op_delete_log_stream(struct call *call)
{
	str name = call_str(call, "logGroupName");
	struct lookup_group group;

	int r = lookup_group(call, name, &group);
	if (r != 0)
		return err_pass(r);
	if (group.is_protected) /* "blocks all deletion operations until it is explicitly disabled" */
		return call_error(call, "ValidationException",
			"The specified log group has deletion protection enabled.");
	return lookup_answer(call,
		logs_stream_delete(call->platform->logs, lookup_scope(call), name,
			call_str(call, "logStreamName")));
}

/* A page of streams in the making. */
struct streams_page {
	struct call *call;
	json_t *list;
	str group_arn;
	size_t limit;
	bool by_last_event;
	str last; /* where the page ends, as a token */
	bool has_more;
	int fault;
};

static int stream_put_times(json_t *object, const struct logs_stream *stream)
{
	char token[PLACE_LEN + 1];
	int r = 0;

	if (stream->last_event_ms) {
		r = json_put(object, "firstEventTimestamp",
			json_integer((json_int_t)stream->first_event_ms));
		if (r == 0)
			r = json_put(object, "lastEventTimestamp",
				json_integer((json_int_t)stream->last_event_ms));
	}
	if (r == 0 && stream->last_ingested_ms) {
		place_print(
			(struct place){ stream->last_ingested_ms, stream->stored_bytes }, token);
		r = json_put(object, "lastIngestionTime",
			json_integer((json_int_t)stream->last_ingested_ms));
		if (r == 0) /* "The sequence token is now ignored", but clients look for it */
			r = json_put(object, "uploadSequenceToken", json_string(token));
	}
	return err_pass(r);
}

static int stream_put(json_t *object, struct streams_page *page, const struct logs_stream *stream)
{
	str arn = arena_strf(page->call->arena, STR_FMT ":log-stream:" STR_FMT,
		STR_ARG(page->group_arn), STR_ARG(stream->name));
	if (!arn.at)
		return err_raise(-ENOMEM);
	int r = json_put(object, "logStreamName", json_from_str(stream->name));
	if (r == 0)
		r = json_put(object, "creationTime", json_integer((json_int_t)stream->created_ms));
	if (r == 0)
		r = json_put(object, "arn", json_from_str(arn));
	if (r == 0) /* "As of June 17, 2019 … the stored bytes are always reported as zero" */
		r = json_put(object, "storedBytes", json_integer(0));
	return r == 0 ? err_pass(stream_put_times(object, stream)) : err_pass(r);
}

static int streams_add(struct streams_page *page, const struct logs_stream *stream)
{
	json_t *object = json_object();
	if (!object || json_array_append_new(page->list, object) < 0)
		return err_raise(-ENOMEM);
	page->last = page->by_last_event
		? arena_strf(page->call->arena, "e/%llu:" STR_FMT,
			  (unsigned long long)stream->last_event_ms, STR_ARG(stream->name))
		: arena_strf(page->call->arena, "n/" STR_FMT, STR_ARG(stream->name));
	if (!page->last.at)
		return err_raise(-ENOMEM);
	return err_pass(stream_put(object, page, stream));
}

static int streams_see(void *context, const struct logs_stream *stream)
{
	struct streams_page *page = context;

	page->has_more = json_array_size(page->list) == page->limit;
	if (page->has_more)
		return 1;
	page->fault = streams_add(page, stream);
	return page->fault;
}

/* What the caller asks for, as the store's query. */
static int streams_query(struct call *call, struct logs_stream_query *query)
{
	str token = call_str(call, "nextToken");
	str ms;
	uint64_t number;

	int r = lookup_group_name(call, &query->group);
	if (r != 0)
		return err_pass(r);
	query->prefix = call_str(call, "logStreamNamePrefix");
	query->by_last_event = str_eq(call_str(call, "orderBy"), S("LastEventTime"));
	query->descending = call_bool(call, "descending", false);
	if (query->by_last_event && query->prefix.len)
		return call_error(call, "InvalidParameterException",
			"Cannot order by LastEventTime with a logStreamNamePrefix.");
	if (token.len == 0)
		return 0;

	query->after = str_from(token, 2);
	str rest = query->after;
	bool is_ours = query->by_last_event ? str_starts(token, S("e/")) &&
			str_cut(&rest, ':', &ms) && str_to_u64(ms, INT64_MAX, &number) == 0
					    : str_starts(token, S("n/")) && rest.len > 0;
	if (!is_ours)
		return call_error(
			call, "InvalidParameterException", "The specified nextToken is invalid.");
	return 0;
}

int op_describe_log_streams(struct call *call)
{
	struct logs_stream_query query = {};
	struct streams_page page = {
		.call = call,
		.limit = (size_t)call_int(call, "limit", STREAMS_PAGE),
		.list = json_array(),
	};

	int r = page.list ? json_put(call->out, "logStreams", page.list) : err_raise(-ENOMEM);
	if (r == 0)
		r = streams_query(call, &query);
	if (r != 0)
		return err_pass(r);
	page.by_last_event = query.by_last_event;
	page.group_arn = lookup_group_arn(call, query.group);
	if (!page.group_arn.at)
		return err_raise(-ENOMEM);
	r = logs_streams(call->platform->logs, lookup_scope(call), &query, streams_see, &page);
	if (r == LOGS_DONE)
		r = page.fault;
	if (r == LOGS_DONE && page.has_more)
		r = json_put(call->out, "nextToken", json_from_str(page.last));
	return lookup_answer(call, r);
}
