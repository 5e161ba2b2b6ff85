#include "base/test.h"
#include "services/lambda/operations.h"
#include "services/lambda/test_world.h"

#include <stdio.h>
#include <string.h>

#define ARN	"arn:aws:lambda:us-east-1:123456789012:function:"
#define BUCKET	"arn:aws:s3:::bucket"
#define MISSING "The resource you requested does not exist."

static struct answer add(struct world *world, const char *name, const char *qualifier,
	const char *sid, const char *principal, const char *member, const char *value)
{
	return world_call(world, lambda_add_permission, "AddPermission",
		"{s:s,s:s*,s:s,s:s,s:s,s:s*}", "FunctionName", name, "Qualifier", qualifier,
		"StatementId", sid, "Action",
		member && strcmp(member, "FunctionUrlAuthType") == 0 ? "lambda:InvokeFunctionUrl"
								     : "lambda:InvokeFunction",
		"Principal", principal, member ? member : "SourceArn", value);
}

static struct answer get(struct world *world, const char *name, const char *qualifier)
{
	return world_call(world, lambda_get_policy, "GetPolicy", "{s:s,s:s*}", "FunctionName", name,
		"Qualifier", qualifier);
}

static struct answer take(struct world *world, const char *name, const char *qualifier,
	const char *sid, const char *revision)
{
	return world_call(world, lambda_remove_permission, "RemovePermission",
		"{s:s,s:s*,s:s,s:s*}", "FunctionName", name, "Qualifier", qualifier, "StatementId",
		sid, "RevisionId", revision);
}

static void test_statements_for_every_kind_of_principal(void)
{
	static const struct {
		const char *principal, *member, *value, *statement;
	} rows[] = {
		{ "s3.amazonaws.com", "SourceArn", BUCKET,
			"{\"Sid\":\"x\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"s3.amazonaws.com\"},"
			"\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"" ARN
			"fn\",\"Condition\":{"
			"\"ArnLike\":{\"AWS:SourceArn\":\"" BUCKET "\"}}}" },
		{ "*", "SourceAccount", "123456789012",
			"{\"Sid\":\"x\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"
			"\"lambda:InvokeFunction\",\"Resource\":\"" ARN
			"fn\",\"Condition\":{\"StringEquals\":{"
			"\"AWS:SourceAccount\":\"123456789012\"}}}" },
		{ "210987654321", NULL, NULL,
			"{\"Sid\":\"x\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
			"\"arn:aws:iam::210987654321:root\"},\"Action\":\"lambda:InvokeFunction\",\"Resource\":"
			"\"" ARN "fn\"}" },
		{ "arn:aws:iam::210987654321:user/me", NULL, NULL,
			"{\"Sid\":\"x\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
			"\"arn:aws:iam::210987654321:user/me\"},\"Action\":\"lambda:InvokeFunction\","
			"\"Resource\":\"" ARN "fn\"}" },
		{ "alexa-appkit.amazon.com", "EventSourceToken", "amzn1.ask.skill.x",
			"{\"Sid\":\"x\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":"
			"\"alexa-appkit.amazon.com\"},\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"" ARN
			"fn\",\"Condition\":{\"StringEquals\":{\"lambda:EventSourceToken\":"
			"\"amzn1.ask.skill.x\"}}}" },
		{ "*", "FunctionUrlAuthType", "NONE",
			"{\"Sid\":\"x\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"
			"\"lambda:InvokeFunctionUrl\",\"Resource\":\"" ARN "fn\",\"Condition\":{"
			"\"StringEquals\":{\"lambda:FunctionUrlAuthType\":\"NONE\"}}}" },
	};
	struct world *world = world_new();

	world_create(world, "fn");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer got = add(
			world, "fn", NULL, "x", rows[i].principal, rows[i].member, rows[i].value);
		CHECK_OK(got);
		CHECK_STR(answer_text(&got, "Statement"), str_of(rows[i].statement));
		CHECK_OK(take(world, "fn", NULL, "x", NULL));
	}
	world_free(world);
}

