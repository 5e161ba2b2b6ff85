#include "services/lambda/provisioned.h"

#include "base/test.h"
#include "engine/platform.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"

static struct answer put(struct world *world, const char *name, const char *qualifier, int amount)
{
	return world_call(world, lambda_put_provisioned_concurrency_config,
		"PutProvisionedConcurrencyConfig", "{s:s,s:s,s:i}", "FunctionName", name,
		"Qualifier", qualifier, "ProvisionedConcurrentExecutions", amount);
}

static struct answer get(struct world *world, const char *name, const char *qualifier)
{
	return world_call(world, lambda_get_provisioned_concurrency_config,
		"GetProvisionedConcurrencyConfig", "{s:s,s:s}", "FunctionName", name, "Qualifier",
		qualifier);
}

static struct answer delete (struct world *world, const char *name, const char *qualifier)
{
	return world_call(world, lambda_delete_provisioned_concurrency_config,
		"DeleteProvisionedConcurrencyConfig", "{s:s,s:s}", "FunctionName", name,
		"Qualifier", qualifier);
}

static struct answer list(struct world *world, const char *name)
{
	return world_call(world, lambda_list_provisioned_concurrency_configs,
		"ListProvisionedConcurrencyConfigs", "{s:s}", "FunctionName", name);
}

static struct answer reserve(struct world *world, const char *name, int amount)
{
	return world_call(world, lambda_put_function_concurrency, "PutFunctionConcurrency",
		"{s:s,s:i}", "FunctionName", name, "ReservedConcurrentExecutions", amount);
}

static void point(struct world *world, call_fn *run, const char *operation, const char *version)
{
	CHECK_OK(world_call(world, run, operation, "{s:s,s:s,s:s}", "FunctionName", "fn", "Name",
		"live", "FunctionVersion", version));
}

/* Version 1 and 2 of fn, and the alias live, which is 1. */
static struct world *start(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	for (int i = 1; i <= 2; i++) {
		CHECK_OK(world_call(world, lambda_update_function_configuration,
			"UpdateFunctionConfiguration", "{s:s,s:i}", "FunctionName", "fn", "Timeout",
			i));
		world_settle(world, "fn");
		CHECK_OK(world_call(world, lambda_publish_version, "PublishVersion", "{s:s}",
			"FunctionName", "fn"));
	}
	point(world, lambda_create_alias, "CreateAlias", "1");
	return world;
}

static bool engine_has(const struct world *world, const char *what)
{
	CHECK_STR(buf_str(&world->provisioned), str_of(what));
	return true;
}

static void check_figures(
	const struct answer *got, int requested, int allocated, const char *status)
{
	CHECK(json_integer_value(answer_at(got, "RequestedProvisionedConcurrentExecutions")) ==
		requested);
	CHECK(json_integer_value(answer_at(got, "AllocatedProvisionedConcurrentExecutions")) ==
		allocated);
	CHECK(json_integer_value(answer_at(got, "AvailableProvisionedConcurrentExecutions")) ==
		allocated);
	CHECK_STR(answer_text(got, "Status"), str_of(status));
}

static void test_put_get_list_delete(void)
{
	struct world *world = start();
	struct answer got = put(world, "fn", "1", 5);

	CHECK_OK(got);
	check_figures(&got, 5, 0, "IN_PROGRESS");
	CHECK(!answer_at(&got, "StatusReason"));
	CHECK(str_ends(answer_text(&got, "LastModified"), S("+0000")) &&
		answer_text(&got, "LastModified").len == 24);
	CHECK(engine_has(world, "fn 1=1*5"));
	CHECK(world->set_aside == 5);

	world->has_figures = true;
	world->figures = (struct provision_figures){
		.status = PROVISION_READY, .requested = 5, .allocated = 5
	};
	got = get(world, "fn", "1");
	check_figures(&got, 5, 5, "READY");
	world->figures = (struct provision_figures){
		.status = PROVISION_FAILED, .requested = 5, .reason = "FUNCTION_ERROR_INIT_FAILURE"
	};
	got = get(world, ARN "fn:1", "1");
	check_figures(&got, 5, 0, "FAILED");
	CHECK_STR(answer_text(&got, "StatusReason"), S("FUNCTION_ERROR_INIT_FAILURE"));

	CHECK_OK(put(world, "fn", "2", 1));
	CHECK(engine_has(world, "fn 1=1*5 2=2*1"));
	got = list(world, "fn");
	CHECK(json_array_size(answer_at(&got, "ProvisionedConcurrencyConfigs")) == 2);
	CHECK_STR(answer_text(&got, "ProvisionedConcurrencyConfigs.1.FunctionArn"), S(ARN "fn:2"));
	CHECK(json_integer_value(answer_at(&got,
		      "ProvisionedConcurrencyConfigs.0.RequestedProvisionedConcurrentExecutions")) ==
		5);

	CHECK_OK(delete (world, "fn", "1"));
	CHECK(engine_has(world, "fn 2=2*1") && world->set_aside == 1);
	CHECK_OK(delete (world, "fn", "1"));
	CHECK_ERROR(get(world, "fn", "1"), 404, "ProvisionedConcurrencyConfigNotFoundException",
		"No Provisioned Concurrency Config found for this function");
	world_free(world);
}

