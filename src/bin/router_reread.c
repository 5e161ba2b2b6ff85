/*
 * SIGHUP: the warden sends the settings file, a worker parses it, the loop thread takes over what may change while the
 * router runs. A file that is wrong changes nothing. The warden is answered in each case: it asks for one at a time.
 */
#include "bin/router_parts.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/warden_client.h"
#include "os/fd.h"
#include "os/host.h"
#include "os/loop.h"
#include "os/socket.h"
#include "services/lambda/async.h"

#include <errno.h>
#include <stdio.h>

enum { KEYS_MAX = 32 };

/* --- what settings mean for the parts --- */

static bool must_sign(const struct settings *settings)
{
	if (settings_is(settings, SET_AUTH, S("auto")))
		return !socket_is_loopback(settings_text(settings, SET_LISTEN));
	return settings_is(settings, SET_AUTH, S("always"));
}

/* id:secret,id:secret */
static size_t read_keys(str text, struct front_key *keys, size_t max)
{
	size_t count = 0;
	str item;

	while (text.len && count < max && str_next(&text, ',', &item)) {
		str secret = str_trim(item), id;
		if (str_cut(&secret, ':', &id))
			keys[count++] = (struct front_key){ id, secret };
	}
	return count;
}

static enum log_level log_level_of(const struct settings *settings)
{
	static const char *const levels[LOG_LEVELS] = { "debug", "info", "warn", "error" };

	for (int i = 0; i < LOG_LEVELS; i++) {
		if (settings_is(settings, SET_LOG_LEVEL, str_of(levels[i])))
			return (enum log_level)i;
	}
	return LOG_INFO;
}

void router_apply_log(const struct router *router)
{
	log_setup(log_level_of(&router->settings),
		settings_is(&router->settings, SET_LOG_FORMAT, S("json")), "router");
}

void router_apply_platform(struct router *router)
{
	const struct settings *settings = &router->settings;

	router->platform.account_concurrency = (uint32_t)settings_number(
		settings, SET_ACCOUNT_CONCURRENCY);
	router->platform.is_runtimes_strict = settings_is(settings, SET_RUNTIMES, S("strict"));
}

enum { STARTS_A_CPU = 2, STARTS_MIN = 4, HOLD_A_CPU = 2, HOLD_MIN = 2 };

static unsigned starts_of(const struct settings *settings)
{
	unsigned starts = (unsigned)settings_number(settings, SET_STARTS);

	return starts ? starts : MAX(STARTS_A_CPU * host_cpus(), STARTS_MIN);
}

static unsigned hold_above_of(const struct settings *settings)
{
	unsigned invocations = (unsigned)settings_number(settings, SET_HOLD);

	return invocations ? invocations : MAX(HOLD_A_CPU * host_cpus(), HOLD_MIN);
}

/* A number that somebody has set is meant. */
static unsigned starts_beside(const struct settings *settings)
{
	return settings_number(settings, SET_STARTS) ? 0 : MAX(host_cpus() / 2, 1U);
}

static uint64_t memory_mb_of(const struct settings *settings)
{
	uint64_t memory_mb = settings_number(settings, SET_MEMORY);

	return memory_mb ? memory_mb : host_memory_bytes() / MIB * 9 / 10;
}

void router_apply_engine(struct router *router)
{
	const struct settings *settings = &router->settings;

	engine_tune(router->platform.engine,
		&(struct engine_tuning){
			.idle_ms = settings_number(settings, SET_IDLE) * 1000,
			.log_rate = settings_number(settings, SET_LOG_RATE) * 1024,
			.lifetime_ms = settings_number(settings, SET_LIFETIME) * 1000,
			.has_credentials = settings_is(settings, SET_CREDENTIALS, S("true")),
			.init_ms = settings_number(settings, SET_INIT),
			.stems_max = (unsigned)settings_number(settings, SET_STEMS),
			.spares_max = (unsigned)settings_number(settings, SET_SPARES),
			.queue_ms = settings_number(settings, SET_QUEUE),
			.freeze_ms = settings_number(settings, SET_FREEZE),
			.starts_max = starts_of(settings),
			.hold_above = hold_above_of(settings),
			.starts_beside = starts_beside(settings),
			.memory_mb = memory_mb_of(settings),
			.is_memory_reserved = settings_is(
				settings, SET_MEMORY_COUNT, S("reserved")),
			.invocation_rate = (uint32_t)settings_number(settings, SET_INVOCATION_RATE),
			.scaling_rate = (uint32_t)settings_number(settings, SET_SCALING_RATE),
			.account_concurrency = (uint32_t)settings_number(
				settings, SET_ACCOUNT_CONCURRENCY),
			.is_cpu_strict = settings_is(settings, SET_CPU, S("strict")),
		});
}

