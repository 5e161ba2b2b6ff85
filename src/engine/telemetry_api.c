/*
 * Subscribing ("Lambda Telemetry API reference", "Lambda Logs API"). The two differ in their paths, in schema versions,
 * and in what their log lines and errors are called; the rest is one.
 */
#include "base/attr.h"
#include "base/err.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/guard.h"
#include "engine/telemetry.h"
#include "http/server.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum {
	ITEMS_MAX = 10'000,
	BYTES_MIN = 262'144,
	BYTES_MAX = 1'048'576,
	TIMEOUT_MS_MIN = 25,
	TIMEOUT_MS_MAX = 30'000
};
enum { REQUEST_HEAD_MAX = 1024 };

/* All that is wrong with a request, in one message: "a; b". */
struct faults {
	struct buf text;
	char room[768];
};

static void fault(struct faults *faults, const char *words)
{
	if (faults->text.len)
		buf_put(&faults->text, S("; "));
	buf_put(&faults->text, str_of(words));
}

static str json_text(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? (str){ json_string_value(value), json_string_length(value) }
				     : S("");
}

/* --- the parts of a request --- */

static void parse_types(struct faults *faults, const json_t *body, struct telemetry_subscriber *to)
{
	static const struct {
		str name;
		enum telemetry_type type;
	} types[] = { { S_INIT("platform"), TELEMETRY_PLATFORM },
		{ S_INIT("function"), TELEMETRY_FUNCTION },
		{ S_INIT("extension"), TELEMETRY_EXTENSION } };
	const json_t *list = json_object_get(body, "types"), *item;
	size_t i;

	if (!json_array_size(list))
		fault(faults, "types should not be empty");
	json_array_foreach(list, i, item)
	{
		str name = { json_string_value(item), json_string_length(item) };
		unsigned bit = 0;
		for (size_t k = 0; json_is_string(item) && k < ARRAY_LEN(types); k++)
			bit |= str_eq(name, types[k].name) ? types[k].type : 0;
		if (!bit) {
			fault(faults, "types should be one of platform, function, extension");
			return;
		}
		to->types |= bit;
	}
}

static uint32_t parse_number(struct faults *faults, const json_t *object, const char *name,
	uint32_t least, uint32_t most, uint32_t by_default)
{
	const json_t *value = json_object_get(object, name);
	json_int_t number = json_integer_value(value);
	char words[96];

	if (!value || json_is_null(value))
		return by_default;
	if (json_is_integer(value) && number >= least && number <= most)
		return (uint32_t)number;
	(void)snprintf(words, sizeof(words), "%s should be between %u and %u", name, least, most);
	fault(faults, words);
	return by_default;
}

static bool is_path(str path)
{
	for (size_t i = 0; i < path.len; i++)
		if (path.at[i] <= ' ' || path.at[i] >= 0x7f)
			return false;
	return path.len < TELEMETRY_PATH_MAX;
}

