#include "services/lambda/layers.h"

#include "base/test.h"
#include "os/fd.h"
#include "services/lambda/code.h"
#include "services/lambda/load.h"
#include "services/lambda/operations.h"
#include "services/lambda/settle.h"
#include "services/lambda/test_world.h"

#include <stdio.h>
#include <string.h>

#define ARN	"arn:aws:lambda:us-east-1:123456789012:layer:"
#define MISSING "The resource you requested does not exist."
#define POLICY_STALE                                                                               \
	"The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy " \
	"API to retrieve the latest Revision Id"

static struct answer publish(struct world *world, const char *name, const char *text)
{
	return world_call(world, lambda_publish_layer_version, "PublishLayerVersion",
		"{s:s,s:{s:o}}", "LayerName", name, "Content", "ZipFile", world_zip(text));
}

static struct answer version(
	struct world *world, call_fn *run, const char *operation, const char *name, int number)
{
	return world_call(
		world, run, operation, "{s:s,s:i}", "LayerName", name, "VersionNumber", number);
}

static struct answer get(struct world *world, const char *name, int number)
{
	return version(world, lambda_get_layer_version, "GetLayerVersion", name, number);
}

static struct answer take_away(struct world *world, const char *name, int number)
{
	return version(world, lambda_delete_layer_version, "DeleteLayerVersion", name, number);
}

static struct answer layers_of_fn(struct world *world, json_t *layers)
{
	struct answer got = world_call(world, lambda_update_function_configuration,
		"UpdateFunctionConfiguration", "{s:s,s:o}", "FunctionName", "fn", "Layers", layers);

	if (got.result == 0)
		(void)lambda_settle(&world->scope, S("fn"), SETTLE_NEXT);
	return got;
}

/* --- versions --- */

static void test_versions_are_counted_and_never_numbered_again(void)
{
	struct world *world = world_new();
	struct answer got = world_call(world, lambda_publish_layer_version, "PublishLayerVersion",
		"{s:s,s:{s:o},s:s,s:s,s:[s],s:[s]}", "LayerName", "lib", "Content", "ZipFile",
		world_zip("one"), "Description", "first", "LicenseInfo", "MIT",
		"CompatibleRuntimes", "python3.12", "CompatibleArchitectures", "x86_64");

	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "LayerArn"), S(ARN "lib"));
	CHECK_STR(answer_text(&got, "LayerVersionArn"), S(ARN "lib:1"));
	CHECK_STR(answer_text(&got, "Description"), S("first"));
	CHECK_STR(answer_text(&got, "LicenseInfo"), S("MIT"));
	CHECK_STR(answer_text(&got, "CompatibleRuntimes.0"), S("python3.12"));
	CHECK_STR(answer_text(&got, "CompatibleArchitectures.0"), S("x86_64"));
	CHECK(json_integer_value(answer_at(&got, "Version")) == 1);
	CHECK(json_integer_value(answer_at(&got, "Content.CodeSize")) == 7);
	CHECK_STR(answer_text(&got, "Content.CodeSha256"),
		S("4u5+MnHssTkZ9th+ZPvF/6i5Vjhi/uXJJfLijABAWD8="));
	CHECK(str_ends(answer_text(&got, "CreatedDate"), S("+0000")));
	CHECK(answer_at(&got, "Unpacked") == NULL && answer_at(&got, "CodeSha256") == NULL);

	got = publish(world, "lib", "two");
	CHECK_STR(answer_text(&got, "LayerVersionArn"), S(ARN "lib:2"));
	CHECK_STR(answer_text(&got, "Description"), S(""));
	CHECK(answer_at(&got, "LicenseInfo") == NULL &&
		answer_at(&got, "CompatibleRuntimes") == NULL);
	CHECK_OK(take_away(world, "lib", 2));
	CHECK_OK(take_away(world, "lib", 2));
	CHECK_OK(take_away(world, "lib", 1));
	CHECK_ERROR(get(world, "lib", 2), 404, "ResourceNotFoundException", MISSING);
	got = publish(world, ARN "lib", "two");
	CHECK_STR(answer_text(&got, "LayerVersionArn"), S(ARN "lib:3"));
	world_free(world);
}

