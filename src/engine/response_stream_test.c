#include "engine/fake_logs.h"
#include "engine/fake_runtime.h"
#include "engine/invocation.h"

#include "base/attr.h"
#include "base/mem.h"
#include "model/limits.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static struct fake_node node;
static struct fake_sandbox sandbox;
static struct fake_peer peer;
static struct fake_call call;

#define API	"/2018-06-01/runtime/"
#define MODE	"Lambda-Runtime-Function-Response-Mode: streaming\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define TRAILER \
	"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"

/* A runtime in the middle of a call whose caller takes the response as it comes. */
static void start_with(uint32_t timeout_ms)
{
	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(&node,
		&(struct fake_target){ .name = "f", .version = "7", .timeout_ms = timeout_ms });
	fake_invoke(&node, &(struct fake_ask){ .name = "f", .streams = true }, &call);
	fake_boot(&node, &sandbox, &peer);
	(void)fake_receive_event(&peer, call.request_id);
}

static void start(void)
{
	start_with(0);
}

static void stop(void)
{
	fake_call_done(&call);
	fake_hang_up(&peer);
	fake_node_stop(&node);
}

[[gnu::format(printf, 2, 3)]] static void send_text(struct fake_peer *to, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	int len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fake_send(to, (str){ text, (size_t)len });
}

/* The head of a streamed response, and these fields. */
static void begin(const char *fields)
{
	send_text(&peer, "POST " API "invocation/%s/response HTTP/1.1\r\nHost: x\r\n" MODE "%s\r\n",
		call.request_id, fields);
}

static bool has_pieces(void *context)
{
	return call.pieces.len >= *(const size_t *)context;
}

static void await_pieces(size_t len)
{
	fake_until(&node, has_pieces, &len);
}

static void check_accepted(void)
{
	struct fake_reply reply = fake_receive(&peer);

	CHECK(reply.status == 202);
	CHECK_STR(reply.body, S("{\"status\":\"OK\"}\n"));
}

static void check_error(const char *own_error, const char *words)
{
	CHECK(call.is_done && call.outcome == INVOKE_DONE && call.is_error && call.has_begun);
	CHECK_STR(str_of(call.own_error), str_of(own_error));
	CHECK(str_find_str(buf_str(&call.payload), str_of(words)) >= 0);
}

static void test_pieces_come_before_the_response_is_whole(void)
{
	start();
	begin("Content-Type: text/x\r\n" CHUNKED);
	send_text(&peer, "3\r\nabc\r\n");
	await_pieces(3);
	CHECK(call.begun == 1 && !call.is_done);
	CHECK_STR(str_of(call.version), S("7"));
	CHECK_STR(str_of(call.content_type), S("text/x"));
	send_text(&peer, "2\r\nde\r\n");
	await_pieces(5);
	CHECK(!call.is_done);
	send_text(&peer, "0\r\n\r\n%s", fake_next_text);
	fake_await(&node, &call);
	CHECK(call.outcome == INVOKE_DONE && !call.is_error && call.has_begun);
	CHECK_STR(buf_str(&call.pieces), S("abcde"));
	CHECK(call.payload.len == 0 && call.begun == 1);
	CHECK_STR(str_of(call.content_type), S("text/x"));
	CHECK(fake_is_silent(&peer)); /* the 202 is held back for the next event */
	fake_logs_await(&node, "REPORT RequestId: ");
	stop();
}

static void test_the_next_invocation_follows_a_stream(void)
{
	struct fake_call second;

	start();
	begin(CHUNKED);
	send_text(&peer, "1\r\na\r\n0\r\n\r\n");
	check_accepted();
	CHECK(call.is_done);
	fake_next(&peer);
	fake_invoke_name(&node, "f", &second);
	(void)fake_receive_event(&peer, second.request_id);
	fake_respond(&peer, second.request_id, "2", NULL);
	fake_await(&node, &second);
	CHECK_STR(buf_str(&second.payload), S("2"));
	fake_call_done(&second);
	stop();
}

static void test_a_stream_of_known_length_is_one_too(void)
{
	start();
	begin("Content-Length: 4\r\n");
	send_text(&peer, "ab");
	await_pieces(2);
	send_text(&peer, "cd");
	check_accepted();
	CHECK_STR(buf_str(&call.pieces), S("abcd"));
	stop();
}

static void test_an_empty_stream_has_no_pieces(void)
{
	start();
	begin(CHUNKED);
	send_text(&peer, "0\r\n\r\n");
	check_accepted();
	CHECK(call.begun == 1 && call.pieces.len == 0 && call.has_begun && !call.is_error);
	stop();
}

static void test_an_answer_that_is_not_streamed_comes_whole(void)
{
	start();
	fake_respond(&peer, call.request_id, "{\"a\":1}", NULL);
	check_accepted();
	CHECK(call.begun == 0 && !call.has_begun && !call.is_stream);
	CHECK_STR(buf_str(&call.payload), S("{\"a\":1}"));
	stop();
}

