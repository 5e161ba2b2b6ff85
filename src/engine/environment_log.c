/*
 * What a function prints: one pipe for standard output and standard error, read on the loop thread,
 * cut at newlines, one log event a line.
 *
 * A runtime that was told of it (_LAMBDA_TELEMETRY_LOG_FD) writes records of several lines as
 * frames of Lambda's own format into the same pipe: a head with a magic number and a length, then
 * the text. 0xa5 never begins a character of UTF-8, so at the start of a line it tells a frame from
 * text.
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
#include "os/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum {
	READ_SIZE = 64 * 1024,
	READS_PER_TURN = 16,
	FRAME_HEAD = 16,
	LINE_KEEP = 16 * 1024, /* a longer buffer is freed with its line */
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

static void log_put_own(struct environment *env, str line)
{
	const struct engine *engine = env->engine;

	if (!log_meter_take(&env->log_meter, line.len, loop_now_ms(engine->loop),
		    function_log_is_pressed(engine->log_writer)))
		return;
	log_tell_dropped(env);
	environment_log_put(env, line);
}

static void log_flush_line(struct environment *env)
{
	if (!env->line.len)
		return;
	log_put_own(env, str_from(buf_str(&env->line), env->is_frame ? FRAME_HEAD : 0));
	env->is_frame = false;
	if (env->line.size > LINE_KEEP)
		buf_done(&env->line);
	else
		buf_clear(&env->line);
}

void environment_log_end_line(struct environment *env)
{
	log_flush_line(env);
	log_tell_dropped(env);
}

/* The length of a frame's text, or -1 when these are no frame's first bytes. */
static int64_t frame_text_len(str head)
{
	const unsigned char *at = (const unsigned char *)head.at;
	/* 0xa55a0002 JSON, 0xa55a0003 text; bits 2 to 5 are the level. */
	bool is_frame = at[0] == 0xa5 && at[1] == 0x5a && at[2] == 0 && (at[3] & 0xc3) >= 2 &&
		(at[3] & 0xc3) <= 3;
	uint32_t len = (uint32_t)at[4] << 24 | (uint32_t)at[5] << 16 | (uint32_t)at[6] << 8 | at[7];

	return is_frame && len <= LOG_LINE_MAX ? (int64_t)len : -1;
}

/* Move up to `count` bytes from *bytes to the line that is being put together. */
static void line_take(struct environment *env, str *bytes, size_t count)
{
	count = MIN(count, bytes->len);
	buf_put(&env->line, str_slice(*bytes, 0, count));
	*bytes = str_from(*bytes, count);
}

/* Go on with a frame; what turns out to be none is text from here on. */
static void log_take_frame(struct environment *env, str *bytes)
{
	if (env->line.len < FRAME_HEAD)
		line_take(env, bytes, FRAME_HEAD - env->line.len);
	if (env->line.len < FRAME_HEAD)
		return;
	int64_t len = frame_text_len(buf_str(&env->line));
	if (len < 0) {
		env->is_frame = false;
		return;
	}
	line_take(env, bytes, FRAME_HEAD + (size_t)len - env->line.len);
	if (env->line.len == FRAME_HEAD + (size_t)len)
		log_flush_line(env);
}

/* Go on with a line of text, up to its newline. */
static void log_take_text(struct environment *env, str *bytes)
{
	ptrdiff_t newline = str_find(*bytes, '\n');
	size_t len = newline < 0 ? bytes->len : (size_t)newline + 1;

	if (newline >= 0 && !env->line.len) { /* whole, where it lies */
		log_put_own(env, str_slice(*bytes, 0, len));
		*bytes = str_from(*bytes, len);
		return;
	}
	line_take(env, bytes, MIN(len, LOG_LINE_MAX - MIN(env->line.len, LOG_LINE_MAX - 1)));
	if (env->line.err)
		return;
	if (env->line.at[env->line.len - 1] == '\n' || env->line.len >= LOG_LINE_MAX)
		log_flush_line(env);
}

