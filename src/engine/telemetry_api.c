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

enum { REQUEST_HEAD_MAX = 1024 };

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
	const struct telemetry_wish *wish)
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
	to->wish = *wish;
	if (is_new) {
		buf_init(&to->batch, 4ULL * TELEMETRY_BYTES_MAX);
		buf_init(&to->out, 4ULL * TELEMETRY_BYTES_MAX + REQUEST_HEAD_MAX);
		str rest = buf_str(&telemetry->backlog), event;
		while (telemetry->backlog.len && (to->wish.types & TELEMETRY_PLATFORM) &&
			str_next(&rest, '\n', &event))
			telemetry_put(to, event);
	}
	telemetry_subscribed(telemetry->env, to);
	return 0;
}

static void on_subscribe(struct environment *env, struct http_conn *conn,
	const struct extension *extension, const struct http_request *request, bool is_logs_api)
{
	struct telemetry_wish wish;
	char room[TELEMETRY_FAULTS_MAX];
	struct buf faults;

	buf_init_over(&faults, room, sizeof(room));
	if (!telemetry_parse(request->body, is_logs_api, &wish, &faults)) {
		runtime_api_refuse(conn, 400, S("ValidationError"), buf_str(&faults));
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
