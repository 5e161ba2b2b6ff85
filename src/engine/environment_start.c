/*
 * How an environment begins, by the quickest way there is:
 *
 *	stem    a booted runtime waits: the warden puts the code into its sandbox, then the runtime's
 *	        parked request is answered
 *	restore the version has a snapshot: the warden has a process restored from it (snapshot.c)
 *	fork    the warden has a runtime forked from the pack's zygote
 *	exec    the warden has the pack's program executed
 *
 * The last two are one request to the warden, which falls back from the one to the other. A snapshot
 * that cannot be restored is not used again. Variables that an interpreter reads once, when it starts,
 * leave exec only; so do external extensions, which have to be there before the runtime (extension_host.c).
 *
 * Everything that can fail here fails before the warden is asked, and then nothing has happened.
 * From the request on the object lives until the warden says that the sandbox is gone.
 */
#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/function_log.h"
#include "engine/log_lines.h"
#include "engine/memory_meter.h"
#include "engine/pool.h"
#include "engine/provision.h"
#include "engine/runtime_api.h"
#include "engine/runtimes.h"
#include "engine/snapshot.h"
#include "engine/stem.h"
#include "engine/telemetry.h"
#include "engine/warden_client.h"
#include "os/clock.h"
#include "os/fd.h"
#include "wire/digest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG_PIPE_BYTES = 256 * 1024, INIT_ERROR_MAX = 64 * 1024 };

/* The random part of the log stream's name: 32 hex digits. */
static void make_stream_id(char to[static 33])
{
	uint8_t random[16];
	struct buf hex;

	random_id_bytes(random, sizeof(random));
	buf_init_over(&hex, to, 33);
	hex_put(&hex, (str){ (const char *)random, sizeof(random) });
	assert(!hex.err && hex.len == 32);
	to[hex.len] = '\0';
}

/* Not all that were started together are to be replaced together. */
static uint64_t environment_life_ms(struct engine *engine)
{
	uint64_t life_ms = engine->options.lifetime_ms;

	return life_ms - engine_random(engine, (uint32_t)(life_ms / 8 + 1));
}

static int environment_new(struct pool *pool, const struct runtime_pack *pack, uint64_t id,
	struct environment **ret_env)
{
	struct engine *engine = pool->engine;
	struct environment *env = mem_one(struct environment);

	if (!env)
		return err_raise(-ENOMEM);
	env->engine = engine;
	env->pool = pool;
	env->pack = pack;
	env->id = id ? id : ++engine->next_id;
	env->id_key = (str){ (const char *)&env->id, sizeof(env->id) };
	environment_log_init_sources(env);
	env->endpoint_fd = -1;
	env->created_ms = loop_now_ms(engine->loop);
	env->created_real_ms = clock_real_ms();
	env->worn_ms = env->created_ms + environment_life_ms(engine);
	list_init(&env->in_pool);
	list_init(&env->in_idle);
	list_init(&env->in_starts);
	list_init(&env->in_share);
	buf_init(&env->init_error, INIT_ERROR_MAX);
	make_stream_id(env->stream_id);
	random_uuid(env->metadata_token);
	int r = timer_new(engine->loop, environment_on_deadline, env, &env->deadline);
	if (r < 0) {
		mem_free(env);
		return err_pass(r);
	}
	*ret_env = env;
	return 0;
}

void environment_discard(struct environment *env)
{
	environment_log_close(env);
	extension_host_free(env);
	fd_close(&env->endpoint_fd);
	loop_defer_cancel(&env->exit);
	timer_free(env->deadline);
	log_stream_unref(env->stream);
	buf_done(&env->init_error);
	mem_free(env);
}

static int environment_open_stream(struct environment *env)
{
	const struct function_version *version = env->pool->version;
	struct log_stream_names names = { version->account, version->region, version->log_group,
		.stream = S("") };
	char text[256];
	struct buf name;

	buf_init_over(&name, text, sizeof(text));
	environment_stream_name(env, &name);
	assert(!name.err);
	names.stream = buf_str(&name);
	env->stream = log_stream_new(env->engine->log_writer, &names);
	if (!env->stream)
		return err_raise(-ENOMEM);
	if (!env->is_provisioned && env->pool->waiting <= env->pool->starting) /* a spare */
		log_stream_hold(env->stream);
	return 0;
}

