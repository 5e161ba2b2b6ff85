#include "wire/gzip.h"

#include "base/mem.h"
#include "base/test.h"

#include <string.h>
#include <zlib.h>

static struct buf packed, plain;

static void pack(str text)
{
	z_stream stream = {};
	size_t room = text.len + 1024;

	buf_init(&packed, SIZE_MAX);
	CHECK(buf_reserve(&packed, room) == 0);
	CHECK(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	stream.next_in = (Bytef *)(uintptr_t)text.at;
	stream.avail_in = (uInt)text.len;
	stream.next_out = (Bytef *)packed.at;
	stream.avail_out = (uInt)room;
	CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
	packed.len = room - stream.avail_out;
	CHECK(deflateEnd(&stream) == Z_OK);
}

static int unpack(str text, size_t ceiling)
{
	buf_init(&plain, ceiling);
	return gzip_unpack(text, &plain);
}

static void test_what_was_packed_comes_out(void)
{
	static char much[100'000];
	const str texts[] = { S(""), S("hello"), { much, sizeof(much) } };

	for (size_t i = 0; i < sizeof(much); i++)
		much[i] = (char)(i * i >> 7);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		pack(texts[i]);
		CHECK(unpack(buf_str(&packed), texts[i].len) == GZIP_DONE);
		CHECK_STR(buf_str(&plain), texts[i]);
		buf_done(&plain);
		buf_done(&packed);
	}
}

static void test_every_cut_and_every_flip_is_noticed(void)
{
	const str text = S("some text, and then some text, and then some more");

	pack(text);
	for (size_t len = 0; len < packed.len; len++) {
		CHECK(unpack(str_slice(buf_str(&packed), 0, len), 1024) == GZIP_BAD);
		buf_done(&plain);
	}
	for (size_t at = 10; at < packed.len; at++) { /* the head has a time in it */
		packed.at[at] ^= 0x20;
		/* A bit that fills up the last byte means nothing. */
		CHECK(unpack(buf_str(&packed), 1024) != GZIP_DONE || str_eq(buf_str(&plain), text));
		buf_done(&plain);
		packed.at[at] ^= 0x20;
	}
	buf_put(&packed, S("x"));
	CHECK(unpack(buf_str(&packed), 1024) == GZIP_BAD);
	buf_done(&plain);
	buf_done(&packed);
	CHECK(unpack(S("{\"plain\":true}"), 1024) == GZIP_BAD);
	buf_done(&plain);
}

static void test_a_bomb_is_not_unpacked(void)
{
	static char zeros[8 * 1024 * 1024];

	pack((str){ zeros, sizeof(zeros) });
	CHECK(packed.len < 16 * 1024);
	CHECK(unpack(buf_str(&packed), 1024 * 1024) == GZIP_LARGE);
	CHECK(plain.len <= 1024 * 1024);
	buf_done(&plain);
	CHECK(unpack(buf_str(&packed), sizeof(zeros)) == GZIP_DONE);
	buf_done(&plain);
	buf_done(&packed);
}

static void test_survives_every_failed_allocation(void)
{
	pack(S("hello"));
	for (int nth = 1; nth < 100; nth++) {
		fault_countdown = nth;
		int r = unpack(buf_str(&packed), 1024);
		bool is_reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(is_reached ? r < 0 : r == GZIP_DONE);
		buf_done(&plain);
		if (!is_reached) {
			buf_done(&packed);
			return;
		}
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_what_was_packed_comes_out), TEST(test_every_cut_and_every_flip_is_noticed),
	TEST(test_a_bomb_is_not_unpacked), TEST(test_survives_every_failed_allocation))