static void test_what_is_not_a_version(void)
{
	struct world *world = world_new();

	CHECK_ERROR(get(world, "none", 1), 404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(get(world, "none", 0), 400, "InvalidParameterValueException",
		"Layer Version Cannot be less than 1");
	CHECK_ERROR(take_away(world, "none", -1), 400, "InvalidParameterValueException",
		"Layer Version Cannot be less than 1");
	CHECK_OK(take_away(world, "none", 2000000000));
	CHECK_ERROR(get(world, "none", 2000000000), 404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(world_call(world, lambda_get_layer_version_by_arn, "GetLayerVersionByArn",
			    "{s:s}", "Arn", ARN "none:1"),
		404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(world_call(world, lambda_get_layer_version_by_arn, "GetLayerVersionByArn",
			    "{s:s}", "Arn", "arn:aws:lambda:::awslayer:AmazonLinux1703"),
		404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(publish(world, "lib", "LARGE"), 400, "InvalidParameterValueException",
		"Unzipped size must be smaller than 262144000 bytes");
	CHECK_ERROR(get(world, "lib", 1), 404, "ResourceNotFoundException", MISSING);
	world_free(world);
}

static void test_a_version_can_be_downloaded(void)
{
	struct world *world = world_new();
	scoped_fd file = -1;
	uint64_t size;
	char target[1024], bytes[16];
	size_t len = 0;

	CHECK_OK(publish(world, "lib", "one"));
	struct answer got = world_call(world, lambda_get_layer_version_by_arn,
		"GetLayerVersionByArn", "{s:s}", "Arn", ARN "lib:1");
	str location = answer_text(&got, "Content.Location");
	str origin = S("http://localhost:4566");
	CHECK(str_starts(location, origin));
	CHECK(str_to_array(str_from(location, origin.len), target, sizeof(target)) == 0);
	CHECK(lambda_code_download(world->platform, str_of(target), &file, &size) == CODE_GIVEN);
	CHECK(fd_read_all(file, bytes, sizeof(bytes), &len) == 0 && len == 7);
	CHECK(memcmp(bytes, "PK\3\4one", 7) == 0);
	CHECK_OK(take_away(world, "lib", 1));
	CHECK(lambda_code_download(world->platform, str_of(target), &file, &size) == CODE_ABSENT);
	world_free(world);
}

/* --- lists --- */

static void test_lists_have_the_newest_first_and_pages(void)
{
	struct world *world = world_new();
	char marker[64];

	for (int i = 0; i < 3; i++)
		CHECK_OK(publish(world, "b", "one"));
	CHECK_OK(publish(world, "a", "one"));
	CHECK_OK(publish(world, "gone", "one"));
	CHECK_OK(take_away(world, "gone", 1));
	struct answer got = world_call(world, lambda_list_layer_versions, "ListLayerVersions",
		"{s:s,s:i}", "LayerName", "b", "MaxItems", 2);
	CHECK_STR(answer_text(&got, "LayerVersions.0.LayerVersionArn"), S(ARN "b:3"));
	CHECK_STR(answer_text(&got, "LayerVersions.1.LayerVersionArn"), S(ARN "b:2"));
	CHECK(json_array_size(answer_at(&got, "LayerVersions")) == 2);
	CHECK(answer_at(&got, "LayerVersions.0.Content") == NULL);
	CHECK(str_to_array(answer_text(&got, "NextMarker"), marker, sizeof(marker)) == 0);
	got = world_call(world, lambda_list_layer_versions, "ListLayerVersions", "{s:s,s:s}",
		"LayerName", "b", "Marker", marker);
	CHECK_STR(answer_text(&got, "LayerVersions.0.LayerVersionArn"), S(ARN "b:1"));
	CHECK(json_array_size(answer_at(&got, "LayerVersions")) == 1);
	CHECK(answer_at(&got, "NextMarker") == NULL);

	got = world_call(world, lambda_list_layers, "ListLayers", "{s:i}", "MaxItems", 1);
	CHECK_STR(answer_text(&got, "Layers.0.LayerName"), S("a"));
	CHECK(str_to_array(answer_text(&got, "NextMarker"), marker, sizeof(marker)) == 0);
	got = world_call(world, lambda_list_layers, "ListLayers", "{s:s,s:i}", "Marker", marker,
		"MaxItems", 1);
	CHECK_STR(answer_text(&got, "Layers.0.LayerArn"), S(ARN "b"));
	CHECK_STR(
		answer_text(&got, "Layers.0.LatestMatchingVersion.LayerVersionArn"), S(ARN "b:3"));
	CHECK(answer_at(&got, "NextMarker") == NULL);
	got = world_call(world, lambda_list_layer_versions, "ListLayerVersions", "{s:s}",
		"LayerName", "none");
	CHECK(json_is_array(answer_at(&got, "LayerVersions")) && got.result == 0);
	world_free(world);
}

static void test_lists_have_filters(void)
{
	struct world *world = world_new();

	CHECK_OK(world_call(world, lambda_publish_layer_version, "PublishLayerVersion",
		"{s:s,s:{s:o},s:[s,s],s:[s]}", "LayerName", "lib", "Content", "ZipFile",
		world_zip("one"), "CompatibleRuntimes", "python3.12", "python3.13",
		"CompatibleArchitectures", "arm64"));
	CHECK_OK(publish(world, "lib", "two"));
	CHECK_OK(publish(world, "other", "two"));
	struct answer got = world_call(world, lambda_list_layers, "ListLayers", "{s:s}",
		"CompatibleRuntime", "python3.13");
	CHECK(json_array_size(answer_at(&got, "Layers")) == 1);
	CHECK_STR(answer_text(&got, "Layers.0.LatestMatchingVersion.LayerVersionArn"),
		S(ARN "lib:1"));
	got = world_call(world, lambda_list_layers, "ListLayers", "{s:s,s:s}", "CompatibleRuntime",
		"python3.13", "CompatibleArchitecture", "x86_64");
	CHECK(json_array_size(answer_at(&got, "Layers")) == 0);
	got = world_call(world, lambda_list_layer_versions, "ListLayerVersions", "{s:s,s:s}",
		"LayerName", "lib", "CompatibleArchitecture", "arm64");
	CHECK(json_array_size(answer_at(&got, "LayerVersions")) == 1);
	CHECK_STR(answer_text(&got, "LayerVersions.0.LayerVersionArn"), S(ARN "lib:1"));
	world_free(world);
}

/* --- policies --- */

static struct answer allow(struct world *world, int number, const char *sid, const char *principal,
	const char *revision)
{
	return world_call(world, lambda_add_layer_version_permission, "AddLayerVersionPermission",
		"{s:s,s:i,s:s,s:s,s:s,s:s*}", "LayerName", "lib", "VersionNumber", number,
		"StatementId", sid, "Action", "lambda:GetLayerVersion", "Principal", principal,
		"RevisionId", revision);
}

static struct answer disallow(struct world *world, const char *sid, const char *revision)
{
	return world_call(world, lambda_remove_layer_version_permission,
		"RemoveLayerVersionPermission", "{s:s,s:i,s:s,s:s*}", "LayerName", "lib",
		"VersionNumber", 1, "StatementId", sid, "RevisionId", revision);
}

static struct answer policy(struct world *world, int number)
{
	return version(
		world, lambda_get_layer_version_policy, "GetLayerVersionPolicy", "lib", number);
}

static void test_the_life_of_a_layer_policy(void)
{
	struct world *world = world_new();

	CHECK_ERROR(allow(world, 1, "s1", "*", NULL), 404, "ResourceNotFoundException",
		"Layer version " ARN "lib:1 does not exist.");
	CHECK_OK(publish(world, "lib", "one"));
	CHECK_ERROR(policy(world, 1), 404, "ResourceNotFoundException",
		"No policy is associated with the given resource.");
	CHECK_ERROR(disallow(world, "s1", NULL), 404, "ResourceNotFoundException",
		"No policy is associated with the given resource.");
	struct answer got = allow(world, 1, "s1", "*", NULL);
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "Statement"),
		S("{\"Sid\":\"s1\",\"Effect\":\"Allow\",\"Principal\":\"*\","
		  "\"Action\":\"lambda:GetLayerVersion\",\"Resource\":\"" ARN "lib:1\"}"));
	CHECK(answer_text(&got, "RevisionId").len == 36);
	CHECK_ERROR(allow(world, 1, "s1", "*", NULL), 409, "ResourceConflictException",
		"The statement id (s1) provided already exists. Please provide a new statement id, or "
		"remove the existing statement.");
	CHECK_ERROR(allow(world, 1, "s2", "*", "other"), 412, "PreconditionFailedException",
		POLICY_STALE);
	CHECK_ERROR(
		disallow(world, "s1", "other"), 412, "PreconditionFailedException", POLICY_STALE);
	CHECK_ERROR(disallow(world, "none", NULL), 404, "ResourceNotFoundException",
		"Statement none is not found in resource policy.");
	CHECK_OK(allow(world, 1, "s2", "210987654321", NULL));
	got = policy(world, 1);
	CHECK(str_ends(answer_text(&got, "Policy"),
		S("\"Principal\":{\"AWS\":\"arn:aws:iam::210987654321:root\"},\"Action\":"
		  "\"lambda:GetLayerVersion\",\"Resource\":\"" ARN "lib:1\"}]}")));
	CHECK_OK(disallow(world, "s1", NULL));
	CHECK_OK(disallow(world, "s2", NULL));
	CHECK_ERROR(policy(world, 1), 404, "ResourceNotFoundException",
		"No policy is associated with the given resource.");
	CHECK_ERROR(
		world_call(world, lambda_add_layer_version_permission, "AddLayerVersionPermission",
			"{s:s,s:i,s:s,s:s,s:s,s:s}", "LayerName", "lib", "VersionNumber", 1,
			"StatementId", "org", "Action", "lambda:GetLayerVersion", "Principal", "*",
			"OrganizationId", "o-1234567890"),
		400, "InvalidParameterValueException",
		"OrganizationId (AWS Organizations) is not available in mayfly yet.");
	world_free(world);
}

static void test_another_account_needs_the_policy(void)
{
	struct world *world = world_new();
	const char *denied =
		"User: arn:aws:iam::210987654321:root is not authorized to perform: "
		"lambda:GetLayerVersion on resource: " ARN
		"lib:1 because no resource-based policy allows the lambda:GetLayerVersion action";
	const str owner = world->scope.account, other = S("210987654321");

	CHECK_OK(publish(world, "lib", "one"));
	world->scope.account = other;
	CHECK_ERROR(get(world, ARN "lib", 1), 403, "AccessDeniedException", denied);
	CHECK_ERROR(get(world, "lib", 1), 404, "ResourceNotFoundException", MISSING);
	CHECK(publish(world, ARN "lib", "evil").status == 403);
	CHECK(take_away(world, ARN "lib", 1).status == 403);
	world->scope.account = owner;
	CHECK_OK(allow(world, 1, "s1", "210987654321", NULL));
	world->scope.account = other;
	struct answer got = get(world, ARN "lib", 1);
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "LayerVersionArn"), S(ARN "lib:1"));
	CHECK(get(world, ARN "lib", 2).status == 403);
	world_create(world, "fn");
	CHECK_OK(layers_of_fn(world, json_pack("[s]", ARN "lib:1")));
	CHECK(take_away(world, ARN "lib", 1).status == 403);
	world->scope.account = S("111111111111");
	world_create(world, "fn");
	CHECK(layers_of_fn(world, json_pack("[s]", ARN "lib:1")).status == 403);
	world_free(world);
}

