/*
 * Errors. The name of the message's member is the model's ("Message" or "message"), and so is
 * whether there is a "Type". Exceptions that the model does not have (ValidationException of many
 * services) are told with "message" alone, as AWS does.
 */
#include "aws/encode_parts.h"
#include "base/err.h"

#include <errno.h>

/* The member that holds the message. */
static str error_message_name(const struct aws_shape *shape)
{
	for (size_t i = 0; shape && i < shape->member_count; i++) {
		if (str_eq_fold(shape->members[i].name, S("message")))
			return shape->members[i].wire_name;
	}
	return S("message");
}

static str error_type(const struct encode_error *error, const struct aws_shape *shape)
{
	if (error->type.at)
		return error->type;
	if (!shape || !aws_member_find(shape, S("Type")))
		return S("");
	return error->status >= 500 ? S("Service") : S("User");
}

/* "Name":"value", with a comma behind. */
static void error_put_member(struct buf *body, str name, str value)
{
	buf_put_json(body, name);
	buf_put_char(body, ':');
	buf_put_json(body, value);
	buf_put_char(body, ',');
}

/* Further members: by the model's names where it has them. */
static int error_put_extra(struct buf *body, const struct aws_shape *shape, const json_t *extra)
{
	for (void *at = json_object_iter((json_t *)extra); at;
		at = json_object_iter_next((json_t *)extra, at)) {
		str name = str_of(json_object_iter_key(at));
		const struct aws_member *member = shape ? aws_member_find(shape, name) : NULL;
		const json_t *value = json_object_iter_value(at);
		if (member && member->location != AWS_IN_BODY)
			continue;
		buf_put_json(body, member ? member->wire_name : name);
		buf_put_char(body, ':');
		int r = member ? encode_json_value(member, member->shape, value, body)
			       : encode_json_any(value, body);
		if (r < 0)
			return err_pass(r);
		buf_put_char(body, ',');
	}
	return 0;
}

/* Members of the error that are headers (Retry-After). */
static int error_put_fields(struct buf *fields, const struct aws_shape *shape, const json_t *extra)
{
	for (size_t i = 0; shape && i < shape->member_count; i++) {
		const struct aws_member *member = &shape->members[i];
		const json_t *value = json_object_get(extra, member->name.at);
		if (!value || member->location != AWS_IN_HEADER)
			continue;
		buf_put(fields, member->wire_name);
		buf_put(fields, S(": "));
		int r = value_put_text(member->shape, AWS_TIME_RFC822, value, fields);
		buf_put(fields, S("\r\n"));
		if (r < 0)
			return err_pass(r);
	}
	return 0;
}

static int error_put_json(
	const struct encode_error *error, const struct aws_shape *shape, struct encoded *encoded)
{
	bool is_rest = (error->service ? error->service->protocol : error->protocol) ==
		AWS_REST_JSON;
	str type = error_type(error, shape);
	struct buf *body = &encoded->body;

	if (is_rest) {
		buf_put(&encoded->fields,
			S("Content-Type: application/json\r\nx-amzn-ErrorType: "));
		buf_put(&encoded->fields, error->code);
		buf_put(&encoded->fields, S("\r\n"));
	} else {
		str version = error->service ? error->service->json_version : S("1.1");
		buf_putf(&encoded->fields, "Content-Type: application/x-amz-json-" STR_FMT "\r\n",
			STR_ARG(version));
	}
	if (error->service && error->service->is_query_compatible) {
		str code = shape && shape->error_code.len ? shape->error_code : error->code;
		buf_putf(&encoded->fields, "x-amzn-query-error: " STR_FMT ";%s\r\n", STR_ARG(code),
			error->status >= 500 ? "Receiver" : "Sender");
	}
	buf_put_char(body, '{');
	if (!is_rest)
		error_put_member(body, S("__type"), error->code);
	int r = error_put_extra(body, shape, error->extra);
	if (r == 0)
		r = error_put_fields(&encoded->fields, shape, error->extra);
	if (type.len && !json_object_get(error->extra, "Type"))
		error_put_member(body, S("Type"), type);
	if (error->message.at)
		error_put_member(body, error_message_name(shape), error->message);
	if (body->len > 1)
		body->len--; /* the last comma */
	buf_put_char(body, '}');
	return err_pass(r);
}

