/*
 * Synchronous Invoke and InvokeWithResponseStream (whose answers are in invoke_stream.c), on the loop thread.
 *
 * The way of a warm invocation: the connection's buffer → engine → the environment's connection, and back the same
 * way. No tree, no copy of the payload, no lock, no disk. Whatever is unusual about a request (a name of another region,
 * a parameter that fails its constraint, Event and DryRun) makes this function step aside: the common way words the
 * error, because it has the model's constraints at hand.
 */
#include "services/lambda/invoke.h"

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "http/server.h"
#include "model/arn.h"
#include "model/limits.h"
#include "services/lambda/invoke_parts.h"
#include "services/lambda/payload.h"
#include "services/lambda/relaxed.h"
#include "wire/digest.h"

#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 512, FIELDS_MAX = 16 * 1024, ERROR_MAX = 8 * 1024 };

/* --- answers --- */

void invoke_put_common_fields(struct buf *fields, str content_type, const char *request_id)
{
	buf_put(fields, S("Content-Type: "));
	buf_put(fields, content_type);
	buf_put(fields, S("\r\nx-amzn-RequestId: "));
	buf_put(fields, str_of(request_id));
	buf_put(fields, S("\r\n"));
}

/* Without memory for all of it: half a header would leave the client waiting, half an answer would mislead it. */
static void reply_whole(struct http_conn *conn, int status, struct buf *fields, str body, int fault)
{
	if (fields->err || fault)
		http_conn_abort(conn);
	else
		http_reply(conn,
			&(struct http_reply){
				.status = status, .fields = buf_str(fields), .body = body });
	buf_done(fields);
}

void invoke_reply_error(
	struct http_conn *conn, const char *request_id, const struct invoke_error *error)
{
	struct buf fields, body;

	buf_init(&fields, ERROR_MAX);
	buf_init(&body, ERROR_MAX);
	invoke_put_common_fields(&fields, S("application/json"), request_id);
	buf_putf(&fields, "x-amzn-ErrorType: %s\r\n", error->type);
	if (error->retry_after)
		buf_putf(&fields, "Retry-After: %u\r\n", error->retry_after);
	buf_put_char(&body, '{');
	if (error->reason.len) {
		buf_put(&body, S("\"Reason\":"));
		buf_put_json(&body, error->reason);
		buf_put_char(&body, ',');
	}
	buf_putf(&body, "\"Type\":\"%s\",\"%s\":", error->status >= 500 ? "Service" : "User",
		error->message_member);
	buf_put_json(&body, error->message);
	buf_put_char(&body, '}');
	reply_whole(conn, error->status, &fields, buf_str(&body), body.err);
	buf_done(&body);
}

static void reply_large(struct http_conn *conn, const char *request_id, uint64_t payload_max)
{
	char text[128];

	snprintf(text, sizeof(text),
		"Request must be smaller than %llu bytes for the InvokeFunction operation",
		(unsigned long long)payload_max + LIMIT_PAYLOAD_SLACK_BYTES);
	invoke_reply_error(conn, request_id,
		&(struct invoke_error){ .status = 413,
			.type = "RequestTooLargeException",
			.message_member = "message",
			.message = str_of(text) });
}

