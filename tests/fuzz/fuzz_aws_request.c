/*
 * Whole requests to services: routes, decoding in every protocol, constraints. The first byte chooses the service, the
 * second the operation where no path does; then come the head and the body. A decoded tree means what the
 * model says, so decoding it once more finds the same.
 */
#include "fuzz.h"

#include "aws/decode.h"

#include <errno.h>

extern const struct aws_service aws_service_lambda, aws_service_logs, aws_service_iam;
extern const struct aws_service aws_service_test_restjson, aws_service_test_json;
extern const struct aws_service aws_service_test_query, aws_service_test_restxml;

static const struct aws_service *const services[] = {
	&aws_service_lambda,
	&aws_service_logs,
	&aws_service_iam,
	&aws_service_test_restjson,
	&aws_service_test_json,
	&aws_service_test_query,
	&aws_service_test_restxml,
};
enum { SERVICES = sizeof(services) / sizeof(services[0]) };

static struct http_head head;

static bool find_operation(
	const struct aws_service *service, uint8_t choice, struct route *ret_route)
{
	*ret_route = (struct route){};
	if (service->protocol == AWS_REST_JSON || service->protocol == AWS_REST_XML)
		return route_find(service, &head, ret_route, NULL);
	ret_route->operation = &service->operations[choice % service->operation_count];
	return true;
}

/* 0 and a tree, or why not. */
static int decode_once(
	const struct aws_service *service, const struct route *route, str body, json_t **ret_in)
{
	struct arena arena;

	arena_init(&arena, 16 << 20);
	struct decode decode = {
		.service = service, .route = route, .head = &head, .body = body, .arena = &arena
	};
	int r = decode_request(&decode, ret_in);
	HOLDS(r == DECODE_DONE || r == DECODE_REFUSED || r == -ENOMEM);
	if (r == DECODE_REFUSED)
		HOLDS(decode.code && decode.code[0] && decode.message.len <= DECODE_MESSAGE_MAX);
	if (r == DECODE_DONE)
		HOLDS(json_is_object(*ret_in));
	decode_done(&decode);
	arena_done(&arena);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct route route;
	json_t *first, *second;
	size_t used;

	if (size < 3)
		return 0;
	const struct aws_service *service = services[data[0] % SERVICES];
	str bytes = { (const char *)data + 2, size - 2 };
	if (http_parse_request(bytes, 0, &head, &used) != HTTP_PARSED ||
		!find_operation(service, data[1], &route))
		return 0;
	for (size_t i = 0; i < route.label_count; i++)
		HOLDS(fuzz_is_inside(route.labels[i].value, bytes));
	str body = str_from(bytes, used);
	int r = decode_once(service, &route, body, &first);
	if (r != DECODE_DONE)
		return 0;
	HOLDS(decode_once(service, &route, body, &second) == DECODE_DONE);
	HOLDS(json_equal(first, second));
	json_decref(first);
	json_decref(second);
	return 0;
}