/* Cut `bytes` into events; what is not whole yet waits in env->line. */
static void log_split(struct environment *env, str bytes)
{
	while (bytes.len && !env->line.err) {
		if (!env->line.len)
			env->is_frame = (unsigned char)bytes.at[0] == 0xa5;
		if (env->is_frame)
			log_take_frame(env, &bytes);
		else
			log_take_text(env, &bytes);
	}
	if (env->line.err) /* out of memory: the line is lost, the pipe goes on */
		buf_clear(&env->line);
}

static void log_on_room(void *context)
{
	struct engine *engine = context;
	size_t at = 0;
	void *value;

	while (map_next(&engine->environments, &at, &value)) {
		struct environment *env = value;
		if (!env->is_log_paused || !env->log_watch)
			continue;
		env->is_log_paused = !env->is_log_resting &&
			watch_set(env->log_watch, WATCH_READ) < 0;
	}
}

static void log_pause(struct environment *env)
{
	if (!env->is_log_paused && watch_set(env->log_watch, 0) < 0)
		return;
	env->is_log_paused = true;
	function_log_on_room(env->engine->log_writer, log_on_room, env->engine);
}

static void log_on_rested(void *context)
{
	struct environment *env = context;

	env->is_log_resting = false;
	if (!env->is_log_paused && env->log_watch)
		(void)!watch_set(env->log_watch, WATCH_READ); /* the next drain reads it else */
}

/* In a flood: leave the pipe alone for a while. */
static bool log_rest(struct environment *env)
{
	if (!env->log_meter.is_dropping)
		return false;
	if (!env->log_rest && timer_new(env->engine->loop, log_on_rested, env, &env->log_rest) < 0)
		return false;
	if (!env->log_watch || watch_set(env->log_watch, 0) < 0)
		return false;
	env->is_log_resting = true;
	timer_set(env->log_rest, REST_MS);
	return true;
}

/* One read(2): false when that was all there is. */
static bool log_read(struct environment *env)
{
	static char bytes[READ_SIZE]; /* the loop thread's own */

	ssize_t n = read(env->log_fd, bytes, sizeof(bytes));
	if (n < 0)
		return errno == EINTR;
	if (n == 0) {
		environment_log_close(env);
		return false;
	}
	env->has_printed = true;
	log_split(env, (str){ bytes, (size_t)n });
	/* A short read has emptied the pipe: the next one would only say EAGAIN. */
	return (size_t)n == sizeof(bytes);
}

void environment_log_drain(struct environment *env)
{
	for (int i = 0; env->log_fd >= 0 && !env->is_log_resting && i < READS_PER_TURN; i++) {
		if (function_log_is_full(env->engine->log_writer)) {
			log_pause(env);
			return;
		}
		if (!log_read(env) || log_rest(env))
			return;
	}
}

void environment_log_finish(struct environment *env)
{
	for (int i = 0; env->log_fd >= 0 && i < READS_PER_TURN && log_read(env); i++)
		continue;
	environment_log_end_line(env);
}

static void log_on_ready(void *context, unsigned events)
{
	(void)events;
	environment_log_drain(context);
}

int environment_log_open(struct environment *env, int fd)
{
	env->log_fd = fd;
	env->is_log_paused = env->is_log_resting = env->is_frame = false;
	log_meter_init(
		&env->log_meter, env->engine->options.log_rate, loop_now_ms(env->engine->loop));
	buf_init(&env->line, LOG_LINE_MAX + FRAME_HEAD);
	return err_pass(
		watch_new(env->engine->loop, fd, WATCH_READ, log_on_ready, env, &env->log_watch));
}

void environment_log_close(struct environment *env)
{
	timer_free(env->log_rest);
	env->log_rest = NULL;
	watch_free(env->log_watch);
	env->log_watch = NULL;
	if (env->log_fd >= 0)
		close(env->log_fd);
	env->log_fd = -1;
}
