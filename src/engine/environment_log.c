/*
 * What a function prints: one pipe for standard output and standard error, read on the loop thread,
 * cut at newlines, one log event a line. Its external extensions have a second one. A runtime that was
 * told of it (_LAMBDA_TELEMETRY_LOG_FD) writes records of several lines as frames of Lambda's own format
 * into the same pipe: see log_cutter.c.
 *
 * A function may print as fast as the setting log-rate says (log_meter.h). Beyond it lines are
 * dropped, a mark tells how many, and the pipe is read with rests: so a flood costs the loop one
 * read(2) each REST_MS, and the function waits in write(2) for the rest of the time.
 *
 * The pipe of an environment that prints is read to its end (for the moment) before an invocation
 * ends, so that what was printed before the answer stands before END; see invocation_conclude(). A
 * line longer than an event may be is cut. When the log store cannot keep up the pipe is not read,
 * and the function waits in write(2).
 */
#include "base/attr.h"
#include "base/err.h"
#include "engine/core.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/function_log.h"
#include "engine/invocation.h"
#include "engine/log_lines.h"
#include "engine/pool.h"
#include "engine/telemetry.h"
#include "os/clock.h"
#include "os/fd.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	READ_SIZE = 64 * 1024,
	READS_PER_TURN = 16,
	REST_MS = 10,
};

void environment_log_put(struct environment *env, str line)
{
	log_stream_put(env->stream, clock_real_ms(), line);
	if (env->invocation)
		invocation_tail_put(env->invocation, line);
}

void environment_log_putf(struct environment *env, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	int len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len > 0)
		environment_log_put(env, (str){ text, MIN((size_t)len, sizeof(text) - 1) });
}

void environment_log_restored(struct environment *env)
{
	const struct function_version *version = env->pool->version;
	char text[256];
	struct buf line;

	extension_host_log(env);
	if (version->log_is_json && !log_lines_want(version, LOG_WEIGHT_INFO))
		return;
	buf_init_over(&line, text, sizeof(text));
	log_put_restore_report(&line, version, env->init_us, clock_real_ms());
	environment_log_put(env, buf_str(&line));
}

void environment_log_init(struct environment *env, const char *status, const char *error_type)
{
	const struct function_version *version = env->pool->version;
	enum log_weight weight = status ? LOG_WEIGHT_WARN : LOG_WEIGHT_DEBUG;
	struct log_init init = {
		.version = version,
		.is_second = env->is_second,
		.duration_us = engine_now_us() - env->spawned_us,
		.status = status,
		.error_type = error_type,
		.is_provisioned = env->is_provisioned,
	};
	char text[1024];
	struct buf line;

	extension_host_log(env);
	telemetry_init_done(env, &init);
	/* "provisioned concurrency functions always emit INIT_REPORT", all others when they fail */
	if (!version->log_is_json && (status || env->is_provisioned)) {
		buf_init_over(&line, text, sizeof(text));
		log_put_init_report(&line, &init);
		environment_log_put(env, buf_str(&line));
	}
	if (!version->log_is_json || !log_lines_want(version, weight))
		return;
	for (int i = 0; i < 2; i++) {
		buf_init_over(&line, text, sizeof(text));
		log_put_init_event(&line, &init, i == 1, clock_real_ms());
		environment_log_put(env, buf_str(&line));
	}
}

/* --- what the function says --- */

static void log_tell_dropped(struct environment *env)
{
	struct log_meter *meter = &env->log_meter;
	char text[512];
	struct buf line;

	if (!meter->lines)
		return;
	buf_init_over(&line, text, sizeof(text));
	log_put_dropped(&line, env->pool->version, meter->lines, meter->bytes, clock_real_ms());
	log_meter_told(meter);
	environment_log_put(env, buf_str(&line));
}

static void log_put_own(void *context, str line)
{
	struct log_source *source = context;
	struct environment *env = source->env;
	const struct engine *engine = env->engine;

	if (!log_meter_take(&env->log_meter, line.len, loop_now_ms(engine->loop),
		    function_log_is_pressed(engine->log_writer)))
		return;
	log_tell_dropped(env);
	environment_log_put(env, line);
	telemetry_line(
		env, source->is_of_extensions ? TELEMETRY_EXTENSION : TELEMETRY_FUNCTION, line);
}

void environment_log_end_line(struct environment *env)
{
	log_cutter_end(&env->log.cutter, log_put_own, &env->log);
	log_cutter_end(&env->extensions_log.cutter, log_put_own, &env->extensions_log);
	log_tell_dropped(env);
}

