/*
 * The Lambda Extensions API, version 2020-01-01, on the listener of the Runtime API ("Using the Lambda Extensions
 * API to create extensions"; statuses and bodies of errors as Lambda's own runtime interface emulator has them).
 *
 * An external extension is told by its file's name, which its process must register under; any other name
 * is that of an internal one. GET …/next parks its connection until there is an event.
 */
#include "base/err.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/guard.h"
#include "engine/invocation.h"
#include "engine/pool.h"
#include "engine/snapshot.h"
#include "http/server.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>

#define API	 "/2020-01-01/extension/"
#define JSON	 "Content-Type: application/json\r\n"
#define STATE	 "Extension.InvalidExtensionState"
#define ID_FIELD "Lambda-Extension-Identifier"

enum { EVENT_SIZE = 4096 };

/* --- replies --- */

static void refuse(struct http_conn *conn, const char *type, const char *message)
{
	runtime_api_refuse(conn, 403, str_of(type), str_of(message));
}

/* AWS calls it by its name or by its id, as it was asked for. */
static void refuse_state(struct http_conn *conn, const struct extension *extension,
	const char *asked, const char *as)
{
	char message[EXTENSION_NAME_MAX + 160];

	(void)snprintf(message, sizeof(message),
		"State transition from %s to %s failed for extension %s. "
		"Error: State transition is not allowed",
		extension_state_name(extension->state), asked, as);
	refuse(conn, STATE, message);
}

static void reply_accepted(struct http_conn *conn)
{
	http_reply(conn,
		&(struct http_reply){
			.status = 202, .fields = S(JSON), .body = S("{\"status\":\"OK\"}\n") });
}

/* --- register --- */

static void reply_registered(struct extension_host *host, struct http_conn *conn,
	const struct extension *extension, bool wants_account)
{
	const struct function_version *version = host->env->pool->version;
	char text[2048], fields_text[160];
	struct buf body, fields;

	buf_init_over(&body, text, sizeof(text));
	buf_put(&body, S("{\"functionName\":"));
	buf_put_json(&body, version->name);
	buf_put(&body, S(",\"functionVersion\":"));
	buf_put_json(&body, version->version);
	buf_put(&body, S(",\"handler\":"));
	buf_put_json(&body, version->handler);
	if (wants_account) {
		buf_put(&body, S(",\"accountId\":"));
		buf_put_json(&body, version->account);
	}
	buf_put(&body, S("}\n"));
	buf_init_over(&fields, fields_text, sizeof(fields_text));
	buf_putf(&fields, JSON ID_FIELD ": %s\r\n", extension->id);
	assert(!body.err && !fields.err);
	http_reply(conn,
		&(struct http_reply){
			.status = 200, .fields = buf_str(&fields), .body = buf_str(&body) });
}

/* Does the list of features that it understands have this one? */
static bool wants_feature(const struct http_head *head, str feature)
{
	str rest = http_field(head, S("Lambda-Extension-Accept-Feature")), item;

	while (str_next(&rest, ',', &item))
		if (str_eq(str_trim(item), feature))
			return true;
	return false;
}

/* The events as bits: false when it has been refused. */
static bool parse_events(
	struct http_conn *conn, const json_t *body, bool is_external, unsigned *ret_events)
{
	const json_t *events = json_object_get(body, "events"), *item;
	unsigned bits = 0;
	size_t i;

	json_array_foreach(events, i, item)
	{
		str name = { json_string_value(item), json_string_length(item) };
		unsigned bit = json_is_string(item) ? extension_event_of(name, is_external) : 0;
		if (!bit) {
			char message[128];
			(void)snprintf(message, sizeof(message), "%.*s: %s", (int)MIN(name.len, 64),
				name.at ? name.at : "",
				str_eq(name, S("SHUTDOWN"))
					? "ShutdownEventNotSupportedForInternalExtension"
					: "ErrorInvalidEventType");
			refuse(conn, "Extension.InvalidEventType", message);
			return false;
		}
		bits |= bit;
	}
	*ret_events = bits;
	return true;
}

/* One that is new: NULL when it has been refused. */
static struct extension *register_internal(
	struct extension_host *host, struct http_conn *conn, str name)
{
	char message[48];
	struct extension *extension = NULL;

	if (host->all.is_closed) {
		refuse(conn, "Extension.RegistrationClosed",
			"Extension registration closed already");
	} else if (extensions_by_name(&host->all, name)) {
		refuse(conn, STATE, "Extension with this name already registered");
	} else if (name.len >= EXTENSION_NAME_MAX) {
		refuse(conn, "Extension.InvalidExtensionName", "Extension name too long");
	} else if (!(extension = extensions_add(&host->all, name, false))) {
		(void)snprintf(
			message, sizeof(message), "Extension limit (%d) reached", EXTENSIONS_MAX);
		refuse(conn, "Extension.TooManyExtensions", message);
	}
	return extension;
}

