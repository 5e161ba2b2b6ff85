#include "base/attr.h"
#include "engine/fake_logs.h"
#include "engine/fake_runtime.h"
#include "os/loop.h"

#include <string.h>
#include <unistd.h>

static struct fake_node node;

static void start(const struct engine_options *options)
{
	fake_node_start(&node, options);
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_target_put(&node, &(struct fake_target){ .name = "g" });
	fake_target_put(&node, &(struct fake_target){ .name = "h" });
}

static void test_a_warm_environment_serves_again(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;
	struct fake_call call;

	start(&(struct engine_options){});
	fake_warm(&node, "f", &sandbox, &peer);
	for (int i = 0; i < 5; i++) {
		fake_invoke_name(&node, "f", &call);
		fake_serve(&peer, &call, "\"again\"");
		fake_await(&node, &call);
		CHECK(call.outcome == INVOKE_DONE && !call.is_error);
		CHECK_STR(buf_str(&call.payload), S("\"again\""));
		CHECK_STR(str_of(call.version), S("$LATEST"));
		fake_call_done(&call);
	}
	CHECK(!fake_has_spawn(&node));
	CHECK(fake_counters(&node).spawns == 1 && fake_counters(&node).finished == 6 &&
		fake_counters(&node).idle == 1);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/* "a function's execution environments are only used to serve invocations from the specified … tenant" */
static void test_an_environment_never_serves_two_tenants(void)
{
	static const char *const tenants[] = { "blue", "green", "blue", "green", "blu" };
	struct fake_sandbox sandbox[ARRAY_LEN(tenants)];
	struct fake_peer peer[ARRAY_LEN(tenants)];
	struct fake_call call;

	start(&(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "t", .is_per_tenant = true });
	for (size_t i = 0; i < ARRAY_LEN(tenants); i++) {
		bool is_warm = i == 2 || i == 3;
		struct fake_peer *of = &peer[is_warm ? i - 2 : i];

		fake_invoke(&node, &(struct fake_ask){ .name = "t", .tenant = tenants[i] }, &call);
		if (!is_warm)
			fake_boot(&node, &sandbox[i], of);
		struct fake_reply reply = fake_receive(of);
		CHECK_STR(fake_field(&reply, "Lambda-Runtime-Aws-Tenant-Id"), str_of(tenants[i]));
		fake_respond(of, call.request_id, "1", NULL);
		CHECK(fake_receive(of).status == 202);
		fake_next(of);
		fake_await(&node, &call);
		CHECK(call.outcome == INVOKE_DONE && !fake_has_spawn(&node));
		fake_call_done(&call);
		fake_turn(&node);
	}
	CHECK(fake_counters(&node).spawns == 3);
	fake_hang_up(&peer[0]);
	fake_hang_up(&peer[1]);
	fake_hang_up(&peer[4]);
	fake_node_stop(&node);
}

static void test_who_has_tenants_is_told_which_and_nobody_else(void)
{
	struct fake_call call;

	start(&(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "t", .is_per_tenant = true });
	fake_invoke_name(&node, "t", &call);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_NO_TENANT);
	fake_call_done(&call);
	fake_invoke(&node, &(struct fake_ask){ .name = "f", .tenant = "blue" }, &call);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_TENANT_UNWANTED);
	fake_call_done(&call);
	CHECK(!fake_has_spawn(&node));
	fake_node_stop(&node);
}

/* One that has lived for its time is not given work, nor kept when it has finished some. */
static void test_a_worn_environment_is_replaced(void)
{
	struct fake_sandbox sandbox[2];
	struct fake_peer peer[2];
	struct fake_call call;

	start(&(struct engine_options){ .lifetime_ms = 1 });
	uint64_t began_ms = loop_now_ms(node.loop);
	for (int i = 0; i < 2; i++) {
		fake_invoke_name(&node, "f", &call);
		fake_boot(&node, &sandbox[i], &peer[i]);
		(void)fake_receive_event(&peer[i], call.request_id);
		while (loop_now_ms(node.loop) < began_ms + 2)
			fake_turn(&node);
		fake_respond(&peer[i], call.request_id, "1", NULL);
		CHECK(fake_receive(&peer[i]).status == 202);
		fake_await(&node, &call);
		CHECK(call.outcome == INVOKE_DONE);
		fake_call_done(&call);
		fake_next(&peer[i]);
		fake_await_kill(&node, &sandbox[i]);
		CHECK(fake_counters(&node).idle == 0);
		fake_hang_up(&peer[i]);
		fake_exit(&node, &sandbox[i], EXIT_KILLED, 0);
	}
	fake_node_stop(&node);
}

