#include "services/lambda/url_event.h"

#include "base/mem.h"
#include "base/test.h"
#include "wire/json_check.h"

#include <errno.h>
#include <jansson.h>

#define HOST "abc.lambda-url.us-east-1.localhost:4566"

static struct http_head head_of(const char *text)
{
	static struct http_head head;
	size_t used;

	CHECK(http_parse_request(str_of(text), 0, &head, &used) == HTTP_PARSED);
	return head;
}

static struct url_event event_of(const struct http_head *head, str body)
{
	return (struct url_event){
		.head = head,
		.body = body,
		.path = head->path,
		.id = S("abc"),
		.request_id = S("11111111-2222-4333-8444-555555555555"),
		.source_ip = S("10.0.0.9"),
		.trace = S("Root=1-6ff00000-000000000000000000000001"),
		.account = S("123456789012"),
		.now_ms = 1583348638390,
	};
}

/* The whole event, byte for byte. */
static void test_a_plain_request(void)
{
	struct http_head head = head_of("GET / HTTP/1.1\r\nHost: " HOST
					"\r\nUser-Agent: agent\r\nConnection: close\r\n\r\n");
	struct url_event event = event_of(&head, S(""));
	struct buf out;

	buf_init(&out, 4096);
	url_event_put(&out, &event);
	CHECK_STR(buf_str(&out),
		S("{\"version\":\"2.0\",\"routeKey\":\"$default\",\"rawPath\":\"/\",\"rawQueryString\":\"\","
		  "\"headers\":{\"host\":\"" HOST "\",\"user-agent\":\"agent\",\"x-amzn-trace-id\":"
		  "\"Root=1-6ff00000-000000000000000000000001\",\"x-forwarded-for\":\"10.0.0.9\","
		  "\"x-forwarded-port\":\"4566\",\"x-forwarded-proto\":\"http\"},\"requestContext\":{"
		  "\"accountId\":\"anonymous\",\"apiId\":\"abc\",\"domainName\":"
		  "\"abc.lambda-url.us-east-1.localhost\",\"domainPrefix\":\"abc\",\"http\":{\"method\":"
		  "\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"sourceIp\":\"10.0.0.9\","
		  "\"userAgent\":\"agent\"},\"requestId\":\"11111111-2222-4333-8444-555555555555\","
		  "\"routeKey\":\"$default\",\"stage\":\"$default\",\"time\":"
		  "\"04/Mar/2020:19:03:58 +0000\",\"timeEpoch\":1583348638390},"
		  "\"isBase64Encoded\":false}"));
	buf_done(&out);
}

