/*
 * GET /metrics in Prometheus's text format, version 0.0.4: what the engine has counted, written down on the loop thread.
 * How much that is has bounds (see engine/measure.h): at most some hundred kilobytes.
 */
#include "bin/router_parts.h"

#include "base/attr.h"
#include "engine/engine.h"
#include "engine/measure.h"
#include "http/server.h"
#include "os/clock.h"
#include "services/lambda/async.h"
#include "store/queue.h"
#include "tls/identity.h"

#include <inttypes.h>

#define METRICS_MAX (8 * MIB)

struct page {
	struct buf *out;
	const char *name; /* of the family that is being written */
	uint64_t (*value)(const struct measure_function *function);
	const struct measure_spread *(*spread)(const struct measure_runtime *runtime);
};

static void put_family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_putf(out, "# HELP mayfly_%s %s\n# TYPE mayfly_%s %s\n", name, help, name, type);
}

/* name="value", where backslash, quote and line feed are escaped. */
static void put_label(struct buf *out, const char *name, str value)
{
	buf_putf(out, "%s=\"", name);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.at[i];
		if (c == '\\' || c == '"')
			buf_put_char(out, '\\');
		if (c == '\n')
			buf_put(out, S("\\n"));
		else
			buf_put_char(out, c);
	}
	buf_put_char(out, '"');
}

static void put_seconds(struct buf *out, uint64_t us)
{
	buf_putf(out, "%" PRIu64 ".%06" PRIu64, us / 1'000'000, us % 1'000'000);
}

/* --- of functions --- */

static void put_function(void *context, const struct measure_function *function)
{
	const struct page *page = context;
	struct buf *out = page->out;

	buf_putf(out, "mayfly_%s{", page->name);
	put_label(out, "account", function->account);
	buf_put_char(out, ',');
	put_label(out, "region", function->region);
	buf_put_char(out, ',');
	put_label(out, "function", function->name);
	buf_put(out, S("} "));
	if (page->value)
		buf_put_u64(out, page->value(function));
	else
		put_seconds(out, function->running_us);
	buf_put_char(out, '\n');
}

static uint64_t invocations_of(const struct measure_function *function)
{
	return function->invocations;
}

static uint64_t errors_of(const struct measure_function *function)
{
	return function->errors;
}

static uint64_t throttles_of(const struct measure_function *function)
{
	return function->throttles;
}

static void put_functions(struct buf *out, struct engine *engine)
{
	static const struct {
		const char *name, *help;
		uint64_t (*value)(const struct measure_function *function);
	} families[] = {
		{ "function_invocations_total", "Invocations that ran.", invocations_of },
		{ "function_errors_total", "Invocations that ended with an error of the function.",
			errors_of },
		{ "function_throttles_total", "Invocations that were throttled.", throttles_of },
		{ "function_duration_seconds_total", "How long invocations ran.", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		struct page page = {
			.out = out, .name = families[i].name, .value = families[i].value
		};
		put_family(out, families[i].name, "counter", families[i].help);
		engine_each_measure(engine, put_function, &page);
	}
}

/* --- of runtimes --- */

static void put_spread_line(
	const struct page *page, const struct measure_runtime *runtime, const char *suffix)
{
	buf_putf(page->out, "mayfly_%s_%s{", page->name, suffix);
	put_label(page->out, "runtime", str_of(runtime->name));
}

static void put_spread(void *context, const struct measure_runtime *runtime)
{
	const struct page *page = context;
	const struct measure_spread *spread = page->spread(runtime);
	struct buf *out = page->out;
	uint64_t count = 0;

	for (size_t i = 0; i < MEASURE_STEPS; i++) {
		count += spread->steps[i];
		put_spread_line(page, runtime, "bucket");
		buf_put(out, S(",le=\""));
		put_seconds(out, measure_steps[i]);
		buf_putf(out, "\"} %" PRIu64 "\n", count);
	}
	put_spread_line(page, runtime, "bucket");
	buf_putf(out, ",le=\"+Inf\"} %" PRIu64 "\n", spread->count);
	put_spread_line(page, runtime, "sum");
	buf_put(out, S("} "));
	put_seconds(out, spread->sum_us);
	buf_put_char(out, '\n');
	put_spread_line(page, runtime, "count");
	buf_putf(out, "} %" PRIu64 "\n", spread->count);
}

static const struct measure_spread *duration_of(const struct measure_runtime *runtime)
{
	return &runtime->duration;
}

static const struct measure_spread *init_of(const struct measure_runtime *runtime)
{
	return &runtime->init;
}

static void put_runtimes(struct buf *out, struct engine *engine)
{
	put_family(out, "invocation_duration_seconds", "histogram", "How long invocations ran.");
	engine_each_runtime_measure(engine, put_spread,
		&(struct page){ out, "invocation_duration_seconds", .spread = duration_of });
	put_family(out, "init_duration_seconds", "histogram",
		"How long environments took from their start to their first request for an event.");
	engine_each_runtime_measure(engine, put_spread,
		&(struct page){ out, "init_duration_seconds", .spread = init_of });
}

/* --- of the node --- */

struct labelled {
	const char *value;
	uint64_t count;
};

static void put_labelled(struct buf *out, const char *name, const char *label,
	const struct labelled *lines, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buf_putf(out, "mayfly_%s{", name);
		put_label(out, label, str_of(lines[i].value));
		buf_putf(out, "} %" PRIu64 "\n", lines[i].count);
	}
}

