#pragma once
/* Which operation of a REST service a method and a path name. */
#include "aws/model.h"
#include "wire/http.h"

enum { ROUTE_LABELS_MAX = 8 };

/* A label of the operation's URI and what stands there, still percent-encoded. */
struct route_label {
	str name;
	str value;
};

struct route {
	const struct aws_operation *operation;
	size_t label_count;
	struct route_label labels[ROUTE_LABELS_MAX];
};

/*
 * The operation whose method and URI match best: the one with the most literal segments, then with
 * the most fixed and required parameters present. False (nothing written) when none matches. The
 * views are of the request and of the tables. *ret_literals (may be NULL): how many literal
 * segments matched.
 */
[[nodiscard]] bool route_find(const struct aws_service *service, const struct http_head *head,
	struct route *ret_route, unsigned *ret_literals);

/* What stands for the label, or a view with at == NULL. */
[[nodiscard]] str route_label(const struct route *route, str name);
