#pragma once
/* The services of tests: one for each protocol, made by tools/modelgen from test_models/. */
#include "aws/decode.h"

extern const struct aws_service aws_service_test_restjson; /* "Zoo" */
extern const struct aws_service aws_service_test_json;	   /* "Clock" */
extern const struct aws_service aws_service_test_query;	   /* "Post" */
extern const struct aws_service aws_service_test_restxml;  /* "Shed" */

/* A request taken apart, and what became of it. */
struct zoo_request {
	struct http_head head;
	struct route route;
	struct arena arena;
	struct decode decode;
	json_t *in; /* NULL unless decoded */
	int answer; /* of decode_request(); -1: no route */
};

/*
 * Parse `head` ("POST /path HTTP/1.1\r\n…\r\n\r\n"), find the operation (by name unless the service
 * is a REST one) and decode `body`. Ended with zoo_done().
 */
void zoo_decode(struct zoo_request *request, const struct aws_service *service,
	const char *operation, const char *head, str body);
void zoo_done(struct zoo_request *request);

/* The tree as compact JSON with sorted keys, in the request's arena. */
str zoo_text(struct zoo_request *request, const json_t *tree);