/* Two warm environments: the one that was used last is used next, and the other one ages. */
static void test_the_most_recently_used_environment_goes_first(void)
{
	struct fake_sandbox sandbox[2];
	struct fake_peer peer[2];
	struct fake_call call[2];

	start(&(struct engine_options){});
	for (int i = 0; i < 2; i++) {
		fake_invoke_name(&node, "f", &call[i]);
		fake_boot(&node, &sandbox[i], &peer[i]);
		(void)fake_receive_event(&peer[i], call[i].request_id);
	}
	for (int i = 0; i < 2; i++) { /* 0 first, then 1: 1 is the most recently used */
		fake_respond(&peer[i], call[i].request_id, "1", NULL);
		CHECK(fake_receive(&peer[i]).status == 202);
		fake_next(&peer[i]);
		fake_await(&node, &call[i]);
		fake_call_done(&call[i]);
		fake_turn(&node);
	}
	for (int i = 0; i < 3; i++) {
		fake_invoke_name(&node, "f", &call[0]);
		fake_serve(&peer[1], &call[0], "1");
		fake_await(&node, &call[0]);
		fake_call_done(&call[0]);
	}
	CHECK(fake_is_silent(&peer[0]));
	CHECK(fake_counters(&node).spawns == 2);
	fake_hang_up(&peer[0]);
	fake_hang_up(&peer[1]);
	fake_node_stop(&node);
}

static void test_a_returning_environment_serves_the_oldest_waiter(void)
{
	struct fake_sandbox sandbox, other;
	struct fake_peer peer, other_peer;
	struct fake_call first, second, third;

	start(&(struct engine_options){});
	fake_invoke_name(&node, "f", &first);
	fake_boot(&node, &sandbox, &peer);
	(void)fake_receive_event(&peer, first.request_id);
	fake_invoke_name(&node, "f", &second);
	fake_invoke_name(&node, "f", &third);
	fake_spawn(&node, &other); /* on its way for the second */
	CHECK(fake_counters(&node).waiting == 2 && fake_counters(&node).spawns == 3);

	fake_respond(&peer, first.request_id, "1", fake_next_text);
	CHECK(fake_receive(&peer).status == 202);
	(void)fake_receive_event(&peer, second.request_id); /* before `other` was up */
	fake_connect(&node, &other, &other_peer);
	fake_next(&other_peer);
	(void)fake_receive_event(&other_peer, third.request_id);
	fake_respond(&other_peer, third.request_id, "3", NULL);
	fake_respond(&peer, second.request_id, "2", NULL);
	fake_await(&node, &second);
	fake_await(&node, &third);
	CHECK_STR(buf_str(&second.payload), S("2"));
	CHECK_STR(buf_str(&third.payload), S("3"));
	fake_call_done(&first);
	fake_call_done(&second);
	fake_call_done(&third);
	fake_hang_up(&peer);
	fake_hang_up(&other_peer);
	fake_node_stop(&node);
}

static void test_each_waiter_has_a_start_and_no_more(void)
{
	struct fake_sandbox sandbox[3];
	struct fake_call call[3];

	start(&(struct engine_options){});
	for (int i = 0; i < 3; i++)
		fake_invoke_name(&node, "f", &call[i]);
	for (int i = 0; i < 3; i++)
		fake_await_spawn(&node, &sandbox[i]);
	CHECK(!fake_has_spawn(&node));
	for (int i = 0; i < 3; i++) {
		fake_no_start(&node, &sandbox[i], "cgroup", 12);
		fake_await(&node, &call[i]);
		CHECK(call[i].outcome == INVOKE_FAULT);
		fake_call_done(&call[i]);
	}
	CHECK(!fake_has_spawn(&node));
	CHECK(fake_counters(&node).spawn_failures == 3);
	fake_node_stop(&node);
}

