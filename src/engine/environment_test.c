#include "base/attr.h"
#include "base/mem.h"
#include "engine/fake_logs.h"
#include "engine/fake_runtime.h"
#include "engine/memory_meter.h"
#include "model/limits.h"
#include "os/clock.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct fake_node node;
static struct fake_sandbox sandbox;
static struct fake_peer peer;
static struct fake_call call;

static void start(void)
{
	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
}

static void stop(void)
{
	fake_call_done(&call);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

static void start_busy(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	(void)fake_receive_event(&peer, call.request_id);
}

/* The whole milliseconds behind this text, where it stands first in the log. */
static uint64_t logged_ms(const char *before)
{
	struct buf text;
	uint64_t ms = 0;
	str number;

	buf_init(&text, 1 * MIB);
	fake_logs_text(node.platform.logs, NULL, &text);
	ptrdiff_t at = str_find_str(buf_str(&text), str_of(before));
	str rest = at < 0 ? S("") : str_from(buf_str(&text), (size_t)at + strlen(before));
	CHECK(str_cut(&rest, '.', &number) && str_to_u64(number, UINT64_MAX, &ms) == 0);
	buf_done(&text);
	return ms;
}

/* --- timeouts --- */

static void test_a_function_that_takes_too_long_is_stopped(void)
{
	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "f", .timeout_ms = 30 });
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	(void)fake_receive_event(&peer, call.request_id);
	fake_print(&sandbox, "working");
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_DONE && call.is_error);
	CHECK(fake_payload_is(&call,
		"{\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\"RequestId: %s Error: Task timed "
		"out after 0.03 seconds\"}"));
	fake_await_kill(&node, &sandbox);
	CHECK(fake_counters(&node).timeouts == 1 && fake_counters(&node).crashes == 0);

	struct fake_call next; /* a new environment, also before the old one is gone */
	struct fake_sandbox fresh;
	struct fake_peer fresh_peer;
	fake_invoke_name(&node, "f", &next);
	fake_boot(&node, &fresh, &fresh_peer);
	fake_serve(&fresh_peer, &next, "1");
	fake_await(&node, &next);
	CHECK(!next.is_error);
	fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	fake_logs_await(&node, "Status: timeout");
	CHECK(logged_ms("\tDuration: ") >= 30); /* to the last millisecond */
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){ "START RequestId: ", "working", call.request_id,
			" Task timed out after 0.03 seconds\n\n",
			"END RequestId: ", "REPORT RequestId: ", "\tStatus: timeout\t\n", NULL }));
	fake_call_done(&next);
	fake_hang_up(&fresh_peer);
	stop();
}

static void test_the_timeout_is_worded_with_two_decimals(void)
{
	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "f", .timeout_ms = 1000 });
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	fake_await(&node, &call);
	CHECK(fake_payload_is(&call,
		"{\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\"RequestId: %s Error: Task timed "
		"out after 1.00 seconds\"}"));
	stop();
}

/* It answered, but never asks for the next event. */
static void test_a_runtime_that_does_not_come_back_is_stopped(void)
{
	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "f", .timeout_ms = 50 });
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	(void)fake_receive_event(&peer, call.request_id);
	fake_respond(&peer, call.request_id, "1", NULL);
	fake_await(&node, &call);
	CHECK(!call.is_error);
	fake_await_kill(&node, &sandbox);
	fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	CHECK(fake_counters(&node).timeouts == 0 && fake_counters(&node).finished == 1);
	stop();
}

/* --- exits while an invocation runs --- */

static const struct {
	enum exit_kind kind;
	uint32_t value;
	const char *words;
} exits[] = {
	{ EXIT_STATUS, 0, "Runtime exited without providing a reason" },
	{ EXIT_STATUS, 1, "Runtime exited with error: exit status 1" },
	{ EXIT_STATUS, 127, "Runtime exited with error: exit status 127" },
	{ EXIT_SIGNAL, SIGKILL, "Runtime exited with error: signal: killed" },
	{ EXIT_SIGNAL, SIGSEGV, "Runtime exited with error: signal: segmentation fault" },
	{ EXIT_SIGNAL, SIGABRT, "Runtime exited with error: signal: aborted" },
	{ EXIT_SIGNAL, SIGTERM, "Runtime exited with error: signal: terminated" },
	{ EXIT_SIGNAL, 64, "Runtime exited with error: signal: signal 64" },
	{ EXIT_OOM, 0, "Runtime exited with error: signal: killed" },
	{ EXIT_KILLED, 0, "Runtime exited with error: signal: killed" },
};

