#include "wire/http.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"

#include <string.h>

static struct http_head head;

/* Parse all at once; the bytes lie at the end of an allocation, so that over-reading is seen. */
static enum http_parse_answer parse(str bytes, size_t *ret_used)
{
	static char *copy;

	mem_free(copy);
	copy = mem_new(bytes.len, 1);
	memcpy(copy, bytes.at, bytes.len);
	return http_parse_request((str){ copy, bytes.len }, 0, &head, ret_used);
}

/* Parse as the bytes arrive one by one; *ret_used is how many it took to an answer. */
static enum http_parse_answer parse_slowly(str bytes, size_t *ret_used)
{
	size_t used = 0;

	for (size_t len = 0; len <= bytes.len; len++) {
		char *copy = mem_new(len, 1);
		memcpy(copy, bytes.at, len);
		enum http_parse_answer answer = http_parse_request(
			(str){ copy, len }, len ? len - 1 : 0, &head, &used);
		mem_free(copy);
		*ret_used = used;
		if (answer != HTTP_MORE)
			return answer;
	}
	return HTTP_MORE;
}

/* The answer to a text, which must be the same however it comes. */
static enum http_parse_answer answer_to(str bytes)
{
	size_t used = 0, used_slowly = 0;
	enum http_parse_answer slowly = parse_slowly(bytes, &used_slowly);
	enum http_parse_answer answer = parse(bytes, &used);

	CHECK(slowly == answer);
	if (answer == HTTP_PARSED)
		CHECK(used == used_slowly);
	for (size_t at = 0; at < bytes.len; at++) { /* in two pieces */
		size_t used_split = 0;
		struct http_head first;
		enum http_parse_answer split = http_parse_request(
			str_slice(bytes, 0, at), 0, &first, &used_split);
		if (split == HTTP_MORE)
			split = http_parse_request(bytes, at, &first, &used_split);
		CHECK(split == answer);
	}
	return answer;
}

static void test_a_request_is_cut_into_views(void)
{
	str text = S("POST /2015-03-31/functions/a%20b/invocations?Qualifier=1&x HTTP/1.1\r\n"
		     "Host: localhost:4566\r\n"
		     "X-Amz-Log-Type:Tail\r\n"
		     "X-Empty:\r\n"
		     "X-Spaces: \t a  b \t\r\n"
		     "X-Bytes: \xc3\xa9\r\n"
		     "content-LENGTH: 12\r\n"
		     "\r\n{\"name\":");
	size_t used;

	CHECK(answer_to(text) == HTTP_PARSED);
	CHECK(parse(text, &used) == HTTP_PARSED);
	CHECK(used == text.len - strlen("{\"name\":"));
	CHECK(head.verb == HTTP_POST && head.minor == 1 && head.keep_alive);
	CHECK_STR(head.method, S("POST"));
	CHECK_STR(head.target, S("/2015-03-31/functions/a%20b/invocations?Qualifier=1&x"));
	CHECK_STR(head.path, S("/2015-03-31/functions/a%20b/invocations"));
	CHECK_STR(head.query, S("Qualifier=1&x"));
	CHECK(head.has_length && head.length == 12 && !head.chunked && !head.expect_continue);
	CHECK(head.field_count == 6);
	CHECK_STR(http_field(&head, S("x-amz-log-type")), S("Tail"));
	CHECK_STR(http_field(&head, S("X-SPACES")), S("a  b"));
	CHECK_STR(http_field(&head, S("x-bytes")), S("\xc3\xa9"));
	CHECK(http_field(&head, S("x-empty")).at != NULL);
	CHECK(http_field(&head, S("x-absent")).at == NULL);
}

static void test_the_first_field_of_a_name_is_found(void)
{
	CHECK(answer_to(S("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n")) == HTTP_PARSED);
	size_t used;
	CHECK(parse(S("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n"), &used) == HTTP_PARSED);
	CHECK_STR(http_field(&head, S("x")), S("1"));
	CHECK_STR(head.query, S(""));
}

