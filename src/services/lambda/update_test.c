#include "base/test.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#include <string.h>

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"
#define MISMATCH                                                                    \
	"The Revision Id provided does not match the latest Revision Id. Call the " \
	"GetFunction/GetAlias API to retrieve the latest Revision Id"

static struct answer get(struct world *world, const char *qualifier)
{
	return world_call(world, lambda_get_function_configuration, "GetFunctionConfiguration",
		"{s:s,s:s*}", "FunctionName", "fn", "Qualifier", qualifier);
}

static struct answer update_code(
	struct world *world, const char *zip, const char *member, json_t *value)
{
	return world_call(world, lambda_update_function_code, "UpdateFunctionCode",
		"{s:s,s:o,s:o*}", "FunctionName", "fn", "ZipFile", world_zip(zip), member, value);
}

static struct answer update(struct world *world, const char *member, json_t *value)
{
	return world_call(world, lambda_update_function_configuration,
		"UpdateFunctionConfiguration", "{s:s,s:o*}", "FunctionName", "fn", member, value);
}

/* The RevisionId of $LATEST, copied. */
static void revision_of(struct world *world, char to[static 37])
{
	struct answer got = get(world, NULL);

	CHECK(str_to_array(answer_text(&got, "RevisionId"), to, 37) == 0);
}

static void test_an_update_is_in_progress_until_it_is_settled(void)
{
	struct world *world = world_new();
	char first[37], last[37];

	world_create(world, "fn");
	revision_of(world, first);
	struct answer got = update_code(world, "two", "DryRun", json_false());
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	CHECK_STR(answer_text(&got, "LastUpdateStatus"), S("InProgress"));
	CHECK_STR(answer_text(&got, "LastUpdateStatusReason"), S("The function is being created."));
	CHECK_STR(answer_text(&got, "LastUpdateStatusReasonCode"), S("Creating"));
	CHECK(answer_at(&got, "StateReason") == NULL);
	CHECK(!str_eq(answer_text(&got, "RevisionId"), str_of(first)));
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn"));

	/* AWS refuses what comes too early. */
	got = update(world, "Timeout", json_integer(9));
	CHECK_ERROR(got, 409, "ResourceConflictException",
		"The operation cannot be performed at this time. An update is in progress for resource: " ARN
		"fn");
	got = world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "fn");
	CHECK(got.result == CALL_ERROR && got.status == 409);

	/* What is wrong in itself is told first. */
	got = update(world, "Timeout", json_integer(901));
	CHECK(got.result == CALL_ERROR && got.status == 400);
	got = update_code(world, "two", "Architectures", json_pack("[s]", "riscv"));
	CHECK(got.result == CALL_ERROR && got.status == 400);

	world_settle(world, "fn");
	got = get(world, NULL);
	CHECK_STR(answer_text(&got, "LastUpdateStatus"), S("Successful"));
	CHECK(answer_at(&got, "LastUpdateStatusReason") == NULL);
	CHECK(answer_at(&got, "LastUpdateStatusReasonCode") == NULL);
	revision_of(world, last);
	CHECK(strcmp(first, last) != 0);
	CHECK_OK(update(world, "Timeout", json_integer(9)));
	world_free(world);
}

static void test_a_pending_function_cannot_be_changed(void)
{
	struct world *world = world_new();

	CHECK_OK(world_call(world, lambda_create_function, "CreateFunction",
		"{s:s,s:s,s:s,s:s,s:{s:o}}", "FunctionName", "fn", "Runtime", "python3.12",
		"Handler", "a.b", "Role", "r", "Code", "ZipFile", world_zip("one")));
	struct answer got = update(world, "Timeout", json_integer(9));
	CHECK_ERROR(got, 409, "ResourceConflictException",
		"The operation cannot be performed at this time. The function is currently in the following "
		"state: Pending");
	world_free(world);
}

static void test_revisions_guard_updates(void)
{
	struct world *world = world_new();
	char first[37];

	world_create(world, "fn");
	revision_of(world, first);
	struct answer got = update(world, "RevisionId", json_string(first));
	CHECK_OK(got);
	world_settle(world, "fn");
	got = update(world, "RevisionId", json_string(first));
	CHECK_ERROR(got, 412, "PreconditionFailedException", MISMATCH);
	CHECK_STR(got.type, S("User"));
	got = update_code(world, "two", "RevisionId", json_string(first));
	CHECK_ERROR(got, 412, "PreconditionFailedException", MISMATCH);
	world_free(world);
}

static void test_what_is_given_changes_and_nothing_else(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = update(
		world, "Environment", json_pack("{s:{s:s}}", "Variables", "A", "1"));
	CHECK_STR(answer_text(&got, "Environment.Variables.A"), S("1"));
	world_settle(world, "fn");
	got = update(world, "Description", json_string("new"));
	CHECK_STR(answer_text(&got, "Description"), S("new"));
	CHECK_STR(answer_text(&got, "Environment.Variables.A"), S("1"));
	CHECK(json_integer_value(answer_at(&got, "Timeout")) == 3);
	world_settle(world, "fn");
	got = update(world, "Runtime", json_string("python3.11"));
	CHECK_STR(answer_text(&got, "Runtime"), S("python3.11"));
	CHECK_STR(answer_text(&got, "Handler"), S("index.handler"));
	world_settle(world, "fn");
	got = update(world, "Runtime", json_string("nope"));
	CHECK(got.result == CALL_ERROR && got.status == 400);
	got = update(world, "Timeout", json_integer(901));
	CHECK(got.result == CALL_ERROR && str_eq(got.code, S("ValidationException")));
	got = update(world, "VpcConfig", json_pack("{s:[s]}", "SubnetIds", "subnet-1"));
	CHECK(got.result == CALL_ERROR);
	got = get(world, NULL);
	CHECK_STR(answer_text(&got, "Runtime"), S("python3.11"));
	CHECK_STR(answer_text(&got, "LastUpdateStatus"), S("Successful"));
	world_free(world);
}

