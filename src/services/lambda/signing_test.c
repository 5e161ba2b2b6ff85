#include "services/lambda/signing.h"

#include "base/test.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#include <string.h>

#define ARN    "arn:aws:lambda:us-east-1:123456789012:function:"
#define GONE   "arn:aws:lambda:us-east-1:123456789012:code-signing-config:csc-00000000000000000"
#define SIGNER "arn:aws:signer:us-east-1:123456789012:/signing-profiles/test"
#define UNSIGNED                                                                                      \
	"Lambda cannot deploy the function. The function or layer might be signed using a signature " \
	"that the client is not configured to accept. Check the provided signature for unsigned."

static struct answer ask(struct world *world, call_fn *run, const char *operation, const char *name,
	const char *qualifier)
{
	return world_call(
		world, run, operation, "{s:s,s:s*}", "FunctionName", name, "Qualifier", qualifier);
}

/* The ARN of a new configuration. */
static void make(struct world *world, const char *policy, char to[static 128])
{
	struct answer got = world_call(world, lambda_create_code_signing_config,
		"CreateCodeSigningConfig", "{s:{s:[s]},s:{s:s},s:{s:s}}", "AllowedPublishers",
		"SigningProfileVersionArns", SIGNER, "CodeSigningPolicies",
		"UntrustedArtifactOnDeployment", policy, "Tags", "a", "b");

	CHECK_OK(got);
	CHECK(str_to_array(answer_text(&got, "CodeSigningConfig.CodeSigningConfigArn"), to, 128) ==
		0);
}

static struct answer of(struct world *world, call_fn *run, const char *operation, const char *arn)
{
	return world_call(world, run, operation, "{s:s}", "CodeSigningConfigArn", arn);
}

static struct answer put(struct world *world, const char *name, const char *arn)
{
	return world_call(world, lambda_put_function_code_signing_config,
		"PutFunctionCodeSigningConfig", "{s:s,s:s}", "FunctionName", name,
		"CodeSigningConfigArn", arn);
}

static struct answer deploy(struct world *world, const char *text)
{
	struct answer got = world_call(world, lambda_update_function_code, "UpdateFunctionCode",
		"{s:s,s:o}", "FunctionName", "fn", "ZipFile", world_zip(text));

	return got;
}

static void test_a_function_without_code_signing_answers_nothing(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = ask(world, lambda_get_function_code_signing_config,
		"GetFunctionCodeSigningConfig", "fn", NULL);
	CHECK(got.result == 0 && json_object_size(got.out) == 0);
	got = ask(world, lambda_get_function_code_signing_config, "GetFunctionCodeSigningConfig",
		"none", NULL);
	CHECK_ERROR(got, 404, "ResourceNotFoundException", "Function not found: " ARN "none");
	world_free(world);
}

static void test_the_life_of_a_configuration(void)
{
	struct world *world = world_new();
	char arn[128];

	make(world, "Enforce", arn);
	struct answer got = of(world, lambda_get_code_signing_config, "GetCodeSigningConfig", arn);
	CHECK_STR(answer_text(&got, "CodeSigningConfig.CodeSigningConfigArn"), str_of(arn));
	str id = answer_text(&got, "CodeSigningConfig.CodeSigningConfigId");
	CHECK(id.len == 21 && str_starts(id, S("csc-")) && str_ends(str_of(arn), id));
	CHECK_STR(answer_text(
			  &got, "CodeSigningConfig.AllowedPublishers.SigningProfileVersionArns.0"),
		S(SIGNER));
	CHECK_STR(answer_text(&got,
			  "CodeSigningConfig.CodeSigningPolicies.UntrustedArtifactOnDeployment"),
		S("Enforce"));
	got = world_call(world, lambda_update_code_signing_config, "UpdateCodeSigningConfig",
		"{s:s,s:s,s:{s:s}}", "CodeSigningConfigArn", arn, "Description", "new",
		"CodeSigningPolicies", "UntrustedArtifactOnDeployment", "Warn");
	CHECK_STR(answer_text(&got, "CodeSigningConfig.Description"), S("new"));
	CHECK_STR(answer_text(
			  &got, "CodeSigningConfig.AllowedPublishers.SigningProfileVersionArns.0"),
		S(SIGNER));
	got = world_call(world, lambda_list_code_signing_configs, "ListCodeSigningConfigs", "{}");
	CHECK(json_array_size(answer_at(&got, "CodeSigningConfigs")) == 1);
	CHECK_STR(answer_text(&got,
			  "CodeSigningConfigs.0.CodeSigningPolicies."
			  "UntrustedArtifactOnDeployment"),
		S("Warn"));
	got = world_call(world, lambda_list_tags, "ListTags", "{s:s}", "Resource", arn);
	CHECK_STR(answer_text(&got, "Tags.a"), S("b"));
	CHECK_OK(world_call(world, lambda_tag_resource, "TagResource", "{s:s,s:{s:s}}", "Resource",
		arn, "Tags", "c", "d"));
	CHECK_OK(world_call(world, lambda_untag_resource, "UntagResource", "{s:s,s:[s]}",
		"Resource", arn, "TagKeys", "a"));
	got = world_call(world, lambda_list_tags, "ListTags", "{s:s}", "Resource", arn);
	CHECK(json_object_size(answer_at(&got, "Tags")) == 1);
	CHECK_STR(answer_text(&got, "Tags.c"), S("d"));
	CHECK_OK(of(world, lambda_delete_code_signing_config, "DeleteCodeSigningConfig", arn));
	CHECK(of(world, lambda_get_code_signing_config, "GetCodeSigningConfig", arn).status == 404);
	world_free(world);
}

