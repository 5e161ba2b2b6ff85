#include "base/test.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#include <stdio.h>
#include <string.h>

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"

static struct answer tag(struct world *world, const char *resource, json_t *tags)
{
	return world_call(world, lambda_tag_resource, "TagResource", "{s:s,s:o}", "Resource",
		resource, "Tags", tags);
}

static struct answer untag(struct world *world, const char *resource, json_t *keys)
{
	return world_call(world, lambda_untag_resource, "UntagResource", "{s:s,s:o}", "Resource",
		resource, "TagKeys", keys);
}

static struct answer list(struct world *world, const char *resource)
{
	return world_call(world, lambda_list_tags, "ListTags", "{s:s}", "Resource", resource);
}

static bool has_tags(struct world *world, const char *text)
{
	struct answer got = list(world, ARN "fn");
	json_auto_t *want = json_loads(text, 0, NULL);

	return got.result == 0 && json_equal(answer_at(&got, "Tags"), want);
}

static void revision_of(struct world *world, char to[static 37])
{
	struct answer got = world_call(world, lambda_get_function_configuration,
		"GetFunctionConfiguration", "{s:s}", "FunctionName", "fn");

	CHECK(str_to_array(answer_text(&got, "RevisionId"), to, 37) == 0);
}

static void test_the_life_of_tags(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK(has_tags(world, "{}"));
	CHECK_OK(tag(world, ARN "fn", json_pack("{s:s}", "A", "a")));
	CHECK_OK(tag(world, ARN "fn", json_pack("{s:s,s:s}", "B", "b", "C", "c")));
	CHECK_OK(tag(world, ARN "fn", json_pack("{s:s,s:s}", "C", "new", "D", "")));
	CHECK(has_tags(world, "{\"A\":\"a\",\"B\":\"b\",\"C\":\"new\",\"D\":\"\"}"));
	struct answer got = world_call(
		world, lambda_get_function, "GetFunction", "{s:s}", "FunctionName", "fn");
	CHECK_STR(answer_text(&got, "Tags.C"), S("new"));
	CHECK_OK(untag(world, ARN "fn", json_pack("[s]", "A")));
	CHECK_OK(untag(world, ARN "fn", json_pack("[ss]", "B", "nobody")));
	CHECK(has_tags(world, "{\"C\":\"new\",\"D\":\"\"}"));
	CHECK_OK(untag(world, ARN "fn", json_pack("[ss]", "C", "D")));
	CHECK(has_tags(world, "{}"));
	got = world_call(world, lambda_get_function, "GetFunction", "{s:s}", "FunctionName", "fn");
	CHECK(answer_at(&got, "Tags") == NULL);
	world_free(world);
}

static void test_tags_make_a_new_revision_and_no_new_build(void)
{
	struct world *world = world_new();
	char before[37], after[37];
	struct function_record function = {};

	world_create(world, "fn");
	revision_of(world, before);
	CHECK(function_record_get(&world->scope, S("fn"), &function) == RECORD_FOUND);
	json_t *build = json_incref(json_object_get(function.latest, "Build"));
	function_record_done(&function);
	CHECK_OK(tag(world, ARN "fn", json_pack("{s:s}", "A", "a")));
	revision_of(world, after);
	CHECK(strcmp(before, after) != 0);
	CHECK(function_record_get(&world->scope, S("fn"), &function) == RECORD_FOUND);
	CHECK(json_equal(build, json_object_get(function.latest, "Build")));
	function_record_done(&function);
	json_decref(build);
	world_free(world);
}

static void test_what_has_no_tags(void)
{
	struct world *world = world_new();
	const char *aliased =
		"Tags on function aliases and versions are not supported. Please specify a "
		"function ARN.";

	world_create(world, "fn");
	CHECK_ERROR(list(world, ARN "none"), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none");
	CHECK_ERROR(tag(world, ARN "none", json_object()), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none");
	CHECK_ERROR(untag(world, ARN "none", json_array()), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none");
	CHECK_ERROR(list(world, ARN "fn:$LATEST"), 400, "InvalidParameterValueException", aliased);
	CHECK_ERROR(tag(world, ARN "fn:1", json_object()), 400, "InvalidParameterValueException",
		aliased);
	CHECK_ERROR(untag(world, ARN "fn:live", json_array()), 400,
		"InvalidParameterValueException", aliased);
	CHECK_ERROR(list(world, "arn:aws:lambda:us-east-1:123456789012:capacity-provider:x"), 404,
		"ResourceNotFoundException",
		"Capacity provider not found: arn:aws:lambda:us-east-1:123456789012:capacity-provider:x");
	CHECK(list(world, "arn:aws:lambda:eu-west-1:123456789012:function:fn").status == 404);
	CHECK(list(world, "arn:aws:lambda:us-east-1:210987654321:function:fn").status == 404);
	world_free(world);
}

static json_t *many(int from, int to)
{
	json_t *tags = json_object();
	char key[32];

	for (int i = from; i < to; i++) {
		(void)snprintf(key, sizeof(key), "key%d", i);
		json_object_set_new(tags, key, json_string("v"));
	}
	return tags;
}

static void test_fifty_tags_and_not_one_more(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(tag(world, ARN "fn", many(0, 50)));
	CHECK_ERROR(tag(world, ARN "fn", many(50, 51)), 400, "InvalidParameterValueException",
		"Number of tags exceeds resource tag limit.");
	CHECK_OK(tag(world, ARN "fn", many(0, 50))); /* those that are there already */
	CHECK(tag(world, ARN "fn", json_pack("{s:s}", "aws:x", "y")).result == CALL_ERROR);
	CHECK(tag(world, ARN "fn", json_pack("{s:s}", "", "y")).result == CALL_ERROR);
	world_free(world);
}

TESTS(TEST(test_the_life_of_tags), TEST(test_tags_make_a_new_revision_and_no_new_build),
	TEST(test_what_has_no_tags), TEST(test_fifty_tags_and_not_one_more))