/* <Code>…</Code><Message>…</Message> */
static void error_put_element(struct buf *body, const char *name, str text)
{
	buf_putf(body, "<%s>", name);
	encode_xml_text(body, text);
	buf_putf(body, "</%s>", name);
}

static int error_put_xml_extra(struct buf *body, const struct aws_shape *shape, const json_t *extra)
{
	struct buf text;
	int r = 0;

	buf_init(&text, ENCODE_FIELDS_MAX);
	for (void *at = json_object_iter((json_t *)extra); r == 0 && at;
		at = json_object_iter_next((json_t *)extra, at)) {
		const char *name = json_object_iter_key(at);
		const struct aws_member *member = shape ? aws_member_find(shape, str_of(name))
							: NULL;
		const json_t *value = json_object_iter_value(at);
		buf_clear(&text);
		if (member && value_is_scalar(member->shape))
			r = value_put_text(member->shape, AWS_TIME_ISO8601, value, &text);
		else
			buf_put(&text, json_view(value));
		error_put_element(body, name, buf_str(&text));
	}
	buf_done(&text);
	return err_pass(r);
}

/* S3 alone answers a bare <Error>. */
static bool error_is_bare(const struct encode_error *error)
{
	return error->service && error->service->protocol == AWS_REST_XML &&
		str_eq(error->service->signing_name, S("s3"));
}

static int error_put_xml(
	const struct encode_error *error, const struct aws_shape *shape, struct encoded *encoded)
{
	struct buf *body = &encoded->body;
	str code = shape && shape->error_code.len ? shape->error_code : error->code;
	bool is_bare = error_is_bare(error);

	buf_put(&encoded->fields, S("Content-Type: text/xml\r\n"));
	if (is_bare) {
		buf_put(body, S("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>"));
	} else {
		buf_put(body, S("<ErrorResponse"));
		if (error->service && error->service->xml_namespace.len) {
			buf_put(body, S(" xmlns=\""));
			encode_xml_text(body, error->service->xml_namespace);
			buf_put_char(body, '"');
		}
		buf_put(body, S("><Error>"));
		error_put_element(body, "Type", error->status >= 500 ? S("Receiver") : S("Sender"));
	}
	error_put_element(body, "Code", code);
	if (error->message.at)
		error_put_element(body, "Message", error->message);
	int r = error_put_xml_extra(body, shape, error->extra);
	if (is_bare)
		error_put_element(body, "RequestId", error->request_id);
	buf_put(body, S("</Error>"));
	if (!is_bare) {
		error_put_element(body, "RequestId", error->request_id);
		buf_put(body, S("</ErrorResponse>"));
	}
	return err_pass(r);
}

static void error_put_ec2(const struct encode_error *error, struct encoded *encoded)
{
	struct buf *body = &encoded->body;

	buf_put(&encoded->fields, S("Content-Type: text/xml\r\n"));
	buf_put(body, S("<Response><Errors><Error>"));
	error_put_element(body, "Code", error->code);
	error_put_element(body, "Message", error->message);
	buf_put(body, S("</Error></Errors>"));
	error_put_element(body, "RequestID", error->request_id);
	buf_put(body, S("</Response>"));
}

int encode_error(const struct encode_error *error, struct encoded *encoded)
{
	const struct aws_shape *shape = error->service ? aws_error_find(error->service, error->code)
						       : NULL;
	int r = 0;

	encoded->status = error->status;
	buf_put(&encoded->fields, S("x-amzn-RequestId: "));
	buf_put(&encoded->fields, error->request_id);
	buf_put(&encoded->fields, S("\r\n"));
	switch (error->service ? error->service->protocol : error->protocol) {
	case AWS_REST_JSON:
	case AWS_JSON:
		r = error_put_json(error, shape, encoded);
		break;
	case AWS_EC2:
		error_put_ec2(error, encoded);
		break;
	default:
		r = error_put_xml(error, shape, encoded);
	}
	if (r == 0 && (encoded->body.err || encoded->fields.err))
		r = err_raise(encoded->body.err ? encoded->body.err : encoded->fields.err);
	return err_pass(r);
}
