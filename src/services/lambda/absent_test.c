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

TESTS(TEST(test_runtimes_are_updated_automatically))