/* --- functions --- */

static void test_a_function_has_the_layers_in_their_order(void)
{
	struct world *world = world_new();
	struct function_target *target = NULL;

	CHECK_OK(publish(world, "x", "one"));
	CHECK_OK(publish(world, "y", "two"));
	world_create(world, "fn");
	struct answer got = layers_of_fn(world, json_pack("[ss]", ARN "y:1", ARN "x:1"));
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "Layers.0.Arn"), S(ARN "y:1"));
	CHECK_STR(answer_text(&got, "Layers.1.Arn"), S(ARN "x:1"));
	CHECK(json_integer_value(answer_at(&got, "Layers.0.CodeSize")) == 7);
	CHECK(json_object_size(answer_at(&got, "Layers.0")) == 2);
	CHECK(answer_at(&got, "LayerCode") == NULL && answer_at(&got, "Unpacked") == NULL);
	CHECK_OK(take_away(world, "x", 1)); /* the function keeps it */
	CHECK(lambda_load_target(world->platform, S("123456789012"), S("us-east-1"), S("fn"), S(""),
		      &target) == LOAD_DONE);
	CHECK(target->version->layer_count == 2);
	CHECK(memcmp(target->version->layers[1], target->version->code, 32) == 0); /* "one" */
	CHECK(memcmp(target->version->layers[0], target->version->code, 32) != 0);
	function_target_free(target);

	got = layers_of_fn(world, json_array());
	CHECK_OK(got);
	CHECK(answer_at(&got, "Layers") == NULL);
	CHECK_ERROR(layers_of_fn(world, json_pack("[s]", ARN "x:1")), 400,
		"InvalidParameterValueException", "Layer version " ARN "x:1 does not exist.");
	world_free(world);
}

