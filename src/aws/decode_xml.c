/*
 * XML bodies. Expat calls back for each element; a tree of nodes grows in the arena, bounded in
 * depth, count and size; then it is read along the model. A document type declaration is refused:
 * no entity of a client's making is ever expanded.
 */
#include "aws/decode_parts.h"
#include "base/err.h"

#include <errno.h>
#include <expat.h>

struct xml_attribute {
	str name, value;
	struct xml_attribute *next;
};

struct xml_node {
	str name; /* without its prefix */
	struct xml_attribute *attributes;
	str value;
	struct xml_node *parent;
	struct xml_node *first, *last;
	struct xml_node *next;
};

struct xml_reader {
	struct decode *decode;
	XML_Parser parser;
	struct xml_node *at; /* the open element, or the root above all */
	struct xml_node root;
	struct buf text; /* of the open element since its start or its last child */
	unsigned depth;
	unsigned count;
	int fault;
	bool is_refused;
};

/* --- the tree --- */

static void xml_stop(struct xml_reader *reader, int fault)
{
	reader->fault = fault;
	reader->is_refused = fault == 0;
	(void)XML_StopParser(reader->parser, XML_FALSE);
}

static str xml_local_name(str name)
{
	ptrdiff_t colon = str_find(name, ':');

	return colon < 0 ? name : str_from(name, (size_t)colon + 1);
}

static bool xml_add_attributes(struct arena *arena, struct xml_node *node, const char **attributes)
{
	for (; attributes[0]; attributes += 2) {
		struct xml_attribute *attribute = arena_new(arena, sizeof(*attribute));
		if (!attribute)
			return false;
		attribute->name = arena_str(arena, str_of(attributes[0]));
		attribute->value = arena_str(arena, str_of(attributes[1]));
		if (!attribute->name.at || !attribute->value.at)
			return false;
		attribute->next = node->attributes;
		node->attributes = attribute;
	}
	return true;
}

static void XMLCALL xml_on_start(void *context, const char *name, const char **attributes)
{
	struct xml_reader *reader = context;
	struct arena *arena = reader->decode->arena;

	if (reader->fault || reader->is_refused)
		return;
	if (++reader->depth > DECODE_DEPTH_MAX || ++reader->count > DECODE_ELEMENTS_MAX) {
		xml_stop(reader, 0);
		return;
	}
	struct xml_node *node = arena_new(arena, sizeof(*node));
	str copy = arena_str(arena, str_of(name));
	if (!node || !copy.at || !xml_add_attributes(arena, node, attributes)) {
		xml_stop(reader, -ENOMEM);
		return;
	}
	node->name = xml_local_name(copy);
	node->parent = reader->at;
	if (reader->at->last)
		reader->at->last->next = node;
	else
		reader->at->first = node;
	reader->at->last = node;
	reader->at = node;
	buf_clear(&reader->text);
}

static void XMLCALL xml_on_end(void *context, const char *name)
{
	struct xml_reader *reader = context;

	(void)name;
	if (reader->fault || reader->is_refused)
		return;
	/* Text between children is layout. */
	if (!reader->at->first) {
		reader->at->value = arena_str(reader->decode->arena, buf_str(&reader->text));
		if (reader->text.err || !reader->at->value.at) {
			xml_stop(reader, -ENOMEM);
			return;
		}
	}
	buf_clear(&reader->text);
	reader->at = reader->at->parent;
	reader->depth--;
}

static void XMLCALL xml_on_text(void *context, const char *text, int len)
{
	struct xml_reader *reader = context;

	buf_put(&reader->text, (str){ text, (size_t)len });
}

static void XMLCALL xml_on_doctype(void *context, const char *name, const char *system_id,
	const char *public_id, int has_subset)
{
	(void)name, (void)system_id, (void)public_id, (void)has_subset;
	xml_stop(context, 0);
}

