/*
 * An environment with external extensions is executed under a guard, in the order that Lambda has:
 *
 *	guard: EXTENSION × n, LISTED ─► all have registered ─► START ─► the runtime initialises
 *	       ─► the runtime and all extensions have asked for their next event: the Init phase is over
 *
 * An internal extension registers from the runtime's own process: then the host is made at that moment.
 *
 * A process that ends, and must not, takes the environment with it: what runs there fails with
 * Extension.Crash (or what the extension had announced), and the rest of it gets its Shutdown phase. The
 * end comes by the guard's line, what the process said last by a connection that may not even be accepted
 * yet: so the loop turns a few times before the end is believed. Everything is in the router's sockets by
 * then, because the guard speaks after the process is dead.
 */
#include "engine/extension_host.h"

#include "base/err.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/directory.h"
#include "engine/environment.h"
#include "engine/guard.h"
#include "engine/invocation.h"
#include "engine/pool.h"
#include "engine/telemetry.h"
#include "os/clock.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LOOKS = 3, LOOK_MS = 2 };

/* --- its life --- */

static void host_on_time(void *context)
{
	struct extension_host *host = context;

	if (host->phase != SHUTDOWN_NOT)
		extension_host_on_shutdown_time(host);
	else if (host->is_failing && (++host->looks < LOOKS || host->env->state == ENV_BOOTING))
		timer_set(host->timer, LOOK_MS); /* BOOTING: the warden's word is on its way */
	else if (host->is_failing)
		environment_on_failed(host->env);
}

/* What a guard needs: a line, and a pipe for what its extensions print. */
static int host_open_guard(struct extension_host *host, int *ret_socket)
{
	struct environment *env = host->env;
	scoped_fd log = -1, theirs = -1;

	int r = environment_log_open_extensions(env, &log);
	if (r == 0)
		r = telemetry_new(env, &host->telemetry);
	if (r == 0)
		r = guard_new(env->engine->loop, host, &theirs, &host->guard);
	if (r == 0)
		r = guard_begin(host->guard, log);
	if (r < 0)
		return err_pass(r);
	*ret_socket = fd_take(&theirs);
	return 0;
}

int extension_host_new(struct environment *env, int *ret_socket)
{
	struct extension_host *host = mem_one(struct extension_host);

	assert(!env->host);
	if (!host)
		return err_raise(-ENOMEM);
	host->env = env;
	host->is_runtime_started = host->is_listed = !ret_socket;
	int r = timer_new(env->engine->loop, host_on_time, host, &host->timer);
	env->host = host;
	if (r == 0 && ret_socket)
		r = host_open_guard(host, ret_socket);
	if (r < 0)
		extension_host_free(env);
	return err_pass(r);
}

void extension_host_free(struct environment *env)
{
	struct extension_host *host = env->host;

	env->host = NULL;
	if (!host)
		return;
	telemetry_free(host->telemetry);
	guard_free(host->guard);
	timer_free(host->timer);
	mem_free(host);
}

bool extension_host_is_ready(const struct environment *env)
{
	return !env->host || extensions_are_ready(&env->host->all);
}

/* --- what the guard says --- */

/* The first failure is the cause of the others. */
static void host_fail(struct extension_host *host, const char *type, const char *words)
{
	if (host->is_failing)
		return;
	host->is_failing = true;
	host->failure = type;
	(void)snprintf(host->words, sizeof(host->words), "%s", words);
	timer_set(host->timer, LOOK_MS);
}

/* The program of an extension could not be executed. */
static void host_not_launched(
	struct extension_host *host, struct extension *extension, uint32_t error)
{
	char words[96];
	const char *reason = error == EACCES ? "permission denied"
		: error == ENOEXEC	     ? "exec format error"
		: error == ENOENT	     ? "no such file or directory"
					     : "input/output error";

	if (extension_may(extension, EXTENSION_LAUNCH_ERROR))
		extension_enter(extension, EXTENSION_LAUNCH_ERROR);
	extension_set_error(extension, error == EACCES ? S("PermissionDenied") : S("UnknownError"));
	extension->is_gone = true;
	(void)snprintf(words, sizeof(words), "fork/exec /opt/extensions/%.40s: %s", extension->name,
		reason);
	host_fail(host, "Extension.LaunchError", words);
}

/* As Lambda's init words the end of a process (Go's os/exec). */
static void host_on_extension_ended(
	struct extension_host *host, struct extension *extension, const struct guard_frame *frame)
{
	char words[64];

	extension->is_gone = true;
	if (frame->kind == EXIT_STATUS && frame->value == 0)
		(void)snprintf(words, sizeof(words), "exit code 0");
	else
		environment_describe_end(frame->kind, frame->value, words, sizeof(words));
	if (host->phase != SHUTDOWN_NOT)
		extension_host_on_step(host);
	else
		host_fail(host,
			extension->state == EXTENSION_INIT_ERROR	   ? "Extension.InitError"
				: extension->state == EXTENSION_EXIT_ERROR ? "Extension.ExitError"
									   : "Extension.Crash",
			words);
}

