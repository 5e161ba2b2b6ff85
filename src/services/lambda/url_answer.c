/*
 * Lambda, "Invoking Lambda function URLs": "If your function returns valid JSON and doesn't return a statusCode, Lambda
 * assumes the following: statusCode is 200; content-type is application/json; body is the function response;
 * isBase64Encoded is false." A bare string is the body without its quotes.
 *
 * What a function returns is as foreign as what a client sends: it is checked, then read where it stands. Nothing of it
 * becomes a line of the head that is not a token and a value without control characters, and nothing that frames the
 * message is taken from it.
 */
#include "services/lambda/url_answer.h"

#include "base/attr.h"
#include "base/err.h"
#include "wire/digest.h"
#include "wire/http_class.h"
#include "wire/json_check.h"
#include "wire/json_read.h"

#include <errno.h>

enum { FIELDS_MAX = 64 * 1024, STATUS_MIN = 200, STATUS_MAX = 599 };

/* The members of a response, raw; at == NULL: absent. */
struct members {
	str status, headers, cookies, body, is_base64;
};

/* null counts as absent. The last of two members of a name is it, as in most parsers. */
static struct members members_read(str object)
{
	struct members members = {};
	const struct {
		str name;
		str *value;
	} wanted[] = {
		{ S("statusCode"), &members.status },
		{ S("headers"), &members.headers },
		{ S("cookies"), &members.cookies },
		{ S("body"), &members.body },
		{ S("isBase64Encoded"), &members.is_base64 },
	};
	struct json_walk walk = json_walk_of(object);
	str name, value;

	while (json_walk_member(&walk, &name, &value)) {
		for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
			if (json_string_is(name, wanted[i].name))
				*wanted[i].value = json_read_kind(value) == JSON_KIND_NULL ? (str){}
											   : value;
		}
	}
	return members;
}

static bool status_read(str value, int *ret_status)
{
	uint64_t number;

	if (json_read_kind(value) == JSON_KIND_STRING)
		value = json_string_plain(value);
	if (str_to_u64(value, STATUS_MAX, &number) < 0 || number < STATUS_MIN)
		return false;
	*ret_status = (int)number;
	return true;
}

/* --- headers --- */

/* They frame the message, or are told by the server itself. */
static bool field_is_ours(str name)
{
	static const str ours[] = { S_INIT("connection"), S_INIT("content-length"), S_INIT("date"),
		S_INIT("keep-alive"), S_INIT("proxy-connection"), S_INIT("trailer"),
		S_INIT("transfer-encoding"), S_INIT("upgrade"), S_INIT("x-amzn-requestid"),
		S_INIT("x-amzn-trace-id") };

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (str_eq_fold(name, ours[i]))
			return true;
	return false;
}

static bool text_is(str text, enum http_class wanted)
{
	for (size_t i = 0; i < text.len; i++)
		if (!http_is(text.at[i], wanted))
			return false;
	return true;
}

/* The text of a raw value behind what the buffer has: of a string, or of a number or boolean as it stands. */
static bool put_scalar(struct buf *out, str value)
{
	switch (json_read_kind(value)) {
	case JSON_KIND_STRING:
		json_string_put(out, value);
		return true;
	case JSON_KIND_NUMBER:
	case JSON_KIND_TRUE:
	case JSON_KIND_FALSE:
		buf_put(out, value);
		return true;
	default:
		return false;
	}
}

/* One line, or none where the field is ours; false when it can be none. */
static bool put_field(struct buf *fields, str raw_name, str raw_value)
{
	size_t from = fields->len;

	json_string_put(fields, raw_name);
	str name = str_from(buf_str(fields), from);
	if (!name.len || !text_is(name, HTTP_TOKEN))
		return false;
	if (field_is_ours(name)) {
		if (!fields->err)
			fields->len = from;
		return true;
	}
	buf_put(fields, S(": "));
	size_t value_from = fields->len;
	if (!put_scalar(fields, raw_value))
		return false;
	if (!text_is(str_from(buf_str(fields), value_from), HTTP_VALUE))
		return false;
	buf_put(fields, S("\r\n"));
	return true;
}

static bool put_headers(struct buf *fields, str object)
{
	struct json_walk walk;
	str name, value;

	if (!object.at)
		return true;
	if (json_read_kind(object) != JSON_KIND_OBJECT)
		return false;
	walk = json_walk_of(object);
	while (json_walk_member(&walk, &name, &value)) {
		if (json_read_kind(value) == JSON_KIND_NULL)
			continue;
		if (!put_field(fields, name, value))
			return false;
	}
	return true;
}

/* "To customize cookies, return a list of cookies": each its own Set-Cookie. */
static bool put_cookies(struct buf *fields, str array)
{
	struct json_walk walk;
	str item;

	if (!array.at)
		return true;
	if (json_read_kind(array) != JSON_KIND_ARRAY)
		return false;
	walk = json_walk_of(array);
	while (json_walk_item(&walk, &item)) {
		if (json_read_kind(item) != JSON_KIND_STRING ||
			!put_field(fields, S("\"Set-Cookie\""), item))
			return false;
	}
	return true;
}

