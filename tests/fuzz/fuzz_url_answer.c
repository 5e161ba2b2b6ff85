/*
 * Whatever a function returns by its URL: what is made of it is a response that frames itself as the server says, with
 * header lines that are lines, or there is none.
 */
#include "fuzz.h"

#include "services/lambda/url_answer.h"

/* The lines make a head that our own parser takes, one field a line. */
static void check_fields(str fields)
{
	static struct http_head head;
	struct buf text;
	size_t used, lines = 0;

	for (size_t i = 0; i < fields.len; i++)
		lines += fields.at[i] == '\n';
	buf_init(&text, fields.len + 64);
	buf_put(&text, S("GET / HTTP/1.1\r\nHost: h\r\n"));
	buf_put(&text, fields);
	buf_put(&text, S("\r\n"));
	enum http_parse_answer got = http_parse_request(buf_str(&text), 0, &head, &used);
	HOLDS(got == HTTP_PARSED || got == HTTP_TOO_LARGE || url_fields_have(fields, S("host")) ||
		url_fields_have(fields, S("expect")));
	if (got == HTTP_PARSED) {
		HOLDS(head.field_count == lines + 1 && used == text.len);
		HOLDS(!head.has_length && !head.chunked);
	}
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	str payload = { (const char *)data, size };
	struct url_answer answer;

	int r = url_answer_read(payload, &answer);
	HOLDS(r == URL_ANSWER_GOOD || r == URL_ANSWER_BAD);
	if (r == URL_ANSWER_GOOD) {
		HOLDS(answer.status >= 200 && answer.status <= 599);
		HOLDS(answer.body.len <= size);
		HOLDS(fuzz_is_inside(answer.body, payload) ||
			fuzz_is_inside(answer.body, buf_str(&answer.text)));
		HOLDS(url_fields_have(buf_str(&answer.fields), S("content-type")));
		check_fields(buf_str(&answer.fields));
	}
	url_answer_done(&answer);

	r = url_answer_read_prelude(payload, &answer);
	HOLDS(r == URL_ANSWER_GOOD || r == URL_ANSWER_BAD);
	if (r == URL_ANSWER_GOOD) {
		HOLDS(answer.status >= 200 && answer.status <= 599 && !answer.body.len);
		check_fields(buf_str(&answer.fields));
	}
	url_answer_done(&answer);
	return 0;
}
