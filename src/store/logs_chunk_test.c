#include "store/logs_chunk.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"

#include <errno.h>
#include <string.h>

static struct logs_event event_at(uint64_t at_ms, uint64_t ingested_ms, str message)
{
	return (struct logs_event){
		.timestamp_ms = at_ms, .ingested_ms = ingested_ms, .message = message
	};
}

static const struct logs_event some[] = {
	{ .timestamp_ms = 1'700'000'000'000,
		.ingested_ms = 1'700'000'000'040,
		.message = S_INIT("one\n") },
	{ .timestamp_ms = 1'700'000'000'000,
		.ingested_ms = 1'700'000'000'040,
		.message = S_INIT("") },
	{ .timestamp_ms = 1'700'000'000'127,
		.ingested_ms = 1'700'000'000'168,
		.message = S_INIT("a\0b\xff") },
	{ .timestamp_ms = 1'700'000'001'000,
		.ingested_ms = 1'700'000'900'000,
		.message = S_INIT("last") },
};

static void fill(struct chunk *chunk)
{
	for (size_t i = 0; i < ARRAY_LEN(some); i++) {
		CHECK(chunk_takes(chunk, &some[i]));
		chunk_put(chunk, &some[i]);
	}
}

static void test_what_was_put_is_read(void)
{
	struct chunk_event events[ARRAY_LEN(some)];
	struct chunk chunk;

	chunk_init(&chunk);
	fill(&chunk);
	CHECK(chunk.count == 4 && chunk.bytes == 4 + 0 + 4 + 4 + 4 * LOGS_EVENT_BYTES);
	CHECK(chunk.first_ms == some[0].timestamp_ms && chunk.last_ms == some[3].timestamp_ms);
	CHECK(chunk_read(buf_str(&chunk.data), chunk.first_ms, chunk.ingested_ms, events,
		      chunk.count) == 0);
	for (size_t i = 0; i < ARRAY_LEN(some); i++) {
		CHECK(events[i].at_ms == some[i].timestamp_ms);
		CHECK(events[i].ingested_ms == some[i].ingested_ms);
		CHECK_STR(events[i].message, some[i].message);
	}
	chunk_clear(&chunk);
	CHECK(chunk.count == 0 && chunk.data.len == 0);
	chunk_done(&chunk);
}

static void test_a_chunk_takes_what_follows_closely(void)
{
	struct chunk chunk;
	static char large[CHUNK_BYTES];
	struct logs_event event = event_at(5000, 5000, S("x"));

	chunk_init(&chunk);
	chunk_put(&chunk, &event);
	event = event_at(4999, 5000, S("x"));
	CHECK(!chunk_takes(&chunk, &event)); /* earlier */
	event = event_at(5000 + CHUNK_SPAN_MS, 5000, S("x"));
	CHECK(chunk_takes(&chunk, &event));
	event.timestamp_ms++;
	CHECK(!chunk_takes(&chunk, &event)); /* too far */
	event = event_at(5000, 4999, S("x"));
	CHECK(!chunk_takes(&chunk, &event)); /* taken in earlier */
	event = event_at(5000, 5000, (str){ large, sizeof(large) });
	CHECK(!chunk_takes(&chunk, &event)); /* too large… */
	chunk_clear(&chunk);
	CHECK(chunk_takes(&chunk, &event)); /* …unless it is alone */
	chunk_put(&chunk, &event);
	CHECK(chunk.data.err == 0);
	chunk_clear(&chunk);
	event = event_at(5000, 5000, S(""));
	for (int i = 0; i < CHUNK_EVENTS_MAX; i++)
		chunk_put(&chunk, &event);
	CHECK(!chunk_takes(&chunk, &event));
	chunk_done(&chunk);
}

/* Cut anywhere, longer, with another count, or with a byte changed: refused or read, never beyond its end. */
static void test_data_that_is_not_a_chunk_is_refused(void)
{
	struct chunk_event events[ARRAY_LEN(some) + 1];
	struct chunk chunk;

	chunk_init(&chunk);
	fill(&chunk);
	size_t len = chunk.data.len;
	for (size_t cut = 0; cut < len; cut++) {
		char *copy = mem_new(
			cut ? cut : 1, 1); /* so that the sanitizer knows where it ends */
		memcpy(copy, chunk.data.at, cut);
		CHECK(chunk_read((str){ copy, cut }, 0, 0, events, 4) == -EUCLEAN);
		mem_free(copy);
	}
	CHECK(chunk_read(buf_str(&chunk.data), 0, 0, events, 3) == -EUCLEAN);
	CHECK(chunk_read(buf_str(&chunk.data), 0, 0, events, 5) == -EUCLEAN);
	for (size_t i = 0; i < len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			chunk.data.at[i] ^= (char)(1 << bit);
			int r = chunk_read(buf_str(&chunk.data), 0, 0, events, 4);
			CHECK(r == 0 || r == -EUCLEAN);
			chunk.data.at[i] ^= (char)(1 << bit);
		}
	}
	CHECK(chunk_read(S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\0\0"), 0, 0, events, 1) ==
		-EUCLEAN);
	chunk_done(&chunk);
}

static void test_want_of_memory_is_kept_until_asked(void)
{
	struct chunk chunk;

	chunk_init(&chunk);
	fault_countdown = 1;
	chunk_put(&chunk, &some[0]);
	fault_countdown = 0;
	CHECK(chunk.data.err == -ENOMEM);
	chunk_done(&chunk);
}

TESTS(TEST(test_what_was_put_is_read), TEST(test_a_chunk_takes_what_follows_closely),
	TEST(test_data_that_is_not_a_chunk_is_refused),
	TEST(test_want_of_memory_is_kept_until_asked))
