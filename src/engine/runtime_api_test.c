#include "engine/fake_logs.h"
#include "engine/fake_runtime.h"
#include "engine/runtime_api.h"

#include "base/attr.h"
#include "base/mem.h"
#include "model/limits.h"

#include <string.h>

static struct fake_node node;
static struct fake_sandbox sandbox;
static struct fake_peer peer;
static struct fake_call call;

#define API "/2018-06-01/runtime/"

static void start(void)
{
	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
}

static void stop(void)
{
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

/* A runtime in the middle of `call`. */
static void start_busy(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	(void)fake_receive_event(&peer, call.request_id);
}

/* The runtime answers after all, and asks for the next. */
static void finish(void)
{
	fake_respond(&peer, call.request_id, "1", fake_next_text);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_DONE && !call.is_error);
	fake_call_done(&call);
	stop();
}

static void check_reply(int status, const char *body)
{
	struct fake_reply reply = fake_receive(&peer);

	CHECK(reply.status == status);
	CHECK_STR(reply.body, str_of(body));
	CHECK_STR(fake_field(&reply, "Content-Type"), S("application/json"));
}

static void post(const char *path, const char *fields, str body)
{
	char start_line[256];

	snprintf(start_line, sizeof(start_line), "POST %s", path);
	fake_send_request(&peer, start_line, fields, body, (str){});
}

static void test_an_event_has_all_of_lambdas_fields(void)
{
	start();
	fake_target_put(
		&node, &(struct fake_target){ .name = "f", .qualifier = "live", .version = "7" });
	fake_invoke(&node,
		&(struct fake_ask){ .name = "f",
			.qualifier = "live",
			.payload = "{\"a\":1}",
			.client_context = "{\"custom\":{}}" },
		&call);
	fake_boot(&node, &sandbox, &peer);
	struct fake_reply reply = fake_receive(&peer);
	CHECK(reply.status == 200);
	CHECK_STR(reply.body, S("{\"a\":1}"));
	CHECK_STR(fake_field(&reply, "Content-Type"), S("application/json"));
	CHECK_STR(fake_field(&reply, "Lambda-Runtime-Aws-Request-Id"), str_of(call.request_id));
	CHECK_STR(fake_field(&reply, "Lambda-Runtime-Invoked-Function-Arn"),
		S("arn:aws:lambda:us-east-1:000000000000:function:f:live"));
	CHECK_STR(fake_field(&reply, "Lambda-Runtime-Client-Context"), S("{\"custom\":{}}"));
	str trace = fake_field(&reply, "Lambda-Runtime-Trace-Id");
	CHECK(str_starts(trace, S("Root=1-")) && str_find_str(trace, S(";Sampled=0;Lineage=")) > 0);
	CHECK(fake_field(&reply, "Lambda-Runtime-Deadline-Ms").len == 13);
	finish();
}

static void test_an_unqualified_name_has_an_unqualified_arn(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	struct fake_reply reply = fake_receive(&peer);
	CHECK_STR(fake_field(&reply, "Lambda-Runtime-Invoked-Function-Arn"),
		S("arn:aws:lambda:us-east-1:000000000000:function:f"));
	CHECK(!fake_field(&reply, "Lambda-Runtime-Client-Context").at);
	finish();
}

static void test_a_pipelined_answer_and_next_cost_one_write(void)
{
	struct fake_call second;

	start_busy();
	fake_respond(&peer, call.request_id, "1", fake_next_text);
	fake_await(&node, &call);
	CHECK(fake_is_silent(&peer)); /* the 202 is held back for the event */
	unsigned reads = peer.reads;
	fake_invoke_name(&node, "f", &second);
	CHECK(fake_receive(&peer).status == 202);
	(void)fake_receive_event(&peer, second.request_id);
	CHECK(peer.reads == reads + 1);
	fake_respond(&peer, second.request_id, "2", fake_next_text);
	fake_await(&node, &second);
	fake_call_done(&call);
	fake_call_done(&second);
	stop();
}

