#include "base/arena.h"

#include "base/mem.h"
#include "base/test.h"

#include <string.h>

static void test_memory_is_aligned_zeroed_and_apart(void)
{
	struct arena arena;
	char *last = NULL;

	arena_init(&arena, 1 << 20);
	for (size_t size = 0; size < 300; size++) {
		char *at = arena_new(&arena, size);
		CHECK(at && (uintptr_t)at % 16 == 0 && at != last);
		for (size_t i = 0; i < size; i++)
			CHECK(at[i] == 0);
		memset(at, 0xa5, size);
		last = at;
	}
	arena_done(&arena);
}

static void test_the_ceiling_is_exact(void)
{
	struct arena arena;

	arena_init(&arena, 1000);
	CHECK(arena_new(&arena, 1001) == NULL);
	CHECK(arena_new(&arena, 400) && arena_new(&arena, 600));
	CHECK(arena_new(&arena, 1) == NULL);
	CHECK(arena_new(&arena, SIZE_MAX) == NULL);
	arena_done(&arena);
	CHECK(arena_new(&arena, 1000)); /* usable again */
	arena_done(&arena);
}

static void test_large_pieces_leave_the_open_block_in_use(void)
{
	struct arena arena;

	arena_init(&arena, 1 << 20);
	char *before = arena_new(&arena, 16);
	char *large = arena_new(&arena, 500000);
	char *after = arena_new(&arena, 16);
	CHECK(before && large && after == before + 16);
	memset(large, 1, 500000);
	arena_done(&arena);
}

static void test_text_is_copied_and_terminated(void)
{
	struct arena arena;

	arena_init(&arena, 100);
	str copy = arena_str(&arena, str_slice(S("abcdef"), 1, 4));
	CHECK_STR(copy, S("bcd"));
	CHECK(copy.at[copy.len] == '\0');
	str text = arena_strf(&arena, "%d-%s", 42, "x");
	CHECK_STR(text, S("42-x"));
	CHECK(text.at[text.len] == '\0');
	str empty = arena_str(&arena, (str){});
	CHECK(empty.at && empty.len == 0 && empty.at[0] == '\0');
	CHECK(arena_strf(&arena, "%0200d", 1).at == NULL);
	arena_done(&arena);
}

static void test_survives_every_failed_allocation(void)
{
	for (int nth = 1; nth < 100; nth++) {
		struct arena arena;
		bool failed = false;

		arena_init(&arena, 1 << 20);
		fault_countdown = nth;
		for (size_t size = 1; size < 20000; size = size * 3 / 2 + 1)
			failed = !arena_new(&arena, size) || failed;
		failed = !arena_str(&arena, S("text")).at || failed;
		failed = !arena_strf(&arena, "%09999d", 1).at || failed;
		bool reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(failed == reached);
		arena_done(&arena);
		if (!reached)
			return;
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_memory_is_aligned_zeroed_and_apart), TEST(test_the_ceiling_is_exact),
	TEST(test_large_pieces_leave_the_open_block_in_use),
	TEST(test_text_is_copied_and_terminated), TEST(test_survives_every_failed_allocation))