static void test_all_conditions_at_once(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	struct answer got = world_call(world, lambda_add_permission, "AddPermission",
		"{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "FunctionName", "fn", "StatementId", "url",
		"Action", "lambda:InvokeFunctionUrl", "Principal", "*", "SourceArn", BUCKET,
		"SourceAccount", "123456789012", "FunctionUrlAuthType", "NONE",
		"InvokedViaFunctionUrl", 1);
	CHECK_OK(got);
	CHECK(str_ends(answer_text(&got, "Statement"),
		S("\"Condition\":{\"StringEquals\":{\"AWS:SourceAccount\":\"123456789012\","
		  "\"lambda:FunctionUrlAuthType\":\"NONE\"},"
		  "\"Bool\":{\"lambda:InvokedViaFunctionUrl\":\"true\"},"
		  "\"ArnLike\":{\"AWS:SourceArn\":\"" BUCKET "\"}}}")));
	got = world_call(world, lambda_add_permission, "AddPermission", "{s:s,s:s,s:s,s:s,s:s}",
		"FunctionName", "fn", "StatementId", "y", "Action", "lambda:InvokeFunction",
		"Principal", "*", "FunctionUrlAuthType", "NONE");
	CHECK_ERROR(got, 400, "InvalidParameterValueException",
		"FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action");
	CHECK_ERROR(add(world, "fn", NULL, "org", "*", "PrincipalOrgID", "o-1234567890"), 400,
		"InvalidParameterValueException",
		"PrincipalOrgID (AWS Organizations) is not available in mayfly yet.");
	world_free(world);
}

