/*
 * Written straight into a buffer, without a tree: this is on the way of every invocation by URL, on the loop thread.
 *
 * Lambda, "Invoking Lambda function URLs": "The request and response event formats follow the same schema as the Amazon
 * API Gateway payload format version 2.0." "Duplicate headers are combined with commas" and so are "duplicate query
 * strings"; cookies are a list of their own. Members that a request has nothing for (body, cookies, queryStringParameters)
 * are left out, as AWS leaves them out. The fields of a head are at most HTTP_FIELDS_MAX, so others of the same name
 * are found by comparing all; parameters of a query may be tens of thousands and have a table.
 */
#include "services/lambda/url_event.h"

#include "base/attr.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "wire/digest.h"
#include "wire/timestamp.h"

#include <errno.h>

/* A member whose value is a string: `name` has its quotes and the colon. */
static void put_member(struct buf *out, str name, str value)
{
	buf_put(out, name);
	buf_put_json(out, value);
}

/* --- headers --- */

/* Of the connection, not of the request; and what has a place of its own in the event. */
static bool field_is_hidden(const struct url_event *event, str name)
{
	static const str hidden[] = { S_INIT("connection"), S_INIT("keep-alive"),
		S_INIT("proxy-connection"), S_INIT("te"), S_INIT("trailer"),
		S_INIT("transfer-encoding"), S_INIT("upgrade"), S_INIT("expect"), S_INIT("cookie"),
		S_INIT("x-forwarded-for"), S_INIT("x-forwarded-port"),
		S_INIT("x-forwarded-proto") };

	for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
		if (str_eq_fold(name, hidden[i]))
			return true;
	/* The caller's signature is between him and Lambda. */
	if (event->caller && str_eq_fold(name, S("authorization")))
		return true;
	return event->trace.len && str_eq_fold(name, S("x-amzn-trace-id"));
}

static void put_lower(struct buf *out, str name)
{
	buf_put_char(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i]; /* of a token: nothing that JSON would escape */
		buf_put_char(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
	}
	buf_put_char(out, '"');
}

static bool field_is_repeated(const struct http_head *head, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (str_eq_fold(head->fields[i].name, head->fields[at].name))
			return true;
	return false;
}

/* All values of a field's name, from its first one on. */
static void put_values(struct buf *out, const struct http_head *head, size_t first)
{
	buf_put_char(out, '"');
	buf_put_json_piece(out, head->fields[first].value);
	for (size_t i = first + 1; i < head->field_count; i++) {
		if (!str_eq_fold(head->fields[i].name, head->fields[first].name))
			continue;
		buf_put_char(out, ',');
		buf_put_json_piece(out, head->fields[i].value);
	}
	buf_put_char(out, '"');
}

/* The port that the client has connected to, as it names it. */
static str host_port(const struct url_event *event)
{
	str host = http_field(event->head, S("Host"));
	str name = http_host_name(host);

	if (name.len < host.len)
		return str_from(host, name.len + 1);
	return event->is_secure ? S("443") : S("80");
}

/* "a proxy, its proxy, …, who has connected here" */
static void put_forwarded(struct buf *out, const struct url_event *event)
{
	const struct http_head *head = event->head;

	buf_put(out, S("\"x-forwarded-for\":"));
	buf_put_char(out, '"');
	for (size_t i = 0; i < head->field_count; i++) {
		if (!str_eq_fold(head->fields[i].name, S("x-forwarded-for")))
			continue;
		buf_put_json_piece(out, head->fields[i].value);
		buf_put(out, S(", "));
	}
	buf_put_json_piece(out, event->source_ip);
	buf_put_char(out, '"');
	buf_put_char(out, ',');
	put_member(out, S("\"x-forwarded-port\":"), host_port(event));
	buf_put_char(out, ',');
	put_member(out, S("\"x-forwarded-proto\":"), event->is_secure ? S("https") : S("http"));
}

static void put_headers(struct buf *out, const struct url_event *event)
{
	const struct http_head *head = event->head;

	buf_put(out, S(",\"headers\":{"));
	for (size_t i = 0; i < head->field_count; i++) {
		if (field_is_hidden(event, head->fields[i].name) || field_is_repeated(head, i))
			continue;
		put_lower(out, head->fields[i].name);
		buf_put_char(out, ':');
		put_values(out, head, i);
		buf_put_char(out, ',');
	}
	if (event->trace.len) {
		put_member(out, S("\"x-amzn-trace-id\":"), event->trace);
		buf_put_char(out, ',');
	}
	put_forwarded(out, event);
	buf_put_char(out, '}');
}