static void test_what_is_not_there(void)
{
	struct world *world = world_new();
	const char *gone = "The Lambda code signing configuration " GONE " can not be found.";

	world_create(world, "fn");
	CHECK_ERROR(of(world, lambda_get_code_signing_config, "GetCodeSigningConfig", GONE), 404,
		"ResourceNotFoundException", gone);
	CHECK_ERROR(of(world, lambda_update_code_signing_config, "UpdateCodeSigningConfig", GONE),
		404, "ResourceNotFoundException", gone);
	CHECK_ERROR(of(world, lambda_delete_code_signing_config, "DeleteCodeSigningConfig", GONE),
		404, "ResourceNotFoundException", gone);
	CHECK_ERROR(put(world, "fn", GONE), 404, "CodeSigningConfigNotFoundException",
		"The code signing configuration cannot be found. Check that the provided configuration "
		"is not deleted: " GONE ".");
	CHECK_ERROR(world_call(world, lambda_list_tags, "ListTags", "{s:s}", "Resource", GONE), 404,
		"ResourceNotFoundException", "Code signing configuration not found: " GONE);
	world_free(world);
}

static void test_enforcing_keeps_unsigned_code_out(void)
{
	struct world *world = world_new();
	char arn[128];

	make(world, "Enforce", arn);
	world_create(world, "fn");
	struct answer got = put(world, "fn", arn);
	CHECK_STR(answer_text(&got, "CodeSigningConfigArn"), str_of(arn));
	CHECK_STR(answer_text(&got, "FunctionName"), S("fn"));
	CHECK_ERROR(deploy(world, "two"), 400, "CodeVerificationFailedException", UNSIGNED);
	got = world_call(world, lambda_create_function, "CreateFunction",
		"{s:s,s:s,s:s,s:s,s:s,s:{s:o}}", "FunctionName", "new", "Runtime", "python3.12",
		"Handler", "index.handler", "Role", "arn:aws:iam::123456789012:role/any",
		"CodeSigningConfigArn", arn, "Code", "ZipFile", world_zip("one"));
	CHECK_ERROR(got, 400, "CodeVerificationFailedException", UNSIGNED);
	CHECK_OK(world_call(world, lambda_publish_layer_version, "PublishLayerVersion",
		"{s:s,s:{s:o}}", "LayerName", "x", "Content", "ZipFile", world_zip("one")));
	got = world_call(world, lambda_update_function_configuration, "UpdateFunctionConfiguration",
		"{s:s,s:[s]}", "FunctionName", "fn", "Layers",
		"arn:aws:lambda:us-east-1:123456789012:layer:x:1");
	CHECK_ERROR(got, 400, "CodeVerificationFailedException", UNSIGNED);
	CHECK_OK(world_call(world, lambda_update_function_configuration,
		"UpdateFunctionConfiguration", "{s:s,s:i}", "FunctionName", "fn", "Timeout", 9));
	world_settle(world, "fn");

	CHECK_OK(world_call(world, lambda_update_code_signing_config, "UpdateCodeSigningConfig",
		"{s:s,s:{s:s}}", "CodeSigningConfigArn", arn, "CodeSigningPolicies",
		"UntrustedArtifactOnDeployment", "Warn"));
	CHECK_OK(deploy(world, "two"));
	world_free(world);
}

static void test_functions_of_a_configuration(void)
{
	struct world *world = world_new();
	char arn[128];

	make(world, "Warn", arn);
	world_create(world, "fn");
	struct answer got = world_call(world, lambda_create_function, "CreateFunction",
		"{s:s,s:s,s:s,s:s,s:s,s:{s:o}}", "FunctionName", "new", "Runtime", "python3.12",
		"Handler", "index.handler", "Role", "arn:aws:iam::123456789012:role/any",
		"CodeSigningConfigArn", arn, "Code", "ZipFile", world_zip("one"));
	CHECK_OK(got);
	CHECK_OK(put(world, "fn", arn));
	got = of(world, lambda_list_functions_by_code_signing_config,
		"ListFunctionsByCodeSigningConfig", arn);
	CHECK(json_array_size(answer_at(&got, "FunctionArns")) == 2);
	CHECK_STR(answer_text(&got, "FunctionArns.0"), S(ARN "fn"));
	CHECK_STR(answer_text(&got, "FunctionArns.1"), S(ARN "new"));
	got = ask(world, lambda_get_function_code_signing_config, "GetFunctionCodeSigningConfig",
		"new", NULL);
	CHECK_STR(answer_text(&got, "CodeSigningConfigArn"), str_of(arn));
	got = of(world, lambda_delete_code_signing_config, "DeleteCodeSigningConfig", arn);
	CHECK(got.status == 409 && str_eq(got.code, S("ResourceConflictException")));
	CHECK_OK(ask(world, lambda_delete_function_code_signing_config,
		"DeleteFunctionCodeSigningConfig", "fn", NULL));
	CHECK_OK(world_call(
		world, lambda_delete_function, "DeleteFunction", "{s:s}", "FunctionName", "new"));
	CHECK_OK(of(world, lambda_delete_code_signing_config, "DeleteCodeSigningConfig", arn));
	world_free(world);
}

TESTS(TEST(test_a_function_without_code_signing_answers_nothing),
	TEST(test_the_life_of_a_configuration), TEST(test_what_is_not_there),
	TEST(test_enforcing_keeps_unsigned_code_out), TEST(test_functions_of_a_configuration))
