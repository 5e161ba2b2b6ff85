/*
 * Invocations, from the ask to the answer.
 *
 *	engine_invoke ─► directory ─► admission ─► pool ─► environment ─► respond | fail ─► end
 *	                     └────────────┴── refuse ─────────────────────────────────────┘
 *
 * An answer of the runtime is *respond*ed in the middle of reading sockets; what the function
 * printed before it may still be in the log pipe, ready in the same turn of the loop. So the rest
 * happens at the end of the turn: the pipe has been read, END and REPORT are written (conclude),
 * the caller gets the answer straight from the buffer of the runtime's connection, and only then
 * that connection gets its 202, held back to travel with the next event. A function that times out
 * or crashes has no such answer: it is concluded at once.
 *
 * Nothing here allocates for the payload or the answer on the warm path: both stay in the buffers
 * of the connections that they came by.
 */
#include "engine/invocation.h"

#include "base/attr.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/core.h"
#include "engine/directory.h"
#include "engine/environment.h"
#include "engine/extension_host.h"
#include "engine/function_log.h"
#include "engine/log_lines.h"
#include "engine/pool.h"
#include "engine/response_stream.h"
#include "engine/runtime_api.h"
#include "engine/telemetry.h"
#include "engine/trace.h"
#include "http/server.h"
#include "model/limits.h"
#include "os/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	LINE_SIZE = 2048 /* of START, END, REPORT: names and ids have limits */
};

/* --- begin --- */

/* The short views lie behind the struct: account, region, name, client context, tenant. */
static void texts_copy(struct invocation *invocation, const str parts[5])
{
	str *const views[] = { &invocation->account, &invocation->region, &invocation->name,
		&invocation->client_context, &invocation->tenant };
	char *at = invocation->text;

	for (size_t i = 0; i < ARRAY_LEN(views); i++) {
		if (parts[i].len)
			memcpy(at, parts[i].at, parts[i].len);
		*views[i] = (str){ at, parts[i].len };
		at += parts[i].len;
	}
}

static struct invocation *invocation_new(struct engine *engine, const struct invocation_ask *ask)
{
	const str parts[] = { ask->account, ask->region, ask->name, ask->client_context,
		ask->tenant };
	size_t size = sizeof(struct invocation);

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		size += parts[i].len;
	struct invocation *invocation = mem_new(1, size);
	if (!invocation)
		return NULL;

	invocation->engine = engine;
	list_init(&invocation->waiting);
	buf_init(&invocation->tail, 2 * LIMIT_LOG_TAIL_BYTES + 1);
	texts_copy(invocation, parts);
	invocation->payload = ask->payload;
	invocation->wants_tail = ask->wants_tail;
	invocation->sink = ask->sink;
	invocation->done = ask->done;
	invocation->context = ask->context;
	invocation->received_ms = loop_now_ms(engine->loop);
	return invocation;
}

static void invocation_free(struct invocation *invocation)
{
	assert(!invocation->env && !invocation->response);
	loop_defer_cancel(&invocation->end);
	list_remove(&invocation->waiting);
	buf_done(&invocation->tail);
	buf_done(&invocation->own_result);
	mem_free(invocation);
}

int engine_invoke(
	struct engine *engine, const struct invocation_ask *ask, struct invocation **ret_invocation)
{
	struct invocation *invocation = invocation_new(engine, ask);
	if (!invocation)
		return err_raise(-ENOMEM);
	int r = str_to_array(
		ask->request_id, invocation->request_id, sizeof(invocation->request_id));
	if (r == 0)
		r = str_to_array(
			ask->qualifier, invocation->qualifier, sizeof(invocation->qualifier));
	if (r < 0) {
		invocation_free(invocation);
		return err_raise(r);
	}
	trace_make(ask->trace, invocation->trace);
	engine->counters.started++;
	engine->counters.in_flight++;
	if (engine->on_drained)
		invocation_refuse(invocation, INVOKE_FAULT, S("This node is shutting down."));
	else
		directory_resolve(engine, invocation);
	*ret_invocation = invocation;
	return 0;
}

/* --- run --- */

void invocation_prepare(struct invocation *invocation, uint64_t spent_us)
{
	invocation->started_us = engine_now_us() - spent_us;
	invocation->deadline_ms = clock_real_ms() + invocation->pool->version->timeout_ms -
		spent_us / 1000;
	trace_sample(invocation->pool->version->is_traced, invocation->trace);
}

