/* The tables that tools/modelgen writes: whole, sorted, and with patterns that compile. */
#include "aws/pattern.h"
#include "aws/test_zoo.h"
#include "base/test.h"

static const struct aws_service *const services[] = { &aws_service_iam, &aws_service_lambda,
	&aws_service_logs, &aws_service_sts };

#define EACH_SERVICE(service)                                                     \
	for (size_t at_ = 0; at_ < sizeof(services) / sizeof(services[0]); at_++) \
		for (const struct aws_service *service = services[at_]; service; service = NULL)

static void test_every_operation_is_found_by_its_name(void)
{
	EACH_SERVICE(service)
	{
		CHECK(service->operation_count > 10);
		for (size_t i = 0; i < service->operation_count; i++) {
			const struct aws_operation *operation = &service->operations[i];
			CHECK(aws_operation_find(service, operation->name) == operation);
		}
	}
	CHECK(!aws_operation_find(&aws_service_lambda, S("")));
	CHECK(!aws_operation_find(&aws_service_lambda, S("createFunction")));
	CHECK(!aws_operation_find(&aws_service_lambda, S("ZZZ")));
}

static void test_every_pattern_compiles(void)
{
	size_t count = 0;

	EACH_SERVICE(service)
	{
		for (size_t i = 0; i < service->shape_count; i++) {
			const struct aws_shape *shape = &service->shapes[i];
			if (!shape->pattern.len)
				continue;
			count++;
			if (pattern_match(shape, S("x")) < 0) {
				fprintf(stderr, "  pattern of " STR_FMT "\n", STR_ARG(shape->name));
				FAIL("a pattern does not compile");
			}
		}
	}
	CHECK(count > 100);
}

static const struct aws_shape *shape_of(const struct aws_service *service, str name)
{
	for (size_t i = 0; i < service->shape_count; i++) {
		if (str_eq(service->shapes[i].name, name))
			return &service->shapes[i];
	}
	return NULL;
}

static void test_a_pattern_matches_the_whole_text(void)
{
	const struct aws_shape *role = shape_of(&aws_service_lambda, S("RoleArn"));
	const struct aws_shape *digits = shape_of(&aws_service_test_restjson, S("Digits"));

	CHECK(pattern_match(role, S("arn:aws:iam::123456789012:role/any")) == PATTERN_MATCHES);
	CHECK(pattern_match(role, S("arn:aws:iam::12345678901:role/any")) == PATTERN_DIFFERS);
	CHECK(pattern_match(digits, S("12")) == PATTERN_MATCHES);
	CHECK(pattern_match(digits, S("12\n")) == PATTERN_DIFFERS);
	CHECK(pattern_match(digits, S("12a")) == PATTERN_DIFFERS);
	CHECK(pattern_match(digits, S("a12")) == PATTERN_DIFFERS);
	CHECK(pattern_match(digits, S("")) == PATTERN_DIFFERS);
}

/* IAM's texts: "[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*" of the model. */
static void test_java_escapes_of_patterns_are_understood(void)
{
	const struct aws_shape *text = shape_of(&aws_service_iam, S("roleDescriptionType"));

	CHECK(text && text->regex.len && str_find_str(text->pattern, S("\\u00A1")) >= 0);
	CHECK(pattern_match(text, S("tab\tand \xc3\xa9")) == PATTERN_MATCHES);
	CHECK(pattern_match(text, S("euro \xe2\x82\xac")) == PATTERN_DIFFERS);
	CHECK(pattern_match(text, S("bell \x07")) == PATTERN_DIFFERS);
}

static void test_a_pattern_gives_up_on_a_text_that_takes_too_long(void)
{
	static _Atomic(void *) compiled;
	const struct aws_shape shape = { .name = S_INIT("Slow"),
		.kind = AWS_STRING,
		.pattern = S_INIT("(a*)*(b*)*(a*)*c"),
		.compiled = &compiled };

	CHECK(pattern_match(&shape, S("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")) ==
		PATTERN_DIFFERS);
}

static void test_errors_are_found_by_name_and_have_a_status(void)
{
	const struct aws_shape *error = aws_error_find(
		&aws_service_lambda, S("ResourceNotFoundException"));

	CHECK(error && error->status == 404 && !error->is_fault);
	error = aws_error_find(&aws_service_lambda, S("ServiceException"));
	CHECK(error && error->status == 500);
	error = aws_error_find(&aws_service_iam, S("NoSuchEntityException"));
	CHECK(error && error->status == 404);
	CHECK_STR(error->error_code, S("NoSuchEntity"));
	CHECK(aws_error_find(&aws_service_iam, S("NoSuchEntity")) == error);
	CHECK(!aws_error_find(&aws_service_iam, S("CreateRole")));
}

static void test_the_catalog_is_sorted_and_knows_what_is_not_built(void)
{
	bool has_s3 = false, has_dynamodb = false;

	CHECK(aws_catalog_count > 300);
	for (size_t i = 0; i < aws_catalog_count; i++) {
		const struct aws_catalog_row *row = &aws_catalog[i];
		CHECK(i == 0 || str_cmp(aws_catalog[i - 1].name, row->name) < 0);
		CHECK(row->signing_name.len > 0);
		has_s3 |= str_eq(row->name, S("s3")) && row->protocol == AWS_REST_XML;
		has_dynamodb |= str_eq(row->name, S("dynamodb")) &&
			str_eq(row->target_prefix, S("DynamoDB_20120810"));
	}
	CHECK(has_s3 && has_dynamodb);
}

static void test_facts_change_the_tables(void)
{
	const struct aws_operation *create = aws_operation_find(
		&aws_service_lambda, S("CreateFunction"));
	const struct aws_operation *layers = aws_operation_find(
		&aws_service_lambda, S("ListLayers"));

	/* CreateFunction words an unknown runtime itself; ListLayers does not. */
	CHECK(aws_member_find(create->input, S("Runtime"))->shape->enum_count == 0);
	CHECK(aws_member_find(layers->input, S("CompatibleRuntime"))->shape->enum_count > 20);
}

TESTS(TEST(test_every_operation_is_found_by_its_name), TEST(test_every_pattern_compiles),
	TEST(test_a_pattern_matches_the_whole_text),
	TEST(test_java_escapes_of_patterns_are_understood),
	TEST(test_a_pattern_gives_up_on_a_text_that_takes_too_long),
	TEST(test_errors_are_found_by_name_and_have_a_status),
	TEST(test_the_catalog_is_sorted_and_knows_what_is_not_built),
	TEST(test_facts_change_the_tables))
