#include "engine/capacity.h"

#include "base/attr.h"
#include "engine/fake_logs.h"
#include "engine/fake_runtime.h"
#include "os/clock.h"

#include <string.h>

static struct fake_node node;

static void start(const struct engine_options *options)
{
	fake_node_start(&node, options);
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_target_put(&node, &(struct fake_target){ .name = "g" });
	fake_target_put(&node, &(struct fake_target){ .name = "h" });
}

static str function_of(const struct fake_sandbox *sandbox)
{
	return fake_env(sandbox, "AWS_LAMBDA_FUNCTION_NAME");
}

static void abandon(struct fake_call *call)
{
	invocation_abandon(call->invocation);
	fake_call_done(call);
}

/* --- starts --- */

enum { MANY = 300, STARTS = 4 };
static struct fake_call many[MANY];

/* Hundreds of cold starts of f are queued. */
static void flood(struct fake_sandbox starting[static STARTS])
{
	for (int i = 0; i < MANY; i++)
		fake_invoke_name(&node, "f", &many[i]);
	for (int i = 0; i < STARTS; i++)
		fake_await_spawn(&node, &starting[i]);
	CHECK(!fake_has_spawn(&node));
	CHECK(fake_counters(&node).waiting == MANY && fake_counters(&node).starting == STARTS);
}

/* Nobody waits any more, and these starts fail. */
static void ebb(struct fake_sandbox starting[], int count)
{
	for (int i = 0; i < MANY; i++)
		abandon(&many[i]);
	for (int i = 0; i < count; i++)
		fake_no_start(&node, &starting[i], "cgroup", 12);
}

