#include "aws/page.h"

#include "base/attr.h"
#include "base/test.h"

#include <stdio.h>

static bool asks(const char *fields)
{
	char text[512];
	struct http_head head;
	size_t used;

	int len = snprintf(text, sizeof(text), "POST /x HTTP/1.1\r\n%s\r\n", fields);
	CHECK(http_parse_request((str){ text, (size_t)len }, 0, &head, &used) == HTTP_PARSED);
	return page_asks(&head);
}

#define LOCAL	"Host: 127.0.0.1:4566\r\n"
#define MOZILLA "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"

static void test_browsers_say_that_a_page_asks(void)
{
	CHECK(asks(LOCAL "Origin: http://a.example\r\n"));
	CHECK(asks(LOCAL "Origin: null\r\n"));
	CHECK(asks(LOCAL "Sec-Fetch-Site: cross-site\r\n"));
	CHECK(asks(LOCAL "Sec-Fetch-Site: same-site\r\n"));
	CHECK(asks(LOCAL "Sec-Fetch-Site: same-origin\r\n"));
}

static void test_a_person_may_type_an_address(void)
{
	CHECK(!asks(LOCAL MOZILLA "Sec-Fetch-Site: none\r\n"));
	CHECK(!asks(LOCAL MOZILLA));
}

static void test_a_name_that_was_turned_to_loopback_is_a_pages(void)
{
	static const char *const ours[] = { "localhost", "localhost:4566", "lambda.localhost:4566",
		"127.0.0.1", "127.1.2.3:80", "[::1]:4566" };
	static const char *const others[] = { "a.example", "a.example:4566", "localhost.a.example",
		"127.a.example", "127.0.0.1.a.example:4566", "mylocalhost", "10.0.0.1", "" };
	char fields[256];

	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		snprintf(fields, sizeof(fields), MOZILLA "Host: %s\r\n", ours[i]);
		CHECK(!asks(fields));
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		snprintf(fields, sizeof(fields), MOZILLA "Host: %s\r\n", others[i]);
		CHECK(asks(fields));
		snprintf(fields, sizeof(fields), "User-Agent: Boto3/1.40\r\nHost: %s\r\n",
			others[i]);
		CHECK(!asks(fields));
	}
}

TESTS(TEST(test_browsers_say_that_a_page_asks), TEST(test_a_person_may_type_an_address),
	TEST(test_a_name_that_was_turned_to_loopback_is_a_pages))
