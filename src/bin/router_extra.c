/*
 * What the endpoint serves beside AWS's APIs: the figures of `mayfly status` and `mayfly env`, downloads of code
 * (the Location of GetFunction), and, only with --test-controls, the requests that wipe everything.
 */
#include "bin/router_parts.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/runtimes.h"
#include "http/server.h"
#include "model/retry.h"
#include "os/clock.h"
#include "os/loop.h"
#include "services/lambda/async.h"
#include "services/lambda/code.h"
#include "store/blobs.h"
#include "store/docs.h"
#include "store/logs.h"
#include "store/metrics.h"
#include "store/queue.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JSON_FIELD S("Content-Type: application/json\r\n")

static struct router *router_of(struct platform *platform)
{
	return list_entry(platform, struct router, platform);
}

static void reply_json(struct http_conn *conn, int status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	http_reply(conn,
		&(struct http_reply){ .status = text ? status : 500,
			.fields = JSON_FIELD,
			.body = str_of(text ? text : "{}") });
	mem_free(text);
	json_decref(body);
}

static void reply_message(struct http_conn *conn, int status, const char *message)
{
	reply_json(conn, status, json_pack("{s:s}", "message", message));
}

/* --- figures --- */

static json_t *text_of(str text)
{
	return json_stringn(text.at ? text.at : "", text.len);
}

static json_t *counters_json(struct engine *engine)
{
	struct engine_counters c;

	engine_counters(engine, &c);
	const struct {
		const char *name;
		uint64_t value;
	} figures[] = {
		{ "started", c.started },
		{ "finished", c.finished },
		{ "failed", c.failed },
		{ "throttled", c.throttled },
		{ "inFlight", c.in_flight },
		{ "waiting", c.waiting },
		{ "spawns", c.spawns },
		{ "spawnFailures", c.spawn_failures },
		{ "startedByExec", c.births[BIRTH_EXEC] },
		{ "startedByFork", c.births[BIRTH_FORK] },
		{ "startedFromStem", c.births[BIRTH_STEM] },
		{ "startedFromSnapshot", c.births[BIRTH_RESTORE] },
		{ "stems", c.stems },
		{ "timeouts", c.timeouts },
		{ "crashes", c.crashes },
		{ "outOfMemory", c.out_of_memory },
		{ "evictions", c.evictions },
		{ "freezes", c.freezes },
		{ "environments", c.environments },
		{ "starting", c.starting },
		{ "idle", c.idle },
		{ "frozen", c.frozen },
		{ "busy", c.busy },
		{ "memoryMb", c.memory_mb },
		{ "memoryMbMax", c.memory_mb_max },
	};
	json_t *counters = json_object();

	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		json_object_set_new(
			counters, figures[i].name, json_integer((json_int_t)figures[i].value));
	return counters;
}

static json_t *runtimes_json(const struct runtimes *runtimes)
{
	json_t *list = json_array();
	const struct runtime_pack *pack;

	for (size_t i = 0; (pack = runtimes_at(runtimes, i)); i++) {
		json_array_append_new(list,
			json_pack("{s:o,s:o,s:o,s:b}", "language", text_of(pack->language),
				"version", text_of(pack->version), "serves", text_of(pack->names),
				"isComplete", !pack->is_incomplete));
	}
	return list;
}

static void add_environment(void *context, const struct environment_info *info)
{
	json_array_append_new(context,
		json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:s,s:s,s:I,s:I,s:I}", "id",
			text_of(info->id), "account", text_of(info->account), "region",
			text_of(info->region), "function", text_of(info->function), "version",
			text_of(info->version), "runtime", text_of(info->runtime), "runs",
			text_of(info->pack_version), "state", info->state, "initialization",
			info->is_provisioned ? "provisioned-concurrency" : "on-demand",
			"invocations", (json_int_t)info->invocations, "ageMs",
			(json_int_t)info->age_ms, "memoryMb", (json_int_t)info->memory_mb));
}

static json_t *settings_json(const struct settings *settings)
{
	json_t *object = json_object();
	struct buf lines;
	str rest, line, name;

	buf_init(&lines, 64 * KIB);
	settings_put(settings, &lines);
	rest = buf_str(&lines);
	while (str_cut(&rest, '\n', &line)) {
		if (!str_cut(&line, '=', &name) || str_eq(name, S("access-keys")) ||
			str_eq(name, S("destinations-key")))
			continue;
		char key[64];
		if (str_to_array(name, key, sizeof(key)) == 0)
			json_object_set_new(object, key, text_of(line));
	}
	buf_done(&lines);
	return object;
}

