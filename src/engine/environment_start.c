/*
 * How an environment begins: an object, a log pipe, a request to the warden; later its answer with
 * the listeners.
 *
 * Everything that can fail here fails before the warden is asked, and then nothing has happened.
 * From the request on the object lives until the warden says that the sandbox is gone.
 */
#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/function_log.h"
#include "engine/log_lines.h"
#include "engine/pool.h"
#include "engine/runtime_api.h"
#include "engine/runtimes.h"
#include "engine/warden_client.h"
#include "os/clock.h"
#include "os/fd.h"
#include "wire/digest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
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

static int environment_new(
	struct pool *pool, const struct runtime_pack *pack, struct environment **ret_env)
{
	struct engine *engine = pool->engine;
	struct environment *env = mem_one(struct environment);

	if (!env)
		return err_raise(-ENOMEM);
	env->engine = engine;
	env->pool = pool;
	env->pack = pack;
	env->id = ++engine->next_id;
	env->id_key = (str){ (const char *)&env->id, sizeof(env->id) };
	env->log_fd = -1;
	env->created_ms = loop_now_ms(engine->loop);
	env->created_real_ms = clock_real_ms();
	list_init(&env->in_pool);
	list_init(&env->in_idle);
	buf_init(&env->init_error, INIT_ERROR_MAX);
	make_stream_id(env->stream_id);
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
	loop_defer_cancel(&env->exit);
	timer_free(env->deadline);
	log_stream_unref(env->stream);
	buf_done(&env->line);
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
	return env->stream ? 0 : err_raise(-ENOMEM);
}

/* The pipe of its log: we read, it writes. */
static int environment_open_log(struct environment *env, int *ret_write_fd)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_raise(-errno);
	scoped_fd write_end = fds[1];
	(void)fcntl(write_end, F_SETPIPE_SZ, LOG_PIPE_BYTES); /* a wish: the default works too */
	int r = environment_log_open(env, fds[0]);
	if (r == 0)
		r = fd_set_nonblock(fds[0], true);
	if (r < 0)
		return err_pass(r);
	*ret_write_fd = fd_take(&write_end);
	return 0;
}

static void spawn_function_fill(const struct environment *env, struct spawn_function *to)
{
	const struct function_version *version = env->pool->version;

	*to = (struct spawn_function){ .layer_count = version->layer_count,
		.memory_mb = version->memory_mb,
		.tmp_mb = version->tmp_mb,
		.cpu_strict = env->engine->options.is_cpu_strict,
		.has_code = 1 };
	static_assert(sizeof(to->code) == sizeof(version->code));
	static_assert(sizeof(to->layers) == sizeof(version->layers));
	memcpy(to->code, version->code, sizeof(to->code));
	memcpy(to->layers, version->layers, sizeof(to->layers));
}

/* Variables that an interpreter reads once, when it starts: a fork would not see them. */
static bool is_read_at_start(str assignment)
{
	static const str names[] = { S("PYTHON"), S("LD_"), S("MALLOC_"), S("GLIBC_TUNABLES"),
		S("LANG"), S("LC_"), S("OPENSSL_"), S("AWS_LAMBDA_EXEC_WRAPPER") };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_starts(assignment, names[i]))
			return true;
	return false;
}

static enum start_mode environment_start_mode(const struct environment *env)
{
	const struct function_version *version = env->pool->version;

	for (uint32_t i = 0; i < version->env_count; i++)
		if (is_read_at_start(version->env[i]))
			return START_EXEC;
	return env->pack->start;
}

static int environment_ask_spawn(struct environment *env, int log_write_fd)
{
	scoped_fd block_fd = -1;
	struct spawn_frame frame = {
		.head = { .op = FRAME_SPAWN, .ticket = env->id },
		.pack = env->pack->index,
		.network = NETWORK_ISOLATED,
		.start = environment_start_mode(env),
	};

	spawn_function_fill(env, &frame.function);
	int r = environment_block(env, &block_fd);
	if (r < 0)
		return err_pass(r);
	const int fds[] = { block_fd, log_write_fd };
	return err_pass(warden_ask(
		env->engine->platform->warden, &frame, sizeof(frame), fds, ARRAY_LEN(fds)));
}

static int environment_boot(struct environment *env)
{
	scoped_fd log_write_fd = -1;

	int r = environment_open_stream(env);
	if (r == 0)
		r = environment_open_log(env, &log_write_fd);
	if (r == 0)
		r = environment_ask_spawn(env, log_write_fd);
	return err_pass(r);
}

int environment_start(struct pool *pool)
{
	struct engine *engine = pool->engine;
	const struct runtime_pack *pack;
	struct environment *env;

	if (runtimes_find(engine->options.runtimes, pool->version->runtime, &pack) == RUNTIME_NONE)
		return err_raise(-ENOPKG);
	int r = environment_new(pool, pack, &env);
	if (r < 0)
		return err_pass(r);
	r = map_put(&engine->environments, env->id_key, env);
	if (r == 0)
		r = environment_boot(env);
	if (r < 0) {
		map_remove(&engine->environments, env->id_key);
		environment_discard(env);
		return err_pass(r);
	}
	engine->counters.spawns++;
	environment_join(env);
	return 0;
}

static void log_init_start(struct environment *env)
{
	const struct function_version *version = env->pool->version;
	char text[1024];
	struct buf line;

	if (!log_lines_want(version, LOG_WEIGHT_INFO))
		return;
	buf_init_over(&line, text, sizeof(text));
	log_put_init_start(&line, version, env->pack, clock_real_ms());
	environment_log_put(env, buf_str(&line));
}

/* The two listeners, each to who serves it. */
static int environment_serve(struct environment *env, int api_fd, int endpoint_fd)
{
	const struct engine_options *options = &env->engine->options;

	env->endpoint = options->on_endpoint(options->context, endpoint_fd, env->pool->version);
	if (!env->endpoint)
		close(endpoint_fd);
	int r = runtime_api_open(env, api_fd);
	if (r < 0)
		close(api_fd);
	return err_pass(r);
}

void environment_on_spawned(
	struct environment *env, const struct spawned_frame *frame, const int fds[static 3])
{
	assert(!env->has_sandbox && !env->is_gone);
	assert(env->state == ENV_BOOTING || env->state == ENV_DEAD);

	env->sandbox = frame->handle;
	env->has_sandbox = true;
	log_stream_set_memory_fd(env->stream, fds[2]);
	if (env->state == ENV_DEAD) { /* not wanted any more */
		close(fds[0]);
		close(fds[1]);
		environment_kill(env);
		return;
	}
	env->spawned_us = engine_now_us();
	environment_enter(env, ENV_INIT);
	log_init_start(env);
	int r = environment_serve(env, fds[0], fds[1]);
	if (r < 0) {
		err_log(r, "serve the Runtime API");
		environment_give_up(env);
	}
}
