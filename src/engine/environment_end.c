/*
 * How environments go wrong: they exit, are killed, cannot start, or take too long. Somebody has to
 * be told: the *victim*, the invocation that runs there or, before there is one, the oldest that
 * waits for an environment of this version.
 *
 * Initialisation may fail once, by a crash or by taking too long: nobody is told, and the environment
 * begins again in a new sandbox, on the time of the invocation that waits ("Phase: invoke"). So each
 * invocation takes at most one environment with it, and a function that never initialises ends.
 *
 * The warden's word that a sandbox is gone is handled at the end of the turn of the loop in which
 * it came: the runtime may have answered its last invocation and exited at once, and then the
 * answer is in a socket that became readable in the same turn. It may even be in a connection that
 * was accepted in this turn, or be too long for one read: when an answer could still come, the end
 * waits until all connections have been read to their ends (all their peers are dead, so they have
 * ends), for a bounded time.
 */
#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/function_log.h"
#include "engine/invocation.h"
#include "engine/memory_meter.h"
#include "engine/pool.h"
#include "engine/response_stream.h"
#include "engine/runtime_api.h"
#include "engine/runtimes.h"
#include "engine/snapshot.h"
#include "os/clock.h"
#include "wire/timestamp.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
	LAST_WORDS_STEP_MS = 1,
	LAST_WORDS_MS_MAX = 2'000,
	INIT_ERROR_EXIT_MS = 1'000, /* a runtime that has told its init error exits by itself */
};

static struct invocation *environment_victim(struct environment *env)
{
	if (env->snapshot)
		return NULL;
	if (env->state == ENV_BUSY)
		return env->invocation;
	if (env->share)
		return NULL; /* nobody waits for one that is provisioned */
	return pool_take_waiter(env->pool);
}

void environment_give_up(struct environment *env)
{
	struct invocation *victim = environment_victim(env);

	assert(environment_is_starting(env));
	env->engine->counters.spawn_failures++;
	if (env->snapshot)
		snapshot_on_failed(
			env, "The execution environment could not be started.", "InternalError");
	if (victim)
		invocation_refuse(
			victim, INVOKE_FAULT, S("The execution environment could not be started."));
	environment_kill(env);
}

/* --- in words --- */

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
	{ SIGHUP, "hangup" },
	{ SIGTERM, "terminated" },
	{ SIGINT, "interrupt" },
	{ SIGQUIT, "quit" },
	{ SIGPIPE, "broken pipe" },
	{ SIGALRM, "alarm clock" },
	{ SIGSYS, "bad system call" },
	{ SIGTRAP, "trace/breakpoint trap" },
};

static void describe_signal(int number, char *to, size_t size)
{
	for (size_t i = 0; i < ARRAY_LEN(signal_names); i++) {
		if (signal_names[i].number == number) {
			(void)snprintf(to, size, "signal: %s", signal_names[i].name);
			return;
		}
	}
	(void)snprintf(to, size, "signal: signal %d", number);
}

void environment_describe_end(uint32_t kind, uint32_t value, char *to, size_t size)
{
	if (kind == EXIT_STATUS)
		(void)snprintf(to, size, "exit status %u", value);
	else
		describe_signal(kind == EXIT_SIGNAL ? (int)value : SIGKILL, to, size);
}

/* "Runtime exited with error: exit status 127", as Lambda's own init words it (Go's os/exec). */
static void describe_exit(const struct exited_frame *frame, char *to, size_t size)
{
	char end[64];

	environment_describe_end(frame->kind, frame->value, end, sizeof(end));
	if (frame->kind == EXIT_STATUS && frame->value == 0)
		(void)snprintf(to, size, "Runtime exited without providing a reason");
	else
		(void)snprintf(to, size, "Runtime exited with error: %s", end);
}

/* --- it did not start --- */

/*
 * Lambda's init names what it could not execute ("Runtime.InvalidEntrypoint"). That is the
 * function's fault only where the entry point is the function's: a pack that brings an interpreter
 * has a version.
 */
static bool is_bad_entry_point(const struct environment *env, const struct exited_frame *frame)
{
	return frame->kind == EXIT_NO_START && !env->pack->version.len &&
		strncmp(frame->step, "exec", sizeof(frame->step)) == 0;
}

static const char *describe_entry_point(const struct exited_frame *frame)
{
	if (frame->value == EACCES)
		return "fork/exec /var/task/bootstrap: permission denied";
	if (frame->value == ENOEXEC)
		return "fork/exec /var/task/bootstrap: exec format error";
	return "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]";
}

