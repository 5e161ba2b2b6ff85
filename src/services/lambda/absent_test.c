#include "base/test.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"

static struct answer ask(struct world *world, call_fn *run, const char *operation, const char *name,
	const char *qualifier)
{
	return world_call(
		world, run, operation, "{s:s,s:s*}", "FunctionName", name, "Qualifier", qualifier);
}

static void test_runtimes_are_updated_automatically(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = ask(world, lambda_get_runtime_management_config,
		"GetRuntimeManagementConfig", "fn", NULL);
	CHECK_STR(answer_text(&got, "UpdateRuntimeOn"), S("Auto"));
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn:$LATEST"));
	got = world_call(world, lambda_put_runtime_management_config, "PutRuntimeManagementConfig",
		"{s:s,s:s}", "FunctionName", "fn", "UpdateRuntimeOn", "Auto");
	CHECK_STR(answer_text(&got, "UpdateRuntimeOn"), S("Auto"));
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn:$LATEST"));
	got = world_call(world, lambda_put_runtime_management_config, "PutRuntimeManagementConfig",
		"{s:s,s:s}", "FunctionName", "fn", "UpdateRuntimeOn", "FunctionUpdate");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"UpdateRuntimeOn FunctionUpdate is not available in mayfly: functions run on what is "
		"installed on the node.");
	got = world_call(world, lambda_put_runtime_management_config, "PutRuntimeManagementConfig",
		"{s:s,s:s,s:s}", "FunctionName", "fn", "UpdateRuntimeOn", "Auto",
		"RuntimeVersionArn", "arn:aws:lambda:us-east-1::runtime:x");
	CHECK(got.result == CALL_ERROR && got.status == 400);
	got = world_call(world, lambda_put_runtime_management_config, "PutRuntimeManagementConfig",
		"{s:s,s:s}", "FunctionName", "none", "UpdateRuntimeOn", "Auto");
	CHECK(got.status == 404);
	world_free(world);
}

static void test_recursive_loops_are_allowed(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = ask(world, lambda_get_function_recursion_config,
		"GetFunctionRecursionConfig", "fn", NULL);
	CHECK_STR(answer_text(&got, "RecursiveLoop"), S("Allow"));
	got = world_call(world, lambda_put_function_recursion_config, "PutFunctionRecursionConfig",
		"{s:s,s:s}", "FunctionName", "fn", "RecursiveLoop", "Allow");
	CHECK_STR(answer_text(&got, "RecursiveLoop"), S("Allow"));
	got = world_call(world, lambda_put_function_recursion_config, "PutFunctionRecursionConfig",
		"{s:s,s:s}", "FunctionName", "fn", "RecursiveLoop", "Terminate");
	CHECK(got.result == CALL_ERROR && str_find_str(got.message, S("not available")) > 0);
	world_free(world);
}

static void test_there_is_no_event_invoke_config(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = ask(world, lambda_get_function_event_invoke_config,
		"GetFunctionEventInvokeConfig", "fn", NULL);
	CHECK_ERROR(got, 404, "ResourceNotFoundException",
		"The function " ARN "fn:$LATEST doesn't have an EventInvokeConfig");
	got = ask(world, lambda_get_function_event_invoke_config, "GetFunctionEventInvokeConfig",
		"none", "live");
	CHECK_ERROR(got, 404, "ResourceNotFoundException",
		"The function " ARN "none:live doesn't have an EventInvokeConfig");
	got = ask(world, lambda_list_function_event_invoke_configs,
		"ListFunctionEventInvokeConfigs", "fn", NULL);
	CHECK(json_is_array(answer_at(&got, "FunctionEventInvokeConfigs")));
	got = ask(world, lambda_list_function_event_invoke_configs,
		"ListFunctionEventInvokeConfigs", "none", NULL);
	CHECK_ERROR(got, 404, "ResourceNotFoundException", "The function doesn't exist.");
	world_free(world);
}

TESTS(TEST(test_runtimes_are_updated_automatically), TEST(test_recursive_loops_are_allowed),
	TEST(test_there_is_no_event_invoke_config))
