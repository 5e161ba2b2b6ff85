/*
 * Invoke, the common way: a call like every other, on a worker thread.
 *
 * DryRun only looks whether the function is there. Event, and the old InvokeAsync, answer 202 once the invocation is
 * durable (see async.c). A synchronous invocation comes here only when the fast path found something unusual, and that
 * is then refused with the model's words before or by the checks below.
 */
#include "services/lambda/invoke.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/platform.h"
#include "model/limits.h"
#include "services/lambda/async.h"
#include "services/lambda/names.h"
#include "services/lambda/payload.h"
#include "services/lambda/relaxed.h"
#include "wire/digest.h"

/* More than is allowed, in the words of AWS and with the figure that they have. */
static int refuse_large(struct call *call, uint64_t figure)
{
	bool is_async = str_eq(call->operation->name, S("InvokeAsync"));

	return lambda_refuse(call, "RequestTooLargeException",
		"Request must be smaller than %llu bytes for the %s operation",
		(unsigned long long)figure, is_async ? "InvokeAsync" : "InvokeFunction");
}

/* 202 means that it is on the disk. */
static int invoke_event(struct call *call, const struct lambda_ref *ref, str payload)
{
	int r = async_submit(call->platform->async,
		&(struct async_ask){
			.account = ref->scope.account,
			.region = ref->scope.region,
			.name = ref->name,
			.qualifier = ref->qualifier,
			.request_id = call->request_id,
			.trace = str_slice(call->trace, 0, 1024),
			.tenant = call_str(call, "TenantId"),
			.payload = payload.len ? payload : S("{}"),
		});

	if (r == ASYNC_FULL)
		return lambda_refuse(call, "TooManyRequestsException", "Rate Exceeded.");
	if (r == ASYNC_DONE)
		call->status = 202;
	return err_pass(r);
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

/* The function is there and may get this payload: 0, CALL_ERROR or a fault. */
static int check_function(
	struct call *call, struct lambda_ref *ref, str payload, struct lambda_limits *ret_limits)
{
	scoped_found found = {};

	int r = lambda_ref_read(call, ref);
	str given = r == 0 ? ref->qualifier : S("");
	if (!given.len)
		ref->qualifier = S("$LATEST"); /* as Invoke's errors name it */
	if (r == 0)
		r = check_client_context(call);
	if (r == 0)
		r = check_payload(call, payload);
	if (r == 0)
		r = lambda_find(call, ref, &found);
	if (r == 0)
		r = check_tenant(call, found.config);
	if (r)
		return err_pass(r);
	*ret_limits = lambda_limits_of(call->platform, json_object_get(found.function.doc, "Tags"));
	ref->qualifier = given;
	return 0;
}

int op_invoke(struct call *call)
{
	struct lambda_ref ref;
	struct lambda_limits limits;
	str type = call_str(call, "InvocationType"), payload = call_str(call, "Payload");

	if (call_has(call, "DurableExecutionName"))
		return lambda_refuse(
			call, INVALID, "Durable executions are not available in mayfly yet.");
	int r = check_function(call, &ref, payload, &limits);
	if (r)
		return err_pass(r);
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

int op_invoke_async(struct call *call)
{
	struct lambda_ref ref;
	struct lambda_limits limits;
	str payload = call_str(call, "InvokeArgs");

	int r = check_function(call, &ref, payload, &limits);
	if (r)
		return err_pass(r);
	if (payload.len > limits.event_bytes)
		return refuse_large(call, limits.event_bytes);
	return err_pass(invoke_event(call, &ref, payload));
}