static void test_an_answer_alone_gets_its_202_at_once(void)
{
	start_busy();
	fake_respond(&peer, call.request_id, "{\"b\":2}", NULL);
	check_reply(202, "{\"status\":\"OK\"}\n");
	CHECK(call.is_done); /* the caller first */
	CHECK_STR(buf_str(&call.payload), S("{\"b\":2}"));
	fake_call_done(&call);
	stop();
}

static void test_a_chunked_answer_with_trailers_is_taken(void)
{
	char text[512];

	start_busy();
	snprintf(text, sizeof(text),
		"POST " API "invocation/%s/response HTTP/1.1\r\nHost: x\r\n"
		"Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n3\r\n\"ab\r\n2\r\nc\"\r\n0\r\nA: "
		"b\r\n\r\n",
		call.request_id);
	fake_send(&peer, str_of(text));
	check_reply(202, "{\"status\":\"OK\"}\n");
	CHECK_STR(buf_str(&call.payload), S("\"abc\""));
	fake_call_done(&call);
	stop();
}

static void test_the_content_type_of_an_answer_is_passed_on(void)
{
	char path[128];

	start_busy();
	snprintf(path, sizeof(path), API "invocation/%s/response", call.request_id);
	post(path, "Content-Type: application/vnd.awslambda.http-integration-response\r\n", S("x"));
	check_reply(202, "{\"status\":\"OK\"}\n");
	CHECK_STR(str_of(call.content_type),
		S("application/vnd.awslambda.http-integration-response"));
	fake_call_done(&call);
	stop();
}

static void test_a_posted_error_is_the_functions_error(void)
{
	char path[128];

	start_busy();
	snprintf(path, sizeof(path), API "invocation/%s/error", call.request_id);
	post(path, "Lambda-Runtime-Function-Error-Type: Unhandled\r\n",
		S("{\"errorMessage\":\"no\"}"));
	check_reply(202, "{\"status\":\"OK\"}\n");
	CHECK(call.outcome == INVOKE_DONE && call.is_error);
	CHECK_STR(buf_str(&call.payload), S("{\"errorMessage\":\"no\"}"));
	fake_logs_await(&node, "\tStatus: error\tError Type: Runtime.Unknown\t\n");
	fake_call_done(&call);
	stop();
}