static void environment_not_started(struct environment *env, const struct exited_frame *frame)
{
	struct invocation *victim = environment_victim(env);
	char step[STEP_NAME_MAX + 1];

	memcpy(step, frame->step, STEP_NAME_MAX);
	step[STEP_NAME_MAX] = '\0';
	env->engine->counters.spawn_failures++;
	log_error("environment_not_started", LOG_STR("function", env->pool->version->name),
		LOG_TEXT("step", step), LOG_ERRNO("error", (int)frame->value));
	if (env->snapshot)
		snapshot_on_failed(
			env, "The execution environment could not be started.", "InternalError");
	if (victim)
		invocation_refuse(
			victim, INVOKE_FAULT, S("The execution environment could not be started."));
}

/* --- it crashed --- */

/* What ended it, in the words of Lambda. */
struct cause {
	const char *type;     /* "Runtime.ExitError" */
	const char *log_type; /* in INIT_REPORT and REPORT: "Runtime.OutOfMemory" */
	const char *words;
};

/* What the runtime said about its initialisation is better than what we see from outside. */
static const char *cause_type(const struct environment *env, const struct cause *cause)
{
	return env->init_error.len ? env->init_error_type : cause->log_type;
}

static void invocation_crash(
	struct invocation *invocation, struct environment *env, const struct cause *cause)
{
	if (env->init_error.len) {
		invocation_fail_with(
			invocation, buf_str(&env->init_error), str_of(env->init_error_type));
		return;
	}
	if (!env->pool->version->log_is_json)
		environment_log_putf(env, "RequestId: %s Error: %s\n%s\n", invocation->request_id,
			cause->words, cause->type);
	invocation_fail(invocation, "error",
		invocation->has_begun ? RESPONSE_TRUNCATED : cause->type, "RequestId: %s Error: %s",
		invocation->request_id, cause->words);
}

/* Its invocation ended when its response broke off; this is why it did. */
static void stream_crashed(struct environment *env, const struct cause *cause)
{
	if (env->is_stream_lost && !env->pool->version->log_is_json)
		environment_log_putf(env, "RequestId: %s Error: %s\n%s\n", env->request_id,
			cause->words, cause->type);
}

/* The invocation that waited for this environment fails as if it had been given to it. */
static void invocation_start_failed(struct invocation *invocation, struct environment *env)
{
	invocation_prepare(invocation, environment_spent_us(env, invocation));
	invocation_start(invocation, env);
}

/* What an initialisation that failed means for the version whose snapshot it was for. */
static void snapshot_crashed(struct environment *env, const struct cause *cause)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		"The function's initialization failed: %s. Its log says more.",
		env->init_error.len ? env->init_error_type : cause->words);
	snapshot_on_failed(env, text,
		env->init_error.len ? "FunctionError" : "FunctionError.RuntimeExitError");
}

static void environment_crashed(struct environment *env, const struct cause *cause)
{
	bool was_starting = environment_is_starting(env);
	/* The first failure is nobody's: whoever waits has another environment coming. */
	struct invocation *victim = was_starting && !env->is_second ? NULL
								    : environment_victim(env);

	env->engine->counters.crashes++;
	log_stream_release(env->stream);
	if (was_starting)
		environment_log_init(env, "error", cause_type(env, cause));
	if (env->snapshot)
		snapshot_crashed(env, cause);
	stream_crashed(env, cause);
	extension_host_report(env, "error", cause_type(env, cause));
	if (!victim)
		return;
	if (was_starting)
		invocation_start_failed(victim, env);
	invocation_crash(victim, env, cause);
}

void environment_on_init_error(struct environment *env, str body, str error_type)
{
	buf_clear(&env->init_error);
	buf_put(&env->init_error, body);
	error_type = runtime_api_error_type(error_type);
	(void)str_to_array(error_type, env->init_error_type, sizeof(env->init_error_type));
	if (env->init_error.len)
		timer_set(env->deadline, INIT_ERROR_EXIT_MS);
}

/* --- it failed to initialise, and tries again --- */

/* Once, and when the invocation that waits for it has no other environment to hope for. */
static bool may_try_again(const struct environment *env)
{
	return environment_is_starting(env) && !env->is_second && !env->snapshot && !env->share &&
		env->pool->waiting >= env->pool->starting;
}

/* What is left of the first try has to go before the second can begin. */
static void environment_try_again(struct environment *env, const char *status, const char *type)
{
	environment_log_init(env, status, type);
	env->is_second = env->is_restarting = true;
	environment_enter(env, ENV_BOOTING);
	environment_unserve(env);
	if (!env->is_gone)
		environment_ask_kill(env);
}

/* The first sandbox is gone. */
static void environment_begin_again(struct environment *env)
{
	int r = environment_restart(env);
	if (r == 0)
		return;
	err_log(r, "start an environment again");
	environment_give_up(env);
}