static void on_register_parsed(struct extension_host *host, struct http_conn *conn,
	const struct http_head *head, const json_t *body)
{
	str name = http_field(head, S("Lambda-Extension-Name"));
	struct extension *extension = extensions_by_name(&host->all, name);
	bool is_external = extension && extension->is_external;
	unsigned events;

	if (!parse_events(conn, body, is_external, &events))
		return;
	if (!is_external)
		extension = register_internal(host, conn, name);
	if (!extension)
		return;
	if (!extension_may(extension, EXTENSION_REGISTERED)) {
		refuse_state(conn, extension, "Registered", extension->name);
		return;
	}
	extension_enter(extension, EXTENSION_REGISTERED);
	extension->events = events;
	reply_registered(host, conn, extension, wants_feature(head, S("accountId")));
	extension_host_on_registered(host);
}

/* An environment that has no extension yet gets its first one. */
static bool has_host(struct environment *env)
{
	int r = env->host ? 0 : extension_host_new(env, NULL);

	if (r < 0)
		err_log(r, "register an extension");
	else if (env->state != ENV_INIT || env->next)
		env->host->all.is_closed = true;
	return r == 0;
}

/* What it is told here is not in what is restored. */
static void give_up_snapshot(struct environment *env, struct http_conn *conn)
{
	snapshot_on_said(env, S("its runtime has an internal extension."));
	http_conn_abort(conn);
	environment_kill(env);
}

static void on_register(
	struct environment *env, struct http_conn *conn, const struct http_request *request)
{
	json_error_t error;

	if (!http_field(&request->head, S("Lambda-Extension-Name")).len) {
		refuse(conn, "Extension.InvalidExtensionName", "Empty extension name");
		return;
	}
	json_t *body = json_loadb(request->body.at, request->body.len, 0, &error);
	const json_t *events = json_object_get(body, "events");
	if (!json_is_object(body) || (events && !json_is_array(events) && !json_is_null(events)))
		refuse(conn, "InvalidRequestFormat",
			request->body.len ? "The body is no JSON object with a list of events"
					  : "unexpected end of JSON input");
	else if (json_array_size(json_object_get(body, "configurationKeys")))
		refuse(conn, "InvalidRequestFormat",
			"configurationKeys are deprecated; use environment variables instead");
	else if (env->snapshot)
		give_up_snapshot(env, conn);
	else if (has_host(env))
		on_register_parsed(env->host, conn, &request->head, body);
	else
		runtime_api_refuse(conn, 500, S("InternalServerError"), S("Internal Server Error"));
	json_decref(body);
}

/* --- who asks --- */

static bool is_uuid(str text)
{
	for (size_t i = 0; i < text.len; i++) {
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
		char lower = (char)(text.at[i] | 0x20);
		bool is_hex = (text.at[i] >= '0' && text.at[i] <= '9') ||
			(lower >= 'a' && lower <= 'f');
		if (is_dash ? text.at[i] != '-' : !is_hex)
			return false;
	}
	return text.len == UUID_LEN;
}

struct extension *extension_api_asker(struct environment *env, struct http_conn *conn,
	const struct http_head *head, const char *unknown)
{
	str id = http_field(head, S(ID_FIELD));
	struct extension *extension = NULL;
	char message[96];

	if (!id.len) {
		refuse(conn, "Extension.MissingExtensionIdentifier",
			"Missing Lambda-Extension-Identifier header");
	} else if (!is_uuid(id)) {
		refuse(conn, "Extension.InvalidExtensionIdentifier",
			"Invalid Lambda-Extension-Identifier");
	} else if (!env->host || !(extension = extensions_by_id(&env->host->all, id))) {
		(void)snprintf(message, sizeof(message), "Unknown %s", unknown);
		if (unknown[0] == 'e')
			(void)snprintf(message, sizeof(message), "Unknown extension " STR_FMT,
				STR_ARG(id));
		refuse(conn, "Extension.UnknownExtensionIdentifier", message);
	}
	return extension;
}

/* --- next --- */

static void reply_event(struct extension *extension, const struct buf *body)
{
	char id[UUID_LEN + 1], text[160];
	struct http_conn *conn = extension->next;
	struct buf fields;

	assert(!body->err);
	random_uuid(id);
	buf_init_over(&fields, text, sizeof(text));
	buf_putf(&fields, JSON "Lambda-Extension-Event-Identifier: %s\r\n", id);
	extension->next = NULL;
	extension_enter(extension, EXTENSION_RUNNING);
	if (http_conn_is_alive(conn))
		http_reply(conn,
			&(struct http_reply){
				.status = 200, .fields = buf_str(&fields), .body = buf_str(body) });
}

