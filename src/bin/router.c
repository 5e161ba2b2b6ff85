/*
 * The router, put together: stores, engine, front, and the warden's socket, on one loop.
 *
 * Its rights are gone before it starts (the warden does that); here it gives up most of the kernel too, as soon as
 * its libraries are loaded and its first files are open. SIGTERM is the warden's business: the router hears
 * FRAME_DRAIN, lets the front and the engine finish, and says FRAME_DRAINED.
 */
#include "bin/router.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "bin/router_filter.h"
#include "bin/router_parts.h"
#include "bin/router_settings.h"
#include "engine/engine.h"
#include "engine/platform_loop.h"
#include "engine/recent.h"
#include "engine/runtimes.h"
#include "engine/warden_client.h"
#include "os/clock.h"
#include "os/curl.h"
#include "os/fd.h"
#include "os/host.h"
#include "os/loop.h"
#include "os/trim.h"
#include "services/cloudwatch/service.h"
#include "services/iam/service.h"
#include "services/lambda/async.h"
#include "services/lambda/invoke.h"
#include "services/lambda/load.h"
#include "services/lambda/relaxed.h"
#include "services/lambda/service.h"
#include "services/lambda/url.h"
#include "services/lambda/url_book.h"
#include "services/logs/service.h"
#include "services/sts/service.h"
#include "store/blobs.h"
#include "store/docs.h"
#include "store/logs.h"
#include "store/metrics.h"
#include "store/queue.h"
#include "tls/identity.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SWEEP_MS = 60'000, DRAIN_WATCH_MS = 5'000 };

static const struct call_service *const services[] = {
	&lambda_service,
	&cloudwatch_service,
	&logs_service,
	&iam_service,
	&sts_service,
};

/* --- the warden's events --- */

static void on_spawned(void *context, const struct spawned_frame *frame, const int fds[static 4])
{
	struct router *router = context;

	engine_on_spawned(router->platform.engine, frame, fds);
}

static void on_exited(void *context, const struct exited_frame *frame)
{
	struct router *router = context;

	engine_on_exited(router->platform.engine, frame);
}

static void on_grafted(void *context, const struct grafted_frame *frame)
{
	struct router *router = context;

	engine_on_grafted(router->platform.engine, frame);
}

static void on_unpacked(void *context, const struct unpacked_frame *frame)
{
	(void)context;
	platform_on_unpacked(frame);
}

/* The figures of the last minute. Nothing is in flight any more: the loop may wait for the disk. */
static void write_last_metrics(struct router *router)
{
	struct recents recents;

	engine_take_recents(router->platform.engine, &recents);
	platform_write_recents(&router->platform, &recents);
}

static void on_calls_ended(void *context)
{
	struct router *router = context;

	write_last_metrics(router); /* the warden does not wait for what comes after its frame */
	int r = warden_say(router->platform.warden, FRAME_DRAINED);

	if (r < 0)
		err_log(r, "tell the warden that all is drained");
	loop_stop(router->loop);
}

/* With the sandboxes their endpoints have gone; calls that they had made may still be with a worker. */
static void on_all_drained(void *context)
{
	struct router *router = context;

	router->drain_waits_for = "calls";
	front_drain(router->front, on_calls_ended, router);
}

static void on_async_drained(void *context)
{
	struct router *router = context;

	router->drain_waits_for = "environments";
	engine_drain(router->platform.engine, on_all_drained, router);
}

/*
 * The front first: its open requests are invocations that the engine still has to finish. So has it those of events, and
 * what these invoke in turn: nothing is refused before they have ended.
 */
static void on_front_drained(void *context)
{
	struct router *router = context;

	router->drain_waits_for = "asynchronous invocations";
	async_drain(router->platform.async, on_async_drained, router);
}

