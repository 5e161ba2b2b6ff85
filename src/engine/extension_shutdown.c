/*
 * The Shutdown phase ("Lambda execution environment lifecycle"): "Lambda … shuts down the runtime, then sends a
 * Shutdown event to each registered external extension. … The maximum duration depends on the configuration of
 * registered extensions: 0 ms – a function with no registered extensions; 500 ms – a function with a registered
 * internal extension; 2,000 ms – a function with one or more registered external extensions. If the runtime
 * or an extension does not respond to the Shutdown event within the limit, Lambda ends the process using a SIGKILL
 * signal."
 *
 *	DEAD ─► SIGTERM for the runtime ─► (it has ended, or 30 % of the time) ─► Shutdown events ─► (all have
 *	     ended, or the time is over) ─► the sandbox is killed
 *
 * To the engine the environment is DEAD all this time: nothing can be given to it any more, and what it holds is
 * counted until the warden says that it is gone.
 */
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/guard.h"
#include "engine/telemetry.h"
#include "os/clock.h"

#include <assert.h>

enum { INTERNAL_MS = 500, EXTERNAL_MS = 2'000, RUNTIME_PERCENT = 30 };

static bool has_registered(const struct extensions *all)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->list[i].state != EXTENSION_STARTED &&
			all->list[i].state != EXTENSION_LAUNCH_ERROR)
			return true;
	return false;
}

static void shutdown_end(struct extension_host *host)
{
	host->phase = SHUTDOWN_OVER;
	timer_clear(host->timer);
	environment_ask_kill(host->env);
}

/* Those who want to know are told, if they listen, or when they do; the others have nothing to wait for. */
static void shutdown_extensions(struct extension_host *host)
{
	uint64_t now_ms = loop_now_ms(host->env->engine->loop);

	host->phase = SHUTDOWN_EXTENSIONS;
	telemetry_flush(host->env);
	timer_set(host->timer, host->end_ms - MIN(now_ms, host->end_ms));
	for (uint32_t who = 0; who < GUARDED_MAX; who++) {
		struct extension *extension = host->external[who];
		if (!extension || extension->is_gone)
			continue;
		if (extension->events & EXTENSION_SHUTDOWN)
			extension_api_shut(host, extension);
		else
			guard_ask(host->guard, GUARD_KILL, who, 0, 0);
	}
}

static void shutdown_runtime(struct extension_host *host, uint64_t ms)
{
	host->phase = SHUTDOWN_RUNTIME;
	if (!host->guard) {
		environment_terminate(host->env);
		timer_set(host->timer, ms);
		return;
	}
	timer_set(host->timer, ms * RUNTIME_PERCENT / 100);
	if (host->is_runtime_started && !host->is_runtime_gone)
		guard_ask(host->guard, GUARD_TERMINATE, GUARD_RUNTIME, 0, 0);
}

bool extension_host_shut(struct extension_host *host, bool is_frozen)
{
	struct environment *env = host->env;
	uint64_t ms = host->guard ? EXTERNAL_MS : INTERNAL_MS;

	assert(env->state == ENV_DEAD);
	if (host->phase != SHUTDOWN_NOT)
		return host->phase != SHUTDOWN_OVER;
	if (!env->has_sandbox || env->is_kill_asked || !has_registered(&host->all))
		return false;
	if (is_frozen)
		environment_unfreeze(env);
	host->end_ms = loop_now_ms(env->engine->loop) + ms;
	host->end_real_ms = clock_real_ms() + ms;
	shutdown_runtime(host, ms);
	extension_host_on_step(host);
	return true;
}

bool extension_host_is_shutting(const struct environment *env)
{
	return env->host && env->host->phase != SHUTDOWN_NOT && env->host->phase != SHUTDOWN_OVER;
}

void extension_host_on_step(struct extension_host *host)
{
	if (!host->guard)
		return; /* the end of its runtime is the warden's to tell */
	if (host->phase == SHUTDOWN_RUNTIME && (host->is_runtime_gone || !host->is_runtime_started))
		shutdown_extensions(host);
	if (host->phase == SHUTDOWN_EXTENSIONS && !extensions_have_processes(&host->all))
		shutdown_end(host);
}

void extension_host_on_shutdown_time(struct extension_host *host)
{
	if (host->phase == SHUTDOWN_RUNTIME && host->guard) {
		guard_ask(host->guard, GUARD_KILL, GUARD_RUNTIME, 0, 0);
		shutdown_extensions(host);
		extension_host_on_step(host);
	} else if (host->phase != SHUTDOWN_OVER) {
		shutdown_end(host);
	}
}
