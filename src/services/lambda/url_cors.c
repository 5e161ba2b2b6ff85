/*
 * The Fetch standard, "CORS protocol": what is allowed is told by header lines; what is not allowed gets no lines, and the
 * browser draws the conclusion. An allowed origin is told back, also where any is. With credentials a browser takes
 * "*" for a name like any other, so what it has asked for is told back instead.
 *
 * To a preflight AWS answers alone; to everything else it adds these lines to those of the function, also where both have
 * the same ("The 'Access-Control-Allow-Origin' header contains multiple values" is what browsers say then).
 */
#include "services/lambda/url_cors.h"

#include "wire/http_class.h"

static const str any = S_INIT("*");

static bool list_has(str list, str wanted)
{
	str item;

	while (str_next(&list, ',', &item)) {
		item = str_trim(item);
		if (str_eq(item, wanted))
			return true;
	}
	return false;
}

static bool origins_have(const struct url_cors *cors, str origin)
{
	for (size_t i = 0; i < cors->origin_count; i++)
		if (str_eq(cors->origins[i], origin))
			return true;
	return false;
}

/* What a configuration has may be anything: what is no value of a field stays out of the head. */
static void put_line(struct buf *fields, str name, str value)
{
	for (size_t i = 0; i < value.len; i++)
		if (!http_is(value.at[i], HTTP_VALUE))
			return;
	if (!value.len)
		return;
	buf_put(fields, name);
	buf_put(fields, S(": "));
	buf_put(fields, value);
	buf_put(fields, S("\r\n"));
}

/* The lines that every answer has; false when the origin is not allowed (or there is none). */
static bool put_origin(struct buf *fields, const struct url_cors *cors, str origin)
{
	if (!origin.len || (!origins_have(cors, any) && !origins_have(cors, origin)))
		return false;
	put_line(fields, S("Access-Control-Allow-Origin"), origin);
	put_line(fields, S("Vary"), S("Origin"));
	if (cors->has_credentials)
		put_line(fields, S("Access-Control-Allow-Credentials"), S("true"));
	return true;
}

bool url_cors_is_preflight(const struct http_head *head)
{
	return head->verb == HTTP_OPTIONS && http_field(head, S("Origin")).len &&
		http_field(head, S("Access-Control-Request-Method")).len;
}

/* A list of the configuration, or what was asked for where "*" would not be understood. */
static void put_list(struct buf *fields, const struct url_cors *cors, str name, str list, str asked)
{
	bool is_any = list_has(list, any);

	put_line(fields, name, is_any && cors->has_credentials && asked.len ? asked : list);
}

void url_cors_put_preflight(
	struct buf *fields, const struct url_cors *cors, const struct http_head *head)
{
	str method = http_field(head, S("Access-Control-Request-Method"));
	str headers = http_field(head, S("Access-Control-Request-Headers"));

	if (cors->methods.len && !list_has(cors->methods, any) && !list_has(cors->methods, method))
		return;
	if (!put_origin(fields, cors, http_field(head, S("Origin"))))
		return;
	put_list(fields, cors, S("Access-Control-Allow-Methods"), cors->methods, method);
	put_list(fields, cors, S("Access-Control-Allow-Headers"), cors->headers, headers);
	if (cors->has_max_age)
		buf_putf(fields, "Access-Control-Max-Age: %u\r\n", (unsigned)cors->max_age_s);
}

void url_cors_put(struct buf *fields, const struct url_cors *cors, const struct http_head *head)
{
	if (put_origin(fields, cors, http_field(head, S("Origin"))))
		put_line(fields, S("Access-Control-Expose-Headers"), cors->expose);
}
