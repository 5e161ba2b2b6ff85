/*
 * The workers' part of asynchronous invocations: one round writes all that has ended since the last one, in few
 * transactions, and reads what is due, with the configuration of its function as it is now.
 *
 * An event and what follows from its end (a record for a destination, a dead letter) are one transaction: whatever
 * happens, either the event is still there or what follows is.
 */
#include "services/lambda/async_parts.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/platform.h"
#include "engine/recent.h"
#include "model/arn.h"
#include "model/limits.h"
#include "os/clock.h"
#include "os/random.h"
#include "services/lambda/async_record.h"
#include "services/lambda/event_invoke.h"
#include "services/lambda/names.h"
#include "services/lambda/reserved.h"
#include "services/lambda/tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	ITEM_ARENA_MAX = 128 * 1024 * 1024,
	LOOK_ARENA_MAX = 1024 * 1024,
	WRITES_EACH_MAX = 3,		    /* itself, a record, a dead letter */
	ROUND_BYTES_MAX = 16 * 1024 * 1024, /* of records in one transaction, and one more */
	DEAD_MESSAGE_MAX = 1024,
};

/* --- notes --- */

str async_note(struct arena *arena, const struct async_item *item)
{
	json_auto_t *note = json_object();
	struct tree tree = { .at = note };
	const struct {
		const char *name;
		str value;
	} texts[] = {
		{ "RequestId", item->request_id },
		{ "Qualifier", item->qualifier },
		{ "Trace", item->trace },
		{ "Tenant", item->tenant },
		{ "Target", item->target },
		{ "Code", item->code },
		{ "Message", item->message },
		{ "Why", str_of(item->why) },
	};

	tree_put_int(&tree, "Schema", RECORD_SCHEMA);
	tree_put_text(&tree, "Kind", item->kind == ASYNC_EVENT ? "event" : "delivery");
	tree_put_int(&tree, "Errors", item->count.errors);
	tree_put_int(&tree, "Refusals", item->count.refusals);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].value.len)
			tree_put_str(&tree, texts[i].name, texts[i].value);
	return tree.err ? (str){} : record_text(arena, note, JSON_COMPACT);
}

static unsigned note_number(const json_t *note, const char *name)
{
	json_int_t number = json_integer_value(json_object_get(note, name));

	return number < 0 ? 0 : (unsigned)MIN(number, 1'000'000);
}

static int item_read_note(struct async_item *item, const json_t *note)
{
	const struct {
		const char *name;
		str *to;
	} texts[] = {
		{ "RequestId", &item->request_id },
		{ "Qualifier", &item->qualifier },
		{ "Trace", &item->trace },
		{ "Tenant", &item->tenant },
		{ "Target", &item->target },
		{ "Code", &item->code },
		{ "Message", &item->message },
	};

	if (json_integer_value(json_object_get(note, "Schema")) != RECORD_SCHEMA)
		return err_raise(-EPROTONOSUPPORT);
	item->kind = str_eq(json_get_str(note, "Kind"), S("event")) ? ASYNC_EVENT : ASYNC_DELIVERY;
	item->count.errors = note_number(note, "Errors");
	item->count.refusals = note_number(note, "Refusals");
	(void)!str_to_array(json_get_str(note, "Why"), item->why, sizeof(item->why));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		*texts[i].to = arena_str(&item->arena, json_get_str(note, texts[i].name));
		if (!texts[i].to->at)
			return err_raise(-ENOMEM);
	}
	return 0;
}

