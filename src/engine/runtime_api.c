/*
 * The Lambda Runtime API, version 2018-06-01, one server an environment on the listener that the warden
 * made inside the sandbox ("Using the Lambda runtime API for custom runtimes"; the statuses and bodies of
 * errors as Lambda's own runtime interface emulator answers them).
 *
 * GET …/next parks its connection until there is an event. POST …/response ends the invocation; its 202 is
 * held back and travels with the next event when the runtime has already asked for it (see http_reply): a
 * runtime that pipelines the two costs one read and one write an invocation.
 */
#include "engine/core.h"

#include "base/err.h"
#include "base/log.h"
#include "http/server.h"
#include "model/limits.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CONNS_MAX = 64, HEAD_MAX = 8192, INIT_ERROR_MAX = 64 * 1024, BODY_SLACK = 64 * 1024 };

#define API	   "/2018-06-01/runtime/"
#define JSON_FIELD S("Content-Type: application/json\r\n")

static void reply(struct http_conn *conn, int status, str body)
{
	http_reply(conn, &(struct http_reply){ .status = status, .fields = JSON_FIELD, .body = body });
}

static void reply_error(struct http_conn *conn, int status, str type, str message)
{
	struct buf body;

	buf_init(&body, 4 * KIB);
	buf_put(&body, S("{\"errorMessage\":"));
	buf_put_json(&body, message);
	buf_put(&body, S(",\"errorType\":"));
	buf_put_json(&body, type);
	buf_put(&body, S("}\n"));
	reply(conn, status, buf_str(&body));
	buf_done(&body);
}

/* The words of Lambda's own state machine. */
static void reply_wrong_state(struct http_conn *conn, str asked)
{
	char message[160];
	int len = snprintf(message, sizeof(message),
		"State transition from Running to " STR_FMT
		" failed for runtime. Error: State transition is not allowed",
		STR_ARG(asked));

	reply_error(conn, 403, S("InvalidStateTransition"), (str){ message, (size_t)len });
}

void runtime_api_accepted(struct http_conn *conn)
{
	http_conn_set_user(conn, NULL);
	http_reply(conn,
		&(struct http_reply){
			.status = 202,
			.fields = JSON_FIELD,
			.body = S("{\"status\":\"OK\"}\n"),
			.hold = true,
		});
}

/* --- next --- */

/* Header values come from clients and configuration: a CR or LF in one would end the head. */
static void put_field(struct buf *out, str name, str value)
{
	if (!value.len || str_find(value, '\r') >= 0 || str_find(value, '\n') >= 0)
		return;
	buf_put(out, name);
	buf_put(out, S(": "));
	buf_put(out, value);
	buf_put(out, S("\r\n"));
}

/* "Lambda-Runtime-Invoked-Function-Arn": with the qualifier that was asked for, if any. */
static void put_invoked_arn(struct buf *out, const struct invocation *invocation, str arn)
{
	buf_put(out, S("Lambda-Runtime-Invoked-Function-Arn: "));
	buf_put(out, arn);
	if (invocation->qualifier[0]) {
		buf_put_char(out, ':');
		buf_put(out, str_of(invocation->qualifier));
	}
	buf_put(out, S("\r\n"));
}

void runtime_api_send(struct environment *env, const struct invocation *invocation)
{
	struct http_conn *conn = env->next;
	struct buf fields;

	assert(conn);
	buf_init(&fields, HEAD_MAX);
	buf_put(&fields, JSON_FIELD);
	buf_put(&fields, S("Lambda-Runtime-Aws-Request-Id: "));
	buf_put(&fields, str_of(invocation->request_id));
	buf_put(&fields, S("\r\nLambda-Runtime-Deadline-Ms: "));
	buf_put_u64(&fields, invocation->deadline_ms);
	buf_put(&fields, S("\r\n"));
	put_invoked_arn(&fields, invocation, env->pool->version->arn);
	put_field(&fields, S("Lambda-Runtime-Trace-Id"), str_of(invocation->trace));
	put_field(&fields, S("Lambda-Runtime-Client-Context"), invocation->client_context);
	env->next = NULL;
	http_reply(conn,
		&(struct http_reply){ .status = 200, .fields = buf_str(&fields), .body = invocation->payload });
	buf_done(&fields);
}

