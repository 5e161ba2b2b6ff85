#include "base/test.h"
#include "services/lambda/delete.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#include <stdio.h>
#include <string.h>

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"

static struct answer publish(struct world *world, const char *member, const char *value)
{
	return world_call(world, lambda_publish_version, "PublishVersion", "{s:s,s:s*}",
		"FunctionName", "fn", member ? member : "Description", value);
}

static void change(struct world *world, int timeout)
{
	CHECK_OK(world_call(world, lambda_update_function_configuration,
		"UpdateFunctionConfiguration", "{s:s,s:i}", "FunctionName", "fn", "Timeout",
		timeout));
	world_settle(world, "fn");
}

static struct answer get(struct world *world, const char *qualifier)
{
	return world_call(world, lambda_get_function, "GetFunction", "{s:s,s:s*}", "FunctionName",
		"fn", "Qualifier", qualifier);
}

static struct answer delete (struct world *world, const char *name, const char *qualifier)
{
	return world_call(world, lambda_delete_function, "DeleteFunction", "{s:s,s:s*}",
		"FunctionName", name, "Qualifier", qualifier);
}

static struct answer versions(struct world *world)
{
	return world_call(world, lambda_list_versions_by_function, "ListVersionsByFunction",
		"{s:s}", "FunctionName", "fn");
}

static void test_a_version_is_frozen(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = publish(world, "Description", "first");
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "Version"), S("1"));
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn:1"));
	CHECK_STR(answer_text(&got, "Description"), S("first"));
	CHECK_STR(answer_text(&got, "State"), S("Active"));
	CHECK_STR(answer_text(&got, "LastUpdateStatus"), S("Successful"));
	char revision[37];
	CHECK(str_to_array(answer_text(&got, "RevisionId"), revision, sizeof(revision)) == 0);

	change(world, 9);
	got = get(world, "1");
	CHECK_STR(answer_text(&got, "Configuration.RevisionId"), str_of(revision));
	CHECK(json_integer_value(answer_at(&got, "Configuration.Timeout")) == 3);
	got = get(world, NULL);
	CHECK_STR(answer_text(&got, "Configuration.Description"), S(""));
	CHECK_STR(answer_text(&got, "Code.RepositoryType"), S("S3"));
	CHECK(answer_at(&got, "Tags") == NULL && answer_at(&got, "Concurrency") == NULL);
	world_free(world);
}

static void test_nothing_changed_is_no_new_version(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = publish(world, "Description", "first");
	got = publish(world, "Description", "other words only");
	CHECK_STR(answer_text(&got, "Version"), S("1"));
	CHECK_STR(answer_text(&got, "Description"), S("first"));
	change(world, 4);
	got = publish(world, NULL, NULL);
	CHECK_STR(answer_text(&got, "Version"), S("2"));
	got = publish(world, NULL, NULL);
	CHECK_STR(answer_text(&got, "Version"), S("2"));
	/* A description of $LATEST is a change. */
	CHECK_OK(world_call(world, lambda_update_function_configuration,
		"UpdateFunctionConfiguration", "{s:s,s:s}", "FunctionName", "fn", "Description",
		"new"));
	world_settle(world, "fn");
	got = publish(world, NULL, NULL);
	CHECK_STR(answer_text(&got, "Version"), S("3"));
	/* Tags are none. */
	CHECK_OK(world_call(world, lambda_tag_resource, "TagResource", "{s:s,s:{s:s}}", "Resource",
		ARN "fn", "Tags", "a", "b"));
	got = publish(world, NULL, NULL);
	CHECK_STR(answer_text(&got, "Version"), S("3"));
	world_free(world);
}

static void test_preconditions_of_publishing(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = publish(world, "CodeSha256", "somenonexistentsha256");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"CodeSHA256 (somenonexistentsha256) is different from current CodeSHA256 in $LATEST "
		"(4u5+MnHssTkZ9th+ZPvF/6i5Vjhi/uXJJfLijABAWD8=). Please try again with the CodeSHA256 in "
		"$LATEST.");
	got = publish(world, "RevisionId", "00000000-0000-0000-0000-000000000000");
	CHECK(got.result == CALL_ERROR && got.status == 412);
	got = publish(world, "CodeSha256", "4u5+MnHssTkZ9th+ZPvF/6i5Vjhi/uXJJfLijABAWD8=");
	CHECK_OK(got);
	got = publish(world, "PublishTo", "LATEST_PUBLISHED");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"PublishTo is not available in mayfly yet.");
	got = world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "none");
	CHECK_ERROR(got, 404, "ResourceNotFoundException", "Function not found: " ARN "none");
	world_free(world);
}

