/* XML as query, rest-xml and ec2 answer it: elements by the model's names, lists wrapped or flat. */
#include "aws/encode_parts.h"
#include "base/err.h"

#include <errno.h>

void encode_xml_text(struct buf *out, str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		if (c == '&')
			buf_put(out, S("&amp;"));
		else if (c == '<')
			buf_put(out, S("&lt;"));
		else if (c == '>')
			buf_put(out, S("&gt;"));
		else if (c == '"')
			buf_put(out, S("&quot;"));
		else if (c == '\r')
			buf_put(out, S("&#13;"));
		else if ((unsigned char)c < 0x20 && c != '\t' && c != '\n')
			buf_put(out, S("\xef\xbf\xbd")); /* XML 1.0 has no such character */
		else
			buf_put_char(out, c);
	}
}

static int xml_put_value(const struct aws_member *member, const struct aws_shape *shape,
	const json_t *value, struct buf *out);

static void xml_put_namespace(const struct aws_member *member, struct buf *out)
{
	if (!member || !member->xml_namespace.len)
		return;
	buf_put(out, S(" xmlns"));
	if (member->xml_prefix.len) {
		buf_put_char(out, ':');
		buf_put(out, member->xml_prefix);
	}
	buf_put(out, S("=\""));
	encode_xml_text(out, member->xml_namespace);
	buf_put_char(out, '"');
}

/* <name …>value</name> */
static int xml_put_element(str name, const struct aws_member *member, const struct aws_shape *shape,
	const json_t *value, struct buf *out)
{
	int r = 0;

	buf_put_char(out, '<');
	buf_put(out, name);
	xml_put_namespace(member, out);
	if (shape->kind == AWS_STRUCTURE)
		r = encode_xml_attributes(shape, value, out);
	buf_put_char(out, '>');
	if (r == 0 && !json_is_null(value))
		r = xml_put_value(member, shape, value, out);
	buf_put(out, S("</"));
	buf_put(out, name);
	buf_put_char(out, '>');
	return err_pass(r);
}

static int xml_put_elements(
	str name, const struct aws_shape *shape, const json_t *list, struct buf *out)
{
	size_t i;
	const json_t *item;

	if (!json_is_array(list))
		return err_raise(-EINVAL);
	json_array_foreach(list, i, item)
	{
		int r = xml_put_element(name, NULL, shape->element, item, out);
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}

static int xml_put_entries(
	str name, const struct aws_shape *shape, const json_t *map, struct buf *out)
{
	if (!json_is_object(map))
		return err_raise(-EINVAL);
	for (void *at = json_object_iter((json_t *)map); at;
		at = json_object_iter_next((json_t *)map, at)) {
		str key = shape->key_name.len ? shape->key_name : S("key");
		buf_putf(out, "<" STR_FMT "><" STR_FMT ">", STR_ARG(name), STR_ARG(key));
		encode_xml_text(out, str_of(json_object_iter_key(at)));
		buf_putf(out, "</" STR_FMT ">", STR_ARG(key));
		int r = xml_put_element(shape->value_name.len ? shape->value_name : S("value"),
			NULL, shape->element, json_object_iter_value(at), out);
		buf_putf(out, "</" STR_FMT ">", STR_ARG(name));
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}

/* What stands inside a value's element. */
static int xml_put_value(const struct aws_member *member, const struct aws_shape *shape,
	const json_t *value, struct buf *out)
{
	struct buf text;

	switch (shape->kind) {
	case AWS_STRUCTURE:
		return err_pass(encode_xml_members(shape, value, out));
	case AWS_LIST:
		return err_pass(xml_put_elements(
			shape->element_name.len ? shape->element_name : S("member"), shape, value,
			out));
	case AWS_MAP:
		return err_pass(xml_put_entries(S("entry"), shape, value, out));
	case AWS_STRING:
		if (!json_is_string(value))
			return err_raise(-EINVAL);
		encode_xml_text(out, json_view(value));
		return 0;
	default:
		buf_init(&text, ENCODE_BODY_MAX);
		int r = value_put_text(
			shape, value_time_format(member, shape, AWS_TIME_ISO8601), value, &text);
		buf_put(out, buf_str(&text));
		buf_done(&text);
		return err_pass(r);
	}
}

static int xml_put_member(const struct aws_member *member, const json_t *value, struct buf *out)
{
	const struct aws_shape *shape = member->shape;

	if (member->is_flattened && shape->kind == AWS_LIST)
		return err_pass(xml_put_elements(!member->is_named && shape->element_name.len
				? shape->element_name
				: member->wire_name,
			shape, value, out));
	if (member->is_flattened && shape->kind == AWS_MAP)
		return err_pass(xml_put_entries(member->wire_name, shape, value, out));
	return err_pass(xml_put_element(member->wire_name, member, shape, value, out));
}

int encode_xml_members(const struct aws_shape *shape, const json_t *object, struct buf *out)
{
	if (!json_is_object(object))
		return err_raise(-EINVAL);
	for (size_t i = 0; i < shape->member_count; i++) {
		const struct aws_member *member = &shape->members[i];
		const json_t *value = json_object_get(object, member->name.at);
		if (!value || json_is_null(value) || !encode_is_in_body(member) ||
			member->is_attribute)
			continue;
		int r = xml_put_member(member, value, out);
		if (r < 0)
			return err_pass(r);
	}
	encode_warn_unknown(shape, object);
	return 0;
}

int encode_xml_attributes(const struct aws_shape *shape, const json_t *object, struct buf *out)
{
	struct buf text;
	int r = 0;

	buf_init(&text, ENCODE_FIELDS_MAX);
	for (size_t i = 0; r == 0 && i < shape->member_count; i++) {
		const struct aws_member *member = &shape->members[i];
		const json_t *value = json_object_get(object, member->name.at);
		if (!value || json_is_null(value) || !member->is_attribute)
			continue;
		buf_clear(&text);
		r = value_put_text(member->shape,
			value_time_format(member, member->shape, AWS_TIME_ISO8601), value, &text);
		buf_putf(out, " " STR_FMT "=\"", STR_ARG(member->wire_name));
		encode_xml_text(out, buf_str(&text));
		buf_put_char(out, '"');
	}
	buf_done(&text);
	return err_pass(r);
}