void invocation_start(struct invocation *invocation, struct environment *env)
{
	const struct function_version *version = env->pool->version;
	char text[LINE_SIZE];
	struct buf line;

	assert(!invocation->env && !env->invocation && !list_linked(&invocation->waiting));
	assert(invocation->started_us && !invocation->is_ended);
	log_stream_release(env->stream);
	invocation->env = env;
	env->invocation = invocation;
	env->is_talker = env->has_printed;
	env->has_printed = false;
	const struct log_start start = { .request_id = invocation->request_id,
		.trace = str_of(invocation->trace),
		.tenant = invocation->tenant };
	telemetry_start(env, &start);
	if (!log_lines_want(version, LOG_WEIGHT_INFO))
		return;
	buf_init_over(&line, text, sizeof(text));
	log_put_start(&line, version, &start, clock_real_ms());
	environment_log_put(env, buf_str(&line));
}

void invocation_put_arn(struct buf *out, const struct invocation *invocation)
{
	buf_put(out, invocation->pool->version->arn);
	if (!invocation->qualifier[0])
		return;
	buf_put_char(out, ':');
	buf_put(out, str_of(invocation->qualifier));
}

/* --- its log's tail --- */

/* Lambda: "the last 4 KB of the execution log". Its events stand on lines of their own. */
void invocation_tail_put(struct invocation *invocation, str line)
{
	struct buf *tail = &invocation->tail;

	if (!invocation->wants_tail || !line.len)
		return;
	bool is_ended = str_ends(line, S("\n")); /* a frame's text may not be */
	if (line.len > LIMIT_LOG_TAIL_BYTES)
		line = str_from(line, line.len - LIMIT_LOG_TAIL_BYTES);
	buf_put(tail, line);
	if (!is_ended)
		buf_put_char(tail, '\n');
	if (tail->len > LIMIT_LOG_TAIL_BYTES)
		buf_drop(tail, tail->len - LIMIT_LOG_TAIL_BYTES);
}

/* --- a response that is streamed --- */

static void set_content_type(struct invocation *invocation, str type)
{
	if (str_to_array(type, invocation->content_type, sizeof(invocation->content_type)) < 0)
		invocation->content_type[0] = '\0';
}

void invocation_begin(struct invocation *invocation, str content_type)
{
	assert(invocation->sink && !invocation->has_begun && !invocation->is_ended);
	invocation->has_begun = true;
	set_content_type(invocation, content_type);
	if (invocation->is_abandoned)
		return;
	invocation->sink->begin(invocation->context,
		&(struct response_start){
			.version = invocation->pool->version->version,
			.trace = str_of(invocation->trace),
			.content_type = str_of(invocation->content_type),
		});
}

/*
 * Lambda: "Streamed responses are not interrupted or stopped when the invoking client connection is
 * broken." What is for nobody is dropped.
 */
bool invocation_piece(struct invocation *invocation, str content)
{
	assert(invocation->has_begun && !invocation->is_ended);
	invocation->streamed += content.len;
	return invocation->is_abandoned || invocation->sink->piece(invocation->context, content);
}

void invocation_resume(struct invocation *invocation)
{
	if (invocation->env && !invocation->is_ended)
		response_stream_resume(invocation->env);
}

/* --- the end --- */

static void make_report(const struct invocation *invocation, struct log_report *report)
{
	const struct environment *env = invocation->env;
	const struct function_version *version = env->pool->version;

	*report = (struct log_report){
		/* "the function's duration … includes that of its extensions" */
		.duration_us = env->host ? engine_now_us() - invocation->started_us
					 : invocation->duration_us,
		.init_us = env->is_init_reported || env->is_restored ? 0 : env->init_us,
		.restore_us = env->is_restored && !env->is_init_reported ? env->init_us : 0,
		.timeout_us = version->timeout_ms * 1000ULL,
		.produced_bytes = invocation->streamed + invocation->result.len,
		.memory_mb = version->memory_mb,
		.status = invocation->status,
		.is_json = version->log_is_json,
	};
	memcpy(report->request_id, invocation->request_id, sizeof(report->request_id));
	if (invocation->status && strcmp(invocation->status, "error") == 0)
		memcpy(report->error_type, invocation->error_type, sizeof(report->error_type));
	if (env->is_gone && env->exit_frame.kind == EXIT_OOM)
		(void)str_to_array(
			S("Runtime.OutOfMemory"), report->error_type, sizeof(report->error_type));
	(void)!str_to_array(invocation->tenant, report->tenant, sizeof(report->tenant));
	if (!trace_is_sampled(str_of(invocation->trace), report->trace, report->segment))
		report->trace[0] = report->segment[0] = '\0';
}