void router_apply_async(struct router *router)
{
	const struct settings *settings = &router->settings;

	async_tune(router->platform.async,
		&(struct async_tuning){
			.wait_ms = settings_number(settings, SET_ASYNC_WAIT),
			.keep_ms = settings_number(settings, SET_ASYNC_KEEP) * 3600 * 1000,
			.bytes_max = settings_number(settings, SET_ASYNC_QUEUE) * MIB,
		});
}

int router_apply_front(struct router *router)
{
	const struct settings *settings = &router->settings;
	struct front_key keys[KEYS_MAX];
	size_t count = read_keys(settings_text(settings, SET_ACCESS_KEYS), keys, KEYS_MAX);

	if (must_sign(settings) && !count)
		log_warn("no_access_keys",
			LOG_TEXT("effect",
				"every request will be refused: set access-keys, or auth"));
	int r = front_set_keys(router->front, keys, count);
	if (r == 0)
		front_listener_change(router->listener, must_sign(settings),
			(unsigned)settings_number(settings, SET_CONNECTIONS));
	return err_pass(r);
}

/* --- reading again --- */

struct reread {
	struct work work;
	struct router *router;
	int fd;
	struct settings fresh;
	struct buf error;
	int result;
};

static void reread_run(struct work *work)
{
	struct reread *reread = list_entry(work, struct reread, work);
	FILE *file = fdopen(reread->fd, "r");

	if (!file) {
		reread->result = err_raise(-errno);
		return;
	}
	reread->fd = -1;
	reread->result = settings_from_stream(
		&reread->fresh, file, "the settings file", &reread->error);
	(void)fclose(file);
}

/* The value is in the file for who may read it; here it could be a secret. */
static void reread_tell(void *context, str name, bool is_applied)
{
	(void)context;
	if (is_applied)
		log_info("setting_changed", LOG_STR("setting", name));
	else
		log_warn("setting_needs_restart", LOG_STR("setting", name),
			LOG_TEXT("effect", "it stays as it was until mayfly is restarted"));
}

static int reread_apply(struct reread *reread)
{
	struct router *router = reread->router;

	settings_take_live(&router->settings, &reread->fresh, reread_tell, NULL);
	router_apply_log(router);
	router_apply_platform(router);
	router_apply_engine(router);
	router_apply_async(router);
	return err_pass(router_apply_front(router));
}

static void reread_answer(const struct router *router)
{
	const struct reread_done_frame done = {
		.head.op = FRAME_REREAD_DONE,
		.log_level = log_level_of(&router->settings),
		.log_json = settings_is(&router->settings, SET_LOG_FORMAT, S("json")),
	};
	int r = warden_ask(router->platform.warden, &done, sizeof(done), NULL, 0);

	if (r < 0)
		err_log(r, "tell the warden that the settings were read");
}

static void reread_free(struct reread *reread)
{
	fd_close(&reread->fd);
	settings_done(&reread->fresh);
	buf_done(&reread->error);
	mem_free(reread);
}

static void reread_done(struct work *work)
{
	struct reread *reread = list_entry(work, struct reread, work);
	int r = reread->result;

	if (r == 0)
		r = reread_apply(reread);
	if (r < 0)
		err_log(r, "read the settings file again");
	else if (r > 0)
		log_error("settings_kept", LOG_STR("reason", buf_str(&reread->error)));
	else
		log_info("settings_read_again");
	reread_answer(reread->router);
	reread_free(reread);
}

void router_on_reread(void *context, int file)
{
	struct router *router = context;
	struct reread *reread = mem_one(struct reread);
	int r = -ENOMEM;

	if (!reread) {
		fd_close(&file);
	} else {
		reread->work = (struct work){ .run = reread_run, .done = reread_done };
		reread->router = router;
		reread->fd = file;
		buf_init(&reread->error, 4096);
		r = settings_init(&reread->fresh);
		if (r == 0)
			r = loop_work(router->loop, &reread->work);
		if (r == 0)
			return;
		reread_free(reread);
	}
	err_log(r, "read the settings file again");
	reread_answer(router);
}
