#include "model/policy.h"

#include "base/test.h"

#define BUCKET	"arn:aws:s3:::my-bucket"
#define ACCOUNT "123456789012"

static bool allows(struct policy_statement statement, struct policy_request request)
{
	return policy_statement_allows(&statement, &request);
}

static void test_a_service_is_let_through_by_its_name_only(void)
{
	const struct policy_statement s3 = { .kind = POLICY_SERVICE,
		.principal = S("s3.amazonaws.com"),
		.action = S("lambda:InvokeFunction") };
	struct policy_request request = { .action = S("lambda:InvokeFunction"),
		.service = S("s3.amazonaws.com") };

	CHECK(allows(s3, request));
	request.service = S("sns.amazonaws.com");
	CHECK(!allows(s3, request));
	request.service = S("");
	CHECK(!allows(s3, request));
	request.account = S(ACCOUNT);
	CHECK(!allows(s3, request));
}

static void test_an_account_is_all_its_identities_and_an_identity_is_one(void)
{
	struct policy_statement root = { .kind = POLICY_AWS,
		.principal = S("arn:aws:iam::" ACCOUNT ":root"),
		.action = S("lambda:GetLayerVersion") };
	struct policy_request request = { .action = S("lambda:GetLayerVersion"),
		.account = S(ACCOUNT),
		.identity = S("arn:aws:iam::" ACCOUNT ":user/me") };

	CHECK(allows(root, request));
	request.account = S("210987654321");
	CHECK(!allows(root, request));
	request.account = S("");
	CHECK(!allows(root, request));
	root.principal = S("arn:aws:iam::" ACCOUNT ":user/me");
	request.account = S(ACCOUNT);
	CHECK(allows(root, request));
	request.identity = S("arn:aws:iam::" ACCOUNT ":user/you");
	CHECK(!allows(root, request));
	request.identity = S("");
	CHECK(!allows(root, request));
	root.principal = S("root");
	CHECK(!allows(root, request));
	root.principal = S("*");
	root.kind = POLICY_NOBODY;
	CHECK(!allows(root, request));
	root.kind = POLICY_ANYBODY;
	CHECK(allows(root, request));
	CHECK(allows(root, (struct policy_request){ .action = S("lambda:GetLayerVersion") }));
}

static void test_a_role_is_all_its_sessions(void)
{
	static const struct {
		str principal;
		bool is_allowed;
	} rows[] = {
		{ S_INIT("arn:aws:iam::" ACCOUNT ":role/reader"), true },
		{ S_INIT("arn:aws:iam::" ACCOUNT ":role/a/b/reader"), true },
		{ S_INIT("arn:aws:iam::" ACCOUNT ":role/a/b/reader/"), false },
		{ S_INIT("arn:aws:iam::" ACCOUNT ":role/writer"), false },
		{ S_INIT("arn:aws:iam::" ACCOUNT ":user/reader"), false },
		{ S_INIT("arn:aws:iam::" ACCOUNT ":role"), false },
		{ S_INIT("arn:aws:iam::210987654321:role/reader"), false },
		{ S_INIT("arn:aws:sts::" ACCOUNT ":role/reader"), false },
		{ S_INIT("arn:aws:iam"), false },
		{ S_INIT("arn:aws:sts::" ACCOUNT ":assumed-role/reader/me"), true },
		{ S_INIT("arn:aws:sts::" ACCOUNT ":assumed-role/reader/you"), false },
	};
	struct policy_request request = { .action = S("lambda:InvokeFunction"),
		.account = S(ACCOUNT),
		.identity = S("arn:aws:sts::" ACCOUNT ":assumed-role/reader/me"),
		.role = S("reader") };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct policy_statement statement = { .kind = POLICY_AWS,
			.principal = rows[i].principal,
			.action = S("lambda:InvokeFunction") };
		CHECK(allows(statement, request) == rows[i].is_allowed);
	}
	request.role = S("");
	request.identity = S("");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		CHECK(!allows((struct policy_statement){ .kind = POLICY_AWS,
				      .principal = rows[i].principal,
				      .action = S("*") },
			request));
}

