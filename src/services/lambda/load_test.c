#include "services/lambda/load.h"

#include "base/test.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#include <string.h>

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"

static int load(struct world *world, const char *name, const char *qualifier,
	struct function_target **target)
{
	return lambda_load_target(world->platform, S("123456789012"), S("us-east-1"), str_of(name),
		str_of(qualifier), target);
}

static void change(struct world *world, const char *member, json_t *value)
{
	CHECK_OK(world_call(world, lambda_update_function_configuration,
		"UpdateFunctionConfiguration", "{s:s,s:o}", "FunctionName", "fn", member, value));
	world_settle(world, "fn");
}

static void publish(struct world *world)
{
	CHECK_OK(world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "fn"));
}

static void test_a_snapshot_has_all_that_the_engine_needs(void)
{
	struct world *world = world_new();
	struct function_target *target = NULL;

	world_create(world, "fn");
	change(world, "Environment",
		json_pack("{s:{s:s,s:s}}", "Variables", "A", "1", "B", "two words"));
	change(world, "LoggingConfig",
		json_pack("{s:s,s:s}", "LogFormat", "JSON", "LogGroup", "cool"));
	change(world, "TracingConfig", json_pack("{s:s}", "Mode", "Active"));
	change(world, "EphemeralStorage", json_pack("{s:i}", "Size", 1024));
	change(world, "Timeout", json_integer(900));
	CHECK(load(world, "fn", "", &target) == LOAD_DONE);
	const struct function_version *version = target->version;
	CHECK_STR(version->account, S("123456789012"));
	CHECK_STR(version->region, S("us-east-1"));
	CHECK_STR(version->name, S("fn"));
	CHECK_STR(version->version, S("$LATEST"));
	CHECK_STR(version->arn, S(ARN "fn"));
	CHECK_STR(version->runtime, S("python3.12"));
	CHECK_STR(version->handler, S("index.handler"));
	CHECK_STR(version->role, S("arn:aws:iam::123456789012:role/any"));
	CHECK_STR(version->log_group, S("cool"));
	CHECK_STR(version->log_level_app, S("INFO"));
	CHECK(version->log_is_json && version->is_traced && version->state == FUNCTION_ACTIVE);
	CHECK(version->memory_mb == 128 && version->timeout_ms == 900000 &&
		version->tmp_mb == 1024);
	CHECK(version->code[0] == 0xe2 && version->code[31] == 0x3f && version->layer_count == 0);
	CHECK(version->env_count == 2);
	CHECK_STR(version->env[0], S("A=1"));
	CHECK_STR(version->env[1], S("B=two words"));
	CHECK(target->other == NULL && target->reserved_concurrency == -1 &&
		target->alias.len == 0);
	function_target_free(target);
	world_free(world);
}

static void test_what_is_not_there_is_told_apart(void)
{
	struct world *world = world_new();
	struct function_target *target = NULL;

	CHECK(load(world, "none", "", &target) == LOAD_NO_FUNCTION);
	CHECK(load(world, "none", "7", &target) == LOAD_NO_FUNCTION);
	world_create(world, "fn");
	CHECK(load(world, "fn", "7", &target) == LOAD_NO_QUALIFIER);
	CHECK(load(world, "fn", "live", &target) == LOAD_NO_QUALIFIER);
	CHECK(load(world, "fn", "$latest", &target) == LOAD_NO_QUALIFIER);
	CHECK(load(world, "fn", "a b", &target) == LOAD_NO_QUALIFIER);
	char longest[200];
	memset(longest, 'a', sizeof(longest));
	longest[199] = 0;
	CHECK(load(world, "fn", longest, &target) == LOAD_NO_QUALIFIER);
	CHECK(target == NULL);
	CHECK(load(world, "fn", "$LATEST", &target) == LOAD_DONE);
	function_target_free(target);
	world_free(world);
}

