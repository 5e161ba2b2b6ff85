/*
 * Request heads, in two passes. The first finds the end: it looks at line feeds only, resumes where
 * the last call stopped (so that a head which comes byte by byte costs no more than one that comes
 * at once), and refuses a bare LF as soon as it is there. The second cuts the complete head in
 * place. Nothing is judged before the head is complete but its first byte and its line ends: so the
 * answer does not depend on how the bytes were split.
 *
 * The facts that decide where the body ends are collected while the fields go by, and judged
 * together at the end (head_frame): what is there twice or contradicts itself is refused, never
 * mended.
 */
#include "wire/http.h"

#include "base/attr.h"
#include "wire/http_class.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/* What the fields said, beyond what struct http_head keeps. */
struct head_facts {
	str host;
	bool has_host;
	bool has_coding; /* a Transfer-Encoding was there */
	bool has_foreign_coding;
	bool says_close;
	bool says_keep_alive;
};

static bool head_all(str s, enum http_class wanted)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!http_is(s.at[i], wanted))
			return false;
	}
	return true;
}

/*
 * Where the request line starts: RFC 9112 2.2: "a server that is expecting to receive and parse a
 * request-line SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
 */
static enum http_parse_answer head_find_start(str bytes, size_t *ret_start)
{
	size_t start = 0;

	if (bytes.len > 0 && bytes.at[0] == '\r') {
		if (bytes.len > 1 && bytes.at[1] != '\n')
			return HTTP_BAD;
		start = 2;
	}
	if (bytes.len <= start)
		return HTTP_MORE;
	if (!http_is(bytes.at[start], HTTP_TOKEN))
		return HTTP_BAD; /* a TLS hello, most often: no need to wait for its end */

	*ret_start = start;
	return HTTP_PARSED;
}

/* The end of the last field line; the empty line (two bytes) follows it. */
static enum http_parse_answer head_find_end(str bytes, size_t start, size_t from, size_t *ret_end)
{
	size_t window = MIN(bytes.len, (size_t)HTTP_HEAD_MAX);
	size_t at = MAX(from, start);

	while (at < window) {
		const char *feed = memchr(bytes.at + at, '\n', window - at);
		if (!feed)
			break;
		size_t i = (size_t)(feed - bytes.at);
		assert(i > start); /* the first byte is a letter */
		if (feed[-1] != '\r')
			return HTTP_BAD;
		if (feed[-2] == '\n') { /* and so the one before it is no CR */
			*ret_end = i - 1;
			return HTTP_PARSED;
		}
		at = i + 1;
	}
	return bytes.len >= HTTP_HEAD_MAX ? HTTP_TOO_LARGE : HTTP_MORE;
}

static enum http_verb head_verb(str method)
{
	static const struct {
		str name;
		enum http_verb verb;
	} verbs[] = {
		{ S_INIT("GET"), HTTP_GET },
		{ S_INIT("POST"), HTTP_POST },
		{ S_INIT("PUT"), HTTP_PUT },
		{ S_INIT("DELETE"), HTTP_DELETE },
		{ S_INIT("HEAD"), HTTP_HEAD },
		{ S_INIT("PATCH"), HTTP_PATCH },
		{ S_INIT("OPTIONS"), HTTP_OPTIONS },
	};

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (str_eq(method, verbs[i].name))
			return verbs[i].verb;
	}
	return HTTP_OTHER;
}

/*
 * The path of an absolute-form target ("http://host/path"), and the authority into *ret_host;
 * at == NULL when it is none.
 */
static str head_absolute_path(str target, str *ret_host)
{
	str scheme = str_starts_fold(target, S("http://")) ? S("http://") : S("https://");
	if (!str_starts_fold(target, scheme))
		return (str){};

	str rest = str_from(target, scheme.len);
	size_t end = 0;
	while (end < rest.len && rest.at[end] != '/' && rest.at[end] != '?')
		end++;
	*ret_host = str_slice(rest, 0, end);
	return end == rest.len ? S("/") : str_from(rest, end);
}

/* Cut the target; *ret_host is the authority of an absolute form, else at == NULL. */
static enum http_parse_answer head_cut_target(struct http_head *head, str *ret_host)
{
	str target = head->target;

