#include "wire/http.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"

#include <errno.h>
#include <string.h>

struct fed {
	struct buf content, trailers;
	struct http_chunks chunks;
	size_t used;
};

static int keep(void *context, str content)
{
	struct buf *out = context;

	CHECK(content.len > 0);
	buf_put(out, content);
	return out->err;
}

static void fed_init(struct fed *fed)
{
	*fed = (struct fed){};
	buf_init(&fed->content, 100'000);
	buf_init(&fed->trailers, 100'000);
}

static void fed_done(struct fed *fed)
{
	buf_done(&fed->content);
	buf_done(&fed->trailers);
}

/* Feed one piece from its own allocation. */
static int feed(struct fed *fed, str piece, uint64_t content_max)
{
	size_t used = 0;
	char *copy = mem_new(piece.len, 1);

	if (piece.len)
		memcpy(copy, piece.at, piece.len);
	int r = http_chunks_feed(&fed->chunks, (str){ copy, piece.len }, content_max, keep,
		&fed->content, &fed->trailers, &used);
	CHECK(r != 0 || fed->chunks.done || used == piece.len);
	mem_free(copy);
	fed->used += used;
	return r;
}

/* Feed in pieces of `step` bytes, the first of `first`. */
static int feed_in_steps(struct fed *fed, str text, size_t first, size_t step)
{
	int r = feed(fed, str_slice(text, 0, first), 100'000);

	for (size_t at = first; at < text.len && r == 0 && !fed->chunks.done; at += step)
		r = feed(fed, str_slice(text, at, at + step), 100'000);
	return r;
}

static void check_whole(struct fed *fed, str content, str trailers, size_t used)
{
	CHECK(fed->chunks.done);
	CHECK_STR(buf_str(&fed->content), content);
	CHECK_STR(buf_str(&fed->trailers), trailers);
	CHECK(fed->chunks.total == content.len && fed->used == used);
	fed_done(fed);
}

/* Whole, byte by byte, and split at every place. */
static void check_good(str text, str content, str trailers, size_t used)
{
	struct fed fed;

	for (size_t first = 0; first <= text.len; first++) {
		fed_init(&fed);
		CHECK(feed_in_steps(&fed, text, first, text.len) == 0);
		check_whole(&fed, content, trailers, used);
	}
	fed_init(&fed);
	CHECK(feed_in_steps(&fed, text, 0, 1) == 0);
	check_whole(&fed, content, trailers, used);
}

static void check_answer(str text, int answer)
{
	struct fed fed;

	for (size_t first = 0; first <= text.len; first++) {
		fed_init(&fed);
		int r = feed_in_steps(&fed, text, first, text.len);
		if (r != answer || fed.chunks.done)
			fprintf(stderr, "  %d at %zu of: " STR_FMT "\n", r, first, STR_ARG(text));
		CHECK(r == answer && !fed.chunks.done);
		fed_done(&fed);
	}
	fed_init(&fed);
	CHECK(feed_in_steps(&fed, text, 0, 1) == answer);
	fed_done(&fed);
}

static void test_chunks_are_put_together(void)
{
	str one = S("5\r\nhello\r\n0\r\n\r\n");

	check_good(one, S("hello"), S(""), one.len);
	check_good(S("0\r\n\r\nGET / HTTP/1.1"), S(""), S(""), 5);
	check_good(S("3\r\na\r\n\r\n0A\r\n0123456789\r\n00000000\r\n\r\nnext"),
		S("a\r\n0123456789"), S(""), 36);
	check_good(S("0000000000000001\r\nx\r\n0\r\n\r\n"), S("x"), S(""), 26);
}

static void test_extensions_are_skipped(void)
{
	str text = S("1;name=value\r\nx\r\n2;a;b=\"c d\"\r\nyz\r\n0;last\r\n\r\n");

	check_good(text, S("xyz"), S(""), text.len);
}

static void test_trailers_are_kept_raw(void)
{
	str text = S("1\r\nx\r\n0\r\nLambda-Runtime-Function-Error-Type: Oops\r\nB:\r\n\r\n");

	check_good(text, S("x"), S("Lambda-Runtime-Function-Error-Type: Oops\r\nB:\r\n"), text.len);
}

static void test_trailers_may_be_dropped(void)
{
	str text = S("0\r\nA: b\r\n\r\n");
	struct http_chunks chunks = {};
	size_t used;

	CHECK(http_chunks_feed(&chunks, text, 0, keep, NULL, NULL, &used) == 0);
	CHECK(chunks.done && used == text.len);
}

static void test_what_is_not_exactly_chunked_is_refused(void)
{
	static const str rows[] = {
		S_INIT("\r\n"),
		S_INIT(";x\r\n"),
		S_INIT("g\r\n"),
		S_INIT("0x1\r\n"),
		S_INIT("+1\r\n"),
		S_INIT("-1\r\n"),
		S_INIT(" 1\r\n"),
		S_INIT("1 \r\n"),
		S_INIT("1\n"),
		S_INIT("1\r\r"),
		S_INIT("1;a\nx"),
		S_INIT("1;a\rx"),
		S_INIT("1;\0\r\n"),
		S_INIT("1\r\nxy"),
		S_INIT("1\r\nx\n"),
		S_INIT("1\r\nx\rx"),
		S_INIT("00000000000000001\r\n"),
		S_INIT("0\r\nX\r\n"),
		S_INIT("0\r\nX : a\r\n"),
		S_INIT("0\r\n: a\r\n"),
		S_INIT("0\r\n a: b\r\n"),
		S_INIT("0\r\nX: a\n"),
		S_INIT("0\r\nX: a\rb"),
		S_INIT("0\r\nX: \x01\r\n"),
		S_INIT("0\r\n\n"),
		S_INIT("0\r\n\rx"),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_answer(rows[i], HTTP_BAD);
}

static void test_content_is_bounded_before_it_arrives(void)
{
	struct fed fed;

	fed_init(&fed);
	CHECK(feed(&fed, S("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), 5) == 0 && fed.chunks.done);
	fed_done(&fed);
	fed_init(&fed);
	CHECK(feed(&fed, S("3\r\nabc\r\n3\r\n"), 5) == HTTP_TOO_LARGE);
	CHECK_STR(buf_str(&fed.content), S("abc"));
	fed_done(&fed);
	fed_init(&fed);
	CHECK(feed(&fed, S("ffffffffffffffff\r\n"), UINT64_MAX - 1) == HTTP_TOO_LARGE);
	fed_done(&fed);
	fed_init(&fed); /* no overflow of the total either */
	CHECK(feed(&fed, S("1\r\na\r\nffffffffffffffff\r\n"), UINT64_MAX) == HTTP_TOO_LARGE);
	fed_done(&fed);
}

static void test_extensions_and_trailers_are_bounded(void)
{
	struct buf text;
	struct fed fed;

	buf_init(&text, 200'000);
	buf_put(&text, S("1;"));
	for (int i = 0; i < 2000; i++)
		buf_put_char(&text, 'x');
	fed_init(&fed);
	CHECK(feed(&fed, buf_str(&text), 10) == HTTP_BAD);
	fed_done(&fed);

	buf_clear(&text);
	buf_put(&text, S("0\r\n"));
	while (text.len <= HTTP_HEAD_MAX + 100)
		buf_put(&text, S("Name: 0123456789012345678901234567890123456789\r\n"));
	fed_init(&fed);
	CHECK(feed(&fed, buf_str(&text), 10) == HTTP_TOO_LARGE);
	CHECK(fed.trailers.len == HTTP_HEAD_MAX);
	fed_done(&fed);
	buf_done(&text);
}

static void test_a_sink_that_fails_stops_it(void)
{
	struct buf small;
	struct http_chunks chunks = {};
	size_t used;

	buf_init(&small, 3);
	CHECK(http_chunks_feed(&chunks, S("5\r\nhello\r\n"), 100, keep, &small, NULL, &used) ==
		-EOVERFLOW);
	buf_done(&small);
}

static void test_it_survives_every_failed_allocation(void)
{
	for (int nth = 1; nth < 100; nth++) {
		struct fed fed;
		size_t used;
		fed_init(&fed);
		fault_countdown = nth;
		int r = http_chunks_feed(&fed.chunks, S("5\r\nhello\r\n0\r\nA: b\r\n\r\n"), 100,
			keep, &fed.content, &fed.trailers, &used);
		bool is_reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(r == (is_reached ? -ENOMEM : 0));
		fed_done(&fed);
		if (!is_reached)
			return;
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_chunks_are_put_together), TEST(test_extensions_are_skipped),
	TEST(test_trailers_are_kept_raw), TEST(test_trailers_may_be_dropped),
	TEST(test_what_is_not_exactly_chunked_is_refused),
	TEST(test_content_is_bounded_before_it_arrives),
	TEST(test_extensions_and_trailers_are_bounded), TEST(test_a_sink_that_fails_stops_it),
	TEST(test_it_survives_every_failed_allocation))
