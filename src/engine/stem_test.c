#include "engine/fake_logs.h"
#include "engine/fake_runtime.h"
#include "engine/stem.h"
#include "model/limits.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static struct fake_node node;

#define ASK_FOR_FUNCTION \
	"GET /2018-06-01/runtime/mayfly/stem HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n"

static void start(unsigned stems)
{
	static const str early[] = { S_INIT("PYTHONHASHSEED=1") };

	fake_node_start(&node, &(struct engine_options){ .stems_max = stems });
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_target_put(&node, &(struct fake_target){ .name = "g" });
	fake_target_put(&node, &(struct fake_target){ .name = "n", .runtime = "provided.al2023" });
	fake_target_put(
		&node, &(struct fake_target){ .name = "early", .env = early, .env_count = 1 });
}

static bool is_ready(void *context)
{
	return stems_ready(node.engine) == *(unsigned *)context;
}

/* The next spawn is a stem's: it boots, and waits for its function. */
static void boot_stem(struct fake_sandbox *sandbox, struct fake_peer *peer)
{
	unsigned wanted = stems_ready(node.engine) + 1;

	fake_await_spawn(&node, sandbox);
	CHECK(!sandbox->spawn.function.has_code && sandbox->spawn.start == START_FORK);
	CHECK_STR(fake_env(sandbox, "MAYFLY_STEM"), S("1"));
	CHECK(!fake_env(sandbox, "_HANDLER").at && !fake_env(sandbox, "AWS_REGION").at);
	fake_spawned(&node, sandbox);
	fake_connect(&node, sandbox, peer);
	fake_send(peer, S(ASK_FOR_FUNCTION));
	fake_until(&node, is_ready, &wanted);
}

/* One function was used, so there is a stem. */
static void start_with_stem(struct fake_sandbox *stem, struct fake_peer *stem_peer)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;
	struct fake_call call;

	start(1);
	fake_invoke_name(&node, "f", &call);
	fake_await_warm(&node);
	fake_boot(&node, &sandbox, &peer);
	CHECK(sandbox.spawn.start == START_FORK && sandbox.spawn.function.has_code);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	fake_call_done(&call);
	boot_stem(stem, stem_peer);
	fake_hang_up(&peer);
}

static void test_a_start_takes_the_stem_that_waits(void)
{
	struct fake_sandbox stem;
	struct fake_peer peer;
	struct fake_call call;

	start_with_stem(&stem, &peer);
	fake_print(&stem, "of no function\n");
	fake_invoke_name(&node, "g", &call);
	fake_await_graft(&node, &stem);
	CHECK(stem.spawn.function.memory_mb == 128 && stem.spawn.function.code[0] == 1);
	CHECK(fake_is_silent(&peer)); /* its code is not there yet */
	fake_grafted(&node, &stem, 0);
	struct fake_reply reply = fake_receive(&peer);
	CHECK(reply.status == 200);
	CHECK(str_find_str(reply.body, S("AWS_LAMBDA_FUNCTION_NAME=g")) >= 0);
	CHECK(str_find_str(reply.body, S("_HANDLER=index.handler")) >= 0);
	CHECK(str_ends(reply.body, (str){ "", 1 })); /* each ends with its NUL */
	fake_next(&peer);
	fake_serve(&peer, &call, "\"g\"");
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_DONE && !call.is_error);
	CHECK(fake_counters(&node).births[1] == 0 && fake_counters(&node).births[2] == 1);
	fake_logs_await(&node, "REPORT RequestId: ");
	CHECK(!fake_logs_in_order(node.platform.logs, (const char *[]){ "of no function", NULL }));
	fake_call_done(&call);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static void test_a_taken_stem_is_replaced(void)
{
	struct fake_sandbox stem, next;
	struct fake_peer peer, next_peer;
	struct fake_call call;

	start_with_stem(&stem, &peer);
	fake_invoke_name(&node, "g", &call);
	fake_await_graft(&node, &stem);
	fake_grafted(&node, &stem, 0);
	(void)fake_receive(&peer);
	fake_next(&peer);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	fake_call_done(&call);
	boot_stem(&next, &next_peer);
	CHECK(stems_count(node.engine) == 1);
	fake_hang_up(&peer);
	fake_hang_up(&next_peer);
	fake_node_stop(&node);
}

