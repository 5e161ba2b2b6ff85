/*
 * JSON bodies: parsed by jansson, then copied member by member into a tree with the model's names
 * and kinds. Members that the model does not have are ignored, as AWS does, and so are nulls; a
 * null inside a list or map stays, because it is for the constraints to refuse it.
 *
 * The words of type errors are those of AWS's own Java servers.
 */
#include "aws/cut.h"
#include "aws/decode_parts.h"
#include "base/attr.h"
#include "base/err.h"
#include "os/fd.h"
#include "wire/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>

enum { DECODE_BASE64_STEP = 64 * 1024 /* characters decoded at a time; a multiple of 4 */ };

/* What a value is to Java. */
static const char *decode_java_name(const json_t *wire)
{
	switch (json_typeof(wire)) {
	case JSON_STRING:
		return "java.lang.String";
	case JSON_INTEGER:
		return json_integer_value(wire) == (int32_t)json_integer_value(wire)
			? "java.lang.Integer"
			: "java.lang.Long";
	case JSON_REAL:
		return "java.lang.Double";
	default:
		return "java.lang.Boolean";
	}
}

static int decode_mismatch(struct decode *decode, const struct aws_shape *shape, const json_t *wire)
{
	if (json_is_array(wire))
		return err_pass(decode_refuse(decode, "SerializationException",
			"Start of list found where not expected"));
	if (json_is_object(wire))
		return err_pass(decode_refuse(decode, "SerializationException",
			"Start of structure or map found where not expected."));
	if (!value_is_scalar(shape))
		return err_pass(
			decode_refuse(decode, "SerializationException", "Unexpected field type"));
	return err_pass(decode_refuse(decode, "SerializationException",
		"class %s can not be converted to an %s", decode_java_name(wire),
		value_kind_name(shape)));
}

static int decode_keep(json_t *value, json_t **ret_value)
{
	if (!value)
		return err_raise(-ENOMEM);
	*ret_value = value;
	return DECODE_DONE;
}

/* --- blobs --- */

/* An unlinked file of the working directory, or memory where the file system has no such thing. */
static int decode_open_file(int *ret_fd)
{
	int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		fd = memfd_create("blob", MFD_CLOEXEC);
	if (fd < 0)
		return err_raise(-errno);
	*ret_fd = fd;
	return 0;
}

static int decode_blob_to(struct decode *decode, str text, int fd)
{
	struct buf bytes;
	int r = DECODE_DONE;

	buf_init(&bytes, DECODE_BASE64_STEP);
	while (r == DECODE_DONE && text.len) {
		str step = str_slice(text, 0, DECODE_BASE64_STEP);
		text = str_from(text, step.len);
		/* Padding anywhere but at the end is malformed. */
		bool is_bad = base64_decode(step, &bytes) < 0 ||
			(text.len && str_find(step, '=') >= 0);
		if (bytes.err)
			r = err_raise(bytes.err);
		else if (is_bad)
			r = decode_refuse(
				decode, "SerializationException", "The value is not valid base64.");
		else
			r = fd_write_all(fd, buf_str(&bytes));
		decode->blob_len += bytes.len;
		buf_clear(&bytes);
	}
	buf_done(&bytes);
	return err_pass(r);
}

static int decode_blob_file(struct decode *decode, const struct aws_member *member, str text)
{
	scoped_fd fd = -1;

	int r = decode_open_file(&fd);
	if (r < 0)
		return err_pass(r);
	r = decode_blob_to(decode, text, fd);
	if (r != DECODE_DONE)
		return err_pass(r);
	decode->blob_member = member;
	decode->blob_fd = fd_take(&fd);
	return DECODE_DONE;
}

static int decode_json_blob(struct decode *decode, const struct aws_shape *shape,
	const json_t *wire, json_t **ret_value)
{
	if (!json_is_string(wire))
		return err_pass(decode_mismatch(decode, shape, wire));
	int r = value_from_text(shape, cuts_restore(decode->cuts, json_view(wire)), ret_value);
	if (r == VALUE_BAD)
		return err_pass(decode_refuse(
			decode, "SerializationException", "The value is not valid base64."));
	return err_pass(r);
}

/* Does this member's value become the file? */
static bool decode_is_for_file(
	const struct decode *decode, const struct aws_member *member, const json_t *wire)
{
	return member->shape->kind == AWS_BLOB && json_is_string(wire) &&
		!decode->is_in_collection && !decode->blob_member &&
		cuts_restore(decode->cuts, json_view(wire)).len >= CUT_LEN_MIN;
}

/* --- values --- */

static int decode_json_integer(struct decode *decode, const struct aws_shape *shape,
	const json_t *wire, json_t **ret_value)
{
	bool is_whole = json_is_integer(wire) ||
		(json_is_real(wire) && fabs(json_real_value(wire)) < 0x1p53 &&
			trunc(json_real_value(wire)) == json_real_value(wire));

	if (!is_whole)
		return err_pass(decode_mismatch(decode, shape, wire));
	int64_t value = json_is_integer(wire) ? json_integer_value(wire)
					      : (int64_t)json_real_value(wire);
	if (shape->kind == AWS_INTEGER && value != (int32_t)value)
		return err_pass(decode_refuse(decode, "SerializationException",
			"class java.lang.Long can not be converted to an Integer"));
	return err_pass(decode_keep(json_integer(value), ret_value));
}

