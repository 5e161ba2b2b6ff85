/*
 * Events are made once, in JSON, by the same functions that write the log (log_lines.h), from a view of the function's
 * version that has JSON for its format and no levels; then each subscriber's batch gets a copy.
 *
 * "You can subscribe … during the Init phase": what the platform has said until then is kept, in a bound, for those who
 * come. What a batch has no room for, because its extension does not take what it is given, is counted and told by
 * platform.logsDropped: an environment cannot make the router hold more than its batches.
 */
#include "engine/telemetry.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/function_log.h"
#include "engine/pool.h"
#include "os/clock.h"
#include "wire/json_check.h"
#include "wire/timestamp.h"

#include <errno.h>
#include <string.h>

enum { BACKLOG_MAX = 16 * 1024, EVENT_MAX = 2 * LOG_LINE_MAX, ROOM_FACTOR = 2 };

int telemetry_new(struct environment *env, struct telemetry **ret_telemetry)
{
	struct telemetry *telemetry = mem_one(struct telemetry);

	if (!telemetry)
		return err_raise(-ENOMEM);
	telemetry->env = env;
	memcpy(&telemetry->version, env->pool->version, sizeof(telemetry->version));
	telemetry->version.log_is_json = true;
	telemetry->version.log_level_system = S("DEBUG");
	buf_init(&telemetry->backlog, BACKLOG_MAX);
	for (int i = 0; i < TELEMETRY_SUBSCRIBERS_MAX; i++)
		telemetry->list[i].fd = -1;
	*ret_telemetry = telemetry;
	return 0;
}

void telemetry_free(struct telemetry *telemetry)
{
	if (!telemetry)
		return;
	for (int i = 0; i < TELEMETRY_SUBSCRIBERS_MAX; i++) {
		struct telemetry_subscriber *subscriber = &telemetry->list[i];
		telemetry_hang_up(subscriber);
		timer_free(subscriber->timer);
		buf_done(&subscriber->batch);
		buf_done(&subscriber->out);
	}
	buf_done(&telemetry->backlog);
	mem_free(telemetry);
}

void telemetry_close(struct telemetry *telemetry)
{
	if (!telemetry)
		return;
	telemetry->is_closed = true;
	buf_done(&telemetry->backlog);
}

/* --- events --- */

static struct telemetry *telemetry_of(const struct environment *env)
{
	return env->host ? env->host->telemetry : NULL;
}

/* An event is one line. */
static void put_joined(struct buf *to, char joint, str event)
{
	if (to->len)
		buf_put_char(to, joint);
	buf_put(to, event);
}

void telemetry_put(struct telemetry_subscriber *subscriber, str event)
{
	if (subscriber->batch.len + event.len + 1 >
		ROOM_FACTOR * (size_t)subscriber->wish.bytes_max) {
		subscriber->dropped_records++;
		subscriber->dropped_bytes += event.len;
		return;
	}
	put_joined(&subscriber->batch, subscriber->wish.is_tcp ? '\n' : ',', event);
	subscriber->items++;
	telemetry_wake(subscriber, false);
}

/* One of this type, for all who want it. */
static void telemetry_event(
	struct telemetry *telemetry, enum telemetry_type type, struct buf *event)
{
	str text = buf_str(event);

	if (event->err || !text.len)
		return;
	if (text.at[text.len - 1] == '\n')
		text.len--;
	if (type == TELEMETRY_PLATFORM && !telemetry->is_closed &&
		telemetry->backlog.len + text.len + 1 <= BACKLOG_MAX) {
		put_joined(&telemetry->backlog, '\n', text);
	}
	for (int i = 0; i < TELEMETRY_SUBSCRIBERS_MAX; i++)
		if (telemetry->list[i].extension && (telemetry->list[i].wish.types & type))
			telemetry_put(&telemetry->list[i], text);
}

void telemetry_init_start(
	struct environment *env, const struct log_init *init, const struct runtime_pack *pack)
{
	struct telemetry *telemetry = telemetry_of(env);
	struct log_init in_json = *init;
	char text[1024];
	struct buf event;

	if (!telemetry)
		return;
	in_json.version = &telemetry->version;
	buf_init_over(&event, text, sizeof(text));
	log_put_init_start(&event, &in_json, pack, clock_real_ms());
	telemetry_event(telemetry, TELEMETRY_PLATFORM, &event);
}

