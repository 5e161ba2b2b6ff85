/* Plain on purpose: a test that fails says where, and the run goes on. */
#include "base/test.h"

#include <string.h>

static bool test_failed;

void test_fail(const char *file, int line, const char *text)
{
	test_failed = true;
	(void)fprintf(stderr, "%s:%d: %s\n", file, line, text);
}

/* A name reads as a sentence: the prefix `test_` says nothing. */
static const char *test_sentence(const char *name)
{
	return strncmp(name, "test_", 5) == 0 ? name + 5 : name;
}

int test_main(const struct test_case *tests, size_t count)
{
	size_t failed = 0;

	for (size_t i = 0; i < count; i++) {
		test_failed = false;
		tests[i].run();
		failed += test_failed;
		(void)printf(
			"%s %s\n", test_failed ? "FAILED" : "ok", test_sentence(tests[i].name));
		(void)fflush(stdout);
	}
	(void)printf("%zu passed, %zu failed\n", count - failed, failed);
	return failed || count == 0 ? 1 : 0;
}
