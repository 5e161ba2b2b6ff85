#include "base/test.h"
#include "engine/platform.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"
#include "store/blobs.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#define ARN  "arn:aws:lambda:us-east-1:123456789012:function:"
#define ROLE "arn:aws:iam::123456789012:role/any"

/* CreateFunction of `name` with one more parameter. */
static struct answer create_with(
	struct world *world, const char *name, const char *member, json_t *value)
{
	json_t *code = json_pack("{s:o}", "ZipFile", world_zip("one"));
	struct answer answer;

	if (strcmp(member, "Code") == 0) {
		json_decref(code);
		code = json_incref(value);
	}
	answer = world_call(world, lambda_create_function, "CreateFunction",
		"{s:s,s:s,s:s,s:s,s:o,s:o*}", "FunctionName", name, "Runtime", "python3.12",
		"Handler", "index.handler", "Role", ROLE, "Code", code, member, value);
	return answer;
}

static void test_a_new_function_is_pending_with_every_default(void)
{
	struct world *world = world_new();
	struct answer got = create_with(world, "fn", "Publish", json_false());

	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "FunctionName"), S("fn"));
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn"));
	CHECK_STR(answer_text(&got, "State"), S("Pending"));
	CHECK_STR(answer_text(&got, "StateReason"), S("The function is being created."));
	CHECK_STR(answer_text(&got, "StateReasonCode"), S("Creating"));
	CHECK(answer_at(&got, "LastUpdateStatus") == NULL);
	CHECK_STR(answer_text(&got, "Version"), S("$LATEST"));
	CHECK_STR(answer_text(&got, "Description"), S(""));
	CHECK(answer_at(&got, "Description") != NULL);
	CHECK(json_integer_value(answer_at(&got, "Timeout")) == 3);
	CHECK(json_integer_value(answer_at(&got, "MemorySize")) == 128);
	CHECK(json_integer_value(answer_at(&got, "EphemeralStorage.Size")) == 512);
	CHECK(json_integer_value(answer_at(&got, "CodeSize")) == 7);
	CHECK_STR(
		answer_text(&got, "CodeSha256"), S("4u5+MnHssTkZ9th+ZPvF/6i5Vjhi/uXJJfLijABAWD8="));
	CHECK_STR(answer_text(&got, "PackageType"), S("Zip"));
	CHECK_STR(answer_text(&got, "TracingConfig.Mode"), S("PassThrough"));
	CHECK_STR(answer_text(&got, "SnapStart.ApplyOn"), S("None"));
	CHECK_STR(answer_text(&got, "SnapStart.OptimizationStatus"), S("Off"));
	CHECK_STR(answer_text(&got, "LoggingConfig.LogFormat"), S("Text"));
	CHECK_STR(answer_text(&got, "LoggingConfig.LogGroup"), S("/aws/lambda/fn"));
	CHECK(str_starts(answer_text(&got, "RuntimeVersionConfig.RuntimeVersionArn"),
		S("arn:aws:lambda:us-east-1::runtime:")));
	CHECK(answer_text(&got, "RevisionId").len == 36);
	CHECK(str_ends(answer_text(&got, "LastModified"), S("+0000")));
	CHECK(answer_at(&got, "Environment") == NULL && answer_at(&got, "Build") == NULL);
	CHECK(answer_at(&got, "VpcConfig") == NULL && answer_at(&got, "Layers") == NULL);
	CHECK(world->changes == 1 && world->unpacks == 1);
	world_free(world);
}

static void test_a_second_function_of_the_name_is_a_conflict(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = create_with(world, "fn", "Publish", json_false());
	CHECK_ERROR(got, 409, "ResourceConflictException", "Function already exist: fn");
	CHECK_STR(got.type, S("User"));
	world_free(world);
}

