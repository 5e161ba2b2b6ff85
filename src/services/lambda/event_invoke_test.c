#include "base/test.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#include <string.h>

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"

static struct answer put(struct world *world, const char *name, const char *qualifier, int attempts)
{
	return world_call(world, lambda_put_function_event_invoke_config,
		"PutFunctionEventInvokeConfig", "{s:s,s:s*,s:i}", "FunctionName", name, "Qualifier",
		qualifier, "MaximumRetryAttempts", attempts);
}

static struct answer put_target(
	struct world *world, const char *name, const char *side, const char *arn)
{
	return world_call(world, lambda_put_function_event_invoke_config,
		"PutFunctionEventInvokeConfig", "{s:s,s:{s:{s:s}}}", "FunctionName", name,
		"DestinationConfig", side, "Destination", arn);
}

static struct answer get(struct world *world, const char *name, const char *qualifier)
{
	return world_call(world, lambda_get_function_event_invoke_config,
		"GetFunctionEventInvokeConfig", "{s:s,s:s*}", "FunctionName", name, "Qualifier",
		qualifier);
}

static void test_what_is_put_is_got_with_both_destinations(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(put(world, "fn", NULL, 1));
	struct answer got = get(world, "fn", "$LATEST");
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn:$LATEST"));
	CHECK(json_integer_value(answer_at(&got, "MaximumRetryAttempts")) == 1);
	CHECK(!answer_at(&got, "MaximumEventAgeInSeconds") && answer_at(&got, "LastModified"));
	CHECK(json_is_object(answer_at(&got, "DestinationConfig.OnSuccess")) &&
		json_is_object(answer_at(&got, "DestinationConfig.OnFailure")));
	CHECK(json_object_size(answer_at(&got, "DestinationConfig.OnFailure")) == 0);
	world_free(world);
}

static void test_put_replaces_all_and_update_what_is_given(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(put(world, "fn", NULL, 2));
	struct answer got = world_call(world, lambda_update_function_event_invoke_config,
		"UpdateFunctionEventInvokeConfig", "{s:s,s:i}", "FunctionName", "fn",
		"MaximumEventAgeInSeconds", 60);
	CHECK_OK(got);
	CHECK(json_integer_value(answer_at(&got, "MaximumRetryAttempts")) == 2);
	CHECK(json_integer_value(answer_at(&got, "MaximumEventAgeInSeconds")) == 60);
	got = put(world, "fn", NULL, 0);
	CHECK(json_is_integer(answer_at(&got, "MaximumRetryAttempts")));
	CHECK(!answer_at(&got, "MaximumEventAgeInSeconds"));
	world_free(world);
}

static void test_what_is_missing_has_its_words(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_ERROR(get(world, "fn", NULL), 404, "ResourceNotFoundException",
		"The function " ARN "fn:$LATEST doesn't have an EventInvokeConfig");
	CHECK_ERROR(get(world, "none", "live"), 404, "ResourceNotFoundException",
		"The function " ARN "none:live doesn't have an EventInvokeConfig");
	CHECK_ERROR(put(world, "none", NULL, 1), 404, "ResourceNotFoundException",
		"The function doesn't exist.");
	CHECK_ERROR(put(world, "fn", "live", 1), 404, "ResourceNotFoundException",
		"The function doesn't exist.");
	CHECK_ERROR(world_call(world, lambda_update_function_event_invoke_config,
			    "UpdateFunctionEventInvokeConfig", "{s:s,s:i}", "FunctionName", "fn",
			    "MaximumRetryAttempts", 1),
		404, "ResourceNotFoundException",
		"The function " ARN "fn:$LATEST doesn't have an EventInvokeConfig");
	CHECK_ERROR(world_call(world, lambda_put_function_event_invoke_config,
			    "PutFunctionEventInvokeConfig", "{s:s}", "FunctionName", "none"),
		400, "InvalidParameterValueException",
		"You must specify at least one of error handling or destination setting.");
	CHECK_ERROR(world_call(world, lambda_list_function_event_invoke_configs,
			    "ListFunctionEventInvokeConfigs", "{s:s}", "FunctionName", "none"),
		404, "ResourceNotFoundException", "The function doesn't exist.");
	world_free(world);
}