int environment_log_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_raise(-errno);
	(void)fcntl(fds[1], F_SETPIPE_SZ, LOG_PIPE_BYTES); /* a wish: the default works too */
	int r = fd_set_nonblock(fds[0], true);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
		return err_pass(r);
	}
	*ret_read = fds[0];
	*ret_write = fds[1];
	return 0;
}

/* The pipe of its log: we read, it writes. */
static int environment_open_log(struct environment *env, int *ret_write_fd)
{
	scoped_fd write_end = -1;
	int read_end;

	int r = environment_log_pipe(&read_end, &write_end);
	if (r == 0)
		r = environment_log_open(env, read_end);
	if (r < 0)
		return err_pass(r);
	*ret_write_fd = fd_take(&write_end);
	return 0;
}

static void spawn_function_fill(struct environment *env, struct spawn_function *to)
{
	const struct function_version *version = env->pool->version;

	env->is_cpu_strict = env->engine->options.is_cpu_strict;
	*to = (struct spawn_function){ .layer_count = version->layer_count,
		.memory_mb = version->memory_mb,
		.tmp_mb = version->tmp_mb,
		.extra_mb = version->tmp_mb, /* see memory_meter.h */
		.cpu_strict = env->is_cpu_strict,
		.has_code = 1 };
	static_assert(sizeof(to->code) == sizeof(version->code));
	static_assert(sizeof(to->layers) == sizeof(version->layers));
	memcpy(to->code, version->code, sizeof(to->code));
	memcpy(to->layers, version->layers, sizeof(to->layers));
}

/* Can its runtime come from another process, which has started already? */
static bool version_can_fork(
	const struct function_version *version, const struct runtime_pack *pack)
{
	for (uint32_t i = 0; i < version->env_count; i++) {
		str value = version->env[i], name;
		if (str_cut(&value, '=', &name) && runtime_reads_at_start(pack, name))
			return false;
	}
	return true;
}

static int environment_block(const struct environment *env, int *ret_fd)
{
	struct buf block;

	buf_init(&block, ENV_BLOCK_MAX);
	int r = environment_put_block(&block, env);
	if (r == 0)
		r = fd_sealed("environment", buf_str(&block), ret_fd);
	buf_done(&block);
	return r == -E2BIG ? r : err_pass(r);
}

static enum start_mode environment_start_mode(const struct environment *env)
{
	if (env->host)
		return START_GUARD;
	if (env->is_restored)
		return START_RESTORE;
	return version_can_fork(env->pool->version, env->pack) ? env->pack->start : START_EXEC;
}

/* `image` is what it saves itself to or is restored from, or a guard's socket; -1: neither. */
static int environment_ask_spawn(struct environment *env, int log_write_fd, int image)
{
	scoped_fd block_fd = -1;
	struct spawn_frame frame = {
		.head = { .op = image >= 0 ? FRAME_SPAWN_IMAGE : FRAME_SPAWN, .ticket = env->id },
		.pack = env->pack->index,
		.network = NETWORK_ISOLATED,
		.start = environment_start_mode(env),
	};

	spawn_function_fill(env, &frame.function);
	int r = environment_block(env, &block_fd);
	if (r < 0)
		return err_pass(r);
	const int fds[] = { block_fd, log_write_fd, image };
	return err_pass(warden_ask(
		env->engine->platform->warden, &frame, sizeof(frame), fds, image >= 0 ? 3 : 2));
}

static int environment_spawn(struct environment *env, int image)
{
	scoped_fd log_write_fd = -1, guard = -1;

	env->spawned_us = engine_now_us();
	int r = environment_open_log(env, &log_write_fd);
	if (r == 0 && env->pool->version->has_extensions && !env->snapshot) {
		r = extension_host_new(env, &guard);
		image = guard;
	}
	return r < 0 ? err_pass(r) : err_pass(environment_ask_spawn(env, log_write_fd, image));
}

/* The image that environments of this version are restored from; -1: there is none (any more). */
static int pool_open_snapshot(struct pool *pool)
{
	const struct function_version *version = pool->version;
	char path[128];

	if (!version->snapshot.len || pool->is_unrestorable || version->has_extensions)
		return -1;
	(void)snprintf(path, sizeof(path), "snapshots/" STR_FMT, STR_ARG(version->snapshot));
	int image = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (image < 0) {
		log_error("snapshot_missing", LOG_STR("function", version->name),
			LOG_STR("version", version->version), LOG_ERRNO("error", errno));
		pool->is_unrestorable = true;
	}
	return image;
}