/* END, or in JSON the runtime's part of the end. */
static void put_end(struct environment *env, const struct log_report *report)
{
	char text[LINE_SIZE];
	struct buf line;

	if (!report->is_json) {
		environment_log_putf(env, "END RequestId: %s\n", report->request_id);
		return;
	}
	if (!log_lines_want(
		    env->pool->version, report->status ? LOG_WEIGHT_WARN : LOG_WEIGHT_DEBUG))
		return;
	buf_init_over(&line, text, sizeof(text));
	log_put_runtime_done(&line, report, clock_real_ms());
	environment_log_put(env, buf_str(&line));
}

/* The stream's copy gets its memory figure later, the tail's has to read it now. */
static void put_report(
	struct environment *env, struct invocation *invocation, const struct log_report *report)
{
	uint64_t now_ms = clock_real_ms();
	char text[LINE_SIZE];
	struct buf line;

	if (!log_lines_want(env->pool->version, report->status ? LOG_WEIGHT_WARN : LOG_WEIGHT_INFO))
		return;
	log_stream_put_report(env->stream, now_ms, report);
	if (!invocation || !invocation->wants_tail)
		return;
	buf_init_over(&line, text, sizeof(text));
	log_put_report(&line, report, now_ms, log_stream_memory_peak(env->stream));
	invocation_tail_put(invocation, buf_str(&line));
}

/* Extensions may wait for this word before they ask for their next event. */
static void tell_runtime_done(struct invocation *invocation, const struct log_report *report)
{
	if (!invocation->is_done_told)
		telemetry_runtime_done(invocation->env, report);
	invocation->is_done_told = true;
}

/* Its caller waits for the extensions, who hear that the runtime does not. */
static void invocation_hold(struct invocation *invocation)
{
	struct log_report report;

	invocation->is_held = true;
	make_report(invocation, &report);
	tell_runtime_done(invocation, &report);
}

void invocation_write_report(
	struct environment *env, struct invocation *invocation, const struct log_report *report)
{
	put_end(env, report);
	put_report(env, invocation, report);
	telemetry_report(env, report);
	env->is_init_reported = true;
}

/* Its caller hears of it at the end of this turn, at last. */
static void invocation_release(struct invocation *invocation)
{
	invocation->is_held = false;
	loop_defer(invocation->engine->loop, &invocation->end);
}

void invocation_conclude(struct invocation *invocation)
{
	struct environment *env = invocation->env;
	struct log_report report;

	if (!env)
		return;
	assert(invocation->is_ended && env->invocation == invocation);
	/*
	 * What a function printed before it answered is ready before the answer, so this turn of
	 * the loop has read it; only when both fall into the very moment of one epoll_wait(2) may
	 * the pipe come a turn later. Who prints, or asks for the log, gets a look at the pipe; who
	 * does not is spared the system call.
	 */
	if (env->has_printed || env->is_talker || invocation->wants_tail)
		environment_log_drain(env);
	environment_log_end_line(env);
	make_report(invocation, &report);
	tell_runtime_done(invocation, &report);
	if (!extension_host_keep_report(invocation, &report))
		invocation_write_report(env, invocation, &report);
	env->invocation = NULL;
	invocation->env = NULL;
	if (invocation->is_held)
		invocation_release(invocation);
}

static void tell_caller(struct invocation *invocation)
{
	const struct pool *pool = invocation->pool;

	if (invocation->is_abandoned)
		return;
	invocation->done(invocation->context,
		&(struct invocation_result){
			.outcome = invocation->outcome,
			.is_error = invocation->is_error,
			.has_begun = invocation->has_begun,
			.is_stream = invocation->is_stream,
			.own_error = str_of(invocation->own_error),
			.payload = invocation->result,
			.content_type = str_of(invocation->content_type),
			.version = pool ? pool->version->version : (str){},
			.tail = buf_str(&invocation->tail),
			.trace = str_of(invocation->trace),
			.detail = str_of(invocation->detail),
			.payload_max = invocation->payload_max,
			.throttle_message = str_of(invocation->throttle_message),
			.retry_after_s = invocation->retry_after_s,
		});
}

/* It is no longer counted anywhere; what only waited for it goes too. */
static void invocation_leave(
	struct engine *engine, struct function_entry *function, struct pool *pool, enum seat seat)
{
	engine->counters.in_flight--;
	if (seat != SEAT_NONE)
		seat_leave(function, pool, seat);
	if (function) {
		function->invocations--;
		function_entry_reap(function);
	}
	engine_check_drained(engine);
}

