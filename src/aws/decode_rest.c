/*
 * What REST protocols keep outside of the body's members: labels of the path, parameters of the
 * query, headers, and a body that is one member as a whole.
 */
#include "aws/decode_parts.h"
#include "base/err.h"
#include "wire/digest.h"

#include <errno.h>
#include <fcntl.h>

static int rest_append(
	struct decode *decode, const struct aws_shape *element, str text, json_t *list)
{
	json_t *value;

	int r = value_from_text(element, text, &value);
	if (r == VALUE_BAD)
		return err_pass(decode_refuse(decode, "SerializationException",
			"class java.lang.String can not be converted to an %s",
			value_kind_name(element)));
	if (r < 0)
		return err_pass(r);
	return json_array_append_new(list, value) < 0 ? err_raise(-ENOMEM) : DECODE_DONE;
}

/* --- labels --- */

static int rest_label(struct decode *decode, const struct aws_member *member, json_t *in)
{
	str text = route_label(decode->route, member->wire_name);

	if (!text.at)
		return DECODE_DONE;
	int r = decode_percent(decode, text, false, &text);
	if (r != DECODE_DONE)
		return err_pass(r);
	return err_pass(decode_put_text(decode, member, text, in));
}

/* --- query --- */

/* The next parameter, decoded; *ret_more false at the end. */
static int rest_next(
	struct decode *decode, str *query, str *ret_name, str *ret_value, bool *ret_more)
{
	str name, value;

	*ret_more = uri_query_next(query, &name, &value);
	if (!*ret_more)
		return DECODE_DONE;
	int r = decode_percent(decode, name, true, ret_name);
	if (r == DECODE_DONE)
		r = decode_percent(decode, value, true, ret_value);
	return err_pass(r);
}

static int rest_query_list(struct decode *decode, const struct aws_member *member, json_t *in)
{
	str query = decode->head->query, name, value;
	json_t *list = NULL;
	bool more;

	int r = rest_next(decode, &query, &name, &value, &more);
	for (; r == DECODE_DONE && more; r = rest_next(decode, &query, &name, &value, &more)) {
		if (!str_eq(name, member->wire_name))
			continue;
		if (!list) {
			list = json_array();
			r = json_put(in, member->name.at, list);
		}
		if (r == DECODE_DONE)
			r = rest_append(decode, member->shape->element, value, list);
		if (r != DECODE_DONE)
			return err_pass(r);
	}
	return err_pass(r);
}

/* One parameter into a map of strings, or of lists of strings. */
static int rest_map_put(
	struct decode *decode, const struct aws_shape *shape, str name, str value, json_t *map)
{
	json_t *key = value_bytes(name), *item = value_bytes(value);
	const char *key_text = json_string_value(key);
	int r = DECODE_DONE;

	if (!key || !item) {
		json_decref(key);
		json_decref(item);
		return err_raise(-ENOMEM);
	}
	json_t *list = json_object_get(map, key_text);
	if (shape->element->kind != AWS_LIST) {
		if (list)
			json_decref(item); /* the first one counts */
		else
			r = json_object_set_new(map, key_text, item);
	} else {
		if (!list) {
			list = json_array();
			r = json_object_set_new(map, key_text, list);
		}
		if (r == 0)
			r = json_array_append_new(list, item);
		else
			json_decref(item);
	}
	json_decref(key);
	if (r < 0)
		return err_pass(decode_refuse(
			decode, "SerializationException", "A parameter's name is malformed."));
	return DECODE_DONE;
}

/* A map takes every parameter, also those of other members. */
static int rest_query_map(struct decode *decode, const struct aws_member *member, json_t *in)
{
	str query = decode->head->query, name, value;
	json_t *map = json_object();
	bool more;

	int r = json_put(in, member->name.at, map);
	if (r == 0)
		r = rest_next(decode, &query, &name, &value, &more);
	for (; r == DECODE_DONE && more; r = rest_next(decode, &query, &name, &value, &more)) {
		r = rest_map_put(decode, member->shape, name, value, map);
		if (r != DECODE_DONE)
			return err_pass(r);
	}
	return err_pass(r);
}