static void test_versions_are_found_by_their_number_alone(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(publish(world, NULL, NULL));
	CHECK_OK(get(world, "1"));
	CHECK_ERROR(get(world, "2"), 404, "ResourceNotFoundException",
		"Function not found: " ARN "fn:2");
	CHECK(get(world, "01").result == CALL_ERROR);
	CHECK(get(world, "0").result == CALL_ERROR);
	CHECK_ERROR(get(world, "99999999999999999999999"), 404, "ResourceNotFoundException",
		"Function not found: " ARN "fn:99999999999999999999999");
	CHECK_ERROR(get(world, "$latest"), 404, "ResourceNotFoundException",
		"Function not found: " ARN "fn:$latest");
	CHECK_ERROR(get(world, "no-alias"), 404, "ResourceNotFoundException",
		"Function not found: " ARN "fn:no-alias");
	world_free(world);
}

static void test_the_two_qualifiers_must_agree(void)
{
	struct world *world = world_new();
	struct answer got = world_call(world, lambda_get_function, "GetFunction", "{s:s,s:s}",
		"FunctionName", ARN "some:$LATEST", "Qualifier", "1");

	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"The derived qualifier from the function name does not match the specified qualifier.");
	got = world_call(world, lambda_get_function, "GetFunction", "{s:s,s:s}", "FunctionName",
		ARN "some:$LATEST", "Qualifier", "$LATEST");
	CHECK_ERROR(
		got, 404, "ResourceNotFoundException", "Function not found: " ARN "some:$LATEST");
	world_free(world);
}

static void test_deleting_one_version(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(publish(world, NULL, NULL));
	change(world, 5);
	CHECK_OK(publish(world, NULL, NULL));
	struct answer got = delete (world, "fn", "1");
	CHECK(got.result == 0 && got.success == 204);
	got = versions(world);
	CHECK(json_array_size(answer_at(&got, "Versions")) == 2);
	CHECK_STR(answer_text(&got, "Versions.1.Version"), S("2"));
	CHECK_OK(delete (world, "fn", "1")); /* what is not there is deleted */
	/* Numbers are not used again, not even that of the last one. */
	CHECK_OK(delete (world, "fn", "2"));
	got = publish(world, NULL, NULL);
	CHECK_STR(answer_text(&got, "Version"), S("3"));
	world_free(world);
}