/* "http://sandbox.localdomain:${PORT}/${PATH}": its own network, and nothing else. */
static void parse_uri(struct faults *faults, str uri, struct telemetry_subscriber *to)
{
	static const char *const hosts[] = { "sandbox.localdomain", "sandbox", "localhost",
		"127.0.0.1" };
	str rest, host;
	uint64_t port = 0;
	bool is_here = false;

	if (!str_starts(uri, S("http://"))) {
		fault(faults, "URI should start with http://");
		return;
	}
	rest = str_from(uri, 7);
	ptrdiff_t slash = str_find(rest, '/');
	str path = slash < 0 ? S("/") : str_from(rest, (size_t)slash);
	rest = slash < 0 ? rest : str_slice(rest, 0, (size_t)slash);
	if (!str_cut(&rest, ':', &host)) {
		fault(faults, "URI port is not provided");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		is_here |= str_eq(host, str_of(hosts[i]));
	if (!is_here)
		fault(faults, "URI host should be sandbox.localdomain");
	if (str_to_u64(rest, 65'535, &port) < 0 || port == 0 || port == 9001 || port == 4566)
		fault(faults, "URI port is not valid");
	if (!is_path(path))
		fault(faults, "URI path is not valid");
	if (faults->text.len)
		return;
	to->port = (uint16_t)port;
	(void)str_to_array(host, to->host, sizeof(to->host));
	(void)str_to_array(path, to->path, sizeof(to->path));
}

static void parse_destination(
	struct faults *faults, const json_t *body, struct telemetry_subscriber *to)
{
	const json_t *destination = json_object_get(body, "destination");
	str protocol = json_text(destination, "protocol");

	if (!json_is_object(destination))
		fault(faults, "destination should not be empty");
	else if (str_eq(protocol, S("TCP")))
		fault(faults, "protocol TCP is not available in mayfly yet, use HTTP");
	else if (!str_eq(protocol, S("HTTP")))
		fault(faults, "protocol should be HTTP");
	else if (json_object_get(destination, "method") &&
		!str_eq(json_text(destination, "method"), S("POST")))
		fault(faults, "method PUT is not available in mayfly yet, use POST");
	else
		parse_uri(faults, json_text(destination, "URI"), to);
}

static void parse_schema(struct faults *faults, const json_t *body, bool is_logs_api)
{
	static const char *const telemetry[] = { "2022-07-01", "2022-12-13", "2025-01-29" },
				 *const logs[] = { "2020-08-15", "2021-03-18" };
	str version = json_text(body, "schemaVersion");
	bool is_known = is_logs_api && !version.len; /* it is optional there */

	for (size_t i = 0; i < ARRAY_LEN(telemetry) && !is_logs_api; i++)
		is_known |= str_eq(version, str_of(telemetry[i]));
	for (size_t i = 0; i < ARRAY_LEN(logs) && is_logs_api; i++)
		is_known |= str_eq(version, str_of(logs[i]));
	if (!is_known)
		fault(faults, "schemaVersion is not valid");
}

static void parse_request(struct faults *faults, const json_t *body, bool is_logs_api,
	struct telemetry_subscriber *to)
{
	const json_t *buffering = json_object_get(body, "buffering");

	to->is_logs_api = is_logs_api;
	parse_schema(faults, body, is_logs_api);
	parse_destination(faults, body, to);
	parse_types(faults, body, to);
	to->items_max = parse_number(faults, buffering, "maxItems", is_logs_api ? 1'000 : 25,
		ITEMS_MAX, is_logs_api ? 10'000 : 1'000);
	to->bytes_max = parse_number(
		faults, buffering, "maxBytes", BYTES_MIN, BYTES_MAX, BYTES_MIN);
	to->timeout_ms = parse_number(
		faults, buffering, "timeoutMs", TIMEOUT_MS_MIN, TIMEOUT_MS_MAX, 1'000);
}

/* --- subscribing --- */

/* The place of an extension that has subscribed before, or a free one. */
static struct telemetry_subscriber *find_place(
	struct telemetry *telemetry, const struct extension *extension)
{
	struct telemetry_subscriber *place = NULL;

	for (int i = 0; i < TELEMETRY_SUBSCRIBERS_MAX; i++) {
		struct telemetry_subscriber *subscriber = &telemetry->list[i];
		if (subscriber->extension == extension)
			return subscriber;
		if (!subscriber->extension && !place)
			place = subscriber;
	}
	return place;
}

static int subscribe(struct telemetry *telemetry, const struct extension *extension,
	const struct telemetry_subscriber *wish)
{
	struct telemetry_subscriber *to = find_place(telemetry, extension);
	bool is_new = !to->extension;

	if (!to->timer) {
		int r = timer_new(telemetry->env->engine->loop, telemetry_on_time, to, &to->timer);
		if (r < 0)
			return err_pass(r);
	}
	to->telemetry = telemetry;
	to->extension = extension;
	to->types = wish->types;
	to->is_logs_api = wish->is_logs_api;
	to->items_max = wish->items_max;
	to->bytes_max = wish->bytes_max;
	to->timeout_ms = wish->timeout_ms;
	to->port = wish->port;
	memcpy(to->host, wish->host, sizeof(to->host));
	memcpy(to->path, wish->path, sizeof(to->path));
	if (is_new) {
		buf_init(&to->batch, 4ULL * BYTES_MAX);
		buf_init(&to->out, 4ULL * BYTES_MAX + REQUEST_HEAD_MAX);
		if ((to->types & TELEMETRY_PLATFORM) && telemetry->backlog.len) {
			telemetry_put(to, buf_str(&telemetry->backlog));
			to->items += telemetry->backlog_items - 1;
		}
	}
	telemetry_subscribed(telemetry->env, to);
	return 0;
}

static void on_subscribe(struct environment *env, struct http_conn *conn,
	const struct extension *extension, const struct http_request *request, bool is_logs_api)
{
	struct telemetry_subscriber wish = {};
	struct faults faults;
	json_error_t error;

	buf_init_over(&faults.text, faults.room, sizeof(faults.room));
	json_t *body = json_loadb(request->body.at, request->body.len, 0, &error);
	if (!json_is_object(body))
		fault(&faults, "the body should be a JSON object");
	else
		parse_request(&faults, body, is_logs_api, &wish);
	json_decref(body);
	if (faults.text.len) {
		runtime_api_refuse(conn, 400, S("ValidationError"), buf_str(&faults.text));
		return;
	}
	int r = subscribe(env->host->telemetry, extension, &wish);
	if (r < 0) {
		err_log(r, "subscribe an extension");
		runtime_api_refuse(conn, 500, S("InternalServerError"), S("Internal Server Error"));
		return;
	}
	http_reply(conn, &(struct http_reply){ .status = 200, .body = S("\"OK\"") });
}

bool telemetry_api_route(
	struct environment *env, struct http_conn *conn, const struct http_request *request)
{
	str path = request->head.path;
	bool is_logs_api = str_eq(path, S("/2020-08-15/logs")) ||
		str_eq(path, S("/2020-08-15/logs/"));
	bool is_telemetry = str_eq(path, S("/2022-07-01/telemetry")) ||
		str_eq(path, S("/2022-07-01/telemetry/"));

	if (request->head.verb != HTTP_PUT || (!is_logs_api && !is_telemetry))
		return false;
	const struct extension *extension = extension_api_asker(
		env, conn, &request->head, "extension");
	if (!extension)
		return true;
	if (!env->host->telemetry)
		runtime_api_refuse(conn, 501,
			is_logs_api ? S("Logs.NotSupported") : S("Telemetry.NotSupported"),
			S("In mayfly telemetry is for functions with an external extension."));
	else if (env->host->telemetry->is_closed)
		runtime_api_refuse(conn, 403,
			is_logs_api ? S("Logs.SubscriptionClosed")
				    : S("Telemetry.SubscriptionClosed"),
			is_logs_api ? S("Logs API subscription is closed already")
				    : S("Telemetry API subscription is closed already"));
	else
		on_subscribe(env, conn, extension, request, is_logs_api);
	return true;
}
