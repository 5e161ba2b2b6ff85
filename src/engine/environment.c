/*
 * Execution environments: one sandbox each, one invocation at a time.
 *
 *	            spawned            next                next, none waiting
 *	BOOTING ───────────► INIT ───────────► IDLE ◄──────────────────────── BUSY
 *	   │                  │  └──(waiter)──► BUSY ◄──────(assign)── IDLE ──► │
 *	   └── exited ──► DEAD ◄── deadline, crash, kill ───────────────────────┘
 *
 * environment_enter() is the only place that writes the state, and where the deadline of the new state
 * is armed. DEAD means "asked to be killed, or known to be gone": the object stays until the warden has said that
 * the sandbox is gone, because until then its slot, its memory and its address belong to it.
 *
 * The warden's word that a sandbox has exited is handled at the end of the turn of the loop in which it
 * came: the runtime may have answered its last invocation and exited at once, and then the answer is in a socket
 * that became readable in the same turn.
 */
#include "engine/core.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/warden_client.h"
#include "model/limits.h"
#include "os/clock.h"
#include "os/fd.h"
#include "wire/digest.h"
#include "wire/timestamp.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How long a sandbox may take from the request to its first instruction before it is given up. */
enum { BOOT_MS_MAX = 30'000, LOG_PIPE_BYTES = 256 * 1024 };

static const unsigned may_follow[ENV_STATES] = {
	[ENV_BOOTING] = BIT(ENV_INIT) | BIT(ENV_DEAD),
	[ENV_INIT] = BIT(ENV_IDLE) | BIT(ENV_BUSY) | BIT(ENV_DEAD),
	[ENV_IDLE] = BIT(ENV_BUSY) | BIT(ENV_DEAD),
	[ENV_BUSY] = BIT(ENV_IDLE) | BIT(ENV_BUSY) | BIT(ENV_DEAD),
	[ENV_DEAD] = 0,
};

const char *environment_state_name(enum environment_state state)
{
	static const char *const names[ENV_STATES] = {
		[ENV_BOOTING] = "booting",
		[ENV_INIT] = "init",
		[ENV_IDLE] = "idle",
		[ENV_BUSY] = "busy",
		[ENV_DEAD] = "dead",
	};

	return names[state];
}

/* How long the state may last. */
static uint64_t state_ms_max(const struct environment *env, enum environment_state state)
{
	uint32_t timeout_ms = env->pool->version->timeout_ms;

	switch (state) {
	case ENV_BOOTING:
		return BOOT_MS_MAX;
	case ENV_INIT:
		/* "The Init phase is limited to 10 seconds"; beyond it the invocation's own time runs. */
		return LIMIT_INIT_MS + timeout_ms;
	case ENV_IDLE:
		return env->engine->options.idle_ms;
	case ENV_BUSY:
		return timeout_ms;
	case ENV_DEAD:
	case ENV_STATES:
		break;
	}
	return 0;
}

static void count_state(struct environment *env, enum environment_state state, int by)
{
	struct engine_counters *counters = &env->engine->counters;

	if (state == ENV_IDLE)
		counters->idle += (unsigned)by;
	if (state == ENV_BUSY)
		counters->busy += (unsigned)by;
	if (state == ENV_BOOTING || state == ENV_INIT)
		env->pool->starting += (unsigned)by;
}

/* The only place that writes env->state. */
static void environment_enter(struct environment *env, enum environment_state next)
{
	assert(next < ENV_STATES);
	assert(may_follow[env->state] & BIT(next));

	count_state(env, env->state, -1);
	env->state = next;
	count_state(env, next, 1);
	list_remove(&env->in_idle);
	list_remove(&env->in_pool);
	if (next == ENV_IDLE) {
		list_push_front(&env->pool->idle, &env->in_pool);
		list_push_back(&env->engine->idle, &env->in_idle);
	} else {
		list_push_back(&env->pool->others, &env->in_pool);
	}
	if (next == ENV_DEAD)
		timer_clear(env->deadline);
	else
		timer_set(env->deadline, state_ms_max(env, next));
}

void environment_stream_name(const struct environment *env, struct buf *out)
{
	timestamp_put_date_path(out, env->created_real_ms);
	buf_put(out, S("/["));
	buf_put(out, env->pool->version->version);
	buf_put(out, S("]"));
	buf_put(out, str_of(env->stream_id));
}

/* --- the end --- */

static void environment_free(struct environment *env)
{
	struct pool *pool = env->pool;
	struct engine *engine = env->engine;

	assert(!env->invocation);
	map_remove(&engine->environments, env->id_key);
	runtime_api_close(env);
	if (env->endpoint)
		engine->options.on_endpoint_gone(engine->options.context, env->endpoint);
	environment_log_close(env);
	loop_defer_cancel(&env->exit);
	timer_free(env->deadline);
	log_stream_unref(env->stream);
	buf_done(&env->line);
	buf_done(&env->init_error);
	list_remove(&env->in_pool);
	list_remove(&env->in_idle);
	mem_free(env);
	pool->environments--;
	engine->counters.environments--;
	pool_on_lost(pool);
	pools_on_room(engine);
	engine_check_drained(engine);
}

void environment_kill(struct environment *env)
{
	struct sandbox_frame frame = { .head = { .op = FRAME_KILL, .ticket = env->id },
		.handle = env->sandbox };

	assert(!env->invocation);
	if (env->state != ENV_DEAD)
		environment_enter(env, ENV_DEAD);
	/* One that is still being made is killed as soon as it has a handle. */
	if (env->is_kill_asked || !env->has_sandbox)
		return;
	env->is_kill_asked = true;
	int r = warden_ask(env->engine->platform->warden, &frame, sizeof(frame), NULL, 0);
	if (r < 0)
		err_log(r, "stop an environment");
}

/* --- how it went wrong --- */

static const struct {
	int number;
	const char *name;
} signal_names[] = {
	{ SIGKILL, "killed" },
	{ SIGSEGV, "segmentation fault" },
	{ SIGABRT, "aborted" },
	{ SIGBUS, "bus error" },
	{ SIGILL, "illegal instruction" },
	{ SIGFPE, "floating point exception" },
	{ SIGTERM, "terminated" },
	{ SIGINT, "interrupt" },
	{ SIGPIPE, "broken pipe" },
	{ SIGSYS, "bad system call" },
	{ SIGTRAP, "trace/breakpoint trap" },
};

/* "Runtime exited with error: exit status 127", as Lambda's own init words it (Go's os/exec). */
static void exit_describe(const struct exited_frame *frame, char *to, size_t size)
{
	const char *name = NULL;

	if (frame->kind == EXIT_OOM) {
		snprintf(to, size, "Runtime exited with error: signal: killed");
		return;
	}
	if (frame->kind == EXIT_STATUS && frame->value == 0) {
		snprintf(to, size, "Runtime exited without providing a reason");
		return;
	}
	if (frame->kind == EXIT_STATUS) {
		snprintf(to, size, "Runtime exited with error: exit status %u", frame->value);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(signal_names); i++) {
		if (frame->kind == EXIT_SIGNAL && signal_names[i].number == (int)frame->value)
			name = signal_names[i].name;
	}
	if (name)
		snprintf(to, size, "Runtime exited with error: signal: %s", name);
	else
		snprintf(to, size, "Runtime exited with error: signal: signal %u", frame->value);
}

/*
 * The invocation that suffers from this environment's end: its own or, when it did not get as
 * far as having one, the oldest that waits for an environment of this version.
 */
static struct invocation *environment_victim(struct environment *env)
{
	if (env->state == ENV_BUSY)
		return env->invocation;
	struct list *oldest = list_first(&env->pool->waiters);
	if (!oldest)
		return NULL;

