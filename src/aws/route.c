/*
 * Every operation's URI is compared segment by segment with the path; services have some hundred
 * operations at most and the invoke path does not come here, so no tree is kept.
 *
 * More than one may match: "/functions/{Name}" and "/functions/search", or, with S3, five
 * operations that differ only by a parameter that one of them requires. The best one wins: literal
 * segments count most, then parameters that must be there and are; one that must be there and is
 * not counts against.
 */
#include "aws/route.h"

#include <limits.h>

enum {
	ROUTE_LITERAL = 1000, /* what a literal segment weighs against parameters */
	ROUTE_PARAMETER = 10,
};

str route_label(const struct route *route, str name)
{
	for (size_t i = 0; i < route->label_count; i++) {
		if (str_eq(route->labels[i].name, name))
			return route->labels[i].value;
	}
	return (str){};
}

static bool route_add_label(struct route *route, str name, str value)
{
	if (!value.len || route->label_count == ROUTE_LABELS_MAX)
		return false;
	route->labels[route->label_count++] = (struct route_label){ name, value };
	return true;
}

/* "{Key+}": all the rest of the path, but for what the template still has behind it. */
static bool route_match_greedy(str label, str template_rest, str path, struct route *route)
{
	if (template_rest.len) {
		if (!str_ends(path, template_rest))
			return false;
		path = str_slice(path, 0, path.len - template_rest.len);
	}
	return route_add_label(route, str_slice(label, 1, label.len - 2), path);
}

/* The first segment of a path that begins with '/', which is taken off *rest. */
static str route_segment(str *rest)
{
	str path = str_from(*rest, 1);
	ptrdiff_t slash = str_find(path, '/');

	if (slash < 0) {
		*rest = (str){ path.at + path.len, 0 };
		return path;
	}
	*rest = str_from(path, (size_t)slash);
	return str_slice(path, 0, (size_t)slash);
}

static str route_trim(str path)
{
	return path.len > 1 && str_ends(path, S("/")) ? str_slice(path, 0, path.len - 1) : path;
}

/* Literal segments that match, or -1 when the path does not. */
static int route_match_path(str template, str path, struct route *route)
{
	int literals = 0;

	template = route_trim(template);
	while (template.len && path.len) {
		str at = path;
		str want = route_segment(&template);
		str have = route_segment(&path);
		if (str_starts(want, S("{")) && str_ends(want, S("+}")))
			return route_match_greedy(want, template, str_from(at, 1), route) ? literals
											  : -1;
		if (str_starts(want, S("{")) && str_ends(want, S("}"))) {
			if (!route_add_label(route, str_slice(want, 1, want.len - 1), have))
				return -1;
			continue;
		}
		if (!str_eq(want, have))
			return -1;
		literals += want.len > 0;
	}
	return template.len == 0 && (path.len == 0 || str_eq(path, S("/"))) ? literals : -1;
}

static bool route_has_query(str query, str name, str value)
{
	str have_name, have_value;

	while (uri_query_next(&query, &have_name, &have_value)) {
		if (str_eq(have_name, name) && (!value.len || str_eq(have_value, value)))
			return true;
	}
	return false;
}

/* The template's own parameters ("?list-type=2"): all must be there. Their number, or -1. */
static int route_match_fixed(str fixed, str query)
{
	int count = 0;
	str name, value;

	while (uri_query_next(&fixed, &name, &value)) {
		if (!route_has_query(query, name, value))
			return -1;
		count++;
	}
	return count;
}

/* Members that a request of this operation must have in its head: there +1, absent -1. */
static int route_count_required(const struct aws_operation *operation, const struct http_head *head)
{
	int count = 0;

	for (size_t i = 0; operation->input && i < operation->input->member_count; i++) {
		const struct aws_member *member = &operation->input->members[i];
		if (!member->required)
			continue;
		if (member->location == AWS_IN_QUERY)
			count += route_has_query(head->query, member->wire_name, S("")) ? 1 : -1;
		else if (member->location == AWS_IN_HEADER)
			count += http_field(head, member->wire_name).at ? 1 : -1;
	}
	return count;
}

static int route_score(const struct aws_operation *operation, const struct http_head *head,
	struct route *route, unsigned *ret_literals)
{
	str template = operation->uri, path = S("");

	if (!str_eq(operation->method, head->method))
		return INT_MIN;
	if (!str_cut(&template, '?', &path)) {
		path = template;
		template = S("");
	}
	int literals = route_match_path(path, head->path, route);
	int fixed = literals < 0 ? -1 : route_match_fixed(template, head->query);
	if (fixed < 0)
		return INT_MIN;
	*ret_literals = (unsigned)literals;
	return ROUTE_LITERAL * literals + ROUTE_PARAMETER * fixed +
		route_count_required(operation, head);
}

bool route_find(const struct aws_service *service, const struct http_head *head,
	struct route *ret_route, unsigned *ret_literals)
{
	int best = INT_MIN;

	if (!str_starts(head->path, S("/")))
		return false;
	for (size_t i = 0; i < service->operation_count; i++) {
		struct route route = { .operation = &service->operations[i] };
		unsigned literals = 0;
		int score = route_score(route.operation, head, &route, &literals);
		if (score <= best)
			continue;
		best = score;
		*ret_route = route;
		if (ret_literals)
			*ret_literals = literals;
	}
	return best != INT_MIN;
}