static void test_what_deleting_refuses(void)
{
	struct world *world = world_new();

	CHECK_ERROR(delete (world, "none", NULL), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none");
	CHECK_ERROR(delete (world, "none", "1"), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none");
	CHECK_ERROR(delete (world, "none", "$latest"), 404, "ResourceNotFoundException",
		"Function not found: " ARN "none");
	CHECK_ERROR(delete (world, "none", "some-alias"), 400, "InvalidParameterValueException",
		"Deletion of aliases is not currently supported.");
	world_create(world, "fn");
	CHECK_ERROR(delete (world, "fn", "$LATEST"), 400, "InvalidParameterValueException",
		"$LATEST version cannot be deleted without deleting the function.");
	CHECK_OK(publish(world, NULL, NULL));
	CHECK_OK(world_call(world, lambda_create_alias, "CreateAlias", "{s:s,s:s,s:s}",
		"FunctionName", "fn", "Name", "live", "FunctionVersion", "1"));
	change(world, 5);
	CHECK_OK(publish(world, NULL, NULL));
	CHECK_OK(world_call(world, lambda_create_alias, "CreateAlias", "{s:s,s:s,s:s,s:{s:{s:f}}}",
		"FunctionName", "fn", "Name", "routed", "FunctionVersion", "2", "RoutingConfig",
		"AdditionalVersionWeights", "1", 0.5));
	CHECK_ERROR(delete (world, "fn", "1"), 409, "ResourceConflictException",
		"Unable to delete version because the following aliases reference it: [live, routed]");
	world_free(world);
}

static unsigned documents(struct world *world, str kind)
{
	json_auto_t *docs = json_array();

	CHECK(record_list_prefix(&world->scope, kind, S(""), S(""), 0, docs) == 0);
	return (unsigned)json_array_size(docs);
}

static void test_a_deleted_function_leaves_nothing(void)
{
	struct world *world = world_new();
	char name[32];

	world_create(world, "fn");
	for (int i = 0; i < 20; i++) { /* more than one page of each */
		change(world, 10 + i);
		CHECK_OK(publish(world, NULL, NULL));
		(void)snprintf(name, sizeof(name), "alias-%d", i);
		CHECK_OK(world_call(world, lambda_create_alias, "CreateAlias", "{s:s,s:s,s:s}",
			"FunctionName", "fn", "Name", name, "FunctionVersion", "1"));
		CHECK_OK(world_call(world, lambda_add_permission, "AddPermission",
			"{s:s,s:s,s:s,s:s,s:s}", "FunctionName", "fn", "Qualifier", name,
			"StatementId", "x", "Action", "lambda:*", "Principal", "*"));
	}
	CHECK_OK(world_call(world, lambda_put_function_concurrency, "PutFunctionConcurrency",
		"{s:s,s:i}", "FunctionName", "fn", "ReservedConcurrentExecutions", 900));
	CHECK(documents(world, KIND_VERSION) == 20 && documents(world, KIND_CODE) == 21);
	struct answer got = delete (world, "fn", NULL);
	CHECK(got.result == 0 && got.success == 204);
	const str kinds[] = { KIND_FUNCTION, KIND_VERSION, KIND_ALIAS, KIND_POLICY, KIND_UNSETTLED,
		KIND_DELETED, KIND_CODE };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		CHECK(documents(world, kinds[i]) == 0);
	CHECK_ERROR(get(world, NULL), 404, "ResourceNotFoundException",
		"Function not found: " ARN "fn");

	/* The name is free, and so is what was reserved. */
	world_create(world, "fn");
	got = versions(world);
	CHECK(json_array_size(answer_at(&got, "Versions")) == 1);
	CHECK_OK(world_call(world, lambda_put_function_concurrency, "PutFunctionConcurrency",
		"{s:s,s:i}", "FunctionName", "fn", "ReservedConcurrentExecutions", 900));
	world_free(world);
}

static void test_a_deletion_that_was_interrupted_is_finished_at_the_start(void)
{
	struct world *world = world_new();
	struct batch batch = { .scope = &world->scope };
	struct function_record function = {};

	world_create(world, "fn");
	CHECK_OK(publish(world, NULL, NULL));
	/* what DeleteFunction writes first */
	CHECK(function_record_get(&world->scope, S("fn"), &function) == RECORD_FOUND);
	json_t *mark = json_pack("{s:i}", "Schema", RECORD_SCHEMA);
	batch_put(&batch, KIND_DELETED, record_child_key(&function, S("")), mark, DOCS_NEW);
	batch_delete(&batch, KIND_FUNCTION, record_account_key(&world->scope, S("fn")),
		function.revision);
	CHECK(batch_commit(&batch) == DOCS_DONE);
	json_decref(mark);
	function_record_done(&function);
	CHECK(documents(world, KIND_VERSION) == 1);
	world_create(world, "fn"); /* of the same name: keeps what is its own */
	CHECK(lambda_delete_leftovers(world->platform) == 0);
	CHECK(documents(world, KIND_VERSION) == 0 && documents(world, KIND_DELETED) == 0);
	CHECK_OK(get(world, NULL));
	world_free(world);
}

static void test_lists_show_no_states(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(publish(world, NULL, NULL));
	struct answer got = versions(world);
	CHECK_STR(answer_text(&got, "Versions.0.FunctionArn"), S(ARN "fn:$LATEST"));
	CHECK_STR(answer_text(&got, "Versions.1.FunctionArn"), S(ARN "fn:1"));
	CHECK(answer_at(&got, "Versions.0.State") == NULL);
	CHECK(answer_at(&got, "Versions.0.LastUpdateStatus") == NULL);
	CHECK(answer_at(&got, "Versions.0.RuntimeVersionConfig") == NULL);
	CHECK(answer_at(&got, "Versions.0.Build") == NULL);
	CHECK(answer_at(&got, "Versions.0.LoggingConfig") != NULL);
	CHECK(answer_at(&got, "NextMarker") == NULL);
	world_free(world);
}

TESTS(TEST(test_a_version_is_frozen), TEST(test_nothing_changed_is_no_new_version),
	TEST(test_preconditions_of_publishing), TEST(test_versions_are_found_by_their_number_alone),
	TEST(test_the_two_qualifiers_must_agree), TEST(test_deleting_one_version),
	TEST(test_what_deleting_refuses), TEST(test_a_deleted_function_leaves_nothing),
	TEST(test_a_deletion_that_was_interrupted_is_finished_at_the_start),
	TEST(test_lists_show_no_states))
