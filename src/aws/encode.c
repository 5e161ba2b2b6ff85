/*
 * The entry of encoding outputs, and what REST protocols put beside the body. The tree has the
 * model's names; a member that the model does not have is told to the log, because it is always a
 * mistake of a handler.
 */
#include "aws/encode.h"

#include "aws/encode_parts.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/digest.h"

#include <errno.h>

void encode_init(struct encoded *encoded)
{
	*encoded = (struct encoded){};
	buf_init(&encoded->fields, ENCODE_FIELDS_MAX);
	buf_init(&encoded->body, ENCODE_BODY_MAX);
}

void encode_done(struct encoded *encoded)
{
	buf_done(&encoded->fields);
	buf_done(&encoded->body);
}

bool encode_is_in_body(const struct aws_member *member)
{
	return member->location == AWS_IN_BODY || member->location == AWS_IN_URI ||
		member->location == AWS_IN_QUERY;
}

void encode_warn_unknown(const struct aws_shape *shape, const json_t *object)
{
	for (void *at = json_object_iter((json_t *)object); at;
		at = json_object_iter_next((json_t *)object, at)) {
		str name = str_of(json_object_iter_key(at));
		if (!aws_member_find(shape, name))
			log_warn("answer_member_unknown", LOG_STR("shape", shape->name),
				LOG_STR("member", name));
	}
}

/* --- headers --- */

/* A value that would end its line is a way to smuggle headers: it is left out. */
static void encode_put_field(struct buf *fields, str name, str value)
{
	if (str_find(value, '\r') >= 0 || str_find(value, '\n') >= 0 || str_find(value, '\0') >= 0)
		return;
	buf_put(fields, name);
	buf_put(fields, S(": "));
	buf_put(fields, value);
	buf_put(fields, S("\r\n"));
}

/* Elements that hold a comma or a quote are quoted. */
static void encode_put_list_item(struct buf *out, const struct aws_shape *shape, str text)
{
	bool is_plain = shape->kind != AWS_STRING ||
		(str_find(text, ',') < 0 && str_find(text, '"') < 0);

	if (is_plain) {
		buf_put(out, text);
		return;
	}
	buf_put_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] == '"' || text.at[i] == '\\')
			buf_put_char(out, '\\');
		buf_put_char(out, text.at[i]);
	}
	buf_put_char(out, '"');
}

static int encode_header_list(const struct aws_shape *shape, const json_t *list, struct buf *out)
{
	const struct aws_shape *element = shape->element;
	struct buf text;
	int r = 0;

	buf_init(&text, ENCODE_FIELDS_MAX);
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
		buf_clear(&text);
		r = value_put_text(element, value_time_format(NULL, element, AWS_TIME_RFC822),
			json_array_get(list, i), &text);
		if (i > 0)
			buf_put(out, S(", "));
		encode_put_list_item(out, element, buf_str(&text));
	}
	buf_done(&text);
	return err_pass(r);
}

static int encode_header(const struct aws_member *member, const json_t *value, struct buf *fields)
{
	const struct aws_shape *shape = member->shape;
	struct buf text;
	int r = 0;

	buf_init(&text, ENCODE_FIELDS_MAX);
	if (member->is_json && json_is_string(value))
		base64_put(&text, json_view(value));
	else if (shape->kind == AWS_LIST)
		r = encode_header_list(shape, value, &text);
	else
		r = value_put_text(
			shape, value_time_format(member, shape, AWS_TIME_RFC822), value, &text);
	encode_put_field(fields, member->wire_name, buf_str(&text));
	buf_done(&text);
	return err_pass(r);
}

static void encode_headers(const struct aws_member *member, const json_t *map, struct buf *fields)
{
	struct buf name;

	buf_init(&name, ENCODE_FIELDS_MAX);
	for (void *at = json_object_iter((json_t *)map); at;
		at = json_object_iter_next((json_t *)map, at)) {
		buf_clear(&name);
		buf_put(&name, member->wire_name);
		buf_put(&name, str_of(json_object_iter_key(at)));
		encode_put_field(fields, buf_str(&name), json_view(json_object_iter_value(at)));
	}
	buf_done(&name);
}

/* Members outside of the body. */
static int encode_rest_head(
	const struct aws_shape *output, const json_t *out, struct encoded *encoded)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < output->member_count; i++) {
		const struct aws_member *member = &output->members[i];
		const json_t *value = json_object_get(out, member->name.at);
		if (!value || json_is_null(value))
			continue;
		if (member->location == AWS_IN_HEADER)
			r = encode_header(member, value, &encoded->fields);
		else if (member->location == AWS_IN_HEADERS)
			encode_headers(member, value, &encoded->fields);
		else if (member->location == AWS_IN_STATUS && json_is_integer(value))
			encoded->status = (int)json_integer_value(value);
	}
	return err_pass(r);
}

/* --- bodies --- */

static const struct aws_member *encode_payload_member(const struct aws_shape *output)
{
	for (size_t i = 0; output && i < output->member_count; i++) {
		if (output->members[i].is_payload)
			return &output->members[i];
	}
	return NULL;
}

static void encode_open_xml(str name, str namespace, struct encoded *encoded)
{
	buf_put(&encoded->fields, S("Content-Type: text/xml\r\n"));
	buf_put_char(&encoded->body, '<');
	buf_put(&encoded->body, name);
	if (namespace.len) {
		buf_put(&encoded->body, S(" xmlns=\""));
		encode_xml_text(&encoded->body, namespace);
		buf_put_char(&encoded->body, '"');
	}
}