/* "a=1; b=2" is two cookies. */
static void put_cookies(struct buf *out, const struct http_head *head)
{
	bool has_some = false;

	for (size_t i = 0; i < head->field_count; i++) {
		str rest = head->fields[i].value, cookie;
		if (!str_eq_fold(head->fields[i].name, S("cookie")))
			continue;
		while (str_next(&rest, ';', &cookie)) {
			cookie = str_trim(cookie);
			if (!cookie.len)
				continue;
			buf_put(out, has_some ? S(",") : S(",\"cookies\":["));
			buf_put_json(out, cookie);
			has_some = true;
		}
	}
	if (has_some)
		buf_put_char(out, ']');
}

/* --- the query --- */

/* A parameter, decoded into `text`; those of one name are a chain from the first of them. */
struct parameter {
	str name, value; /* once they do not move any more */
	size_t name_at, value_at, end;
	struct parameter *next, *last;
	bool is_first;
};

struct parameters {
	struct buf text;
	struct map by_name;
	struct parameter *items;
	size_t count;
	int err;
};

/* With '+' for a space; a bad escape stays as it stands. */
static void parameter_decode(struct buf *to, str text)
{
	str rest = text, piece;
	bool is_begun = false;

	while (str_next(&rest, '+', &piece)) {
		if (is_begun)
			buf_put_char(to, ' ');
		is_begun = true;
		if (uri_decode(piece, to) < 0)
			buf_put(to, piece);
	}
}

static void parameters_read(struct parameters *all, str query)
{
	str name, value;

	while (uri_query_next(&query, &name, &value)) {
		struct parameter *item = &all->items[all->count];
		if (!name.len && !value.len)
			continue;
		item->name_at = all->text.len;
		parameter_decode(&all->text, name);
		item->value_at = all->text.len;
		parameter_decode(&all->text, value);
		item->end = all->text.len;
		all->count++;
	}
	all->err = all->text.err;
}

static void parameters_chain(struct parameters *all)
{
	str text = buf_str(&all->text);

	for (size_t i = 0; i < all->count && !all->err; i++) {
		struct parameter *item = &all->items[i];
		item->name = str_slice(text, item->name_at, item->value_at);
		item->value = str_slice(text, item->value_at, item->end);
		item->last = item;
		struct parameter *first = map_get(&all->by_name, item->name);
		item->is_first = !first;
		if (!first) {
			all->err = map_put(&all->by_name, item->name, item);
			continue;
		}
		first->last->next = item;
		first->last = item;
	}
}

/* One member: the values of all parameters of a name. */
static void put_parameter(struct buf *out, const struct parameter *first)
{
	buf_put_json(out, first->name);
	buf_put(out, S(":\""));
	for (const struct parameter *item = first; item; item = item->next) {
		if (item != first)
			buf_put_char(out, ',');
		buf_put_json_piece(out, item->value);
	}
	buf_put_char(out, '"');
}

static void parameters_put(struct buf *out, const struct parameters *all)
{
	bool has_some = false;

	for (size_t i = 0; i < all->count; i++) {
		if (!all->items[i].is_first)
			continue;
		buf_put(out, has_some ? S(",") : S(",\"queryStringParameters\":{"));
		put_parameter(out, &all->items[i]);
		has_some = true;
	}
	if (has_some)
		buf_put_char(out, '}');
}

static void put_query(struct buf *out, str query)
{
	struct parameters all = {};
	size_t most = 1;

	if (!query.len || out->err)
		return;
	for (size_t i = 0; i < query.len; i++)
		most += query.at[i] == '&';
	buf_init(&all.text, query.len);
	all.items = mem_new(most, sizeof(*all.items));
	if (all.items)
		parameters_read(&all, query);
	else
		all.err = -ENOMEM;
	parameters_chain(&all);
	if (all.err)
		out->err = all.err;
	else
		parameters_put(out, &all);
	map_done(&all.by_name);
	mem_free(all.items);
	buf_done(&all.text);
}

/* --- the context --- */