	*ret_host = (str){};
	if (target.len == 0 || !head_all(target, HTTP_TARGET))
		return HTTP_BAD;
	if (target.at[0] != '/' && !(head->verb == HTTP_OPTIONS && str_eq(target, S("*")))) {
		target = head_absolute_path(target, ret_host);
		if (!target.at || ret_host->len == 0)
			return HTTP_BAD;
	}
	ptrdiff_t mark = str_find(target, '?');
	if (mark == 0) { /* "http://host?query": the path is empty, which means "/" */
		head->path = S("/");
		head->query = str_from(target, 1);
	} else if (mark > 0) {
		head->path = str_slice(target, 0, (size_t)mark);
		head->query = str_from(target, (size_t)mark + 1);
	} else {
		head->path = target;
	}
	return HTTP_PARSED;
}

/* "HTTP/1.1", case and all. */
static enum http_parse_answer head_version(str text, int *ret_minor)
{
	if (text.len != 8 || !str_starts(text, S("HTTP/")) || text.at[6] != '.')
		return HTTP_BAD;
	unsigned major = (unsigned char)text.at[5] - (unsigned)'0';
	unsigned minor = (unsigned char)text.at[7] - (unsigned)'0';
	if (major > 9 || minor > 9)
		return HTTP_BAD;
	if (major != 1)
		return HTTP_BAD_VERSION;

	*ret_minor = (int)minor;
	return HTTP_PARSED;
}

static enum http_parse_answer head_request_line(struct http_head *head, str line, str *ret_host)
{
	str version = line;

	if (!str_cut(&version, ' ', &head->method) || !str_cut(&version, ' ', &head->target))
		return HTTP_BAD;
	if (head->method.len == 0 || !head_all(head->method, HTTP_TOKEN))
		return HTTP_BAD;
	enum http_parse_answer answer = head_version(version, &head->minor);
	if (answer != HTTP_PARSED)
		return answer;

	head->verb = head_verb(head->method);
	return head_cut_target(head, ret_host);
}

static enum http_parse_answer head_on_length(struct http_head *head, str value)
{
	if (head->has_length || str_to_u64(value, INT64_MAX, &head->length) != 0)
		return HTTP_BAD;
	head->has_length = true;
	return HTTP_PARSED;
}

/*
 * RFC 9112 6.1; an empty element or anything after "chunked" is read differently by different
 * servers.
 */
static enum http_parse_answer head_on_coding(
	struct http_head *head, struct head_facts *facts, str value)
{
	str item;

	facts->has_coding = true;
	while (str_next(&value, ',', &item)) {
		item = str_trim(item);
		if (head->chunked || item.len == 0)
			return HTTP_BAD;
		if (str_eq_fold(item, S("chunked")))
			head->chunked = true;
		else
			facts->has_foreign_coding = true;
	}
	return HTTP_PARSED;
}

static void head_on_connection(struct head_facts *facts, str value)
{
	str item;

	while (str_next(&value, ',', &item)) {
		item = str_trim(item);
		facts->says_close |= str_eq_fold(item, S("close"));
		facts->says_keep_alive |= str_eq_fold(item, S("keep-alive"));
	}
}

static enum http_parse_answer head_on_host(struct head_facts *facts, str value)
{
	if (facts->has_host || !head_all(value, HTTP_HOST))
		return HTTP_BAD;
	facts->host = value;
	facts->has_host = true;
	return HTTP_PARSED;
}

/* Look at the few fields that concern the message itself; no two of them are of one length. */
static enum http_parse_answer head_on_field(
	struct http_head *head, struct head_facts *facts, const struct http_field *field)
{
	switch (field->name.len) {
	case sizeof("Host") - 1:
		if (str_eq_fold(field->name, S("Host")))
			return head_on_host(facts, field->value);
		break;
	case sizeof("Expect") - 1:
		if (str_eq_fold(field->name, S("Expect")))
			head->expect_continue |= str_eq_fold(field->value, S("100-continue"));
		break;
	case sizeof("Connection") - 1:
		if (str_eq_fold(field->name, S("Connection")))
			head_on_connection(facts, field->value);
		break;
	case sizeof("Content-Length") - 1:
		if (str_eq_fold(field->name, S("Content-Length")))
			return head_on_length(head, field->value);
		break;
	case sizeof("Transfer-Encoding") - 1:
		if (str_eq_fold(field->name, S("Transfer-Encoding")))
			return head_on_coding(head, facts, field->value);
		break;
	default:
		break;
	}
	return HTTP_PARSED;
}