/* The call is answered by an environment that is no stem, and the node ends. */
static void check_served_without_stem(struct fake_call *call)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;

	fake_await_spawn(&node, &sandbox);
	while (!sandbox.spawn.function.has_code) /* the next stem may come first */
		fake_await_spawn(&node, &sandbox);
	fake_spawned(&node, &sandbox);
	fake_connect(&node, &sandbox, &peer);
	fake_next(&peer);
	fake_serve(&peer, call, "1");
	fake_await(&node, call);
	CHECK(call->outcome == INVOKE_DONE && !call->is_error);
	fake_call_done(call);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/* Who waited for it is not told: it gets another environment, which is no stem. */
static void test_a_stem_that_cannot_have_the_code_costs_nobody_an_answer(void)
{
	struct fake_sandbox stem;
	struct fake_peer peer;
	struct fake_call call;

	start_with_stem(&stem, &peer);
	fake_invoke_name(&node, "g", &call);
	fake_await_graft(&node, &stem);
	fake_grafted(&node, &stem, ENOENT);
	fake_hang_up(&peer);
	fake_exit(&node, &stem, EXIT_SIGNAL, SIGKILL);
	check_served_without_stem(&call);
}

static void test_a_stem_that_dies_while_it_is_given_code_is_replaced_too(void)
{
	struct fake_sandbox stem;
	struct fake_peer peer;
	struct fake_call call;

	start_with_stem(&stem, &peer);
	fake_invoke_name(&node, "g", &call);
	fake_await_graft(&node, &stem);
	fake_hang_up(&peer);
	fake_turn(&node);
	fake_grafted(&node, &stem, 0);
	fake_exit(&node, &stem, EXIT_STATUS, 1);
	check_served_without_stem(&call);
}

static void test_a_waiting_stem_that_hangs_up_is_killed_and_replaced(void)
{
	struct fake_sandbox stem, next;
	struct fake_peer peer, next_peer;

	start_with_stem(&stem, &peer);
	fake_hang_up(&peer);
	fake_await_kill(&node, &stem);
	fake_exit(&node, &stem, EXIT_KILLED, 0);
	boot_stem(&next, &next_peer);
	fake_hang_up(&next_peer);
	fake_node_stop(&node);
}