/* Tell the caller, answer the runtime, and go. Runs at the end of the turn of the loop. */
static void invocation_finish(struct deferred *self)
{
	struct invocation *invocation = list_entry(self, struct invocation, end);
	struct engine *engine = invocation->engine;
	struct function_entry *function = invocation->function;
	struct pool *pool = invocation->pool;
	struct environment *env = invocation->env; /* not freed by anything here */
	enum seat seat = invocation->seat;

	/* REPORT is a part of the tail: it comes when the extensions have asked for their next event. */
	if (invocation->wants_tail && invocation->is_answered && env &&
		!extension_host_is_ready(env)) {
		invocation_hold(invocation);
		return;
	}
	invocation_conclude(invocation);
	tell_caller(invocation);
	if (invocation->outcome == INVOKE_DONE && !invocation->is_error)
		engine->counters.finished++;
	else
		engine->counters.failed++;
	measure_invocation(engine, invocation);
	struct http_conn *response = invocation->response;
	invocation->response = NULL;
	invocation_free(invocation);
	if (response)
		runtime_api_accepted(response);
	if (env)
		pool_on_answered(env);
	invocation_leave(engine, function, pool, seat);
}

/* From here on the result stands; the rest happens at the end of the turn. */
static void invocation_end(struct invocation *invocation)
{
	assert(!invocation->is_ended);
	invocation->is_ended = true;
	if (invocation->started_us)
		invocation->duration_us = engine_now_us() - invocation->started_us;
	invocation->end.run = invocation_finish;
	loop_defer(invocation->engine->loop, &invocation->end);
}

static void set_error_type(struct invocation *invocation, str type)
{
	if (str_to_array(type, invocation->error_type, sizeof(invocation->error_type)) < 0)
		invocation->error_type[0] = '\0';
}

void invocation_respond(
	struct invocation *invocation, struct http_conn *conn, const struct answer *answer)
{
	assert(invocation->env && !invocation->response);
	invocation->outcome = INVOKE_DONE;
	invocation->is_answered = true;
	invocation->is_error = answer->is_error;
	invocation->result = answer->body;
	invocation->response = conn;
	invocation->is_stream = answer->is_stream;
	if (!invocation->has_begun)
		set_content_type(invocation, answer->content_type);
	if (answer->is_error) {
		invocation->status = "error";
		set_error_type(invocation, runtime_api_error_type(answer->error_type));
	}
	invocation_end(invocation);
}

/* The result becomes our own copy: without memory for it there is none. */
static void own_result(struct invocation *invocation, str result)
{
	assert(!invocation->own_result.at);
	buf_init(&invocation->own_result, result.len);
	buf_put(&invocation->own_result, result);
	invocation->result = buf_str(&invocation->own_result);
	if (!invocation->own_result.err)
		return;
	invocation->outcome = INVOKE_FAULT;
	invocation->is_error = false;
	(void)str_to_array(S("Out of memory."), invocation->detail, sizeof(invocation->detail));
}

void invocation_keep_response(struct invocation *invocation)
{
	assert(invocation->is_ended && invocation->response);
	invocation->response = NULL;
	own_result(invocation, invocation->result);
}

static void fail_with(struct invocation *invocation, const char *status, str error_object, str type)
{
	invocation->outcome = INVOKE_DONE;
	invocation->is_error = true;
	invocation->status = status;
	set_error_type(invocation, type);
	own_result(invocation, error_object);
	invocation_end(invocation);
	if (invocation->env)
		environment_log_drain(invocation->env); /* not the end of a turn */
	invocation_conclude(invocation);
}

void invocation_fail_with(struct invocation *invocation, str error_object, str error_type)
{
	fail_with(invocation, "error", error_object, error_type);
}

void invocation_fail(struct invocation *invocation, const char *status, const char *type,
	const char *format, ...)
{
	char message[512], text[2048];
	struct buf object;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	buf_init_over(&object, text, sizeof(text));
	buf_put(&object, S("{\"errorType\":"));
	buf_put_json(&object, str_of(type));
	buf_put(&object, S(",\"errorMessage\":"));
	buf_put_json(&object, str_of(message));
	buf_put_char(&object, '}');
	assert(!object.err);
	invocation->own_error = type;
	fail_with(invocation, status, buf_str(&object), str_of(type));
}

void invocation_refuse(struct invocation *invocation, enum invoke_outcome outcome, str detail)
{
	assert(outcome != INVOKE_DONE && !invocation->env);
	invocation->outcome = outcome;
	if (str_to_array(detail, invocation->detail, sizeof(invocation->detail)) < 0)
		invocation->detail[0] = '\0';
	list_remove(&invocation->waiting);
	invocation_end(invocation);
}

void invocation_abandon(struct invocation *invocation)
{
	assert(!invocation->is_abandoned);
	invocation->is_abandoned = true;
	invocation->payload = (str){};
	invocation_resume(invocation);
	if (invocation->is_ended || invocation->env)
		return;
	if (invocation->pool)
		pool_unqueue(invocation);
	invocation_refuse(invocation, INVOKE_FAULT, S("The caller has gone."));
}