static void test_error_types_are_lambdas_own_or_unknown(void)
{
	static const char *const rows[][2] = {
		{ "Runtime.MyType", "Runtime.MyType" },
		{ "Function.MyType", "Function.MyType" },
		{ "", "Runtime.Unknown" },
		{ "ValueError", "Runtime.Unknown" },
		{ "Runtime.", "Runtime.Unknown" },
		{ "Runtime.lower", "Runtime.Unknown" },
		{ "Runtime.T", "Runtime.Unknown" },
		{ "Runtime.With Space", "Runtime.Unknown" },
		{ "Runtime.Two.Dots", "Runtime.Unknown" },
		{ "Function.\t", "Function.Unknown" },
		{ "Sandbox.Timedout", "Runtime.Unknown" },
		{ "Runtime.AbcdefghijAbcdefghijAbcdefghijAbcdefghijAbcdefghijAbcdef",
			"Runtime.Unknown" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_STR(runtime_api_error_type(str_of(rows[i][0])), str_of(rows[i][1]));
}

static void test_an_error_in_a_streams_trailers_fails_the_invocation(void)
{
	char text[512];

	start_busy();
	snprintf(text, sizeof(text),
		"POST " API "invocation/%s/response HTTP/1.1\r\nHost: x\r\n"
		"Lambda-Runtime-Function-Response-Mode: streaming\r\n"
		"Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\n\r\n"
		"3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: Oops\r\n"
		"Lambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n\r\n",
		call.request_id);
	fake_send(&peer, str_of(text));
	check_reply(202, "{\"status\":\"OK\"}\n");
	CHECK(call.is_error);
	CHECK_STR(buf_str(&call.payload), S("{\"a\":1}"));
	fake_call_done(&call);
	stop();
}

static void test_a_wrong_request_id_is_refused(void)
{
	start_busy();
	post(API "invocation/5f3c1e5a-0000-4000-8000-000000000000/response", "", S("1"));
	check_reply(400,
		"{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}\n");
	post(API "invocation/5f3c1e5a-0000-4000-8000-000000000000/error", "", S("{}"));
	CHECK(fake_receive(&peer).status == 400);
	CHECK(!call.is_done);
	finish();
}

static void test_a_second_answer_is_refused(void)
{
	char path[128];

	start_busy();
	fake_respond(&peer, call.request_id, "1", NULL);
	check_reply(202, "{\"status\":\"OK\"}\n");
	fake_respond(&peer, call.request_id, "2", NULL);
	check_reply(403,
		"{\"errorMessage\":\"State transition from ResponseSent to InvocationResponse failed for "
		"runtime. Error: State transition is not allowed\",\"errorType\":"
		"\"InvalidStateTransition\"}\n");
	snprintf(path, sizeof(path), API "invocation/%s/error", call.request_id);
	post(path, "", S("{}"));
	CHECK(fake_receive(&peer).status == 403);
	CHECK_STR(buf_str(&call.payload), S("1"));
	fake_call_done(&call);
	stop();
}

static void test_two_answers_in_one_write_are_one_answer(void)
{
	char second[256];

	start_busy();
	snprintf(second, sizeof(second),
		"POST " API
		"invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n2",
		call.request_id);
	fake_respond(&peer, call.request_id, "1", second);
	CHECK(fake_receive(&peer).status == 202);
	CHECK(fake_receive(&peer).status == 403);
	CHECK_STR(buf_str(&call.payload), S("1"));
	fake_call_done(&call);
	stop();
}

static void test_an_answer_before_any_event_is_refused(void)
{
	start();
	fake_invoke_name(&node, "f", &call);
	fake_spawn(&node, &sandbox);
	fake_connect(&node, &sandbox, &peer);
	fake_respond(&peer, call.request_id, "1", NULL);
	CHECK(fake_receive(&peer).status == 400);
	CHECK(!call.is_done);
	fake_next(&peer);
	(void)fake_receive_event(&peer, call.request_id);
	finish();
}

static void test_next_while_an_invocation_runs_is_refused(void)
{
	start_busy();
	fake_next(&peer);
	check_reply(403,
		"{\"errorMessage\":\"State transition from Running to Ready failed for runtime. Error: "
		"State transition is not allowed\",\"errorType\":\"InvalidStateTransition\"}\n");
	finish();
}

static void test_of_two_nexts_one_is_refused(void)
{
	struct fake_peer other;

	start();
	fake_warm(&node, "f", &sandbox, &peer);
	fake_connect(&node, &sandbox, &other);
	fake_next(&other);
	struct fake_reply reply = fake_receive(&other);
	CHECK(reply.status == 403);
	CHECK(str_find_str(reply.body, S("from Ready to Ready")) >= 0);
	fake_hang_up(&other);
	fake_invoke_name(&node, "f", &call); /* the first one still waits */
	(void)fake_receive_event(&peer, call.request_id);
	finish();
}

/* Next on another connection, in the same turn as the answer on the first. */
static void test_next_may_come_on_another_connection(void)
{
	struct fake_peer other;
	struct fake_call second;

	start_busy();
	fake_connect(&node, &sandbox, &other);
	fake_turn(&node);
	fake_print(&sandbox, "printed before the answer\n");
	fake_respond(&peer, call.request_id, "1", NULL);
	fake_next(&other);
	fake_await(&node, &call);
	CHECK(fake_receive(&peer).status == 202);
	fake_invoke_name(&node, "f", &second);
	(void)fake_receive_event(&other, second.request_id);
	fake_respond(&other, second.request_id, "2", NULL);
	fake_await(&node, &second);
	fake_logs_await(&node, second.request_id);
	CHECK(fake_logs_in_order(node.platform.logs,
		(const char *[]){ "START", "printed before", "END", "REPORT", "START", NULL }));
	fake_call_done(&call);
	fake_call_done(&second);
	fake_hang_up(&other);
	stop();
}

static void check_too_large(size_t len, const char *fields)
{
	char *body = mem_new(len + 1, 1);
	char path[128];

	memset(body, '1', len);
	start_busy();
	snprintf(path, sizeof(path), API "invocation/%s/response", call.request_id);
	post(path, fields, (str){ body, len });
	mem_free(body);
	check_reply(413,
		"{\"errorMessage\":\"Exceeded maximum allowed payload size (6291556 bytes).\","
		"\"errorType\":\"RequestEntityTooLarge\"}\n");
	fake_await(&node, &call);
	CHECK(call.is_error);
	CHECK(fake_payload_is(&call,
		"{\"errorType\":\"Function.ResponseSizeTooLarge\",\"errorMessage\":\"Response payload "
		"size exceeded maximum allowed payload size (6291556 bytes).\"}"));
	fake_call_done(&call);
}

static void test_an_answer_one_byte_too_large_fails_and_the_runtime_goes_on(void)
{
	check_too_large(LIMIT_PAYLOAD_ERROR_BYTES + 1, "");
	fake_next(&peer);
	fake_invoke_name(&node, "f", &call);
	(void)fake_receive_event(&peer, call.request_id);
	finish();
}

/* So large that it is not read: the connection ends, and the runtime comes back on another one. */
static void test_a_huge_answer_fails_too(void)
{
	check_too_large(5 * LIMIT_PAYLOAD_BYTES, "");
	fake_hang_up(&peer);
	fake_connect(&node, &sandbox, &peer);
	fake_next(&peer);
	fake_invoke_name(&node, "f", &call);
	(void)fake_receive_event(&peer, call.request_id);
	finish();
}

static void test_the_largest_answer_is_taken(void)
{
	size_t len = LIMIT_PAYLOAD_ERROR_BYTES;
	char *body = mem_new(len + 1, 1);
	char path[128];

	memset(body, '1', len);
	start_busy();
	snprintf(path, sizeof(path), API "invocation/%s/response", call.request_id);
	post(path, "", (str){ body, len });
	check_reply(202, "{\"status\":\"OK\"}\n");
	CHECK(!call.is_error);
	CHECK_STR(buf_str(&call.payload), ((str){ body, len }));
	mem_free(body);
	fake_call_done(&call);
	stop();
}

/* Only the answer may be large, and one at a time: memory is the router's. */
static void test_large_requests_that_are_no_answer_are_refused(void)
{
	static char body[200 * 1024];
	static const char *const paths[] = { API "init/error", "/", API "invocation/x/response",
		API "invocation/next" };
	struct fake_peer other;

	memset(body, '1', sizeof(body));
	start_busy();
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		fake_connect(&node, &sandbox, &other);
		char line[128];
		snprintf(line, sizeof(line), "POST %s", paths[i]);
		fake_send_request(&other, line, "", (str){ body, sizeof(body) }, (str){});
		CHECK(fake_receive(&other).status == 413);
		fake_hang_up(&other);
	}
	CHECK(!call.is_done);
	finish();
}

static void test_of_two_large_answers_at_once_one_is_refused(void)
{
	char head[256];
	struct fake_peer other;

	start_busy();
	snprintf(head, sizeof(head),
		"POST " API
		"invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
		call.request_id);
	fake_send(&peer, str_of(head));
	fake_turn(&node);
	fake_turn(&node);
	fake_connect(&node, &sandbox, &other);
	fake_send(&other, str_of(head));
	CHECK(fake_receive(&other).status == 413);
	/* It ended the invocation, too: that was an answer, and it was too large. */
	fake_await(&node, &call);
	fake_hang_up(&other);
	fake_call_done(&call);
	stop();
}

static void test_unknown_paths_are_not_found(void)
{
	static const char *const requests[] = { "GET /", "GET " API "invocation",
		"GET " API "invocation/next/", "POST " API "invocation/next",
		"POST " API "invocation/x/other", "GET " API "invocation/x/response",
		"PUT " API "init/error", "DELETE /x" };

	start_busy();
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		fake_send_request(&peer, requests[i], "", S(""), (str){});
		check_reply(404,
			"{\"errorMessage\":\"The Runtime API has no such path.\",\"errorType\":"
			"\"NotFound\"}\n");
	}
	fake_send_request(&peer, "GET /2018-06-01/ping", "", S(""), (str){});
	CHECK_STR(fake_receive(&peer).body, S("pong"));
	fake_send_request(&peer, "GET /2020-01-01/extension/register", "", S(""), (str){});
	CHECK(fake_receive(&peer).status == 404);
	fake_send_request(&peer, "GET /2022-07-01/telemetry", "", S(""), (str){});
	CHECK(fake_receive(&peer).status == 404);
	finish();
}

