/* The words of broken constraints, as AWS was recorded to say them. */
#include "aws/constraints.h"
#include "aws/test_zoo.h"
#include "base/test.h"

#include <stdlib.h>

static struct buf message;

static const struct aws_shape *input_of(const struct aws_service *service, str operation)
{
	return aws_operation_find(service, operation)->input;
}

/* What is said of this input (JSON with ' for "). */
static str said(const struct aws_shape *input, const char *text)
{
	struct buf json;

	buf_init(&json, 1 << 20);
	for (; *text; text++)
		buf_put_char(&json, *text == '\'' ? '"' : *text);
	json_t *in = json_loadb(json.at, json.len, 0, NULL);
	CHECK(in);
	buf_clear(&message);
	int r = constraints_check(input, in, NULL, &message);
	CHECK(r == (message.len ? CONSTRAINTS_BROKEN : CONSTRAINTS_MET));
	json_decref(in);
	buf_done(&json);
	return buf_str(&message);
}

#define ADD(text)                                                  \
	said(input_of(&aws_service_test_restjson, S("AddAnimal")), \
		"{'Zoo':'z','Name':'a','Kind':'bear'" text "}")
#define LAMBDA(operation, text) said(input_of(&aws_service_lambda, S(operation)), text)
#define ONE(rest)		S("1 validation error detected: " rest)
#define ROLE			"'FunctionName':'f','Role':'arn:aws:iam::123456789012:role/r','Code':{}"

static void test_nothing_is_said_of_a_good_input(void)
{
	buf_init(&message, 1 << 20);
	CHECK_STR(ADD(""), S(""));
	CHECK_STR(
		ADD(",'Age':1,'Weight':1,'Kinds':['bear','fish'],'Shares':{'1':0.5},'Tags':[{'Key':'k'}]"),
		S(""));
	CHECK_STR(
		ADD(",'Keeper':{'Name':'n','Helper':{'Name':'m'}},'Anything':{'x':[null]},'Loose':[null,'1']"),
		S(""));
	buf_done(&message);
}

static void test_a_required_member_must_not_be_null(void)
{
	buf_init(&message, 1 << 20);
	CHECK_STR(LAMBDA("DeleteFunction", "{}"),
		ONE("Value null at 'functionName' failed to satisfy constraint: Member must not be null"));
	CHECK_STR(ADD(",'Tags':[{},{'Key':'k'}],'Keeper':{}"),
		S("2 validation errors detected: Value null at 'tags.1.member.key' failed to satisfy "
		  "constraint: Member must not be null; Value null at 'keeper.name' failed to satisfy "
		  "constraint: Member must not be null"));
	buf_done(&message);
}

static void test_a_text_must_fit_its_pattern(void)
{
	buf_init(&message, 1 << 20);
	CHECK_STR(LAMBDA("CreateFunction", "{'FunctionName':'f','Role':'r1','Code':{}}"),
		ONE("Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular "
		    "expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"));
	CHECK_STR(LAMBDA("CreateAlias", "{'FunctionName':'f','Name':'2024','FunctionVersion':'1'}"),
		ONE("Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular "
		    "expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"));
	buf_done(&message);
}

static void test_lengths_and_values_have_bounds(void)
{
	buf_init(&message, 1 << 20);
	CHECK_STR(
		LAMBDA("PutProvisionedConcurrencyConfig",
			"{'FunctionName':'f','Qualifier':'1','ProvisionedConcurrentExecutions':0}"),
		ONE("Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member "
		    "must have value greater than or equal to 1"));
	CHECK_STR(said(input_of(&aws_service_logs, S("GetLogEvents")),
			  "{'logStreamName':'s','limit':10001}"),
		ONE("Value '10001' at 'limit' failed to satisfy constraint: Member must have value less "
		    "than or equal to 10000"));
	CHECK_STR(LAMBDA("CreateFunction", "{" ROLE ",'Architectures':['x86_64','arm64']}"),
		ONE("Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must "
		    "have length less than or equal to 1"));
	CHECK_STR(ADD(",'Weight':1.5"),
		ONE("Value '1.5' at 'weight' failed to satisfy constraint: Member must have value less "
		    "than or equal to 1.0"));
	/* Characters are counted, not bytes. */
	CHECK_STR(ADD(",'Secret':'\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9'"), S(""));
	buf_done(&message);
}

