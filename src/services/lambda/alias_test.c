#include "base/test.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#include <stdio.h>

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"

/* A function with versions 1 and 2. */
static struct world *world_with_two(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "fn"));
	CHECK_OK(world_call(world, lambda_update_function_configuration,
		"UpdateFunctionConfiguration", "{s:s,s:i}", "FunctionName", "fn", "Timeout", 9));
	world_settle(world, "fn");
	CHECK_OK(world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "fn"));
	return world;
}

/* CreateAlias or UpdateAlias with additional weights, as JSON text ("" = not given). */
static struct answer alias(struct world *world, call_fn *run, const char *operation,
	const char *name, const char *version, const char *weights)
{
	json_t *parsed = *weights ? json_loads(weights, 0, NULL) : NULL;
	json_t *routing = parsed ? json_pack("{s:o}", "AdditionalVersionWeights", parsed) : NULL;

	return world_call(world, run, operation, "{s:s,s:s,s:s*,s:o*}", "FunctionName", "fn",
		"Name", name, "FunctionVersion", version, "RoutingConfig", routing);
}

static struct answer create(
	struct world *world, const char *name, const char *version, const char *weights)
{
	return alias(world, lambda_create_alias, "CreateAlias", name, version, weights);
}

static struct answer update(
	struct world *world, const char *name, const char *version, const char *weights)
{
	return alias(world, lambda_update_alias, "UpdateAlias", name, version, weights);
}

static struct answer get(struct world *world, const char *function, const char *name)
{
	return world_call(world, lambda_get_alias, "GetAlias", "{s:s,s:s}", "FunctionName",
		function, "Name", name);
}

static void test_the_life_of_an_alias(void)
{
	struct world *world = world_with_two();
	struct answer got = create(world, "live", "1", "");
	char revision[37];

	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "AliasArn"), S(ARN "fn:live"));
	CHECK_STR(answer_text(&got, "Name"), S("live"));
	CHECK_STR(answer_text(&got, "FunctionVersion"), S("1"));
	CHECK(answer_at(&got, "Description") != NULL && answer_text(&got, "Description").len == 0);
	CHECK(json_object_size(got.out) == 5); /* and RevisionId: nothing else */
	CHECK(str_to_array(answer_text(&got, "RevisionId"), revision, sizeof(revision)) == 0);
	got = get(world, "fn", "live");
	CHECK_STR(answer_text(&got, "RevisionId"), str_of(revision));

	got = world_call(world, lambda_get_function_configuration, "GetFunctionConfiguration",
		"{s:s}", "FunctionName", "fn:live");
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn:live"));
	CHECK_STR(answer_text(&got, "Version"), S("1"));

	unsigned changes = world->changes;
	got = update(world, "live", "2", "");
	CHECK_STR(answer_text(&got, "FunctionVersion"), S("2"));
	CHECK(!str_eq(answer_text(&got, "RevisionId"), str_of(revision)));
	CHECK(world->changes == changes + 1);
	CHECK_OK(world_call(world, lambda_delete_alias, "DeleteAlias", "{s:s,s:s}", "FunctionName",
		"fn", "Name", "live"));
	CHECK_ERROR(get(world, "fn", "live"), 404, "ResourceNotFoundException",
		"Cannot find alias arn: " ARN "fn:live");
	world_free(world);
}

static void test_each_operation_misses_an_alias_in_its_own_words(void)
{
	struct world *world = world_with_two();

	CHECK_ERROR(update(world, "none", "1", ""), 404, "ResourceNotFoundException",
		"Alias not found: " ARN "fn:none");
	CHECK_ERROR(get(world, "fn", "none"), 404, "ResourceNotFoundException",
		"Cannot find alias arn: " ARN "fn:none");
	CHECK_ERROR(get(world, "nofn", "none"), 404, "ResourceNotFoundException",
		"Cannot find alias arn: " ARN "nofn:none");
	CHECK_OK(world_call(world, lambda_delete_alias, "DeleteAlias", "{s:s,s:s}", "FunctionName",
		"fn", "Name", "none"));
	CHECK_OK(world_call(world, lambda_delete_alias, "DeleteAlias", "{s:s,s:s}", "FunctionName",
		"nofn", "Name", "none"));
	struct answer got = world_call(world, lambda_create_alias, "CreateAlias", "{s:s,s:s,s:s}",
		"FunctionName", "nofn", "Name", "a", "FunctionVersion", "1");
	CHECK_ERROR(got, 404, "ResourceNotFoundException", "Function not found: " ARN "nofn:1");
	CHECK_ERROR(create(world, "a", "10", ""), 404, "ResourceNotFoundException",
		"Function not found: " ARN "fn:10");
	CHECK_OK(create(world, "a", "1", ""));
	got = create(world, "a", "1", "");
	CHECK_ERROR(got, 409, "ResourceConflictException", "Alias already exists: " ARN "fn:a");
	CHECK_STR(got.type, S("User"));
	world_free(world);
}

