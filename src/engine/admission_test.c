#include "engine/fake_runtime.h"
#include "os/loop.h"

static struct fake_node node;

static void start(const struct engine_options *options)
{
	fake_node_start(&node, options);
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_target_put(&node, &(struct fake_target){ .name = "g" });
}

/* Invoke, and it must be refused for this reason. */
static void check_throttled(const char *name, const char *reason, const char *message)
{
	struct fake_call call;

	fake_invoke_name(&node, name, &call);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_THROTTLED);
	CHECK_STR(str_of(call.detail), str_of(reason));
	CHECK_STR(str_of(call.throttle_message), str_of(message));
	CHECK(call.retry_after_s >= 1);
	fake_call_done(&call);
}

/* Invoke, and an environment is started for it. */
static void begin(const char *name, struct fake_call *call, struct fake_sandbox *sandbox)
{
	fake_invoke_name(&node, name, call);
	fake_await_spawn(&node, sandbox);
}

/* That environment does not come to be: the call is over. */
static void finish(struct fake_call *call, struct fake_sandbox *sandbox)
{
	fake_no_start(&node, sandbox, "cgroup", 12);
	fake_await(&node, call);
	fake_call_done(call);
}

static void test_a_reservation_is_a_limit(void)
{
	struct fake_sandbox sandbox[3];
	struct fake_call call[3];

	start(&(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "r", .reserved = 1 + 2 });
	for (int i = 0; i < 2; i++)
		begin("r", &call[i], &sandbox[i]);
	check_throttled("r", "ReservedFunctionConcurrentInvocationLimitExceeded", "Rate Exceeded.");
	begin("f", &call[2], &sandbox[2]); /* nobody else's */
	finish(&call[2], &sandbox[2]);
	finish(&call[0], &sandbox[0]);
	begin("r", &call[0], &sandbox[0]); /* a seat is free again */
	finish(&call[1], &sandbox[1]);	   /* the oldest waiter is told first */
	finish(&call[0], &sandbox[0]);
	fake_node_stop(&node);
}

static void test_no_reservation_at_all_stops_a_function(void)
{
	start(&(struct engine_options){ .invocation_rate = 10 });
	fake_target_put(&node, &(struct fake_target){ .name = "r", .reserved = 1 });
	check_throttled("r", "ReservedFunctionConcurrentInvocationLimitExceeded", "Rate Exceeded.");
	fake_node_stop(&node);
}

static void test_functions_without_a_reservation_share_what_is_left(void)
{
	struct fake_sandbox sandbox[3];
	struct fake_call call[3];

	start(&(struct engine_options){ .account_concurrency = 5 });
	fake_target_put(
		&node, &(struct fake_target){ .name = "r", .reserved = 1 + 3, .set_aside = 3 });
	begin("r", &call[2], &sandbox[2]); /* with it comes what is set aside: 3 of 5 */
	begin("f", &call[0], &sandbox[0]);
	begin("g", &call[1], &sandbox[1]);
	check_throttled("f", "ConcurrentInvocationLimitExceeded", "Rate Exceeded.");
	check_throttled("g", "ConcurrentInvocationLimitExceeded", "Rate Exceeded.");
	finish(&call[0], &sandbox[0]);
	begin("f", &call[0], &sandbox[0]);
	for (int i = 0; i < 3; i++)
		finish(&call[i], &sandbox[i]);
	fake_node_stop(&node);
}

static void test_the_newest_word_about_what_is_set_aside_counts(void)
{
	struct fake_sandbox sandbox[2];
	struct fake_call call[2];

	start(&(struct engine_options){ .account_concurrency = 2 });
	begin("f", &call[0], &sandbox[0]);
	engine_set_aside(node.engine, S("000000000000"), S("us-east-1"), 1, 9);
	check_throttled("g", "ConcurrentInvocationLimitExceeded", "Rate Exceeded.");
	engine_set_aside(node.engine, S("000000000000"), S("us-east-1"), 0, 8);
	check_throttled("g", "ConcurrentInvocationLimitExceeded", "Rate Exceeded.");
	engine_set_aside(node.engine, S("000000000000"), S("eu-west-1"), 0, 10);
	check_throttled("g", "ConcurrentInvocationLimitExceeded", "Rate Exceeded.");
	engine_set_aside(node.engine, S("000000000000"), S("us-east-1"), 0, 10);
	begin("g", &call[1], &sandbox[1]);
	finish(&call[0], &sandbox[0]);
	finish(&call[1], &sandbox[1]);
	fake_node_stop(&node);
}