	struct invocation *invocation = list_entry(oldest, struct invocation, waiting);
	list_remove(&invocation->waiting);
	env->pool->waiting--;
	return invocation;
}

static void log_init_report(struct environment *env, const char *status, const char *error_type)
{
	uint64_t ms = (engine_now_us() - env->spawned_us) / 10;

	environment_log_putf(env,
		"INIT_REPORT Init Duration: %" PRIu64 ".%02" PRIu64
		" ms\tPhase: init\tStatus: %s%s%s\t\n",
		ms / 100, ms % 100, status, error_type ? "\tError Type: " : "",
		error_type ? error_type : "");
}

/* It could not be started at all: our fault or the machine's, never the function's. */
static void environment_not_started(struct environment *env, const struct exited_frame *frame)
{
	struct invocation *victim = environment_victim(env);
	char step[STEP_NAME_MAX + 1];

	memcpy(step, frame->step, STEP_NAME_MAX);
	step[STEP_NAME_MAX] = '\0';
	env->engine->counters.spawn_failures++;
	log_error("environment_not_started", LOG_STR("function", env->pool->version->name),
		LOG_TEXT("step", step), LOG_ERRNO("error", (int)frame->value));
	if (!victim)
		return;
	if (strcmp(step, "exec") == 0) {
		/* The entry point is the function's: "Runtime.InvalidEntrypoint" is what Lambda calls it. */
		invocation_fail(victim, "error", "Runtime.InvalidEntrypoint",
			"RequestId: %s Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
			victim->request_id);
		return;
	}
	invocation_refuse(
		victim, INVOKE_FAULT, S("The execution environment could not be started."));
}

static void environment_crashed(struct environment *env, const struct exited_frame *frame)
{
	struct invocation *victim = environment_victim(env);
	bool is_init = env->state == ENV_INIT || env->state == ENV_BOOTING;
	char text[96];

	exit_describe(frame, text, sizeof(text));
	env->engine->counters.crashes++;
	if (frame->kind == EXIT_OOM)
		env->engine->counters.out_of_memory++;
	if (is_init)
		log_init_report(env, "error",
			env->init_error_type[0] ? env->init_error_type : "Runtime.ExitError");
	if (!victim)
		return;
	if (is_init)
		invocation_start(victim, env);
	if (env->init_error.len) {
		invocation_fail_with(
			victim, buf_str(&env->init_error), str_of(env->init_error_type));
		return;
	}
	environment_log_putf(
		env, "RequestId: %s Error: %s\nRuntime.ExitError\n", victim->request_id, text);
	invocation_fail(victim, "error", "Runtime.ExitError", "RequestId: %s Error: %s",
		victim->request_id, text);
}

/* Runs at the end of the turn in which the warden said it: all answers have been read. */
static void environment_handle_exit(struct deferred *self)
{
	struct environment *env = list_entry(self, struct environment, exit);
	const struct exited_frame *frame = &env->exit_frame;

	environment_log_drain(env);
	environment_log_end_line(env);
	log_stream_set_memory_peak(env->stream, frame->memory_peak);
	if (env->invocation && env->invocation->is_ended)
		invocation_conclude(env->invocation);
	if (env->state != ENV_DEAD) {
		if (frame->kind == EXIT_NO_START)
			environment_not_started(env, frame);
		else if (env->state != ENV_IDLE)
			environment_crashed(env, frame);
		environment_enter(env, ENV_DEAD);
	}
	environment_free(env);
}

void environment_on_exited(struct environment *env, const struct exited_frame *frame)
{
	env->exit_frame = *frame;
	env->exit.run = environment_handle_exit;
	loop_defer(env->engine->loop, &env->exit);
}

/* --- deadlines --- */

/* "Task timed out after 3.00 seconds": the environment is stopped with it. */
static void environment_timed_out(struct environment *env)
{
	struct invocation *victim = environment_victim(env);
	uint32_t timeout_ms = env->pool->version->timeout_ms;
	char time[32];
	struct buf stamp;

	env->engine->counters.timeouts++;
	environment_log_drain(env);
	environment_log_end_line(env);
	if (env->state == ENV_INIT)
		log_init_report(env, "timeout", NULL);
	if (!victim)
		return;
	if (env->state == ENV_INIT)
		invocation_start(victim, env);
	snprintf(time, sizeof(time), "%u.%02u", timeout_ms / 1000, timeout_ms % 1000 / 10);
	buf_init(&stamp, 64);
	timestamp_put_iso8601(&stamp, clock_real_ms(), true);
	const char *now = buf_cstr(&stamp);
	environment_log_putf(env, "%s %s Task timed out after %s seconds\n\n", now ? now : "",
		victim->request_id, time);
	buf_done(&stamp);
	invocation_fail(victim, "timeout", "Sandbox.Timedout",
		"RequestId: %s Error: Task timed out after %s seconds", victim->request_id, time);
}

static void environment_on_deadline(void *context)
{
	struct environment *env = context;

	switch (env->state) {
	case ENV_BUSY:
		/* Without one it has answered, but never asked for the next. */
		if (env->invocation && env->invocation->is_ended)
			invocation_conclude(env->invocation);
		else if (env->invocation)
			environment_timed_out(env);
		break;
	case ENV_INIT:
		environment_timed_out(env);
		break;
	case ENV_BOOTING:
		log_error(
			"environment_boot_timeout", LOG_STR("function", env->pool->version->name));
		break;
	case ENV_IDLE:
		break;
	case ENV_DEAD:
	case ENV_STATES:
		return;
	}
	environment_kill(env);
}

/* --- the start --- */

static int environment_new(struct pool *pool, struct environment **ret_env)
{
	struct engine *engine = pool->engine;
	struct environment *env = mem_one(struct environment);
	uint8_t random[16];
	struct buf hex;

	if (!env)
		return err_raise(-ENOMEM);
	env->engine = engine;
	env->pool = pool;
	env->id = ++engine->next_id;
	env->id_key = (str){ (const char *)&env->id, sizeof(env->id) };
	env->log_fd = -1;
	env->created_ms = loop_now_ms(engine->loop);
	env->created_real_ms = clock_real_ms();
	env->state = ENV_BOOTING;
	list_init(&env->in_pool);
	list_init(&env->in_idle);
	buf_init(&env->init_error, 64 * KIB);
	random_bytes(random, sizeof(random));
	buf_init(&hex, sizeof(env->stream_id));
	hex_put(&hex, (str){ (const char *)random, sizeof(random) });
	int r = hex.err ? hex.err
			: str_to_array(buf_str(&hex), env->stream_id, sizeof(env->stream_id));
	buf_done(&hex);
	if (r == 0)
		r = timer_new(engine->loop, environment_on_deadline, env, &env->deadline);
	if (r < 0) {
		mem_free(env);
		return err_pass(r);
	}
	*ret_env = env;
	return 0;
}

static int environment_open_stream(struct environment *env)
{
	const struct function_version *version = env->pool->version;
	struct buf name;

	buf_init(&name, 512);
	environment_stream_name(env, &name);
	env->stream = name.err
		? NULL
		: log_stream_new(env->engine->log_writer,
			  &(struct log_stream_names){ version->account, version->region,
				  version->log_group, buf_str(&name) });
	buf_done(&name);
	return env->stream ? 0 : err_raise(-ENOMEM);
}

static int environment_ask_spawn(struct environment *env, int log_write_fd)
{
	const struct function_version *version = env->pool->version;
	scoped_fd block_fd = -1;
	struct spawn_frame frame = {
		.head = { .op = FRAME_SPAWN, .ticket = env->id },
		.layer_count = version->layer_count,
		.pack = env->pack->index,
		.memory_mb = version->memory_mb,
		.tmp_mb = version->tmp_mb,
		.network = NETWORK_ISOLATED,
		.cpu_strict = env->engine->options.is_cpu_strict,
	};

	static_assert(sizeof(frame.code) == sizeof(version->code));
	static_assert(sizeof(frame.layers) == sizeof(version->layers));
	memcpy(frame.code, version->code, sizeof(frame.code));
	memcpy(frame.layers, version->layers, sizeof(frame.layers));
	int r = environment_block(env, &block_fd);
	if (r < 0)
		return err_pass(r);
	const int fds[] = { block_fd, log_write_fd };
	return err_pass(warden_ask(
		env->engine->platform->warden, &frame, sizeof(frame), fds, ARRAY_LEN(fds)));
}

static int environment_boot(struct environment *env)
{
	int pipe_fds[2];

	int r = environment_open_stream(env);
	if (r < 0)
		return err_pass(r);
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_raise(-errno);
	scoped_fd write_end = pipe_fds[1];
	(void)fcntl(write_end, F_SETPIPE_SZ, LOG_PIPE_BYTES); /* a wish: the default works too */
	r = fd_set_nonblock(pipe_fds[0], true);
	if (r == 0)
		r = environment_log_open(env, pipe_fds[0]);
	if (r < 0) {
		env->log_fd = -1;
		close(pipe_fds[0]);
		return err_pass(r);
	}
	return err_pass(environment_ask_spawn(env, write_end));
}

int environment_start(struct pool *pool)
{
	struct engine *engine = pool->engine;
	const struct runtime_pack *pack;
	struct environment *env;

	enum runtime_match match = runtimes_find(
		engine->options.runtimes, pool->version->runtime, &pack);
	if (match == RUNTIME_NONE)
		return err_raise(-ENOPKG);
	int r = environment_new(pool, &env);
	if (r < 0)
		return err_pass(r);
	env->pack = pack;
	r = map_put(&engine->environments, env->id_key, env);
	if (r == 0)
		r = environment_boot(env);
	if (r < 0) {
		map_remove(&engine->environments, env->id_key);
		environment_log_close(env);
		timer_free(env->deadline);
		log_stream_unref(env->stream);
		buf_done(&env->line);
		mem_free(env);
		return err_pass(r);
	}
	pool->environments++;
	pool->starting++;
	list_push_back(&pool->others, &env->in_pool);
	engine->counters.environments++;
	engine->counters.spawns++;
	timer_set(env->deadline, BOOT_MS_MAX);
	return 0;
}

/* INIT_START names what really runs: the nearest version stands in for one that is not installed. */
static void log_init_start(struct environment *env)
{
	const struct function_version *version = env->pool->version;
	const struct runtime_pack *pack;
	enum runtime_match match = runtimes_find(
		env->engine->options.runtimes, version->runtime, &pack);
	struct buf line;

	buf_init(&line, 1024);
	if (version->log_is_json) {
		buf_put(&line, S("{\"time\":\""));
		timestamp_put_iso8601(&line, clock_real_ms(), true);
		buf_put(&line,
			S("\",\"type\":\"platform.initStart\",\"record\":{\"initializationType\":"
			  "\"on-demand\",\"phase\":\"init\",\"runtimeVersion\":"));
		buf_put_json(&line, version->runtime);
		buf_put(&line, S(",\"runtimeVersionArn\":\"arn:aws:lambda:"));
		buf_put(&line, version->region);
		buf_put(&line, S("::runtime:"));
		buf_put(&line, pack->name);
		buf_put(&line, S("-"));
		buf_put(&line, pack->version);
		buf_put(&line, S("\"}}\n"));
	} else {
		buf_put(&line, S("INIT_START Runtime Version: "));
		buf_put(&line, version->runtime);
		if (pack->version.len) {
			buf_put(&line, S(".v"));
			buf_put(&line, pack->version);
		}
		buf_put(&line, S("\tRuntime Version ARN: arn:aws:lambda:"));
		buf_put(&line, version->region);
		buf_put(&line, S("::runtime:"));
		buf_put(&line, pack->name);
		buf_put(&line, S("-"));
		buf_put(&line, pack->version);
		buf_put(&line,
			match == RUNTIME_NEAREST ? S("\t(nearest installed version)\n") : S("\n"));
	}
	if (!line.err)
		environment_log_put(env, buf_str(&line));
	buf_done(&line);
}

void environment_on_spawned(
	struct environment *env, const struct spawned_frame *frame, const int fds[static 3])
{
	struct engine *engine = env->engine;