static void log_go_on(struct log_source *source)
{
	if (source->is_paused && source->watch)
		source->is_paused = !source->is_resting && watch_set(source->watch, WATCH_READ) < 0;
}

static void log_on_room(void *context)
{
	struct engine *engine = context;
	size_t at = 0;
	void *value;

	while (map_next(&engine->environments, &at, &value)) {
		struct environment *env = value;
		log_go_on(&env->log);
		log_go_on(&env->extensions_log);
	}
}

static void log_pause(struct log_source *source)
{
	struct engine *engine = source->env->engine;

	if (!source->is_paused && watch_set(source->watch, 0) < 0)
		return;
	source->is_paused = true;
	function_log_on_room(engine->log_writer, log_on_room, engine);
}

static void log_on_rested(void *context)
{
	struct log_source *source = context;

	source->is_resting = false;
	if (!source->is_paused && source->watch)
		(void)!watch_set(source->watch, WATCH_READ); /* the next drain reads it else */
}

/* In a flood: leave the pipe alone for a while. */
static bool log_rest(struct log_source *source)
{
	struct environment *env = source->env;

	if (!env->log_meter.is_dropping)
		return false;
	if (!source->rest && timer_new(env->engine->loop, log_on_rested, source, &source->rest) < 0)
		return false;
	if (!source->watch || watch_set(source->watch, 0) < 0)
		return false;
	source->is_resting = true;
	timer_set(source->rest, REST_MS);
	return true;
}

static void source_close(struct log_source *source)
{
	timer_free(source->rest);
	source->rest = NULL;
	watch_free(source->watch);
	source->watch = NULL;
	fd_close(&source->fd);
}

/* One read(2): false when that was all there is. */
static bool log_read(struct log_source *source)
{
	static char bytes[READ_SIZE]; /* the loop thread's own */

	ssize_t n = read(source->fd, bytes, sizeof(bytes));
	if (n < 0)
		return errno == EINTR;
	if (n == 0) {
		source_close(source);
		return false;
	}
	source->env->has_printed = true;
	log_cutter_feed(&source->cutter, (str){ bytes, (size_t)n }, log_put_own, source);
	/* A short read has emptied the pipe: the next one would only say EAGAIN. */
	return (size_t)n == sizeof(bytes);
}

static void source_drain(struct log_source *source)
{
	for (int i = 0; source->fd >= 0 && !source->is_resting && i < READS_PER_TURN; i++) {
		if (function_log_is_full(source->env->engine->log_writer)) {
			log_pause(source);
			return;
		}
		if (!log_read(source) || log_rest(source))
			return;
	}
}

void environment_log_drain(struct environment *env)
{
	source_drain(&env->log);
	source_drain(&env->extensions_log);
}

static void source_finish(struct log_source *source)
{
	for (int i = 0; source->fd >= 0 && i < READS_PER_TURN && log_read(source); i++)
		continue;
}

void environment_log_finish(struct environment *env)
{
	source_finish(&env->log);
	source_finish(&env->extensions_log);
	environment_log_end_line(env);
}

static void log_on_ready(void *context, unsigned events)
{
	(void)events;
	source_drain(context);
}

static int source_open(struct log_source *source, int fd)
{
	assert(source->fd < 0);
	source->fd = fd;
	source->is_paused = source->is_resting = false;
	log_cutter_init(&source->cutter);
	return err_pass(watch_new(
		source->env->engine->loop, fd, WATCH_READ, log_on_ready, source, &source->watch));
}

void environment_log_init_sources(struct environment *env)
{
	env->log = (struct log_source){ .env = env, .fd = -1 };
	env->extensions_log = (struct log_source){ .env = env, .is_of_extensions = true, .fd = -1 };
}

int environment_log_open(struct environment *env, int fd)
{
	log_meter_init(
		&env->log_meter, env->engine->options.log_rate, loop_now_ms(env->engine->loop));
	return err_pass(source_open(&env->log, fd));
}

int environment_log_open_extensions(struct environment *env, int *ret_write)
{
	scoped_fd writing = -1;
	int reading;

	int r = environment_log_pipe(&reading, &writing);
	if (r == 0)
		r = source_open(&env->extensions_log, reading);
	/* They may open /dev/stdout, though it is not theirs as the function's log is. */
	if (r == 0 && fchmod(writing, 0222) < 0)
		r = err_raise(-errno);
	if (r < 0)
		return err_pass(r);
	*ret_write = fd_take(&writing);
	return 0;
}

void environment_log_close(struct environment *env)
{
	source_close(&env->log);
	source_close(&env->extensions_log);
	log_cutter_done(&env->log.cutter);
	log_cutter_done(&env->extensions_log.cutter);
}
