#include "engine/fake_logs.h"
#include "engine/fake_runtime.h"
#include "os/fd.h"
#include "os/socket.h"
#include "wire/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct fake_node node;
static struct fake_sandbox sandbox;
static struct fake_peer runtime;
static struct fake_call call;
static int extensions_log = -1;

/* An extension, as far as the router can see one. */
struct fake_extension {
	struct fake_peer peer;
	char id[UUID_LEN + 1];
};
static struct fake_extension one, two;

/* --- what extensions say --- */

static void fields_of(const struct fake_extension *extension, char *to, size_t size)
{
	(void)snprintf(to, size, "Lambda-Extension-Identifier: %s\r\n", extension->id);
}

static struct fake_reply ask(
	struct fake_peer *peer, const char *start, const char *fields, str body)
{
	fake_send_request(peer, start, fields, body, S(""));
	return fake_receive(peer);
}

static struct fake_reply ask_register(struct fake_peer *peer, const char *name, const char *body)
{
	char fields[384];

	(void)snprintf(fields, sizeof(fields), "Lambda-Extension-Name: %s\r\n", name);
	return ask(peer, "POST /2020-01-01/extension/register", fields, str_of(body));
}

/* A connection of an extension's, registered for these events. */
static void connect_extension(
	struct fake_extension *extension, const char *name, const char *events)
{
	char body[96];

	fake_connect(&node, &sandbox, &extension->peer);
	(void)snprintf(body, sizeof(body), "{\"events\":[%s]}", events);
	struct fake_reply reply = ask_register(&extension->peer, name, body);
	CHECK(reply.status == 200);
	str id = fake_field(&reply, "Lambda-Extension-Identifier");
	CHECK(id.len == UUID_LEN);
	int r = str_to_array(id, extension->id, sizeof(extension->id));
	CHECK(r == 0);
}

static void send_next(struct fake_extension *extension)
{
	char fields[96];

	fields_of(extension, fields, sizeof(fields));
	fake_send_request(
		&extension->peer, "GET /2020-01-01/extension/event/next", fields, S(""), S(""));
}

/* Its event begins like this. */
static void await_event(struct fake_extension *extension, const char *type)
{
	char begin[64];

	struct fake_reply reply = fake_receive(&extension->peer);
	CHECK(reply.status == 200);
	CHECK(fake_field(&reply, "Lambda-Extension-Event-Identifier").len == UUID_LEN);
	(void)snprintf(begin, sizeof(begin), "{\"eventType\":\"%s\",\"deadlineMs\":", type);
	CHECK(str_starts(reply.body, str_of(begin)));
}

static void is_refused(const struct fake_reply *reply, const char *type, const char *message)
{
	char want[512];

	CHECK(reply->status == 403);
	(void)snprintf(want, sizeof(want), "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}\n",
		message, type);
	CHECK_STR(reply->body, str_of(want));
}

/* --- what the guard says and hears --- */

static void guard_say(
	enum guard_op op, uint32_t who, uint32_t kind, uint32_t value, const char *name)
{
	struct guard_frame frame = { .op = op, .who = who, .kind = kind, .value = value };

	(void)snprintf(frame.name, sizeof(frame.name), "%s", name);
	int r = fd_send(sandbox.guard, &frame, sizeof(frame), NULL, 0);
	CHECK(r == 0);
}

static bool guard_hears(void *context)
{
	struct guard_frame *frame = context;
	size_t len = 0, fd_count = 0;

	return fd_receive(sandbox.guard, frame, sizeof(*frame), &len, NULL, 0, &fd_count) == 0;
}

/* The first thing that it hears: it may begin, and where extensions print to. */
static void guard_begin(void)
{
	struct guard_frame frame;
	size_t len = 0, fd_count = 0;
	int log = -1;

	int r = fd_receive(sandbox.guard, &frame, sizeof(frame), &len, &log, 1, &fd_count);
	CHECK(r == 0 && frame.op == GUARD_BEGIN && fd_count == 1);
	fd_close(&extensions_log);
	extensions_log = log;
	r = fd_set_nonblock(sandbox.guard, true);
	CHECK(r == 0);
}

static void guard_await(enum guard_op op, uint32_t who)
{
	struct guard_frame frame = {};

	fake_until(&node, guard_hears, &frame);
	CHECK(frame.op == op && frame.who == who);
}

/* --- beginning and end --- */

static void start(bool has_extensions)
{
	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(
		&node, &(struct fake_target){ .name = "f", .has_extensions = has_extensions });
}

