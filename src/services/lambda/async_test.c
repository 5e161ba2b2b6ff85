/* The life of asynchronous invocations over a real queue and a real loop; the engine answers as it is told. */
#include "services/lambda/async.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"
#include "engine/engine.h"
#include "engine/platform.h"
#include "engine/recent.h"
#include "os/loop.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"
#include "store/queue.h"

#include <stdio.h>
#include <string.h>

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"

enum { SCRIPT_MAX = 16, PATIENCE_MS = 20'000 };

struct step {
	enum invoke_outcome outcome;
	bool is_error;
};

/* What the engine says to one invocation after the other; success when nothing is written. */
static struct step script[SCRIPT_MAX];
static struct buf ran; /* "NAME:PAYLOAD " of each */
static size_t runs;
static bool is_holding; /* nothing is answered until it is false */

static struct world *world;
static struct loop *loop;
static struct async *async;
static struct timer *watch;
static bool (*is_over)(void);
static unsigned waited_ms;

/* --- the engine --- */

struct run {
	struct invocation_ask ask;
	struct timer *timer;
	struct step step;
};

static void run_answer(void *context)
{
	struct run *run = context;

	if (is_holding) {
		timer_set(run->timer, 1);
		return;
	}
	const struct invocation_result result = {
		.outcome = run->step.outcome,
		.is_error = run->step.is_error,
		.payload = run->step.is_error ? S("{\"errorMessage\":\"broke\"}") : S("[1]"),
		.version = S("$LATEST"),
	};
	run->ask.done(run->ask.context, &result);
	timer_free(run->timer);
	mem_free(run);
}

void engine_measure(struct engine *engine, const struct recent_value *value)
{
	(void)engine;
	(void)value;
}

void platform_measure(struct platform *platform, const struct recent_value *value)
{
	(void)platform;
	(void)value;
}

int engine_invoke(
	struct engine *engine, const struct invocation_ask *ask, struct invocation **ret_invocation)
{
	struct run *run = mem_one(struct run);

	(void)engine;
	CHECK(run && timer_new(loop, run_answer, run, &run->timer) == 0);
	run->ask = *ask;
	run->step = runs < SCRIPT_MAX ? script[runs] : (struct step){};
	buf_put(&ran, ask->name);
	buf_put_char(&ran, ':');
	buf_put(&ran, ask->payload);
	buf_put_char(&ran, ' ');
	runs++;
	timer_set(run->timer, 0);
	*ret_invocation = NULL;
	return 0;
}

/* --- the world --- */

static void async_begin(void)
{
	CHECK(async_new(world->platform, &async) == 0);
	world->platform->async = async;
	async_tune(
		async, &(struct async_tuning){ .wait_ms = 10, .keep_ms = 1000, .bytes_max = 1000 });
}

static void begin(void)
{
	memset(script, 0, sizeof(script));
	buf_init(&ran, 4096);
	runs = 0;
	is_holding = false;
	world = world_new();
	CHECK(loop_new(&loop) == 0);
	world->platform->loop = loop;
	CHECK(queue_open("events.db", &world->platform->queue) == 0);
	async_begin();
	world_create(world, "fn");
	world_create(world, "target");
}

static void on_watch(void *context)
{
	(void)context;
	waited_ms++;
	if (is_over() || waited_ms > PATIENCE_MS)
		loop_stop(loop);
	else
		timer_set(watch, 1);
}

static void run_until(bool (*over)(void))
{
	is_over = over;
	waited_ms = 0;
	CHECK(timer_new(loop, on_watch, NULL, &watch) == 0);
	timer_set(watch, 1);
	loop_run(loop);
	timer_free(watch);
	CHECK(waited_ms <= PATIENCE_MS);
}

static bool is_drained;

static void on_drained(void *context)
{
	(void)context;
	is_drained = true;
}

static bool has_drained(void)
{
	return is_drained;
}

static void async_end(void)
{
	is_drained = false;
	async_drain(async, on_drained, NULL);
	run_until(has_drained);
	async_free(async);
}

static void end(void)
{
	async_end();
	queue_close(world->platform->queue);
	loop_free(loop);
	world_free(world);
	buf_done(&ran);
}

static void submit(str payload)
{
	CHECK(async_submit(async,
		      &(struct async_ask){
			      .account = world->scope.account,
			      .region = world->scope.region,
			      .name = S("fn"),
			      .request_id = S("00000000-0000-4000-8000-000000000000"),
			      .payload = payload,
		      }) == ASYNC_DONE);
}

static struct queue_figures figures(void)
{
	struct queue_figures all = {};