static bool fn_has_extensions(struct world *world)
{
	struct function_target *target = NULL;

	CHECK(lambda_load_target(world->platform, S("123456789012"), S("us-east-1"), S("fn"), S(""),
		      &target) == LOAD_DONE);
	bool has_extensions = target->version->has_extensions;
	function_target_free(target);
	return has_extensions;
}

static void test_a_function_knows_whether_a_layer_has_extensions(void)
{
	struct world *world = world_new();

	CHECK_OK(publish(world, "x", "one"));
	CHECK_OK(publish(world, "y", "EXT"));
	world_create(world, "fn");
	CHECK(!fn_has_extensions(world));
	CHECK_OK(layers_of_fn(world, json_pack("[s]", ARN "x:1")));
	CHECK(!fn_has_extensions(world));
	CHECK_OK(layers_of_fn(world, json_pack("[ss]", ARN "y:1", ARN "x:1")));
	CHECK(fn_has_extensions(world));
	world_free(world);
}

static void test_what_functions_cannot_have(void)
{
	struct world *world = world_new();
	const char *twice = "Two different versions of the same layer are not allowed to be "
			    "referenced in the same function. " ARN "x:1 and " ARN
			    "x:2 are versions of the same layer.";

	CHECK_OK(publish(world, "x", "one"));
	CHECK_OK(publish(world, "x", "two"));
	CHECK_OK(publish(world, "x", "three"));
	CHECK_OK(publish(world, "xx", "three"));
	world_create(world, "fn");
	CHECK_ERROR(layers_of_fn(world, json_pack("[ss]", ARN "x:1", ARN "x:2")), 400,
		"InvalidParameterValueException", twice);
	CHECK_ERROR(layers_of_fn(world, json_pack("[sss]", ARN "x:1", ARN "x:2", ARN "x:3")), 400,
		"InvalidParameterValueException", twice);
	CHECK_ERROR(layers_of_fn(world, json_pack("[s]", ARN "x:9")), 400,
		"InvalidParameterValueException", "Layer version " ARN "x:9 does not exist.");
	CHECK_ERROR(layers_of_fn(world,
			    json_pack("[s]", "arn:aws:lambda:eu-west-1:123456789012:layer:x:1")),
		400, "InvalidParameterValueException",
		"Layers are not in the same region as the function. Layers are expected to be in region "
		"us-east-1.");
	CHECK_OK(layers_of_fn(world, json_pack("[ss]", ARN "x:1", ARN "xx:1")));
	world_free(world);
}