static void test_an_exit_while_busy_is_an_exit_error(void)
{
	for (size_t i = 0; i < ARRAY_LEN(exits); i++) {
		char wanted[256];
		start_busy();
		fake_print(&sandbox, "last words");
		fake_hang_up(&peer);
		fake_exit(&node, &sandbox, exits[i].kind, exits[i].value);
		fake_await(&node, &call);
		CHECK(call.outcome == INVOKE_DONE && call.is_error);
		snprintf(wanted, sizeof(wanted),
			"{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"RequestId: %%s Error: "
			"%s\"}",
			exits[i].words);
		CHECK(fake_payload_is(&call, wanted));
		CHECK(fake_counters(&node).crashes == 1);
		CHECK(fake_counters(&node).out_of_memory == (exits[i].kind == EXIT_OOM));
		const char *log_type = exits[i].kind == EXIT_OOM
			? "Error Type: Runtime.OutOfMemory\t\n"
			: "Error Type: Runtime.ExitError\t\n";
		const char *used = exits[i].kind == EXIT_OOM ? "Max Memory Used: 128 MB"
							     : "Max Memory Used: 40 MB";
		fake_logs_await(&node, log_type);
		CHECK(fake_logs_in_order(node.platform.logs,
			(const char *[]){ "START RequestId: ", "last words",
				"RequestId: ", call.request_id, " Error: ", exits[i].words,
				"\nRuntime.ExitError\n", "END RequestId: ", "REPORT RequestId: ",
				used, "\tStatus: error\t", log_type, NULL }));
		CHECK(!fake_has_spawn(&node));
		stop();
	}
}

static void test_an_idle_environment_may_exit_unnoticed(void)
{
	start();
	fake_warm(&node, "f", &sandbox, &peer);
	fake_hang_up(&peer);
	fake_exit(&node, &sandbox, EXIT_STATUS, 1);
	fake_turn(&node);
	fake_turn(&node);
	CHECK(fake_counters(&node).environments == 0 && fake_counters(&node).crashes == 0);
	call = (struct fake_call){};
	stop();
}

/* Everything in one turn, in each order: answer, end of the connection, the warden's word, caller gone. */
enum { ANSWER, HANG_UP, EXIT, ABANDON, EVENTS };

static void do_event(int event)
{
	switch (event) {
	case ANSWER:
		fake_respond(&peer, call.request_id, "\"in time\"", NULL);
		break;
	case HANG_UP:
		fake_hang_up(&peer);
		break;
	case EXIT:
		fake_exit(&node, &sandbox, EXIT_STATUS, 0);
		break;
	case ABANDON:
		invocation_abandon(call.invocation);
		break;
	}
}

static void test_an_answer_right_before_the_exit_counts(void)
{
	static const int orders[][2] = { { HANG_UP, EXIT }, { EXIT, HANG_UP } };

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		start_busy();
		do_event(ANSWER);
		do_event(orders[i][0]);
		do_event(orders[i][1]);
		fake_await(&node, &call);
		CHECK(!call.is_error);
		CHECK_STR(buf_str(&call.payload), S("\"in time\""));
		stop();
	}
	/* The warden's word is read first. */
	start_busy();
	fake_exit(&node, &sandbox, EXIT_STATUS, 0);
	fake_respond(&peer, call.request_id, "\"in time\"", fake_next_text);
	fake_hang_up(&peer);
	fake_await(&node, &call);
	CHECK(!call.is_error);
	stop();
}

static void test_an_answer_on_a_new_connection_before_the_exit_counts(void)
{
	struct fake_peer other;

	start_busy();
	fake_exit(&node, &sandbox, EXIT_STATUS, 0);
	fake_connect(&node, &sandbox, &other);
	fake_respond(&other, call.request_id, "\"in time\"", NULL);
	fake_hang_up(&other);
	fake_hang_up(&peer);
	fake_await(&node, &call);
	CHECK(!call.is_error);
	CHECK_STR(buf_str(&call.payload), S("\"in time\""));
	stop();
}

/* More than a socket's buffers hold: read in many turns. The warden's word comes first. */
static void test_a_long_answer_before_the_exit_counts(void)
{
	size_t len = LIMIT_PAYLOAD_BYTES;
	char *body = mem_new(len + 1, 1);

	memset(body, '1', len);
	start_busy();
	fake_exit(&node, &sandbox, EXIT_STATUS, 0);
	fake_respond(&peer, call.request_id, body, NULL);
	fake_hang_up(&peer);
	fake_await(&node, &call);
	CHECK(!call.is_error && call.payload.len == len);
	mem_free(body);
	stop();
}