void extension_api_shut(struct extension_host *host, struct extension *extension)
{
	const char *reason = host->env->end_reason ? host->env->end_reason : "spindown";
	char text[160];
	struct buf body;

	if (!extension->next)
		return;
	buf_init_over(&body, text, sizeof(text));
	buf_put(&body, S("{\"eventType\":\"SHUTDOWN\",\"deadlineMs\":"));
	buf_put_u64(&body, host->end_real_ms);
	buf_putf(&body, ",\"shutdownReason\":\"%s\"}", reason);
	reply_event(extension, &body);
}

void extension_api_invoke(struct environment *env, const struct invocation *invocation)
{
	char text[EVENT_SIZE], arn_text[512];
	struct buf body, arn;

	if (!env->host)
		return;
	buf_init_over(&arn, arn_text, sizeof(arn_text));
	invocation_put_arn(&arn, invocation);
	buf_init_over(&body, text, sizeof(text));
	buf_put(&body, S("{\"eventType\":\"INVOKE\",\"deadlineMs\":"));
	buf_put_u64(&body, invocation->deadline_ms);
	buf_putf(&body, ",\"requestId\":\"%s\",\"invokedFunctionArn\":", invocation->request_id);
	buf_put_json(&body, buf_str(&arn));
	buf_put(&body, S(",\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":"));
	buf_put_json(&body, str_of(invocation->trace));
	buf_put(&body, S("}}"));
	for (unsigned i = 0; i < env->host->all.count; i++) {
		struct extension *extension = &env->host->all.list[i];
		if ((extension->events & EXTENSION_INVOKE) && extension->next &&
			extension->state == EXTENSION_READY)
			reply_event(extension, &body);
	}
}

static void on_next(
	struct environment *env, struct http_conn *conn, const struct http_request *request)
{
	struct extension *extension = extension_api_asker(env, conn, &request->head, "extension");

	if (!extension)
		return;
	if (!extension_may_ask(extension)) {
		refuse_state(conn, extension, "Ready", extension->id);
		return;
	}
	if (extension->state != EXTENSION_READY)
		extension_enter(extension, EXTENSION_READY);
	extension->next = conn;
	if (env->host->phase == SHUTDOWN_EXTENSIONS && (extension->events & EXTENSION_SHUTDOWN))
		extension_api_shut(env->host, extension);
	else if (env->state != ENV_DEAD)
		environment_settle(env);
}

void extension_api_on_gone(struct environment *env, const struct http_conn *conn)
{
	for (unsigned i = 0; env->host && i < env->host->all.count; i++)
		if (env->host->all.list[i].next == conn)
			env->host->all.list[i].next = NULL;
}

/* --- errors --- */

static void on_error(struct environment *env, struct http_conn *conn,
	const struct http_request *request, enum extension_state next)
{
	struct extension *extension = extension_api_asker(env, conn, &request->head, ID_FIELD);
	str type = http_field(&request->head, S("Lambda-Extension-Function-Error-Type"));

	if (!extension)
		return;
	if (!type.len) {
		refuse(conn, "Extension.MissingHeader",
			"Lambda-Extension-Function-Error-Type not found");
	} else if (!extension_may(extension, next)) {
		refuse_state(conn, extension, next == EXTENSION_INIT_ERROR ? "InitError" : "Exited",
			extension->id);
	} else {
		extension_set_error(extension, type);
		extension_enter(extension, next);
		reply_accepted(conn);
	}
}

/* --- the API --- */

bool extension_api_route(
	struct environment *env, struct http_conn *conn, const struct http_request *request)
{
	bool is_post = request->head.verb == HTTP_POST;
	str path = request->head.path;

	if (!str_starts(path, S(API)))
		return false;
	path = str_from(path, sizeof(API) - 1);
	if (env->host && env->host->guard) /* whom it has started, before they speak */
		guard_read(env->host->guard);
	if (is_post && str_eq(path, S("register")))
		on_register(env, conn, request);
	else if (request->head.verb == HTTP_GET && str_eq(path, S("event/next")))
		on_next(env, conn, request);
	else if (is_post && str_eq(path, S("init/error")))
		on_error(env, conn, request, EXTENSION_INIT_ERROR);
	else if (is_post && str_eq(path, S("exit/error")))
		on_error(env, conn, request, EXTENSION_EXIT_ERROR);
	else
		return false;
	return true;
}
