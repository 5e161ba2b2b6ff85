/*
 * JSON is written straight from the tree along the model, without a second tree: so a timestamp has
 * the model's form, a blob is base64, and a double has no more digits than it needs.
 */
#include "aws/encode_parts.h"
#include "base/err.h"

#include <errno.h>
#include <math.h>

static int json_put_scalar(const struct aws_member *member, const struct aws_shape *shape,
	const json_t *value, struct buf *out)
{
	uint8_t format = value_time_format(member, shape, AWS_TIME_UNIX);
	bool is_text = shape->kind == AWS_BLOB || json_is_string(value) ||
		(shape->kind == AWS_TIMESTAMP && format != AWS_TIME_UNIX);

	if (shape->kind == AWS_STRING && json_is_string(value)) {
		buf_put_json(out, json_view(value));
		return 0;
	}
	if (is_text)
		buf_put_char(out, '"'); /* base64, a date, NaN: nothing to escape */
	int r = value_put_text(shape, format, value, out);
	if (is_text)
		buf_put_char(out, '"');
	return err_pass(r);
}

static int json_put_list(const struct aws_shape *shape, const json_t *value, struct buf *out)
{
	size_t i;
	const json_t *item;

	if (!json_is_array(value))
		return err_raise(-EINVAL);
	buf_put_char(out, '[');
	json_array_foreach(value, i, item)
	{
		if (i > 0)
			buf_put_char(out, ',');
		int r = encode_json_value(NULL, shape->element, item, out);
		if (r < 0)
			return err_pass(r);
	}
	buf_put_char(out, ']');
	return 0;
}

static int json_put_map(const struct aws_shape *shape, const json_t *value, struct buf *out)
{
	bool is_first = true;

	if (!json_is_object(value))
		return err_raise(-EINVAL);
	buf_put_char(out, '{');
	for (void *at = json_object_iter((json_t *)value); at;
		at = json_object_iter_next((json_t *)value, at)) {
		if (!is_first)
			buf_put_char(out, ',');
		is_first = false;
		buf_put_json(out, str_of(json_object_iter_key(at)));
		buf_put_char(out, ':');
		int r = encode_json_value(NULL, shape->element, json_object_iter_value(at), out);
		if (r < 0)
			return err_pass(r);
	}
	buf_put_char(out, '}');
	return 0;
}

int encode_json_structure(const struct aws_shape *shape, const json_t *object, struct buf *out)
{
	bool is_first = true;

	if (!json_is_object(object))
		return err_raise(-EINVAL);
	buf_put_char(out, '{');
	for (size_t i = 0; i < shape->member_count; i++) {
		const struct aws_member *member = &shape->members[i];
		const json_t *value = json_object_get(object, member->name.at);
		if (!value || json_is_null(value) || !encode_is_in_body(member))
			continue;
		if (!is_first)
			buf_put_char(out, ',');
		is_first = false;
		buf_put_json(out, member->wire_name);
		buf_put_char(out, ':');
		int r = encode_json_value(member, member->shape, value, out);
		if (r < 0)
			return err_pass(r);
	}
	buf_put_char(out, '}');
	encode_warn_unknown(shape, object);
	return 0;
}

int encode_json_value(const struct aws_member *member, const struct aws_shape *shape,
	const json_t *value, struct buf *out)
{
	if (json_is_null(value)) {
		buf_put(out, S("null"));
		return 0;
	}
	if (shape->is_document)
		return err_pass(encode_json_any(value, out));
	switch (shape->kind) {
	case AWS_STRUCTURE:
		return err_pass(encode_json_structure(shape, value, out));
	case AWS_LIST:
		return err_pass(json_put_list(shape, value, out));
	case AWS_MAP:
		return err_pass(json_put_map(shape, value, out));
	default:
		return err_pass(json_put_scalar(member, shape, value, out));
	}
}

int encode_json_any(const json_t *value, struct buf *out)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		return err_raise(-ENOMEM);
	buf_put(out, str_of(text));
	json_free_t give_back;
	json_get_alloc_funcs(NULL, &give_back);
	give_back(text);
	return 0;
}
