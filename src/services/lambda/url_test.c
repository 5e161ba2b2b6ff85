#include "base/test.h"
#include "services/lambda/caller.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"
#include "services/lambda/url_book.h"

#include <string.h>

#define ARN	"arn:aws:lambda:us-east-1:123456789012:function:"
#define MISSING "The resource you requested does not exist."
#define NONE	"Function does not exist"

static struct answer create(struct world *world, const char *name, const char *qualifier,
	const char *auth, json_t *cors)
{
	return world_call(world, lambda_create_function_url_config, "CreateFunctionUrlConfig",
		"{s:s,s:s*,s:s,s:o*}", "FunctionName", name, "Qualifier", qualifier, "AuthType",
		auth, "Cors", cors);
}

static struct answer ask(struct world *world, call_fn *run, const char *operation, const char *name,
	const char *qualifier)
{
	return world_call(
		world, run, operation, "{s:s,s:s*}", "FunctionName", name, "Qualifier", qualifier);
}

static struct answer get(struct world *world, const char *name, const char *qualifier)
{
	return ask(world, lambda_get_function_url_config, "GetFunctionUrlConfig", name, qualifier);
}

static struct answer drop(struct world *world, const char *name, const char *qualifier)
{
	return ask(world, lambda_delete_function_url_config, "DeleteFunctionUrlConfig", name,
		qualifier);
}

static void make_alias(struct world *world, const char *name, const char *alias)
{
	CHECK_OK(world_call(world, lambda_create_alias, "CreateAlias", "{s:s,s:s,s:s}",
		"FunctionName", name, "Name", alias, "FunctionVersion", "$LATEST"));
}

/* The id in an address of the host form. */
static void take_id(struct answer answer, char id[static 33])
{
	str url = answer_text(&answer, "FunctionUrl");

	CHECK(str_starts(url, S("http://")));
	CHECK(str_to_array(str_slice(url, 7, 39), id, 33) == 0);
}

