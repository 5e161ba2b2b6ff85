#include "base/mem.h"

#include "base/test.h"

#include <stdint.h>
#include <string.h>

static void test_new_memory_is_zeroed(void)
{
	static const char zeroes[300];
	char *at = mem_new(3, 100);

	CHECK(at && memcmp(at, zeroes, 300) == 0);
	mem_free(at);
}

static void test_a_count_of_none_is_no_failure(void)
{
	void *at = mem_new(0, 8);

	CHECK(at);
	mem_free(at);
}

static void test_sizes_that_overflow_fail(void)
{
	size_t huge = SIZE_MAX / 2;
	void *old = mem_new(1, 8);

	__asm__("" : "+r"(huge)); /* the compiler would warn if it saw */
	CHECK(mem_new(huge, 4) == NULL);
	CHECK(mem_grow(old, huge, 4) == NULL);
	mem_free(old); /* it was left as it was */
}

static void test_growing_keeps_the_contents(void)
{
	char *at = mem_new(1, 4);

	CHECK(at);
	memcpy(at, "abc", 4);
	at = mem_grow(at, 1000, 4);
	CHECK(at && memcmp(at, "abc", 4) == 0);
	mem_free(at);
}

static void test_the_nth_allocation_fails_once(void)
{
	fault_countdown = 2;
	void *first = mem_new(1, 1);
	CHECK(first && fault_countdown == 1);
	CHECK(mem_grow(first, 2, 1) == NULL);
	CHECK(fault_countdown == 0);
	void *second = mem_new(1, 1);
	CHECK(second);
	mem_free(first);
	mem_free(second);
}

static void test_scoped_memory_is_freed(void)
{
	scoped_mem char *at = mem_new(1, 16); /* the leak sanitizer is the judge */
	CHECK(at);
}

TESTS(TEST(test_new_memory_is_zeroed), TEST(test_a_count_of_none_is_no_failure),
	TEST(test_sizes_that_overflow_fail), TEST(test_growing_keeps_the_contents),
	TEST(test_the_nth_allocation_fails_once), TEST(test_scoped_memory_is_freed))