static void test_an_idle_environment_is_stopped_after_its_time(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;

	start(&(struct engine_options){ .idle_ms = 20 });
	fake_warm(&node, "f", &sandbox, &peer);
	fake_await_kill(&node, &sandbox);
	CHECK(fake_counters(&node).environments == 1 &&
		fake_counters(&node).idle == 0); /* its place is not free yet */
	fake_exit(&node, &sandbox, EXIT_KILLED, 9);
	fake_await_close(&peer);
	CHECK(fake_counters(&node).environments == 0 && fake_counters(&node).crashes == 0);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static void test_a_full_node_stops_who_is_idle_longest(void)
{
	struct fake_sandbox f, g, h;
	struct fake_peer f_peer, g_peer, h_peer;
	struct fake_call call;

	start(&(struct engine_options){ .environments_max = 2 });
	fake_warm(&node, "f", &f, &f_peer);
	fake_warm(&node, "g", &g, &g_peer);
	fake_invoke_name(&node, "h", &call);
	fake_await_kill(&node, &f);
	CHECK(!fake_is_kill_asked(&node, &g));
	CHECK(!fake_has_spawn(&node)); /* its place is not free before it is gone */
	fake_exit(&node, &f, EXIT_KILLED, 9);
	fake_boot(&node, &h, &h_peer);
	fake_serve(&h_peer, &call, "1");
	fake_await(&node, &call);
	CHECK(fake_counters(&node).evictions == 1 && fake_counters(&node).environments == 2);
	fake_call_done(&call);
	fake_hang_up(&f_peer);
	fake_hang_up(&g_peer);
	fake_hang_up(&h_peer);
	fake_node_stop(&node);
}

/* One waiter lacks one place: a second idle environment is left alone, also when more happens. */
static void test_no_more_are_stopped_than_lack_a_place(void)
{
	struct fake_sandbox f, g[2];
	struct fake_peer f_peer, g_peer[2];
	struct fake_call call[2], waiter;

	start(&(struct engine_options){ .environments_max = 3 });
	fake_warm(&node, "f", &f, &f_peer);
	for (int i = 0; i < 2; i++) {
		fake_invoke_name(&node, "g", &call[i]);
		fake_boot(&node, &g[i], &g_peer[i]);
		(void)fake_receive_event(&g_peer[i], call[i].request_id);
	}
	fake_invoke_name(&node, "h", &waiter);
	fake_await_kill(&node, &f);
	for (int i = 0; i < 2; i++) { /* they come back while f is dying */
		fake_respond(&g_peer[i], call[i].request_id, "1", fake_next_text);
		fake_await(&node, &call[i]);
		fake_call_done(&call[i]);
		fake_turn(&node);
	}
	CHECK(!fake_is_kill_asked(&node, &g[0]) && !fake_is_kill_asked(&node, &g[1]));
	CHECK(fake_counters(&node).evictions == 1 && fake_counters(&node).idle == 2);
	fake_exit(&node, &f, EXIT_KILLED, 9);
	fake_await_spawn(&node, &f);
	fake_no_start(&node, &f, "cgroup", 12);
	fake_await(&node, &waiter);
	fake_call_done(&waiter);
	fake_hang_up(&f_peer);
	for (int i = 0; i < 2; i++)
		fake_hang_up(&g_peer[i]);
	fake_node_stop(&node);
}

/* A node full of busy environments: the next one that is free is stopped for the waiter of another function. */
static void test_a_place_that_becomes_free_goes_to_who_waits_for_it(void)
{
	struct fake_sandbox f, g;
	struct fake_peer f_peer, g_peer;
	struct fake_call busy, waiter;

	start(&(struct engine_options){ .environments_max = 1 });
	fake_invoke_name(&node, "f", &busy);
	fake_boot(&node, &f, &f_peer);
	(void)fake_receive_event(&f_peer, busy.request_id);
	fake_invoke_name(&node, "g", &waiter);
	CHECK(!fake_has_spawn(&node) && !fake_is_kill_asked(&node, &f));
	fake_respond(&f_peer, busy.request_id, "1", fake_next_text);
	fake_await_kill(&node, &f);
	fake_exit(&node, &f, EXIT_KILLED, 9);
	fake_boot(&node, &g, &g_peer);
	fake_serve(&g_peer, &waiter, "2");
	fake_await(&node, &waiter);
	CHECK_STR(buf_str(&waiter.payload), S("2"));
	fake_call_done(&busy);
	fake_call_done(&waiter);
	fake_hang_up(&f_peer);
	fake_hang_up(&g_peer);
	fake_node_stop(&node);
}

/* f has three waiters, g one: the second place is g's. */
static void test_places_go_round(void)
{
	struct fake_sandbox h, next[4];
	struct fake_peer h_peer;
	struct fake_call busy, f[3], g;

	start(&(struct engine_options){ .environments_max = 1 });
	fake_invoke_name(&node, "h", &busy);
	fake_boot(&node, &h, &h_peer);
	(void)fake_receive_event(&h_peer, busy.request_id);
	for (int i = 0; i < 3; i++)
		fake_invoke_name(&node, "f", &f[i]);
	fake_loads_await(&node, 2);
	fake_turn(&node);
	fake_invoke_name(&node, "g", &g);
	fake_loads_await(&node, 3);
	fake_turn(&node);
	fake_hang_up(&h_peer);
	fake_exit(&node, &h, EXIT_STATUS, 1);
	for (int i = 0; i < 4; i++) {
		fake_await_spawn(&node, &next[i]);
		CHECK_STR(fake_env(&next[i], "AWS_LAMBDA_FUNCTION_NAME"), i == 1 ? S("g") : S("f"));
		fake_no_start(&node, &next[i], "cgroup", 12);
	}
	for (int i = 0; i < 3; i++) {
		fake_await(&node, &f[i]);
		fake_call_done(&f[i]);
	}
	fake_await(&node, &g);
	fake_await(&node, &busy);
	CHECK(g.order < f[1].order);
	fake_call_done(&g);
	fake_call_done(&busy);
	fake_node_stop(&node);
}

static void test_who_waits_too_long_for_a_place_is_throttled(void)
{
	struct fake_sandbox f;
	struct fake_peer f_peer;
	struct fake_call busy, waiter;

	start(&(struct engine_options){ .environments_max = 1, .queue_ms = 20 });
	fake_invoke_name(&node, "f", &busy);
	fake_boot(&node, &f, &f_peer);
	(void)fake_receive_event(&f_peer, busy.request_id);
	fake_invoke_name(&node, "g", &waiter);
	fake_await(&node, &waiter);
	CHECK(waiter.outcome == INVOKE_THROTTLED);
	CHECK_STR(str_of(waiter.detail), S("ConcurrentInvocationLimitExceeded"));
	CHECK(!busy.is_done && fake_counters(&node).throttled == 1 &&
		fake_counters(&node).waiting == 0);
	fake_respond(&f_peer, busy.request_id, "1", NULL);
	fake_await(&node, &busy);
	fake_call_done(&busy);
	fake_call_done(&waiter);
	fake_hang_up(&f_peer);
	fake_node_stop(&node);
}

/* Its environment is on its way: that may take longer than the wait for a place. */
static void test_who_has_a_starting_environment_is_not_throttled(void)
{
	struct fake_sandbox f;
	struct fake_peer f_peer;
	struct fake_call first, second;

	start(&(struct engine_options){ .environments_max = 1, .queue_ms = 20 });
	fake_invoke_name(&node, "f", &first);
	fake_spawn(&node, &f);
	fake_invoke_name(&node, "f", &second); /* no place for it */
	fake_await(&node, &second);
	CHECK(second.outcome == INVOKE_THROTTLED && !first.is_done);
	fake_connect(&node, &f, &f_peer);
	fake_next(&f_peer);
	fake_serve(&f_peer, &first, "1");
	fake_await(&node, &first);
	CHECK(first.outcome == INVOKE_DONE);
	fake_call_done(&first);
	fake_call_done(&second);
	fake_hang_up(&f_peer);
	fake_node_stop(&node);
}

/* The parked connection has died, and an invocation comes in the same turn: it goes elsewhere. */
static void test_an_environment_that_just_hung_up_gets_nothing(void)
{
	struct fake_sandbox old, fresh;
	struct fake_peer old_peer, peer;
	struct fake_call call;

	start(&(struct engine_options){});
	fake_warm(&node, "f", &old, &old_peer);
	fake_hang_up(&old_peer);
	fake_turn(&node);
	fake_invoke_name(&node, "f", &call);
	fake_await_kill(&node, &old);
	fake_boot(&node, &fresh, &peer);
	fake_exit(&node, &old, EXIT_KILLED, 9);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_DONE && !call.is_error);
	fake_call_done(&call);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/* The warden has told its end, which is dealt with when the turn is over; an invocation comes before that. */
static void test_an_environment_that_has_just_ended_gets_nothing(void)
{
	struct fake_sandbox old, fresh;
	struct fake_peer old_peer, peer;
	struct fake_call call;

	start(&(struct engine_options){});
	fake_warm(&node, "f", &old, &old_peer);
	engine_on_exited(node.engine,
		&(struct exited_frame){
			.head = { FRAME_EXITED, 0, old.spawn.head.ticket },
			.handle = old.handle,
			.kind = EXIT_SIGNAL,
			.value = 9,
		});
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &fresh, &peer);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_DONE && !call.is_error);
	CHECK(fake_counters(&node).environments == 1);
	fake_call_done(&call);
	fake_hang_up(&old_peer);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/*
 * The runtime hangs up on its long poll, and the answer of another invocation makes a third one take the
 * environment in the very turn in which the end of the connection was read.
 */