static void test_a_posted_error_comes_whole(void)
{
	start();
	send_text(&peer,
		"POST " API "invocation/%s/error HTTP/1.1\r\nHost: x\r\n" MODE
		"Content-Length: 2\r\n\r\n{}",
		call.request_id);
	check_accepted();
	CHECK(call.begun == 0 && !call.has_begun && call.is_error && !call.own_error[0]);
	CHECK_STR(buf_str(&call.payload), S("{}"));
	stop();
}

static void test_a_caller_without_a_sink_gets_a_stream_whole(void)
{
	fake_node_start(&node, &(struct engine_options){});
	fake_target_put(&node, &(struct fake_target){ .name = "f" });
	fake_invoke_name(&node, "f", &call);
	fake_boot(&node, &sandbox, &peer);
	(void)fake_receive_event(&peer, call.request_id);
	begin(CHUNKED);
	send_text(&peer, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	check_accepted();
	CHECK(!call.is_error && call.is_stream && !call.has_begun);
	CHECK_STR(buf_str(&call.payload), S("abcde"));
	stop();
}

static void test_trailers_tell_an_error_in_the_middle(void)
{
	start();
	begin(CHUNKED TRAILER);
	send_text(&peer,
		"3\r\nabc\r\n0\r\nlambda-runtime-function-error-type: RangeError\r\n"
		"Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJSYW5nZUVycm9yIn0=\r\n\r\n");
	check_accepted();
	check_error("", "");
	CHECK_STR(buf_str(&call.pieces), S("abc"));
	CHECK_STR(buf_str(&call.payload), S("{\"errorType\":\"RangeError\"}"));
	fake_logs_await(&node, "\tStatus: error\tError Type: Runtime.Unknown\t\n");
	stop();
}

static void test_trailers_without_an_error_are_none(void)
{
	start();
	begin(CHUNKED TRAILER);
	send_text(
		&peer, "3\r\nabc\r\n0\r\nOther: x\r\nLambda-Runtime-Function-Error-Type:\r\n\r\n");
	check_accepted();
	CHECK(!call.is_error);
	stop();
}

static void test_an_error_body_that_is_no_json_is_replaced(void)
{
	static const char *const bodies[] = { "", "!", "bm8=", "eyJhIjo=" };

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		start();
		begin(CHUNKED TRAILER);
		send_text(&peer,
			"0\r\nLambda-Runtime-Function-Error-Type: My\"Type\r\n"
			"Lambda-Runtime-Function-Error-Body: %s\r\n\r\n",
			bodies[i]);
		check_accepted();
		check_error("", "{\"errorType\":\"My\\\"Type\",\"errorMessage\":\"The function ");
		stop();
	}
}

/* As much as the sockets hold. */
static size_t send_what_goes(size_t most)
{
	static const char bytes[64 * 1024];
	size_t sent = 0;

	for (int idle = 0; sent < most && idle < 100;) {
		ssize_t n = send(peer.fd, bytes, MIN(sizeof(bytes), most - sent), MSG_NOSIGNAL);
		fake_turn(&node);
		idle = n > 0 ? 0 : idle + 1;
		sent += n > 0 ? (size_t)n : 0;
	}
	return sent;
}

enum { LARGE = 32 * 1024 * 1024 };

/* The runtime has been stopped in the middle of a large response: how much it has sent. */
static size_t fill(void)
{
	char length[64];

	snprintf(length, sizeof(length), "Content-Length: %d\r\n", LARGE);
	begin(length);
	call.is_full = true;
	size_t sent = send_what_goes(LARGE);
	CHECK(sent > 0 && sent < LARGE);
	return sent;
}

static void test_a_sink_that_is_full_stops_the_runtime(void)
{
	start();
	size_t sent = fill(), had = call.pieces.len;
	CHECK(had > 0 && had <= 256 * 1024);
	for (int i = 0; i < 50; i++)
		fake_turn(&node);
	CHECK(call.pieces.len == had);
	call.is_full = false;
	invocation_resume(call.invocation);
	sent += send_what_goes(LARGE - sent);
	CHECK(sent == LARGE);
	check_accepted();
	CHECK(call.pieces.len == LARGE && !call.is_error);
	stop();
}

static void test_a_caller_that_goes_away_lets_the_runtime_go_on(void)
{
	start();
	size_t sent = fill(), had = call.pieces.len;
	invocation_abandon(call.invocation);
	sent += send_what_goes(LARGE - sent);
	CHECK(sent == LARGE);
	check_accepted();
	CHECK(call.pieces.len == had && !call.is_done);
	stop();
}

static void test_what_is_above_the_limit_ends_it(void)
{
	start();
	begin(CHUNKED);
	send_text(&peer, "1\r\na\r\n");
	await_pieces(1);
	call.invocation->streamed = LIMIT_STREAM_BYTES - 3;
	send_text(&peer, "3\r\nbcd\r\n");
	await_pieces(4);
	CHECK(!call.is_done); /* exactly so much is allowed */
	send_text(&peer, "1\r\ne\r\n");
	struct fake_reply reply = fake_receive(&peer);
	CHECK(reply.status == 413);
	CHECK_STR(reply.body,
		S("{\"errorMessage\":\"Exceeded maximum allowed payload size (209715200 "
		  "bytes).\",\"errorType\":\"RequestEntityTooLarge\"}\n"));
	fake_await(&node, &call);
	check_error("Function.ResponseSizeTooLarge",
		"Response payload size exceeded maximum allowed payload size (209715200 bytes).");
	CHECK_STR(buf_str(&call.pieces), S("abcd"));
	stop();
}

