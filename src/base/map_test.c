#include "base/map.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/test.h"

#include <errno.h>

static void test_an_empty_map_has_nothing(void)
{
	struct map map = {};
	size_t at = 0;
	void *value;

	CHECK(map_get(&map, S("a")) == NULL);
	CHECK(map_remove(&map, S("a")) == NULL);
	CHECK(!map_next(&map, &at, &value));
	map_done(&map);
}

static void test_putting_again_replaces_value_and_key(void)
{
	struct map map = {};
	int one, two;
	char first[] = "key", second[] = "key";

	CHECK(map_put(&map, str_of(first), &one) == 0);
	CHECK(map_put(&map, str_of(second), &two) == 0);
	first[0] = 'x'; /* the first owner may go */
	CHECK(map.count == 1 && map_get(&map, S("key")) == &two);
	CHECK(map_get(&map, S("ke")) == NULL && map_get(&map, S("")) == NULL);
	CHECK(map_put(&map, S(""), &one) == 0 && map_get(&map, S("")) == &one);
	map_done(&map);
}

/* Thousands come and go against a plain array that knows who is in. */
static void test_agrees_with_a_plain_array_over_a_long_life(void)
{
	enum { KEYS = 500, STEPS = 20000 };
	static bool is_in[KEYS];
	struct arena arena;
	struct map map = {};
	str keys[KEYS];
	uint32_t dice = 1;
	size_t count = 0;

	arena_init(&arena, 1 << 20);
	for (int i = 0; i < KEYS; i++)
		keys[i] = arena_strf(&arena, "key-%d", i);
	for (int step = 0; step < STEPS; step++) {
		dice = dice * 1664525 + 1013904223;
		size_t k = (dice >> 8) % KEYS;
		if (dice >> 31) {
			CHECK(map_put(&map, keys[k], &is_in[k]) == 0);
			count += !is_in[k];
			is_in[k] = true;
		} else {
			CHECK(map_remove(&map, keys[k]) == (is_in[k] ? &is_in[k] : NULL));
			count -= is_in[k];
			is_in[k] = false;
		}
		CHECK(map.count == count);
	}
	for (int i = 0; i < KEYS; i++)
		CHECK(map_get(&map, keys[i]) == (is_in[i] ? &is_in[i] : NULL));
	map_done(&map);
	arena_done(&arena);
}

static void test_walking_meets_each_value_once(void)
{
	struct map map = {};
	unsigned seen[26] = {};
	char names[26];
	size_t at = 0;
	void *value;

	for (int i = 0; i < 26; i++) {
		names[i] = (char)('a' + i);
		CHECK(map_put(&map, (str){ &names[i], 1 }, &seen[i]) == 0);
	}
	while (map_next(&map, &at, &value))
		++*(unsigned *)value;
	for (int i = 0; i < 26; i++)
		CHECK(seen[i] == 1);
	map_done(&map);
}

static void test_survives_every_failed_allocation(void)
{
	static char names[100];

	for (int i = 0; i < 100; i++)
		names[i] = (char)i;
	for (int nth = 1; nth < 20; nth++) {
		struct map map = {};
		int failed = 0;

		fault_countdown = nth;
		for (int i = 0; i < 100; i++) {
			int r = map_put(&map, (str){ &names[i], 1 }, &names[i]);
			CHECK(r == 0 || r == -ENOMEM);
			failed += r < 0;
		}
		bool reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(failed == (reached ? 1 : 0));
		CHECK(map.count == (size_t)(100 - failed)); /* the others are in */
		map_done(&map);
		if (!reached)
			return;
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_an_empty_map_has_nothing), TEST(test_putting_again_replaces_value_and_key),
	TEST(test_agrees_with_a_plain_array_over_a_long_life),
	TEST(test_walking_meets_each_value_once), TEST(test_survives_every_failed_allocation))