static int xml_parse(struct xml_reader *reader, str body)
{
	enum { STEP = 1 << 20 };

	reader->parser = XML_ParserCreate("UTF-8");
	if (!reader->parser)
		return err_raise(-ENOMEM);
	XML_SetUserData(reader->parser, reader);
	XML_SetElementHandler(reader->parser, xml_on_start, xml_on_end);
	XML_SetCharacterDataHandler(reader->parser, xml_on_text);
	XML_SetStartDoctypeDeclHandler(reader->parser, xml_on_doctype);
	reader->at = &reader->root;

	enum XML_Status status = XML_STATUS_OK;
	for (size_t from = 0; status == XML_STATUS_OK && from < body.len; from += STEP) {
		str step = str_slice(body, from, from + STEP);
		status = XML_Parse(
			reader->parser, step.at, (int)step.len, from + step.len == body.len);
	}
	XML_ParserFree(reader->parser);
	if (reader->fault)
		return err_raise(reader->fault);
	if (status != XML_STATUS_OK)
		return err_pass(decode_refuse(reader->decode, "MalformedXML",
			"The XML you provided was not well-formed or did not validate against our "
			"published schema"));
	return DECODE_DONE;
}

/* --- along the model --- */

static int xml_value(struct decode *decode, const struct aws_shape *shape,
	const struct xml_node *node, json_t **ret_value);

static const struct xml_node *xml_child(const struct xml_node *node, str name)
{
	for (const struct xml_node *child = node->first; child; child = child->next) {
		if (str_eq(child->name, name))
			return child;
	}
	return NULL;
}

static int xml_append(struct decode *decode, const struct aws_shape *shape,
	const struct xml_node *node, json_t *list)
{
	json_t *value;

	int r = xml_value(decode, shape->element, node, &value);
	if (r != DECODE_DONE)
		return err_pass(r);
	return json_array_append_new(list, value) < 0 ? err_raise(-ENOMEM) : DECODE_DONE;
}

static int xml_entry(struct decode *decode, const struct aws_shape *shape,
	const struct xml_node *node, json_t *map)
{
	const struct xml_node *key = xml_child(
		node, shape->key_name.len ? shape->key_name : S("key"));
	const struct xml_node *wire = xml_child(
		node, shape->value_name.len ? shape->value_name : S("value"));
	json_t *value;

	if (!key || !wire)
		return err_pass(decode_refuse(
			decode, "MalformedXML", "A map entry needs a key and a value."));
	int r = xml_value(decode, shape->element, wire, &value);
	if (r != DECODE_DONE)
		return err_pass(r);
	/* XML holds no NUL and no broken UTF-8: the key is a key. */
	return json_object_set_new(map, key->value.at ? key->value.at : "", value) < 0
		? err_raise(-ENOMEM)
		: DECODE_DONE;
}

/*
 * A flattened list or map: every child of the structure with that name is one element. Some models
 * name the elements, and their clients write that name; the member's own is read too.
 */
static bool xml_is_element(const struct aws_member *member, str name)
{
	return str_eq(name, member->wire_name) ||
		(member->shape->kind == AWS_LIST && !member->is_named &&
			member->shape->element_name.len &&
			str_eq(name, member->shape->element_name));
}

static int xml_flattened(struct decode *decode, const struct aws_member *member,
	const struct xml_node *node, json_t *object)
{
	const struct aws_shape *shape = member->shape;
	json_t *value = NULL;
	int r = DECODE_DONE;

	for (const struct xml_node *child = node->first; r == DECODE_DONE && child;
		child = child->next) {
		if (!xml_is_element(member, child->name))
			continue;
		if (!value) {
			value = shape->kind == AWS_LIST ? json_array() : json_object();
			r = json_put(object, member->name.at, value);
		}
		if (r == DECODE_DONE)
			r = shape->kind == AWS_LIST ? xml_append(decode, shape, child, value)
						    : xml_entry(decode, shape, child, value);
	}
	return err_pass(r);
}

