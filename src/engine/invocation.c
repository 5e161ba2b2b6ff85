/*
 * Invocations, from the ask to the answer.
 *
 *	engine_invoke ─► directory ─► admission ─► pool ─► environment ─► respond | fail ─► conclude ─► end
 *	                     └────────────┴── refuse ───────────────────────────────────────────────────┘
 *
 * An answer of the runtime is *respond*ed in the middle of reading sockets; what the function printed before
 * it may still be in the log pipe, ready in the same turn of the loop. So the rest happens at the end of the turn: the
 * pipe is drained, END and REPORT are written (conclude), the caller gets the answer straight from the buffer of
 * the runtime's connection, and only then that connection gets its 202, held back to travel
 * with the next event. A function that times out or crashes has no such answer: it is concluded at once.
 *
 * Nothing here allocates for the payload or the answer on the warm path: both stay in the buffers of the
 * connections that they came by.
 */
#include "engine/core.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/server.h"
#include "model/limits.h"
#include "os/clock.h"
#include "os/random.h"
#include "wire/timestamp.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint64_t engine_now_us(void)
{
	return clock_mono_ns() / 1000;
}

/* --- begin --- */

/*
 * X-Ray's header: the caller's when it sends one, else a new root that is sampled only for functions
 * with active tracing (decided at the start; see invocation_start).
 */
static void trace_make(struct invocation *invocation, str received)
{
	uint64_t random[3];

	if (received.len &&
		str_to_array(received, invocation->trace, sizeof(invocation->trace)) == 0)
		return;
	random_id_bytes(random, sizeof(random));
	snprintf(invocation->trace, sizeof(invocation->trace),
		"Root=1-%08x-%08x%016" PRIx64 ";Parent=%016" PRIx64 ";Sampled=0",
		(unsigned)(clock_real_ms() / 1000), (unsigned)random[0], random[1], random[2]);
}

/* One block for the short views: account, region, name, client context. */
static int texts_copy(struct invocation *invocation, const struct invocation_ask *ask)
{
	const str parts[] = { ask->account, ask->region, ask->name, ask->client_context };
	str *const views[] = { &invocation->account, &invocation->region, &invocation->name,
		&invocation->client_context };
	size_t len = 1, at = 0;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		len += parts[i].len;
	invocation->text = mem_new(1, len);
	if (!invocation->text)
		return err_raise(-ENOMEM);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (parts[i].len)
			memcpy(invocation->text + at, parts[i].at, parts[i].len);
		*views[i] = (str){ invocation->text + at, parts[i].len };
		at += parts[i].len;
	}
	return 0;
}

static void invocation_free(struct invocation *invocation)
{
	assert(!invocation->env);
	loop_defer_cancel(&invocation->end);
	list_remove(&invocation->waiting);
	buf_done(&invocation->tail);
	buf_done(&invocation->own_result);
	mem_free(invocation->text);
	mem_free(invocation);
}

int engine_invoke(
	struct engine *engine, const struct invocation_ask *ask, struct invocation **ret_invocation)
{
	struct invocation *invocation = mem_one(struct invocation);
	if (!invocation)
		return err_raise(-ENOMEM);

	invocation->engine = engine;
	list_init(&invocation->waiting);
	buf_init(&invocation->tail, 2 * LOG_LINE_MAX);
	buf_init(&invocation->own_result, LIMIT_PAYLOAD_BYTES + 64 * KIB);
	invocation->payload = ask->payload;
	invocation->wants_tail = ask->wants_tail;
	invocation->done = ask->done;
	invocation->context = ask->context;
	invocation->received_ms = loop_now_ms(engine->loop);
	int r = str_to_array(
		ask->request_id, invocation->request_id, sizeof(invocation->request_id));
	if (r == 0)
		r = str_to_array(
			ask->qualifier, invocation->qualifier, sizeof(invocation->qualifier));
	if (r == 0)
		r = texts_copy(invocation, ask);
	if (r < 0) {
		invocation_free(invocation);
		return err_pass(r);
	}
	trace_make(invocation, ask->trace);
	engine->counters.started++;
	engine->counters.in_flight++;
	*ret_invocation = invocation;
	if (engine->on_drained)
		invocation_refuse(invocation, INVOKE_FAULT, S("This node is shutting down."));
	else
		directory_resolve(engine, invocation);
	return 0;
}

/* --- admission --- */

static void throttle(struct invocation *invocation, str reason)
{
	invocation->engine->counters.throttled++;
	invocation_refuse(invocation, INVOKE_THROTTLED, reason);
}

/* An alias may send a part of its invocations to a second version. */
static struct function_version *target_choose(
	struct engine *engine, const struct function_target *target)
{
	if (target->other && engine_random(engine, 1'000'000) < target->other_per_million)
		return target->other;
	return target->version;
}