/* What a stem has said in the life before belongs to nobody's log. */
static void log_discard(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		continue;
}

static void environment_watch_memory(struct environment *env, int peak_fd, int stat_fd)
{
	memory_meter_open(log_stream_memory(env->stream), peak_fd, stat_fd,
		env->pool->version->memory_mb * (uint64_t)MIB);
}

/* All of the stem becomes the environment's, whatever this returns. */
static int environment_graft(struct environment *env, struct stem_parts *parts)
{
	struct graft_frame frame = { .head = { .op = FRAME_GRAFT, .ticket = env->id },
		.handle = parts->sandbox };

	env->birth = BIRTH_STEM;
	env->spawned_us = engine_now_us();
	env->sandbox = parts->sandbox;
	env->has_sandbox = true;
	env->parked = parts->parked;
	env->endpoint_fd = fd_take(&parts->endpoint);
	runtime_api_take(env, parts->server);
	environment_watch_memory(env, fd_take(&parts->memory), fd_take(&parts->memory_stat));
	log_discard(parts->log);
	int r = environment_log_open(env, fd_take(&parts->log));
	if (r < 0)
		return err_pass(r);
	spawn_function_fill(env, &frame.function);
	return err_pass(warden_ask(env->engine->platform->warden, &frame, sizeof(frame), NULL, 0));
}

/* Into the tables, alive: its sandbox is being made. */
static int environment_enlist(struct environment *env)
{
	int r = environment_open_stream(env);
	if (r == 0)
		r = map_put(&env->engine->environments, env->id_key, env);
	if (r < 0)
		environment_discard(env);
	return err_pass(r);
}

static int environment_make(
	struct pool *pool, struct provision_share *share, uint64_t id, struct environment **ret_env)
{
	const struct runtime_pack *pack;
	struct environment *env;

	if (runtimes_find(pool->engine->options.runtimes, pool->version->runtime, &pack) ==
		RUNTIME_NONE)
		return err_raise(-ENOPKG);
	int r = environment_new(pool, pack, id, &env);
	if (r < 0)
		return err_pass(r);
	env->is_provisioned = share != NULL;
	r = environment_enlist(env);
	if (r < 0)
		return err_pass(r);
	*ret_env = env;
	return 0;
}

/* It counts as starting from here on. */
static void environment_begin(struct environment *env, struct provision_share *share)
{
	env->engine->counters.spawns++;
	if (share)
		provision_join(env, share);
	environment_join(env);
}

static int environment_start_anew(
	struct pool *pool, struct provision_share *share, struct snapshot_ask *ask)
{
	struct environment *env;
	scoped_fd snapshot = ask ? -1 : pool_open_snapshot(pool);

	int r = environment_make(pool, share, 0, &env);
	if (r < 0)
		return err_pass(r);
	env->snapshot = ask;
	env->is_restored = snapshot >= 0;
	r = environment_spawn(env, ask ? ask->image : snapshot);
	if (r < 0) {
		map_remove(&pool->engine->environments, env->id_key);
		environment_discard(env);
		return err_pass(r);
	}
	environment_begin(env, share);
	return 0;
}

/* From a stem if one waits: true when it was begun. */
static bool environment_start_stem(struct pool *pool, struct provision_share *share)
{
	struct engine *engine = pool->engine;
	const struct runtime_pack *pack;
	struct stem_parts parts;
	struct environment *env;

	bool is_restored = pool->version->snapshot.len && !pool->is_unrestorable;
	if (is_restored || pool->is_stemless || pool->version->has_extensions ||
		runtimes_find(engine->options.runtimes, pool->version->runtime, &pack) ==
			RUNTIME_NONE ||
		!version_can_fork(pool->version, pack) ||
		!stems_next(engine, pack, pool->version, &parts))
		return false;
	int r = environment_make(pool, share, parts.id, &env);
	if (r < 0) {
		err_log(r, "make an environment of a stem");
		return false;
	}
	stems_took(engine, parts.id);
	environment_begin(env, share);
	r = environment_graft(env, &parts);
	if (r < 0) {
		err_log(r, "make an environment of a stem");
		env->is_graft_failed = true;
		environment_kill(env);
		return false;
	}
	return true;
}

int environment_start(struct pool *pool, struct provision_share *share)
{
	engine_use_runtime(pool->engine, pool->version->runtime);
	if (environment_start_stem(pool, share))
		return 0;
	return err_pass(environment_start_anew(pool, share, NULL));
}

