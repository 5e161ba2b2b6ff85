#include "engine/measure.h"

#include "base/attr.h"
#include "engine/fake_logs.h"
#include "engine/fake_runtime.h"

#include <stdio.h>

static struct fake_node node;

/* What was counted, added up over all series. */
struct sum {
	uint64_t invocations, errors, throttles, running_us;
	uint64_t durations, inits, in_steps;
	unsigned functions, runtimes, nameless;
};

static void add_function(void *context, const struct measure_function *function)
{
	struct sum *sum = context;

	sum->functions++;
	sum->nameless += !function->name.len;
	sum->invocations += function->invocations;
	sum->errors += function->errors;
	sum->throttles += function->throttles;
	sum->running_us += function->running_us;
}

static void add_runtime(void *context, const struct measure_runtime *runtime)
{
	struct sum *sum = context;

	sum->runtimes++;
	sum->durations += runtime->duration.count;
	sum->inits += runtime->init.count;
	for (size_t i = 0; i < MEASURE_STEPS; i++)
		sum->in_steps += runtime->duration.steps[i];
}

static struct sum sum_all(void)
{
	struct sum sum = {};

	engine_each_measure(node.engine, add_function, &sum);
	engine_each_runtime_measure(node.engine, add_runtime, &sum);
	return sum;
}

static void test_what_ran_is_counted_with_its_errors_and_times(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;
	struct fake_call call;

	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	CHECK(sum_all().functions == 0);
	fake_warm(&node, "f", &sandbox, &peer);
	fake_invoke_name(&node, "f", &call);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	fake_call_done(&call);
	struct sum sum = sum_all();
	CHECK(sum.functions == 1 && sum.nameless == 0 && sum.runtimes == 1);
	CHECK(sum.invocations == 2 && sum.errors == 0 && sum.throttles == 0);
	CHECK(sum.durations == 2 && sum.in_steps == 2 && sum.inits == 1 && sum.running_us > 0);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static void test_what_never_ran_is_no_invocation(void)
{
	struct fake_call call;

	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "f", .reserved = 1 });
	fake_invoke_name(&node, "f", &call);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_THROTTLED);
	fake_call_done(&call);
	fake_invoke_name(&node, "nobody", &call);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_NO_FUNCTION);
	fake_call_done(&call);
	struct sum sum = sum_all();
	CHECK(sum.functions == 1 && sum.invocations == 0 && sum.throttles == 1);
	fake_node_stop(&node);
}

static void test_the_number_of_series_has_a_bound(void)
{
	struct fake_call call;
	char name[16];

	fake_node_start(&node, &(struct engine_options){});
	for (int i = 0; i < MEASURE_FUNCTIONS_MAX + 3; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		fake_target_put(&node, &(struct fake_target){ .name = name, .reserved = 1 });
		fake_invoke_name(&node, name, &call);
		fake_await(&node, &call);
		fake_call_done(&call);
	}
	struct sum sum = sum_all();
	CHECK(sum.functions == MEASURE_FUNCTIONS_MAX + 1 && sum.nameless == 1);
	CHECK(sum.throttles == MEASURE_FUNCTIONS_MAX + 3);
	fake_node_stop(&node);
}

TESTS(TEST(test_what_ran_is_counted_with_its_errors_and_times),
	TEST(test_what_never_ran_is_no_invocation), TEST(test_the_number_of_series_has_a_bound))
