/*
 * The Lambda Runtime API, version 2018-06-01, one server an environment on the listener that the
 * warden made inside the sandbox ("Using the Lambda runtime API for custom runtimes"; the statuses
 * and bodies of errors as Lambda's own runtime interface emulator answers them).
 *
 * GET …/next parks its connection until there is an event. POST …/response ends the invocation; its
 * 202 is held back and travels with the next event when the runtime has already asked for it (see
 * http_reply): a runtime that pipelines the two costs one read and one write an invocation.
 *
 * What is on the other end is a function: it may say anything, at any time, on any number of
 * connections. Only the answer to the running invocation may be large, and only one at a time, so
 * that a sandbox cannot make the router hold more than that. An answer above the limit is taken to
 * disk and refused in the words of Lambda; one that is far above it ends its connection.
 */
#include "engine/runtime_api.h"

#include "base/attr.h"
#include "base/err.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/invocation.h"
#include "engine/metadata_api.h"
#include "engine/pool.h"
#include "engine/response_stream.h"
#include "engine/snapshot.h"
#include "engine/telemetry.h"
#include "http/server.h"
#include "model/limits.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	CONNS_MAX = 32,		    /* the runtime's, and two of each extension */
	HEAD_MAX = 8192,	    /* of an event: header values have limits of their own */
	SMALL_BODY_MAX = 64 * 1024, /* of everything that is no answer: errors of initialisation */
	LARGE_BODY_FACTOR = 4,	    /* so much of an answer that is too large is taken */
};

#define API	   "/2018-06-01/runtime/"
#define JSON_FIELD S("Content-Type: application/json\r\n")
#define OK_BODY	   S("{\"status\":\"OK\"}\n")

/* --- replies --- */

static void put_error(struct buf *body, str type, str message)
{
	buf_put(body, S("{\"errorMessage\":"));
	buf_put_json(body, message);
	buf_put(body, S(",\"errorType\":"));
	buf_put_json(body, type);
	buf_put(body, S("}\n"));
}

void runtime_api_refuse(struct http_conn *conn, int status, str type, str message)
{
	char text[4096];
	struct buf body;

	buf_init_over(&body, text, sizeof(text));
	put_error(&body, type, message);
	assert(!body.err);
	http_reply(conn,
		&(struct http_reply){
			.status = status, .fields = JSON_FIELD, .body = buf_str(&body) });
}

/* The state of the runtime in the words of Lambda's own state machine. */
static const char *runtime_state(const struct environment *env)
{
	switch (env->state) {
	case ENV_BOOTING:
	case ENV_INIT:
		return env->init_error.len ? "InitError" : env->next ? "Ready" : "Started";
	case ENV_IDLE:
	case ENV_FROZEN:
		return "Ready";
	case ENV_BUSY:
	case ENV_DEAD:
	case ENV_STATES:
		break;
	}
	if (env->next) /* it waits, with us, for its extensions */
		return "Ready";
	return env->invocation && !env->invocation->is_ended ? "Running" : "ResponseSent";
}

static void reply_wrong_state(
	const struct environment *env, struct http_conn *conn, const char *asked)
{
	char message[160];
	int len = snprintf(message, sizeof(message),
		"State transition from %s to %s failed for runtime. "
		"Error: State transition is not "
		"allowed",
		runtime_state(env), asked);

	runtime_api_refuse(conn, 403, S("InvalidStateTransition"), (str){ message, (size_t)len });
}