/* A call of a function with external extensions: the guard has begun. */
static void start_guarded(void)
{
	start(true);
	fake_invoke_name(&node, "f", &call);
	fake_await_guarded(&node, &sandbox);
	guard_begin();
	fake_spawned(&node, &sandbox);
}

/* The same with one extension, which has registered, and a runtime; both have asked for next. */
static void start_one(const char *events)
{
	start_guarded();
	guard_say(GUARD_EXTENSION, 0, 0, 0, "one");
	guard_say(GUARD_LISTED, 0, 0, 0, "");
	connect_extension(&one, "one", events);
	guard_await(GUARD_START, GUARD_RUNTIME);
	send_next(&one);
	fake_connect(&node, &sandbox, &runtime);
	fake_next(&runtime);
}

static void stop(void)
{
	fd_close(&extensions_log);
	fake_call_done(&call);
	fake_hang_up(&runtime);
	fake_node_stop(&node);
}

static void answer_and_next(
	struct fake_peer *peer, const struct fake_call *answered, const char *body)
{
	fake_respond(peer, answered->request_id, body, NULL);
	CHECK(fake_receive(peer).status == 202);
	fake_next(peer);
}

/* The runtime begins, and the call gets its answer. */
static void finish(struct fake_peer *peer)
{
	fake_connect(&node, &sandbox, peer);
	fake_next(peer);
	(void)fake_receive_event(peer, call.request_id);
	answer_and_next(peer, &call, "1");
	fake_await(&node, &call);
}

/* The environment ends as a killed one does. */
static void end(void)
{
	fake_await_kill(&node, &sandbox);
	fake_exit(&node, &sandbox, EXIT_KILLED, 0);
	fake_hang_up(&one.peer);
	stop();
}

/* --- the order of things --- */

static void test_the_runtime_begins_when_all_have_registered(void)
{
	struct guard_frame frame;

	start_guarded();
	guard_say(GUARD_EXTENSION, 0, 0, 0, "one");
	guard_say(GUARD_EXTENSION, 1, 0, 0, "two");
	connect_extension(&one, "one", "\"INVOKE\"");
	guard_say(GUARD_LISTED, 0, 0, 0, "");
	fake_turn(&node);
	CHECK(!guard_hears(&frame));
	connect_extension(&two, "two", "");
	guard_await(GUARD_START, GUARD_RUNTIME);
	fake_hang_up(&two.peer);
	guard_say(GUARD_ENDED, 1, EXIT_STATUS, 1, "");
	end();
}

static void test_initialisation_ends_when_extensions_and_runtime_have_asked(void)
{
	start_guarded();
	guard_say(GUARD_EXTENSION, 0, 0, 0, "one");
	guard_say(GUARD_LISTED, 0, 0, 0, "");
	connect_extension(&one, "one", "\"INVOKE\",\"SHUTDOWN\"");
	fake_connect(&node, &sandbox, &runtime);
	fake_next(&runtime);
	CHECK(fake_is_silent(&runtime));
	send_next(&one);
	(void)fake_receive_event(&runtime, call.request_id);
	await_event(&one, "INVOKE");
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	send_next(&one);
	fake_logs_await(&node, "REPORT RequestId");
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *const[]){ "INIT_START",
			"EXTENSION\tName: one\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n", "START",
			"END", "REPORT", NULL }));
	guard_say(GUARD_ENDED, 0, EXIT_STATUS, 1, "");
	guard_await(GUARD_START, GUARD_RUNTIME);
	guard_await(GUARD_TERMINATE, GUARD_RUNTIME);
	guard_say(GUARD_ENDED, GUARD_RUNTIME, EXIT_SIGNAL, SIGTERM, "");
	end();
}

static void test_a_guard_without_extensions_begins_at_once(void)
{
	start_guarded();
	guard_say(GUARD_LISTED, 0, 0, 0, "");
	guard_await(GUARD_START, GUARD_RUNTIME);
	fake_connect(&node, &sandbox, &runtime);
	fake_next(&runtime);
	(void)fake_receive_event(&runtime, call.request_id);
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	CHECK(!call.is_error);
	stop();
}