static int rest_query_scalar(struct decode *decode, const struct aws_member *member, json_t *in)
{
	str query = decode->head->query, name, value;
	bool more;

	int r = rest_next(decode, &query, &name, &value, &more);
	for (; r == DECODE_DONE && more; r = rest_next(decode, &query, &name, &value, &more)) {
		if (str_eq(name, member->wire_name))
			return err_pass(decode_put_text(decode, member, value, in));
	}
	return err_pass(r);
}

static int rest_query(struct decode *decode, const struct aws_member *member, json_t *in)
{
	switch (member->shape->kind) {
	case AWS_LIST:
		return err_pass(rest_query_list(decode, member, in));
	case AWS_MAP:
		return err_pass(rest_query_map(decode, member, in));
	default:
		return err_pass(rest_query_scalar(decode, member, in));
	}
}

/* --- headers --- */

/* The next element of a list in a header. Dates hold a comma; strings may be quoted. */
static bool rest_header_next(
	struct decode *decode, const struct aws_shape *element, str *rest, str *ret_item)
{
	str item = str_trim(*rest);
	size_t end = 0;

	(void)decode;
	if (!item.len)
		return false;
	if (item.at[0] == '"') {
		for (end = 1; end < item.len && item.at[end] != '"'; end++)
			end += item.at[end] == '\\' && end + 1 < item.len;
		*ret_item = str_slice(item, 1, end);
		item = str_from(item, end + 1);
		ptrdiff_t comma = str_find(item, ',');
		*rest = comma < 0 ? (str){} : str_from(item, (size_t)comma + 1);
		return true;
	}
	ptrdiff_t comma = str_find(item, ',');
	bool is_date = element->kind == AWS_TIMESTAMP &&
		value_time_format(NULL, element, AWS_TIME_RFC822) == AWS_TIME_RFC822;
	if (is_date && comma >= 0) {
		ptrdiff_t second = str_find(str_from(item, (size_t)comma + 1), ',');
		comma = second < 0 ? -1 : comma + 1 + second;
	}
	end = comma < 0 ? item.len : (size_t)comma;
	*ret_item = str_trim(str_slice(item, 0, end));
	*rest = str_from(item, end + 1);
	return true;
}

/* Without the backslashes of a quoted string. */
static int rest_unquote(struct decode *decode, str item, str *ret_text)
{
	struct buf text;

	if (str_find(item, '\\') < 0) {
		*ret_text = item;
		return 0;
	}
	buf_init(&text, item.len);
	for (size_t i = 0; i < item.len; i++) {
		i += item.at[i] == '\\' && i + 1 < item.len;
		buf_put_char(&text, item.at[i]);
	}
	*ret_text = arena_str(decode->arena, buf_str(&text));
	buf_done(&text);
	return ret_text->at ? 0 : err_raise(-ENOMEM);
}

static int rest_header_list(
	struct decode *decode, const struct aws_member *member, str value, json_t *in)
{
	json_t *list = json_array();
	str item;

	int r = json_put(in, member->name.at, list);
	while (r == DECODE_DONE &&
		rest_header_next(decode, member->shape->element, &value, &item)) {
		r = rest_unquote(decode, item, &item);
		if (r == 0)
			r = rest_append(decode, member->shape->element, item, list);
	}
	return err_pass(r);
}

/* JSON in base64. */
static int rest_header_json(
	struct decode *decode, const struct aws_member *member, str value, json_t *in)
{
	struct buf text;
	json_t *document;

