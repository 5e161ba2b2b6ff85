/*
 * Query: "Action=CreateRole&RoleName=x&Tags.member.1.Key=k", in the body or in the URI.
 *
 * The names are paths: "Tags.member.1.Key" becomes a small tree of nodes in the arena, found by
 * the whole path in one map, so that any number of parameters costs linear time; then the tree is
 * read along the model. Elements of a list come in the order of their numbers; gaps are closed up.
 */
#include "aws/decode_parts.h"
#include "base/err.h"
#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

struct query_node {
	str path; /* from the root */
	str name; /* the last part of it */
	str value;
	bool has_value;
	struct query_node *first, *last; /* children */
	struct query_node *next;	 /* sibling */
	size_t child_count;
};

struct query {
	struct decode *decode;
	struct query_node root;
	struct map by_path;
	size_t count;
};

/* --- the tree --- */

static struct query_node *query_child(const struct query_node *node, str name)
{
	for (struct query_node *child = node->first; child; child = child->next) {
		if (str_eq(child->name, name))
			return child;
	}
	return NULL;
}

static int query_add_node(struct query *query, struct query_node *parent, str path, str name,
	struct query_node **ret_node)
{
	struct query_node *node = map_get(&query->by_path, path);

	if (!node) {
		node = arena_new(query->decode->arena, sizeof(*node));
		if (!node)
			return err_raise(-ENOMEM);
		node->path = path;
		node->name = name;
		if (map_put(&query->by_path, path, node) < 0)
			return err_raise(-ENOMEM);
		if (parent->last)
			parent->last->next = node;
		else
			parent->first = node;
		parent->last = node;
		parent->child_count++;
	}
	*ret_node = node;
	return 0;
}

static int query_add(struct query *query, str path, str value)
{
	struct query_node *node = &query->root;
	str rest = path, name;

	for (unsigned depth = 0; str_next(&rest, '.', &name); depth++) {
		if (depth == 2 * DECODE_DEPTH_MAX || query->count++ == DECODE_PARAMETERS_MAX)
			return err_pass(decode_refuse(query->decode, "MalformedQueryString",
				"The request has too many parameters."));
		str upto = { path.at, (size_t)(name.at + name.len - path.at) };
		int r = query_add_node(query, node, upto, name, &node);
		if (r < 0)
			return err_pass(r);
	}
	node->value = value;
	node->has_value = true;
	return DECODE_DONE;
}

static int query_add_all(struct query *query, str text)
{
	str name, value;

	while (uri_query_next(&text, &name, &value)) {
		int r = decode_percent(query->decode, name, true, &name);
		if (r == DECODE_DONE)
			r = decode_percent(query->decode, value, true, &value);
		if (r == DECODE_DONE)
			r = query_add(query, name, value);
		if (r != DECODE_DONE)
			return err_pass(r);
	}
	return DECODE_DONE;
}

/* --- along the model --- */

static int query_value(struct decode *decode, const struct aws_shape *shape,
	const struct query_node *node, bool is_flattened, json_t **ret_value);

struct query_element {
	uint64_t number;
	const struct query_node *node;
};

