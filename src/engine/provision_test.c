#include "engine/provision.h"

#include "engine/fake_logs.h"
#include "engine/fake_runtime.h"

#include <string.h>

static struct fake_node node;
static uint64_t revision;

static void start(const struct engine_options *options)
{
	fake_node_start(&node, options);
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_target_put(&node, &(struct fake_target){ .name = "f", .qualifier = "1" });
	fake_target_put(&node, &(struct fake_target){ .name = "f", .qualifier = "2" });
	fake_target_put(&node, &(struct fake_target){ .name = "g" });
	revision = 0;
}

/* So many for the alias of f, which leads to this version. */
static void provision(const char *version, uint32_t requested)
{
	fake_provision(&node, ++revision, "f", "live", version, requested);
}

static struct provision_figures figures(void)
{
	struct provision_figures now = {};

	CHECK(engine_provision_figures(
		node.engine, S("000000000000"), S("us-east-1"), S("f"), S("live"), &now));
	return now;
}

static bool is_ready(void *context)
{
	(void)context;
	return figures().status == PROVISION_READY;
}

static bool is_failed(void *context)
{
	(void)context;
	return figures().status == PROVISION_FAILED;
}

static void boot_all(struct fake_sandbox sandbox[], struct fake_peer peer[], int count)
{
	for (int i = 0; i < count; i++)
		fake_boot(&node, &sandbox[i], &peer[i]);
	fake_until(&node, is_ready, NULL);
}

static void hang_up(struct fake_peer peer[], int count)
{
	for (int i = 0; i < count; i++)
		fake_hang_up(&peer[i]);
}

/* Ask for version `qualifier` of f. */
static void invoke(const char *qualifier, struct fake_call *call)
{
	fake_invoke(&node, &(struct fake_ask){ .name = "f", .qualifier = qualifier }, call);
}

/* It is served by this environment. */
static void check_served(struct fake_peer *peer, struct fake_call *call)
{
	fake_serve(peer, call, "1");
	fake_await(&node, call);
	CHECK(call->outcome == INVOKE_DONE && !call->is_error);
	fake_call_done(call);
	fake_turn(&node);
}

static void test_environments_are_there_before_anybody_asks(void)
{
	struct fake_sandbox sandbox[2];
	struct fake_peer peer[2];
	struct fake_call call;

	start(&(struct engine_options){});
	provision("1", 2);
	CHECK(figures().status == PROVISION_IN_PROGRESS && figures().requested == 2);
	fake_boot(&node, &sandbox[0], &peer[0]);
	CHECK_STR(fake_env(&sandbox[0], "AWS_LAMBDA_INITIALIZATION_TYPE"),
		S("provisioned-concurrency"));
	CHECK_STR(fake_env(&sandbox[0], "AWS_LAMBDA_FUNCTION_VERSION"), S("1"));
	fake_spawn(&node, &sandbox[1]);
	CHECK(figures().status == PROVISION_IN_PROGRESS && figures().allocated <= 1);
	fake_connect(&node, &sandbox[1], &peer[1]);
	fake_next(&peer[1]);
	fake_until(&node, is_ready, NULL);
	CHECK(figures().allocated == 2 && fake_counters(&node).idle == 2);
	invoke("1", &call);
	check_served(&peer[0], &call); /* the one that was ready first */
	CHECK(!fake_has_spawn(&node) && fake_counters(&node).spawns == 2);
	fake_logs_await(&node, "INIT_REPORT Init Duration: ");
	hang_up(peer, 2);
	fake_node_stop(&node);
}