/* An operator who waits for the end wants to know what for. */
static void on_drain_is_slow(void *context)
{
	struct router *router = context;
	struct engine_counters counters;

	engine_counters(router->platform.engine, &counters);
	log_warn("still_draining", LOG_TEXT("waits_for", router->drain_waits_for),
		LOG_U64("in_flight", counters.in_flight),
		LOG_U64("environments", counters.environments));
	timer_set(router->drain_watch, DRAIN_WATCH_MS);
}

static void on_drain(void *context)
{
	struct router *router = context;

	if (router->is_draining)
		return;
	router->is_draining = true;
	log_info("draining");
	router->drain_waits_for = "open requests";
	timer_set(router->drain_watch, DRAIN_WATCH_MS);
	async_stop(router->platform.async);
	front_drain(router->front, on_front_drained, router);
}

/* Without the warden nothing can be started, and it has already stopped what was. */
static void on_lost(void *context)
{
	(void)context;
	log_error("warden_lost");
	_exit(1);
}

static const struct warden_events warden_events = {
	.on_spawned = on_spawned,
	.on_exited = on_exited,
	.on_grafted = on_grafted,
	.on_unpacked = on_unpacked,
	.on_drain = on_drain,
	.on_reread = router_on_reread,
	.on_renew = router_on_renew,
	.on_lost = on_lost,
};

/* --- the endpoint inside sandboxes --- */

/* A function's own requests: signed with the credentials that it was given, or with any others that are known here. */
static void *on_endpoint(void *context, int listener, const struct function_version *version)
{
	struct router *router = context;
	struct front_listener *endpoint;

	int r = front_listen(router->front,
		&(struct front_listen_options){
			.fd = listener,
			.is_inner = true,
			.must_sign = true,
			.account = version->account,
			.region = version->region,
		},
		&endpoint);
	if (r == 0)
		return endpoint;
	err_log(r, "serve the endpoint of a sandbox");
	return NULL;
}

static void on_endpoint_gone(void *context, void *endpoint)
{
	(void)context;
	front_unlisten(endpoint);
}

/* --- now and then --- */

struct sweep_work {
	struct work work;
	struct router *router;
	bool is_first;
};

/* The first sweep, at the start, also finishes what the last process has left unfinished. */
static void sweep_run(struct work *work)
{
	struct sweep_work *sweep = list_entry(work, struct sweep_work, work);
	int r = logs_expire(sweep->router->platform.logs, clock_real_ms());

	if (r < 0)
		err_log(r, "expire old log events");
	platform_flush_metrics(&sweep->router->platform);
	r = metrics_expire(sweep->router->platform.metrics, clock_real_ms());
	if (r < 0)
		err_log(r, "expire old metrics");
	r = async_expire(sweep->router->platform.async);
	if (r < 0)
		err_log(r, "expire failed asynchronous invocations");
	if (!sweep->is_first)
		return;
	r = lambda_start(&sweep->router->platform);
	if (r < 0)
		err_log(r, "finish what was left unfinished");
}

static void sweep_done(struct work *work)
{
	struct sweep_work *sweep = list_entry(work, struct sweep_work, work);
	struct engine_counters counters;

	/* What large requests have left behind goes back to the system; of an idle node all that it does not use. */
	engine_counters(sweep->router->platform.engine, &counters);
	if (counters.environments || sweep->is_first)
		malloc_trim(0);
	else
		memory_trim();
	timer_set(sweep->router->sweep, SWEEP_MS);
	if (sweep->is_first)
		async_wake(sweep->router->platform.async); /* what the last process has left */
	mem_free(sweep);
}

static void on_sweep(void *context)
{
	struct router *router = context;
	struct sweep_work *sweep = mem_one(struct sweep_work);

	if (!sweep || router->is_draining) {
		mem_free(sweep);
		return;
	}
	*sweep = (struct sweep_work){ .work = { .run = sweep_run, .done = sweep_done },
		.router = router,
		.is_first = !router->has_swept };
	if (loop_work(router->loop, &sweep->work) < 0)
		mem_free(sweep);
	else
		router->has_swept = true;
}