/* requestContext.authorizer: the account, or a session of one of its roles. */
static void put_authorizer(struct buf *out, const struct url_caller *caller)
{
	buf_put(out, S(",\"authorizer\":{\"iam\":{"));
	put_member(out, S("\"accessKey\":"), caller->access_key);
	buf_put_char(out, ',');
	put_member(out, S("\"accountId\":"), caller->account);
	buf_put_char(out, ',');
	put_member(out, S("\"callerId\":"), caller->account);
	buf_put(out, S(",\"cognitoIdentity\":null,\"principalOrgId\":null,\"userArn\":\""));
	if (caller->arn.len) {
		buf_put_json_piece(out, caller->arn);
	} else {
		buf_put(out, S("arn:aws:iam::"));
		buf_put_json_piece(out, caller->account);
		buf_put(out, S(":root"));
	}
	buf_put(out, S("\","));
	put_member(out, S("\"userId\":"), caller->account);
	buf_put(out, S("}}"));
}

static void put_http(struct buf *out, const struct url_event *event)
{
	buf_put(out, S(",\"http\":{"));
	put_member(out, S("\"method\":"), event->head->method);
	buf_put_char(out, ',');
	put_member(out, S("\"path\":"), event->path);
	buf_put(out,
		event->head->minor == 0 ? S(",\"protocol\":\"HTTP/1.0\",")
					: S(",\"protocol\":\"HTTP/1.1\","));
	put_member(out, S("\"sourceIp\":"), event->source_ip);
	buf_put_char(out, ',');
	put_member(out, S("\"userAgent\":"), http_field(event->head, S("User-Agent")));
	buf_put_char(out, '}');
}

static void put_context(struct buf *out, const struct url_event *event)
{
	buf_put(out, S(",\"requestContext\":{"));
	put_member(out, S("\"accountId\":"), event->caller ? event->account : S("anonymous"));
	buf_put_char(out, ',');
	put_member(out, S("\"apiId\":"), event->id);
	if (event->caller)
		put_authorizer(out, event->caller);
	buf_put_char(out, ',');
	put_member(out, S("\"domainName\":"), http_host_name(http_field(event->head, S("Host"))));
	buf_put_char(out, ',');
	put_member(out, S("\"domainPrefix\":"), event->id);
	put_http(out, event);
	buf_put_char(out, ',');
	put_member(out, S("\"requestId\":"), event->request_id);
	buf_put(out, S(",\"routeKey\":\"$default\",\"stage\":\"$default\",\"time\":\""));
	timestamp_put_access(out, event->now_ms);
	buf_put(out, S("\",\"timeEpoch\":"));
	buf_put_u64(out, event->now_ms);
	buf_put_char(out, '}');
}

/* --- the body --- */

static bool has_word(str text, str word)
{
	for (size_t i = 0; i + word.len <= text.len; i++)
		if (str_eq_fold(str_slice(text, i, i + word.len), word))
			return true;
	return false;
}

/* Text goes as it is, all else in base64; so does text that is compressed, or no UTF-8. */
static bool body_is_text(const struct url_event *event)
{
	static const str words[] = { S_INIT("text"), S_INIT("json"), S_INIT("xml"),
		S_INIT("javascript") };
	str type = http_field(event->head, S("Content-Type"));
	bool is_text = false;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		is_text = is_text || has_word(type, words[i]);
	return is_text && !http_field(event->head, S("Content-Encoding")).len &&
		utf8_valid(event->body);
}

static void put_body(struct buf *out, const struct url_event *event)
{
	bool is_text = !event->body.len || body_is_text(event);

	if (event->body.len) {
		buf_put(out, S(",\"body\":"));
		if (is_text) {
			buf_put_json(out, event->body);
		} else {
			buf_put_char(out, '"');
			base64_put(out, event->body);
			buf_put_char(out, '"');
		}
	}
	buf_put(out, is_text ? S(",\"isBase64Encoded\":false}") : S(",\"isBase64Encoded\":true}"));
}

/* --- all of it --- */

void url_event_put(struct buf *out, const struct url_event *event)
{
	buf_put(out, S("{\"version\":\"2.0\",\"routeKey\":\"$default\","));
	put_member(out, S("\"rawPath\":"), event->path);
	buf_put_char(out, ',');
	put_member(out, S("\"rawQueryString\":"), event->head->query);
	put_cookies(out, event->head);
	put_headers(out, event);
	put_query(out, event->head->query);
	put_context(out, event);
	put_body(out, event);
}