static void test_all_at_once_in_any_order_ends_cleanly(void)
{
	static const int orders[][3] = {
		{ ANSWER, HANG_UP, EXIT },
		{ ANSWER, EXIT, HANG_UP },
		{ EXIT, ANSWER, HANG_UP },
		{ HANG_UP, EXIT, EXIT },
		{ EXIT, HANG_UP, HANG_UP },
	};

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		for (int abandoned_at = 0; abandoned_at < 4; abandoned_at++) {
			start_busy();
			for (int k = 0; k < 3; k++) {
				if (k == abandoned_at)
					do_event(ABANDON);
				if (k == 0 || orders[i][k] != orders[i][k - 1])
					do_event(orders[i][k]);
			}
			if (abandoned_at == 3)
				do_event(ABANDON);
			while (fake_counters(&node).environments || fake_counters(&node).in_flight)
				fake_turn(&node);
			CHECK(!call.is_done); /* nobody asked any more */
			stop();
		}
	}
}

/* --- memory --- */

static void hold(uint64_t peak, const char *stat)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu\n", (unsigned long long)peak);
	CHECK(pwrite(sandbox.memory_stat, stat, strlen(stat), 0) > 0);
	CHECK(pwrite(sandbox.memory, text, strlen(text), 0) > 0);
}

/* The kernel's limit has room for /tmp: what is held against MemorySize is seen by looking. */
static void test_who_holds_too_much_is_stopped_as_the_kernel_would(void)
{
	start_busy();
	CHECK(sandbox.spawn.function.extra_mb == sandbox.spawn.function.tmp_mb);
	hold(300 * MIB, "anon 134217729\nfile 100000000\n");
	fake_await_kill(&node, &sandbox);
	CHECK(!call.is_done);
	fake_hang_up(&peer);
	fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	fake_await(&node, &call);
	CHECK(fake_payload_is(&call,
		"{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"RequestId: %s Error: Runtime "
		"exited with error: signal: killed\"}"));
	CHECK(fake_counters(&node).out_of_memory == 1 && fake_counters(&node).crashes == 1);
	fake_logs_await(&node, "Error Type: Runtime.OutOfMemory\t\n");
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){ "Max Memory Used: 128 MB\t", "Status: error\t", NULL }));
	stop();
}

static void test_files_in_tmp_are_no_memory_of_the_function(void)
{
	start_busy();
	hold(600 * MIB, "anon 104857600\nfile 536870912\n");
	fake_sleep(&node, 3 * MEMORY_LOOK_MS);
	CHECK(!fake_is_kill_asked(&node, &sandbox));
	fake_respond(&peer, call.request_id, "1", NULL);
	fake_await(&node, &call);
	CHECK(!call.is_error);
	fake_logs_await(&node, "Max Memory Used: 100 MB");
	stop();
}

static void test_too_much_while_initialising_is_tried_twice(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	for (int i = 0; i < 2; i++) {
		fake_spawn(&node, &sandbox);
		hold(300 * MIB, "rss 200000000\n");
		fake_await_kill(&node, &sandbox);
		fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	}
	fake_await(&node, &call);
	CHECK(call.is_error && fake_counters(&node).out_of_memory == 2);
	fake_logs_await(&node, "REPORT RequestId");
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){ "Phase: init\tStatus: error\tError Type: Runtime.OutOfMemory\n",
			"Phase: invoke\tStatus: error\tError Type: Runtime.OutOfMemory\n", "START",
			"signal: killed\nRuntime.ExitError\n", "Runtime.OutOfMemory\t\n", NULL }));
	peer.fd = -1;
	stop();
}

/* --- processors --- */

static void test_initialisation_has_full_speed_also_with_strict_cpu(void)
{
	fake_node_start(&node, &(struct engine_options){ .is_cpu_strict = 1 });
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_invoke_name(&node, "f", &call);
	fake_spawn(&node, &sandbox);
	CHECK(sandbox.spawn.function.cpu_strict == 1);
	fake_connect(&node, &sandbox, &peer);
	CHECK(!fake_has_order(&node, &sandbox, FRAME_HOLD));
	fake_next(&peer);
	fake_await_order(&node, &sandbox, FRAME_HOLD);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	CHECK(!fake_has_order(&node, &sandbox, FRAME_HOLD)); /* once is enough */
	stop();
}