void runtime_api_accepted(struct http_conn *conn)
{
	http_conn_set_user(conn, NULL);
	http_reply(conn,
		&(struct http_reply){
			.status = 202, .fields = JSON_FIELD, .body = OK_BODY, .hold = true });
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

bool runtime_api_send(struct environment *env, const struct invocation *invocation)
{
	struct http_conn *conn = env->next;
	char text[HEAD_MAX];
	struct buf fields;

	if (!conn || !http_conn_is_alive(conn))
		return false;
	buf_init_over(&fields, text, sizeof(text));
	buf_put(&fields, S("Content-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: "));
	buf_put(&fields, str_of(invocation->request_id));
	buf_put(&fields, S("\r\nLambda-Runtime-Deadline-Ms: "));
	buf_put_u64(&fields, invocation->deadline_ms);
	buf_put(&fields, S("\r\nLambda-Runtime-Invoked-Function-Arn: "));
	invocation_put_arn(&fields, invocation);
	buf_put(&fields, S("\r\n"));
	put_field(&fields, S("Lambda-Runtime-Trace-Id"), str_of(invocation->trace));
	put_field(&fields, S("Lambda-Runtime-Client-Context"), invocation->client_context);
	put_field(&fields, S("Lambda-Runtime-Aws-Tenant-Id"), invocation->tenant);
	assert(!fields.err);
	env->next = NULL;
	http_reply(conn,
		&(struct http_reply){
			.status = 200, .fields = buf_str(&fields), .body = invocation->payload });
	/* The peer may have gone just now: then nobody has seen the event. */
	return http_conn_is_alive(conn) || env->is_next_last;
}

static void on_next(struct environment *env, struct http_conn *conn, bool is_last)
{
	bool may_ask = !env->next &&
		((env->state == ENV_INIT && !env->init_error.len) ||
			(env->state == ENV_BUSY &&
				(!env->invocation || env->invocation->is_ended)));

	if (env->is_gone) { /* its last words */
		http_conn_abort(conn);
	} else if (may_ask) {
		env->is_next_last = is_last;
		environment_on_next(env, conn);
	} else {
		reply_wrong_state(env, conn, "Ready");
	}
}

/* One that was to save itself: it has, or the body says why it could not. */
static void on_snapshot(
	struct environment *env, struct http_conn *conn, const struct http_request *request)
{
	if (!env->snapshot || env->state != ENV_INIT) {
		reply_wrong_state(env, conn, "Ready");
		return;
	}
	snapshot_on_said(env,
		env->pool->version->has_extensions ? S("it has external extensions.")
						   : request->body);
	http_reply(
		conn, &(struct http_reply){ .status = 202, .fields = JSON_FIELD, .body = OK_BODY });
	environment_kill(env);
}

/* --- response and error --- */

static bool is_letters(str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char lower = (char)(text.at[i] | 0x20);
		if (lower < 'a' || lower > 'z')
			return false;
	}
	return text.len > 1 && text.at[0] <= 'Z';
}

str runtime_api_error_type(str said)
{
	str rest = said, domain;

	if (!str_cut(&rest, '.', &domain))
		return S("Runtime.Unknown");
	bool is_function = str_eq(domain, S("Function"));
	if (is_letters(rest) && said.len < ERROR_TYPE_MAX &&
		(is_function || str_eq(domain, S("Runtime"))))
		return said;
	return is_function ? S("Function.Unknown") : S("Runtime.Unknown");
}

/* …/invocation/{id}/response or …/error: false when it is neither. */
static bool parse_answer_path(const struct http_head *head, str *ret_id, bool *ret_is_error)
{
	str rest = head->path, id;

	if (head->verb != HTTP_POST || !str_starts(rest, S(API "invocation/")))
		return false;
	rest = str_from(rest, strlen(API "invocation/"));
	if (!str_cut(&rest, '/', &id))
		return false;
	*ret_is_error = str_eq(rest, S("error"));
	if (!*ret_is_error && !str_eq(rest, S("response")))
		return false;
	*ret_id = id;
	return true;
}

/* The invocation that runs and has not been answered, or NULL. */
static struct invocation *running(const struct environment *env)
{
	return env->invocation && !env->invocation->is_ended ? env->invocation : NULL;
}

static uint64_t answer_max(const struct environment *env)
{
	if (env->is_streaming)
		return LIMIT_STREAM_BYTES;
	return env->pool->version->payload_max + LIMIT_PAYLOAD_SLACK_BYTES;
}

static void fail_too_large(struct invocation *invocation)
{
	invocation_fail(invocation, "error", "Function.ResponseSizeTooLarge",
		"Response payload size exceeded maximum allowed payload size (%" PRIu64 " bytes).",
		answer_max(invocation->env));
}