static void on_next(struct environment *env, struct http_conn *conn)
{
	bool may_ask = env->state == ENV_INIT ||
		(env->state == ENV_BUSY && (!env->invocation || env->invocation->is_ended));

	if (!may_ask || env->next) {
		reply_wrong_state(conn, S("Ready"));
		return;
	}
	environment_on_next(env, conn);
}

/* --- response and error --- */

/*
 * Check the id in …/invocation/{id}/… against the running invocation; answers for itself when it is wrong.
 */
static struct invocation *find_invocation(
	struct environment *env, struct http_conn *conn, str id, str asked)
{
	struct invocation *invocation = env->invocation;

	if (!invocation || invocation->is_ended) {
		reply_wrong_state(conn, asked);
		return NULL;
	}
	if (!str_eq(id, str_of(invocation->request_id))) {
		reply_error(conn, 400, S("InvalidRequestID"), S("Invalid request ID"));
		return NULL;
	}
	return invocation;
}

static void respond_too_large(struct invocation *invocation, struct http_conn *conn)
{
	invocation_fail(invocation, "error", "Function.ResponseSizeTooLarge",
		"Response payload size exceeded maximum allowed payload size (%d bytes).",
		LIMIT_PAYLOAD_ERROR_BYTES);
	reply_error(conn, 413, S("RequestEntityTooLarge"),
		S("Exceeded maximum allowed payload size (6291556 bytes)."));
}

/* Lambda's functions may answer by streaming; a client of this version would get a broken answer. */
static bool is_streaming(const struct http_request *request)
{
	return str_eq_fold(http_field(&request->head, S("Lambda-Runtime-Function-Response-Mode")), S("streaming"));
}

/* A streaming response ends with its error in trailers, when the function failed midway. */
static bool trailer_error(const struct http_request *request, str *ret_type)
{
	str rest = request->trailers, line, name;

	while (str_next(&rest, '\n', &line)) {
		if (!str_cut(&line, ':', &name) ||
			!str_eq_fold(str_trim(name), S("Lambda-Runtime-Function-Error-Type")))
			continue;
		if (str_ends(line, S("\r")))
			line.len--;
		*ret_type = str_trim(line);
		return true;
	}
	return false;
}

static void on_response(struct environment *env, struct http_conn *conn, struct http_request *request, str id)
{
	str content_type = http_field(&request->head, S("Content-Type"));
	struct invocation *invocation = find_invocation(env, conn, id, S("InvocationResponse"));
	str error_type;

	if (!invocation)
		return;
	if (request->body_len > LIMIT_PAYLOAD_ERROR_BYTES) {
		respond_too_large(invocation, conn);
		return;
	}
	if (is_streaming(request) && trailer_error(request, &error_type)) {
		invocation_fail(invocation, "error", "Function.StreamError",
			"RequestId: %s Error: the function failed while it was streaming its response",
			invocation->request_id);
		runtime_api_accepted(conn);
		return;
	}
	http_conn_set_user(conn, invocation);
	invocation_respond(invocation, conn, request->body, false, S(""), content_type);
}

static void on_error(struct environment *env, struct http_conn *conn, struct http_request *request, str id)
{
	str type = http_field(&request->head, S("Lambda-Runtime-Function-Error-Type"));
	struct invocation *invocation = find_invocation(env, conn, id, S("InvocationErrorResponse"));

	if (!invocation)
		return;
	if (request->body_len > LIMIT_PAYLOAD_ERROR_BYTES) {
		respond_too_large(invocation, conn);
		return;
	}
	http_conn_set_user(conn, invocation);
	invocation_respond(invocation, conn, request->body, true, type, S(""));
}