static void test_a_destination_must_be_one(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	world_create(world, "other");
	CHECK_OK(put_target(world, "fn", "OnSuccess", ARN "other"));
	CHECK_OK(put_target(world, "fn", "OnFailure", "arn:aws:s3:::bucket"));
	struct answer got = put_target(world, "fn", "OnFailure", "");
	CHECK_OK(got);
	CHECK(json_object_size(answer_at(&got, "DestinationConfig.OnFailure")) == 0);
	CHECK_ERROR(put_target(world, "fn", "OnSuccess", ARN "fn"), 400,
		"InvalidParameterValueException",
		"You can't specify the function as a destination for itself.");
	CHECK_ERROR(put_target(world, "fn", "OnSuccess", ARN "none"), 400,
		"InvalidParameterValueException", "The destination ARN " ARN "none is invalid.");
	CHECK_ERROR(put_target(world, "fn", "OnSuccess", "arn:aws:iam:us-east-1:123456789012:x"),
		400, "InvalidParameterValueException",
		"The provided destination config DestinationConfig(onSuccess=OnSuccess("
		"destination=arn:aws:iam:us-east-1:123456789012:x), onFailure=null) is invalid.");
	CHECK_ERROR(put_target(world, "fn", "OnSuccess", "arn:aws:s3:::bucket"), 400,
		"InvalidParameterValueException",
		"The provided destination config DestinationConfig(onSuccess=OnSuccess("
		"destination=arn:aws:s3:::bucket), onFailure=null) is invalid.");
	world_free(world);
}

static void test_they_are_listed_in_pages_and_go_with_the_function(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "fn"));
	CHECK_OK(put(world, "fn", NULL, 1));
	CHECK_OK(put(world, "fn", "1", 2));
	struct answer got = world_call(world, lambda_list_function_event_invoke_configs,
		"ListFunctionEventInvokeConfigs", "{s:s,s:i}", "FunctionName", "fn", "MaxItems", 1);
	json_t *list = answer_at(&got, "FunctionEventInvokeConfigs");
	CHECK(json_array_size(list) == 1);
	CHECK_STR(json_get_str(json_array_get(list, 0), "FunctionArn"), S(ARN "fn:$LATEST"));
	char marker[256];
	CHECK(str_to_array(answer_text(&got, "NextMarker"), marker, sizeof(marker)) == 0);
	got = world_call(world, lambda_list_function_event_invoke_configs,
		"ListFunctionEventInvokeConfigs", "{s:s,s:s}", "FunctionName", "fn", "Marker",
		marker);
	list = answer_at(&got, "FunctionEventInvokeConfigs");
	CHECK(json_array_size(list) == 1 && !answer_at(&got, "NextMarker"));
	CHECK_STR(json_get_str(json_array_get(list, 0), "FunctionArn"), S(ARN "fn:1"));
	CHECK_OK(world_call(world, lambda_delete_function_event_invoke_config,
		"DeleteFunctionEventInvokeConfig", "{s:s,s:s}", "FunctionName", "fn", "Qualifier",
		"1"));
	CHECK_ERROR(get(world, "fn", "1"), 404, "ResourceNotFoundException",
		"The function " ARN "fn:1 doesn't have an EventInvokeConfig");
	CHECK_OK(world_call(
		world, lambda_delete_function, "DeleteFunction", "{s:s}", "FunctionName", "fn"));
	json_auto_t *left = json_array();
	CHECK(record_list_prefix(&world->scope, KIND_EVENT_INVOKE, S(""), S(""), 0, left) == 0);
	CHECK(json_array_size(left) == 0);
	world_free(world);
}

TESTS(TEST(test_what_is_put_is_got_with_both_destinations),
	TEST(test_put_replaces_all_and_update_what_is_given),
	TEST(test_what_is_missing_has_its_words), TEST(test_a_destination_must_be_one),
	TEST(test_they_are_listed_in_pages_and_go_with_the_function))
