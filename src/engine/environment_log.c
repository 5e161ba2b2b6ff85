/*
 * What a function prints: one pipe for standard output and standard error, read on the loop thread, cut at
 * newlines, one log event a line.
 *
 * The pipe is read to its end (for the moment) before an invocation ends, so that what was printed
 * before the answer stands before END; see invocation_respond(). A line longer than an event may be is cut. When
 * the log store cannot keep up the pipe is not read, and the function waits in write(2).
 */
#include "engine/core.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "os/clock.h"

#include "model/limits.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, READS_PER_TURN = 16 };

/* Lambda: "the last 4 KB of the execution log". */
static void tail_put(struct buf *tail, str line)
{
	buf_put(tail, line);
	if (tail->len > LIMIT_LOG_TAIL_BYTES)
		buf_drop(tail, tail->len - LIMIT_LOG_TAIL_BYTES);
}

void environment_log_put(struct environment *env, str line)
{
	struct invocation *invocation = env->invocation;

	log_stream_put(env->stream, clock_real_ms(), line);
	if (invocation && invocation->wants_tail)
		tail_put(&invocation->tail, line);
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

static void log_end_line(struct environment *env)
{
	if (!env->line.len)
		return;
	environment_log_put(env, buf_str(&env->line));
	buf_clear(&env->line);
}

/* Cut `bytes` at newlines; what is left over waits in env->line. */
static void log_split(struct environment *env, str bytes)
{
	ptrdiff_t newline;

	while ((newline = str_find(bytes, '\n')) >= 0) {
		str line = str_slice(bytes, 0, (size_t)newline + 1);
		bytes = str_from(bytes, (size_t)newline + 1);
		if (!env->line.len) {
			environment_log_put(env, line);
			continue;
		}
		buf_put(&env->line, line);
		log_end_line(env);
	}
	buf_put(&env->line, bytes);
	if (env->line.len >= LOG_LINE_MAX)
		log_end_line(env);
	env->line.err = 0;
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
		env->is_log_paused = watch_set(env->log_watch, WATCH_READ) < 0;
	}
}

static void log_pause(struct environment *env)
{
	if (env->is_log_paused || watch_set(env->log_watch, 0) < 0)
		return;
	env->is_log_paused = true;
	function_log_on_room(env->engine->log_writer, log_on_room, env->engine);
}

void environment_log_drain(struct environment *env, bool is_end)
{
	static char bytes[READ_SIZE]; /* the loop thread's own */

	for (int i = 0; env->log_fd >= 0 && i < READS_PER_TURN; i++) {
		if (function_log_is_full(env->engine->log_writer)) {
			log_pause(env);
			break;
		}
		ssize_t n = read(env->log_fd, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			environment_log_close(env);
		if (n <= 0)
			break;
		log_split(env, (str){ bytes, (size_t)n });
		/* A short read has emptied the pipe: the next one would only say EAGAIN. */
		if ((size_t)n < sizeof(bytes))
			break;
	}
	if (is_end)
		log_end_line(env);
}

static void log_on_ready(void *context, unsigned events)
{
	(void)events;
	environment_log_drain(context, false);
}

int environment_log_open(struct environment *env, int fd)
{
	env->log_fd = fd;
	buf_init(&env->line, LOG_LINE_MAX + READ_SIZE);
	return err_pass(watch_new(
		env->engine->loop, fd, WATCH_READ, log_on_ready, env, &env->log_watch));
}

void environment_log_close(struct environment *env)
{
	watch_free(env->log_watch);
	env->log_watch = NULL;
	if (env->log_fd >= 0)
		close(env->log_fd);
	env->log_fd = -1;
}