static void test_what_is_too_much_spills_over(void)
{
	struct fake_sandbox ready, extra;
	struct fake_peer peer, extra_peer;
	struct fake_call call[2];

	start(&(struct engine_options){});
	provision("1", 1);
	boot_all(&ready, &peer, 1);
	invoke("1", &call[0]);
	(void)fake_receive_event(&peer, call[0].request_id);
	invoke("1", &call[1]);
	fake_boot(&node, &extra, &extra_peer);
	CHECK_STR(fake_env(&extra, "AWS_LAMBDA_INITIALIZATION_TYPE"), S("on-demand"));
	check_served(&extra_peer, &call[1]);
	fake_respond(&peer, call[0].request_id, "1", NULL);
	CHECK(fake_receive(&peer).status == 202);
	fake_next(&peer);
	fake_await(&node, &call[0]);
	fake_call_done(&call[0]);
	for (int i = 0; i < 2; i++) { /* both are free now: the provisioned one is used */
		fake_turn(&node);
		invoke("1", &call[0]);
		check_served(&peer, &call[0]);
	}
	hang_up(&peer, 1);
	hang_up(&extra_peer, 1);
	fake_node_stop(&node);
}

static void test_it_is_neither_reaped_nor_stopped_to_make_room(void)
{
	struct fake_sandbox ready;
	struct fake_peer peer;
	struct fake_call call;

	start(&(struct engine_options){ .environments_max = 1, .idle_ms = 1, .queue_ms = 20 });
	provision("1", 1);
	boot_all(&ready, &peer, 1);
	fake_invoke_name(&node, "g", &call);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_THROTTLED);
	fake_call_done(&call);
	CHECK(!fake_is_kill_asked(&node, &ready) && figures().status == PROVISION_READY);
	hang_up(&peer, 1);
	fake_node_stop(&node);
}

static void test_one_that_dies_is_replaced(void)
{
	struct fake_sandbox sandbox[2];
	struct fake_peer peer[2];

	start(&(struct engine_options){});
	provision("1", 1);
	boot_all(sandbox, peer, 1);
	fake_exit(&node, &sandbox[0], EXIT_SIGNAL, 9);
	fake_boot(&node, &sandbox[1], &peer[1]);
	fake_until(&node, is_ready, NULL);
	CHECK(fake_counters(&node).environments == 1 && figures().allocated == 1);
	hang_up(peer, 2);
	fake_node_stop(&node);
}

static void test_fewer_leave_the_rest_as_ordinary_ones(void)
{
	struct fake_sandbox sandbox[3];
	struct fake_peer peer[3];

	start(&(struct engine_options){ .idle_ms = 30 });
	provision("1", 3);
	boot_all(sandbox, peer, 3);
	provision("1", 1);
	CHECK(figures().status == PROVISION_READY && figures().allocated == 1);
	for (int i = 1; i < 3; i++) { /* they age now */
		fake_await_kill(&node, &sandbox[i]);
		fake_exit(&node, &sandbox[i], EXIT_KILLED, 9);
	}
	CHECK(!fake_is_kill_asked(&node, &sandbox[0]) && !fake_has_spawn(&node));
	hang_up(peer, 3);
	fake_node_stop(&node);
}

static void test_none_is_wanted_any_more(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;
	struct provision_figures none;

	start(&(struct engine_options){ .idle_ms = 30 });
	provision("1", 1);
	boot_all(&sandbox, &peer, 1);
	fake_provision(&node, ++revision, "f", NULL, NULL, 0);
	CHECK(!engine_provision_figures(
		node.engine, S("000000000000"), S("us-east-1"), S("f"), S("live"), &none));
	fake_await_kill(&node, &sandbox);
	fake_exit(&node, &sandbox, EXIT_KILLED, 9);
	hang_up(&peer, 1);
	fake_node_stop(&node);
}

static void test_an_old_plan_has_no_effect(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;

	start(&(struct engine_options){});
	fake_provision(&node, 7, "f", "live", "1", 1);
	fake_provision(&node, 6, "f", "live", "1", 5);
	fake_provision(&node, 5, "f", NULL, NULL, 0);
	CHECK(figures().requested == 1);
	boot_all(&sandbox, &peer, 1);
	CHECK(!fake_has_spawn(&node));
	hang_up(&peer, 1);
	fake_node_stop(&node);
}