static void test_a_malformed_request_ends_its_connection_only(void)
{
	struct fake_peer other;

	start_busy();
	fake_connect(&node, &sandbox, &other);
	fake_send(&other, S("BAD\r\n\r\n"));
	CHECK(fake_receive(&other).status == 400);
	fake_hang_up(&other);
	finish();
}

static void test_many_connections_do_not_stop_the_runtime(void)
{
	struct fake_peer others[15];

	start_busy();
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		fake_connect(&node, &sandbox, &others[i]);
	fake_turn(&node);
	fake_respond(&peer, call.request_id, "1", fake_next_text);
	fake_await(&node, &call);
	fake_call_done(&call);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		fake_hang_up(&others[i]);
	stop();
}

/* A runtime in shell: a connection for each request. */
static void test_a_connection_for_each_request_works(void)
{
	start();
	for (int i = 0; i < 3; i++) {
		fake_invoke_name(&node, "f", &call);
		if (i == 0)
			fake_spawn(&node, &sandbox);
		if (i > 0)
			fake_hang_up(&peer);
		fake_connect(&node, &sandbox, &peer);
		fake_send_request(&peer, "GET " API "invocation/next", "Connection: close\r\n",
			S(""), (str){});
		(void)fake_receive_event(&peer, call.request_id);
		fake_await_close(&peer);
		fake_hang_up(&peer);
		fake_connect(&node, &sandbox, &peer);
		fake_respond(&peer, call.request_id, "1", NULL);
		CHECK(fake_receive(&peer).status == 202);
		CHECK(call.is_done && !call.is_error);
		fake_call_done(&call);
	}
	stop();
}

