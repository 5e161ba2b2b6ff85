#include "model/arn.h"

#include "base/attr.h"
#include "base/test.h"

#include <errno.h>
#include <string.h>

static void check_form(const char *text, const char *account, const char *region, const char *name,
	const char *qualifier)
{
	struct function_name parsed = {};

	CHECK(function_name_parse(str_of(text), &parsed) == 0);
	CHECK_STR(parsed.account, str_of(account));
	CHECK_STR(parsed.region, str_of(region));
	CHECK_STR(parsed.name, str_of(name));
	CHECK_STR(parsed.qualifier, str_of(qualifier));
}

static void test_every_form_of_a_name_is_taken_apart(void)
{
	check_form("fn", "", "", "fn", "");
	check_form("fn:live", "", "", "fn", "live");
	check_form("fn:$LATEST", "", "", "fn", "$LATEST");
	check_form("function:fn", "", "", "fn", "");
	check_form("function:fn:7", "", "", "fn", "7");
	check_form("123456789012:fn", "123456789012", "", "fn", "");
	check_form("123456789012:function:fn:7", "123456789012", "", "fn", "7");
	check_form("us-east-1:123456789012:function:fn", "123456789012", "us-east-1", "fn", "");
	check_form("arn:aws:lambda:us-east-1:123456789012:function:fn", "123456789012", "us-east-1",
		"fn", "");
	check_form("arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:a.b_c-d:$LATEST",
		"123456789012", "us-gov-west-1", "a.b_c-d", "$LATEST");
	check_form("arn:aws:lambda:eusc-de-east-1:123456789012:function:fn:x", "123456789012",
		"eusc-de-east-1", "fn", "x");
	check_form("arn:aws-iso-b:lambda:us-isob-east-1:123456789012:function:fn", "123456789012",
		"us-isob-east-1", "fn", "");
}

static void test_groups_that_would_leave_no_name_are_the_name(void)
{
	check_form("function", "", "", "function", "");
	check_form("arn:aws:lambda:us-east-1:123456789012:function", "123456789012", "us-east-1",
		"function", "");
	check_form("123456789012", "", "", "123456789012", "");
	check_form("us-east-1", "", "", "us-east-1", "");
	check_form("function:function:function", "", "", "function", "function");
	check_form("my-fn-1:live", "", "", "my-fn-1", "live");
}

static void test_what_is_no_name_is_refused(void)
{
	static const char *const bad[] = {
		"",
		":",
		"fn:",
		":fn",
		"fn:a:b",
		"*",
		"fn!",
		"fn:x!",
		"arn:aws:lambda",
		"arn:aws:lambda:",
		"arn:aws:ec2:us-east-1:123456789012:instance:i-1",
		"arn:aws:lambda::123456789012:function:fn",
		"arn:aws:lambda:us-east-1::function:fn",
		"arn:aws:lambda:invalid-region:123456789012:function:fn",
		"function:fn:$LATEST:extra",
		"invalid-account:function:fn",
		"fn:$latest",
		"fn:$LATES",
		"fn:a$b",
	};
	struct function_name untouched = { .name = S("x") };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK(function_name_parse(str_of(bad[i]), &untouched) == -EINVAL);
		CHECK_STR(untouched.name, S("x"));
	}
}

static void test_every_prefix_of_an_arn_is_answered_without_reading_beyond_it(void)
{
	str whole = S("arn:aws:lambda:us-east-1:123456789012:function:name:$LATEST");

	for (size_t len = 0; len <= whole.len; len++) {
		struct function_name parsed = {};
		str part = { whole.at, len };
		if (function_name_parse(part, &parsed) < 0)
			continue;
		CHECK(parsed.name.len > 0 && parsed.name.at >= part.at);
		CHECK(parsed.name.at + parsed.name.len <= part.at + part.len);
	}
}

static void test_qualifiers_are_told_apart(void)
{
	CHECK(qualifier_kind(S("")) == QUALIFIER_LATEST);
	CHECK(qualifier_kind(S("$LATEST")) == QUALIFIER_LATEST);
	CHECK(qualifier_kind(S("7")) == QUALIFIER_VERSION);
	CHECK(qualifier_kind(S("live")) == QUALIFIER_ALIAS);
	CHECK(qualifier_kind(S("2024-01-02")) == QUALIFIER_ALIAS);
	CHECK(qualifier_kind(S("$latest")) == QUALIFIER_ALIAS);
	CHECK(qualifier_kind(S("a b")) == QUALIFIER_BAD);
	CHECK(qualifier_kind(S("a.b")) == QUALIFIER_BAD);
}

static void test_partitions_follow_the_region(void)
{
	CHECK_STR(arn_partition(S("eu-central-1")), S("aws"));
	CHECK_STR(arn_partition(S("cn-north-1")), S("aws-cn"));
	CHECK_STR(arn_partition(S("us-gov-west-1")), S("aws-us-gov"));
}

#define LAYER "arn:aws:lambda:us-east-1:123456789012:layer:"

static void test_names_of_layers(void)
{
	struct layer_name name;

	CHECK(layer_name_parse(S(LAYER "lib:7"), &name) == 0);
	CHECK_STR(name.region, S("us-east-1"));
	CHECK_STR(name.account, S("123456789012"));
	CHECK_STR(name.name, S("lib"));
	CHECK_STR(name.version, S("7"));
	CHECK(layer_name_parse(S(LAYER "lib"), &name) == 0 && name.version.len == 0);
	CHECK(layer_name_parse(S(LAYER), &name) < 0);
	CHECK(layer_name_parse(S("lib"), &name) < 0);
	CHECK(layer_name_parse(S(""), &name) < 0);
	CHECK(layer_name_parse(S("arn:aws:lambda:::awslayer:x"), &name) < 0);
	CHECK(layer_name_parse(S("arn:aws:lambda:us-east-1:123456789012:function:x"), &name) < 0);
}

TESTS(TEST(test_every_form_of_a_name_is_taken_apart),
	TEST(test_groups_that_would_leave_no_name_are_the_name),
	TEST(test_what_is_no_name_is_refused),
	TEST(test_every_prefix_of_an_arn_is_answered_without_reading_beyond_it),
	TEST(test_qualifiers_are_told_apart), TEST(test_partitions_follow_the_region),
	TEST(test_names_of_layers))