	buf_init(&text, value.len);
	int r = base64_decode(value, &text);
	json_t *parsed = r < 0 ? NULL
			       : json_loadb(text.at ? text.at : "", text.len,
					 JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (!parsed) {
		buf_done(&text);
		return err_pass(decode_refuse(
			decode, "SerializationException", "A header is not valid JSON in base64."));
	}
	json_decref(parsed);
	document = value_bytes(buf_str(&text));
	buf_done(&text);
	return err_pass(json_put(in, member->name.at, document));
}

static int rest_header(struct decode *decode, const struct aws_member *member, json_t *in)
{
	str value = http_field(decode->head, member->wire_name);

	if (!value.at)
		return DECODE_DONE;
	if (member->is_json)
		return err_pass(rest_header_json(decode, member, value, in));
	if (member->shape->kind == AWS_LIST)
		return err_pass(rest_header_list(decode, member, value, in));
	return err_pass(decode_put_text(decode, member, value, in));
}

/* All headers of a prefix are a map; the prefix is not part of the keys. */
static int rest_headers(struct decode *decode, const struct aws_member *member, json_t *in)
{
	json_t *map = json_object();

	int r = json_put(in, member->name.at, map);
	for (size_t i = 0; r == DECODE_DONE && i < decode->head->field_count; i++) {
		const struct http_field *field = &decode->head->fields[i];
		if (!str_starts_fold(field->name, member->wire_name))
			continue;
		r = rest_map_put(decode, member->shape,
			str_from(field->name, member->wire_name.len), field->value, map);
	}
	if (r == DECODE_DONE && json_object_size(map) == 0)
		(void)json_object_del(in, member->name.at);
	return err_pass(r);
}

int decode_rest_head(struct decode *decode, json_t *in)
{
	const struct aws_shape *input = decode->route->operation->input;
	int r = DECODE_DONE;

	for (size_t i = 0; r == DECODE_DONE && i < input->member_count; i++) {
		const struct aws_member *member = &input->members[i];
		if (member->location == AWS_IN_URI)
			r = rest_label(decode, member, in);
		else if (member->location == AWS_IN_QUERY)
			r = rest_query(decode, member, in);
		else if (member->location == AWS_IN_HEADER)
			r = rest_header(decode, member, in);
		else if (member->location == AWS_IN_HEADERS)
			r = rest_headers(decode, member, in);
	}
	return err_pass(r);
}

/* --- the payload --- */

/* A body of bytes: from CALL_BLOB_FILE on as the file that it is in, or is put into. */
static int rest_raw(struct decode *decode, const struct aws_member *member, json_t *in)
{
	if (member->shape->kind == AWS_BLOB && decode->body_fd > 0 &&
		decode->body.len >= CALL_BLOB_FILE) {
		int fd = fcntl(decode->body_fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return err_raise(-errno);
		decode->blob_fd = fd;
		decode->blob_len = decode->body.len;
		decode->blob_member = member;
		return DECODE_DONE;
	}
	if (!decode->body.len)
		return DECODE_DONE;
	if (member->shape->kind == AWS_STRING)
		return err_pass(decode_put_text(decode, member, decode->body, in));
	return err_pass(json_put(in, member->name.at, value_bytes(decode->body)));
}

static int rest_payload(struct decode *decode, const struct aws_member *member, json_t *in)
{
	const struct aws_shape *shape = member->shape;
	json_t *value;

	if (shape->kind == AWS_BLOB || (shape->kind == AWS_STRING && !shape->is_document))
		return err_pass(rest_raw(decode, member, in));
	if (!str_trim(decode->body).len)
		return DECODE_DONE;
	if (decode->service->protocol == AWS_REST_JSON) {
		int r = decode_json_text(decode, shape, decode->body, &value);
		if (r != DECODE_DONE)
			return err_pass(r);
		return err_pass(json_put(in, member->name.at, value));
	}
	value = json_object();
	int r = json_put(in, member->name.at, value);
	return err_pass(r < 0 ? r : decode_xml_body(decode, shape, value));
}

int decode_rest_payload(struct decode *decode, json_t *in, bool *ret_is_done)
{
	const struct aws_shape *input = decode->route->operation->input;

	for (size_t i = 0; i < input->member_count; i++) {
		if (!input->members[i].is_payload)
			continue;
		*ret_is_done = true;
		return err_pass(rest_payload(decode, &input->members[i], in));
	}
	return DECODE_DONE;
}
