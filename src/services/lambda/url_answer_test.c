#include "services/lambda/url_answer.h"

#include "base/mem.h"
#include "base/test.h"

#include <errno.h>

#define JSON "Content-Type: application/json\r\n"

static void test_every_shape_becomes_a_response(void)
{
	static const struct {
		const char *payload;
		int status;
		const char *fields, *body;
	} rows[] = {
		/* not of the format: 200 and the value itself */
		{ "{\"hello\": \"world\"}", 200, JSON, "{\"hello\": \"world\"}" },
		{ " [\"hello\",3,true]\n", 200, JSON, "[\"hello\",3,true]" },
		{ "\"hello\"", 200, JSON, "hello" },
		{ "\"say \\\"hi\\\"\\n\"", 200, JSON, "say \"hi\"\n" },
		{ "3", 200, JSON, "3" },
		{ "true", 200, JSON, "true" },
		{ "null", 200, JSON, "null" },
		{ "{\"statusCode\":null,\"body\":\"x\"}", 200, JSON,
			"{\"statusCode\":null,\"body\":\"x\"}" },
		{ "{\"body\":\"x\",\"headers\":{\"a\":\"b\"}}", 200, JSON,
			"{\"body\":\"x\",\"headers\":{\"a\":\"b\"}}" },
		/* of the format */
		{ "{\"statusCode\":200,\"body\":\"body123\"}", 200, JSON, "body123" },
		{ "{\"statusCode\":201}", 201, JSON, "" },
		{ "{\"statusCode\":\"404\",\"body\":null}", 404, JSON, "" },
		{ "{\"statusCode\":200,\"statusCode\":500}", 500, JSON, "" },
		{ "{\"st\\u0061tusCode\":202}", 202, JSON, "" },
		{ "{\"statusCode\":200,\"body\":\"\\u00e9\\n\"}", 200, JSON, "\xc3\xa9\n" },
		{ "{\"statusCode\":200,\"body\":{\"a\": [1]}}", 200, JSON, "{\"a\": [1]}" },
		{ "{\"statusCode\":200,\"body\":7}", 200, JSON, "7" },
		{ "{\"statusCode\":200,\"body\":\"aGk=\",\"isBase64Encoded\":true}", 200, JSON,
			"hi" },
		{ "{\"statusCode\":200,\"body\":\"aGk\\u003d\",\"isBase64Encoded\":true}", 200,
			JSON, "hi" },
		{ "{\"statusCode\":200,\"body\":\"aGk=\",\"isBase64Encoded\":false}", 200, JSON,
			"aGk=" },
		{ "{\"statusCode\":200,\"isBase64Encoded\":true}", 200, JSON, "" },
		{ "{\"statusCode\":200,\"headers\":{\"Content-Type\":\"text/html\",\"X-N\":5,"
		  "\"x-b\":true,\"X-Null\":null},\"body\":\"<p>\"}",
			200, "Content-Type: text/html\r\nX-N: 5\r\nx-b: true\r\n", "<p>" },
		{ "{\"statusCode\":200,\"cookies\":[\"a=1; Path=/\",\"b=2\"],\"body\":\"\"}", 200,
			"Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n" JSON, "" },
		{ "{\"statusCode\":204,\"headers\":null,\"cookies\":null,\"isBase64Encoded\":null}",
			204, JSON, "" },
		/* what frames the message is not the function's */
		{ "{\"statusCode\":200,\"headers\":{\"content-length\":\"9\",\"Transfer-Encoding\":"
		  "\"chunked\",\"Connection\":\"close\",\"X-Amzn-RequestId\":\"me\",\"a\":\"b\"}}",
			200, "a: b\r\n" JSON, "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct url_answer answer;
		CHECK(url_answer_read(str_of(rows[i].payload), &answer) == URL_ANSWER_GOOD);
		CHECK(answer.status == rows[i].status);
		CHECK_STR(buf_str(&answer.fields), str_of(rows[i].fields));
		CHECK_STR(answer.body, str_of(rows[i].body));
		url_answer_done(&answer);
	}
}

static void test_what_is_malformed_is_no_response(void)
{
	static const char *const rows[] = {
		"",
		"plain text",
		"{\"statusCode\":200",
		"{\"statusCode\":\"fine\"}",
		"{\"statusCode\":\"\"}",
		"{\"statusCode\":99}",
		"{\"statusCode\":101}",
		"{\"statusCode\":600}",
		"{\"statusCode\":200.5}",
		"{\"statusCode\":-200}",
		"{\"statusCode\":[200]}",
		"{\"statusCode\":true}",
		"{\"statusCode\":200,\"headers\":[]}",
		"{\"statusCode\":200,\"headers\":\"a: b\"}",
		"{\"statusCode\":200,\"headers\":{\"a\":{}}}",
		"{\"statusCode\":200,\"headers\":{\"a\":[\"b\"]}}",
		"{\"statusCode\":200,\"headers\":{\"\":\"b\"}}",
		"{\"statusCode\":200,\"headers\":{\"a b\":\"c\"}}",
		"{\"statusCode\":200,\"headers\":{\"a:\":\"c\"}}",
		"{\"statusCode\":200,\"headers\":{\"a\\r\\nb\":\"c\"}}",
		"{\"statusCode\":200,\"headers\":{\"a\":\"b\\r\\nc: d\"}}",
		"{\"statusCode\":200,\"headers\":{\"a\":\"b\\u0000\"}}",
		"{\"statusCode\":200,\"cookies\":\"a=1\"}",
		"{\"statusCode\":200,\"cookies\":[1]}",
		"{\"statusCode\":200,\"cookies\":[\"a=1\\nX: y\"]}",
		"{\"statusCode\":200,\"body\":\"a\",\"isBase64Encoded\":true}",
		"{\"statusCode\":200,\"body\":{},\"isBase64Encoded\":true}",
		"{\"statusCode\":200,\"body\":\"aGk=\",\"isBase64Encoded\":\"true\"}",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct url_answer answer;
		bool is_bad = url_answer_read(str_of(rows[i]), &answer) == URL_ANSWER_BAD;
		CHECK(is_bad);
		if (!is_bad)
			(void)fprintf(stderr, "  of %s\n", rows[i]);
		url_answer_done(&answer);
	}
}

static void test_headers_have_a_bound(void)
{
	struct url_answer answer;
	struct buf payload;

	buf_init(&payload, 1024 * 1024);
	buf_put(&payload, S("{\"statusCode\":200,\"headers\":{\"a\":\""));
	for (int i = 0; i < 70'000; i++)
		buf_put_char(&payload, 'x');
	buf_put(&payload, S("\"}}"));
	CHECK(url_answer_read(buf_str(&payload), &answer) == URL_ANSWER_BAD);
	url_answer_done(&answer);
	buf_done(&payload);
}

static void test_a_prelude_is_a_head(void)
{
	static const char *const bad[] = { "", "1", "[]", "{", "\"a\"", "{\"statusCode\":99}",
		"{\"statusCode\":\"x\"}", "{\"headers\":[]}", "{\"headers\":{\"a b\":\"c\"}}",
		"{\"headers\":{\"a\":\"b\\r\\nc: d\"}}", "{\"cookies\":\"a\"}" };
	struct url_answer answer;

	CHECK(url_answer_read_prelude(
		      S("{\"statusCode\":206,\"headers\":{\"content-type\":\"text/x\","
			"\"content-length\":3},\"cookies\":[\"a=b\"],\"body\":\"not of it\"}"),
		      &answer) == URL_ANSWER_GOOD);
	CHECK(answer.status == 206 && answer.body.len == 0);
	CHECK_STR(buf_str(&answer.fields), S("content-type: text/x\r\nSet-Cookie: a=b\r\n"));
	url_answer_done(&answer);
	CHECK(url_answer_read_prelude(S(" {} "), &answer) == URL_ANSWER_GOOD);
	CHECK(answer.status == 200);
	CHECK_STR(buf_str(&answer.fields), S("Content-Type: application/octet-stream\r\n"));
	url_answer_done(&answer);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(url_answer_read_prelude(str_of(bad[i]), &answer) == URL_ANSWER_BAD);
		url_answer_done(&answer);
	}
}

static void test_survives_every_failed_allocation(void)
{
	const str payload = S("{\"statusCode\":200,\"headers\":{\"a\":\"b\"},\"cookies\":[\"c=d\"],"
			      "\"body\":\"aGk\\u003d\",\"isBase64Encoded\":true}");

	for (int nth = 1; nth < 100; nth++) {
		struct url_answer answer;
		fault_countdown = nth;
		int r = url_answer_read(payload, &answer);
		bool reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(r == (reached ? -ENOMEM : URL_ANSWER_GOOD));
		url_answer_done(&answer);
		if (!reached)
			return;
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_every_shape_becomes_a_response), TEST(test_what_is_malformed_is_no_response),
	TEST(test_headers_have_a_bound), TEST(test_a_prelude_is_a_head),
	TEST(test_survives_every_failed_allocation))