static void test_an_answer_does_not_wait_for_extensions_but_the_next_event_does(void)
{
	struct fake_call next;

	start_one("\"INVOKE\"");
	(void)fake_receive_event(&runtime, call.request_id);
	await_event(&one, "INVOKE");
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	CHECK(!call.is_error && fake_payload_is(&call, "1"));
	fake_target_put(&node, &(struct fake_target){ .name = "f", .has_extensions = true });
	fake_invoke_name(&node, "f", &next);
	fake_turn(&node);
	CHECK(fake_is_silent(&runtime) && !next.is_done);
	send_next(&one);
	(void)fake_receive_event(&runtime, next.request_id);
	await_event(&one, "INVOKE");
	answer_and_next(&runtime, &next, "2");
	fake_await(&node, &next);
	fake_call_done(&next);
	send_next(&one);
	fake_hang_up(&one.peer);
	stop();
}

static void test_who_asks_for_the_log_gets_its_report_too(void)
{
	start(true);
	fake_invoke(&node, &(struct fake_ask){ .name = "f", .wants_tail = true }, &call);
	fake_await_guarded(&node, &sandbox);
	guard_begin();
	fake_spawned(&node, &sandbox);
	guard_say(GUARD_EXTENSION, 0, 0, 0, "one");
	guard_say(GUARD_LISTED, 0, 0, 0, "");
	connect_extension(&one, "one", "\"INVOKE\"");
	send_next(&one);
	fake_connect(&node, &sandbox, &runtime);
	fake_next(&runtime);
	(void)fake_receive_event(&runtime, call.request_id);
	await_event(&one, "INVOKE");
	fake_respond(&runtime, call.request_id, "1", "");
	fake_turn(&node);
	CHECK(!call.is_done);
	send_next(&one);
	fake_await(&node, &call);
	CHECK(str_find_str(buf_str(&call.tail), S("REPORT RequestId")) >= 0);
	fake_hang_up(&one.peer);
	stop();
}

static void test_one_that_takes_too_long_ends_the_environment_as_a_timeout(void)
{
	start(true);
	fake_target_put(&node,
		&(struct fake_target){ .name = "f", .has_extensions = true, .timeout_ms = 50 });
	fake_invoke_name(&node, "f", &call);
	fake_await_guarded(&node, &sandbox);
	guard_begin();
	fake_spawned(&node, &sandbox);
	guard_say(GUARD_EXTENSION, 0, 0, 0, "one");
	guard_say(GUARD_LISTED, 0, 0, 0, "");
	connect_extension(&one, "one", "\"INVOKE\"");
	send_next(&one);
	fake_connect(&node, &sandbox, &runtime);
	fake_next(&runtime);
	(void)fake_receive_event(&runtime, call.request_id);
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	CHECK(!call.is_error);
	fake_logs_await(&node, "Status: timeout");
	guard_say(GUARD_ENDED, GUARD_RUNTIME, EXIT_SIGNAL, SIGTERM, "");
	guard_say(GUARD_ENDED, 0, EXIT_SIGNAL, SIGKILL, "");
	end();
}

/* --- how they fail --- */

static void test_a_crash_ends_the_invocation(void)
{
	start_one("\"INVOKE\"");
	(void)fake_receive_event(&runtime, call.request_id);
	await_event(&one, "INVOKE");
	guard_say(GUARD_ENDED, 0, EXIT_STATUS, 3, "");
	fake_await(&node, &call);
	CHECK(call.is_error);
	CHECK(fake_payload_is(&call,
		"{\"errorType\":\"Extension.Crash\",\"errorMessage\":\"RequestId: %s Error: exit status "
		"3\"}"));
	guard_await(GUARD_TERMINATE, GUARD_RUNTIME);
	guard_say(GUARD_ENDED, GUARD_RUNTIME, EXIT_SIGNAL, SIGTERM, "");
	end();
}

static void test_what_it_announced_is_the_reason(void)
{
	char fields[192];

	start_one("\"INVOKE\"");
	(void)fake_receive_event(&runtime, call.request_id);
	await_event(&one, "INVOKE");
	(void)snprintf(fields, sizeof(fields),
		"Lambda-Extension-Identifier: %s\r\nLambda-Extension-Function-Error-Type: Mine.Bad\r\n",
		one.id);
	struct fake_reply reply = ask(
		&one.peer, "POST /2020-01-01/extension/exit/error", fields, S("{}"));
	CHECK(reply.status == 202);
	CHECK_STR(reply.body, S("{\"status\":\"OK\"}\n"));
	guard_say(GUARD_ENDED, 0, EXIT_STATUS, 0, "");
	fake_await(&node, &call);
	CHECK(fake_payload_is(&call,
		"{\"errorType\":\"Extension.ExitError\",\"errorMessage\":\"RequestId: %s Error: exit "
		"code 0\"}"));
	guard_await(GUARD_TERMINATE, GUARD_RUNTIME);
	guard_say(GUARD_ENDED, GUARD_RUNTIME, EXIT_SIGNAL, SIGTERM, "");
	end();
}