static void test_names_in_other_forms(void)
{
	struct world *world = world_new();
	struct answer got = create_with(world, ARN "by-arn", "Publish", json_false());
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "FunctionName"), S("by-arn"));
	got = create_with(world, "123456789012:function:partial", "Publish", json_false());
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "partial"));

	got = create_with(world, "arn:aws:lambda:ap-southeast-1:123456789012:function:x", "Publish",
		json_false());
	CHECK_ERROR(got, 404, "ResourceNotFoundException",
		"Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')");
	got = create_with(
		world, "arn:aws:lambda:us-east-1:210987654321:function:x", "Publish", json_false());
	CHECK(got.status == 403 && str_eq(got.code, S("AccessDeniedException")));
	got = create_with(world, "fn:1", "Publish", json_false());
	CHECK(got.result == CALL_ERROR && got.status == 400);

	char name[66] = { 0 };
	memset(name, 'a', 65);
	got = create_with(world, name, "Publish", json_false());
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"1 validation error detected: Value "
		"'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' at 'functionName' "
		"failed to satisfy constraint: Member must have length less than or equal to 64");
	world_free(world);
}

static void test_code_that_is_none_is_refused_and_leaves_nothing(void)
{
	struct world *world = world_new();
	struct answer got = create_with(
		world, "fn", "Code", json_pack("{s:s}", "ZipFile", "no zip at all"));

	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Could not unzip uploaded file. Please check your file, then try to upload again.");
	got = create_with(world, "fn", "Code", json_pack("{s:s}", "ZipFile", "PK--LARGE"));
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Unzipped size must be smaller than 262144000 bytes");
	got = create_with(world, "fn", "Code", json_pack("{s:s}", "ZipFile", ""));
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Uploaded file must be a non-empty zip");
	got = create_with(world, "fn", "Code",
		json_pack("{s:s#}", "ZipFile", "PK\5\6xxxxxxxxxxxxxxxxxx", 22));
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Uploaded file must be a non-empty zip");
	got = create_with(world, "fn", "Code", json_pack("{}"));
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Please provide a source for function code.");
	got = create_with(
		world, "fn", "Code", json_pack("{s:s,s:s}", "S3Bucket", "b", "S3Key", "k"));
	CHECK(got.result == CALL_ERROR && str_find_str(got.message, S("S3")) >= 0);
	got = world_call(world, lambda_get_function, "GetFunction", "{s:s}", "FunctionName", "fn");
	CHECK_ERROR(got, 404, "ResourceNotFoundException", "Function not found: " ARN "fn");
	world_free(world);
}

static void test_what_cannot_act_is_refused_by_name(void)
{
	static const struct {
		const char *member, *value, *message;
	} rows[] = {
		{ "VpcConfig", "{\"SubnetIds\":[\"subnet-1\"]}",
			"SecurityGroupIds and SubnetIds must coexist or be both empty list." },
		{ "FileSystemConfigs", "[{\"Arn\":\"a\"}]",
			"FileSystemConfigs is not available in mayfly yet." },
		{ "KMSKeyArn", "\"arn:aws:kms:::key/x\"",
			"KMSKeyArn is not available in mayfly yet." },
		{ "DeadLetterConfig", "{\"TargetArn\":\"arn:aws:s3:::bucket\"}",
			"The provided dead-letter target arn:aws:s3:::bucket is neither an Amazon SQS "
			"queue nor an Amazon SNS topic." },
		{ "ImageConfig", "{\"Command\":[\"x\"]}",
			"ImageConfig is not available in mayfly yet." },
		{ "DurableConfig", "{\"ExecutionTimeout\":1}",
			"DurableConfig is not available in mayfly yet." },
		{ "CapacityProviderConfig", "{}",
			"CapacityProviderConfig is not available in mayfly yet." },
		{ "PublishTo", "\"LATEST_PUBLISHED\"",
			"PublishTo is not available in mayfly yet." },
		{ "PackageType", "\"Image\"",
			"PackageType Image (container images) is not available in mayfly yet." },
	};
	struct world *world = world_new();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *value = json_loads(rows[i].value, JSON_DECODE_ANY, NULL);
		struct answer got = create_with(world, "fn", rows[i].member, value);
		CHECK_ERROR(got, 400, "InvalidParameterValueException", rows[i].message);
		CHECK_STR(got.type, S("User"));
	}
	world_free(world);
}

