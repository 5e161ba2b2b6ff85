#include "base/test.h"
#include "model/function.h"
#include "services/lambda/load.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

static bool may_loop(struct world *world, const char *name)
{
	struct function_target *target = NULL;

	CHECK(lambda_load_target(world->platform, world->scope.account, world->scope.region,
		      str_of(name), S(""), &target) == LOAD_DONE);
	bool may = target->version->may_loop;
	function_target_free(target);
	return may;
}

static void test_loops_are_stopped_unless_they_are_allowed(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = world_call(world, lambda_get_function_recursion_config,
		"GetFunctionRecursionConfig", "{s:s}", "FunctionName", "fn");
	CHECK_STR(answer_text(&got, "RecursiveLoop"), S("Terminate"));
	CHECK(!may_loop(world, "fn"));
	unsigned changes = world->changes;
	got = world_call(world, lambda_put_function_recursion_config, "PutFunctionRecursionConfig",
		"{s:s,s:s}", "FunctionName", "fn", "RecursiveLoop", "Allow");
	CHECK_STR(answer_text(&got, "RecursiveLoop"), S("Allow"));
	CHECK(may_loop(world, "fn") && world->changes > changes);
	got = world_call(world, lambda_get_function_recursion_config, "GetFunctionRecursionConfig",
		"{s:s}", "FunctionName", "fn");
	CHECK_STR(answer_text(&got, "RecursiveLoop"), S("Allow"));
	got = world_call(world, lambda_put_function_recursion_config, "PutFunctionRecursionConfig",
		"{s:s,s:s}", "FunctionName", "none", "RecursiveLoop", "Allow");
	CHECK_ERROR(got, 404, "ResourceNotFoundException",
		"Function not found: arn:aws:lambda:us-east-1:123456789012:function:none");
	world_free(world);
}

TESTS(TEST(test_loops_are_stopped_unless_they_are_allowed))