static void test_a_weight_needs_no_order(void)
{
	start_busy();
	CHECK(!sandbox.spawn.function.cpu_strict && !fake_has_order(&node, &sandbox, FRAME_HOLD));
	fake_respond(&peer, call.request_id, "1", NULL);
	fake_await(&node, &call);
	stop();
}

/* --- floods --- */

/* Lines of 1,000 bytes with their newlines, as one write. */
static void print_lines(unsigned count)
{
	char line[1001];

	memset(line, 'x', 999);
	memcpy(line + 999, "\n", 2);
	while (count--)
		fake_print(&sandbox, line);
}

static size_t count_lines(const char *text)
{
	struct buf message;
	size_t count = 0;

	buf_init(&message, 1 * MIB);
	for (size_t i = 0; fake_logs_at(node.platform.logs, i, &message); i++) {
		count += str_find_str(buf_str(&message), str_of(text)) >= 0;
		buf_clear(&message);
	}
	buf_done(&message);
	return count;
}

static void start_flood(bool is_json)
{
	fake_node_start(&node, &(struct engine_options){ .log_rate = 11'280 });
	fake_target_put(&node, &(struct fake_target){ .name = "f", .is_json = is_json });
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	(void)fake_receive_event(&peer, call.request_id);
}

/* 4 s of the rate at once: 40 lines at 1,128. What is more is counted in one mark. */
static void test_a_flood_is_cut_and_marked(void)
{
	start_flood(false);
	print_lines(60);
	fake_respond(&peer, call.request_id, "1", NULL);
	fake_await(&node, &call);
	CHECK(!call.is_error);
	fake_logs_await(&node, "REPORT");
	CHECK(count_lines("xxx") == 40);
	CHECK(count_lines("LOGS_DROPPED Reason: The function logs faster than its log is written."
			  "\tDropped Records: 20\tDropped Bytes: 20000\n") == 1);
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){ "START", "xxx", "LOGS_DROPPED", "END", "REPORT", NULL }));
	stop();
}

static void test_a_flood_in_json_is_an_event(void)
{
	start_flood(true);
	print_lines(50);
	fake_respond(&peer, call.request_id, "1", NULL);
	fake_await(&node, &call);
	fake_logs_await(&node, "platform.report");
	CHECK(count_lines(
		      "\"type\":\"platform.logsDropped\",\"record\":{\"reason\":\"The function logs "
		      "faster than its log is written.\",\"droppedRecords\":10,"
		      "\"droppedBytes\":10000}}\n") == 1);
	stop();
}

/* Nothing is read for a while, but nothing is forgotten either. */
static void test_after_a_flood_the_log_goes_on(void)
{
	struct fake_call second;

	start_flood(false);
	print_lines(100);
	fake_respond(&peer, call.request_id, "1", fake_next_text);
	fake_await(&node, &call);
	fake_sleep(&node, 1100);
	fake_invoke_name(&node, "f", &second);
	(void)fake_receive(&peer);
	fake_print(&sandbox, "quiet again\n");
	fake_receive_event(&peer, second.request_id);
	fake_respond(&peer, second.request_id, "1", NULL);
	fake_await(&node, &second);
	fake_logs_await(&node, "quiet again");
	fake_call_done(&second);
	stop();
}

/* --- initialisation --- */

static void post_init_error(const char *body, const char *type)
{
	char fields[128];

	snprintf(fields, sizeof(fields), "Lambda-Runtime-Function-Error-Type: %s\r\n", type);
	fake_send_request(
		&peer, "POST /2018-06-01/runtime/init/error", fields, str_of(body), (str){});
	CHECK(fake_receive(&peer).status == 202);
}

#define INIT_ERROR "{\"errorMessage\":\"no module\",\"errorType\":\"Runtime.ImportModuleError\"}"

/* A sandbox whose runtime posts an error and exits. */
static void fail_init(void)
{
	fake_spawn(&node, &sandbox);
	fake_connect(&node, &sandbox, &peer);
	fake_print(&sandbox, "importing\n");
	post_init_error(INIT_ERROR, "Runtime.ImportModuleError");
	fake_next(&peer); /* not any more */
	struct fake_reply reply = fake_receive(&peer);
	CHECK(reply.status == 403);
	CHECK(str_find_str(reply.body, S("from InitError to Ready")) >= 0);
	CHECK(!call.is_done); /* the exit decides */
	fake_hang_up(&peer);
	fake_exit(&node, &sandbox, EXIT_STATUS, 1);
}