static void test_what_asks_for_nothing_is_accepted(void)
{
	static const struct {
		const char *member, *value;
	} rows[] = {
		{ "FileSystemConfigs", "[]" },
		{ "KMSKeyArn", "\"\"" },
		{ "SnapStart", "{\"ApplyOn\":\"None\"}" },
		{ "DeadLetterConfig", "{\"TargetArn\":\"\"}" },
		{ "Layers", "[]" },
		{ "DeadLetterConfig", "{}" },
	};
	struct world *world = world_new();
	char name[] = "fn0";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++, name[2]++) {
		json_t *value = json_loads(rows[i].value, JSON_DECODE_ANY, NULL);
		struct answer got = create_with(world, name, rows[i].member, value);
		CHECK_OK(got);
		CHECK(answer_at(&got, "DeadLetterConfig") == NULL &&
			answer_at(&got, "KMSKeyArn") == NULL);
	}
	struct answer got = create_with(world, "vpc", "VpcConfig",
		json_pack("{s:[],s:[]}", "SubnetIds", "SecurityGroupIds"));
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "VpcConfig.VpcId"), S(""));
	CHECK(json_is_array(answer_at(&got, "VpcConfig.SubnetIds")));
	got = create_with(world, "inside", "VpcConfig",
		json_pack("{s:[s],s:[s],s:b}", "SubnetIds", "subnet-1", "SecurityGroupIds", "sg-1",
			"Ipv6AllowedForDualStack", 1));
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "VpcConfig.SubnetIds.0"), S("subnet-1"));
	CHECK_STR(answer_text(&got, "VpcConfig.SecurityGroupIds.0"), S("sg-1"));
	CHECK(json_is_true(answer_at(&got, "VpcConfig.Ipv6AllowedForDualStack")));
	world_free(world);
}

#define RUNTIMES                                                                                    \
	"nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, " \
	"java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, " \
	"java17, nodejs16.x, dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2"

static struct answer create_runtime(struct world *world, const char *name, const char *runtime)
{
	return world_call(world, lambda_create_function, "CreateFunction",
		"{s:s,s:s,s:s,s:s,s:{s:o}}", "FunctionName", name, "Runtime", runtime, "Handler",
		"a.b", "Role", ROLE, "Code", "ZipFile", world_zip("one"));
}

static void test_runtimes_current_retired_and_unknown(void)
{
	struct world *world = world_new();
	str names = S(RUNTIMES), name;
	char text[64], function[] = "fn-a";

	for (; str_next(&names, ',', &name); function[3]++) {
		CHECK(str_to_array(str_trim(name), text, sizeof(text)) == 0);
		CHECK_OK(create_runtime(world, function, text));
	}
	struct answer got = create_runtime(world, "x", "PYTHON3.9");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Value PYTHON3.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value "
		"set: [" RUNTIMES "] or be a valid ARN");
	got = create_runtime(world, "x", "go1.x");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"The runtime parameter of go1.x is no longer supported for creating or updating AWS Lambda "
		"functions. We recommend you use a supported runtime while creating or updating functions.");
	CHECK(create_runtime(world, "x", "provided").result == CALL_ERROR);
	CHECK(create_runtime(world, "x", "python3.7").result == CALL_ERROR);
	got = world_call(world, lambda_create_function, "CreateFunction", "{s:s,s:s,s:s,s:{s:o}}",
		"FunctionName", "x", "Handler", "a.b", "Role", ROLE, "Code", "ZipFile",
		world_zip("one"));
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Runtime and Handler are mandatory parameters for functions created with deployment "
		"packages.");
	world_free(world);
}

static void test_a_strict_node_wants_the_runtime_itself(void)
{
	struct world *world = world_new();

	world->platform->is_runtimes_strict = true;
	CHECK_OK(create_runtime(world, "exact", "python3.11"));
	struct answer got = create_runtime(world, "nearest", "python3.12");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"The runtime python3.12 is not installed on this node, only python 3.11.2, and the setting "
		"runtimes = strict forbids to use that instead.");
	got = create_runtime(world, "none", "ruby3.3");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"The runtime ruby3.3 is not installed on this node (setting runtimes = strict).");
	world_free(world);
}