static void test_an_initialisation_that_fails_is_tried_again_and_then_fails(void)
{
	start_guarded();
	for (int i = 0; i < 2; i++) {
		guard_say(GUARD_EXTENSION, 0, 0, 0, "one");
		guard_say(GUARD_NOT_STARTED, 0, 0, EACCES, "");
		fake_await_kill(&node, &sandbox);
		fake_exit(&node, &sandbox, EXIT_KILLED, 0);
		if (i == 1)
			break;
		fake_await_guarded(&node, &sandbox);
		guard_begin();
		fake_spawned(&node, &sandbox);
	}
	fake_await(&node, &call);
	CHECK(fake_payload_is(&call,
		"{\"errorType\":\"Extension.LaunchError\",\"errorMessage\":\"RequestId: %s Error: "
		"fork/exec /opt/extensions/one: permission denied\"}"));
	fake_logs_await(&node,
		"EXTENSION\tName: one\tState: LaunchError\tEvents: []\tError Type: PermissionDenied\n");
	fake_logs_await(&node, "Phase: init\tStatus: error\tError Type: Extension.LaunchError");
	stop();
}

static void test_a_runtime_that_ends_under_its_guard_is_a_crash_of_its_own(void)
{
	start_one("\"SHUTDOWN\"");
	(void)fake_receive_event(&runtime, call.request_id);
	guard_say(GUARD_ENDED, GUARD_RUNTIME, EXIT_STATUS, 7, "");
	fake_await(&node, &call);
	CHECK(fake_payload_is(&call,
		"{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"RequestId: %s Error: Runtime "
		"exited with error: exit status 7\"}"));
	struct fake_reply reply = fake_receive(&one.peer);
	CHECK(str_ends(reply.body, S("\"shutdownReason\":\"failure\"}")));
	guard_say(GUARD_ENDED, 0, EXIT_STATUS, 0, "");
	end();
}

static void test_what_the_runtime_said_last_counts(void)
{
	start_one("");
	(void)fake_receive_event(&runtime, call.request_id);
	guard_say(GUARD_ENDED, GUARD_RUNTIME, EXIT_STATUS, 0, "");
	fake_respond(&runtime, call.request_id, "\"last\"", "");
	fake_await(&node, &call);
	CHECK(!call.is_error && fake_payload_is(&call, "\"last\""));
	guard_await(GUARD_KILL, 0);
	guard_say(GUARD_ENDED, 0, EXIT_SIGNAL, SIGKILL, "");
	end();
}

static void test_a_guard_that_talks_nonsense_changes_nothing(void)
{
	struct guard_frame frame = { .op = GUARD_ENDED, .who = 3 };

	start_guarded();
	guard_say(99, 0, 0, 0, "");
	guard_say(GUARD_EXTENSION, 77, 0, 0, "x");
	guard_say(GUARD_ENDED, 5, EXIT_STATUS, 0, "");
	memset(frame.name, 'x', sizeof(frame.name));
	CHECK(fd_send(sandbox.guard, &frame, sizeof(frame), NULL, 0) == 0);
	CHECK(fd_send(sandbox.guard, &frame, 5, NULL, 0) == 0);
	guard_say(GUARD_CONNECTED, 0, 0, 0, "");
	CHECK(fd_send(sandbox.guard, &frame, 5, &(int){ 0 }, 1) == 0);
	guard_say(GUARD_LISTED, 0, 0, 0, "");
	guard_await(GUARD_START, GUARD_RUNTIME);
	finish(&runtime);
	stop();
}

/* --- the Shutdown phase --- */

static void test_shutdown_ends_the_runtime_then_tells_extensions(void)
{
	struct guard_frame frame;

	start_one("\"SHUTDOWN\"");
	(void)fake_receive_event(&runtime, call.request_id);
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	fake_target_put(&node,
		&(struct fake_target){ .name = "f", .revision = "2", .has_extensions = true });
	engine_function_changed(node.engine, S("000000000000"), S("us-east-1"), S("f"));
	guard_await(GUARD_TERMINATE, GUARD_RUNTIME);
	CHECK(fake_is_silent(&one.peer));
	guard_say(GUARD_ENDED, GUARD_RUNTIME, EXIT_STATUS, 0, "");
	struct fake_reply reply = fake_receive(&one.peer);
	CHECK(str_starts(reply.body, S("{\"eventType\":\"SHUTDOWN\",\"deadlineMs\":")));
	CHECK(str_ends(reply.body, S("\"shutdownReason\":\"spindown\"}")));
	fake_turn(&node);
	CHECK(!guard_hears(&frame) && !fake_is_kill_asked(&node, &sandbox));
	guard_say(GUARD_ENDED, 0, EXIT_STATUS, 0, "");
	end();
}

