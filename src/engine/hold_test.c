#include "base/attr.h"
#include "engine/fake_runtime.h"
#include "os/loop.h"

enum { WARM = 3 };

static struct fake_node node;
static struct fake_sandbox sandbox[WARM];
static struct fake_peer peer[WARM];
static bool is_processor_free;
static unsigned looks;

static bool has_free_processor(void *context)
{
	(void)context;
	looks++;
	return is_processor_free;
}

static void finish(struct fake_peer *of, struct fake_call *call)
{
	fake_respond(of, call->request_id, "1", NULL);
	CHECK(fake_receive(of).status == 202);
	fake_next(of);
	fake_await(&node, call);
	CHECK(call->outcome == INVOKE_DONE && !call->is_error);
	fake_call_done(call);
}

/* So many idle environments; the last one goes first. One invocation at a time keeps the processors busy. */
static void start(unsigned warm, struct engine_options options)
{
	struct fake_call call[WARM];

	options.hold_above = 1;
	options.has_free_processor = has_free_processor;
	is_processor_free = true;
	looks = 0;
	fake_node_start(&node, &options);
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	for (unsigned i = 0; i < warm; i++) {
		fake_invoke_name(&node, "f", &call[i]);
		fake_boot(&node, &sandbox[i], &peer[i]);
		(void)fake_receive_event(&peer[i], call[i].request_id);
	}
	for (unsigned i = 0; i < warm; i++) {
		finish(&peer[i], &call[i]);
		fake_turn(&node);
	}
	CHECK(fake_counters(&node).idle == warm);
	is_processor_free = false;
}

static void stop(unsigned warm)
{
	for (unsigned i = 0; i < warm; i++)
		fake_hang_up(&peer[i]);
	fake_node_stop(&node);
}

static void test_a_busy_environment_takes_them_in_order(void)
{
	struct fake_call call[3];

	start(3, (struct engine_options){});
	for (int i = 0; i < 3; i++)
		fake_invoke_name(&node, "f", &call[i]);
	CHECK(fake_counters(&node).waiting == 2 && fake_counters(&node).idle == 2);
	for (int i = 0; i < 3; i++) {
		(void)fake_receive_event(&peer[2], call[i].request_id);
		finish(&peer[2], &call[i]);
	}
	CHECK(fake_is_silent(&peer[0]) && fake_is_silent(&peer[1]));
	CHECK(fake_counters(&node).idle == 3 && !fake_counters(&node).waiting);
	CHECK(fake_counters(&node).spawns == 3);
	stop(3);
}

static void test_a_free_processor_gets_work(void)
{
	struct fake_call call[2];

	start(2, (struct engine_options){});
	is_processor_free = true;
	for (int i = 0; i < 2; i++) {
		fake_invoke_name(&node, "f", &call[i]);
		CHECK(fake_counters(&node).waiting ==
			(i ? 1 : 0)); /* until the loop finds nothing else */
	}
	(void)fake_receive_event(&peer[1], call[0].request_id);
	(void)fake_receive_event(&peer[0], call[1].request_id);
	finish(&peer[0], &call[1]);
	finish(&peer[1], &call[0]);
	CHECK(fake_counters(&node).spawns == 2);
	stop(2);
}

/* The processors are looked at again without anything happening. */
static void test_a_processor_that_becomes_free_is_noticed(void)
{
	struct fake_call call[2];

	start(2, (struct engine_options){});
	for (int i = 0; i < 2; i++)
		fake_invoke_name(&node, "f", &call[i]);
	(void)fake_receive_event(&peer[1], call[0].request_id);
	fake_sleep(&node, 5);
	CHECK(looks > 0 && fake_counters(&node).waiting == 1);
	is_processor_free = true;
	(void)fake_receive_event(&peer[0], call[1].request_id);
	finish(&peer[0], &call[1]);
	finish(&peer[1], &call[0]);
	stop(2);
}

static void test_nobody_is_held_for_long(void)
{
	struct fake_call call[2];

	start(2, (struct engine_options){ .hold_ms = 10 });
	for (int i = 0; i < 2; i++)
		fake_invoke_name(&node, "f", &call[i]);
	(void)fake_receive_event(&peer[1], call[0].request_id);
	(void)fake_receive_event(&peer[0], call[1].request_id); /* no processor ever was free */
	finish(&peer[0], &call[1]);
	finish(&peer[1], &call[0]);
	stop(2);
}

/* Four at a time need four environments; it is only which are used that is put off. */
static void test_what_is_started_is_the_same(void)
{
	struct fake_call call[4];
	struct fake_sandbox more[2];
	struct fake_peer more_peer[2];

	start(2, (struct engine_options){});
	for (int i = 0; i < 4; i++)
		fake_invoke_name(&node, "f", &call[i]);
	(void)fake_receive_event(&peer[1], call[0].request_id);
	for (int i = 0; i < 2; i++) {
		fake_boot(&node, &more[i], &more_peer[i]);
		(void)fake_receive_event(&more_peer[i], call[1 + i].request_id);
	}
	CHECK(!fake_has_spawn(&node) && fake_counters(&node).waiting == 1);
	finish(&more_peer[0], &call[1]);
	(void)fake_receive_event(&more_peer[0], call[3].request_id);
	finish(&more_peer[0], &call[3]);
	finish(&more_peer[1], &call[2]);
	finish(&peer[1], &call[0]);
	fake_hang_up(&more_peer[0]);
	fake_hang_up(&more_peer[1]);
	stop(2);
}

/* The idle one ends: who is held lacks an environment now. */
static void test_who_is_held_outlives_what_it_could_have_had(void)
{
	struct fake_call call[2];
	struct fake_sandbox fresh;
	struct fake_peer fresh_peer;

	start(2, (struct engine_options){});
	for (int i = 0; i < 2; i++)
		fake_invoke_name(&node, "f", &call[i]);
	(void)fake_receive_event(&peer[1], call[0].request_id);
	fake_exit(&node, &sandbox[0], EXIT_SIGNAL, 9);
	fake_boot(&node, &fresh, &fresh_peer);
	(void)fake_receive_event(&fresh_peer, call[1].request_id);
	finish(&fresh_peer, &call[1]);
	finish(&peer[1], &call[0]);
	fake_hang_up(&fresh_peer);
	stop(2);
}

static void test_a_caller_who_goes_is_not_held(void)
{
	struct fake_call call[2];

	start(2, (struct engine_options){});
	for (int i = 0; i < 2; i++)
		fake_invoke_name(&node, "f", &call[i]);
	(void)fake_receive_event(&peer[1], call[0].request_id);
	invocation_abandon(call[1].invocation);
	CHECK(!fake_counters(&node).waiting);
	is_processor_free = true;
	fake_sleep(&node, 5);
	CHECK(fake_is_silent(&peer[0]));
	finish(&peer[1], &call[0]);
	fake_call_done(&call[1]);
	stop(2);
}

TESTS(TEST(test_a_busy_environment_takes_them_in_order), TEST(test_a_free_processor_gets_work),
	TEST(test_a_processor_that_becomes_free_is_noticed), TEST(test_nobody_is_held_for_long),
	TEST(test_what_is_started_is_the_same),
	TEST(test_who_is_held_outlives_what_it_could_have_had),
	TEST(test_a_caller_who_goes_is_not_held))