static void test_quotas_that_the_model_does_not_know(void)
{
	struct world *world = world_new();
	struct answer got = create_with(world, "fn", "Timeout", json_integer(901));

	CHECK_ERROR(got, 400, "ValidationException",
		"1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member "
		"must have value less than or equal to 900");
	got = create_with(world, "fn", "MemorySize", json_integer(10241));
	CHECK_ERROR(got, 400, "ValidationException",
		"1 validation error detected: Value '10241' at 'memorySize' failed to satisfy constraint: "
		"Member must have value less than or equal to 10240");
	got = create_with(world, "fn", "EphemeralStorage", json_pack("{s:i}", "Size", 10241));
	CHECK_ERROR(got, 400, "ValidationException",
		"1 validation error detected: Value '10241' at 'ephemeralStorage.size' failed to satisfy "
		"constraint: Member must have value less than or equal to 10240");
	got = create_with(world, "fn", "Timeout", json_integer(900));
	CHECK_OK(got);
	world_free(world);
}

static json_t *environment(const char *name, size_t len)
{
	char value[8192];

	memset(value, 'x', sizeof(value));
	return json_pack("{s:{s:s#}}", "Variables", name, value, (int)len);
}

static void test_the_environment_has_4_kb_as_json(void)
{
	struct world *world = world_new();
	/* {"LARGE_VAR":""} are 16 bytes */
	struct answer got = create_with(
		world, "full", "Environment", environment("LARGE_VAR", 4096 - 16));
	CHECK_OK(got);
	got = create_with(world, "over", "Environment", environment("LARGE_VAR", 4097 - 16));
	CHECK(got.result == CALL_ERROR && got.status == 400);
	CHECK(str_starts(got.message,
		S("Lambda was unable to configure your environment variables because the environment "
		  "variables you have provided exceeded the 4KB limit. String measured: "
		  "{\"LARGE_VAR\":\"xxx")));
	CHECK(str_ends(got.message, S("xxx\"}")));

	got = create_with(world, "reserved", "Environment",
		json_pack("{s:{s:s,s:s,s:s}}", "Variables", "A", "1", "AWS_REGION", "x",
			"LAMBDA_TASK_ROOT", "y"));
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Lambda was unable to configure your environment variables because the environment "
		"variables you have provided contains reserved keys that are currently not supported for "
		"modification. Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT");
	got = create_with(world, "empty", "Environment", json_pack("{s:{}}", "Variables"));
	CHECK(got.result == 0 && json_is_object(answer_at(&got, "Environment.Variables")));
	got = create_with(world, "none", "Environment", json_object());
	CHECK(got.result == 0 && answer_at(&got, "Environment") == NULL);
	got = create_with(
		world, "nul", "Environment", json_pack("{s:{s:s#}}", "Variables", "A", "x\0y", 3));
	CHECK(got.result == CALL_ERROR && got.status == 400);
	world_free(world);
}

static void test_logging_configurations(void)
{
	struct world *world = world_new();
	struct answer got = create_with(world, "json", "LoggingConfig",
		json_pack("{s:s,s:s,s:s}", "LogFormat", "JSON", "SystemLogLevel", "WARN",
			"LogGroup", "cool"));

	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "LoggingConfig.ApplicationLogLevel"), S("INFO"));
	CHECK_STR(answer_text(&got, "LoggingConfig.SystemLogLevel"), S("WARN"));
	CHECK_STR(answer_text(&got, "LoggingConfig.LogGroup"), S("cool"));
	got = create_with(
		world, "text", "LoggingConfig", json_pack("{s:s}", "ApplicationLogLevel", "INFO"));
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your "
		"request or change the LogFormat to \"JSON\" and try again.");
	world_free(world);
}