/* RFC 9112 5.1: "No whitespace is allowed between the field name and colon". */
static bool head_cut_field(str line, struct http_field *ret_field)
{
	size_t len = 0;

	while (len < line.len && http_is(line.at[len], HTTP_TOKEN))
		len++;
	if (len == 0 || len == line.len || line.at[len] != ':')
		return false;
	str value = str_trim(str_from(line, len + 1));
	if (!head_all(value, HTTP_VALUE))
		return false;

	*ret_field = (struct http_field){ str_slice(line, 0, len), value };
	return true;
}

/* Judge what the fields said together: where does the body end, and what then? */
static enum http_parse_answer head_frame(
	struct http_head *head, const struct head_facts *facts, str target_host)
{
	if (head->minor >= 1 && !facts->has_host)
		return HTTP_BAD;
	/*
	 * RFC 9112 3.2.2: an absolute target wins over Host. So that nobody has to know, the two
	 * must agree.
	 */
	if (target_host.at && facts->has_host && !str_eq_fold(target_host, facts->host))
		return HTTP_BAD;
	if (facts->has_coding && (head->has_length || head->minor == 0))
		return HTTP_BAD;
	if (facts->has_foreign_coding)
		return HTTP_NOT_SUPPORTED;

	head->keep_alive = !facts->says_close && (head->minor >= 1 || facts->says_keep_alive);
	head->expect_continue = head->expect_continue && head->minor >= 1;
	return HTTP_PARSED;
}

/* The next line of a head whose lines all end in CRLF, without its end. */
static bool head_next_line(str *rest, str *ret_line)
{
	str line;

	if (!str_cut(rest, '\n', &line))
		return false;
	assert(line.len > 0 && line.at[line.len - 1] == '\r');
	*ret_line = str_slice(line, 0, line.len - 1);
	return true;
}

/* The lines between the first byte and the empty line. */
static enum http_parse_answer head_parse(str lines, struct http_head *head)
{
	struct head_facts facts = {};
	str line, target_host;

	if (!head_next_line(&lines, &line))
		return HTTP_BAD;
	enum http_parse_answer answer = head_request_line(head, line, &target_host);
	while (answer == HTTP_PARSED && head_next_line(&lines, &line)) {
		if (head->field_count == HTTP_FIELDS_MAX)
			return HTTP_TOO_LARGE;
		struct http_field *field = &head->fields[head->field_count++];
		if (!head_cut_field(line, field))
			return HTTP_BAD;
		answer = head_on_field(head, &facts, field);
	}
	return answer == HTTP_PARSED ? head_frame(head, &facts, target_host) : answer;
}

enum http_parse_answer http_parse_request(
	str bytes, size_t from, struct http_head *head, size_t *ret_used)
{
	size_t start, end;

	assert(from <= bytes.len);
	enum http_parse_answer answer = head_find_start(bytes, &start);
	if (answer != HTTP_PARSED)
		return answer;
	answer = head_find_end(bytes, start, from, &end);
	if (answer != HTTP_PARSED)
		return answer;

	memset(head, 0, offsetof(struct http_head, fields));
	answer = head_parse(str_slice(bytes, start, end), head);
	if (answer != HTTP_PARSED)
		return answer;
	assert(head->field_count <= HTTP_FIELDS_MAX && !(head->chunked && head->has_length));
	*ret_used = end + 2;
	return HTTP_PARSED;
}

str http_field(const struct http_head *head, str name)
{
	for (size_t i = 0; i < head->field_count; i++) {
		if (str_eq_fold(head->fields[i].name, name))
			return head->fields[i].value;
	}
	return (str){};
}