/* One unit of concurrency, three requests a second: of six in one turn three are too many. */
static void check_rate(
	const char *name, const char *full, const char *too_many, const char *message)
{
	struct fake_sandbox sandbox;
	struct fake_call call[6];

	for (int i = 0; i < 6; i++)
		fake_invoke_name(&node, name, &call[i]);
	fake_await_spawn(&node, &sandbox);
	for (int i = 1; i < 6; i++) {
		fake_await(&node, &call[i]);
		CHECK(call[i].outcome == INVOKE_THROTTLED && call[i].retry_after_s == 1);
		CHECK_STR(str_of(call[i].detail), str_of(i < 3 ? full : too_many));
		CHECK_STR(str_of(call[i].throttle_message),
			str_of(i < 3 ? "Rate Exceeded." : message));
		fake_call_done(&call[i]);
	}
	finish(&call[0], &sandbox);
}

static void test_requests_have_a_rate(void)
{
	start(&(struct engine_options){ .account_concurrency = 1, .invocation_rate = 3 });
	check_rate("f", "ConcurrentInvocationLimitExceeded", "CallerRateLimitExceeded",
		"Rate exceeded");
	fake_node_stop(&node);
}

static void test_a_reservation_has_a_rate_of_its_own(void)
{
	start(&(struct engine_options){ .invocation_rate = 3 });
	fake_target_put(&node, &(struct fake_target){ .name = "r", .reserved = 1 + 1 });
	check_rate("r", "ReservedFunctionConcurrentInvocationLimitExceeded",
		"ReservedFunctionInvocationRateLimitExceeded", "Rate Exceeded.");
	fake_node_stop(&node);
}

static void test_a_function_scales_at_a_rate(void)
{
	struct fake_sandbox sandbox[3];
	struct fake_call call[3];

	start(&(struct engine_options){ .scaling_rate = 2 });
	for (int i = 0; i < 3; i++)
		fake_invoke_name(&node, "f", &call[i]);
	for (int i = 0; i < 2; i++)
		fake_await_spawn(&node, &sandbox[i]);
	fake_await(&node, &call[2]);
	CHECK(call[2].outcome == INVOKE_THROTTLED);
	CHECK_STR(str_of(call[2].detail), S("FunctionInvocationRateLimitExceeded"));
	CHECK(call[2].retry_after_s >= 4 && call[2].retry_after_s <= 5); /* a half of ten seconds */
	CHECK(fake_counters(&node).spawns == 2 && fake_counters(&node).throttled == 1);
	fake_call_done(&call[2]);
	begin("g", &call[2], &sandbox[2]); /* another function scales by itself */
	for (int i = 0; i < 3; i++)
		finish(&call[i], &sandbox[i]);
	fake_node_stop(&node);
}

/* Who is served without a start has not used the rate. */
static void test_warm_environments_need_no_scaling(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;
	struct fake_call call;

	start(&(struct engine_options){ .scaling_rate = 1 });
	fake_warm(&node, "f", &sandbox, &peer);
	for (int i = 0; i < 3; i++) {
		fake_invoke_name(&node, "f", &call);
		fake_serve(&peer, &call, "1");
		fake_await(&node, &call);
		CHECK(call.outcome == INVOKE_DONE);
		fake_call_done(&call);
	}
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

TESTS(TEST(test_a_reservation_is_a_limit), TEST(test_no_reservation_at_all_stops_a_function),
	TEST(test_functions_without_a_reservation_share_what_is_left),
	TEST(test_the_newest_word_about_what_is_set_aside_counts), TEST(test_requests_have_a_rate),
	TEST(test_a_reservation_has_a_rate_of_its_own), TEST(test_a_function_scales_at_a_rate),
	TEST(test_warm_environments_need_no_scaling))