static json_t *async_json(const struct async *async)
{
	struct async_counters c;

	async_counters(async, &c);
	json_t *figures = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "accepted",
		(json_int_t)c.accepted, "succeeded", (json_int_t)c.succeeded, "retried",
		(json_int_t)c.retried, "throttled", (json_int_t)c.refused, "failed",
		(json_int_t)c.failed, "expired", (json_int_t)c.expired, "dropped",
		(json_int_t)c.dropped, "delivered", (json_int_t)c.delivered, "deliveryFailures",
		(json_int_t)c.delivery_failures, "running", (json_int_t)c.running, "queuedBytes",
		(json_int_t)c.queued_bytes);
	if (c.wait_ms != RETRY_WAIT_MS)
		json_object_set_new(figures, "retryWaits",
			json_sprintf("%llu ms and %llu ms (AWS: 60000 ms and 120000 ms)",
				(unsigned long long)c.wait_ms, (unsigned long long)c.wait_ms * 2));
	return figures;
}

static void add_provision(void *context, const struct provision_info *info)
{
	static const char *const statuses[] = {
		[PROVISION_IN_PROGRESS] = "IN_PROGRESS",
		[PROVISION_READY] = "READY",
		[PROVISION_FAILED] = "FAILED",
	};

	json_array_append_new(context,
		json_pack("{s:o,s:o,s:o,s:o,s:I,s:I,s:s,s:s*}", "account", text_of(info->account),
			"region", text_of(info->region), "function", text_of(info->function),
			"qualifier", text_of(info->qualifier), "requested",
			(json_int_t)info->figures.requested, "allocated",
			(json_int_t)info->figures.allocated, "status",
			statuses[info->figures.status], "reason", info->figures.reason));
}

static json_t *provisioned_json(struct engine *engine)
{
	json_t *list = json_array();

	engine_each_provision(engine, add_provision, list);
	return list;
}

static void reply_status(struct router *router, struct http_conn *conn)
{
	reply_json(conn, 200,
		json_pack("{s:s,s:I,s:o,s:o,s:o,s:o,s:o}", "version", MAYFLY_VERSION, "uptimeMs",
			(json_int_t)(clock_mono_ms() - router->started_ms), "counters",
			counters_json(router->platform.engine), "async",
			async_json(router->platform.async), "runtimes",
			runtimes_json(router->runtimes), "provisioned",
			provisioned_json(router->platform.engine), "settings",
			settings_json(&router->settings)));
}

static void reply_environments(struct router *router, struct http_conn *conn)
{
	json_t *list = json_array();

	engine_each_environment(router->platform.engine, add_environment, list);
	reply_json(conn, 200, json_pack("{s:o}", "environments", list));
}

/* --- what blocks goes to a worker --- */

struct errand {
	struct front_user user;
	struct work work;
	struct router *router;
	struct http_conn *conn; /* NULL: the client has gone */
	char target[1024];
	int result;
	int fd;
	uint64_t size;
	struct queue_figures queue;
};

static void errand_gone(struct front_user *user)
{
	struct errand *errand = list_entry(user, struct errand, user);

	errand->conn = NULL;
}

static void errand_start(struct router *router, struct http_conn *conn, str target,
	void (*run)(struct work *work), void (*done)(struct work *work))
{
	struct errand *errand = mem_one(struct errand);

	if (!errand || str_to_array(target, errand->target, sizeof(errand->target)) < 0) {
		mem_free(errand);
		reply_message(conn, 400, "That is too long.");
		return;
	}
	errand->user.gone = errand_gone;
	errand->router = router;
	errand->conn = conn;
	errand->fd = -1;
	errand->work = (struct work){ .run = run, .done = done };
	http_conn_set_user(conn, errand);
	if (loop_work(router->loop, &errand->work) == 0)
		return;
	http_conn_set_user(conn, NULL);
	mem_free(errand);
	reply_message(conn, 500, "No worker could be found.");
}

/* Forget everything: functions, roles, logs, code. */
static void reset_run(struct work *work)
{
	struct errand *errand = list_entry(work, struct errand, work);
	struct platform *platform = &errand->router->platform;

	int r = docs_wipe(platform->docs);
	if (r == 0)
		r = queue_wipe(platform->queue);
	platform_reset(platform); /* now nothing is written into logs any more */
	if (r == 0)
		r = logs_wipe(platform->logs);
	platform_flush_metrics(platform); /* of what is not there any more */
	if (r == 0)
		r = metrics_wipe(platform->metrics);
	if (r == 0)
		r = blobs_wipe(platform->blobs);
	errand->result = r;
	if (r < 0)
		err_log(r, "wipe everything");
}