static void test_a_url_lives_from_create_to_delete(void)
{
	struct world *world = world_new();
	char id[33], again[33];

	world_create(world, "fn");
	struct answer got = create(world, "fn", NULL, "NONE", NULL);
	CHECK_OK(got);
	take_id(got, id);
	CHECK(str_ends(
		answer_text(&got, "FunctionUrl"), S(".lambda-url.us-east-1.localhost:4566/")));
	CHECK_STR(answer_text(&got, "FunctionArn"), S(ARN "fn"));
	CHECK_STR(answer_text(&got, "AuthType"), S("NONE"));
	CHECK(answer_text(&got, "CreationTime").len == 24 && json_object_size(got.out) == 4);
	got = get(world, "fn", NULL);
	CHECK_STR(answer_text(&got, "InvokeMode"), S("BUFFERED"));
	CHECK_STR(answer_text(&got, "LastModifiedTime"), answer_text(&got, "CreationTime"));
	CHECK(json_object_size(got.out) == 6);
	take_id(got, again);
	CHECK(strcmp(id, again) == 0);
	CHECK_ERROR(create(world, "fn", NULL, "AWS_IAM", NULL), 409, "ResourceConflictException",
		"Failed to create function url config for [functionArn = " ARN
		"fn]. Error message:  FunctionUrlConfig exists for this Lambda function");
	CHECK_OK(drop(world, "fn", NULL));
	CHECK_ERROR(get(world, "fn", NULL), 404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(drop(world, "fn", NULL), 404, "ResourceNotFoundException", MISSING);
	take_id(create(world, "fn", NULL, "NONE", NULL), again);
	CHECK(strcmp(id, again) != 0);
	world_free(world);
}

static void test_what_is_missing_is_told_in_each_operations_words(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_ERROR(
		create(world, "none", NULL, "NONE", NULL), 404, "ResourceNotFoundException", NONE);
	CHECK_ERROR(
		create(world, "fn", "live", "NONE", NULL), 404, "ResourceNotFoundException", NONE);
	CHECK_ERROR(get(world, "none", NULL), 404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(get(world, "fn", "live"), 404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(drop(world, "none", NULL), 404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(ask(world, lambda_update_function_url_config, "UpdateFunctionUrlConfig", "none",
			    NULL),
		404, "ResourceNotFoundException", NONE);
	CHECK_ERROR(ask(world, lambda_update_function_url_config, "UpdateFunctionUrlConfig", "fn",
			    "live"),
		404, "ResourceNotFoundException", NONE);
	CHECK_ERROR(ask(world, lambda_update_function_url_config, "UpdateFunctionUrlConfig", "fn",
			    NULL),
		404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(ask(world, lambda_list_function_url_configs, "ListFunctionUrlConfigs", "none",
			    NULL),
		404, "ResourceNotFoundException", NONE);
	CHECK_ERROR(get(world, "arn:aws:lambda:eu-west-1:123456789012:function:fn", NULL), 404,
		"ResourceNotFoundException",
		"Functions from 'eu-west-1' are not reachable in this region ('us-east-1')");
	CHECK_ERROR(create(world, "fn:one", "two", "NONE", NULL), 400,
		"InvalidParameterValueException",
		"The derived qualifier from the function name does not match the specified qualifier.");
	world_free(world);
}

static void test_an_update_changes_what_is_given(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(create(world, "fn", NULL, "NONE",
		json_pack("{s:[s],s:i}", "AllowOrigins", "https://a.example", "MaxAge", 60)));
	struct answer got = world_call(world, lambda_update_function_url_config,
		"UpdateFunctionUrlConfig", "{s:s,s:s}", "FunctionName", "fn", "InvokeMode",
		"RESPONSE_STREAM");
	CHECK_OK(got);
	CHECK_STR(answer_text(&got, "InvokeMode"), S("RESPONSE_STREAM"));
	CHECK_STR(answer_text(&got, "AuthType"), S("NONE"));
	CHECK_STR(answer_text(&got, "Cors.AllowOrigins.0"), S("https://a.example"));
	got = world_call(world, lambda_update_function_url_config, "UpdateFunctionUrlConfig",
		"{s:s,s:s,s:{s:b}}", "FunctionName", "fn", "AuthType", "AWS_IAM", "Cors",
		"AllowCredentials", 1);
	CHECK_STR(answer_text(&got, "AuthType"), S("AWS_IAM"));
	CHECK(json_is_true(answer_at(&got, "Cors.AllowCredentials")));
	CHECK(!answer_at(&got, "Cors.AllowOrigins"));
	CHECK_OK(world_call(world, lambda_update_function_url_config, "UpdateFunctionUrlConfig",
		"{s:s,s:{}}", "FunctionName", "fn", "Cors"));
	got = get(world, "fn", NULL);
	CHECK(!answer_at(&got, "Cors"));
	CHECK_STR(answer_text(&got, "InvokeMode"), S("RESPONSE_STREAM"));
	world_free(world);
}

static void test_functions_and_aliases_have_urls_of_their_own_in_pages(void)
{
	struct world *world = world_new();
	char marker[128];

	world_create(world, "fn");
	make_alias(world, "fn", "live");
	make_alias(world, "fn", "-a"); /* sorts before the letters */
	CHECK_OK(create(world, "fn", "live", "AWS_IAM", NULL));
	CHECK_OK(create(world, "fn", NULL, "NONE", NULL));
	CHECK_OK(create(world, "fn:-a", NULL, "NONE", NULL));
	struct answer got = world_call(world, lambda_list_function_url_configs,
		"ListFunctionUrlConfigs", "{s:s,s:i}", "FunctionName", "fn", "MaxItems", 1);
	CHECK_STR(answer_text(&got, "FunctionUrlConfigs.0.FunctionArn"), S(ARN "fn"));
	CHECK(json_array_size(answer_at(&got, "FunctionUrlConfigs")) == 1);
	CHECK(str_to_array(answer_text(&got, "NextMarker"), marker, sizeof(marker)) == 0);
	got = world_call(world, lambda_list_function_url_configs, "ListFunctionUrlConfigs",
		"{s:s,s:s}", "FunctionName", "fn", "Marker", marker);
	CHECK_STR(answer_text(&got, "FunctionUrlConfigs.0.FunctionArn"), S(ARN "fn:-a"));
	CHECK_STR(answer_text(&got, "FunctionUrlConfigs.1.FunctionArn"), S(ARN "fn:live"));
	CHECK(json_array_size(answer_at(&got, "FunctionUrlConfigs")) == 2 &&
		!answer_at(&got, "NextMarker"));
	CHECK_OK(drop(world, "fn", NULL));
	CHECK_OK(get(world, "fn", "live"));
	world_free(world);
}

static void test_the_address_is_of_the_host_that_asked(void)
{
	static const struct {
		str host, before, behind;
	} rows[] = {
		{ S_INIT("127.0.0.1:4566"), S_INIT("http://"),
			S_INIT(".lambda-url.us-east-1.localhost:4566/") },
		{ S_INIT("[::1]:80"), S_INIT("http://"),
			S_INIT(".lambda-url.us-east-1.localhost:80/") },
		{ S_INIT("localhost"), S_INIT("http://"),
			S_INIT(".lambda-url.us-east-1.localhost/") },
		{ S_INIT("lambda.us-east-1.example.org"), S_INIT("http://"),
			S_INIT(".lambda-url.us-east-1.example.org/") },
		{ S_INIT("mayfly.lan:8080"), S_INIT("http://"),
			S_INIT(".lambda-url.us-east-1.mayfly.lan:8080/") },
		{ S_INIT("10.1.2.3:4566"), S_INIT("http://10.1.2.3:4566/_mayfly/lambda-url/"),
			S_INIT("/") },
		{ S_INIT("[fd00::1]:4566"), S_INIT("http://[fd00::1]:4566/_mayfly/lambda-url/"),
			S_INIT("/") },
	};
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(create(world, "fn", NULL, "NONE", NULL));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world->host = rows[i].host;
		struct answer got = get(world, "fn", NULL);
		str url = answer_text(&got, "FunctionUrl");
		CHECK(url.len == rows[i].before.len + 32 + rows[i].behind.len);
		CHECK(str_starts(url, rows[i].before));
		CHECK_STR(str_from(url, rows[i].before.len + 32), rows[i].behind);
	}
	world_free(world);
}

static int load(struct world *world, const char *id, struct function_url **ret_url)
{
	*ret_url = NULL;
	return url_load(world->platform, str_of(id), ret_url);
}

static void add_permission(struct world *world, const char *qualifier, const char *sid,
	const char *principal, const char *auth, const char *account)
{
	CHECK_OK(world_call(world, lambda_add_permission, "AddPermission",
		"{s:s,s:s*,s:s,s:s,s:s,s:s*,s:s*}", "FunctionName", "fn", "Qualifier", qualifier,
		"StatementId", sid, "Action", "lambda:InvokeFunctionUrl", "Principal", principal,
		"FunctionUrlAuthType", auth, "SourceAccount", account));
}

static void test_only_what_the_policy_says_opens_a_url(void)
{
	struct world *world = world_new();
	struct function_url *url;
	char id[33];

	world_create(world, "fn");
	take_id(create(world, "fn", NULL, "NONE", NULL), id);
	CHECK(load(world, id, &url) == URL_LOADED && !url->is_open);
	function_url_unref(url);
	add_permission(world, NULL, "other-type", "*", "AWS_IAM", NULL);
	add_permission(world, NULL, "conditional", "*", "NONE", "123456789012");
	add_permission(world, NULL, "account", "210987654321", "NONE", NULL);
	CHECK_OK(world_call(world, lambda_add_permission, "AddPermission", "{s:s,s:s,s:s,s:s}",
		"FunctionName", "fn", "StatementId", "invoke", "Action", "lambda:InvokeFunction",
		"Principal", "*"));
	CHECK(load(world, id, &url) == URL_LOADED && !url->is_open);
	function_url_unref(url);
	add_permission(world, NULL, "open", "*", "NONE", NULL);
	CHECK(load(world, id, &url) == URL_LOADED && url->is_open);
	function_url_unref(url);
	world_free(world);
}

static bool lets_in(struct world *world, const char *id, const char *account)
{
	struct lambda_caller caller;
	struct function_url *url;

	lambda_caller_init(&caller, str_of(account), S("us-east-1"), NULL);
	if (load(world, id, &url) != URL_LOADED)
		return false;
	bool is_in = function_url_lets_in(url, &caller);
	function_url_unref(url);
	return is_in;
}

static void test_other_accounts_need_both_permissions(void)
{
	struct world *world = world_new();
	char id[33];

	world_create(world, "fn");
	take_id(create(world, "fn", NULL, "AWS_IAM", NULL), id);
	CHECK(lets_in(world, id, "123456789012"));
	CHECK(!lets_in(world, id, "210987654321"));
	add_permission(world, NULL, "url", "*", "AWS_IAM", NULL);
	CHECK(!lets_in(world, id, "210987654321"));
	CHECK_OK(world_call(world, lambda_add_permission, "AddPermission", "{s:s,s:s,s:s,s:s,s:b}",
		"FunctionName", "fn", "StatementId", "invoke", "Action", "lambda:InvokeFunction",
		"Principal", "210987654321", "InvokedViaFunctionUrl", 1));
	CHECK(lets_in(world, id, "210987654321"));
	CHECK(!lets_in(world, id, "111111111111"));
	world_free(world);
}

static void test_a_url_is_read_with_all_it_has(void)
{
	struct world *world = world_new();
	struct function_url *url;
	char id[33];

	world_create(world, "fn");
	make_alias(world, "fn", "live");
	take_id(create(world, "fn", "live", "AWS_IAM",
			json_pack("{s:[ss],s:[ss],s:[s],s:[ss],s:i,s:b}", "AllowOrigins",
				"https://a", "https://b", "AllowMethods", "GET", "PUT",
				"AllowHeaders", "X-A", "ExposeHeaders", "Date", "X-B", "MaxAge", 0,
				"AllowCredentials", 1)),
		id);
	CHECK(load(world, id, &url) == URL_LOADED);
	CHECK_STR(url->id, str_of(id));
	CHECK_STR(url->account, S("123456789012"));
	CHECK_STR(url->region, S("us-east-1"));
	CHECK_STR(url->name, S("fn"));
	CHECK_STR(url->qualifier, S("live"));
	CHECK(url->is_iam && !url->is_streaming && url->has_cors);
	CHECK(url->cors.origin_count == 2 && str_eq(url->cors.origins[1], S("https://b")));
	CHECK_STR(url->cors.methods, S("GET,PUT"));
	CHECK_STR(url->cors.headers, S("X-A"));
	CHECK_STR(url->cors.expose, S("Date,X-B"));
	CHECK(url->cors.has_max_age && url->cors.max_age_s == 0 && url->cors.has_credentials);
	function_url_unref(url);
	CHECK(load(world, "nothing", &url) == URL_NONE);
	world_free(world);
}

static void test_a_deleted_function_takes_its_urls_along(void)
{
	struct world *world = world_new();
	struct function_url *url;
	char id[33];

	world_create(world, "fn");
	take_id(create(world, "fn", NULL, "NONE", NULL), id);
	CHECK_OK(ask(world, lambda_delete_function, "DeleteFunction", "fn", NULL));
	CHECK(load(world, id, &url) == URL_NONE);
	json_t *doc;
	CHECK(record_get(&world->scope, KIND_URL_OWNER, str_of(id), &doc, NULL) == RECORD_ABSENT);
	world_create(world, "fn");
	CHECK_ERROR(get(world, "fn", NULL), 404, "ResourceNotFoundException", MISSING);
	world_free(world);
}

TESTS(TEST(test_a_url_lives_from_create_to_delete),
	TEST(test_what_is_missing_is_told_in_each_operations_words),
	TEST(test_an_update_changes_what_is_given),
	TEST(test_functions_and_aliases_have_urls_of_their_own_in_pages),
	TEST(test_the_address_is_of_the_host_that_asked),
	TEST(test_only_what_the_policy_says_opens_a_url),
	TEST(test_other_accounts_need_both_permissions), TEST(test_a_url_is_read_with_all_it_has),
	TEST(test_a_deleted_function_takes_its_urls_along))
