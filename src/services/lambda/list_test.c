#include "base/test.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#include <stdio.h>
#include <string.h>

#define ARN "arn:aws:lambda:us-east-1:123456789012:function:"

static struct answer list(struct world *world, const char *version, int most, const char *marker)
{
	return world_call(world, lambda_list_functions, "ListFunctions", "{s:s*,s:i,s:s*}",
		"FunctionVersion", version, "MaxItems", most, "Marker", marker);
}

static void publish(struct world *world, const char *name, int count)
{
	for (int i = 0; i < count; i++) {
		CHECK_OK(world_call(world, lambda_update_function_configuration,
			"UpdateFunctionConfiguration", "{s:s,s:i}", "FunctionName", name, "Timeout",
			10 + i));
		world_settle(world, name);
		CHECK_OK(world_call(world, lambda_publish_version, "PublishVersion", "{s:s}",
			"FunctionName", name));
	}
}

static void test_the_default_shows_latest_of_each_in_order(void)
{
	struct world *world = world_new();

	world_create(world, "b");
	world_create(world, "a-b");
	world_create(world, "a");
	publish(world, "a", 1);
	struct answer got = list(world, NULL, 50, NULL);
	CHECK(json_array_size(answer_at(&got, "Functions")) == 3);
	CHECK_STR(answer_text(&got, "Functions.0.FunctionArn"), S(ARN "a"));
	CHECK_STR(answer_text(&got, "Functions.1.FunctionArn"), S(ARN "a-b"));
	CHECK_STR(answer_text(&got, "Functions.2.FunctionName"), S("b"));
	CHECK_STR(answer_text(&got, "Functions.0.Version"), S("$LATEST"));
	CHECK(answer_at(&got, "Functions.0.State") == NULL &&
		answer_at(&got, "NextMarker") == NULL);
	world->scope.account = S("210987654321");
	got = list(world, NULL, 50, NULL);
	CHECK(json_array_size(answer_at(&got, "Functions")) == 0);
	world_free(world);
}

/* Read all pages of this size; the last parts of the ARNs one after the other. */
static void read_pages(struct world *world, const char *version, int most, struct buf *seen)
{
	char marker[512] = "";

	for (int pages = 0; pages < 100; pages++) {
		struct answer got = list(world, version, most, *marker ? marker : NULL);
		json_t *items = answer_at(&got, "Functions"), *item;
		size_t i;
		CHECK(got.result == 0 && json_array_size(items) <= (size_t)most);
		json_array_foreach(items, i, item)
		{
			str arn = json_get_str(item, "FunctionArn");
			buf_put(seen, str_from(arn, strlen(ARN)));
			buf_put_char(seen, ' ');
		}
		str next = answer_text(&got, "NextMarker");
		if (!next.len)
			return;
		CHECK(json_array_size(items) == (size_t)most);
		CHECK(str_to_array(next, marker, sizeof(marker)) == 0);
	}
	FAIL("the pages never end");
}

static void test_every_page_size_shows_everything_once(void)
{
	struct world *world = world_new();
	const char *all =
		"a:$LATEST a:1 a:2 a:3 b:$LATEST c:$LATEST c:1 c:2 c:3 c:4 c:5 c:6 c:7 c:8 c:9 c:10 "
		"c:11 ";

	world_create(world, "a");
	world_create(world, "b");
	world_create(world, "c");
	publish(world, "a", 3);
	publish(world, "c", 11);
	for (int most = 1; most <= 18; most++) {
		struct buf seen;
		buf_init(&seen, 4096);
		read_pages(world, "ALL", most, &seen);
		CHECK_STR(buf_str(&seen), str_of(all));
		buf_clear(&seen);
		read_pages(world, NULL, most, &seen);
		CHECK_STR(buf_str(&seen), S("a b c "));
		buf_done(&seen);
	}
	world_free(world);
}