static int query_compare(const void *a, const void *b)
{
	const struct query_element *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* The children whose names are numbers, in order. */
static int query_elements(struct decode *decode, const struct query_node *node,
	struct query_element **ret_elements, size_t *ret_count)
{
	struct query_element *elements = arena_new(
		decode->arena, (node->child_count + 1) * sizeof(*elements));
	size_t count = 0;

	if (!elements)
		return err_raise(-ENOMEM);
	for (const struct query_node *child = node->first; child; child = child->next) {
		uint64_t number;
		if (str_to_u64(child->name, UINT32_MAX, &number) == 0)
			elements[count++] = (struct query_element){ number, child };
	}
	qsort(elements, count, sizeof(*elements), query_compare);
	*ret_elements = elements;
	*ret_count = count;
	return 0;
}

static int query_list(struct decode *decode, const struct aws_shape *shape,
	const struct query_node *node, bool is_flattened, json_t *list)
{
	struct query_element *elements;
	size_t count;

	if (!is_flattened) {
		node = query_child(
			node, shape->element_name.len ? shape->element_name : S("member"));
		if (!node)
			return DECODE_DONE;
	}
	int r = query_elements(decode, node, &elements, &count);
	for (size_t i = 0; r == 0 && i < count; i++) {
		json_t *value;
		r = query_value(decode, shape->element, elements[i].node, false, &value);
		if (r == DECODE_DONE && json_array_append_new(list, value) < 0)
			r = err_raise(-ENOMEM);
	}
	return err_pass(r);
}

static int query_entry(struct decode *decode, const struct aws_shape *shape,
	const struct query_node *entry, json_t *map)
{
	const struct query_node *key = query_child(
		entry, shape->key_name.len ? shape->key_name : S("key"));
	const struct query_node *wire = query_child(
		entry, shape->value_name.len ? shape->value_name : S("value"));
	json_t *value;

	if (!key || !key->has_value || !wire)
		return err_pass(decode_refuse(
			decode, "MalformedInput", "A map entry needs a key and a value."));
	int r = query_value(decode, shape->element, wire, false, &value);
	if (r != DECODE_DONE)
		return err_pass(r);
	str name = arena_str(decode->arena, key->value);
	if (!name.at) {
		json_decref(value);
		return err_raise(-ENOMEM);
	}
	/* Keys are UTF-8 without NUL, or they are no keys. */
	if (json_object_set_new(map, name.at, value) < 0 || str_find(key->value, '\0') >= 0)
		return err_pass(decode_refuse(decode, "MalformedInput", "A map key is malformed."));
	return DECODE_DONE;
}

static int query_map(struct decode *decode, const struct aws_shape *shape,
	const struct query_node *node, bool is_flattened, json_t *map)
{
	struct query_element *elements;
	size_t count;

	if (!is_flattened) {
		node = query_child(node, S("entry"));
		if (!node)
			return DECODE_DONE;
	}
	int r = query_elements(decode, node, &elements, &count);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = query_entry(decode, shape, elements[i].node, map);
	return err_pass(r);
}

/*
 * The parameter of a member; a flattened list of named elements stands under its element's name
 * unless the member has a name of its own.
 */
static const struct query_node *query_member_node(
	const struct query_node *node, const struct aws_member *member)
{
	const struct query_node *found = query_child(node, member->wire_name);

	if (!found && member->is_flattened && member->shape->kind == AWS_LIST &&
		member->shape->element_name.len)
		found = query_child(node, member->shape->element_name);
	return found;
}

static int query_structure(struct decode *decode, const struct aws_shape *shape,
	const struct query_node *node, json_t *object)
{
	for (size_t i = 0; i < shape->member_count; i++) {
		const struct aws_member *member = &shape->members[i];
		const struct query_node *wire = query_member_node(node, member);
		json_t *value;
		if (!wire)
			continue;
		int r = query_value(decode, member->shape, wire, member->is_flattened, &value);
		if (r == DECODE_DONE)
			r = json_put(object, member->name.at, value);
		if (r != DECODE_DONE)
			return err_pass(r);
	}
	return DECODE_DONE;
}

static int query_scalar(struct decode *decode, const struct aws_shape *shape,
	const struct query_node *node, json_t **ret_value)
{
	int r = value_from_text(shape, node->value, ret_value);

	if (r == VALUE_BAD)
		return err_pass(decode_refuse(decode, "MalformedInput",
			"A parameter can not be converted to %s", value_kind_name(shape)));
	return err_pass(r);
}

static int query_composite(struct decode *decode, const struct aws_shape *shape,
	const struct query_node *node, bool is_flattened, json_t *value)
{
	switch (shape->kind) {
	case AWS_LIST:
		return err_pass(query_list(decode, shape, node, is_flattened, value));
	case AWS_MAP:
		return err_pass(query_map(decode, shape, node, is_flattened, value));
	default:
		return err_pass(query_structure(decode, shape, node, value));
	}
}

static int query_value(struct decode *decode, const struct aws_shape *shape,
	const struct query_node *node, bool is_flattened, json_t **ret_value)
{
	if (value_is_scalar(shape))
		return err_pass(query_scalar(decode, shape, node, ret_value));

	json_t *value = shape->kind == AWS_LIST ? json_array() : json_object();
	if (!value)
		return err_raise(-ENOMEM);
	int r = decode_enter(decode);
	if (r == DECODE_DONE) {
		r = query_composite(decode, shape, node, is_flattened, value);
		decode->depth--;
	}
	if (r != DECODE_DONE) {
		json_decref(value);
		return err_pass(r);
	}
	*ret_value = value;
	return DECODE_DONE;
}

int decode_query_body(struct decode *decode, json_t *in)
{
	struct query query = { .decode = decode };

	int r = query_add_all(&query, decode->head->query);
	if (r == DECODE_DONE)
		r = query_add_all(&query, decode->body);
	if (r == DECODE_DONE)
		r = query_structure(decode, decode->route->operation->input, &query.root, in);
	map_done(&query.by_path);
	return err_pass(r);
}