static void test_routing(void)
{
	struct world *world = world_with_two();
	struct answer got = create(world, "split", "1", "{\"2\":0.5}");

	CHECK_OK(got);
	CHECK(json_real_value(answer_at(&got, "RoutingConfig.AdditionalVersionWeights.2")) == 0.5);
	got = create(world, "empty", "1", "{}");
	CHECK(got.result == 0 && answer_at(&got, "RoutingConfig") == NULL);
	CHECK_ERROR(create(world, "x", "1", "{\"1\":0.5}"), 400, "InvalidParameterValueException",
		"Invalid function version 1. Function version 1 is already included in routing configuration.");
	CHECK_ERROR(create(world, "x", "1", "{\"1\":0.2,\"2\":0.2}"), 400,
		"InvalidParameterValueException",
		"Number of items in AdditionalVersionWeights cannot be greater than 1");
	CHECK_ERROR(create(world, "x", "1", "{\"10\":0.2}"), 404, "ResourceNotFoundException",
		"Function not found: " ARN "fn:10");
	got = create(world, "x", "$LATEST", "{\"1\":0.5}");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"$LATEST is not supported for an alias pointing to more than 1 version");
	CHECK(got.type.len == 0 && got.type.at != NULL);
	CHECK_OK(create(world, "latest", "$LATEST", ""));

	/* Pointing to the version that the weights name makes no sense either. */
	CHECK(update(world, "split", "2", "").result == CALL_ERROR);
	got = update(world, "split", NULL, "");
	CHECK(json_real_value(answer_at(&got, "RoutingConfig.AdditionalVersionWeights.2")) == 0.5);
	got = update(world, "split", NULL, "{}");
	CHECK(got.result == 0 && answer_at(&got, "RoutingConfig") == NULL);
	CHECK_OK(update(world, "split", "2", ""));
	world_free(world);
}

static void test_revisions_guard_aliases(void)
{
	struct world *world = world_with_two();

	CHECK_OK(create(world, "a", "1", ""));
	struct answer got = world_call(world, lambda_update_alias, "UpdateAlias", "{s:s,s:s,s:s}",
		"FunctionName", "fn", "Name", "a", "RevisionId", "wrong");
	CHECK_ERROR(got, 412, "PreconditionFailedException",
		"The Revision Id provided does not match the latest Revision Id. Call the "
		"GetFunction/GetAlias API to retrieve the latest Revision Id");
	world_free(world);
}

static struct answer list(struct world *world, const char *version, int most, const char *marker)
{
	return world_call(world, lambda_list_aliases, "ListAliases", "{s:s,s:s*,s:i,s:s*}",
		"FunctionName", "fn", "FunctionVersion", version, "MaxItems", most, "Marker",
		marker);
}

static void test_lists_are_sorted_paged_and_filtered(void)
{
	struct world *world = world_with_two();
	char name[32], marker[256];

	for (int i = 4; i >= 0; i--) {
		(void)snprintf(name, sizeof(name), "a%d", i);
		CHECK_OK(create(world, name, i == 3 ? "2" : "1", ""));
	}
	struct answer got = list(world, NULL, 50, NULL);
	CHECK(json_array_size(answer_at(&got, "Aliases")) == 5 &&
		answer_at(&got, "NextMarker") == NULL);
	CHECK_STR(answer_text(&got, "Aliases.0.Name"), S("a0"));
	CHECK_STR(answer_text(&got, "Aliases.4.AliasArn"), S(ARN "fn:a4"));
	got = list(world, NULL, 2, NULL);
	CHECK(json_array_size(answer_at(&got, "Aliases")) == 2);
	CHECK(str_to_array(answer_text(&got, "NextMarker"), marker, sizeof(marker)) == 0);
	got = list(world, NULL, 10, marker);
	CHECK_STR(answer_text(&got, "Aliases.0.Name"), S("a2"));
	CHECK(json_array_size(answer_at(&got, "Aliases")) == 3 &&
		answer_at(&got, "NextMarker") == NULL);
	got = list(world, "2", 50, NULL);
	CHECK(json_array_size(answer_at(&got, "Aliases")) == 1);
	CHECK_STR(answer_text(&got, "Aliases.0.Name"), S("a3"));
	got = list(world, "1", 4, NULL);
	CHECK(json_array_size(answer_at(&got, "Aliases")) == 4 &&
		answer_at(&got, "NextMarker") == NULL);
	got = list(world, NULL, 5, "bogus");
	CHECK(got.result == CALL_ERROR && got.status == 400);
	got = world_call(
		world, lambda_list_aliases, "ListAliases", "{s:s}", "FunctionName", "none");
	CHECK_ERROR(got, 404, "ResourceNotFoundException", "Function not found: " ARN "none");
	world_free(world);
}

TESTS(TEST(test_the_life_of_an_alias), TEST(test_each_operation_misses_an_alias_in_its_own_words),
	TEST(test_routing), TEST(test_revisions_guard_aliases),
	TEST(test_lists_are_sorted_paged_and_filtered))