static void test_pages_go_on_behind_what_was_deleted(void)
{
	struct world *world = world_new();
	char marker[512];

	world_create(world, "a");
	world_create(world, "b");
	world_create(world, "c");
	struct answer got = list(world, NULL, 2, NULL);
	CHECK(str_to_array(answer_text(&got, "NextMarker"), marker, sizeof(marker)) == 0);
	CHECK_OK(world_call(
		world, lambda_delete_function, "DeleteFunction", "{s:s}", "FunctionName", "b"));
	got = list(world, NULL, 2, marker);
	CHECK_STR(answer_text(&got, "Functions.0.FunctionName"), S("c"));
	world_free(world);
}

static void test_markers_of_nobody_and_of_other_lists_are_refused(void)
{
	struct world *world = world_new();
	char marker[512];

	world_create(world, "a");
	world_create(world, "b");
	CHECK_ERROR(list(world, NULL, 1, "bogus"), 400, "InvalidParameterValueException",
		"The provided Marker is not valid.");
	CHECK(list(world, NULL, 1, "bWF5Zmx5").result == CALL_ERROR);
	struct answer got = list(world, "ALL", 1, NULL);
	CHECK(str_to_array(answer_text(&got, "NextMarker"), marker, sizeof(marker)) == 0);
	CHECK(list(world, NULL, 1, marker).result == CALL_ERROR);
	got = world_call(world, lambda_list_versions_by_function, "ListVersionsByFunction",
		"{s:s,s:s}", "FunctionName", "a", "Marker", marker);
	CHECK(got.result == CALL_ERROR);
	CHECK_OK(list(world, "ALL", 1, marker));
	CHECK_OK(list(world, NULL, 1, ""));
	world_free(world);
}

static void test_master_regions_have_no_replicas(void)
{
	struct world *world = world_new();

	world_create(world, "a");
	struct answer got = world_call(world, lambda_list_functions, "ListFunctions", "{s:s}",
		"MasterRegion", "eu-west-1");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"The combination MasterArn=eu-west-1 and FunctionVersion=NULL is not supported. Please see "
		"our documentation for valid combinations of ListFunctions options.");
	got = world_call(world, lambda_list_functions, "ListFunctions", "{s:s,s:s}", "MasterRegion",
		"eu-west-1", "FunctionVersion", "ALL");
	CHECK(got.result == 0 && json_array_size(answer_at(&got, "Functions")) == 0);
	got = world_call(world, lambda_list_functions, "ListFunctions", "{s:s,s:s}", "MasterRegion",
		"ALL", "FunctionVersion", "ALL");
	CHECK(json_array_size(answer_at(&got, "Functions")) == 1);
	world_free(world);
}

static void test_versions_are_paged_in_the_order_of_numbers(void)
{
	struct world *world = world_new();
	char marker[512] = "";
	struct buf seen;

	world_create(world, "fn");
	publish(world, "fn", 12);
	buf_init(&seen, 1024);
	for (int pages = 0; pages < 10; pages++) {
		struct answer got = world_call(world, lambda_list_versions_by_function,
			"ListVersionsByFunction", "{s:s,s:i,s:s*}", "FunctionName", "fn",
			"MaxItems", 5, "Marker", *marker ? marker : NULL);
		json_t *items = answer_at(&got, "Versions"), *item;
		size_t i;
		json_array_foreach(items, i, item)
		{
			buf_put(&seen, json_get_str(item, "Version"));
			buf_put_char(&seen, ' ');
		}
		if (!answer_at(&got, "NextMarker"))
			break;
		CHECK(str_to_array(answer_text(&got, "NextMarker"), marker, sizeof(marker)) == 0);
	}
	CHECK_STR(buf_str(&seen), S("$LATEST 1 2 3 4 5 6 7 8 9 10 11 12 "));
	buf_done(&seen);
	world_free(world);
}

TESTS(TEST(test_the_default_shows_latest_of_each_in_order),
	TEST(test_every_page_size_shows_everything_once),
	TEST(test_pages_go_on_behind_what_was_deleted),
	TEST(test_markers_of_nobody_and_of_other_lists_are_refused),
	TEST(test_master_regions_have_no_replicas),
	TEST(test_versions_are_paged_in_the_order_of_numbers))