static void reset_done(struct work *work)
{
	struct errand *errand = list_entry(work, struct errand, work);

	if (errand->conn) {
		http_conn_set_user(errand->conn, NULL);
		if (errand->result < 0)
			reply_message(errand->conn, 500,
				"Not everything could be wiped; see the daemon's log.");
		else
			reply_json(errand->conn, 200, json_pack("{s:s}", "status", "ok"));
	}
	mem_free(errand);
}

static void code_run(struct work *work)
{
	struct errand *errand = list_entry(work, struct errand, work);

	errand->result = lambda_code_download(
		&errand->router->platform, str_of(errand->target), &errand->fd, &errand->size);
	if (errand->result < 0)
		err_log(errand->result, "open code for a download");
}

static void code_done(struct work *work)
{
	struct errand *errand = list_entry(work, struct errand, work);

	if (errand->conn) {
		http_conn_set_user(errand->conn, NULL);
		if (errand->result == 0)
			http_reply(errand->conn,
				&(struct http_reply){
					.status = 200,
					.fields = S("Content-Type: application/zip\r\n"),
					.file_fd = errand->fd,
					.file_len = errand->size,
				});
		else
			reply_message(errand->conn, errand->result > 0 ? 403 : 500,
				errand->result > 0
					? "This address has expired, or is none that was given out."
					: "The code could not be read.");
	} else if (errand->fd >= 0) {
		close(errand->fd);
	}
	mem_free(errand);
}

static void metrics_run(struct work *work)
{
	struct errand *errand = list_entry(work, struct errand, work);

	errand->result = queue_figures(errand->router->platform.queue, S(""), &errand->queue);
	if (errand->result < 0)
		err_log(errand->result, "look at the queue of events");
}

static void metrics_done(struct work *work)
{
	struct errand *errand = list_entry(work, struct errand, work);

	if (errand->conn) {
		http_conn_set_user(errand->conn, NULL);
		if (errand->result == 0)
			router_reply_metrics(errand->router, errand->conn, &errand->queue);
		else
			reply_message(errand->conn, 500, "The queue of events could not be read.");
	}
	mem_free(errand);
}

/* POST /_mayfly/faults?every=N: every N-th allocation fails from now on; 0: none. False in a build without faults. */
static bool set_faults(struct http_conn *conn, str query)
{
#ifdef MAYFLY_FAULTS
	uint64_t every;
	str name;

	bool is_fine = str_cut(&query, '=', &name) && str_eq(name, S("every")) &&
		str_to_u64(query, UINT32_MAX, &every) == 0;
	if (is_fine)
		fault_set_every((uint32_t)every);
	reply_message(conn, is_fine ? 200 : 400, is_fine ? "So be it." : "every=NUMBER");
	return true;
#else
	(void)conn;
	(void)query;
	return false;
#endif
}

/* --- which is which --- */

bool router_extra(void *context, struct http_conn *conn, struct http_request *request)
{
	struct router *router = router_of(context);
	enum http_verb verb = request->head.verb;
	str path = request->head.path;

	if (verb == HTTP_GET && str_eq(path, S("/_mayfly/status"))) {
		reply_status(router, conn);
		return true;
	}
	if (verb == HTTP_GET && str_eq(path, S("/metrics"))) {
		errand_start(router, conn, path, metrics_run, metrics_done);
		return true;
	}
	if (verb == HTTP_GET && str_eq(path, S("/_mayfly/environments"))) {
		reply_environments(router, conn);
		return true;
	}
	if (verb == HTTP_GET && str_starts(path, S("/_mayfly/code/"))) {
		errand_start(router, conn, request->head.target, code_run, code_done);
		return true;
	}
	if (router->platform.has_test_controls && verb == HTTP_POST &&
		str_eq(path, S("/_mayfly/faults")))
		return set_faults(conn, request->head.query);
	if (router->platform.has_test_controls && verb == HTTP_POST &&
		(str_eq(path, S("/moto-api/reset")) ||
			str_eq(path, S("/_localstack/state/reset")))) {
		errand_start(router, conn, path, reset_run, reset_done);
		return true;
	}
	return false;
}