static void test_who_does_not_go_in_time_is_killed(void)
{
	start_one("\"SHUTDOWN\"");
	(void)fake_receive_event(&runtime, call.request_id);
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	fake_target_put(&node,
		&(struct fake_target){ .name = "f", .revision = "2", .has_extensions = true });
	engine_function_changed(node.engine, S("000000000000"), S("us-east-1"), S("f"));
	guard_await(GUARD_TERMINATE, GUARD_RUNTIME);
	guard_await(GUARD_KILL, GUARD_RUNTIME);
	await_event(&one, "SHUTDOWN");
	end();
}

static void test_internal_ones_give_the_runtime_half_a_second(void)
{
	start(false);
	fake_invoke_name(&node, "f", &call);
	fake_spawn(&node, &sandbox);
	connect_extension(&one, "inside", "\"INVOKE\"");
	fake_connect(&node, &sandbox, &runtime);
	fake_next(&runtime);
	CHECK(fake_is_silent(&runtime));
	send_next(&one);
	(void)fake_receive_event(&runtime, call.request_id);
	await_event(&one, "INVOKE");
	send_next(&one);
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	fake_target_put(&node, &(struct fake_target){ .name = "f", .revision = "2" });
	engine_function_changed(node.engine, S("000000000000"), S("us-east-1"), S("f"));
	fake_await_order(&node, &sandbox, FRAME_TERMINATE);
	CHECK(!fake_is_kill_asked(&node, &sandbox));
	fake_exit(&node, &sandbox, EXIT_SIGNAL, SIGTERM);
	fake_hang_up(&one.peer);
	stop();
}

/* --- telemetry --- */

static int sink = -1; /* where the extension listens */

static struct fake_reply subscribe(const char *path, const char *format)
{
	char fields[96], start[64], body[512];

	if (sink < 0) {
		int r = socket_listen(S("127.0.0.1:0"), 16, &sink);
		CHECK(r == 0);
	}
	fields_of(&one, fields, sizeof(fields));
	(void)snprintf(start, sizeof(start), "PUT %s", path);
	(void)snprintf(body, sizeof(body),
		"{\"schemaVersion\":\"2022-12-13\",\"types\":[\"platform\",\"function\",\"extension\"],"
		"\"buffering\":{\"timeoutMs\":25},\"destination\":{\"protocol\":\"HTTP\","
		"\"URI\":\"http://sandbox.localdomain:%d/a\"}%s}",
		socket_port(sink), format);
	return ask(&one.peer, start, fields, str_of(body));
}

/* The guard is asked for a connection, and makes one (or says that it could not). */
static void connect_sink(int error)
{
	struct guard_frame frame = {};
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)socket_port(sink)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	fake_until(&node, guard_hears, &frame);
	CHECK(frame.op == GUARD_CONNECT && frame.value == (uint32_t)socket_port(sink));
	frame.op = GUARD_CONNECTED;
	frame.value = (uint32_t)error;
	scoped_fd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!error)
		CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	int r = fd_send(sandbox.guard, &frame, sizeof(frame), &fd, error ? 0 : 1);
	CHECK(r == 0);
}

static struct buf delivered;

struct reading {
	int fd;
	bool is_whole;
};

static bool batch_is_read(void *context)
{
	struct reading *reading = context;
	char bytes[4096];

	ssize_t n = recv(reading->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n > 0)
		buf_put(&delivered, (str){ bytes, (size_t)n });
	reading->is_whole = str_ends(buf_str(&delivered), S("]"));
	return reading->is_whole || n == 0;
}