void invoke_reply_refused(const struct fast_invoke *fast, const struct invocation_result *result)
{
	struct invoke_error error = { .message_member = "Message", .message = result->detail };
	char text[768];

	switch (result->outcome) {
	case INVOKE_NO_FUNCTION:
	case INVOKE_NO_QUALIFIER:
		snprintf(text, sizeof(text), "Function not found: %s", fast->arn);
		error.status = 404;
		error.type = "ResourceNotFoundException";
		error.message = str_of(text);
		break;
	case INVOKE_SNAPSHOT_PENDING: /* the words are the model's documentation of the type */
		error.status = 409;
		error.type = "SnapStartNotReadyException";
		error.message = S(
			"Lambda is initializing your function. You can invoke the function when "
			"the function state becomes Active.");
		break;
	case INVOKE_PENDING:
	case INVOKE_STATE_FAILED:
		snprintf(text, sizeof(text),
			"The operation cannot be performed at this time. The function is currently in the "
			"following state: " STR_FMT,
			STR_ARG(result->detail));
		error.status = 409;
		error.type = "ResourceConflictException";
		error.message = str_of(text);
		break;
	case INVOKE_RECURSIVE: /* the words are the model's, too */
		error.status = 400;
		error.type = "RecursiveInvocationException";
		error.message = S(
			"Lambda has detected your function being invoked in a recursive loop with other "
			"Amazon Web Services resources and stopped your function's invocation.");
		break;
	case INVOKE_THROTTLED:
		error.status = 429;
		error.type = "TooManyRequestsException";
		error.message_member = "message";
		error.message = result->throttle_message;
		error.reason = result->detail;
		error.retry_after = result->retry_after_s;
		break;
	case INVOKE_TOO_LARGE:
		reply_large(fast->conn, fast->request_id, result->payload_max);
		return;
	case INVOKE_NO_TENANT:
	case INVOKE_TENANT_UNWANTED:
		error.status = 400;
		error.type = "InvalidParameterValueException";
		error.message_member = "message";
		error.message = result->outcome == INVOKE_NO_TENANT ? S(TENANT_MISSING)
								    : S(TENANT_UNWANTED);
		break;
	case INVOKE_NO_RUNTIME:
		error.status = 502;
		error.type = "InvalidRuntimeException";
		break;
	case INVOKE_FAULT:
	case INVOKE_DONE:
		error.status = 500;
		error.type = "ServiceException";
		break;
	}
	invoke_reply_error(fast->conn, fast->request_id, &error);
}

/* Header values from functions' side: never a CR or LF (names and versions cannot hold one; checked all the same). */
void invoke_put_field(struct buf *fields, const char *name, str value)
{
	if (!value.len || str_find(value, '\r') >= 0 || str_find(value, '\n') >= 0)
		return;
	buf_put(fields, str_of(name));
	buf_put(fields, S(": "));
	buf_put(fields, value);
	buf_put(fields, S("\r\n"));
}

static void fast_done(void *context, const struct invocation_result *result)
{
	struct fast_invoke *fast = context;
	struct buf fields;

	http_conn_set_user(fast->conn, NULL);
	if (result->outcome != INVOKE_DONE) {
		invoke_reply_refused(fast, result);
		mem_free(fast);
		return;
	}
	bool is_bytes = result->is_stream &&
		result->payload.len; /* whatever the function says they are */
	buf_init(&fields, FIELDS_MAX);
	invoke_put_common_fields(&fields,
		is_bytes ? S("application/octet-stream") : S("application/json"), fast->request_id);
	invoke_put_field(&fields, "X-Amz-Executed-Version", result->version);
	invoke_put_field(&fields, "X-Amzn-Trace-Id", result->trace);
	buf_put(&fields, S("x-amzn-Remapped-Content-Length: 0\r\n"));
	if (result->is_error)
		buf_put(&fields, S("X-Amz-Function-Error: Unhandled\r\n"));
	if (result->tail.len) {
		buf_put(&fields, S("X-Amz-Log-Result: "));
		base64_put(&fields, result->tail);
		buf_put(&fields, S("\r\n"));
	}
	reply_whole(fast->conn, 200, &fields, result->payload, 0);
	mem_free(fast);
}

static void fast_gone(struct front_user *user)
{
	struct fast_invoke *fast = list_entry(user, struct fast_invoke, user);

	invocation_abandon(fast->invocation);
	mem_free(fast);
}

/* --- what is asked --- */

struct fast_ask {
	struct function_name name;
	str qualifier;
	str client_context;
	str tenant;
	bool wants_tail;
	bool is_stream;	    /* InvokeWithResponseStream */
	struct buf decoded; /* the name, and the client context, without their encodings */
};

static bool name_is_plain(str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
			c != '-' && c != '_')
			return false;
	}
	return name.len > 0 && name.len <= LIMIT_FUNCTION_NAME;
}

/* The part of a path between these two; at == NULL when there is none. */
static str path_between(str path, str before, str after)
{
	if (!str_starts(path, before) || !str_ends(path, after) ||
		path.len <= before.len + after.len)
		return (str){};
	return str_slice(path, before.len, path.len - after.len);
}