static void test_the_posted_error_of_a_second_init_is_the_answer(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	fail_init();
	fail_init();
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_DONE && call.is_error);
	CHECK_STR(buf_str(&call.payload), S(INIT_ERROR));
	CHECK(fake_counters(&node).crashes == 1 && fake_counters(&node).spawns == 2);
	fake_logs_await(&node, "REPORT RequestId");
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){ "INIT_START", "importing\n", "INIT_REPORT Init Duration: ",
			" ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n",
			"importing\n", "INIT_REPORT Init Duration: ",
			" ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ImportModuleError\n",
			"START RequestId", "END", "REPORT RequestId", "Status: error",
			"Error Type: Runtime.ImportModuleError", NULL }));
	CHECK(!fake_logs_in_order(
		node.platform.logs, (const char *[]){ "INIT_START", "INIT_START", NULL }));
	stop();
}

static void test_a_second_init_may_succeed(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	fail_init();
	fake_boot(&node, &sandbox, &peer);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	CHECK(!call.is_error && fake_counters(&node).crashes == 0);
	CHECK(fake_counters(&node).environments == 1 && fake_counters(&node).idle == 1);
	fake_logs_await(&node, "REPORT RequestId");
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){
			"Phase: init", "START RequestId", "END", "REPORT RequestId", NULL }));
	CHECK(!fake_logs_in_order(/* it is part of the Duration */
		node.platform.logs, (const char *[]){ "REPORT RequestId", "Init Duration", NULL }));
	stop();
}

static void test_a_runtime_that_stays_after_its_init_error_is_stopped(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	for (int i = 0; i < 2; i++) {
		fake_spawn(&node, &sandbox);
		fake_connect(&node, &sandbox, &peer);
		post_init_error(INIT_ERROR, "Runtime.ImportModuleError");
		fake_await_kill(&node, &sandbox);
		CHECK(call.is_done == (i == 1));
		fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
		fake_hang_up(&peer);
	}
	CHECK(call.is_error);
	CHECK_STR(buf_str(&call.payload), S(INIT_ERROR));
	CHECK(fake_counters(&node).timeouts == 0 && fake_counters(&node).crashes == 1);
	stop();
}

static void test_an_init_error_and_the_exit_in_one_turn(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	for (int i = 0; i < 2; i++) {
		fake_spawn(&node, &sandbox);
		fake_turn(&node);
		fake_exit(&node, &sandbox, EXIT_STATUS, 1); /* the warden's word is read first */
		fake_connect(&node, &sandbox, &peer);
		fake_send_request(
			&peer, "POST /2018-06-01/runtime/init/error", "", S(INIT_ERROR), (str){});
		fake_hang_up(&peer);
	}
	fake_await(&node, &call);
	CHECK(call.is_error);
	CHECK_STR(buf_str(&call.payload), S(INIT_ERROR));
	stop();
}

static void test_an_exit_during_init_is_an_exit_error(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	for (int i = 0; i < 2; i++) {
		fake_spawn(&node, &sandbox);
		fake_exit(&node, &sandbox, EXIT_STATUS, 1);
	}
	fake_await(&node, &call);
	CHECK(fake_payload_is(&call,
		"{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"RequestId: %s Error: Runtime "
		"exited with error: exit status 1\"}"));
	fake_logs_await(&node, "REPORT RequestId");
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){ "INIT_START", "INIT_REPORT", "Phase: init\tStatus: error",
			"Error Type: Runtime.ExitError", "INIT_REPORT",
			"Phase: invoke\tStatus: error", "START", "Runtime.ExitError\n", "END",
			"REPORT", NULL }));
	CHECK(!fake_has_spawn(&node));
	stop();
}

/* --- initialisation that takes too long --- */

enum { INIT_MS = 200 };

static void start_slow(uint32_t timeout_ms)
{
	fake_node_start(&node, &(struct engine_options){ .init_ms = INIT_MS });
	fake_target_put(&node, &(struct fake_target){ .name = "f", .timeout_ms = timeout_ms });
}

/* A runtime that has been imported for too long when it is stopped. */
static void init_too_slowly(void)
{
	fake_spawn(&node, &sandbox);
	fake_connect(&node, &sandbox, &peer);
	fake_print(&sandbox, "importing\n");
	fake_await_kill(&node, &sandbox);
}

