/* Which operation a method and a path name. */
#include "aws/test_zoo.h"
#include "base/test.h"

/* The operation's name, or empty. */
static str routed(const struct aws_service *service, const char *head, struct route *ret_route)
{
	struct http_head parsed;
	size_t used;

	if (http_parse_request(str_of(head), 0, &parsed, &used) != HTTP_PARSED ||
		!route_find(service, &parsed, ret_route, NULL))
		return S("");
	return ret_route->operation->name;
}

#define HEAD(line)   line " HTTP/1.1\r\nHost: x\r\n\r\n"
#define LAMBDA(line) routed(&aws_service_lambda, HEAD(line), &route)
#define ZOO(line)    routed(&aws_service_test_restjson, HEAD(line), &route)
#define SHED(line)   routed(&aws_service_test_restxml, HEAD(line), &route)
#define LABEL(name)  route_label(&route, S(name))

static void test_every_operation_of_lambda_is_reached_by_its_own_uri(void)
{
	const struct aws_service *service = &aws_service_lambda;

	for (size_t i = 0; i < service->operation_count; i++) {
		const struct aws_operation *operation = &service->operations[i];
		struct http_head head = { .method = operation->method, .path = operation->uri };
		struct route route;
		str path = operation->uri;
		if (str_cut(&path, '?', &head.path))
			head.query = path;
		bool is_found = route_find(service, &head, &route, NULL);
		CHECK(is_found && route.operation == operation);
	}
}

static void test_labels_are_views_of_the_path(void)
{
	struct route route;

	CHECK_STR(LAMBDA("GET /2015-03-31/functions/hello/configuration"),
		S("GetFunctionConfiguration"));
	CHECK_STR(LABEL("FunctionName"), S("hello"));
	CHECK_STR(LAMBDA("POST /2015-03-31/functions/arn%3Aaws/aliases"), S("CreateAlias"));
	CHECK_STR(LABEL("FunctionName"), S("arn%3Aaws"));
	CHECK(!LABEL("Name").at);
	CHECK_STR(LAMBDA("PUT /2015-03-31/functions/f/aliases/live"), S("UpdateAlias"));
	CHECK_STR(LABEL("Name"), S("live"));
}

static void test_a_slash_at_the_end_does_not_matter(void)
{
	struct route route;

	CHECK_STR(LAMBDA("GET /2015-03-31/functions"), S("ListFunctions"));
	CHECK_STR(LAMBDA("GET /2015-03-31/functions/"), S("ListFunctions"));
	CHECK_STR(LAMBDA("GET /2015-03-31/functions/x/"), S("GetFunction"));
	CHECK_STR(ZOO("GET /2030-01-01/zoos/z/animals"), S("ListAnimals"));
}

static void test_the_more_literal_operation_wins(void)
{
	struct route route;

	CHECK_STR(ZOO("GET /2030-01-01/zoos/z/animals/count"), S("CountAnimals"));
	CHECK_STR(ZOO("GET /2030-01-01/zoos/z/animals/ant"), S("GetAnimal"));
}

static void test_what_matches_nothing_is_nothing(void)
{
	struct route route;

	CHECK_STR(ZOO("PUT /2030-01-01/zoos/z/animals/ant"), S(""));
	CHECK_STR(ZOO("GET /2030-01-01/zoos//animals/ant"), S(""));
	CHECK_STR(ZOO("GET /2030-01-01/zoos/z/animals/ant/legs"), S(""));
	CHECK_STR(ZOO("GET /"), S(""));
	CHECK_STR(ZOO("GET /2030-01-01"), S(""));
	CHECK_STR(LAMBDA("OPTIONS *"), S(""));
}

static void test_a_greedy_label_takes_slashes(void)
{
	struct route route;

	CHECK_STR(SHED("PUT /a/b/c%2Fd/e/"), S("PutTool"));
	CHECK_STR(LABEL("Shelf"), S("a"));
	CHECK_STR(LABEL("Key"), S("b/c%2Fd/e/"));
	CHECK_STR(SHED("PUT /a/"), S(""));
}

static void test_fixed_and_required_parameters_decide(void)
{
	struct route route;

	CHECK_STR(SHED("GET /a"), S("GetShelf"));
	CHECK_STR(SHED("GET /a?rules"), S("GetRules"));
	CHECK_STR(SHED("GET /a?rules=&x=1"), S("GetRules"));
	CHECK_STR(SHED("PUT /a?rules"), S("PutRules"));
	CHECK_STR(SHED("PUT /a"), S(""));
	CHECK_STR(SHED("PUT /a/k?part=2"), S("PutPart"));
	CHECK_STR(SHED("PUT /a/k?parts=2"), S("PutTool"));
}

TESTS(TEST(test_every_operation_of_lambda_is_reached_by_its_own_uri),
	TEST(test_labels_are_views_of_the_path), TEST(test_a_slash_at_the_end_does_not_matter),
	TEST(test_the_more_literal_operation_wins), TEST(test_what_matches_nothing_is_nothing),
	TEST(test_a_greedy_label_takes_slashes), TEST(test_fixed_and_required_parameters_decide))