static const str too_large_type = S_INIT("RequestEntityTooLarge");

/* In the words of Lambda; `text` holds them. */
static str describe_too_large(const struct environment *env, char *text, size_t size)
{
	int len = snprintf(text, size, "Exceeded maximum allowed payload size (%" PRIu64 " bytes).",
		answer_max(env));

	return (str){ text, (size_t)len };
}

/*
 * What has been streamed is half an answer when its trailers tell an error: an invoker who waits for the
 * whole gets the error. False when there is none.
 */
static bool take_trailer_error(
	struct invocation *invocation, struct http_conn *conn, const struct http_request *request)
{
	struct buf object;
	str type;

	buf_init(&object, 2 * HTTP_HEAD_MAX);
	bool has_failed = response_trailer_error(request->trailers, &type, &object);
	if (has_failed) {
		invocation_fail_with(invocation, buf_str(&object), runtime_api_error_type(type));
		runtime_api_accepted(conn);
	}
	buf_done(&object);
	return has_failed;
}

static void take_answer(struct invocation *invocation, struct http_conn *conn,
	const struct http_request *request, bool is_error)
{
	struct answer answer = {
		.body = request->body,
		.is_error = is_error,
		.content_type = is_error ? S("") : http_field(&request->head, S("Content-Type")),
		.error_type = http_field(&request->head, S("Lambda-Runtime-Function-Error-Type")),
		.is_stream = !is_error && response_is_stream(&request->head),
	};

	if (request->body_len > answer_max(invocation->env)) {
		char text[96];
		str message = describe_too_large(invocation->env, text, sizeof(text));
		fail_too_large(invocation);
		runtime_api_refuse(conn, 413, too_large_type, message);
		return;
	}
	if (answer.is_stream && take_trailer_error(invocation, conn, request))
		return;
	http_conn_set_user(conn, invocation);
	invocation_respond(invocation, conn, &answer);
}

static void on_answer(struct environment *env, struct http_conn *conn,
	const struct http_request *request, str id, bool is_error)
{
	struct invocation *invocation = running(env);

	if (!env->request_id[0] || !str_eq(id, str_of(env->request_id)))
		runtime_api_refuse(conn, 400, S("InvalidRequestID"), S("Invalid request ID"));
	else if (!invocation || env->is_streaming) /* by another connection */
		reply_wrong_state(
			env, conn, is_error ? "InvocationErrorResponse" : "InvocationResponse");
	else if (invocation->has_begun)
		response_stream_end(invocation, conn, request);
	else
		take_answer(invocation, conn, request, is_error);
}

static void on_init_error(
	struct environment *env, struct http_conn *conn, const struct http_request *request)
{
	if (env->state != ENV_INIT || env->init_error.len) {
		reply_wrong_state(env, conn, "InitError");
		return;
	}
	environment_on_init_error(env, request->body,
		http_field(&request->head, S("Lambda-Runtime-Function-Error-Type")));
	http_reply(
		conn, &(struct http_reply){ .status = 202, .fields = JSON_FIELD, .body = OK_BODY });
}

/* --- the server --- */

static int on_head(void *context, struct http_conn *conn, const struct http_head *head,
	uint64_t *ret_body_max, uint64_t *ret_memory_max)
{
	struct environment *env = context;
	bool is_error;
	str id;

	*ret_body_max = *ret_memory_max = SMALL_BODY_MAX;
	if (!parse_answer_path(head, &id, &is_error) || !running(env) || env->answering ||
		!str_eq(id, str_of(env->request_id)))
		return 0;
	env->answering = conn;
	if (!is_error && env->invocation->sink && response_is_stream(head)) {
		*ret_body_max = UINT64_MAX; /* counted as it comes */
		response_stream_begin(env, conn, head);
		return 0;
	}
	*ret_body_max = LARGE_BODY_FACTOR * answer_max(env);
	*ret_memory_max = answer_max(env);
	return 0;
}