	env->sandbox = frame->handle;
	env->has_sandbox = true;
	log_stream_set_memory_fd(env->stream, fds[2]);
	if (env->state != ENV_BOOTING) { /* not wanted any more */
		close(fds[0]);
		close(fds[1]);
		environment_kill(env);
		return;
	}
	env->spawned_us = engine_now_us();
	environment_enter(env, ENV_INIT);
	log_init_start(env);
	env->endpoint = engine->options.on_endpoint(
		engine->options.context, fds[1], env->pool->version);
	if (!env->endpoint)
		close(fds[1]);
	int r = runtime_api_open(env, fds[0]);
	if (r < 0) {
		err_log(r, "serve the Runtime API");
		environment_kill(env);
	}
}

/* --- its work --- */

void environment_on_next(struct environment *env, struct http_conn *conn)
{
	assert(env->state == ENV_INIT || env->state == ENV_BUSY);
	assert(!env->next);

	env->next = conn;
	if (env->state == ENV_INIT)
		env->init_us = engine_now_us() - env->spawned_us;
	else if (env->invocation)
		invocation_conclude(env->invocation);
	pool_on_free(env);
}

void environment_idle(struct environment *env)
{
	environment_enter(env, ENV_IDLE);
}

void environment_assign(struct environment *env, struct invocation *invocation)
{
	assert(env->next && !env->invocation);

	environment_enter(env, ENV_BUSY);
	invocation_start(invocation, env);
	runtime_api_send(env, invocation);
	env->invocations++;
}

void environment_on_init_error(struct environment *env, str body, str error_type)
{
	buf_clear(&env->init_error);
	buf_put(&env->init_error, body);
	if (str_to_array(error_type, env->init_error_type, sizeof(env->init_error_type)) < 0)
		(void)str_to_array(
			S("Runtime.Unknown"), env->init_error_type, sizeof(env->init_error_type));
}
