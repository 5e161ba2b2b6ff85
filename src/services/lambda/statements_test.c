#include "services/lambda/statements.h"

#include "base/test.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

static const struct policy_request public_url = {
	.action = S_INIT("lambda:InvokeFunctionUrl"),
	.given = { [POLICY_URL_AUTH_TYPE] = S_INIT("NONE"), [POLICY_VIA_URL] = S_INIT("true") },
};

static bool asked(struct world *world, const char *qualifier, const struct policy_request *request)
{
	scoped_function function = {};
	bool is_allowed = false;

	CHECK(function_record_get(&world->scope, S("fn"), &function) == RECORD_FOUND);
	CHECK(lambda_policy_ask(&function, str_of(qualifier), request, &is_allowed) == 0);
	return is_allowed;
}

static void test_a_public_url_needs_a_statement_that_says_so(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK(!asked(world, "", &public_url)); /* no policy at all */
	CHECK_OK(world_call(world, lambda_add_permission, "AddPermission", "{s:s,s:s,s:s,s:s,s:s}",
		"FunctionName", "fn", "StatementId", "iam", "Action", "lambda:InvokeFunctionUrl",
		"Principal", "*", "FunctionUrlAuthType", "AWS_IAM"));
	CHECK(!asked(world, "", &public_url));
	CHECK_OK(world_call(world, lambda_add_permission, "AddPermission", "{s:s,s:s,s:s,s:s,s:s}",
		"FunctionName", "fn", "StatementId", "all", "Action", "lambda:InvokeFunctionUrl",
		"Principal", "*", "FunctionUrlAuthType", "NONE"));
	CHECK(asked(world, "", &public_url) && asked(world, "$LATEST", &public_url));
	CHECK(!asked(world, "live", &public_url)); /* which has a policy of its own */
	CHECK_OK(world_call(world, lambda_remove_permission, "RemovePermission", "{s:s,s:s}",
		"FunctionName", "fn", "StatementId", "all"));
	CHECK(!asked(world, "", &public_url));
	world_free(world);
}

static void test_a_service_needs_the_source_and_the_account_that_are_named(void)
{
	struct world *world = world_new();
	struct policy_request request = { .action = S("lambda:InvokeFunction"),
		.service = S("s3.amazonaws.com"),
		.given = { [POLICY_SOURCE_ARN] = S("arn:aws:s3:::one"),
			[POLICY_SOURCE_ACCOUNT] = S("123456789012") } };

	world_create(world, "fn");
	CHECK_OK(world_call(world, lambda_add_permission, "AddPermission",
		"{s:s,s:s,s:s,s:s,s:s,s:s}", "FunctionName", "fn", "StatementId", "s3", "Action",
		"lambda:InvokeFunction", "Principal", "s3.amazonaws.com", "SourceArn",
		"arn:aws:s3:::o*", "SourceAccount", "123456789012"));
	CHECK(asked(world, "", &request));
	request.given[POLICY_SOURCE_ARN] = S("arn:aws:s3:::two");
	CHECK(!asked(world, "", &request));
	request.given[POLICY_SOURCE_ARN] = S("arn:aws:s3:::one");
	request.given[POLICY_SOURCE_ACCOUNT] = S("210987654321");
	CHECK(!asked(world, "", &request));
	world_free(world);
}

/* A policy of one statement, written with ' for ". */
static bool allows(const char *statement)
{
	struct buf text;

	buf_init(&text, 4096);
	buf_put(&text, S("{\"Statement\":["));
	for (; *statement; statement++)
		buf_put_char(&text, *statement == '\'' ? '"' : *statement);
	buf_put(&text, S("]}"));
	json_auto_t *doc = json_loadb(text.at, text.len, 0, NULL);
	CHECK(doc);
	buf_done(&text);
	return lambda_policy_allows(doc, &public_url);
}

#define ANY "'Effect':'Allow','Principal':'*','Action':'lambda:InvokeFunctionUrl'"

static void test_what_is_not_understood_allows_nothing(void)
{
	CHECK(allows("{" ANY "}"));
	CHECK(allows(
		"{" ANY ",'Condition':{'StringEquals':{'lambda:FunctionUrlAuthType':'NONE'}}}"));
	CHECK(allows("{" ANY ",'Condition':{'Bool':{'lambda:InvokedViaFunctionUrl':'true'}}}"));
	CHECK(!allows("{" ANY ",'Condition':{'Bool':{'lambda:InvokedViaFunctionUrl':'false'}}}"));
	CHECK(!allows("{" ANY ",'Condition':{'StringEquals':{'aws:PrincipalOrgID':'o-1'}}}"));
	CHECK(!allows("{" ANY ",'Condition':{'StringLike':{'lambda:FunctionUrlAuthType':'*'}}}"));
	CHECK(!allows(
		"{" ANY ",'Condition':{'StringEquals':{'lambda:FunctionUrlAuthType':['NONE']}}}"));
	CHECK(!allows("{'Effect':'Deny','Principal':'*','Action':'*'}"));
	CHECK(!allows("{'Effect':'Allow','Principal':{'Federated':'*'},'Action':'*'}"));
	CHECK(!allows("{}"));
	CHECK(!lambda_policy_allows(NULL, &public_url));
}

TESTS(TEST(test_a_public_url_needs_a_statement_that_says_so),
	TEST(test_a_service_needs_the_source_and_the_account_that_are_named),
	TEST(test_what_is_not_understood_allows_nothing))
