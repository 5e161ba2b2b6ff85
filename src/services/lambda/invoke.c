/*
 * Invoke, the common way: a call like every other, on a worker thread.
 *
 * DryRun only looks whether the function is there. Event answers 202 once the invocation is with the engine, which
 * keeps the payload and runs it once; a throttled one is tried again until it is too old. A synchronous invocation
 * comes here only when the fast path found something unusual, and that is then refused with the model's words
 * before or by the checks below.
 */
#include "services/lambda/invoke.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "model/limits.h"
#include "os/loop.h"
#include "services/lambda/names.h"
#include "services/lambda/payload.h"
#include "services/lambda/relaxed.h"
#include "wire/digest.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* Lambda: "up to 6 hours" in the queue by default; between attempts of a throttled event a pause. */
enum { EVENT_AGE_MS_MAX = 6 * 3600 * 1000, EVENT_PAUSE_MS = 1000, EVENTS_MAX = 10'000 };

static _Atomic unsigned events_waiting;

/* One asynchronous invocation: owned by itself from the message to its end. */
struct event {
	struct message message;
	struct platform *platform;
	struct timer *timer;
	uint64_t since_ms;
	char *text; /* what the views of `ask` point into */
	struct invocation_ask ask;
};

static void event_free(struct event *event)
{
	timer_free(event->timer);
	mem_free(event->text);
	mem_free(event);
	atomic_fetch_sub(&events_waiting, 1);
}

static void event_run(void *context);

/* Throttled: again in a moment. Everything else is an end, logged by the engine and by the function itself. */
static void event_done(void *context, const struct invocation_result *result)
{
	struct event *event = context;
	uint64_t age_ms = loop_now_ms(event->platform->loop) - event->since_ms;

	if (result->outcome == INVOKE_THROTTLED && age_ms < EVENT_AGE_MS_MAX &&
		timer_new(event->platform->loop, event_run, event, &event->timer) == 0) {
		timer_set(event->timer, EVENT_PAUSE_MS);
		return;
	}
	if (result->outcome != INVOKE_DONE)
		log_warn("event_not_run", LOG_STR("function", event->ask.name),
			LOG_STR("request", event->ask.request_id), LOG_STR("why", result->detail));
	event_free(event);
}

static void event_run(void *context)
{
	struct event *event = context;
	struct invocation *invocation;

	timer_free(event->timer);
	event->timer = NULL;
	int r = engine_invoke(event->platform->engine, &event->ask, &invocation);
	if (r == 0)
		return;
	err_log(r, "begin an asynchronous invocation");
	event_free(event);
}

static void event_begin(struct message *message)
{
	struct event *event = list_entry(message, struct event, message);

	event->since_ms = loop_now_ms(event->platform->loop);
	event_run(event);
}

static int event_copy_texts(struct event *event)
{
	str *const views[] = { &event->ask.account, &event->ask.region, &event->ask.name,
		&event->ask.qualifier, &event->ask.request_id, &event->ask.payload,
		&event->ask.tenant };
	size_t len = 1, at = 0;

	for (size_t i = 0; i < ARRAY_LEN(views); i++)
		len += views[i]->len;
	event->text = mem_new(1, len);
	if (!event->text)
		return err_raise(-ENOMEM);
	for (size_t i = 0; i < ARRAY_LEN(views); i++) {
		if (views[i]->len)
			memcpy(event->text + at, views[i]->at, views[i]->len);
		views[i]->at = event->text + at;
		at += views[i]->len;
	}
	return 0;
}

/* More than is allowed, in the words of AWS and with the figure that they have. */
static int refuse_large(struct call *call, uint64_t figure)
{
	return lambda_refuse(call, "RequestTooLargeException",
		"Request must be smaller than %llu bytes for the InvokeFunction operation",
		(unsigned long long)figure);
}

static int invoke_event(struct call *call, const struct lambda_ref *ref, str payload)
{
	if (atomic_fetch_add(&events_waiting, 1) >= EVENTS_MAX) {
		atomic_fetch_sub(&events_waiting, 1);
		return lambda_refuse(call, "TooManyRequestsException", "Rate Exceeded.");
	}
	struct event *event = mem_one(struct event);
	if (!event) {
		atomic_fetch_sub(&events_waiting, 1);
		return err_raise(-ENOMEM);
	}
	event->platform = call->platform;
	event->message.run = event_begin;
	event->ask = (struct invocation_ask){
		.account = ref->scope.account,
		.region = ref->scope.region,
		.name = ref->name,
		.qualifier = ref->qualifier,
		.request_id = call->request_id,
		.payload = payload.len ? payload : S("{}"),
		.tenant = call_str(call, "TenantId"),
		.done = event_done,
		.context = event,
	};
	int r = event_copy_texts(event);
	if (r < 0) {
		event_free(event);
		return err_pass(r);
	}
	call->status = 202;
	loop_post(call->platform->loop, &event->message);
	return 0;
}

/* Held against what any function may get; a single one is held against its own limits. */
static int check_payload(struct call *call, str payload)
{
	struct buf message;

	if (!payload.len)
		return 0;
	if (payload.len > lambda_payload_max(call->platform))
		return refuse_large(
			call, lambda_payload_max(call->platform) + LIMIT_PAYLOAD_SLACK_BYTES);
	buf_init(&message, 4 * KIB);
	int r = 0;
	if (!payload_check(payload, &message))
		r = lambda_refuse(call, "InvalidRequestContentException", STR_FMT,
			STR_ARG(buf_str(&message)));
	buf_done(&message);
	return r;
}

static int check_client_context(struct call *call)
{
	str encoded = call_str(call, "ClientContext");
	struct buf decoded;

	if (!encoded.len)
		return 0;
	buf_init(&decoded, LIMIT_CLIENT_CONTEXT_BYTES);
	bool is_right = encoded.len <= LIMIT_CLIENT_CONTEXT_BYTES &&
		base64_decode(encoded, &decoded) == 0;
	buf_done(&decoded);
	if (is_right)
		return 0;
	return lambda_refuse(call, "InvalidRequestContentException",
		"Client context must be a valid Base64-encoded JSON object.");
}

/* Who is isolated by tenants must be told for whom; nobody else may be. */
static int check_tenant(struct call *call, const json_t *config)
{
	bool has_tenancy = json_object_get(config, "TenancyConfig") != NULL;

	if (has_tenancy == call_has(call, "TenantId"))
		return 0;
	return lambda_refuse(call, INVALID, "%s", has_tenancy ? TENANT_MISSING : TENANT_UNWANTED);
}

int op_invoke(struct call *call)
{
	scoped_found found = {};
	struct lambda_ref ref;
	str type = call_str(call, "InvocationType"), payload = call_str(call, "Payload");

	if (call_has(call, "DurableExecutionName"))
		return lambda_refuse(
			call, INVALID, "Durable executions are not available in mayfly yet.");
	int r = lambda_ref_read(call, &ref);
	if (r == 0 && !ref.qualifier.len)
		ref.qualifier = S("$LATEST"); /* as Invoke's errors name it */
	if (r == 0)
		r = check_client_context(call);
	if (r == 0)
		r = check_payload(call, payload);
	if (r == 0)
		r = lambda_find(call, &ref, &found);
	if (r == 0)
		r = check_tenant(call, found.config);
	if (r)
		return err_pass(r);
	struct lambda_limits limits = lambda_limits_of(
		call->platform, json_object_get(found.function.doc, "Tags"));
	if (payload.len > limits.payload_bytes)
		return refuse_large(call, limits.payload_bytes + LIMIT_PAYLOAD_SLACK_BYTES);
	if (str_eq(type, S("DryRun"))) {
		call->status = 204;
		return 0;
	}
	if (payload.len > limits.event_bytes)
		return refuse_large(call, limits.event_bytes);
	if (str_eq(type, S("Event")))
		return err_pass(invoke_event(call, &ref, payload));
	/* The fast path steps aside from a synchronous invocation only for what was refused above. */
	return lambda_refuse(call, "ServiceException",
		"This form of a synchronous invocation was not understood.");
}