/* Those of the old version serve it until those of the new one are ready, and then they age. */
static void test_it_moves_with_its_alias(void)
{
	struct fake_sandbox old, fresh;
	struct fake_peer old_peer, fresh_peer;
	struct fake_call call;

	start(&(struct engine_options){ .idle_ms = 30 });
	provision("1", 1);
	boot_all(&old, &old_peer, 1);
	provision("2", 1);
	CHECK(figures().status == PROVISION_IN_PROGRESS && figures().allocated == 1);
	fake_boot(&node, &fresh, &fresh_peer);
	CHECK_STR(fake_env(&fresh, "AWS_LAMBDA_FUNCTION_VERSION"), S("2"));
	fake_until(&node, is_ready, NULL);
	CHECK(figures().allocated == 1);
	invoke("2", &call);
	check_served(&fresh_peer, &call);
	fake_await_kill(&node, &old);
	fake_exit(&node, &old, EXIT_KILLED, 9);
	CHECK(!fake_is_kill_asked(&node, &fresh));
	hang_up(&old_peer, 1);
	hang_up(&fresh_peer, 1);
	fake_node_stop(&node);
}

static void test_it_is_failed_after_three_failures_in_a_row_and_goes_on_trying(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;

	start(&(struct engine_options){});
	provision("1", 1);
	for (int i = 0; i < 3; i++) {
		CHECK(figures().status == PROVISION_IN_PROGRESS && !figures().reason);
		fake_spawn(&node, &sandbox);
		fake_exit(&node, &sandbox, EXIT_STATUS, 1);
	}
	fake_until(&node, is_failed, NULL);
	CHECK_STR(str_of(figures().reason), S("FUNCTION_ERROR_INIT_FAILURE"));
	CHECK(figures().allocated == 0 && fake_counters(&node).crashes == 3);
	boot_all(&sandbox, &peer, 1);
	CHECK(figures().allocated == 1 && !figures().reason);
	hang_up(&peer, 1);
	fake_node_stop(&node);
}

/* Who waits is not told about a failure of one that is provisioned. */
static void test_a_failure_is_no_invocations_own(void)
{
	struct fake_sandbox provisioned, other;
	struct fake_peer peer;
	struct fake_call call;

	start(&(struct engine_options){});
	provision("1", 1);
	fake_spawn(&node, &provisioned);
	invoke("1", &call);
	fake_spawn(&node, &other); /* it has one of its own coming */
	fake_exit(&node, &provisioned, EXIT_STATUS, 1);
	fake_connect(&node, &other, &peer);
	fake_next(&peer);
	check_served(&peer, &call);
	fake_spawn(&node, &provisioned); /* again, after a pause */
	hang_up(&peer, 1);
	fake_node_stop(&node);
}

static void test_one_that_is_ready_first_serves_who_waits(void)
{
	struct fake_sandbox provisioned, other;
	struct fake_peer peer;
	struct fake_call call;

	start(&(struct engine_options){});
	provision("1", 1);
	fake_spawn(&node, &provisioned);
	invoke("1", &call);
	fake_await_spawn(&node, &other);
	fake_connect(&node, &provisioned, &peer);
	fake_next(&peer);
	check_served(&peer, &call);
	fake_no_start(&node, &other, "cgroup", 12);
	hang_up(&peer, 1);
	fake_node_stop(&node);
}

/* A reservation of one, provisioned: nothing is left for another version. */
static void test_provisioned_seats_are_the_versions(void)
{
	struct fake_sandbox ready;
	struct fake_peer peer;
	struct fake_call call;

	start(&(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "f", .reserved = 1 + 1 });
	fake_target_put(
		&node, &(struct fake_target){ .name = "f", .qualifier = "1", .reserved = 1 + 1 });
	provision("1", 1);
	boot_all(&ready, &peer, 1);
	for (int i = 0; i < 2; i++) {
		invoke("$LATEST", &call);
		fake_await(&node, &call);
		CHECK(call.outcome == INVOKE_THROTTLED);
		CHECK_STR(str_of(call.detail),
			S("ReservedFunctionConcurrentInvocationLimitExceeded"));
		fake_call_done(&call);
		invoke("1", &call);
		check_served(&peer, &call);
	}
	hang_up(&peer, 1);
	fake_node_stop(&node);
}