static void test_log_levels_come_and_go_with_the_format(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = update(world, "LoggingConfig", json_pack("{s:s}", "LogFormat", "JSON"));
	CHECK_STR(answer_text(&got, "LoggingConfig.ApplicationLogLevel"), S("INFO"));
	CHECK_STR(answer_text(&got, "LoggingConfig.SystemLogLevel"), S("INFO"));
	CHECK_STR(answer_text(&got, "LoggingConfig.LogGroup"), S("/aws/lambda/fn"));
	world_settle(world, "fn");
	got = update(world, "LoggingConfig", json_pack("{s:s}", "LogGroup", "cool_lambda"));
	CHECK_STR(answer_text(&got, "LoggingConfig.LogFormat"), S("JSON"));
	CHECK_STR(answer_text(&got, "LoggingConfig.LogGroup"), S("cool_lambda"));
	CHECK_STR(answer_text(&got, "LoggingConfig.ApplicationLogLevel"), S("INFO"));
	world_settle(world, "fn");
	got = update(world, "LoggingConfig", json_pack("{s:s}", "LogFormat", "Text"));
	CHECK(answer_at(&got, "LoggingConfig.ApplicationLogLevel") == NULL);
	CHECK(answer_at(&got, "LoggingConfig.SystemLogLevel") == NULL);
	CHECK_STR(answer_text(&got, "LoggingConfig.LogGroup"), S("cool_lambda"));
	world_free(world);
}

static void test_a_dry_run_tells_the_hash_and_changes_nothing(void)
{
	struct world *world = world_new();
	char before[37], after[37];

	world_create(world, "fn");
	revision_of(world, before);
	struct answer old = get(world, NULL);
	char sha[64];
	CHECK(str_to_array(answer_text(&old, "CodeSha256"), sha, sizeof(sha)) == 0);
	struct answer got = update_code(world, "two", "DryRun", json_true());
	CHECK_OK(got);
	CHECK(!str_eq(answer_text(&got, "CodeSha256"), str_of(sha)));
	CHECK_STR(answer_text(&got, "LastUpdateStatus"), S("Successful"));
	got = get(world, NULL);
	CHECK_STR(answer_text(&got, "CodeSha256"), str_of(sha));
	revision_of(world, after);
	CHECK(strcmp(before, after) == 0);
	got = update_code(world, "LARGE", "DryRun", json_true());
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Unzipped size must be smaller than 262144000 bytes");
	world_free(world);
}

static void test_publish_with_the_code_answers_a_pending_version(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = update_code(world, "two", "Publish", json_true());
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "Version"), S("1"));
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn:1"));
	CHECK_STR(answer_text(&got, "State"), S("Pending"));
	CHECK_STR(answer_text(&got, "StateReasonCode"), S("Creating"));
	CHECK(answer_at(&got, "LastUpdateStatus") == NULL);
	got = get(world, "$LATEST");
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn:$LATEST"));
	CHECK_STR(answer_text(&got, "LastUpdateStatus"), S("InProgress"));
	world_settle(world, "fn");
	got = get(world, "1");
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	CHECK_STR(answer_text(&got, "LastUpdateStatus"), S("Successful"));
	/* Nothing has changed since: the same version. */
	got = update_code(world, "two", "Publish", json_true());
	CHECK_STR(answer_text(&got, "Version"), S("1"));
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	world_free(world);
}

static void test_what_update_code_refuses(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = world_call(world, lambda_update_function_code, "UpdateFunctionCode",
		"{s:s,s:s}", "FunctionName", "fn", "ImageUri", "x");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Please don't provide ImageUri when updating a function with packageType Zip.");
	got = world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s}",
		"FunctionName", "fn");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Please provide a source for function code.");
	got = world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s,s:o}",
		"FunctionName", "none", "ZipFile", world_zip("x"));
	CHECK_ERROR(got, 404, "ResourceNotFoundException", "Function not found: " ARN "none");
	got = world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s,s:o}",
		"FunctionName", "fn:1", "ZipFile", world_zip("x"));
	CHECK(got.result == CALL_ERROR && got.status == 400);
	got = world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s,s:o}",
		"FunctionName", "fn:$LATEST", "ZipFile", world_zip("x"));
	CHECK_OK(got);
	world_free(world);
}

TESTS(TEST(test_an_update_is_in_progress_until_it_is_settled),
	TEST(test_a_pending_function_cannot_be_changed), TEST(test_revisions_guard_updates),
	TEST(test_what_is_given_changes_and_nothing_else),
	TEST(test_log_levels_come_and_go_with_the_format),
	TEST(test_a_dry_run_tells_the_hash_and_changes_nothing),
	TEST(test_publish_with_the_code_answers_a_pending_version),
	TEST(test_what_update_code_refuses))
