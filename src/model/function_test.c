#include "model/function.h"

#include "base/attr.h"
#include "base/mem.h"
#include "base/test.h"

#include <pthread.h>
#include <string.h>

static const struct function_version example = {
	.account = S_INIT("123456789012"),
	.region = S_INIT("us-east-1"),
	.name = S_INIT("fn"),
	.version = S_INIT("$LATEST"),
	.revision = S_INIT("r1"),
	.arn = S_INIT("arn:aws:lambda:us-east-1:123456789012:function:fn"),
	.runtime = S_INIT("python3.12"),
	.handler = S_INIT("a.b"),
	.role = S_INIT("arn:aws:iam::123456789012:role/x"),
	.log_group = S_INIT("/aws/lambda/fn"),
	.memory_mb = 128,
	.timeout_ms = 3000,
	.env = (str[]){ S_INIT("A=1"), S_INIT("B="), S_INIT("C=three words here") },
	.env_count = 3,
};

static void test_a_snapshot_owns_copies_of_all_its_views(void)
{
	struct function_version from;
	char name[] = "fn", variable[] = "A=1";
	str env[] = { { variable, 3 } };

	memcpy(&from, &example, sizeof(from));
	from.name = (str){ name, 2 };
	from.env = env;
	from.env_count = 1;
	struct function_version *version = function_version_new(&from);
	CHECK(version != NULL);
	memset(name, 'x', 2);
	memset(variable, 'x', 3);
	env[0] = S("gone");
	CHECK_STR(version->name, S("fn"));
	CHECK(version->env_count == 1);
	CHECK_STR(version->env[0], S("A=1"));
	CHECK_STR(version->arn, example.arn);
	CHECK_STR(version->log_group, example.log_group);
	CHECK_STR(version->log_level_app, S(""));
	CHECK(version->memory_mb == 128 && version->timeout_ms == 3000);
	function_version_unref(version);
}

static void test_the_last_reference_frees(void)
{
	struct function_version *version = function_version_new(&example);

	CHECK(function_version_ref(version) == version);
	function_version_unref(version);
	CHECK_STR(version->env[2], S("C=three words here")); /* the sanitizer would tell */
	function_version_unref(version);
	function_version_unref(NULL);
}

static void *churn(void *version)
{
	for (int i = 0; i < 10'000; i++)
		function_version_unref(function_version_ref(version));
	return NULL;
}

static void test_references_are_counted_from_any_thread(void)
{
	struct function_version *version = function_version_new(&example);
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK(pthread_create(&threads[i], NULL, churn, version) == 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(atomic_load(&version->refs) == 1);
	function_version_unref(version);
}

static void test_a_target_frees_both_of_its_versions(void)
{
	struct function_target *target = mem_one(struct function_target);

	target->version = function_version_new(&example);
	target->other = function_version_new(&example);
	function_target_free(target);
	function_target_free(NULL);
}

static void test_survives_every_failed_allocation(void)
{
	for (int nth = 1; nth < 10; nth++) {
		fault_countdown = nth;
		struct function_version *version = function_version_new(&example);
		bool reached = fault_countdown == 0;
		fault_countdown = 0;
		CHECK(reached == (version == NULL));
		function_version_unref(version);
		if (!reached)
			return;
	}
	FAIL("never succeeded");
}

TESTS(TEST(test_a_snapshot_owns_copies_of_all_its_views), TEST(test_the_last_reference_frees),
	TEST(test_references_are_counted_from_any_thread),
	TEST(test_a_target_frees_both_of_its_versions), TEST(test_survives_every_failed_allocation))