/* One batch is taken, and answered with this status: what it said is in `delivered`. */
static void take_batch(int status)
{
	char answer[64];

	connect_sink(0);
	scoped_fd fd = accept(sink, NULL, NULL);
	struct reading reading = { fd, false };
	buf_done(&delivered);
	buf_init(&delivered, 4 * 1024 * 1024);
	fake_until(&node, batch_is_read, &reading);
	CHECK(str_starts(buf_str(&delivered), S("POST /a HTTP/1.1\r\nHost: sandbox.localdomain:")));
	int len = snprintf(answer, sizeof(answer), "HTTP/1.1 %d X\r\n\r\n", status);
	CHECK(send(fd, answer, (size_t)len, 0) == len);
}

/* Batches are taken until one has this. */
static void take_until(const char *text)
{
	do
		take_batch(200);
	while (str_find_str(buf_str(&delivered), str_of(text)) < 0);
}

static void start_telemetry(void)
{
	start_guarded();
	guard_say(GUARD_EXTENSION, 0, 0, 0, "one");
	guard_say(GUARD_LISTED, 0, 0, 0, "");
	connect_extension(&one, "one", "\"INVOKE\"");
	guard_await(GUARD_START, GUARD_RUNTIME);
	struct fake_reply reply = subscribe("/2022-07-01/telemetry", "");
	CHECK(reply.status == 200);
	CHECK_STR(reply.body, S("\"OK\""));
}

static void stop_telemetry(void)
{
	fd_close(&sink);
	buf_done(&delivered);
	fake_hang_up(&one.peer);
	stop();
}

static void test_telemetry_tells_what_was_before_and_that_the_runtime_is_done(void)
{
	start_telemetry();
	take_batch(200);
	CHECK(str_find_str(buf_str(&delivered), S("\"type\":\"platform.initStart\"")) > 0);
	CHECK(str_find_str(buf_str(&delivered),
		      S("\"type\":\"platform.telemetrySubscription\",\"record\":{\"name\":\"one\"")) >
		0);
	send_next(&one);
	fake_connect(&node, &sandbox, &runtime);
	fake_next(&runtime);
	(void)fake_receive_event(&runtime, call.request_id);
	await_event(&one, "INVOKE");
	fake_print(&sandbox, "of the function\n");
	CHECK(write(extensions_log, "of mine\n", 8) == 8);
	take_until("\"type\":\"function\",\"record\":\"of the function\"");
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	take_until("\"type\":\"platform.runtimeDone\"");
	CHECK(str_find_str(buf_str(&delivered), S("platform.report")) < 0);
	send_next(&one);
	take_until("\"type\":\"platform.report\"");
	CHECK(str_find_str(buf_str(&delivered), S("\"extensionOverhead\"")) > 0);
	fake_logs_await(&node,
		"TELEMETRY\tName: one\tState: Subscribed\tTypes: [Platform, Function, "
		"Extension]\n");
	fake_logs_await(&node, "of mine\n");
	stop_telemetry();
}

static void test_a_batch_that_is_refused_comes_again(void)
{
	start_telemetry();
	connect_sink(ECONNREFUSED);
	take_batch(500);
	take_batch(200);
	CHECK(str_find_str(buf_str(&delivered), S("platform.initStart")) > 0);
	send_next(&one);
	finish(&runtime);
	await_event(&one, "INVOKE");
	send_next(&one);
	stop_telemetry();
}