/* --- it takes too much memory --- */

void environments_look_at_memory(void *context)
{
	struct engine *engine = context;
	size_t at = 0;
	void *value;

	engine->is_memory_timed = false;
	while (map_next(&engine->environments, &at, &value)) {
		struct environment *env = value;
		if ((env->state != ENV_INIT && env->state != ENV_BUSY) || env->is_gone)
			continue;
		engine->is_memory_timed = true;
		if (env->is_over_memory || memory_meter_look(log_stream_memory(env->stream)))
			continue;
		env->is_over_memory = true;
		environment_ask_kill(env);
	}
	if (engine->is_memory_timed)
		timer_set(engine->memory_timer, MEMORY_LOOK_MS);
}

/* --- it exited --- */

/* Did the runtime, or what the function brings as one, fail? Then this is why. */
static bool environment_cause(
	const struct environment *env, char *words, size_t size, struct cause *ret_cause)
{
	const struct exited_frame *frame = &env->exit_frame;

	if (extension_host_cause(env, &ret_cause->type, &ret_cause->words)) {
		ret_cause->log_type = ret_cause->type;
		return true;
	}
	if (frame->kind == EXIT_NO_START && environment_is_starting(env)) {
		*ret_cause = (struct cause){ "Runtime.InvalidEntrypoint",
			"Runtime.InvalidEntrypoint", describe_entry_point(frame) };
		return is_bad_entry_point(env, frame);
	}
	describe_exit(frame, words, size);
	*ret_cause = (struct cause){ "Runtime.ExitError",
		frame->kind == EXIT_OOM ? "Runtime.OutOfMemory" : "Runtime.ExitError", words };
	return true;
}

/* A snapshot that does not come back to life is not tried again: who waits gets a fresh start. */
static bool blame_snapshot(struct environment *env)
{
	if (!env->is_restored || !environment_is_starting(env) || env->init_error.len)
		return false;
	env->pool->is_unrestorable = true;
	env->engine->counters.spawn_failures++;
	log_error("snapshot_not_restored", LOG_STR("function", env->pool->version->name),
		LOG_STR("version", env->pool->version->version));
	return true;
}

static void environment_judge(struct environment *env)
{
	struct cause cause;
	char words[96];

	if (env->exit_frame.kind == EXIT_OOM)
		env->engine->counters.out_of_memory++;
	if (env->state == ENV_IDLE || env->state == ENV_FROZEN)
		return;
	if (blame_snapshot(env))
		return;
	if (env->is_graft_failed) { /* whoever waits for it gets another one, which is no stem */
		env->pool->is_stemless = true;
		return;
	}
	if (!environment_cause(env, words, sizeof(words), &cause))
		environment_not_started(env, &env->exit_frame);
	else if (may_try_again(env))
		environment_try_again(env, "error", cause_type(env, &cause));
	else
		environment_crashed(env, &cause);
}

void environment_on_failed(struct environment *env)
{
	if (env->state == ENV_DEAD || env->is_gone || env->is_restarting)
		return;
	environment_log_drain(env);
	environment_log_end_line(env);
	if (env->invocation && env->invocation->is_ended)
		invocation_conclude(env->invocation);
	environment_judge(env);
	if (env->state == ENV_DEAD || env->is_restarting)
		return;
	env->end_reason = "failure";
	environment_kill(env);
}

/* The runtime is dead, but what it said last has not been read. */
static bool may_still_answer(const struct environment *env)
{
	bool is_awaited = env->state == ENV_INIT ||
		(env->state == ENV_BUSY && env->invocation && !env->invocation->is_ended);

	return is_awaited && runtime_api_is_heard(env) &&
		loop_now_ms(env->engine->loop) - env->gone_ms < LAST_WORDS_MS_MAX;
}

static void environment_end(struct deferred *self)
{
	struct environment *env = list_entry(self, struct environment, exit);

	if (may_still_answer(env)) {
		timer_set(env->deadline, LAST_WORDS_STEP_MS);
		return;
	}
	environment_log_finish(env);
	if (env->is_over_memory && env->exit_frame.kind == EXIT_KILLED)
		env->exit_frame.kind = EXIT_OOM;
	memory_meter_end(log_stream_memory(env->stream), env->exit_frame.memory_peak,
		env->exit_frame.kind == EXIT_OOM);
	if (env->invocation && env->invocation->is_ended)
		invocation_conclude(env->invocation);
	if (env->state != ENV_DEAD && !env->is_restarting)
		environment_judge(env);
	if (env->state != ENV_DEAD && env->is_restarting) {
		environment_begin_again(env);
		return;
	}
	if (env->state != ENV_DEAD)
		environment_enter(env, ENV_DEAD);
	environment_free(env);
}

