#include "wire/http.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"

#include <errno.h>

static void test_escapes_are_decoded(void)
{
	static const struct {
		str text, plain;
	} rows[] = {
		{ S_INIT(""), S_INIT("") },
		{ S_INIT("abc"), S_INIT("abc") },
		{ S_INIT("a%20b%2fc%2Fd"), S_INIT("a b/c/d") },
		{ S_INIT("%c3%A9%00"), S_INIT("\xc3\xa9\0") },
		{ S_INIT("a+b"), S_INIT("a+b") },
		{ S_INIT("%2525"), S_INIT("%25") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out;
		buf_init(&out, 100);
		CHECK(uri_decode(rows[i].text, &out) == 0);
		CHECK_STR(buf_str(&out), rows[i].plain);
		buf_done(&out);
	}
}

static void test_bad_escapes_are_refused_and_leave_nothing(void)
{
	static const str rows[] = { S_INIT("a%"), S_INIT("a%2"), S_INIT("%2x"), S_INIT("%x2"),
		S_INIT("ok%20%%20"), S_INIT("%-1"), S_INIT("%\0\0") };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out;
		buf_init(&out, 100);
		buf_put(&out, S("kept"));
		CHECK(uri_decode(rows[i], &out) == -EINVAL);
		CHECK_STR(buf_str(&out), S("kept"));
		buf_done(&out);
	}
}

static void test_decoding_reports_a_full_buffer(void)
{
	struct buf out;

	buf_init(&out, 2);
	CHECK(uri_decode(S("abc"), &out) == -EOVERFLOW);
	buf_done(&out);
	fault_countdown = 1;
	CHECK(uri_decode(S("%20"), &out) == -ENOMEM);
	fault_countdown = 0;
	buf_done(&out);
}

static void test_all_but_unreserved_characters_are_encoded(void)
{
	struct buf out;

	buf_init(&out, 1000);
	uri_encode(S("azAZ09-._~"), false, &out);
	CHECK_STR(buf_str(&out), S("azAZ09-._~"));
	buf_clear(&out);
	uri_encode(S("/a b+c%\xc3\xa9:$\0"), false, &out);
	CHECK_STR(buf_str(&out), S("%2Fa%20b%2Bc%25%C3%A9%3A%24%00"));
	buf_clear(&out);
	uri_encode(S("/a/b c"), true, &out);
	CHECK_STR(buf_str(&out), S("/a/b%20c"));
	buf_done(&out);
}

static void test_every_byte_survives_encoding_and_decoding(void)
{
	char bytes[256];
	struct buf encoded, decoded;

	for (int i = 0; i < 256; i++)
		bytes[i] = (char)i;
	buf_init(&encoded, 1000);
	buf_init(&decoded, 1000);
	uri_encode((str){ bytes, sizeof(bytes) }, false, &encoded);
	CHECK(encoded.len == 66 + 190 * 3);
	CHECK(uri_decode(buf_str(&encoded), &decoded) == 0);
	CHECK_STR(buf_str(&decoded), ((str){ bytes, sizeof(bytes) }));
	buf_done(&encoded);
	buf_done(&decoded);
}

static void test_a_query_is_walked_pair_by_pair(void)
{
	str rest = S("a=1&b&&c=&=d&e=f=g&"), name, value;

	CHECK(uri_query_next(&rest, &name, &value));
	CHECK_STR(name, S("a"));
	CHECK_STR(value, S("1"));
	CHECK(uri_query_next(&rest, &name, &value));
	CHECK_STR(name, S("b"));
	CHECK(value.at == NULL);
	CHECK(uri_query_next(&rest, &name, &value));
	CHECK_STR(name, S("c"));
	CHECK(value.at != NULL && value.len == 0);
	CHECK(uri_query_next(&rest, &name, &value));
	CHECK_STR(name, S(""));
	CHECK_STR(value, S("d"));
	CHECK(uri_query_next(&rest, &name, &value));
	CHECK_STR(name, S("e"));
	CHECK_STR(value, S("f=g"));
	CHECK(!uri_query_next(&rest, &name, &value));
	CHECK(!uri_query_next(&rest, &name, &value));
	rest = S("");
	CHECK(!uri_query_next(&rest, &name, &value));
	rest = (str){};
	CHECK(!uri_query_next(&rest, &name, &value));
}

static void test_a_host_is_told_without_its_port(void)
{
	static const struct {
		str host, name;
	} rows[] = {
		{ S_INIT("a.localhost:4566"), S_INIT("a.localhost") },
		{ S_INIT("a.localhost"), S_INIT("a.localhost") },
		{ S_INIT("a1"), S_INIT("a1") },
		{ S_INIT("127.0.0.1:80"), S_INIT("127.0.0.1") },
		{ S_INIT("[::1]:80"), S_INIT("[::1]") },
		{ S_INIT("[::1]"), S_INIT("[::1]") },
		{ S_INIT("4566"), S_INIT("4566") },
		{ S_INIT(":80"), S_INIT("") },
		{ S_INIT(""), S_INIT("") },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK_STR(http_host_name(rows[i].host), rows[i].name);
}

TESTS(TEST(test_escapes_are_decoded), TEST(test_bad_escapes_are_refused_and_leave_nothing),
	TEST(test_decoding_reports_a_full_buffer),
	TEST(test_all_but_unreserved_characters_are_encoded),
	TEST(test_every_byte_survives_encoding_and_decoding),
	TEST(test_a_query_is_walked_pair_by_pair), TEST(test_a_host_is_told_without_its_port))
