#pragma once
/*
 * The test harness: a test is a static function whose name is a sentence; a file ends
 * with TESTS(…). Prints one line a test, exits 1 if any failed.
 */
#include <stdbool.h>
#include <stdio.h>

struct test_case {
	const char *name;
	void (*run)(void);
};

/* Marks the running test failed and goes on. */
void test_fail(const char *file, int line, const char *text);

/* Runs them in order and prints `ok NAME` / `FAILED NAME`, then `N passed, N failed`. */
int test_main(const struct test_case *tests, size_t count);

#define CHECK(condition)                                           \
	do {                                                       \
		if (!(condition))                                  \
			test_fail(__FILE__, __LINE__, #condition); \
	} while (0)
#define FAIL(text) test_fail(__FILE__, __LINE__, (text))
#define CHECK_STR(got, want)                                                          \
	do {                                                                          \
		if (!str_eq((got), (want))) {                                         \
			test_fail(__FILE__, __LINE__, #got " == " #want);             \
			fprintf(stderr, "  got: " STR_FMT "\n", STR_ARG((str)(got))); \
		}                                                                     \
	} while (0)

/* clang-format off */
#define TEST(function) { #function, function }
/* clang-format on */
#define TESTS(...)                                                         \
	int main(void)                                                     \
	{                                                                  \
		static const struct test_case tests[] = { __VA_ARGS__ };   \
		return test_main(tests, sizeof(tests) / sizeof(tests[0])); \
	}