static void test_a_warm_function_answers_while_hundreds_of_starts_are_queued(void)
{
	struct fake_sandbox warm, starting[STARTS];
	struct fake_peer peer;
	struct fake_call call;

	start(&(struct engine_options){ .starts_max = STARTS, .environments_max = 1000 });
	fake_warm(&node, "g", &warm, &peer);
	flood(starting);
	for (int i = 0; i < 3; i++) {
		fake_invoke_name(&node, "g", &call);
		fake_serve(&peer, &call, "1");
		fake_await(&node, &call);
		CHECK(call.outcome == INVOKE_DONE && !call.is_error);
		fake_call_done(&call);
	}
	CHECK(fake_counters(&node).waiting == MANY && fake_counters(&node).spawns == 1 + STARTS);
	ebb(starting, STARTS);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static void serve_again(struct fake_peer *peer)
{
	struct fake_call call;

	fake_invoke_name(&node, "g", &call);
	fake_serve(peer, &call, "1");
	fake_await(&node, &call);
	fake_call_done(&call);
}

static void test_beside_others_that_work_fewer_start_at_a_time(void)
{
	struct fake_sandbox warm, starting[STARTS], last;
	struct fake_peer peer, started[2];

	start(&(struct engine_options){
		.starts_max = STARTS, .starts_beside = 1, .environments_max = 1000 });
	fake_warm(&node, "g", &warm, &peer);
	for (int i = 0; i < MANY; i++)
		fake_invoke_name(&node, "f", &many[i]);
	serve_again(&peer);
	fake_await_spawn(&node, &starting[0]);
	serve_again(&peer);
	CHECK(fake_counters(&node).starting == 1);
	/* It ends: there is another one instead. */
	fake_spawned(&node, &starting[0]);
	fake_connect(&node, &starting[0], &started[0]);
	fake_next(&started[0]);
	fake_await_spawn(&node, &last);
	CHECK(fake_counters(&node).starting == 1);
	/* And when g has rested for a while, as many as ever. */
	uint64_t alone_ms = clock_mono_ms() + 150;
	while (clock_mono_ms() < alone_ms)
		fake_turn(&node);
	fake_spawned(&node, &last);
	fake_connect(&node, &last, &started[1]);
	fake_next(&started[1]);
	for (int i = 0; i < STARTS; i++)
		fake_await_spawn(&node, &starting[i]);
	ebb(starting, STARTS);
	for (int i = 0; i < 2; i++)
		fake_hang_up(&started[i]);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/* The start that becomes free goes to the function that has had none. */
static void test_a_cold_function_is_not_behind_hundreds_of_another(void)
{
	struct fake_sandbox starting[STARTS], next[2];
	struct fake_peer peer[2];
	struct fake_call call;

	start(&(struct engine_options){ .starts_max = STARTS, .environments_max = 1000 });
	flood(starting);
	fake_invoke_name(&node, "h", &call);
	fake_loads_await(&node, 2);
	fake_turn(&node);
	CHECK(!fake_has_spawn(&node));
	for (int i = 0; i < 2; i++) { /* two starts end: one is f's next, one is h's */
		fake_spawned(&node, &starting[i]);
		fake_connect(&node, &starting[i], &peer[i]);
		fake_next(&peer[i]);
		fake_await_spawn(&node, &next[i]);
	}
	CHECK_STR(function_of(&next[0]), S("f"));
	CHECK_STR(function_of(&next[1]), S("h"));
	CHECK(fake_counters(&node).starting == STARTS &&
		fake_counters(&node).waiting == MANY - 2 + 1);
	abandon(&call);
	ebb(starting + 2, STARTS - 2);
	for (int i = 0; i < 2; i++)
		fake_no_start(&node, &next[i], "cgroup", 12);
	for (int i = 0; i < 2; i++)
		fake_hang_up(&peer[i]);
	fake_node_stop(&node);
}

static void test_an_initialisation_that_waits_does_not_keep_others_from_starting(void)
{
	struct fake_sandbox slow, other;
	struct fake_peer peer;
	struct fake_call waiting, call;

	start(&(struct engine_options){ .starts_max = 1 });
	fake_invoke_name(&node, "f", &waiting);
	fake_spawn(&node, &slow); /* and never asks for an event */
	fake_invoke_name(&node, "g", &call);
	fake_boot(&node, &other, &peer);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_DONE && !waiting.is_done);
	fake_call_done(&call);
	abandon(&waiting);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static void test_a_failed_start_makes_room_for_the_next(void)
{
	struct fake_sandbox sandbox[2];
	struct fake_call call[2];

	start(&(struct engine_options){ .starts_max = 1 });
	for (int i = 0; i < 2; i++)
		fake_invoke_name(&node, i ? "g" : "f", &call[i]);
	for (int i = 0; i < 2; i++) {
		fake_await_spawn(&node, &sandbox[i]);
		CHECK(!fake_has_spawn(&node));
		fake_no_start(&node, &sandbox[i], "cgroup", 12);
		fake_await(&node, &call[i]);
		fake_call_done(&call[i]);
	}
	fake_node_stop(&node);
}

/* That queue moves by itself. The second function's only limit is the start of the first. */
static void test_who_waits_for_a_start_is_not_throttled(void)
{
	struct fake_sandbox sandbox, other;
	struct fake_call first, second, third;

	start(&(struct engine_options){ .starts_max = 1, .environments_max = 2, .queue_ms = 1 });
	fake_invoke_name(&node, "f", &first);
	fake_await_spawn(&node, &sandbox);
	fake_invoke_name(&node, "g", &second);
	fake_loads_await(&node, 2);
	for (int i = 0; i < 50; i++) /* each at least a millisecond */
		fake_turn(&node);
	CHECK(!second.is_done && fake_counters(&node).throttled == 0);
	fake_spawned(&node, &sandbox);
	fake_await_spawn(&node, &other);
	fake_invoke_name(&node, "h", &third); /* but this one lacks a place */
	fake_await(&node, &third);
	CHECK(third.outcome == INVOKE_THROTTLED);
	CHECK_STR(str_of(third.throttle_message),
		S("Rate Exceeded. This node runs as many execution environments as it may: 2."));
	fake_call_done(&third);
	fake_no_start(&node, &other, "cgroup", 12);
	fake_await(&node, &second);
	fake_call_done(&second);
	abandon(&first);
	fake_node_stop(&node);
}

/* --- memory --- */

static const struct engine_options reserved = { .is_memory_reserved = true, .memory_mb = 256 };

static void test_memory_is_made_by_those_that_are_idle_longest(void)
{
	struct fake_sandbox f, g, h;
	struct fake_peer f_peer, g_peer, h_peer;
	struct fake_call call;

	start(&reserved);
	fake_warm(&node, "f", &f, &f_peer);
	fake_warm(&node, "g", &g, &g_peer);
	CHECK(fake_counters(&node).memory_mb == 256 && fake_counters(&node).memory_mb_max == 256);
	fake_invoke_name(&node, "h", &call);
	fake_await_kill(&node, &f);
	CHECK(!fake_is_kill_asked(&node, &g));
	CHECK(fake_counters(&node).memory_mb == 256 &&
		!fake_has_spawn(&node)); /* it still has it */
	fake_exit(&node, &f, EXIT_KILLED, 9);
	fake_boot(&node, &h, &h_peer);
	fake_serve(&h_peer, &call, "1");
	fake_await(&node, &call);
	CHECK(fake_counters(&node).evictions == 1 && fake_counters(&node).memory_mb == 256);
	fake_call_done(&call);
	fake_hang_up(&f_peer);
	fake_hang_up(&g_peer);
	fake_hang_up(&h_peer);
	fake_node_stop(&node);
}

/* A large one needs the memory of two. */
static void test_as_many_make_room_as_it_takes(void)
{
	struct fake_sandbox f, g, large;
	struct fake_peer f_peer, g_peer;
	struct fake_call call;

	start(&reserved);
	fake_target_put(&node, &(struct fake_target){ .name = "large", .memory_mb = 200 });
	fake_warm(&node, "f", &f, &f_peer);
	fake_warm(&node, "g", &g, &g_peer);
	fake_invoke_name(&node, "large", &call);
	fake_await_kill(&node, &f);
	fake_await_kill(&node, &g);
	fake_exit(&node, &f, EXIT_KILLED, 9);
	CHECK(!fake_has_spawn(&node));
	fake_exit(&node, &g, EXIT_KILLED, 9);
	fake_await_spawn(&node, &large);
	CHECK(fake_counters(&node).memory_mb == 200);
	fake_no_start(&node, &large, "cgroup", 12);
	fake_await(&node, &call);
	fake_call_done(&call);
	fake_hang_up(&f_peer);
	fake_hang_up(&g_peer);
	fake_node_stop(&node);
}

static void test_who_finds_no_memory_in_time_is_told_so(void)
{
	struct fake_sandbox sandbox[2];
	struct fake_call call[2], late;
	struct engine_options options = reserved;

	options.queue_ms = 20;
	start(&options);
	for (int i = 0; i < 2; i++) {
		fake_invoke_name(&node, "f", &call[i]);
		fake_await_spawn(&node, &sandbox[i]);
	}
	fake_invoke_name(&node, "g", &late);
	fake_await(&node, &late);
	CHECK(late.outcome == INVOKE_THROTTLED);
	CHECK_STR(str_of(late.detail), S("ConcurrentInvocationLimitExceeded"));
	CHECK_STR(str_of(late.throttle_message),
		S("Rate Exceeded. The memory of this node is in use: 256 of 256 MB, and 128 MB are "
		  "needed."));
	fake_call_done(&late);
	for (int i = 0; i < 2; i++) {
		fake_no_start(&node, &sandbox[i], "cgroup", 12);
		fake_await(&node, &call[i]);
		fake_call_done(&call[i]);
	}
	fake_node_stop(&node);
}

/* What is too large for the moment does not hold up what fits. */
static void test_a_small_function_passes_a_large_one(void)
{
	struct fake_sandbox f, g;
	struct fake_call busy, large, small;

	start(&reserved);
	fake_target_put(&node, &(struct fake_target){ .name = "large", .memory_mb = 200 });
	fake_invoke_name(&node, "f", &busy);
	fake_await_spawn(&node, &f);
	fake_invoke_name(&node, "large", &large);
	fake_loads_await(&node, 2);
	fake_turn(&node);
	fake_invoke_name(&node, "g", &small);
	fake_await_spawn(&node, &g);
	CHECK_STR(function_of(&g), S("g"));
	abandon(&large);
	fake_no_start(&node, &f, "cgroup", 12);
	fake_no_start(&node, &g, "cgroup", 12);
	fake_await(&node, &busy);
	fake_await(&node, &small);
	fake_call_done(&busy);
	fake_call_done(&small);
	fake_node_stop(&node);
}

static bool is_measured(void *context)
{
	(void)context;
	return fake_counters(&node).memory_mb == 12;
}

/* By default it is what they use that counts; the next one of the version is counted like it. */
static void test_what_is_used_counts(void)
{
	struct fake_sandbox f, second;
	struct fake_peer peer;
	struct fake_call call[2];

	start(&(struct engine_options){
		.freeze_ms = 1 }); /* it is read before the freeze at the latest */
	fake_invoke_name(&node, "f", &call[0]);
	fake_boot(&node, &f, &peer);
	CHECK(fake_counters(&node).memory_mb == 32); /* a guess */
	fake_use_memory(&f, 12);
	fake_serve(&peer, &call[0], "1");
	fake_await(&node, &call[0]);
	fake_until(&node, is_measured, NULL);
	fake_call_done(&call[0]);
	for (int i = 0; i < 2; i++)
		fake_invoke_name(&node, "f", &call[i]);
	fake_await_spawn(&node, &second);
	CHECK(fake_counters(&node).memory_mb == 24);
	fake_no_start(&node, &second, "cgroup", 12);
	fake_await(&node, &call[1]);
	fake_serve(&peer, &call[0], "1");
	fake_await(&node, &call[0]);
	for (int i = 0; i < 2; i++)
		fake_call_done(&call[i]);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/* --- frozen --- */

static void test_an_idle_environment_is_frozen_and_thawed_before_its_event(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;
	struct fake_call call;

	start(&(struct engine_options){ .freeze_ms = 1 });
	fake_warm(&node, "f", &sandbox, &peer);
	for (unsigned i = 1; i <= 2; i++) {
		fake_await_order(&node, &sandbox, FRAME_FREEZE);
		CHECK(fake_counters(&node).frozen == 1 && fake_counters(&node).idle == 0 &&
			fake_counters(&node).freezes == i);
		CHECK(!fake_has_order(&node, &sandbox, FRAME_THAW));
		fake_invoke_name(&node, "f", &call);
		(void)fake_receive_event(&peer, call.request_id);
		CHECK(fake_counters(&node).frozen == 0 && fake_counters(&node).busy == 1);
		CHECK(fake_has_order(&node, &sandbox, FRAME_THAW)); /* was asked for before */
		fake_await_order(&node, &sandbox, FRAME_THAW);
		fake_respond(&peer, call.request_id, "1", NULL);
		CHECK(fake_receive(&peer).status == 202);
		fake_next(&peer);
		fake_await(&node, &call);
		CHECK(call.outcome == INVOKE_DONE && !call.is_error);
		fake_call_done(&call);
	}
	CHECK(fake_counters(&node).spawns == 1);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static void test_a_frozen_environment_is_stopped_after_its_time(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;

	start(&(struct engine_options){ .freeze_ms = 1, .idle_ms = 20 });
	fake_warm(&node, "f", &sandbox, &peer);
	fake_await_order(&node, &sandbox, FRAME_FREEZE);
	fake_await_kill(&node, &sandbox);
	fake_exit(&node, &sandbox, EXIT_KILLED, 9);
	fake_await_close(&peer);
	CHECK(fake_counters(&node).environments == 0 && fake_counters(&node).frozen == 0 &&
		fake_counters(&node).crashes == 0);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static void test_a_frozen_environment_makes_room(void)
{
	struct fake_sandbox f, g;
	struct fake_peer peer;
	struct fake_call call;

	start(&(struct engine_options){ .freeze_ms = 1, .environments_max = 1 });
	fake_warm(&node, "f", &f, &peer);
	fake_await_order(&node, &f, FRAME_FREEZE);
	fake_invoke_name(&node, "g", &call);
	fake_await_kill(&node, &f);
	fake_exit(&node, &f, EXIT_KILLED, 9);
	fake_await_spawn(&node, &g);
	fake_no_start(&node, &g, "cgroup", 12);
	fake_await(&node, &call);
	fake_call_done(&call);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/* Its sandbox ends from outside: nobody was waiting for it, nothing has crashed. */
static void test_a_frozen_environment_may_die(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;

	start(&(struct engine_options){ .freeze_ms = 1 });
	fake_warm(&node, "f", &sandbox, &peer);
	fake_await_order(&node, &sandbox, FRAME_FREEZE);
	fake_exit(&node, &sandbox, EXIT_SIGNAL, 9);
	fake_await_close(&peer);
	CHECK(fake_counters(&node).crashes == 0 && fake_counters(&node).frozen == 0);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/* Freezing does not make it younger: the one used last is still used next, the other goes first. */
static void test_freezing_keeps_the_order(void)
{
	struct fake_sandbox sandbox[2], g;
	struct fake_peer peer[2];
	struct fake_call call[2];

	start(&(struct engine_options){ .freeze_ms = 1, .environments_max = 2 });
	for (int i = 0; i < 2; i++) {
		fake_invoke_name(&node, "f", &call[i]);
		fake_boot(&node, &sandbox[i], &peer[i]);
		(void)fake_receive_event(&peer[i], call[i].request_id);
	}
	for (int i = 0; i < 2; i++) {
		fake_respond(&peer[i], call[i].request_id, "1", NULL);
		CHECK(fake_receive(&peer[i]).status == 202);
		fake_next(&peer[i]);
		fake_await(&node, &call[i]);
		fake_call_done(&call[i]);
	}
	for (int i = 1; i >= 0; i--)
		fake_await_order(&node, &sandbox[i], FRAME_FREEZE);
	fake_invoke_name(&node, "f", &call[0]);
	fake_serve(&peer[1], &call[0], "1");
	fake_await(&node, &call[0]);
	fake_call_done(&call[0]);
	CHECK(fake_is_silent(&peer[0]));
	fake_invoke_name(&node, "g", &call[0]);
	fake_await_kill(&node, &sandbox[0]);
	CHECK(!fake_is_kill_asked(&node, &sandbox[1]));
	fake_exit(&node, &sandbox[0], EXIT_KILLED, 9);
	fake_await_spawn(&node, &g);
	fake_no_start(&node, &g, "cgroup", 12);
	fake_await(&node, &call[0]);
	fake_call_done(&call[0]);
	for (int i = 0; i < 2; i++)
		fake_hang_up(&peer[i]);
	fake_node_stop(&node);
}

TESTS(TEST(test_a_warm_function_answers_while_hundreds_of_starts_are_queued),
	TEST(test_beside_others_that_work_fewer_start_at_a_time),
	TEST(test_a_cold_function_is_not_behind_hundreds_of_another),
	TEST(test_an_initialisation_that_waits_does_not_keep_others_from_starting),
	TEST(test_a_failed_start_makes_room_for_the_next),
	TEST(test_who_waits_for_a_start_is_not_throttled),
	TEST(test_memory_is_made_by_those_that_are_idle_longest),
	TEST(test_as_many_make_room_as_it_takes), TEST(test_who_finds_no_memory_in_time_is_told_so),
	TEST(test_a_small_function_passes_a_large_one), TEST(test_what_is_used_counts),
	TEST(test_an_idle_environment_is_frozen_and_thawed_before_its_event),
	TEST(test_a_frozen_environment_is_stopped_after_its_time),
	TEST(test_a_frozen_environment_makes_room), TEST(test_a_frozen_environment_may_die),
	TEST(test_freezing_keeps_the_order))