static void test_code_and_layers_have_250_mb_together(void)
{
	struct world *world = world_new();

	CHECK_OK(publish(world, "x", "BIG 1"));
	CHECK_OK(publish(world, "y", "BIG 2"));
	CHECK_OK(publish(world, "z", "BIG 3"));
	world_create(world, "fn");
	CHECK_ERROR(layers_of_fn(world, json_pack("[sss]", ARN "x:1", ARN "y:1", ARN "z:1")), 400,
		"InvalidParameterValueException",
		"Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. "
		"The actual size is 270000000 bytes.");
	CHECK_OK(layers_of_fn(world, json_pack("[ss]", ARN "x:1", ARN "y:1")));
	struct answer got = world_call(world, lambda_update_function_code, "UpdateFunctionCode",
		"{s:s,s:o}", "FunctionName", "fn", "ZipFile", world_zip("BIG 4"));
	CHECK(got.status == 400 &&
		str_starts(got.message, S("Function code combined with layers")));
	got = world_call(world, lambda_create_function, "CreateFunction",
		"{s:s,s:s,s:s,s:s,s:[ss],s:{s:o}}", "FunctionName", "other", "Runtime",
		"python3.12", "Handler", "index.handler", "Role",
		"arn:aws:iam::123456789012:role/any", "Layers", ARN "x:1", ARN "y:1", "Code",
		"ZipFile", world_zip("BIG 4"));
	CHECK(got.status == 400 &&
		str_starts(got.message, S("Function code combined with layers")));
	world_free(world);
}