static void test_statements_come_and_go(void)
{
	struct world *world = world_new();
	char first[37], second[37];

	world_create(world, "fn");
	CHECK_OK(add(world, "fn", NULL, "s3", "s3.amazonaws.com", NULL, NULL));
	struct answer got = get(world, "fn", NULL);
	CHECK_STR(answer_text(&got, "Policy"),
		S("{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[{\"Sid\":\"s3\",\"Effect\":"
		  "\"Allow\",\"Principal\":{\"Service\":\"s3.amazonaws.com\"},\"Action\":"
		  "\"lambda:InvokeFunction\",\"Resource\":\"" ARN "fn\"}]}"));
	CHECK(str_to_array(answer_text(&got, "RevisionId"), first, sizeof(first)) == 0);
	CHECK_OK(add(world, "fn", NULL, "sqs", "sqs.amazonaws.com", "RevisionId", first));
	got = get(world, "fn", "$LATEST"); /* the function's own */
	CHECK(str_to_array(answer_text(&got, "RevisionId"), second, sizeof(second)) == 0);
	CHECK(strcmp(first, second) != 0);
	CHECK_ERROR(take(world, "fn", NULL, "none", NULL), 404, "ResourceNotFoundException",
		"Statement none is not found in resource policy.");
	CHECK_ERROR(take(world, "fn", NULL, "s3", first), 412, "PreconditionFailedException",
		"The Revision Id provided does not match the latest Revision Id. Call the "
		"GetFunction/GetAlias API to retrieve the latest Revision Id");
	CHECK_OK(take(world, "fn", NULL, "s3", second));
	got = get(world, "fn", NULL);
	CHECK(str_find_str(answer_text(&got, "Policy"), S("\"Sid\":\"s3\"")) < 0);
	CHECK_OK(take(world, "fn", NULL, "sqs", NULL));
	CHECK_ERROR(get(world, "fn", NULL), 404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(take(world, "fn", NULL, "sqs", NULL), 404, "ResourceNotFoundException",
		"No policy is associated with the given resource.");
	world_free(world);
}

static void test_each_qualifier_has_a_policy_of_its_own(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(world_call(
		world, lambda_publish_version, "PublishVersion", "{s:s}", "FunctionName", "fn"));
	CHECK_OK(world_call(world, lambda_create_alias, "CreateAlias", "{s:s,s:s,s:s}",
		"FunctionName", "fn", "Name", "live", "FunctionVersion", "1"));
	CHECK_OK(add(world, "fn", NULL, "s3", "s3.amazonaws.com", NULL, NULL));
	CHECK_ERROR(get(world, "fn", "1"), 404, "ResourceNotFoundException", MISSING);
	struct answer got = add(world, "fn", "1", "s3", "s3.amazonaws.com", NULL, NULL);
	CHECK(str_find_str(answer_text(&got, "Statement"), S("\"Resource\":\"" ARN "fn:1\"")) > 0);
	got = add(world, "fn:live", NULL, "s3", "s3.amazonaws.com", NULL, NULL);
	CHECK(str_find_str(answer_text(&got, "Statement"), S("\"Resource\":\"" ARN "fn:live\"")) >
		0);
	CHECK_OK(get(world, "fn", "live"));
	/* The policy dies with the alias, and is not inherited by the next of the name. */
	CHECK_OK(world_call(world, lambda_delete_alias, "DeleteAlias", "{s:s,s:s}", "FunctionName",
		"fn", "Name", "live"));
	CHECK_OK(world_call(world, lambda_create_alias, "CreateAlias", "{s:s,s:s,s:s}",
		"FunctionName", "fn", "Name", "live", "FunctionVersion", "1"));
	CHECK_ERROR(get(world, "fn", "live"), 404, "ResourceNotFoundException", MISSING);
	world_free(world);
}

static void test_what_the_operations_refuse(void)
{
	struct world *world = world_new();

	world_create(world, "fn");
	CHECK_OK(add(world, "fn", NULL, "s3", "s3.amazonaws.com", NULL, NULL));
	struct answer got = add(world, "fn", NULL, "s3", "s3.amazonaws.com", NULL, NULL);
	CHECK_ERROR(got, 409, "ResourceConflictException",
		"The statement id (s3) provided already exists. Please provide a new statement id, or remove "
		"the existing statement.");
	CHECK_ERROR(add(world, "fn", NULL, "x", "*", "RevisionId", "wrong"), 412,
		"PreconditionFailedException",
		"The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to "
		"retrieve the latest Revision Id");
	CHECK_ERROR(add(world, "fn", "no-alias", "x", "*", NULL, NULL), 404,
		"ResourceNotFoundException", "Cannot find alias arn: " ARN "fn:no-alias");
	CHECK_ERROR(add(world, "fn", "42", "x", "*", NULL, NULL), 404, "ResourceNotFoundException",
		"Function not found: " ARN "fn:42");
	CHECK_ERROR(add(world, "fn", "valid-with-$", "x", "*", NULL, NULL), 404,
		"ResourceNotFoundException", "Function not found: " ARN "fn:valid-with-$");
	CHECK_ERROR(add(world, "none", NULL, "x", "*", NULL, NULL), 404,
		"ResourceNotFoundException", "Function not found: " ARN "none");
	CHECK_ERROR(add(world, "fn", "$LATEST", "x", "*", NULL, NULL), 400,
		"InvalidParameterValueException",
		"We currently do not support adding policies for $LATEST.");
	CHECK_ERROR(add(world, "fn", NULL, "x", "invalid.nonaws.com", NULL, NULL), 400,
		"InvalidParameterValueException",
		"The provided principal was invalid. Please check the principal and try again.");
	CHECK(add(world, "fn", NULL, "x", "12345678901", NULL, NULL).result == CALL_ERROR);
	CHECK_ERROR(get(world, "none", NULL), 404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(get(world, "fn", "42"), 404, "ResourceNotFoundException", MISSING);
	CHECK_ERROR(take(world, "none", NULL, "s3", NULL), 404, "ResourceNotFoundException",
		"No policy found for: " ARN "none");
	CHECK_ERROR(take(world, "fn", "no-alias", "s3", NULL), 404, "ResourceNotFoundException",
		"Cannot find alias arn: " ARN "fn:no-alias");
	world_free(world);
}

static void test_a_policy_has_20_kb(void)
{
	struct world *world = world_new();
	char sid[32], bucket[240];
	int added = 0;

	memset(bucket, 'b', sizeof(bucket));
	memcpy(bucket, "arn:aws:s3:::", 13);
	bucket[sizeof(bucket) - 1] = 0;
	world_create(world, "fn");
	struct answer got = {};
	for (; added < 200; added++) {
		(void)snprintf(sid, sizeof(sid), "statement-%d", added);
		got = add(world, "fn", NULL, sid, "s3.amazonaws.com", "SourceArn", bucket);
		if (got.result)
			break;
	}
	CHECK(got.status == 400 && str_eq(got.code, S("PolicyLengthExceededException")));
	CHECK(str_starts(got.message, S("The final policy size (20")));
	CHECK(str_ends(got.message, S(") is bigger than the limit (20480).")));
	got = get(world, "fn", NULL);
	CHECK(answer_text(&got, "Policy").len <= 20480 && added > 30);
	world_free(world);
}

TESTS(TEST(test_statements_for_every_kind_of_principal), TEST(test_all_conditions_at_once),
	TEST(test_statements_come_and_go), TEST(test_each_qualifier_has_a_policy_of_its_own),
	TEST(test_what_the_operations_refuse), TEST(test_a_policy_has_20_kb))