int environment_start_snapshot(struct pool *pool, struct snapshot_ask *ask)
{
	engine_use_runtime(pool->engine, pool->version->runtime);
	return err_pass(environment_start_anew(pool, NULL, ask));
}

/* --- again --- */

void environment_unserve(struct environment *env)
{
	const struct engine_options *options = &env->engine->options;

	runtime_api_close(env);
	extension_host_free(env);
	env->next = env->answering = env->parked = NULL;
	fd_close(&env->endpoint_fd);
	if (env->endpoint)
		options->on_endpoint_gone(options->context, env->endpoint);
	env->endpoint = NULL;
}

int environment_restart(struct environment *env)
{
	assert(env->state == ENV_BOOTING && env->is_gone && env->is_restarting);
	env->is_restarting = env->is_over_memory = false;
	environment_unserve(env);
	environment_log_close(env);
	buf_clear(&env->init_error);
	env->end_reason = NULL;
	env->is_restored = false; /* the second time from the beginning */
	int r = environment_spawn(env, -1);
	if (r < 0)
		return err_pass(r);
	env->has_sandbox = env->is_kill_asked = env->is_gone = false;
	env->engine->counters.spawns++;
	return 0;
}

/* --- the warden's answers --- */

static void log_init_start(struct environment *env)
{
	char text[1024], name[256];
	struct buf line, instance;

	buf_init_over(&instance, name, sizeof(name));
	environment_instance_name(env, &instance);
	const struct log_init init = { .version = env->pool->version,
		.is_second = env->is_second,
		.is_provisioned = env->is_provisioned,
		.instance = buf_str(&instance) };
	telemetry_init_start(env, &init, env->pack);
	if (!log_lines_want(init.version, LOG_WEIGHT_INFO))
		return;
	buf_init_over(&line, text, sizeof(text));
	if (env->is_restored)
		log_put_restore_start(&line, &init, env->pack, clock_real_ms());
	else
		log_put_init_start(&line, &init, env->pack, clock_real_ms());
	environment_log_put(env, buf_str(&line));
}

/* From here on the function's own code may run. */
static void environment_begin_init(struct environment *env)
{
	const struct engine_options *options = &env->engine->options;
	int fd = fd_take(&env->endpoint_fd);

	env->spawned_us = engine_now_us();
	env->engine->counters.births[env->birth]++;
	environment_enter(env, ENV_INIT);
	log_init_start(env);
	env->endpoint = options->on_endpoint(options->context, fd, env->pool->version);
	if (!env->endpoint)
		close(fd);
}

/* It waits for its variables and gets them. */
static void environment_answer_parked(struct environment *env)
{
	struct buf block;

	environment_begin_init(env);
	buf_init(&block, ENV_BLOCK_MAX);
	int r = environment_put_block(&block, env);
	if (r == 0)
		runtime_api_send_block(env, buf_str(&block));
	buf_done(&block);
	if (r < 0) {
		err_log(r, "give an environment its variables");
		environment_give_up(env);
	}
}

void environment_on_grafted(struct environment *env, const struct grafted_frame *frame)
{
	if (frame->error) {
		log_warn("graft_failed", LOG_STR("function", env->pool->version->name),
			LOG_ERRNO("error", (int)frame->error));
		env->is_graft_failed = true;
		return;
	}
	if (env->state != ENV_BOOTING)
		return;	    /* it is dying */
	if (!env->parked) { /* the stem has died: its exit is on its way */
		env->is_graft_failed = true;
		return;
	}
	environment_answer_parked(env);
}

void environment_on_spawned(
	struct environment *env, const struct spawned_frame *frame, const int fds[static 4])
{
	assert(!env->has_sandbox && !env->is_gone);
	assert(env->state == ENV_BOOTING || env->state == ENV_DEAD);

	env->sandbox = frame->handle;
	env->has_sandbox = true;
	env->birth = env->is_restored	     ? BIRTH_RESTORE
		: frame->start == START_FORK ? BIRTH_FORK
					     : BIRTH_EXEC;
	env->endpoint_fd = fds[1];
	environment_watch_memory(env, fds[2], fds[3]);
	if (env->state == ENV_DEAD) { /* not wanted any more */
		close(fds[0]);
		environment_kill(env);
		return;
	}
	environment_begin_init(env);
	int r = runtime_api_open(env, fds[0]);
	if (r < 0) {
		close(fds[0]);
		err_log(r, "serve the Runtime API");
		environment_give_up(env);
	}
}