/* The account's last seat is taken, but a provisioned one is none of these. */
static void test_provisioned_seats_are_beside_the_shared_ones(void)
{
	struct fake_sandbox ready, g;
	struct fake_peer peer;
	struct fake_call busy, call, refused;

	start(&(struct engine_options){ .account_concurrency = 2 });
	provision("1", 1);
	boot_all(&ready, &peer, 1);
	engine_set_aside(node.engine, S("000000000000"), S("us-east-1"), 1, 9);
	fake_invoke_name(&node, "g", &busy);
	fake_await_spawn(&node, &g);
	invoke("1", &call);
	(void)fake_receive_event(&peer, call.request_id);
	invoke("1", &refused);
	fake_await(&node, &refused);
	CHECK(refused.outcome == INVOKE_THROTTLED);
	CHECK_STR(str_of(refused.detail), S("ConcurrentInvocationLimitExceeded"));
	fake_call_done(&refused);
	fake_respond(&peer, call.request_id, "1", NULL);
	fake_await(&node, &call);
	fake_call_done(&call);
	fake_no_start(&node, &g, "cgroup", 12);
	fake_await(&node, &busy);
	fake_call_done(&busy);
	hang_up(&peer, 1);
	fake_node_stop(&node);
}

/* Frozen and thawed like any other, and never stopped. */
static void test_it_is_frozen_while_nobody_asks(void)
{
	struct fake_sandbox ready;
	struct fake_peer peer;
	struct fake_call call;

	start(&(struct engine_options){ .freeze_ms = 1, .idle_ms = 10 });
	provision("1", 1);
	boot_all(&ready, &peer, 1);
	fake_await_order(&node, &ready, FRAME_FREEZE);
	invoke("1", &call);
	check_served(&peer, &call);
	fake_await_order(&node, &ready, FRAME_THAW);
	fake_await_order(&node, &ready, FRAME_FREEZE);
	CHECK(!fake_is_kill_asked(&node, &ready) && figures().status == PROVISION_READY);
	hang_up(&peer, 1);
	fake_node_stop(&node);
}

static void test_a_reset_forgets_it(void)
{
	struct fake_sandbox ready;
	struct fake_peer peer;

	start(&(struct engine_options){});
	provision("1", 1);
	boot_all(&ready, &peer, 1);
	engine_reset(node.engine, NULL, NULL);
	fake_await_kill(&node, &ready);
	fake_exit(&node, &ready, EXIT_KILLED, 9);
	CHECK(!fake_has_spawn(&node));
	hang_up(&peer, 1);
	fake_node_stop(&node);
}

TESTS(TEST(test_environments_are_there_before_anybody_asks),
	TEST(test_what_is_too_much_spills_over),
	TEST(test_it_is_neither_reaped_nor_stopped_to_make_room),
	TEST(test_one_that_dies_is_replaced), TEST(test_fewer_leave_the_rest_as_ordinary_ones),
	TEST(test_none_is_wanted_any_more), TEST(test_an_old_plan_has_no_effect),
	TEST(test_it_moves_with_its_alias),
	TEST(test_it_is_failed_after_three_failures_in_a_row_and_goes_on_trying),
	TEST(test_a_failure_is_no_invocations_own),
	TEST(test_one_that_is_ready_first_serves_who_waits),
	TEST(test_provisioned_seats_are_the_versions),
	TEST(test_provisioned_seats_are_beside_the_shared_ones),
	TEST(test_it_is_frozen_while_nobody_asks), TEST(test_a_reset_forgets_it))
