#pragma once
/* The metadata endpoint of an environment: see metadata_api.c. */
#include <stdbool.h>

struct environment;
struct http_conn;
struct http_request;

/* Is the request one for it? Then it has been answered. */
[[nodiscard]] bool metadata_api_route(
	const struct environment *env, struct http_conn *conn, const struct http_request *request);