static void test_subscribing_has_its_rules(void)
{
	static const struct {
		const char *more, *fault;
	} rows[] = {
		{ ",\"types\":[]", "types should not be empty" },
		{ ",\"types\":[\"x\"]", "types should be one of platform, function, extension" },
		{ ",\"schemaVersion\":\"1\"", "schemaVersion is not valid" },
		{ ",\"buffering\":{\"timeoutMs\":24}", "timeoutMs should be between 25 and 30000" },
		{ ",\"buffering\":{\"maxBytes\":1}",
			"maxBytes should be between 262144 and 1048576" },
		{ ",\"destination\":{\"protocol\":\"HTTP\",\"URI\":\"http://sandbox.localdomain\"},"
		  "\"types\":[]",
			"URI port is not provided; types should not be empty" },
		{ ",\"destination\":{\"protocol\":\"HTTP\",\"URI\":\"http://10.0.0.1:80\"}",
			"URI host should be sandbox.localdomain" },
		{ ",\"destination\":{\"protocol\":\"HTTP\",\"URI\":\"http://localhost:9001\"}",
			"URI port is not valid" },
		{ ",\"destination\":{\"protocol\":\"HTTP\",\"URI\":\"http://localhost:80/\\r\\n\"}",
			"URI path is not valid" },
		{ ",\"destination\":{\"protocol\":\"TCP\"}", "port should not be empty" },
		{ ",\"destination\":{\"protocol\":\"TCP\",\"port\":9001}", "port is not valid" },
		{ ",\"destination\":{\"protocol\":\"TCP\",\"port\":65536}", "port is not valid" },
		{ ",\"destination\":{\"protocol\":\"UDP\"}", "protocol should be HTTP or TCP" },
		{ ",\"destination\":{\"protocol\":\"HTTP\",\"method\":\"GET\","
		  "\"URI\":\"http://localhost:80\"}",
			"method should be POST or PUT" },
	};
	char want[256];

	start_guarded();
	guard_say(GUARD_EXTENSION, 0, 0, 0, "one");
	guard_say(GUARD_LISTED, 0, 0, 0, "");
	connect_extension(&one, "one", "\"INVOKE\"");
	guard_await(GUARD_START, GUARD_RUNTIME);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fake_reply reply = subscribe("/2022-07-01/telemetry", rows[i].more);
		CHECK(reply.status == 400);
		(void)snprintf(want, sizeof(want),
			"{\"errorMessage\":\"%s\",\"errorType\":\"ValidationError\"}\n",
			rows[i].fault);
		CHECK_STR(reply.body, str_of(want));
	}
	struct fake_reply reply = subscribe(
		"/2020-08-15/logs", ",\"schemaVersion\":\"2021-03-18\"");
	CHECK(reply.status == 200);
	send_next(&one);
	finish(&runtime);
	await_event(&one, "INVOKE");
	send_next(&one);
	fake_logs_await(&node, "LOGS\tName: one\tState: Subscribed");
	fake_hang_up(&one.peer);
	one.peer.fd = -1;
	fake_connect(&node, &sandbox, &one.peer);
	reply = subscribe("/2022-07-01/telemetry", "");
	is_refused(&reply, "Telemetry.SubscriptionClosed",
		"Telemetry API subscription is closed already");
	stop_telemetry();
}

/* --- what is refused --- */

static void test_registering_has_its_rules(void)
{
	struct fake_peer peer;
	struct fake_reply reply;

	start_one("\"INVOKE\"");
	(void)fake_receive_event(&runtime, call.request_id);
	fake_connect(&node, &sandbox, &peer);
	reply = ask(&peer, "POST /2020-01-01/extension/register", "", S("{}"));
	is_refused(&reply, "Extension.InvalidExtensionName", "Empty extension name");
	reply = ask_register(&peer, "late", "{}");
	is_refused(&reply, "Extension.RegistrationClosed", "Extension registration closed already");
	reply = ask_register(&peer, "late", "");
	is_refused(&reply, "InvalidRequestFormat", "unexpected end of JSON input");
	reply = ask_register(&peer, "one", "{\"events\":[\"LAUNCH\"]}");
	is_refused(&reply, "Extension.InvalidEventType", "LAUNCH: ErrorInvalidEventType");
	reply = ask_register(&peer, "late", "{\"events\":[\"SHUTDOWN\"]}");
	is_refused(&reply, "Extension.InvalidEventType",
		"SHUTDOWN: ShutdownEventNotSupportedForInternalExtension");
	reply = ask_register(&peer, "one", "{\"events\":[]}");
	is_refused(&reply, "Extension.InvalidExtensionState",
		"State transition from Running to Registered failed for extension one. Error: State "
		"transition is not allowed");
	fake_hang_up(&peer);
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	await_event(&one, "INVOKE");
	send_next(&one);
	fake_hang_up(&one.peer);
	stop();
}

static void test_the_account_is_told_to_who_asks_for_it(void)
{
	struct fake_reply reply;

	start(false);
	fake_invoke_name(&node, "f", &call);
	fake_spawn(&node, &sandbox);
	fake_connect(&node, &sandbox, &one.peer);
	reply = ask(&one.peer, "POST /2020-01-01/extension/register",
		"Lambda-Extension-Name: x\r\nLambda-Extension-Accept-Feature: other, accountId\r\n",
		S("{\"events\":[\"INVOKE\"]}"));
	int r = str_to_array(
		fake_field(&reply, "Lambda-Extension-Identifier"), one.id, sizeof(one.id));
	CHECK(r == 0);
	CHECK_STR(reply.body,
		S("{\"functionName\":\"f\",\"functionVersion\":\"$LATEST\",\"handler\":\"index.handler\","
		  "\"accountId\":\"000000000000\"}\n"));
	reply = ask_register(&one.peer, "x", "{}");
	is_refused(&reply, "Extension.InvalidExtensionState",
		"Extension with this name already registered");
	send_next(&one);
	finish(&runtime);
	await_event(&one, "INVOKE");
	send_next(&one);
	fake_hang_up(&one.peer);
	stop();
}