struct same_turn {
	struct fake_call *call;
	struct deferred task;
	struct loop *loop;
	int fd;
};

static void on_hang_up_seen(struct deferred *task)
{
	struct same_turn *turn = list_entry(task, struct same_turn, task);

	fake_invoke_name(&node, "f", turn->call);
}

static void on_readable(void *context, unsigned events)
{
	struct same_turn *turn = context;

	(void)events;
	loop_defer(turn->loop, &turn->task);
}

static void test_an_invocation_in_the_turn_of_the_hang_up_is_not_lost(void)
{
	struct fake_sandbox old, fresh;
	struct fake_peer old_peer, peer;
	struct fake_call call;
	int pair[2];
	struct watch *watch;
	struct same_turn turn = { .call = &call, .task = { .run = on_hang_up_seen } };

	start(&(struct engine_options){});
	fake_warm(&node, "f", &old, &old_peer);
	turn.loop = node.loop;
	/* A descriptor that becomes ready before the connection's end: its task runs before on_gone. */
	CHECK(pipe(pair) == 0);
	CHECK(watch_new(node.loop, pair[0], WATCH_READ, on_readable, &turn, &watch) == 0);
	CHECK(write(pair[1], "x", 1) == 1);
	fake_hang_up(&old_peer);
	fake_turn(&node);
	watch_free(watch);
	close(pair[0]);
	close(pair[1]);

	fake_await_kill(&node, &old);
	fake_exit(&node, &old, EXIT_KILLED, 9);
	fake_boot(&node, &fresh, &peer);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_DONE && !call.is_error);
	fake_call_done(&call);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

TESTS(TEST(test_a_warm_environment_serves_again),
	TEST(test_the_most_recently_used_environment_goes_first),
	TEST(test_a_returning_environment_serves_the_oldest_waiter),
	TEST(test_each_waiter_has_a_start_and_no_more),
	TEST(test_an_idle_environment_is_stopped_after_its_time),
	TEST(test_a_full_node_stops_who_is_idle_longest),
	TEST(test_no_more_are_stopped_than_lack_a_place),
	TEST(test_a_place_that_becomes_free_goes_to_who_waits_for_it), TEST(test_places_go_round),
	TEST(test_who_waits_too_long_for_a_place_is_throttled),
	TEST(test_who_has_a_starting_environment_is_not_throttled),
	TEST(test_an_environment_that_just_hung_up_gets_nothing),
	TEST(test_an_environment_that_has_just_ended_gets_nothing),
	TEST(test_an_invocation_in_the_turn_of_the_hang_up_is_not_lost),
	TEST(test_an_environment_never_serves_two_tenants),
	TEST(test_who_has_tenants_is_told_which_and_nobody_else),
	TEST(test_a_worn_environment_is_replaced))