/* …/functions/{FunctionName}/invocations, or …/response-streaming-invocations */
static bool ask_take_name(struct fast_ask *ask, str path)
{
	str label = path_between(path, S("/2015-03-31/functions/"), S("/invocations"));

	if (!label.at) {
		label = path_between(
			path, S("/2021-11-15/functions/"), S("/response-streaming-invocations"));
		ask->is_stream = true;
	}
	if (!label.at)
		return false;
	if (str_find(label, '/') >= 0 || label.len > NAME_MAX_BYTES)
		return false;
	if (str_find(label, '%') >= 0) {
		if (uri_decode(label, &ask->decoded) < 0)
			return false;
		label = buf_str(&ask->decoded);
	}
	return function_name_parse(label, &ask->name) == 0 && name_is_plain(ask->name.name);
}

enum { QUALIFIER_LEN_MAX = 128 };

static bool ask_take_qualifier(struct fast_ask *ask, str query)
{
	str name, value;

	ask->qualifier = ask->name.qualifier;
	while (uri_query_next(&query, &name, &value)) {
		if (!str_eq(name, S("Qualifier")) || !value.len)
			continue;
		/* Decoded it could only be longer than plain: $ may stand as %24. */
		if (str_eq(value, S("%24LATEST")))
			value = S("$LATEST");
		if (ask->qualifier.len && !str_eq(value, ask->qualifier))
			return false;
		ask->qualifier = value;
	}
	if (ask->qualifier.len > QUALIFIER_LEN_MAX)
		return false; /* the model's words refuse it, on the common path */
	return !ask->qualifier.len || qualifier_kind(ask->qualifier) != QUALIFIER_BAD;
}

/* The model: "[a-zA-Z0-9\\._:\\/=+\\-@ ]+", 1 to 256. */
static bool tenant_is_right(str tenant)
{
	for (size_t i = 0; i < tenant.len; i++) {
		char c = tenant.at[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
			(c == '\0' || !strchr("._:/=+-@ ", c)))
			return false;
	}
	return tenant.len > 0 && tenant.len <= LIMIT_TENANT_ID;
}

static bool ask_take_fields(struct fast_ask *ask, const struct http_head *head)
{
	str type = http_field(head, S("X-Amz-Invocation-Type"));
	str log = http_field(head, S("X-Amz-Log-Type"));

	if (type.len && !str_eq(type, S("RequestResponse")))
		return false;
	if (log.len && !str_eq(log, S("None")) && !str_eq(log, S("Tail")))
		return false;
	ask->wants_tail = str_eq(log, S("Tail"));
	ask->tenant = http_field(head, S("X-Amz-Tenant-Id"));
	/* What the model's pattern refuses, or what is not of this version: the common way names it. */
	return (!ask->tenant.at || tenant_is_right(ask->tenant)) &&
		!http_field(head, S("X-Amz-Durable-Execution-Name")).at;
}

/* The client context travels in base64; the runtime gets it as text. */
static bool ask_take_client_context(struct fast_ask *ask, const struct http_head *head)
{
	str encoded = http_field(head, S("X-Amz-Client-Context"));
	size_t from = ask->decoded.len;

	if (!encoded.len)
		return true;
	if (encoded.len > LIMIT_CLIENT_CONTEXT_BYTES || base64_decode(encoded, &ask->decoded) < 0)
		return false;
	ask->client_context = str_from(buf_str(&ask->decoded), from);
	return true;
}

static bool ask_take(
	struct fast_ask *ask, const struct http_request *request, const struct front_caller *caller)
{
	/* Room for both decoded parts at once: views into the buffer stay valid. */
	if (buf_reserve(&ask->decoded, NAME_MAX_BYTES + LIMIT_CLIENT_CONTEXT_BYTES) < 0)
		return false;
	return ask_take_name(ask, request->head.path) &&
		ask_take_qualifier(ask, request->head.query) &&
		(!ask->name.region.len || str_eq(ask->name.region, caller->region)) &&
		ask_take_fields(ask, &request->head) &&
		ask_take_client_context(ask, &request->head);
}

/* The payload's own limits; true when it was answered here. */
static bool refuse_payload(struct http_conn *conn, const struct http_request *request,
	const char *request_id, uint64_t payload_max)
{
	struct buf message;

	struct invoke_error error = { .message_member = "message" };

	if (request->body_len > payload_max) {
		reply_large(conn, request_id, payload_max);
		return true;
	}
	buf_init(&message, ERROR_MAX / 2);
	bool is_json = !request->body_len || payload_check(request->body, &message);
	if (!is_json) {
		error.status = 400;
		error.type = "InvalidRequestContentException";
		error.message = buf_str(&message);
		invoke_reply_error(conn, request_id, &error);
	}
	buf_done(&message);
	return !is_json;
}