/* The event as a tree; checked to be JSON. */
static json_t *tree_of(const struct url_event *event)
{
	struct buf out;
	size_t offset;

	buf_init(&out, 1024 * 1024);
	url_event_put(&out, event);
	CHECK(!out.err && json_check(buf_str(&out), &offset));
	json_t *tree = json_loadb(out.at, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	CHECK(tree);
	buf_done(&out);
	return tree;
}

static str text_at(const json_t *tree, const char *outer, const char *inner)
{
	const json_t *value = json_object_get(tree, outer);

	if (inner)
		value = json_object_get(value, inner);
	return (str){ json_string_value(value), json_string_length(value) };
}

static void test_repeated_headers_are_joined_and_cookies_apart(void)
{
	struct http_head head = head_of(
		"GET /a%20b HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nCookie: a=1; b=2\r\nx-one: \"2\"\r\n"
		"X-ONE: 3, 4\r\nCookie: c=3;\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\n"
		"Transfer-Encoding: chunked\r\nX-Forwarded-Proto: https\r\n\r\n");
	struct url_event event = event_of(&head, S(""));
	json_auto_t *tree = tree_of(&event);
	const json_t *cookies = json_object_get(tree, "cookies");

	CHECK_STR(text_at(tree, "headers", "x-one"), S("1,\"2\",3, 4"));
	CHECK(json_array_size(cookies) == 3 && !text_at(tree, "headers", "cookie").at &&
		!text_at(tree, "headers", "transfer-encoding").at);
	CHECK_STR(str_of(json_string_value(json_array_get(cookies, 1))), S("b=2"));
	CHECK_STR(str_of(json_string_value(json_array_get(cookies, 2))), S("c=3"));
	CHECK_STR(text_at(tree, "headers", "x-forwarded-for"), S("1.1.1.1, 2.2.2.2, 10.0.0.9"));
	CHECK_STR(text_at(tree, "headers", "x-forwarded-proto"), S("http"));
	CHECK_STR(text_at(tree, "headers", "x-forwarded-port"), S("80"));
	CHECK_STR(text_at(tree, "rawPath", NULL), S("/a%20b"));
}

static void test_parameters_are_decoded_and_joined(void)
{
	struct http_head head = head_of(
		"GET /?a=1&b=x%20y+z&a=2&%61=%33&c&d=&e=%zz+%41&=nameless&&a=4 HTTP/1.1\r\nHost: h\r\n\r\n");
	struct url_event event = event_of(&head, S(""));
	json_auto_t *tree = tree_of(&event);

	CHECK_STR(text_at(tree, "rawQueryString", NULL),
		S("a=1&b=x%20y+z&a=2&%61=%33&c&d=&e=%zz+%41&=nameless&&a=4"));
	CHECK_STR(text_at(tree, "queryStringParameters", "a"), S("1,2,3,4"));
	CHECK_STR(text_at(tree, "queryStringParameters", "b"), S("x y z"));
	CHECK_STR(text_at(tree, "queryStringParameters", "c"), S(""));
	CHECK_STR(text_at(tree, "queryStringParameters", "d"), S(""));
	CHECK_STR(text_at(tree, "queryStringParameters", "e"), S("%zz A"));
	CHECK_STR(text_at(tree, "queryStringParameters", ""), S("nameless"));
	CHECK(json_object_size(json_object_get(tree, "queryStringParameters")) == 6);
}

static void test_thousands_of_parameters_are_all_there(void)
{
	struct buf text;

	buf_init(&text, 64 * 1024);
	buf_put(&text, S("GET /?"));
	for (int i = 0; i < 5'000; i++)
		buf_putf(&text, "p%d=1&", i);
	buf_put(&text, S("p7=2 HTTP/1.1\r\nHost: h\r\n\r\n"));
	struct http_head head = head_of(buf_cstr(&text));
	struct url_event event = event_of(&head, S(""));
	json_auto_t *tree = tree_of(&event);
	CHECK(json_object_size(json_object_get(tree, "queryStringParameters")) == 5'000);
	CHECK_STR(text_at(tree, "queryStringParameters", "p7"), S("1,2"));
	buf_done(&text);
}

static void test_bodies_are_text_or_base64(void)
{
	static const struct {
		const char *type, *more;
		str body;
		const char *want;
		bool is_base64;
	} rows[] = {
		{ "text/plain", "", S_INIT("a \"b\"\n"), "a \"b\"\n", false },
		{ "Application/JSON; charset=utf-8", "", S_INIT("{\"a\":1}"), "{\"a\":1}", false },
		{ "application/vnd.api+json", "", S_INIT("1"), "1", false },
		{ "application/xml", "", S_INIT("<a/>"), "<a/>", false },
		{ "application/javascript", "", S_INIT("1"), "1", false },
		{ "application/x-www-form-urlencoded", "", S_INIT("a=b"), "YT1i", true },
		{ "application/octet-stream", "", S_INIT("\0\xff"), "AP8=", true },
		{ "", "", S_INIT("a"), "YQ==", true },
		{ "text/plain", "", S_INIT("\xff"), "/w==", true },
		{ "text/plain", "Content-Encoding: gzip\r\n", S_INIT("a"), "YQ==", true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text;
		buf_init(&text, 1024);
		buf_putf(&text, "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\n%s\r\n",
			rows[i].type, rows[i].more);
		struct http_head head = head_of(buf_cstr(&text));
		struct url_event event = event_of(&head, rows[i].body);
		json_auto_t *tree = tree_of(&event);
		CHECK_STR(text_at(tree, "body", NULL), str_of(rows[i].want));
		CHECK(json_is_true(json_object_get(tree, "isBase64Encoded")) == rows[i].is_base64);
		buf_done(&text);
	}
}

static void test_a_signed_request_tells_its_caller(void)
{
	struct http_head head = head_of(
		"GET / HTTP/1.0\r\nHost: h\r\nAuthorization: AWS4\r\nX-Amz-Date: d\r\n\r\n");
	struct url_caller caller = { .access_key = S("AKIA"), .account = S("111122223333") };
	struct url_event event = event_of(&head, S(""));

	event.caller = &caller;
	json_auto_t *tree = tree_of(&event);
	const json_t *context = json_object_get(tree, "requestContext");
	const json_t *iam = json_object_get(json_object_get(context, "authorizer"), "iam");
	CHECK_STR(text_at(context, "accountId", NULL), S("123456789012"));
	CHECK_STR(text_at(iam, "accessKey", NULL), S("AKIA"));
	CHECK_STR(text_at(iam, "accountId", NULL), S("111122223333"));
	CHECK_STR(text_at(iam, "callerId", NULL), S("111122223333"));
	CHECK_STR(text_at(iam, "userArn", NULL), S("arn:aws:iam::111122223333:root"));
	CHECK_STR(text_at(iam, "userId", NULL), S("111122223333"));
	CHECK(json_is_null(json_object_get(iam, "cognitoIdentity")) &&
		json_is_null(json_object_get(iam, "principalOrgId")));
	CHECK(!text_at(tree, "headers", "authorization").at);
	CHECK_STR(text_at(context, "http", "protocol"), S("HTTP/1.0"));
}

static void test_survives_every_failed_allocation(void)
{
	struct http_head head = head_of(
		"POST /?a=1&b=2&a=3 HTTP/1.1\r\nHost: h\r\nCookie: a=1\r\n\r\n");
	struct url_event event = event_of(&head, S("body"));

	for (int nth = 1; nth < 200; nth++) {
		struct buf out;
		buf_init(&out, 4096);
		fault_countdown = nth;
		url_event_put(&out, &event);
		bool reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(out.err == (reached ? -ENOMEM : 0));
		buf_done(&out);
		if (!reached)
			return;
	}
	FAIL("never succeeded");
}

static void test_what_does_not_fit_is_said(void)
{
	struct http_head head = head_of("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	struct url_event event = event_of(&head, S(""));
	struct buf out;

	buf_init(&out, 300);
	url_event_put(&out, &event);
	CHECK(out.err == -EOVERFLOW);
	buf_done(&out);
}

TESTS(TEST(test_a_plain_request), TEST(test_repeated_headers_are_joined_and_cookies_apart),
	TEST(test_parameters_are_decoded_and_joined),
	TEST(test_thousands_of_parameters_are_all_there), TEST(test_bodies_are_text_or_base64),
	TEST(test_a_signed_request_tells_its_caller), TEST(test_survives_every_failed_allocation),
	TEST(test_what_does_not_fit_is_said))