static int decode_json_number(struct decode *decode, const struct aws_shape *shape,
	const json_t *wire, json_t **ret_value)
{
	str text = json_view(wire);

	if (json_is_number(wire))
		return err_pass(decode_keep(json_real(json_number_value(wire)), ret_value));
	if (str_eq(text, S("NaN")) || str_eq(text, S("Infinity")) || str_eq(text, S("-Infinity")))
		return err_pass(decode_keep(value_bytes(text), ret_value));
	return err_pass(decode_mismatch(decode, shape, wire));
}

static int decode_json_time(struct decode *decode, const struct aws_shape *shape,
	const json_t *wire, json_t **ret_value)
{
	if (json_is_string(wire)) {
		int r = value_from_text(shape, json_view(wire), ret_value);
		return r == VALUE_BAD ? err_pass(decode_mismatch(decode, shape, wire))
				      : err_pass(r);
	}
	double seconds = json_number_value(wire);
	if (!json_is_number(wire) || seconds < 0 || seconds > 253402300799.0)
		return err_pass(decode_mismatch(decode, shape, wire));
	return err_pass(decode_keep(json_integer(llround(seconds * 1000)), ret_value));
}

static int decode_json_scalar(struct decode *decode, const struct aws_shape *shape,
	const json_t *wire, json_t **ret_value)
{
	switch (shape->kind) {
	case AWS_STRING:
		if (!json_is_string(wire))
			break;
		return err_pass(decode_keep(
			value_bytes(cuts_restore(decode->cuts, json_view(wire))), ret_value));
	case AWS_BOOLEAN:
		if (!json_is_boolean(wire))
			break;
		return err_pass(decode_keep(json_boolean(json_is_true(wire)), ret_value));
	case AWS_INTEGER:
	case AWS_LONG:
		return err_pass(decode_json_integer(decode, shape, wire, ret_value));
	case AWS_DOUBLE:
	case AWS_FLOAT:
		return err_pass(decode_json_number(decode, shape, wire, ret_value));
	case AWS_TIMESTAMP:
		return err_pass(decode_json_time(decode, shape, wire, ret_value));
	case AWS_BLOB:
		return err_pass(decode_json_blob(decode, shape, wire, ret_value));
	default:
		break;
	}
	return err_pass(decode_mismatch(decode, shape, wire));
}

static int decode_json_value(struct decode *decode, const struct aws_shape *shape,
	const json_t *wire, json_t **ret_value);

static int decode_json_member(
	struct decode *decode, const struct aws_member *member, const json_t *wire, json_t *object)
{
	json_t *value;

	if (!wire || json_is_null(wire))
		return DECODE_DONE;
	if (decode_is_for_file(decode, member, wire))
		return err_pass(decode_blob_file(
			decode, member, cuts_restore(decode->cuts, json_view(wire))));
	int r = decode_json_value(decode, member->shape, wire, &value);
	if (r != DECODE_DONE)
		return err_pass(r);
	return err_pass(json_put(object, member->name.at, value));
}

static int decode_json_structure(
	struct decode *decode, const struct aws_shape *shape, const json_t *wire, json_t *object)
{
	for (size_t i = 0; i < shape->member_count; i++) {
		const struct aws_member *member = &shape->members[i];
		if (member->location != AWS_IN_BODY)
			continue;
		int r = decode_json_member(
			decode, member, json_object_get(wire, member->wire_name.at), object);
		if (r != DECODE_DONE)
			return err_pass(r);
	}
	return DECODE_DONE;
}

static int decode_json_list(
	struct decode *decode, const struct aws_shape *shape, const json_t *wire, json_t *list)
{
	size_t i;
	const json_t *item;

	json_array_foreach(wire, i, item)
	{
		json_t *value = NULL;
		int r = DECODE_DONE;
		if (json_is_null(item))
			value = json_null();
		else
			r = decode_json_value(decode, shape->element, item, &value);
		if (r == DECODE_DONE && json_array_append_new(list, value) < 0)
			r = err_raise(-ENOMEM);
		if (r != DECODE_DONE)
			return err_pass(r);
	}
	return DECODE_DONE;
}

static int decode_json_map(
	struct decode *decode, const struct aws_shape *shape, json_t *wire, json_t *map)
{
	void *at;

	for (at = json_object_iter(wire); at; at = json_object_iter_next(wire, at)) {
		const json_t *item = json_object_iter_value(at);
		json_t *value = NULL;
		int r = DECODE_DONE;
		if (json_is_null(item))
			value = json_null();
		else
			r = decode_json_value(decode, shape->element, item, &value);
		if (r == DECODE_DONE &&
			json_object_set_new_nocheck(map, json_object_iter_key(at), value) < 0)
			r = err_raise(-ENOMEM);
		if (r != DECODE_DONE)
			return err_pass(r);
	}
	return DECODE_DONE;
}