static bool ask_is_foreign(const struct fast_ask *ask, const struct front_caller *caller)
{
	return ask->name.account.len && !str_eq(ask->name.account, caller->account);
}

static bool fast_begin(struct platform *platform, struct http_conn *conn,
	struct http_request *request, const struct front_caller *caller, const struct fast_ask *ask)
{
	str owner = ask->name.account.len ? ask->name.account : caller->account;
	struct fast_invoke *fast = mem_one(struct fast_invoke);
	if (!fast)
		return false;

	fast->user.gone = fast_gone;
	fast->user.drained = ask->is_stream ? invoke_stream_drained : NULL;
	fast->conn = conn;
	snprintf(fast->request_id, sizeof(fast->request_id), STR_FMT, STR_ARG(caller->request_id));
	snprintf(fast->arn, sizeof(fast->arn),
		"arn:aws:lambda:" STR_FMT ":" STR_FMT ":function:" STR_FMT "%s" STR_FMT,
		STR_ARG(caller->region), STR_ARG(owner), STR_ARG(ask->name.name),
		ask->qualifier.len ? ":" : ":$LATEST", STR_ARG(ask->qualifier));
	int r = engine_invoke(platform->engine,
		&(struct invocation_ask){
			.account = owner,
			.region = caller->region,
			.name = ask->name.name,
			.qualifier = ask->qualifier,
			.request_id = caller->request_id,
			.payload = request->body_len ? request->body : S("{}"),
			.client_context = ask->client_context,
			.tenant = ask->tenant,
			.trace = http_field(&request->head, S("X-Amzn-Trace-Id")),
			.wants_tail = ask->wants_tail,
			.sink = ask->is_stream ? &invoke_stream_sink : NULL,
			.done = ask->is_stream ? invoke_stream_done : fast_done,
			.context = fast,
		},
		&fast->invocation);
	if (r < 0) {
		err_log(r, "begin an invocation");
		mem_free(fast);
		return false;
	}
	http_conn_set_user(conn, fast);
	return true;
}

/* What is left of it when its caller may do it: false when it was neither begun nor answered. */
static bool fast_go(struct platform *platform, struct http_conn *conn, struct http_request *request,
	const struct front_caller *caller, const struct fast_ask *ask)
{
	char request_id[UUID_LEN + 1];

	if (str_to_array(caller->request_id, request_id, sizeof(request_id)) < 0)
		return false;
	return refuse_payload(conn, request, request_id, lambda_payload_max(platform)) ||
		fast_begin(platform, conn, request, caller, ask);
}

void invoke_allowed(struct platform *platform, struct http_conn *conn, struct http_request *request,
	const struct front_caller *caller)
{
	struct fast_ask ask = {};
	char request_id[UUID_LEN + 1];

	buf_init(&ask.decoded, NAME_MAX_BYTES + LIMIT_CLIENT_CONTEXT_BYTES);
	bool is_taken = ask_take(&ask, request, caller) &&
		fast_go(platform, conn, request, caller, &ask);
	buf_done(&ask.decoded);
	if (is_taken)
		return;
	(void)!str_to_array(caller->request_id, request_id, sizeof(request_id));
	invoke_reply_error(conn, request_id,
		&(struct invoke_error){ .status = 500,
			.type = "ServiceException",
			.message_member = "Message",
			.message = S("There was no memory for the invocation.") });
}

bool lambda_invoke_fast(void *context, struct http_conn *conn, struct http_request *request,
	const struct front_caller *caller)
{
	struct platform *platform = context;
	struct fast_ask ask = {};

	if (request->head.verb != HTTP_POST || request->body_fd >= 0)
		return false;
	buf_init(&ask.decoded, NAME_MAX_BYTES + LIMIT_CLIENT_CONTEXT_BYTES);
	bool is_taken = ask_take(&ask, request, caller);
	if (is_taken && ask_is_foreign(&ask, caller))
		is_taken = invoke_foreign(
			platform, conn, request, caller, &ask.name, ask.qualifier);
	else if (is_taken)
		is_taken = fast_go(platform, conn, request, caller, &ask);
	buf_done(&ask.decoded);
	return is_taken;
}