static int on_body(void *context, struct http_conn *conn, str content)
{
	return response_stream_on_body(context, conn, content);
}

/* Too large even to be read: when it was the answer, there will be no other one. */
static void on_refuse(void *context, int status, struct buf *fields, struct buf *body)
{
	struct environment *env = context;
	char text[96];

	if (status != 413)
		return;
	buf_put(fields, JSON_FIELD);
	put_error(body, too_large_type, describe_too_large(env, text, sizeof(text)));
	if (env->answering && running(env))
		fail_too_large(env->invocation);
}

static void route(struct environment *env, struct http_conn *conn, struct http_request *request)
{
	const struct http_head *head = &request->head;
	bool is_get = head->verb == HTTP_GET, is_error;
	str path = head->path, id;

	if (extension_api_route(env, conn, request) || telemetry_api_route(env, conn, request) ||
		metadata_api_route(env, conn, request))
		return;
	if (env->state == ENV_DEAD)
		http_conn_abort(conn);
	else if (is_get && str_eq(path, S(API "invocation/next")))
		on_next(env, conn, !head->keep_alive);
	else if (parse_answer_path(head, &id, &is_error))
		on_answer(env, conn, request, id, is_error);
	else if (head->verb == HTTP_POST && str_eq(path, S(API "init/error")))
		on_init_error(env, conn, request);
	else if (head->verb == HTTP_POST && str_eq(path, S(API "mayfly/snapshot")))
		on_snapshot(env, conn, request);
	else if (is_get && str_eq(path, S("/2018-06-01/ping")))
		http_reply(conn, &(struct http_reply){ .status = 200, .body = S("pong") });
	else
		runtime_api_refuse(
			conn, 404, S("NotFound"), S("The Runtime API has no such path."));
}

static void on_request(void *context, struct http_conn *conn, struct http_request *request)
{
	struct environment *env = context;

	if (env->answering == conn) {
		env->answering = NULL;
		env->is_streaming = false;
	}
	if (env->state == ENV_DEAD && !extension_host_is_shutting(env))
		http_conn_abort(conn);
	else
		route(env, conn, request);
}

static void on_gone(void *context, struct http_conn *conn, bool request_open)
{
	struct environment *env = context;
	struct invocation *answered = http_conn_user(conn);

	(void)request_open;
	if (answered)
		invocation_keep_response(answered);
	if (env->answering == conn) {
		bool is_lost = env->is_streaming;
		env->answering = NULL;
		env->is_streaming = false;
		if (is_lost)
			response_stream_on_lost(env);
	}
	if (env->parked == conn)
		env->parked = NULL;
	extension_api_on_gone(env, conn);
	if (env->next != conn)
		return;
	/*
	 * A runtime that closes the connection on which it waits cannot be given anything any more.
	 */
	env->next = NULL;
	bool is_idle = env->state == ENV_IDLE || env->state == ENV_FROZEN;
	bool is_settling = (env->state == ENV_INIT || env->state == ENV_BUSY) && !env->invocation;
	bool has_guard = env->host && env->host->guard; /* which knows whether it has died */
	if (is_idle || (is_settling && !has_guard))
		environment_kill(env);
}

static const struct http_server_ops ops = {
	.on_head = on_head,
	.on_request = on_request,
	.on_body = on_body,
	.on_gone = on_gone,
	.on_refuse = on_refuse,
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

void runtime_api_take(struct environment *env, struct http_server *server)
{
	http_server_give(server, &ops, env);
	env->runtime_api = server;
}

void runtime_api_send_block(struct environment *env, str block)
{
	struct http_conn *conn = env->parked;

	env->parked = NULL;
	if (conn && http_conn_is_alive(conn))
		http_reply(conn, &(struct http_reply){ .status = 200, .body = block });
}

void runtime_api_close(struct environment *env)
{
	http_server_free(env->runtime_api);
	env->runtime_api = NULL;
}

bool runtime_api_is_heard(const struct environment *env)
{
	return env->runtime_api && http_server_conns(env->runtime_api) > 0;
}