static void test_verbs_are_told_apart(void)
{
	static const struct {
		str text;
		enum http_verb verb;
	} rows[] = {
		{ S_INIT("GET / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_GET },
		{ S_INIT("HEAD / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_HEAD },
		{ S_INIT("POST / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_POST },
		{ S_INIT("PUT / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_PUT },
		{ S_INIT("DELETE / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_DELETE },
		{ S_INIT("PATCH / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_PATCH },
		{ S_INIT("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_OPTIONS },
		{ S_INIT("get / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_OTHER },
		{ S_INIT("M-SEARCH / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_OTHER },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t used;
		CHECK(answer_to(rows[i].text) == HTTP_PARSED);
		CHECK(parse(rows[i].text, &used) == HTTP_PARSED && head.verb == rows[i].verb);
	}
}

static void test_keeping_alive_is_the_version_and_connection_together(void)
{
	static const struct {
		str text;
		bool keep_alive;
	} rows[] = {
		{ S_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), true },
		{ S_INIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"), false },
		{ S_INIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: x ,close,y\r\n\r\n"), false },
		{ S_INIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n"),
			false },
		{ S_INIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n"), true },
		{ S_INIT("GET / HTTP/1.0\r\n\r\n"), false },
		{ S_INIT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), true },
		{ S_INIT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), false },
		{ S_INIT("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t used;
		CHECK(answer_to(rows[i].text) == HTTP_PARSED);
		CHECK(parse(rows[i].text, &used) == HTTP_PARSED);
		CHECK(head.keep_alive == rows[i].keep_alive);
	}
}

static void test_expecting_needs_http_11(void)
{
	size_t used;

	CHECK(parse(S("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n"
		      "\r\n"),
		      &used) == HTTP_PARSED);
	CHECK(head.expect_continue);
	CHECK(parse(S("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
		      &used) == HTTP_PARSED);
	CHECK(!head.expect_continue);
}

static void test_an_absolute_target_is_cut_to_its_path(void)
{
	static const struct {
		str text, path, query;
	} rows[] = {
		{ S_INIT("GET http://a:1/p/q?x=/y HTTP/1.1\r\nHost: A:1\r\n\r\n"), S_INIT("/p/q"),
			S_INIT("x=/y") },
		{ S_INIT("GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n"), S_INIT("/"), S_INIT("") },
		{ S_INIT("GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n"), S_INIT("/"), S_INIT("q") },
		{ S_INIT("GET http://a/p HTTP/1.0\r\n\r\n"), S_INIT("/p"), S_INIT("") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t used;
		CHECK(answer_to(rows[i].text) == HTTP_PARSED);
		CHECK(parse(rows[i].text, &used) == HTTP_PARSED);
		CHECK_STR(head.path, rows[i].path);
		CHECK_STR(head.query, rows[i].query);
	}
}

static void test_one_empty_line_before_a_request_is_ignored(void)
{
	size_t used;
	str text = S("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");

	CHECK(answer_to(text) == HTTP_PARSED);
	CHECK(parse(text, &used) == HTTP_PARSED && used == text.len);
	CHECK(answer_to(S("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")) == HTTP_BAD);
}

static void test_a_chunked_body_is_announced(void)
{
	size_t used;
	str text = S("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:  Chunked \r\n\r\n");

	CHECK(answer_to(text) == HTTP_PARSED);
	CHECK(parse(text, &used) == HTTP_PARSED && head.chunked && !head.has_length);
}

/* Whatever could be read in two ways, and whatever is not HTTP. */
static const str ambiguous[] = {
	/* lengths */
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\n"),
	/* codings */
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
	       "chunked\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
	       "1\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
	       "Transfer-Encoding: identity\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n"),
	S_INIT("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
	S_INIT("P / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
	/* line ends and white space */
	S_INIT("GET / HTTP/1.1\nHost: a\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\n\n"),
	S_INIT("GET / HTTP/1.1\rHost: a\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\nX\xc3: a\r\n\r\n"),
	/* the request line */
	S_INIT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
	S_INIT("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET /\r\n\r\n"),
	S_INIT("GET\r\n\r\n"),
	S_INIT("G\r\n\r\n"),
	S_INIT(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
	S_INIT("GET / http/1.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
	S_INIT("GET / HTTP/1\r\nHost: a\r\n\r\n"),
	S_INIT("GET / HTTP/1,1\r\nHost: a\r\n\r\n"),
	S_INIT("GET / HTTP/x.1\r\nHost: a\r\n\r\n"),
	S_INIT("GET / HTTP/1.x\r\nHost: a\r\n\r\n"),
	/* hosts */
	S_INIT("GET / HTTP/1.1\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nX: Host\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
	S_INIT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
	/* no HTTP at all */
	S_INIT("\x16\x03\x01\x02"),
	S_INIT("\n"),
	S_INIT("\rG"),
	S_INIT("{}"),
};

static void test_what_could_be_smuggled_is_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ambiguous); i++) {
		enum http_parse_answer answer = answer_to(ambiguous[i]);
		if (answer != HTTP_BAD)
			fprintf(stderr, "row %zu: answer %d\n", i, (int)answer);
		CHECK(answer == HTTP_BAD);
	}
}

static void test_other_versions_and_codings_have_answers_of_their_own(void)
{
	CHECK(answer_to(S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")) == HTTP_BAD_VERSION);
	CHECK(answer_to(S("GET / HTTP/0.9\r\n\r\n")) == HTTP_BAD_VERSION);
	CHECK(answer_to(S("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")) ==
		HTTP_NOT_SUPPORTED);
	CHECK(answer_to(S("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n")) ==
		HTTP_NOT_SUPPORTED);
	CHECK(answer_to(S("P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n")) ==
		HTTP_NOT_SUPPORTED);
}

static void test_an_incomplete_head_asks_for_more(void)
{
	str text = S("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

	for (size_t len = 0; len < text.len; len++) {
		size_t used;
		CHECK(parse(str_slice(text, 0, len), &used) == HTTP_MORE);
	}
}

/* A request whose head is `len` bytes long, by padding one field. */
static str head_of(size_t len)
{
	static char bytes[HTTP_HEAD_MAX + 100];
	const char *front = "GET / HTTP/1.1\r\nHost: a\r\nX: ";

	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, front, strlen(front));
	memcpy(bytes + len - 4, "\r\n\r\n", 4);
	return (str){ bytes, len };
}

static void test_the_length_of_a_head_is_bounded(void)
{
	size_t used;

	CHECK(parse(head_of(HTTP_HEAD_MAX), &used) == HTTP_PARSED && used == HTTP_HEAD_MAX);
	CHECK(parse(head_of(HTTP_HEAD_MAX + 1), &used) == HTTP_TOO_LARGE);
	CHECK(parse(str_slice(head_of(HTTP_HEAD_MAX + 50), 0, HTTP_HEAD_MAX - 1), &used) ==
		HTTP_MORE);
	CHECK(parse(str_slice(head_of(HTTP_HEAD_MAX + 50), 0, HTTP_HEAD_MAX), &used) ==
		HTTP_TOO_LARGE);
}

static void test_the_number_of_fields_is_bounded(void)
{
	struct buf text;
	size_t used;

	buf_init(&text, HTTP_HEAD_MAX);
	buf_put(&text, S("GET / HTTP/1.1\r\nHost: a\r\n"));
	for (int i = 1; i < HTTP_FIELDS_MAX; i++)
		buf_putf(&text, "X-%d: %d\r\n", i, i);
	size_t len = text.len;
	buf_put(&text, S("\r\n"));
	CHECK(parse(buf_str(&text), &used) == HTTP_PARSED);
	CHECK(head.field_count == HTTP_FIELDS_MAX);
	CHECK_STR(http_field(&head, S("x-95")), S("95"));
	text.len = len;
	buf_put(&text, S("One-More: x\r\n\r\n"));
	CHECK(parse(buf_str(&text), &used) == HTTP_TOO_LARGE);
	buf_done(&text);
}

static void test_every_status_has_a_reason(void)
{
	CHECK_STR(str_of(http_reason(200)), S("OK"));
	CHECK_STR(str_of(http_reason(413)), S("Content Too Large"));
	CHECK_STR(str_of(http_reason(299)), S("Success"));
	CHECK_STR(str_of(http_reason(499)), S("Client Error"));
	CHECK_STR(str_of(http_reason(-1)), S("Unknown"));
	CHECK_STR(str_of(http_reason(600)), S("Unknown"));
}

TESTS(TEST(test_a_request_is_cut_into_views), TEST(test_the_first_field_of_a_name_is_found),
	TEST(test_verbs_are_told_apart),
	TEST(test_keeping_alive_is_the_version_and_connection_together),
	TEST(test_expecting_needs_http_11), TEST(test_an_absolute_target_is_cut_to_its_path),
	TEST(test_one_empty_line_before_a_request_is_ignored),
	TEST(test_a_chunked_body_is_announced), TEST(test_what_could_be_smuggled_is_refused),
	TEST(test_other_versions_and_codings_have_answers_of_their_own),
	TEST(test_an_incomplete_head_asks_for_more), TEST(test_the_length_of_a_head_is_bounded),
	TEST(test_the_number_of_fields_is_bounded), TEST(test_every_status_has_a_reason))