/* --- the start --- */

static int open_stores(struct platform *platform)
{
	int r = docs_open("docs.db", &platform->docs);
	if (r == 0)
		r = logs_open("logs.db", &platform->logs);
	if (r == 0)
		r = metrics_open("metrics.db", &platform->metrics);
	if (r == 0)
		r = queue_open("events.db", &platform->queue);
	if (r == 0)
		r = blobs_open("zips", &platform->blobs);
	if (r == 0)
		r = router_open_session_key(platform->session_key);
	return err_pass(r);
}

enum { HOLD_MS = 20 };

/* Who asks is running, and about to stop. */
static bool has_free_processor(void *context)
{
	const struct router *router = context;

	return host_runnable(router->runnable) <= router->cpus;
}

static int open_engine(struct router *router)
{
	router->cpus = host_cpus();
	router->runnable = host_runnable_open();
	int r = engine_new(
		&(struct engine_options){
			.loop = router->loop,
			.platform = &router->platform,
			.runtimes = router->runtimes,
			.load = lambda_load_target,
			.environments_max = (unsigned)settings_number(
				&router->settings, SET_ENVIRONMENTS),
			.hold_ms = HOLD_MS,
			.has_free_processor = has_free_processor,
			.on_endpoint = on_endpoint,
			.on_endpoint_gone = on_endpoint_gone,
			.context = router,
		},
		&router->platform.engine);
	if (r == 0)
		router_apply_engine(router);
	return err_pass(r);
}

static int open_urls(struct platform *platform)
{
	platform->urls = url_book_new(platform);
	if (!platform->urls)
		return err_raise(-ENOMEM);
	platform->on_changed = lambda_urls_changed;
	return 0;
}

static int open_async(struct router *router)
{
	const struct settings *settings = &router->settings;

	int r = async_new(&router->platform, &router->platform.async);
	if (r < 0)
		return err_pass(r);
	router_apply_async(router);
	async_set_destinations(router->platform.async,
		&(struct async_destinations){
			.endpoint = settings_text(settings, SET_DESTINATIONS),
			.key = settings_text(settings, SET_DESTINATIONS_KEY),
			.ca = settings_text(settings, SET_DESTINATIONS_CA),
		});
	return 0;
}

static int open_front(struct router *router)
{
	const struct settings *settings = &router->settings;

	int r = front_new(
		&(struct front_options){
			.loop = router->loop,
			.platform = &router->platform,
			.services = services,
			.service_count = ARRAY_LEN(services),
			.account = router->platform.account,
			.session_key = router->platform.session_key,
			.conns_max = (unsigned)settings_number(settings, SET_CONNECTIONS),
			.payload_max = lambda_payload_max(&router->platform),
			.tls = router->tls,
			.version = S(MAYFLY_VERSION),
			.fast = lambda_invoke_fast,
			.is_web = lambda_url_is,
			.web = lambda_url_serve,
			.extra = router_extra,
			.control = router_control,
			.context = &router->platform,
		},
		&router->front);
	if (r == 0)
		r = front_listen(router->front,
			&(struct front_listen_options){
				.fd = ROUTER_FD_LISTEN,
				.must_sign = true, /* until the settings were applied */
				.account = router->platform.account,
				.region = S("us-east-1"),
			},
			&router->listener);
	if (r == 0)
		r = router_apply_front(router);
	return err_pass(r);
}