static void encode_close_xml(str name, struct encoded *encoded)
{
	buf_put(&encoded->body, S("</"));
	buf_put(&encoded->body, name);
	buf_put_char(&encoded->body, '>');
}

static int encode_rest_xml_body(const struct aws_service *service, const struct aws_shape *shape,
	str name, const json_t *value, struct encoded *encoded)
{
	encode_open_xml(name,
		shape->xml_namespace.len ? shape->xml_namespace : service->xml_namespace, encoded);
	int r = encode_xml_attributes(shape, value, &encoded->body);
	buf_put_char(&encoded->body, '>');
	if (r == 0)
		r = encode_xml_members(shape, value, &encoded->body);
	encode_close_xml(name, encoded);
	return err_pass(r);
}

/* Does the output have anything in the body? */
static bool encode_has_body(const struct aws_shape *output)
{
	for (size_t i = 0; output && i < output->member_count; i++) {
		if (encode_is_in_body(&output->members[i]))
			return true;
	}
	return false;
}

/* The body is one member. */
static int encode_rest_payload(const struct aws_service *service, const struct aws_member *member,
	const json_t *out, struct encoded *encoded)
{
	const json_t *value = json_object_get(out, member->name.at);
	const struct aws_shape *shape = member->shape;

	if (!value || json_is_null(value))
		return 0;
	if (!shape->is_document && (shape->kind == AWS_STRING || shape->kind == AWS_BLOB)) {
		if (!json_is_string(value))
			return err_raise(-EINVAL);
		buf_put(&encoded->body, json_view(value));
		return 0;
	}
	if (service->protocol == AWS_REST_XML)
		return err_pass(encode_rest_xml_body(service, shape,
			member->is_named	      ? member->wire_name
				: shape->xml_name.len ? shape->xml_name
						      : shape->name,
			value, encoded));
	buf_put(&encoded->fields, S("Content-Type: application/json\r\n"));
	return err_pass(encode_json_value(member, shape, value, &encoded->body));
}

static int encode_rest(const struct call *call, struct encoded *encoded)
{
	const struct aws_service *service = call->service;
	const struct aws_shape *output = call->operation->output;
	const struct aws_member *payload = encode_payload_member(output);

	int r = output ? encode_rest_head(output, call->out, encoded) : 0;
	if (r < 0)
		return err_pass(r);
	if (payload)
		return err_pass(encode_rest_payload(service, payload, call->out, encoded));
	if (encoded->status == 204)
		return 0;
	if (service->protocol == AWS_REST_XML)
		return encode_has_body(output)
			? err_pass(encode_rest_xml_body(service, output,
				  output->xml_name.len ? output->xml_name : output->name, call->out,
				  encoded))
			: 0;
	buf_put(&encoded->fields, S("Content-Type: application/json\r\n"));
	if (output)
		return err_pass(encode_json_structure(output, call->out, &encoded->body));
	return 0;
}

static int encode_json(const struct call *call, struct encoded *encoded)
{
	buf_putf(&encoded->fields, "Content-Type: application/x-amz-json-" STR_FMT "\r\n",
		STR_ARG(call->service->json_version));
	if (!call->operation->output) /* AWS: an empty body, and not {} */
		return 0;
	return err_pass(encode_json_structure(call->operation->output, call->out, &encoded->body));
}

static int encode_query(const struct call *call, struct encoded *encoded)
{
	const struct aws_operation *operation = call->operation;
	struct buf *body = &encoded->body;
	int r = 0;

	buf_put(&encoded->fields, S("Content-Type: text/xml\r\n"));
	buf_put_char(body, '<');
	buf_put(body, operation->name);
	buf_put(body, S("Response xmlns=\""));
	encode_xml_text(body, call->service->xml_namespace);
	buf_put(body, S("\">"));
	if (operation->output) {
		str wrapper = operation->output_wrapper;
		if (wrapper.len)
			buf_putf(body, "<" STR_FMT ">", STR_ARG(wrapper));
		r = encode_xml_members(operation->output, call->out, body);
		if (wrapper.len)
			buf_putf(body, "</" STR_FMT ">", STR_ARG(wrapper));
	}
	buf_put(body, S("<ResponseMetadata><RequestId>"));
	buf_put(body, call->request_id);
	buf_put(body, S("</RequestId></ResponseMetadata></"));
	buf_put(body, operation->name);
	buf_put(body, S("Response>"));
	return err_pass(r);
}

int encode_output(const struct call *call, struct encoded *encoded)
{
	int r = 0;

	encoded->status = call->status ? call->status : call->operation->status;
	buf_put(&encoded->fields, S("x-amzn-RequestId: "));
	buf_put(&encoded->fields, call->request_id);
	buf_put(&encoded->fields, S("\r\n"));
	buf_put(&encoded->fields, buf_str(&call->fields));
	switch (call->service->protocol) {
	case AWS_JSON:
		r = encode_json(call, encoded);
		break;
	case AWS_QUERY:
		r = encode_query(call, encoded);
		break;
	case AWS_REST_JSON:
	case AWS_REST_XML:
		r = encode_rest(call, encoded);
		break;
	default:
		return err_raise(-ENOTSUP);
	}
	if (r == 0 && (encoded->body.err || encoded->fields.err || call->fields.err))
		r = err_raise(encoded->body.err	      ? encoded->body.err
				: encoded->fields.err ? encoded->fields.err
						      : call->fields.err);
	return err_pass(r);
}