static int xml_attribute(struct decode *decode, const struct aws_member *member,
	const struct xml_node *node, json_t *object)
{
	for (const struct xml_attribute *at = node->attributes; at; at = at->next) {
		if (str_eq(at->name, member->wire_name) ||
			str_eq(xml_local_name(at->name), xml_local_name(member->wire_name)))
			return err_pass(decode_put_text(decode, member, at->value, object));
	}
	return DECODE_DONE;
}

static int xml_member(struct decode *decode, const struct aws_member *member,
	const struct xml_node *node, json_t *object)
{
	json_t *value;

	if (member->is_attribute)
		return err_pass(xml_attribute(decode, member, node, object));
	if (member->is_flattened && !value_is_scalar(member->shape))
		return err_pass(xml_flattened(decode, member, node, object));
	const struct xml_node *child = xml_child(node, member->wire_name);
	if (!child)
		return DECODE_DONE;
	int r = xml_value(decode, member->shape, child, &value);
	if (r != DECODE_DONE)
		return err_pass(r);
	return err_pass(json_put(object, member->name.at, value));
}

static int xml_structure(struct decode *decode, const struct aws_shape *shape,
	const struct xml_node *node, json_t *object)
{
	for (size_t i = 0; i < shape->member_count; i++) {
		const struct aws_member *member = &shape->members[i];
		if (member->location != AWS_IN_BODY)
			continue;
		int r = xml_member(decode, member, node, object);
		if (r != DECODE_DONE)
			return err_pass(r);
	}
	return DECODE_DONE;
}

static int xml_elements(struct decode *decode, const struct aws_shape *shape,
	const struct xml_node *node, json_t *value)
{
	str name = shape->kind == AWS_MAP ? S("entry")
		: shape->element_name.len ? shape->element_name
					  : S("member");
	int r = DECODE_DONE;

	for (const struct xml_node *child = node->first; r == DECODE_DONE && child;
		child = child->next) {
		if (!str_eq(child->name, name))
			continue;
		r = shape->kind == AWS_LIST ? xml_append(decode, shape, child, value)
					    : xml_entry(decode, shape, child, value);
	}
	return err_pass(r);
}

static int xml_scalar(struct decode *decode, const struct aws_shape *shape,
	const struct xml_node *node, json_t **ret_value)
{
	bool is_text = shape->kind == AWS_STRING;

	int r = value_from_text(shape, is_text ? node->value : str_trim(node->value), ret_value);
	if (r == VALUE_BAD)
		return err_pass(decode_refuse(decode, "MalformedXML",
			"The XML you provided was not well-formed or did not validate against our "
			"published schema"));
	return err_pass(r);
}

static int xml_value(struct decode *decode, const struct aws_shape *shape,
	const struct xml_node *node, json_t **ret_value)
{
	if (value_is_scalar(shape))
		return err_pass(xml_scalar(decode, shape, node, ret_value));

	json_t *value = shape->kind == AWS_LIST ? json_array() : json_object();
	if (!value)
		return err_raise(-ENOMEM);
	int r = decode_enter(decode);
	if (r == DECODE_DONE) {
		r = shape->kind == AWS_STRUCTURE ? xml_structure(decode, shape, node, value)
						 : xml_elements(decode, shape, node, value);
		decode->depth--;
	}
	if (r != DECODE_DONE) {
		json_decref(value);
		return err_pass(r);
	}
	*ret_value = value;
	return DECODE_DONE;
}

int decode_xml_body(struct decode *decode, const struct aws_shape *shape, json_t *in)
{
	struct xml_reader reader = { .decode = decode };

	if (!str_trim(decode->body).len)
		return DECODE_DONE;
	buf_init(&reader.text, decode->body.len);
	int r = xml_parse(&reader, decode->body);
	buf_done(&reader.text);
	if (r != DECODE_DONE)
		return err_pass(r);
	/* The document's element may have any name: the operation is known. */
	return err_pass(xml_structure(decode, shape, reader.root.first, in));
}