static void test_who_asks_must_be_known(void)
{
	struct fake_peer peer;
	struct fake_reply reply;

	start_one("\"INVOKE\"");
	(void)fake_receive_event(&runtime, call.request_id);
	await_event(&one, "INVOKE");
	fake_connect(&node, &sandbox, &peer);
	reply = ask(&peer, "GET /2020-01-01/extension/event/next", "", S(""));
	is_refused(&reply, "Extension.MissingExtensionIdentifier",
		"Missing Lambda-Extension-Identifier header");
	reply = ask(&peer, "GET /2020-01-01/extension/event/next",
		"Lambda-Extension-Identifier: me\r\n", S(""));
	is_refused(&reply, "Extension.InvalidExtensionIdentifier",
		"Invalid Lambda-Extension-Identifier");
	reply = ask(&peer, "GET /2020-01-01/extension/event/next",
		"Lambda-Extension-Identifier: 00000000-0000-4000-8000-000000000000\r\n", S(""));
	is_refused(&reply, "Extension.UnknownExtensionIdentifier",
		"Unknown extension 00000000-0000-4000-8000-000000000000");
	reply = ask(&peer, "POST /2020-01-01/extension/init/error",
		"Lambda-Extension-Identifier: 00000000-0000-4000-8000-000000000000\r\n", S(""));
	is_refused(&reply, "Extension.UnknownExtensionIdentifier",
		"Unknown Lambda-Extension-Identifier");
	fake_hang_up(&peer);
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	send_next(&one);
	fake_hang_up(&one.peer);
	stop();
}

static void test_errors_have_their_rules(void)
{
	struct fake_reply reply;
	char fields[192], message[256];

	start_one("\"INVOKE\"");
	(void)fake_receive_event(&runtime, call.request_id);
	await_event(&one, "INVOKE");
	fields_of(&one, fields, sizeof(fields));
	reply = ask(&one.peer, "POST /2020-01-01/extension/exit/error", fields, S(""));
	is_refused(&reply, "Extension.MissingHeader",
		"Lambda-Extension-Function-Error-Type not found");
	(void)snprintf(fields, sizeof(fields),
		"Lambda-Extension-Identifier: %s\r\nLambda-Extension-Function-Error-Type: A.B\r\n",
		one.id);
	reply = ask(&one.peer, "POST /2020-01-01/extension/init/error", fields, S(""));
	(void)snprintf(message, sizeof(message),
		"State transition from Running to InitError failed for extension %s. Error: State "
		"transition is not allowed",
		one.id);
	is_refused(&reply, "Extension.InvalidExtensionState", message);
	answer_and_next(&runtime, &call, "1");
	fake_await(&node, &call);
	send_next(&one);
	fake_hang_up(&one.peer);
	stop();
}

TESTS(TEST(test_the_runtime_begins_when_all_have_registered),
	TEST(test_initialisation_ends_when_extensions_and_runtime_have_asked),
	TEST(test_a_guard_without_extensions_begins_at_once),
	TEST(test_an_answer_does_not_wait_for_extensions_but_the_next_event_does),
	TEST(test_who_asks_for_the_log_gets_its_report_too),
	TEST(test_one_that_takes_too_long_ends_the_environment_as_a_timeout),
	TEST(test_a_crash_ends_the_invocation), TEST(test_what_it_announced_is_the_reason),
	TEST(test_an_initialisation_that_fails_is_tried_again_and_then_fails),
	TEST(test_a_runtime_that_ends_under_its_guard_is_a_crash_of_its_own),
	TEST(test_what_the_runtime_said_last_counts),
	TEST(test_a_guard_that_talks_nonsense_changes_nothing),
	TEST(test_shutdown_ends_the_runtime_then_tells_extensions),
	TEST(test_who_does_not_go_in_time_is_killed),
	TEST(test_telemetry_tells_what_was_before_and_that_the_runtime_is_done),
	TEST(test_a_batch_that_is_refused_comes_again), TEST(test_subscribing_has_its_rules),
	TEST(test_internal_ones_give_the_runtime_half_a_second),
	TEST(test_registering_has_its_rules), TEST(test_the_account_is_told_to_who_asks_for_it),
	TEST(test_who_asks_must_be_known), TEST(test_errors_have_their_rules))