static void test_a_second_init_has_the_functions_own_time(void)
{
	start_slow(150);
	fake_invoke_name(&node, "f", &call);
	init_too_slowly();
	CHECK(!call.is_done && fake_counters(&node).timeouts == 0 && !fake_has_spawn(&node));
	fake_await_close(&peer); /* nobody listens to the first any more */
	fake_hang_up(&peer);
	fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	uint64_t before_ms = clock_mono_ms();
	init_too_slowly();
	CHECK(clock_mono_ms() - before_ms >= 150);
	fake_await(&node, &call);
	CHECK(fake_payload_is(&call,
		"{\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\"RequestId: %s Error: Task timed "
		"out after 0.15 seconds\"}"));
	CHECK(fake_counters(&node).timeouts == 1 && fake_counters(&node).crashes == 0);
	fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	fake_logs_await(&node, "REPORT RequestId");
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){ "INIT_START", "importing\n", "INIT_REPORT Init Duration: ",
			" ms\tPhase: init\tStatus: timeout\n", "importing\n",
			"INIT_REPORT Init Duration: ", " ms\tPhase: invoke\tStatus: timeout\n",
			"START RequestId", " Task timed out after 0.15 seconds\n\n",
			"END RequestId", "REPORT RequestId", "Billed Duration: 150 ms",
			"Status: timeout", NULL }));
	stop();
}

/* "Duration" and the deadline count from the beginning of the second initialisation. */
static void test_a_second_init_takes_of_the_invocations_time(void)
{
	start_slow(1000);
	fake_invoke_name(&node, "f", &call);
	init_too_slowly();
	fake_hang_up(&peer);
	fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	fake_spawn(&node, &sandbox);
	fake_connect(&node, &sandbox, &peer);
	fake_sleep(&node, 100);
	fake_next(&peer);
	struct fake_reply reply = fake_receive(&peer);
	uint64_t deadline_ms;
	str deadline = fake_field(&reply, "Lambda-Runtime-Deadline-Ms");
	CHECK(str_to_u64(deadline, UINT64_MAX, &deadline_ms) == 0);
	CHECK(deadline_ms <= clock_real_ms() + 950);
	fake_await(&node, &call); /* it never answers */
	CHECK(call.is_error && fake_counters(&node).timeouts == 1);
	fake_logs_await(&node, "REPORT RequestId");
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){ "Phase: init\tStatus: timeout", "START RequestId",
			" Task timed out after 1.00 seconds\n\n", "REPORT RequestId",
			"Billed Duration: 1000 ms", NULL }));
	stop();
}

static void test_both_inits_are_events_in_json(void)
{
	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(
		&node, &(struct fake_target){ .name = "f", .is_json = true, .level = "DEBUG" });
	fake_invoke_name(&node, "f", &call);
	fake_spawn(&node, &sandbox);
	fake_exit(&node, &sandbox, EXIT_STATUS, 1);
	fake_boot(&node, &sandbox, &peer);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	fake_logs_await(&node, "platform.report");
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){ "platform.initStart", "\"phase\":\"init\"",
			"platform.initRuntimeDone", "\"phase\":\"init\",\"status\":\"error\"",
			"platform.initReport", "\"phase\":\"init\",\"status\":\"error\"",
			"platform.initStart", "\"phase\":\"invoke\"", "platform.initRuntimeDone",
			"\"phase\":\"invoke\",\"status\":\"success\"", "platform.initReport",
			"\"phase\":\"invoke\",\"status\":\"success\"", "platform.start",
			"platform.report", NULL }));
	stop();
}

/* Somebody who came in the middle of the second has time left: there is another one for him. */
static void test_who_came_late_does_not_time_out_with_the_others(void)
{
	struct fake_call late;

	start_slow(200);
	fake_invoke_name(&node, "f", &call);
	init_too_slowly();
	fake_hang_up(&peer);
	fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	fake_spawn(&node, &sandbox);
	invocation_abandon(call.invocation);
	fake_sleep(&node, 5);
	fake_invoke_name(&node, "f", &late);
	fake_await_kill(&node, &sandbox);
	fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	fake_boot(&node, &sandbox, &peer);
	fake_serve(&peer, &late, "1");
	fake_await(&node, &late);
	CHECK(!late.is_error);
	fake_call_done(&late);
	stop();
}

/* Nobody waits any more: no second try. */
static void test_an_init_for_nobody_fails_once(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	fake_spawn(&node, &sandbox);
	invocation_abandon(call.invocation);
	fake_exit(&node, &sandbox, EXIT_STATUS, 1);
	fake_turn(&node);
	fake_turn(&node);
	CHECK(fake_counters(&node).environments == 0 && fake_counters(&node).crashes == 1);
	CHECK(!fake_has_spawn(&node));
	peer.fd = -1;
	stop();
}