static void test_one_of_a_set_must_be_given(void)
{
	buf_init(&message, 1 << 20);
	CHECK_STR(LAMBDA("CreateFunction", "{" ROLE ",'SnapStart':{'ApplyOn':'invalidOption'}}"),
		ONE("Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy constraint: Member "
		    "must satisfy enum value set: [PublishedVersions, None]"));
	CHECK_STR(LAMBDA("CreateEventSourceMapping",
			  "{'FunctionName':'f','StartingPosition':'invalid'}"),
		ONE("Value 'invalid' at 'startingPosition' failed to satisfy constraint: Member must "
		    "satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]"));
	CHECK_STR(LAMBDA("ListFunctions", "{'FunctionVersion':'invalid'}"),
		ONE("Value 'invalid' at 'functionVersion' failed to satisfy constraint: Member must "
		    "satisfy enum value set: [ALL]"));
	buf_done(&message);
}

static void test_elements_of_a_list_are_told_together(void)
{
	buf_init(&message, 1 << 20);
	CHECK_STR(LAMBDA("CreateFunction", "{" ROLE ",'Architectures':['X86_64']}"),
		ONE("Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy "
		    "constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be "
		    "null]"));
	CHECK_STR(LAMBDA("CreateFunction", "{" ROLE ",'VpcConfig':{'SubnetIds':['x']}}"),
		ONE("Value '[x]' at 'vpcConfig.subnetIds' failed to satisfy constraint: Member must "
		    "satisfy constraint: [Member must have length less than or equal to 1024, Member must "
		    "have length greater than or equal to 0, Member must satisfy regular expression "
		    "pattern: subnet-[0-9a-z]*]"));
	CHECK_STR(LAMBDA("CreateFunction", "{" ROLE ",'Layers':['l']}"),
		ONE("Value '[l]' at 'layers' failed to satisfy constraint: Member must satisfy "
		    "constraint: [Member must have length less than or equal to 2048, Member must have "
		    "length greater than or equal to 1, Member must satisfy regular expression pattern: "
		    "(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:"
		    "\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:"
		    "[a-zA-Z0-9-_]+), Member must not be null]"));
	CHECK_STR(ADD(",'Kinds':['bear',null]"),
		ONE("Value '[bear, null]' at 'kinds' failed to satisfy constraint: Member must satisfy "
		    "constraint: [Member must satisfy enum value set: [bear, bird, fish], Member must not "
		    "be null]"));
	buf_done(&message);
}

#define ALIAS(weights)                                                                                                      \
	LAMBDA("CreateAlias",                                                                                               \
		"{'FunctionName':'f','Name':'a','FunctionVersion':'1','RoutingConfig':{'AdditionalVersionWeights':" weights \
		"}}")
#define AT_WEIGHTS "at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: "

static void test_keys_and_values_of_a_map_are_told_together(void)
{
	buf_init(&message, 1 << 20);
	CHECK_STR(ALIAS("{'2':2.0}"),
		ONE("Value '{2=2.0}' " AT_WEIGHTS
		    "Map value must satisfy constraint: [Member must have "
		    "value less than or equal to 1.0, Member must have value greater than or equal to "
		    "0.0, Member must not be null]"));
	CHECK_STR(ALIAS("{'2':-1.0}"),
		ONE("Value '{2=-1.0}' " AT_WEIGHTS
		    "Map value must satisfy constraint: [Member must have "
		    "value less than or equal to 1.0, Member must have value greater than or equal to "
		    "0.0, Member must not be null]"));
	CHECK_STR(ALIAS("{'$LATEST':0.5}"),
		ONE("Value '{$LATEST=0.5}' " AT_WEIGHTS
		    "Map keys must satisfy constraint: [Member must "
		    "have length less than or equal to 1024, Member must have length greater than or "
		    "equal to 1, Member must satisfy regular expression pattern: [0-9]+]"));
	buf_done(&message);
}