static int read_settings(struct router *router)
{
	scoped_fd fd = ROUTER_FD_SETTINGS;
	char workers[16];

	int r = settings_init(&router->settings);
	if (r == 0)
		r = runtimes_new(&router->runtimes);
	if (r == 0)
		r = router_settings_read(fd, &router->settings, router->runtimes);
	if (r < 0)
		return err_pass(r);
	router_apply_log(router);
	/* libuv reads the number of its threads from the environment, when the first is needed; one is the courier's. */
	bool has_courier = settings_text(&router->settings, SET_DESTINATIONS).len > 0;
	snprintf(workers, sizeof(workers), "%llu",
		(unsigned long long)settings_number(&router->settings, SET_WORKERS) + has_courier);
	if (setenv("UV_THREADPOOL_SIZE", workers, 1) < 0)
		return err_raise(-errno);
	router->platform.account = settings_text(&router->settings, SET_ACCOUNT);
	router_apply_platform(router);
	router->platform.has_test_controls = settings_is(
		&router->settings, SET_TEST_CONTROLS, S("true"));
	router->platform.relaxed = (struct relaxed_limits){
		.is_on = settings_is(&router->settings, SET_LIMITS, S("relaxed")),
		.timeout_s = (uint32_t)settings_number(&router->settings, SET_RELAXED_TIMEOUT),
		.memory_mb = (uint32_t)settings_number(&router->settings, SET_RELAXED_MEMORY),
		.tmp_mb = (uint32_t)settings_number(&router->settings, SET_RELAXED_TMP),
		.payload_bytes = settings_number(&router->settings, SET_RELAXED_PAYLOAD) * MIB,
	};
	router->platform.runtimes = router->runtimes;
	router->started_ms = clock_mono_ms();
	return 0;
}

static int router_open(struct router *router)
{
	int r = read_settings(router);
	if (r == 0)
		r = loop_new(&router->loop);
	if (r < 0)
		return err_pass(r);
	router->platform.loop = router->loop;
	r = warden_client_new(
		router->loop, ROUTER_FD_WARDEN, &warden_events, router, &router->platform.warden);
	if (r == 0)
		r = open_stores(&router->platform);
	if (r == 0)
		r = open_engine(router);
	if (r == 0)
		r = open_urls(&router->platform);
	if (r == 0)
		r = open_async(router);
	if (r == 0)
		r = router_open_tls(router);
	if (r == 0)
		r = open_front(router);
	if (r == 0)
		r = timer_new(router->loop, on_sweep, router, &router->sweep);
	if (r == 0)
		r = timer_new(router->loop, on_drain_is_slow, router, &router->drain_watch);
	const bool may_connect = settings_text(&router->settings, SET_DESTINATIONS).len > 0;
	if (r == 0 && may_connect && !curl_load())
		r = err_raise(-ELIBACC);
	if (r == 0)
		r = router_filter_install(may_connect);
	if (r == 0)
		r = warden_say(router->platform.warden, FRAME_READY);
	return err_pass(r);
}

static void router_close(struct router *router)
{
	front_free(router->front);
	tls_identity_free(router->tls);
	url_book_free(router->platform.urls);
	async_free(router->platform.async);
	engine_free(router->platform.engine);
	timer_free(router->sweep);
	timer_free(router->drain_watch);
	warden_client_free(router->platform.warden);
	loop_free(router->loop);
	blobs_close(router->platform.blobs);
	queue_close(router->platform.queue);
	logs_close(router->platform.logs);
	metrics_close(router->platform.metrics);
	docs_close(router->platform.docs);
	runtimes_free(router->runtimes);
	settings_done(&router->settings);
}

int router_main(int argc, char **argv)
{
	static struct router router;
	struct stat st;

	(void)argv;
	if (argc > 0 || fstat(ROUTER_FD_WARDEN, &st) < 0 || !S_ISSOCK(st.st_mode)) {
		fprintf(stderr,
			"mayfly router: is started by the daemon, not by people: use 'mayfly serve'\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	/* The warden decides when it is time: a signal to the whole group must not end the drain. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	umask(077);
	/* One arena: threads here do little, and each arena keeps memory of its own. */
	mallopt(M_ARENA_MAX, 2);
	int r = router_open(&router);
	if (r < 0) {
		err_log(r, "start the router");
		return 1;
	}
	timer_set(router.sweep, 0);
	loop_run(router.loop);
	router_close(&router);
	return 0;
}