static void on_init_error(struct environment *env, struct http_conn *conn, const struct http_request *request)
{
	if (env->state != ENV_INIT) {
		reply_wrong_state(conn, S("InitError"));
		return;
	}
	/* What happens next is the runtime's exit; see environment_crashed(). */
	environment_on_init_error(env, request->body,
		http_field(&request->head, S("Lambda-Runtime-Function-Error-Type")));
	http_reply(conn,
		&(struct http_reply){
			.status = 202, .fields = JSON_FIELD, .body = S("{\"status\":\"OK\"}\n") });
}

/* --- the server --- */

static int on_head(void *context, struct http_conn *conn, const struct http_head *head,
	uint64_t *ret_body_max, uint64_t *ret_memory_max)
{
	(void)context;
	(void)conn;
	(void)head;
	/* One byte above the limit is answered with Lambda's own error, far above it the connection ends. */
	*ret_body_max = 4 * (uint64_t)LIMIT_PAYLOAD_BYTES;
	*ret_memory_max = *ret_body_max;
	return 0;
}

static void on_request(void *context, struct http_conn *conn, struct http_request *request)
{
	struct environment *env = context;
	str path = request->head.path, id;
	enum http_verb verb = request->head.verb;

	if (env->state == ENV_DEAD) {
		http_conn_abort(conn);
		return;
	}
	if (verb == HTTP_GET && str_eq(path, S(API "invocation/next"))) {
		on_next(env, conn);
		return;
	}
	if (verb == HTTP_POST && str_eq(path, S(API "init/error"))) {
		on_init_error(env, conn, request);
		return;
	}
	if (verb == HTTP_POST && str_starts(path, S(API "invocation/"))) {
		path = str_from(path, strlen(API "invocation/"));
		if (str_cut(&path, '/', &id) && str_eq(path, S("response"))) {
			on_response(env, conn, request, id);
			return;
		}
		if (str_eq(path, S("error"))) {
			on_error(env, conn, request, id);
			return;
		}
	}
	if (verb == HTTP_GET && str_eq(path, S("/2018-06-01/ping"))) {
		http_reply(conn, &(struct http_reply){ .status = 200, .body = S("pong") });
		return;
	}
	if (str_starts(path, S("/2020-01-01/extension")) || str_starts(path, S("/2022-07-01/telemetry")) ||
		str_starts(path, S("/2020-08-15/logs"))) {
		reply_error(conn, 501, S("Extension.NotAvailable"),
			S("The Extensions, Telemetry and Logs APIs are not available in mayfly yet."));
		return;
	}
	reply_error(conn, 404, S("NotFound"), S("The Runtime API has no such path."));
}

static void on_gone(void *context, struct http_conn *conn, bool request_open)
{
	struct environment *env = context;

	struct invocation *answered = http_conn_user(conn);

	(void)request_open;
	if (answered)
		invocation_keep_response(answered);
	if (env->next != conn)
		return;
	/* A runtime that closes the connection on which it waits cannot be given anything any more. */
	env->next = NULL;
	if (env->state == ENV_IDLE)
		environment_kill(env);
}

static const struct http_server_ops ops = {
	.on_head = on_head,
	.on_request = on_request,
	.on_gone = on_gone,
};

int runtime_api_open(struct environment *env, int listener)
{
	return err_pass(http_server_new(
		&(struct http_server_options){
			.loop = env->engine->loop,
			.listener = listener,
			.ops = &ops,
			.context = env,
			.conns_max = CONNS_MAX,
			.is_eager_close_detected = true,
		},
		&env->runtime_api));
}

void runtime_api_close(struct environment *env)
{
	http_server_free(env->runtime_api);
	env->runtime_api = NULL;
}