static void test_layers_do_not_exist(void)
{
	struct world *world = world_new();
	const char *here = "arn:aws:lambda:us-east-1:123456789012:layer:none:1";
	struct answer got = create_with(world, "fn", "Layers", json_pack("[s]", here));

	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Layer version arn:aws:lambda:us-east-1:123456789012:layer:none:1 does not exist.");
	got = create_with(
		world, "fn", "Layers", json_pack("[ssssss]", here, here, here, here, here, here));
	CHECK_ERROR(
		got, 400, "InvalidParameterValueException", "Cannot reference more than 5 layers.");
	got = create_with(world, "fn", "Layers",
		json_pack("[s]", "arn:aws:lambda:eu-west-1:123456789012:layer:none:1"));
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"Layers are not in the same region as the function. Layers are expected to be in region "
		"us-east-1.");
	world_free(world);
}

static void test_only_the_architecture_of_the_machine_is_accepted(void)
{
	struct world *world = world_new();
	struct utsname host;
	bool is_arm = uname(&host) == 0 && strcmp(host.machine, "aarch64") == 0;
	struct answer got = create_with(
		world, "own", "Architectures", json_pack("[s]", is_arm ? "arm64" : "x86_64"));

	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "Architectures.0"), is_arm ? S("arm64") : S("x86_64"));
	got = create_with(
		world, "other", "Architectures", json_pack("[s]", is_arm ? "x86_64" : "arm64"));
	CHECK(got.result == CALL_ERROR && str_find_str(got.message, S("Architectures")) == 0);
	world_free(world);
}

static void test_publish_answers_version_1_under_the_function_s_arn(void)
{
	struct world *world = world_new();
	struct answer got = create_with(world, "fn", "Publish", json_true());

	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "Version"), S("1"));
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn"));
	CHECK_STR(answer_text(&got, "State"), S("Pending"));
	world_settle(world, "fn");
	got = world_call(world, lambda_get_function_configuration, "GetFunctionConfiguration",
		"{s:s,s:s}", "FunctionName", "fn", "Qualifier", "1");
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	CHECK_STR(answer_text(&got, "LastUpdateStatus"), S("Successful"));
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn:1"));
	world_free(world);
}

static void test_a_zip_may_be_a_spooled_file_and_has_50_mb(void)
{
	struct world *world = world_new();
	int file = memfd_create("zip", MFD_CLOEXEC);

	CHECK(write(file, "PK\3\4spooled", 11) == 11);
	struct answer got = world_call_with_blob(world, file, lambda_create_function,
		"CreateFunction", "{s:s,s:s,s:s,s:s,s:{}}", "FunctionName", "fn", "Runtime",
		"python3.12", "Handler", "a.b", "Role", ROLE, "Code");
	CHECK_OK(got);
	CHECK(json_integer_value(answer_at(&got, "CodeSize")) == 11);

	CHECK(ftruncate(file, 52428801) == 0);
	got = world_call_with_blob(world, file, lambda_create_function, "CreateFunction",
		"{s:s,s:s,s:s,s:s,s:{}}", "FunctionName", "large", "Runtime", "python3.12",
		"Handler", "a.b", "Role", ROLE, "Code");
	CHECK_ERROR(got, 413, "RequestEntityTooLargeException",
		"Zipped size must be smaller than 52428800 bytes");
	close(file);
	world_free(world);
}

TESTS(TEST(test_a_new_function_is_pending_with_every_default),
	TEST(test_a_second_function_of_the_name_is_a_conflict), TEST(test_names_in_other_forms),
	TEST(test_code_that_is_none_is_refused_and_leaves_nothing),
	TEST(test_what_cannot_act_is_refused_by_name), TEST(test_what_asks_for_nothing_is_accepted),
	TEST(test_runtimes_current_retired_and_unknown),
	TEST(test_a_strict_node_wants_the_runtime_itself),
	TEST(test_quotas_that_the_model_does_not_know), TEST(test_the_environment_has_4_kb_as_json),
	TEST(test_logging_configurations), TEST(test_layers_do_not_exist),
	TEST(test_only_the_architecture_of_the_machine_is_accepted),
	TEST(test_publish_answers_version_1_under_the_function_s_arn),
	TEST(test_a_zip_may_be_a_spooled_file_and_has_50_mb))
