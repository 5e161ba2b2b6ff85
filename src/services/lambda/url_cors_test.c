#include "services/lambda/url_cors.h"

#include "base/test.h"

static const str two[] = { S_INIT("https://a.example"), S_INIT("https://b.example") };
static const str all[] = { S_INIT("*") };

static struct http_head head_of(const char *text)
{
	static struct http_head head;
	size_t used;

	CHECK(http_parse_request(str_of(text), 0, &head, &used) == HTTP_PARSED);
	return head;
}

#define ASK(origin, method, more)                          \
	"OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: " origin \
	"\r\nAccess-Control-Request-Method: " method "\r\n" more "\r\n"

static void check_preflight(const struct url_cors *cors, const char *request, const char *want)
{
	struct http_head head = head_of(request);
	struct buf fields;

	buf_init(&fields, 4096);
	CHECK(url_cors_is_preflight(&head));
	url_cors_put_preflight(&fields, cors, &head);
	CHECK_STR(buf_str(&fields), str_of(want));
	buf_done(&fields);
}

static void test_a_preflight_tells_what_is_allowed(void)
{
	struct url_cors cors = { .origins = two,
		.origin_count = 2,
		.methods = S("GET,PUT"),
		.headers = S("X-A"),
		.expose = S("X-B"),
		.max_age_s = 300,
		.has_max_age = true };

	check_preflight(&cors, ASK("https://b.example", "PUT", ""),
		"Access-Control-Allow-Origin: https://b.example\r\nVary: Origin\r\n"
		"Access-Control-Allow-Methods: GET,PUT\r\nAccess-Control-Allow-Headers: X-A\r\n"
		"Access-Control-Max-Age: 300\r\n");
	check_preflight(&cors, ASK("https://c.example", "PUT", ""), "");
	check_preflight(&cors, ASK("https://b.example", "POST", ""), "");
}

static void test_any_origin_is_told_back(void)
{
	struct url_cors cors = {
		.origins = all, .origin_count = 1, .methods = S("*"), .headers = S("*")
	};

	check_preflight(&cors,
		ASK("https://b.example", "PUT", "Access-Control-Request-Headers: x-y\r\n"),
		"Access-Control-Allow-Origin: https://b.example\r\nVary: Origin\r\n"
		"Access-Control-Allow-Methods: *\r\nAccess-Control-Allow-Headers: *\r\n");
	cors.has_credentials = true;
	check_preflight(&cors,
		ASK("https://b.example", "PUT", "Access-Control-Request-Headers: x-y\r\n"),
		"Access-Control-Allow-Origin: https://b.example\r\nVary: Origin\r\n"
		"Access-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Methods: PUT\r\n"
		"Access-Control-Allow-Headers: x-y\r\n");
}

static void test_what_is_no_header_stays_out(void)
{
	struct url_cors cors = {
		.origins = all, .origin_count = 1, .methods = S("*"), .headers = S("X-A\rX-B: c")
	};

	check_preflight(&cors, ASK("https://b.example", "PUT", ""),
		"Access-Control-Allow-Origin: https://b.example\r\nVary: Origin\r\n"
		"Access-Control-Allow-Methods: *\r\n");
}

static void test_without_a_list_of_methods_the_simple_ones_are_left(void)
{
	struct url_cors cors = { .origins = all, .origin_count = 1, .headers = S("X-A") };

	check_preflight(&cors, ASK("https://b.example", "GET", ""),
		"Access-Control-Allow-Origin: https://b.example\r\nVary: Origin\r\n"
		"Access-Control-Allow-Headers: X-A\r\n");
}

static void test_an_answer_exposes_headers_to_allowed_origins_only(void)
{
	struct url_cors cors = {
		.origins = two, .origin_count = 2, .methods = S("*"), .expose = S("X-A,X-B")
	};
	static const struct {
		const char *request, *want;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\n\r\n",
			"Access-Control-Allow-Origin: https://a.example\r\nVary: Origin\r\n"
			"Access-Control-Expose-Headers: X-A,X-B\r\n" },
		{ "GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example.org\r\n\r\n", "" },
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_head head = head_of(rows[i].request);
		struct buf fields;
		buf_init(&fields, 4096);
		CHECK(!url_cors_is_preflight(&head));
		url_cors_put(&fields, &cors, &head);
		CHECK_STR(buf_str(&fields), str_of(rows[i].want));
		buf_done(&fields);
	}
}

TESTS(TEST(test_a_preflight_tells_what_is_allowed), TEST(test_any_origin_is_told_back),
	TEST(test_what_is_no_header_stays_out),
	TEST(test_without_a_list_of_methods_the_simple_ones_are_left),
	TEST(test_an_answer_exposes_headers_to_allowed_origins_only))