static void test_actions_have_wildcards_and_no_case(void)
{
	static const struct {
		str allowed, wanted;
		bool is_allowed;
	} rows[] = {
		{ S_INIT("lambda:InvokeFunction"), S_INIT("lambda:InvokeFunction"), true },
		{ S_INIT("lambda:invokefunction"), S_INIT("lambda:InvokeFunction"), true },
		{ S_INIT("lambda:InvokeFunction"), S_INIT("lambda:InvokeFunctionUrl"), false },
		{ S_INIT("lambda:*"), S_INIT("lambda:InvokeFunctionUrl"), true },
		{ S_INIT("lambda:*"), S_INIT("s3:GetObject"), false },
		{ S_INIT("*"), S_INIT("lambda:InvokeFunction"), true },
		{ S_INIT("lambda:Invoke*"), S_INIT("lambda:InvokeFunction"), false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		CHECK(allows((struct policy_statement){ .kind = POLICY_ANYBODY,
				     .action = rows[i].allowed },
			      (struct policy_request){ .action = rows[i].wanted }) ==
			rows[i].is_allowed);
}

static void test_all_conditions_must_be_met(void)
{
	struct policy_statement statement = { .kind = POLICY_ANYBODY, .action = S("*") };
	struct policy_request request = { .action = S("lambda:InvokeFunctionUrl") };

	statement.wanted[POLICY_URL_AUTH_TYPE] = S("NONE");
	CHECK(!allows(statement, request)); /* nothing is known */
	request.given[POLICY_URL_AUTH_TYPE] = S("AWS_IAM");
	CHECK(!allows(statement, request));
	request.given[POLICY_URL_AUTH_TYPE] = S("none");
	CHECK(!allows(statement, request));
	request.given[POLICY_URL_AUTH_TYPE] = S("NONE");
	CHECK(allows(statement, request));
	statement.wanted[POLICY_SOURCE_ACCOUNT] = S(ACCOUNT);
	CHECK(!allows(statement, request));
	request.given[POLICY_SOURCE_ACCOUNT] = S(ACCOUNT);
	CHECK(allows(statement, request));
	statement.wanted[POLICY_VIA_URL] = S("true");
	CHECK(!allows(statement, request));
	request.given[POLICY_VIA_URL] = S("True");
	CHECK(allows(statement, request));
	statement.wanted[POLICY_EVENT_TOKEN] = S("amzn1.ask");
	request.given[POLICY_EVENT_TOKEN] = S("");
	CHECK(!allows(statement, request));
	request.given[POLICY_EVENT_TOKEN] = S("amzn1.ask");
	CHECK(allows(statement, request));
	statement.wanted[POLICY_ORGANIZATION] = S("o-1234567890"); /* nobody's is known */
	CHECK(!allows(statement, request));
}

static void test_a_source_is_compared_part_by_part(void)
{
	static const struct {
		str arn, pattern;
		bool is_like;
	} rows[] = {
		{ S_INIT(BUCKET), S_INIT(BUCKET), true },
		{ S_INIT(BUCKET "2"), S_INIT(BUCKET), false },
		{ S_INIT(BUCKET), S_INIT(BUCKET "2"), false },
		{ S_INIT(BUCKET), S_INIT("arn:aws:s3:::*"), true },
		{ S_INIT(BUCKET), S_INIT("arn:aws:s3:::my-*t"), true },
		{ S_INIT(BUCKET), S_INIT("arn:aws:s3:::my?bucket"), true },
		{ S_INIT(BUCKET), S_INIT("arn:aws:s3:::?my-bucket"), false },
		{ S_INIT(BUCKET), S_INIT("arn:aws:*:::my-bucket"), true },
		{ S_INIT(BUCKET), S_INIT("arn:aws:*"),
			false }, /* a star does not cross a colon … */
		{ S_INIT("arn:aws:sns:eu-west-1:1:a"), S_INIT("arn:aws:sns:*:a"), false },
		{ S_INIT("arn:aws:events:eu-west-1:1:rule/a/b:c"),
			S_INIT("arn:aws:events:eu-west-1:1:rule/*"),
			true }, /* … but in the last part */
		{ S_INIT("arn:aws:s3:::"), S_INIT("arn:aws:s3:::*"), true },
		{ S_INIT("aaaaaaaaaa:b:c:d:e:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
			S_INIT("*:*:*:*:*:*a*a*a*a*a*a*a*a*a*a*a*c"), false },
		{ S_INIT(""), S_INIT(""), false },
		{ S_INIT("*"), S_INIT("*"), false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		CHECK(policy_arn_is_like(rows[i].arn, rows[i].pattern) == rows[i].is_like);
}

TESTS(TEST(test_a_service_is_let_through_by_its_name_only),
	TEST(test_an_account_is_all_its_identities_and_an_identity_is_one),
	TEST(test_a_role_is_all_its_sessions), TEST(test_actions_have_wildcards_and_no_case),
	TEST(test_all_conditions_must_be_met), TEST(test_a_source_is_compared_part_by_part))