static void test_a_connection_that_breaks_off_truncates_it(void)
{
	start();
	begin(CHUNKED);
	send_text(&peer, "3\r\nabc\r\n5\r\nde");
	await_pieces(5);
	fake_hang_up(&peer);
	fake_await(&node, &call);
	check_error("Runtime.TruncatedResponse", "Error: The response broke off before its end");
	fake_logs_await(&node, "\tError Type: Runtime.TruncatedResponse\t\n");
	fake_connect(&node, &sandbox, &peer); /* the runtime may go on */
	fake_next(&peer);
	CHECK(fake_is_silent(&peer));
	stop();
}

static void test_bad_chunks_truncate_it(void)
{
	start();
	begin(CHUNKED);
	send_text(&peer, "3\r\nabcd");
	CHECK(fake_receive(&peer).status == 400);
	fake_hang_up(&peer);
	fake_await(&node, &call);
	check_error("Runtime.TruncatedResponse", "broke off");
	CHECK_STR(buf_str(&call.pieces), S("abc"));
	stop();
}

static void test_a_crash_in_the_middle_truncates_it_and_is_logged(void)
{
	start();
	begin(CHUNKED);
	send_text(&peer, "3\r\nabc\r\n");
	await_pieces(3);
	fake_hang_up(&peer);
	fake_exit(&node, &sandbox, EXIT_STATUS, 3);
	fake_await(&node, &call);
	check_error("Runtime.TruncatedResponse", "RequestId: ");
	fake_logs_await(
		&node, "Error: Runtime exited with error: exit status 3\nRuntime.ExitError\n");
	stop();
}

/* Nobody reads the connection of a paused stream, so nobody sees its end. */
static void test_a_crash_of_one_that_waits_for_its_reader_is_seen(void)
{
	start();
	(void)fill();
	fake_hang_up(&peer);
	fake_exit(&node, &sandbox, EXIT_SIGNAL, 9);
	fake_await(&node, &call);
	check_error("Runtime.TruncatedResponse", "Runtime exited with error: signal: killed");
	stop();
}

static void test_a_time_out_in_the_middle_ends_it(void)
{
	start_with(100);
	begin(CHUNKED);
	send_text(&peer, "3\r\nabc\r\n");
	fake_await(&node, &call);
	check_error("Sandbox.Timedout", "Error: Task timed out after 0.10 seconds");
	CHECK_STR(buf_str(&call.pieces), S("abc"));
	fake_await_kill(&node, &sandbox);
	send_text(&peer, "3\r\ndef\r\n"); /* too late */
	fake_await_close(&peer);
	CHECK_STR(buf_str(&call.pieces), S("abc"));
	fake_exit(&node, &sandbox, EXIT_KILLED, 0);
	stop();
}

static void test_there_is_one_response_at_a_time(void)
{
	struct fake_peer other;

	start();
	begin(CHUNKED);
	send_text(&peer, "3\r\nabc\r\n");
	await_pieces(3);
	fake_connect(&node, &sandbox, &other);
	fake_respond(&other, call.request_id, "1", NULL);
	CHECK(fake_receive(&other).status == 403);
	send_text(&other,
		"POST " API
		"invocation/%s/error HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		call.request_id);
	CHECK(fake_receive(&other).status == 403);
	fake_next(&other);
	CHECK(fake_receive(&other).status == 403);
	fake_hang_up(&other);
	send_text(&peer, "0\r\n\r\n");
	check_accepted();
	CHECK(!call.is_error);
	CHECK_STR(buf_str(&call.pieces), S("abc"));
	stop();
}

TESTS(TEST(test_pieces_come_before_the_response_is_whole),
	TEST(test_the_next_invocation_follows_a_stream),
	TEST(test_a_stream_of_known_length_is_one_too), TEST(test_an_empty_stream_has_no_pieces),
	TEST(test_an_answer_that_is_not_streamed_comes_whole),
	TEST(test_a_posted_error_comes_whole),
	TEST(test_a_caller_without_a_sink_gets_a_stream_whole),
	TEST(test_trailers_tell_an_error_in_the_middle),
	TEST(test_trailers_without_an_error_are_none),
	TEST(test_an_error_body_that_is_no_json_is_replaced),
	TEST(test_a_sink_that_is_full_stops_the_runtime),
	TEST(test_a_caller_that_goes_away_lets_the_runtime_go_on),
	TEST(test_what_is_above_the_limit_ends_it),
	TEST(test_a_connection_that_breaks_off_truncates_it), TEST(test_bad_chunks_truncate_it),
	TEST(test_a_crash_in_the_middle_truncates_it_and_is_logged),
	TEST(test_a_crash_of_one_that_waits_for_its_reader_is_seen),
	TEST(test_a_time_out_in_the_middle_ends_it), TEST(test_there_is_one_response_at_a_time))
