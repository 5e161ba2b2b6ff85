#include "base/test.h"
#include "engine/platform.h"
#include "services/lambda/load.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"
#define BELOW                                                                      \
	"Specified ReservedConcurrentExecutions for function decreases account's " \
	"UnreservedConcurrentExecution below its minimum value of "

static struct answer put(struct world *world, const char *name, int amount)
{
	return world_call(world, lambda_put_function_concurrency, "PutFunctionConcurrency",
		"{s:s,s:i}", "FunctionName", name, "ReservedConcurrentExecutions", amount);
}

static struct answer get(struct world *world, const char *name)
{
	return world_call(world, lambda_get_function_concurrency, "GetFunctionConcurrency", "{s:s}",
		"FunctionName", name);
}

static struct answer delete (struct world *world, const char *name)
{
	return world_call(world, lambda_delete_function_concurrency, "DeleteFunctionConcurrency",
		"{s:s}", "FunctionName", name);
}

static void test_put_get_delete(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = get(world, "fn");
	CHECK(got.result == 0 && json_object_size(got.out) == 0);
	for (int amount = 3; amount >= 0; amount--) {
		got = put(world, "fn", amount);
		CHECK(got.result == 0);
		CHECK(json_integer_value(answer_at(&got, "ReservedConcurrentExecutions")) ==
			amount);
		got = get(world, "fn");
		CHECK(answer_at(&got, "ReservedConcurrentExecutions") != NULL);
		CHECK(json_integer_value(answer_at(&got, "ReservedConcurrentExecutions")) ==
			amount);
	}
	got = world_call(world, lambda_get_function, "GetFunction", "{s:s}", "FunctionName", "fn");
	CHECK(json_is_integer(answer_at(&got, "Concurrency.ReservedConcurrentExecutions")));
	CHECK_OK(delete (world, "fn"));
	CHECK_OK(delete (world, "fn"));
	got = get(world, "fn");
	CHECK(json_object_size(got.out) == 0);
	world_free(world);
}

static void test_what_has_no_concurrency(void)
{
	struct world *world = world_new();
	const char *qualified =
		"This operation is permitted on Lambda functions only. Aliases and versions do "
		"not support this operation. Please specify either a function name or an "
		"unqualified function ARN.";

	CHECK_ERROR(put(world, "none", 1), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none:$LATEST");
	CHECK_ERROR(put(world, "none", 1000000), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none:$LATEST");
	CHECK_ERROR(get(world, "none"), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none");
	CHECK_ERROR(put(world, ARN "none:1", 1), 400, "InvalidParameterValueException", qualified);
	CHECK_ERROR(
		put(world, "none:$LATEST", 1), 400, "InvalidParameterValueException", qualified);
	world_free(world);
}

static void test_a_hundred_stay_unreserved(void)
{
	struct world *world = world_new();

	world_create(world, "one");
	world_create(world, "two");
	struct answer got = put(world, "one", 901);
	CHECK_ERROR(got, 400, "InvalidParameterValueException", BELOW "[100].");
	CHECK(got.type.len == 0 && got.type.at != NULL);
	CHECK_OK(put(world, "one", 900));
	CHECK_ERROR(put(world, "two", 1), 400, "InvalidParameterValueException", BELOW "[100].");
	CHECK_OK(put(world, "two", 0));
	CHECK_OK(put(world, "one", 899)); /* its own does not count twice */
	CHECK_OK(put(world, "two", 1));
	CHECK_OK(delete (world, "one"));
	CHECK_OK(put(world, "two", 900));
	world_free(world);
}

/* The engine holds invocations against what is left for all. */
static void test_the_engine_knows_what_is_set_aside(void)
{
	struct world *world = world_new();
	struct function_target *target = NULL;

	world_create(world, "one");
	world_create(world, "two");
	CHECK_OK(put(world, "one", 300));
	CHECK(world->set_aside == 300);
	CHECK_OK(put(world, "two", 7));
	CHECK(world->set_aside == 307);
	CHECK(lambda_load_target(world->platform, S("123456789012"), S("us-east-1"), S("two"),
		      S(""), &target) == LOAD_DONE);
	CHECK(target->set_aside == 307 && target->reserved_concurrency == 7);
	CHECK(target->set_aside_revision == world->set_aside_revision);
	function_target_free(target);
	CHECK_OK(world_call(
		world, lambda_delete_function, "DeleteFunction", "{s:s}", "FunctionName", "one"));
	CHECK(world->set_aside == 7);
	CHECK_OK(delete (world, "two"));
	CHECK(world->set_aside == 0);
	world_free(world);
}

static void test_a_small_account_keeps_what_it_has(void)
{
	struct world *world = world_new();

	world->platform->account_concurrency = 10;
	world_create(world, "fn");
	CHECK_ERROR(put(world, "fn", 1), 400, "InvalidParameterValueException", BELOW "[10].");
	CHECK_OK(put(world, "fn", 0));
	world_free(world);
}

static int64_t setting(struct world *world, const char *path)
{
	struct answer got = world_call(
		world, lambda_get_account_settings, "GetAccountSettings", "{}");

	CHECK_OK(got);
	return json_integer_value(answer_at(&got, path));
}

static void test_account_settings_count(void)
{
	struct world *world = world_new();

	CHECK(setting(world, "AccountLimit.TotalCodeSize") == 80530636800);
	CHECK(setting(world, "AccountLimit.CodeSizeUnzipped") == 262144000);
	CHECK(setting(world, "AccountLimit.CodeSizeZipped") == 52428800);
	CHECK(setting(world, "AccountLimit.ConcurrentExecutions") == 1000);
	CHECK(setting(world, "AccountLimit.UnreservedConcurrentExecutions") == 1000);
	CHECK(setting(world, "AccountUsage.FunctionCount") == 0);
	world_create(world, "one");
	world_create(world, "two");
	CHECK(setting(world, "AccountUsage.FunctionCount") == 2);
	CHECK(setting(world, "AccountUsage.TotalCodeSize") == 14);
	CHECK_OK(world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "one"));
	CHECK(setting(world, "AccountUsage.TotalCodeSize") == 21);
	CHECK_OK(put(world, "one", 7));
	CHECK(setting(world, "AccountLimit.UnreservedConcurrentExecutions") == 993);

	world->scope.region = S("eu-west-1"); /* another world */
	CHECK(setting(world, "AccountUsage.FunctionCount") == 0);
	CHECK(setting(world, "AccountLimit.UnreservedConcurrentExecutions") == 1000);
	world_free(world);
}

TESTS(TEST(test_put_get_delete), TEST(test_what_has_no_concurrency),
	TEST(test_a_hundred_stay_unreserved), TEST(test_a_small_account_keeps_what_it_has),
	TEST(test_the_engine_knows_what_is_set_aside), TEST(test_account_settings_count))