	CHECK(queue_figures(world->platform->queue, S(""), &all) == 0);
	return all;
}

static bool nothing_waits(void)
{
	struct async_counters counters;

	async_counters(async, &counters);
	return !figures().waiting && !counters.running;
}

static struct async_counters counted(void)
{
	struct async_counters counters;

	async_counters(async, &counters);
	return counters;
}

static void configure(const char *member, const char *json)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);

	CHECK_OK(world_call(world, lambda_put_function_event_invoke_config,
		"PutFunctionEventInvokeConfig", "{s:s,s:o}", "FunctionName", "fn", member, value));
}

/* --- the tests --- */

static void test_what_is_accepted_runs_once_and_is_gone(void)
{
	begin();
	submit(S("1"));
	CHECK(figures().waiting == 1);
	run_until(nothing_waits);
	CHECK_STR(buf_str(&ran), S("fn:1 "));
	CHECK(counted().accepted == 1 && counted().succeeded == 1 && counted().queued_bytes == 0);
	end();
}

static void test_a_failing_function_is_tried_three_times_and_then_kept(void)
{
	begin();
	for (int i = 0; i < 3; i++)
		script[i].is_error = true;
	submit(S("1"));
	run_until(nothing_waits);
	CHECK_STR(buf_str(&ran), S("fn:1 fn:1 fn:1 "));
	CHECK(figures().failed == 1 && counted().retried == 2 && counted().failed == 1);
	end();
}

static void test_throttles_do_not_use_up_the_attempts(void)
{
	begin();
	configure("MaximumRetryAttempts", "0");
	for (int i = 0; i < 4; i++)
		script[i].outcome = i % 2 ? INVOKE_FAULT : INVOKE_THROTTLED;
	submit(S("1"));
	run_until(nothing_waits);
	CHECK(runs == 5 && counted().succeeded == 1 && figures().failed == 0);
	end();
}

static void test_a_function_that_is_gone_is_not_tried_again(void)
{
	begin();
	script[0].outcome = INVOKE_NO_FUNCTION;
	submit(S("1"));
	run_until(nothing_waits);
	CHECK(runs == 1 && figures().failed == 1);
	end();
}

static void test_a_function_that_is_a_destination_is_invoked_with_the_record(void)
{
	begin();
	configure("DestinationConfig", "{\"OnSuccess\":{\"Destination\":\"" ARN "target\"}}");
	submit(S("1"));
	run_until(nothing_waits);
	CHECK(runs == 2 && str_starts(buf_str(&ran), S("fn:1 target:{\"version\":\"1.0\"")));
	CHECK(str_find_str(buf_str(&ran), S("\"functionArn\":\"" ARN "fn:$LATEST\"")) > 0);
	CHECK(counted().delivered == 1);
	end();
}

static void test_a_reservation_of_zero_ends_it_at_once(void)
{
	begin();
	CHECK_OK(world_call(world, lambda_put_function_concurrency, "PutFunctionConcurrency",
		"{s:s,s:i}", "FunctionName", "fn", "ReservedConcurrentExecutions", 0));
	configure("DestinationConfig", "{\"OnFailure\":{\"Destination\":\"" ARN "target\"}}");
	script[0].outcome = INVOKE_THROTTLED;
	submit(S("1"));
	run_until(nothing_waits);
	CHECK(runs == 2);
	CHECK(str_find_str(buf_str(&ran), S("\"condition\":\"ZeroReservedConcurrency\"")) > 0);
	end();
}