/* --- who uses the ZIPs --- */

static size_t users(struct world *world)
{
	json_auto_t *docs = json_array();

	CHECK(record_list_prefix(&world->scope, KIND_CODE, S(""), S(""), 0, docs) == 0);
	return json_array_size(docs);
}

static void test_zips_are_used_by_versions_of_layers_and_of_functions(void)
{
	struct world *world = world_new();

	CHECK_OK(publish(world, "x", "one")); /* the same ZIP as that of the function */
	CHECK_OK(publish(world, "y", "two"));
	CHECK(users(world) == 2);
	world_create(world, "fn");
	CHECK(users(world) == 3);
	CHECK_OK(layers_of_fn(world, json_pack("[ss]", ARN "x:1", ARN "y:1")));
	CHECK(users(world) == 5);
	CHECK_OK(world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s,s:o}",
		"FunctionName", "fn", "ZipFile", world_zip("three")));
	world_settle(world, "fn");
	CHECK(users(world) == 5);
	CHECK_OK(world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "fn"));
	CHECK(users(world) == 8);
	CHECK_OK(take_away(world, "x", 1));
	CHECK_OK(take_away(world, "y", 1));
	CHECK(users(world) == 6);
	CHECK_OK(layers_of_fn(world, json_array()));
	CHECK(users(world) == 4); /* $LATEST; version 1 and its two layers */
	CHECK_OK(world_call(
		world, lambda_delete_function, "DeleteFunction", "{s:s}", "FunctionName", "fn"));
	CHECK(users(world) == 0);
	world_free(world);
}

TESTS(TEST(test_versions_are_counted_and_never_numbered_again), TEST(test_what_is_not_a_version),
	TEST(test_a_version_can_be_downloaded), TEST(test_lists_have_the_newest_first_and_pages),
	TEST(test_lists_have_filters), TEST(test_the_life_of_a_layer_policy),
	TEST(test_another_account_needs_the_policy),
	TEST(test_a_function_has_the_layers_in_their_order),
	TEST(test_a_function_knows_whether_a_layer_has_extensions),
	TEST(test_what_functions_cannot_have), TEST(test_code_and_layers_have_250_mb_together),
	TEST(test_zips_are_used_by_versions_of_layers_and_of_functions))