static void test_what_cannot_be_provisioned(void)
{
	struct world *world = start();
	const char *published =
		"The function resource provided must be an alias or a published version.";

	CHECK_ERROR(put(world, "fn", "$LATEST", 1), 400, "InvalidParameterValueException",
		"Provisioned Concurrency Configs cannot be applied to unpublished function "
		"versions.");
	CHECK_ERROR(get(world, "fn", "$LATEST"), 400, "InvalidParameterValueException", published);
	CHECK_ERROR(
		delete (world, "fn", "$LATEST"), 400, "InvalidParameterValueException", published);
	CHECK_ERROR(put(world, "fn", "10", 1), 404, "ResourceNotFoundException",
		"Function not found: " ARN "fn:10");
	CHECK_ERROR(put(world, "fn", "none", 1), 404, "ResourceNotFoundException",
		"Cannot find alias arn: " ARN "fn:none");
	CHECK_ERROR(put(world, "none", "1", 1), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none:1");
	CHECK_ERROR(put(world, "none", "noalias", 1), 404, "ResourceNotFoundException",
		"Cannot find alias arn: " ARN "none:noalias");
	CHECK_ERROR(list(world, "none"), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none");
	struct answer got = list(world, "fn");
	CHECK(json_is_array(answer_at(&got, "ProvisionedConcurrencyConfigs")));
	CHECK(json_array_size(answer_at(&got, "ProvisionedConcurrencyConfigs")) == 0);
	world_free(world);
}

static void test_a_version_is_provisioned_once(void)
{
	struct world *world = start();
	const char *taken = "Alias can't be used for Provisioned Concurrency configuration on an "
			    "already Provisioned version";

	CHECK_OK(put(world, "fn", "1", 1));
	CHECK_ERROR(put(world, "fn", "live", 1), 409, "ResourceConflictException", taken);
	CHECK_OK(delete (world, "fn", "1"));
	CHECK_OK(put(world, "fn", "live", 1));
	CHECK_ERROR(put(world, "fn", "1", 1), 409, "ResourceConflictException",
		"Version is pointed by a Provisioned Concurrency alias");
	CHECK_OK(put(world, "fn", "2", 1));
	CHECK_ERROR(world_call(world, lambda_update_alias, "UpdateAlias", "{s:s,s:s,s:s}",
			    "FunctionName", "fn", "Name", "live", "FunctionVersion", "2"),
		409, "ResourceConflictException", taken);
	world_free(world);
}

static void test_it_moves_and_goes_with_its_alias(void)
{
	struct world *world = start();

	CHECK_OK(put(world, "fn", "live", 3));
	CHECK(engine_has(world, "fn live=1*3"));
	point(world, lambda_update_alias, "UpdateAlias", "2");
	CHECK(engine_has(world, "fn live=2*3"));
	CHECK_OK(world_call(world, lambda_update_alias, "UpdateAlias", "{s:s,s:s,s:{s:{s:f}}}",
		"FunctionName", "fn", "Name", "live", "RoutingConfig", "AdditionalVersionWeights",
		"1", 0.25));
	CHECK(engine_has(world, "fn live=2*3+1@250000"));
	CHECK_OK(world_call(world, lambda_delete_alias, "DeleteAlias", "{s:s,s:s}", "FunctionName",
		"fn", "Name", "live"));
	CHECK(engine_has(world, "fn") && world->set_aside == 0);
	CHECK_ERROR(get(world, "fn", "live"), 404, "ResourceNotFoundException",
		"Cannot find alias arn: " ARN "fn:live");
	struct answer got = list(world, "fn");
	CHECK(json_array_size(answer_at(&got, "ProvisionedConcurrencyConfigs")) == 0);
	world_free(world);
}

static void test_it_goes_with_its_version_and_its_function(void)
{
	struct world *world = start();

	CHECK_OK(put(world, "fn", "2", 4));
	CHECK_OK(world_call(world, lambda_delete_function, "DeleteFunction", "{s:s,s:s}",
		"FunctionName", "fn", "Qualifier", "2"));
	CHECK(engine_has(world, "fn") && world->set_aside == 0);
	CHECK_OK(put(world, "fn", "1", 4));
	CHECK_OK(reserve(world, "fn", 7));
	CHECK(world->set_aside == 7);
	CHECK_OK(world_call(
		world, lambda_delete_function, "DeleteFunction", "{s:s}", "FunctionName", "fn"));
	CHECK(engine_has(world, "fn") && world->set_aside == 0);
	world_free(world);
}

/* What is provisioned is within what is reserved. */
static void test_it_is_a_part_of_the_reservation(void)
{
	struct world *world = start();
	const char *too_much = "Requested Provisioned Concurrency should not be greater than the "
			       "reservedConcurrentExecution for function";

	CHECK_OK(put(world, "fn", "1", 2));
	struct answer got = reserve(world, "fn", 1);
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		" ReservedConcurrentExecutions  1 should not be lower than function's total "
		"provisioned concurrency [2].");
	CHECK(got.type.len == 0);
	CHECK_OK(reserve(world, "fn", 2));
	CHECK(world->set_aside == 2);
	CHECK_ERROR(put(world, "fn", "1", 3), 400, "InvalidParameterValueException", too_much);
	CHECK_ERROR(put(world, "fn", "2", 1), 400, "InvalidParameterValueException", too_much);
	CHECK_OK(put(world, "fn", "1", 1));
	CHECK_OK(put(world, "fn", "2", 1));
	world_free(world);
}

static void test_it_is_taken_from_the_account(void)
{
	struct world *world = start();

	CHECK_OK(put(world, "fn", "1", 50));
	struct answer got = put(world, "fn", "2", 951);
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Specified ConcurrentExecutions for function is greater than account's unreserved "
		"concurrency [950].");
	CHECK(got.type.len == 0);
	CHECK_ERROR(put(world, "fn", "2", 851), 400, "InvalidParameterValueException",
		"Specified ConcurrentExecutions for function decreases account's "
		"UnreservedConcurrentExecution below its minimum value of [100].");
	CHECK_OK(put(world, "fn", "2", 850));
	CHECK_OK(put(world, "fn", "1", 50)); /* its own does not count twice */
	got = world_call(world, lambda_get_account_settings, "GetAccountSettings", "{}");
	CHECK(json_integer_value(answer_at(&got, "AccountLimit.UnreservedConcurrentExecutions")) ==
		100);
	world_free(world);
}