static void test_a_target_without_an_endpoint_is_kept_with_the_reason(void)
{
	json_t *list = NULL;

	begin();
	configure("DestinationConfig",
		"{\"OnSuccess\":{\"Destination\":\"arn:aws:sqs:us-east-1:123456789012:q\"}}");
	submit(S("1"));
	run_until(nothing_waits);
	CHECK(figures().failed == 1 && counted().delivery_failures == 1);
	CHECK(async_admin_list(async, S("123456789012/us-east-1/fn"), false, &list) == 0);
	CHECK(str_find_str(json_get_str(json_array_get(list, 0), "why"), S("destinations")) > 0);
	json_decref(list);
	end();
}

static bool has_begun(void)
{
	return runs == 1;
}

static void test_a_drain_finishes_what_runs_and_leaves_the_rest(void)
{
	begin();
	is_holding = true;
	submit(S("1"));
	run_until(has_begun);
	async_stop(async);
	submit(S("2"));
	is_holding = false;
	async_end();
	CHECK_STR(buf_str(&ran), S("fn:1 "));
	CHECK(figures().waiting == 1);
	async_begin(); /* the next start */
	async_wake(async);
	run_until(nothing_waits);
	CHECK_STR(buf_str(&ran), S("fn:1 fn:2 "));
	end();
}

static void test_a_queue_that_is_full_takes_no_more(void)
{
	begin();
	async_tune(async, &(struct async_tuning){ .wait_ms = 10, .bytes_max = 3 });
	submit(S("123"));
	CHECK(async_submit(async,
		      &(struct async_ask){ .account = S("a"),
			      .region = S("r"),
			      .name = S("n"),
			      .request_id = S("x"),
			      .payload = S("1") }) == ASYNC_FULL);
	run_until(nothing_waits);
	submit(S("456"));
	run_until(nothing_waits);
	CHECK(runs == 2);
	end();
}

static void test_what_has_failed_is_begun_again_or_forgotten(void)
{
	const str lane = S("123456789012/us-east-1/fn");
	uint64_t count = 0;

	begin();
	script[0].outcome = script[1].outcome = INVOKE_NO_QUALIFIER;
	submit(S("1"));
	run_until(nothing_waits);
	CHECK(async_admin_redrive(async, lane, &count) == 0 && count == 1);
	run_until(nothing_waits);
	CHECK(runs == 2 && figures().failed == 1);
	CHECK(async_admin_purge(async, lane, &count) == 0 && count == 1);
	CHECK(figures().failed == 0);
	end();
}

static void test_more_than_fit_at_once_all_run(void)
{
	begin();
	async_tune(async, &(struct async_tuning){ .wait_ms = 10, .bytes_max = UINT64_MAX });
	for (int i = 0; i < 1100; i++)
		submit(S("1"));
	run_until(nothing_waits);
	CHECK(runs == 1100 && counted().succeeded == 1100);
	end();
}

TESTS(TEST(test_what_is_accepted_runs_once_and_is_gone),
	TEST(test_a_failing_function_is_tried_three_times_and_then_kept),
	TEST(test_throttles_do_not_use_up_the_attempts),
	TEST(test_a_function_that_is_gone_is_not_tried_again),
	TEST(test_a_function_that_is_a_destination_is_invoked_with_the_record),
	TEST(test_a_reservation_of_zero_ends_it_at_once),
	TEST(test_a_target_without_an_endpoint_is_kept_with_the_reason),
	TEST(test_a_drain_finishes_what_runs_and_leaves_the_rest),
	TEST(test_a_queue_that_is_full_takes_no_more),
	TEST(test_what_has_failed_is_begun_again_or_forgotten),
	TEST(test_more_than_fit_at_once_all_run))