static void test_versions_and_aliases_with_their_weights(void)
{
	struct world *world = world_new();
	struct function_target *target = NULL;

	world_create(world, "fn");
	publish(world);
	change(world, "Timeout", json_integer(9));
	publish(world);
	CHECK_OK(world_call(world, lambda_create_alias, "CreateAlias", "{s:s,s:s,s:s,s:{s:{s:f}}}",
		"FunctionName", "fn", "Name", "live", "FunctionVersion", "1", "RoutingConfig",
		"AdditionalVersionWeights", "2", 0.25));
	CHECK(load(world, "fn", "2", &target) == LOAD_DONE);
	CHECK_STR(target->version->version, S("2"));
	CHECK(target->version->timeout_ms == 9000);
	CHECK_STR(target->version->arn, S(ARN "fn"));
	function_target_free(target);
	CHECK(load(world, "fn", "live", &target) == LOAD_DONE);
	CHECK_STR(target->alias, S("live"));
	CHECK_STR(target->version->version, S("1"));
	CHECK_STR(target->other->version, S("2"));
	CHECK(target->other_per_million == 250000);
	function_target_free(target);
	CHECK_OK(world_call(world, lambda_update_alias, "UpdateAlias", "{s:s,s:s,s:{s:{s:i}}}",
		"FunctionName", "fn", "Name", "live", "RoutingConfig", "AdditionalVersionWeights",
		"2", 1));
	CHECK(load(world, "fn", "live", &target) == LOAD_DONE &&
		target->other_per_million == 1000000);
	function_target_free(target);
	world_free(world);
}

static void test_reserved_concurrency_goes_with_the_target(void)
{
	struct world *world = world_new();
	struct function_target *target = NULL;

	world_create(world, "fn");
	CHECK_OK(world_call(world, lambda_put_function_concurrency, "PutFunctionConcurrency",
		"{s:s,s:i}", "FunctionName", "fn", "ReservedConcurrentExecutions", 0));
	CHECK(load(world, "fn", "", &target) == LOAD_DONE && target->reserved_concurrency == 0);
	function_target_free(target);
	world_free(world);
}

/* The revision of the snapshot of $LATEST. */
static void build_of(struct world *world, char to[static 64])
{
	struct function_target *target = NULL;

	CHECK(load(world, "fn", "", &target) == LOAD_DONE);
	CHECK(str_to_array(target->version->revision, to, 64) == 0);
	function_target_free(target);
}

static void test_the_revision_changes_with_code_and_configuration_only(void)
{
	struct world *world = world_new();
	char build[64], next[64];

	world_create(world, "fn");
	build_of(world, build);
	CHECK_OK(world_call(world, lambda_tag_resource, "TagResource", "{s:s,s:{s:s}}", "Resource",
		ARN "fn", "Tags", "a", "b"));
	publish(world);
	build_of(world, next);
	CHECK(strcmp(build, next) == 0);
	change(world, "Timeout", json_integer(4));
	build_of(world, next);
	CHECK(strcmp(build, next) != 0);
	CHECK_OK(world_call(world, lambda_update_function_code, "UpdateFunctionCode", "{s:s,s:o}",
		"FunctionName", "fn", "ZipFile", world_zip("one")));
	build_of(world, build);
	CHECK(strcmp(build, next) != 0); /* the same ZIP once more is an update too */
	world_settle(world, "fn");
	build_of(world, next);
	CHECK(strcmp(build, next) == 0);
	world_free(world);
}

static void test_a_pending_function_says_so(void)
{
	struct world *world = world_new();
	struct function_target *target = NULL;

	CHECK_OK(world_call(world, lambda_create_function, "CreateFunction",
		"{s:s,s:s,s:s,s:s,s:{s:o}}", "FunctionName", "fn", "Runtime", "python3.12",
		"Handler", "a.b", "Role", "r", "Code", "ZipFile", world_zip("one")));
	CHECK(load(world, "fn", "", &target) == LOAD_DONE &&
		target->version->state == FUNCTION_PENDING);
	function_target_free(target);
	world_free(world);
}

TESTS(TEST(test_a_snapshot_has_all_that_the_engine_needs),
	TEST(test_what_is_not_there_is_told_apart),
	TEST(test_versions_and_aliases_with_their_weights),
	TEST(test_reserved_concurrency_goes_with_the_target),
	TEST(test_the_revision_changes_with_code_and_configuration_only),
	TEST(test_a_pending_function_says_so))