int async_item_read(struct async_item *item, const struct queue_item *stored)
{
	json_auto_t *note = json_loadb(
		stored->note.at, stored->note.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

	item->id = stored->id;
	item->created_ms = stored->created_ms;
	item->lane = arena_str(&item->arena, stored->lane);
	item->body = arena_str(&item->arena, stored->body);
	if (!item->lane.at || !item->body.at)
		return err_raise(-ENOMEM);
	item->name = item->lane;
	if (!note || !str_cut(&item->name, '/', &item->account) ||
		!str_cut(&item->name, '/', &item->region))
		return err_raise(-EBADMSG);
	return err_pass(item_read_note(item, note));
}

void async_item_free(struct async_item *item)
{
	if (!item)
		return;
	buf_done(&item->response);
	arena_done(&item->arena);
	mem_free(item);
}

/* --- the end of one --- */

struct writing {
	struct async_round *round;
	struct arena arena; /* of what is written */
	struct queue_write writes[QUEUE_BATCH_MAX];
	size_t count;
	size_t bytes;
	uint64_t now_ms;
};

static struct queue_write *writing_next(struct writing *writing, enum queue_verb verb)
{
	struct queue_write *write = &writing->writes[writing->count++];

	*write = (struct queue_write){ .verb = verb };
	return write;
}

/* A new item: 0 or -ENOMEM. */
static int writing_add(struct writing *writing, str lane, const struct async_item *item, str body)
{
	struct queue_write *write = writing_next(writing, QUEUE_ADD);

	write->item = (struct queue_item){
		.lane = lane,
		.due_ms = writing->now_ms,
		.created_ms = writing->now_ms,
		.note = async_note(&writing->arena, item),
		.body = body,
	};
	writing->bytes += body.len;
	return write->item.note.at && lane.at ? 0 : err_raise(-ENOMEM);
}

/* As it stands in the queue from now on. */
static int writing_change(struct writing *writing, const struct async_item *item,
	enum queue_state state, uint64_t due_ms)
{
	struct queue_write *write = writing_next(writing, QUEUE_CHANGE);

	write->item = (struct queue_item){
		.id = item->id,
		.state = state,
		.due_ms = due_ms,
		.created_ms = item->created_ms,
		.note = async_note(&writing->arena, item),
	};
	return write->item.note.at ? 0 : err_raise(-ENOMEM);
}

static const char *end_condition(const struct async_item *item)
{
	switch (item->end) {
	case ASYNC_SUCCEEDED:
		return "Success";
	case ASYNC_EXPIRED:
		return "EventAgeExceeded";
	case ASYNC_REFUSED:
		return "ZeroReservedConcurrency";
	default:
		return "RetriesExhausted";
	}
}

/* The record of its end, with or without the two payloads, in the arena; at == NULL when out of memory. */
static str end_record(struct writing *writing, const struct async_item *item, bool is_whole)
{
	struct lambda_scope scope = {
		.arena = &writing->arena, .account = item->account, .region = item->region
	};
	struct buf out;

	buf_init(&out, ITEM_ARENA_MAX);
	async_record_put(&out,
		&(struct async_record){
			.now_ms = writing->now_ms,
			.request_id = item->request_id,
			.function_arn = lambda_arn(&scope, item->name, async_qualifier(item)),
			.condition = end_condition(item),
			.invoke_count = item->count.errors + (item->end == ASYNC_SUCCEEDED),
			.request = is_whole ? item->body : S(""),
			.has_response = item->has_response,
			.is_error = item->is_error,
			.version = item->version,
			.response = is_whole ? buf_str(&item->response) : S(""),
		});
	str made = out.err ? (str){} : arena_str(&writing->arena, buf_str(&out));
	buf_done(&out);
	return made;
}

/* A destination that is a function gets the record as an event of its own. */
static int end_invoke_function(
	struct writing *writing, const struct async_item *item, str arn, str record)
{
	char request_id[UUID_LEN + 1];
	struct function_name name;

	random_uuid(request_id);
	if (function_name_parse(arn, &name) < 0)
		return err_raise(-EBADMSG);
	struct async_item event = {
		.kind = ASYNC_EVENT,
		.request_id = str_of(request_id),
		.qualifier = name.qualifier,
		.trace = str_of(item->trace_text),
	};
	str lane = arena_strf(&writing->arena, STR_FMT "/" STR_FMT "/" STR_FMT,
		STR_ARG(name.account), STR_ARG(name.region), STR_ARG(name.name));
	writing->round->told.delivered++;
	platform_measure(item->async->platform,
		&(struct recent_value){ name.account, name.region, name.name, name.qualifier,
			RECENT_ASYNC_RECEIVED, 1 });
	return err_pass(writing_add(writing, lane, &event, record));
}

static bool target_is_function(str arn, str record)
{
	return str_find_str(arn, S(":lambda:")) >= 0 && record.len <= LIMIT_EVENT_BYTES;
}

static int end_tell(struct writing *writing, const struct async_item *item, str arn)
{
	if (!arn.len)
		return 0;
	str record = end_record(writing, item, true);
	/*
	 * API_OnFailure: "Amazon SNS destinations have a message size limit of 256 KB. If the combined size of the function
	 * request and response payload exceeds the limit, Lambda will drop the payload".
	 */
	if (str_find_str(str_slice(arn, 0, 40), S(":sns:")) >= 0 && record.len > LIMIT_TOPIC_BYTES)
		record = end_record(writing, item, false);
	if (!record.at)
		return err_raise(-ENOMEM);
	if (target_is_function(arn, record))
		return err_pass(end_invoke_function(writing, item, arn, record));
	struct async_item delivery = {
		.kind = ASYNC_DELIVERY,
		.request_id = item->request_id,
		.target = arn,
	};
	return err_pass(writing_add(writing, item->lane, &delivery, record));
}

/* "The dead-letter queue gets the event as it is", with three attributes. */
static int end_bury(struct writing *writing, const struct async_item *item)
{
	struct buf message;

	if (!item->dead_letter.len)
		return 0;
	buf_init(&message, DEAD_MESSAGE_MAX);
	if (item->has_response)
		async_record_put_message(&message, buf_str(&item->response), DEAD_MESSAGE_MAX);
	else
		buf_put(&message, str_of(item->why));
	struct async_item delivery = {
		.kind = ASYNC_DELIVERY,
		.request_id = item->request_id,
		.target = item->dead_letter,
		.code = item->has_response ? S("200") : S("429"),
		.message = arena_str(&writing->arena, buf_str(&message)),
	};
	buf_done(&message);
	if (!delivery.message.at)
		return err_raise(-ENOMEM);
	return err_pass(writing_add(writing, item->lane, &delivery, item->body));
}

static void end_measure(const struct async_item *item, enum recent_figure figure)
{
	platform_measure(item->async->platform,
		&(struct recent_value){
			item->account, item->region, item->name, item->qualifier, figure, 1 });
}

/* It went wrong for good: to whom it may concern, or kept for who looks. */
static int end_failed(struct writing *writing, struct async_item *item)
{
	bool is_told = item->on_failure.len || item->dead_letter.len;

	end_measure(item, RECENT_ASYNC_DROPPED);
	writing->round->told.failed++;
	writing->round->told.expired += item->end == ASYNC_EXPIRED;
	writing->round->told.dropped += !is_told;
	log_warn(is_told ? "event_failed" : "event_dropped", LOG_STR("function", item->name),
		LOG_STR("request", item->request_id), LOG_TEXT("condition", end_condition(item)),
		LOG_TEXT("why", item->why));
	if (!is_told)
		return err_pass(writing_change(writing, item, QUEUE_FAILED, writing->now_ms));
	writing_next(writing, QUEUE_REMOVE)->item.id = item->id;
	int r = end_tell(writing, item, item->on_failure);
	return r < 0 ? err_pass(r) : err_pass(end_bury(writing, item));
}

static int end_succeeded(struct writing *writing, const struct async_item *item)
{
	writing->round->told.succeeded++;
	writing_next(writing, QUEUE_REMOVE)->item.id = item->id;
	return err_pass(end_tell(writing, item, item->on_success));
}

static int end_delivery(struct writing *writing, struct async_item *item)
{
	if (item->end == ASYNC_SUCCEEDED) {
		writing->round->told.delivered++;
		writing_next(writing, QUEUE_REMOVE)->item.id = item->id;
		return 0;
	}
	if (item->end == ASYNC_RETRY)
		return err_pass(writing_change(
			writing, item, QUEUE_WAITING, writing->now_ms + item->wait_ms));
	end_measure(item, item->code.len ? RECENT_DEAD_LETTER_ERRORS : RECENT_DESTINATION_FAILURES);
	writing->round->told.delivery_failures++;
	log_error("delivery_failed", LOG_STR("function", item->name),
		LOG_STR("request", item->request_id), LOG_STR("target", item->target),
		LOG_TEXT("why", item->why));
	return err_pass(writing_change(writing, item, QUEUE_FAILED, writing->now_ms));
}

/* "Reserved concurrency of zero": such an event is not tried again. 0 or a fault, and *ret_is_zero. */
static int reservation_is_zero(
	struct writing *writing, const struct async_item *item, bool *ret_is_zero)
{
	json_auto_t *doc = NULL;
	struct lambda_scope scope = { .platform = item->async->platform,
		.arena = &writing->arena,
		.account = item->account,
		.region = item->region };
	uint64_t revision;

	int r = lambda_reserved_get(&scope, &doc, &revision);
	if (r == 0)
		*ret_is_zero = lambda_reserved_of(doc, item->name) == 0;
	return err_pass(r);
}

static int end_event(struct writing *writing, struct async_item *item)
{
	bool is_over = true;

	switch (item->end) {
	case ASYNC_LEFT:
		return 0;
	case ASYNC_SUCCEEDED:
		return err_pass(end_succeeded(writing, item));
	case ASYNC_RETRY:
		writing->round->told.retried++;
		is_over = false;
		break;
	case ASYNC_REFUSED: {
		int r = reservation_is_zero(writing, item, &is_over);
		if (r < 0)
			return err_pass(r);
		writing->round->told.refused++;
		break;
	}
	case ASYNC_EXHAUSTED:
	case ASYNC_EXPIRED:
	case ASYNC_IMPOSSIBLE:
		break;
	}
	if (is_over)
		return err_pass(end_failed(writing, item));
	return err_pass(
		writing_change(writing, item, QUEUE_WAITING, writing->now_ms + item->wait_ms));
}

/* One transaction of as many as fit; *at goes on to the next. */
static int write_some(struct async_round *round, struct list **at)
{
	struct writing *writing = mem_one(struct writing);
	int r = 0;

	if (!writing)
		return err_raise(-ENOMEM);
	writing->round = round;
	writing->now_ms = clock_real_ms();
	arena_init(&writing->arena, 8ULL * ITEM_ARENA_MAX);
	while (r == 0 && *at != &round->ended &&
		writing->count + WRITES_EACH_MAX <= QUEUE_BATCH_MAX &&
		writing->bytes < ROUND_BYTES_MAX) {
		struct async_item *item = list_entry(*at, struct async_item, link);
		r = item->kind == ASYNC_EVENT ? end_event(writing, item)
					      : end_delivery(writing, item);
		*at = (*at)->next;
	}
	if (r == 0 && writing->count)
		r = queue_write(round->async->platform->queue, writing->writes, writing->count);
	arena_done(&writing->arena);
	mem_free(writing);
	return err_pass(r);
}

/* What is written is freed at once, so a fault leaves the rest to be written again. */
static int write_ended(struct async_round *round)
{
	while (!list_empty(&round->ended)) {
		struct async_counters before = round->told;
		struct list *at = round->ended.next;
		int r = write_some(round, &at);
		if (r < 0) {
			round->told = before;
			return err_pass(r);
		}
		while (round->ended.next != at) {
			struct async_item *item = list_entry(
				round->ended.next, struct async_item, link);
			list_remove(&item->link);
			round->room++;
			round->room_bytes += item->body.len;
			async_item_free(item);
		}
	}
	return 0;
}

/* --- what is due --- */

static int copy_text(struct async_item *item, str from, str *to)
{
	*to = arena_str(&item->arena, from);
	return to->at ? 0 : err_raise(-ENOMEM);
}

/* What its qualifier is configured with: RECORD_FOUND, RECORD_ABSENT or a fault. */
static int look_up_invoke(struct async_item *item, const struct function_record *function)
{
	json_auto_t *doc = NULL;
	uint64_t revision;

	int r = event_invoke_record_get(function, async_qualifier(item), &doc, &revision);
	if (r != RECORD_FOUND)
		return err_pass(r);
	const json_t *destinations = json_object_get(doc, "DestinationConfig");
	const json_t *attempts = json_object_get(doc, "MaximumRetryAttempts");
	const json_t *age = json_object_get(doc, "MaximumEventAgeInSeconds");
	if (attempts)
		item->rules.attempts_max = (unsigned)json_integer_value(attempts);
	if (age)
		item->rules.age_max_ms = (uint64_t)json_integer_value(age) * 1000;
	r = copy_text(item, json_get_str(json_object_get(destinations, "OnSuccess"), "Destination"),
		&item->on_success);
	return r < 0
		? err_pass(r)
		: err_pass(copy_text(item,
			  json_get_str(json_object_get(destinations, "OnFailure"), "Destination"),
			  &item->on_failure));
}

/* A function that is gone has nothing: the engine says so. */
static int look_up(struct async_item *item, const struct lambda_scope *scope)
{
	scoped_found found = {};

	int r = function_record_get(scope, item->name, &found.function);
	if (r != RECORD_FOUND)
		return r < 0 ? err_pass(r) : 0;
	r = look_up_invoke(item, &found.function);
	if (r >= 0)
		r = lambda_found_follow(&found, item->qualifier);
	if (r != RECORD_FOUND)
		return r < 0 ? err_pass(r) : 0;
	const json_t *dead = json_object_get(found.config, "DeadLetterConfig");
	return err_pass(copy_text(item, json_get_str(dead, "TargetArn"), &item->dead_letter));
}

static int item_look_up(struct async_item *item, const struct async_round *round)
{
	struct arena arena;
	struct lambda_scope scope = { .platform = round->async->platform,
		.arena = &arena,
		.account = item->account,
		.region = item->region };

	item->rules = (struct retry_rules){
		.attempts_max = RETRY_ATTEMPTS_MAX,
		.age_max_ms = RETRY_AGE_MAX_S * 1000ULL,
		.wait_ms = round->wait_ms,
	};
	if (item->kind != ASYNC_EVENT)
		return 0;
	arena_init(&arena, LOOK_ARENA_MAX);
	int r = look_up(item, &scope);
	arena_done(&arena);
	return err_pass(r);
}

static struct async_item *item_new(struct async_round *round)
{
	struct async_item *item = mem_one(struct async_item);

	if (!item)
		return NULL;
	item->async = round->async;
	arena_init(&item->arena, ITEM_ARENA_MAX);
	buf_init(&item->response, ITEM_ARENA_MAX);
	return item;
}

static int read_one(void *context, const struct queue_item *stored)
{
	struct async_round *round = context;

	/* One is always let in, however large it is. */
	if (!round->room || (stored->body.len > round->room_bytes && !list_empty(&round->read)))
		return 1;
	struct async_item *item = item_new(round);
	int r = item ? async_item_read(item, stored) : err_raise(-ENOMEM);
	if (r == 0)
		r = item_look_up(item, round);
	if (r < 0) {
		async_item_free(item);
		err_log(r, "read a queued invocation");
		round->read_fault = r;
		return r == -ENOMEM; /* one that cannot be read must not stop the others */
	}
	round->room--;
	round->room_bytes -= MIN(stored->body.len, round->room_bytes);
	list_push_back(&round->read, &item->link);
	return 0;
}

void async_round_run(struct work *work)
{
	struct async_round *round = list_entry(work, struct async_round, work);

	round->fault = write_ended(round);
	round->read_fault = 0;
	round->next_ms = UINT64_MAX;
	if (round->fault < 0 || round->is_closed || !round->room)
		return;
	int r = queue_due(round->async->platform->queue,
		&(struct queue_look){ .now_ms = clock_real_ms(),
			.busy = round->busy,
			.busy_count = round->busy_count },
		read_one, round, &round->next_ms);
	if (r < 0)
		round->read_fault = r;
}