/* The node stops between the two sandboxes of an environment. */
static void test_a_stop_between_two_inits_leaves_nothing(void)
{
	start_slow(1000);
	fake_invoke_name(&node, "f", &call);
	init_too_slowly();
	invocation_abandon(call.invocation);
	engine_function_changed(node.engine, S("000000000000"), S("us-east-1"), S("f"));
	fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	stop();
}

/* Each crash takes one waiter with it, so a function that never initialises ends for all. */
static void test_each_failed_init_ends_one_waiter(void)
{
	struct fake_call calls[3];
	struct fake_sandbox sandboxes[3];

	start();
	for (int i = 0; i < 3; i++)
		fake_invoke_name(&node, "f", &calls[i]);
	for (int i = 0; i < 3; i++)
		fake_spawn(&node, &sandboxes[i]);
	for (int i = 0; i < 3; i++) {
		fake_exit(&node, &sandboxes[i], EXIT_STATUS, 1);
		fake_spawn(&node, &sandboxes[i]);
	}
	for (int i = 0; i < 3; i++) {
		fake_exit(&node, &sandboxes[i], EXIT_STATUS, 1);
		fake_await(&node, &calls[i]);
		CHECK(calls[i].is_error);
		fake_call_done(&calls[i]);
	}
	CHECK(!fake_has_spawn(&node));
	call = (struct fake_call){};
	peer.fd = -1;
	fake_node_stop(&node);
}

static void test_the_init_duration_is_billed_once(void)
{
	struct fake_call second;

	start();
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	fake_serve(&peer, &call, "1");
	fake_await(&node, &call);
	fake_invoke_name(&node, "f", &second);
	fake_serve(&peer, &second, "1");
	fake_await(&node, &second);
	fake_logs_await(&node, second.request_id);
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){
			"INIT_START Runtime Version: python:3.12.v3.12.4\tRuntime Version "
			"ARN: arn:aws:lambda:us-east-1::runtime:",
			"\n", "REPORT", "Init Duration: ", "REPORT", NULL }));
	CHECK(!fake_logs_in_order(node.platform.logs,
		(const char *[]){ "Init Duration: ", "Init Duration: ", NULL }));
	fake_call_done(&second);
	stop();
}

/* --- it cannot be started --- */

static void test_a_jail_that_fails_is_our_fault(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	fake_await_spawn(&node, &sandbox);
	fake_no_start(&node, &sandbox, "namespaces", ENOSPC);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_FAULT);
	CHECK_STR(str_of(call.detail), S("The execution environment could not be started."));
	CHECK(fake_counters(&node).spawn_failures == 1 && fake_counters(&node).environments == 0);
	peer.fd = -1;
	stop();
}

static void test_an_interpreter_that_does_not_start_is_our_fault(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	fake_await_spawn(&node, &sandbox);
	fake_no_start(&node, &sandbox, "exec", ENOENT);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_FAULT);
	stop();
}