bool url_fields_have(str fields, str name)
{
	str line;

	while (str_next(&fields, '\n', &line)) {
		str field;
		if (str_cut(&line, ':', &field) && str_eq_fold(field, name))
			return true;
	}
	return false;
}

/* --- the body --- */

/* The text of a string: where it stands if it has no escapes, else a copy. */
static str take_text(struct url_answer *answer, str string)
{
	str plain = json_string_plain(string);

	if (plain.at)
		return plain;
	buf_init(&answer->text, string.len);
	json_string_put(&answer->text, string);
	return buf_str(&answer->text);
}

static int take_bytes(struct url_answer *answer, str text)
{
	struct buf bytes;

	buf_init(&bytes, text.len);
	int r = base64_decode(text, &bytes);
	if (r < 0) {
		int fault = bytes.err;
		buf_done(&bytes);
		return fault ? err_raise(fault) : URL_ANSWER_BAD;
	}
	buf_done(&answer->text); /* the text, if it had been copied: no longer needed */
	answer->text = bytes;
	answer->body = buf_str(&answer->text);
	return URL_ANSWER_GOOD;
}

static int take_body(struct url_answer *answer, const struct members *members)
{
	bool is_base64 = false;

	if (members->is_base64.at) {
		enum json_kind kind = json_read_kind(members->is_base64);
		if (kind != JSON_KIND_TRUE && kind != JSON_KIND_FALSE)
			return URL_ANSWER_BAD;
		is_base64 = kind == JSON_KIND_TRUE;
	}
	if (!members->body.at)
		return URL_ANSWER_GOOD;
	bool is_string = json_read_kind(members->body) == JSON_KIND_STRING;
	/* Anything else stands for its own JSON text. */
	answer->body = is_string ? take_text(answer, members->body) : members->body;
	if (answer->text.err)
		return err_raise(answer->text.err);
	if (!is_base64)
		return URL_ANSWER_GOOD;
	return is_string ? err_pass(take_bytes(answer, answer->body)) : URL_ANSWER_BAD;
}

/* --- all of it --- */

/* A response of the format. */
static int read_response(struct url_answer *answer, const struct members *members)
{
	if (!status_read(members->status, &answer->status) ||
		!put_headers(&answer->fields, members->headers) ||
		!put_cookies(&answer->fields, members->cookies))
		return answer->fields.err == -ENOMEM ? err_raise(-ENOMEM) : URL_ANSWER_BAD;
	return err_pass(take_body(answer, members));
}

/* Anything else that is JSON: the body as it is. */
static void read_bare(struct url_answer *answer, str value)
{
	answer->status = 200;
	answer->body = json_read_kind(value) == JSON_KIND_STRING ? take_text(answer, value) : value;
}

int url_answer_read(str payload, struct url_answer *ret_answer)
{
	struct url_answer *answer = ret_answer;
	str value = json_read_trim(payload);
	struct members members = {};
	int r = URL_ANSWER_GOOD;
	size_t offset;

	*answer = (struct url_answer){};
	buf_init(&answer->fields, FIELDS_MAX);
	if (!json_check(value, &offset))
		return URL_ANSWER_BAD;
	if (json_read_kind(value) == JSON_KIND_OBJECT)
		members = members_read(value);
	if (members.status.at)
		r = read_response(answer, &members);
	else
		read_bare(answer, value);
	if (r)
		return err_pass(r);
	if (!url_fields_have(buf_str(&answer->fields), S("content-type")))
		buf_put(&answer->fields, S("Content-Type: application/json\r\n"));
	if (answer->fields.err == -ENOMEM || answer->text.err)
		return err_raise(-ENOMEM);
	return answer->fields.err ? URL_ANSWER_BAD : URL_ANSWER_GOOD;
}

int url_answer_read_prelude(str prelude, struct url_answer *ret_answer)
{
	struct url_answer *answer = ret_answer;
	str value = json_read_trim(prelude);
	size_t offset;

	*answer = (struct url_answer){ .status = 200 };
	buf_init(&answer->fields, FIELDS_MAX);
	if (!json_check(value, &offset) || json_read_kind(value) != JSON_KIND_OBJECT)
		return URL_ANSWER_BAD;
	struct members members = members_read(value);
	bool is_good = (!members.status.at || status_read(members.status, &answer->status)) &&
		put_headers(&answer->fields, members.headers) &&
		put_cookies(&answer->fields, members.cookies);
	if (!url_fields_have(buf_str(&answer->fields), S("content-type")))
		buf_put(&answer->fields, S("Content-Type: application/octet-stream\r\n"));
	if (answer->fields.err == -ENOMEM)
		return err_raise(-ENOMEM);
	return is_good && !answer->fields.err ? URL_ANSWER_GOOD : URL_ANSWER_BAD;
}

void url_answer_done(struct url_answer *answer)
{
	buf_done(&answer->fields);
	buf_done(&answer->text);
}
