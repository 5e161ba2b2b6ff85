#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "_X_AMZN_TRACE_ID"

static void test_each_value_takes_the_place_of_the_last(void)
{
	const char *first = NULL;
	char value[64];

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(
			value, sizeof(value), "Root=1-%08x-%024x", (unsigned)i, (unsigned)i * 7);
		CHECK(setenv(NAME, value, 1) == 0);
		first = first ? first : getenv(NAME);
		CHECK(getenv(NAME) == first && strcmp(first, value) == 0);
	}
	CHECK(setenv(NAME, "abcdef", 1) == 0 && setenv(NAME, getenv(NAME) + 2, 1) == 0);
	CHECK(strcmp(getenv(NAME), "cdef") == 0);
	CHECK(unsetenv(NAME) == 0 && !getenv(NAME));
	CHECK(setenv(NAME, "", 1) == 0 && getenv(NAME) == first);
}

static void test_what_does_not_fit_is_the_c_librarys(void)
{
	char value[4096];

	memset(value, 'x', sizeof(value));
	for (size_t len = 900; len < sizeof(value); len++) {
		value[len] = '\0';
		CHECK(setenv(NAME, value, 1) == 0 && strcmp(getenv(NAME), value) == 0);
		value[len] = 'x';
	}
	CHECK(setenv(NAME, "short", 1) == 0 && strcmp(getenv(NAME), "short") == 0);
}

static void test_other_variables_are_the_c_librarys(void)
{
	CHECK(setenv("_X_AMZN_TRACE_I", "a", 1) == 0);
	const char *at = getenv("_X_AMZN_TRACE_I");
	CHECK(setenv("_X_AMZN_TRACE_I", "b", 1) == 0);
	CHECK(at && strcmp(at, "a") == 0 && strcmp(getenv("_X_AMZN_TRACE_I"), "b") == 0);
	CHECK(setenv("_X_AMZN_TRACE_I", "c", 0) == 0 &&
		strcmp(getenv("_X_AMZN_TRACE_I"), "b") == 0);
	CHECK(setenv("", "c", 1) < 0 && setenv("a=b", "c", 1) < 0);
}

TESTS(TEST(test_each_value_takes_the_place_of_the_last),
	TEST(test_what_does_not_fit_is_the_c_librarys),
	TEST(test_other_variables_are_the_c_librarys))