void environment_on_exited(struct environment *env, const struct exited_frame *frame)
{
	assert(!env->is_gone);
	env->is_gone = true;
	env->gone_ms = loop_now_ms(env->engine->loop);
	env->exit_frame = *frame;
	env->exit.run = environment_end;
	loop_defer(env->engine->loop, &env->exit);
}

/* --- it takes too long --- */

static void log_timeout(struct environment *env, const struct invocation *victim, const char *time)
{
	char text[64];
	struct buf stamp;

	if (env->pool->version->log_is_json)
		return; /* the status of platform.report tells it */
	buf_init_over(&stamp, text, sizeof(text));
	timestamp_put_iso8601(&stamp, clock_real_ms(), true);
	environment_log_putf(env, "%s %s Task timed out after %s seconds\n\n", buf_cstr(&stamp),
		victim->request_id, time);
}

/* "Task timed out after 3.00 seconds". */
static void invocation_time_out(struct invocation *victim, struct environment *env)
{
	uint32_t timeout_ms = env->pool->version->timeout_ms;
	char time[32];

	env->engine->counters.timeouts++;
	(void)snprintf(time, sizeof(time), "%u.%02u", timeout_ms / 1000, timeout_ms % 1000 / 10);
	log_timeout(env, victim, time);
	invocation_fail(victim, "timeout", "Sandbox.Timedout",
		"RequestId: %s Error: Task timed out after %s seconds", victim->request_id, time);
}

/* Of a second initialisation: whoever came in the middle of it has time left, for another one. */
static struct invocation *init_victim(struct environment *env)
{
	struct list *oldest = list_first(&env->pool->waiters);

	if (!oldest ||
		list_entry(oldest, struct invocation, waiting)->received_ms * 1000 >
			env->spawned_us)
		return NULL;
	return pool_take_waiter(env->pool);
}

static void environment_init_timed_out(struct environment *env)
{
	if (env->init_error.len) { /* told, and not gone */
		const struct cause cause = {};
		if (may_try_again(env))
			environment_try_again(env, "error", env->init_error_type);
		else
			environment_crashed(env, &cause);
		return;
	}
	environment_log_drain(env);
	environment_log_end_line(env);
	if (may_try_again(env)) {
		environment_try_again(env, "timeout", NULL);
		return;
	}
	environment_log_init(env, "timeout", NULL);
	if (env->snapshot)
		snapshot_on_failed(env, "The function's initialization took longer than it may.",
			"FunctionError.InitTimeout");
	struct invocation *victim = env->is_second ? init_victim(env) : NULL;
	if (!victim)
		return;
	invocation_start_failed(victim, env);
	invocation_time_out(victim, env);
}

/*
 * Timers count whole milliseconds of the loop's clock, which stands still while the loop works: they
 * may be early. A function has its time to the last millisecond.
 */
static bool is_early(struct environment *env)
{
	uint64_t now_us = engine_now_us(), end_us;

	if (!env->invocation || env->invocation->is_ended)
		return false;
	end_us = env->invocation->started_us + env->pool->version->timeout_ms * 1000ULL;
	if (now_us >= end_us)
		return false;
	timer_set(env->deadline, (end_us - now_us + 999) / 1000);
	return true;
}

static void environment_run_out(struct environment *env)
{
	struct invocation *invocation = env->invocation;

	env->end_reason = "timeout";
	if (invocation && invocation->is_ended) { /* answered in this very moment */
		invocation_conclude(invocation);
		invocation = NULL;
	}
	if (!invocation) { /* its extensions have taken too long */
		extension_host_report(env, "timeout", NULL);
		return;
	}
	environment_log_drain(env);
	environment_log_end_line(env);
	invocation_time_out(invocation, env);
}

void environment_on_deadline(void *context)
{
	struct environment *env = context;

	if (env->is_gone) {
		loop_defer(env->engine->loop, &env->exit);
		return;
	}
	switch (env->state) {
	case ENV_BOOTING:
		log_error(
			"environment_boot_timeout", LOG_STR("function", env->pool->version->name));
		environment_give_up(env);
		return;
	case ENV_INIT:
		env->end_reason = "timeout";
		environment_init_timed_out(env);
		if (env->state == ENV_BOOTING)
			return; /* it begins again */
		break;
	case ENV_BUSY:
		if (is_early(env))
			return;
		environment_run_out(env);
		break;
	case ENV_IDLE:
		if (environment_freeze(env))
			return;
		break;
	case ENV_FROZEN:
	case ENV_DEAD:
	case ENV_STATES:
		break;
	}
	if (env->state != ENV_DEAD)
		environment_kill(env);
}