static void test_stems_that_do_not_start_are_not_tried_for_ever(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;
	struct fake_call call;

	start(1);
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	fake_call_done(&call);
	for (int i = 0; i < 3; i++) {
		struct fake_sandbox stem;
		fake_await_spawn(&node, &stem);
		fake_no_start(&node, &stem, "exec", ENOENT);
	}
	for (int i = 0; i < 40; i++)
		fake_turn(&node);
	CHECK(!fake_has_spawn(&node) && stems_count(node.engine) == 0);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static void test_what_an_interpreter_reads_at_its_start_leaves_only_exec(void)
{
	struct fake_sandbox stem, sandbox;
	struct fake_peer peer, other;
	struct fake_call call;

	start_with_stem(&stem, &peer);
	fake_invoke_name(&node, "early", &call);
	fake_boot(&node, &sandbox, &other);
	CHECK(sandbox.spawn.start == START_EXEC && sandbox.spawn.function.has_code);
	fake_serve(&other, &call, "1");
	fake_await(&node, &call);
	CHECK(stems_ready(node.engine) == 1);
	fake_call_done(&call);
	fake_hang_up(&other);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/* Python does not care, but the node's pack says that it does. */
static void test_a_stem_serves_functions_of_the_memory_it_was_started_for(void)
{
	struct fake_sandbox stem, big, sandbox;
	struct fake_peer peer, big_peer, other;
	struct fake_call call;

	start_with_stem(&stem, &peer);
	CHECK_STR(fake_env(&stem, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), S("128"));
	CHECK(!fake_env(&stem, "AWS_EXECUTION_ENV").at);
	fake_target_put(&node, &(struct fake_target){ .name = "big", .memory_mb = 512 });
	fake_invoke_name(&node, "big", &call);
	fake_boot(&node, &sandbox, &other);
	CHECK(sandbox.spawn.function.has_code && sandbox.spawn.function.memory_mb == 512);
	fake_serve(&other, &call, "1");
	fake_await(&node, &call);
	fake_call_done(&call);
	fake_await_kill(&node, &stem); /* it makes way for one of that size */
	fake_hang_up(&peer);
	fake_exit(&node, &stem, EXIT_KILLED, 0);
	boot_stem(&big, &big_peer);
	CHECK_STR(fake_env(&big, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), S("512"));
	fake_hang_up(&other);
	fake_hang_up(&big_peer);
	fake_node_stop(&node);
}

static void test_a_pack_that_cannot_wait_has_no_stems(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;

	start(4);
	fake_warm(&node, "n", &sandbox, &peer);
	CHECK(sandbox.spawn.start == START_EXEC);
	for (int i = 0; i < 40; i++)
		fake_turn(&node);
	CHECK(!fake_has_spawn(&node) && stems_count(node.engine) == 0);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/* --- spares --- */

static void test_a_first_use_has_another_environment_started(void)
{
	struct fake_sandbox sandbox, spare;
	struct fake_peer peer, spare_peer;
	struct fake_call first, second;

	fake_node_start(&node, &(struct engine_options){ .spares_max = 1 });
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_invoke_name(&node, "f", &first);
	fake_boot(&node, &sandbox, &peer);
	(void)fake_receive_event(&peer, first.request_id);
	fake_boot(&node, &spare, &spare_peer); /* nobody waits for it */
	unsigned idle = 1;
	while (fake_counters(&node).idle != idle)
		fake_turn(&node);
	fake_invoke_name(&node, "f", &second); /* and somebody does not wait for long */
	fake_serve(&spare_peer, &second, "2");
	fake_await(&node, &second);
	CHECK(second.outcome == INVOKE_DONE && !second.is_error);
	fake_respond(&peer, first.request_id, "1", NULL);
	fake_await(&node, &first);
	fake_call_done(&first);
	fake_call_done(&second);
	fake_hang_up(&peer);
	fake_hang_up(&spare_peer);
	fake_node_stop(&node);
}

static size_t log_occurrences(const char *text)
{
	struct buf all;
	size_t count = 0;

	buf_init(&all, 1 * MIB);
	fake_logs_text(node.platform.logs, NULL, &all);
	str rest = buf_str(&all);
	for (ptrdiff_t at; (at = str_find_str(rest, str_of(text))) >= 0; count++)
		rest = str_from(rest, (size_t)at + strlen(text));
	buf_done(&all);
	return count;
}

static void test_a_spare_has_no_log_until_it_is_used(void)
{
	struct fake_sandbox sandbox, spare, next;
	struct fake_peer peer, spare_peer, next_peer;
	struct fake_call first, second;

	fake_node_start(&node, &(struct engine_options){ .spares_max = 1 });
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_invoke_name(&node, "f", &first);
	fake_boot(&node, &sandbox, &peer);
	(void)fake_receive_event(&peer, first.request_id);
	fake_boot(&node, &spare, &spare_peer);
	while (fake_counters(&node).idle != 1)
		fake_turn(&node);
	fake_respond(&peer, first.request_id, "1", NULL);
	fake_await(&node, &first);
	fake_logs_await(&node, "REPORT");
	CHECK(log_occurrences("INIT_START") == 1);
	fake_invoke_name(
		&node, "f", &second); /* the first has not asked for more: it is the spare's */
	fake_serve(&spare_peer, &second, "2");
	fake_await(&node, &second);
	fake_boot(&node, &next, &next_peer);
	while (log_occurrences("REPORT") != 2)
		fake_turn(&node);
	CHECK(log_occurrences("INIT_START") == 2);
	fake_call_done(&first);
	fake_call_done(&second);
	fake_hang_up(&peer);
	fake_hang_up(&spare_peer);
	fake_hang_up(&next_peer);
	fake_node_stop(&node);
}

/* Why it failed is asked for, even when nobody asked for the environment. */
static void test_the_log_of_a_spare_that_cannot_start_is_there(void)
{
	struct fake_sandbox sandbox, spare;
	struct fake_peer peer;
	struct fake_call call;

	fake_node_start(&node, &(struct engine_options){ .spares_max = 1 });
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	fake_spawn(&node, &spare);
	fake_exit(&node, &spare, EXIT_STATUS, 3);
	fake_logs_await(&node, "INIT_REPORT");
	CHECK(log_occurrences("INIT_START") == 2);
	fake_call_done(&call);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static bool has_said_so;

static void on_reset(void *context)
{
	(void)context;
	has_said_so = true;
}

static void test_a_reset_leaves_the_log_store_alone(void)
{
	struct fake_sandbox sandbox;
	struct fake_peer peer;
	struct fake_call call;

	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	has_said_so = false;
	size_t before = fake_logs_count(node.platform.logs); /* the rest waits to be written */
	engine_reset(node.engine, on_reset, NULL);
	while (!has_said_so)
		fake_turn(&node);
	CHECK(log_occurrences("REPORT") == 0 && fake_logs_count(node.platform.logs) == before);
	fake_await_kill(&node, &sandbox);
	fake_exit(&node, &sandbox, EXIT_KILLED, 0);
	for (int i = 0; i < 40; i++)
		fake_turn(&node);
	CHECK(fake_logs_count(node.platform.logs) == before);
	fake_call_done(&call);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static void test_one_that_was_never_used_is_spare_enough(void)
{
	struct fake_sandbox sandbox, spare;
	struct fake_peer peer, spare_peer;
	struct fake_call call;

	fake_node_start(&node, &(struct engine_options){ .spares_max = 1 });
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_warm(&node, "f", &sandbox, &peer);
	fake_boot(&node, &spare, &spare_peer);
	while (fake_counters(&node).idle != 2)
		fake_turn(&node);
	fake_hang_up(&peer); /* the used one goes: there is one left, unused */
	fake_await_kill(&node, &sandbox);
	fake_exit(&node, &sandbox, EXIT_KILLED, 0);
	for (int i = 0; i < 40; i++)
		fake_turn(&node);
	CHECK(!fake_has_spawn(&node) && fake_counters(&node).environments == 1);
	fake_invoke_name(&node, "f", &call);
	fake_serve(&spare_peer, &call, "1");
	fake_await(&node, &call);
	fake_call_done(&call);
	fake_hang_up(&spare_peer);
	fake_node_stop(&node);
}

/* Else each use of a spare would call for the next one, and so on. */
static void test_a_used_environment_goes_before_a_spare(void)
{
	struct fake_sandbox sandbox, spare;
	struct fake_peer peer, spare_peer;
	struct fake_call call;

	fake_node_start(&node, &(struct engine_options){ .spares_max = 1 });
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_warm(&node, "f", &sandbox, &peer);
	fake_boot(&node, &spare, &spare_peer);
	while (fake_counters(&node).idle != 2)
		fake_turn(&node);
	for (int i = 0; i < 3; i++) {
		fake_invoke_name(&node, "f", &call);
		fake_serve(&peer, &call, "1");
		fake_await(&node, &call);
		fake_call_done(&call);
		while (fake_counters(&node).idle != 2)
			fake_turn(&node);
	}
	CHECK(fake_is_silent(&spare_peer) && fake_counters(&node).spawns == 2);
	fake_hang_up(&peer);
	fake_hang_up(&spare_peer);
	fake_node_stop(&node);
}

/* A place is needed: the one that nobody has used costs least. */
static void test_a_spare_is_evicted_before_a_used_environment(void)
{
	struct fake_sandbox sandbox, spare, other;
	struct fake_peer peer, spare_peer, other_peer;
	struct fake_call call;

	fake_node_start(&node, &(struct engine_options){ .spares_max = 1, .environments_max = 2 });
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_target_put(&node, &(struct fake_target){ .name = "g" });
	fake_warm(&node, "f", &sandbox, &peer);
	fake_boot(&node, &spare, &spare_peer);
	while (fake_counters(&node).idle != 2)
		fake_turn(&node);
	fake_invoke_name(&node, "g", &call);
	fake_await_kill(&node, &spare);
	CHECK(!fake_is_kill_asked(&node, &sandbox));
	fake_exit(&node, &spare, EXIT_KILLED, 0);
	fake_boot(&node, &other, &other_peer);
	fake_serve(&other_peer, &call, "1");
	fake_await(&node, &call);
	fake_call_done(&call);
	fake_hang_up(&peer);
	fake_hang_up(&spare_peer);
	fake_hang_up(&other_peer);
	fake_node_stop(&node);
}

TESTS(TEST(test_a_start_takes_the_stem_that_waits), TEST(test_a_taken_stem_is_replaced),
	TEST(test_a_stem_that_cannot_have_the_code_costs_nobody_an_answer),
	TEST(test_a_stem_that_dies_while_it_is_given_code_is_replaced_too),
	TEST(test_a_waiting_stem_that_hangs_up_is_killed_and_replaced),
	TEST(test_stems_that_do_not_start_are_not_tried_for_ever),
	TEST(test_what_an_interpreter_reads_at_its_start_leaves_only_exec),
	TEST(test_a_stem_serves_functions_of_the_memory_it_was_started_for),
	TEST(test_a_pack_that_cannot_wait_has_no_stems),
	TEST(test_a_first_use_has_another_environment_started),
	TEST(test_one_that_was_never_used_is_spare_enough),
	TEST(test_a_spare_has_no_log_until_it_is_used),
	TEST(test_the_log_of_a_spare_that_cannot_start_is_there),
	TEST(test_a_reset_leaves_the_log_store_alone),
	TEST(test_a_used_environment_goes_before_a_spare),
	TEST(test_a_spare_is_evicted_before_a_used_environment))