void telemetry_init_done(struct environment *env, const struct log_init *init)
{
	struct telemetry *telemetry = telemetry_of(env);
	char text[1024];
	struct buf event;

	for (int i = 0; telemetry && i < 2; i++) {
		buf_init_over(&event, text, sizeof(text));
		log_put_init_event(&event, init, i == 1, clock_real_ms());
		telemetry_event(telemetry, TELEMETRY_PLATFORM, &event);
	}
}

void telemetry_extension(struct environment *env, const struct log_extension *extension)
{
	struct telemetry *telemetry = telemetry_of(env);
	char text[2048];
	struct buf event;

	if (!telemetry)
		return;
	buf_init_over(&event, text, sizeof(text));
	log_put_extension(&event, &telemetry->version, extension, clock_real_ms());
	telemetry_event(telemetry, TELEMETRY_PLATFORM, &event);
}

void telemetry_start(struct environment *env, const struct log_start *start)
{
	struct telemetry *telemetry = telemetry_of(env);
	char text[2048];
	struct buf event;

	if (!telemetry)
		return;
	buf_init_over(&event, text, sizeof(text));
	log_put_start(&event, &telemetry->version, start, clock_real_ms());
	telemetry_event(telemetry, TELEMETRY_PLATFORM, &event);
}

void telemetry_runtime_done(struct environment *env, const struct log_report *report)
{
	struct telemetry *telemetry = telemetry_of(env);
	char text[1024];
	struct buf event;

	if (!telemetry)
		return;
	buf_init_over(&event, text, sizeof(text));
	log_put_runtime_done(&event, report, clock_real_ms());
	telemetry_event(telemetry, TELEMETRY_PLATFORM, &event);
}

void telemetry_report(struct environment *env, const struct log_report *report)
{
	struct telemetry *telemetry = telemetry_of(env);
	char text[2048];
	struct buf event;

	if (!telemetry)
		return;
	struct log_report in_json = *report;
	in_json.is_json = true;
	buf_init_over(&event, text, sizeof(text));
	log_put_report(&event, &in_json, clock_real_ms(), log_stream_memory_peak(env->stream));
	telemetry_event(telemetry, TELEMETRY_PLATFORM, &event);
}

/* "If your Lambda function uses the JSON log format, … the record is a JSON object." */
static void put_record(struct buf *event, const struct environment *env, str line)
{
	size_t offset;

	if (env->pool->version->log_is_json && str_starts(line, S("{")) &&
		json_check(line, &offset))
		buf_put(event, line);
	else
		buf_put_json(event, line);
}

void telemetry_line(struct environment *env, enum telemetry_type type, str line)
{
	struct telemetry *telemetry = telemetry_of(env);
	bool is_wanted = false;
	struct buf event;

	for (int i = 0; telemetry && i < TELEMETRY_SUBSCRIBERS_MAX; i++)
		is_wanted |= telemetry->list[i].extension && (telemetry->list[i].wish.types & type);
	if (!is_wanted)
		return;
	if (str_ends(line, S("\n")))
		line.len--;
	buf_init(&event, EVENT_MAX);
	buf_put(&event, S("{\"time\":\""));
	timestamp_put_iso8601(&event, clock_real_ms(), true);
	buf_putf(&event, "\",\"type\":\"%s\",\"record\":",
		type == TELEMETRY_FUNCTION ? "function" : "extension");
	put_record(&event, env, line);
	buf_put_char(&event, '}');
	telemetry_event(telemetry, type, &event);
	buf_done(&event);
}

void telemetry_subscribed(struct environment *env, const struct telemetry_subscriber *subscriber)
{
	const struct function_version *version = env->pool->version;
	struct telemetry *telemetry = subscriber->telemetry;
	const struct log_subscription subscription = { .name = subscriber->extension->name,
		.is_logs_api = subscriber->wish.is_logs_api,
		.is_platform = subscriber->wish.types & TELEMETRY_PLATFORM,
		.is_function = subscriber->wish.types & TELEMETRY_FUNCTION,
		.is_extension = subscriber->wish.types & TELEMETRY_EXTENSION };
	char text[2048];
	struct buf line;

	buf_init_over(&line, text, sizeof(text));
	log_put_subscription(&line, &telemetry->version, &subscription, clock_real_ms());
	telemetry_event(telemetry, TELEMETRY_PLATFORM, &line);
	if (!log_lines_want(version, LOG_WEIGHT_INFO))
		return;
	buf_init_over(&line, text, sizeof(text));
	log_put_subscription(&line, version, &subscription, clock_real_ms());
	environment_log_put(env, buf_str(&line));
}
