#include "services/lambda/async_record.h"

#include "base/test.h"

static char text[4096];

static str made(const struct async_record *record)
{
	struct buf out;

	buf_init_over(&out, text, sizeof(text));
	async_record_put(&out, record);
	CHECK(!out.err);
	return buf_str(&out);
}

static void test_a_success_has_the_answer(void)
{
	struct async_record record = {
		.now_ms = 1'573'755'365'568,
		.request_id = S("e4b46cbf-b738-xmpl-8880-a18cdf61200e"),
		.function_arn = S("arn:aws:lambda:us-east-2:123456789012:function:fn:$LATEST"),
		.condition = "Success",
		.invoke_count = 1,
		.request = S("{\"a\": 1}"),
		.has_response = true,
		.version = S("$LATEST"),
		.response = S("[1]"),
	};

	CHECK_STR(made(&record),
		S("{\"version\":\"1.0\",\"timestamp\":\"2019-11-14T18:16:05.568Z\",\"requestContext\":{"
		  "\"requestId\":\"e4b46cbf-b738-xmpl-8880-a18cdf61200e\",\"functionArn\":"
		  "\"arn:aws:lambda:us-east-2:123456789012:function:fn:$LATEST\","
		  "\"condition\":\"Success\",\"approximateInvokeCount\":1},"
		  "\"requestPayload\":{\"a\": 1},\"responseContext\":{\"statusCode\":200,"
		  "\"executedVersion\":\"$LATEST\"},\"responsePayload\":[1]}"));
}

static void test_an_error_says_so_and_no_response_is_left_out(void)
{
	struct async_record record = { .condition = "RetriesExhausted",
		.invoke_count = 3,
		.request = S("1"),
		.has_response = true,
		.is_error = true,
		.version = S("7"),
		.response = S("{}") };

	CHECK(str_find_str(made(&record),
		      S("\"responseContext\":{\"statusCode\":200,\"executedVersion\":\"7\","
			"\"functionError\":\"Unhandled\"},\"responsePayload\":{}}")) > 0);
	record.has_response = false;
	CHECK(str_ends(made(&record), S("\"requestPayload\":1}")));
}

static void test_an_answer_that_is_no_json_becomes_a_string(void)
{
	struct async_record record = { .condition = "Success",
		.request = S("null"),
		.has_response = true,
		.response = S("plain \"text\"\xff") };

	CHECK(str_ends(
		made(&record), S("\"responsePayload\":\"plain \\\"text\\\"\xef\xbf\xbd\"}")));
	record.response = S("");
	CHECK(str_ends(made(&record), S("\"responsePayload\":null}")));
}

static str message(str response, size_t max)
{
	struct buf out;

	buf_init_over(&out, text, sizeof(text));
	async_record_put_message(&out, response, max);
	return buf_str(&out);
}

static void test_the_message_of_a_dead_letter_is_cut_between_characters(void)
{
	CHECK_STR(message(S("{\"errorMessage\":\"it broke\"}"), 100), S("it broke"));
	CHECK_STR(message(S("{\"errorMessage\":\"a\xc3\xbc\"}"), 3), S("a\xc3\xbc"));
	CHECK_STR(message(S("{\"errorMessage\":\"a\xc3\xbc\"}"), 2), S("a"));
	CHECK_STR(message(S("\"text\""), 9), S(""));
	CHECK_STR(message(S("no json"), 9), S(""));
	CHECK_STR(message(S(""), 9), S(""));
}

TESTS(TEST(test_a_success_has_the_answer), TEST(test_an_error_says_so_and_no_response_is_left_out),
	TEST(test_an_answer_that_is_no_json_becomes_a_string),
	TEST(test_the_message_of_a_dead_letter_is_cut_between_characters))