/* The runtime answers and closes before it has read the 202: the answer counts. */
static void test_an_answer_whose_connection_closes_at_once_counts(void)
{
	start_busy();
	fake_respond(&peer, call.request_id, "\"last\"", NULL);
	fake_hang_up(&peer);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_DONE && !call.is_error);
	CHECK_STR(buf_str(&call.payload), S("\"last\""));
	fake_call_done(&call);
	stop();
}

TESTS(TEST(test_an_event_has_all_of_lambdas_fields),
	TEST(test_an_unqualified_name_has_an_unqualified_arn),
	TEST(test_a_pipelined_answer_and_next_cost_one_write),
	TEST(test_an_answer_alone_gets_its_202_at_once),
	TEST(test_a_chunked_answer_with_trailers_is_taken),
	TEST(test_the_content_type_of_an_answer_is_passed_on),
	TEST(test_a_posted_error_is_the_functions_error),
	TEST(test_error_types_are_lambdas_own_or_unknown),
	TEST(test_an_error_in_a_streams_trailers_fails_the_invocation),
	TEST(test_a_wrong_request_id_is_refused), TEST(test_a_second_answer_is_refused),
	TEST(test_two_answers_in_one_write_are_one_answer),
	TEST(test_an_answer_before_any_event_is_refused),
	TEST(test_next_while_an_invocation_runs_is_refused), TEST(test_of_two_nexts_one_is_refused),
	TEST(test_next_may_come_on_another_connection),
	TEST(test_an_answer_one_byte_too_large_fails_and_the_runtime_goes_on),
	TEST(test_a_huge_answer_fails_too), TEST(test_the_largest_answer_is_taken),
	TEST(test_large_requests_that_are_no_answer_are_refused),
	TEST(test_of_two_large_answers_at_once_one_is_refused),
	TEST(test_unknown_paths_are_not_found),
	TEST(test_a_malformed_request_ends_its_connection_only),
	TEST(test_many_connections_do_not_stop_the_runtime),
	TEST(test_a_connection_for_each_request_works),
	TEST(test_an_answer_whose_connection_closes_at_once_counts))
