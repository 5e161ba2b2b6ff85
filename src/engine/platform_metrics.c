/*
 * AWS/Lambda's metrics on their way into the store. "Lambda sends metric data to CloudWatch in 1-minute intervals", each with
 * the dimensions FunctionName, FunctionName and Resource, and none ("across all functions").
 */
#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/platform_loop.h"
#include "engine/recent.h"
#include "os/loop.h"
#include "store/metrics.h"

#include <assert.h>
#include <string.h>

/* Metrics and places of one recent. */
enum { FIGURES = 5 + RECENT_FIGURES, PLACES = 3, DIMENSIONS_MAX = 512 };

/* As services/cloudwatch writes them: [["Name","value"],…] in the order of names. */
static void put_dimension(struct buf *out, const char *name, str value)
{
	buf_put(out, out->len ? S(",[") : S("[["));
	buf_put_json(out, str_of(name));
	buf_put_char(out, ',');
	buf_put_json(out, value);
	buf_put_char(out, ']');
}

struct figure {
	const char *name, *unit;
	struct metric metric;
};

/* "Types of metrics for Lambda functions". */
static const char *const figure_names[RECENT_FIGURES] = {
	[RECENT_ASYNC_RECEIVED] = "AsyncEventsReceived",
	[RECENT_ASYNC_DROPPED] = "AsyncEventsDropped",
	[RECENT_DEAD_LETTER_ERRORS] = "DeadLetterErrors",
	[RECENT_DESTINATION_FAILURES] = "DestinationDeliveryFailures",
	[RECENT_RECURSION_DROPPED] = "RecursiveInvocationsDropped",
	[RECENT_URL_REQUESTS] = "UrlRequestCount",
	[RECENT_URL_4XX] = "Url4xxCount",
	[RECENT_URL_5XX] = "Url5xxCount",
	[RECENT_ASYNC_AGE] = "AsyncEventAge",
	[RECENT_URL_LATENCY] = "UrlRequestLatency",
	[RECENT_EXTENSIONS] = "PostRuntimeExtensionsDuration",
};

/* Those that are not about invocations: with no value they are not written. */
static void figures_more(const struct recent *recent, struct figure to[static RECENT_FIGURES])
{
	for (size_t i = 0; i < RECENT_FIGURES; i++) {
		bool is_count = i < RECENT_COUNTS;
		const struct metric *spread = is_count ? NULL : recent->spreads[i - RECENT_COUNTS];
		to[i] = (struct figure){ figure_names[i], is_count ? "Count" : "Milliseconds", {} };
		if (spread)
			to[i].metric = *spread;
		if (is_count && recent->counts[i].ones)
			metric_add(&to[i].metric, 1, (double)recent->counts[i].ones);
		if (is_count && recent->counts[i].zeros)
			metric_add(&to[i].metric, 0, (double)recent->counts[i].zeros);
	}
}

static void figures_of(const struct recent *recent, struct figure to[static FIGURES])
{
	const struct {
		const char *name;
		uint64_t sum;
	} counts[] = { { "Invocations", recent->invocations }, { "Errors", recent->errors },
		{ "Throttles", recent->throttles } };
	size_t at = 0;

	for (; at < 3; at++) {
		to[at] = (struct figure){ .name = counts[at].name, .unit = "Count" };
		if (recent->attempts)
			metric_add(&to[at].metric, 1, (double)counts[at].sum);
		if (recent->attempts > counts[at].sum)
			metric_add(&to[at].metric, 0, (double)(recent->attempts - counts[at].sum));
	}
	to[at++] = (struct figure){ "Duration", "Milliseconds", recent->duration };
	to[at++] = (struct figure){ "ConcurrentExecutions", "Count", recent->concurrency };
	figures_more(recent, &to[at]);
	assert(at + RECENT_FIGURES == FIGURES);
}

static int write_recent(struct metrics *metrics, const struct recent *recent)
{
	struct metric_write writes[FIGURES * PLACES];
	struct figure figures[FIGURES];
	char texts[PLACES][DIMENSIONS_MAX];
	size_t count = 0;

	figures_of(recent, figures);
	for (size_t place = 0; place < PLACES; place++) {
		struct buf dimensions;
		buf_init_over(&dimensions, texts[place], sizeof(texts[place]));
		if (place > 0)
			put_dimension(&dimensions, "FunctionName", recent->function);
		if (place > 1)
			put_dimension(&dimensions, "Resource", recent->resource);
		if (place > 0)
			buf_put_char(&dimensions, ']');
		for (size_t i = 0; i < FIGURES && !dimensions.err; i++) {
			if (!(figures[i].metric.count > 0))
				continue;
			writes[count++] = (struct metric_write){
				.series = { recent->scope, S("AWS/Lambda"), str_of(figures[i].name),
					buf_str(&dimensions), str_of(figures[i].unit) },
				.ms = recent->minute_ms,
				.metric = &figures[i].metric,
			};
		}
	}
	return err_pass(metrics_add(metrics, writes, count));
}

/* What one fault loses is told once; the rest is tried all the same. */
void platform_write_recents(struct platform *platform, struct recents *recents)
{
	uint64_t lost = recents->lost;
	size_t at = 0;
	void *value;

	while (map_next(&recents->map, &at, &value)) {
		int r = write_recent(platform->metrics, value);
		if (r < 0)
			err_log(r, "write metrics");
		if (r != METRICS_DONE)
			lost += ((const struct recent *)value)->attempts;
	}
	if (lost)
		log_warn("metrics_lost", LOG_U64("invocations", lost));
	recents_done(recents);
}

/* A value that is told by another thread. */
struct told {
	struct message message;
	struct platform *platform;
	struct recent_value value;
	char text[];
};

static void told_run(struct message *message)
{
	struct told *told = list_entry(message, struct told, message);

	engine_measure(told->platform->engine, &told->value);
	mem_free(told);
}

void platform_measure(struct platform *platform, const struct recent_value *value)
{
	const str texts[] = { value->account, value->region, value->name, value->qualifier };
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		len += texts[i].len;
	struct told *told = mem_new(1, sizeof(*told) + len);
	if (!told) {
		log_warn("metrics_lost", LOG_STR("function", value->name));
		return;
	}
	told->message.run = told_run;
	told->platform = platform;
	told->value = *value;
	str *const copies[] = { &told->value.account, &told->value.region, &told->value.name,
		&told->value.qualifier };
	char *at = told->text;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i].len)
			memcpy(at, texts[i].at, texts[i].len);
		*copies[i] = (str){ at, texts[i].len };
		at += texts[i].len;
	}
	loop_post(platform->loop, &told->message);
}

struct take {
	struct message message;
	struct promise promise;
	struct platform *platform;
	struct recents recents;
};

static void take_run(struct message *message)
{
	struct take *take = list_entry(message, struct take, message);

	engine_take_recents(take->platform->engine, &take->recents);
	promise_keep(&take->promise);
}

void platform_flush_metrics(struct platform *platform)
{
	struct take take = { .platform = platform, .message = { .run = take_run } };

	promise_init(&take.promise);
	loop_post(platform->loop, &take.message);
	promise_wait(&take.promise);
	platform_write_recents(platform, &take.recents);
}