static void test_pages(void)
{
	struct world *world = start();

	CHECK_OK(put(world, "fn", "2", 1));
	CHECK_OK(put(world, "fn", "live", 1));
	struct answer got = world_call(world, lambda_list_provisioned_concurrency_configs,
		"ListProvisionedConcurrencyConfigs", "{s:s,s:i}", "FunctionName", "fn", "MaxItems",
		1);
	CHECK(json_array_size(answer_at(&got, "ProvisionedConcurrencyConfigs")) == 1);
	CHECK_STR(answer_text(&got, "ProvisionedConcurrencyConfigs.0.FunctionArn"), S(ARN "fn:2"));
	json_t *marker = json_incref(answer_at(&got, "NextMarker"));
	got = world_call(world, lambda_list_provisioned_concurrency_configs,
		"ListProvisionedConcurrencyConfigs", "{s:s,s:o}", "FunctionName", "fn", "Marker",
		marker);
	CHECK(json_array_size(answer_at(&got, "ProvisionedConcurrencyConfigs")) == 1);
	CHECK_STR(
		answer_text(&got, "ProvisionedConcurrencyConfigs.0.FunctionArn"), S(ARN "fn:live"));
	CHECK(!answer_at(&got, "NextMarker"));
	world_free(world);
}

static void test_the_engine_is_told_at_the_start(void)
{
	struct world *world = start();

	CHECK_OK(put(world, "fn", "1", 9));
	buf_clear(&world->provisioned);
	CHECK(lambda_provision_tell_all(world->platform) == 0);
	CHECK(engine_has(world, "fn 1=1*9"));
	world_free(world);
}

TESTS(TEST(test_put_get_list_delete), TEST(test_what_cannot_be_provisioned),
	TEST(test_a_version_is_provisioned_once), TEST(test_it_moves_and_goes_with_its_alias),
	TEST(test_it_goes_with_its_version_and_its_function),
	TEST(test_it_is_a_part_of_the_reservation), TEST(test_it_is_taken_from_the_account),
	TEST(test_pages), TEST(test_the_engine_is_told_at_the_start))