static void put_plain(
	struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	put_family(out, name, type, help);
	buf_putf(out, "mayfly_%s %" PRIu64 "\n", name, value);
}

static void put_environments(struct buf *out, const struct engine_counters *c)
{
	const struct labelled states[] = { { "starting", c->starting }, { "idle", c->idle },
		{ "frozen", c->frozen }, { "busy", c->busy } };
	const struct labelled starts[] = { { "exec", c->births[BIRTH_EXEC] },
		{ "fork", c->births[BIRTH_FORK] }, { "stem", c->births[BIRTH_STEM] },
		{ "snapshot", c->births[BIRTH_RESTORE] } };
	const struct labelled ends[] = { { "timeout", c->timeouts }, { "crash", c->crashes },
		{ "out_of_memory", c->out_of_memory }, { "eviction", c->evictions } };

	put_family(out, "environments", "gauge", "Execution environments by what they do.");
	put_labelled(out, "environments", "state", states, ARRAY_LEN(states));
	put_family(out, "environment_starts_total", "counter",
		"Cold starts, and environments started ahead, by the way they were started.");
	put_labelled(out, "environment_starts_total", "mode", starts, ARRAY_LEN(starts));
	put_family(out, "environment_ends_total", "counter", "Environments that were ended early.");
	put_labelled(out, "environment_ends_total", "reason", ends, ARRAY_LEN(ends));
	put_plain(out, "environment_start_failures_total", "counter",
		"Environments that could not be started.", c->spawn_failures);
}

static void put_node(struct buf *out, const struct engine_counters *c, uint64_t uptime_ms)
{
	put_family(out, "info", "gauge", "The version of the daemon.");
	buf_put(out, S("mayfly_info{"));
	put_label(out, "version", S(MAYFLY_VERSION));
	buf_put(out, S("} 1\n"));
	put_plain(out, "uptime_seconds", "gauge", "Since the router started.", uptime_ms / 1000);
	put_plain(out, "concurrent_invocations", "gauge",
		"Invocations between their request and their answer.", c->in_flight);
	put_plain(out, "waiting_invocations", "gauge",
		"Invocations that wait for an execution environment.", c->waiting);
	put_plain(out, "throttles_total", "counter", "Invocations that were throttled.",
		c->throttled);
	put_plain(out, "memory_bytes", "gauge", "What all environments are counted with.",
		c->memory_mb * MIB);
	put_plain(out, "memory_limit_bytes", "gauge", "What they may be counted with.",
		c->memory_mb_max * MIB);
}

static void put_certificate(struct buf *out, const struct tls_identity *tls)
{
	if (tls)
		put_plain(out, "tls_certificate_expiry_timestamp_seconds", "gauge",
			"When the certificate of HTTPS ends, in seconds since 1970.",
			tls_identity_expires_s(tls));
}

/* --- of asynchronous invocations --- */

static void put_events(
	struct buf *out, const struct async *async, const struct queue_figures *queue)
{
	uint64_t now_ms = clock_real_ms();
	struct async_counters c;

	async_counters(async, &c);
	const struct labelled ends[] = { { "succeeded", c.succeeded }, { "failed", c.failed },
		{ "expired", c.expired }, { "dropped", c.dropped } };
	put_plain(out, "events_accepted_total", "counter", "Asynchronous invocations taken.",
		c.accepted);
	put_family(out, "events_ended_total", "counter", "How they ended, after all attempts.");
	put_labelled(out, "events_ended_total", "end", ends, ARRAY_LEN(ends));
	put_plain(out, "event_retries_total", "counter", "Attempts that follow a failed one.",
		c.retried);
	put_plain(out, "event_deliveries_total", "counter",
		"Records that reached a destination or dead-letter queue.", c.delivered);
	put_plain(out, "event_delivery_failures_total", "counter",
		"Attempts to deliver one that failed.", c.delivery_failures);
	put_plain(out, "events_waiting", "gauge", "Events in the queue.", queue->waiting);
	put_plain(out, "event_queue_age_seconds", "gauge",
		"How long the oldest of them has been there.",
		queue->oldest_ms ? (now_ms - MIN(queue->oldest_ms, now_ms)) / 1000 : 0);
}

void router_reply_metrics(
	struct router *router, struct http_conn *conn, const struct queue_figures *queue)
{
	struct engine *engine = router->platform.engine;
	struct engine_counters counters;
	struct buf out;

	engine_counters(engine, &counters);
	buf_init(&out, METRICS_MAX);
	put_node(&out, &counters, clock_mono_ms() - router->started_ms);
	put_certificate(&out, router->tls);
	put_environments(&out, &counters);
	put_events(&out, router->platform.async, queue);
	put_functions(&out, engine);
	put_runtimes(&out, engine);
	http_reply(conn,
		&(struct http_reply){
			.status = out.err ? 500 : 200,
			.fields = S("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
			.body = out.err ? S("") : buf_str(&out),
		});
	buf_done(&out);
}