static void test_structures_are_printed_as_java_prints_them(void)
{
	buf_init(&message, 1 << 20);
	CHECK_STR(ADD(",'Tags':[{'Key':'a','Value':'1'},{'Key':'b'},{'Key':'c'}]"),
		ONE("Value '[Tag(key=a, value=1), Tag(key=b, value=null), Tag(key=c, value=null)]' at "
		    "'tags' failed to satisfy constraint: Member must have length less than or equal to "
		    "2"));
	buf_done(&message);
}

static void test_sensitive_values_are_not_told(void)
{
	buf_init(&message, 1 << 20);
	CHECK_STR(ADD(",'Secret':'short'"),
		ONE("Value at 'secret' failed to satisfy constraint: Member must have length greater than "
		    "or equal to 6"));
	buf_done(&message);
}

/* CreateConnection: "2 validation errors …": the pattern first, then the length; members in order. */
static void test_several_errors_come_in_aws_order(void)
{
	buf_init(&message, 1 << 20);
	CHECK_STR(said(input_of(&aws_service_test_restjson, S("AddAnimal")),
			  "{'Zoo':'z','Name':'Not a name','Kind':'tree','KMSKey':''}"),
		S("5 validation errors detected: Value 'Not a name' at 'name' failed to satisfy "
		  "constraint: Member must satisfy regular expression pattern: [a-z]+(-\\d+)?; Value 'Not "
		  "a name' at 'name' failed to satisfy constraint: Member must have length less than or "
		  "equal to 8; Value 'tree' at 'kind' failed to satisfy constraint: Member must satisfy "
		  "enum value set: [bear, bird, fish]; Value '' at 'kMSKey' failed to satisfy constraint: "
		  "Member must satisfy regular expression pattern: [a-z]+(-\\d+)?; Value '' at 'kMSKey' "
		  "failed to satisfy constraint: Member must have length greater than or equal to 1"));
	buf_done(&message);
}

static void test_a_member_that_is_elsewhere_counts_as_given(void)
{
	const struct aws_shape *input = input_of(&aws_service_test_restjson, S("Feed"));
	json_t *in = json_pack("{s:s}", "Zoo", "z");

	buf_init(&message, 1 << 20);
	CHECK(constraints_check(input, in, NULL, &message) == CONSTRAINTS_BROKEN);
	CHECK(constraints_check(input, in, aws_member_find(input, S("Food")), &message) ==
		CONSTRAINTS_MET);
	json_decref(in);
	buf_done(&message);
}

static void test_a_flood_of_errors_stays_bounded(void)
{
	const struct aws_shape *input = input_of(&aws_service_test_restjson, S("AddAnimal"));
	json_t *in = json_pack("{s:s, s:s, s:s}", "Zoo", "z", "Name", "a", "Kind", "bear");
	json_t *parents = json_array();

	for (int i = 0; i < 100'000; i++)
		(void)json_array_append_new(parents, json_pack("{s:s}", "Name", "NO"));
	(void)json_object_set_new(in, "Parents", parents);
	buf_init(&message, 1 << 20);
	CHECK(constraints_check(input, in, NULL, &message) == CONSTRAINTS_BROKEN);
	CHECK(str_starts(buf_str(&message), S("100 validation errors detected: ")));
	CHECK(message.len <= 70'000);
	json_decref(in);
	buf_done(&message);
}

TESTS(TEST(test_nothing_is_said_of_a_good_input), TEST(test_a_required_member_must_not_be_null),
	TEST(test_a_text_must_fit_its_pattern), TEST(test_lengths_and_values_have_bounds),
	TEST(test_one_of_a_set_must_be_given), TEST(test_elements_of_a_list_are_told_together),
	TEST(test_keys_and_values_of_a_map_are_told_together),
	TEST(test_structures_are_printed_as_java_prints_them),
	TEST(test_sensitive_values_are_not_told), TEST(test_several_errors_come_in_aws_order),
	TEST(test_a_member_that_is_elsewhere_counts_as_given),
	TEST(test_a_flood_of_errors_stays_bounded))