static void host_on_runtime_ended(struct extension_host *host, uint32_t kind, uint32_t value)
{
	struct exited_frame *exit = &host->env->exit_frame;

	host->is_runtime_gone = true;
	if (host->phase != SHUTDOWN_NOT) {
		extension_host_on_step(host);
		return;
	}
	if (host->is_failing)
		return;
	*exit = (struct exited_frame){ .kind = kind, .value = value, .step = "exec" };
	host_fail(host, NULL, "");
}

static void host_on_extension(struct extension_host *host, const struct guard_frame *frame)
{
	str name = str_of(frame->name);

	if (host->is_listed || frame->who >= GUARDED_MAX || host->external[frame->who] || !name.len)
		return;
	if (!extensions_by_name(&host->all, name))
		host->external[frame->who] = extensions_add(&host->all, name, true);
	if (!host->external[frame->who]) /* another has taken its name, or its place */
		host_fail(host, "Extension.LaunchError",
			"Extension with this name already registered");
}

void extension_host_on_registered(struct extension_host *host)
{
	if (!host->is_listed || host->is_runtime_started || host->is_failing ||
		host->phase != SHUTDOWN_NOT || !extensions_are_registered(&host->all))
		return;
	host->is_runtime_started = true;
	guard_ask(host->guard, GUARD_START, GUARD_RUNTIME, 0, 0);
}

static void host_on_listed(struct extension_host *host)
{
	host->is_listed = true;
	extension_host_on_registered(host);
}

void extension_host_on_frame(struct extension_host *host, const struct guard_frame *frame, int fd)
{
	scoped_fd unused = fd;
	bool is_runtime = frame->who == GUARD_RUNTIME;
	struct extension *extension = is_runtime ? NULL : host->external[frame->who];

	switch (frame->op) {
	case GUARD_EXTENSION:
		host_on_extension(host, frame);
		break;
	case GUARD_LISTED:
		host_on_listed(host);
		break;
	case GUARD_TOO_MANY:
		host_fail(host, "Extension.LaunchError", "Extension limit (10) reached");
		break;
	case GUARD_NOT_STARTED:
		if (is_runtime)
			host_on_runtime_ended(host, EXIT_NO_START, frame->value);
		else if (extension)
			host_not_launched(host, extension, frame->value);
		break;
	case GUARD_ENDED:
		if (is_runtime)
			host_on_runtime_ended(host,
				frame->kind == EXIT_STATUS ? EXIT_STATUS : EXIT_SIGNAL,
				frame->value);
		else if (extension && !extension->is_gone)
			host_on_extension_ended(host, extension, frame);
		break;
	case GUARD_CONNECTED:
		telemetry_on_connected(host->telemetry, frame->ticket, fd_take(&unused));
		break;
	default:
		break;
	}
}

bool extension_host_cause(
	const struct environment *env, const char **ret_type, const char **ret_words)
{
	const struct extension_host *host = env->host;

	if (!host || !host->is_failing || !host->failure)
		return false;
	*ret_type = host->failure;
	*ret_words = host->words;
	return true;
}

/* --- in the log --- */

void extension_host_log(struct environment *env)
{
	const struct function_version *version = env->pool->version;
	char text[2048];
	struct buf line;

	if (!env->host)
		return;
	for (unsigned i = 0; i < env->host->all.count; i++) {
		const struct extension *extension = &env->host->all.list[i];
		const struct log_extension told = { .name = extension->name,
			.state = extension_state_name(extension->state),
			.is_invoked = extension->events & EXTENSION_INVOKE,
			.is_shut = extension->events & EXTENSION_SHUTDOWN,
			.error_type = extension->error_type };
		telemetry_extension(env, &told);
		buf_init_over(&line, text, sizeof(text));
		log_put_extension(&line, version, &told, clock_real_ms());
		if (log_lines_want(version, LOG_WEIGHT_INFO))
			environment_log_put(env, buf_str(&line));
	}
}

/* --- a report that waits --- */

bool extension_host_keep_report(
	const struct invocation *invocation, const struct log_report *report)
{
	struct extension_host *host = invocation->env->host;

	if (!host || !invocation->is_answered || host->is_failing ||
		extensions_are_ready(&host->all))
		return false;
	assert(!host->has_report);
	host->has_report = true;
	host->report = *report;
	host->report_from_us = invocation->started_us;
	host->answered_us = engine_now_us();
	if (str_to_array(invocation->function->key, host->reported, sizeof(host->reported)) < 0 ||
		str_to_array(str_of(invocation->qualifier), host->qualifier,
			sizeof(host->qualifier)) < 0)
		host->reported[0] = '\0';
	return true;
}

void extension_host_report(struct environment *env, const char *status, const char *error_type)
{
	struct extension_host *host = env->host;

	if (!host || !host->has_report)
		return;
	host->has_report = false;
	host->report.duration_us = engine_now_us() - host->report_from_us;
	host->report.extensions_us = engine_now_us() - host->answered_us;
	if (host->reported[0])
		recent_measure(env->engine, str_of(host->reported), str_of(host->qualifier),
			RECENT_EXTENSIONS, (double)host->report.extensions_us / 1000);
	if (status)
		host->report.status = status;
	if (error_type)
		(void)str_to_array(str_of(error_type), host->report.error_type,
			sizeof(host->report.error_type));
	environment_log_drain(env);
	environment_log_end_line(env);
	invocation_write_report(env, NULL, &host->report);
}