static void test_a_missing_bootstrap_is_the_functions_fault(void)
{
	static const struct {
		int error;
		const char *wanted;
	} rows[] = {
		{ ENOENT,
			"RequestId: %s Error: Couldn't find valid bootstrap(s): "
			"[/var/task/bootstrap /opt/bootstrap]" },
		{ EACCES, "RequestId: %s Error: fork/exec /var/task/bootstrap: permission denied" },
		{ ENOEXEC,
			"RequestId: %s Error: fork/exec /var/task/bootstrap: exec format error" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char wanted[256];
		fake_node_start(&node, &(struct engine_options){});
		fake_target_put(
			&node, &(struct fake_target){ .name = "f", .runtime = "provided.al2023" });
		fake_invoke_name(&node, "f", &call);
		for (int k = 0; k < 2; k++) {
			fake_await_spawn(&node, &sandbox);
			fake_no_start(&node, &sandbox, "exec", rows[i].error);
		}
		fake_await(&node, &call);
		CHECK(call.outcome == INVOKE_DONE && call.is_error);
		snprintf(wanted, sizeof(wanted),
			"{\"errorType\":\"Runtime.InvalidEntrypoint\",\"errorMessage\":\"%s\"}",
			rows[i].wanted);
		CHECK(fake_payload_is(&call, wanted));
		fake_logs_await(&node, "REPORT RequestId");
		CHECK(fake_logs_in_order(node.platform.logs,
			(const char *[]){ "INIT_REPORT Init Duration: ",
				"Phase: init\tStatus: error\tError Type: Runtime.InvalidEntrypoint\n",
				"INIT_REPORT Init Duration: ",
				"Phase: invoke\tStatus: error\tError Type: Runtime.InvalidEntrypoint\n",
				"START RequestId", "Error: ", "\nRuntime.InvalidEntrypoint\n",
				"END", "REPORT", "Status: error", NULL }));
		stop();
	}
}

/* The runtime hangs up its long poll: nothing can be given to it. */
static void test_an_idle_runtime_that_hangs_up_is_stopped(void)
{
	start();
	fake_warm(&node, "f", &sandbox, &peer);
	fake_hang_up(&peer);
	fake_await_kill(&node, &sandbox);
	fake_exit(&node, &sandbox, EXIT_KILLED, SIGKILL);
	call = (struct fake_call){};
	stop();
}

static void test_what_the_warden_is_asked_for(void)
{
	start_busy();
	CHECK(sandbox.spawn.function.memory_mb == 128 && sandbox.spawn.function.tmp_mb == 512);
	CHECK(sandbox.spawn.pack == 0 && sandbox.spawn.network == NETWORK_ISOLATED);
	CHECK(sandbox.spawn.function.code[0] == 1 && sandbox.spawn.function.code[2] == 3 &&
		!sandbox.spawn.function.code[3]);
	CHECK(!sandbox.spawn.function.layer_count && !sandbox.spawn.reserved);
	fake_respond(&peer, call.request_id, "1", NULL);
	fake_await(&node, &call);
	stop();
}

static void see(void *context, const struct environment_info *info)
{
	unsigned *seen = context;

	*seen += 1;
	CHECK_STR(info->function, S("f"));
	CHECK_STR(info->version, S("$LATEST"));
	CHECK_STR(info->pack, S("python"));
	CHECK_STR(info->pack_version, S("3.12.4"));
	CHECK_STR(str_of(info->state), S("busy"));
	CHECK(info->invocations == 1 && info->id.len == 32);
}

static void test_environments_can_be_looked_at(void)
{
	unsigned seen = 0;

	start_busy();
	engine_each_environment(node.engine, see, &seen);
	CHECK(seen == 1);
	CHECK(engine_uses_code(node.engine, sandbox.spawn.function.code));
	CHECK(!engine_uses_code(node.engine, (uint8_t[32]){ 9 }));
	fake_respond(&peer, call.request_id, "1", NULL);
	fake_await(&node, &call);
	stop();
}

TESTS(TEST(test_a_function_that_takes_too_long_is_stopped),
	TEST(test_the_timeout_is_worded_with_two_decimals),
	TEST(test_a_runtime_that_does_not_come_back_is_stopped),
	TEST(test_an_exit_while_busy_is_an_exit_error),
	TEST(test_an_idle_environment_may_exit_unnoticed),
	TEST(test_an_answer_right_before_the_exit_counts),
	TEST(test_an_answer_on_a_new_connection_before_the_exit_counts),
	TEST(test_a_long_answer_before_the_exit_counts),
	TEST(test_all_at_once_in_any_order_ends_cleanly),
	TEST(test_who_holds_too_much_is_stopped_as_the_kernel_would),
	TEST(test_files_in_tmp_are_no_memory_of_the_function),
	TEST(test_too_much_while_initialising_is_tried_twice),
	TEST(test_initialisation_has_full_speed_also_with_strict_cpu),
	TEST(test_a_weight_needs_no_order), TEST(test_a_flood_is_cut_and_marked),
	TEST(test_a_flood_in_json_is_an_event), TEST(test_after_a_flood_the_log_goes_on),
	TEST(test_the_posted_error_of_a_second_init_is_the_answer),
	TEST(test_a_second_init_may_succeed), TEST(test_both_inits_are_events_in_json),
	TEST(test_a_second_init_has_the_functions_own_time),
	TEST(test_a_second_init_takes_of_the_invocations_time),
	TEST(test_who_came_late_does_not_time_out_with_the_others),
	TEST(test_an_init_for_nobody_fails_once),
	TEST(test_a_stop_between_two_inits_leaves_nothing),
	TEST(test_a_runtime_that_stays_after_its_init_error_is_stopped),
	TEST(test_an_init_error_and_the_exit_in_one_turn),
	TEST(test_an_exit_during_init_is_an_exit_error),
	TEST(test_each_failed_init_ends_one_waiter), TEST(test_the_init_duration_is_billed_once),
	TEST(test_a_jail_that_fails_is_our_fault),
	TEST(test_an_interpreter_that_does_not_start_is_our_fault),
	TEST(test_a_missing_bootstrap_is_the_functions_fault),
	TEST(test_an_idle_runtime_that_hangs_up_is_stopped),
	TEST(test_what_the_warden_is_asked_for), TEST(test_environments_can_be_looked_at))