static int decode_json_composite(
	struct decode *decode, const struct aws_shape *shape, json_t *wire, json_t *value)
{
	int r;

	if (shape->kind == AWS_STRUCTURE)
		return err_pass(decode_json_structure(decode, shape, wire, value));
	decode->is_in_collection++;
	if (shape->kind == AWS_LIST)
		r = decode_json_list(decode, shape, wire, value);
	else
		r = decode_json_map(decode, shape, wire, value);
	decode->is_in_collection--;
	return err_pass(r);
}

/* `wire` is not null. */
static int decode_json_value(struct decode *decode, const struct aws_shape *shape,
	const json_t *wire, json_t **ret_value)
{
	bool is_list = shape->kind == AWS_LIST;

	if (shape->is_document) {
		*ret_value = json_incref((json_t *)wire);
		return DECODE_DONE;
	}
	if (value_is_scalar(shape))
		return err_pass(decode_json_scalar(decode, shape, wire, ret_value));
	if (is_list ? !json_is_array(wire) : !json_is_object(wire))
		return err_pass(decode_mismatch(decode, shape, wire));

	json_t *value = is_list ? json_array() : json_object();
	if (!value)
		return err_raise(-ENOMEM);
	int r = decode_enter(decode);
	if (r == DECODE_DONE) {
		r = decode_json_composite(decode, shape, (json_t *)wire, value);
		decode->depth--;
	}
	if (r != DECODE_DONE) {
		json_decref(value);
		return err_pass(r);
	}
	*ret_value = value;
	return DECODE_DONE;
}

/* --- texts --- */

/* Does a value of this shape hold a blob, and no free-form document? */
static int decode_reaches_blob(struct decode *decode, const struct aws_shape *shape, bool *ret_does)
{
	const struct aws_service *service = decode->service;
	bool *seen = arena_new(decode->arena, service->shape_count);
	const struct aws_shape **todo = arena_new(
		decode->arena, (service->shape_count + 1) * sizeof(struct aws_shape *));
	size_t count = 0;
	bool has_blob = false, has_document = false;

	if (!seen || !todo)
		return err_raise(-ENOMEM);
	todo[count++] = shape;
	seen[shape - service->shapes] = true;
	while (count > 0) {
		const struct aws_shape *at = todo[--count];
		has_blob |= at->kind == AWS_BLOB;
		has_document |= at->is_document;
		for (size_t i = 0; i < at->member_count + 1; i++) {
			const struct aws_shape *next = i < at->member_count ? at->members[i].shape
									    : at->element;
			if (!next || seen[next - service->shapes])
				continue;
			seen[next - service->shapes] = true;
			todo[count++] = next;
		}
	}
	*ret_does = has_blob && !has_document;
	return 0;
}

/* Parse; a long text without its big blobs. */
static int decode_json_parse(
	struct decode *decode, const struct aws_shape *shape, str text, json_t **ret_wire)
{
	struct buf shortened;
	json_error_t error;
	bool has_blob = false;

	buf_init(&shortened, text.len + KIB);
	int r = 0;
	if (text.len >= CUT_LEN_MIN)
		r = decode_reaches_blob(decode, shape, &has_blob);
	if (r == 0 && has_blob)
		r = cuts_make(text, &shortened, &decode->cuts);
	if (r < 0) {
		buf_done(&shortened);
		return err_pass(r);
	}
	str parsed = decode->cuts ? buf_str(&shortened) : text;
	json_t *wire = json_loadb(parsed.at, parsed.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	buf_done(&shortened);
	if (!wire)
		return err_pass(decode_refuse(decode, "SerializationException",
			"Could not parse request body into json: line %d, column %d",
			MAX(error.line, 1), MAX(error.column, 1)));
	*ret_wire = wire;
	return DECODE_DONE;
}

int decode_json_body(struct decode *decode, json_t *in)
{
	const struct aws_shape *input = decode->route->operation->input;
	json_t *wire;

	if (!str_trim(decode->body).len)
		return DECODE_DONE;
	int r = decode_json_parse(decode, input, decode->body, &wire);
	if (r != DECODE_DONE)
		return err_pass(r);
	r = json_is_object(wire) ? decode_json_structure(decode, input, wire, in)
				 : decode_mismatch(decode, input, wire);
	json_decref(wire);
	return err_pass(r);
}

int decode_json_text(
	struct decode *decode, const struct aws_shape *shape, str text, json_t **ret_value)
{
	json_t *wire;

	int r = decode_json_parse(decode, shape, text, &wire);
	if (r != DECODE_DONE)
		return err_pass(r);
	r = decode_json_value(decode, shape, wire, ret_value);
	json_decref(wire);
	return err_pass(r);
}
