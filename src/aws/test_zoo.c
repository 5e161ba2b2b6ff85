/* What the tests of the codecs share. */
#include "aws/test_zoo.h"

#include <stdlib.h>

void zoo_decode(struct zoo_request *request, const struct aws_service *service,
	const char *operation, const char *head, str body)
{
	size_t used;

	*request = (struct zoo_request){ .answer = -1 };
	arena_init(&request->arena, 16 << 20);
	if (http_parse_request(str_of(head), 0, &request->head, &used) != HTTP_PARSED)
		return;
	if (service->protocol == AWS_REST_JSON || service->protocol == AWS_REST_XML) {
		if (!route_find(service, &request->head, &request->route, NULL))
			return;
	} else {
		request->route.operation = aws_operation_find(service, str_of(operation));
	}
	request->decode = (struct decode){
		.service = service,
		.route = &request->route,
		.head = &request->head,
		.body = body,
		.arena = &request->arena,
	};
	request->answer = decode_request(&request->decode, &request->in);
}

void zoo_done(struct zoo_request *request)
{
	json_decref(request->in);
	decode_done(&request->decode);
	arena_done(&request->arena);
}

str zoo_text(struct zoo_request *request, const json_t *tree)
{
	char *text = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	str copy = arena_str(&request->arena, str_of(text));
	json_free_t give_back;

	json_get_alloc_funcs(NULL, &give_back);
	give_back(text);
	return copy;
}