static bool state_refuses(struct invocation *invocation, const struct function_version *version)
{
	switch (version->state) {
	case FUNCTION_ACTIVE:
	case FUNCTION_INACTIVE:
		return false;
	case FUNCTION_PENDING:
		invocation_refuse(invocation, INVOKE_PENDING, S("Pending"));
		return true;
	case FUNCTION_FAILED:
		break;
	}
	invocation_refuse(invocation, INVOKE_STATE_FAILED, S("Failed"));
	return true;
}

static bool runtime_refuses(struct invocation *invocation, const struct function_version *version)
{
	const struct runtime_pack *pack;
	char detail[200];

	if (runtimes_find(invocation->engine->options.runtimes, version->runtime, &pack) !=
		RUNTIME_NONE)
		return false;
	int len = snprintf(detail, sizeof(detail),
		"The runtime " STR_FMT
		" is not installed on this node. Install its interpreter on the host and "
		"restart mayfly; 'mayfly doctor' lists the runtimes that were found.",
		STR_ARG(version->runtime));
	invocation_refuse(invocation, INVOKE_NO_RUNTIME,
		(str){ detail, MIN((size_t)len, sizeof(detail) - 1) });
	return true;
}

void invocation_admit(struct invocation *invocation, const struct function_target *target)
{
	struct engine *engine = invocation->engine;
	struct function_entry *function = invocation->function;
	struct function_version *version = target_choose(engine, target);

	if (state_refuses(invocation, version) || runtime_refuses(invocation, version))
		return;
	if (function->reserved_concurrency >= 0 &&
		function->in_flight >= (unsigned)function->reserved_concurrency) {
		throttle(invocation, S("ReservedFunctionConcurrentInvocationLimitExceeded"));
		return;
	}
	if (engine->counters.in_flight > engine->options.account_concurrency) {
		throttle(invocation, S("ConcurrentInvocationLimitExceeded"));
		return;
	}
	struct pool *pool = pool_find(function, version);
	if (!pool) {
		invocation_refuse(invocation, INVOKE_FAULT, S("Out of memory."));
		return;
	}
	invocation->pool = pool;
	pool->invocations++;
	function->in_flight++;
	pool_serve(pool, invocation);
}

/* --- run --- */

/* Active tracing samples what arrives without a decision of the caller's. */
static void trace_sample(struct invocation *invocation, const struct function_version *version)
{
	size_t len = strlen(invocation->trace);

	if (version->is_traced && str_ends((str){ invocation->trace, len }, S(";Sampled=0")))
		invocation->trace[len - 1] = '1';
}

void invocation_start(struct invocation *invocation, struct environment *env)
{
	const struct function_version *version = env->pool->version;

	assert(!invocation->env && !env->invocation);
	invocation->env = env;
	env->invocation = invocation;
	invocation->started_us = engine_now_us();
	invocation->deadline_ms = clock_real_ms() + version->timeout_ms;
	trace_sample(invocation, version);
	if (version->log_is_json) {
		struct buf line;
		buf_init(&line, 1024);
		buf_put(&line, S("{\"time\":\""));
		timestamp_put_iso8601(&line, clock_real_ms(), true);
		buf_putf(&line,
			"\",\"type\":\"platform.start\",\"record\":{\"requestId\":\"%s\",\"version\":",
			invocation->request_id);
		buf_put_json(&line, version->version);
		buf_put(&line, S("}}\n"));
		environment_log_put(env, buf_str(&line));
		buf_done(&line);
		return;
	}
	environment_log_putf(env, "START RequestId: %s Version: " STR_FMT "\n",
		invocation->request_id, STR_ARG(version->version));
}

/* --- the end --- */

static void put_report(struct invocation *invocation)
{
	struct environment *env = invocation->env;
	const struct function_version *version = env->pool->version;
	struct log_report report = {
		.duration_us = invocation->duration_us,
		.init_us = env->is_init_reported ? 0 : env->init_us,
		.memory_mb = version->memory_mb,
		.status = invocation->status,
		.is_json = version->log_is_json,
	};

	env->is_init_reported = true;
	memcpy(report.request_id, invocation->request_id, sizeof(report.request_id));
	if (invocation->status && strcmp(invocation->status, "error") == 0)
		memcpy(report.error_type, invocation->error_type, sizeof(report.error_type));
	if (str_ends(str_of(invocation->trace), S(";Sampled=1")) &&
		str_starts(str_of(invocation->trace), S("Root=")))
		(void)str_to_array(str_slice(str_of(invocation->trace), 5, 40), report.trace,
			sizeof(report.trace));
	uint64_t now_ms = clock_real_ms();
	log_stream_put_report(env->stream, now_ms, &report);
	if (!invocation->wants_tail)
		return;

	struct buf line;
	buf_init(&line, 2048);
	log_report_format(&report, now_ms, log_stream_memory_peak(env->stream), &line);
	buf_put(&invocation->tail, buf_str(&line));
	if (invocation->tail.len > LIMIT_LOG_TAIL_BYTES)
		buf_drop(&invocation->tail, invocation->tail.len - LIMIT_LOG_TAIL_BYTES);
	buf_done(&line);
}

void invocation_conclude(struct invocation *invocation)
{
	struct environment *env = invocation->env;

	if (!env)
		return;
	assert(invocation->is_ended);
	/*
	 * This runs after every descriptor that was ready in this turn. What a function printed
	 * before it answered was ready before the answer; only when both fall into the very moment
	 * of one epoll_wait(2) may the pipe come a turn later. Who prints, or asks for the log, gets
	 * a look at the pipe; who does not is spared the system call.
	 */
	if (invocation->has_printed || invocation->wants_tail)
		environment_log_drain(env);
	environment_log_end_line(env);
	if (!env->pool->version->log_is_json)
		environment_log_putf(env, "END RequestId: %s\n", invocation->request_id);
	put_report(invocation);
	env->invocation = NULL;
	invocation->env = NULL;
}

/* Tell the caller, answer the runtime, and go. Runs at the end of the turn of the loop. */
static void invocation_finish(struct deferred *self)
{
	struct invocation *invocation = list_entry(self, struct invocation, end);
	struct engine *engine = invocation->engine;
	struct function_entry *function = invocation->function;
	struct pool *pool = invocation->pool;
	const struct function_version *version = pool ? pool->version : NULL;
	struct http_conn *response = invocation->response;

	invocation_conclude(invocation);
	if (!invocation->is_abandoned) {
		invocation->done(invocation->context,
			&(struct invocation_result){
				.outcome = invocation->outcome,
				.is_error = invocation->is_error,
				.payload = invocation->result,
				.content_type = str_of(invocation->content_type),
				.version = version ? version->version : (str){},
				.tail = buf_str(&invocation->tail),
				.trace = str_of(invocation->trace),
				.detail = str_of(invocation->detail),
			});
	}
	if (invocation->outcome == INVOKE_DONE && !invocation->is_error)
		engine->counters.finished++;
	else
		engine->counters.failed++;
	engine->counters.in_flight--;
	invocation->response = NULL;
	invocation_free(invocation);
	if (response)
		runtime_api_accepted(response);
	if (pool) {
		function->in_flight--;
		pool->invocations--;
		pool_reap(pool);
	}
	if (function) {
		function->invocations--;
		function_entry_reap(function);
	}
	engine_check_drained(engine);
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

void invocation_respond(struct invocation *invocation, struct http_conn *conn, str body,
	bool is_error, str error_type, str content_type)
{
	assert(invocation->env && !invocation->response);
	invocation->outcome = INVOKE_DONE;
	invocation->is_error = is_error;
	invocation->result = body;
	invocation->response = conn;
	if (str_to_array(content_type, invocation->content_type, sizeof(invocation->content_type)) <
		0)
		invocation->content_type[0] = '\0';
	if (is_error) {
		invocation->status = "error";
		if (str_to_array(
			    error_type, invocation->error_type, sizeof(invocation->error_type)) < 0)
			invocation->error_type[0] = '\0';
	}
	invocation_end(invocation);
}

void invocation_keep_response(struct invocation *invocation)
{
	assert(invocation->is_ended && invocation->response);
	invocation->response = NULL;
	buf_put(&invocation->own_result, invocation->result);
	if (invocation->own_result.err) {
		invocation->outcome = INVOKE_FAULT;
		invocation->result = (str){};
		return;
	}
	invocation->result = buf_str(&invocation->own_result);
}

void invocation_fail_with(struct invocation *invocation, str error_object, str error_type)
{
	invocation->outcome = INVOKE_DONE;
	invocation->is_error = true;
	invocation->status = invocation->status ? invocation->status : "error";
	if (str_to_array(error_type, invocation->error_type, sizeof(invocation->error_type)) < 0)
		invocation->error_type[0] = '\0';
	buf_put(&invocation->own_result, error_object);
	invocation->result = buf_str(&invocation->own_result);
	invocation_end(invocation);
	invocation_conclude(invocation);
}

void invocation_fail(struct invocation *invocation, const char *status, const char *type,
	const char *format, ...)
{
	char message[512];
	struct buf object;
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	invocation->status = status;
	buf_init(&object, 4 * KIB);
	buf_put(&object, S("{\"errorType\":"));
	buf_put_json(&object, str_of(type));
	buf_put(&object, S(",\"errorMessage\":"));
	buf_put_json(&object, str_of(message));
	buf_put_char(&object, '}');
	invocation_fail_with(invocation, buf_str(&object), str_of(type));
	buf_done(&object);
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
	invocation->is_abandoned = true;
	invocation->payload = (str){};
	if (invocation->is_ended || invocation->env)
		return;
	if (invocation->pool && list_linked(&invocation->waiting))
		invocation->pool->waiting--;
	invocation_refuse(invocation, INVOKE_FAULT, S("The caller has gone."));
}
